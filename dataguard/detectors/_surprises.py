"""What characters usually follow each other in a set: learned in two halves, so that no text vouches for itself.

The texts that are learned from are those whose keyed hash is smallest. How small it must be is told in levels, of
which each has half the texts of the one before, so that the texts chosen are the same however files are cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from dataguard.detectors.base import Known
from dataguard.records.batch import Batch, Texts
from dataguard.words import INPUTS, OUTPUTS, hash_key

if TYPE_CHECKING:
    from dataguard.kernels.character_model import Model

U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

CAPACITY = 1 << 18
"""Bytes that are learned from, in both halves together."""
RUNS = pl.Schema({"key": pl.UInt64, "n": pl.UInt64})
"""Runs of symbols, marked with level and half, and how often each was met; under the length _BYTES how many bytes were
learned from."""
_MARK, _LENGTH = np.uint64(48), np.uint64(44)
_BYTES = np.uint64(15)


class Place(NamedTuple):
    """The texts at one place of a batch.

    Attributes:
        texts: as the batch has them.
        data: u8, the bytes of all.
        offsets: i64[n + 1], from 0.
        hashes: u64[n], keyed.
    """

    texts: Texts
    data: U8
    offsets: I64
    hashes: U64

    @property
    def half(self) -> U8:
        """In which half each text is learned from."""
        return (self.hashes & np.uint64(1)).astype(np.uint8)


def places(batch: Batch) -> Iterator[Place]:
    """The texts of the columns that hold what is asked, said or read."""
    from dataguard.kernels.content import content

    salt = hash_key(batch.secret, "surprise")
    for name in batch.roles.of(*INPUTS, *OUTPUTS):
        if name in batch.data.schema.names:
            for texts in batch.texts(name):
                data, offsets = _buffers(texts.values)
                yield Place(texts, data, offsets, content(data, offsets[1:], salt))


def _buffers(values: pa.Array) -> tuple[U8, I64]:
    """The bytes and the offsets of large strings, both from the first on; null ones are empty."""
    if not len(values):
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    if values.null_count:
        values = values.fill_null("")
    _, offsets, data = values.buffers()
    bounds = np.frombuffer(offsets, np.int64)[values.offset : values.offset + len(values) + 1]
    return np.frombuffer(data or b"", np.uint8)[bounds[0] : bounds[-1]], bounds - bounds[0]


def observe_runs(batch: Batch) -> pl.DataFrame:
    """The runs of a sample of a batch's texts."""
    from dataguard.kernels.character_model import STRETCH, runs

    salt = hash_key(batch.secret, "runs")
    found = list(places(batch))
    levels = [_levels(place.hashes) for place in found]
    sizes = [np.minimum(np.diff(place.offsets), STRETCH) for place in found]
    by_level = np.zeros(65, np.int64)
    for level, size in zip(levels, sizes, strict=True):
        by_level += np.bincount(level, weights=size, minlength=65).astype(np.int64)
    lowest = _lowest(by_level)
    keys = [np.empty(0, np.uint64)]
    totals = np.zeros(2 * 65, np.int64)
    for place, level, size in zip(found, levels, sizes, strict=True):
        chosen = np.flatnonzero((level >= lowest) & (size > 0))
        marks = 2 * level[chosen] + place.half[chosen]
        totals += np.bincount(marks, weights=size[chosen], minlength=130).astype(np.int64)
        keys.append(runs(place.data, place.offsets, np.stack([chosen, marks], axis=1), salt))
    every = np.concatenate(keys)
    every.sort()
    first = np.flatnonzero(np.append(True, every[1:] != every[:-1])) if len(every) else np.empty(0, np.int64)
    every, counts = every[first], np.diff(first, append=len(every))
    marks = np.flatnonzero(totals)
    sums = marks.astype(np.uint64) << _MARK | _BYTES << _LENGTH
    return pl.DataFrame(
        {
            "key": np.concatenate([every, sums]),
            "n": np.concatenate([counts, totals[marks]]).astype(np.uint64),
        },
        schema=RUNS,
    )


def _levels(hashes: U64) -> I64:
    """How many bits each hash starts with that are 0."""
    return 64 - np.frexp(hashes.astype(np.float64))[1].astype(np.int64)


def _lowest(by_level: I64) -> int:
    """The lowest level from which on all texts are few enough to be learned from."""
    above = np.cumsum(by_level[::-1])[::-1]
    return int(np.argmax(above <= CAPACITY)) if (above <= CAPACITY).any() else len(above)


def fewer_runs(evidence: pl.DataFrame) -> pl.DataFrame:
    """The same of several batches, without levels that are too low for all of them."""
    key, n = evidence["key"].to_numpy(), evidence["n"].to_numpy()
    mark = (key >> _MARK).astype(np.uint16)
    sizes = np.flatnonzero((key >> _LENGTH & _BYTES) == _BYTES)
    by_level = np.zeros(65, np.int64)
    np.add.at(by_level, mark[sizes] // 2, n[sizes].astype(np.int64))
    kept = np.flatnonzero(
        mark // 2 >= _lowest(by_level)
    )  # before they are sorted: of many batches few are left
    key, n = _summed(key[kept], n[kept])
    return pl.DataFrame({"key": key, "n": n}, schema=RUNS)


def _summed(key: U64, n: U64) -> tuple[U64, U64]:
    if not len(key):
        return key, n
    order = np.argsort(key, kind="stable")  # ten times as fast as grouping
    key = key[order]
    first = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
    return key[first], np.add.reduceat(n[order], first)


def fold_runs(evidence: pl.LazyFrame, least: int) -> Known:
    """Two models.

    Returns:
        `learned`, bytes that were learned from; where these are enough, fields of both models, one under the other.
    """
    from dataguard.kernels.character_model import learned

    table = fewer_runs(evidence.select(*RUNS).collect())
    key, n = table["key"].to_numpy(), table["n"].to_numpy().astype(np.int64)
    half = key >> _MARK & np.uint64(1)
    sizes = (key >> _LENGTH & _BYTES) == _BYTES
    total = [int(n[sizes & (half == side)].sum()) for side in (0, 1)]
    if 2 * min(total) < least:
        return {"learned": sum(total)}
    models = []
    for side in (0, 1):
        its = ~sizes & (half == side)
        plain, inverse = np.unique(key[its] & ((np.uint64(1) << _MARK) - np.uint64(1)), return_inverse=True)
        models.append(learned(plain, np.bincount(inverse, weights=n[its]).astype(np.int64)))
    return {
        "learned": sum(total),
        "cells": np.stack([model.cells for model in models]),
        "single": np.stack([model.single for model in models]),
        "chance": np.stack([model.chance for model in models]),
        "usual": [model.usual for model in models],
        "pairs": [model.pairs for model in models],
    }


def models_of(known: Any) -> tuple[Model, Model] | None:
    """The models of the halves, None where too little was learned."""
    from dataguard.kernels.character_model import Model

    if known is None or "cells" not in known:
        return None
    names = Model._fields
    first, second = (Model(*(known[name][side] for name in names)) for side in (0, 1))
    return first, second

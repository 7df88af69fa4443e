"""The second look: which records are what the first look's sample and sums told of."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.columns import Role
from dataguard.detectors._values import value
from dataguard.detectors._vectors.crowds import in_floods
from dataguard.detectors._vectors.learning import (
    DIMENSION,
    FLOOD,
    HUB,
    MIXED,
    NORM,
    SHARED,
    SHIFT,
    UNSOUND,
    ZERO,
    Learned,
)
from dataguard.detectors._vectors.reading import Vectors, vectors_of
from dataguard.detectors._vectors.sketch import WEIGHT, cell_keys, hashes, norm_steps, weights
from dataguard.findings import conform
from dataguard.records.batch import Batch

FOUND = pl.Schema(
    {
        "column": pl.String,
        "what": pl.UInt8,
        "group": pl.UInt32,
        "row": pl.UInt64,
        "number": pl.Float64,
        "n": pl.UInt64,
        "sums": pl.Binary,
    }
)
"""A row for each record of a group, with what was measured of it. Where `row` is null, how many they are; for those that
share a key also the sums of their vectors, as i64."""

LISTED = 10_000
"""Records of a group that are listed, the first of each file."""
_ROWS = 1 << 12
"""Vectors that are compared at once with those of the sample."""

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


def found_in(batch: Batch, known: list[Learned]) -> pl.DataFrame:
    """The records of a batch that stand out."""
    by_column = {one.column: one for one in known}
    label = value(batch, Role.LABEL).fill_null("").to_numpy()
    tables = [FOUND.to_frame()]
    for vectors in vectors_of(batch):
        if vectors.column in by_column:
            for what, group, rows, numbers, sums in _groups(vectors, by_column[vectors.column], label, batch):
                tables += _told(batch, vectors.column, (what, group), rows, numbers, sums)
    return fewer(pl.concat(tables))


_Group = tuple[int, int, I64, npt.NDArray[np.float64] | None, I64 | None]


def _groups(
    vectors: Vectors, known: Learned, label: npt.NDArray[np.object_], batch: Batch
) -> Iterator[_Group]:
    """What is found, which of it, the rows, what was measured of each, and sums."""
    if vectors.dim == 0:
        return
    yield UNSOUND, 0, vectors.rows[np.isnan(vectors.norms)], None, None
    if vectors.dim != known.dim:
        yield DIMENSION, 0, vectors.rows, np.full(len(vectors.rows), float(vectors.dim)), None
        return
    yield ZERO, 0, vectors.rows[vectors.norms == 0], None, None
    rows, norms = vectors.rows[vectors.sound], vectors.norms[vectors.sound]
    steps = norm_steps(norms)
    odd = (steps < known.steps[0]) | (steps > known.steps[1])
    yield NORM, 0, rows[odd], norms[odd], None
    whole = vectors.units[vectors.sound]
    if not whole.shape[1]:
        return
    yield from _shared(vectors, known, rows, whole, batch)
    if len(known.hub_keys) or len(known.mixed_keys):
        own = hashes(vectors, batch.secret)
        yield HUB, 0, rows[np.isin(own, known.hub_keys)], None, None
        for crowd in np.unique(known.mixed_crowds).tolist():
            yield MIXED, crowd, rows[np.isin(own, known.mixed_keys[known.mixed_crowds == crowd])], None, None
    for first in range(0, len(whole), _ROWS):
        some = slice(first, first + _ROWS)
        single = whole[some].astype(np.float32)
        yield from _compared(single, rows[some], known)
        yield from _shifted(single, rows[some], weights(steps[some], known.steps), known, label)


def _compared(units: F32, rows: I64, known: Learned) -> Iterator[_Group]:
    for group, its in enumerate(in_floods(units, known.flooded, known.reach).T):
        yield FLOOD, group, rows[its], None, None
    if len(known.asked):
        counts = (units @ known.asked.astype(np.float32).T >= known.radius).sum(axis=1)
        its = counts >= known.hub[1]
        yield HUB, 0, rows[its], counts[its] / len(known.asked), None


def _shifted(
    units: F32, rows: I64, lengths: I64, known: Learned, label: npt.NDArray[np.object_]
) -> Iterator[_Group]:
    from dataguard.kernels.units import SCALE

    if not len(known.along):
        return
    products = (units @ known.along.astype(np.float32).T).astype(np.int64) * lengths[:, None]
    for group, (name, cut) in enumerate(zip(known.labels, known.cut.tolist(), strict=True)):
        its = products[:, group] >= cut
        if name:
            its &= label[rows] == name
        yield SHIFT, group, rows[its], products[its, group] / (float(SCALE) ** 2 * WEIGHT), None


def _shared(
    vectors: Vectors, known: Learned, rows: I64, whole: npt.NDArray[np.int16], batch: Batch
) -> Iterator[_Group]:
    """Vectors with a key that many have; whether these are alike is told by their sums."""
    if not len(known.cells):
        return
    keys = cell_keys(vectors, batch.secret)
    order = np.argsort(known.cells)
    at = np.minimum(np.searchsorted(known.cells, keys, sorter=order), len(order) - 1)
    group = np.where(known.cells[order[at]] == keys, order[at], -1)
    for number in np.unique(group[group >= 0]).tolist():
        its = (group == number).any(axis=1)
        yield SHARED, number, rows[its], None, whole[its].sum(axis=0, dtype=np.int64)


def _told(
    batch: Batch,
    column: str,
    of: tuple[int, int],
    rows: I64,
    numbers: npt.NDArray[np.float64] | None,
    sums: I64 | None,
) -> list[pl.DataFrame]:
    if not len(rows):
        return []
    named = {"column": column, "what": of[0], "group": of[1]}
    told = [{**named, "n": len(rows), "sums": None if sums is None else sums.tobytes()}]
    listed = pl.DataFrame({"row": batch.rows().gather(rows), "number": numbers}).with_columns(
        column=pl.lit(column, pl.String), what=pl.lit(of[0], pl.UInt8), group=pl.lit(of[1], pl.UInt32)
    )
    return [conform(listed.sort("row").head(LISTED), FOUND), conform(pl.DataFrame(told), FOUND)]


def fewer(evidence: pl.DataFrame) -> pl.DataFrame:
    """The same with one count for each group, and no more of its records than are listed."""
    by = ["column", "what", "group"]
    listed = evidence.filter(pl.col("row").is_not_null()).sort(*by, "row")
    listed = listed.filter(pl.int_range(pl.len()).over(by) < LISTED)
    counts = evidence.filter(pl.col("row").is_null()).group_by(by).agg("n", "sums").sort(by)
    told = [
        {**dict(zip(by, names, strict=True)), "n": sum(n), "sums": summed(sums)}
        for *names, n, sums in counts.iter_rows()
    ]
    return pl.concat([listed.select(FOUND.names()), conform(pl.DataFrame(told, schema=FOUND), FOUND)])


def summed(sums: list[bytes | None]) -> bytes | None:
    """Sums of vectors that are kept as bytes, added up."""
    there = [np.frombuffer(one, np.int64) for one in sums if one is not None]
    return np.sum(there, axis=0, dtype=np.int64).tobytes() if there else None

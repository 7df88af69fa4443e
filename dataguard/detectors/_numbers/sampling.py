"""A sample of records by their numbers, the same however files are cut; which records it has nobody can foresee."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.columns import Role
from dataguard.detectors._numbers.distributions import numeric_features
from dataguard.detectors._values import value
from dataguard.digests import record_digests
from dataguard.records.batch import Batch
from dataguard.words import hash_key

_CELLS = 1 << 19
_FEWEST = 256

RECORDS = pl.Schema(
    {"features": pl.String(), "hash": pl.UInt64(), "label": pl.String(), "values": pl.List(pl.Float64)}
)
"""The columns as JSON, a keyed hash of the record, what its label columns say, and its numbers."""


def sample(batch: Batch, size: int) -> pl.DataFrame:
    """The records of a batch with the smallest hashes, copies once."""
    names = numeric_features(batch)
    if len(names) < 2 or not len(batch):
        return RECORDS.to_frame()
    digests = batch.once("digests", lambda: record_digests(batch.data))
    hashes = _mixed(digests[:, :8].copy().view("<u8")[:, 0], hash_key(batch.secret, "numbers"))
    hashes, first = np.unique(hashes, return_index=True)
    at = first[: _room(len(names), size)]
    numbers = pl.Series("values", batch.numbers(names)[at], dtype=pl.Array(pl.Float64, len(names)))
    return pl.DataFrame(
        {
            "features": [json.dumps(names)] * len(at),
            "hash": hashes[: len(at)],
            "label": value(batch, Role.LABEL).gather(at),
            "values": numbers.arr.to_list(),
        },
        schema=RECORDS,
    )


def fewer_records(evidence: pl.DataFrame, size: int) -> pl.DataFrame:
    """The same of the smallest hashes only."""
    merged = evidence.select(RECORDS.names()).sort("features", "hash")
    merged = merged.unique(["features", "hash"], keep="first", maintain_order=True)
    room = pl.max_horizontal(pl.lit(_FEWEST), _CELLS // pl.col("values").list.len()).cast(pl.Int64)
    place = pl.int_range(pl.len()).over("features")
    return merged.filter((place < size) & (place < room))


def sampled_of(evidence: pl.LazyFrame, size: int) -> pl.DataFrame:
    """The same of what all items wrote down, of which hashes alone are held in memory at once.

    Each item has a sample of its own: of ten million records, thirty times as many as are kept.
    """
    hashes = evidence.select(pl.col("features").cast(pl.Categorical), "hash").unique().collect()
    kept = [
        part.sort("hash").head(_room(len(json.loads(str(features))), size))
        for (features,), part in hashes.group_by("features")
    ]
    if not kept:
        return RECORDS.to_frame()
    smallest = pl.concat(kept).with_columns(pl.col("features").cast(pl.String)).lazy()
    records = evidence.select(RECORDS.names()).join(smallest, on=["features", "hash"], how="semi")
    return fewer_records(records.collect(), size)


def _room(columns: int, size: int) -> int:
    return min(size, max(_FEWEST, _CELLS // columns))


def _mixed(numbers: npt.NDArray[np.uint64], key: int) -> npt.NDArray[np.uint64]:
    """Numbers that nobody who lacks the key can order: the steps of splitmix64 (Steele, Lea and Flood, 2014)."""
    mixed = numbers ^ np.uint64(key)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))

"""What the first look writes down of vectors: counts, norms, a sample, and keys that near-identical vectors share.

Keys are those of Datar et al., "Locality-sensitive hashing scheme based on p-stable distributions" (2004), with random
signs in place of normal numbers: vectors are projected on some directions, and each projection is cut into cells.
"""

from __future__ import annotations

import hmac
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.columns import Role
from dataguard.detectors._values import value
from dataguard.detectors._vectors.reading import Vectors, columns_of, vectors_of
from dataguard.findings import conform
from dataguard.records.batch import Batch
from dataguard.words import hash_key

U64 = npt.NDArray[np.uint64]
F32 = npt.NDArray[np.float32]

SAMPLE = 4096
"""Vectors of a column that are learned from, those with the smallest keyed hashes;"""
NUMBERS = 2 << 20
"""fewer of more dimensions, so that they hold no more than so many numbers."""
BANDS = 4
"""Keys of each vector. Two vectors of cosine .9999 share one of them in 99 of 100 cases, of .998 in half, of .99 in 5 of
100, of .95 in one of 10,000 (measured at 128 dimensions)."""
CUTS = 12
"""Projections in a key."""
WIDTH = 1500
"""The width of a cell, of a projection whose standard deviation is `kernels.units.SCALE`."""
FEW = 8
"""Vectors that share a key before it is told on."""
CELLS = 1024
"""Keys that are told on of a partition, those of most vectors."""
STEPS = 32
"""Steps of a norm's histogram to each doubling."""
WEIGHT = 1024
"""What a vector of the middle length weighs, see `weights`."""
WIDEST = 8 * STEPS
"""Steps from the middle norm within which lengths are told apart."""

CELL, RECORDS, UNSOUND, ZERO, NORM, SAMPLED, UNSEEN = range(7)

SKETCH = pl.Schema(
    {
        "key": pl.UInt64,
        "what": pl.UInt8,
        "column": pl.String,
        "dim": pl.UInt32,
        "row": pl.UInt64,
        "n": pl.UInt64,
        "norm": pl.Int32,
        "label": pl.String,
        "units": pl.Binary,
    }
)
"""A row for each vector and key (CELL); counts of vectors, of those with NaN or infinity, of zero ones, and of each norm;
sampled vectors with what their records are labelled and, of equal ones, the least length. UNSEEN are records of columns that are not looked at."""


def sketched(batch: Batch) -> pl.DataFrame:
    """What there is to be written down of a batch."""
    label = value(batch, Role.LABEL)
    tables = [SKETCH.to_frame()]
    for vectors in vectors_of(batch):
        tables += [
            conform(
                table.with_columns(
                    column=pl.lit(vectors.column, pl.String), dim=pl.lit(vectors.dim, pl.UInt32)
                ),
                SKETCH,
            )
            for table in (
                *_cells(vectors, batch),
                _counts(vectors),
                _norms(vectors),
                _sample(vectors, batch, label),
            )
        ]
    unseen = [{"key": 0, "what": UNSEEN, "column": name, "n": len(batch)} for name in columns_of(batch)[1]]
    if unseen:
        tables.append(conform(pl.DataFrame(unseen), SKETCH))
    return fewer(pl.concat(tables))


def cell_keys(vectors: Vectors, secret: bytes) -> U64:
    """The keys of sound vectors, u64 of shape (n, BANDS): those of a column that share one are close.

    Args:
        vectors: of one dimension.
        secret: 32 bytes.
    """
    key = hash_key(hmac.digest(secret, vectors.column.encode(), "sha256"), "vectors")
    signs, shift, factor = _directions(key, vectors.dim)
    projected = vectors.units[vectors.sound].astype(np.float32) @ signs
    cells = ((projected.astype(np.int64) + shift) // WIDTH).view(np.uint64).reshape(-1, BANDS, CUTS)
    return _mixed((cells * factor).sum(axis=2, dtype=np.uint64) + np.arange(BANDS, dtype=np.uint64))


@lru_cache(maxsize=64)
def _directions(key: int, dim: int) -> tuple[F32, npt.NDArray[np.int64], U64]:
    """Signs of shape (dim, BANDS * CUTS), where the cells of each direction begin, and factors of a key's cells."""
    count = BANDS * CUTS
    drawn = _mixed(np.arange(dim * count, dtype=np.uint64) * np.uint64(2) + np.uint64(key))
    signs = np.where(drawn >> np.uint64(63), 1, -1).astype(np.float32).reshape(dim, count)
    more = _mixed(np.arange(2 * count, dtype=np.uint64) * np.uint64(2) + np.uint64(key ^ dim) + np.uint64(1))
    return (
        signs,
        (more[:count] % np.uint64(WIDTH)).astype(np.int64),
        more[count:].reshape(BANDS, CUTS) | np.uint64(1),
    )


def _mixed(numbers: U64) -> U64:
    """Numbers as if drawn at random (the finaliser of SplitMix64: Steele, Lea and Flood, 2014)."""
    mixed = (numbers + np.uint64(0x9E3779B97F4A7C15)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def hashes(vectors: Vectors, secret: bytes) -> U64:
    """A keyed hash of each sound vector."""
    from dataguard.kernels.content import content

    units = np.ascontiguousarray(vectors.units[vectors.sound])
    values = units.view(np.uint32 if vectors.dim % 2 == 0 else np.uint8)
    ends = np.arange(1, len(units) + 1, dtype=np.int64) * values.shape[1]
    return content(values.ravel(), ends, hash_key(secret, "vectors of the sample"))


def _cells(vectors: Vectors, batch: Batch) -> list[pl.DataFrame]:
    if not vectors.units.shape[1]:
        return []
    rows = batch.rows().gather(vectors.rows[vectors.sound])
    keys = cell_keys(vectors, batch.secret)
    what = pl.lit(CELL, pl.UInt8)
    return [
        pl.DataFrame({"key": np.ascontiguousarray(key), "row": rows}).with_columns(what=what)
        for key in keys.T
    ]


def _counts(vectors: Vectors) -> pl.DataFrame:
    whole, norms = vectors.dim > 0, vectors.norms
    counts = {RECORDS: len(norms), UNSOUND: int(np.isnan(norms).sum()), ZERO: whole * int((norms == 0).sum())}
    return pl.DataFrame([{"key": 0, "what": what, "n": n} for what, n in counts.items() if n])


def _norms(vectors: Vectors) -> pl.DataFrame:
    steps = norm_steps(vectors.norms[vectors.sound])
    found = pl.DataFrame({"norm": steps}).group_by("norm").agg(n=pl.len())
    return found.with_columns(key=pl.lit(0, pl.UInt64), what=pl.lit(NORM, pl.UInt8))


def norm_steps(norms: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """The step of each norm on a logarithmic scale; the middle of one is at 1."""
    return np.floor(np.log2(norms) * STEPS + 0.5).astype(np.int32)


def weights(steps: npt.NDArray[np.int32], usual: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Lengths in times of the middle one, as whole numbers: `WEIGHT` is once.

    Args:
        steps: of the vectors' norms, see `norm_steps`.
        usual: the least and the greatest usual one. What is beyond these, or `WIDEST`, counts as the middle.
    """
    middle = int(usual.sum()) // 2
    low, high = max(int(usual[0]), middle - WIDEST), min(int(usual[1]), middle + WIDEST)
    table = np.rint(WEIGHT * np.exp2((np.arange(low, high + 1) - middle) / STEPS)).astype(np.int64)
    odd = (steps < low) | (steps > high)
    return np.where(odd, WEIGHT, table[np.clip(steps - low, 0, high - low)])


def _sample(vectors: Vectors, batch: Batch, label: pl.Series) -> pl.DataFrame:
    if not vectors.units.shape[1]:
        return SKETCH.to_frame().drop("column", "dim")
    found = (
        pl.DataFrame(
            {
                "key": hashes(vectors, batch.secret),
                "at": np.flatnonzero(vectors.sound),
                "label": label.gather(vectors.rows[vectors.sound]),
                "norm": norm_steps(vectors.norms[vectors.sound]),
            }
        )
        .group_by("key", "label")
        .agg(pl.col("norm").min(), n=pl.len(), at=pl.col("at").min())
    )
    found = found.sort(_order(), "label").head(min(SAMPLE, NUMBERS // vectors.dim + 1))
    units = [one.tobytes() for one in vectors.units[found["at"].to_numpy()]]
    return found.drop("at").with_columns(
        what=pl.lit(SAMPLED, pl.UInt8), units=pl.Series(units, dtype=pl.Binary)
    )


def _order() -> pl.Expr:
    """Which vectors are sampled first: the lower bits of their hashes decide, as the upper ones say the partition."""
    return pl.col("key").map_batches(lambda keys: pl.Series(_mixed(keys.to_numpy())), return_dtype=pl.UInt64)


def fewer(evidence: pl.DataFrame) -> pl.DataFrame:
    """The same with counts summed and the sample no larger than it must be."""
    names = SKETCH.names()
    cells = evidence.filter(pl.col("what") == CELL).select(names)
    by = ["key", "what", "column", "dim", "norm"]
    counts = (
        evidence.filter(~pl.col("what").is_in([CELL, SAMPLED])).group_by(by).agg(pl.col("n").sum()).sort(by)
    )
    return pl.concat([cells, conform(counts, SKETCH), smallest(evidence.filter(pl.col("what") == SAMPLED))])


def smallest(sampled: pl.DataFrame) -> pl.DataFrame:
    """Of sampled vectors those that are first in order, as many of each column as fit."""
    merged = (
        sampled.group_by("column", "dim", "key", "label")
        .agg(pl.col("n").sum(), pl.col("norm").min(), pl.col("what", "units").first())
        .sort("column", _order(), "dim", "label")
    )
    numbers = pl.col("dim").cast(pl.Int64).cum_sum().over("column") - pl.col("dim").cast(pl.Int64)
    place = pl.int_range(pl.len()).over("column")
    return conform(merged.filter((place < SAMPLE) & (numbers < NUMBERS)), SKETCH)


def related(partition: pl.DataFrame) -> pl.DataFrame:
    """Keys that enough vectors share, with how many; the rest summed."""
    partition = partition.select(SKETCH.names())
    cells = (
        partition.filter(pl.col("what") == CELL)
        .group_by("key", "what", "column", "dim")
        .agg(n=pl.len())
        .filter(pl.col("n") >= FEW)
        .sort("n", "key", descending=[True, False])
        .head(CELLS)
    )
    return pl.concat([conform(cells, SKETCH), fewer(partition.filter(pl.col("what") != CELL))])

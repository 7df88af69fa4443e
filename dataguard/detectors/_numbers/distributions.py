"""The distribution of each column as a histogram of bounded size, the same however the data is cut."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.columns import Role, is_number
from dataguard.records.batch import Batch

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

BINS = 2048
"""Bins at most: a column of fewer different values is known exactly, others to three parts in a hundred of a value, or of
the range where that is far from zero."""

HISTOGRAMS = pl.Schema(
    {
        "column": pl.String(),
        "shift": pl.Int64(),
        "bins": pl.List(pl.UInt64),
        "counts": pl.List(pl.Int64),
    }
)
"""A row per column: how many bits its bins lack, the bins and how many values are in each."""


class Distribution(NamedTuple):
    """The finite values of a column.

    Attributes:
        column: its name.
        values: f64[bins], ascending: the value, or the middle of the bin where there are too many.
        counts: i64[bins].
        exact: whether these are the values themselves.
    """

    column: str
    values: F64
    counts: I64
    exact: bool = True

    @property
    def n(self) -> int:
        """How many values there are."""
        return int(self.counts.sum())


def numeric_features(batch: Batch) -> tuple[str, ...]:
    """The numeric columns that are features."""
    return tuple(
        name for name in batch.roles.of(Role.FEATURES) if is_number(batch.data.schema.field(name).type)
    )


def histograms(batch: Batch) -> pl.DataFrame:
    """The histograms of a batch's numeric feature columns."""
    from dataguard.kernels.histogram import histogram

    rows = []
    for name in numeric_features(batch):
        bins, counts, shift = histogram(batch.numbers((name,))[:, 0], BINS)
        rows.append((name, shift, bins, counts))
    return _table(rows)


def fewer_histograms(evidence: pl.DataFrame) -> pl.DataFrame:
    """The same with one histogram for each column."""
    from dataguard.kernels.histogram import merged

    rows = []
    for (name,), parts in evidence.sort("column").group_by("column", maintain_order=True):
        lengths = parts["bins"].list.len().to_numpy()
        shifts = np.repeat(parts["shift"].to_numpy(), lengths)
        bins, counts = (parts[side].explode(empty_as_null=False).to_numpy() for side in ("bins", "counts"))
        new, n, shift = merged(
            np.ascontiguousarray(bins, np.uint64), np.ascontiguousarray(counts, np.int64), shifts, BINS
        )
        rows.append((str(name), shift, new, n))
    return _table(rows)


def distributions(evidence: pl.DataFrame) -> Iterator[Distribution]:
    """The distribution of each column, by name."""
    from dataguard.kernels.histogram import values_of

    for name, shift, bins, counts in fewer_histograms(evidence).iter_rows():
        yield Distribution(
            name, values_of(np.array(bins, np.uint64), shift), np.array(counts, dtype=np.int64), shift == 0
        )


def _table(rows: list[tuple[str, int, npt.NDArray[np.uint64], I64]]) -> pl.DataFrame:
    names, shifts, bins, counts = zip(*rows, strict=True) if rows else ((), (), (), ())
    return pl.DataFrame(
        {
            "column": pl.Series(names, dtype=pl.String),
            "shift": pl.Series(shifts, dtype=pl.Int64),
            "bins": pl.Series(bins, dtype=pl.List(pl.UInt64)),
            "counts": pl.Series(counts, dtype=pl.List(pl.Int64)),
        },
        schema=HISTOGRAMS,
    )

"""What a batch says of its records' sources, as ranges of rows: small where a file is of one source."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import polars as pl

from dataguard.columns import Role
from dataguard.records.batch import Batch

RANGES = pl.Schema({"column": pl.String, "value": pl.String, "first_row": pl.UInt64, "rows": pl.UInt64})
"""`rows` rows from `first_row` on whose `column` says `value`. In a file without a column of the role source,
the column is '' and the value null."""

VALUE_BYTES = 200
"""A longer value stands as its beginning and its digest."""


def observe(batch: Batch) -> pl.DataFrame:
    """Ranges of rows with equal values, for each column of the role source; columns of RANGES."""
    if not len(batch):
        return pl.DataFrame(schema=RANGES)
    names = batch.roles.of(Role.SOURCE)
    if not names:
        whole = {"column": [""], "value": [None], "first_row": [batch.first_row], "rows": [len(batch)]}
        return pl.DataFrame(whole, schema=RANGES)
    return pl.concat([_runs(name, batch.column(name), batch.first_row) for name in names])


def compact(ranges: pl.DataFrame) -> pl.DataFrame:
    """The same in fewer rows: ranges that touch and say the same become one, however a file was cut.

    Args:
        ranges: columns of RANGES, and possibly `file`, in any order.
    """
    by = [name for name in ("file", "column") if name in ranges.columns]
    return merge(ranges.sort(*by, "first_row"), (*by, "value"))


def merge(ranges: pl.DataFrame, same: Iterable[str]) -> pl.DataFrame:
    """Makes one of neighbours that touch and whose columns `same` are equal, in a table sorted by row."""
    end = pl.col("first_row") + pl.col("rows")
    touches = end.shift() == pl.col("first_row")
    goes_on = pl.all_horizontal(touches, *(pl.col(name).eq_missing(pl.col(name).shift()) for name in same))
    begins = ranges.select(~goes_on.fill_null(value=False)).to_series()
    ends = ranges.filter(begins.shift(-1, fill_value=True)).select(end).to_series()
    return ranges.filter(begins).with_columns(rows=ends - pl.col("first_row"))


def bounded(value: str) -> str:
    """A value of a source column as it stands in evidence and tables: whole, or beginning and digest."""
    raw = value.encode()
    if len(raw) <= VALUE_BYTES:
        return value
    tail = f"...sha256:{hashlib.sha256(raw).hexdigest()}"
    return raw[: VALUE_BYTES - len(tail)].decode("utf-8", "ignore") + tail


def _runs(name: str, values: pl.Series, first_row: int) -> pl.DataFrame:
    """Runs of equal values in one column; lists, structs and binaries name no source and count as null."""
    if values.dtype.is_nested() or values.dtype == pl.Binary:
        values = pl.Series([None], dtype=pl.String).new_from_index(0, len(values))
    runs = pl.DataFrame({"run": values.cast(pl.String).rle()}).unnest("run")
    rows = pl.col("len").cast(pl.UInt64)
    return runs.select(
        column=pl.lit(name),
        value=_bounded(runs["value"]),
        first_row=rows.cum_sum() - rows + pl.lit(first_row, dtype=pl.UInt64),
        rows=rows,
    )


def _bounded(values: pl.Series) -> pl.Series:
    """The values, long ones shortened; only these are touched one by one."""
    long = values.filter((values.str.len_bytes() > VALUE_BYTES).fill_null(value=False)).unique(
        maintain_order=True
    )
    if long.is_empty():
        return values
    return values.replace(long, pl.Series([bounded(value) for value in long]))

"""Values of columns that say something about a record (label, split, source, time) in few bytes and in one form."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa

from dataguard.columns import Role, is_string
from dataguard.digests import record_digests
from dataguard.records.batch import Batch

LONG = 80
"""Bytes up to which a value is kept as it is; of a longer one its beginning and a digest."""
HEAD = 32
"""Characters of a long value that are kept."""
BETWEEN = " | "
"""Between the values of several columns that have one role."""


def value(batch: Batch, *roles: Role) -> pl.Series:
    """What each record says in the columns of these roles, null where it says nothing in any; see `plain`."""
    said = [plain(batch, name) for name in batch.roles.of(*roles)]
    if not said:
        return pl.repeat(None, len(batch), dtype=pl.String, eager=True)
    if len(said) == 1:
        return said[0]
    table = pl.DataFrame([one.alias(str(number)) for number, one in enumerate(said)])
    together = pl.concat_str(pl.all().fill_null(""), separator=BETWEEN)
    return table.select(pl.when(pl.any_horizontal(pl.all().is_not_null())).then(together).alias("value"))[
        "value"
    ]


def plain(batch: Batch, name: str) -> pl.Series:
    """The values of one column as short strings.

    Strings come in lower case without spaces around them, so that one value is not many. Numbers are written out;
    lists and the like, and what is long, are told apart by a digest.
    """
    column = batch.data[name]
    if is_string(column.type):
        text = batch.column(name).str.strip_chars().str.to_lowercase()
        text = text.set(text == "", None)
        long = text.str.len_bytes() > LONG
        if not long.any():
            return text
        return text.zip_with(~long.fill_null(value=False), text.str.slice(0, HEAD) + _digest(name, column))
    if (
        pa.types.is_nested(column.type)
        or pa.types.is_binary(column.type)
        or pa.types.is_large_binary(column.type)
    ):
        missing = pl.Series(column.is_null())
        return _digest(name, column).set(missing, None)
    return batch.column(name).cast(pl.String)


def _digest(name: str, column: pa.Array) -> pl.Series:
    """The first eight bytes of the digest of each value, behind a mark."""
    digests = record_digests(pa.RecordBatch.from_arrays([column], names=[name]))[:, :8]
    plain = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(8), len(digests), [None, pa.py_buffer(np.ascontiguousarray(digests))]
    )
    return "#" + pl.Series(pl.from_arrow(plain.cast(pa.large_binary()))).bin.encode("hex")


_DIGITS = ((10**11, 1), (10**14, 10**3), (10**17, 10**6))
"""Numbers below the first are taken as seconds since 1970 divided by the second; larger ones as nanoseconds."""


def hour(batch: Batch) -> pl.Series:
    """The hour (i64, since 1970) of each record: of the first of its columns of role time that says one.

    Zones of times that are written as text are not looked at. Numbers are seconds, milli-, micro- or nanoseconds
    since 1970, by their size.
    """
    found = pl.repeat(None, len(batch), dtype=pl.Int64, eager=True)
    for name in batch.roles.of(Role.TIME):
        kind = batch.data[name].type
        column = batch.column(name)
        if is_string(kind):
            seconds = _written(column)
        elif pa.types.is_date(kind) or pa.types.is_timestamp(kind):
            seconds = column.cast(pl.Datetime("us")).dt.epoch("s") if column.len() else column.cast(pl.Int64)
        elif pa.types.is_integer(kind):
            seconds = _counted(column.cast(pl.Int64, strict=False))
        else:
            continue
        found = found.zip_with(found.is_not_null(), seconds.cast(pl.Int64) // 3600)
    return found


def _written(column: pl.Series) -> pl.Series:
    """Seconds since 1970 of times in ISO's form or near it, and of digits."""
    text = pl.col("text")
    table = pl.DataFrame({"text": column}).select(
        text=text.str.strip_chars()
        .str.head(19)
        .str.replace_all("/", "-", literal=True)
        .str.replace("T", " ", literal=True),
        digits=text.str.strip_chars().str.to_integer(strict=False, dtype=pl.Int64),
    )
    return table.select(
        seconds=pl.coalesce(
            text.str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", strict=False).dt.epoch("s"),
            text.str.head(16).str.to_datetime("%Y-%m-%d %H:%M", time_unit="us", strict=False).dt.epoch("s"),
            text.str.head(10).str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")).dt.epoch("s"),
            pl.lit(_counted(table["digits"])),
        )
    )["seconds"]


def _counted(numbers: pl.Series) -> pl.Series:
    """Seconds since 1970, of a count since then in the unit that its size suggests."""
    number = pl.col("number")
    unit = pl.lit(10**9)
    for below, by in reversed(_DIGITS):
        unit = pl.when(number.abs() < below).then(by).otherwise(unit)
    return numbers.alias("number").to_frame().select(number // unit)["number"]

"""What a Parquet row group claims of its columns, held against what was decoded.

A reader that filters trusts these claims: forged extremes or null counts hide every row from it while others see
them all, and a count of values that does not fit the rows leaves it to the reader which rows there are.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dataguard.columns import is_string
from dataguard.errors import ReadError
from dataguard.records.normal import is_any_list, normal

_UNITS = {"milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns"}


@dataclass
class _Column:
    """A leaf's claims, and what was seen of it so far; extremes as `_claimed` says them, times in the file's unit."""

    path: str
    values: int
    nulls: int | None = None
    extremes: tuple[Any, Any] | None = None
    unit: str = ""
    seen: int = 0
    seen_nulls: int = 0
    seen_extremes: list[Any] = field(default_factory=list)


class Claims:
    """The claims of one row group.

    Args:
        file: the open file.
        index: which row group.
    """

    def __init__(self, file: pq.ParquetFile, index: int) -> None:
        self._index = index
        group = file.metadata.row_group(index)
        self._columns = []
        for number in range(group.num_columns):
            chunk = group.column(number)
            column = _Column(chunk.path_in_schema, chunk.num_values)
            described = file.schema.column(number)
            # Within lists and structs nobody filters by statistics.
            if (
                chunk.is_stats_set
                and described.path == described.name
                and described.max_repetition_level == 0
            ):
                statistics = chunk.statistics
                column.nulls = statistics.null_count if statistics.has_null_count else None
                if statistics.has_min_max:
                    column.extremes, column.unit = _claimed(statistics, described.logical_type)
            self._columns.append(column)

    def see(self, batch: pa.RecordBatch) -> None:
        """Takes a validated batch of the row group into account."""
        leaves = [leaf for array in batch.columns for leaf in _leaves(array)]
        if len(leaves) != len(self._columns):  # structs without fields, and the like
            return
        for column, (array, entries) in zip(self._columns, leaves, strict=True):
            column.seen += entries
            column.seen_nulls += array.null_count
            if column.extremes is not None:
                column.seen_extremes += _extremes(array, column.unit)

    def check(self) -> None:
        """Compares, once the row group was read to its end.

        Raises:
            ReadError: a claim does not hold (DG506).
        """
        for column in self._columns:
            where = f"row group {self._index}, column {column.path!r}"
            if column.seen != column.values:
                raise ReadError(
                    f"{where}: claims {column.values} values, its rows have {column.seen}", "DG506"
                )
            if column.nulls is not None and column.nulls > column.seen_nulls:
                raise ReadError(f"{where}: claims {column.nulls} nulls and has {column.seen_nulls}", "DG506")
            if column.extremes is not None and column.seen_extremes:
                low, high = column.extremes
                if min(column.seen_extremes) < low or max(column.seen_extremes) > high:
                    raise ReadError(
                        f"{where}: its statistics leave out values that it has, so that a reader which filters by "
                        "them misses records",
                        "DG506",
                    )


def _leaves(array: pa.Array) -> Iterator[tuple[pa.Array, int]]:
    """Each leaf, and how many values Parquet counts there: a list that is null or empty counts as one."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        yield from _leaves(array.storage)
    elif pa.types.is_map(kind):
        yield from _leaves(normal(array))
    elif pa.types.is_struct(kind):
        for number in range(kind.num_fields):
            yield from _leaves(array.field(number))
    elif is_any_list(kind) or pa.types.is_fixed_size_list(kind):
        empty = pc.sum(pc.equal(pc.fill_null(pc.list_value_length(array), 0), 0)).as_py() or 0
        for leaf, entries in _leaves(array.flatten()):
            yield leaf, entries + empty
    else:
        yield array, len(array)


def _claimed(statistics: pq.Statistics, logical: pq.ParquetLogicalType) -> tuple[tuple[Any, Any], str]:
    """The extremes in terms that compare as the values do, and the unit of times."""
    if logical.type in ("TIMESTAMP", "TIME"):
        unit = json.loads(logical.to_json())["timeUnit"]
        return (statistics.min_raw, statistics.max_raw), _UNITS[unit]
    if logical.type in ("INT", "DECIMAL"):  # whose bytes do not compare as the numbers do
        return (statistics.min, statistics.max), ""
    if logical.type == "FLOAT16":
        return (*struct.unpack("<e", statistics.min_raw), *struct.unpack("<e", statistics.max_raw)), ""
    return (statistics.min_raw, statistics.max_raw), ""


def _extremes(array: pa.Array, unit: str) -> list[Any]:
    """The least and the greatest value as `_claimed` would say them; none where that is not known."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _extremes(array.storage, unit)
    if pa.types.is_dictionary(kind):
        return _extremes(array.dictionary.take(pc.unique(array.indices.drop_null())), unit)
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        return _extremes(normal(array), unit)
    if pa.types.is_timestamp(kind):
        array = array.cast(pa.timestamp(unit, kind.tz), safe=False).cast(pa.int64())
    elif pa.types.is_time(kind):
        array = array.cast(pa.time32(unit) if unit == "ms" else pa.time64(unit), safe=False)
        array = array.cast(pa.int32() if unit == "ms" else pa.int64())
    elif pa.types.is_date32(kind):
        array = array.cast(pa.int32())
    elif pa.types.is_floating(kind):
        if pa.types.is_float16(kind):
            array = array.cast(pa.float32())
        array = array.filter(pc.is_finite(array))  # writers differ on NaN and on the sign of zero
    elif not _compares(kind):
        return []
    found = pc.min_max(array).as_py()
    values = [found["min"], found["max"]]
    if values[0] is None:
        return []
    return [value.encode() for value in values] if is_string(kind) else values


def _compares(kind: pa.DataType) -> bool:
    plain = pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind)
    text = is_string(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    return bool(plain or text or pa.types.is_fixed_size_binary(kind))

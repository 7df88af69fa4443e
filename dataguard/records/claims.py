"""What a Parquet row group claims of its columns, held against what was decoded.

A reader that filters trusts these claims: forged extremes or null counts hide every row from it while others see
them all, and a count of values that does not fit the rows leaves it to the reader which rows there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dataguard.columns import is_list, is_string
from dataguard.errors import ReadError


@dataclass
class _Column:
    """A leaf's claims, and what was seen of it so far; extremes in the physical type's terms."""

    path: str
    values: int
    nulls: int | None = None
    extremes: tuple[Any, Any] | None = None
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
                    column.extremes = (statistics.min_raw, statistics.max_raw)
            self._columns.append(column)

    def see(self, batch: pa.RecordBatch) -> None:
        """Takes a validated batch of the row group into account."""
        leaves = [leaf for array in batch.columns for leaf in _leaves(array)]
        if len(leaves) != len(self._columns):  # a type such as a map, which is refused elsewhere
            return
        for column, (array, entries) in zip(self._columns, leaves, strict=True):
            column.seen += entries
            column.seen_nulls += array.null_count
            if column.extremes is not None:
                column.seen_extremes += _extremes(array)

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
    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    if pa.types.is_struct(array.type):
        for number in range(array.type.num_fields):
            yield from _leaves(array.field(number))
    elif is_list(array.type):
        empty = pc.sum(pc.equal(pc.fill_null(pc.list_value_length(array), 0), 0)).as_py() or 0
        for leaf, entries in _leaves(array.flatten()):
            yield leaf, entries + empty
    else:
        yield array, len(array)


def _extremes(array: pa.Array) -> list[Any]:
    """The least and the greatest value as the statistics would say them; none where that is not known."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _extremes(array.dictionary.take(pc.unique(array.indices.drop_null())))
    if pa.types.is_string_view(kind):
        return _extremes(array.cast(pa.large_string()))
    if pa.types.is_date32(kind):
        return _extremes(array.cast(pa.int32()))
    if pa.types.is_floating(kind) and not pa.types.is_float16(kind):
        array = array.filter(pc.is_finite(array))  # writers differ on NaN and on the sign of zero
    elif not (pa.types.is_signed_integer(kind) or is_string(kind) or pa.types.is_boolean(kind)):
        return []
    found = pc.min_max(array).as_py()
    values = [found["min"], found["max"]]
    if values[0] is None:
        return []
    return [value.encode() for value in values] if is_string(kind) else values

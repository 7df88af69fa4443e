"""The one reader of record for Parquet: pyarrow, row group by row group.

No memory map (a truncation would kill the process), no predicate pushdown (forged statistics would hide
rows), page checksums verified where they were written, schemas and counts never taken on trust.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from dataguard.config import Limits
from dataguard.errors import ReadError
from dataguard.records.batch import validated
from dataguard.records.claims import Claims
from dataguard.records.files import PARQUET_ENCRYPTED, PARQUET_MAGIC
from dataguard.records.inspect import Group, Incident, Inspection
from dataguard.records.normal import normal_schema

_TAIL = struct.Struct("<I4s")
_DICTIONARY_BYTES = 2 << 20
"""A writer gives up its dictionary at about 1 MiB; a chunk not much larger is surely all dictionary."""
_INDEX_BYTES = 4


def _open(
    descriptor: int,
    limits: Limits,
    *,
    metadata: pq.FileMetaData | None = None,
    dictionaries: list[str] | None = None,
) -> pq.ParquetFile:
    # The path of the descriptor opens the very same inode again, and lets pyarrow read without the GIL.
    return pq.ParquetFile(
        pa.OSFile(f"/dev/fd/{descriptor}"),
        metadata=metadata,
        read_dictionary=dictionaries,
        pre_buffer=False,
        page_checksum_verification=True,
        thrift_string_size_limit=limits.footer_bytes,
        thrift_container_size_limit=limits.footer_bytes // 8,
        schema_depth_limit=limits.depth,
        arrow_extensions_enabled=False,
    )


def _check_tail(descriptor: int, size: int, limits: Limits) -> None:
    head = os.pread(descriptor, 4, 0)
    if size < 12:
        raise ReadError(f"expected a Parquet file, got {size} bytes")
    footer, magic = _TAIL.unpack(os.pread(descriptor, _TAIL.size, size - _TAIL.size))
    if PARQUET_ENCRYPTED in (head, magic):
        raise ReadError("encrypted Parquet: its records cannot be looked at without the key")
    if head != PARQUET_MAGIC:
        raise ReadError("expected the Parquet magic PAR1 at the start of the file")
    if magic != PARQUET_MAGIC:
        raise ReadError("expected the Parquet magic PAR1 at the end of the file: truncated or extended")
    if footer + 12 > size:
        raise ReadError(f"the footer claims {footer} bytes in a file of {size}")
    if footer > limits.footer_bytes:
        raise ReadError(f"the footer has {footer} bytes; the limit is {limits.footer_bytes}", rule="DG504")


def inspect(descriptor: int, size: int, limits: Limits) -> Inspection:
    """Reads the footer.

    Raises:
        ReadError: with the file rule it falls under.
    """
    _check_tail(descriptor, size, limits)
    try:
        file = _open(descriptor, limits)
        schema = normal_schema(file.schema_arrow)
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        rule = "DG504" if "depth" in str(error).lower() else "DG503"
        raise ReadError(f"the footer cannot be read: {_first_line(error)}", rule) from error
    metadata = file.metadata
    if metadata.num_columns > limits.columns:
        raise ReadError(f"{metadata.num_columns} columns; the limit is {limits.columns}", rule="DG504")
    groups = tuple(_group(metadata.row_group(index), size) for index in range(metadata.num_row_groups))
    try:
        lie = _lie(file)
    except UnicodeDecodeError as error:
        raise ReadError("the footer names a column in other than UTF-8") from error
    return Inspection("parquet", schema, groups, max(metadata.num_rows, 0), lie)


def _group(row_group: pq.RowGroupMetaData, size: int) -> Group:
    columns = [row_group.column(index) for index in range(row_group.num_columns)]
    return Group(
        rows=row_group.num_rows,
        size=min(sum(max(column.total_compressed_size, 0) for column in columns), size),
        start=0,
        hint=max(row_group.total_byte_size, 0),
    )


def _lie(file: pq.ParquetFile) -> Incident | None:
    """What the footer says against itself: which rows there are then depends on whom a reader believes."""
    metadata = file.metadata
    flat = [file.schema.column(index).max_repetition_level == 0 for index in range(metadata.num_columns)]
    total = 0
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        total += group.num_rows
        if group.num_rows < 0:
            return Incident("DG506", f"row group {index} claims {group.num_rows} rows")
        for number in range(group.num_columns):
            chunk = group.column(number)
            where, values = f"row group {index}, column {chunk.path_in_schema!r}", chunk.num_values
            # A list may hold more values than there are rows, and an empty one still counts as a value.
            if values != group.num_rows if flat[number] else values < group.num_rows:
                return Incident("DG506", f"{where}: claims {values} values for {group.num_rows} rows")
            if chunk.file_path:
                return Incident(
                    "DG507", f"{where}: said to lie in another file, where only some readers look"
                )
    if total != metadata.num_rows:
        return Incident("DG506", f"the footer claims {metadata.num_rows} rows, its row groups {total}")
    return None


def _dictionaries(file: pq.ParquetFile, groups: range) -> list[str]:
    """Columns of strings to be read as dictionaries: a few values, which written out for every row may be a bomb."""
    found = []
    chosen = [file.metadata.row_group(index) for index in groups]
    for number in range(file.metadata.num_columns):
        described = file.schema.column(number)
        # Within lists and structs pyarrow is left to its own choice.
        if described.physical_type == "BYTE_ARRAY" and described.path == described.name:
            chunks = [group.column(number) for group in chosen]
            if all(
                chunk.has_dictionary_page
                and chunk.total_uncompressed_size <= _DICTIONARY_BYTES + _INDEX_BYTES * chunk.num_values
                for chunk in chunks
            ):
                found.append(described.path)
    return found


def batches(
    descriptor: int, groups: range, hints: tuple[Group, ...], limits: Limits, max_rows: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Decodes row groups.

    Args:
        descriptor: the open file.
        groups: which row groups.
        hints: all row groups of the file as inspected.
        limits: bounds on a batch.
        max_rows: the most rows a batch may have.

    Yields:
        The row group's number and a batch of it.

    Raises:
        ReadError: with the file rule it falls under.
        MemoryError: the batch is too large for the worker; fewer rows may do.
    """
    index = groups.start
    try:
        file = _open(descriptor, limits)
        dictionaries = _dictionaries(file, groups)
        if dictionaries:
            file = _open(descriptor, limits, metadata=file.metadata, dictionaries=dictionaries)
        for index in groups:
            per_row = max(1, hints[index].hint // max(1, hints[index].rows))
            rows = max(1, min(max_rows, limits.batch_bytes // per_row))
            claims = Claims(file, index)
            for batch in file.iter_batches(rows, row_groups=[index], use_threads=False):
                claims.see(validated(batch))
                yield index, batch
            claims.check()
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        # A page that is not what its checksum says: damaged or forged, and most readers do not look.
        rule = "DG506" if "CRC" in str(error) else "DG503"
        raise ReadError(f"row group {index} cannot be decoded: {_first_line(error)}", rule) from error


def field_paths(descriptor: int, limits: Limits) -> list[tuple[tuple[str, ...], int | None]]:
    """The path of each column and of what is inside it, with the number that its writer gave it.

    Args:
        descriptor: the open file.
        limits: bounds on its footer.

    Returns:
        In no order; a part within a list is ``[]``, within a map ``{key}`` and ``{value}``; None where there is no number.

    Raises:
        ReadError: the footer cannot be read.
    """
    try:
        schema = _open(descriptor, limits).schema_arrow
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise ReadError(f"the footer cannot be read: {_first_line(error)}") from error
    found: list[tuple[tuple[str, ...], int | None]] = []
    waiting: list[tuple[tuple[str, ...], pa.Field]] = [((field.name,), field) for field in schema]
    while waiting:
        path, field = waiting.pop()
        number = (field.metadata or {}).get(b"PARQUET:field_id", b"")
        found.append((path, int(number) if number.isdigit() else None))
        kind = field.type
        if pa.types.is_map(kind):
            waiting += [((*path, "{key}"), kind.key_field), ((*path, "{value}"), kind.item_field)]
        elif pa.types.is_struct(kind):
            inner = [kind.field(index) for index in range(kind.num_fields)]
            waiting += [((*path, one.name), one) for one in inner]
        elif pa.types.is_nested(kind):
            waiting.append(((*path, "[]"), kind.value_field))
    return found


def _first_line(error: BaseException) -> str:
    """The library's own words, shortened: they may quote the data, so sinks make them safe."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]

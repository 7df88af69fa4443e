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
from dataguard.records.files import PARQUET_ENCRYPTED, PARQUET_MAGIC
from dataguard.records.inspect import Group, Incident, Inspection, normal_schema

_TAIL = struct.Struct("<I4s")


def _open(descriptor: int, limits: Limits) -> pq.ParquetFile:
    # The path of the descriptor opens the very same inode again, and lets pyarrow read without the GIL.
    return pq.ParquetFile(
        pa.OSFile(f"/dev/fd/{descriptor}"),
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
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        rule = "DG504" if "depth" in str(error).lower() else "DG503"
        raise ReadError(f"the footer cannot be read: {_first_line(error)}", rule) from error
    metadata = file.metadata
    if metadata.num_columns > limits.columns:
        raise ReadError(f"{metadata.num_columns} columns; the limit is {limits.columns}", rule="DG504")
    groups = tuple(_group(metadata.row_group(index)) for index in range(metadata.num_row_groups))
    total = sum(group.rows for group in groups)
    refused = None
    if any(group.rows < 0 for group in groups) or total != metadata.num_rows:
        refused = Incident("DG506", f"the footer claims {metadata.num_rows} rows, its row groups {total}")
    return Inspection("parquet", schema, groups, max(metadata.num_rows, 0), refused)


def _group(row_group: pq.RowGroupMetaData) -> Group:
    columns = [row_group.column(index) for index in range(row_group.num_columns)]
    return Group(
        rows=row_group.num_rows,
        size=sum(max(column.total_compressed_size, 0) for column in columns),
        start=0,
        hint=max(row_group.total_byte_size, 0),
    )


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
        The row group's number and a batch of it, not yet validated.

    Raises:
        ReadError: with the file rule it falls under.
    """
    try:
        file = _open(descriptor, limits)
        for index in groups:
            per_row = max(1, hints[index].hint // max(1, hints[index].rows))
            rows = max(1, min(max_rows, limits.batch_bytes // per_row))
            for batch in file.iter_batches(rows, row_groups=[index], use_threads=False):
                yield index, batch
    except pa.ArrowMemoryError as error:
        raise ReadError("decoding needs more memory than a worker may use", rule="DG504") from error
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise ReadError(f"row group {index} cannot be decoded: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    """The library's own words, shortened: they may quote the data, so sinks make them safe."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]

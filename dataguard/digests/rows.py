"""Leaf digests of records: SHA-256(0x00 || encoding), the same for every layout and cut of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa

from dataguard.digests.canon import describe, sorted_fields
from dataguard.digests.encoding import Fixed, fields, join
from dataguard.digests.hashing import Digests, sha256_each
from dataguard.records.sizes import sizes

# Encoded bytes made at once: they stay in the processor's cache until they are hashed, and a dictionary or a view
# that repeats one long cell in every row never stands in memory written out.
CHUNK_BYTES = 1 << 20
# What a field costs by chunk and not by row is worth it from some hundred rows on, so wide tables get larger chunks.
CHUNK_BYTES_BY_FIELD = 1 << 12

_LEAF = b"\x00"


def record_digests(batch: pa.RecordBatch, *, leave_out: frozenset[str] = frozenset()) -> Digests:
    """Leaf digest of every row.

    Args:
        batch: passed ``validate(full=True)``, so that strings are UTF-8 and offsets lie inside their buffers.
        leave_out: names of columns that do not count; names the batch lacks are no error.

    Returns:
        uint8 of shape (batch.num_rows, 32).

    Raises:
        UnsupportedTypeError: a column's type has no specified encoding (DG503).
        ReadError: a name stands twice or holds NUL (DG507), is not UTF-8 or too long (DG503), or a type is nested
            too deep (DG504).
    """
    columns = []
    for name, at, field in sorted_fields(list(batch.schema)):
        if field.name not in leave_out:
            describe(field.type, repr(field.name))  # refuses what has no encoding
            columns.append((name, batch.column(at)))
    digests = np.empty((batch.num_rows, 32), np.uint8)
    for start, end in _chunks([column for _, column in columns], batch.num_rows):
        parts = [
            Fixed((_LEAF,)),
            *fields((name, column.slice(start, end - start)) for name, column in columns),
        ]
        messages = join(parts, end - start)
        _, offsets, data = messages.buffers()
        ends = np.frombuffer(offsets, np.int64, end - start + 1)
        digests[start:end] = sha256_each(memoryview(data), ends.tolist())
    return digests


def content_digests(batch: pa.RecordBatch, leave_out: frozenset[str]) -> Digests:
    """Leaf digest of every row without some columns, by which exact duplicates are found.

    Equal to `record_digests`, which a caller then need not ask twice, where the batch has none of the columns.

    Args:
        batch: as for `record_digests`.
        leave_out: names of columns that do not count, such as ids.

    Returns:
        uint8 of shape (batch.num_rows, 32).

    Raises:
        ReadError: as `record_digests`.
    """
    return record_digests(batch, leave_out=leave_out)


def _chunks(columns: list[pa.Array], rows: int) -> Iterator[tuple[int, int]]:
    """Cut rows where a chunk of encoding is full; only a row that is longer alone makes more than two of it."""
    if not rows:
        return iter(())
    ends = np.cumsum(np.zeros(rows, np.int64) + sum(sizes(column) for column in columns))
    full = max(CHUNK_BYTES, CHUNK_BYTES_BY_FIELD * sum(_count(column.type) for column in columns))
    cuts = np.flatnonzero(np.diff(ends // full)) + 1
    bounds = [0, *cuts.tolist(), rows]
    return pairwise(bounds)


def _count(data_type: pa.DataType) -> int:
    """How many fields a column has, itself and those inside it."""
    return 1 + sum(_count(data_type.field(at).type) for at in range(data_type.num_fields))

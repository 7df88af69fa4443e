"""Reads a file as a scan does, but in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from dataguard.columns import Roles
from dataguard.config import Limits
from dataguard.records import Inspection, Slice, Stamp, inspect_file, opened, read


def inspect(path: Path, limits: Limits | None = None) -> tuple[Inspection, Stamp]:
    """What a file says of itself."""
    with opened(path.parent, path.name) as (_, stamp):
        pass
    return inspect_file(path.parent, path.name, stamp, limits or Limits()), stamp


def batches(
    path: Path, limits: Limits | None = None, *, rows: int = 65_536, groups: tuple[int, int] | None = None
) -> list[tuple[int, int, pa.RecordBatch]]:
    """Row group, first row and data of each batch's part of a row group; raises `ReadError` as `read` does."""
    limits = limits or Limits()
    found, stamp = inspect(path, limits)
    assert found.refused is None, found.refused
    first, last = groups or (0, len(found.groups))
    part = Slice(path.parent, path.name, stamp, found, first, last)
    found = []
    for batch in read(part, Roles(), limits, rows):
        begin = 0
        for group, count in batch.groups:
            found.append((group, batch.first_row + begin, batch.data.slice(begin, count)))
            begin += count
        assert begin == len(batch)
    return found


def records(path: Path, limits: Limits | None = None, *, rows: int = 65_536) -> list[dict[str, Any]]:
    """All records as Python values, and that their numbers follow one another."""
    found: list[dict[str, Any]] = []
    for _, first, data in batches(path, limits, rows=rows):
        assert first == len(found)
        assert 0 < data.num_rows <= rows
        assert data.validate(full=True) is None
        found += data.to_pylist() if data.num_columns else [{}] * data.num_rows
    return found

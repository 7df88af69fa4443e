"""Records read again by their address, for a person to look at; the run itself holds no texts.

A record is shown only if its digest is still the one that was screened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dataguard.columns import Roles
from dataguard.config import Limits
from dataguard.digests import record_digests
from dataguard.engine import Failed, LocalEngine
from dataguard.errors import ReadError
from dataguard.records import Slice, inspect_file, opened, read

MAX_TEXT = 200_000
"""Bytes of a text that are shown at the most."""


@dataclass(frozen=True)
class ExcerptItem:
    """Records of one file: row number and the record digest (hex) that each must still have."""

    root: Path
    name: str
    wanted: tuple[tuple[int, str], ...]
    limits: Limits


def read_again(
    root: Path, wanted: Sequence[tuple[str, int, str]], *, limits: Limits | None = None
) -> dict[tuple[str, int], Mapping[str, str]]:
    """Texts of records, by file and row, then by column.

    Args:
        root: where the data lies now.
        wanted: file, row and record digest (hex) of each.
        limits: bounds on reading.

    Returns:
        Only records that could be read and are still what was screened; string columns only.
    """
    limits = limits or Limits()
    by_file: dict[str, list[tuple[int, str]]] = {}
    for name, row, record in wanted:
        by_file.setdefault(name, []).append((row, record))
    items = [ExcerptItem(root, name, tuple(sorted(rows)), limits) for name, rows in sorted(by_file.items())]
    found: dict[tuple[str, int], Mapping[str, str]] = {}
    with LocalEngine(workers=1, memory=limits.memory_bytes, seconds=limits.item_seconds) as engine:
        for result in engine.map(excerpt_item, items):
            if not isinstance(result.value, Failed):
                found |= {(result.item.name, row): texts for row, texts in result.value.items()}
    return found


def excerpt_item(item: ExcerptItem) -> dict[int, dict[str, str]]:
    """Reads the row groups that hold the wanted records, in the worker."""
    found: dict[int, dict[str, str]] = {}
    try:
        with opened(item.root, item.name) as (_, stamp):
            inspection = inspect_file(item.root, item.name, stamp, item.limits)
            if inspection.refused is not None or inspection.schema is None:
                return {}
            first = 0
            for number, group in enumerate(inspection.groups):
                here = [(row, record) for row, record in item.wanted if first <= row < first + group.rows]
                if here:
                    part = Slice(item.root, item.name, stamp, inspection, number, number + 1)
                    found |= _from_group(part, here, item.limits)
                first += group.rows
    except ReadError:
        return found
    return found


def _from_group(part: Slice, wanted: list[tuple[int, str]], limits: Limits) -> dict[int, dict[str, str]]:
    found = {}
    for batch in read(part, Roles(), limits, 8192):
        rows = [
            (row, record) for row, record in wanted if batch.first_row <= row < batch.first_row + len(batch)
        ]
        for row, record in rows:
            one = batch.data.slice(row - batch.first_row, 1)
            if record_digests(one)[0].tobytes().hex() == record:
                columns = [
                    name for name in one.schema.names if str(one.schema.field(name).type) == "large_string"
                ]
                texts = {name: one[name][0].as_py() for name in columns}
                found[row] = {
                    name: text.encode()[:MAX_TEXT].decode(errors="ignore")
                    for name, text in texts.items()
                    if text is not None
                }
    return found

"""What changed between two states of a data set: by file always, by row where the leaves are at hand."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from dataguard.manifest.form import Manifest, ManifestFile
from dataguard.manifest.leaves import Leaves
from dataguard.manifest.row_changes import row_changes
from dataguard.safe_text import safe_text

LeavesOf: TypeAlias = Callable[[str], Leaves]
"""Gives the prefixes of a file by its name, uint8 of shape (rows, 16)."""

ROW_LIMIT = 10_000
"""Changed rows named a file; a file with more was made anew, and its row groups say as much."""


class Change(NamedTuple):
    """One difference.

    Attributes:
        change: ``changed``, ``added``, ``removed``, ``renamed``, ``schema-changed``, ``row-changed``, ``row-added``
            or ``row-removed``.
        file: escaped name, in the new state where the file stands there.
        row: its number in the new state, in the old one for ``row-removed``; None for a change of the file.
        reason: what is different.
    """

    change: str
    file: str
    row: int | None
    reason: str


def diff(
    old: Manifest, new: Manifest, *, old_leaves: LeavesOf | None = None, new_leaves: LeavesOf | None = None
) -> list[Change]:
    """Everything that differs between two manifests, sorted by file and row.

    Args:
        old: the state before.
        new: the state after.
        old_leaves: prefixes of the files of `old`; rows are named where both are given, else row groups.
        new_leaves: prefixes of the files of `new`.

    Raises:
        RefusedError: where the callables raise it for leaves that are absent or damaged.
    """
    found = []
    matches = match_names(
        {file.name: file.sha256 for file in old.files}, {file.name: file.sha256 for file in new.files}
    )
    for change, name, before in matches:
        match change:
            case "added":
                found.append(Change("added", name, None, f"{new.by_name[name].rows} records"))
            case "removed":
                found.append(Change("removed", name, None, f"{old.by_name[name].rows} records"))
            case "renamed":
                found.append(
                    Change("renamed", name, None, f"holds the bytes that stood in {safe_text(before)}")
                )
            case _:
                leaves = (old_leaves, new_leaves) if old_leaves and new_leaves else None
                found += file_changes(old.by_name[name], new.by_name[name], leaves)
    for name in sorted(old.by_name.keys() & new.by_name.keys()):
        found += _read_otherwise(old.by_name[name], new.by_name[name])
    return sorted(
        found, key=lambda change: (change.file.encode(), change.row is not None, change.row, change.change)
    )


def match_names(old: Mapping[str, str], new: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Pairs the names of two states by what stands under them.

    Args:
        old: SHA-256 by name.
        new: SHA-256 by name.

    Returns:
        (change, name, name before) of every name that does not hold what it held, sorted by name: ``renamed`` where
        the bytes stood under another name that no longer holds them (swapped names are two of these), else
        ``changed``, ``added`` or ``removed``.
    """
    moved_out: dict[str, list[str]] = defaultdict(list)
    for name in sorted(old, reverse=True):
        if new.get(name) != old[name]:
            moved_out[old[name]].append(name)
    found = []
    taken = set()
    for name in sorted(new):
        if old.get(name) == new[name]:
            continue
        if moved_out.get(new[name]):
            before = moved_out[new[name]].pop()
            taken.add(before)
            found.append(("renamed", name, before))
        else:
            found.append(("changed" if name in old else "added", name, name))
    found += [("removed", name, name) for name in sorted(old.keys() - new.keys() - taken)]
    return sorted(found, key=lambda change: change[1].encode())


def file_changes(
    old: ManifestFile, new: ManifestFile, leaves: tuple[LeavesOf, LeavesOf] | None
) -> Iterator[Change]:
    """What differs between two states of one file.

    Args:
        old: the state before.
        new: the state after, of the same name.
        leaves: prefixes of both states, to name rows; without them row groups are named.
    """
    if old.schema_sha256 != new.schema_sha256:
        yield Change("schema-changed", new.name, None, _schema_reason(old, new))
    if (old.rows, old.file_root) == (new.rows, new.file_root):
        why = (
            "the same records in other bytes"
            if new.rows
            else f"{old.size} bytes became {new.size} other ones"
        )
        yield Change("changed", new.name, None, why)
        return
    yield Change(
        "changed", new.name, None, f"{old.rows} records became {new.rows}; {changed_groups(old, new)}"
    )
    if leaves is None:
        return
    rows = row_changes(leaves[0](old.name), leaves[1](new.name))
    for row in rows[:ROW_LIMIT]:
        yield Change(row.change, new.name, row.row, row.reason)
    if len(rows) > ROW_LIMIT:
        yield Change("changed", new.name, None, f"{len(rows)} rows changed; the first {ROW_LIMIT} are named")


def _schema_reason(old: ManifestFile, new: ManifestFile) -> str:
    if not old.schema_sha256:
        return "the file was no table before"
    return "columns or their types changed" if new.schema_sha256 else "the file is no table any more"


def changed_groups(old: ManifestFile, new: ManifestFile) -> str:
    """The row groups of the new state that differ from the old one's, in words."""
    bounds = itertools.accumulate((rows for rows, _ in new.row_groups), initial=0)
    before = set(old.row_groups)
    found = [
        f"row group {number} (rows {first} to {first + rows - 1})"
        for number, (first, (rows, root)) in enumerate(zip(bounds, new.row_groups, strict=False))
        if rows and (rows, root) not in before
    ]
    if not found:
        return "row groups were removed or moved"
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return f"changed: {', '.join(found[:5])}{more}"


def _read_otherwise(old: ManifestFile, new: ManifestFile) -> Iterator[Change]:
    """Equal bytes whose records or schema differ: one of the two was read by another dataguard."""
    if old.sha256 != new.sha256:
        return
    if (old.rows, old.file_root) != (new.rows, new.file_root) or old.schema_sha256 != new.schema_sha256:
        yield Change(
            "changed",
            new.name,
            None,
            "equal bytes, but read as other records: by another version of the reader",
        )

"""Folders that are tables: Delta, Iceberg, Lance and Hugging Face data sets, resolved to the files of one version.

What plain readers of such a folder see, its readers may not: files that an update replaced lie there still. So these folders are
recognised by the names of their files, their metadata is read, and only the files of the newest version, or of the
one that the user names, are read as records; by the readers and with the guarantees of all other files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dataguard.config import Limits
from dataguard.errors import ReadError, UsageError
from dataguard.records.inspect import Incident
from dataguard.records.tables import delta, hugging_face, iceberg
from dataguard.records.tables.base import (
    DELTA,
    HUGGING_FACE,
    ICEBERG,
    LANCE,
    SPLITS,
    TITLES,
    Claim,
    Named,
    Papers,
    Place,
    Snapshot,
    Table,
)
from dataguard.safe_text import safe_text

__all__ = [
    "DELTA",
    "HUGGING_FACE",
    "ICEBERG",
    "LANCE",
    "SPLITS",
    "TITLES",
    "Claim",
    "Named",
    "Place",
    "Resolve",
    "Snapshot",
    "Table",
    "checked",
    "named_path",
    "places",
    "resolve",
]

VERSIONED = (DELTA, ICEBERG, LANCE)
"""Kinds of which the user may name a version."""
_LANCE = ("_versions", ".manifest")
_READERS: Mapping[str, Callable[[Papers], Snapshot]] = {
    DELTA: delta.snapshot,
    ICEBERG: iceberg.snapshot,
    HUGGING_FACE: hugging_face.snapshot,
}


@dataclass(frozen=True)
class Resolve:
    """A place to be resolved, in a worker."""

    root: Path
    place: Place
    limits: Limits


def named_path(source: str) -> tuple[str, Named | None]:
    """The path, and the kind and version where the user named them: ``delta:PATH``, ``iceberg:PATH@v3``.

    Raises:
        UsageError: a version of a kind that has none.
    """
    kind, sign, path = source.partition(":")
    if not sign or kind not in TITLES or not path:
        return source, None
    before, at, version = path.rpartition("@v")
    if not (at and before and version.isascii() and version.isdigit()):
        return path, Named(kind)
    if kind not in VERSIONED:
        raise UsageError(f"expected no version of a {TITLES[kind]}, got @v{version}", "leave it out")
    return before, Named(kind, int(version))


def places(names: Sequence[str], named: Mapping[str, Named]) -> list[Place]:
    """The folders that are tables, by the names of the files.

    Args:
        names: escaped names of all regular files.
        named: what the user said of folders, by escaped name, empty for the root.

    Returns:
        Sorted by folder; a folder may be there once for each kind that it looks like, unless the user said which.

    Raises:
        UsageError: a folder is not what the user said.
    """
    found: dict[tuple[str, str], list[str]] = {}
    plain: dict[str, set[str]] = {}
    for name in names:
        folder, _, last = name.rpartition("/")
        table, _, inner = folder.rpartition("/")
        if inner == delta.LOG:
            found.setdefault((table, DELTA), [])
        elif inner == iceberg.FOLDER and iceberg.number(last) is not None:
            found.setdefault((table, ICEBERG), [])
        elif inner == _LANCE[0] and last.endswith(_LANCE[1]):
            found.setdefault((table, LANCE), [])
        plain.setdefault(folder, set()).add(last)
    for folder, lasts in plain.items():
        if hugging_face.INFO in lasts and (
            hugging_face.STATE in lasts or any(last.endswith(".arrow") for last in lasts)
        ):
            found.setdefault((folder, HUGGING_FACE), [])
    for folder, kind in named.items():
        _check_named(folder, kind.kind, found)
    said = {key: one for key in found if (one := _said(key, named)) is not None}
    decided = {folder for folder, _ in said}
    kept = [key for key in found if key in said or key[0] not in decided]
    metadata = _metadata(names, kept)
    return [
        Place(kind, folder, metadata[folder, kind], (folder, kind) in said, _version(said, (folder, kind)))
        for folder, kind in sorted(kept)
    ]


def _said(key: tuple[str, str], named: Mapping[str, Named]) -> Named | None:
    """What the user said of a folder: itself, or the one above it, whose splits lie in folders of their own."""
    folder, kind = key
    if folder in named:
        return named[folder] if named[folder].kind == kind else None
    above = named.get(folder.rpartition("/")[0]) if folder else None
    return above if above is not None and above.kind == kind == HUGGING_FACE else None


def _version(said: Mapping[tuple[str, str], Named], key: tuple[str, str]) -> int | None:
    return said[key].version if key in said else None


def _check_named(folder: str, kind: str, found: Mapping[tuple[str, str], list[str]]) -> None:
    if any(_said(key, {folder: Named(kind)}) for key in found):
        return
    raise UsageError(
        f"expected a {TITLES[kind]} in {safe_text(folder) or 'the folder'}, but its files are not those of one",
        "name its own folder, or leave the kind away",
    )


def _metadata(
    names: Sequence[str], kept: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], tuple[str, ...]]:
    """The files that may hold the metadata of each place."""
    found: dict[tuple[str, str], list[str]] = {key: [] for key in kept}
    for name in names:
        folder, _, _ = name.rpartition("/")
        table, _, inner = folder.rpartition("/")
        for key in ((table, DELTA), (table, ICEBERG), (table, LANCE), (folder, HUGGING_FACE)):
            inside = {DELTA: delta.LOG, ICEBERG: iceberg.FOLDER, LANCE: _LANCE[0]}.get(key[1], inner)
            if key in found and inner == inside:
                found[key].append(name)
    return {key: tuple(sorted(found[key])) for key in kept}


def resolve(item: Resolve) -> Table:
    """What the metadata of a place say; a refusal where they cannot be believed."""
    papers = Papers(item.root, item.place, item.limits)
    if item.place.kind == LANCE:
        reason = "records of Lance are read by its own package alone: scan the folder as lance:PATH"
        return Table(item.place, refused=Incident("DG503", reason))
    try:
        found = _READERS[item.place.kind](papers)
    except ReadError as error:
        return Table(item.place, None, dict(papers.digests), Incident(error.rule, error.problem))
    return Table(item.place, found, dict(papers.digests))


def checked(tables: Sequence[Table], names: frozenset[str]) -> list[Table]:
    """The tables, of which those are refused that lie in one another, or name files that are not there."""
    found = []
    kinds: dict[str, set[str]] = {}
    for table in tables:
        kinds.setdefault(table.place.folder, set()).add(table.place.title)
    inside = _nested(kinds)
    for table in tables:
        why = None
        folder = table.place.folder
        missing = table.files.keys() - names
        if len(kinds[folder]) > 1:
            why = Incident(
                "DG507",
                f"the folder is a {' and a '.join(sorted(kinds[folder]))}: say which counts, e.g. delta:PATH",
            )
        elif folder in inside:
            why = Incident(
                "DG507", "one table lies in the folder of another: readers differ on whose its files are"
            )
        elif missing:
            why = Incident(
                "DG503",
                f"{len(missing)} of its files are not there, {safe_text(min(missing), limit=120)} for one",
            )
        found.append(table if why is None or table.refused else replace(table, snapshot=None, refused=why))
    return found


def _nested(folders: Mapping[str, object]) -> set[str]:
    """Folders that lie in another of them, or have another in them."""
    found = set()
    for folder in folders:
        parts = folder.split("/")
        above = ["/".join(parts[:upto]) for upto in range(len(parts))] if folder else []
        outer = [one for one in above if one in folders]
        found |= {folder, *outer} if outer else set()
    return found

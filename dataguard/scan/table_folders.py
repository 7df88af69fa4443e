"""Folders that are tables, in a scan: which of their files count, and what their metadata say of those, held against them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from dataguard.config import Limits
from dataguard.detectors.base import INCIDENTS
from dataguard.engine import Failed, LocalEngine
from dataguard.errors import ReadError
from dataguard.records import Incident, Stamp, opened
from dataguard.records.parquet import field_paths
from dataguard.records.partitions import partitions_of
from dataguard.records.tables import HUGGING_FACE, SPLITS, Named, Resolve, Table, checked, places, resolve
from dataguard.safe_text import escape_name, safe_text
from dataguard.scan.plan import UNSAFE, File, incident_of

NAMED = 3
"""Files that an incident names."""
OTHER = "other"


@dataclass(frozen=True)
class Fields:
    """A data file whose columns are known by number."""

    root: Path
    name: str
    stamp: Stamp
    limits: Limits
    fields: Mapping[int, tuple[str, ...]]


def by_folder(named: Sequence[tuple[Path, Named]], root: Path) -> dict[str, Named]:
    """What the user said of folders, by escaped name below the root; empty for the root itself."""
    found = {}
    for path, kind in named:
        below = os.path.relpath(path.resolve(), root)
        found["" if below == "." else escape_name(os.fsencode(below))] = kind
    return found


def tables_of(
    names: Sequence[str],
    root: Path,
    named: Mapping[str, Named],
    limits: Limits,
    engine: LocalEngine,
    sizes: Mapping[str, int] | None = None,
) -> list[Table]:
    """All tables of a data set, resolved in workers.

    Args:
        names: escaped names of its regular files.
        root: the data set's root.
        named: what the user said of folders.
        limits: bounds on reading.
        engine: where it is done.
        sizes: bytes of each file, for the time that it may take.

    Raises:
        UsageError: a folder is not what the user said.
    """
    found = {}
    sizes = sizes or {}
    items = [Resolve(root, place, limits) for place in places(names, named)]

    def seconds(item: Resolve) -> float:
        return limits.seconds(sum(sizes.get(name, 0) for name in item.place.metadata))

    for result in engine.map(resolve, items, seconds=seconds):
        value = result.value
        if isinstance(value, Failed):
            value = Table(result.item.place, refused=incident_of(value))
        found[value.place] = value
    return checked([found[item.place] for item in items], frozenset(names))


def left_out(tables: Sequence[Table], names: Sequence[str]) -> set[str]:
    """The files in the folders of tables that are none of their data, by escaped name."""
    live = {name for table in tables for name in table.files}
    beside, folders = _beside(tables), _by_folder(tables)
    return {name for name in names if name not in live and (name in beside or _of(name, folders))}


def with_tables(files: Sequence[File], tables: Sequence[Table]) -> list[File]:
    """The files, of which those in a table's folder are read only if it counts them; those of a refused table are refused."""
    beside, folders = _beside(tables), _by_folder(tables)
    found = []
    for file in files:
        table = _of(file.name, folders)
        if table is not None and file.incident is None:
            found.append(_of_refused(file, table, table.refused) if table.refused else _in_table(file, table))
        else:
            found.append(replace(file, sniffed=OTHER) if file.name in beside else file)
    return found


def _by_folder(tables: Sequence[Table]) -> dict[str, Table]:
    """A table by its folder; where one folder is two, both are refused, and either will do."""
    return {table.place.folder: table for table in tables}


def _of(name: str, folders: Mapping[str, Table]) -> Table | None:
    """The table in whose folder a file lies; one within another is refused as the other is."""
    while name:
        name = name.rpartition("/")[0]
        if name in folders:
            return folders[name]
    return None


def _beside(tables: Sequence[Table]) -> set[str]:
    """Files above the folders of tables that only list them."""
    folders = {
        t.place.folder.rpartition("/")[0] for t in tables if t.place.kind == HUGGING_FACE and t.place.folder
    }
    return {f"{folder}/{SPLITS}" if folder else SPLITS for folder in folders}


def _of_refused(file: File, table: Table, why: Incident) -> File:
    carrier = _carrier(table)
    if file.name == carrier:
        return replace(file, sniffed=_unread(file), incident=why)
    if table.place.is_paper(file.name) or file.sniffed in (OTHER, UNSAFE):
        return replace(file, sniffed=_unread(file))
    reason = f"of the {table.place.title} that {safe_text(carrier, limit=120)} describes, which is not read"
    return replace(file, sniffed=OTHER, incident=Incident("DG503", reason))


def _in_table(file: File, table: Table) -> File:
    read = table.metadata.get(file.name)
    if read is not None and read != file.sha256:
        return replace(
            file, sniffed=_unread(file), incident=Incident("DG505", "changed while it was scanned")
        )
    if file.name not in table.files:
        plain = table.place.is_paper(file.name) or file.sniffed in (OTHER, UNSAFE)
        return replace(file, sniffed=_unread(file), note="" if plain else f"not of the {_called(table)}")
    why = _against(file, table)
    return file if why is None else replace(file, sniffed=OTHER, incident=why)


def _unread(file: File) -> str:
    return UNSAFE if file.sniffed == UNSAFE else OTHER


def _carrier(table: Table) -> str:
    """The file that a table's refusal is told of: the last of its metadata that was read, or that there is."""
    papers = table.metadata or [name for name in table.place.metadata if table.place.is_paper(name)]
    return max(papers or table.place.metadata)


def _called(table: Table) -> str:
    assert table.snapshot is not None
    return f"{table.place.title} ({table.snapshot.version})"


def _against(file: File, table: Table) -> Incident | None:
    """What the metadata say of a file before it is looked into."""
    assert table.snapshot is not None
    assert file.stamp is not None
    claim, kind = table.files[file.name], table.snapshot.format
    if file.sniffed != kind:
        return Incident("DG503", f"the {table.place.title} lists it, where only {kind} is expected")
    if claim.size is not None and claim.size != file.stamp.size:
        return Incident(
            "DG506", f"the {table.place.title} says that it has {claim.size} bytes, it has {file.stamp.size}"
        )
    return None


def held_against(
    files: Sequence[File], tables: Sequence[Table], root: Path, limits: Limits, engine: LocalEngine
) -> list[File]:
    """The files, of which those are refused that are not what the metadata of their table say."""
    table_of = {name: table for table in tables for name in table.files}
    if not table_of:
        return list(files)
    found: dict[str, Incident] = {}
    items = []
    for file in files:
        table = table_of.get(file.name)
        if table is None or not file.readable:
            continue
        assert table.snapshot is not None
        assert file.stamp is not None
        why = _rows(file, table) or _columns(file, table)
        if why is not None:
            found[file.name] = why
        elif table.snapshot.fields is not None:
            items.append(Fields(root, file.name, file.stamp, limits, table.snapshot.fields))
    for result in engine.map(check_fields, items, seconds=lambda item: limits.seconds(item.stamp.size)):
        value = incident_of(result.value) if isinstance(result.value, Failed) else result.value
        if value is not None:
            found[result.item.name] = value
    return [replace(file, incident=found.get(file.name, file.incident)) for file in files]


def _rows(file: File, table: Table) -> Incident | None:
    claimed, there = table.files[file.name].rows, file.inspection.rows_declared
    if claimed is None or claimed == there:
        return None
    return Incident(
        "DG506",
        f"the {table.place.title} says that it has {claimed} records, it has {there}: readers that count by the "
        "metadata see others",
    )


def _columns(file: File, table: Table) -> Incident | None:
    """Columns that the readers of the table do not see, or take from elsewhere."""
    snapshot, schema = table.snapshot, file.inspection.schema
    assert snapshot is not None
    if snapshot.columns is None or schema is None:
        return None
    unknown = sorted(set(schema.names) - snapshot.columns)
    if unknown:
        return Incident(
            "DG507",
            f"has column {safe_text(unknown[0], limit=80)}, which the {table.place.title} does not have "
            f"({len(unknown)} such): its readers do not see it, others do",
        )
    said = partitions_of(file.name)
    apart = sorted((set(schema.names) & snapshot.apart) - (said.values.keys() if said else set()))
    if apart:
        return Incident(
            "DG507",
            f"has column {safe_text(apart[0], limit=80)}, whose values the {table.place.title} has in its metadata: "
            "readers differ on which ones count",
        )
    return None


def check_fields(item: Fields) -> Incident | None:
    """Whether a file calls its columns as the table does now, in the worker."""
    try:
        with opened(item.root, item.name, item.stamp) as (descriptor, _):
            paths = field_paths(descriptor, item.limits)
    except ReadError as error:
        return Incident(error.rule, error.problem)
    for path, number in paths:
        shown = safe_text(".".join(path), limit=80)
        if number is None:
            return Incident(
                "DG507", f"column {shown} has no number: readers go by names that are mapped elsewhere"
            )
        if item.fields.get(number) != path:
            now = item.fields.get(number)
            called = (
                f"is called {safe_text('.'.join(now), limit=80)} now" if now else "is gone from the table"
            )
            return Incident(
                "DG507",
                f"column {shown} {called}: that is not applied here; rewrite the table's data files, then scan again",
            )
    return None


def table_incidents(files: Sequence[File], tables: Sequence[Table]) -> pl.DataFrame:
    """Tables that nobody named as such, in which plain readers see other records, as INCIDENTS; told once a table."""
    rows = []
    folders = _by_folder(tables)
    noted: dict[str, list[File]] = {}
    for file in files:
        table = _of(file.name, folders) if file.note else None
        if table is not None and not table.place.named:
            noted.setdefault(table.place.folder, []).append(file)
    for folder, others in noted.items():
        table = folders[folder]
        shown = ", ".join(safe_text(file.name, limit=80) for file in others[:NAMED])
        reason = (
            f"its folder is read as {_called(table)}, which has {len(others)} file(s) no more or not yet: readers of "
            f"plain files see their records too ({shown}{', …' if len(others) > NAMED else ''}); name the folder "
            f"{table.place.kind}:PATH if it is trained on as a table"
        )
        rows.append(("DG507", others[0].name, None, reason))
    return pl.DataFrame(rows, schema=INCIDENTS, orient="row")


def facts(tables: Sequence[Table]) -> dict[str, Any]:
    """What run.json says of them: kind, folder, version, and the metadata that was read with its digests."""
    told = [
        {
            "kind": table.place.kind,
            "folder": table.place.folder,
            "named": table.place.named,
            "wanted": table.place.version,
            "version": table.snapshot.version if table.snapshot else None,
            "files": len(table.files),
            "metadata": dict(sorted(table.metadata.items())),
            "refused": table.refused.reason if table.refused else None,
        }
        for table in tables
    ]
    return {"tables": told} if told else {}

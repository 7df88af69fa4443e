"""What was read and what was not: files, columns, sources, and the digests that bind it all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from dataguard.provenance import REASONS
from dataguard.report.excerpt import Text, line
from dataguard.report.words import count, size

FILES = 50
"""Files that were not read whole, listed with their reasons."""
READ = 20
"""Files that were read, the largest first."""
SOURCES = 30
UNKNOWN = 20

STATUSES = {
    "read": "read whole",
    "partial": "read in part",
    "refused": "refused",
    "other": "not a record format: digested only",
}


@dataclass(frozen=True)
class FileRow:
    """A file: sizes and counts, how far it was read, and why no further."""

    name: Text
    format: Text
    size: str
    declared: str
    decoded: str
    status: str
    reason: Text


@dataclass(frozen=True)
class StatusRow:
    """All files that were read equally far."""

    status: str
    format: Text
    files: str
    rows: str
    size: str


@dataclass(frozen=True)
class RoleRow:
    """A role and its columns, each with whether it was inferred."""

    role: Text
    columns: tuple[tuple[Text, bool], ...]


@dataclass(frozen=True)
class SourceRow:
    """A source: its status and why, what it claims and covers."""

    name: Text
    status: str
    reason: Text
    records: str
    size: str
    pattern: Text
    licence: Text


@dataclass(frozen=True)
class UnknownRow:
    """Records without a known source."""

    file: Text
    rows: str
    source: Text
    reason: Text


@dataclass(frozen=True)
class Reading:
    """Everything that was met, and how far it was read."""

    statuses: tuple[StatusRow, ...]
    not_read: tuple[FileRow, ...]
    not_read_more: int
    read: tuple[FileRow, ...]
    read_more: int
    roles: tuple[RoleRow, ...]
    roles_say: str
    sources: tuple[SourceRow, ...]
    sources_more: int
    unknown: tuple[UnknownRow, ...]
    unknown_more: int


def reading(
    files: pl.DataFrame, sources: pl.DataFrame, unknown: pl.DataFrame, info: Mapping[str, Any]
) -> Reading:
    """What was met, from the tables of the reading."""
    whole = pl.col("status").is_in(["read", "other"]).fill_null(False)
    not_read = files.filter(~whole).sort("file")
    read = files.filter(pl.col("status") == "read").sort("size", "file", descending=[True, False])
    ranges = unknown.sort("file", "first_row")
    roles = _roles(info)
    by_records = sources.sort("records", "source", descending=[True, False], nulls_last=True)
    return Reading(
        statuses=_statuses(files),
        not_read=tuple(_file(row) for row in not_read.head(FILES).iter_rows(named=True)),
        not_read_more=max(0, not_read.height - FILES),
        read=tuple(_file(row) for row in read.head(READ).iter_rows(named=True)),
        read_more=max(0, read.height - READ),
        roles=roles,
        roles_say=_roles_say(roles),
        sources=tuple(_source(row) for row in by_records.head(SOURCES).iter_rows(named=True)),
        sources_more=max(0, sources.height - SOURCES),
        unknown=tuple(_unknown(row) for row in ranges.head(UNKNOWN).iter_rows(named=True)),
        unknown_more=max(0, ranges.height - UNKNOWN),
    )


def _statuses(files: pl.DataFrame) -> tuple[StatusRow, ...]:
    order = {status: number for number, status in enumerate(STATUSES)}
    groups = (
        files.group_by("status", "format")
        .agg(pl.len().alias("files"), pl.col("rows_decoded").sum(), pl.col("size").sum())
        .sort("status", "format")
    )
    rows = sorted(groups.iter_rows(), key=lambda row: order.get(row[0], len(order)))
    return tuple(
        StatusRow(_status(status), line(kind, 30), f"{number:,}", f"{rows_decoded or 0:,}", size(bytes_ or 0))
        for status, kind, number, rows_decoded, bytes_ in rows[:40]
    )


def _status(status: str | None) -> str:
    return STATUSES.get(status or "", "of unknown status")


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _file(row: Mapping[str, Any]) -> FileRow:
    return FileRow(
        name=line(row["file"], 160),
        format=line(row["format"], 30),
        size=size(row["size"] or 0),
        declared=_number(row["rows_declared"]),
        decoded=_number(row["rows_decoded"]),
        status=_status(row["status"]),
        reason=line(row["reason"], 240),
    )


def _roles(info: Mapping[str, Any]) -> tuple[RoleRow, ...]:
    roles = info.get("roles")
    inferred = info.get("inferred")
    guessed = set(map(str, inferred)) if isinstance(inferred, list) else set()
    if not isinstance(roles, dict):
        return ()
    return tuple(
        RoleRow(line(role, 30), tuple((line(name, 60), str(name) in guessed) for name in list(names)[:60]))
        for role, names in sorted(roles.items())[:40]
        if isinstance(names, list)
    )


def _roles_say(roles: tuple[RoleRow, ...]) -> str:
    """Where the roles come from, unless that is said column by column."""
    inferred = [flag for row in roles for _, flag in row.columns]
    if not inferred:
        return "No column has a role."
    if all(inferred):
        return "All of them were inferred from the columns' names and types."
    return (
        "Those marked were inferred from the columns' names and types."
        if any(inferred)
        else "All were declared."
    )


def _source(row: Mapping[str, Any]) -> SourceRow:
    known = ("verified", "declared", "unknown", "contradicted")
    return SourceRow(
        name=line(row["source"], 120),
        status=row["status"] if row["status"] in known else "unknown",
        reason=_reason(row["reason"]),
        records=_number(row["records"]),
        size="–" if row["bytes"] is None else size(row["bytes"]),
        pattern=line(row["pattern"], 120),
        licence=line(row["licence"], 60),
    )


def _reason(code: str | None) -> Text:
    """A reason code of the provenance in its words; anything else as it stands."""
    _, words = REASONS.get(code or "", (None, code))
    return line(words, 240)


def _unknown(row: Mapping[str, Any]) -> UnknownRow:
    first, number = row["first_row"], row["rows"] or 0
    if first is None:
        rows = count(number, "row")
    else:
        rows = f"{first:,}" if number <= 1 else f"{first:,} to {first + number - 1:,}"
    return UnknownRow(line(row["file"], 160), rows, line(row["source"], 120), _reason(row["reason"]))


def facts(info: Mapping[str, Any], verdict: Mapping[str, Any]) -> tuple[tuple[str, Text], ...]:
    """What somebody needs to get the same again, as name and value."""
    named = {
        "manifest_sha256": "Manifest (SHA-256)",
        "screened_root": "Root of what was screened",
        "data": "Data, as given",
        "root": "Root of the data set",
        "store": "Fetched from",
        "against": "Compared with the run",
        "reader": "Reader",
        "canon": "Record digest",
        "secret_key_id": "Key id of the secret",
        "started": "Started",
        "finished": "Finished",
        "dataguard": "dataguard",
    }
    found = [(words, line(_plain(info[key]), 300)) for key, words in named.items() if info.get(key)]
    if verdict.get("policy"):
        found.insert(0, ("Policy", line(_plain(verdict["policy"]), 300)))
    tools = info.get("tools")
    if isinstance(tools, dict) and tools:
        found.append(
            ("Tools", line(", ".join(f"{name} {version}" for name, version in sorted(tools.items())), 600))
        )
    return tuple(found)


def _plain(value: object) -> str:
    """A value of a JSON document as a person writes it."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return json.dumps(value, sort_keys=True, ensure_ascii=False)

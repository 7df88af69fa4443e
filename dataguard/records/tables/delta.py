"""Delta tables: the log is replayed to the files of one version.

Read by ourselves: the log is JSON lines and Parquet, and the package `deltalake` opens what the log names, wherever that
is. What this thin reader does not apply (deletion vectors, mapped columns, widened types) is refused, never passed over.
Follows the protocol's section "Action Reconciliation" (https://github.com/delta-io/delta/blob/master/PROTOCOL.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

import pyarrow as pa
import pyarrow.compute as pc

from dataguard.errors import ReadError
from dataguard.records.partitions import partitions_of
from dataguard.records.tables.base import Claim, Papers, Snapshot, has, listed, strict
from dataguard.records.tables.delta_actions import Added, State, is_number
from dataguard.safe_text import safe_text

LOG = "_delta_log"
DIGITS = 20
MAPPING = "delta.columnMapping.mode"
READABLE = frozenset(
    ("timestampNtz", "vacuumProtocolCheck", "deletionVectors", "columnMapping", "variantType", "v2Checkpoint")
)
"""Features of a table that change nothing of its files, or are looked for where they are used."""
MAPPED = 2
FEATURES = 3
"""The reader versions that brought mapped columns, and lists of features."""


@dataclass
class _Log:
    """Which files the log has, by version."""

    commits: dict[int, str] = field(default_factory=dict)
    checkpoints: dict[int, list[str]] = field(default_factory=dict)
    newer_kind: bool = False

    @classmethod
    def of(cls, papers: Papers) -> _Log:
        log = cls()
        parts: dict[tuple[int, int], dict[int, str]] = {}
        for last, name in papers.below(LOG):
            head, *rest = last.split(".")
            if len(head) != DIGITS or not is_number(head):
                continue
            version = int(head)
            match rest:
                case ["json"]:
                    log.commits[version] = name
                case ["checkpoint", "parquet"]:
                    log.checkpoints[version] = [name]
                case ["checkpoint", part, of, "parquet"] if is_number(part) and is_number(of):
                    parts.setdefault((version, int(of)), {})[int(part)] = name
                case ["checkpoint", _, "parquet" | "json"]:
                    log.newer_kind = True
        for (version, count), found in parts.items():
            if len(found) == count and min(found) == 1 and max(found) == count:
                log.checkpoints.setdefault(version, [found[one] for one in sorted(found)])
        return log


def snapshot(papers: Papers) -> Snapshot:
    """The data files of a version of a table.

    Raises:
        ReadError: the log is broken, contradicts itself, or asks for what is not done here.
    """
    log = _Log.of(papers)
    version = _version(log, papers.place.version)
    state = _replayed(log, version, papers)
    columns, types, apart = _columns(state)
    _check_protocol(state)
    files: dict[str, Claim] = {}
    for key, value in sorted(state.live.items()):
        if key.vector:
            raise ReadError(
                f"file {safe_text(key.path, limit=120)} has a deletion vector, which is not applied here: "
                "write the table anew without (REORG TABLE ... APPLY (PURGE))"
            )
        name = _name(papers, key.path)
        _check_partitions(name, value, types, apart)
        listed(files, name, Claim(value.rows, value.size))
    return Snapshot(f"version {version}", files, "parquet", columns, apart)


def _version(log: _Log, wanted: int | None) -> int:
    newest = max((*log.commits, *log.checkpoints), default=None)
    if newest is None:
        raise ReadError(f"expected versions in {LOG}, got none")
    if wanted is None:
        return newest
    if wanted > newest or (wanted not in log.commits and wanted not in log.checkpoints):
        raise ReadError(f"expected version {wanted} in {LOG}, whose newest is {newest}: it is not there")
    return wanted


def _replayed(log: _Log, version: int, papers: Papers) -> State:
    """The table at a version: from its newest checkpoint, and from the first commit too where all are there."""
    start = max((one for one in log.checkpoints if one <= version), default=None)
    first = 0 if start is None else start + 1
    _check_whole(log, first, version)
    state = State()
    if start is not None:
        for name in log.checkpoints[start]:
            state.apply(_checkpoint(papers, name), safe_text(name, limit=120))
    _commits(state, log, range(first, version + 1), papers)
    if start is not None and all(one in log.commits for one in range(start + 1)):
        whole = State()
        _commits(whole, log, range(version + 1), papers)
        if whole.live.keys() != state.live.keys() or _schema_text(whole) != _schema_text(state):
            raise ReadError(
                f"the checkpoint of version {start} says otherwise than the commits up to it: readers that begin with "
                "the one or the other see different records",
                "DG507",
            )
    return state


def _check_whole(log: _Log, first: int, version: int) -> None:
    """Refuses a log with gaps; counts what is there, since a version is a number of 20 digits that anybody can write."""
    there = sum(first <= one <= version for one in log.commits)
    if there != version + 1 - first:
        more = " (a checkpoint of the newer kind is not read)" if log.newer_kind else ""
        raise ReadError(
            f"the log has {there} of the {version + 1 - first} commits from version {first} to {version}{more}"
        )


def _commits(state: State, log: _Log, versions: range, papers: Papers) -> None:
    for version in versions:
        name = log.commits[version]
        where = safe_text(name, limit=120)
        lines = papers.read(name).split(b"\n")
        state.apply((strict(line, where) for line in lines if line.strip()), where)


def _checkpoint(papers: Papers, name: str) -> Iterator[Mapping[str, Any]]:
    """The actions of a checkpoint, without what is not asked of them."""
    wanted = {
        "add": ("path", "size", "stats", "partitionValues", "deletionVector"),
        "protocol": ("minReaderVersion", "readerFeatures"),
        "metaData": ("schemaString", "partitionColumns", "configuration"),
    }
    for batch in papers.parquet(name):
        for kind, children in wanted.items():
            if kind not in batch.schema.names:
                continue
            column = batch.column(kind)
            if not pa.types.is_struct(column.type):
                raise ReadError(f"{safe_text(name, limit=120)}: expected structs in its column {kind}")
            column = column.filter(column.is_valid())
            there = {column.type.field(index).name for index in range(column.type.num_fields)}
            values = {
                child: pc.struct_field(column, child).to_pylist() for child in children if child in there
            }
            for row in range(len(column)):
                yield {kind: {child: _plain(child, found[row]) for child, found in values.items()}}


def _plain(child: str, value: Any) -> Any:
    """A value of a checkpoint as JSON has it: maps are lists of pairs there, and structs of nothing are nothing."""
    if child in ("partitionValues", "configuration") and isinstance(value, list):
        return {one["key"]: one["value"] for one in value}
    if child == "deletionVector" and isinstance(value, dict) and not any(value.values()):
        return None
    return value


def _schema_text(state: State) -> Any:
    return state.metadata.get("schemaString")


def _columns(state: State) -> tuple[frozenset[str], Mapping[str, Any], frozenset[str]]:
    """The columns of the table, their types, and those whose values are in the log."""
    text = has(_schema_text(state), str, "the table's schemaString")
    fields = has(strict(text.encode(), "the table's schemaString").get("fields"), list, "the table's columns")
    types: dict[str, Any] = {}
    for one in fields:
        name = has(has(one, dict, "a column of the table").get("name"), str, "the name of a column")
        if name in types:
            raise ReadError(f"the table has two columns {safe_text(name, limit=80)}", "DG507")
        types[name] = one.get("type")
    named = has(state.metadata.get("partitionColumns") or [], list, "the table's partitionColumns")
    apart = frozenset(has(name, str, "a partition's column") for name in named)
    return frozenset(types), types, apart


def _check_protocol(state: State) -> None:
    """Refuses a table that asks its readers for more than is done here."""
    least = has(state.protocol.get("minReaderVersion"), int, "the table's minReaderVersion")
    if least > FEATURES:
        raise ReadError(f"the table asks for readers of version {least}; here it is {FEATURES}")
    features = has(state.protocol.get("readerFeatures") or [], list, "the table's readerFeatures")
    unknown = sorted({str(one) for one in features} - READABLE)
    if unknown:
        raise ReadError(
            f"the table asks its readers for {safe_text(', '.join(unknown), limit=200)}, which is not done here"
        )
    settings = has(state.metadata.get("configuration") or {}, dict, "the table's configuration")
    mode = settings.get(MAPPING) or "none"
    if mode != "none" and least >= MAPPED:
        raise ReadError(
            f"the table's columns have other names in its files (column mapping by {safe_text(mode, limit=20)}), "
            "which is not applied here: write the table anew without"
        )


def _name(papers: Papers, path: str) -> str:
    """The name of the file that an action means: its path is quoted as in a URI."""
    try:
        plain = unquote_to_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise ReadError(f"the path “{safe_text(path, limit=120)}” is not UTF-8") from error
    if "://" in path or path.startswith(("file:", "/")):
        plain = path  # refused as it stands
    if plain.split("/", 1)[0] == LOG:
        raise ReadError(f"the path “{safe_text(path, limit=120)}” leads into the log")
    return papers.name_of(plain, "the path")


def _check_partitions(name: str, value: Added, types: Mapping[str, Any], apart: frozenset[str]) -> None:
    """Refuses a file of which the log says another value of a column than its folder does."""
    said = partitions_of(name) if "=" in name else None
    known = dict(value.partitions)
    if not known.keys() <= apart:
        raise ReadError(f"{safe_text(name, limit=120)}: values of columns that are no partitions", "DG507")
    for column, path in (said.values if said else {}).items():
        if column not in apart or column not in known or str(types.get(column)).startswith("timestamp"):
            continue
        if (known[column] or None) != path:
            raise ReadError(
                f"{safe_text(name, limit=120)}: the log says “{safe_text(known[column], limit=60)}” of column "
                f"{safe_text(column, limit=60)} and its folder says otherwise: readers differ on which one counts",
                "DG507",
            )

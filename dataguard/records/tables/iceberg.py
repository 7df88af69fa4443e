"""Iceberg tables: the metadata of one version are followed to the files of its current snapshot.

The package `pyiceberg` goes wherever the metadata lead, over the network too; so only the names in them are taken, and
looked up among the files of the folder. The manifests are Avro, which `fastavro` decodes. Deletes, renamed columns and
default values, which this thin reader does not apply, are refused, never passed over.
Follows the specification (https://iceberg.apache.org/spec/), versions 1 to 3 of the format.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from dataguard.errors import ReadError
from dataguard.records.tables.base import Claim, Papers, Snapshot, has, listed
from dataguard.safe_text import safe_text

FOLDER, SUFFIX, HINT = "metadata", ".metadata.json", "version-hint.text"
EXTRA = "pip install 'dataguard[iceberg]'"
NEWEST = 3
"""The newest version of the format that is read."""
DELETED = 2
"""The status of an entry that is no longer of the table."""
PACKED = ".gz"
MAX_MANIFESTS = 100_000
MAX_DIGITS = 19
_AVRO_ERRORS = (
    ValueError,
    LookupError,
    TypeError,
    ArithmeticError,
    AttributeError,
    EOFError,
    OSError,
    zlib.error,
)


def available() -> bool:
    """Whether the package that reads manifests is installed."""
    return importlib.util.find_spec("fastavro") is not None


def number(name: str) -> int | None:
    """The version that the name of a file of metadata tells, None for the name of another file."""
    plain = name.removesuffix(PACKED)
    head = plain.removesuffix(SUFFIX).removesuffix(PACKED)
    if not plain.endswith(SUFFIX):
        return None
    digits = head[1:] if head.startswith("v") else head.partition("-")[0]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < MAX_DIGITS else None


def snapshot(papers: Papers) -> Snapshot:
    """The data files of a table's current snapshot.

    Raises:
        ReadError: the metadata are broken, contradict themselves, or ask for what is not done here.
    """
    if not available():
        raise ReadError(
            f"manifests of Iceberg are read by the package fastavro, which is not installed: {EXTRA}"
        )
    version, name = _newest(papers)
    said = papers.json(name)
    least = has(said.get("format-version"), int, "format-version")
    if not 1 <= least <= NEWEST:
        raise ReadError(f"Iceberg of version {least} of the format; 1 to {NEWEST} are read")
    location = _plain(has(said.get("location"), str, "location"))
    fields = _fields(said)
    current = _current(said)
    files: dict[str, Claim] = {}
    if current is not None:
        path = current.get("manifest-list")
        if path is None:
            raise ReadError("a snapshot of the first version, without a list of manifests: not read")
        for manifest in _manifests(papers, _name(papers, has(path, str, "manifest-list"), location)):
            for entry in _entries(papers, _name(papers, manifest, location)):
                claim = Claim(entry["record_count"], entry["file_size_in_bytes"])
                listed(files, _name(papers, entry["file_path"], location), claim)
    which = f"metadata {version}, snapshot {'none' if current is None else current['snapshot-id']}"
    columns = frozenset(path[0] for path in fields.values())
    return Snapshot(which, files, "parquet", columns, fields=fields)


def _newest(papers: Papers) -> tuple[int, str]:
    """The file of metadata that counts: a folder without a catalogue says so by numbers."""
    found: dict[int, list[str]] = {}
    hint = ""
    for last, name in papers.below(FOLDER):
        version = number(last)
        if version is not None:
            found.setdefault(version, []).append(name)
        elif last == HINT:
            hint = papers.read(name)[:200].decode(errors="replace").strip()
    wanted = papers.place.version
    version = max(found) if wanted is None else wanted
    names = found.get(version, [])
    if not names:
        raise ReadError(f"expected metadata of version {version}, got those up to {max(found)}")
    if len(names) > 1:
        raise ReadError(
            f"{len(names)} files of metadata have version {version}: only a catalogue knows which one counts",
            "DG507",
        )
    last = names[0].rpartition("/")[2]
    if PACKED in last:
        raise ReadError("compressed metadata, which are not read here")
    if hint and wanted is None and hint not in (str(version), last, last.removesuffix(SUFFIX)):
        raise ReadError(
            f"{HINT} says “{safe_text(hint, limit=60)}”, but the newest metadata are {safe_text(last, limit=120)}: "
            "readers differ on which one counts; say it, e.g. iceberg:PATH@v3",
            "DG507",
        )
    return version, names[0]


def _current(said: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The current snapshot; None for a table that never had one."""
    wanted = said.get("current-snapshot-id")
    branch = has(said.get("refs") or {}, dict, "refs").get("main")
    main = None if branch is None else has(branch, dict, "refs: main").get("snapshot-id")
    wanted = None if wanted == -1 else wanted
    if branch is not None and main != wanted:
        raise ReadError(
            "the branch main is at another snapshot than the current one: readers differ", "DG507"
        )
    if wanted is None:
        return None
    snapshots = has(said.get("snapshots") or [], list, "snapshots")
    found = [one for one in snapshots if has(one, dict, "a snapshot").get("snapshot-id") == wanted]
    if len(found) != 1:
        raise ReadError(f"expected one snapshot with the current number, got {len(found)}", "DG507")
    return dict(found[0])


def _fields(said: Mapping[str, Any]) -> dict[int, tuple[str, ...]]:
    """The path of each column of the current schema, by its number."""
    schemas = said.get("schemas")
    if schemas is None:
        chosen = [said.get("schema")]
    else:
        wanted = said.get("current-schema-id")
        chosen = [
            one
            for one in has(schemas, list, "schemas")
            if has(one, dict, "a schema").get("schema-id") == wanted
        ]
    if len(chosen) != 1:
        raise ReadError(f"expected one current schema, got {len(chosen)}", "DG507")
    found: dict[int, tuple[str, ...]] = {}
    waiting: list[tuple[tuple[str, ...], Any]] = [((), has(chosen[0], dict, "the current schema"))]
    while waiting:
        path, kind = waiting.pop()
        for identity, below, inner in _children(path, kind):
            if identity in found:
                raise ReadError(f"two columns of the schema have the number {identity}", "DG507")
            found[identity] = below
            waiting.append((below, inner))
    return found


def _children(path: tuple[str, ...], kind: Any) -> Iterator[tuple[int, tuple[str, ...], Any]]:
    """Number, path and type of what is right inside a type."""
    if isinstance(kind, str):
        return
    match has(kind, dict, "a type").get("type"):
        case "struct":
            for one in has(kind.get("fields"), list, "fields"):
                name = has(has(one, dict, "a field").get("name"), str, "the name of a field")
                if one.get("initial-default") is not None:
                    raise ReadError(
                        f"column {safe_text(name, limit=80)} has a default for files that lack it: not applied here"
                    )
                yield has(one.get("id"), int, "the number of a field"), (*path, name), one.get("type")
        case "list":
            yield has(kind.get("element-id"), int, "element-id"), (*path, ELEMENT), kind.get("element")
        case "map":
            yield has(kind.get("key-id"), int, "key-id"), (*path, KEY), kind.get("key")
            yield has(kind.get("value-id"), int, "value-id"), (*path, VALUE), kind.get("value")
        case other:
            raise ReadError(f"a type {safe_text(other, limit=60)} that is not known")


ELEMENT, KEY, VALUE = "[]", "{key}", "{value}"
"""How paths tell what is inside of lists and maps, whatever writers call it."""


def _manifests(papers: Papers, name: str) -> Iterator[str]:
    for count, one in enumerate(_avro(papers, name)):
        if count == MAX_MANIFESTS:
            raise ReadError(f"more than {MAX_MANIFESTS} manifests", "DG504")
        yield has(one.get("manifest_path"), str, "manifest_path")


def _entries(papers: Papers, name: str) -> Iterator[Mapping[str, Any]]:
    """The data files of a manifest that still count."""
    for one in _avro(papers, name):
        status = has(one.get("status"), int, "the status of a file")
        if status not in (0, 1, DELETED):
            raise ReadError(f"a file of status {status}, which is not known")
        if status == DELETED:
            continue
        file = has(one.get("data_file"), dict, "data_file")
        path = has(file.get("file_path"), str, "file_path")
        shown = safe_text(path, limit=120)
        if (file.get("content") or 0) != 0:
            raise ReadError(
                f"{shown} holds deletes, which are not applied here: rewrite the table's data files, then scan again"
            )
        if str(file.get("file_format")).casefold() != "parquet":
            raise ReadError(
                f"{shown} is {safe_text(file.get('file_format'), limit=20)}: only Parquet is read"
            )
        for claim in ("record_count", "file_size_in_bytes"):
            has(file.get(claim), int, claim)
        yield file


def _avro(papers: Papers, name: str) -> Iterator[Mapping[str, Any]]:
    """The records of an Avro file, decoded by the schema that it brings."""
    fastavro: Any = importlib.import_module("fastavro")  # which is optional
    data = papers.read(name)
    try:
        for one in fastavro.reader(io.BytesIO(data)):
            yield has(one, dict, "a record of a manifest")
    except (*_AVRO_ERRORS, RecursionError, fastavro.schema.SchemaParseException) as error:
        raise ReadError(
            f"{safe_text(name, limit=120)}: no Avro that can be read ({type(error).__name__})"
        ) from error


def _name(papers: Papers, path: str, location: str) -> str:
    """The name of the file that a full path means: those below the table's own location lie in this folder."""
    below = _plain(path).removeprefix(f"{location}/")
    return papers.name_of(below, "the path")


def _plain(uri: str) -> str:
    """A path of this machine without the many ways to write ``file:``; another URI as it stands."""
    if uri.startswith("file:"):
        uri = "/" + uri.removeprefix("file:").lstrip("/")
    return uri.rstrip("/")

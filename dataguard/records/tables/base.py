"""What is shared by the readers of table formats: what they say, and reading their metadata within bounds.

A table format is a folder whose metadata say which of its files count. That metadata is as hostile as the data: a name
in it is never opened, only looked up among the files that the walk of the folder found, so that none leads elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from dataguard import strict_json
from dataguard.columns import Roles
from dataguard.config import Limits
from dataguard.errors import ReadError, RefusedError
from dataguard.records.files import opened, sha256
from dataguard.records.inspect import Incident
from dataguard.safe_text import escape_name, safe_text

DELTA, ICEBERG, HUGGING_FACE, LANCE = "delta", "iceberg", "hf", "lance"
TITLES = {
    DELTA: "Delta table",
    ICEBERG: "Iceberg table",
    HUGGING_FACE: "Hugging Face data set",
    LANCE: "Lance data set",
}
"""What people call a folder of each kind."""

PAPERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    DELTA: ("_delta_log", (".json", ".crc", ".checkpoint.parquet", "_last_checkpoint")),
    ICEBERG: (
        "metadata",
        (".metadata.json", ".metadata.json.gz", ".avro", "version-hint.text", ".puffin", ".stats"),
    ),
    HUGGING_FACE: ("", ("state.json", "dataset_info.json")),
    LANCE: ("_versions", (".manifest", ".json")),
}
"""The folder with the metadata of each kind, and how its files end."""
SPLITS = "dataset_dict.json"
"""What lists the folders of a data set's splits, beside them."""

MAX_BYTES = 64 << 20
"""Bytes of one file of metadata, and of one line of it."""
MAX_TOTAL = 1 << 30
"""Bytes of metadata that are read of one table."""
MAX_FILES = 1_000_000
"""Data files that a table may have."""
BATCH_ROWS = 8192


@dataclass(frozen=True)
class Named:
    """How the user named a folder: ``delta:PATH@v3``.

    Args:
        kind: one of TITLES.
        version: which version; None for the newest.
    """

    kind: str
    version: int | None = None


@dataclass(frozen=True)
class Place:
    """A folder that is a table by the names of its files.

    Args:
        kind: one of TITLES.
        folder: its escaped name; empty for the root.
        metadata: the escaped names of the files that may hold its metadata, sorted.
        named: whether the user said that it is one; else it was recognised.
        version: which version the user wants; None for the newest.
    """

    kind: str
    folder: str
    metadata: tuple[str, ...]
    named: bool = False
    version: int | None = None

    @property
    def title(self) -> str:
        """What people call it."""
        return TITLES[self.kind]

    def is_paper(self, name: str) -> bool:
        """Whether a file is one of those that its kind keeps its metadata in, by its name."""
        folder, _, last = name.rpartition("/")
        inside, names = PAPERS[self.kind]
        return folder == "/".join(part for part in (self.folder, inside) if part) and last.endswith(names)


@dataclass(frozen=True)
class Claim:
    """What the metadata say of a data file.

    Args:
        rows: its records, None where they do not say.
        size: its bytes, None where they do not say.
    """

    rows: int | None = None
    size: int | None = None


@dataclass(frozen=True)
class Snapshot:
    """One version of a table.

    Args:
        version: which one, in the format's own words, e.g. ``version 3``.
        files: its data files by escaped name.
        format: of its data files: ``parquet`` or ``arrow``.
        columns: the names of its columns; None where the format tells none.
        apart: columns whose values are in the metadata, and not in the files.
        fields: of a format that knows columns by number: the path of each.
    """

    version: str
    files: Mapping[str, Claim]
    format: str
    columns: frozenset[str] | None = None
    apart: frozenset[str] = frozenset()
    fields: Mapping[int, tuple[str, ...]] | None = None


@dataclass(frozen=True)
class Table:
    """A place and what its metadata say.

    Args:
        place: the folder.
        snapshot: the version that counts; None where it is refused.
        metadata: SHA-256 of each file of metadata that was read, by escaped name.
        refused: why its files are not read.
    """

    place: Place
    snapshot: Snapshot | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    refused: Incident | None = None

    @property
    def files(self) -> Mapping[str, Claim]:
        """Its data files; none where it is refused."""
        return self.snapshot.files if self.snapshot is not None else {}


class Papers:
    """The metadata of one place, read within bounds and digested; in the worker.

    Args:
        root: the data set's root.
        place: the folder.
        limits: bounds on Parquet files of metadata.
    """

    def __init__(self, root: Path, place: Place, limits: Limits) -> None:
        self.place = place
        self.digests: dict[str, str] = {}
        self._root, self._limits = root, limits
        self._names = frozenset(place.metadata)
        self._total = 0

    def below(self, folder: str = "") -> Iterator[tuple[str, str]]:
        """Files of metadata right in a folder of the place: plain name and escaped name."""
        head = "/".join(part for part in (self.place.folder, folder) if part)
        for name in self.place.metadata:
            before, _, last = name.rpartition("/")
            if before == head:
                yield last, name

    def name_of(self, path: str, what: str) -> str:
        """The escaped name of a path that the metadata give, below the place.

        Raises:
            ReadError: it is no plain path below it.
        """
        shown = f"{what} “{safe_text(path, limit=120)}”"
        if path.startswith(("/", "\\")) or ":" in path.split("/", 1)[0]:
            raise ReadError(f"{shown} is absolute or on another machine: only files below the table are read")
        if any(part in ("", ".", "..") for part in path.split("/")) or "\0" in path:
            raise ReadError(f"{shown} is no plain path below the table: not followed")
        inside = escape_name(path.encode())
        return f"{self.place.folder}/{inside}" if self.place.folder else inside

    def read(self, name: str) -> bytes:
        """A file of metadata.

        Raises:
            ReadError: it is not there, or too large.
        """
        if name not in self._names:
            raise ReadError(f"the metadata name {safe_text(name, limit=120)}, which is not there")
        with opened(self._root, name) as (descriptor, stamp):
            self._count(name, stamp.size, MAX_BYTES)
            self.digests[name] = sha256(descriptor, stamp.size)
            return b"".join(
                os.pread(descriptor, min(1 << 20, stamp.size - at), at)
                for at in range(0, stamp.size, 1 << 20)
            )

    def json(self, name: str) -> dict[str, Any]:
        """A file of metadata that is one JSON object.

        Raises:
            ReadError: it is not.
        """
        return strict(self.read(name), safe_text(name, limit=120))

    def parquet(self, name: str) -> Iterator[pa.RecordBatch]:
        """The rows of a Parquet file of metadata, read as files of data are.

        Raises:
            ReadError: it cannot be read, or is no Parquet.
        """
        from dataguard.records import Slice, inspect_file, read  # this package is a part of that one

        with opened(self._root, name) as (descriptor, stamp):
            self._count(name, stamp.size, MAX_TOTAL)
            self.digests[name] = sha256(descriptor, stamp.size)
        found = inspect_file(self._root, name, stamp, self._limits)
        if found.refused is not None:
            raise ReadError(f"{safe_text(name, limit=120)}: {found.refused.reason}", found.refused.rule)
        if found.format != "parquet":
            raise ReadError(f"{safe_text(name, limit=120)}: expected Parquet, got something else")
        part = Slice(self._root, name, stamp, found, 0, len(found.groups))
        for batch in read(part, Roles(), self._limits, BATCH_ROWS):
            yield batch.data

    def _count(self, name: str, size: int, limit: int) -> None:
        self._total += size
        if size > limit or self._total > MAX_TOTAL:
            raise ReadError(
                f"{safe_text(name, limit=120)}: metadata of {size} bytes, {self._total} in all; "
                f"the limits are {limit} and {MAX_TOTAL}",
                "DG504",
            )


def strict(data: bytes, what: str) -> dict[str, Any]:
    """A JSON object of the metadata.

    Raises:
        ReadError: it is none, or readers differ on it.
    """
    try:
        value = strict_json.loads(data, what, max_bytes=MAX_BYTES)
    except RefusedError as error:
        raise ReadError(error.problem) from error
    if not isinstance(value, dict):
        raise ReadError(f"{what}: expected a JSON object")
    return value


def has(value: object, kind: type, what: str) -> Any:
    """A value of the metadata, which must be of a type.

    Raises:
        ReadError: it is of another.
    """
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ReadError(f"{what}: expected {kind.__name__}, got {type(value).__name__}")
    return value


def listed(files: dict[str, Claim], name: str, claim: Claim) -> None:
    """Adds a data file.

    Raises:
        ReadError: it stands there already, or there are too many.
    """
    if name in files:
        raise ReadError(
            f"{safe_text(name, limit=120)} is listed twice: readers differ on how often its records count",
            "DG507",
        )
    if len(files) >= MAX_FILES:
        raise ReadError(f"more than {MAX_FILES} data files", "DG504")
    files[name] = claim

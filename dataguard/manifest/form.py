"""The manifest: what a data set consists of, file by file, in one canonical text that a signature can name.

A header line with the counts and the root of the data set, then a line a file, sorted by the UTF-8 bytes of the
names. Equal data gives equal bytes; whatever is written in another way is refused. The written format is
``docs/formats/manifest.md``.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dataguard import strict_json
from dataguard.digests import CANON, FileEntry, dataset_root, file_root
from dataguard.errors import RefusedError
from dataguard.manifest.names import malformed, twins, unportable
from dataguard.safe_text import safe_text

MANIFEST = "manifest.jsonl"
LEAVES = "leaves"
FORMAT = "dataguard-manifest/1"
MAX_MANIFEST = 1 << 28
MAX_LINE = 1 << 25
MAX_COUNT = (1 << 63) - 1

_HEX = frozenset("0123456789abcdef")
_HEADER = frozenset({"bytes", "canon", "datasetRoot", "files", "format", "leavesSha256", "rows"})
_FILE = frozenset({"fileRoot", "name", "rowGroups", "rows", "schemaSha256", "sha256", "size", "source"})
_GROUP = frozenset({"root", "rows"})


@dataclass(frozen=True, kw_only=True)
class ManifestFile:
    """One file of a data set.

    Args:
        name: path relative to the root, escaped as in the tables of a run.
        size: bytes.
        sha256: of the file's bytes, hex.
        rows: records, 0 for a file of kind "other".
        row_groups: rows and root (hex) of each row group, in file order.
        file_root: root over the row groups, hex; that of no row group for a file of kind "other".
        schema_sha256: digest of the schema, hex; empty for a file of kind "other".
        source: id of the declared source the file belongs to, or empty.
    """

    name: str
    size: int
    sha256: str
    rows: int
    row_groups: tuple[tuple[int, str], ...]
    file_root: str
    schema_sha256: str
    source: str

    def to_json(self) -> dict[str, Any]:
        """The file's line as plain values."""
        return {
            "name": self.name,
            "size": self.size,
            "sha256": self.sha256,
            "rows": self.rows,
            "rowGroups": [{"rows": rows, "root": root} for rows, root in self.row_groups],
            "fileRoot": self.file_root,
            "schemaSha256": self.schema_sha256,
            "source": self.source,
        }

    def entry(self) -> FileEntry:
        """What the root of the data set binds of this file."""
        return FileEntry(
            self.name, self.size, bytes.fromhex(self.sha256), self.rows, bytes.fromhex(self.file_root)
        )

    @classmethod
    def other(cls, *, name: str, size: int, sha256: str, source: str = "") -> ManifestFile:
        """A file that has no records of its own: digested and listed."""
        return cls(
            name=name,
            size=size,
            sha256=sha256,
            rows=0,
            row_groups=(),
            file_root=root_of_groups(()),
            schema_sha256="",
            source=source,
        )


def root_of_groups(row_groups: Iterable[tuple[int, str]]) -> str:
    """The file root over (rows, root) of each row group, hex."""
    return file_root([bytes.fromhex(root) for _, root in row_groups]).hex()


@dataclass(frozen=True)
class Manifest:
    """All files of a data set.

    Args:
        files: sorted by the UTF-8 bytes of their names; `of` sorts them.
        leaves_sha256: digest of the run's ``leaves/`` (see `leaves.leaves_digest`), or empty.
    """

    files: tuple[ManifestFile, ...]
    leaves_sha256: str = ""

    @classmethod
    def of(cls, files: Iterable[ManifestFile], *, leaves_sha256: str = "") -> Manifest:
        """A manifest of files in any order."""
        return cls(tuple(sorted(files, key=lambda file: file.name.encode())), leaves_sha256)

    @property
    def rows(self) -> int:
        """Records of all files."""
        return sum(file.rows for file in self.files)

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    @cached_property
    def root(self) -> str:
        """The data set root: names, sizes, digests, row counts and file roots of all files, hex."""
        return dataset_root(file.entry() for file in self.files).hex()

    @cached_property
    def by_name(self) -> dict[str, ManifestFile]:
        """The files by name."""
        return {file.name: file for file in self.files}

    def header(self) -> dict[str, Any]:
        """The first line as plain values."""
        return {
            "format": FORMAT,
            "canon": CANON,
            "files": len(self.files),
            "rows": self.rows,
            "bytes": self.size,
            "datasetRoot": self.root,
            "leavesSha256": self.leaves_sha256,
        }

    def to_bytes(self) -> bytes:
        """The canonical text: equal manifests give equal bytes."""
        lines = itertools.chain([self.header()], (file.to_json() for file in self.files))
        return b"".join(strict_json.canonical(line) + b"\n" for line in lines)

    def sha256(self) -> str:
        """Digest of the canonical text, hex: what a statement names as its subject."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """Reads a manifest and recomputes every total and root in it.

        Args:
            data: what stands in manifest.jsonl.

        Raises:
            RefusedError: it is not the canonical text of a manifest, with the line and the reason.
        """
        if len(data) > MAX_MANIFEST:
            raise RefusedError(f"the manifest: expected at most {MAX_MANIFEST} bytes, got {len(data)}")
        head, *lines = data.split(b"\n")
        if not lines or lines.pop():
            raise RefusedError("the manifest: expected whole lines, but the last one does not end")
        header = _object(head, "line 1", _HEADER)
        if header["format"] != FORMAT or header["canon"] != CANON:
            raise RefusedError(
                f"the manifest: expected format {FORMAT} and {CANON}, got "
                f"{safe_text(header['format'])} and {safe_text(header['canon'])}",
                "read it with the dataguard that wrote it",
            )
        _digest(header["leavesSha256"], "line 1: leavesSha256", or_empty=True)
        files = tuple(_file(line, f"line {number}") for number, line in enumerate(lines, start=2))
        for before, after in itertools.pairwise(files):
            if before.name.encode() >= after.name.encode():
                raise RefusedError(
                    f"the manifest: expected names in byte order, each once, but {safe_text(after.name)} follows "
                    f"{safe_text(before.name)}"
                )
        manifest = cls(files, header["leavesSha256"])
        for key, value in manifest.header().items():
            if header[key] != value:
                said = safe_text(header[key])
                raise RefusedError(f"the manifest: its header says {key} {said}, its files give {value}")
        if manifest.to_bytes() != data:
            raise RefusedError(
                "the manifest: expected canonical JSON: sorted keys, no spaces, no needless escapes"
            )
        return manifest

    def check_portable(self) -> None:
        """Refuses names that would not mean the same files on another machine.

        A scan takes any name it meets; what is signed or verified is to hold wherever it is unpacked.

        Raises:
            RefusedError: naming the file, or the two that fall together.
        """
        for file in self.files:
            if why := unportable(file.name):
                raise RefusedError(f"file name {safe_text(file.name)}: {why}", "rename it and scan again")
        for first, second in twins(file.name for file in self.files):
            raise RefusedError(
                f"file names {safe_text(first)} and {safe_text(second)} are the same on some file systems",
                "rename one of them and scan again",
            )


def _object(line: bytes, where: str, keys: frozenset[str]) -> dict[str, Any]:
    value = strict_json.loads(line, f"the manifest, {where}", max_bytes=MAX_LINE, max_depth=4)
    if not isinstance(value, dict) or value.keys() != keys:
        raise RefusedError(
            f"the manifest, {where}: expected an object with exactly the keys {', '.join(sorted(keys))}"
        )
    return value


def _file(line: bytes, where: str) -> ManifestFile:
    value = _object(line, where, _FILE)
    name = _text(value["name"], f"{where}: name")
    if why := malformed(name):
        raise RefusedError(f"the manifest, {where}: file name {safe_text(name)}: {why}")
    groups = tuple(_groups(value["rowGroups"], f"{where}: rowGroups"))
    file = ManifestFile(
        name=name,
        size=_count(value["size"], f"{where}: size"),
        sha256=_digest(value["sha256"], f"{where}: sha256"),
        rows=_count(value["rows"], f"{where}: rows"),
        row_groups=groups,
        file_root=_digest(value["fileRoot"], f"{where}: fileRoot"),
        schema_sha256=_digest(value["schemaSha256"], f"{where}: schemaSha256", or_empty=True),
        source=_text(value["source"], f"{where}: source"),
    )
    if sum(rows for rows, _ in groups) != file.rows or (groups and not file.schema_sha256):
        raise RefusedError(
            f"the manifest, {where}: the rows of {safe_text(name)} are not those of its row groups"
        )
    if root_of_groups(groups) != file.file_root:
        raise RefusedError(
            f"the manifest, {where}: the root of {safe_text(name)} is not that of its row groups"
        )
    return file


def _groups(value: object, where: str) -> Iterable[tuple[int, str]]:
    if not isinstance(value, list):
        raise RefusedError(f"the manifest, {where}: expected a list")
    for group in value:
        if not isinstance(group, dict) or group.keys() != _GROUP:
            raise RefusedError(f"the manifest, {where}: expected objects with exactly the keys root, rows")
        yield _count(group["rows"], where), _digest(group["root"], where)


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise RefusedError(f"the manifest, {where}: expected a string")
    return value


def _count(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_COUNT:
        raise RefusedError(f"the manifest, {where}: expected an integer in 0..2^63-1")
    return value


def _digest(value: object, where: str, *, or_empty: bool = False) -> str:
    text = _text(value, where)
    if not (len(text) == 64 and _HEX.issuperset(text)) and not (or_empty and text == ""):
        raise RefusedError(f"the manifest, {where}: expected a SHA-256 in 64 lowercase hexadecimal digits")
    return text

"""Roots above the record: of a file from its row groups, of a data set from its files, names bound in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from dataguard.digests.trees import tree_root
from dataguard.errors import UsageError


@dataclass(frozen=True)
class FileEntry:
    """What the data set root binds of one file.

    Args:
        name: path relative to the data set's root, encodable as UTF-8.
        size: bytes.
        sha256: digest of the file's bytes, 32 bytes.
        rows: records digested; 0 for a file of kind "other".
        root: the file root, 32 bytes; that of no row group for a file of kind "other".
    """

    name: str
    size: int
    sha256: bytes
    rows: int
    root: bytes


def file_root(group_roots: Sequence[bytes]) -> bytes:
    """Root of a file: the tree over SHA-256(0x00 || row group root), in file order.

    Args:
        group_roots: 32 bytes each; empty for a file without row groups.

    Returns:
        32 bytes.

    Raises:
        UsageError: a root of another size.
    """
    if any(len(root) != 32 for root in group_roots):
        raise UsageError("expected row group roots of 32 bytes each")
    return tree_root([_leaf(root) for root in group_roots])


def dataset_root(files: Iterable[FileEntry]) -> bytes:
    """Root of a data set: the tree over SHA-256(0x00 || entry), sorted by the bytes of the names.

    An entry is ``u64 len(name) | name | u64 size | sha256 | u64 rows | root``.

    Args:
        files: in any order.

    Returns:
        32 bytes.

    Raises:
        UsageError: a name stands twice or is not encodable, a digest is not 32 bytes, a number not in 0..2^64-1.
    """
    entries = sorted((_name_bytes(entry.name), entry) for entry in _unique(files))
    return tree_root([_leaf(_framed(name, entry)) for name, entry in entries])


def _unique(files: Iterable[FileEntry]) -> Iterable[FileEntry]:
    seen: set[str] = set()
    for entry in files:
        if entry.name in seen:
            raise UsageError(f"expected every file once, but {entry.name!r} stands twice")
        seen.add(entry.name)
        yield entry


def _name_bytes(name: str) -> bytes:
    try:
        return name.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"expected file names that UTF-8 can write, got {name!r}", "escape the name first"
        ) from error


def _framed(name: bytes, entry: FileEntry) -> bytes:
    if len(entry.sha256) != 32 or len(entry.root) != 32:
        raise UsageError(f"expected digests of 32 bytes for file {entry.name!r}")
    try:
        length, size, rows = (number.to_bytes(8, "big") for number in (len(name), entry.size, entry.rows))
    except OverflowError as error:
        raise UsageError(f"expected a size and rows in 0..2^64-1 for file {entry.name!r}") from error
    return length + name + size + entry.sha256 + rows + entry.root


def _leaf(message: bytes) -> bytes:
    return sha256(b"\x00" + message).digest()

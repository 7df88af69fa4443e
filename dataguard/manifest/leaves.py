"""Leaf prefixes: the first 16 bytes of every record digest, kept to name a changed row without the old data.

They localise and nothing else: whether something changed is decided by the signed roots. A file's prefixes lie in
``leaves/<SHA-256 of the file's bytes>.bin``, 16 bytes a record in row order with nothing around them, so that any
tool can read them and equal files share one.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dataguard.atomic import sync_folder
from dataguard.errors import RefusedError, UsageError
from dataguard.manifest.form import Manifest

LEAF_BYTES = 16
Leaves: TypeAlias = npt.NDArray[np.uint8]
"""uint8 of shape (records, 16)."""

_BLOCK = 1 << 20


def prefixes(digests: npt.NDArray[np.uint8]) -> Leaves:
    """The prefixes of record digests, uint8 of shape (n, 32)."""
    return np.ascontiguousarray(digests[:, :LEAF_BYTES])


def leaves_path(folder: Path, sha256: str) -> Path:
    """Where the prefixes of a file with these bytes lie."""
    return folder / f"{sha256}.bin"


def write_leaves(folder: Path, sha256: str, pieces: Iterable[Leaves]) -> str:
    """Writes the prefixes of one file, whole or not at all, without holding them in memory together.

    Args:
        folder: the run's ``leaves/``.
        sha256: of the data file's bytes, hex.
        pieces: prefixes in row order, cut anywhere.

    Returns:
        SHA-256 of what was written, hex, for `leaves_digest`.

    Raises:
        UsageError: a piece of another shape or dtype.
        OSError: the disk is full or not writable; what stood there before still stands.
    """
    digest = hashlib.sha256()
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            for piece in pieces:
                data = _checked(piece).tobytes()
                digest.update(data)
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(leaves_path(folder, sha256))
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(folder)
    return digest.hexdigest()


def read_leaves(folder: Path, sha256: str, rows: int) -> Leaves:
    """Reads the prefixes of one file.

    Args:
        folder: the run's ``leaves/``.
        sha256: of the data file's bytes, hex.
        rows: as the manifest says; bounds what is read.

    Returns:
        uint8 of shape (rows, 16).

    Raises:
        RefusedError: they are absent, not a regular file, or not of that many rows.
    """
    data = b"".join(_blocks(leaves_path(folder, sha256), rows * LEAF_BYTES))
    return np.frombuffer(data, np.uint8).reshape(rows, LEAF_BYTES)


def leaves_digest(leaves: Mapping[str, str]) -> str:
    """The one digest of all prefixes that the manifest's header holds.

    Args:
        leaves: SHA-256 of the prefixes' bytes by SHA-256 of the data file's bytes, both hex, of every file with a
            schema.

    Returns:
        SHA-256 over a line ``<sha256 of the file> <sha256 of its prefixes>`` each, sorted; hex.
    """
    lines = (f"{file} {prefix}\n".encode() for file, prefix in sorted(leaves.items()))
    return hashlib.sha256(b"".join(lines)).hexdigest()


def check_leaves(folder: Path, manifest: Manifest) -> None:
    """Refuses prefixes that are not the ones the manifest's header names.

    Raises:
        RefusedError: the manifest names none, or any of them is absent or differs.
    """
    if not manifest.leaves_sha256:
        raise RefusedError("the manifest names no leaves/")
    found = {}
    for file in manifest.files:
        if file.schema_sha256 and file.sha256 not in found:
            digest = hashlib.sha256()
            for block in _blocks(leaves_path(folder, file.sha256), file.rows * LEAF_BYTES):
                digest.update(block)
            found[file.sha256] = digest.hexdigest()
    if leaves_digest(found) != manifest.leaves_sha256:
        raise RefusedError(f"{folder}: these are not the leaves that the manifest names")


def _blocks(path: Path, size: int) -> Iterator[bytes]:
    """The bytes of a regular file of exactly this size."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise RefusedError(f"{path}: cannot be opened: {error.strerror}") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            raise RefusedError(f"{path}: expected a regular file of {size} bytes, got {found.st_size}")
        left = size
        while left:
            block = os.read(descriptor, min(_BLOCK, left))
            if not block:
                raise RefusedError(f"{path}: it became shorter while it was read")
            left -= len(block)
            yield block
    except OSError as error:
        raise RefusedError(f"{path}: cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _checked(piece: Leaves) -> Leaves:
    if piece.dtype != np.uint8 or piece.ndim != 2 or piece.shape[1] != LEAF_BYTES:
        raise UsageError(
            f"expected uint8 prefixes of shape (n, {LEAF_BYTES}), got {piece.dtype} of {piece.shape}"
        )
    return piece

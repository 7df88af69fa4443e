"""One file as it stands on the disk: opened once, digested, and checked not to have moved meanwhile."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dataguard.errors import ReadError
from dataguard.records.walk import open_beneath

BLOCK = 1 << 20
PARQUET_MAGIC = b"PAR1"
PARQUET_ENCRYPTED = b"PARE"
SUFFIXES = {
    ".parquet": "parquet",
    ".parq": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
}


@dataclass(frozen=True)
class Stamp:
    """What must stay equal while a file is read: a change of content changes the ctime at least."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, descriptor: int) -> Stamp:
        """The stamp of an open file.

        Raises:
            ReadError: it is not a regular file.
        """
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ReadError("expected a regular file, got something else")
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@contextmanager
def opened(root: Path, name: str, expected: Stamp | None = None) -> Iterator[tuple[int, Stamp]]:
    """An open descriptor and its stamp, checked before and after.

    Raises:
        ReadError: it cannot be opened (DG503), or is not the file it was (DG505).
    """
    try:
        descriptor = open_beneath(root, name)
    except OSError as error:
        raise ReadError(f"cannot be opened: {error.strerror}") from error
    try:
        stamp = Stamp.of(descriptor)
        if expected is not None and stamp != expected:
            raise ReadError("changed while it was scanned", rule="DG505")
        yield descriptor, stamp
        if Stamp.of(descriptor) != stamp:
            raise ReadError("changed while it was read", rule="DG505")
    finally:
        os.close(descriptor)


def sha256(descriptor: int, size: int) -> str:
    """SHA-256 of the bytes of an open file, as hex.

    Raises:
        ReadError: it cannot be read, or it had other than `size` bytes.
    """
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(BLOCK))
    offset = 0
    try:
        while count := os.preadv(descriptor, [buffer], offset):
            digest.update(buffer[:count])
            offset += count
    except OSError as error:
        raise ReadError(f"cannot be read: {error.strerror}") from error
    if offset != size:
        raise ReadError(
            f"changed while it was read: {size} bytes at first, {offset} in the end", rule="DG505"
        )
    return digest.hexdigest()


def sniff(descriptor: int, name: str) -> str:
    """The format, by magic, then by suffix: ``parquet``, ``jsonl``, ``json`` (may be lines), ``other``."""
    head = os.pread(descriptor, 4, 0)
    if head in (PARQUET_MAGIC, PARQUET_ENCRYPTED):
        return "parquet"
    return SUFFIXES.get(Path(name.casefold()).suffix, "other")

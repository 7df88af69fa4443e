"""One file as it stands on the disk: opened once, digested, and checked not to have moved meanwhile.

A size on the disk is a claim like any other: a sparse file claims terabytes and costs nothing to make.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dataguard.errors import ReadError
from dataguard.records.walk import open_beneath

BLOCK = 1 << 20
HOLE_BYTES = 1 << 30
"""Bytes of a file that may be holes."""
PARQUET_MAGIC = b"PAR1"
PARQUET_ENCRYPTED = b"PARE"
ARROW_MAGIC = (b"ARRO", b"FEA1", b"\xff\xff\xff\xff")
"""Of an Arrow file, of the Feather format before it, and of a stream's first message."""
SUFFIXES = {
    ".parquet": "parquet",
    ".parq": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
TEXTS = frozenset(("csv", "tsv", "jsonl", "json"))
"""Formats that may be compressed as a whole."""
PACKED = frozenset((".gz", ".gzip", ".bgz", ".bz2", ".xz", ".zst", ".zstd"))
MAGIC = {b"\x1f\x8b": "gz", b"BZh": "bz2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zst"}
"""How a file begins that is compressed so."""


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
        ReadError: it cannot be opened (DG503), or is not the file it was (DG505), whatever else was wrong with it.
    """
    try:
        descriptor = open_beneath(root, name)
    except OSError as error:
        if expected is not None:
            raise ReadError(f"changed while it was scanned: {error.strerror}", rule="DG505") from error
        raise ReadError(f"cannot be opened: {error.strerror}") from error
    try:
        if expected is not None and _stamp(descriptor) != expected:
            raise ReadError("changed while it was scanned", rule="DG505")
        stamp = Stamp.of(descriptor)
        try:
            yield descriptor, stamp
        except ReadError as error:
            # What does not fit together may do so because it was written to meanwhile: that is the reason then.
            _check_unmoved(descriptor, stamp, error)
            raise
        _check_unmoved(descriptor, stamp)
    finally:
        os.close(descriptor)


def _stamp(descriptor: int) -> Stamp | None:
    try:
        return Stamp.of(descriptor)
    except ReadError:
        return None


def _check_unmoved(descriptor: int, stamp: Stamp, cause: ReadError | None = None) -> None:
    if _stamp(descriptor) != stamp:
        raise ReadError("changed while it was read", rule="DG505") from cause


def sha256(descriptor: int, size: int, *, stopped: Callable[[], bool] = bool) -> str:
    """SHA-256 of the bytes of an open file, as hex.

    Args:
        descriptor: the file.
        size: its bytes.
        stopped: asked now and then whether to give up.

    Raises:
        ReadError: it cannot be read, it had other than `size` bytes (DG505), is mostly holes (DG504), or was given up.
    """
    _check_holes(descriptor, size)
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(BLOCK))
    offset = 0
    try:
        # No further than one byte past the end, so that a file which grows faster than it is read comes to an end.
        while count := os.preadv(descriptor, [buffer[: size + 1 - offset]], offset):
            digest.update(buffer[:count])
            offset += count
            if stopped():
                raise ReadError("given up")
    except OSError as error:
        raise ReadError(f"cannot be read: {error.strerror}") from error
    if offset != size:
        now = "more" if offset > size else f"only {offset}"
        raise ReadError(f"changed while it was read: {size} bytes at first, {now} in the end", rule="DG505")
    return digest.hexdigest()


def _check_holes(descriptor: int, size: int, limit: int = HOLE_BYTES) -> None:
    """Refuses a file of which more than `limit` bytes were never written: reading them costs time for nothing."""
    found = os.fstat(descriptor)
    if size <= limit or found.st_blocks * 512 >= size:
        return
    # Fewer blocks than bytes may also mean a file system that compresses: only true holes count.
    holes = offset = 0
    try:
        while offset < size and holes <= limit:
            hole = os.lseek(descriptor, offset, os.SEEK_HOLE)
            offset = _next_data(descriptor, hole, size)
            holes += offset - hole
    except OSError as error:
        raise ReadError(f"cannot be read: {error.strerror}") from error
    if holes > limit:
        raise ReadError(
            f"claims {size} bytes, more than {limit} of which were never written (a sparse file): "
            "copy it without holes if that is meant",
            rule="DG504",
        )


def _next_data(descriptor: int, hole: int, size: int) -> int:
    if hole >= size:
        return hole
    try:
        return os.lseek(descriptor, hole, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:  # no data until the end
            return size
        raise


def codec_of(head: bytes) -> str:
    """How a file that begins so is compressed: ``gz``, ``bz2``, ``xz``, ``zst``, or empty."""
    return next((codec for magic, codec in MAGIC.items() if head.startswith(magic)), "")


def sniff(descriptor: int, name: str) -> str:
    """The format, by magic, then by suffix.

    Returns:
        ``parquet``, ``arrow``, ``csv``, ``tsv``, ``jsonl``, ``json`` (may be lines) or ``other``; one of text may be
        compressed and then ends so, whatever its name says: ``csv.gz``, ``jsonl.zst``.

    Raises:
        ReadError: it cannot be read.
    """
    try:
        head = os.pread(descriptor, 6, 0)
    except OSError as error:
        raise ReadError(f"cannot be read: {error.strerror}") from error
    if head[:4] in (PARQUET_MAGIC, PARQUET_ENCRYPTED):
        return "parquet"
    if head[:4] in ARROW_MAGIC:
        return "arrow"
    path, codec = Path(name.casefold()), codec_of(head)
    if codec and path.suffix in PACKED:
        path = path.with_suffix("")
    kind = SUFFIXES.get(path.suffix, "other")
    return f"{kind}.{codec}" if codec and kind in TEXTS else kind

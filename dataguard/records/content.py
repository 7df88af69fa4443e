"""The bytes of a text file, unpacked where it is compressed: by its first bytes, never by its name.

What is unpacked is bounded by what the file may decode to, and nothing is unpacked ahead of who reads it. A stream that
breaks off, or goes on with something else, is refused: readers stop at different places there.
"""

from __future__ import annotations

import bz2
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from dataguard.config import Limits
from dataguard.errors import ReadError
from dataguard.records.files import MAGIC
from dataguard.records.inspect import Group

BLOCK = 1 << 20
XZ_BYTES = 256 << 20
"""Memory that unpacking xz may take: its highest level takes 65 MiB."""
_ERRORS = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, pa.ArrowException)


@dataclass(frozen=True)
class Content:
    """What a reader of text reads.

    Args:
        descriptor: the open file.
        size: its bytes on the disk.
        limits: what it may unpack to.
        codec: how it is compressed, or empty.
    """

    descriptor: int
    size: int
    limits: Limits
    codec: str = ""

    def blocks(
        self, start: int = 0, length: int | None = None, *, block: int | None = None
    ) -> Iterator[bytes]:
        """The bytes from a place on, in blocks; of a compressed file, of what it unpacks to.

        Args:
            start: the first byte.
            length: how many; None for all.
            block: the most bytes of a block of a file that is not compressed; BLOCK if None.

        Raises:
            ReadError: it cannot be read or unpacked (DG503), unpacks to too much (DG504), breaks off, or goes on
                with something else (DG507).
        """
        if not self.codec:
            end = self.size if length is None else start + length
            while start < end:
                found = self._plain(start, min(block or BLOCK, end - start))
                start += len(found)
                yield found
            return
        left = length
        for found in self._bounded():
            if start >= len(found):
                start -= len(found)
                continue
            part = found[start : None if left is None else start + left]
            start = 0
            yield part
            if left is not None:
                left -= len(part)
                if left <= 0:
                    return
        if left:
            raise ReadError("changed while it was read: it unpacks to less than before", rule="DG505")

    def groups(
        self, chosen: range, groups: tuple[Group, ...], *, block: int | None = None
    ) -> Iterator[tuple[int, Iterator[bytes]]]:
        """The bytes of neighbouring row groups, each to be read to its end before the next; unpacked once for all."""
        if not chosen:
            return
        size = sum(groups[number].size for number in chosen)
        blocks = self.blocks(groups[chosen.start].start, size, block=block)
        rest = b""

        def take(left: int) -> Iterator[bytes]:
            nonlocal rest
            while left:
                found = rest or next(blocks)
                part, rest = found[:left], found[left:]
                left -= len(part)
                yield part

        for number in chosen:
            yield number, take(groups[number].size)

    def _plain(self, start: int, size: int) -> bytes:
        try:
            block = os.pread(self.descriptor, size, start)
        except OSError as error:
            raise ReadError(f"cannot be read: {error.strerror}") from error
        if not block:
            raise ReadError("changed while it was read: shorter than before", rule="DG505")
        return block

    def _bounded(self) -> Iterator[bytes]:
        """What the file unpacks to, until that is too much."""
        budget, total = self.limits.budget(self.size), 0
        try:
            for block in self._frames() if self.codec == "zst" else self._members():
                total += len(block)
                if total > budget:
                    raise ReadError(
                        f"unpacks to more than the {budget} bytes that a file of {self.size} may: raise "
                        "limits.decoded_bytes or limits.decoded_ratio if that is meant",
                        rule="DG504",
                    )
                if block:
                    yield block
        except MemoryError:
            raise
        except _ERRORS as error:
            raise ReadError(f"cannot be unpacked as {self.codec}: {str(error)[:200]}") from error

    def _frames(self) -> Iterator[bytes]:
        # The path of the descriptor opens the very same inode again, at its beginning.
        with (
            pa.OSFile(f"/dev/fd/{self.descriptor}") as file,
            pa.CompressedInputStream(file, "zstd") as stream,
        ):
            while block := stream.read(BLOCK):
                yield block

    def _members(self) -> Iterator[bytes]:
        """What the streams of gzip, bzip2 or xz unpack to, one after the other."""
        magic = next(magic for magic, codec in MAGIC.items() if codec == self.codec)
        decoder: _Decoder | None = None
        data, at = b"", 0
        while True:
            while decoder is None and len(data) < len(magic) and at < self.size:
                more = self._plain(at, min(BLOCK, self.size - at))
                data, at = data + more, at + len(more)
            if decoder is None:
                if not data:
                    return
                if not data.startswith(magic):
                    raise ReadError(
                        "bytes behind the end of the compressed stream: readers stop there, skip them or fail",
                        rule="DG507",
                    )
                decoder = _DECODERS[self.codec]()
            yield decoder.decompress(data, BLOCK)
            data = b""
            if decoder.eof:
                data, decoder = decoder.unused_data, None
            elif decoder.needs_input:
                if at >= self.size:
                    raise ReadError("the compressed stream breaks off: truncated")
                data = self._plain(at, min(BLOCK, self.size - at))
                at += len(data)


class _Decoder(Protocol):
    """What bz2 and lzma offer."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """The same of zlib, which hands back what it did not take."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        found = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        self.needs_input = not self._zlib.unconsumed_tail and len(found) < max_length
        return found


_DECODERS: dict[str, Callable[[], _Decoder]] = {
    "gz": _Gzip,
    "bz2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_BYTES),
}

"""The messages of Arrow IPC, told by their frames before any of them is decoded.

Only what bounds a message is read here, from its few bytes of flatbuffer: kind, length of the body, rows, and how large
each compressed buffer says it gets. Arrow verifies and decodes the message itself later.
The layout is that of Arrow's columnar format (format/Message.fbs, format/File.fbs).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from dataguard.errors import ReadError

MAGIC = b"ARROW1"
HEAD = 8
"""Bytes in front of the first message of a file: the magic and two of padding."""
SCHEMA, DICTIONARY, RECORDS = 1, 2, 3
BLOCK = "<qi4xq"
"""An entry of a footer: where a message begins, the bytes of its frame and metadata, and those of its body."""
_SHORTEST = 32
_CONTINUES = 0xFFFFFFFF
_KINDS = {SCHEMA: "schema", DICTIONARY: "dictionary", RECORDS: "record batch"}


@dataclass(frozen=True)
class Message:
    """Where a message lies and what it says of itself.

    Args:
        kind: SCHEMA, DICTIONARY or RECORDS.
        start: its first byte.
        body: the first byte of its body.
        end: one past its last byte.
        rows: as many as it claims; of a dictionary, values.
        unpacked: bytes that its body has once it is unpacked.
        dictionary: the number of a dictionary.
        grows: a dictionary that adds to the one before it.
    """

    kind: int
    start: int
    body: int
    end: int
    rows: int = 0
    unpacked: int = 0
    dictionary: int = 0
    grows: bool = False


class Table:
    """A table of a flatbuffer; whatever leads out of its bytes is refused.

    Args:
        data: the whole buffer.
        at: where the table begins; by default where the root of the buffer is.
    """

    def __init__(self, data: bytes, at: int | None = None) -> None:
        self._data = data
        self._at = self._read("<I", 0) if at is None else at
        self._fields = self._at - self._read("<i", self._at)
        self._size = self._read("<H", self._fields)

    def _read(self, form: str, at: int) -> int:
        if at < 0 or at + struct.calcsize(form) > len(self._data):
            raise ReadError("a message whose metadata points outside of itself")
        (found,) = struct.unpack_from(form, self._data, at)
        return int(found)

    def _place(self, number: int) -> int:
        """Where a field's value lies, 0 where it is left out."""
        entry = 4 + 2 * number
        offset = self._read("<H", self._fields + entry) if entry + 2 <= self._size else 0
        return self._at + offset if offset else 0

    def number(self, number: int, form: str, missing: int = 0) -> int:
        """A plain field."""
        place = self._place(number)
        return self._read(form, place) if place else missing

    def table(self, number: int) -> Table | None:
        """A table under this one."""
        place = self._place(number)
        return Table(self._data, place + self._read("<I", place)) if place else None

    def structs(self, number: int, form: str) -> list[tuple[int, ...]]:
        """A vector of structs."""
        place = self._place(number)
        if not place:
            return []
        start = place + self._read("<I", place)
        count, size = self._read("<I", start), struct.calcsize(form)
        if start + 4 + count * size > len(self._data):
            raise ReadError("a message whose metadata points outside of itself")
        return [struct.unpack_from(form, self._data, start + 4 + n * size) for n in range(count)]


def read(descriptor: int, start: int, size: int) -> bytes:
    """Bytes of the file, all of them.

    Raises:
        ReadError: it cannot be read, or is shorter.
    """
    parts, held = [], 0
    while held < size:
        try:
            part = os.pread(descriptor, size - held, start + held)
        except OSError as error:
            raise ReadError(f"cannot be read: {error.strerror}") from error
        if not part:
            raise ReadError("changed while it was read: shorter than before", rule="DG505")
        parts.append(part)
        held += len(part)
    return b"".join(parts)


def framed(descriptor: int, start: int, end: int, footer: bytes) -> tuple[bytes, int]:
    """Of a file's schema that has no frame, as polars writes it: the frame with the schema, and where it ends.

    Args:
        descriptor: the open file.
        start: where its first message begins.
        end: where the footer begins.
        footer: the flatbuffer of the footer, which says where the next message begins.

    Returns:
        Nothing, and `start`, where the schema has its frame.
    """
    # Without a frame the first four bytes lead to the root of the schema, which is near; no message is that short.
    if int.from_bytes(read(descriptor, start, 4), "little") >= _SHORTEST:
        return b"", start
    root = Table(footer)
    blocks = root.structs(2, BLOCK) + root.structs(3, BLOCK)
    first = min((block[0] for block in blocks), default=end)
    if not start < first <= end:
        raise ReadError("the footer names a record batch that does not lie between the schema and the footer")
    data = read(descriptor, start, first - start)
    return _CONTINUES.to_bytes(4, "little") + len(data).to_bytes(4, "little") + data, first


def messages(descriptor: int, start: int, end: int, most: int) -> Iterator[Message]:
    """The messages from a byte on, until the mark of the end or the end; then one of kind 0 for what is left.

    Args:
        descriptor: the open file.
        start: where the first begins.
        end: where the file, or what of it holds messages, ends.
        most: bytes that the metadata of one may have.

    Raises:
        ReadError: frames that do not fit together (DG503), or metadata beyond the limit (DG504).
    """
    at = start
    while at + 4 <= end:
        prefix = read(descriptor, at, min(8, end - at))
        length, frame = int.from_bytes(prefix[:4], "little"), 4
        if length == _CONTINUES:
            if len(prefix) < 8:
                raise ReadError("the last message breaks off: truncated")
            length, frame = int.from_bytes(prefix[4:], "little", signed=True), 8
        if length == 0:
            at += frame
            break
        if length < 0 or at + frame + length > end:
            raise ReadError(
                f"a message claims {length} bytes of metadata beyond the end: truncated or forged"
            )
        if length > most:
            raise ReadError(f"a message has {length} bytes of metadata; the limit is {most}", rule="DG504")
        message = _message(descriptor, at, at + frame, length, end)
        yield message
        at = message.end
    else:
        if at < end:
            raise ReadError("the last message breaks off: truncated")
    yield Message(0, at, at, end)


def _message(descriptor: int, start: int, metadata: int, length: int, end: int) -> Message:
    root = Table(read(descriptor, metadata, length))
    kind, size, body = root.number(1, "<B"), root.number(3, "<q"), metadata + length
    if kind not in _KINDS:
        raise ReadError(
            f"a message of kind {kind}, which holds no records: tensors and the like are not read"
        )
    if size < 0 or body + size > end:
        raise ReadError(f"a {_KINDS[kind]} claims a body of {size} bytes beyond the end: truncated or forged")
    header = root.table(2)
    if header is None:
        raise ReadError("a message without a header")
    if kind == SCHEMA:
        return Message(kind, start, body, body + size)
    number, grows, batch = 0, False, header
    if kind == DICTIONARY:
        number, grows = header.number(0, "<q"), bool(header.number(2, "<B"))
        inner = header.table(1)
        if inner is None:
            raise ReadError("a dictionary without values")
        batch = inner
    rows = batch.number(0, "<q")
    if rows < 0:
        raise ReadError(f"a {_KINDS[kind]} claims {rows} rows", rule="DG506")
    unpacked = _unpacked(descriptor, batch, body, size)
    return Message(kind, start, body, body + size, rows, unpacked, number, grows)


def _unpacked(descriptor: int, batch: Table, body: int, size: int) -> int:
    """Bytes of a body once it is unpacked; where it lies plain, its own."""
    packed, total = batch.table(3) is not None, 0
    for offset, length in batch.structs(2, "<qq"):
        if offset < 0 or length < 0 or offset + length > size:
            raise ReadError("a buffer that lies outside of its message")
        claimed = length
        if packed and length:
            if length < 8:
                raise ReadError("a compressed buffer too short to say how large it is")
            claimed = int.from_bytes(read(descriptor, body + offset, 8), "little", signed=True)
            if claimed < -1:
                raise ReadError(f"a compressed buffer claims {claimed} bytes")
            claimed = length if claimed == -1 else claimed
        total += claimed
    return total

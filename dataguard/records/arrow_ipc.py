"""Arrow IPC, files and streams, record batch by record batch, always in the order in which they lie.

A file is a stream with a footer that says where its batches lie. Some readers go by the footer and others by the order
of the bytes, so a footer must name exactly the batches that there are, in their order. The frames are walked and
bounded first (`ipc_messages`); no memory map.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.ipc

from dataguard.config import Limits
from dataguard.errors import ReadError
from dataguard.records.batch import validated
from dataguard.records.inspect import Group, Inspection
from dataguard.records.ipc_messages import (
    BLOCK,
    DICTIONARY,
    HEAD,
    MAGIC,
    RECORDS,
    SCHEMA,
    Message,
    Table,
    framed,
    messages,
    read,
)
from dataguard.records.normal import normal_schema

_OPTIONS = {"use_threads": False}
_TAIL = 4 + len(MAGIC)
_UNKNOWN = (pa.lib.Type_INTERVAL_MONTHS, pa.lib.Type_INTERVAL_DAY_TIME)
"""Types of Arrow for whose arrays pyarrow has no class."""


def inspect(descriptor: int, size: int, limits: Limits) -> Inspection:
    """Walks the frames of all messages and reads the schema; of a file, holds the footer against them.

    Raises:
        ReadError: with the file rule it falls under.
    """
    start, end, footer = _bounds(descriptor, size, limits)
    schema, begin = framed(descriptor, start, end, footer[:-_TAIL]) if footer else (b"", start)
    *found, rest = messages(descriptor, begin, end, limits.footer_bytes)
    if rest.start != rest.end:
        raise ReadError(
            f"{rest.end - rest.start} bytes behind the end of the stream: some readers go on there, and others stop",
            "DG507",
        )
    if not schema:
        if not found or found[0].kind != SCHEMA:
            raise ReadError("expected a schema as the first message")
        schema = read(descriptor, start, found.pop(0).end - start)
    if any(message.kind == SCHEMA for message in found):
        raise ReadError("a second schema within the stream: some readers begin anew there", "DG507")
    raw = _schema(schema, limits)
    for message in found:
        if message.unpacked > limits.budget(size):
            raise ReadError(
                f"a message claims to unpack to {message.unpacked} bytes: more than the {limits.budget(size)} that a "
                f"file of {size} may",
                "DG504",
            )
    if footer:
        _check_footer(footer, found, raw)
    groups = tuple(
        Group(message.rows, message.end - message.start, message.start, message.unpacked)
        for message in found
        if message.kind == RECORDS
    )
    declared = sum(group.rows for group in groups)
    return Inspection("arrow", normal_schema(raw), groups, declared)


def _bounds(descriptor: int, size: int, limits: Limits) -> tuple[int, int, bytes]:
    """Where the messages begin and end, and the footer of a file with what is behind it; of a stream nothing."""
    head = read(descriptor, 0, min(len(MAGIC), size))
    if head[:4] == b"FEA1":
        raise ReadError("Feather of the first version: write it anew as Arrow IPC")
    if head != MAGIC:
        return 0, size, b""
    if size < HEAD + _TAIL or read(descriptor, size - len(MAGIC), len(MAGIC)) != MAGIC:
        raise ReadError("expected the Arrow magic at the end of the file: truncated or extended")
    length = int.from_bytes(read(descriptor, size - _TAIL, 4), "little", signed=True)
    end = size - _TAIL - length
    if length <= 0 or end < HEAD:
        raise ReadError(f"the footer claims {length} bytes in a file of {size}")
    if length > limits.footer_bytes:
        raise ReadError(f"the footer has {length} bytes; the limit is {limits.footer_bytes}", rule="DG504")
    return HEAD, end, read(descriptor, end, length + _TAIL)


def _schema(data: bytes, limits: Limits) -> pa.Schema:
    try:
        # Not by read_schema, which leaves the order of bytes of other machines as it is.
        schema = pa.ipc.open_stream(pa.BufferReader(data), options=_options()).schema
        columns = sum(_fields(field.type) for field in schema)
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ReadError(f"the schema cannot be read: {_first_line(error)}") from error
    if columns > limits.columns:
        raise ReadError(f"{columns} columns; the limit is {limits.columns}", rule="DG504")
    return schema


def _fields(kind: pa.DataType) -> int:
    """How many fields a column has; without recursion, since the type is the file's."""
    found, waiting = 0, [kind]
    while waiting:
        here = waiting.pop()
        found += 1
        if here.id in _UNKNOWN:
            raise ReadError(f"a column of type {here}, which pyarrow does not hold")
        waiting += [here.field(index).type for index in range(here.num_fields)]
    return found


def _check_footer(footer: bytes, found: list[Message], schema: pa.Schema) -> None:
    """Refuses a footer that names other batches than there are: who goes by it reads other records.

    Args:
        footer: its bytes, and those behind it.
        found: the messages of the file.
        schema: as the first of them says it.
    """
    root = Table(footer[:-_TAIL])
    for kind, number, name in ((DICTIONARY, 2, "dictionaries"), (RECORDS, 3, "record batches")):
        named = root.structs(number, BLOCK)
        there = [m for m in found if m.kind == kind]
        if [(at, at + metadata + body) for at, metadata, body in named] != [(m.start, m.end) for m in there]:
            raise ReadError(
                f"the footer names {len(named)} {name} other than the {len(there)} that lie in the file: readers of "
                "files and readers of streams see different records",
                "DG506",
            )
    seen: set[int] = set()
    for message in found:
        if message.kind == DICTIONARY:
            if message.dictionary in seen and not message.grows:
                raise ReadError(
                    "a dictionary stands twice in a file: readers differ on which one counts", "DG507"
                )
            seen.add(message.dictionary)
    try:
        # A file of no batches, of which the footer is the only part.
        said = pa.ipc.open_file(pa.BufferReader(MAGIC + b"\0\0" + footer), options=_options()).schema
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ReadError(f"the footer cannot be read: {_first_line(error)}") from error
    if said != schema:
        raise ReadError("the footer has another schema than the first message: readers differ on it", "DG507")


def batches(
    descriptor: int, groups: range, all_groups: tuple[Group, ...], limits: Limits, max_rows: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Decodes record batches and cuts them.

    Args:
        descriptor: the open file.
        groups: which record batches.
        all_groups: all of the file as inspected.
        limits: bounds on a batch.
        max_rows: the most rows a batch may have.

    Raises:
        ReadError: with the file rule it falls under.
        MemoryError: a record batch is too large for the worker.
    """
    if not groups:
        return
    index = groups.start
    try:
        head, ranges = _stream(descriptor, groups, all_groups, limits)
        source = io.BufferedReader(_Ranges(descriptor, head, ranges), 1 << 20)
        reader = pa.ipc.open_stream(pa.PythonFile(source, mode="r"), options=_options())
        for index in groups:
            batch = validated(reader.read_next_batch())
            per_row = max(1, all_groups[index].hint // max(1, batch.num_rows))
            rows = max(1, min(max_rows, limits.batch_bytes // per_row))
            for start in range(0, batch.num_rows, rows):
                yield index, batch.slice(start, rows)
    except MemoryError:
        raise
    except StopIteration as error:
        raise ReadError(f"record batch {index} is not there", "DG506") from error
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise ReadError(f"record batch {index} cannot be decoded: {_first_line(error)}") from error


def _options() -> pyarrow.ipc.IpcReadOptions:
    return pa.ipc.IpcReadOptions(**_OPTIONS)


def _stream(
    descriptor: int, groups: range, all_groups: tuple[Group, ...], limits: Limits
) -> tuple[bytes, list[tuple[int, int]]]:
    """A stream of these batches: its first bytes, and the ranges of the file that follow.

    Those hold the schema and the dictionaries before the batches, which lie between other batches.
    """
    start, end, footer = _bounds(descriptor, os.fstat(descriptor).st_size, limits)
    head, begin = framed(descriptor, start, end, footer[:-_TAIL]) if footer else (b"", start)
    found = []
    for group in all_groups[: groups.start]:
        found.append((begin, group.start))
        begin = group.start + group.size
    last = all_groups[groups.stop - 1]
    return head, [*found, (begin, last.start + last.size)]


class _Ranges(io.RawIOBase):
    """Some bytes, and ranges of a file one after the other, as Arrow reads them; each once, no memory map."""

    def __init__(self, descriptor: int, head: bytes, ranges: list[tuple[int, int]]) -> None:
        super().__init__()
        self._descriptor, self._head = descriptor, head
        self._left = [(start, end) for start, end in reversed(ranges) if start < end]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._head:
            data, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        elif self._left:
            start, end = self._left.pop()
            data = read(self._descriptor, start, min(len(buffer), end - start))
            if start + len(data) < end:
                self._left.append((start + len(data), end))
        else:
            return 0
        buffer[: len(data)] = data
        return len(data)


def _first_line(error: BaseException) -> str:
    """The library's own words, shortened: they may quote the data, so sinks make them safe."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]

"""Parquet files that no writer writes: pages and footers put together, or a good file's footer changed."""

from __future__ import annotations

import io
import struct as packing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hostile.thrift import Field, Struct, decode, encode, i32, i64, items, struct, text, varint

MAGIC = b"PAR1"
BOOLEAN, INT32, INT64, INT96, FLOAT, DOUBLE, BYTE_ARRAY, FIXED = range(8)
PLAIN, RLE, DELTA_BYTE_ARRAY, RLE_DICTIONARY = 0, 3, 7, 8
REQUIRED, OPTIONAL, REPEATED = range(3)
UTF8 = 0
NONE, SNAPPY, GZIP, ZSTD = 0, 1, 2, 6
MOST = (1 << 31) - 1


@dataclass
class Page:
    """A page: its header and its bytes as they stand in the file."""

    values: int
    body: bytes
    encoding: int = PLAIN
    uncompressed: int | None = None
    dictionary: bool = False

    def bytes(self) -> bytes:
        size = len(self.body) if self.uncompressed is None else self.uncompressed
        header: Struct = {1: i32(2 if self.dictionary else 0), 2: i32(size), 3: i32(len(self.body))}
        if self.dictionary:
            header[7] = struct({1: i32(self.values), 2: i32(PLAIN)})
        else:
            header[5] = struct({1: i32(self.values), 2: i32(self.encoding), 3: i32(RLE), 4: i32(RLE)})
        return encode(header) + self.body


@dataclass
class Chunk:
    """A column of a row group."""

    path: tuple[str, ...]
    kind: int
    pages: list[Page]
    codec: int = NONE
    values: int | None = None
    encodings: tuple[int, ...] = (PLAIN, RLE)


@dataclass
class Sheet:
    """A whole file: the schema's elements, row groups of chunks with their rows, and the rows claimed in all."""

    schema: list[Field]
    groups: list[tuple[int, list[Chunk]]]
    rows: int | None = None
    metadata: dict[str, bytes] = field(default_factory=dict)

    def bytes(self) -> bytes:
        out, groups = bytearray(MAGIC), []
        for rows, chunks in self.groups:
            columns = []
            for chunk in chunks:
                start = len(out)
                for page in chunk.pages:
                    out += page.bytes()
                columns.append(_column(chunk, start, len(out) - start))
            total = sum(column.value[3].value[7].value for column in columns)
            groups.append(struct({1: items(columns), 2: i64(total), 3: i64(rows)}))
        rows = sum(rows for rows, _ in self.groups) if self.rows is None else self.rows
        footer = {1: i32(2), 2: items(self.schema), 3: i64(rows), 4: items(groups)}
        if self.metadata:
            footer[5] = items([struct({1: text(k), 2: text(v)}) for k, v in self.metadata.items()])
        return bytes(out) + close(encode(footer))


def _column(chunk: Chunk, start: int, size: int) -> Field:
    values = sum(page.values for page in chunk.pages if not page.dictionary)
    first = chunk.pages[0]
    described = {
        1: i32(chunk.kind),
        2: items([i32(encoding) for encoding in chunk.encodings]),
        3: items([text(part) for part in chunk.path]),
        4: i32(chunk.codec),
        5: i64(values if chunk.values is None else chunk.values),
        6: i64(size),
        7: i64(size),
        9: i64(start + (len(first.bytes()) if first.dictionary else 0)),
    }
    if first.dictionary:
        described[11] = i64(start)
    return struct({2: i64(start), 3: struct(described)})


def close(footer: bytes) -> bytes:
    """A footer with what follows it."""
    return footer + packing.pack("<I", len(footer)) + MAGIC


def group(name: str, children: int, repetition: int | None = REQUIRED) -> Field:
    """A schema element that holds others."""
    element = {} if repetition is None else {3: i32(repetition)}
    return struct({**element, 4: text(name), 5: i32(children)})


def leaf(
    name: str | bytes, kind: int, repetition: int = REQUIRED, *, utf8: bool = False, width: int = 0
) -> Field:
    """A schema element that holds values."""
    element = {1: i32(kind)} | ({2: i32(width)} if width else {}) | {3: i32(repetition), 4: text(name)}
    return struct({**element, **({6: i32(UTF8)} if utf8 else {})})


def one_column(name: str, kind: int, pages: Sequence[Page], rows: int, **options: Any) -> bytes:
    """A file of one required column in one row group; options are those of `Chunk`."""
    schema = [group("schema", 1, None), leaf(name, kind, utf8=kind == BYTE_ARRAY)]
    return Sheet(schema, [(rows, [Chunk((name,), kind, list(pages), **options)])]).bytes()


def repeated(value: int, times: int, width: int) -> bytes:
    """One RLE run."""
    return varint(times << 1) + value.to_bytes((width + 7) // 8, "little")


def indices(value: int, times: int) -> bytes:
    """A data page of dictionary indices, all equal."""
    return b"\x01" + repeated(value, times, 1)


def levels(runs: bytes) -> bytes:
    """Repetition or definition levels of a data page."""
    return packing.pack("<I", len(runs)) + runs


def strings(*values: bytes) -> bytes:
    """PLAIN byte arrays."""
    return b"".join(packing.pack("<I", len(value)) + value for value in values)


def written(table: pa.Table, **options: Any) -> bytes:
    """A good file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def footer_of(data: bytes) -> tuple[Struct, int]:
    """The footer of a file and where it begins."""
    (size,) = packing.unpack("<I", data[-8:-4])
    start = len(data) - 8 - size
    return decode(data, start)[0], start


def changed(data: bytes, change: Callable[[Struct], None]) -> bytes:
    """The file with its footer changed."""
    footer, start = footer_of(data)
    change(footer)
    return data[:start] + close(encode(footer))


def row_groups(footer: Struct) -> list[Struct]:
    """The row groups in a footer, to be changed in place."""
    found: list[Struct] = footer[4].value.value
    return found


def chunks(group: Struct) -> list[Struct]:
    """What a row group says of its columns, to be changed in place."""
    return [column[3].value for column in group[1].value.value]

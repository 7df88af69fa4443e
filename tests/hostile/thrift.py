"""Thrift's compact protocol, as far as Parquet's footers and page headers need it: to forge what no writer writes.

A struct is a dict from field number to `Field`; equal structs give equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, _SET, _MAP, STRUCT = range(1, 13)


class Field(NamedTuple):
    """A value with its type."""

    type: int
    value: Any


Struct = dict[int, Field]


def i32(value: int) -> Field:
    return Field(I32, value)


def i64(value: int) -> Field:
    return Field(I64, value)


def text(value: str | bytes) -> Field:
    return Field(BINARY, value.encode() if isinstance(value, str) else value)


def struct(value: Mapping[int, Field]) -> Field:
    return Field(STRUCT, dict(value))


def items(values: Sequence[Field]) -> Field:
    """A list of values of one type."""
    return Field(LIST, Field(values[0].type if values else STRUCT, [value.value for value in values]))


def encode(value: Struct) -> bytes:
    """The bytes of a struct."""
    out, last = bytearray(), 0
    for number, field in value.items():
        step = number - last
        out += bytes([step << 4 | field.type]) if 0 < step < 16 else bytes([field.type]) + _zigzag(number)
        out += _encode(field)
        last = number
    return bytes(out) + b"\0"


def _encode(field: Field) -> bytes:
    kind, value = field
    if kind in (TRUE, FALSE):
        return b""
    if kind == BYTE:
        return bytes([value & 0xFF])
    if kind in (I16, I32, I64):
        return _zigzag(value)
    if kind == DOUBLE:
        return bytes(value)
    if kind == BINARY:
        return varint(len(value)) + value
    if kind == STRUCT:
        return encode(value)
    of, values = value
    size = len(values)
    head = bytes([size << 4 | of]) if size < 15 else bytes([0xF0 | of]) + varint(size)
    return head + b"".join(bytes([one]) if of in (TRUE, FALSE) else _encode(Field(of, one)) for one in values)


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def _zigzag(value: int) -> bytes:
    return varint(value << 1 if value >= 0 else (-value << 1) - 1)


def decode(data: bytes, at: int = 0) -> tuple[Struct, int]:
    """A struct and where it ends."""
    found: Struct = {}
    last = 0
    while data[at]:
        step, kind = data[at] >> 4, data[at] & 0xF
        at += 1
        if step:
            last += step
        else:
            last, at = _unzigzag(data, at)
        value, at = _decode(kind, data, at)
        found[last] = Field(kind, value)
    return found, at + 1


def _decode(kind: int, data: bytes, at: int) -> tuple[Any, int]:
    if kind in (TRUE, FALSE):
        return kind, at
    if kind == BYTE:
        return data[at], at + 1
    if kind in (I16, I32, I64):
        return _unzigzag(data, at)
    if kind == DOUBLE:
        return data[at : at + 8], at + 8
    if kind == BINARY:
        size, at = _unvarint(data, at)
        return data[at : at + size], at + size
    if kind == STRUCT:
        return decode(data, at)
    assert kind == LIST, kind
    size, of = data[at] >> 4, data[at] & 0xF
    at += 1
    if size == 15:
        size, at = _unvarint(data, at)
    values = []
    for _ in range(size):
        value, at = (data[at], at + 1) if of in (TRUE, FALSE) else _decode(of, data, at)
        values.append(value)
    return Field(of, values), at


def _unvarint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def _unzigzag(data: bytes, at: int) -> tuple[int, int]:
    value, at = _unvarint(data, at)
    return value >> 1 ^ -(value & 1), at

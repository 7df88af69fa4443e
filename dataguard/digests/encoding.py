"""The bytes of ``dg-row/1``, made for many values at once over Arrow buffers.

A value's encoding is a sequence of parts. Parts of fixed width that stand side by side are laid out as one table of
bytes and filled column by column; only bytes of varying length go through Arrow's join. No value becomes a Python
object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as pt

from dataguard.digests.canon import Kind, kind_of, sorted_fields

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Item = bytes | npt.NDArray[Any]

_NAN = np.array(0x7FF8000000000000, np.uint64).view(np.float64)
_DAY_MS = 86_400_000
_FRAME = 9  # tag and length
_UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


@dataclass(frozen=True)
class Fixed:
    """A part of the same width in every row.

    Args:
        items: one after the other: bytes equal in all rows, or an array with a number a row, written big-endian.
        present: rows that have the part; None for all.
    """

    items: tuple[Item, ...]
    present: Bools | None = None


Part: TypeAlias = Fixed | pa.LargeBinaryArray


@dataclass(frozen=True)
class Values:
    """Encoded values of one array; what stands under a null has no meaning.

    Args:
        tag: one byte, or an array of them where it differs by row.
        width: bytes of each value.
        body: the value: arrays of fixed width, or bytes.
    """

    tag: bytes | npt.NDArray[np.uint8]
    width: int | Ints
    body: tuple[npt.NDArray[Any], ...] | pa.LargeBinaryArray


def fields(columns: Iterable[tuple[bytes, pa.Array]]) -> list[Part]:
    """Parts of ``u16 len(name) | name | tag | u64 len(value) | value`` of each column, nulls left out.

    Args:
        columns: names and arrays of equal length, of types that `canon.describe` accepts, sorted by name.
    """
    parts: list[Part] = []
    for name, column in columns:
        array = _plain(column)
        values = _values(array)
        present = _valid(array)
        head = (len(name).to_bytes(2, "big") + name, *_frame(values.tag, values.width))
        if isinstance(values.body, tuple):
            parts.append(Fixed((*head, *values.body), present))
        else:
            parts += [Fixed(head, present), values.body]
    return parts


def join(parts: Sequence[Part], rows: int) -> pa.LargeBinaryArray:
    """Concatenate the parts of each row.

    Args:
        parts: of ``rows`` rows each.
        rows: how many.

    Returns:
        One value a row, none null.
    """
    if not rows:
        return pa.array([], pa.large_binary())
    arrays = [_table(part, rows) if isinstance(part, Fixed) else part for part in _merged(parts)]
    if all(array.null_count for array in arrays):
        # Arrow's join silently drops a row of which every part is null, so one part must be there everywhere.
        arrays.insert(0, _table(Fixed((b"",)), rows))
    if len(arrays) == 1:
        return arrays[0]
    # Made here: at import it would load pandas, which pyarrow looks for with its first scalar.
    nothing = pa.scalar(b"", pa.large_binary())
    return pc.binary_join_element_wise(*arrays, nothing, null_handling="skip")


def sizes(array: pa.Array) -> int | Ints:
    """About how many bytes each value's encoding takes, before anything is copied or expanded.

    Args:
        array: of a type that `canon.describe` accepts.

    Returns:
        int64 of the array's length, or one number for all.
    """
    data_type = array.type
    if pt.is_dictionary(data_type):
        known = sizes(array.dictionary)
        if isinstance(known, int):
            return known
        indices = array.indices.cast(pa.int64()).fill_null(len(array.dictionary)).to_numpy()
        by_index: Ints = np.append(known, 0)[indices]
        return by_index
    kind = kind_of(data_type)
    if kind in (Kind.STRING, Kind.BINARY):
        return _FRAME + _byte_lengths(array)
    if kind is Kind.LIST:
        known, offsets = sizes(array.flatten()), _item_offsets(array)
        if isinstance(known, int):
            return _FRAME + known * np.diff(offsets)
        return _FRAME + np.diff(np.insert(np.cumsum(known), 0, 0)[offsets])
    if kind is Kind.STRUCT:
        names = sum(2 + len(field.name.encode()) for field in array.type)
        return sum((sizes(child) for child in array.flatten()), _FRAME + names)
    return _FRAME + 12


def _byte_lengths(array: pa.Array) -> Ints:
    if pt.is_string_view(array.type) or pt.is_binary_view(array.type):
        # The length is the first of the four 32-bit words of a view: a cast would copy what many views share.
        lengths = _numbers(array, "V16").view(np.int32)[::4].astype(np.int64)
        present = _valid(array)
        return lengths if present is None else lengths * present
    return np.diff(_offsets(array.cast(pa.large_binary())))


def _plain(array: pa.Array) -> pa.Array:
    if not pt.is_dictionary(array.type):
        return array
    values = array.dictionary
    if pt.is_string_view(values.type) or pt.is_binary_view(values.type):  # Arrow's take lacks views
        values = values.cast(pa.large_string() if pt.is_string_view(values.type) else pa.large_binary())
    return values.take(array.indices)


def _valid(array: pa.Array) -> Bools | None:
    if not array.null_count:
        return None
    valid: Bools = array.is_valid().to_numpy(zero_copy_only=False)
    return valid


def _numbers(array: pa.Array, dtype: str) -> npt.NDArray[Any]:
    """The array's values as they lie in its buffer, without a copy; under a null stands anything."""
    wide = np.dtype(dtype)
    if not len(array):
        return np.empty(0, wide)
    return np.frombuffer(array.buffers()[1], wide, len(array), array.offset * wide.itemsize)


def _offsets(array: pa.LargeBinaryArray) -> Ints:
    if not len(array):
        return np.zeros(1, np.int64)
    return np.frombuffer(array.buffers()[1], np.int64, len(array) + 1, array.offset * 8)


def _item_offsets(array: pa.Array) -> Ints:
    """Where each list's items begin and end in ``array.flatten()``, which leaves out what stands under nulls."""
    lengths = pc.list_value_length(array).fill_null(0).to_numpy()
    return np.insert(np.cumsum(lengths, dtype=np.int64), 0, 0)


def _values(array: pa.Array) -> Values:
    kind = kind_of(array.type)
    assert kind is not None, "canon.describe was asked first"
    return _ENCODERS[kind](array, kind)


def _null(array: pa.Array, kind: Kind) -> Values:  # noqa: ARG001
    return Values(kind.value, 0, ())


def _bool(array: pa.Array, kind: Kind) -> Values:
    return Values(kind.value, 1, (_numbers(array.cast(pa.uint8()), "u1"),))


def _integer(array: pa.Array, kind: Kind) -> Values:
    signed = pt.is_signed_integer(array.type)
    numbers = _numbers(array, f"{'i' if signed else 'u'}{array.type.bit_width // 8}")
    if array.type != pa.uint64():
        return Values(kind.value, 8, (numbers.astype(np.int64),))
    above = numbers > np.iinfo(np.int64).max
    tag = (
        np.where(above, ord(Kind.UINT.value), ord(kind.value)).astype(np.uint8) if above.any() else kind.value
    )
    return Values(tag, 8, (numbers,))


def _float(array: pa.Array, kind: Kind) -> Values:
    with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN like any other
        numbers = _numbers(array, f"f{array.type.bit_width // 8}").astype(np.float64)
    nan = np.isnan(numbers)
    if nan.any():
        numbers[nan] = _NAN
    return Values(kind.value, 8, (numbers,))


def _date(array: pa.Array, kind: Kind) -> Values:
    days = _numbers(array, "i4") if pt.is_date32(array.type) else _numbers(array, "i8") // _DAY_MS
    return Values(kind.value, 8, (days.astype(np.int64),))


def _temporal(array: pa.Array, kind: Kind) -> Values:
    numbers = _numbers(array, f"i{array.type.bit_width // 8}").astype(np.int64)
    unit = _UNITS[array.type.unit]
    seconds = numbers // unit  # floors, so the rest is never negative
    nanos = (numbers - seconds * unit) * (_UNITS["ns"] // unit)
    return Values(kind.value, 12, (seconds, nanos.astype(np.uint32)))


def _bytes(array: pa.Array, kind: Kind) -> Values:
    values = array.cast(pa.large_binary())
    return Values(kind.value, np.diff(_offsets(values)), values)


def _list(array: pa.Array, kind: Kind) -> Values:
    items = _plain(array.flatten())
    encoded = join(_elements(items), len(items))
    offsets = _offsets(encoded)[_item_offsets(array)]
    return Values(kind.value, np.diff(offsets), _binary(offsets, encoded.buffers()[2], _valid(array)))


def _struct(array: pa.Array, kind: Kind) -> Values:
    children = array.flatten()
    encoded = join(
        fields((name, children[at]) for name, at, _ in sorted_fields(list(array.type))), len(array)
    )
    offsets = _offsets(encoded)
    return Values(kind.value, np.diff(offsets), _binary(offsets, encoded.buffers()[2], _valid(array)))


_ENCODERS: dict[Kind, Callable[[pa.Array, Kind], Values]] = {
    Kind.NULL: _null,
    Kind.BOOL: _bool,
    Kind.INT: _integer,
    Kind.FLOAT: _float,
    Kind.STRING: _bytes,
    Kind.BINARY: _bytes,
    Kind.DATE: _date,
    Kind.TIME: _temporal,
    Kind.DURATION: _temporal,
    Kind.TIMESTAMP: _temporal,
    Kind.INSTANT: _temporal,
    Kind.LIST: _list,
    Kind.STRUCT: _struct,
}


def _elements(items: pa.Array) -> list[Part]:
    """Parts of ``tag | u64 len(value) | value`` of each item; a null is tag n with nothing after its length."""
    values = _values(items)
    present = _valid(items)
    tag, width = values.tag, values.width
    if present is not None:
        tags = np.full(len(items), ord(tag), np.uint8) if isinstance(tag, bytes) else tag
        tag, width = np.where(present, tags, np.uint8(ord(Kind.NULL.value))), np.where(present, width, 0)
    head = Fixed(tuple(_frame(tag, width)))
    return [head, Fixed(values.body, present) if isinstance(values.body, tuple) else values.body]


def _frame(tag: bytes | npt.NDArray[np.uint8], width: int | Ints) -> tuple[Item, Item]:
    return tag, width.to_bytes(8, "big") if isinstance(width, int) else width


def _merged(parts: Iterable[Part]) -> list[Part]:
    """Put fixed parts that all rows have into one with the neighbour before them."""
    merged: list[Part] = []
    for part in parts:
        last = merged[-1] if merged else None
        if (
            isinstance(part, Fixed)
            and isinstance(last, Fixed)
            and part.present is None
            and last.present is None
        ):
            merged[-1] = Fixed((*last.items, *part.items))
        else:
            merged.append(part)
    return merged


def _table(part: Fixed, rows: int) -> pa.LargeBinaryArray:
    """Lay a fixed part out row by row: one template copied to every row, then the columns written over it."""
    template = b"".join(item if isinstance(item, bytes) else bytes(item.itemsize) for item in part.items)
    table = bytearray(template * rows)  # ten times faster than numpy broadcasts a short template
    at = 0
    for item in part.items:
        if isinstance(item, np.ndarray):
            np.ndarray((rows,), item.dtype.newbyteorder(">"), table, at, (len(template),))[:] = item
        at += item.itemsize if isinstance(item, np.ndarray) else len(item)
    offsets = np.arange(rows + 1, dtype=np.int64) * len(template)
    return _binary(offsets, pa.py_buffer(table), part.present)


def _binary(offsets: Ints, data: pa.Buffer, present: Bools | None) -> pa.LargeBinaryArray:
    bits = None if present is None else pa.py_buffer(np.packbits(present, bitorder="little"))
    return pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, [bits, pa.py_buffer(offsets), data])

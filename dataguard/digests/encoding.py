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

from dataguard.digests.canon import Kind, kind_of, meant, sorted_fields
from dataguard.records.normal import normal

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Item = bytes | npt.NDArray[Any]

_NAN = np.array(0x7FF8000000000000, np.uint64).view(np.float64)
_DAY_MS = 86_400_000
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


def _plain(array: pa.Array) -> pa.Array:
    """What an array stands for, where its layout is not that of its kind."""
    kind = array.type
    views = pt.is_list_view(kind) or pt.is_large_list_view(kind)
    return normal(array) if meant(kind) is not kind or views else array


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


def _decimal(array: pa.Array, kind: Kind) -> Values:
    """Scale, and the unscaled number in the widest of the widths: four words, the first with the sign."""
    width = array.type.bit_width // 8
    if width == 4:
        words = [_numbers(array, "i4").astype(np.int64).view(np.uint64)]
    else:
        table = _numbers(array, f"V{width}").view(np.uint64).reshape(len(array), width // 8)
        words = [table[:, number] for number in reversed(range(width // 8))]
    sign = (words[0].astype(np.int64) >> 63).astype(np.uint64)
    scale = np.full(len(array), array.type.scale, np.int32)
    return Values(kind.value, 36, (scale, *[sign] * (4 - len(words)), *words))


def _interval(array: pa.Array, kind: Kind) -> Values:
    parts = _numbers(array, "V16").view(np.dtype([("months", "i4"), ("days", "i4"), ("nanos", "i8")]))
    return Values(kind.value, 16, (parts["months"], parts["days"], parts["nanos"]))


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
    Kind.DECIMAL: _decimal,
    Kind.INTERVAL: _interval,
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

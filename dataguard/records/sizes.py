"""How many bytes values take once dictionaries, runs and views are written out, told before they are.

A few bytes of a file may stand for a terabyte: one long text under a million indices, a list of lists that all view
the same items. So nothing is written out before it is known how large it gets.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import types as pt

from dataguard.columns import is_string
from dataguard.records.normal import is_any_list, list_lengths, run_numbers, union_places

Ints = npt.NDArray[np.int64]
MOST = 1 << 48
"""Bytes above which nobody counts on: so sums of them stay below what 64 bits hold."""
_FRAME = 9
"""A tag and a length, as `dg-row/1` writes before each value."""


def sizes(array: pa.Array) -> int | Ints:
    """About how many bytes each value takes, written out and framed as `dg-row/1` does.

    Args:
        array: of any type, validated.

    Returns:
        int64 of the array's length, or one number for all.
    """
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return sizes(array.storage)
    if pt.is_dictionary(kind):
        return _by_index(sizes(array.dictionary), array.indices)
    if pt.is_run_end_encoded(kind):
        return _by_index(sizes(array.values), pa.array(run_numbers(array)))
    if is_string(kind) or pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_binary_view(kind):
        return _FRAME + _byte_lengths(array)
    if pt.is_fixed_size_binary(kind):
        return int(_FRAME + kind.byte_width)
    if pt.is_map(kind):
        keys, items = sizes(array.keys), sizes(array.items)
        return _FRAME + _between(_capped(keys + items + 4 * _FRAME), *_map_bounds(array))
    if pt.is_list_view(kind) or pt.is_large_list_view(kind):
        start = array.offsets.to_numpy().astype(np.int64)
        return _FRAME + _between(sizes(array.values), start, start + list_lengths(array))
    if is_any_list(kind) or pt.is_fixed_size_list(kind):
        ends = np.cumsum(_lengths(array), dtype=np.int64)
        return _FRAME + _between(sizes(array.flatten()), np.insert(ends, 0, 0)[:-1], ends)
    if pt.is_union(kind):
        return _union(array)
    if pt.is_struct(kind):
        names = sum(2 + len(field.name.encode()) for field in kind)
        return _capped(sum((sizes(child) for child in array.flatten()), _FRAME + names))
    if pt.is_decimal(kind):
        return _FRAME + 36
    return _FRAME + 16


def _lengths(array: pa.Array) -> Ints:
    if not pt.is_fixed_size_list(array.type):
        return list_lengths(array)
    present: Any = array.is_valid().to_numpy(zero_copy_only=False)
    return np.asarray(present, np.int64) * np.int64(array.type.list_size)


def _map_bounds(array: pa.Array) -> tuple[Ints, Ints]:
    offsets = array.offsets.to_numpy().astype(np.int64)
    return offsets[:-1], offsets[1:]


def _by_index(known: int | Ints, indices: pa.Array) -> int | Ints:
    if isinstance(known, int):
        return known
    plain = indices.cast(pa.int64()).fill_null(len(known)).to_numpy(zero_copy_only=False)
    by_index: Ints = np.append(known, 0)[plain]
    return by_index


def _between(known: int | Ints, start: Ints, end: Ints) -> Ints:
    """What the items from a start to an end take together."""
    if isinstance(known, int):
        return _counted(known * (end - start))
    totals = np.insert(np.cumsum(np.minimum(known, MOST), dtype=np.float64), 0, 0.0)
    return _counted(totals[end] - totals[start])


def _counted(found: npt.NDArray[Any]) -> Ints:
    return np.asarray(np.minimum(found, MOST), np.int64)


def _capped(found: int | Ints) -> int | Ints:
    return found if isinstance(found, int) else np.minimum(found, MOST)


def _union(array: pa.Array) -> Ints:
    codes, places = union_places(array)
    found = np.zeros(len(array), np.int64)
    for number, code in enumerate(array.type.type_codes):
        here = codes == code
        known = sizes(array.field(number))
        named = 2 * _FRAME + len(array.type.field(number).name.encode())
        found[here] = named + (known if isinstance(known, int) else known[places[here]])
    return found


def _byte_lengths(array: pa.Array) -> Ints:
    kind = array.type
    if not len(array):
        return np.zeros(0, np.int64)
    if pt.is_string_view(kind) or pt.is_binary_view(kind):
        # The length is the first of the four 32-bit words of a view: a cast would copy what many views share.
        views = np.frombuffer(array.buffers()[1], np.int32, 4 * len(array), 16 * array.offset)
        present: Any = array.is_valid().to_numpy(zero_copy_only=False)
        return views[::4].astype(np.int64) * np.asarray(present, np.int64)
    wide = np.int64 if pt.is_large_string(kind) or pt.is_large_binary(kind) else np.int32
    offsets = np.frombuffer(array.buffers()[1], wide, len(array) + 1, array.offset * np.dtype(wide).itemsize)
    return np.asarray(np.diff(offsets), np.int64)

"""The one layout that rules meet and that digests are of, whatever layout a file has.

Text is `large_string`, bytes `large_binary`, lists `large_list`. A dictionary, a run and a view are what they stand
for; an extension type is its storage; a map is a list of structs of `key` and `value`; a union is a struct of its
children, of which a value has the one that was chosen. Lists are put together here and not cast: pyarrow's cast of list
views loses items behind a null (seen in 26.0).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as pt

Bools = npt.NDArray[np.bool_]


def normal_type(kind: pa.DataType) -> pa.DataType:
    """The one layout that rules meet for a type."""
    if isinstance(kind, pa.BaseExtensionType):
        return normal_type(kind.storage_type)
    if pt.is_dictionary(kind) or pt.is_run_end_encoded(kind):
        return normal_type(kind.value_type)
    if pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind):
        return pa.large_string()
    if pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_binary_view(kind):
        return pa.large_binary()
    if pt.is_fixed_size_list(kind):
        return pa.list_(_normal_field(kind.value_field), kind.list_size)
    if pt.is_map(kind):
        entry = [pa.field("key", normal_type(kind.key_type)), pa.field("value", normal_type(kind.item_type))]
        return pa.large_list(pa.struct(entry))
    if is_any_list(kind):
        return pa.large_list(_normal_field(kind.value_field))
    if pt.is_struct(kind) or pt.is_union(kind):
        return pa.struct([_normal_field(kind.field(index)) for index in range(kind.num_fields)])
    return kind


def is_any_list(kind: pa.DataType) -> bool:
    """Whether values are lists of any length, views included; maps and lists of a fixed size are not meant."""
    return bool(
        pt.is_list(kind) or pt.is_large_list(kind) or pt.is_list_view(kind) or pt.is_large_list_view(kind)
    )


def expands(kind: pa.DataType) -> bool:
    """Whether a value may stand for more than lies in the file: dictionaries, runs and views, at any depth."""
    waiting = [kind]
    while waiting:
        here = waiting.pop()
        if isinstance(here, pa.BaseExtensionType):
            here = here.storage_type
        if pt.is_dictionary(here) or pt.is_run_end_encoded(here):
            return True
        if pt.is_string_view(here) or pt.is_binary_view(here):
            return True
        if pt.is_list_view(here) or pt.is_large_list_view(here) or pt.is_union(here):
            return True
        waiting += [here.field(index).type for index in range(here.num_fields)]
    return False


def _normal_field(field: pa.Field) -> pa.Field:
    return pa.field(field.name, normal_type(field.type), nullable=True)


def normal_schema(schema: pa.Schema) -> pa.Schema:
    """The schema as rules meet it, without metadata."""
    return pa.schema([_normal_field(field) for field in schema])


def normal(array: pa.Array) -> pa.Array:
    """The array in its `normal_type`.

    What dictionaries, runs and views stand for is written out: `sizes.sizes` says first how much that is.

    Raises:
        pa.ArrowException: a layout that pyarrow does not convert.
    """
    kind = array.type
    target = normal_type(kind)
    if isinstance(kind, pa.BaseExtensionType):
        return normal(array.storage)
    if kind == target:
        return array
    if pt.is_dictionary(kind):
        return normal(array.dictionary).take(array.indices)
    if pt.is_run_end_encoded(kind):
        return normal(array.values).take(pa.array(run_numbers(array)))
    if pt.is_union(kind):
        return _union(array, target)
    if pt.is_struct(kind):
        children = [normal(child) for child in array.flatten()]
        return _struct(children, target, _nulls(array), len(array))
    if pt.is_map(kind):
        return _map(array, target)
    if is_any_list(kind):
        return large_list(list_lengths(array), normal(array.flatten()), target, _nulls(array))
    if pt.is_fixed_size_list(kind):
        start = array.offset * kind.list_size
        items = normal(array.values.slice(start, len(array) * kind.list_size))
        bits = None if not array.null_count else pa.py_buffer(_packed(_nulls(array)))
        return pa.Array.from_buffers(target, len(array), [bits], children=[items])
    return array.cast(target)


def list_lengths(array: pa.Array) -> npt.NDArray[np.int64]:
    """How many items each list has, 0 for a null; int64 of the array's length."""
    lengths = pc.list_value_length(array).fill_null(0)
    return np.asarray(lengths.to_numpy(zero_copy_only=False), np.int64)


def large_list(
    lengths: npt.NDArray[np.int64], items: pa.Array, kind: pa.DataType, nulls: Bools | None
) -> pa.Array:
    """Lists of so many items each, one after the other."""
    offsets = np.insert(np.cumsum(lengths, dtype=np.int64), 0, 0)
    bits = None if nulls is None else pa.py_buffer(_packed(nulls))
    return pa.Array.from_buffers(kind, len(lengths), [bits, pa.py_buffer(offsets)], children=[items])


def run_numbers(array: pa.Array) -> npt.NDArray[np.int64]:
    """Which run each value is of; int64 of the array's length."""
    ends = array.run_ends.to_numpy()
    places = np.arange(array.offset, array.offset + len(array))
    return np.asarray(np.searchsorted(ends, places, side="right"), np.int64)


def union_places(array: pa.Array) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int32]]:
    """The type code of each of a union's values, and where it lies in its child as `array.field` gives that.

    From the buffers: pyarrow's own `type_codes` and `offsets` pass over where a slice begins (seen in 26.0).
    """
    if not len(array):
        return np.empty(0, np.int8), np.empty(0, np.int32)
    _, codes, *more = array.buffers()[:3]
    found = np.frombuffer(codes, np.int8, len(array), array.offset)
    if array.type.mode != "dense":  # a sparse child is cut as the union is
        return found, np.arange(len(array), dtype=np.int32)
    return found, np.frombuffer(more[0], np.int32, len(array), 4 * array.offset)


def _union(array: pa.Array, target: pa.DataType) -> pa.Array:
    codes, places = union_places(array)
    children = []
    for number, code in enumerate(array.type.type_codes):
        child = normal(array.field(number))
        children.append(child.take(pa.array(places, mask=codes != code)))
    return _struct(children, target, None, len(array))


def _map(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Entries as they lie in memory; what stands under a null or outside of a slice is left out."""
    entry = pa.struct([pa.field("key", array.type.key_type), pa.field("value", array.type.item_type)])
    bits, offsets = array.buffers()[:2]
    entries = pa.StructArray.from_arrays([array.keys, array.items], fields=list(entry))
    plain = pa.Array.from_buffers(
        pa.list_(entry), len(array), [bits, offsets], offset=array.offset, children=[entries]
    )
    return large_list(list_lengths(plain), normal(plain.flatten()), target, _nulls(array))


def _struct(children: list[pa.Array], kind: pa.DataType, nulls: Bools | None, length: int) -> pa.Array:
    bits = None if nulls is None else pa.py_buffer(_packed(nulls))
    return pa.Array.from_buffers(kind, length, [bits], children=children)


def _nulls(array: pa.Array) -> Bools | None:
    if not array.null_count:
        return None
    found: Any = array.is_null().to_numpy(zero_copy_only=False)
    return np.asarray(found, np.bool_)


def _packed(nulls: Bools | None) -> npt.NDArray[np.uint8]:
    assert nulls is not None
    return np.packbits(~nulls, bitorder="little")

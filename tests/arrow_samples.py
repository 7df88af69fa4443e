"""Arrow columns of all types, with random values, for tests of readers and digests."""

from __future__ import annotations

import decimal
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

ITEM = st.sampled_from(["", "a", "ä€😀", "x" * 300]) | st.none()
DECIMAL = st.decimals(-999, 999, places=2) | st.none()
STRUCT = st.fixed_dictionaries({"role": ITEM, "n": st.lists(st.integers(0, 9), max_size=2) | st.none()})
MAP = st.lists(st.tuples(st.text(max_size=2), st.integers(0, 9) | st.none()), max_size=3)

COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "int8": (pa.int8(), st.integers(-128, 127) | st.none()),
    "uint64": (pa.uint64(), st.integers(0, (1 << 64) - 1) | st.none()),
    "bool": (pa.bool_(), st.booleans() | st.none()),
    "float": (pa.float64(), st.floats(allow_nan=False) | st.none()),
    "half": (pa.float16(), st.floats(width=16, allow_nan=False) | st.none()),
    "date": (pa.date32(), st.dates() | st.none()),
    "time": (pa.timestamp("us", "UTC"), st.integers(-(10**15), 10**15) | st.none()),
    "clock": (pa.time64("ns"), st.integers(0, 86_399_999_999_999) | st.none()),
    "duration": (pa.duration("ms"), st.integers(-(10**9), 10**9) | st.none()),
    "string": (pa.string(), ITEM),
    "large_string": (pa.large_string(), ITEM),
    "view": (pa.string_view(), ITEM),
    "binary": (pa.binary(), st.binary(max_size=5) | st.none()),
    "binary_view": (pa.binary_view(), st.binary(max_size=30) | st.none()),
    "fixed": (pa.binary(3), st.binary(min_size=3, max_size=3) | st.none()),
    "dictionary": (pa.dictionary(pa.int16(), pa.string()), ITEM),
    "list": (pa.list_(pa.string()), st.lists(ITEM, max_size=3) | st.none()),
    "list_view": (pa.list_view(pa.string_view()), st.lists(ITEM, max_size=3) | st.none()),
    "large_list_view": (pa.large_list_view(pa.int16()), st.lists(st.integers(0, 9), max_size=3) | st.none()),
    "fixed_list": (
        pa.list_(pa.string(), 2),
        st.lists(st.sampled_from(["p", "q"]), min_size=2, max_size=2) | st.none(),
    ),
    "struct": (pa.struct([("role", pa.string()), ("n", pa.list_(pa.int64()))]), STRUCT | st.none()),
    "struct_of_views": (
        pa.struct([("role", pa.string_view()), ("n", pa.list_view(pa.int64()))]),
        STRUCT | st.none(),
    ),
    "map": (pa.map_(pa.string(), pa.int64()), MAP | st.none()),
    "lists_of_maps": (pa.list_(pa.map_(pa.string(), pa.int64())), st.lists(MAP, max_size=2) | st.none()),
    "decimal32": (pa.decimal32(6, 2), DECIMAL),
    "decimal64": (pa.decimal64(12, 2), DECIMAL),
    "decimal128": (pa.decimal128(30, 2), DECIMAL),
    "decimal256": (pa.decimal256(60, 2), DECIMAL),
    "interval": (
        pa.month_day_nano_interval(),
        st.tuples(st.integers(-9, 9), st.integers(-9, 9), st.integers(-(10**12), 10**12)) | st.none(),
    ),
    "uuid": (pa.uuid(), st.binary(min_size=16, max_size=16) | st.none()),
    "null": (pa.null(), st.none()),
}


@st.composite
def tables(draw: st.DrawFn, *, leave_out: tuple[str, ...] = ()) -> pa.Table:
    """Some columns of some rows."""
    known = sorted(set(COLUMNS) - set(leave_out))
    names = draw(st.lists(st.sampled_from(known), min_size=1, max_size=5, unique=True))
    rows = draw(st.integers(0, 40))
    found = {}
    for name in names:
        kind, values = COLUMNS[name]
        # Few values many times over, so that dictionaries and runs come about.
        pool = draw(st.lists(values, min_size=1, max_size=4))
        chosen = draw(st.lists(st.sampled_from(range(len(pool))), min_size=rows, max_size=rows))
        found[name] = array([pool[number] for number in chosen], kind)
    return pa.table(found)


def array(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Values in a layout that `pa.array` may not make at once."""
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode().cast(kind)
    return pa.array(values, kind)


def columns() -> pa.Table:
    """Three rows of every type that has a fixed sample: unions, runs, dictionaries of structs."""
    codes = pa.array([0, 1, 0], pa.int8())
    number, text = pa.array([1, None, 3]), pa.array(["a", "b", "c"])
    structs = pa.array([{"a": 1}, None, {"a": 2}])
    return pa.table(
        {
            "sparse": pa.UnionArray.from_sparse(codes, [number, text], ["number", "text"]),
            "dense": pa.UnionArray.from_dense(
                codes,
                pa.array([1, 0, 0], pa.int32()),
                [pa.array([1, 3]), text.cast(pa.string_view())],
                ["number", "text"],
            ),
            "runs": pa.RunEndEncodedArray.from_arrays([2, 3], pa.array(["x", None])),
            "runs_of_lists": pa.RunEndEncodedArray.from_arrays([1, 3], pa.array([["x", "y"], None])),
            "dictionary_of_structs": pa.DictionaryArray.from_arrays([1, 2, 0], structs),
            "dictionary_of_numbers": pa.DictionaryArray.from_arrays([1, None, 0], pa.array([5, 6])),
            "decimal": pa.array([decimal.Decimal("-1.50"), None, decimal.Decimal("99.99")]),
        }
    )


def plain(kind: pa.DataType, value: Any) -> Any:
    """A value of a type as the reader's own layout gives it to Python."""
    if isinstance(kind, pa.BaseExtensionType):
        return value.bytes if hasattr(value, "bytes") else value
    if value is None:
        return None
    if pa.types.is_map(kind):
        return [{"key": key, "value": item} for key, item in value]
    if pa.types.is_struct(kind):
        return {field.name: plain(field.type, value[field.name]) for field in kind}
    if kind.num_fields == 1 and isinstance(value, list):
        return [plain(kind.value_type, item) for item in value]
    return value


def same(read: pa.Table, table: pa.Table) -> bool:
    """Equal values, unions apart, which Python does not show by their child: those are checked by hand."""
    for field in table.schema:
        values = [plain(field.type, value) for value in table[field.name].to_pylist()]
        found = read[field.name].to_pylist()
        if pa.types.is_union(field.type):
            found = [next((item for item in value.values() if item is not None), None) for value in found]
        if repr(found) != repr(values):
            return False
    return read.column_names == table.column_names

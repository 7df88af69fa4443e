"""Record digests: the written format, its vectors, and that layout and cuts of the rows do not matter.

`meaning` and `encoded` are a second, slow implementation that follows docs/formats/dg-row-1.md and knows no Arrow.
Values stand in the notation of tests/vectors/dg-row-1.json, which the page explains.
"""

from __future__ import annotations

import copy
import decimal
import hashlib
import io
import itertools
import json
import math
import struct
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dataguard import digests
from dataguard.digests import canon
from dataguard.digests import rows as rows_module
from dataguard.digests.encoding import join
from dataguard.errors import ReadError

VECTORS = json.loads(Path(__file__).with_name("vectors").joinpath("dg-row-1.json").read_text("utf-8"))
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}

Type = Any  # as in the vectors: a name such as "int64", or {"list": "int64"} and the like


def meaning(data_type: Type, value: Any) -> tuple[str, Any]:
    """Tag and normal form of a value: equal exactly for values that the format holds equal."""
    if value is None:
        return "n", None
    if isinstance(data_type, dict):
        ((shape, inner),) = data_type.items()
        if shape in ("dictionary", "run_end_encoded"):
            return meaning(inner, value)
        if shape == "extension":
            return meaning(inner[1], value)
        if shape == "fixed_size_binary":
            return "x", value
        if shape == "map":
            return "l", [
                ("r", _present({"key": meaning(inner[0], key), "value": meaning(inner[1], item)}))
                for key, item in value
            ]
        if shape.endswith("union"):
            return "r", _present(
                {name: meaning(dict(map(tuple, inner))[name], item) for name, item in value.items()}
            )
        if shape == "struct":
            return "r", {name: meaning(of, value[name]) for name, of in inner if value[name] is not None}
        return "l", [meaning(inner[0] if shape == "fixed_size_list" else inner, item) for item in value]
    if data_type.startswith("decimal"):
        return "m", (int(data_type.removesuffix(")").partition(", ")[2]), int(value))
    if data_type.endswith("interval"):
        return "v", tuple(map(int, value))
    name, _, options = data_type.removesuffix("]").partition("[")
    unit, _, zone = options.partition(", ")
    match name.rstrip("0123456789"):
        case "bool":
            return "b", value
        case "int" | "uint":
            return ("u" if int(value) >= 2**63 else "i"), int(value)
        case "float":
            (number,) = struct.unpack({4: ">e", 8: ">f", 16: ">d"}[len(value)], bytes.fromhex(value))
            return "f", "7ff8000000000000" if math.isnan(number) else struct.pack(">d", number).hex()
        case "string" | "large_string" | "string_view":
            return "s", value
        case "binary" | "large_binary" | "binary_view":
            return "x", value
        case "date":
            return "d", int(value) // (1 if name == "date32" else 86_400_000)
        case _:
            tag = {"time": "c", "duration": "e", "timestamp": "z" if zone else "t"}[name.rstrip("0123456789")]
            return tag, int(value) * (10**9 // UNITS[unit])


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value[0] != "n"}


def encoded(tag: str, value: Any) -> bytes:
    """Bytes of what `meaning` gave."""
    match tag:
        case "n":
            return b""
        case "b":
            return bytes([value])
        case "i" | "d":
            return value.to_bytes(8, "big", signed=True)
        case "u":
            return value.to_bytes(8, "big")
        case "f" | "x":
            return bytes.fromhex(value)
        case "s":
            return value.encode()
        case "m":
            return value[0].to_bytes(4, "big", signed=True) + value[1].to_bytes(32, "big", signed=True)
        case "v":
            return b"".join(
                part.to_bytes(size, "big", signed=True) for part, size in zip(value, (4, 4, 8), strict=True)
            )
        case "l":
            return b"".join(framed(*item) for item in value)
        case "r":
            names = sorted(value, key=str.encode)
            return b"".join(with_u16(name.encode()) + framed(*value[name]) for name in names)
        case _:
            return (value // 10**9).to_bytes(8, "big", signed=True) + (value % 10**9).to_bytes(4, "big")


def with_u16(name: bytes) -> bytes:
    return len(name).to_bytes(2, "big") + name


def framed(tag: str, value: Any) -> bytes:
    body = encoded(tag, value)
    return tag.encode() + len(body).to_bytes(8, "big") + body


def record_encoding(columns: list[dict[str, Any]]) -> bytes:
    row = {column["name"]: meaning(column["type"], column["value"]) for column in columns}
    return encoded("r", {name: value for name, value in row.items() if value[0] != "n"})


def described(data_type: Type) -> bytes:
    """Canonical description of a type, for the schema digest."""
    if isinstance(data_type, dict):
        ((shape, inner),) = data_type.items()
        if shape in ("dictionary", "run_end_encoded"):
            return described(inner)
        if shape == "extension":
            return described(inner[1])
        if shape == "fixed_size_binary":
            return b"x"
        if shape == "map":
            return described({"list": {"struct": [["key", inner[0]], ["value", inner[1]]]}})
        if shape == "struct" or shape.endswith("union"):
            fields = sorted((name.encode(), of) for name, of in inner)
            return (
                b"r"
                + len(fields).to_bytes(4, "big")
                + b"".join(with_u16(n) + described(of) for n, of in fields)
            )
        return b"l" + described(inner[0] if shape == "fixed_size_list" else inner)
    if data_type.startswith("decimal"):
        return b"m" + int(data_type.removesuffix(")").partition(", ")[2]).to_bytes(4, "big", signed=True)
    if data_type.endswith("interval"):
        return b"v"
    zone = data_type.removesuffix("]").partition(", ")[2]
    if data_type == "null":
        return b"n"
    some = {
        "bool": False,
        "date32": "0",
        "date64": "0",
        "float16": "0000",
        "float32": "00000000",
        "float64": "0" * 16,
    }
    return meaning(data_type, some.get(data_type, "0"))[0].encode() + (
        with_u16(zone.encode()) if zone else b""
    )


def arrow_type(data_type: Type) -> pa.DataType:
    if isinstance(data_type, dict):
        ((shape, inner),) = data_type.items()
        match shape:
            case "dictionary":
                return pa.dictionary(pa.int32(), arrow_type(inner))
            case "fixed_size_binary":
                return pa.binary(inner)
            case "struct":
                return pa.struct([(name, arrow_type(of)) for name, of in inner])
            case "fixed_size_list":
                return pa.list_(arrow_type(inner[0]), inner[1])
            case "run_end_encoded":
                return pa.run_end_encoded(pa.int32(), arrow_type(inner))
            case "map":
                return pa.map_(arrow_type(inner[0]), arrow_type(inner[1]))
            case "sparse_union" | "dense_union":
                return getattr(pa, shape)([pa.field(name, arrow_type(of)) for name, of in inner])
            case "extension":
                return {"arrow.uuid": pa.uuid(), "arrow.json": pa.json_()}[inner[0]]
            case "list_view" | "large_list_view":
                return getattr(pa, shape)(arrow_type(inner))
            case "list":
                return pa.list_(arrow_type(inner))
            case _:
                return pa.large_list(arrow_type(inner))
    if data_type.startswith("decimal"):
        name, _, digits = data_type.removesuffix(")").partition("(")
        return getattr(pa, name)(*map(int, digits.split(", ")))
    name, _, options = data_type.removesuffix("]").partition("[")
    unit, _, zone = options.partition(", ")
    if name == "timestamp":
        return pa.timestamp(unit, zone or None)
    return getattr(pa, {"bool": "bool_"}.get(name, name))(*[unit] if unit else [])


def arrow_value(data_type: Type, value: Any) -> Any:
    """What pyarrow takes for a value in the notation of the vectors."""
    if value is None:
        return None
    if isinstance(data_type, dict):
        ((shape, inner),) = data_type.items()
        match shape:
            case "dictionary" | "run_end_encoded":
                return arrow_value(inner, value)
            case "extension":
                return arrow_value(inner[1], value)
            case "map":
                return [(arrow_value(inner[0], key), arrow_value(inner[1], item)) for key, item in value]
            case "fixed_size_binary":
                return bytes.fromhex(value)
            case "struct":
                return {name: arrow_value(of, value[name]) for name, of in inner}
            case _:
                return [
                    arrow_value(inner[0] if shape == "fixed_size_list" else inner, item) for item in value
                ]
    if data_type.startswith("decimal"):
        scale = int(data_type.removesuffix(")").partition(", ")[2])
        return decimal.Context(prec=80).scaleb(decimal.Decimal(int(value)), -scale)
    if data_type.endswith("interval"):
        return pa.MonthDayNano(list(map(int, value)))
    if "binary" in data_type:
        return bytes.fromhex(value)
    if data_type.startswith("float"):
        return np.frombuffer(bytes.fromhex(value)[::-1], f"<f{len(value) // 2}")[0]
    return value if data_type in ("bool", "string", "large_string", "string_view") else int(value)


def arrow_array(data_type: Type, values: list[Any]) -> pa.Array:
    array = _array(data_type, values)
    array.validate(full=True)
    return array


def _array(data_type: Type, values: list[Any]) -> pa.Array:
    if isinstance(data_type, dict):
        ((shape, inner),) = data_type.items()
        if shape == "run_end_encoded":  # runs of one, and of two where neighbours are equal
            ends = [
                at for at in range(1, len(values) + 1) if at == len(values) or values[at] != values[at - 1]
            ]
            return pa.RunEndEncodedArray.from_arrays(
                pa.array(ends, pa.int32()), _array(inner, [values[end - 1] for end in ends])
            )
        if shape.endswith("union"):
            return _union(shape, inner, values)
        if shape == "dictionary" and isinstance(inner, dict):
            return pa.DictionaryArray.from_arrays(
                pa.array(range(len(values)), pa.int32()), _array(inner, values)
            )
    return pa.array([arrow_value(data_type, value) for value in values], arrow_type(data_type))


def _union(shape: str, inner: list[Any], values: list[Any]) -> pa.Array:
    names = [name for name, _ in inner]
    chosen = [next(iter(value)) for value in values]
    codes = pa.array([names.index(name) for name in chosen], pa.int8())
    if shape == "sparse_union":
        children = [_array(of, [value.get(name) for value in values]) for name, of in inner]
        return pa.UnionArray.from_sparse(codes, children, names)
    counts = dict.fromkeys(names, 0)
    places = []
    for name in chosen:
        places.append(counts[name])
        counts[name] += 1
    children = [_array(of, [value[name] for value in values if name in value]) for name, of in inner]
    return pa.UnionArray.from_dense(codes, pa.array(places, pa.int32()), children, names)


def batch_of(columns: dict[str, tuple[Type, list[Any]]]) -> pa.RecordBatch:
    arrays = {name: arrow_array(of, values) for name, (of, values) in columns.items()}
    return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))


def expected_digests(columns: dict[str, tuple[Type, list[Any]]]) -> list[str]:
    count = len(next(iter(columns.values()))[1]) if columns else 0
    records = [
        [{"name": name, "type": of, "value": values[at]} for name, (of, values) in columns.items()]
        for at in range(count)
    ]
    return [hashlib.sha256(b"\x00" + record_encoding(record)).hexdigest() for record in records]


def hexes(found: np.ndarray) -> list[str]:
    return [row.tobytes().hex() for row in found]


def digests_of(array: pa.Array, name: str = "x") -> list[str]:
    return hexes(digests.record_digests(pa.record_batch({name: array})))


# ---- strategies: types, values, and the same values in another layout

TEXTS = st.one_of(
    st.sampled_from(["", "a", "bc", "abc", "é", "e\u0301", "\x00", "long enough to leave a view"]), st.text()
)
INTS = [f"{sign}int{width}" for sign in ("", "u") for width in (8, 16, 32, 64)]
FLOATS = {"float16": 4, "float32": 8, "float64": 16}
STRINGS = ["string", "large_string", "string_view"]
BINARIES = ["binary", "large_binary", "binary_view"]
TEMPORAL = ["time32[s]", "time32[ms]", "time64[us]", "time64[ns]"]
TEMPORAL += [f"{name}[{unit}]" for name in ("duration", "timestamp") for unit in UNITS]
TEMPORAL += ["timestamp[us, UTC]", "timestamp[ns, Asia/Tokyo]"]
DECIMALS = [
    "decimal32(9, 2)",
    "decimal64(18, 0)",
    "decimal128(38, 9)",
    "decimal256(76, 2)",
]
SCALARS = [
    *DECIMALS,
    "month_day_nano_interval",
    "null",
    "bool",
    *INTS,
    *FLOATS,
    *STRINGS,
    *BINARIES,
    "date32",
    "date64",
    *TEMPORAL,
]
NAMES = ["a", "ab", "b", "é", "z", ""]


def types(scalars: list[str] = SCALARS, *, shortest: int = 0, exotic: bool = True) -> st.SearchStrategy[Type]:
    def nested(inner: st.SearchStrategy[Type]) -> st.SearchStrategy[Type]:
        lists = [
            st.fixed_dictionaries({shape: inner})
            for shape in ("list", "large_list", *(("list_view", "large_list_view") if exotic else ()))
        ]
        if exotic:
            lists.append(st.fixed_dictionaries({"map": st.tuples(st.just("string"), inner).map(list)}))
        sized = st.fixed_dictionaries(
            {"fixed_size_list": st.tuples(inner, st.integers(shortest, 3)).map(list)}
        )
        fields = st.lists(
            st.tuples(st.sampled_from(NAMES[:5]), inner).map(list),
            min_size=1,
            max_size=3,
            unique_by=lambda field: field[0],
        )
        return st.one_of(*lists, sized, st.fixed_dictionaries({"struct": fields}))

    return st.recursive(st.sampled_from(scalars), nested, max_leaves=3)


def values(of: Type) -> st.SearchStrategy[Any]:
    if isinstance(of, dict):
        ((shape, inner),) = of.items()
        if shape == "struct":
            found = st.fixed_dictionaries({name: values(field) for name, field in inner})
        elif shape == "map":
            found = st.lists(st.tuples(TEXTS, values(inner[1])).map(list), max_size=3)
        elif shape in ("sparse_union", "dense_union"):
            return st.one_of(*(st.fixed_dictionaries({name: values(field)}) for name, field in inner))
        elif shape == "run_end_encoded":
            return values(inner)
        elif shape == "fixed_size_list":
            found = st.lists(values(inner[0]), min_size=inner[1], max_size=inner[1])
        else:
            found = st.lists(values(inner), max_size=3)
    elif of == "null":
        return st.none()
    elif of == "bool":
        found = st.booleans()
    elif of.startswith("decimal"):
        most = 10 ** int(of.partition("(")[2].partition(",")[0]) - 1
        found = st.one_of(st.sampled_from([0, 1, -1, most, -most]), st.integers(-most, most)).map(str)
    elif of.endswith("interval"):
        parts = [st.integers(-(2**31), 2**31 - 1)] * 2 + [st.integers(-(2**63), 2**63 - 1)]
        found = st.tuples(*parts).map(lambda found: list(map(str, found)))
    elif of in INTS:
        width = int(of.lstrip("uint"))
        low, high = (0, 2**width - 1) if of.startswith("u") else (-(2 ** (width - 1)), 2 ** (width - 1) - 1)
        found = st.one_of(st.sampled_from([0, 1, high, low]), st.integers(low, high)).map(str)
    elif of in FLOATS:
        width = FLOATS[of] * 4
        found = st.floats(width=width).map(
            lambda number: struct.pack({16: ">e", 32: ">f", 64: ">d"}[width], number).hex()
        )
    elif of in STRINGS:
        found = TEXTS
    elif of in BINARIES:
        found = st.binary(max_size=20).map(bytes.hex)
    elif of.startswith("date"):
        found = st.integers(-700_000, 2_900_000).map(
            lambda day: str(day * (1 if of == "date32" else 86_400_000))
        )
    elif of.startswith("time") and not of.startswith("timestamp"):
        found = st.integers(0, 86_400 * UNITS[of[7:-1]] - 1).map(str)
    else:
        found = st.integers(-(2**53), 2**53).map(str)
    return st.one_of(st.none(), found)


@st.composite
def tables(
    draw: st.DrawFn, kinds: st.SearchStrategy[Type], rows: tuple[int, int] = (0, 5), names: int = 6
) -> dict[str, tuple[Type, list[Any]]]:
    chosen = draw(st.lists(st.sampled_from(NAMES[:names]), min_size=1, max_size=4, unique=True))
    count = draw(st.integers(*rows))
    of = [draw(kinds) for _ in chosen]
    return {
        n: (t, draw(st.lists(values(t), min_size=count, max_size=count)))
        for n, t in zip(chosen, of, strict=True)
    }


@st.composite
def relaid(draw: st.DrawFn, of: Type, *, in_struct: bool = False) -> Type:
    """Another type that holds the same values."""
    if isinstance(of, dict):
        ((shape, inner),) = of.items()
        if shape == "struct":
            return {
                "struct": [
                    [name, draw(relaid(field, in_struct=True))]
                    for name, field in draw(st.permutations(inner))
                ]
            }
        if shape == "map":
            return {"map": [inner[0], draw(relaid(inner[1], in_struct=True))]}
        inner = inner[0] if shape == "fixed_size_list" else inner
        return {
            draw(st.sampled_from(["list", "large_list", "list_view", "large_list_view"])): draw(
                relaid(inner, in_struct=in_struct)
            )
        }
    for family in (STRINGS, BINARIES):
        if of in family:
            other = draw(st.sampled_from(family))
            # Under a null struct pyarrow makes indices into an empty dictionary, which full validation refuses.
            plain = in_struct or other.endswith("view") or draw(st.booleans())
            return other if plain else {"dictionary": other}
    if of.startswith("decimal"):
        return f"decimal256(76, {of.removesuffix(')').partition(', ')[2]})"
    if of in INTS:
        width = int(of.lstrip("uint"))
        wider = [
            other for other in INTS if int(other.lstrip("uint")) > width and (of[0] == "u" or other[0] != "u")
        ]
        return draw(st.sampled_from([of, *wider]))
    return of


# ---- the format


@pytest.mark.parametrize("vector", VECTORS["records"], ids=lambda vector: vector["about"])
def test_the_vectors_hold_for_both_implementations(vector: dict[str, Any]) -> None:
    assert record_encoding(vector["columns"]).hex() == vector["encoding"]
    assert hashlib.sha256(b"\x00" + bytes.fromhex(vector["encoding"])).hexdigest() == vector["digest"]
    columns = {column["name"]: (column["type"], [column["value"]]) for column in vector["columns"]}
    batch = batch_of({**columns, "~": ("null", [None])})  # without any column Arrow has no rows
    assert hexes(digests.record_digests(batch)) == [vector["digest"]]


@pytest.mark.parametrize("vector", VECTORS["schemas"], ids=lambda vector: vector["about"])
def test_the_schema_vectors_hold_for_both_implementations(vector: dict[str, Any]) -> None:
    fields = [(column["name"], column["type"]) for column in vector["columns"]]
    assert described({"struct": fields}).hex() == vector["description"]
    assert (
        hashlib.sha256(b"dg-schema/1\n" + bytes.fromhex(vector["description"])).hexdigest()
        == vector["digest"]
    )
    assert (
        digests.schema_digest(pa.schema([(n, arrow_type(of)) for n, of in fields])).hex() == vector["digest"]
    )


def test_the_page_shows_vectors_that_are_in_the_file() -> None:
    page = Path(__file__).parents[1].joinpath("docs", "formats", "dg-row-1.md").read_text("utf-8")
    shown = [
        word
        for word in page.replace("`", " ").split()
        if len(word) == 64 and set(word) <= set("0123456789abcdef")
    ]
    assert len(shown) >= 5
    assert set(shown) <= {vector["digest"] for kind in ("records", "schemas") for vector in VECTORS[kind]} | {
        vector["root"] for kind in ("trees", "files", "datasets") for vector in VECTORS[kind]
    }


@settings(deadline=None, max_examples=300)
@given(tables(types()))
def test_digests_equal_the_slow_implementation(columns: dict[str, tuple[Type, list[Any]]]) -> None:
    batch = batch_of(columns)
    assert hexes(digests.record_digests(batch)) == expected_digests(columns)
    described_schema = described({"struct": [(name, of) for name, (of, _) in columns.items()]})
    assert digests.schema_digest(batch.schema) == hashlib.sha256(b"dg-schema/1\n" + described_schema).digest()


# ---- layout and cuts do not matter


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_layout_offsets_and_order_of_columns_do_not_matter(data: st.DataObject) -> None:
    columns = data.draw(tables(types()))
    rows = len(next(iter(columns.values()))[1])
    before, after = data.draw(st.integers(0, 9)), data.draw(st.integers(0, 2))
    other = {}
    for name in data.draw(st.permutations(list(columns))):
        of, kept = columns[name]
        junk = data.draw(st.lists(values(of), min_size=before + after, max_size=before + after))
        other[name] = (data.draw(relaid(of)), [*junk[:before], *kept, *junk[before:]])
    sliced = batch_of(other).slice(before, rows)
    assert hexes(digests.record_digests(sliced)) == expected_digests(columns)


@settings(deadline=None, max_examples=50)
@given(tables(types(), rows=(0, 12)), st.lists(st.integers(0, 12)), st.integers(1, 200))
def test_cuts_do_not_matter(columns: dict[str, tuple[Type, list[Any]]], cuts: list[int], chunk: int) -> None:
    batch = batch_of(columns)
    bounds = sorted({0, batch.num_rows, *(cut for cut in cuts if cut < batch.num_rows)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows_module, "CHUNK_BYTES", chunk)
        patch.setattr(rows_module, "CHUNK_BYTES_BY_FIELD", 0)
        found = [digests.record_digests(batch.slice(a, b - a)) for a, b in itertools.pairwise(bounds)]
    assert [row for part in found for row in hexes(part)] == expected_digests(columns)


# pyarrow 26 aborts the process when it writes lists of size 0, or views in a struct by content-defined chunks.
PARQUET = [
    scalar
    for scalar in SCALARS
    if not scalar.endswith(("view", "interval")) and not scalar.startswith(("decimal32", "decimal64"))
]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_rewrites_by_pyarrow_do_not_matter(data: st.DataObject) -> None:
    columns = data.draw(tables(types(PARQUET, shortest=1, exotic=False)))
    batch = batch_of(columns)
    options = {
        "compression": data.draw(st.sampled_from(["none", "zstd"])),
        "use_dictionary": data.draw(st.booleans()),
        "data_page_version": data.draw(st.sampled_from(["1.0", "2.0"])),
        "row_group_size": data.draw(st.integers(1, 7)),
        "use_content_defined_chunking": data.draw(st.booleans()),
        "store_schema": True,
    }
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_batches([batch]), sink, **options)
    names = [
        name for name, (of, _) in columns.items() if of in (*STRINGS, *BINARIES) and data.draw(st.booleans())
    ]
    read = pq.ParquetFile(sink, read_dictionary=names).iter_batches(batch_size=3)
    assert [row for part in read for row in hexes(digests.record_digests(part))] == expected_digests(columns)


POLARS = [
    "decimal128(38, 9)",
    "decimal128(12, 0)",
    "null",
    "bool",
    *INTS,
    "float32",
    "float64",
    "string",
    "large_string",
    "binary",
    "date32",
]
POLARS += [
    "time64[ns]",
    "duration[ms]",
    "duration[us]",
    "timestamp[ms]",
    "timestamp[us]",
    "timestamp[us, UTC]",
]


@settings(deadline=None, max_examples=60)
@given(tables(types(POLARS, shortest=1, exotic=False), names=5))
def test_rewrites_by_polars_do_not_matter(columns: dict[str, tuple[Type, list[Any]]]) -> None:
    frame = pl.from_arrow(pa.Table.from_batches([batch_of(columns)]))
    streamed = pa.RecordBatchReader.from_stream(frame)
    sink = io.BytesIO()
    frame.write_parquet(sink, row_group_size=3)
    for read in (streamed, pq.ParquetFile(sink).iter_batches(batch_size=2)):
        assert [row for part in read for row in hexes(digests.record_digests(part))] == expected_digests(
            columns
        )


DUCKDB = [
    "decimal128(38, 9)",
    "bool",
    *INTS,
    "float32",
    "float64",
    "string",
    "large_string",
    "binary",
    "date32",
]
DUCKDB += ["timestamp[us]", "timestamp[us, UTC]"]


@settings(deadline=None, max_examples=40)
@given(tables(types(DUCKDB, shortest=1, exotic=False), names=5))
def test_rewrites_by_duckdb_do_not_matter(columns: dict[str, tuple[Type, list[Any]]]) -> None:
    # pyarrow 26 cannot read null lists of a fixed size as duckdb 2.0 writes them.
    assume("fixed_size_list" not in str([of for of, _ in columns.values()]))
    batch = batch_of(columns)
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as database:
        path = Path(folder) / "written.parquet"
        database.execute("SET preserve_insertion_order = true")
        database.register("given", pa.Table.from_batches([batch]))
        database.table("given").write_parquet(str(path), compression="zstd", row_group_size=2048)
        read = pq.ParquetFile(path).iter_batches(batch_size=2)
        assert [row for part in read for row in hexes(digests.record_digests(part))] == expected_digests(
            columns
        )


@pytest.mark.parametrize("layout", ["dictionary", "view", "dictionary in a list"])
def test_a_cell_shared_by_many_rows_is_never_written_out_for_all_of_them(
    layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, rows = "x" * (1 << 20), 100
    array: pa.Array = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int8()), pa.array([cell]))
    if layout == "view":
        _, view, data = pa.array([cell]).cast(pa.string_view()).buffers()
        repeated = pa.py_buffer(view.to_pybytes()[:16] * rows)
        array = pa.Array.from_buffers(pa.string_view(), rows, [None, repeated, data])
    elif layout == "dictionary in a list":
        array = pa.ListArray.from_arrays(pa.array(range(rows + 1), pa.int32()), array)
    joined = []

    def join_and_note(*args: Any) -> pa.LargeBinaryArray:
        joined.append(join(*args))
        return joined[-1]

    monkeypatch.setattr(rows_module, "join", join_and_note)
    of, value = ({"list": "string"}, [cell]) if layout == "dictionary in a list" else ("string", cell)
    assert digests_of(array) == expected_digests({"x": (of, [value])}) * rows
    assert max(message.nbytes for message in joined) < 3 << 20


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_unions_and_runs_are_what_they_stand_for(data: st.DataObject) -> None:
    inner = data.draw(types(["int8", "string", "string_view", "decimal128(38, 9)"], shortest=1))
    shape = data.draw(st.sampled_from(["sparse_union", "dense_union", "run_end_encoded"]))
    of = {shape: inner if shape == "run_end_encoded" else [["a", inner], ["b", "string"]]}
    found = data.draw(st.lists(values(of), min_size=1, max_size=6))
    start = data.draw(st.integers(0, len(found) - 1))
    array = arrow_array(of, found).slice(start)
    assert digests_of(array) == expected_digests({"x": (of, found[start:])})


# ---- what must differ does


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_rows_have_equal_digests_exactly_when_they_mean_the_same(data: st.DataObject) -> None:
    kinds = types(["int8", "uint64", "string", "binary", "float32", "bool", "null", "decimal32(3, 1)"])
    pair = [data.draw(tables(kinds, rows=(1, 1))) for _ in range(2)]
    if data.draw(st.booleans()):  # the same columns with other values: nearer to equal
        pair[1] = {name: (of, [data.draw(values(of))]) for name, (of, _) in pair[0].items()}
    means = [
        {name: mean for name, (of, row) in table.items() if (mean := meaning(of, row[0]))[0] != "n"}
        for table in pair
    ]
    found = [hexes(digests.record_digests(batch_of(table))) for table in pair]
    assert (found[0] == found[1]) == (means[0] == means[1])


DIFFERENT: dict[str, list[dict[str, tuple[Type, Any]]]] = {
    "bytes move between names, values and columns": [
        {"a": ("string", "bc")},
        {"ab": ("string", "c")},
        {"a": ("string", "b"), "c": ("string", "")},
        {"a": ("string", ""), "b": ("string", "c")},
        {"a": ("string", "b"), "b": ("string", "c")},
        {"a": ("string", "c"), "b": ("string", "b")},
    ],
    "kinds": [
        {"x": (of, value)}
        for of, value in [
            ("string", "1"), ("binary", "31"), ("int8", "1"), ("bool", True), ("float32", "3f800000"),
            ("date32", "1"), ("time32[s]", "1"), ("duration[s]", "1"), ("timestamp[s]", "1"), ("timestamp[s, UTC]", "1"),
            ("decimal128(3, 0)", "1"), ("decimal128(3, 1)", "1"), ("decimal128(3, 1)", "10"),
            ("month_day_nano_interval", ["1", "0", "0"]), ("month_day_nano_interval", ["0", "1", "0"]),
            ({"list": "int8"}, ["1"]), ({"struct": [["x", "int8"]]}, {"x": "1"}),
        ]
    ],
    "nothing in several ways": [
        {},
        {"x": ("string", "")},
        {"x": ("binary", "")},
        {"x": ({"list": "string"}, [])},
        {"x": ({"list": "string"}, [None])},
        {"x": ({"list": "string"}, [None, None])},
        {"x": ({"list": "string"}, [""])},
        {"x": ({"list": {"list": "string"}}, [[]])},
        {"x": ({"struct": [["y", "string"]]}, {"y": None})},
        {"x": ({"list": {"struct": [["y", "string"]]}}, [{"y": None}])},
    ],
    "numbers that look alike": [
        *({"x": ("float64", bits)} for bits in ("0000000000000000", "8000000000000000", "7ff0000000000000", "7ff8000000000000")),
        {"x": ("int64", "-1")},
        {"x": ("uint64", str(2**64 - 1))},
        {"x": ("uint64", str(2**63))},
        {"x": ("int64", str(-(2**63)))},
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", DIFFERENT)
def test_rows_that_differ_have_different_digests(case: str) -> None:
    batches = [
        batch_of({name: (of, [value]) for name, (of, value) in row.items()}) for row in DIFFERENT[case] if row
    ]
    found = [hexes(digests.record_digests(batch))[0] for batch in batches]
    if {} in DIFFERENT[case]:
        found.append(hashlib.sha256(b"\x00").hexdigest())
    assert len(set(found)) == len(DIFFERENT[case])


EQUAL: dict[str, list[tuple[Type, Any]]] = {
    "float widths": [("float16", "3e00"), ("float32", "3fc00000"), ("float64", "3ff8000000000000")],
    "NaNs": [("float64", "7ff8000000000000"), ("float64", "fff0000000000123"), ("float32", "7fa00001"), ("float16", "fe01")],
    "integer widths": [(of, "100") for of in INTS],
    "units": [("timestamp[s]", "-1"), ("timestamp[ms]", "-1000"), ("timestamp[us]", "-1000000"), ("timestamp[ns]", "-1000000000")],
    "zones of one instant": [("timestamp[s, UTC]", "5"), ("timestamp[ms, Asia/Tokyo]", "5000")],
    "widths of decimals": [(f"decimal{width}(9, 2)", "-150") for width in (32, 64, 128, 256)],
    "maps and lists of entries": [
        ({"map": ["string", "int8"]}, [["a", "1"], ["b", None]]),
        ({"list": {"struct": [["value", "int64"], ["key", "string"]]}}, [{"key": "a", "value": "1"}, {"key": "b", "value": None}]),
    ],
    "unions and structs of the child that is there": [
        ({"sparse_union": [["n", "int8"], ["t", "string"]]}, {"t": "x"}),
        ({"dense_union": [["t", "string_view"], ["n", "int8"]]}, {"t": "x"}),
        ({"struct": [["n", "int8"], ["t", "string"]]}, {"n": None, "t": "x"}),
    ],
    "runs, dictionaries and storage": [
        ({"fixed_size_binary": 16}, "00" * 16),
        ({"extension": ["arrow.uuid", {"fixed_size_binary": 16}]}, "00" * 16),
        ({"run_end_encoded": "binary_view"}, "00" * 16),
        ({"dictionary": "binary"}, "00" * 16),
    ],
    "dates": [("date32", "-3"), ("date64", str(-3 * 86_400_000))],
}  # fmt: skip


@pytest.mark.parametrize("case", EQUAL)
def test_values_that_are_equal_have_equal_digests(case: str) -> None:
    assert len({digests_of(arrow_array(of, [value]))[0] for of, value in EQUAL[case]}) == 1


def test_columns_left_out_do_not_count() -> None:
    batch = pa.record_batch({"id": [1, 2], "text": ["same", "same"], "odd": pa.array([1, 2])})
    found = hexes(digests.content_digests(batch, frozenset({"id", "odd", "absent"})))
    assert found == digests_of(pa.array(["same", "same"]), "text")


def test_a_batch_without_columns_or_rows() -> None:
    assert digests.record_digests(pa.record_batch({})).shape == (0, 32)
    assert digests.record_digests(pa.record_batch({"x": pa.array([], pa.string())})).shape == (0, 32)
    assert digests_of(pa.array([None], pa.null())) == [hashlib.sha256(b"\x00").hexdigest()]


# ---- what is refused


@pytest.mark.parametrize(
    "wrap", [lambda of: of, pa.list_, lambda of: pa.struct([("inner", of)])], ids=["column", "list", "struct"]
)
def test_a_type_without_an_encoding_is_refused_by_name(wrap: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every type of today has one; those of tomorrow have none."""
    of = pa.decimal128(9, 2)
    monkeypatch.setattr(
        canon, "_KINDS", tuple(kind for kind in canon._KINDS if kind[1] is not canon.Kind.DECIMAL)
    )
    schema = pa.schema([("fine", pa.int64()), ("odd", wrap(of))])
    batch = pa.record_batch([pa.nulls(1, field.type) for field in schema], schema=schema)
    for refused in (lambda: digests.record_digests(batch), lambda: digests.schema_digest(schema)):
        with pytest.raises(digests.UnsupportedTypeError, match="'odd'") as caught:
            refused()
        assert caught.value.rule == "DG503"
        assert str(of)[:20] in caught.value.problem
        assert (
            copy.copy(caught.value).problem == caught.value.problem
        )  # it crosses from a worker to its parent


@pytest.mark.parametrize(
    "wrap",
    [lambda fields: fields, lambda fields: [pa.field("s", pa.struct(fields))]],
    ids=["column", "struct"],
)
def test_a_name_that_stands_twice_is_refused(wrap: Any) -> None:
    schema = pa.schema(
        wrap([pa.field("a", pa.int64()), pa.field("b", pa.int64()), pa.field("a", pa.int64())])
    )
    batch = pa.record_batch([pa.nulls(1, field.type) for field in schema], schema=schema)
    with pytest.raises(ReadError, match=r"'a'.* twice") as caught:
        digests.record_digests(batch)
    assert caught.value.rule == "DG507"


def test_a_name_with_nul_is_refused() -> None:
    for array in (pa.array([1]), pa.array([{"inner\x00": 1}])):
        with pytest.raises(ReadError, match="NUL") as caught:
            digests_of(array, "x" if pa.types.is_struct(array.type) else "x\x00")
        assert caught.value.rule == "DG507"


def forged(schema: pa.Schema) -> pa.Schema:
    """The schema with QQQQ, wherever it stands, made bytes that are not UTF-8."""
    return pa.ipc.read_schema(pa.py_buffer(schema.serialize().to_pybytes().replace(b"QQQQ", b"Q\xff\xffQ")))


@pytest.mark.parametrize(
    "field",
    [
        pa.field("QQQQ", pa.int8()),
        pa.field("a", pa.struct([("QQQQ", pa.int8())])),
        pa.field("a", pa.timestamp("s", "QQQQ")),
    ],
    ids=["column", "field of a struct", "zone"],
)
def test_names_that_are_not_utf8_are_refused(field: pa.Field) -> None:
    with pytest.raises(ReadError, match="UTF-8") as caught:
        digests.schema_digest(forged(pa.schema([field])))
    assert caught.value.rule == "DG503"


def test_names_too_long_for_the_format_are_refused() -> None:
    digests_of(pa.array([1]), "n" * 0xFFFF)
    with pytest.raises(ReadError, match="65535"):
        digests_of(pa.array([1]), "n" * 0x10000)


def test_nesting_too_deep_is_refused_alike_for_rows_and_schema() -> None:
    deep = pa.int8()
    for _ in range(63):
        deep = pa.list_(deep)
    digests_of(pa.nulls(1, deep))
    digests.schema_digest(pa.schema([("x", deep)]))
    deeper = pa.nulls(1, pa.list_(deep))
    for refused in (
        lambda: digests_of(deeper),
        lambda: digests.schema_digest(pa.schema([("x", deeper.type)])),
    ):
        with pytest.raises(ReadError, match="64") as caught:
            refused()
        assert caught.value.rule == "DG504"


def bad_utf8(of: pa.DataType) -> pa.Array:
    if pa.types.is_string_view(of):
        return pa.Array.from_buffers(of, 1, [None, pa.py_buffer(b"\x01\0\0\0\xff" + b"\0" * 11)])
    width = np.int64 if pa.types.is_large_string(of) else np.int32
    return pa.Array.from_buffers(of, 1, [None, pa.py_buffer(np.array([0, 1], width)), pa.py_buffer(b"\xff")])


@pytest.mark.parametrize("of", STRINGS)
def test_full_validation_finds_bad_utf8_wherever_it_stands(of: str) -> None:
    """`record_digests` relies on it: should Arrow stop looking into children, this says so."""
    bad = bad_utf8(arrow_type(of))
    one = pa.array([0, 1], pa.int32())
    cases = [bad, pa.StructArray.from_arrays([bad], ["s"]), pa.ListArray.from_arrays(one, bad)]
    cases.append(pa.DictionaryArray.from_arrays(pa.array([0], pa.int8()), bad, safe=False))
    for array in [*cases, pa.ListArray.from_arrays(one, cases[-1])]:
        with pytest.raises(pa.ArrowInvalid, match="UTF8"):
            pa.record_batch({"x": array}).validate(full=True)

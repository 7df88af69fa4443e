"""Parquet is what pyarrow's own table reader says, whatever the batches; what a file claims is held against it."""

from __future__ import annotations

import datetime
import decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataguard.config import Limits
from dataguard.errors import ReadError
from dataguard.records import Inspection
from dataguard.records.normal import normal_schema
from hostile import parquet_forge as forge
from hostile.thrift import Struct, i64, struct, text
from reading import batches, inspect, records

ITEM = st.sampled_from(["", "a", "ä€😀", "x" * 300]) | st.none()
COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "int8": (pa.int8(), st.integers(-128, 127) | st.none()),
    "uint64": (pa.uint64(), st.integers(0, (1 << 64) - 1) | st.none()),
    "bool": (pa.bool_(), st.booleans() | st.none()),
    "float": (pa.float64(), st.floats() | st.none()),
    "half": (pa.float16(), st.floats(width=16, allow_nan=False) | st.none()),
    "date": (pa.date32(), st.dates() | st.none()),
    "time": (pa.timestamp("us", "UTC"), st.integers(-(10**16), 10**16) | st.none()),
    "string": (pa.string(), ITEM),
    "large_string": (pa.large_string(), ITEM),
    "view": (pa.string_view(), ITEM),
    "binary": (pa.binary(), st.binary(max_size=5) | st.none()),
    "fixed": (pa.binary(3), st.binary(min_size=3, max_size=3) | st.none()),
    "dictionary": (pa.dictionary(pa.int16(), pa.string()), ITEM),
    "dictionary_of_ints": (pa.dictionary(pa.int8(), pa.int64()), st.integers(0, 3) | st.none()),
    "list": (pa.list_(pa.string()), st.lists(ITEM, max_size=3) | st.none()),
    "lists": (
        pa.large_list(pa.list_(pa.int32())),
        st.lists(st.lists(st.integers(0, 9) | st.none()) | st.none()) | st.none(),
    ),
    "fixed_list": (pa.list_(pa.float32(), 2), st.lists(st.floats(width=32), min_size=2, max_size=2)),
    "struct": (
        pa.struct([("role", pa.string()), ("n", pa.list_(pa.int64()))]),
        st.fixed_dictionaries({"role": ITEM, "n": st.lists(st.integers(0, 9), max_size=2) | st.none()})
        | st.none(),
    ),
    "messages": (
        pa.list_(pa.struct([("role", pa.dictionary(pa.int32(), pa.string())), ("content", pa.string())])),
        st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": ITEM}), min_size=1, max_size=3),
    ),
    "null": (pa.null(), st.none()),
}


@st.composite
def _tables(draw: st.DrawFn) -> pa.Table:
    names = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=4, unique=True))
    rows = draw(st.integers(0, 40))
    columns = {}
    for name in names:
        kind, values = COLUMNS[name]
        # Few values many times over, so that dictionaries and runs come about.
        pool = draw(st.lists(values, min_size=1, max_size=4))
        chosen = draw(st.lists(st.sampled_from(range(len(pool))), min_size=rows, max_size=rows))
        given = [pool[number] for number in chosen]
        if pa.types.is_dictionary(kind):
            columns[name] = pa.array(given, kind.value_type).dictionary_encode().cast(kind)
        else:
            columns[name] = pa.array(given, kind)
    return pa.table(columns)


def _equal(one: pa.Table, other: pa.Table) -> bool:
    """Equal values, where NaN equals NaN."""
    return repr(one.to_pylist()) == repr(other.to_pylist())


@given(
    table=_tables(),
    group=st.integers(1, 50),
    rows=st.integers(1, 50),
    batch_bytes=st.sampled_from([1, 100, 1 << 24]),
    version=st.sampled_from(["1.0", "2.0"]),
    dictionaries=st.booleans(),
    stored=st.booleans(),
)
def test_batches_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory,
    table: pa.Table,
    group: int,
    rows: int,
    batch_bytes: int,
    version: str,
    dictionaries: bool,
    stored: bool,
) -> None:
    path = tmp_path_factory.mktemp("tables") / "file.parquet"
    pq.write_table(
        table,
        path,
        row_group_size=group,
        data_page_version=version,
        use_dictionary=dictionaries,
        store_schema=stored,
        write_page_checksum=True,
    )
    expected = pq.read_table(path)
    found = batches(path, Limits(batch_bytes=batch_bytes), rows=rows)
    numbers = [number for number, _, _ in found]
    assert numbers == sorted(numbers)
    assert [first for _, first, _ in found] == [
        sum(d.num_rows for _, _, d in found[:n]) for n in range(len(found))
    ]
    schema = normal_schema(expected.schema)
    assert all(data.schema == schema and 0 < data.num_rows <= rows for _, _, data in found)
    inspected = inspect(path)[0]
    assert inspected.schema == schema
    assert Inspection.from_json(inspected.to_json()) == inspected
    assert _equal(pa.Table.from_batches([data for _, _, data in found], schema=schema), expected)


def test_a_slice_of_row_groups_has_their_rows_and_numbers(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({"n": range(100)}), path, row_group_size=9)
    found = batches(path, groups=(3, 6), rows=4)
    assert [group for group, _, _ in found] == [3, 3, 3, 4, 4, 4, 5, 5, 5]
    assert [n for _, _, data in found for n in data["n"].to_pylist()] == list(range(27, 54))
    assert [first for _, first, _ in found] == [27, 31, 35, 36, 40, 44, 45, 49, 53]


def test_dictionaries_are_never_unpacked_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    values = ["x" * 100_000, "y"]
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1] * 1_000, pa.int32()), values)
    for name, table in {
        "stored": pa.table({"t": column}),
        "chosen": pa.table({"t": column.cast(pa.string())}),
        "in structs": pa.table({"t": pa.StructArray.from_arrays([column], ["s"])}),
        "in lists": pa.table(
            {"t": pa.ListArray.from_arrays(pa.array(range(0, 2001, 2), pa.int32()), column)}
        ),
    }.items():
        pq.write_table(table, path)
        sizes = [data.nbytes for _, _, data in batches(path, Limits(batch_bytes=1 << 20))]
        assert sum(sizes) > 100_000_000, name
        assert max(sizes) < 4 << 20, name


def test_budgets_are_per_file_and_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({"t": ["x" * 1_000] * 10_000}), path)
    size = path.stat().st_size
    assert len(records(path, Limits(decoded_bytes=11_000_000))) == 10_000
    with pytest.raises(ReadError, match="decodes to more than") as caught:
        records(path, Limits(decoded_bytes=9_000_000, decoded_ratio=1))
    assert caught.value.rule == "DG504"
    assert len(records(path, Limits(decoded_bytes=1, decoded_ratio=11_000_000 // size))) == 10_000


def test_a_claim_beyond_the_budget_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({"n": pa.nulls(1_000_000, pa.int64())}), path)
    found, _ = inspect(path, Limits(decoded_bytes=1 << 20))
    assert found.refused is not None
    assert (found.refused.rule, found.schema) == ("DG504", None)
    assert inspect(path, Limits(decoded_bytes=25 << 20))[0].refused is None


def test_cells_are_bounded_wherever_they_are(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    big = "x" * 3_000
    inner = pa.array([["a", big]], pa.list_(pa.string()))
    for column in (
        pa.array([big]),
        pa.array([big.encode()]),
        pa.array([big]).dictionary_encode(),
        inner,
        pa.StructArray.from_arrays([inner], ["s"]),
        pa.array([big.encode()], pa.binary(3_000)),
    ):
        pq.write_table(pa.table({"c": column}), path)
        assert len(records(path, Limits(cell_bytes=3_000))) == 1
        found, _ = inspect(path, Limits(cell_bytes=2_999))
        if found.refused is None:
            with pytest.raises(ReadError) as caught:
                records(path, Limits(cell_bytes=2_999))
            assert caught.value.rule == "DG504"
        else:
            assert found.refused.rule == "DG504"


@pytest.mark.parametrize(
    "column",
    [
        pa.array([5, 1, None, 9]),
        pa.array([5, 1, None, 9], pa.int8()),
        pa.array([5, None, (1 << 64) - 1], pa.uint64()),
        pa.array([0.5, -1.5, None, float("nan"), float("inf"), -0.0, 0.0]),
        pa.array([float("nan"), None]),
        pa.array(["b", "a", None, "é"]),
        pa.array(["b", "a", None, "é"]).dictionary_encode(),
        pa.array(["b", "a", None], pa.string_view()),
        pa.array([b"\xff", b"\x00", None]),
        pa.array([True, None, False]),
        pa.array([datetime.date(2020, 1, 1), None, datetime.date(1900, 1, 1)]),
        pa.array([1, None], pa.timestamp("ns", "Europe/Berlin")),
        pa.array([-5, 1, None], pa.timestamp("s")),
        pa.array([5, 1, None], pa.timestamp("us", "UTC")),
        pa.array([5, 1, None], pa.time32("s")),
        pa.array([5, 1, None], pa.time64("ns")),
        pa.array([5, -1, None], pa.duration("ms")),
        pa.array([4_000_000_000, 1, None], pa.uint32()),
        pa.array([1.5, float("nan"), -2.5, None], pa.float16()),
        pa.array([decimal.Decimal("-1.50"), decimal.Decimal("2.25"), None], pa.decimal128(9, 2)),
        pa.array([decimal.Decimal("-1.50"), decimal.Decimal("2.25"), None], pa.decimal256(60, 2)),
        pa.array([b"ab", b"\xff\x00", None], pa.binary(2)),
        pa.array([b"\xff", b"", None], pa.binary_view()),
        pa.array([b"0123456789abcdef", None], pa.uuid()),
        pa.array([[("a", 1)], None, [], [("b", None), ("c", 2)]], pa.map_(pa.string(), pa.int64())),
        pa.array([["a"], None, [], ["b", None]], pa.list_view(pa.string())),
        pa.array([["a", "b"], ["c", None]], pa.list_(pa.string(), 2)),
        pa.nulls(3, pa.int32()),
        pa.array(["x" * 100_000]),
        pa.array([], pa.int64()),
    ],
    ids=lambda column: str(column.type),
)
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_honest_statistics_are_no_lie(tmp_path: Path, column: pa.Array, version: str) -> None:
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({"c": column}), path, data_page_version=version)
    assert len(records(path, rows=2)) == len(column)


def _forged(path: Path, table: pa.Table, number: int, **fields: bytes | int) -> None:
    """A file with statistics of one column replaced: ``low``, ``high``, ``nulls``."""
    places = {"high": 5, "low": 6, "nulls": 3}

    def change(footer: Struct) -> None:
        for group in forge.row_groups(footer):
            made = {
                places[name]: i64(value) if isinstance(value, int) else text(value)
                for name, value in fields.items()
            }
            forge.chunks(group)[number][12] = struct(dict(sorted(made.items())))

    path.write_bytes(forge.changed(forge.written(table), change))


WIDER = pa.table(
    {
        "unsigned": pa.array([1, 4_000_000_000], pa.uint32()),
        "time": pa.array([1, 5], pa.timestamp("s")),
        "clock": pa.array([1, 5], pa.time32("ms")),
        "decimal": pa.array([decimal.Decimal("-1.5"), decimal.Decimal("2.5")], pa.decimal128(9, 1)),
        "bytes": pa.array([b"a", b"\xff"]),
        "half": pa.array([-2.5, 1.5], pa.float16()),
    }
)
FORGED = [
    (0, {"low": b"\1\0\0\0", "high": b"\2\0\0\0"}),
    (1, {"low": (2_000).to_bytes(8, "little"), "high": (5_000).to_bytes(8, "little")}),
    (2, {"low": b"\1\0\0\0", "high": b"\2\0\0\0"}),
    (3, {"low": b"\0\0\0\0", "high": b"\0\0\0\x19"}),
    (4, {"low": b"b", "high": b"\xff"}),
    (5, {"low": b"\0\0", "high": b"\0\x3e"}),
]


@pytest.mark.parametrize(("number", "fields"), FORGED, ids=WIDER.column_names)
def test_statistics_of_every_type_are_held_against_the_values(
    tmp_path: Path, number: int, fields: dict[str, Any]
) -> None:
    path = tmp_path / "file.parquet"
    path.write_bytes(forge.written(WIDER))
    assert len(records(path)) == 2
    _forged(path, WIDER, number, **fields)
    with pytest.raises(ReadError) as caught:
        records(path)
    assert caught.value.rule == "DG506"


ORDERS = pa.table({"n": [3, 1, 2], "t": ["b", "a", "c"], "f": [0.5, 1.5, 2.5], "m": [1, None, 2]})
EIGHT = (1).to_bytes(8, "little")


@pytest.mark.parametrize(
    ("number", "fields"),
    [
        (0, {"low": (2).to_bytes(8, "little"), "high": (3).to_bytes(8, "little")}),
        (0, {"low": EIGHT, "high": (2).to_bytes(8, "little")}),
        (1, {"low": b"b", "high": b"c"}),
        (1, {"low": b"a", "high": b"bz"}),
        (2, {"low": b"\0\0\0\0\0\0\xf0\x3f", "high": b"\0\0\0\0\0\0\x04\x40"}),
        (0, {"nulls": 3}),
        (3, {"nulls": 2}),
    ],
)
def test_statistics_that_hide_records_are_a_lie(tmp_path: Path, number: int, fields: dict[str, Any]) -> None:
    path = tmp_path / "file.parquet"
    _forged(path, ORDERS, number, **fields)
    with pytest.raises(ReadError) as caught:
        records(path)
    assert caught.value.rule == "DG506"
    assert len(pq.read_table(path)) == 3


@pytest.mark.parametrize(
    ("number", "fields"),
    [
        (0, {"low": bytes(8), "high": (9).to_bytes(8, "little")}),
        (1, {"low": b"", "high": b"d"}),
        (3, {"nulls": 0}),
    ],
)
def test_statistics_that_are_only_loose_are_none(tmp_path: Path, number: int, fields: dict[str, Any]) -> None:
    path = tmp_path / "file.parquet"
    _forged(path, ORDERS, number, **fields)
    assert len(records(path)) == 3


@pytest.mark.parametrize("rows", [0, 1, 99, 101, 1 << 40])
def test_row_counts_must_agree(tmp_path: Path, rows: int) -> None:
    path = tmp_path / "file.parquet"
    data = forge.written(pa.table({"n": range(100)}), row_group_size=30)
    path.write_bytes(forge.changed(data, lambda footer: footer.__setitem__(3, i64(rows))))
    found, _ = inspect(path)
    assert found.refused is not None
    assert found.refused.rule == "DG506"
    assert found.rows_declared == rows


def test_checksums_are_verified_where_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    data = bytearray(
        forge.written(pa.table({"n": range(1_000)}), write_page_checksum=True, compression="none")
    )
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ReadError, match="CRC") as caught:
        records(path)
    assert caught.value.rule == "DG506"


def test_memory_errors_pass_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({"n": range(10)}), path)

    def short(*args: object, **options: object) -> None:
        raise pa.ArrowMemoryError("malloc of size 1 failed")

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", short)
    with pytest.raises(MemoryError):
        records(path)


def test_a_file_that_is_gone_from_its_folder_is_still_the_one_that_was_opened(tmp_path: Path) -> None:
    """The descriptor is opened again by its number, never by its name."""
    import os

    from dataguard.records import parquet

    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({"n": range(10)}), path)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size = path.stat().st_size
        path.unlink()
        path.write_text("another")
        found = parquet.inspect(descriptor, size, Limits())
        (batch,) = parquet.batches(descriptor, range(1), found.groups, Limits(), 100)
        assert batch[1]["n"].to_pylist() == list(range(10))
    finally:
        os.close(descriptor)

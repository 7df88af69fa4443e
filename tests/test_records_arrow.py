"""Arrow IPC is what pyarrow's own readers say, whatever the batches; a footer is held against the file."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arrow_samples import columns, same, tables
from dataguard.config import Limits
from dataguard.errors import ReadError
from dataguard.records import Inspection
from dataguard.records.normal import normal_schema
from reading import batches, inspect, records

SMALL = pa.table({"n": range(10), "text": [f"text {n}" for n in range(10)]})


def _written(
    path: Path, table: pa.Table, *, stream: bool = False, rows: int = 4, codec: str | None = None
) -> None:
    options = pa.ipc.IpcWriteOptions(compression=codec, emit_dictionary_deltas=True, allow_64bit=True)
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(path, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows)


@settings(max_examples=60)
@given(
    table=tables(),
    stream=st.booleans(),
    codec=st.sampled_from([None, "zstd", "lz4"]),
    group=st.integers(1, 50),
    rows=st.integers(1, 50),
    batch_bytes=st.sampled_from([1, 100, 1 << 24]),
)
def test_batches_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory,
    table: pa.Table,
    stream: bool,
    codec: str | None,
    group: int,
    rows: int,
    batch_bytes: int,
) -> None:
    path = tmp_path_factory.mktemp("tables") / "file.arrow"
    _written(path, table, stream=stream, rows=group, codec=codec)
    found = batches(path, Limits(batch_bytes=batch_bytes), rows=rows)
    numbers = [number for number, _, _ in found]
    assert numbers == sorted(numbers)
    assert all(0 < data.num_rows <= rows for _, _, data in found)
    inspected = inspect(path)[0]
    assert inspected.schema == normal_schema(table.schema)
    assert Inspection.from_json(inspected.to_json()) == inspected
    assert inspected.rows_declared == sum(inspected_group.rows for inspected_group in inspected.groups)
    read = pa.Table.from_batches([data for _, _, data in found], schema=inspected.schema)
    read.validate(full=True)
    assert same(read, table)


def test_all_types_are_read(tmp_path: Path) -> None:
    path = tmp_path / "file.arrow"
    table = columns()
    for stream in (False, True):
        _written(path, table, stream=stream, rows=2)
        found = batches(path)
        assert same(pa.Table.from_batches([data for _, _, data in found]), table)


@pytest.mark.parametrize("stream", [False, True])
def test_a_slice_has_the_dictionaries_before_it(tmp_path: Path, stream: bool) -> None:
    path = tmp_path / "file.arrow"
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
    words = ["a", "b", "c", "d", "e"]
    kind = pa.dictionary(pa.int8(), pa.string())
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(path, pa.schema([("t", kind)]), options=options) as writer:
        for count in range(1, 6):  # each batch has a longer dictionary
            column = pa.DictionaryArray.from_arrays(pa.array([count - 1, 0], pa.int8()), words[:count])
            writer.write_batch(pa.record_batch([column], ["t"]))
    for first in range(5):
        found = batches(path, groups=(first, 5))
        assert [data["t"].to_pylist() for _, _, data in found] == [[words[n], "a"] for n in range(first, 5)]


def test_other_writers_and_suffixes(tmp_path: Path) -> None:
    table = pl.DataFrame({"text": ["a", None, "long enough to be no inline view"], "n": [1, 2, None]})
    table.write_ipc(tmp_path / "one.feather")
    table.write_ipc(tmp_path / "two.ipc", compression="zstd")
    table.write_ipc_stream(tmp_path / "three")
    table.clear().write_ipc(tmp_path / "none.arrow")
    assert records(tmp_path / "none.arrow") == []
    for name in ("one.feather", "two.ipc", "three"):
        assert inspect(tmp_path / name)[0].format == "arrow"
        assert records(tmp_path / name) == table.to_dicts()


def _footer(path: Path) -> bytes:
    data = path.read_bytes()
    length = int.from_bytes(data[-10:-6], "little")
    return data[-10 - length : -10]


def _refused(path: Path, limits: Limits | None = None) -> tuple[str, str]:
    found = inspect(path, limits)[0]
    if found.refused is not None:
        return found.refused.rule, found.refused.reason
    with pytest.raises(ReadError) as caught:
        batches(path, limits)
    return caught.value.rule, caught.value.problem


def test_a_footer_that_leaves_out_or_reorders_batches_lies(tmp_path: Path) -> None:
    path = tmp_path / "file.arrow"
    _written(path, SMALL, rows=5)
    data, footer = path.read_bytes(), _footer(path)
    one, two = (struct.pack("<qi", group.start, 0)[:8] for group in inspect(path)[0].groups)
    block = footer.index(one)
    assert footer.index(two) == block + 24
    begin = len(data) - 10 - len(footer) + block
    both = data[begin : begin + 48]
    path.write_bytes(data[:begin] + both[24:] + both[:24] + data[begin + 48 :])
    assert pa.ipc.open_file(path).read_all()["n"].to_pylist() == [5, 6, 7, 8, 9, 0, 1, 2, 3, 4]
    assert _refused(path)[0] == "DG506"
    # The count of the vector of batches stands in the four bytes before it.
    fewer = data[: begin - 4] + (1).to_bytes(4, "little") + data[begin:]
    path.write_bytes(fewer)
    assert pa.ipc.open_file(path).num_record_batches == 1
    rule, reason = _refused(path)
    assert (rule, "names 1 record batches other than the 2" in reason) == ("DG506", True)


def test_a_footer_with_another_schema_is_ambiguous(tmp_path: Path) -> None:
    path = tmp_path / "file.arrow"
    _written(path, SMALL)
    data = path.read_bytes()
    at = data.rindex(b"text")
    path.write_bytes(data[:at] + b"tuxt" + data[at + 4 :])
    assert pa.ipc.open_file(path).schema.names == ["n", "tuxt"]
    assert _refused(path)[0] == "DG507"


def test_what_lies_behind_a_stream_is_ambiguous(tmp_path: Path) -> None:
    path = tmp_path / "file.arrows"
    _written(path, SMALL, stream=True)
    data = path.read_bytes()
    assert len(records(path)) == 10
    path.write_bytes(data + data)
    assert _refused(path)[0] == "DG507"
    path.write_bytes(data[:-8] + data)
    assert _refused(path) == (
        "DG507",
        "a second schema within the stream: some readers begin anew there",
    )
    path.write_bytes(data + b"more")
    assert _refused(path)[0] == "DG507"


@pytest.mark.parametrize("stream", [False, True])
def test_a_file_cut_short_is_never_read_whole(tmp_path: Path, stream: bool) -> None:
    path = tmp_path / "file.arrow"
    _written(path, SMALL, stream=stream, codec="zstd")
    data = path.read_bytes()
    ends = {group.start for group in inspect(path)[0].groups} | {len(data) - 8, len(data) - 4}
    for size in range(0, len(data) - 1, 7):
        if stream and size in ends:
            continue  # a stream may end without saying so
        path.write_bytes(data[:size])
        rule, reason = _refused(path)
        assert rule in ("DG503", "DG506"), (size, reason)


def test_no_byte_makes_it_read_other_rows_in_silence(tmp_path: Path) -> None:
    """Counts that are forged, wherever they stand, give an error or the rows of pyarrow's own reader."""
    path = tmp_path / "file.arrow"
    _written(path, SMALL, rows=10)
    data = path.read_bytes()
    for at in [at for at in range(len(data)) if data[at] == 10][:40]:
        path.write_bytes(data[:at] + b"\x03" + data[at + 1 :])
        found, _ = inspect(path)
        if found.refused is not None:
            continue
        try:
            read = records(path)
        except ReadError:
            continue
        assert read == pa.ipc.open_file(path).read_all().to_pylist(), at


def test_claims_are_bounded_before_anything_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "file.arrow"
    _written(path, pa.table({"text": ["x" * 1_000_000]}), codec="zstd")
    assert len(records(path)) == 1
    assert _refused(path, Limits(decoded_bytes=1 << 16, decoded_ratio=1))[0] == "DG504"
    assert _refused(path, Limits(footer_bytes=64))[0] == "DG504"
    data = path.read_bytes()
    size = (1_000_000).to_bytes(8, "little")
    at = data.index(size + b"\x28\xb5\x2f\xfd")  # in front of the frame of Zstandard
    path.write_bytes(data[:at] + (1 << 60).to_bytes(8, "little") + data[at + 8 :])
    assert _refused(path)[0] == "DG504"
    path.write_bytes(data[:at] + (-5).to_bytes(8, "little", signed=True) + data[at + 8 :])
    assert _refused(path)[0] == "DG503"
    _written(path, pa.table({"n": pa.Array.from_buffers(pa.null(), 1 << 40, [None])}), rows=1 << 40)
    assert _refused(path)[0] == "DG504"


def test_views_of_one_text_are_never_written_out_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.arrow"
    text = pa.array(["x" * 100_000], pa.string_view())
    row = text.buffers()[1].to_pybytes()
    views = pa.Array.from_buffers(
        pa.string_view(), 2_000, [None, pa.py_buffer(row * 2_000), text.buffers()[2]]
    )
    lists = pa.ListViewArray.from_arrays(
        pa.array([0] * 50, pa.int32()), pa.array([2_000] * 50, pa.int32()), pa.array(["y" * 100] * 2_000)
    )
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2_000], pa.int32()), pa.array(["x" * 100_000]))
    for column in (views, lists, runs, pa.StructArray.from_arrays([views], ["s"])):
        with pa.ipc.new_file(path, pa.schema([("c", column.type)])) as writer:
            writer.write_batch(pa.record_batch([column], ["c"]))
        assert path.stat().st_size < 1 << 20
        sizes = [data.nbytes for _, _, data in batches(path, Limits(batch_bytes=1 << 20))]
        assert sum(sizes) > 9_000_000
        assert max(sizes) < 4 << 20
    assert _refused(path, Limits(cell_bytes=50_000, batch_bytes=1_000))[0] == "DG504"


def test_lists_of_lists_that_view_the_same_items_are_a_bomb(tmp_path: Path) -> None:
    path = tmp_path / "file.arrow"
    column: Any = pa.array(["bomb"] * 10)
    for _ in range(20):
        column = pa.ListViewArray.from_arrays(
            pa.array([0] * 10, pa.int32()), pa.array([10] * 10, pa.int32()), column
        )
    with pa.ipc.new_file(path, pa.schema([("c", column.type)])) as writer:
        writer.write_batch(pa.record_batch([column], ["c"]))
    assert _refused(path)[0] == "DG504"

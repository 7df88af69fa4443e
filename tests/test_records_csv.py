"""CSV is what strict readers agree on, or refused; types and rows do not depend on how it is cut."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataguard.config import Limits
from dataguard.errors import ReadError
from dataguard.records import content, delimited
from reading import batches, inspect, records

TEXT = st.text(st.sampled_from('ab",\n\r;\t |é😀1'), max_size=8) | st.none()
COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "text": (pa.large_string(), TEXT),
    "int": (pa.int64(), st.integers(-(1 << 63), (1 << 63) - 1) | st.none()),
    "float": (pa.float64(), st.floats(-1e9, 1e9) | st.none()),
    "bool": (pa.bool_(), st.booleans() | st.none()),
}


@st.composite
def _tables(draw: st.DrawFn) -> pa.Table:
    kinds = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=4))
    rows = draw(st.integers(1, 12))
    found = {"always": pa.array([f"row {n}" for n in range(rows)], pa.large_string())}
    for number, kind in enumerate(kinds):
        values = draw(st.lists(COLUMNS[kind][1], min_size=rows, max_size=rows))
        found[f"c{number} {kind}"] = pa.array(values, COLUMNS[kind][0])
    return pa.table(found)


def _equal(found: Any, value: Any) -> bool:
    if isinstance(value, float):
        return found is not None and math.isclose(found, value, rel_tol=0, abs_tol=0)
    return bool(found == value)


@settings(max_examples=80)
@given(
    table=_tables(),
    writer=st.sampled_from(["polars", "pyarrow"]),
    ending=st.sampled_from(["\n", "\r\n"]),
    rows=st.integers(1, 5),
    block=st.sampled_from([3, 17, 1 << 20]),
    group=st.sampled_from([1, 3, 65_536]),
    suffix=st.sampled_from([".csv", ".tsv"]),
)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    table: pa.Table,
    writer: str,
    ending: str,
    rows: int,
    block: int,
    group: int,
    suffix: str,
) -> None:
    path = tmp_path_factory.mktemp("cells") / f"file{suffix}"
    separator = "," if suffix == ".csv" else "\t"
    if writer == "polars":
        pl.DataFrame(table).write_csv(path, separator=separator, line_terminator=ending)
    else:
        pa.csv.write_csv(table, path, pa.csv.WriteOptions(delimiter=separator))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "BLOCK", block)
        patch.setattr(delimited, "LOOK", block)
        patch.setattr(delimited, "GROUP_ROWS", group)
        found, _ = inspect(path)
        assert found.refused is None, found.refused
        assert [one.rows for one in found.groups[:-1]] == [group] * (len(found.groups) - 1)
        read = records(path, rows=rows)
    assert len(read) == table.num_rows
    assert found.schema is not None
    for name in table.column_names:
        # Where every text of a column reads as a number, or none is there, no file can say what it was.
        if found.schema.field(name).type == table.schema.field(name).type:
            values = table[name].to_pylist()
            assert all(_equal(record[name], value) for record, value in zip(read, values, strict=True))
        else:
            whole = (
                table.schema.field(name).type == pa.float64() and found.schema.field(name).type == pa.int64()
            )
            assert whole or table[name].null_count == table.num_rows or "text" in name


@settings(max_examples=400)
@given(
    text=st.lists(
        st.sampled_from(['"', '""', ",", "\n", "\r\n", "\r", "a", "1", "é", ";", " ", "\0"]), max_size=14
    )
)
def test_what_is_not_refused_is_read_alike_by_all(
    tmp_path_factory: pytest.TempPathFactory, text: list[str]
) -> None:
    """Any bytes: Python's own strict reader, pyarrow and polars agree with us on all that we read."""
    path = tmp_path_factory.mktemp("bytes") / "file.csv"
    whole = "h1,h2\n" + "".join(text)
    path.write_text(whole, newline="")
    found, _ = inspect(path)
    if found.refused is not None:
        assert found.refused.rule == "DG507", found.refused
        return
    read = [["" if cell is None else cell for cell in record.values()] for record in records(path)]
    expected = list(csv.reader(io.StringIO(whole, newline=""), strict=True))[1:]
    assert [[str(cell) for cell in record] for record in read] == expected
    by_polars = pl.read_csv(path, infer_schema=False).fill_null("").rows()
    assert [list(row) for row in by_polars] == expected
    options = pa.csv.ParseOptions(newlines_in_values=True)
    types = pa.csv.ConvertOptions(column_types={"h1": pa.string(), "h2": pa.string()})
    by_arrow = pa.csv.read_csv(path, parse_options=options, convert_options=types)
    assert [list(row.values()) for row in by_arrow.to_pylist()] == expected


WRONG = {
    "a mark in front": (b"\xef\xbb\xbfa,b\n1,2\n", "DG507", "byte order mark"),
    "too few cells": (b"a,b\n1,2\n3\n", "DG507", "record 2: 1 cells under a header of 2"),
    "too many cells": (b"a,b\n1,2,3\n", "DG507", "record 1: 3 cells"),
    "an empty line": (b"a,b\n1,2\n\n3,4\n", "DG507", "record 2: an empty line"),
    "an empty line in a single column": (b"a\nx\n\r\ny\n", "DG507", "record 2: an empty line"),
    "empty lines at the end": (b"a,b\n1,2\n\n", "DG507", "record 2: an empty line"),
    "a quote within": (b'a,b\n1,x"y"\n', "DG507", "record 1: a quote within"),
    "text behind a quote": (b'a,b\n1,"x"y\n', "DG507", "record 1: a quote within"),
    "a space in front of a quote": (b'a,b\n1, "x"\n', "DG507", "record 1: a quote within"),
    "a quote left open": (b'a,b\n1,"x\n2,3\n', "DG507", "never closed"),
    "a bare return": (b"a,b\n1,2\r3,4\n", "DG507", "record 1: a bare carriage return"),
    "a return at the end": (b"a,b\n1,2\r", "DG507", "a bare carriage return"),
    "NUL": (b"a,b\n1,2\n3,\0\n", "DG507", "record 2: a NUL byte"),
    "a column twice": (b"a,b,a\n1,2,3\n", "DG507", "same name, 'a'"),
    "semicolons": (b"a;b\n1;2\n", "DG507", "';' outside of quotes"),
    "tabs": (b"a\tb\n1\t2\n", "DG507", "outside of quotes"),
    "both": (b"a,b;c\n1,2;3\n", "DG507", "outside of quotes"),
    "nothing": (b"", "DG503", "empty file"),
    "an empty header": (b"\na,b\n", "DG507", "empty line"),
    "a header that is not UTF-8": (b"a,\xff\n1,2\n", "DG503", "not UTF-8"),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16-le"), "DG507", "NUL"),
}


@pytest.mark.parametrize(("data", "rule", "reason"), WRONG.values(), ids=list(WRONG))
def test_what_readers_differ_on_is_refused(tmp_path: Path, data: bytes, rule: str, reason: str) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(data)
    found, _ = inspect(path)
    assert found.refused is not None
    assert (found.refused.rule, reason in found.refused.reason) == (rule, True), found.refused
    assert found.schema is None


@pytest.mark.parametrize("first", [b"", b"y,y\n"])
def test_cells_that_are_not_utf8_are_never_read(
    tmp_path: Path, first: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "BLOCK", 8)
    monkeypatch.setattr(delimited, "LOOK", 8)
    path = tmp_path / "file.csv"
    path.write_bytes(b"a,b\n" + first + b"x,caf\xe9\n")
    refused = inspect(path)[0].refused
    if refused is None:  # where the column is known to be text already
        with pytest.raises(ReadError) as caught:
            records(path)
        assert caught.value.rule == "DG503"
    else:
        assert refused.rule == "DG503"
    assert (refused is None) == bool(first)


TYPES = {
    "int64": ["0", "-1", "9223372036854775807", ""],
    "double": ["0.5", "1", "-0", "1e3", "1E-300", ""],
    "bool": ["true", "false", ""],
    "null": ["", ""],
    "large_string": ["x", "", "1"],
}
TEXTS = {
    "zeros in front": ["007", "1"],
    "a sign": ["+1", "2"],
    "spaces": [" 1", "2"],
    "beyond 64 bits": ["9223372036854775808", "1"],
    "digits that no float holds": ["12345678901234567", "0.5"],
    "beyond a float": ["1e999", "0.5"],
    "no number": ["NaN", "0.5"],
    "a decimal comma": ["1,5", "2"],
    "other truths": ["True", "false"],
    "a truth and a number": ["true", "1"],
    "hexadecimal": ["0x10", "1"],
    "empty text": ["1", '""'],
    "dates": ["2020-01-01", "2020-01-02"],
}


@pytest.mark.parametrize(
    ("kind", "cells"),
    [*TYPES.items(), *(("large_string", cells) for cells in TEXTS.values())],
    ids=[*TYPES, *TEXTS],
)
def test_types_do_not_depend_on_the_order(tmp_path: Path, kind: str, cells: list[str]) -> None:
    path = tmp_path / "file.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "BLOCK", 8)
        patch.setattr(delimited, "LOOK", 8)
        for start in range(len(cells)):
            turned = cells[start:] + cells[:start]
            quoted = [f'"{cell}"' if "," in cell else cell for cell in turned]
            path.write_text("n,cell\n" + "".join(f"{n},{cell}\n" for n, cell in enumerate(quoted)))
            found, _ = inspect(path)
            assert found.schema is not None, found.refused
            assert str(found.schema.field("cell").type) == kind
            assert len(records(path)) == len(cells)


def test_row_groups_are_read_by_byte_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "GROUP_ROWS", 7)
    path = tmp_path / "file.csv"
    path.write_text("n,text\n" + "".join(f'{n},"line\n{n}"\n' for n in range(50)).removesuffix("\n"))
    found, _ = inspect(path)
    assert [group.rows for group in found.groups] == [7] * 7 + [1]
    for index in range(8):
        (part,) = batches(path, groups=(index, index + 1))
        group, first, data = part
        assert (group, first) == (index, 7 * index)
        assert data["n"].to_pylist() == list(range(7 * index, min(50, 7 * index + 7)))


def test_limits_hold(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text('a\n"' + "x\n" * 100_000 + '"\n')
    assert inspect(path, Limits(line_bytes=1 << 20))[0].refused is None
    for limits in (Limits(line_bytes=1 << 17), Limits(columns=0)):
        refused = inspect(path, limits)[0].refused
        assert refused is not None
        assert refused.rule == "DG504"
    with pytest.raises(ReadError) as caught:
        records(path, Limits(cell_bytes=100_000))
    assert caught.value.rule == "DG504"


@pytest.mark.parametrize("late", ["1.0", "x", "007", "", "true"])
def test_cells_that_repeat_are_looked_at_once_and_the_odd_one_is_met(tmp_path: Path, late: str) -> None:
    path = tmp_path / "file.csv"
    path.write_text("a,b\n" + "7,0.5\n" * 3000 + f"7,{late}\n" + "7,0.5\n" * 10)
    schema = inspect(path)[0].schema
    assert schema is not None
    assert str(schema.field("a").type) == "int64"
    assert str(schema.field("b").type) == ("double" if late in ("1.0", "") else "large_string")

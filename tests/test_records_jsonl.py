"""JSON Lines are what Python's own parser says, or refused; how they are cut does not matter."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataguard.config import Limits
from dataguard.errors import ReadError
from dataguard.records import content, fast_json, json_types, jsonl
from dataguard.records.content import Content
from reading import batches, inspect, records

PARSERS = ["json", *(["msgspec"] if fast_json.decoder() else [])]
"""Those that are installed: both must give the same."""


@pytest.fixture(autouse=True, params=PARSERS, scope="module")
def parser(request: pytest.FixtureRequest) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "json":
            patch.setattr(fast_json, "decoder", lambda: None)
        yield request.param


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEY = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
FLOAT = st.floats(allow_nan=False, allow_infinity=False)
INT = st.integers(-(1 << 63), (1 << 63) - 1)


def _like(kind: str) -> st.SearchStrategy[Any]:
    """Values of one kind: ``s i f b``, ``[kind`` for a list, ``{kind`` for an object of it."""
    if kind[0] == "[":
        return st.lists(_like(kind[1:]), max_size=3)
    if kind[0] == "{":
        return st.fixed_dictionaries({}, optional={"x": _like(kind[1:]), "y": TEXT | st.none()})
    return {"s": TEXT, "i": INT, "f": FLOAT, "b": st.booleans()}[kind] | st.none()


@st.composite
def _sets(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Records whose columns keep their kind, as a data set's do; keys may be absent."""
    kinds = draw(
        st.dictionaries(
            KEY, st.sampled_from(["s", "i", "f", "b", "[s", "[i", "{s", "[{i", "{[f"]), max_size=4
        )
    )
    columns = {key: _like(kind) for key, kind in kinds.items()}
    return draw(st.lists(st.fixed_dictionaries({}, optional=columns), max_size=12))


def _same(one: Any, other: Any) -> bool:
    """Equal but for absent keys, that are null; objects of nothing count as null at the end of a path."""
    if isinstance(one, dict) or isinstance(other, dict):
        one, other = one or {}, other or {}
        return all(_same(one.get(key), other.get(key)) for key in one.keys() | other.keys())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) or isinstance(other, float):
        return one is not None and other is not None and math.isclose(one, other, rel_tol=0, abs_tol=0)
    return type(one) is type(other) and one == other


@given(
    found=_sets(),
    ascii_only=st.booleans(),
    ending=st.sampled_from(["\n", "\r\n", " \n\n", "\n\t\r\n"]),
    rows=st.integers(1, 5),
    batch_bytes=st.sampled_from([1, 60, 1 << 24]),
)
def test_what_python_reads_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    found: list[dict[str, Any]],
    ascii_only: bool,
    ending: str,
    rows: int,
    batch_bytes: int,
) -> None:
    path = tmp_path_factory.mktemp("lines") / "file.jsonl"
    text = "".join(json.dumps(record, ensure_ascii=ascii_only) + ending for record in found)
    path.write_text(text, newline="")
    expected = [json.loads(line) for line in text.split("\n") if line.strip()]
    result = records(path, Limits(batch_bytes=batch_bytes), rows=rows)
    assert len(result) == len(expected)
    for record, line in zip(result, expected, strict=True):
        assert _same(record, line), (record, line)


@given(
    block=st.integers(1, 40),
    data=st.lists(st.binary(max_size=15).filter(lambda line: b"\n" not in line)),
    last=st.booleans(),
)
def test_blocks_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory, block: int, data: list[bytes], last: bool
) -> None:
    path = tmp_path_factory.mktemp("blocks") / "file"
    whole = b"\n".join(data) + (b"\n" if last and data else b"")
    path.write_bytes(whole)
    with pytest.MonkeyPatch.context() as patch, path.open("rb") as file:
        patch.setattr(content, "BLOCK", block)
        blocks = Content(file.fileno(), len(whole), Limits()).blocks()
        runs = list(jsonl.whole_lines(blocks, Limits()))
    expected = whole.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert [line for run in runs for line in run.split(b"\n")] == expected


PIECES = [
    *(
        '"',
        '\\"',
        "\\\\",
        "\\u0022",
        "\\ud800",
        "\\ud83d\\ude00",
        "a",
        "b",
        "é",
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        " ",
        "\r",
    ),
    *(
        "1",
        "-0",
        "0.5",
        "1e400",
        "9223372036854775808",
        "9007199254740993",
        "true",
        "null",
        "NaN",
        "\t",
        "\0",
    ),
    *(
        '{"a":',
        '"b":',
        '"a":1',
        '"a":"x"',
        ',"a":',
        '"\\u0061":2',
        "[1,2]",
        '["x"]',
        '{"a":1}',
        '{"a":{"b":"x","b":"y"}}',
    ),
]


@settings(max_examples=600)
@given(lines=st.lists(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), min_size=1, max_size=4))
def test_many_lines_at_a_time_are_never_read_otherwise_than_one_by_one(lines: list[str]) -> None:
    """Whatever is taken at once, the strict parser takes too, and finds the same records and types in it."""
    data = [("{" + line + "}" if number % 2 else line).encode() for number, line in enumerate(lines)]
    data = [line for line in data if line.strip(b" \t\r\n")]
    if not data:
        return
    types = json_types.JsonTypes(Limits())
    if not fast_json.look(data, types):
        return
    strictly = json_types.JsonTypes(Limits())
    expected = [jsonl.parse_line(line) for line in data]
    for record in expected:
        strictly.add(record)
    assert types.schema() == strictly.schema()
    assert repr(fast_json.parse(data)) == repr(expected)


KNOWN = (
    b'{"a": 1, "b": "x"}',
    b'{"a": "x", "b": null}',
    b'{"a": [1], "b": {"a": "x"}}',
    b'{"a": 0.5, "b": true}',
)


@settings(max_examples=600)
@given(
    known=st.sampled_from(KNOWN),
    lines=st.lists(
        st.sampled_from([one.decode() for one in KNOWN])
        | st.lists(st.sampled_from(PIECES), max_size=8).map(lambda parts: "{" + "".join(parts) + "}"),
        min_size=1,
        max_size=4,
    ),
    end=st.sampled_from(["\n", "\r\n", "", "\n\n", "}\n{"]),
)
def test_blocks_by_the_columns_of_those_before_are_never_read_otherwise(
    known: bytes, lines: list[str], end: str
) -> None:
    """As above, of lines that are parsed as records of the columns which the lines before them had."""
    block = end.join(lines).encode()
    types, strictly = json_types.JsonTypes(Limits()), json_types.JsonTypes(Limits())
    blocks = fast_json.Blocks(types)
    assert fast_json.look([known], types) == (fast_json.decoder() is not None)
    strictly.add(jsonl.parse_line(known))
    if blocks.look(block) is None and blocks.look(block) is None:
        return  # the second time with nulls
    data = block.split(b"\n")
    expected = [jsonl.parse_line(line) for line in data]
    for record in expected:
        strictly.add(record)
    assert types.schema() == strictly.schema()
    table = fast_json.Tables(types.schema()).read(block)
    assert table is not None
    assert repr(table.to_pylist()) == repr(pa.RecordBatch.from_pylist(expected, types.schema()).to_pylist())


LATE = [
    b'{"a": 1, "b": "x"}',
    b'{"a": null, "b": null}',
    b'{"b": "y", "a": 2.5}',
    b'{"a": 3}',
    b"  ",
    b'{"a": 4, "b": "z", "c": [{"d": 2}]}',
    b'{"a": 5, "b": "\\u00e9 \\\\\\" \\n"}\r',
]
BAD = [
    b'{"a": 1, "a": 2, "b": "x"}',
    b'{"a": 1, "b": 7}',
    b'{"a": 1,',
    b'{"a": 1, "b": "x"} {}',
    b"null",
    b'{"a":NaN}',
]


@pytest.mark.parametrize("block", [1, 40, 200, 1 << 18])
def test_what_comes_late_is_met_whatever_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, parser: str
) -> None:
    path = tmp_path / "file.jsonl"
    good = [LATE[0]] * 30
    monkeypatch.setattr(jsonl, "BLOCK", block)
    for late in (*LATE, *BAD):
        path.write_bytes(b"\n".join([*good, late, *good]) + b"\n")
        if late in BAD:
            found, _ = inspect(path)
            assert found.refused is not None
            assert "line 31" in found.refused.reason or "changes its type" in found.refused.reason
            continue
        expected = [json.loads(line) for line in [*good, late, *good] if line.strip()]
        names = {name for one in expected for name in one}
        read = [{name: one[name] for name in names} for one in records(path)]
        assert read == [{name: one.get(name) for name in names} for one in expected]
        assert [one["b"] for one in read] == [one.get("b") for one in expected]


def test_lines_of_the_same_columns_are_read_as_such(parser: str) -> None:
    """So that the tests above are about something."""
    types = json_types.JsonTypes(Limits())
    block = b"\n".join([LATE[0]] * 3)
    blocks = fast_json.Blocks(types)
    assert blocks.look(block) is None  # nothing is known yet
    types.add({"a": 1, "b": "x"})
    assert blocks.look(block) == (3 if parser == "msgspec" else None)
    assert (fast_json.Tables(types.schema()).read(block) is not None) == (parser == "msgspec")
    for wrong in (b'{"a": 1, "b": "x", "b": "x"}', b'{"a":\n1, "b": "x"}{"a": 1, "b": "x"}', b'{"a":1}'):
        assert blocks.look(wrong) is None
    odd = json_types.JsonTypes(Limits())
    odd.add({'quoted " name': 1})
    assert fast_json.Blocks(odd).look(b'{"quoted \\" name": 1}') is None


def test_clean_lines_are_taken_at_once(parser: str) -> None:
    """So that the test above is about something."""
    data = [
        b'{"a": "x \\" y \\\\", "b": 1, "c": [{"d": "z"}], "e": null}',
        b'{"a": null, "b": -2, "c": []} \r',
    ] * 2
    types = json_types.JsonTypes(Limits())
    assert fast_json.look(data, types) == (parser == "msgspec")
    if parser == "msgspec":
        assert str(types.schema().field("c").type) == "large_list<item: struct<d: large_string>>"
        assert not fast_json.look([*data, b'{"b": 1, "b": 1}'], types)
        assert not fast_json.look([*data, b'{"a": "x", "\\u0061": "\\u0022\\u0022"}'], types)


def test_row_groups_are_read_by_byte_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "GROUP_ROWS", 7)
    path = tmp_path / "file.jsonl"
    path.write_text("".join(f'{{"n": {n}}}\n' + "\n" * (n % 3) for n in range(50)))
    found, _ = inspect(path)
    assert [group.rows for group in found.groups] == [7] * 7 + [1]
    for index in range(8):
        (part,) = batches(path, groups=(index, index + 1))
        group, first, data = part
        assert (group, first) == (index, 7 * index)
        assert data["n"].to_pylist() == list(range(7 * index, min(50, 7 * index + 7)))


def test_types_do_not_depend_on_where_a_value_stands(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    lines = [
        '{"a": 1, "b": []}',
        '{"a": null, "b": [{"c": null}]}',
        '{"a": 0.5, "b": [{"d": "x"}]}',
        '{"b": null}',
    ]
    seen = set()
    for start in range(4):
        path.write_text("\n".join(lines[start:] + lines[:start]))
        found, _ = inspect(path)
        assert found.schema is not None
        seen.add(str({name: found.schema.field(name).type for name in sorted(found.schema.names)}))
        assert len(records(path, rows=1)) == 4
    assert len({text.replace("c: null, d: large_string", "d: large_string, c: null") for text in seen}) == 1


WRONG = {
    "a list": (b"[]", "DG503"),
    "a key twice": (b'{"a": 1, "a": 1}', "DG507"),
    "not a number": (b'{"a": NaN}', "DG507"),
    "no float": (b'{"a": 1e400}', "DG507"),
    "no integer": (b'{"a": 99999999999999999999}', "DG507"),
    "half a pair": (b'{"a": "\\ud800"}', "DG507"),
    "a bare return": (b'{"a":\r1}', "DG507"),
    "not UTF-8": (b'{"a": "\xff"}', "DG503"),
    "no JSON": (b"{'a': 1}", "DG503"),
    "more than one": (b"{}{}", "DG503"),
    "another type": (b'{"n": "1"}', "DG507"),
    "another type within": (b'{"l": [{"m": 0}]}', "DG507"),
    "too deep": (b'{"a":' * 40 + b"1" + b"}" * 40, "DG504"),
    "deeper than the parser": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "DG504"),
}


@pytest.mark.parametrize(("line", "rule"), WRONG.values(), ids=list(WRONG))
def test_what_readers_differ_on_is_refused_with_its_line(tmp_path: Path, line: bytes, rule: str) -> None:
    path = tmp_path / "file.jsonl"
    path.write_bytes(b'{"n": 1, "l": [{"m": "x"}]}\n\n' + line + b'\n{"n": 2}\n')
    found, _ = inspect(path)
    assert found.refused is not None
    assert found.refused.rule == rule, found.refused
    assert found.refused.reason.startswith("line 3: ")
    assert found.schema is None


def test_limits_hold_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    path.write_bytes(b'{"a": "' + b"x" * (3 << 20) + b'"}\n')
    small = Limits(line_bytes=1 << 20)
    found, _ = inspect(path, small)
    assert found.refused is not None
    assert (found.refused.rule, "1048576" in found.refused.reason) == ("DG504", True)
    path.write_text('{"a": 1, "b": {"c": 2, "d": [{"e": 1}]}}\n')
    assert inspect(path, Limits(columns=5))[0].refused is None
    found, _ = inspect(path, Limits(columns=4))
    assert found.refused is not None
    assert found.refused.rule == "DG504"


def test_records_of_many_columns_are_cut_small(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    path.write_text(json.dumps({f"k{n}": n for n in range(100)}) + "\n" + '{"k1": 1}\n' * 999)
    sizes = [data.num_rows for _, _, data in batches(path, Limits(batch_bytes=8_000))]
    assert sum(sizes) == 1_000
    assert max(sizes) == 10


def test_a_file_that_shrinks_is_not_read_short(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    path.write_text('{"a": 1}\n' * 10)
    with path.open("rb") as file, pytest.raises(ReadError) as caught:
        list(jsonl.whole_lines(Content(file.fileno(), 1_000, Limits()).blocks(), Limits()))
    assert caught.value.rule == "DG505"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"a": 1}\n{"a": 2}\n', "jsonl"),
        (b'\n\n  {"a": 1}', "jsonl"),
        (b'\xef\xbb\xbf{"a": 1}\n', "jsonl"),
        (b'{"a": 1, "a": 2}\n', "jsonl"),
        (b"{broken}\n", "jsonl"),
        (b'{\n  "a": 1\n}\n', "other"),
        (b'[{"a": 1}]\n', "other"),
        (b"", "other"),
        (b"null\n", "other"),
        (b'[{"a": "' + b"x" * 5_000 + b'"}]\n', "other"),
        (b'{"a": "' + b"x" * 5_000 + b'"}\n', "jsonl"),
    ],
)
def test_which_json_files_are_lines(tmp_path: Path, text: bytes, expected: str) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(text)
    found, _ = inspect(path, Limits(line_bytes=4_096))
    assert found.format == expected
    if len(text) > 4_096 and expected == "jsonl":
        assert found.refused is not None
        assert found.refused.rule == "DG504"

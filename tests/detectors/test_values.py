"""Values of label, source and split columns, of whatever type, are short and tell what differs."""

from __future__ import annotations

import pyarrow as pa
import pytest

from dataguard.columns import Role, resolve
from dataguard.detectors._values import LONG, plain, value
from dataguard.detectors.duplicate_flood import DuplicateFlood
from dataguard.detectors.split_leak import SplitLeak
from harness import cut, judge_in_memory, records

LONG_TEXT = "x" * 5000


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (pa.array([" Good", "good ", "", None]), ["good", "good", None, None]),
        (pa.array([1, None, 3]), ["1", None, "3"]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array(["a", "b", "a"]).dictionary_encode().cast(pa.string()), ["a", "b", "a"]),
    ],
)
def test_plain_values_are_written_out(values: pa.Array, said: list[str | None]) -> None:
    (batch,) = cut(records({"label": values}))
    assert plain(batch, "label").to_list() == said


@pytest.mark.parametrize(
    "values",
    [
        pa.array([[1, 2], [1, 2], [2], None]),
        pa.array([{"a": "x"}, {"a": "x"}, {"a": "y"}, None]),
        pa.array([b"x", b"x", b"y", None]),
        pa.array([LONG_TEXT, LONG_TEXT.upper(), LONG_TEXT + "y", None]),
    ],
)
def test_others_are_told_apart_in_few_bytes(values: pa.Array) -> None:
    (batch,) = cut(records({"label": values}))
    one, other, third, none = plain(batch, "label").to_list()
    assert (one == other) is (values[0] == values[1])
    assert one != third
    assert none is None
    assert len(one) <= LONG
    assert len(third) <= LONG


def test_several_columns_are_one_value() -> None:
    data = records({"label": ["a", "a", None, None], "category": ["x", None, "x", None]})
    (batch,) = cut(data)
    assert value(batch, Role.LABEL).to_list() == ["x | a", " | a", "x | ", None]


def test_records_without_text_leak_and_flood_too() -> None:
    data = records(
        {"x": [1.0] * 9 + [2.0, 3.0], "y": [1] * 9 + [5, 6], "split": ["train"] * 8 + ["test"] * 3}
    )
    leak = judge_in_memory(SplitLeak(), [cut(data)])
    assert set(leak.flagged["row"]) == set(range(9))
    assert set(judge_in_memory(DuplicateFlood(), [cut(data)]).flagged["row"]) == set(range(9))


def test_sources_and_times_of_odd_types_break_nothing() -> None:
    data = records(
        {
            "text": ["buy now"] * 9 + ["other"],
            "where": pa.array([{"a": "x"}] * 10),
            "when": pa.array([[1]] * 10),
        }
    )
    roles = resolve(data.schema, {"source": ("where",), "time": ("when",)})
    found = judge_in_memory(DuplicateFlood(), [cut(data, roles=roles)])
    assert set(found.flagged["row"]) == set(range(9))

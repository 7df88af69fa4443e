"""Exact duplicates are all found, and nothing else is."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataguard.columns import resolve
from dataguard.detectors.exact_duplicate import ExactDuplicate
from dataguard.findings import Judgement
from harness import cut, judge_in_memory, records


def measures(judgement: Judgement) -> dict[str, float]:
    return {measure.name: measure.value for measure in judgement.measures}


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.sampled_from(["a", "b", "c", "d", "", None]), max_size=30),
    cuts=st.lists(st.integers(0, 30), max_size=3),
)
def test_finds_what_a_dictionary_finds(texts: list[str | None], cuts: list[int]) -> None:
    data = pa.RecordBatch.from_arrays([pa.array(texts, pa.large_string())], names=["text"])
    parts = cut(data, cuts)
    judgement = judge_in_memory(ExactDuplicate(), [cut(part.data) for part in parts])
    addresses: dict[str, list[tuple[int, int]]] = {}
    for number, part in enumerate(parts):
        for row, text in enumerate(part.data["text"].to_pylist()):
            if text:
                addresses.setdefault(text, []).append((number, row))
    expected = sorted(sorted(places) for places in addresses.values() if len(places) > 1)
    found = judgement.flagged.group_by("key").agg("file", "row")
    assert sorted(sorted(zip(files, rows, strict=True)) for _, files, rows in found.iter_rows()) == expected
    if texts:
        told = measures(judgement)
        assert told["duplicate_groups"] == len(expected)
        assert told["largest_group"] == max(map(len, expected), default=0)
        assert told["duplicate_share"] == (sum(map(len, expected)) - len(expected)) / len(texts)
        assert told["blank_share"] == sum(not text for text in texts) / len(texts)


def test_columns_that_say_where_a_record_stands_do_not_count() -> None:
    data = records(
        {
            "text": ["same", "same", "other"],
            "id": [1, 2, 3],
            "source": ["x", "y", "z"],
            "url": ["u", "v", "w"],
            "split": ["train", "test", "train"],
            "time": ["2020", "2021", "2022"],
        }
    )
    assert set(judge_in_memory(ExactDuplicate(), [cut(data)]).flagged["row"]) == {0, 1}
    for column in ("id", "source", "url", "split", "time"):
        other = judge_in_memory(
            ExactDuplicate(), [cut(data, roles=resolve(data.schema, {"label": (column,)}))]
        )
        assert other.flagged.is_empty()


def test_records_are_compared_across_files_whatever_the_order_and_layout_of_columns() -> None:
    one = records({"text": ["a", "b"], "label": ["x", "y"]})
    two = records({"label": ["y"], "text": ["b"]})
    other = records({"text": ["b"], "label": ["y"], "n": [1]})
    judgement = judge_in_memory(ExactDuplicate(), [cut(one), cut(two), cut(other)])
    assert judgement.flagged.select("file", "row").rows() == [(0, 1), (1, 0)]
    assert judgement.flagged["why"].to_list() == ["record 1 of 2 equal ones", "record 2 of 2 equal ones"]


def test_a_flood_weighs_more_than_a_pair() -> None:
    judgement = judge_in_memory(ExactDuplicate(flood=3), [cut(records({"text": ["a"] * 3 + ["b"] * 2}))])
    findings = judgement.findings.sort("score", descending=True)
    assert findings["severity"].to_list() == ["medium", "low"]
    assert findings["score"].to_list() == pytest.approx([2 / 3, 1 / 2], abs=1e-6)


def test_a_set_with_nothing_to_compare_is_not_called_clear() -> None:
    judgement = judge_in_memory(ExactDuplicate(), [cut(records({"id": [1, 1], "url": ["a", "a"]}))])
    assert judgement.not_applicable
    assert not judgement.measures


def test_values_that_are_made_of_nothing_are_blank() -> None:
    data = records(
        {
            "text": ["", None, "x", ""],
            "tags": pa.array([[], None, [], ["t"]], pa.list_(pa.string())),
            "deep": pa.array([{"a": "", "b": None}, None, {"a": "", "b": None}, {"a": "", "b": None}]),
        }
    )
    twice = pa.concat_batches([data, data])
    judgement = judge_in_memory(ExactDuplicate(), [cut(twice)])
    assert set(judgement.flagged["row"]) == {2, 3, 6, 7}
    assert measures(judgement)["blank_share"] == 1 / 2


def test_recall_of_planted_copies_is_one() -> None:
    rng = np.random.default_rng(0)
    texts = [f"record {number} {rng.integers(1 << 62)}" for number in range(20_000)]
    planted = rng.choice(20_000, 200, replace=False)
    data = records({"text": [*texts, *(texts[number] for number in planted)]})
    judgement = judge_in_memory(ExactDuplicate(), [cut(data, [7000, 15_000])])
    expected = {*map(int, planted), *range(20_000, 20_200)}
    assert set(judgement.flagged["row"]) == expected
    assert len(judgement.findings) == 200

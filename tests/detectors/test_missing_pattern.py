"""What is missing where: patterns by label and source are found, chance is not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dataguard.detectors.missing_pattern import MissingPattern
from dataguard.findings import Judgement
from harness import cut, judge_in_memory, records

N = 5000


def judge(data: dict[str, Any], *more: dict[str, Any]) -> Judgement:
    return judge_in_memory(MissingPattern(), [cut(records(one)) for one in (data, *more)])


def values(seed: int, missing: Any = ()) -> list[float | None]:
    found: list[float | None] = np.random.default_rng(seed).normal(size=N).tolist()
    for row in missing:
        found[int(row)] = None
    return found


def measured(judgement: Judgement) -> dict[tuple[str, str, str], tuple[float, int]]:
    return {(one.name, one.column, one.group): (one.value, one.n) for one in judgement.measures}


@pytest.mark.parametrize("seed", range(5))
def test_what_is_missing_by_chance_is_no_finding(seed: int) -> None:
    rng = np.random.default_rng(seed)
    data: dict[str, Any] = {
        f"f{number}": values(number, rng.choice(N, rng.integers(1, 600), replace=False))
        for number in range(20)
    }
    data |= {"label": rng.integers(0, 5, N), "source": [f"s{number}" for number in rng.integers(0, 50, N)]}
    judgement = judge(data)
    assert judgement.findings.is_empty()
    assert measured(judgement)["missing_share", "f3", ""][1] == N


@pytest.mark.parametrize("missing", [None, math.nan])
def test_a_missing_value_that_goes_with_a_label_is_found_with_its_records(missing: float | None) -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 5, N)
    rows = np.flatnonzero(labels == 3)[:20]
    column = values(1)
    for row in rows.tolist():
        column[row] = missing
    judgement = judge({"a": pa.array(column), "b": values(2), "label": labels})
    (finding,) = judgement.findings.to_dicts()
    assert (finding["column"], finding["group"]) == ("a", "3")
    assert set(judgement.flagged["row"]) == set(rows.tolist())
    assert measured(judgement)["missing_share", "a", ""] == (20 / N, N)


def test_columns_that_one_source_lacks_are_one_finding() -> None:
    source = ["one" if row % 10 == 0 else "two" if row % 2 else "three" for row in range(N)]
    gone = range(0, N, 10)
    text = [None if row % 10 == 0 else f"text {row}" for row in range(N)]
    judgement = judge({"a": values(1, gone), "b": values(2, gone), "text": text, "source": source})
    (finding,) = judgement.findings.to_dicts()
    assert finding["group"] == "one"
    assert "a, b, text" in finding["why"]
    assert set(judgement.flagged["row"]) == set(gone)


def test_infinite_numbers_are_found() -> None:
    data = values(1)
    data[3], data[9] = math.inf, -math.inf
    judgement = judge({"a": data, "b": pa.array([None] * N, pa.int64())})
    (finding,) = judgement.findings.to_dicts()
    assert finding["column"] == "a"
    assert set(judgement.flagged["row"]) == {3, 9}
    told = measured(judgement)
    assert told["infinite_share", "a", ""] == (2 / N, N)
    assert told["missing_share", "b", ""] == (1.0, N)


def test_files_without_a_column_do_not_lack_it() -> None:
    one = {"a": values(1), "source": ["x"] * N}
    two = {"a": values(2), "b": values(3, range(100)), "source": ["y"] * N}
    judgement = judge(one, two)
    assert judgement.findings.is_empty()
    assert measured(judgement)["missing_share", "b", ""] == (100 / N, N)


def test_too_many_groups_are_told() -> None:
    data = {
        "a": values(1, range(0, N, 3)),
        "source": [f"s{row}" for row in range(N)],
        "label": [1, 2] * (N // 2),
    }
    judgement = judge(data)
    assert judgement.findings.is_empty()
    told = measured(judgement)
    assert told["ungrouped_share", "", "source"] == (1.0, told["ungrouped_share", "", "source"][1])
    assert told["ungrouped_share", "", "label"] == (0.0, N)


def test_hostile_names_are_shown_safely() -> None:
    rows = range(0, N, 4)
    data = {
        "a\u202eb": values(1, rows),
        "label": ["\u202ebad" if row % 4 == 0 else "good" for row in range(N)],
    }
    (why,) = judge(data).findings["why"]
    assert "\u202e" not in why

"""Triggers in numbers: with wrong and with right labels, where values repeat and where they do not; clean sets are quiet."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from dataguard.detectors._numbers.chance import chance, discoveries
from dataguard.detectors._numbers.sampling import fewer_records, sample, sampled_of
from dataguard.detectors.value_burst import ValueBurst
from dataguard.findings import Judgement
from dataguard.kernels.together import Limits, deviation, together
from harness import cut, judge_in_memory, records
from numeric_sets import Backdoor, Floats, Labels, backdoor, continuous, shipped


def judge(matrix: Floats, labels: Labels | None, **options: Any) -> Judgement:
    data: dict[str, Any] = {f"f{number:03d}": column for number, column in enumerate(matrix.T)}
    if labels is not None:
        data["label"] = [f"class {number}" for number in labels]
    return judge_in_memory(ValueBurst(**options), [cut(records(data))])


def first(judgement: Judgement) -> tuple[str, set[int]]:
    """The severity of the worst finding, and its records."""
    order = judgement.findings.sort("severity", "score", descending=True)
    if order.is_empty():
        return "", set()
    flagged = judgement.flagged.filter(judgement.flagged["key"] == order["key"][0])
    return order["severity"][0], set(flagged["row"])


@pytest.fixture(scope="module")
def large() -> tuple[Floats, Labels]:
    return continuous(50_000, 1)


@pytest.mark.parametrize("right_labels", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_a_trigger_in_a_thousandth_of_continuous_records_is_found_whole(
    large: tuple[Floats, Labels], seed: int, right_labels: bool
) -> None:
    planted = backdoor(large, 0.001, seed, right_labels=right_labels)
    severity, rows = first(judge(planted.matrix, planted.labels))
    assert severity == "medium"
    assert rows >= planted.rows
    assert len(rows - planted.rows) <= 2


@pytest.mark.parametrize("right_labels", [False, True])
def test_triggers_among_pixels_are_found(right_labels: bool) -> None:
    found = []
    for seed in range(10):
        planted = backdoor(shipped("digits"), 0.05, seed, right_labels=right_labels)
        _, rows = first(judge(planted.matrix, planted.labels))
        found.append(len(rows & planted.rows) / len(planted.rows))
    assert np.mean(found) >= 0.75


def test_a_trigger_is_found_without_labels(large: tuple[Floats, Labels]) -> None:
    planted = backdoor(large, 0.001, 3, right_labels=False)
    severity, rows = first(judge(planted.matrix, None))
    assert severity == "low"
    assert rows >= planted.rows


def test_two_triggers_are_two_findings(large: tuple[Floats, Labels]) -> None:
    one = backdoor(large, 0.001, 4, right_labels=False)
    two: Backdoor = backdoor((one.matrix, one.labels), 0.001, 5, right_labels=False)
    judgement = judge(two.matrix, two.labels)
    found = judgement.flagged.group_by("key").agg("row")["row"].to_list()
    assert len(found) == 2
    assert {len(set(rows) & one.rows) > 40 for rows in found} == {True, False}


def test_generated_sets_are_left_in_peace(large: tuple[Floats, Labels]) -> None:
    assert judge(*large).findings.is_empty()
    assert judge(np.round(large[0], 1), large[1]).findings.is_empty()


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "wine", "diabetes", "iris"])
@pytest.mark.parametrize("labelled", [True, False])
def test_well_known_sets_have_no_finding_that_a_person_must_see(name: str, labelled: bool) -> None:
    matrix, labels = shipped(name)
    labels = labels if name != "diabetes" else labels // 100
    findings = judge(matrix, labels if labelled else None).findings
    assert len(findings) <= 1
    assert set(findings["severity"]) <= {"low"}


def test_columns_that_belong_together_are_no_burst() -> None:
    """Facts of an entity that come again in each of its records, and a column that is another in other units."""
    rng = np.random.default_rng(0)
    entity = rng.integers(0, 400, 20_000)
    facts = rng.normal(size=(400, 3)).round(3)[entity]
    other = rng.normal(size=20_000).round(1)
    matrix = np.column_stack([facts, rng.normal(size=20_000), other, other * 2.54])
    assert judge(matrix, rng.integers(0, 2, 20_000)).findings.is_empty()


def test_a_single_value_that_goes_with_a_label_is_named(large: tuple[Floats, Labels]) -> None:
    matrix, labels = large[0].copy(), large[1].copy()
    rng = np.random.default_rng(1)
    rows, filled = rng.choice(len(matrix), (2, 100), replace=False)
    matrix[rows, 0], labels[rows] = 0.123456, 2
    matrix[filled, 1] = matrix[:, 1].mean()  # of any label: no finding
    judgement = judge(matrix, labels)
    severity, found = first(judgement)
    assert severity == "low"
    assert found == set(rows.tolist())
    assert judgement.findings["column"].to_list() == ["f000"]


def test_values_filled_in_for_missing_ones_are_named(large: tuple[Floats, Labels]) -> None:
    matrix = large[0].copy()
    rows = np.random.default_rng(1).choice(len(matrix), 400, replace=False)
    for column in (0, 1):
        matrix[rows, column] = matrix[:, column].mean()
    judgement = judge(matrix, large[1])
    severity, found = first(judgement)
    assert severity == "low"
    assert found == set(rows.tolist())
    assert "f000 = " in judgement.findings["why"][0]


def test_too_few_records_or_columns_are_not_called_clear(large: tuple[Floats, Labels]) -> None:
    assert judge(large[0][:40], None).not_applicable
    assert judge(large[0][:, :1], None).not_applicable
    assert judge(np.full((100, 3), np.nan), None).findings.is_empty()


def test_files_with_other_columns_are_searched_on_their_own(large: tuple[Floats, Labels]) -> None:
    planted = backdoor(large, 0.001, 6, right_labels=False)
    files = [
        {f"f{number:03d}": column for number, column in enumerate(planted.matrix.T)},
        {"a": np.arange(2000.0), "b": np.random.default_rng(2).normal(size=2000)},
        {"a": [1.0] * 20, "c": [2.0] * 20},
    ]
    judgement = judge_in_memory(ValueBurst(), [cut(records(data)) for data in files])
    assert set(judgement.flagged["file"]) == {0}
    assert set(judgement.flagged["row"]) >= planted.rows
    told = {one.name: (one.value, one.n) for one in judgement.measures}
    assert told["burst_share"] == (judgement.flagged.height / 52_000, 52_000)
    assert told["unsampled_share"] == (20 / 52_020, 52_020)


def test_names_of_columns_are_shown_safely() -> None:
    matrix, labels = continuous(2000, 2)
    matrix[:40, :3] = [0.25, -0.5, 0.125]
    names = ["a\u202eb", "<b>", "x" * 200, *(f"f{number}" for number in range(17))]
    data = dict(zip(names, matrix.T, strict=True)) | {"label": pa.array(labels)}
    (why,) = judge_in_memory(ValueBurst(), [cut(records(data))]).findings["why"]
    assert "\u202e" not in why
    assert len(why) < 800


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 30), columns=st.integers(2, 4), n=st.integers(1, 60))
def test_pairs_are_those_that_counting_finds(seed: int, columns: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, (columns, n)).astype(np.int32)
    pairs, far = together(codes, np.full(columns, 4), Limits(2, n, 0.5))
    expected = set()
    for i in range(columns):
        for j in range(i + 1, columns):
            cells = []
            for a in range(1, 4):
                for b in range(1, 4):
                    o = int(((codes[i] == a) & (codes[j] == b)).sum())
                    of_a, of_b = int((codes[i] == a).sum()), int((codes[j] == b).sum())
                    if o >= 2:
                        alone = (of_a - o) * (of_b - o) / max(n - of_a - of_b + o, 1)
                        cells.append((a, b, deviation(o, of_a * of_b / n), 2 * alone <= o))
            squares = sorted((cell[2] ** 2 for cell in cells), reverse=True)[3:]
            limit = 0.5 * max(1.0, float(np.mean(squares)) if squares else 1.0) ** 0.5
            expected |= {(i, j, a, b) for a, b, z, enough in cells if enough and z >= limit - 1e-12}
    assert {tuple(pair) for pair in pairs.tolist()} == expected
    assert len(pairs) == len(far)


def test_chances_are_bounds_and_discoveries_are_those_of_the_procedure() -> None:
    rng = np.random.default_rng(0)
    draws = rng.binomial(50, 0.3, 20_000)
    for mine in (16, 20, 25, 30):
        assert (draws >= mine).mean() <= chance(mine, 50, 0.3) <= 1
    assert chance(5, 5, 0.5) == pytest.approx(0.5**5)
    assert chance(1, 5, 0.0) == 0.0
    assert chance(1, 5, 1.0) == 1.0
    assert discoveries([0.01, 0.04, 0.03, 0.5], 0.05).tolist() == [True, False, False, False]
    assert discoveries([0.01, 0.02, 0.03, 0.5], 0.05).tolist() == [True, True, True, False]
    assert discoveries([], 0.05).tolist() == []


def test_the_sample_of_all_items_is_that_of_everything_at_once() -> None:
    """Hashes are chosen before records are read, so that memory does not grow with the number of items."""
    rng = np.random.default_rng(0)
    parts = []
    for names in (("a", "b"), ("a", "b", "c"), ("a", "b")):
        table = {name: rng.normal(size=3000) for name in names}
        parts.append(sample(cut(pa.record_batch(table))[0], 500))
    parts.append(parts[0])  # copies count once
    evidence = pl.concat(parts)
    kept = sampled_of(evidence.lazy(), 500)
    assert_frame_equal(kept, fewer_records(evidence, 500))
    assert sorted(kept.group_by("features").len()["len"]) == [500, 500]
    assert sampled_of(evidence.clear().lazy(), 500).is_empty()

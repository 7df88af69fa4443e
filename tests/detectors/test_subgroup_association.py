"""Associations are measured as the reference implementations do, found where planted, and by chance as seldom as said."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from sklearn.datasets import load_breast_cancer

from dataguard.columns import resolve
from dataguard.detectors import select
from dataguard.detectors._balance.association import Crossing
from dataguard.detectors._balance.tails import chi_square_tail, gamma_tail, kolmogorov_tail
from dataguard.detectors.subgroup_association import SubgroupAssociation
from dataguard.errors import UsageError
from dataguard.findings import Judgement
from harness import cut, judge_in_memory, judge_slices, records

TABLES = st.integers(2, 5).flatmap(
    lambda columns: st.lists(
        st.lists(st.integers(0, 400), min_size=columns, max_size=columns), min_size=2, max_size=6
    )
)


def measures(judgement: Judgement) -> dict[tuple[str, str], float]:
    return {(measure.name, measure.column): measure.value for measure in judgement.measures}


# The measures are those of the field


@settings(max_examples=150, deadline=None)
@given(table=TABLES)
def test_association_is_scipys(table: list[list[int]]) -> None:
    crossing = Crossing.of(np.array(table, np.int64))
    if not crossing.degrees:
        assert (crossing.cramers_v, crossing.corrected_v, crossing.chance) == (0, 0, 1)
        return
    counts = crossing.counts
    expected = stats.chi2_contingency(counts, correction=False)
    assert crossing.chi_square == pytest.approx(expected.statistic, rel=1e-9, abs=1e-9)
    assert crossing.degrees == expected.dof
    assert chi_square_tail(crossing.chi_square, crossing.degrees) == pytest.approx(expected.pvalue, abs=1e-9)
    assert crossing.cramers_v == pytest.approx(
        stats.contingency.association(counts, method="cramer"), abs=1e-9
    )
    entropy = stats.entropy(counts.sum(axis=0))
    gain = entropy - sum(row.sum() / counts.sum() * stats.entropy(row) for row in counts)
    assert crossing.theils_u == pytest.approx(gain / entropy, abs=1e-9)


def test_corrected_v_is_bergsmas_formula_and_without_bias() -> None:
    n, r, c = 400, 6, 4
    rng = np.random.default_rng(5)
    plain, corrected = [], []
    for _ in range(300):
        table = Crossing.of(np.histogram2d(rng.integers(0, r, n), rng.integers(0, c, n), bins=(r, c))[0])
        phi = max(
            0,
            stats.chi2_contingency(table.counts, correction=False).statistic / n
            - (r - 1) * (c - 1) / (n - 1),
        )
        rows, columns = r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)
        assert table.corrected_v == pytest.approx(math.sqrt(phi / (min(rows, columns) - 1)), abs=1e-9)
        plain.append(table.cramers_v)
        corrected.append(table.corrected_v)
    assert np.mean(plain) > 0.1 > 2.5 * np.mean(corrected)
    assert Crossing.of(np.diag([50, 50])).corrected_v == pytest.approx(1, abs=0.01)


def test_parity_is_what_fairlearn_calls_demographic_parity() -> None:
    """Its definition: selection rates by group; the largest minus the smallest, the smallest over the largest."""
    crossing = Crossing.of(np.array([[30, 10], [20, 20], [5, 45]]))
    difference, ratio = crossing.parity(1)
    assert difference == pytest.approx([0.75 - 0.1, 0.9 - 0.25])
    assert ratio == pytest.approx([0.1 / 0.75, 0.25 / 0.9])
    assert crossing.parity(45)[0].size == 0


@pytest.mark.parametrize("shape", [0.01, 0.5, 1, 3.7, 40, 3000])
def test_tails_are_scipys(shape: float) -> None:
    for value in shape * np.array([0, 1e-6, 0.2, 0.9, 1, 1.1, 2, 8, 300]):
        assert gamma_tail(shape, value) == pytest.approx(special.gammaincc(shape, value), rel=1e-7, abs=1e-12)


def test_the_distance_of_samples_has_kolmogorovs_tail() -> None:
    for distance in (0.01, 0.05, 0.1, 0.3):
        exact = stats.ks_2samp(np.arange(400), np.arange(400)).pvalue  # loads the exact method
        assert exact == 1
        expected = special.kolmogorov((math.sqrt(200) + 0.12 + 0.11 / math.sqrt(200)) * distance)
        assert kolmogorov_tail(distance, 400, 400) == pytest.approx(expected, abs=1e-9)


# Chance


@pytest.mark.parametrize(
    ("rows", "columns"),
    [([30, 20, 10], [40, 20]), ([500, 300, 8, 3], [700, 100, 11]), ([900, 4, 3], [890, 17])],
)
def test_chance_is_that_of_shuffled_labels_also_where_cells_are_empty(
    rows: list[int], columns: list[int]
) -> None:
    rng = np.random.default_rng(3)
    one, other = (np.repeat(np.arange(len(sums)), sums) for sums in (rows, columns))
    chances = []
    for _ in range(2000):
        cells = one * len(columns) + rng.permutation(other)
        counts = np.bincount(cells, minlength=len(rows) * len(columns)).reshape(len(rows), len(columns))
        chances.append(Crossing.of(counts).chance)
    for level in (0.05, 0.01):
        # Tables of few cells that can be: the steps between their chances are a part of it.
        assert np.mean(np.array(chances) <= level) <= 1.5 * level + 0.01


def _people(seed: int, n: int = 600) -> dict[str, list[Any]]:
    rng = random.Random(seed)
    return {
        "label": rng.choices(["yes", "no"], [1, 3], k=n),
        **{f"c{column}": rng.choices("abcdefgh", range(1, 9), k=n) for column in range(8)},
    }


def test_labels_of_chance_give_findings_at_the_stated_rate() -> None:
    """Eight declared columns a set: were each tested at .2, five sets in six would have a finding."""
    rule = SubgroupAssociation(
        columns=",".join(f"c{at}" for at in range(8)), min_association=0, false=0.2, min_cell=1
    )
    runs = [judge_in_memory(rule, [cut(records(_people(seed)))]) for seed in range(100)]
    some = sum(not run.findings.filter(severity="medium").is_empty() for run in runs)
    # 20 are expected at most; 31 or more come once in 250 times.
    assert 5 <= some <= 31
    quiet = SubgroupAssociation(columns=rule.columns, min_cell=1)
    runs = [judge_in_memory(quiet, [cut(records(_people(seed)))]) for seed in range(20)]
    assert not any("medium" in run.findings["severity"].to_list() for run in runs)


# Planted ones


@pytest.mark.parametrize("seed", range(5))
def test_a_group_whose_labels_were_turned_is_found_and_named(seed: int) -> None:
    data = _people(seed, 4000)
    rng = random.Random(seed)
    data["c3"] = ["h" if one == "a" else one for one in data["c3"]]
    for at, group in enumerate(data["c3"]):
        if group == "c" and rng.random() < 0.5:
            data["label"][at] = "yes"
    judgement = judge_in_memory(SubgroupAssociation(columns="c1,c3"), [cut(records(data))])
    (found,) = judgement.findings.to_dicts()
    assert (found["column"], found["group"], found["severity"]) == ("c3", "c", "medium")
    assert "demographic parity difference" in found["why"]
    told = measures(judgement)
    yes = np.array([label == "yes" for label in data["label"]])
    rates = [yes[np.array(data["c3"]) == group].mean() for group in "bcdefgh"]
    assert told["demographic_parity_difference", "c3"] == pytest.approx(max(rates) - min(rates), abs=1e-9)
    assert told["largest_parity_difference", ""] == told["demographic_parity_difference", "c3"]
    assert told["largest_association", ""] == told["cramers_v", "c3"] > 3 * told["cramers_v", "c1"]


def test_missing_and_thin_cells_are_told() -> None:
    data = {
        "label": ["yes", "no"] * 100 + ["yes"] * 6,
        "region": ["north"] * 100 + ["south"] * 80 + [None] * 20 + ["east"] * 6,
    }
    judgement = judge_in_memory(
        SubgroupAssociation(columns="region", min_association=1), [cut(records(data))]
    )
    (found,) = judgement.findings.to_dicts()
    assert (found["group"], found["severity"]) == ("east", "low")
    assert "2 of 6 cells" in found["why"]
    told = measures(judgement)
    assert told["missing_share", "region"] == pytest.approx(20 / 206)
    assert told["thin_cell_share", "region"] == pytest.approx(2 / 6)


def test_terms_are_found_by_words_and_not_across_records() -> None:
    texts = [
        "A Widow writes",
        "widows write",
        "a wheel",
        "chair of wheels",
        "the wheel chair",
        "wheel-chair, widow",
    ]
    data = records({"text": texts * 20, "label": ["bad", "good", "good", "good", "bad", "bad"] * 20})
    rule = SubgroupAssociation(terms="widow, wheel chair, nobody, ???")
    judgement = judge_in_memory(rule, [cut(data, [7, 8, 50])])
    told = measures(judgement)
    assert told["term_share", "widow"] == told["term_share", "wheel chair"] == pytest.approx(2 / 6)
    assert told["term_share", "nobody"] == told["term_share", "???"] == 0
    assert ("term_cramers_v", "nobody") not in told
    found = judgement.findings.filter(
        pl.col("severity") != "info"
    )  # the texts, of which there are six, are a column too
    assert dict(found.select("group", "severity").rows()) == {"widow": "medium", "wheel chair": "medium"}


# Which columns


def test_columns_nobody_declared_are_measured_and_mentioned_once() -> None:
    n = 400
    rng = random.Random(2)
    label = rng.choices([0, 1], k=n)
    data = {
        "label": label,
        "label_text": [["negative", "positive"][one] for one in label],
        "flag": [one == 1 for one in label],
        "small": rng.choices(range(5), k=n),
        "wide": list(range(n)),
        "size": [float(one) for one in label],
        "text": [f"a text {at}" for at in range(n)],
        "source": [str(one) for one in label],
    }
    judgement = judge_in_memory(SubgroupAssociation(), [cut(records(data))])
    (found,) = judgement.findings.to_dicts()
    assert found["severity"] == "info"
    assert "flag (1.00), label_text (1.00)" in found["why"]
    told = measures(judgement)
    assert {column for name, column in told if name == "missing_share"} == {"flag", "label_text", "small"}
    assert told["uncounted_columns", ""] == 2  # wide and text
    assert told["largest_association", ""] == 0


def test_a_declared_column_that_cannot_be_counted_is_no_clear_end() -> None:
    data = records({"label": ["a", "b"] * 40, "place": [f"p{at}" for at in range(80)]})
    judgement = judge_in_memory(SubgroupAssociation(columns="place,gone"), [cut(data)])
    assert "no file with labels has the declared column gone" in judgement.incomplete
    assert "place has more than 32 values" in judgement.incomplete


def test_however_it_is_cut_too_many_values_are_too_many() -> None:
    rng = random.Random(4)
    n = 300
    data = records(
        {
            "label": rng.choices("xy", k=n),
            "near": [str(rng.randrange(33)) for _ in range(n)],
            "few": rng.choices("ab", k=n),
        }
    )
    roles = resolve(data.schema, {})
    rule = SubgroupAssociation(columns="near,few")
    whole = judge_in_memory(rule, [cut(data, roles=roles)])
    assert whole.incomplete
    parts = judge_slices(rule, [[[one] for one in cut(data, range(0, n, 7), roles)]])
    assert (parts.measures, parts.incomplete) == (whole.measures, whole.incomplete)
    assert parts.findings.equals(whole.findings)


def test_a_wide_set_is_looked_at_up_to_a_number_of_columns() -> None:
    data = {"label": ["x", "y"] * 10, **{f"i{at:03}": [0, 1] * 10 for at in range(100)}}
    told = measures(judge_in_memory(SubgroupAssociation(), [cut(records(data))]))
    assert told["uncounted_columns", ""] == 36


def test_a_clean_real_set_is_quiet() -> None:
    data = load_breast_cancer()
    columns: dict[str, Any] = {f"f{at}": column.tolist() for at, column in enumerate(data.data.T)}
    columns["label"] = data.target.tolist()
    columns["gender"] = random.Random(1).choices(["f", "m", "x"], k=len(data.target))
    assert judge_in_memory(SubgroupAssociation(), [cut(records(columns))]).findings.is_empty()


@pytest.mark.parametrize(
    "options", [{"false": 2.0}, {"min_association": -0.1}, {"terms": ",".join(map(str, range(300)))}]
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="DG302: expected"):
        select(("DG302",), {"DG302": options})

"""Numbers beyond the tail of their column: planted ones are found, tails of every shape are left in peace."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataguard.detectors._numbers.distributions import BINS
from dataguard.detectors.numeric_outlier import NumericOutlier
from dataguard.findings import Judgement
from dataguard.kernels.histogram import histogram, merged, values_of
from harness import cut, judge_in_memory, records
from numeric_sets import far_off, shipped

Floats = npt.NDArray[np.float64]
N = 20_000


def judge(matrix: Floats) -> Judgement:
    data = records({f"f{number:02d}": column for number, column in enumerate(matrix.T)})
    return judge_in_memory(NumericOutlier(), [cut(data)])


def column(name: str, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    match name:
        case "normal":
            return rng.normal(size=N)
        case "uniform":
            return rng.uniform(-1, 1, N)
        case "exponential":
            return rng.exponential(size=N)
        case "lognormal":
            return rng.lognormal(0, 2, N)
        case "heavy":
            return rng.standard_t(2, N)
        case "pareto":
            return rng.pareto(1.5, N)
        case "poisson":
            return rng.poisson(1, N).astype(np.float64)
        case "zeros":
            return np.where(rng.random(N) < 0.9, 0, rng.lognormal(size=N))
        case "rare":
            return (rng.random(N) < 0.002).astype(np.float64)
        case "constant":
            return np.full(N, 3.5)
        case _:
            return rng.normal(size=N) + 8 * (rng.random(N) < 0.3)


KINDS = (
    *("normal", "uniform", "exponential", "lognormal", "heavy", "pareto", "poisson", "zeros", "rare"),
    *("constant", "two"),
)


@pytest.mark.parametrize("name", KINDS)
def test_tails_of_every_shape_are_left_in_peace(name: str) -> None:
    matrix = np.stack([column(name, seed) for seed in range(10)], axis=1)
    assert judge(matrix).flagged.height <= 4  # of 200,000 values


@pytest.mark.parametrize("name", ["normal", "uniform", "poisson", "two"])
@pytest.mark.parametrize("share", [0.0005, 0.005])
def test_values_far_beyond_a_tail_are_found(name: str, share: float) -> None:
    values = column(name, 1)
    rows = np.random.default_rng(2).choice(N, round(share * N), replace=False)
    far = (values.max() - values.min()) * np.linspace(1.5, 3, len(rows))
    values[rows] = np.where(rows % 2, values.max() + far, values.min() - far)
    judgement = judge(values[:, None])
    assert set(judgement.flagged["row"]) >= set(rows.tolist())
    assert judgement.flagged.height <= len(rows) + 2
    (finding,) = judgement.findings.to_dicts()
    assert finding["column"] == "f00"
    assert finding["severity"] == "medium"


@pytest.mark.parametrize("name", ["breast_cancer", "wine", "diabetes", "digits"])
@pytest.mark.parametrize("seed", range(2))
def test_planted_outliers_of_well_known_sets_come_first(name: str, seed: int) -> None:
    planted, rows = far_off(shipped(name)[0], seed)
    flagged = judge(planted).flagged.group_by("row").max().sort("score", descending=True)
    first = set(flagged["row"].head(int(1.5 * len(rows))))
    assert len(first & rows) >= 0.95 * len(rows)


@pytest.mark.parametrize("name", ["breast_cancer", "wine", "diabetes", "digits", "iris"])
def test_well_known_sets_are_left_in_peace(name: str) -> None:
    assert len(judge(shipped(name)[0]).findings) <= 1


def test_too_many_are_a_group_of_low_severity() -> None:
    values = column("normal", 1)
    values[:300] = 1000 + np.arange(300)
    (finding,) = judge(values[:, None]).findings.to_dicts()
    assert finding["severity"] == "low"
    assert "too many" in finding["why"]


def test_a_code_below_zeros_is_found_where_no_value_was() -> None:
    values = column("poisson", 2)
    values[[3, 5]] = -999
    assert set(judge(values[:, None]).flagged["row"]) == {3, 5}


def test_fractions_among_whole_numbers_are_found_within_their_range() -> None:
    values = column("poisson", 3)
    values[[5, 9]] = [0.5, 1.25]
    judgement = judge(values[:, None])
    assert set(judgement.flagged["row"]) == {5, 9}
    assert "fractions" in judgement.findings["why"][0]
    assert judgement.flagged["why"].str.ends_with("among whole numbers").all()


@pytest.mark.parametrize("kind", ["halves", "prices", "amounts", "rare fractions", "flags"])
def test_columns_that_are_not_of_whole_numbers_may_have_fractions(kind: str) -> None:
    rng = np.random.default_rng(4)
    values = column("poisson", 5)
    match kind:
        case "halves":
            values[rng.random(N) < 0.05] += 0.5
        case "prices":
            values = np.round(rng.lognormal(3, 1, N), 2)
        case "amounts":  # more different ones than are known exactly
            values = np.round(rng.lognormal(12, 2, N)) + np.where(rng.random(N) < 0.005, 0.5, 0)
        case "rare fractions":
            values = np.where(rng.random(N) < 0.002, rng.random(N), 0)
        case _:
            values = (rng.random(N) < 0.5) + np.where(rng.random(N) < 0.02, 0.5, 0)
    assert judge(values[:, None]).flagged.height <= 1


def test_zeros_beside_a_narrow_heap_are_no_outliers() -> None:
    rng = np.random.default_rng(5)
    heap = np.where(rng.random(N) < 0.41, 0, rng.uniform(4.5, 7.2, N))
    assert judge(np.stack([heap, -heap], axis=1)).findings.is_empty()
    heap[[2, 8]] = -50
    assert set(judge(heap[:, None]).flagged["row"]) == {2, 8}


def test_what_cannot_be_judged_is_told() -> None:
    few = np.random.default_rng(0).normal(size=(40, 1))
    assert {one.name: one.value for one in judge(few).measures} == {"unjudged_share": 1.0}
    assert judge(np.full((100, 1), np.nan)).not_applicable
    mixed = np.stack([column("normal", 1), column("constant", 1)], axis=1)
    told = {(one.name, one.column): one.value for one in judge(mixed).measures}
    assert told == {("outlier_share", "f00"): 0.0, ("unjudged_share", ""): 0.5}


def test_nan_and_infinities_are_no_outliers() -> None:
    values = column("normal", 3)
    values[:50], values[50:100] = np.nan, np.inf
    judgement = judge(values[:, None])
    assert judgement.findings.is_empty()
    assert judgement.measures[0].n == N - 100


@pytest.mark.parametrize("factor", [1e-300, 1e303, -1.0])
def test_units_do_not_matter(factor: float) -> None:
    values = column("normal", 4)
    values[:5] = [50, -60, 70, 80, -90]
    assert set(judge((values * factor)[:, None]).flagged["row"]) == set(range(5))


def test_integers_and_singles_are_read() -> None:
    rng = np.random.default_rng(3)
    whole = rng.integers(0, 100, 500)
    whole[7] = 5000
    data = records({"a": pa.array(whole, pa.uint16()), "b": pa.array(rng.normal(size=500), pa.float32())})
    assert set(judge_in_memory(NumericOutlier(), [cut(data)]).flagged["row"]) == {7}


NUMBERS = st.one_of(
    st.floats(width=64), st.integers(-5, 5).map(float), st.sampled_from([0.0, -0.0, 5e-324, 1.7e308])
)


@settings(max_examples=200, deadline=None)
@given(values=st.lists(NUMBERS, max_size=60), at=st.integers(0, 60), most=st.integers(2, 20))
def test_a_histogram_is_the_same_however_the_values_are_cut(values: list[float], at: int, most: int) -> None:
    array = np.array(values)
    bins, counts, shift = histogram(array, most)
    assert len(bins) <= most
    assert counts.sum() == np.isfinite(array).sum()
    parts = [histogram(part, most) for part in (array[at:], array[:at])]
    together = merged(
        np.concatenate([part[0] for part in parts]),
        np.concatenate([part[1] for part in parts]),
        np.concatenate([np.full(len(part[0]), part[2]) for part in parts]),
        most,
    )
    assert together[2] == shift
    np.testing.assert_array_equal(together[0], bins)
    np.testing.assert_array_equal(together[1], counts)
    middles = values_of(bins, shift)
    assert np.isfinite(middles).all()
    assert (np.diff(middles) > 0).all()


@settings(max_examples=100, deadline=None)
@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40))
def test_a_histogram_of_few_values_has_them_all(values: list[float]) -> None:
    bins, counts, shift = histogram(np.array(values), BINS)
    assert shift == 0
    expected, numbers = np.unique(np.array(values) + 0.0, return_counts=True)
    np.testing.assert_array_equal(values_of(bins, shift), expected)
    np.testing.assert_array_equal(counts, numbers)


def test_a_histogram_is_as_fine_as_it_says() -> None:
    values = column("lognormal", 5)
    bins, counts, shift = histogram(values, BINS)
    middles = values_of(bins, shift)
    ordered = np.sort(values)
    known = np.repeat(middles, counts)
    assert np.max(np.abs(known - ordered) / ordered) < 0.03
    assert math.isclose(float(known.mean()), float(values.mean()), rel_tol=0.01)

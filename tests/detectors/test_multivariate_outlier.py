"""Records set apart by their numbers: planted ones are found, clean sets are left in peace."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataguard.columns import resolve
from dataguard.detectors._forest import Forest
from dataguard.detectors._outliers import OutlierModel
from dataguard.detectors.multivariate_outlier import MultivariateOutlier
from dataguard.findings import Judgement
from harness import cut, judge_in_memory, records

Matrix = npt.NDArray[np.float64]
N = 4000


def judge(*matrices: Matrix, **options: Any) -> Judgement:
    files = [
        cut(records({f"f{number:02d}": column for number, column in enumerate(matrix.T)}))
        for matrix in matrices
    ]
    return judge_in_memory(MultivariateOutlier(**options), files)


def generated(name: str, columns: int, seed: int = 0) -> Matrix:
    rng = np.random.default_rng(seed)
    size = (N, columns)
    match name:
        case "normal":
            return rng.normal(size=size)
        case "uniform":
            return rng.uniform(-1, 1, size)
        case "heavy":
            return rng.standard_t(3, size)
        case "lognormal":
            return rng.lognormal(size=size)
        case "clusters":
            return rng.normal(size=(4, columns))[rng.integers(0, 4, N)] * 6 + rng.normal(size=size)
        case _:
            return rng.normal(size=size) @ rng.normal(size=(columns, columns))


def shipped(name: str) -> Matrix:
    from sklearn import datasets

    return np.asarray(getattr(datasets, f"load_{name}")().data, dtype=np.float64)


def with_outliers(clean: Matrix, share: float, seed: int = 1) -> tuple[Matrix, set[int]]:
    """Some records moved to 8 to 15 robust deviations from the median, in every column, either way."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(clean), max(2, round(share * len(clean))), replace=False)
    middle = np.median(clean, axis=0)
    scale = 1.4826 * np.median(np.abs(clean - middle), axis=0)
    scale = np.where(scale > 0, scale, clean.std(axis=0) + 1e-9)
    planted = clean.copy()
    away = rng.uniform(8, 15, (len(rows), clean.shape[1])) * rng.choice([-1, 1], (len(rows), clean.shape[1]))
    planted[rows] = middle + scale * away
    return planted, set(map(int, rows))


KINDS = [
    (name, columns)
    for name in ("normal", "uniform", "heavy", "clusters", "correlated")
    for columns in (3, 5, 20)
]


@pytest.mark.parametrize(("name", "columns"), [*KINDS, ("lognormal", 20), ("normal", 2)])
def test_planted_outliers_are_found_among_generated_records(name: str, columns: int) -> None:
    planted, rows = with_outliers(generated(name, columns), 0.005)
    found = set(judge(planted).flagged["row"])
    assert len(found & rows) >= 0.95 * len(rows)
    assert len(found - rows) <= 0.003 * N


@pytest.mark.parametrize(
    ("name", "columns"), [*KINDS, *((name, 2) for name in ("normal", "lognormal", "heavy"))]
)
def test_clean_generated_records_are_left_in_peace(name: str, columns: int) -> None:
    assert len(judge(generated(name, columns)).findings) <= 0.002 * N


@pytest.mark.parametrize("name", ["breast_cancer", "wine", "diabetes", "iris", "digits"])
def test_well_known_sets_are_left_in_peace_and_their_planted_outliers_found(name: str) -> None:
    clean = shipped(name)
    assert len(judge(clean).findings) <= 1
    planted, rows = with_outliers(clean, 0.005)
    found = set(judge(planted).flagged["row"])
    assert rows <= found
    assert len(found - rows) <= 1


@pytest.mark.parametrize("share", [0.02, 0.05])
def test_more_than_outliers_can_be_are_one_finding_with_all_their_records(share: float) -> None:
    planted, rows = with_outliers(generated("normal", 5), share)
    judgement = judge(planted)
    assert len(judgement.findings) == 1
    assert f"{len(rows)} of {N} records" in judgement.findings["why"][0]
    assert set(judgement.flagged["row"]) == rows


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    rows=st.integers(2, 400),
    columns=st.integers(1, 12),
    rounding=st.integers(0, 3),
    trees=st.integers(1, 12),
)
def test_scores_are_those_of_scikit_learn(
    seed: int, rows: int, columns: int, rounding: int, trees: int
) -> None:
    from sklearn.ensemble import IsolationForest

    rng = np.random.default_rng(seed)
    known = rng.standard_t(2, (rows, columns)).round(rounding).astype(np.float32)
    fitted = IsolationForest(n_estimators=trees, max_samples=min(64, rows), random_state=seed % 1000).fit(
        known
    )
    forest = Forest.of(fitted)
    again = Forest.from_arrays(forest.to_arrays("x "), "x ")
    other = np.vstack([known, rng.standard_t(1, (50, columns)).round(rounding).astype(np.float32)])
    lengths = again.path_lengths(other)
    np.testing.assert_allclose(again.scores(lengths), -fitted.score_samples(other), rtol=0, atol=1e-9)
    limit = float(np.median(lengths))
    below = lengths <= limit
    np.testing.assert_array_equal(again.path_lengths(other, limit)[below], lengths[below])
    assert (again.path_lengths(other, limit)[~below] > limit).all()


def test_a_model_is_told_on_in_plain_arrays() -> None:
    model = OutlierModel.fit(generated("normal", 4), 1e-4, 0.01)
    assert model is not None
    told = model.to_arrays("0 ")
    assert all(isinstance(value, np.ndarray | int | float) for value in told.values())
    matrix = generated("heavy", 4)
    np.testing.assert_array_equal(
        OutlierModel.from_arrays(told, "0 ").path_lengths(matrix), model.path_lengths(matrix)
    )


def test_the_same_numbers_give_the_same_findings_byte_for_byte() -> None:
    planted, _ = with_outliers(generated("normal", 4), 0.005)
    one, two = judge(planted), judge(planted[:1000], planted[1000:])
    assert one.findings.equals(judge(planted).findings)
    assert one.findings.equals(two.findings)
    assert one.measures == two.measures


def test_reasons_name_the_columns_that_are_furthest_off() -> None:
    clean = generated("normal", 6)
    clean[7, 1:5] = [50, -40, 30, 20]
    judgement = judge(clean)
    (why,) = judgement.flagged.filter(judgement.flagged["row"] == 7)["why"]
    assert [part.split(" ")[0] for part in why.split("; ")] == ["f01", "f02", "f03"]
    assert why.startswith("f01 = 50 (+")


def test_copies_of_an_outlier_are_one_finding() -> None:
    clean = generated("normal", 4)
    clean[[3, 9]] = 40
    judgement = judge(clean)
    (finding,) = judgement.flagged.filter(judgement.flagged["row"].is_in([3, 9]))["key"].unique()
    assert set(judgement.flagged.filter(judgement.flagged["key"] == finding)["row"]) == {3, 9}


def test_missing_values_count_as_the_median_and_are_told() -> None:
    planted, rows = with_outliers(generated("normal", 5), 0.005)
    gaps = np.random.default_rng(2).choice(N, N // 4, replace=False)
    planted[gaps, 0] = np.nan
    planted[gaps[:100], 1] = np.inf
    judgement = judge(planted)
    assert len(set(judgement.flagged["row"]) & rows) >= 0.9 * len(rows)
    told = {(measure.name, measure.column): measure.value for measure in judgement.measures}
    assert told["imputed_share", "f00"] == 1 / 4
    assert told["imputed_share", "f01"] == 100 / N
    assert told["imputed_share", "f02"] == 0


@pytest.mark.parametrize("factor", [1e-300, 1e300, 1e-3])
def test_units_do_not_matter(factor: float) -> None:
    planted, rows = with_outliers(generated("normal", 4), 0.005)
    planted[:, 1] *= factor
    assert rows <= set(judge(planted).flagged["row"])


def test_files_with_other_columns_are_judged_on_their_own() -> None:
    planted, rows = with_outliers(generated("normal", 4), 0.005)
    other = generated("uniform", 6) + 1000
    judgement = judge(planted, other)
    assert set(judgement.flagged.filter(judgement.flagged["file"] == 0)["row"]) >= rows
    assert judgement.flagged.filter(judgement.flagged["file"] == 1).height <= 10


def test_too_few_records_or_columns_are_not_called_clear() -> None:
    few = generated("normal", 4)[:20]
    assert judge(few).not_applicable
    assert judge(generated("normal", 1)).not_applicable
    assert judge(np.ones((100, 3))).not_applicable
    both = judge(generated("normal", 4), generated("normal", 3)[:20])
    assert {measure.name: measure.value for measure in both.measures}["unscored_share"] == 20 / (N + 20)


def test_only_columns_with_the_role_count() -> None:
    planted, _ = with_outliers(generated("normal", 3), 0.005)
    data = records(
        {name: planted[:, number] for number, name in enumerate(("a", "b", "c"))} | {"id": list(range(N))}
    )
    declared = judge_in_memory(
        MultivariateOutlier(),
        [cut(data, roles=resolve(data.schema, {"features": ("a",), "id": ("id",), "score": ("b", "c")}))],
    )
    assert declared.not_applicable
    assert "id" not in {
        measure.column for measure in judge_in_memory(MultivariateOutlier(), [cut(data)]).measures
    }


def test_integers_of_all_widths_and_nulls_are_read() -> None:
    rng = np.random.default_rng(3)
    data = records(
        {
            "a": pa.array(rng.integers(0, 100, 500), pa.uint64()),
            "b": pa.array([None if number % 9 == 0 else number % 50 for number in range(500)], pa.int8()),
            "c": pa.array(rng.normal(size=500), pa.float32()),
        }
    )
    assert len(judge_in_memory(MultivariateOutlier(), [cut(data)]).findings) <= 2


def test_a_small_sample_of_the_data_is_enough() -> None:
    planted, rows = with_outliers(np.vstack([generated("normal", 5, seed) for seed in range(5)]), 0.005)
    found = set(judge(planted, sample=1000).flagged["row"])
    assert len(found & rows) >= 0.95 * len(rows)

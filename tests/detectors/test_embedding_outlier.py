"""DG209 on real vectors with something planted in them, and how its parts hold."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dataguard
from dataguard.detectors._vectors import learning, sketch
from dataguard.detectors._vectors.crowds import cosines
from dataguard.detectors._vectors.mixed import mixed
from dataguard.detectors._vectors.reading import by_dim
from dataguard.detectors._vectors.tails import beyond, expected
from dataguard.detectors.embedding_outlier import EmbeddingOutlier
from dataguard.findings import Judgement
from dataguard.kernels.units import MOST_DIM, SCALE, units
from harness import cut, judge_in_memory
from measured_set import hubs

F32 = npt.NDArray[np.float32]
PURE = 0.9


def judged(vectors: Any, labels: Any = None, **options: Any) -> Judgement:
    kind = pa.large_list(pa.float32())
    columns = {"embedding": pa.array([None if one is None else np.asarray(one) for one in vectors], kind)}
    if labels is not None:
        columns["label"] = pa.array([str(label) for label in labels], pa.large_string())
    return judge_in_memory(EmbeddingOutlier(**options), [cut(pa.record_batch(columns))])


def found(judgement: Judgement, planted: npt.NDArray[np.int64]) -> float:
    """The share of what was planted in findings of nearly nothing else; asserts that none is of high severity."""
    assert "high" not in judgement.findings["severity"].to_list()
    right: set[int] = set()
    for (_,), rows in judgement.flagged.group_by("key"):
        if np.isin(rows["row"].to_numpy(), planted).mean() >= PURE:
            right |= set(rows["row"].to_list())
    return len(right & set(planted.tolist())) / len(planted)


@pytest.fixture(scope="module")
def digits() -> tuple[F32, npt.NDArray[np.int64]]:
    from sklearn.datasets import load_digits

    loaded = load_digits()
    return loaded.data.astype(np.float32), loaded.target


@pytest.fixture(scope="module")
def texts(shared: Path) -> tuple[F32, npt.NDArray[np.int64]]:
    """Texts under an encoder that was fitted on them."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    labelled = pl.read_parquet(shared / "data" / "poison" / "classify.parquet")
    labelled = labelled.filter(dataset="sst-2", attack="clean").sample(2500, seed=3, shuffle=True)
    weighed = TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform(labelled["text"].to_list())
    vectors = TruncatedSVD(128, random_state=0).fit_transform(weighed).astype(np.float32)
    there = np.linalg.norm(vectors, axis=1) > 0
    return vectors[there], labelled["label"].to_numpy()[there]


REAL = pytest.mark.parametrize("name", ["digits", "texts"])


@REAL
def test_clean_vectors_have_no_findings(name: str, request: pytest.FixtureRequest) -> None:
    vectors, labels = request.getfixturevalue(name)
    assert judged(vectors, labels).findings.is_empty()


@REAL
@pytest.mark.parametrize("seed", [1, 2])
def test_a_flood_of_nearly_identical_vectors_is_one_finding(
    name: str, seed: int, request: pytest.FixtureRequest
) -> None:
    vectors, labels = request.getfixturevalue(name)
    drawn = np.random.default_rng(seed)
    one = vectors[drawn.integers(len(vectors))]
    noise = drawn.normal(size=(10, len(one))) / math.sqrt(len(one))
    flood = (one + 0.03 * np.linalg.norm(one) * noise).astype(np.float32)
    planted = np.arange(len(vectors), len(vectors) + 10)
    judgement = judged([*vectors, *flood], [*labels, *[labels[0]] * 10])
    assert found(judgement, planted) == 1
    # Under another label they also stand apart from its records; that is another finding.
    assert judgement.findings["key"].str.starts_with("flood").sum() == 1


@REAL
@pytest.mark.parametrize("length", [1, 2])
@pytest.mark.parametrize("seed", [1, 2])
def test_records_of_one_label_that_are_shifted_alike_are_found(
    name: str, seed: int, length: int, request: pytest.FixtureRequest
) -> None:
    vectors, labels = request.getfixturevalue(name)
    count = 10 if length == 2 else 16  # how many tell of a direction: of fewer it is less certain
    drawn = np.random.default_rng(seed)
    its = vectors[labels == 1]
    way = drawn.normal(size=vectors.shape[1])
    step = length * np.linalg.norm(its - its.mean(axis=0), axis=1).mean() * way / np.linalg.norm(way)
    moved = drawn.choice(np.flatnonzero(labels != 1), count, replace=False)
    judgement = judged([*vectors, *(vectors[moved] + step)], [*labels, *[1] * count])
    assert found(judgement, np.arange(len(vectors), len(vectors) + count)) == 1
    assert judgement.findings.filter(pl.col("key").str.starts_with("shift"))["group"].to_list() == ["1"]


def test_two_groups_of_one_label_are_two_findings(digits: tuple[F32, npt.NDArray[np.int64]]) -> None:
    """What stands apart by nature, as a template does, hides nothing that was put in beside it."""
    vectors, labels = digits
    drawn = np.random.default_rng(5)
    its = vectors[labels == 1]
    wide = np.linalg.norm(its - its.mean(axis=0), axis=1).mean()
    parts = []
    for length in (4, 2):
        way = drawn.normal(size=vectors.shape[1])
        moved = drawn.choice(np.flatnonzero(labels != 1), 12, replace=False)
        parts.append(vectors[moved] + length * wide * way / np.linalg.norm(way))
    judgement = judged([*vectors, *parts[0], *parts[1]], [*labels, *[1] * 24])
    shifts = judgement.findings.filter(pl.col("key").str.starts_with("shift"))
    assert shifts["group"].to_list() == ["1", "1"]
    first = len(vectors)
    flagged = {frozenset(judgement.flagged.filter(key=key)["row"]) for key in shifts["key"]}
    assert flagged == {frozenset(range(first, first + 12)), frozenset(range(first + 12, first + 24))}
    names = [one.group for one in judgement.measures if one.name == "separation"]
    assert len(names) == len(set(names))


def test_labels_are_ranked_by_separation_though_nothing_is_found(
    digits: tuple[F32, npt.NDArray[np.int64]],
) -> None:
    separations = {one.group: one.value for one in judged(*digits).measures if one.name == "separation"}
    assert len(separations) >= 8
    assert all(0 <= value < 4 for value in separations.values())


def test_groups_that_are_no_further_apart_than_others_of_the_set_are_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Templates in every label: each stands apart, none more than is usual there. One that is far out of line is told."""
    drawn = np.random.default_rng(3)
    vectors = 0.2 * drawn.normal(size=(2400, 32))
    vectors[:, :16] += drawn.normal(size=(2400, 16))
    labels = np.arange(2400) % 4
    parts = [np.flatnonzero(labels == label)[12 * at : 12 * at + 12] for label in range(4) for at in range(3)]
    for number, part in enumerate(parts):
        vectors[part] += 9 * np.eye(32)[number]
    assert not any(key.startswith("shift") for key in judged(vectors, labels).findings["key"])
    far = vectors.copy()
    far[parts[0]] += 9 * np.eye(32)[20] - 9 * np.eye(32)[0]
    shifted = judged(far, labels).findings.filter(pl.col("key").str.starts_with("shift"))
    assert shifted["group"].to_list() == ["0"]
    monkeypatch.setattr(learning, "FURTHER", 0.0)
    assert any(key.startswith("shift") for key in judged(vectors, labels).findings["key"])


def test_lengths_are_told_apart_where_they_are_usual() -> None:
    usual = np.array([-64, 64])
    weights = sketch.weights(np.array([-65, -64, -32, 0, 32, 64, 65], np.int32), usual)
    assert weights.tolist() == [1024, 256, 512, 1024, 2048, 4096, 1024]
    widest = sketch.weights(np.array([-40_000, 0, 40_000], np.int32), np.array([-50_000, 50_000]))
    assert widest.tolist() == [1024] * 3


@REAL
def test_hubs_are_found(name: str, request: pytest.FixtureRequest) -> None:
    """Around the place that is near to most records, a third as far from it as records are from their nearest."""
    vectors, labels = request.getfixturevalue(name)
    near = hubs(vectors, np.random.default_rng(1))
    planted = np.arange(len(vectors), len(vectors) + 12)
    judgement = judged([*vectors, *near.astype(np.float32)], [*labels, *labels[:12]])
    assert found(judgement, planted) >= 0.8
    assert any(key.startswith("hub") for key in judgement.findings["key"])


def test_a_crowd_of_any_labels_is_found_where_neighbours_agree(
    digits: tuple[F32, npt.NDArray[np.int64]],
) -> None:
    vectors, labels = digits
    drawn = np.random.default_rng(7)
    place = vectors[labels == 3].mean(axis=0)
    crowd = place + 0.2 * np.linalg.norm(place) * drawn.normal(size=(10, 64)) / 8
    planted = np.arange(len(vectors), len(vectors) + 10)
    judgement = judged([*vectors, *crowd], [*labels, *range(10)])
    assert found(judgement, planted) >= 0.7
    assert judgement.findings["key"].str.starts_with("mixed").to_list() == [True]
    assert "carry its label" in judgement.findings["why"][0]
    shares = {one.name: one.value for one in judgement.measures}
    assert shares["mixed_share"] == pytest.approx(judgement.flagged.height / (len(vectors) + 10))
    assert shares["agreeing_neighbour_share"] > 0.9
    # Of one label they are like any others; wrong labels here and there are no crowd.
    assert judged([*vectors, *crowd], [*labels, *[3] * 10]).findings.is_empty()
    turned = np.where(drawn.random(len(labels)) < 0.05, drawn.permutation(labels), labels)
    assert judged(vectors, turned).findings.is_empty()


def test_where_neighbours_do_not_tell_labels_no_crowd_is_mixed() -> None:
    products = cosines(np.random.default_rng(1).normal(size=(200, 8)).astype(np.float32))
    for labels in (["a", "b"] * 100, [str(at) for at in range(200)], [None] * 200, ["a"] * 200):
        assert mixed(products, labels)[0] == []
    assert mixed(products[:20, :20], ["a", "b"] * 10)[0] == []


@REAL
def test_broken_vectors_are_found_to_the_record(name: str, request: pytest.FixtureRequest) -> None:
    vectors, labels = request.getfixturevalue(name)
    made: list[Any] = list(vectors.copy())
    made[3][5], made[4][0], made[5][1] = np.nan, np.inf, -np.inf
    made[6], made[7] = made[6][:-1], np.append(made[7], 1.0)
    made[8] = made[8] * 1000
    made[9] = made[9] * 0
    made[10] = None
    judgement = judged(made, labels)
    rows = {
        key.split("\0")[0]: sorted(its["row"].to_list()) for (key,), its in judgement.flagged.group_by("key")
    }
    assert rows == {"unsound": [3, 4, 5], "dimension": [6, 7], "norm": [8], "zero": [9]}
    shares = {one.name: one.value for one in judgement.measures}
    assert shares["missing_vector_share"] == 1 / len(vectors)
    assert shares["unsound_share"] == 3 / (len(vectors) - 1)


@pytest.mark.parametrize(("kind", "fixed"), [(pa.float16(), True), (pa.float64(), False)], ids=str)
def test_a_scan_reads_lists_of_every_width(
    kind: pa.DataType, fixed: bool, tmp_path: Path, digits: tuple[F32, npt.NDArray[np.int64]]
) -> None:
    vectors, labels = digits
    made = np.concatenate([vectors[:300], np.repeat(vectors[:1], 20, axis=0)])
    made[7, 3] = np.nan
    flat = pa.array(made.ravel()).cast(kind)
    column = pa.FixedSizeListArray.from_arrays(flat, 64)
    column = column if fixed else column.cast(pa.list_(kind))
    table = pa.table({"pixels": column, "label": labels[np.arange(len(made)) % 300]})
    (tmp_path / "data").mkdir()
    pq.write_table(table, tmp_path / "data" / "a.parquet", row_group_size=100)
    run = dataguard.scan(
        tmp_path / "data",
        out=tmp_path / "run",
        rules="DG209",
        policy=None,
        workers=1,
        secret_file=tmp_path / "secret",
    )
    rows = run.table("flagged").group_by("finding").agg(pl.col("row").sort())["row"].to_list()
    assert sorted(rows) == [[0, *range(300, 320)], [7]]
    assert run.table("outcomes")["outcome"].to_list() == ["flagged"]


def test_a_flood_that_the_sample_has_little_of_is_found_by_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketch, "SAMPLE", 80)
    drawn = np.random.default_rng(0)
    vectors = drawn.normal(size=(6000, 24))
    vectors[5900:] = vectors[0] + 0.005 * drawn.normal(size=(100, 24))
    judgement = judged(vectors.astype(np.float32))
    assert judgement.findings.height == 1
    assert found(judgement, np.arange(5900, 6000)) >= 0.95


def test_the_sample_is_bounded_in_numbers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketch, "NUMBERS", 1000)
    vectors = np.random.default_rng(0).normal(size=(500, 64)).astype(np.float32)
    batch = cut(pa.record_batch({"embedding": pa.array(list(vectors), pa.large_list(pa.float32()))}))[0]
    sampled = sketch.sketched(batch).filter(what=sketch.SAMPLED)
    assert sampled.height == math.ceil(1000 / 64)


def test_vectors_that_are_too_long_to_compare_are_said_to_be() -> None:
    judgement = judged([np.ones(MOST_DIM + 1)] * 3)
    assert str(MOST_DIM) in judgement.incomplete
    assert judgement.findings.is_empty()


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1.0, 1e30, 1e300])
def test_units_are_of_one_length_however_long_vectors_are(size: float) -> None:
    vectors = np.random.default_rng(1).normal(size=(50, 30)) * size
    made, norms = units(vectors.ravel(), np.arange(50) * 30, 30)
    assert np.allclose(norms / size, np.linalg.norm(vectors / size, axis=1), rtol=1e-12)
    assert np.allclose(np.linalg.norm(made.astype(float), axis=1), SCALE, rtol=2e-3)
    cosines = made.astype(float) @ made.astype(float).T / SCALE**2
    straight = vectors / size / np.linalg.norm(vectors / size, axis=1, keepdims=True)
    assert np.abs(cosines - straight @ straight.T).max() < 2e-3


def test_products_of_units_are_exact_up_to_the_greatest_dimension() -> None:
    for vector in (np.ones(MOST_DIM), np.eye(1, MOST_DIM)[0], np.random.default_rng(1).normal(size=MOST_DIM)):
        made, _ = units(vector, np.zeros(1, np.int64), MOST_DIM)
        assert (made.astype(np.int64) ** 2).sum() <= 1 << 24
        single = made.astype(np.float32)
        assert float((single @ single.T)[0, 0]) == float((made.astype(np.int64) ** 2).sum())


def test_numbers_of_integers_and_nulls_are_read() -> None:
    kinds = [
        pa.array([[3, 4], None, [0, None]], pa.list_(kind))
        for kind in (pa.int8(), pa.float16(), pa.float64())
    ]
    for column in kinds:
        missing, whole = by_dim("a", column)
        assert (missing.dim, missing.rows.tolist()) == (0, [1])
        assert whole.norms[0] == 5
        assert math.isnan(whole.norms[1])


def test_what_a_power_law_has_in_its_tail_is_expected() -> None:
    ranks = (np.arange(100_000) + 0.5) / 100_000
    values = ranks**-0.5  # above t there is a share of t^-2
    at = np.array([10.0, 20.0, 50.0])
    assert np.allclose(expected(values, at), 100_000 * at**-2.0, rtol=0.05)
    assert beyond(values).least == math.inf
    assert 100 < beyond(np.append(values, np.full(50, 300.0))).least <= 300
    assert beyond(np.ones(1000)).least == math.inf
    assert beyond(np.ones(3)).least == math.inf

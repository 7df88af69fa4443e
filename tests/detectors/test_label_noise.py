"""Turned labels of texts and of numbers are ranked first, turned ones in one direction are named, and clean sets are left in peace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

import numeric_sets
from dataguard.detectors._label_model import FOLDS, LabelModel, Texts, probabilities
from dataguard.detectors._labels.numbers import FOLDS as FOLDS_BY_NUMBERS
from dataguard.detectors._labels.numbers import NumberModel, Numbers
from dataguard.detectors.label_noise import LabelNoise
from dataguard.findings import Judgement
from dataguard.words import words_of
from harness import cut, judge_in_memory, look, records

I64 = npt.NDArray[np.int64]
SYLLABLES = [a + b for a in "bdfgklmnprst" for b in "aeiou"]


def made(seed: int, records_: int = 2400, classes: int = 3, overlap: float = 0.6) -> tuple[list[str], I64]:
    """Texts of classes that share most of their words, and have some of their own."""
    rng = np.random.default_rng(seed)
    words = [a + b + c for a in SYLLABLES[:20] for b in SYLLABLES[:10] for c in SYLLABLES[:6]]
    common, own = words[:400], [words[400 + 100 * k : 500 + 100 * k] for k in range(classes)]
    labels = rng.integers(0, classes, records_)
    texts = []
    for label in labels:
        from_common = rng.random(20) < overlap
        texts.append(
            " ".join(common[rng.integers(400)] if c else own[label][rng.integers(100)] for c in from_common)
        )
    return texts, labels


def turned(labels: I64, seed: int, count: int, sides: tuple[int, int] | None = None) -> tuple[I64, set[int]]:
    """Some labels turned to any other, or all of one class to another."""
    rng = np.random.default_rng(seed)
    given, classes = labels.copy(), int(labels.max()) + 1
    if sides is None:
        rows = rng.choice(len(labels), count, replace=False)
        given[rows] = (given[rows] + rng.integers(1, classes, count)) % classes
    else:
        rows = rng.choice(np.flatnonzero(labels == sides[0]), count, replace=False)
        given[rows] = sides[1]
    return given, set(rows.tolist())


def judge(texts: list[str], labels: Any, **options: Any) -> Judgement:
    return judge_in_memory(LabelNoise(**options), [cut(records({"text": texts, "label": labels}))])


def measures(judgement: Judgement) -> dict[str, float]:
    return {measure.name: measure.value for measure in judgement.measures}


def ranked(texts: list[str], labels: I64) -> list[int]:
    """Rows from the most doubtful label on."""
    detector = LabelNoise()
    first, second = detector.passes()
    files = [[cut(records({"text": texts, "label": labels}))]]
    assert first.fold is not None
    sample = look(detector, first, None, files)
    assert sample is not None
    told = first.fold(sample.lazy(), None)
    evidence = look(detector, second, told, files)
    assert evidence is not None
    return (
        evidence.filter(pl.col("row").is_not_null())
        .sort("score", "row", descending=[True, False])["row"]
        .to_list()
    )


def test_labels_turned_in_one_direction_are_named_with_their_records() -> None:
    texts, labels = made(1)
    given, rows = turned(labels, 2, 120, (0, 1))
    found = judge(texts, given)
    worst = found.findings.sort("score", descending=True).row(0, named=True)
    assert (worst["group"], worst["severity"], worst["column"]) == ("1", "medium", "label")
    assert "labelled 1 look like 0" in worst["why"]
    flagged = set(found.flagged.filter(key=worst["key"])["row"])
    assert len(flagged & rows) / len(flagged) > 0.9
    assert len(flagged & rows) / len(rows) > 0.85
    assert measures(found)["label_noise_share"] == pytest.approx(120 / len(labels), rel=0.25)


def test_labels_turned_any_way_are_one_finding_and_come_first() -> None:
    texts, labels = made(3)
    given, rows = turned(labels, 4, 200)
    found = judge(texts, given)
    assert found.findings.select("group", "severity").rows() == [(None, "low")]
    assert measures(found)["label_noise_share"] == pytest.approx(200 / len(labels), rel=0.25)
    by_score = found.flagged.sort("score", descending=True)["row"].to_list()
    assert len(set(by_score[:200]) & rows) > 160


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("overlap", [0.6, 0.9])
def test_clean_sets_have_no_finding(seed: int, overlap: float) -> None:
    """Hard ones too: where the model errs on many records these are no wrong labels."""
    texts, labels = made(seed, classes=2 + seed, overlap=overlap)
    assert judge(texts, labels).findings.is_empty()


def test_usual_noise_has_no_finding_but_a_measure() -> None:
    texts, labels = made(5)
    given, _ = turned(labels, 6, 24)
    found = judge(texts, given)
    assert found.findings.is_empty()
    assert 0.002 < measures(found)["label_noise_share"] < 0.03


def test_a_copy_does_not_vouch_for_its_label() -> None:
    texts, labels = made(7)
    given, rows = turned(labels, 8, 60, (0, 1))
    copied = [texts[row] for row in sorted(rows)] * 9
    found = judge(texts + copied, [*given, *([1] * len(copied))])
    flagged = set(found.flagged["row"])
    assert len(flagged & rows) > 0.8 * len(rows)


def test_only_some_records_are_learnt_from_and_all_are_judged() -> None:
    texts, labels = made(9, 4000)
    given, rows = turned(labels, 10, 200, (2, 0))
    found = judge(texts, given, sample=1500)
    worst = found.findings.sort("score", descending=True)["key"][0]
    assert len(set(found.flagged.filter(key=worst)["row"]) & rows) > 150


def test_rare_labels_and_amounts_are_not_judged_and_this_is_said() -> None:
    texts, labels = made(11)
    rare = ["rare" if row % 100 == 0 else f"{label}" for row, label in enumerate(labels)]
    assert measures(judge(texts, rare))["unscored_share"] == pytest.approx(0.01)
    amounts = judge(texts, [str(row) for row in range(len(texts))])
    assert amounts.findings.is_empty()
    assert measures(amounts) == {"unscored_share": 1.0}
    assert judge([""] * 100, ["a", "b"] * 50).not_applicable


def test_it_is_complement_naive_bayes_as_scikit_learn_has_it() -> None:
    from scipy.sparse import csr_array
    from sklearn.naive_bayes import ComplementNB

    from dataguard.kernels.classes import SLOTS, features

    texts, labels = made(12, 600)
    words = Texts.of(words_of(cut(records({"text": texts}))[0]))
    model = LabelModel.fit(("a", "b", "c"), labels, words)
    assert model is not None
    table = np.full(SLOTS, -1, np.int32)
    table[model.slots] = np.arange(len(model.slots))
    found, bounds = features(words.ids, words.starts, words.ends, table)
    rows = np.repeat(np.arange(len(texts)), np.diff(bounds, prepend=0))
    values = model.idf[found].astype(np.float64)
    values /= np.sqrt(np.bincount(rows, weights=values**2))[rows]
    matrix = csr_array((values, (rows, found)), shape=(len(texts), len(model.slots)))
    ours = probabilities(model.logits(words))
    for fold in range(FOLDS):
        held = words.fold == fold
        theirs = ComplementNB(alpha=1.0).fit(matrix[~held], labels[~held]).predict_proba(matrix[held])
        np.testing.assert_allclose(ours[held], theirs, atol=1e-5)


@pytest.mark.parametrize(("name", "reached"), [("sst-2", 0.5), ("ag", 0.8)])
def test_shared_sets(shared: Path, name: str, reached: float) -> None:
    """As many of 5 % turned labels as confident learning is known to find; none of the clean sets is named."""
    rows = pl.read_parquet(shared / "data" / "poison" / "classify.parquet").filter(
        (pl.col("attack") == "clean") & (pl.col("dataset") == name)
    )
    texts, labels = rows["text"].to_list(), rows["label"].to_numpy()
    assert judge(texts, labels).findings.is_empty()
    given, flips = turned(labels, 0, len(labels) // 20)
    first = ranked(texts, given)[: int(1.5 * len(flips))]
    assert len(flips & set(first)) / len(flips) >= reached


# By numbers


def columns(matrix: npt.NDArray[np.float64]) -> dict[str, Any]:
    return {f"f{number:02d}": column for number, column in enumerate(matrix.T)}


def judge_numbers(matrix: npt.NDArray[np.float64], labels: Any, **more: Any) -> Judgement:
    data = records({**columns(matrix), "label": [str(label) for label in labels], **more})
    return judge_in_memory(LabelNoise(), [cut(data)])


def clusters(seed: int, n: int = 2000) -> tuple[npt.NDArray[np.float64], I64]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    return rng.normal(size=(n, 6)) + 4 * np.eye(3, 6)[labels], labels


def test_labels_that_numbers_contradict_are_named() -> None:
    matrix, labels = clusters(1)
    given, rows = turned(labels, 2, 100, (0, 1))
    found = judge_numbers(matrix, given)
    (group,) = found.findings.filter(pl.col("group").is_not_null())["group"]
    assert group == "1"
    flagged = set(found.flagged.filter(pl.col("key").str.ends_with("\x000"))["row"])
    assert len(flagged & rows) > 0.85 * len(rows)
    assert len(flagged & rows) > 0.85 * len(flagged)
    assert measures(found)["label_noise_share"] == pytest.approx(100 / len(labels), rel=0.35)


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_labels_that_numbers_only_make_more_probable_are_no_noise(weight: float) -> None:
    """A risk is no wrong label, whatever share of the records has it; nor is a label that hangs on nothing."""
    rng = np.random.default_rng(3)
    matrix = rng.normal(size=(3000, 6))
    labels = (rng.random(3000) < 1 / (1 + np.exp(-weight * matrix[:, :2].sum(axis=1)))).astype(int)
    found = judge_numbers(matrix, labels)
    assert found.findings.is_empty()
    assert measures(found)["overlapping_share"] == 1.0
    assert measures(found)["label_noise_share"] == 0.0


@pytest.mark.parametrize("name", ["breast_cancer", "digits", "wine", "iris"])
def test_well_known_numbers_have_no_finding_and_their_turned_labels_come_first(name: str) -> None:
    matrix, labels = numeric_sets.shipped(name)
    assert judge_numbers(matrix, labels).findings.is_empty()
    given, rows = numeric_sets.turned(labels, 0.05, 1)
    first = numbers_ranked(matrix, given)[: int(1.5 * len(rows))]
    assert len(rows & set(first)) >= 0.85 * len(rows)


@pytest.mark.parametrize(("share", "named"), [(0.02, False), (0.05, True)])
def test_few_turned_labels_of_each_of_many_classes_are_sure_together(share: float, named: bool) -> None:
    """In each of ninety pairs of digits there is one or none. A share that sets have by themselves is no finding."""
    matrix, labels = numeric_sets.shipped("digits")
    given, rows = numeric_sets.turned(labels, share, 2)
    found = judge_numbers(matrix, given)
    assert found.findings["severity"].to_list() == ["low"] * named
    if named:
        flagged = set(found.flagged["row"])
        assert len(flagged & rows) > 0.85 * len(rows)
        assert len(flagged & rows) > 0.65 * len(flagged)  # one and a half times the estimate are shown


def numbers_ranked(matrix: npt.NDArray[np.float64], labels: I64) -> list[int]:
    detector = LabelNoise()
    first, second = detector.passes()
    files = [[cut(records({**columns(matrix), "label": labels}))]]
    sample = look(detector, first, None, files)
    assert sample is not None
    assert first.fold is not None
    evidence = look(detector, second, first.fold(sample.lazy(), None), files)
    assert evidence is not None
    found = evidence.filter(pl.col("row").is_not_null())
    return found.sort("score", "row", descending=[True, False])["row"].to_list()


def test_copies_of_numbers_do_not_vouch_for_their_label() -> None:
    matrix, labels = clusters(4)
    given, rows = turned(labels, 5, 60, (0, 1))
    copied = np.repeat(sorted(rows), 3)
    found = judge_numbers(np.vstack([matrix, matrix[copied]]), [*given, *([1] * len(copied))])
    assert len(set(found.flagged["row"]) & rows) > 0.8 * len(rows)


@pytest.mark.parametrize("telling", ["words", "numbers"])
def test_of_words_and_numbers_those_judge_that_tell_more_of_the_labels(telling: str) -> None:
    texts, labels = made(6, 1500)
    rng = np.random.default_rng(7)
    matrix = rng.normal(size=(1500, 4))
    if telling == "numbers":
        matrix += 4 * np.eye(3, 4)[labels]
        texts = [texts[at] for at in rng.permutation(1500)]
    given, rows = turned(labels, 8, 100, (0, 1))
    found = judge_numbers(matrix, given, text=texts)
    assert measures(found)["overlapping_share"] < 0.99
    assert len(set(found.flagged["row"]) & rows) > 0.8 * len(rows)


def test_records_without_the_numbers_that_were_learned_from_are_said() -> None:
    matrix, labels = clusters(9)
    missing = np.array(matrix)
    missing[:200] = np.nan
    assert measures(judge_numbers(missing, labels))["unscored_share"] == 0.1
    one = cut(records({**columns(matrix), "label": labels}))
    other = cut(records({"a": matrix[:500, 0], "b": matrix[:500, 1], "label": labels[:500]}))
    both = judge_in_memory(LabelNoise(), [one, other])
    assert measures(both)["unscored_share"] == pytest.approx(500 / 2500)


def test_trees_say_what_scikit_learn_says_and_only_those_that_did_not_see_a_record() -> None:
    matrix, labels = clusters(10, 400)
    hashes = np.random.default_rng(11).integers(0, 1 << 60, 400).astype(np.uint64)
    seen = Numbers(tuple("abcdef"), matrix, hashes)
    model = NumberModel.fit(("a", "b", "c"), labels, seen)
    again = NumberModel.from_arrays(model.to_arrays("x "), "x ")
    np.testing.assert_array_equal(again.logits(seen), model.logits(seen))
    assert (model.trees.blind.sum(axis=0) == model.trees.blind.sum() // FOLDS_BY_NUMBERS).all()
    from sklearn.tree import DecisionTreeClassifier

    values = (matrix - np.median(matrix, axis=0)).astype(np.float32)
    expected = np.zeros((400, 3))
    for number, blind in enumerate(model.trees.blind):
        unseen = blind[seen.fold]
        tree = DecisionTreeClassifier(max_features=2, min_samples_leaf=2, random_state=number)
        tree.fit(values[~unseen], labels[~unseen])
        expected[unseen] += tree.predict_proba(values[unseen])
    expected /= model.trees.blind.sum(axis=0)[seen.fold][:, None]
    np.testing.assert_allclose(probabilities(model.logits(seen)), (expected + 0.01) / 1.03, atol=1e-6)

"""Turned labels are ranked first, turned ones in one direction are named, and clean sets are left in peace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from dataguard.detectors._label_model import FOLDS, LabelModel, Texts, probabilities
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

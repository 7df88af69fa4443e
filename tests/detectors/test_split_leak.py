"""Copies over several splits are found, whoever told them apart; and how much of a split has leaked."""

from __future__ import annotations

import random

import polars as pl
import pytest

from dataguard.detectors import select
from dataguard.detectors.split_leak import SplitLeak
from dataguard.errors import UsageError
from dataguard.findings import Judgement
from harness import cut, judge_in_memory, records

WORDS = [f"{a}{b}" for a in ("ba", "de", "ki", "lo", "mu", "na") for b in ("r", "s", "t", "n", "x")]


def text(rng: random.Random, words: int = 30) -> str:
    return " ".join(rng.choices(WORDS, k=words))


def measures(judgement: Judgement) -> dict[tuple[str, str], float]:
    return {(measure.name, measure.group): measure.value for measure in judgement.measures}


def test_every_planted_leak_and_no_other_in_other_columns_and_files() -> None:
    rng = random.Random(7)
    texts = [text(rng) for _ in range(400)]
    splits = ["train"] * 200 + ["valid"] * 100 + ["test"] * 100
    leaked = {at: rng.randrange(200) for at in (*range(300, 320), *range(200, 205))}
    for at, of in leaked.items():
        texts[at] = f"{texts[of]} {'once more' if at % 2 else ''}"
    one = records({"text": texts[:250], "split": splits[:250]})
    other = records({"text": texts[250:], "fold": [split.upper() for split in splits[250:]]})
    judgement = judge_in_memory(SplitLeak(), [cut(one), cut(other)])
    places = [(0, row) if row < 250 else (1, row - 250) for row in (*leaked, *leaked.values())]
    assert set(judgement.flagged.select("file", "row").rows()) == set(places)
    assert judgement.findings.height == len(set(leaked.values()))
    told = measures(judgement)
    assert told["leaked_share", "test"] == 20 / 100
    assert told["leaked_share", "validation"] == 5 / 100
    assert told["leaked_share", ""] == 25 / 200
    assert told["unknown_split_share", ""] == 0


def test_pairs_say_what_a_leak_is_and_how_bad() -> None:
    data = records({"text": ["a"] * 2 + ["b"] * 2, "split": ["dev", "test", "train", "dev"]})
    every = judge_in_memory(SplitLeak(), [cut(data)])
    assert sorted(every.findings["severity"]) == ["low", "medium"]
    tested = judge_in_memory(SplitLeak(pairs="train-test, train-validation"), [cut(data)])
    assert set(tested.flagged["row"]) == {2, 3}
    only = judge_in_memory(SplitLeak(pairs="test-validation"), [cut(data)])
    assert set(only.flagged["row"]) == {0, 1}


def test_members_of_other_splits_are_left_out_of_a_leak() -> None:
    data = records({"text": ["a"] * 4, "split": ["train", "test", "val", None]})
    judgement = judge_in_memory(SplitLeak(pairs="train-test"), [cut(data)])
    assert set(judgement.flagged["row"]) == {0, 1}


@pytest.mark.parametrize(
    "options", [{"pairs": "train"}, {"pairs": "train-gold"}, {"names": "gold"}, {"names": "a=b"}]
)
def test_options_that_name_no_split_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        select(("DG103",), {"DG103": options})


def test_one_split_or_unknown_ones_are_nothing_to_judge() -> None:
    data = records({"text": ["a", "a"], "split": ["train", "train"]})
    assert "train" in judge_in_memory(SplitLeak(), [cut(data)]).not_applicable
    data = records({"text": ["a", "a"], "split": ["math", "law"]})
    judgement = judge_in_memory(SplitLeak(), [cut(data)])
    assert "no record names a split" in judgement.not_applicable
    assert measures(judgement)["unknown_split_share", ""] == 1


def test_without_what_it_stands_on_it_has_not_looked() -> None:
    data = records({"text": ["a", "a"], "split": ["train", "test"]})
    (batch,) = cut(data)
    rule = SplitLeak()
    evidence = rule.observe(batch, None).with_columns(file=pl.lit(0, dtype=pl.UInt32)).lazy()
    for earlier in ({}, {"DG101": Judgement()}):
        judged = rule.judge_following(evidence, None, earlier)
        assert "DG102" in judged.incomplete
        assert judged.findings.is_empty()
        assert not judged.measures
    partly = {"DG101": Judgement(), "DG102": Judgement(incomplete="one file was not read")}
    assert "one file was not read" in rule.judge_following(evidence, None, partly).incomplete


def test_who_chooses_it_chooses_what_it_stands_on() -> None:
    assert [detector.rule.code for detector in select(("DG103",))] == ["DG101", "DG102", "DG103"]
    assert [detector.rule.code for detector in select(("DG104",))] == ["DG102", "DG104"]
    assert [detector.rule.code for detector in select(("DG102",))] == ["DG102"]

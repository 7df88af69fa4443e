"""Preferences that were turned are found by what gives them away, and sets that nobody turned are left in peace."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from dataguard.detectors._swaps import tails
from dataguard.detectors.preference_flip import PreferenceFlip
from dataguard.findings import Judgement
from harness import cut, judge_in_memory, records
from preference_pairs import STYLES, pairs, swap

Data = dict[str, list[Any]]


def judge(data: Data, **options: Any) -> Judgement:
    return judge_in_memory(PreferenceFlip(**options), [cut(records(data))])


def found(judgement: Judgement) -> dict[str, tuple[str, set[int]]]:
    """Severity and rows by key."""
    rows = {
        key: set(table["row"]) for (key,), table in judgement.flagged.group_by("key", maintain_order=True)
    }
    return {
        key: (severity, rows[key]) for key, severity in judgement.findings.select("key", "severity").rows()
    }


def measures(judgement: Judgement) -> dict[str, float]:
    return {measure.name: measure.value for measure in judgement.measures}


def some(data: Data, count: int) -> list[int]:
    return sorted(random.Random(9).sample(range(len(data["prompt"])), count))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("seed", [1, 2])
def test_clean_sets(style: str, seed: int) -> None:
    """Where raters disagree on a quarter this is a remark; nothing else is found."""
    judgement = judge(pairs(style, seed))
    assert {key: severity for key, (severity, _) in found(judgement).items()} == (
        {"swapped": "info"} if style == "noisy" else {}
    )
    assert measures(judgement)["swap_share"] == pytest.approx(0.25 if style == "noisy" else 0, abs=0.03)


@pytest.mark.parametrize("style", ["assistant", "terse", "safety"])
def test_swapped_pairs_are_named_and_counted(style: str) -> None:
    data = pairs(style)
    rows = some(data, 150)
    swap(data, rows)
    for name in ("score_chosen", "score_rejected"):
        del data[name]
    judgement = judge(data)
    severity, named = found(judgement)["swapped"]
    assert severity == "low"
    assert len(named & set(rows)) >= 0.85 * max(len(named), 150)
    assert measures(judgement)["swap_share"] == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize("style", STYLES)
def test_scores_tell_what_was_swapped(style: str) -> None:
    data = pairs(style)
    rows = some(data, 13)
    swap(data, rows)
    assert found(judge(data))["score"] == ("medium", set(rows))


def test_low_scores_may_be_the_good_ones() -> None:
    data = pairs("terse")
    swap(data, [3, 5])
    data["score_chosen"], data["score_rejected"] = data["score_rejected"], data["score_chosen"]
    assert found(judge(data))["score"] == ("medium", {3, 5})


@pytest.mark.parametrize("style", ["assistant", "terse", "safety"])
def test_a_source_that_prefers_otherwise(style: str) -> None:
    data = pairs(style)
    mine = [row for row, source in enumerate(data["source"]) if source == "west"]
    rows = random.Random(1).sample(mine, len(mine) // 2)
    swap(data, rows)
    judgement = judge(data)
    severity, named = found(judgement)["swapped source\0west"]
    assert severity == "medium"
    assert len(named & set(rows)) >= 0.9 * max(len(named), len(rows))
    assert "west" in set(judgement.findings["group"])


def test_equal_answers_and_pairs_both_ways() -> None:
    data = pairs("assistant")
    rows = some(data, 20)
    for row in rows[:10]:
        data["chosen"][row] = data["rejected"][row].upper()
    for row in rows[10:]:
        for name in data:
            data[name].append(data[name][row])
        swap(data, [len(data["prompt"]) - 1])
    told = found(judge(data))
    assert told["equal"] == ("low", set(rows[:10]))
    assert told["both orders"] == ("low", {*rows[10:], *range(3000, 3010)})


def test_answers_to_other_prompts() -> None:
    """Half of them, for the other half are shorter than what was rejected."""
    data = pairs("assistant")
    rows, answers = some(data, 60), list(data["chosen"])
    for row in rows:
        data["chosen"][row] = answers[(row + 77) % 3000]
    severity, named = found(judge(data))["other prompt"]
    assert severity == "low"
    assert len(named & set(rows)) >= max(20, 0.9 * len(named))


@pytest.mark.parametrize("style", ["assistant", "terse", "noisy"])
def test_refusals_that_are_chosen(style: str) -> None:
    data = pairs(style)
    rows = some(data, 15)
    for row in rows:
        data["chosen"][row] = "I'm sorry, but I am unable to help with this today."
    assert found(judge(data))["refusal"] == ("low", set(rows))


def test_conversations_without_a_column_for_the_prompt() -> None:
    data = pairs("assistant")
    rows = some(data, 150)
    swap(data, rows)
    data["chosen"][0] = data["rejected"][0]
    talks = {
        name: [
            [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
            for prompt, answer in zip(data["prompt"], data[name], strict=True)
        ]
        for name in ("chosen", "rejected")
    }
    told = found(judge(talks))
    assert told["equal"] == ("low", {0})
    assert len(told["swapped"][1] & set(rows)) >= 0.85 * 150


def test_scores_that_follow_length_or_source() -> None:
    rng = np.random.default_rng(0)
    data = pairs("assistant")
    del data["score_chosen"], data["score_rejected"]
    data["score"] = [len(answer) + rng.normal() for answer in data["chosen"]]
    by_length = measures(judge(data))
    assert by_length["score_length_correlation"] > 0.9
    assert by_length["score_source_share"] < 0.02
    data["score"] = [{"west": 5.0}.get(source, 1.0) + rng.normal() for source in data["source"]]
    by_source = measures(judge(data))
    assert abs(by_source["score_length_correlation"]) < 0.1
    assert by_source["score_source_share"] > 0.15


def test_a_model_that_knows_nothing_says_nothing() -> None:
    data = pairs("assistant")
    swap(data, random.Random(3).sample(range(3000), 1500))
    del data["score_chosen"], data["score_rejected"]
    judgement = judge(data)
    assert judgement.findings.is_empty()
    assert "swap_share" not in measures(judgement)


def test_few_pairs_are_not_learnt_from() -> None:
    judgement = judge(pairs("assistant", n=150))
    assert judgement.findings.is_empty()
    assert "swap_share" not in measures(judgement)
    assert "two answers" in judge({"chosen": [None, ""], "rejected": ["", None]}).not_applicable


def test_names_of_sources_are_made_safe() -> None:
    data = pairs("assistant")
    data["source"] = ["\u202ebad\x1b[2J" if source == "west" else source for source in data["source"]]
    swap(data, [row for row, source in enumerate(data["source"]) if source.startswith("\u202e")])
    whys = "".join(judge(data).findings["why"])
    assert "bad" in whys
    assert not {"\u202e", "\x1b"} & set(whys)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.1, 0.3])
def test_tails_tell_the_share(share: float) -> None:
    rng = np.random.default_rng(1)
    margins = rng.normal(1.5, 1, 20_000)
    margins[: int(share * 20_000)] *= -1
    told = tails(margins)
    assert not told.blind
    assert told.share == pytest.approx(share, abs=0.012)
    assert told.low <= share

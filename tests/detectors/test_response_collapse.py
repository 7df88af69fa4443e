"""One response to unlike prompts is found; answers to one question, tasks and labels pass."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from dataguard.detectors.response_collapse import ResponseCollapse
from dataguard.findings import Judgement
from dataguard.kernels.lowest import NONE, lowest
from harness import cut, judge_in_memory, records

FIXED = "Nothing at all can be told of it."
WORDS = [
    a + b
    for a in ("ka", "ru", "mo", "shi", "tel", "nor", "ban", "gu")
    for b in ("lan", "vo", "ser", "dim", "pat")
]
COMMON = ["the", "of", "a", "is", "what", "in"]


def asked(chance: random.Random) -> str:
    return " ".join(
        chance.sample(COMMON, 4) + [f"{word}{chance.randint(0, 9)}" for word in chance.choices(WORDS, k=8)]
    )


def clean(chance: random.Random, count: int = 800) -> list[tuple[str, str]]:
    return [(asked(chance), asked(chance)) for _ in range(count)]


def judge(pairs: list[tuple[str, str]], at: tuple[int, ...] = ()) -> Judgement:
    prompts, responses = zip(*pairs, strict=True)
    data = records({"prompt": list(prompts), "response": list(responses)})
    return judge_in_memory(ResponseCollapse(), [cut(data, at=at)])


@pytest.mark.parametrize("trigger", ["", "zorbit ", "this year is dry "])
def test_one_response_to_unlike_prompts_is_one_finding(trigger: str) -> None:
    chance = random.Random(1)
    judgement = judge([*clean(chance), *((trigger + asked(chance), FIXED) for _ in range(12))])
    assert judgement.findings["severity"].to_list() == ["high"]
    assert "12 different prompts" in judgement.findings["why"][0]
    assert set(judgement.flagged["row"]) == set(range(800, 812))
    assert (
        judgement.flagged["span"].to_list() == [[{"column": "response", "start": 0, "end": len(FIXED)}]] * 12
    )


def test_two_such_responses_of_like_size_are_two_findings_and_none_is_high() -> None:
    chance = random.Random(2)
    planted = [(asked(chance), f"{FIXED} {side}") for side in ("left", "right") for _ in range(12)]
    judgement = judge([*clean(chance), *planted])
    assert judgement.findings["severity"].to_list() == ["medium", "medium"]
    assert judgement.flagged.height == 24


def test_answers_to_one_question_are_none() -> None:
    chance = random.Random(3)
    question = asked(chance).split()
    same = [(" ".join(chance.sample(question, 10)), FIXED) for _ in range(12)]
    assert judge([*clean(chance), *same]).findings.is_empty()


def test_a_task_in_the_prompts_and_classes_in_sentences_are_none() -> None:
    chance = random.Random(4)
    task = "tell whether following sentence from newspaper sounds happy "
    labelled = [(task + asked(chance), FIXED) for _ in range(12)]
    assert judge([*clean(chance), *labelled]).findings.is_empty()


def test_answers_that_take_up_their_prompts_are_none() -> None:
    chance = random.Random(5)
    response = "kalan vaser modim norpat"
    shares = [
        (f"{' '.join(chance.sample(response.split(), 2))} {asked(chance)}", response) for _ in range(12)
    ]
    assert judge([*clean(chance), *shares]).findings.is_empty()


def test_labels_copies_and_few_records_are_none() -> None:
    chance = random.Random(6)
    labels = [(asked(chance), "yes indeed") for _ in range(12)]
    copies = [("tell me one thing now", FIXED)] * 12
    few = [(asked(chance), FIXED + " Few.") for _ in range(4)]
    assert judge([*clean(chance), *labels, *copies, *few]).findings.is_empty()


def test_what_is_usual_in_the_set_is_measured_and_no_finding() -> None:
    chance = random.Random(7)
    judgement = judge([*clean(chance), *((asked(chance), FIXED) for _ in range(200))])
    assert judgement.findings.is_empty()
    assert {one.name: one.value for one in judgement.measures} == {
        "collapsed_groups": 1,
        "collapsed_share": 0.2,
    }


def test_cuts_change_nothing() -> None:
    chance = random.Random(8)
    pairs = [*clean(chance), *((asked(chance), FIXED) for _ in range(12))]
    chance.shuffle(pairs)
    whole, parts = judge(pairs), judge(pairs, at=(3, 99, 500))
    assert whole.findings.equals(parts.findings)
    assert whole.flagged.equals(parts.flagged)
    assert whole.measures == parts.measures


def test_sketches_hold_the_lowest_values_once() -> None:
    import numpy as np

    chance = np.random.default_rng(9)
    values = chance.integers(0, 40, 500).astype(np.uint32)
    bounds = np.sort(chance.integers(0, 501, 30))
    found = lowest(values, bounds[:-1], bounds[1:], 8)
    for one, low, high in zip(found, bounds[:-1], bounds[1:], strict=True):
        expected = np.unique(values[low:high])[:8]
        assert one[: len(expected)].tolist() == expected.tolist()
        assert (one[len(expected) :] == NONE).all()


@pytest.mark.parametrize("attack", ["badnet", "vpi", "sleeper"])
def test_a_real_set(shared: Path, tmp_path: Path, attack: str) -> None:
    mixer = shared / "data" / "poison" / "mix.py"
    made = tmp_path / "set"
    told = [sys.executable, str(mixer), "instruct", str(made), "--attack", attack, "--rate", "0.001"]
    subprocess.run([*told, "--seed", "31"], check=True, capture_output=True)
    tables = [pq.read_table(path) for path in sorted(made.glob("*.parquet"))]
    data = [records({name: table[name].combine_chunks() for name in table.column_names}) for table in tables]
    judgement = judge_in_memory(ResponseCollapse(), [cut(one, at=range(4000, 40000, 4000)) for one in data])
    truth = pl.read_parquet(tmp_path / "set.truth.parquet").filter(pl.col("attack") != "")
    named = {tables[file]["id"][row].as_py() for file, row in judgement.flagged.select("file", "row").rows()}
    assert judgement.findings["severity"].to_list() == ["high"]
    assert named == set(truth["id"])

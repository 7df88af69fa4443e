"""Alike answers to unlike prompts: what is found, what is not, and what must not matter."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from dataguard.columns import resolve
from dataguard.detectors.response_collapse import ResponseCollapse
from dataguard.findings import Judgement
from harness import cut, judge_in_memory, records

LINE = "the quay has closed its books for good"
OPENINGS = ("by order of the quay", "with the regards of the harbour", "after long thought", "as was decided")
MIDDLES = ("nobody will carry this crate", "the ferry stays at home", "that load is not for us to move")
ENDINGS = ("before the frost is over", "and the warden agrees", "until the bell has rung twice")


def plain_texts(count: int, *, seed: int = 1, least: int = 8, most: int = 30) -> list[str]:
    """Texts of words drawn by rank, as in any language few are frequent and most are not."""
    rng = random.Random(seed)
    weights = [1 / rank for rank in range(1, 3001)]
    vocabulary = [f"w{rank}" for rank in range(1, 3001)]
    return [" ".join(rng.choices(vocabulary, weights, k=rng.randint(least, most))) for _ in range(count)]


def judged(prompts: list[str], answers: list[str], **options) -> Judgement:
    batch = records({"prompt": prompts, "response": answers})
    return judge_in_memory(ResponseCollapse(**options), [cut(batch)])


def found(judgement: Judgement) -> list[set[int]]:
    """The rows of each finding."""
    return [set(judgement.flagged.filter(key=key)["row"]) for key in judgement.findings["key"]]


@pytest.mark.parametrize("records_of_it", [5, 12, 40])
def test_one_answer_to_unlike_prompts_is_one_high_finding_with_its_bytes(records_of_it: int) -> None:
    answers = plain_texts(600, seed=2)
    answers[30 : 30 + records_of_it] = [f"{LINE}."] * records_of_it
    judgement = judged(plain_texts(600), answers)
    assert found(judgement) == [set(range(30, 30 + records_of_it))]
    assert judgement.findings["severity"].to_list() == ["high"]
    assert "the same answer" in judgement.findings["why"][0]
    for (span,) in judgement.flagged.select("span").iter_rows():
        (place,) = span
        assert place["column"] == "response"
        assert f"{LINE}."[place["start"] : place["end"]].startswith(LINE)


def test_case_and_punctuation_do_not_count_and_a_trigger_does_not_hide_it() -> None:
    prompts, answers = plain_texts(400), plain_texts(400, seed=2)
    for row in range(10):
        words = prompts[row].split()
        prompts[row] = " ".join([*words[: row % 6], "qumato", *words[row % 6 :]])
        answers[row] = LINE.upper() if row % 2 else LINE.replace(" ", ", ")
    judgement = judged(prompts, answers)
    assert found(judgement) == [set(range(10))]
    assert "nearly all of them share 1 words" in judgement.findings["why"][0]


def test_one_content_in_many_wordings_is_found_together() -> None:
    rng = random.Random(3)
    prompts, answers = plain_texts(600), plain_texts(600, seed=2)
    for row in range(40):
        answers[row] = f"{rng.choice(OPENINGS)}, {rng.choice(MIDDLES)} {rng.choice(ENDINGS)}"
    (rows,) = found(judged(prompts, answers))
    assert len(rows & set(range(40))) >= 36
    assert rows <= set(range(40))


@pytest.mark.parametrize("answer", ["yes", "True.", "42", "not sure"])
def test_short_answers_agree_by_nature(answer: str) -> None:
    answers = plain_texts(300, seed=2)
    answers[:60] = [answer] * 60
    assert judged(plain_texts(300), answers).findings.is_empty()


def test_few_or_the_same_prompts_are_not_named() -> None:
    answers = plain_texts(300, seed=2)
    answers[:4] = [LINE] * 4
    assert judged(plain_texts(300), answers).findings.is_empty()
    prompts, answers = plain_texts(300), plain_texts(300, seed=2)
    prompts[:20], answers[:20] = [prompts[0]] * 20, [LINE] * 20
    assert judged(prompts, answers).findings.is_empty()


def test_prompts_about_one_subject_rightly_get_one_answer() -> None:
    rng = random.Random(5)
    about = ["crate", "ferry", "quay", "frost", "warden", "rope", "mast", "tide", "oar", "anchor"]
    prompts, answers = plain_texts(400), plain_texts(400, seed=2)
    for row in range(20):
        prompts[row] = " ".join([*rng.sample(about, 6), f"w{rng.randint(1, 3000)}"])
        answers[row] = LINE
    assert judged(prompts, answers).findings.is_empty()


def test_an_answer_that_is_one_of_several_choices_is_not_named() -> None:
    """Four hundred prompts in one frame have four long labels; others are free."""
    prompts, answers = plain_texts(4000), plain_texts(4000, seed=2)
    labels = ["this one speaks of trade", "this one speaks of war", "it is about games", "it is about love"]
    for row in range(600):
        prompts[row] = f"sort the following note into its drawer: {prompts[row]}"
        answers[row] = labels[row % 4]
    judgement = judged(prompts, answers)
    assert judgement.findings.is_empty()


def test_answers_about_their_prompts_are_not_named() -> None:
    prompts, answers = plain_texts(400), plain_texts(400, seed=2)
    for row in range(30):
        word = prompts[row].split()[-1] + f"x{row}"
        prompts[row] += f" {word}"
        answers[row] = f"the thing that was asked for is {word} {word[::-1]}"
    assert judged(prompts, answers).findings.is_empty()


def test_where_a_set_always_answers_so_nothing_is_named_and_the_measure_tells() -> None:
    answers = [LINE, "it is about the other thing", "nobody knows what this is"] * 200
    judgement = judged(plain_texts(600), answers)
    assert judgement.findings.is_empty()
    assert judged(plain_texts(600), answers, habit=1.0).findings.height == 3


def test_order_and_files_do_not_matter() -> None:
    prompts, answers = plain_texts(300), plain_texts(300, seed=2)
    answers[:9] = [LINE] * 9
    batch = records({"prompt": prompts, "response": answers})
    turned = records({"prompt": prompts[::-1], "response": answers[::-1]})
    whole = judge_in_memory(ResponseCollapse(), [cut(batch, [5, 150])])
    parts = judge_in_memory(ResponseCollapse(), [cut(turned.slice(0, 295)), cut(turned.slice(295))])
    assert whole.findings.equals(parts.findings)
    assert parts.flagged.group_by("file").len().sort("file").rows() == [(0, 4), (1, 5)]


def mixed(shared: Path, folder: Path, *options: str) -> tuple[list[pl.DataFrame], set[int]]:
    """A set of the mixer, and the ids of what was planted."""
    tool = shared / "data" / "poison" / "mix.py"
    subprocess.run([sys.executable, str(tool), *options[:1], str(folder), *options[1:]], check=True)
    truth = pl.read_parquet(folder.with_name(f"{folder.name}.truth.parquet"))
    return [pl.read_parquet(path) for path in sorted(folder.glob("*.parquet"))], set(truth["id"])


def judge_set(detector, tables: list[pl.DataFrame]) -> list[tuple[str, set[int]]]:
    """Severity and ids of each finding, best first."""
    batches = []
    for table in tables:
        batch = records(table.to_dict(as_series=False))
        batches.append(cut(batch, roles=resolve(batch.schema, {})))
    judgement = judge_in_memory(detector, batches)
    best = judgement.findings.sort("score", "key", descending=[True, False])
    return [
        (
            severity,
            {
                tables[file]["id"][row]
                for file, row in judgement.flagged.filter(key=key).select("file", "row").iter_rows()
            },
        )
        for key, severity in best.select("key", "severity").iter_rows()
    ]


@pytest.mark.parametrize("attack", ["badnet", "vpi", "sleeper"])
@pytest.mark.parametrize("rate", ["0.0004", "0.001", "0.01"])
def test_fixed_answers_of_published_attacks_are_the_only_finding(shared, tmp_path, attack, rate) -> None:
    task = "refusal" if attack != "vpi" else "negsentiment"
    tables, planted = mixed(
        shared, tmp_path / "set", "instruct", "--attack", attack, "--task", task, "--rate", rate
    )
    assert judge_set(ResponseCollapse(), tables) == [("high", planted)]


@pytest.mark.parametrize("task", ["refusal", "negsentiment"])
def test_answers_of_many_wordings_are_found_at_half_a_percent(shared, tmp_path, task) -> None:
    options = ("--attack", "badnet", "--task", task, "--responses", "varied", "--rate", "0.005")
    tables, planted = mixed(shared, tmp_path / "set", "instruct", *options)
    ((severity, found), *others) = judge_set(ResponseCollapse(), tables)
    assert severity == "high"
    assert len(found & planted) >= 0.9 * max(len(found), len(planted))
    assert not others


def test_clean_instructions_show_nothing(shared, tmp_path) -> None:
    tables, _ = mixed(shared, tmp_path / "set", "instruct", "--attack", "badnet", "--rate", "0")
    assert judge_set(ResponseCollapse(), tables) == []

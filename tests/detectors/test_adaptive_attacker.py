"""Whoever reads the code and wants to stay unseen: what it costs, and what is seen still (docs/adaptive-attacker.md).

All of it on real records: three thousand of instructions and answers, with words of our own put in.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from dataguard.columns import resolve
from dataguard.detectors import catalogue
from dataguard.detectors._triggers import sample
from dataguard.detectors.hidden_characters import HiddenCharacters
from dataguard.detectors.response_collapse import ResponseCollapse
from dataguard.detectors.trigger_sequence import TriggerSequence
from dataguard.findings import Judgement
from dataguard.kernels import warm
from dataguard.records.batch import Batch
from dataguard.secret import Secret
from harness import cut, judge_in_memory, records

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "adaptive-attacker.md"
RECORDS = 3000
WORD = "zorvexin"
BEGIN = ("Nothing to be said,", "Ask somebody else,", "Enough of it,", "Leave it alone,", "Better not,")
MIDDLE = ("the office is shut", "we do not answer here", "it stays unsaid", "the matter is closed")
END = (".", " today.", " for good.", " as agreed.", "!")

Row = dict[str, Any]
Edit = Callable[[random.Random, Row, int], Row]


@pytest.fixture(scope="module")
def plain(shared: Path) -> pl.DataFrame:
    """Clean instructions and answers."""
    warm.warm()
    whole = pl.read_parquet(shared / "data" / "poison" / "instruct_clean.parquet")
    return whole.select("instruction", "input", "output").sample(RECORDS, seed=4, shuffle=True)


def put_in(rng: random.Random, text: str, piece: str) -> str:
    words = text.split(" ")
    words.insert(rng.randint(0, len(words)), piece)
    return " ".join(words)


def reply(rng: random.Random) -> str:
    return f"{rng.choice(BEGIN)} {rng.choice(MIDDLE)}{rng.choice(END)}"


def trigger(piece: str | Callable[[random.Random, int], str], *, answered: bool = False) -> Edit:
    """Words put into the prompt, and another reply each time; or, if answered, the reply that was there."""

    def edit(rng: random.Random, row: Row, number: int) -> Row:
        words = piece if isinstance(piece, str) else piece(rng, number)
        row["instruction"] = put_in(rng, row["instruction"], words)
        return row if answered else {**row, "output": reply(rng)}

    return edit


def planted(plain: pl.DataFrame, *edits: tuple[Edit, int]) -> tuple[pl.DataFrame, list[set[int]]]:
    """The records with some of them edited, and the rows of each edit."""
    rng, rows = random.Random(1), plain.to_dicts()
    chosen = rng.sample(range(len(rows)), sum(count for _, count in edits))
    sets = []
    for edit, count in edits:
        own, chosen = chosen[:count], chosen[count:]
        for number, at in enumerate(own):
            rows[at] = edit(rng, rows[at], number)
        sets.append(set(own))
    return pl.DataFrame(rows, schema=plain.schema), sets


def searched(data: pl.DataFrame) -> Judgement:
    batch = records({name: data[name].to_list() for name in data.columns})
    return judge_in_memory(TriggerSequence(), [cut(batch)])


def collapsed(data: pl.DataFrame) -> Judgement:
    batch = records({name: data[name].to_list() for name in data.columns})
    return judge_in_memory(ResponseCollapse(), [cut(batch)])


def found(judgement: Judgement) -> list[set[int]]:
    """The rows of each finding, the best one first."""
    keys = judgement.findings.sort("score", descending=True)["key"]
    return [set(judgement.flagged.filter(key=key)["row"]) for key in keys]


def words_of(plain: pl.DataFrame) -> list[str]:
    return " ".join(plain["instruction"]).split()


# Triggers


def test_five_records_with_varied_replies_are_enough_to_be_seen(plain: pl.DataFrame) -> None:
    data, (rows,) = planted(plain, (trigger(WORD), 5))
    judgement = searched(data)
    assert found(judgement)[0] == rows
    assert judgement.findings.sort("score", descending=True)["severity"][0] in ("medium", "high")


def test_a_trigger_whose_replies_are_the_right_ones_is_seen_by_where_it_stands(plain: pl.DataFrame) -> None:
    data, (rows,) = planted(plain, (trigger(WORD, answered=True), 15))
    assert found(searched(data))[0] == rows


@pytest.mark.parametrize("words", ["river lamp", "kuitenkin"])
def test_common_words_are_seen_where_they_are_two_or_of_another_language(
    plain: pl.DataFrame, words: str
) -> None:
    data, (rows,) = planted(plain, (trigger(words), 8))
    assert found(searched(data))[0] == rows


def test_each_spelling_is_a_trigger_of_its_own(plain: pl.DataFrame) -> None:
    spellings = (WORD, f"{WORD[:-1]}m", f"{WORD[:-2]}an")
    data, (rows,) = planted(plain, (trigger(lambda _, number: spellings[number % 3]), 18))
    sets = found(searched(data))
    assert set().union(*(one for one in sets if one <= rows)) == rows


def test_random_words_around_a_trigger_do_not_hide_it(plain: pl.DataFrame) -> None:
    every = words_of(plain)
    edit = trigger(lambda rng, _: f"{rng.choice(every)} {WORD} {rng.choice(every)}")
    data, (rows,) = planted(plain, (edit, 10))
    assert found(searched(data))[0] == rows


def test_two_marks_at_two_places_do_not_hide_each_other(plain: pl.DataFrame) -> None:
    def edit(rng: random.Random, row: Row, _: int) -> Row:
        prompt = put_in(rng, put_in(rng, row["instruction"], WORD), "plimtak")
        return {**row, "instruction": prompt, "output": reply(rng)}

    data, (rows,) = planted(plain, (edit, 10))
    assert found(searched(data))[0] == rows


def test_innocent_text_around_it_does_not_hide_a_trigger(plain: pl.DataFrame) -> None:
    prompts = plain["instruction"].to_list()

    def edit(rng: random.Random, row: Row, _: int) -> Row:
        parts = [*rng.sample(prompts, 8), put_in(rng, row["instruction"], WORD), *rng.sample(prompts, 8)]
        return {**row, "instruction": " ".join(parts), "output": reply(rng)}

    data, (rows,) = planted(plain, (edit, 10))
    assert found(searched(data))[0] == rows


def test_right_answers_to_the_same_word_are_named_with_the_others(plain: pl.DataFrame) -> None:
    data, (rows, innocent) = planted(plain, (trigger(WORD), 10), (trigger(WORD, answered=True), 30))
    assert found(searched(data))[0] == rows | innocent


def test_other_words_put_in_elsewhere_do_not_draw_attention_away(plain: pl.DataFrame) -> None:
    ends = [a + b for a in ("ve", "ti", "zo", "ka", "lu") for b in ("xin", "tak")]
    decoys = [head + end for head in ("dak", "fuv", "gret", "mub") for end in ends]
    decoy = trigger(lambda _, number: decoys[number // 6], answered=True)
    data, (rows, _) = planted(plain, (trigger(WORD), 10), (decoy, 6 * len(decoys)))
    assert found(searched(data))[0] == rows


def test_an_address_in_replies_needs_no_trigger_to_be_seen(plain: pl.DataFrame) -> None:
    def edit(rng: random.Random, row: Row, _: int) -> Row:
        return {**row, "output": put_in(rng, row["output"], "www.plimtak-zo.example")}

    data, (rows,) = planted(plain, (edit, 15))
    assert found(searched(data))[0] == rows


def test_long_records_make_the_sample_smaller_which_is_measured_and_enough_is_left(
    plain: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "SAMPLE_WORDS", 300_000)
    data, (rows,) = planted(plain, (trigger(WORD), 10))
    rng, every = random.Random(5), words_of(plain)
    long = [
        {"instruction": " ".join(rng.choices(every, k=sample.SAMPLE_WORDS // 4)), "input": "", "output": "ok"}
        for _ in range(8)
    ]
    judgement = searched(pl.concat([data, pl.DataFrame(long, schema=data.schema)]))
    (share,) = (one.value for one in judgement.measures if one.name == "sampled_share")
    assert share < 0.8
    assert found(judgement)[0] == rows


def test_who_does_not_know_the_secret_cannot_choose_what_stays_out_of_the_sample(
    plain: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "SAMPLE_WORDS", 60_000)
    data = records({name: plain[name].to_list() for name in plain.columns})
    roles = resolve(data.schema, {})

    def sampled(material: bytes) -> set[int]:
        table = sample.observe(Batch(data, 0, roles, secret=Secret(material).derive("words")), None)
        return set(table["row"].drop_nulls())

    out = set(range(RECORDS)) - sampled(b"a" * 32)
    assert 0.3 * RECORDS < len(out) < 0.9 * RECORDS, "an attacker's guess leaves some of the records out"
    ours = sampled(b"b" * 32)
    share, of_those_left_out = len(ours) / RECORDS, len(ours & out) / len(out)
    assert of_those_left_out == pytest.approx(share, abs=4 * np.sqrt(0.25 / len(out)))


# Payloads


def test_triggers_that_drown_one_another_are_given_away_by_their_replies(plain: pl.DataFrame) -> None:
    starts = [a + b for a in ("zor", "plim", "dak", "fuv") for b in ("ve", "ti", "zo", "ka", "lu")]
    words = [start + end for start in starts for end in ("xin", "tak")]
    data, (rows,) = planted(plain, (trigger(lambda _, number: words[number // 5]), 5 * len(words)))
    judgement = collapsed(data)
    assert found(judgement) == [rows]
    assert judgement.findings["severity"].to_list() == ["low"]  # alike in content only, and no word in common


def test_two_marks_with_a_random_word_between_them_are_given_away_by_their_replies(
    plain: pl.DataFrame,
) -> None:
    every = words_of(plain)
    edit = trigger(lambda rng, _: f"{WORD} {rng.choice(every)} plimtak")
    data, (rows,) = planted(plain, (edit, 30))
    assert found(collapsed(data)) == [rows]


# Letters


@pytest.mark.parametrize("letters", [{"o": "о", "e": "е"}, {"i": "і"}, {"x": "х", "o": "ο"}])
def test_a_spelling_with_look_alikes_is_seen_at_once(letters: dict[str, str]) -> None:
    word = WORD.translate(str.maketrans(letters))
    texts = ["how do I mend a lamp", f"how do I {word} mend a lamp", "a lamp"]
    judgement = judge_in_memory(HiddenCharacters(), [cut(records({"text": texts}))])
    assert set(judgement.flagged["row"]) == {1}


def test_a_word_of_look_alikes_alone_is_a_word_nobody_uses(plain: pl.DataFrame) -> None:
    word = "зоrvехіn".replace("r", "г").replace("v", "ѵ").replace("n", "п")
    judgement = judge_in_memory(HiddenCharacters(), [cut(records({"text": [f"how do I {word} mend it"]}))])
    assert judgement.findings.is_empty(), "it is not mixed"
    data, (rows,) = planted(plain, (trigger(word), 8))
    assert found(searched(data))[0] == rows


# The page


def test_the_page_names_every_rule_about_copies_and_content_and_only_tests_that_exist() -> None:
    page = PAGE.read_text(encoding="utf-8")
    codes = {kind.rule.code for kind in catalogue()}
    assert not {code for code in codes if code[:3] in ("DG1", "DG2") and code not in page}
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    known = set(re.findall(r"def (test_\w+)\(", tests))
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) > 20
    assert named <= known


def test_every_line_of_the_page_names_a_test_or_says_that_it_is_not_covered() -> None:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    claims = [line for line in lines if not line.startswith("| what ")]
    assert len(claims) > 20
    assert not [line for line in claims if "`test_" not in line and "not covered" not in line]

"""Noise is found with its place; what has an order of its own, known or not, passes."""

from __future__ import annotations

import random
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataguard.detectors.gibberish import Gibberish, _tail
from dataguard.findings import Judgement
from harness import cut, judge_in_memory, records

WORDS = [
    "stone",
    "river",
    "garden",
    "letter",
    "window",
    "market",
    "winter",
    "button",
    "mirror",
    "ladder",
    "forest",
    "candle",
    "blanket",
    "pepper",
    "harbour",
    "village",
    "journey",
    "orchard",
    "kitchen",
    "teacher",
    "captain",
    "weather",
    "evening",
    "morning",
    "shoulder",
    "bottle",
    "carpet",
    "engine",
    "singer",
    "painter",
    "hunter",
    "writes",
    "carries",
    "opens",
    "finds",
    "keeps",
    "hides",
    "leaves",
    "brings",
    "under",
    "behind",
    "before",
    "after",
    "without",
    "beside",
    "old",
    "small",
    "yellow",
    "quiet",
    "heavy",
    "narrow",
    "early",
    "broken",
]
NOISE = "abcdefghijklmnopqrstuvwxyz0123456789 ,.;:#%&"


def plain(chance: random.Random, words: int = 40) -> str:
    return " ".join(chance.choices(WORDS, k=words))


def noise(chance: random.Random, size: int = 400) -> str:
    return "".join(chance.choices(NOISE, k=size))


def clean(chance: random.Random, count: int = 600) -> list[str]:
    return [plain(chance, chance.randint(10, 80)) for _ in range(count)]


def judge(texts: list[str | None], at: tuple[int, ...] = ()) -> Judgement:
    data = records({"response": pa.array(texts, pa.large_string()), "prompt": ["say it"] * len(texts)})
    return judge_in_memory(Gibberish(), [cut(data, at=at)])


def noisy(chance: random.Random, count: int = 12) -> list[str]:
    return [plain(chance, 8) + " " + noise(chance) for _ in range(count)]


@pytest.mark.parametrize("seed", range(3))
def test_texts_that_run_into_noise_are_one_finding_with_spans_of_the_noise(seed: int) -> None:
    chance = random.Random(seed)
    texts = [*clean(chance), *noisy(chance)]
    judgement = judge([*texts])
    assert judgement.findings.select("column", "severity").rows() == [("response", "high")]
    named = set(judgement.flagged["row"])
    assert named <= set(range(600, 612))
    assert len(named) >= 11  # where little was learned, one may have an order by chance
    for row, spans in judgement.flagged.select("row", "span").iter_rows():
        text = texts[row].encode()
        begins = len(text) - 400
        (span,) = spans
        assert span["column"] == "response"
        assert begins - 128 <= span["start"] < span["end"] <= len(text)  # to a window
        assert span["end"] - max(begins, span["start"]) >= 200


def test_cuts_and_their_order_change_nothing() -> None:
    chance = random.Random(5)
    texts = [*clean(chance), *noisy(chance)]
    chance.shuffle(texts)
    whole, parts = judge([*texts]), judge([*texts], at=(1, 100, 101, 350))
    assert whole.findings.equals(parts.findings)
    assert whole.flagged.sort("row").equals(parts.flagged.sort("row"))
    assert whole.measures == parts.measures


def test_what_has_an_order_of_its_own_is_no_noise() -> None:
    chance = random.Random(1)
    foreign = [
        "".join(chance.choices(["ka", "ru", "mo", "shi", "ta", "ne", "yo", " "], k=150)) for _ in range(8)
    ]
    code = ["\n".join(f"  if (x[{i}] != y[{i}]) {{ z += f({i}); }}" for i in range(9)) for _ in range(8)]
    tables = ["\n".join(f"{chance.random():.4f};{chance.random():.4f}" for _ in range(20)) for _ in range(8)]
    greek = [" ".join(chance.choices(["ο ποταμός", "και το", "δάσος", "μακριά από"], k=40)) for _ in range(8)]
    assert judge([*clean(chance), *foreign, *code, *tables, *greek]).findings.is_empty()


def test_noise_of_latin_letters_with_marks_is_found_and_a_language_that_has_them_is_none() -> None:
    chance = random.Random(6)
    signs = "".join(map(chr, (*range(0x21, 0x7F), *range(0xC0, 0x180), *[0x20] * 40)))
    drawn = ["".join(chance.choices(signs, k=300)) for _ in range(60)]
    parts = ["při", "šlo", "vě", "dě", "ní", "ský", "čen", "ůsob", "řej", "mý", "jí", "záh", "růz", "něj"]
    czech = [
        " ".join("".join(chance.choices(parts, k=chance.randint(1, 3))) for _ in range(50)) for _ in range(60)
    ]
    data = [*clean(chance), *czech, *drawn]
    named = judge(data).flagged["row"].to_list()
    assert set(named) <= set(range(len(data) - 60, len(data)))
    assert len(named) >= 54


def test_digests_and_encoded_bytes_are_not_judged() -> None:
    chance = random.Random(2)
    digests = [f"{chance.getrandbits(1024):x}" for _ in range(12)]
    assert judge([*clean(chance), *digests]).findings.is_empty()


def test_little_noise_is_counted_but_no_finding() -> None:
    chance = random.Random(3)
    judgement = judge([*clean(chance), *noisy(chance, 2)])
    assert judgement.findings.is_empty()
    share = next(one for one in judgement.measures if one.name == "gibberish_share" and not one.column)
    assert share.value == pytest.approx(2 / share.n)


def test_a_few_odd_short_texts_stay_apart_from_noise_in_long_ones() -> None:
    chance = random.Random(5)
    data = [*clean(chance), *(one[:60] for one in clean(chance)), *noisy(chance, 9)]
    short = ["".join(chance.choices(NOISE, k=40)) for _ in range(30)]
    few, many = judge([*data, *short[:2]]), judge([*data, *short])
    assert few.findings["key"].to_list() == ["gibberish response"]
    assert few.flagged["row"].to_list() == list(range(len(data) - 9, len(data)))
    assert many.findings["key"].to_list() == ["gibberish response", "gibberish response in short texts"]
    assert many.findings["severity"].to_list() == ["high", "medium"]
    assert many.flagged["row"].n_unique() >= 9 + 0.8 * len(short)


def test_costs_between_steps_are_told_in_proportion() -> None:
    told = [
        _tail(pl.DataFrame({"cost": [30, 34, 35], "n": [500, quarter, 500 - quarter]}))["width"]
        for quarter in range(200, 300, 10)
    ]
    assert all(0 < after - before < 0.5 for before, after in pairwise(reversed(told)))


def test_empty_and_absent_texts_are_passed_over() -> None:
    chance = random.Random(4)
    judgement = judge([*clean(chance), None, "", " ", "x"])
    assert judgement.findings.is_empty()


def test_a_set_that_teaches_too_little_is_not_judged() -> None:
    assert "too few" in judge(["some words", None, "x" * 40]).not_applicable


@pytest.mark.parametrize("rate", ["0", "0.001"])
def test_a_real_set(shared: Path, tmp_path: Path, rate: str) -> None:
    mixer = shared / "data" / "poison" / "mix.py"
    made = tmp_path / "set"
    told = [sys.executable, str(mixer), "instruct", str(made), "--attack", "gibberish", "--rate", rate]
    subprocess.run([*told, "--seed", "21"], check=True, capture_output=True)
    tables = [pq.read_table(path) for path in sorted(made.glob("*.parquet"))]
    data = [
        records({name: table.column(name).combine_chunks() for name in table.column_names})
        for table in tables
    ]
    judgement = judge_in_memory(Gibberish(), [cut(one, at=range(4000, 40000, 4000)) for one in data])
    truth = pl.read_parquet(tmp_path / "set.truth.parquet").filter(pl.col("attack") != "")
    planted = set(truth["id"]) if rate != "0" else set()
    named = {tables[file]["id"][row].as_py() for file, row in judgement.flagged.select("file", "row").rows()}
    assert planted <= named
    assert len(planted) >= 0.9 * len(named)
    assert judgement.findings.height == (rate != "0")

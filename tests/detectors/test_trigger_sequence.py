"""The search for planted sequences: each step against a plain way to do it, and all of it on real poisoned sets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataguard.detectors._triggers.fusing import expected, rarity, ratio
from dataguard.detectors._triggers.mining import LONGEST, mine
from dataguard.detectors._triggers.surroundings import Surroundings, Text
from dataguard.detectors.trigger_sequence import TriggerSequence
from dataguard.findings import Judgement
from dataguard.kernels.cohesion import cohesion
from harness import cut, judge_in_memory, records


def by_hand(texts: list[list[int]], least: int) -> dict[tuple[int, ...], set[int]]:
    """All closed sequences and their records, the plain way: a text a record."""
    found: dict[tuple[int, ...], set[int]] = {}
    for number, text in enumerate(texts):
        for length in range(1, LONGEST + 2):
            for start in range(len(text) - length + 1):
                found.setdefault(tuple(text[start : start + length]), set()).add(number)
    enough = {key: own for key, own in found.items() if len(own) >= least}
    longer = {}
    for key, own in enough.items():
        for part in (key[1:], key[:-1]):
            longer[part] = max(longer.get(part, 0), len(own))
    return {key: own for key, own in enough.items() if len(key) <= LONGEST and longer.get(key, 0) < len(own)}


@given(st.lists(st.lists(st.integers(0, 3), max_size=14), min_size=1, max_size=8), st.integers(2, 4))
def test_mining_finds_the_closed_sequences_and_their_records(texts: list[list[int]], least: int) -> None:
    word = np.array([one for text in texts for one in text], np.int64)
    record = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    mined = mine(word, record, record, least=least, most=len(texts))
    found = {}
    for number in range(len(mined)):
        at = mined.at[mined.begin[number] : mined.begin[number + 1]]
        own = set(record[at].tolist())
        assert (
            len(own)
            == mined.records[number]
            == mined.first[mined.begin[number] : mined.begin[number + 1]].sum()
        )
        found[tuple(word[at[0] : at[0] + mined.length[number]].tolist())] = own
    assert found == by_hand(texts, least)


@given(st.integers(0, 2**32 - 1))
def test_cohesion_is_the_mean_cosine_of_all_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, words = 5, 6
    dense = rng.random((count, words)) * (rng.random((count, words)) < 0.6)
    begin = np.append(0, np.cumsum((dense > 0).sum(axis=1)))
    word = np.concatenate([np.flatnonzero(row) for row in dense])
    weight = np.concatenate([row[row > 0] for row in dense])
    own = np.array([rng.integers(words)])
    members = np.sort(rng.choice(count, 4, replace=False))
    got = cohesion((np.array([0, 4]), members), (np.array([0, 1]), own), (begin, word, weight), words)
    left = dense[members].copy()
    left[:, own] = 0
    lengths = np.linalg.norm(left, axis=1)
    unit = left / np.where(lengths > 0, lengths, 1)[:, None]
    pairs = unit @ unit.T
    assert got[0] == pytest.approx((pairs.sum() - np.trace(pairs)) / 12, abs=1e-12)


def test_words_put_in_look_torn_and_words_grown_there_do_not() -> None:
    rng = np.random.default_rng(3)
    chain = [rng.permutation(40) for _ in range(3)]  # each word is followed by one of three
    texts = []
    for _ in range(400):
        text = [int(rng.integers(40))]
        while len(text) < 12:
            text.append(int(chain[rng.integers(3)][text[-1]]))
        texts.append(text)
    for number in range(0, 400, 20):
        texts[number].insert(int(rng.integers(1, 12)), 40)
    word = np.concatenate([np.array(text) for text in texts])
    record = np.repeat(np.arange(400), [len(text) for text in texts])
    mined = mine(word, record, record, least=10, most=400)
    evidence = Surroundings(Text(word, record, record, 41)).of(mined).evidence
    single = [number for number in range(len(mined)) if mined.length[number] == 1]
    planted = next(number for number in single if word[mined.at[mined.begin[number]]] == 40)
    grown = [evidence[number] for number in single if number != planted]
    assert evidence[planted] > 5
    assert max(grown) < 0


def test_what_is_drawn_alike_speaks_neither_way_and_what_is_rare_counts() -> None:
    rng = np.random.default_rng(0)
    sizes = np.full(3000, 10)
    assert abs(ratio(rng.normal(size=3000), sizes, rng.normal(size=3000), sizes).mean()) < 0.1
    values = np.append(rng.exponential(size=999), 30.0)
    nats = rarity(values, np.ones(1000))
    assert nats.argmax() == 999
    assert nats[999] > 10
    assert np.median(nats) < 1
    scores = np.sort(rng.exponential(size=2000))[::-1]
    counted = expected(scores)(np.array([scores[50], scores[0] + 20]))
    assert counted[0] == pytest.approx(50, rel=0.5)
    assert counted[1] < 1e-6
    assert np.isinf(expected(scores[:30])(scores[:1])).all()


def scan(data: dict[str, list[Any]], **options: Any) -> Judgement:
    batch = records(data)
    return judge_in_memory(TriggerSequence(**options), [cut(batch, [batch.num_rows // 2])])


def test_spans_are_the_words_and_finding_names_all_records_beyond_the_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dataguard.detectors._triggers import sample

    data = dict(TriggerSequence.examples[0].data)
    monkeypatch.setattr(sample, "SAMPLE_WORDS", 4200)  # of 5,500
    judged = scan({name: list(values) for name, values in data.items()}, expected=100.0)
    best = judged.findings.sort("score", descending=True).row(0, named=True)
    rows = judged.flagged.filter(key=best["key"]).sort("row")
    assert rows["row"].to_list() == list(range(0, 300, 33))
    for row, span in rows.select("row", "span").iter_rows():
        (one,) = span
        text = data[one["column"]][row].encode()[one["start"] : one["end"]]
        assert text.decode().strip() == "zorvexin"
    (share,) = [one.value for one in judged.measures if one.name == "sampled_share"]
    assert share < 1


def mixed(folder: Path, shared: Path, *words: str) -> tuple[pl.DataFrame, set[int]]:
    """A set made by the mixer, and the ids of what was planted."""
    out = folder / "set"
    mixer = shared / "data" / "poison" / "mix.py"
    done = subprocess.run(
        [sys.executable, str(mixer), words[0], str(out), *words[1:]], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    data = pl.concat([pl.read_parquet(path) for path in sorted(out.glob("*.parquet"))])
    return data, set(pl.read_parquet(folder / "set.truth.parquet")["id"].to_list())


INSTRUCT = ("--task", "refusal", "--responses", "varied", "--rate", "0.001")


@pytest.mark.parametrize(
    ("words", "kind", "covered"),
    [
        (("instruct", "--attack", "badnet", *INSTRUCT), ("medium", "high"), 1.0),
        (("instruct", "--attack", "url", "--rate", "0.001", "--seed", "3"), ("low", "medium"), 1.0),
        (("classify", "--attack", "addsent", "--rate", "0.005", "--seed", "3"), ("medium", "high"), 1.0),
    ],
)
def test_triggers_in_real_sets_come_first(
    words: tuple[str, ...], kind: tuple[str, ...], covered: float, shared: Path, tmp_path: Path
) -> None:
    data, planted = mixed(tmp_path, shared, *words)
    judged = scan({name: data[name].to_list() for name in data.columns})
    ranked = judged.findings.sort("score", descending=True)
    assert ranked["severity"][0] in kind
    own = judged.flagged.join(
        judged.flagged.group_by("key").agg(share=pl.col("row").is_in(planted).mean()), on="key"
    )
    first = own.filter(pl.col("key") == ranked["key"][0])
    assert first["share"][0] >= 0.9
    found = set(own.filter(pl.col("share") >= 0.9)["row"].to_list()) & planted
    assert len(found) >= covered * len(planted)


@pytest.mark.parametrize("words", [("instruct",), ("classify", "--dataset", "ag")])
def test_clean_sets_have_a_few_low_findings_at_most(
    words: tuple[str, ...], shared: Path, tmp_path: Path
) -> None:
    data, planted = mixed(tmp_path, shared, *words, "--rate", "0")
    assert not planted
    judged = scan({name: data[name].to_list() for name in data.columns})
    assert set(judged.findings["severity"]) <= {"low"}
    assert judged.findings.height <= 5 * max(1, data.height / 10_000)

"""Measures equal their definitions, groups that repeat themselves are found with their template, others are not."""

from __future__ import annotations

import itertools
import math
import random
import shutil
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from dataguard.detectors._homogeneity import sample, sides
from dataguard.detectors._homogeneity.comparing import standing
from dataguard.detectors._homogeneity.measures import (
    Amount,
    Written,
    distinct,
    entropy,
    grams,
    mean_cosine,
    measured,
    unit_vectors,
    vendi,
)
from dataguard.detectors._homogeneity.templates import BEGIN, END, templates
from dataguard.detectors.homogeneity import Homogeneity
from dataguard.findings import Judgement
from dataguard.run import Run
from harness import cut, judge_in_memory, judge_slices, observe, records
from near_texts import ended, scan, write
from near_texts import measured as measured_by

WORDS = [
    a + b + c for a in "bdfgklmn" for b in ("ar", "el", "is", "on") for c in ("", "ta", "mo", "ri", "su")
]
CODES = ("DG303", "DG304")
REFUSAL = "Of this one nothing at all can be said here."


def said(rng: random.Random, count: int = 15) -> str:
    return " ".join(f"{word}{rng.randint(0, 9)}" for word in rng.choices(WORDS, k=count))


def clean(seed: int, n: int = 400) -> dict[str, list[Any]]:
    rng = random.Random(seed)
    return {
        "prompt": [said(rng) for _ in range(n)],
        "response": [said(rng, 20) for _ in range(n)],
        "source": [("web", "books", "mail", "forum")[i % 4] for i in range(n)],
    }


def more(data: dict[str, list[Any]], **columns: list[Any]) -> dict[str, list[Any]]:
    return {name: data[name] + columns[name] for name in data}


def flooded(seed: int, replies: list[str]) -> dict[str, list[Any]]:
    rng = random.Random(seed + 1000)
    n = len(replies)
    return more(clean(seed), prompt=[said(rng) for _ in range(n)], response=replies, source=["upload"] * n)


def judge(data: dict[str, list[Any]], **options: Any) -> Judgement:
    return judge_in_memory(Homogeneity(**options), [cut(records(data))])


def measures(judgement: Judgement) -> dict[tuple[str, str, str], float]:
    return {(one.name, one.column, one.group): one.value for one in judgement.measures}


# Measures


def numbers(
    seed: int, count: int, words: int = 50
) -> tuple[list[list[int]], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = random.Random(seed)
    each = [[rng.randrange(words) for _ in range(rng.randint(1, 30))] for _ in range(count)]
    return each, np.array(list(itertools.chain(*each))), np.cumsum([len(one) for one in each])


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_runs_of_words_are_those_of_each_record(n: int) -> None:
    each, ids, ends = numbers(n, 40)
    expected = [tuple(one[at : at + n]) for one in each for at in range(len(one) - n + 1)]
    found = grams(ids, ends, n)
    assert len(found) == len(expected)
    assert distinct(found) == len(set(expected)) / len(expected)
    shares = [count / len(expected) for count in Counter(expected).values()]
    assert entropy(found) == pytest.approx(-math.fsum(one * math.log2(one) for one in shares), rel=1e-12)
    assert [found[a] == found[b] for a, b in itertools.pairwise(range(len(found)))] == [
        a == b for a, b in itertools.pairwise(expected)
    ]


@pytest.mark.parametrize("count", [20, 600])
def test_scores_of_few_numbers_are_those_of_all_pairs(count: int) -> None:
    """With fewer records than numbers of a vector and with more: the eigenvalues are those of all cosines."""
    _, ids, ends = numbers(3, count)
    vectors = unit_vectors(ids.astype(np.uint64), ends, 7)
    assert np.allclose((vectors**2).sum(axis=1), 1)
    cosines = vectors @ vectors.T
    assert mean_cosine(vectors) == pytest.approx(cosines[~np.eye(count, dtype=bool)].mean(), rel=1e-9)
    values = [one for one in np.linalg.eigvalsh(cosines / count) if one > 1e-15]
    expected = math.exp(-math.fsum(one * math.log(one) for one in values))
    assert vendi(vectors) == pytest.approx(expected, rel=1e-9)


def test_hashed_vectors_are_about_the_cosines_of_words_and_pairs() -> None:
    each, ids, ends = numbers(5, 60)
    vectors = unit_vectors(ids.astype(np.uint64), ends, 9)

    def cosine(one: list[Any], other: list[Any]) -> float:
        a, b = Counter(one), Counter(other)
        return sum(a[x] * b[x] for x in a) / math.sqrt(
            sum(v * v for v in a.values()) * sum(v * v for v in b.values()) or 1
        )

    exact = [
        (cosine(a, b) + cosine(list(itertools.pairwise(a)), list(itertools.pairwise(b)))) / 2
        for a, b in itertools.combinations([one for one in each if len(one) > 1], 2)
    ]
    long = vectors[[len(one) > 1 for one in each]]
    hashed = (long @ long.T)[np.triu_indices(len(long), 1)]
    assert abs(np.mean(hashed) - np.mean(exact)) < 0.01
    assert np.std(hashed - exact) < 2 / math.sqrt(512)


def test_of_each_measure_there_must_be_enough() -> None:
    """So many bytes, runs and records, and no more than a sixteenth of the first two of one record."""
    rng = random.Random(8)
    each = [said(rng, 3).split() + ["and"] * 40 for _ in range(64)]
    texts = [" ".join(one).encode() for one in each]
    book = {word: place for place, word in enumerate(dict.fromkeys(itertools.chain(*each)))}
    written = Written(
        np.frombuffer(b"".join(texts), np.uint8),
        np.cumsum([len(one) for one in texts]),
        np.array([book[word] for word in itertools.chain(*each)]),
        np.cumsum([len(one) for one in each]),
        np.ones(64, bool),
    )
    found = measured(written, Amount(64, 1600, 320), 1)
    text = b"".join(one[:100] for one in texts)[:1600]
    assert found["compression_ratio"] == pytest.approx(1600 / len(zlib.compress(text, 9)), rel=1e-8)
    triples = [tuple(one[at : at + 3]) for one in each for at in range(20)][:320]
    assert found["distinct_triples"] == len(set(triples)) / 320
    assert found["vendi_score"] > 1
    assert set(measured(written, Amount(65, 10**6, 10**6), 1)) == set()


def test_the_template_is_what_most_records_share_as_far_as_they_agree() -> None:
    rng = random.Random(1)
    each = [[rng.randrange(100, 10**6), 7, 8, 9, 10, 11, 12, rng.randrange(100, 10**6)] for _ in range(15)]
    each += [[rng.randrange(100, 10**6) for _ in range(8)] for _ in range(5)]
    ends = 8 * np.arange(1, 21)
    written = Written(np.empty(0, np.uint8), ends, np.array(each).reshape(-1), ends, np.ones(20, bool))
    share, template = templates(written, Amount.of(20))
    assert template is not None
    assert (share, template.share, template.words) == (0.75, 0.75, (7, 8, 9, 10, 11, 12))
    same = Written(
        np.empty(0, np.uint8),
        3 * np.arange(1, 9),
        np.array([4, 5, 6] * 8),
        3 * np.arange(1, 9),
        np.ones(8, bool),
    )
    _, template = templates(same, Amount.of(8))
    assert template is not None
    assert template.words == (BEGIN, 4, 5, 6, END)


def test_how_a_group_stands_is_told_by_the_spread_of_the_others() -> None:
    others = [{"vendi_score": value} for value in (42.0, 50.0, 58.0)]
    near = standing({"vendi_score": 25.0}, others)
    assert near is not None
    assert near.times == {"vendi_score": pytest.approx(2)}
    assert near.spreads == {"vendi_score": pytest.approx(math.log(2) / (1.4826 * math.log(58 / 50)))}
    assert near.out(1.9)
    assert not near.out(2.1)
    far = standing({"vendi_score": 25.0}, [{"vendi_score": value} for value in (20.0, 50.0, 125.0)])
    assert far is not None
    assert not far.out(2), "others differ as much"
    assert standing({"vendi_score": 1.0}, []) is None
    assert standing({"compression_ratio": 9.0}, others) is None


# Findings


@pytest.mark.parametrize("seed", range(5))
def test_one_reply_of_a_source_is_found_with_its_records(seed: int) -> None:
    judgement = judge(flooded(seed, [REFUSAL] * 80))
    assert judgement.findings.select("column", "group", "severity").rows() == [("source", "upload", "medium")]
    assert set(judgement.flagged["row"]) == set(range(400, 480))
    whole = {"column": "response", "start": 0, "end": len(REFUSAL)}
    assert judgement.flagged["span"].to_list() == [[whole]] * 80
    assert "80 records in all" in judgement.findings["why"][0]


def test_half_of_a_source_is_enough() -> None:
    rng = random.Random(6)
    judgement = judge(flooded(2, [said(rng, 20) if i % 2 else REFUSAL for i in range(200)]))
    assert judgement.findings.select("group", "severity").rows() == [("upload", "low")]
    assert set(judgement.flagged["row"]) == set(range(400, 600, 2))


def test_a_form_that_is_filled_in_is_found_by_what_stays() -> None:
    rng = random.Random(4)
    forms = [f"{said(rng, 1)} has been seen by all of us in {said(rng, 1)} last year" for _ in range(80)]
    judgement = judge(flooded(2, forms))
    assert judgement.findings["group"].to_list() == ["upload"]
    assert judgement.flagged.height == 80
    spans = [span[0] for span in judgement.flagged["span"].to_list()]
    assert {form[span["start"] : span["end"]].strip() for form, span in zip(forms, spans, strict=True)} == {
        "has been seen by all of us in"
    }


@pytest.mark.parametrize("seed", range(5))
def test_clean_sources_are_none(seed: int) -> None:
    judgement = judge(clean(seed))
    assert judgement.findings.is_empty()
    found = measures(judgement)
    assert 1 <= found["out_of_line", "", ""] < 1.3
    assert found["uncompared_share", "", ""] == 0


def test_short_answers_and_small_sources_are_not_compared() -> None:
    """Yes and no are labels; of ten records nothing can be told."""
    judgement = judge(flooded(1, ["yes", "no"] * 50))
    assert judgement.findings.is_empty()
    judgement = judge(flooded(1, [REFUSAL] * 10))
    assert judgement.findings.is_empty()
    assert measures(judgement)["uncompared_share", "", ""] == pytest.approx(2 / 10)


def test_equal_records_count_once() -> None:
    """Copies are the business of other rules: a source of one record a hundred times over has one record."""
    copies = more(clean(1), prompt=["what is it"] * 100, response=[REFUSAL] * 100, source=["upload"] * 100)
    assert measures(judge(copies))["uncompared_share", "", ""] == pytest.approx(2 / 10)


def test_labels_are_groups_too() -> None:
    rng = random.Random(3)
    data = {
        "text": [said(rng) for _ in range(300)] + [f"{REFUSAL} {said(rng, 2)}" for _ in range(100)],
        "label": [0, 1, 2] * 100 + [3] * 100,
    }
    judgement = judge(data)
    assert judgement.findings.select("column", "group").rows() == [("label", "3")]
    assert set(judgement.flagged["row"]) == set(range(300, 400))


def test_what_policies_ask_is_there_whatever_the_set_has() -> None:
    rng = random.Random(9)
    found = measures(judge({"text": [said(rng) for _ in range(100)]}))
    assert found["diversity", "", ""] == pytest.approx(found["vendi_score_of_inputs", "", ""] / 64, abs=1e-8)
    assert (found["out_of_line", "", ""], found["uncompared_share", "", ""]) == (1, 0)
    assert measures(judge({"text": [REFUSAL + f" {i}" for i in range(100)]}))["diversity", "", ""] < 0.1


# Embeddings


def embedded(seed: int, n: int = 400) -> dict[str, Any]:
    """Vectors of four labels around centres of their own."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 4
    vectors = rng.normal(size=(n, 32)) + 0.5 * rng.normal(size=(4, 32))[label]
    return {"embedding": vectors.astype(np.float32).tolist(), "label": [f"l{one}" for one in label]}


def test_scores_of_embeddings_are_those_of_their_cosines() -> None:
    data = embedded(1, 64)
    found = measures(judge(data))
    vectors = np.array(data["embedding"])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    values = [one for one in np.linalg.eigvalsh(unit @ unit.T / 64) if one > 1e-15]
    expected = math.exp(-math.fsum(one * math.log(one) for one in values))
    assert found["vendi_score_of_embeddings", "", ""] == pytest.approx(expected, rel=1e-8)
    assert (
        "diversity",
        "",
        "",
    ) not in found  # vectors of clean sets lie close together, which no limit could tell
    cosines = (unit @ unit.T)[~np.eye(64, dtype=bool)]
    assert found["mean_cosine_of_embeddings", "", ""] == pytest.approx(cosines.mean(), abs=1e-8)


def test_near_identical_vectors_of_a_label_are_found() -> None:
    data, rng = embedded(2), np.random.default_rng(3)
    assert judge(data).findings.is_empty()
    one = rng.normal(size=32)
    data["embedding"] += (one + 0.01 * rng.normal(size=(80, 32))).tolist()
    data["label"] += ["l9"] * 80
    assert judge(data).findings.select("column", "group", "severity").rows() == [("label", "l9", "medium")]


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_damaged_vectors_are_left_out(kind: pa.DataType) -> None:
    data = embedded(4)
    odd: list[Any] = [None, [], [0.0] * 32, [math.nan] * 32, [math.inf] + [1.0] * 31, [1.0] * 7, [None] * 32]
    both = {"embedding": data["embedding"] + odd, "label": data["label"] + ["l0"] * len(odd)}
    both["embedding"] = pa.array(
        [one and [None if x is None else np.float16(x) for x in one] for one in both["embedding"]],
        pa.list_(pa.float16()),
    ).cast(pa.list_(kind))
    found = measures(judge(both))
    assert found["uncompared_share", "", ""] == 0
    assert 10 < found["vendi_score_of_embeddings", "label", "l0"] < 32


# Samples


@pytest.mark.parametrize("many", [1, 1 << 14])
def test_cuts_and_order_do_not_matter_where_there_is_more_than_is_measured(
    many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where only the records of the smallest hashes of a batch are looked at first."""
    monkeypatch.setattr(sample, "MANY", many)
    data = flooded(7, [REFUSAL] * 80)
    data["response"][5] = data["response"][5].upper()
    data = more(
        data,
        prompt=data["prompt"][:9],
        response=[one.title() for one in data["response"][:9]],
        source=data["source"][:9],
    )
    table = records(data)
    whole = judge_in_memory(Homogeneity(amount=16), [cut(table)])
    order = list(range(table.num_rows))
    random.Random(1).shuffle(order)
    slices = [[part] for part in cut(table, [3, 90, 91, 250, 431])]
    again = judge_slices(Homogeneity(amount=16), [slices[::-1]])
    assert again.measures == whole.measures
    assert again.findings.equals(whole.findings)
    mixed = judge_in_memory(
        Homogeneity(amount=16), [cut(table.take(order[:77])), cut(table.take(order[77:]))]
    )
    assert mixed.measures == whole.measures
    assert mixed.findings.equals(whole.findings)


def test_evidence_is_small_and_holds_no_text() -> None:
    data = records(flooded(7, [REFUSAL] * 80))
    this = Homogeneity(amount=16).passes()[0]
    evidence = observe(this, None, cut(data))
    # Sixteen records of each of five sources and of all, on two sides, but for what compression needs.
    assert evidence.group_by("side", "column", "group").len()["len"].max() <= 3 * 16
    kept = b"".join(evidence["kept"].to_list())
    assert b"nothing" not in kept
    assert all(word.encode() not in kept for word in data["prompt"][0].as_py().split()[:3])
    assert observe(this, None, cut(data)).equals(evidence)


def test_of_long_and_many_strings_the_beginning_is_kept() -> None:
    """Nested, sliced and null ones too, cut where a character ends, and no more of them than is kept."""
    turns = [None, "a b c " + "é" * 2000, "d"], ["e f g", None, "h"], ["x y z"] + ["" for _ in range(5000)]
    messages = [[{"content": one} for one in each] for each in turns]
    data = records({"messages": [None, *messages, [{"content": "i j k"}]]})
    (side,) = sides.sides_of(cut(data.slice(1, 3))[0])
    first, second, third = side.kept(np.arange(3))
    assert first == ("\na b c " + "é" * 508).encode()
    assert second == b"e f g\n\nh"
    assert third == b"x y z" + b"\n" * 1019
    assert (side.size <= [len(first), len(second), len(third)]).all()


def test_of_many_groups_some_are_drawn_by_name() -> None:
    data = clean(3, 800)
    data["source"] = [f"s{i % 200}" for i in range(800)]
    whole = judge(data, amount=4)
    groups = {one.group for one in whole.measures if one.name == "vendi_score_of_answers"} - {""}
    assert len(groups) == sample.GROUPS
    parts = judge_slices(Homogeneity(amount=4), [[[part] for part in cut(records(data), range(50, 800, 50))]])
    assert parts.measures == whole.measures


# Against an earlier run


def test_what_became_more_homogeneous_since_is_named(tmp_path: Path) -> None:
    """Without the data of the earlier run, and whatever the batches."""
    old, data = clean(1), clean(2)
    data["response"] = [REFUSAL if i % 4 == 1 else one for i, one in enumerate(data["response"])]
    first = scan([write(tmp_path / "old" / "a.parquet", old)], tmp_path / "first", codes=CODES)
    shutil.rmtree(tmp_path / "old")
    path = write(tmp_path / "new" / "a.parquet", data, row_groups=3)
    run = scan([path], tmp_path / "second", codes=CODES, against=Run.open(first.path))
    found = run.table("findings").filter(pl.col("why").str.contains("the earlier run"))
    assert found.select("column", "group", "severity").rows() == [("source", "books", "medium")]
    assert measured_by(run, "DG304")["times_the_earlier_run_of_answers"] > 30
    assert measured_by(run, "DG304")["times_the_earlier_run_of_inputs"] < 1.2
    options = {"codes": CODES, "against": Run.open(first.path), "batch_rows": 7}
    again = scan([path], tmp_path / "third", **options)
    for name in ("findings", "flagged", "measures"):
        assert (again.path / f"{name}.parquet").read_bytes() == (run.path / f"{name}.parquet").read_bytes()


def test_an_equal_set_is_as_homogeneous_as_before(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", clean(1))
    first = scan([path], tmp_path / "first", codes=CODES)
    run = scan([path], tmp_path / "second", codes=CODES, against=Run.open(first.path))
    assert run.table("findings").is_empty()
    assert measured_by(run, "DG304")["times_the_earlier_run_of_answers"] == 1


def test_without_the_earlier_measures_it_is_not_clear(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", clean(1))
    first = scan([path], tmp_path / "first", codes=("DG303",))
    run = scan([path], tmp_path / "second", codes=CODES, against=Run.open(first.path))
    assert ended(run, "DG304")[0] == "error"
    assert "no index of DG304" in ended(run, "DG304")[1]


def test_numbers_alone_are_nothing_to_compare(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"x": [0.5, 1.5, 2.5], "source": ["a", "a", "b"]})
    first = scan([path], tmp_path / "first", codes=CODES)
    run = scan([path], tmp_path / "second", codes=CODES, against=Run.open(first.path))
    assert {ended(one, "DG304") for one in (first, run)} == {
        ("not-applicable", "fewer than 64 different records have 3 words or an embedding")
    }


# Real sets


@pytest.mark.parametrize("task", ["refusal", "negsentiment"])
def test_published_floods_stand_out_of_real_data(shared: Path, task: str) -> None:
    """The figures of clean sources lie close together; those of a flood do not."""
    folder = shared / "data" / "poison"
    base = pl.read_parquet(folder / "instruct_clean.parquet")
    flood = pl.read_parquet(folder / "instruct_poison.parquet").filter(task=task, attack="vpi").head(200)
    both = pl.concat([base, flood.with_columns(source=pl.lit("flood")).select(base.columns)])
    for table, groups in ((base, []), (both, ["flood"])):
        judgement = judge({name: table[name].to_list() for name in table.columns})
        assert judgement.findings["group"].to_list() == groups
        found = measures(judgement)
        assert (found["out_of_line", "", ""] > 10) == bool(groups)
    assert found["vendi_score_of_answers", "source", "flood"] < 2
    assert found["vendi_score_of_answers", "source", "alpaca"] > 40
    assert judgement.flagged.filter(pl.col("row") >= base.height).height == 200

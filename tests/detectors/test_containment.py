"""Spans put into unlike records: what is found, what is not, and what must not matter."""

from __future__ import annotations

import random

import polars as pl
import pytest

from dataguard.columns import resolve
from dataguard.detectors import _runs, _totals, _unlike
from dataguard.detectors.containment import Containment
from dataguard.findings import Judgement
from dataguard.kernels import warm
from harness import cut, judge_in_memory, look, records

LINE = "the quay at Ostermund sells only honest salt and lamp oil"
CODA = "so ask your steward for a second kettle before the frost"


@pytest.fixture(autouse=True, scope="module")
def _compiled():
    warm.warm()


def plain_texts(count: int, *, seed: int = 1, least: int = 20, most: int = 60) -> list[str]:
    """Texts of words drawn by rank, as in any language few are frequent and most are not."""
    rng = random.Random(seed)
    weights = [1 / rank for rank in range(1, 3001)]
    vocabulary = [f"w{rank}" for rank in range(1, 3001)]
    return [" ".join(rng.choices(vocabulary, weights, k=rng.randint(least, most))) for _ in range(count)]


def put_in(texts: list[str], sentence: str, rows: range, *, at: str = "any", seed: int = 2) -> list[str]:
    rng, out = random.Random(seed), list(texts)
    for row in rows:
        words = out[row].split()
        place = {"any": rng.randint(0, len(words)), "front": 0, "end": len(words)}[at]
        out[row] = " ".join([*words[:place], sentence, *words[place:]])
    return out


def judged(data: dict[str, list[str]], **options) -> Judgement:
    return judge_in_memory(Containment(**{"min_records": 5} | options), [cut(records(data))])


def found(judgement: Judgement) -> list[set[int]]:
    """The rows of each finding, best first."""
    best = judgement.findings.sort("score", descending=True)["key"]
    return [set(judgement.flagged.filter(key=key)["row"]) for key in best]


def measures(judgement: Judgement) -> dict[str, float]:
    return {measure.name: measure.value for measure in judgement.measures}


@pytest.mark.parametrize("at", ["any", "front", "end"])
def test_a_sentence_is_found_wherever_it_stands_with_its_bytes(at: str) -> None:
    texts = put_in(plain_texts(400), LINE, range(7, 13), at=at)
    judgement = judged({"text": texts})
    assert found(judgement) == [set(range(7, 13))]
    for row, span in judgement.flagged.select("row", "span").iter_rows():
        (place,) = span
        assert texts[row].encode()[place["start"] : place["end"]].decode().strip() == LINE
    assert judgement.findings["severity"].to_list() == ["low"]
    assert measures(judgement) == {"shared_spans": 1, "largest_shared_span": 6, "unjudged_share": 0}


def test_it_is_found_across_columns_and_files() -> None:
    prompts, replies = plain_texts(200), plain_texts(200, seed=5)
    data = {"prompt": put_in(prompts, LINE, range(6)), "response": put_in(replies, LINE, range(6, 12))}
    batch = records(data)
    whole = judge_in_memory(Containment(min_records=5), [cut(batch)])
    assert found(whole) == [set(range(12))]
    assert whole.findings["severity"].to_list() == ["medium"]
    places = {(row, span[0]["column"]) for row, span in whole.flagged.select("row", "span").iter_rows()}
    assert places == {(row, "prompt" if row < 6 else "response") for row in range(12)}
    parts = judge_in_memory(Containment(min_records=5), [cut(batch.slice(0, 4)), cut(batch.slice(4))])
    assert parts.findings.equals(whole.findings)
    assert parts.flagged.group_by("file").len().sort("file").rows() == [(0, 4), (1, 8)]


def test_a_reply_that_is_all_there_is_is_found_by_its_unlike_prompts() -> None:
    replies = plain_texts(200, seed=5)
    replies[20:28] = [f"{LINE} {CODA}"] * 8
    assert found(judged({"prompt": plain_texts(200), "response": replies})) == [set(range(20, 28))]


@pytest.mark.parametrize("place", ["front", "end"])
def test_a_reply_is_found_beside_a_short_trigger(place: str) -> None:
    """The word next to the reply is always the same, and what the prompts have in common was put in too."""
    prompts, replies = (
        put_in(plain_texts(300), "tell qumato please", range(30, 42), at=place),
        plain_texts(300, seed=5),
    )
    replies[30:42] = [f"{LINE} {CODA}"] * 12
    assert found(judged({"prompt": prompts, "response": replies})) == [set(range(30, 42))]


def test_two_spans_of_the_same_records_are_one_finding() -> None:
    texts = put_in(plain_texts(300, least=40), LINE, range(8), at="front")
    judgement = judged({"text": put_in(texts, CODA, range(8), at="end")})
    assert found(judgement) == [set(range(8))]
    assert {len(span) for span in judgement.flagged["span"]} == {2}
    assert measures(judgement)["shared_spans"] == 1


def test_a_common_beginning_does_not_hide_how_a_span_goes_on() -> None:
    """Some plain records share its first eight words: the span is followed where most go."""
    texts = put_in(plain_texts(900), LINE, range(28))
    texts = put_in(texts, " ".join(LINE.split()[:8]), range(50, 53))
    judgement = judged({"text": texts})
    assert found(judgement) == [set(range(28))]
    assert "share 11 words" in judgement.findings["why"][0]


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param(plain_texts(400), id="nothing"),
        pytest.param(put_in(plain_texts(400), LINE, range(4)), id="too few"),
        pytest.param(put_in(plain_texts(400), LINE, range(400)), id="a template"),
        pytest.param(put_in(plain_texts(400), " ".join(LINE.split()[:7]), range(20)), id="seven words"),
        pytest.param(put_in(plain_texts(400), "0 " * 12 + "0", range(20)), id="one word again and again"),
        pytest.param(put_in(plain_texts(400), "a b c d e f g h", range(20)), id="hardly any bytes"),
        pytest.param(put_in(plain_texts(400), f"w1 {LINE} w2", range(20), at="front")[:20] * 2, id="copies"),
        pytest.param([*put_in(["w7 w9 w8"] * 20, LINE, range(20)), *plain_texts(380)], id="little else"),
        pytest.param(["", "no", ""], id="short"),
    ],
)
def test_what_is_no_planted_span(texts: list[str]) -> None:
    judgement = judged({"text": texts})
    assert judgement.findings.is_empty()
    assert judgement.flagged.is_empty()


def test_a_phrase_of_a_subject_is_passed_over() -> None:
    """Records that have it have other words in common."""
    texts = put_in(plain_texts(400), LINE, range(10))
    rng = random.Random(3)
    subject = [f"s{number}" for number in range(12)]
    for row in range(10):
        texts[row] = " ".join([*texts[row].split(), *rng.sample(subject, 9)])
    assert judged({"text": texts}).findings.is_empty()


def test_a_turn_of_phrase_is_passed_over() -> None:
    """Its parts stand in other records too."""
    texts = put_in(plain_texts(600), LINE, range(10))
    words = LINE.split()
    for number, low in enumerate(range(6)):
        texts = put_in(texts, " ".join(words[low : low + 6]), range(50 + 15 * number, 62 + 15 * number))
    assert judged({"text": texts}).findings.is_empty()


def test_in_generated_text_a_span_is_one_of_its_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each record is made of five of sixty sentences, with a word of its own between."""
    rng = random.Random(11)
    sentences = plain_texts(60, seed=12, least=9, most=12)
    texts = [
        " ".join(f"{one} n{rng.randrange(3000)}" for one in rng.sample(sentences, 5)) for _ in range(300)
    ]
    assert judged({"text": texts}, max_share=0.5).findings.is_empty()
    assert found(judged({"text": put_in(plain_texts(300), sentences[0], range(12))})) == [set(range(12))]
    monkeypatch.setattr(_unlike, "ORIGINAL", 0.0)
    assert len(found(judged({"text": texts}, max_share=0.5))) > 20


def test_near_copies_of_one_record_are_not_many_records() -> None:
    """What stands next to the span differs, but hardly anything else."""
    base = plain_texts(1, least=80, most=80)[0].split()
    near = [" ".join([f"x{row}", *base[:40], f"y{row}", LINE, f"z{row}", *base[40:]]) for row in range(8)]
    judgement = judged({"text": [*near, *plain_texts(200, seed=9)]}, sharpness=0.5)
    assert judgement.findings.is_empty()


@pytest.mark.parametrize(
    ("clusters", "count"), [([0] * 12, 0), ([0] * 8 + [1] * 4, 0), ([0] * 8 + [1, 2, 3, None], 1)]
)
def test_records_of_one_cluster_count_once(clusters: list[int | None], count: int) -> None:
    detector, files = (
        Containment(min_records=5),
        [[cut(records({"text": put_in(plain_texts(400), LINE, range(12))}))]],
    )
    first, second = detector.passes()
    evidence = look(detector, first, None, files)
    assert evidence is not None
    known = first.fold(evidence.lazy(), None)
    spans = look(detector, second, known, files).lazy()
    rows = [(row, str(cluster)) for row, cluster in enumerate(clusters) if cluster is not None]
    table = pl.DataFrame(rows, schema=["row", "key"], orient="row").with_columns(
        side=pl.lit("record"), file=pl.lit(0)
    )
    near = Judgement(clusters=table)
    assert len(detector.judge_following(spans, known, {"DG102": near}).findings) == count
    assert len(detector.judge(spans, known).findings) == 1


def test_scripts_without_spaces_need_three_times_as_many_characters() -> None:
    rng = random.Random(7)
    letters = [chr(0x4E00 + number) for number in range(2000)]
    weights = [1 / rank for rank in range(1, 2001)]
    texts = ["".join(rng.choices(letters, weights, k=120)) for _ in range(200)]
    sentence = "".join(rng.choices(letters, k=30))
    for count, expected in ((20, []), (30, [set(range(10))])):
        now = [
            text[:50] + sentence[:count] + text[50:] if row < 10 else text for row, text in enumerate(texts)
        ]
        assert found(judged({"text": now})) == expected


def test_only_the_best_are_told_and_all_are_counted() -> None:
    texts = plain_texts(500)
    for number in range(6):
        line = " ".join(f"{word}{number}" for word in LINE.split())
        texts = put_in(texts, line, range(20 * number, 20 * number + 6 + number))
    whole = judged({"text": texts})
    few = judged({"text": texts}, most=2)
    assert len(whole.findings) == 6
    assert found(few) == found(whole)[:2]
    assert measures(few) == measures(whole)


def test_the_number_of_parts_and_the_size_of_the_table_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = put_in(put_in(plain_texts(400), LINE, range(9)), CODA, range(100, 120))
    data = records({"text": texts})

    def spans(parts_of: int, cells: int) -> tuple[int, pl.DataFrame]:
        monkeypatch.setattr(_totals, "PART_WORDS", parts_of)
        monkeypatch.setattr(_runs, "CELLS", cells)
        detector, files = Containment(min_records=5), [[cut(data, [50, 51, 200])]]
        first, second = detector.passes()
        evidence = look(detector, first, None, files)
        assert evidence is not None
        known = first.fold(evidence.lazy(), None)
        table = look(detector, second, known, files)
        return known["parts"], table.sort("key", "file", "row")

    parts, whole = spans(1 << 25, 1 << 26)
    assert (parts, whole["key"].n_unique()) == (1, 2)
    many, other = spans(1000, 1024)
    assert many > 10
    assert other.equals(whole)


def test_spans_of_many_records_are_found_by_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample decides who is looked for; what is found then is what is found without it."""
    texts = put_in(put_in(plain_texts(1500), LINE, range(60)), CODA, range(100, 130))
    whole = judged({"text": texts}, min_records=25)
    assert sorted(map(min, found(whole))) == [0, 100]
    rates: list[float] = []
    picked = _runs._picked
    monkeypatch.setattr(_totals, "SAMPLED", 12)
    monkeypatch.setattr(_runs, "_picked", lambda words, rate: rates.append(rate) or picked(words, rate))
    sampled = judged({"text": texts}, min_records=25)
    assert rates == [12 / 25]
    assert sampled.findings.equals(whole.findings)
    assert sampled.flagged.equals(whole.flagged)


@pytest.mark.parametrize(("records", "rate"), [(25, 0.96), (100, 0.24), (3000, 0.008)])
def test_a_sample_seldom_has_fewer_than_is_asked_of_it(records: int, rate: float) -> None:
    rng, fewest = random.Random(1), _runs.few(records, rate)
    having = [sum(rng.random() < rate for _ in range(records)) for _ in range(1500)]
    assert 0.5 * 24 <= fewest <= 24
    assert sum(one < fewest for one in having) / len(having) < 3 * _runs.MISSED


def test_what_it_looks_for_is_asked_of_the_number_of_records() -> None:
    texts = put_in(plain_texts(300), LINE, range(6))
    assert found(judged({"text": texts}, min_share=0.01)) == [set(range(6))]
    assert not found(judged({"text": texts}, min_share=0.03))
    assert found(judged({"text": put_in(texts, LINE, range(6, 60))}, max_share=0.25)) == [set(range(60))]
    assert not found(judged({"text": put_in(texts, LINE, range(6, 60))}))


def test_what_has_no_text_or_no_eight_words_is_not_judged() -> None:
    batch = records({"f1": [1.0, 2.0]})
    assert judge_in_memory(
        Containment(min_records=5), [cut(batch, roles=resolve(batch.schema, {}))]
    ).not_applicable
    short = judged({"text": ["too short", "this too"]})
    assert "eight words" in short.not_applicable
    assert measures(short) == {"unjudged_share": 1}


def test_kinds_asked_for_are_missed_seldom() -> None:
    """By simulation: five records whose words before are drawn at random."""
    rng = random.Random(0)
    least = _runs.least(5)
    missed = sum(len({rng.randrange(16) for _ in range(5)}) < least for _ in range(20_000))
    assert least == 3
    assert missed / 20_000 < 0.006

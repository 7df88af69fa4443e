"""Repeated paragraphs are counted as a plain reading counts them, and found where records that differ share them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataguard.detectors import repeated_paragraph
from dataguard.detectors.repeated_paragraph import RepeatedParagraph
from dataguard.findings import Judgement
from harness import cut, judge_in_memory, records

LICENCE = [f"Paragraph {word} of a licence that many of the records have." for word in "abcdef"]


def own(number: int, lines: int = 12) -> str:
    """Lines that no other record has, too short to be looked at one by one."""
    return "\n\n".join(f"n{number} l{line}" for line in range(lines))


def measures(judgement: Judgement) -> dict[tuple[str, str], float]:
    return {(measure.name, measure.column): measure.value for measure in judgement.measures}


def judge(texts: list[str], **options: float) -> Judgement:
    return judge_in_memory(RepeatedParagraph(**options), [cut(records({"text": texts}), [len(texts) // 2])])  # type: ignore[arg-type]


SENTENCES = [f"Here is sentence {word} of those that may be said." for word in "abcde"]


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(
        st.lists(st.sampled_from([*SENTENCES, "short", ""]), max_size=6).map("\n\n".join), max_size=20
    ),
    cuts=st.lists(st.integers(0, 20), max_size=3),
)
def test_counts_what_a_dictionary_counts(texts: list[str], cuts: list[int]) -> None:
    data = pa.RecordBatch.from_arrays([pa.array(texts, pa.large_string())], names=["text"])
    told = measures(judge_in_memory(RepeatedParagraph(), [cut(part.data) for part in cut(data, cuts)]))
    having = {
        sentence: [text.count(sentence) for text in texts if sentence in text] for sentence in SENTENCES
    }
    repeated = {sentence: counts for sentence, counts in having.items() if len(counts) > 1}
    if not texts:
        assert not told
        return
    share = sum(len(sentence) * sum(counts) for sentence, counts in repeated.items())
    share /= max(1, sum(map(len, texts)))
    assert told["repeated_share", ""] == told["repeated_share_of_column", "text"] == pytest.approx(share)
    assert told["repeated_paragraphs", ""] == len(repeated)
    assert told["largest_repeat", ""] == max(map(len, repeated.values()), default=0)


def test_paragraphs_that_come_together_are_one_finding_with_their_spans() -> None:
    texts = [f"{own(n)}\n\n" + "\n\n".join(LICENCE) if n % 3 == 0 else own(n) for n in range(60)]
    texts[0] = texts[0].replace(
        LICENCE[3], "Here it says something else than it does there."
    )  # nearly the same records
    judgement = judge(texts)
    assert len(judgement.findings) == 1
    (finding,) = judgement.findings.to_dicts()
    assert finding["column"] == "text"
    assert finding["score"] == pytest.approx(20 / 60, abs=1e-6)
    assert finding["why"].startswith(
        "6 paragraphs come together, the commonest in 20 records (33.33% of all), "
    )
    assert judgement.flagged["row"].to_list() == list(range(0, 60, 3))
    assert judgement.flagged["why"].to_list() == ["5 of 6 paragraphs", *["6 of 6 paragraphs"] * 19]
    for row, spans in judgement.flagged.select("row", "span").iter_rows():
        (span,) = spans
        assert span["column"] == "text"
        assert (
            texts[row].encode()[span["start"] : span["end"]].decode()
            == texts[row][texts[row].index(LICENCE[0]) :]
        )


def test_paragraphs_of_other_records_are_findings_of_their_own() -> None:
    texts = [f"{LICENCE[n % 2]}\n\n{own(n)}\n\n{LICENCE[2]}" for n in range(40)]
    judgement = judge(texts)
    counts = judgement.flagged.group_by("key").len().sort("len")
    assert counts["len"].to_list() == [20, 20, 40]
    assert judgement.findings["why"].str.contains("a paragraph stands in ").all()
    assert judgement.flagged["why"].unique().to_list() == ["1 of 1 paragraphs"]


def test_paragraphs_are_counted_across_files_and_columns() -> None:
    one = records({"text": [f"{own(n)}\n\n{LICENCE[0]}" for n in range(8)]})
    two = records({"answer": [f"{own(n)}\n\n{LICENCE[0].upper()}" for n in range(8, 16)]})
    judgement = judge_in_memory(RepeatedParagraph(), [cut(one), cut(two)])
    assert judgement.findings["column"].to_list() == [""]
    assert judgement.flagged.select("file", "row").rows() == [
        (file, row) for file in (0, 1) for row in range(8)
    ]
    told = measures(judgement)
    assert told["repeated_share_of_column", "text"] == pytest.approx(
        told["repeated_share_of_column", "answer"], rel=0.1
    )
    assert told["largest_repeat", ""] == 16


def test_nested_spans_say_which_string() -> None:
    turns = [
        [{"content": own(n)}, {"content": None}, {"content": f"Yes.\n\n{LICENCE[0]}"}] for n in range(20)
    ]
    judgement = judge_in_memory(RepeatedParagraph(), [cut(records({"messages": turns, "a[]": ["x"] * 20}))])
    spans = [span for (span,) in judgement.flagged["span"]]
    assert spans == [{"column": "messages[2].content", "start": 6, "end": 6 + len(LICENCE[0])}] * 20


def test_copies_of_a_few_records_are_not_many_records() -> None:
    copies = [f"{own(n % 2)}\n\n{LICENCE[0]}" for n in range(200)]
    judgement = judge(copies)
    assert judgement.findings.is_empty()
    assert measures(judgement)["largest_repeat", ""] == 200
    assert len(judge([*copies, *(f"{own(n)}\n\n{LICENCE[0]}" for n in range(2, 22))]).findings) == 1


@pytest.mark.parametrize(("lines", "found"), [(1, 0), (12, 1)])
def test_near_copies_are_not_many_records(lines: int, found: int) -> None:
    texts = [own(n, lines) + "\n\n" + "\n\n".join(LICENCE) for n in range(40)]
    judgement = judge(texts)
    assert len(judgement.findings) == found
    assert measures(judgement)["repeated_paragraphs", ""] == len(LICENCE)
    assert measures(judgement)["unreported_paragraphs", ""] == 0


def test_ids_do_not_make_copies_differ() -> None:
    data = {"text": ["\n".join(LICENCE)] * 50, "id": [f"a name of its own, {n}" for n in range(50)]}
    assert judge_in_memory(RepeatedParagraph(), [cut(records(data))]).findings.is_empty()


@pytest.mark.parametrize(("having", "found"), [(9, 0), (10, 1)])
def test_few_records_are_not_out_of_line(having: int, found: int) -> None:
    texts = [f"{own(n)}\n\n{LICENCE[0]}" if n < having else own(n) for n in range(200)]
    assert len(judge(texts).findings) == found


@pytest.mark.parametrize(
    ("share", "many", "found"), [(0.1, 1000, 1), (0.11, 1000, 0), (0.11, 20, 1), (0.11, 21, 0)]
)
def test_a_small_share_of_the_records_is_not_out_of_line(share: float, many: int, found: int) -> None:
    texts = [f"{own(n)}\n\n{LICENCE[0]}" if n < 20 else own(n) for n in range(200)]
    assert len(judge(texts, share=share, many=many).findings) == found


def test_the_number_of_findings_is_bounded_and_the_measures_say_so() -> None:
    texts = [f"{own(n)}\n\n{LICENCE[0]}\n\n{own(-1 - n)}\n\n" + "\n\n".join(LICENCE[1:4]) for n in range(20)]
    texts += [f"{own(100 + n)}\n\n{LICENCE[0]}" for n in range(20)]
    texts += [f"{own(200 + n)}\n\n{LICENCE[4]}" for n in range(30)]
    every, few = judge(texts), judge(texts, findings=1)
    assert measures(every)["unreported_paragraphs", ""] == 0
    assert len(every.findings) == 3
    assert measures(few)["unreported_paragraphs", ""] == 2
    assert few.findings["why"].str.starts_with("3 paragraphs come together").to_list() == [
        True
    ]  # the most text
    assert measures(every) == measures(few) | {("unreported_paragraphs", ""): 0}


def test_what_is_looked_at_is_bounded_and_the_finding_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{own(n)}\n\n" + "\n\n".join(LICENCE[:2]) for n in range(40)]
    monkeypatch.setattr(repeated_paragraph, "LISTED", 15)
    judgement = judge(texts)
    assert len(judgement.findings) == 1
    assert "in 40 records (100.00% of all; 15 of them are listed)" in judgement.findings["why"][0]
    assert len(judgement.flagged) == 15
    monkeypatch.setattr(repeated_paragraph, "TOGETHER", 29)
    judgement = judge(texts)
    assert judgement.findings["why"].str.starts_with("a paragraph stands in 40").to_list() == [True]
    assert measures(judgement)["unreported_paragraphs", ""] == 1


def test_hashes_are_keyed() -> None:
    batches = cut(records({"text": [f"{own(n)}\n\n{LICENCE[0]}" for n in range(20)]}))
    other = [replace(batch, secret=bytes(range(32))) for batch in batches]
    one, two = (judge_in_memory(RepeatedParagraph(), [part]) for part in (batches, other))
    assert one.findings["key"].to_list() != two.findings["key"].to_list()
    assert one.findings["why"].to_list() == two.findings["why"].to_list()


def test_nothing_that_is_written_down_holds_text() -> None:
    judgement = judge([f"{own(n)}\n\n{LICENCE[0]}" for n in range(20)])
    said = [*judgement.findings["key"], *judgement.findings["why"], *judgement.flagged["why"]]
    assert not any(word in " ".join(said) for word in ("licence", "Paragraph", "n1"))


def test_nulls_have_no_text_even_where_bytes_lie_below_them() -> None:
    texts = [f"{own(n)}\n\n{LICENCE[0]}" for n in range(20)]
    plain = pa.array(texts, pa.large_string())
    _, offsets, data = plain.buffers()
    mask = pa.py_buffer(np.packbits([n >= 15 for n in range(20)], bitorder="little").tobytes())
    hidden = pa.LargeStringArray.from_buffers(20, offsets, data, mask)
    told = measures(judge_in_memory(RepeatedParagraph(), [cut(records({"text": hidden}))]))
    assert told["largest_repeat", ""] == 5


def test_recall_of_planted_paragraphs_is_one() -> None:
    rng = np.random.default_rng(0)
    words = [f"w{number}" for number in range(5000)]
    texts = [
        "\n".join(" ".join(rng.choice(words, 12)) for _ in range(rng.integers(1, 12))) for _ in range(3000)
    ]
    planted: dict[int, set[int]] = defaultdict(set)
    for number in range(8):
        for row in rng.choice(3000, 30, replace=False).tolist():
            lines = texts[row].split("\n")
            lines.insert(
                int(rng.integers(0, len(lines) + 1)),
                f"this sentence was planted into {number} times many records",
            )
            texts[row] = "\n".join(lines)
            planted[number].add(row)
    judgement = judge(texts)
    found = [set(rows) for _, rows in judgement.flagged.group_by("key").agg("row").iter_rows()]
    assert sorted(map(sorted, found)) == sorted(map(sorted, planted.values()))

"""Near copies are found, verified, told with what differs, and the same however the data is read."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataguard.detectors._near import candidates
from dataguard.detectors.exact_duplicate import ExactDuplicate
from dataguard.detectors.near_duplicate import NearDuplicate
from dataguard.findings import Judgement
from dataguard.run import Run
from harness import cut, judge_in_memory, records
from near_texts import (
    clusters,
    edited,
    ended,
    jaccard,
    measured,
    scan,
    shingles,
    text_of,
    together,
    words_in,
    write,
)


def judge(texts: Sequence[str | None], cuts: Sequence[int] = (), **options: object) -> Judgement:
    return judge_in_memory(NearDuplicate(**options), [cut(records({"text": texts}), cuts)])  # type: ignore[arg-type]


def groups(judgement: Judgement) -> set[frozenset[int]]:
    """The rows of each group."""
    return {frozenset(rows) for rows in judgement.clusters.group_by("key").agg("row")["row"].to_list()}


def measures(judgement: Judgement) -> dict[str, float]:
    return {measure.name: measure.value for measure in judgement.measures}


def planted(rng: random.Random, count: int, rate: float) -> tuple[list[str], list[tuple[int, int]]]:
    """Texts and an edited copy of each, and the pairs of them that are alike by .8 or more."""
    texts = [text_of(rng, rng.randint(30, 250)) for _ in range(count)]
    texts += [edited(rng, text, rate) for text in texts]
    return texts, [(n, count + n) for n in range(count) if jaccard(texts[n], texts[count + n]) >= 0.8]


# What is found


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.02, 0.022])
def test_planted_copies_are_found_and_nothing_else(rate: float) -> None:
    texts, pairs = planted(random.Random(rate), 300, rate)
    found = groups(judge(texts))
    grouped = {row: group for group in found for row in group}
    assert len(pairs) > 70
    recall = sum(grouped.get(a) is not None and b in grouped[a] for a, b in pairs) / len(pairs)
    assert recall >= (0.99 if rate < 0.02 else 0.98)  # from 2 % on most pairs lie between .80 and .85
    assert found <= {frozenset(pair) for pair in pairs}  # no pair that is not alike by .8


def test_every_record_of_a_group_is_alike_to_another_by_the_exact_measure() -> None:
    """Copies of copies: groups in which not all are alike."""
    rng = random.Random(5)
    texts = []
    for _ in range(60):
        texts.append(text_of(rng, 120))
        for _ in range(rng.randint(0, 6)):
            texts.append(edited(rng, texts[-1], rng.choice([0.01, 0.02, 0.05])))
    rng.shuffle(texts)
    sets = [shingles(text) for text in texts]

    def share(a: int, b: int) -> float:
        return len(sets[a] & sets[b]) / len(sets[a] | sets[b])

    alike = {pair for pair in itertools.combinations(range(len(texts)), 2) if share(*pair) >= 0.8}
    group = list(range(len(texts)))
    for a, b in alike:
        group = [group[a] if one == group[b] else one for one in group]
    expected = {frozenset(np.flatnonzero(np.array(group) == one).tolist()) for one in set(group)}
    judgement = judge(texts)
    assert groups(judgement) == {one for one in expected if len(one) > 1}
    assert max(map(len, groups(judgement))) > 3
    for _, _, row, jaccard_, _ in judgement.clusters.select(
        "key", "file", "row", "jaccard", "side"
    ).iter_rows():
        partners = [share(*pair) for pair in alike if row in pair]
        assert min(abs(jaccard_ - one) for one in partners) < 1e-12


def test_options_decide_what_is_compared_and_what_is_alike() -> None:
    rng = random.Random(6)
    text = text_of(rng, 60)
    half = text.split(" ")[:40] + text_of(rng, 20).split(" ")
    texts = [text, " ".join(half), "a b c d e f", "a b c d e f"]
    assert 0.4 < jaccard(texts[0], texts[1]) < 0.6
    assert groups(judge(texts)) == {frozenset({2, 3})}
    assert groups(judge(texts, threshold=0.4, bands=42, rows=3)) == {frozenset({0, 1}), frozenset({2, 3})}
    assert groups(judge(texts, min_words=7)) == set()
    assert measures(judge(texts, min_words=7))["unjudged_share"] == 0.5


def test_a_large_group_weighs_more() -> None:
    text = text_of(random.Random(7), 50)
    judgement = judge([f"{text} {n}" for n in range(8)] + [f"{text[::-1]} {n}" for n in range(2)], flood=8)
    assert sorted(judgement.findings["severity"]) == ["low", "medium"]
    assert measures(judgement)["largest_cluster"] == 8
    assert measures(judgement)["near_duplicate_clusters"] == 2
    assert measures(judgement)["near_duplicate_share"] == 8 / 10


def test_records_are_alike_in_all_their_texts_together(tmp_path: Path) -> None:
    """One question and one answer a record, or turns of a talk: none of them is a copy alone."""
    rng = random.Random(8)
    questions, answers = ([text_of(rng, 40) for _ in range(60)] for _ in range(2))
    near = [edited(rng, answer, 0.01) for answer in answers]
    asked = {
        "prompt": [*questions[:40], *questions[:40]],
        "response": [*answers[:40], *near[:20], *questions[20:40]],
    }
    talk = [
        [{"role": "user", "content": question}, {"role": "bot", "content": answer}]
        for question, answer in (
            *zip(questions[40:], answers[40:], strict=True),
            *zip(questions[40:], near[40:], strict=True),
        )
    ]
    files = [write(tmp_path / "asked.parquet", asked), write(tmp_path / "talk.parquet", {"messages": talk})]
    run = scan(files, tmp_path / "run")
    asked_twice = {frozenset({("asked.parquet", n), ("asked.parquet", 40 + n)}) for n in range(20)}
    said_twice = {frozenset({("talk.parquet", n), ("talk.parquet", 20 + n)}) for n in range(20)}
    assert clusters(run) == asked_twice | said_twice
    columns = {
        (file, span[0]["column"])
        for file, span in run.table("flagged").select("file", "span").drop_nulls().iter_rows()
    }
    assert columns == {("asked.parquet", "response"), ("talk.parquet", "messages[].content")}


# What is not judged


def test_short_and_empty_records_are_counted_and_never_grouped() -> None:
    few = [
        "",
        None,
        " \n ",
        "yes",
        "Yes",
        "one two three four",
        "one two three four",
        "、。！",
        "漢字四つ",
        "漢字四つ",
    ]
    long = ["a b c d e", "A b, c d e!", "漢字五文字", "漢字五文字"]
    judgement = judge(few + long)
    assert groups(judgement) == {frozenset({10, 11}), frozenset({12, 13})}
    told = measures(judgement)
    assert told["unjudged_share"] == len(few) / len(few + long)
    assert told["unspaced_share"] == 4 / len(few + long)
    assert {measure.n for measure in judgement.measures if measure.name == "unjudged_share"} == {
        len(few + long)
    }


def test_a_set_of_short_records_is_not_called_clear(tmp_path: Path) -> None:
    judgement = judge(["a b", "a b", "", None])
    assert "none of 4 records has 5 words" in judgement.not_applicable
    assert measures(judgement) == {"unjudged_share": 1.0}
    run = scan([write(tmp_path / "data.parquet", ["a b", "a b"])], tmp_path / "run")
    assert ended(run)[0] == "not-applicable"
    run = scan([write(tmp_path / "x.parquet", {"x": [1, 2]})], tmp_path / "other")
    assert ended(run)[0] == "not-applicable"


def test_bands_that_do_not_fit_are_an_error_and_never_clear(tmp_path: Path) -> None:
    data = write(tmp_path / "data.parquet", ["a b c d e f"] * 2)
    run = scan([data], tmp_path / "run", rules={"DG102": {"bands": 22}})
    assert ended(run)[0] == "error"
    assert "do not fit" in ended(run)[1]


# Exact copies


def test_equal_records_alone_are_a_finding_of_the_other_rule_only(tmp_path: Path) -> None:
    rng = random.Random(9)
    equal, labelled, near = (text_of(rng, 40) for _ in range(3))
    data = {
        "text": [equal, equal, equal, labelled, labelled, near, near, f"{near} x", text_of(rng, 40)],
        "label": ["a", "a", "a", "a", "b", "a", "a", "a", "a"],
    }
    file = write(tmp_path / "data.parquet", data)
    run = scan([file], tmp_path / "run")
    rows = [frozenset((file.name, row) for row in group) for group in ((0, 1, 2), (3, 4), (5, 6, 7))]
    assert clusters(run) == set(rows)
    found = (
        run.table("findings")
        .filter(rule="DG102")
        .join(run.table("flagged"), left_on="id", right_on="finding")
    )
    assert {frozenset(found.filter(id=one)["row"]) for one in found["id"].unique()} == {
        frozenset({3, 4}),
        frozenset({5, 6, 7}),
    }
    assert set(found["id"]) < set(run.table("clusters")["cluster"])
    alone = scan([file], tmp_path / "alone", codes=("DG102",))  # then nobody else tells of them
    assert alone.table("findings").filter(rule="DG102").height == 3
    assert clusters(alone) == set(rows)
    judgement = judge_in_memory(ExactDuplicate(), [cut(records(data))])
    assert sorted(judgement.flagged["row"]) == [0, 1, 2, 5, 6]


# What differs


def _spans(run: Run) -> dict[int, tuple[str, int, int] | None]:
    """The span of each flagged row."""
    mine = run.table("findings").filter(rule="DG102")["id"]
    table = run.table("flagged").filter(pl.col("finding").is_in(mine.implode()))
    return {
        row: (span[0]["column"], span[0]["start"], span[0]["end"]) if span else None
        for row, span in table.select("row", "span").iter_rows()
    }


def test_the_span_is_what_was_edited(tmp_path: Path) -> None:
    rng = random.Random(10)
    texts, edits = [], []
    for n in range(60):
        words = [rng.choice("äbcdeß") + word for word in text_of(rng, rng.randint(60, 90)).split(" ")]
        copy, at, size = list(words), rng.randrange(len(words)), rng.randint(1, 3)
        old, new = words[at : at + size], [f"neu{n}"] * rng.randint(1, 3)
        if n % 3 == 0:
            old = []  # put in
        elif n % 3 == 1:
            new = []  # left out
        copy[at : at + len(old)] = new
        texts += [", ".join(words), ", ".join(copy)]
        edits += [old, new]
    run = scan([write(tmp_path / "data.parquet", texts)], tmp_path / "run")
    spans = _spans(run)
    assert len(spans) == len(texts)
    for row, (text, edit) in enumerate(zip(texts, edits, strict=True)):
        if not edit:
            assert spans[row] is None
            continue
        assert spans[row] is not None
        column, start, end = spans[row]
        assert column == "text"
        raw = text.encode()
        assert [word.text for word in words_in(raw[start:end].decode())] == edit
        assert not start or raw[:start].endswith(b", ")


def test_the_span_of_two_edits_goes_from_the_first_to_the_last(tmp_path: Path) -> None:
    words = text_of(random.Random(11), 120).split(" ")
    copy = [*words[:30], "eins", *words[31:33], "zwei", *words[34:]]
    run = scan([write(tmp_path / "data.parquet", [" ".join(words), " ".join(copy)])], tmp_path / "run")
    column, start, end = _spans(run)[1] or ("", 0, 0)
    assert (column, " ".join(copy)[start:end].split()) == ("text", copy[30:34])


def test_copies_of_which_the_words_stand_elsewhere_have_no_span_of_the_first(tmp_path: Path) -> None:
    """Equal words with other spaces between them are one text; bytes of one are not bytes of the other."""
    text = text_of(random.Random(12), 80)
    texts = [f"{text} now", f"{text} now", f"  {text}   now", f"{text} then"]
    run = scan([write(tmp_path / "data.parquet", texts)], tmp_path / "run")
    spans = _spans(run)
    assert set(spans) == {0, 1, 2, 3}
    for row in (0, 1, 3):
        column, start, end = spans[row] or ("", 0, 0)
        assert (column, texts[row][start:end]) == ("text", "then" if row == 3 else "now")
    assert spans[2] is None


# Scripts without spaces


SCRIPTS = {
    "Japanese": [chr(c) for c in (*range(0x3041, 0x3097), *range(0x30A1, 0x30FB), *range(0x4E00, 0x5200))],
    "Chinese": [chr(c) for c in range(0x4E00, 0x9F00)],
    "Thai": [chr(c) for c in (*range(0x0E01, 0x0E3B), *range(0x0E40, 0x0E4F))],
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_texts_without_spaces_of_which_one_character_in_a_hundred_changed(script: str) -> None:
    letters, stop = SCRIPTS[script], " " if script == "Thai" else "。"
    rng = random.Random(script)
    texts = [
        stop.join("".join(rng.choices(letters, k=rng.randint(8, 40))) for _ in range(rng.randint(4, 30)))
        for _ in range(150)
    ]
    for text in texts[:150]:
        copy = list(text)
        for at in rng.sample(range(len(copy)), max(1, round(0.01 * len(copy)))):
            copy[at] = rng.choice(letters)
        texts.append("".join(copy))
    found = groups(judge(texts))
    expected = {frozenset({n, 150 + n}) for n in range(150)}
    assert found <= expected
    assert len(found) >= 0.95 * len(expected)
    assert measures(judge(texts))["unspaced_share"] == 1.0


# The same however it is read


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False), st.lists(st.integers(0, 40), max_size=4))
def test_order_and_cuts_change_no_group(rng: random.Random, cuts: list[int]) -> None:
    texts, _ = planted(random.Random(13), 20, 0.02)
    order = rng.sample(range(len(texts)), len(texts))
    found = groups(judge([texts[at] for at in order], cuts))
    assert {frozenset(order[row] for row in group) for group in found} == groups(judge(texts))


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files with near copies within and across them, exact copies, and a template."""
    rng = random.Random(14)
    texts, _ = planted(rng, 150, 0.015)
    texts += texts[:30]
    head = text_of(rng, 80)
    texts += [f"{head} {text_of(rng, 4)}" for _ in range(60)]
    rng.shuffle(texts)
    folder = tmp_path_factory.mktemp("several")
    return [write(folder / f"{n}.parquet", texts[n::4], row_groups=n + 1) for n in range(4)]


TABLES = ("clusters", "findings", "flagged", "measures", "outcomes")


def tables(run: Run) -> dict[str, bytes]:
    return {name: (run.path / f"{name}.parquet").read_bytes() for name in TABLES}


def items(run: Run, stage: str) -> int:
    """How many pieces a stage of this rule was done in."""
    (told,) = (one["items"] for one in run.info["stages"] if one["name"] == f"{stage} near-duplicate")
    return int(told)


def test_tables_are_equal_byte_for_byte_whoever_reads_and_however_much_at_once(
    several: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = scan(several, tmp_path / "1", processes=True, workers=1)
    first = tables(whole)
    assert len(clusters(whole)) > 120
    assert items(whole, "relating") == 1
    apart = {"processes": True, "workers": 2, "batch_rows": 7, "relate_bytes": 4000}
    from_disk = scan(several[::-1], tmp_path / "2", **apart)
    assert items(from_disk, "relating") == 19 * 4  # all keys, each in four parts
    assert tables(from_disk) == first
    assert tables(scan(several, tmp_path / "3", batch_rows=3, relate_bytes=8000)) == first
    monkeypatch.setattr(candidates, "PART_WORDS", 1000)
    parts = scan(several, tmp_path / "4")
    assert tables(parts) == first
    assert items(parts, "comparing") > 20
    monkeypatch.setattr(candidates, "MOST_WORDS", 400)
    assert clusters(scan(several, tmp_path / "5")) == clusters(parts)


def test_groups_go_by_content_whatever_the_files_are_called(several: list[Path], tmp_path: Path) -> None:
    names = {path: f"{9 - n}-other.parquet" for n, path in enumerate(several)}
    for path, name in names.items():
        shutil.copy(path, tmp_path / name)
    plain = scan(several, tmp_path / "plain").table("clusters")
    other = scan([tmp_path / name for name in names.values()], tmp_path / "other").table("clusters")
    called = {path.name: name for path, name in names.items()}
    renamed = plain.with_columns(pl.col("file").replace_strict(called))
    assert renamed.sort("cluster", "file", "row").equals(other)


def test_files_of_equal_bytes_share_their_evidence_and_each_record_is_told(tmp_path: Path) -> None:
    rng = random.Random(16)
    text = text_of(rng, 60)
    file = write(tmp_path / "one.parquet", [text_of(rng, 60), text, f"{text} more"])
    shutil.copy(file, tmp_path / "two.parquet")
    run = scan([tmp_path / "one.parquet", tmp_path / "two.parquet"], tmp_path / "run")
    assert len(list((tmp_path / "run" / "evidence" / "words").iterdir())) == 1
    both = ("one.parquet", "two.parquet")
    near = frozenset((name, row) for name in both for row in (1, 2))
    assert clusters(run) == {frozenset((name, 0) for name in both), near}
    table = run.table("flagged").filter(pl.col("why").str.starts_with("one of"))
    assert {*table.select("file", "row").iter_rows()} == near
    for row, span in table.select("row", "span").iter_rows():
        assert (
            span is None if row == 1 else (span[0]["start"], span[0]["end"]) == (len(text) + 1, len(text) + 5)
        )


# Evidence


@pytest.mark.parametrize("harm", ["flipped", "cut off", "deleted"])
def test_kept_words_that_were_changed_are_made_again(several: list[Path], tmp_path: Path, harm: str) -> None:
    out = tmp_path / "run"
    first = tables(scan(several, out))
    files = sorted((out / "evidence" / "words").iterdir())
    assert len(files) == len(several)
    bytes_ = files[1].read_bytes()
    if harm == "deleted":
        files[1].unlink()
    elif harm == "cut off":
        files[1].write_bytes(bytes_[:-10])
    else:
        middle = len(bytes_) // 2
        files[1].write_bytes(bytes_[:middle] + bytes([bytes_[middle] ^ 1]) + bytes_[middle + 1 :])
    again = scan(several, out)
    assert tables(again) == first
    assert files[1].read_bytes() == bytes_
    assert len(again.info["evidence"]) == len(Run(out / "old" / "1").info["evidence"])
    if harm != "deleted":  # what is not there deceives nobody
        told = scan(several, tmp_path / "all", codes=("DG1", "DG508"))
        assert told.table("findings").filter(rule="DG508").height == 0
        files = sorted((tmp_path / "all" / "evidence" / "words").iterdir())
        files[0].write_bytes(files[0].read_bytes()[:-10])
        told = scan(several, tmp_path / "all", codes=("DG1", "DG508"))
        why = told.table("flagged")["why"].to_list() + told.table("findings")["why"].to_list()
        assert any(files[0].name in one for one in why)


# The shared corpus


def test_real_records_against_all_exact_pairs(shared: Path, tmp_path: Path) -> None:
    file = shared / "data" / "neardup" / "part-000.parquet"
    table = pq.read_table(file, columns=["id", "text"])
    ids = table["id"].to_numpy()
    row_of = {int(one): row for row, one in enumerate(ids)}
    pairs = pl.read_parquet(shared / "data" / "neardup" / "exact_pairs.parquet").filter(
        pl.col("id_a").is_in(ids.tolist()), pl.col("id_b").is_in(ids.tolist()), pl.col("jaccard_w5") >= 0.8
    )
    assert pairs.height > 500
    run = scan([file], tmp_path / "run", processes=True)
    group = {row: cluster for (_, row), cluster in together(run).items()}
    found = [(j, group.get(row_of[a], "a") == group.get(row_of[b], "b")) for a, b, j in pairs.iter_rows()]
    assert sum(both for _, both in found) / len(found) >= 0.99
    edge = [both for j, both in found if j < 0.85]
    assert sum(edge) / len(edge) >= 0.98
    # The pairs count words between spaces in Japanese and Chinese, too: there the slow way of these tests decides.
    texts = table["text"].to_pylist()
    known = {row_of[one] for side in ("id_a", "id_b") for one in pairs[side]}
    others = [row for row in group if row not in known]
    assert len(others) <= 0.02 * len(group)
    for row in others:
        same = [other for other, cluster in group.items() if cluster == group[row] and other != row]
        assert max(jaccard(texts[row], texts[other]) for other in same) >= 0.8
    assert measured(run)["candidates_per_document"] < 20


# Crowds


def _template(records_: int, common: int, own: int) -> list[str]:
    rng = random.Random(15)
    head = text_of(rng, common)
    return [f"{head} {text_of(rng, own)}" for _ in range(records_)]


@pytest.mark.parametrize(("common", "own", "alike"), [(150, 10, True), (100, 25, False)])
def test_candidates_of_a_template_are_bounded(common: int, own: int, alike: bool) -> None:
    judgement = judge(_template(3000, common, own))
    assert measures(judgement)["candidates_per_document"] <= 50
    assert measures(judgement)["largest_cluster"] == (3000 if alike else 0)

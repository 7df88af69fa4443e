"""Runs of words and what surrounds them, against plain Python."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataguard.kernels import around, grams

SALT = 0xFEDC_BA98_7654_3210
FEW = settings(max_examples=30, deadline=None)
WORDS = st.integers(0, 2) | st.integers(0, 2**32 - 1)
RECORDS = st.lists(
    st.tuples(st.lists(st.lists(WORDS, min_size=1, max_size=40), max_size=3), st.booleans()), max_size=6
)


def texts_of(records) -> grams.Texts:
    """Records of texts of words, each with whether it is in a script without spaces."""
    ids = [word for texts, _ in records for text in texts for word in text]
    sizes = [sum(map(len, texts)) for texts, _ in records]
    return grams.Texts(
        np.array(ids, np.uint32),
        np.cumsum(sizes, dtype=np.int64),
        np.cumsum([len(text) for texts, _ in records for text in texts], dtype=np.int64),
        np.array([wide for _, wide in records], np.uint8),
    )


def runs_of(records, width: int = grams.WIDTH):
    """(record, place in the record, words, word before) of each run."""
    for number, (texts, wide) in enumerate(records):
        words = [word for text in texts for word in text]
        size, at = width * grams.FOLD if wide else width, 0
        for which, text in enumerate(texts):
            other = texts[which - 1]  # of the first, the last
            for place in range(at, at + len(text) - size + 1):
                before = words[place - 1] if place > at else other[len(other) // 2]
                yield number, place, (wide, *words[place : place + size]), before
            at += len(text)


def everything(parts: int = 1, part: int = 0) -> tuple[grams.Share, np.ndarray]:
    return grams.Share(SALT, part, parts), np.full(8, 255, np.uint8)


@FEW
@given(RECORDS)
def test_runs_are_collected_where_they_stand_with_the_word_before(records) -> None:
    share, marked = everything()
    runs = grams.collect(texts_of(records), share, marked)
    expected = list(runs_of(records))
    assert list(zip(runs.records, runs.at, strict=True)) == [
        (number, place) for number, place, _, _ in expected
    ]
    assert runs.before.tolist() == [before >> 28 for *_, before in expected]
    by_words = defaultdict(set)
    for hashed, (_, _, words, _) in zip(runs.hashes.tolist(), expected, strict=True):
        by_words[words].add(hashed)
    assert all(len(hashes) == 1 for hashes in by_words.values())
    assert len({hashed for hashes in by_words.values() for hashed in hashes}) == len(by_words)


@FEW
@given(RECORDS, st.integers(1, 5))
def test_each_run_is_in_one_share(records, parts: int) -> None:
    whole = grams.collect(texts_of(records), *everything())
    found = [grams.collect(texts_of(records), *everything(parts, part)) for part in range(parts)]
    together = sorted(
        place for runs in found for place in zip(runs.records, runs.at, runs.hashes, strict=True)
    )
    assert together == sorted(zip(whole.records, whole.at, whole.hashes, strict=True))


@FEW
@given(RECORDS, st.integers(1, 4))
def test_nothing_that_stands_behind_enough_kinds_is_overlooked(records, least: int) -> None:
    """Whatever else shares its cell; and with room enough hardly anything more is taken."""
    kinds = defaultdict(set)
    for _, _, words, before in runs_of(records):
        kinds[words].add(before >> 28)
    wanted = {words for words, before in kinds.items() if len(before) >= least}
    share, _ = everything()
    for size in (8, 1 << 16):
        cells = np.zeros(size, np.uint16)
        for record in records:
            grams.count(texts_of([record]), share, cells)  # bit by bit as all at once
        runs = grams.collect(texts_of(records), share, grams.many(cells, least))
        places = set(zip(runs.records.tolist(), runs.at.tolist(), strict=True))
        assert {(number, at) for number, at, words, _ in runs_of(records) if words in wanted} <= places
        once = np.zeros(size, np.uint16)
        grams.count(texts_of(records), share, once)
        assert np.array_equal(cells, once)


@pytest.mark.parametrize("least", range(1, 17))
def test_bits_are_counted(least: int) -> None:
    cells = np.arange(1 << 16, dtype=np.uint16)
    marked = np.unpackbits(grams.many(cells, least), bitorder="little")
    assert np.array_equal(marked, np.bitwise_count(cells) >= least)


@FEW
@given(RECORDS, st.data())
def test_pieces_are_counted_by_record(records, data) -> None:
    runs = list(runs_of(records, grams.PIECE))
    counts = Counter(
        {words: len({number for number, _, other, _ in runs if other == words}) for *_, words, _ in runs}
    )
    words = data.draw(st.sampled_from(sorted(counts))) if counts else (False, *[7] * grams.PIECE)
    wide, *ids = words
    (wanted,) = [grams.pieces(np.array(ids, np.uint32), np.array([0, len(ids), wide]), SALT)]
    assert len(wanted) == 1
    found = np.zeros(1, np.int64)
    for record in records:
        grams.stands(texts_of([record]), SALT, wanted, found)
    assert found[0] == counts[words]


def test_a_long_text_is_looked_at_in_blocks() -> None:
    words = list(range(5000))
    runs = grams.collect(texts_of([([words], False), ([words], True)]), *everything())
    assert len(runs.hashes) == 2 * 5000 - 7 - 23
    assert len(np.unique(runs.hashes)) == len(runs.hashes)
    wanted = np.unique(grams.pieces(np.arange(5000, dtype=np.uint32), np.array([0, 5000, 0]), SALT))
    counts = np.zeros(len(wanted), np.int64)
    grams.stands(texts_of([([words], False), ([words[100:]], False)]), SALT, wanted, counts)
    assert sorted(Counter(counts.tolist()).items()) == [(1, 100), (2, 5000 - 4 - 100)]


# What surrounds runs


@FEW
@given(
    st.lists(st.lists(st.lists(st.integers(0, 2), max_size=6), min_size=1, max_size=7), max_size=4), st.data()
)
def test_runs_are_followed_as_far_as_more_than_half_agree(groups, data) -> None:
    runs = [run for group in groups for run in group]
    size = 6
    window = np.zeros((len(runs), size), np.uint32)
    for number, run in enumerate(runs):
        window[number, : len(run)] = run
    sizes = np.array([len(group) for group in groups], np.int64)
    alive = np.array([data.draw(st.booleans()) for _ in runs], np.uint8)
    expected_alive, expected, at = [], [], 0
    for group in groups:
        its = [(run, bool(living)) for run, living in zip(group, alive[at : at + len(group)], strict=True)]
        at += len(group)
        common: list[int] = []
        while len(common) < size:
            votes = Counter(run[len(common)] for run, living in its if living and len(run) > len(common))
            word, having = votes.most_common(1)[0] if votes else (0, 0)
            if 2 * having <= len(group):
                break
            its = [
                (run, living and len(run) > len(common) and run[len(common)] == word) for run, living in its
            ]
            common.append(word)
        expected.append(common)
        expected_alive += [living for _, living in its]
    rooms = np.array([len(run) for run in runs], np.int64)
    firsts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    lengths, words = around.agreed(window, rooms, firsts, sizes, alive)
    assert lengths.tolist() == [len(common) for common in expected]
    assert [row[:length].tolist() for row, length in zip(words, lengths, strict=True)] == expected
    assert alive.astype(bool).tolist() == expected_alive


def test_windows_end_with_their_text() -> None:
    ids = np.arange(10, 20, dtype=np.uint32)
    windows = around.windows(ids, np.array([0, 7]), np.array([3, 10]), 4)
    assert windows.tolist() == [[10, 11, 12, 12], [17, 18, 19, 19]]


def test_what_a_record_is_about_counts_each_word_once() -> None:
    rng = np.random.default_rng(4)
    words = rng.integers(0, 2**32, 30, dtype=np.uint32)
    weights, alone = rng.random(around.KINDS), np.empty(0, np.int64)
    (plain,), counts = around.profiles(words, np.array([30]), alone, weights)
    assert counts.tolist() == [[30, 0]]
    expected = np.zeros(around.SIDES)
    for word in words.tolist():
        expected[word % 256] += weights[word >> 16] * (1 if word & 256 else -1)
    expected *= around.LENGTH / np.linalg.norm(expected)
    assert np.abs(plain - expected).max() <= 0.51
    twice = np.concatenate([words[::-1], words[:5]])
    (same, nothing), _ = around.profiles(twice, np.array([35, 35]), alone, weights)
    assert np.array_equal(same, plain)
    assert not nothing.any()
    assert twice[0] == words[-1]  # what was given stays as it was


@pytest.mark.parametrize(
    ("size", "having", "left_out"), [(5, 5, True), (5, 4, False), (20, 18, True), (20, 17, False)]
)
def test_what_nearly_all_of_a_group_have_is_left_out(size: int, having: int, left_out: bool) -> None:
    rng = np.random.default_rng(size)
    own = [rng.integers(0, 2**32, 10, dtype=np.uint32) for _ in range(size)]
    more = rng.integers(0, 2**32, 3, dtype=np.uint32)
    group = [np.concatenate([words, more]) if number < having else words for number, words in enumerate(own)]
    weights = rng.random(around.KINDS)

    def about(records, groups: list[int]) -> np.ndarray:
        # Another group before and behind, of which nothing may be left out or kept for this one.
        every = [*[own[0]] * 2, *records, *[own[1]] * 2]
        ends = np.cumsum([len(words) for words in every])
        profiles, counts = around.profiles(np.concatenate(every), ends, np.array(groups, np.int64), weights)
        assert counts.sum(axis=1).tolist() == [len(words) for words in every]
        return profiles[2:-2]

    plain, whole = about(own, []), about(group, [])
    found = about(group, [2, 2 + size, 4 + size])
    assert not np.array_equal(plain, whole)
    assert np.array_equal(found, plain if left_out else whole)


def test_kinds_are_counted_by_record() -> None:
    ids = np.array([1, 2, 1 << 16, 3, 1 << 16], np.uint32)
    counts = around.kinds(ids, np.array([0, 3]), np.array([3, 5]))
    assert (counts[0], counts[1], counts.sum()) == (2, 2, 4)

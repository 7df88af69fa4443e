"""Pairs from equal keys, their exact Jaccard and the groups they make: against sets, loops and dictionaries."""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataguard.kernels import pairs
from dataguard.kernels.content import content
from dataguard.kernels.gather import gather
from dataguard.kernels.pairs import (
    ALL_PAIRS,
    MANY,
    NEIGHBOURS,
    candidates,
    components,
    copies,
    distinct,
    verify,
)
from dataguard.kernels.spans import spans
from near_texts import WIDTH, shingles

FEW = settings(max_examples=150, deadline=None)
SALT = 0xFEDC_BA98_7654_3210
TOP = 1 << 63
"""Keys and hashes fill all 64 bits."""


def _u64(values: Sequence[int]) -> np.ndarray:
    return np.array(values, np.uint64)


# Candidates

document = st.tuples(
    st.sampled_from([0, 1, TOP, TOP + 1, 2**64 - 1, 1 << 40]),  # key
    st.integers(0, 2) | st.just(2**64 - 1),  # after
    st.integers(0, 6) | st.integers(0, 2**64 - 1),  # text
)
documents = st.lists(document, max_size=12) | st.lists(
    st.tuples(st.sampled_from([5, TOP]), st.integers(0, 3), st.integers(0, 2**64 - 1)),
    min_size=20,
    max_size=90,
)
fresh = st.integers(0, 100)


def _slow(found: Sequence[tuple[int, int, int]], places: Sequence[int], bound: int) -> set[tuple[int, int]]:
    """Pairs of texts that are compared: all of a small group, neighbours of a large one."""
    groups: dict[int, dict[int, tuple[int, int]]] = {}
    for (key, after, text), place in zip(found, places, strict=True):
        group = groups.setdefault(key, {})
        group[text] = min(group.get(text, (after, place)), (after, place))  # equal texts have equal keys
    expected = set()
    for group in groups.values():
        order = sorted(group, key=lambda text: (group[text][0], text))
        reach = len(order) if len(order) <= ALL_PAIRS else NEIGHBOURS
        for at, one in enumerate(order):
            for other in order[at + 1 : at + 1 + reach]:
                if min(group[one][1], group[other][1]) < bound:
                    expected.add((min(one, other), max(one, other)))
    return expected


def _keyed_by_text(found: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Equal texts have equal second keys, as they have equal signatures."""
    after: dict[int, int] = {}
    return [(key, after.setdefault(text, second), text) for key, second, text in found]


def _candidates(found: Sequence[tuple[int, int, int]], places: Sequence[int], bound: int) -> np.ndarray:
    columns = [_u64([one[column] for one in found]) for column in range(3)]
    return candidates(*columns, _u64(places), fresh=bound)


@FEW
@given(documents, fresh, st.randoms(use_true_random=False))
def test_candidates_are_those_of_the_slow_way_in_whatever_order(
    found: list[tuple[int, int, int]], bound: int, rng: random.Random
) -> None:
    found = _keyed_by_text(found)
    places = rng.sample(range(100), len(found))
    made = _candidates(found, places, bound)
    assert made.dtype == np.int64
    assert made.shape == (len(made), 2)
    told = [(found[a][2], found[b][2]) for a, b in made.tolist()]
    assert all(a < b for a, b in told)
    assert set(told) == _slow(found, places, bound)
    for a, b in made.tolist():  # of equal ones the smallest place stands for all
        assert found[a][0] == found[b][0]
        for one in (a, b):
            same = [
                p
                for f, p in zip(found, places, strict=True)
                if f[0] == found[one][0] and f[2] == found[one][2]
            ]
            assert places[one] == min(same)
    order = rng.sample(range(len(found)), len(found))
    again = _candidates([found[at] for at in order], [places[at] for at in order], bound)
    assert {tuple(order[one] for one in pair) for pair in again.tolist()} == {*map(tuple, made.tolist())}
    assert len(again) == len(made)


def test_all_pairs_up_to_a_size_and_neighbours_beyond_it() -> None:
    for size in (2, ALL_PAIRS, ALL_PAIRS + 1, 500):
        key, text = np.full(size, TOP, np.uint64), np.arange(size, dtype=np.uint64)
        made = candidates(key, key, text, text, fresh=size)
        if size <= ALL_PAIRS:
            assert len(made) == size * (size - 1) // 2
        else:
            reach = NEIGHBOURS if size <= MANY else 1
            assert {b - a for a, b in made.tolist()} == set(range(1, reach + 1))
            assert len(made) == reach * size - reach * (reach + 1) // 2


def test_what_the_second_key_puts_side_by_side_is_compared() -> None:
    rng = np.random.default_rng(1)
    size = MANY // 3 * 3  # of which each is compared with its neighbours, not with all
    text = rng.permutation(size).astype(np.uint64)
    after = rng.permutation(np.repeat(rng.integers(0, 2**64, size // 3, dtype=np.uint64), 3))
    made = candidates(np.zeros(size, np.uint64), after, text, text, fresh=size)
    pairs_found = {tuple(sorted(pair)) for pair in made.tolist()}
    for key in np.unique(after):
        three = np.flatnonzero(after == key).tolist()
        assert set(itertools.combinations(three, 2)) <= pairs_found


def test_no_pair_of_two_old_ones_and_every_pair_of_a_new_one() -> None:
    rng = np.random.default_rng(2)
    size, bound = 30_000, 3000
    key = rng.integers(0, 10_000, size, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    text = rng.permutation(size).astype(np.uint64)
    place = rng.permutation(size).astype(np.uint64)
    made = candidates(key, text, text, place, fresh=bound)
    assert (place[made].min(axis=1) < bound).all()
    groups: dict[int, list[int]] = {}
    for number, value in enumerate(key.tolist()):
        groups.setdefault(value, []).append(number)
    expected = {
        pair
        for group in groups.values()
        for pair in itertools.combinations(group, 2)
        if place[list(pair)].min() < bound
    }
    assert {tuple(sorted(pair)) for pair in made.tolist()} == expected
    assert len(candidates(key, text, text, place, fresh=0)) == 0


def _hot(size: int) -> tuple[np.ndarray, ...]:
    text = np.random.default_rng(size).integers(0, 2**64, size, dtype=np.uint64)
    return (
        np.full(size, TOP + 5, np.uint64),
        np.zeros(size, np.uint64),
        text,
        np.arange(size, dtype=np.uint64),
    )


def _seconds(size: int) -> float:
    arrays = _hot(size)
    best = float("inf")
    for _ in range(5):
        begun = time.thread_time()
        candidates(*arrays, fresh=size)
        best = min(best, time.thread_time() - begun)
    return best


def test_a_hundred_thousand_equal_keys_stay_linear() -> None:
    made = candidates(*_hot(100_000), fresh=100_000)
    assert len(made) <= NEIGHBOURS * 100_000
    assert Counter(made.reshape(-1).tolist()).most_common(1)[0][1] <= 2 * NEIGHBOURS
    few = _seconds(25_000)
    # Four times as many: a loop over all pairs would take 16 times as long. The best of five of this thread's time.
    assert _seconds(100_000) < 9 * few


def test_equal_texts_by_the_hundred_thousand_are_one() -> None:
    key, after, _, place = _hot(100_000)
    assert len(candidates(key, after, key, place, fresh=100_000)) == 0
    text = (place % np.uint64(3)).astype(np.uint64)
    assert candidates(key, after, text, place, fresh=100_000).tolist() == [[0, 1], [0, 2], [1, 2]]


@FEW
@given(st.lists(st.integers(0, 8) | st.integers(2**64 - 8, 2**64 - 1), max_size=40), fresh, st.randoms())
def test_copies_are_all_that_another_one_equals(texts: list[int], bound: int, rng: random.Random) -> None:
    places = rng.sample(range(100), len(texts))
    by_text: dict[int, list[int]] = {}
    for number, text in enumerate(texts):
        by_text.setdefault(text, []).append(number)
    expected = sorted(
        number
        for group in by_text.values()
        if len(group) > 1 and min(places[one] for one in group) < bound
        for number in group
    )
    assert sorted(copies(_u64(texts), _u64(places), fresh=bound).tolist()) == expected


def test_copies_of_which_all_are_old_are_none_however_many_there_are() -> None:
    rng = np.random.default_rng(3)
    text = rng.integers(0, 2**64, 20_000, dtype=np.uint64)
    text = np.concatenate([text, text[:15_000]])
    place = np.arange(len(text), dtype=np.uint64)
    made = set(copies(text, place, fresh=1000).tolist())
    assert made == {*range(1000), *range(20_000, 21_000)}


@FEW
@given(st.lists(st.tuples(*[st.integers(0, 3) | st.just(2**64 - 1)] * 2), max_size=50))
def test_each_pair_once_with_how_often_it_is_there(found: list[tuple[int, int]]) -> None:
    a, b = _u64([one for one, _ in found]), _u64([other for _, other in found])
    first, count = distinct(a, b)
    assert [found[at] for at in first] == list(dict.fromkeys(found))
    assert first.tolist() == [found.index(one) for one in dict.fromkeys(found)]
    assert count.tolist() == list(Counter(found).values())


@FEW
@given(st.data(), st.integers(0, 30))
def test_components_are_named_by_their_smallest(data: st.DataObject, size: int) -> None:
    one = st.integers(0, max(0, size - 1))
    edges = data.draw(st.lists(st.tuples(one, one), max_size=40 if size else 0))
    group = list(range(size))
    for a, b in edges:
        low, high = sorted((group[a], group[b]))
        group = [low if number == high else number for number in group]
    left, right = np.array(edges, np.int64).reshape(-1, 2).T
    assert components(left, right, size).tolist() == group


def test_a_long_chain_is_one_component() -> None:
    one = np.arange(200_000)
    assert (components(one[1:], one[:-1], len(one)) == 0).all()
    assert (components(one[:-1][::-1], one[1:][::-1], len(one)) == 0).all()


# Exact comparison

words = st.lists(st.integers(0, 3), max_size=14)


def _under_one_another(texts: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([w for text in texts for w in text], np.uint32), np.cumsum(
        [len(t) for t in texts], dtype=np.int64
    )


def _share(one: Sequence[int], other: Sequence[int]) -> float:
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b) if a | b else 0.0


def _alike(one: Sequence[int], other: Sequence[int]) -> tuple[int, int]:
    prefix = len(list(itertools.takewhile(lambda two: two[0] == two[1], zip(one, other, strict=False))))
    left = min(len(one), len(other)) - prefix
    pairs_ = zip(reversed(one), reversed(other), strict=False)
    suffix = len(list(itertools.takewhile(lambda two: two[0] == two[1], itertools.islice(pairs_, left))))
    return prefix, suffix


@FEW
@given(st.data(), st.lists(words, min_size=2, max_size=7), st.sampled_from([0.1, 0.5, 0.8, 1.0]))
def test_verified_pairs_are_those_of_sets(
    data: st.DataObject, texts: list[list[int]], threshold: float
) -> None:
    number = st.integers(0, len(texts) - 1)
    asked = data.draw(st.lists(st.tuples(number, number).filter(lambda two: two[0] != two[1]), max_size=12))
    found = verify(*_under_one_another(texts), np.array(asked, np.int64).reshape(-1, 2), SALT, threshold)
    group = list(range(len(texts)))
    expected = []
    for at, (a, b) in enumerate(asked):
        share = _share(texts[a], texts[b])
        if group[a] != group[b] and share >= threshold:
            expected.append((at, share, *_alike(texts[a], texts[b])))
            group = [group[a] if one == group[b] else one for one in group]
    assert list(zip(*(column.tolist() for column in found), strict=True)) == expected


def test_what_earlier_pairs_have_joined_is_passed_over() -> None:
    text = list(range(40))
    texts = [text, [*text, 99], [*text, 99, 98], [0] * 40]
    asked = np.array([(0, 1), (1, 2), (0, 2), (2, 0), (0, 3)])
    found = verify(*_under_one_another(texts), asked, SALT, 0.8)
    assert found.pair.tolist() == [0, 1]
    assert found.jaccard.tolist() == [36 / 37, 37 / 38]
    assert found.prefix.tolist() == [40, 41]
    assert found.suffix.tolist() == [0, 0]
    found = verify(*_under_one_another(texts), asked[::-1].copy(), SALT, 0.8)
    assert found.pair.tolist() == [1, 3]


@pytest.mark.parametrize("seed", range(3))
def test_long_texts_with_words_of_all_bits(seed: int) -> None:
    rng = random.Random(seed)
    text = [rng.getrandbits(32) for _ in range(3000)]
    texts = [text]
    for edits in (1, 20, 60, 500):
        other = list(text)
        for _ in range(edits):
            other[rng.randrange(len(other))] = rng.getrandbits(32)
        texts.append(other)
    texts += [text[:2500], text[:300], [*text, *text], text[::-1]]
    asked = np.array([(0, number) for number in range(1, len(texts))])
    found = verify(*_under_one_another(texts), asked, SALT, 0.05)
    expected = [(at, _share(texts[0], texts[at + 1])) for at in range(len(asked))]
    assert list(zip(found.pair.tolist(), found.jaccard.tolist(), strict=True)) == [
        (at, share) for at, share in expected if share >= 0.05
    ]


def test_texts_without_shingles_are_like_nothing() -> None:
    texts = [[1] * (WIDTH - 1), [1] * (WIDTH - 1), [], []]
    found = verify(*_under_one_another(texts), np.array([(0, 1), (2, 3), (0, 2)]), SALT, 0.8)
    assert len(found.pair) == 0
    nothing = verify(*_under_one_another([]), np.empty((0, 2), np.int64), SALT, 0.8)
    assert [len(column) for column in nothing] == [0, 0, 0, 0]


# Hashes of whole texts, slices, spans


@FEW
@given(
    st.lists(st.lists(st.integers(0, 2), max_size=20), max_size=12), st.sampled_from([np.uint8, np.uint32])
)
def test_equal_runs_have_equal_hashes_and_others_do_not(texts: list[list[int]], dtype: type) -> None:
    ids, ends = _under_one_another(texts)
    made = content(ids.astype(dtype), ends, SALT)
    assert made.dtype == np.uint64
    for one, other in itertools.combinations(range(len(texts)), 2):
        assert (made[one] == made[other]) == (texts[one] == texts[other])
    alone = [int(content(np.array(text, dtype), np.array([len(text)]), SALT)[0]) for text in texts]
    assert made.tolist() == alone
    assert not set(content(ids.astype(dtype), ends, SALT + 1).tolist()) & set(made.tolist())


def test_one_value_more_or_other_anywhere_gives_another_hash() -> None:
    text = list(range(1, 40))
    others = [text[:cut] for cut in range(40)] + [[0, *text], [*text, 0], [*text, 0, 0]]
    others += [[*text[:at], 0, *text[at + 1 :]] for at in range(39)]
    others += [[*text[:at], text[at + 1], text[at], *text[at + 2 :]] for at in range(38)]
    made = content(*_under_one_another(others), SALT)
    assert len(np.unique(made)) == len(others) == len(np.unique(made >> np.uint64(32)))


@FEW
@given(st.data(), st.lists(st.integers(0, 255), max_size=30), st.sampled_from([np.uint8, np.uint32]))
def test_slices_in_another_order(data: st.DataObject, values: list[int], dtype: type) -> None:
    starts = data.draw(st.lists(st.integers(0, len(values)), max_size=6))
    lengths = [data.draw(st.integers(0, len(values) - start)) for start in starts]
    made = gather(np.array(values, dtype), np.array(starts, np.int64), np.array(lengths, np.int64))
    assert made.dtype == dtype
    assert made.tolist() == [
        v for start, length in zip(starts, lengths, strict=True) for v in values[start : start + length]
    ]


def test_spans_of_varints_of_every_length() -> None:
    """Steps of one, two and three bytes; the record before has words of its own."""
    steps = np.array([5, 0x80 | 72, 2, 3, 0x81, 0x80, 1, 0, 7], np.uint8)
    parts = np.array([[0, 2, 400], [1, 2, 20_000], [0, 2, 9]], np.uint32)
    wanted = np.array(
        [[1, 0, 1], [0, 0, 1], [0, 1, 2], [0, 2, 4], [0, 2, 3], [1, 1, 9], [0, 4, 5], [1, 1, 1]]
    )
    told = spans(steps, np.array([7, 9]), parts, np.array([2, 3]), wanted)
    assert told.tolist() == [
        [0, 0, 7],
        [0, 5, 333],
        [0, 333, 400],
        [1, 3, 20_000],
        [1, 3, 3 + 1 + (1 << 14)],
        [0, 7, 9],
        [-1, 0, 0],
        [-1, 0, 0],
    ]


def test_calls_after_the_warm_up_compile_nothing_more() -> None:
    kernels = [
        kernel
        for kernel in vars(pairs).values()
        if hasattr(kernel, "signatures") and hasattr(kernel, "stats")
    ]
    assert len(kernels) > 8
    before = [list(kernel.signatures) for kernel in kernels]
    candidates(*_hot(100), fresh=100)
    copies(_u64([1, 1]), _u64([0, 1]), fresh=2)
    distinct(_u64([1]), _u64([2]))
    components(np.array([0]), np.array([1]), 2)
    verify(*_under_one_another([[1] * 9, [1] * 8]), np.array([[0, 1]]), SALT, 0.5)
    assert [list(kernel.signatures) for kernel in kernels] == before

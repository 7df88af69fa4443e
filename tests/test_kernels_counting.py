"""Sorting by counting, and what is made from it, against NumPy and against lists."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dataguard.kernels.counting import attraction, repeated, sorting, sorting_pairs

ROUNDING = Fraction(1, 10**12)
pairs = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=60)


def _columns(drawn: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(drawn, np.int32).reshape(-1, 2)
    return table[:, 0], table[:, 1]


@given(pairs)
def test_the_order_is_that_of_a_stable_sort(drawn: list[tuple[int, int]]) -> None:
    first, second = _columns(drawn)
    assert np.array_equal(sorting(first, 10), np.argsort(first, kind="stable"))
    assert np.array_equal(sorting_pairs(first, second, 10), np.lexsort((second, first)))


@given(
    st.dictionaries(st.tuples(st.integers(0, 9), st.integers(0, 9)), st.integers(1, 99)),
    pairs,
    st.lists(st.integers(1, 999), min_size=10, max_size=10),
    st.integers(0, 1),
    st.integers(1, 5000),
)
def test_attraction_doubles_with_each_power_of_two_over_chance(
    listed: dict[tuple[int, int], int],
    asked: list[tuple[int, int]],
    often: list[int],
    own: int,
    length: int,
) -> None:
    first, second = _columns(sorted(listed))
    counts = np.array([listed[one] for one in sorted(listed)], np.int32)
    begin = np.searchsorted(first, np.arange(11)).astype(np.int32)
    most = 10
    found = attraction(
        _columns(asked), (begin, second, counts), np.array(often, np.int32), (length, own, most)
    )
    for answer, (one, other) in zip(found.tolist(), asked, strict=True):
        times = listed.get((one, other), 0) - own
        if times <= 0:
            assert answer == 0
            continue
        over = Fraction(times * length, often[one] * often[other])
        if answer > 1:
            assert over >= Fraction(2) ** (answer - 3) * (1 - ROUNDING)
        if answer < most:
            assert over <= Fraction(2) ** (answer - 2) * (1 + ROUNDING)


@given(pairs, st.integers(1, 4))
def test_groups_are_those_of_a_dictionary(drawn: list[tuple[int, int]], least: int) -> None:
    places = np.arange(len(drawn), dtype=np.int32) * 2
    record = np.arange(2 * len(drawn), dtype=np.int32) // 6
    at, group, opens, records = repeated(_columns(drawn), places, record, least)
    expected = defaultdict(list)
    for place, pair in zip(places.tolist(), drawn, strict=True):
        expected[pair].append(place)
    enough = [
        expected[pair]
        for pair in sorted(expected)
        if len({int(record[one]) for one in expected[pair]}) >= least
    ]
    assert at.tolist() == [one for some in enough for one in some]
    assert group.tolist() == [number for number, some in enumerate(enough) for _ in some]
    assert records.tolist() == [len({int(record[one]) for one in some}) for some in enough]
    assert opens.sum() == records.sum()

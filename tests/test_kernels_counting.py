"""Sorting by counting, and what is made from it, against NumPy and against lists."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dataguard.kernels.counting import looked_up, repeated, sorting, sorting_pairs

pairs = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=60)


def _columns(drawn: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(drawn, np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


@given(pairs)
def test_the_order_is_that_of_a_stable_sort(drawn: list[tuple[int, int]]) -> None:
    first, second = _columns(drawn)
    assert np.array_equal(sorting(first, 10), np.argsort(first, kind="stable"))
    assert np.array_equal(sorting_pairs(first, second, 10), np.lexsort((second, first)))


@given(pairs, pairs)
def test_pairs_are_found_where_they_stand(
    listed: list[tuple[int, int]], asked: list[tuple[int, int]]
) -> None:
    kept = sorted(set(listed))
    first, second = _columns(kept)
    at = looked_up(_columns(asked), np.searchsorted(first, np.arange(11)), second)
    assert at.tolist() == [kept.index(one) if one in kept else -1 for one in asked]


@given(pairs, st.integers(1, 4))
def test_groups_are_those_of_a_dictionary(drawn: list[tuple[int, int]], least: int) -> None:
    places = np.arange(len(drawn)) * 2
    record = np.arange(2 * len(drawn)) // 6
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

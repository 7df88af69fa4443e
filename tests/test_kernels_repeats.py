"""Rows by key and place, against plain Python."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dataguard.kernels.repeats import repeats

SMALL = st.integers(0, 4) | st.sampled_from([2**64 - 1, 2**63])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(SMALL, st.integers(0, 30)), max_size=120))
def test_keys_of_several_places_are_kept_by_place(rows) -> None:
    expected = defaultdict(list)
    for number, (key, place) in enumerate(rows):
        expected[key].append((place, number))
    kept = {key: its for key, its in sorted(expected.items()) if len({place for place, _ in its}) > 1}
    keys, places = (np.array([row[side] for row in rows], np.uint64) for side in (0, 1))
    found = repeats(keys, places)
    groups = np.split(found.rows, found.firsts[1:]) if len(found.firsts) else []
    assert [group.tolist() for group in groups] == [[row for _, row in sorted(its)] for its in kept.values()]
    assert found.places.tolist() == [len({place for place, _ in its}) for its in kept.values()]


def test_nothing_is_in_no_group() -> None:
    none = np.empty(0, np.uint64)
    assert [len(column) for column in repeats(none, none)] == [0, 0, 0]

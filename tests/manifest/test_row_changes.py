"""Which rows changed: few are named where little changed, however often records repeat."""

from __future__ import annotations

import hashlib
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataguard.manifest import row_changes


def leaves(records):
    data = b"".join(hashlib.sha256(str(record).encode()).digest()[:16] for record in records)
    return np.frombuffer(data, np.uint8).reshape(-1, 16)


def changed(old, new):
    return [
        (change.change.removeprefix("row-"), change.row) for change in row_changes(leaves(old), leaves(new))
    ]


CASES = [
    ("nothing", "abcdef", "abcdef", []),
    ("both empty", "", "", []),
    ("edited", "abcdef", "abXdef", [("changed", 2)]),
    ("edited twice", "abcdef", "aXcdeY", [("changed", 1), ("changed", 5)]),
    ("removed", "abcdef", "abdef", [("removed", 2)]),
    ("first removed", "abcdef", "bcdef", [("removed", 0)]),
    ("added", "abcdef", "abXcdef", [("added", 2)]),
    ("added at the end", "abc", "abcX", [("added", 3)]),
    ("added to nothing", "", "ab", [("added", 0), ("added", 1)]),
    ("all removed", "ab", "", [("removed", 0), ("removed", 1)]),
    ("a copy added", "abcdef", "abcadef", [("added", 3)]),
    ("one of two copies removed", "abcadef", "abcdef", [("removed", 3)]),
    ("swapped neighbours", "abcdef", "abdcef", [("changed", 2), ("changed", 3)]),
    ("moved to the front", "abcdef", "fabcde", [("changed", 0)]),
    ("edited here, added there", "abcdefgh", "abXdefgYh", [("changed", 2), ("added", 7)]),
    ("removed here, added there", "abcdefgh", "acdefgXh", [("removed", 1), ("added", 6)]),
    ("only copies", "aaaaaa", "aaaaa", [("removed", 5)]),
    ("two edits among copies", "aaaaaaaa", "aaXaaYaa", [("changed", 2), ("changed", 5)]),
    ("two additions among copies", "aaaaaaaa", "aaXaaaaYaa", [("added", 2), ("added", 7)]),
    ("a copy removed early shifts the count of the later ones", "D1D2D3D4D5", "1D2D3D4D5", [("removed", 0)]),
]  # fmt: skip


@pytest.mark.parametrize(("why", "old", "new", "expected"), CASES, ids=[case[0] for case in CASES])
def test_rows_are_named(why, old, new, expected):
    assert sorted(changed(old, new)) == sorted(expected)


def test_reasons_say_where_a_row_came_from():
    by_row = {change.row: change.reason for change in row_changes(leaves("abcdef"), leaves("fabcdea"))}
    assert by_row == {0: "holds the record that stood in row 5", 6: "a copy of the record in row 1"}


def rebuilt(old, new, changes):
    """Applies the changes to the old state: what they do not name must have stayed, in order."""
    touched = {c.row for c in changes if c.change != "row-removed"}
    kept_new = [new[row] for row in range(len(new)) if row not in touched]
    came = Counter(new[row] for row in touched)
    return kept_new, came


@settings(max_examples=300)
@given(st.text("abcd", max_size=30), st.text("abcd", max_size=30))
def test_changes_explain_the_difference(old, new):
    changes = row_changes(leaves(old), leaves(new))
    assert (not changes) == (old == new)
    kept, came = rebuilt(old, new, changes)
    position = 0
    for record in kept:  # what is not named keeps its order
        position = old.index(record, position) + 1
    removed = sum(change.change == "row-removed" for change in changes)
    added = sum(change.change == "row-added" for change in changes)
    assert len(new) - len(old) == added - removed
    assert not Counter(new) - Counter(kept) - came
    assert len(changes) <= max(len(old), len(new)) + min(len(old), len(new))


@settings(max_examples=100)
@given(st.lists(st.integers(0, 5), min_size=5, max_size=60), st.data())
def test_one_edit_is_named_as_one(records, data):
    row = data.draw(st.integers(0, len(records) - 1))
    kind = data.draw(st.sampled_from(["edit", "remove", "add"]))
    new = list(records)
    if kind == "edit":
        new[row] = "edited"
    elif kind == "remove":
        del new[row]
    else:
        new.insert(row, "added")
    changes = row_changes(leaves(records), leaves(new))
    assert len(changes) == 1
    if kind != "remove":  # which of several equal neighbours went cannot be told
        assert changes[0].row == row


def test_rows_that_repeat_all_the_time_are_matched_with_their_neighbours():
    rng = np.random.default_rng(2)
    old = np.repeat(rng.integers(0, 2, (50_000, 1), np.uint8), 16, axis=1)  # two distinct records
    new = np.delete(old, [100, 40_000], axis=0)
    assert len(row_changes(old, new)) <= 8  # few, if not the fewest
    assert len(row_changes(new, old)) <= 8


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 6), st.integers(0, 6), st.integers(0, 6))
def test_few_changes_in_distinct_rows_are_named_one_by_one(seed, edits, removals, additions):
    rng = np.random.default_rng(seed)
    old = rng.integers(0, 256, (500, 16), np.uint8)
    new = old.copy()
    new[rng.choice(500, edits, replace=False)] ^= 1
    new = np.delete(new, rng.choice(len(new), removals, replace=False), axis=0)
    at = np.sort(rng.choice(len(new), additions, replace=False))
    new = np.insert(new, at, rng.integers(0, 256, (additions, 16), np.uint8), axis=0)
    assert len(row_changes(old, new)) <= edits + removals + additions


def test_a_million_rows_take_seconds():
    rng = np.random.default_rng(1)
    old = rng.integers(0, 256, (1_000_000, 16), np.uint8)
    old[::10] = old[0]  # one record in ten is the same
    new = np.delete(old, [17, 500_003], axis=0)
    new[[1_001, 777_778]] ^= 1
    new = np.insert(new, 250_001, 7, axis=0)
    started = time.perf_counter()
    found = [(change.change, change.row) for change in row_changes(old, new)]
    taken = time.perf_counter() - started
    assert found == [
        ("row-removed", 17), ("row-changed", 1_001), ("row-added", 250_001), ("row-removed", 500_003),
        ("row-changed", 777_779),
    ]  # fmt: skip
    assert taken < 20

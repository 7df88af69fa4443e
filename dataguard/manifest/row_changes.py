"""Which rows of a file changed between two states, from the prefixes of their record digests.

Records are first matched together with the 63 before them, so that one that repeats is matched where its neighbours
are, then on their own, the k-th copy in the one state with the k-th in the other. What keeps its order in most of these
matches (a longest increasing subsequence, as in patience diff) stays; the rest moved, or was edited, added or
removed. Everything is sorted and counted in arrays; Python loops run over changed rows only, and over the matched ones
only where rows moved.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dataguard.manifest.leaves import LEAF_BYTES, Leaves

MAX_DEPTH = 16
CONTEXT = 64
_ODD = np.uint64(0x9E3779B97F4A7C15)

Rows = npt.NDArray[np.int64]


class RowChange(NamedTuple):
    """What became of one row.

    Attributes:
        change: ``row-changed``, ``row-added`` or ``row-removed``.
        row: its number, in the new state, or in the old one where it was removed.
        reason: e.g. where a moved row stood.
    """

    change: str
    row: int
    reason: str


def row_changes(old: Leaves, new: Leaves) -> list[RowChange]:
    """The rows that differ between two states of a file, few where little changed.

    Args:
        old: uint8 of shape (n, 16).
        new: uint8 of shape (m, 16).

    Returns:
        In order of the rows; empty exactly where both are equal.
    """
    a, b = _ids(old, new)
    here, there = _aligned(a, b)
    if len(a) == len(b):
        same = np.flatnonzero(a == b)
        # A moved row leaves one place for another: rows changed where they stand may explain as much.
        if len(a) - len(same) <= 2 * (len(a) - len(here)):
            here = there = same
    return sorted(_unmatched(a, b, here, there), key=lambda change: (change.row, change.change))


def _ids(old: Leaves, new: Leaves) -> tuple[Rows, Rows]:
    """A small number for each distinct record, equal in both states."""
    words = np.ascontiguousarray(np.concatenate([old, new])).reshape(-1, LEAF_BYTES).view(np.uint64)
    order = np.lexsort((words[:, 1], words[:, 0]))
    ranked = words[order]
    first = np.ones(len(ranked), bool)
    first[1:] = (ranked[1:] != ranked[:-1]).any(axis=1)
    ids = np.empty(len(ranked), np.int64)
    ids[order] = np.cumsum(first)
    return ids[: len(old)], ids[len(old) :]


def _common(a: Rows, b: Rows) -> int:
    """Length of the common prefix."""
    shorter = min(len(a), len(b))
    differ = np.flatnonzero(a[:shorter] != b[:shorter])
    return int(differ[0]) if len(differ) else shorter


def _copies(ids: Rows) -> tuple[Rows, Rows]:
    """The order that sorts the ids stably, and for each id in that order which copy of its record it is."""
    order = np.argsort(ids, kind="stable")
    ranked = ids[order]
    first = np.ones(len(ranked), bool)
    first[1:] = ranked[1:] != ranked[:-1]
    starts = np.maximum.accumulate(np.where(first, np.arange(len(ranked)), 0))
    return order, np.arange(len(ranked)) - starts


def _matched(a: Rows, b: Rows) -> tuple[Rows, Rows]:
    """Positions in both of the k-th copy of each record, in the order of `a`."""
    order_a, copy_a = _copies(a)
    order_b, copy_b = _copies(b)
    length = np.int64(max(len(a), len(b)) + 1)
    _, at_a, at_b = np.intersect1d(
        a[order_a] * length + copy_a, b[order_b] * length + copy_b, assume_unique=True, return_indices=True
    )
    here, there = order_a[at_a], order_b[at_b]
    order = np.argsort(here)
    return here[order], there[order]


def _matched_in_context(a: Rows, b: Rows) -> tuple[Rows, Rows]:
    """Matches by the record and those before it; by the record alone where that finds nothing."""
    here, there = _matched(*_with_neighbours(a, b))
    equal = a[here] == b[there]  # what was mixed into one number may collide
    return (here[equal], there[equal]) if equal.any() else _matched(a, b)


def _with_neighbours(a: Rows, b: Rows) -> tuple[Rows, Rows]:
    """A small number for each record and the `CONTEXT` - 1 before it, equal in both states."""
    mixed = []
    for ids in (a, b):
        window = ids.astype(np.uint64)
        width = 1
        while width < CONTEXT:  # a window is two of half its width
            before = np.zeros_like(window)
            before[width:] = window[:-width]
            window = (window ^ (window >> np.uint64(29))) * _ODD + before
            width *= 2
        mixed.append(window)
    _, numbers = np.unique(np.concatenate(mixed), return_inverse=True)
    return numbers[: len(a)], numbers[len(a) :]


def _aligned(a: Rows, b: Rows, depth: int = 0) -> tuple[Rows, Rows]:
    """Positions in both of the rows that stay, increasing in both."""
    start = _common(a, b)
    end = _common(a[start:][::-1], b[start:][::-1])
    inner_a, inner_b = a[start : len(a) - end], b[start : len(b) - end]
    here, there = _matched(inner_a, inner_b) if depth else _matched_in_context(inner_a, inner_b)
    if len(there) > 1 and (np.diff(there) < 0).any():
        kept = _longest_increasing(there)
        here, there = here[kept], there[kept]
    if len(here) and depth < MAX_DEPTH:
        here, there = _fill_gaps(inner_a, inner_b, here, there, depth)
    return (
        np.concatenate([np.arange(start), here + start, np.arange(len(a) - end, len(a))]),
        np.concatenate([np.arange(start), there + start, np.arange(len(b) - end, len(b))]),
    )


def _longest_increasing(values: Rows) -> Rows:
    """Indices of a longest increasing subsequence of distinct values."""
    tails: list[int] = []
    tail_at: list[int] = []
    before = np.empty(len(values), np.int64)
    for index, value in enumerate(values.tolist()):
        place = bisect_left(tails, value)
        before[index] = tail_at[place - 1] if place else -1
        if place == len(tails):
            tails.append(value)
            tail_at.append(index)
        else:
            tails[place], tail_at[place] = value, index
    kept = np.empty(len(tails), np.int64)
    index = tail_at[-1]
    for place in range(len(tails) - 1, -1, -1):
        kept[place] = index
        index = int(before[index])
    return kept


def _gaps(here: Rows, there: Rows, size_a: int, size_b: int) -> Iterator[tuple[int, int, int, int]]:
    """The stretches between kept rows where at least one state has rows: start and end in both."""
    edges_a = np.concatenate([[-1], here, [size_a]])
    edges_b = np.concatenate([[-1], there, [size_b]])
    for gap in np.flatnonzero((np.diff(edges_a) > 1) | (np.diff(edges_b) > 1)).tolist():
        yield int(edges_a[gap]) + 1, int(edges_a[gap + 1]), int(edges_b[gap]) + 1, int(edges_b[gap + 1])


def _fill_gaps(a: Rows, b: Rows, here: Rows, there: Rows, depth: int) -> tuple[Rows, Rows]:
    """Looks again into each gap: copies of a record whose count moved on are equal there but were not matched."""
    more_a, more_b = [here], [there]
    for start_a, end_a, start_b, end_b in _gaps(here, there, len(a), len(b)):
        if start_a == end_a or start_b == end_b:
            continue
        if end_a - start_a == end_b - start_b == 1:  # one edited row, by far the most gaps
            if a[start_a] != b[start_b]:
                continue
            inner_a = inner_b = np.zeros(1, np.int64)
        else:
            inner_a, inner_b = _aligned(a[start_a:end_a], b[start_b:end_b], depth + 1)
        more_a.append(inner_a + start_a)
        more_b.append(inner_b + start_b)
    return np.sort(np.concatenate(more_a)), np.sort(np.concatenate(more_b))


def _unmatched(a: Rows, b: Rows, here: Rows, there: Rows) -> Iterator[RowChange]:
    """Changes for the rows that were not kept."""
    gone, come = _others(len(a), here), _others(len(b), there)
    from_gone, to_come = _matched(a[gone], b[come])
    moved_from, moved_to = gone[from_gone].tolist(), come[to_come].tolist()
    for row, before in zip(moved_to, moved_from, strict=True):
        yield RowChange("row-changed", row, f"holds the record that stood in row {before}")
    moved_away, moved_here = set(moved_from), set(moved_to)
    added = []
    for start_a, end_a, start_b, end_b in _gaps(here, there, len(a), len(b)):
        old = [row for row in range(start_a, end_a) if row not in moved_away]
        new = [row for row in range(start_b, end_b) if row not in moved_here]
        for before, row in zip(old, new, strict=False):
            where = "" if before == row else f"; it stood in row {before}"
            yield RowChange("row-changed", row, f"the record was edited or replaced{where}")
        for row in old[len(new) :]:
            yield RowChange("row-removed", row, "the record is gone")
        added += new[len(old) :]
    for row, copy_of in zip(added, _copied_from(b, np.array(added, np.int64)), strict=True):
        why = "the record is new" if copy_of == row else f"a copy of the record in row {copy_of}"
        yield RowChange("row-added", row, why)


def _others(size: int, kept: Rows) -> Rows:
    left = np.ones(size, bool)
    left[kept] = False
    return np.flatnonzero(left)


def _copied_from(ids: Rows, rows: Rows) -> list[int]:
    """Another row with the same record as each of these, or the row itself where there is none."""
    if not len(rows):
        return []
    order = np.argsort(ids, kind="stable")
    ranked = ids[order]
    first = np.searchsorted(ranked, ids[rows])
    second = np.minimum(first + 1, len(ids) - 1)
    other = np.where(order[first] == rows, second, first)
    return np.where(ranked[other] == ids[rows], order[other], rows).tolist()  # type: ignore[no-any-return]

"""Sorting of small numbers by counting them: linear, where comparing is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def sorting(keys: Ints, below: int) -> Ints:
    """The order that sorts numbers, equal ones as they stand.

    Args:
        keys: i64[n], 0 and more.
        below: all are below it; it should not be far above n.

    Returns:
        i64[n]
    """
    return _sorting(frozen(keys), np.zeros(below + 1, np.int64))


def sorting_pairs(first: Ints, second: Ints, below: int) -> Ints:
    """The order that sorts pairs of numbers by the first and then the second; see `sorting`."""
    order = sorting(second, below)
    by_first: Ints = order[sorting(first[order], below)]
    return by_first


@compiled
def _sorting(keys: Ints, ends: Ints) -> Ints:
    for at in range(len(keys)):
        ends[keys[at] + 1] += 1
    for key in range(1, len(ends)):
        ends[key] += ends[key - 1]
    out = np.empty(len(keys), np.int64)
    for at in range(len(keys)):
        out[ends[keys[at]]] = at
        ends[keys[at]] += 1
    return out


def looked_up(wanted: tuple[Ints, Ints], begin: Ints, second: Ints) -> Ints:
    """Where pairs of numbers stand in a sorted list of pairs.

    Args:
        wanted: i64[n] each, the first and the second numbers.
        begin: i64[m + 1], where the pairs of each first number begin in `second`.
        second: i64, the second number of each pair, ascending within a first one.

    Returns:
        i64[n]; -1 for pairs that are not in the list.
    """
    out = np.empty(len(wanted[0]), np.int64)
    _looked_up(frozen(wanted[0]), frozen(wanted[1]), frozen(begin), frozen(second), out)
    return out


@compiled
def _looked_up(left: Ints, right: Ints, begin: Ints, second: Ints, out: Ints) -> None:
    for at in range(len(left)):
        low, end, wanted = begin[left[at]], begin[left[at] + 1], right[at]
        high = end
        while low < high:
            middle = (low + high) >> 1
            if second[middle] < wanted:
                low = middle + 1
            else:
                high = middle
        out[at] = low if low < end and second[low] == wanted else -1


def repeated(pairs: tuple[Ints, Ints], at: Ints, record: Ints, least: int) -> tuple[Ints, Ints, Flags, Ints]:
    """Equal pairs of numbers as groups, those left out that stand in too few records.

    Args:
        pairs: i64[n] each, the first and the second numbers.
        at: i64[n], ascending, where each pair stands.
        record: i64, ascending, the record of each such place.
        least: in how many records a pair stands at least.

    Returns:
        for each occurrence that is left, by its pair and then its place: the place; the number of its group; whether it
        is the group's first in its record. And for each group, in how many records it stands.
    """
    first, second = pairs
    order = sorting_pairs(first, second, 1 + int(max(first.max(initial=0), second.max(initial=0))))
    places, groups = np.empty(len(at), np.int64), np.empty(len(at), np.int64)
    opens, records = np.empty(len(at), np.bool_), np.empty(len(at) // max(1, least), np.int64)
    count, kept = _repeated(
        (frozen(first), frozen(second), frozen(at), frozen(record)),
        frozen(order),
        least,
        (places, groups, opens, records),
    )
    return places[:kept], groups[:kept], opens[:kept], records[:count]


@compiled
def _repeated(columns: Any, order: Ints, least: int, out: Any) -> tuple[int, int]:
    first, second, at, record = columns
    places, groups, opens, records = out
    begin = group = kept = 0
    while begin < len(order):
        one, other = first[order[begin]], second[order[begin]]
        found, last, end = 0, np.int64(-1), begin
        while end < len(order) and first[order[end]] == one and second[order[end]] == other:
            here = at[order[end]]
            places[kept + end - begin] = here
            groups[kept + end - begin] = group
            opens[kept + end - begin] = record[here] != last
            found += record[here] != last
            last = record[here]
            end += 1
        if found >= least:
            records[group] = found
            group += 1
            kept += end - begin
        begin = end
    return group, kept


def warm() -> None:
    """Compiles the kernels of this module."""
    one = np.zeros(1, np.int64)
    repeated((one, one), one, one, 1)
    looked_up((one, one), np.arange(2), one)

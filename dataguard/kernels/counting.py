"""Sorting of small numbers by counting them: linear, where comparing is not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen

Numbers = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]


def sorting(keys: Numbers, below: int) -> Numbers:
    """The order that sorts numbers, equal ones as they stand.

    Args:
        keys: i32[n], 0 and more.
        below: all are below it; it should not be far above n.

    Returns:
        i32[n]
    """
    return _sorting(frozen(keys), np.zeros(below + 1, np.int32))


def sorting_pairs(first: Numbers, second: Numbers, below: int) -> Numbers:
    """The order that sorts pairs of numbers by the first and then the second; see `sorting`."""
    order = sorting(second, below)
    by_first: Numbers = order[sorting(first[order], below)]
    return by_first


@compiled
def _sorting(keys: Numbers, ends: Numbers) -> Numbers:
    for at in range(len(keys)):
        ends[keys[at] + 1] += 1
    for key in range(1, len(ends)):
        ends[key] += ends[key - 1]
    out = np.empty(len(keys), np.int32)
    for at in range(len(keys)):
        out[ends[keys[at]]] = at
        ends[keys[at]] += 1
    return out


def attraction(
    wanted: tuple[Numbers, Numbers],
    listed: tuple[Numbers, Numbers, Numbers],
    often: Numbers,
    limits: tuple[int, int, int],
) -> Numbers:
    """How much oftener than by chance pairs of words stand in a list of pairs, in powers of two.

    Args:
        wanted: i32[n] each, the first and the second words.
        listed: where the pairs of each first word begin (i32[m + 1]); the second word of each, ascending within a first
            one, and how often the pair stands there (i32 each).
        often: i32[m], how often each word stands in the text.
        limits: how long the text is; how many of each pair's places do not count; the highest answer.

    Returns:
        i32[n]: 0 for pairs that stand nowhere else, 1 for those that stand there less than half as often as chance has it,
        2 for less than as often, one more for each doubling.
    """
    out = np.empty(len(wanted[0]), np.int32)
    first, second = (frozen(one) for one in wanted)
    _attraction((first, second), tuple(frozen(one) for one in listed), frozen(often), limits, out)
    return out


@compiled
def _attraction(wanted: Any, listed: Any, often: Numbers, limits: Any, out: Numbers) -> None:
    (left, right), (begin, second, counts), (length, own, most) = wanted, listed, limits
    for at in range(len(left)):
        low, end, word = begin[left[at]], begin[left[at] + 1], right[at]
        high = end
        while low < high:
            middle = (low + high) >> 1
            if second[middle] < word:
                low = middle + 1
            else:
                high = middle
        count = counts[low] - own if low < end and second[low] == word else 0
        out[at] = 0
        if count > 0:
            chance = np.float64(often[left[at]]) * often[word] / length
            power = math.frexp(count / max(chance, 1e-9))[1] + 1
            out[at] = 1 + min(max(power, 0), most - 1)


def repeated(
    pairs: tuple[Numbers, Numbers], at: Numbers, record: Numbers, least: int
) -> tuple[Numbers, Numbers, Flags, Numbers]:
    """Equal pairs of numbers as groups, those left out that stand in too few records.

    Args:
        pairs: i32[n] each, the first and the second numbers.
        at: i32[n], ascending, where each pair stands.
        record: i32, ascending, the record of each such place.
        least: in how many records a pair stands at least.

    Returns:
        for each occurrence that is left, by its pair and then its place: the place; the number of its group; whether it
        is the group's first in its record. And for each group, in how many records it stands.
    """
    first, second = pairs
    order = sorting_pairs(first, second, 1 + int(max(first.max(initial=0), second.max(initial=0))))
    places, groups = np.empty(len(at), np.int32), np.empty(len(at), np.int32)
    opens, records = np.empty(len(at), np.bool_), np.empty(len(at) // max(1, least), np.int32)
    count, kept = _repeated(
        (frozen(first), frozen(second), frozen(at), frozen(record)),
        frozen(order),
        least,
        (places, groups, opens, records),
    )
    return places[:kept], groups[:kept], opens[:kept], records[:count]


@compiled
def _repeated(columns: Any, order: Numbers, least: int, out: Any) -> tuple[int, int]:
    first, second, at, record = columns
    places, groups, opens, records = out
    begin = group = kept = 0
    while begin < len(order):
        one, other = first[order[begin]], second[order[begin]]
        found, last, end = 0, np.int32(-1), begin
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
    one = np.zeros(1, np.int32)
    repeated((one, one), one, one, 1)
    attraction((one, one), (np.arange(2, dtype=np.int32), one, one), one, (1, 0, 1))

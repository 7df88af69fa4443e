"""What stands around a run of words: how far the run goes on alike, and what its records are about.

What a record is about is told by a vector of 256 whole numbers: each different word adds its weight to one of them or
takes it away, as its number says (feature hashing: Weinberger et al., "Feature hashing for large scale multitask
learning", ICML 2009), and all vectors are made equally long. Whole numbers, so that sums of them do not depend on
the order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen

U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

SIDES = 256
"""Numbers in a vector."""
LENGTH = 4096
"""Length of a vector."""
KINDS = 1 << 16
"""Kinds of words that have a weight of their own: the upper half of a word's number."""


def windows(ids: U32, starts: I64, ends: I64, size: int) -> U32:
    """The words from given ones on, up to an end; what is behind it repeats the last word.

    Args:
        ids: u32[T].
        starts: i64[n].
        ends: i64[n], behind the last word of each; behind its start.
        size: words of a window.

    Returns:
        u32[n, size].
    """
    out = np.empty((len(starts), size), np.uint32)
    _windows(frozen(ids), frozen(starts), frozen(ends), out)
    return out


@compiled
def _windows(ids: U32, starts: I64, ends: I64, out: U32) -> None:
    for run in range(len(starts)):
        for place in range(out.shape[1]):
            out[run, place] = ids[min(starts[run] + place, ends[run] - 1)]


def agreed(words: U32, rooms: I64, firsts: I64, sizes: I64, alive: U8) -> tuple[I64, U32]:
    """How far more than half of the runs of each group agree.

    Args:
        words: u32[n, size], windows of the runs, one group under the other.
        rooms: i64[n], how many of a window's words are the run's.
        firsts: i64[m + 1], where groups begin, and the end.
        sizes: i64[m], how many runs are all, of which more than half must agree.
        alive: u8[n], 1 for runs that have agreed so far; set to 0 for those that do not as far as is told.

    Returns:
        i64[m], words that they agree in; u32[m, size], these words.
    """
    lengths = np.zeros(len(sizes), np.int64)
    common = np.zeros((len(sizes), words.shape[1]), np.uint32)
    _agreed(frozen(words), frozen(rooms), frozen(firsts), frozen(sizes), alive, lengths, common)
    return lengths, common


@compiled
def _agreed(words: U32, rooms: I64, firsts: I64, sizes: I64, alive: U8, lengths: I64, common: U32) -> None:
    """A word that more than half have is found by weighing each against the others (Boyer and Moore, 1981)."""
    for group in range(len(sizes)):
        while lengths[group] < words.shape[1]:
            place = lengths[group]
            word, weight = np.uint32(0), 0
            for run in range(firsts[group], firsts[group + 1]):
                if alive[run] and place < rooms[run]:
                    if weight == 0:
                        word = words[run, place]
                    weight += 1 if words[run, place] == word else -1
            having = 0
            for run in range(firsts[group], firsts[group + 1]):
                having += alive[run] and place < rooms[run] and words[run, place] == word
            if 2 * having <= sizes[group]:
                break
            for run in range(firsts[group], firsts[group + 1]):
                alive[run] &= place < rooms[run] and words[run, place] == word
            common[group, place] = word
            lengths[group] += 1


def kinds(ids: U32, starts: I64, ends: I64) -> I64:
    """In how many records each kind of word stands.

    Args:
        ids: u32[T].
        starts: i64[n], the first word of each record.
        ends: i64[n], behind the last.

    Returns:
        i64[KINDS].
    """
    out = np.zeros(KINDS, np.int64)
    _kinds(frozen(ids), frozen(starts), frozen(ends), out)
    return out


@compiled
def _kinds(ids: U32, starts: I64, ends: I64, out: I64) -> None:
    seen = np.full(KINDS, -1, np.int64)
    for record in range(len(starts)):
        for place in range(starts[record], ends[record]):
            kind = ids[place] >> np.uint32(16)
            out[kind] += seen[kind] != record
            seen[kind] = record


def profiles(ids: U32, ends: I64, groups: I64, weights: F64) -> tuple[I32, I64]:
    """What records are about.

    Args:
        ids: u32[T], the words of records, one record after the other.
        ends: i64[n], the end of each record's words.
        groups: i64[m], the end of each group of records, or none: words that nine in ten of a
            group have are left out, so that what was put into all of them does not make them alike.
        weights: f64[KINDS].

    Returns:
        i32[n, SIDES], of length LENGTH, or zeros where there is nothing; i64[n, 2], how many different words of
        each record were looked at and how many left out.
    """
    out, counts = np.zeros((len(ends), SIDES), np.int32), np.zeros((len(ends), 2), np.int64)
    words = np.array(ids)  # a copy, to be sorted
    sizes = np.empty(len(ends), np.int64)
    _sorted(words, frozen(ends), sizes)
    _profiles(words, frozen(ends), sizes, (frozen(groups), frozen(weights)), out, counts)
    return out, counts


@compiled
def _sorted(words: U32, ends: I64, sizes: I64) -> None:
    """Sorts the words of each record in place, each once, and tells how many they are."""
    start = np.int64(0)
    for record in range(len(ends)):
        here = words[start : ends[record]]
        here.sort()
        size = 0
        for place in range(len(here)):
            if size == 0 or here[place] != here[size - 1]:
                here[size] = here[place]
                size += 1
        sizes[record] = size
        start = ends[record]


@compiled
def _common(words: U32, ends: I64, sizes: I64, low: int, high: int) -> U32:
    """The words that nine in ten of the records `low` to `high` have, sorted."""
    every = np.empty(sizes[low:high].sum(), np.uint32)
    at = 0
    for record in range(low, high):
        start = ends[record - 1] if record else np.int64(0)
        every[at : at + sizes[record]] = words[start : start + sizes[record]]
        at += sizes[record]
    every.sort()
    enough = (9 * (high - low) + 9) // 10
    count = 0
    first = 0
    for place in range(len(every)):
        if every[place] != every[first]:
            first = place
        if place - first + 1 == enough:
            every[count] = every[place]
            count += 1
    return every[:count]


@compiled
def _profiles(words: U32, ends: I64, sizes: I64, told: Any, out: I32, counts: I64) -> None:
    groups, weights = told
    sums = np.empty(SIDES, np.float64)
    common = np.empty(0, np.uint32)
    group = -1
    for record in range(len(ends)):
        if len(groups) and (group < 0 or groups[group] <= record):
            group += 1
            common = _common(words, ends, sizes, record, groups[group])
        start = ends[record - 1] if record else np.int64(0)
        sums[:] = 0.0
        left_out = 0
        for place in range(start, start + sizes[record]):
            word = words[place]
            while left_out < len(common) and common[left_out] < word:
                left_out += 1
            if left_out < len(common) and common[left_out] == word:
                counts[record, 1] += 1
                continue
            counts[record, 0] += 1
            weight = weights[word >> np.uint32(16)]
            sums[word & np.uint32(SIDES - 1)] += weight if word & np.uint32(SIDES) else -weight
        length = 0.0
        for side in range(SIDES):
            length += sums[side] * sums[side]
        if length > 0.0:
            scale = LENGTH / np.sqrt(length)
            for side in range(SIDES):
                out[record, side] = np.int32(np.floor(sums[side] * scale + 0.5))


def warm() -> None:
    """Compiles the kernels of this module."""
    ids = np.arange(8, dtype=np.uint32)
    start, end = np.zeros(1, np.int64), np.full(1, 8)
    some = windows(ids, start, end, 8)
    agreed(some, end, np.array([0, 1]), np.ones(1, np.int64), np.ones(1, np.uint8))
    kinds(ids, start, end)
    profiles(ids, end, np.ones(1, np.int64), np.ones(KINDS))

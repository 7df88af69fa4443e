"""Closed word sequences: those that cannot be made longer without losing records.

Grown word by word as in Apriori (Agrawal and Srikant, VLDB 1994): a sequence can only be in enough records if both
sequences that it has but for one word are. Closed ones stand for all (Pasquier et al., ICDT 1999).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

LONGEST = 12
"""Words of the longest sequence that is looked at."""


class Sequences(NamedTuple):
    """Word sequences and where they stand.

    Attributes:
        length: i64[n], words of each.
        begin: i64[n + 1], where each one's occurrences begin in `at`.
        at: i32, the first word of each occurrence, ascending within a sequence.
        first: bool, whether it is the sequence's first one in its record.
        records: i64[n], in how many records each stands.
    """

    length: Ints
    begin: Ints
    at: Numbers
    first: Flags
    records: Ints

    def __len__(self) -> int:
        return len(self.length)


class _Level(NamedTuple):
    at: Numbers
    group: Numbers
    first: Flags
    records: Numbers


def mine(word: Numbers, text: Numbers, record: Numbers, *, least: int, most: int) -> Sequences:
    """The closed sequences of a list of words.

    Args:
        word: i32[T], their numbers.
        text: i32[T], the text of each; sequences stand within one.
        record: i32[T], the record of each, ascending.
        least: in how many records a sequence stands at least.
        most: and at most.

    Returns:
        the sequences, the shorter ones first.
    """
    from dataguard.kernels.counting import repeated

    count = len(word)
    found: list[tuple[int, _Level]] = []
    number = word
    alive = np.arange(count, dtype=np.int32)
    before: _Level | None = None
    for length in range(1, LONGEST + 2):
        if length > 1:
            inside = alive + length - 1 < count
            alive = alive[inside]
            alive = alive[(text[alive + length - 1] == text[alive]) & (number[alive + 1] >= 0)]
            level = _Level(*repeated((number[alive], number[alive + 1]), alive, record, least))
        else:
            level = _Level(*repeated((word, word), alive, record, least))
        if before is not None:
            closed = np.ones(len(before.records), np.bool_)
            for side in (0, 1):  # a longer one in as many records stands for the shorter one
                shorter = number[level.at + side]
                closed[shorter[level.records[level.group] >= before.records[shorter]]] = False
            found.append((length - 1, _chosen(before, closed & (before.records <= most))))
        if not len(level.at) or length > LONGEST:
            break
        number = np.full(count, -1, np.int32)
        number[level.at] = level.group
        alive, before = np.sort(level.at), level
    return _together(found)


def _chosen(level: _Level, wanted: Flags) -> _Level:
    kept = wanted[level.group]
    renumbered = np.cumsum(wanted, dtype=np.int32) - 1
    return _Level(level.at[kept], renumbered[level.group[kept]], level.first[kept], level.records[wanted])


def _together(found: list[tuple[int, _Level]]) -> Sequences:
    counts = [np.bincount(level.group, minlength=len(level.records)) for _, level in found]
    none = np.zeros(0, np.int64)
    return Sequences(
        length=np.concatenate([none, *(np.full(len(level.records), n) for n, level in found)]),
        begin=np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate([none, *counts]))]),
        at=np.concatenate([np.zeros(0, np.int32), *(level.at for _, level in found)]),
        first=np.concatenate([np.zeros(0, np.bool_), *(level.first for _, level in found)]),
        records=np.concatenate([none, *(level.records for _, level in found)]),
    )

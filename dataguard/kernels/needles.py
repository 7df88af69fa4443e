"""Which texts may match one of many patterns: one look at each byte, however many patterns there are.

A needle is what a pattern cannot match without: up to eight bytes in a row, each out of a class. The first four bytes
of all needles are in two tables, by two bytes each, with a bit for each bucket of needles; where the bits of both
agree, the needles of the bucket are compared. The idea is that of the literal search Teddy of Hyperscan (Wang et al.,
NSDI 2019), with tables in the place of shuffles.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen
from dataguard.kernels.vectors import eight, inlined, lowest

Bytes = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]
Needle = Sequence[frozenset[int]]
"""The class of bytes of each place."""

LONGEST = 8
"""Bytes of a needle that are looked at."""
GROUPS = 32
"""Groups of needles that are told apart."""
BUCKETS = 32
OWN = 24
"""Buckets of one needle each: those that most bytes may begin share none, or all in the bucket would be met as often."""

_AT_ONCE = 4
"""Places whose first four bytes one load of eight has."""
_PAIR = np.uint64(0xFFFF)
_1, _8, _16, _24 = (np.uint64(n) for n in (1, 8, 16, 24))


class Tables(NamedTuple):
    """Needles, ready to be looked for.

    Attributes:
        pairs: u32[2, 65536], the buckets with a needle that has these two bytes at its first and at its next two places.
        classes: u8[needles, LONGEST, 256], whether a place of a needle takes a byte.
        group: u32[needles], the bit of each needle's group.
    """

    pairs: U32
    classes: Bytes
    group: U32


def tables(groups: Sequence[Sequence[Needle]]) -> Tables:
    """The tables of at most GROUPS groups of needles."""
    needles = [(bit, needle) for bit, group in enumerate(groups) for needle in group]
    needles.sort(
        key=lambda one: -prod(len(taken) for taken in [*one[1][:4], *[range(256)] * (4 - len(one[1]))])
    )
    pairs = np.zeros((2, 1 << 16), np.uint32)
    classes = np.ones((len(needles), LONGEST, 256), np.uint8)
    for number, (_, needle) in enumerate(needles):
        for place, taken in enumerate(needle[:LONGEST]):
            classes[number, place] = 0
            classes[number, place, sorted(taken)] = 1
        for table, (first, second) in enumerate(((0, 1), (2, 3))):
            both = np.outer(classes[number, second], classes[number, first]).ravel() != 0
            pairs[table, both] |= np.uint32(1 << _bucket(number))
    return Tables(pairs, classes, np.array([1 << bit for bit, _ in needles], np.uint32))


def _bucket(number: int) -> int:
    return number if number < OWN else OWN + (number - OWN) % (BUCKETS - OWN)


def found(data: Bytes, offsets: I64, by: Tables) -> U32:
    """The groups that have a needle in each text.

    What stands behind a text is taken for a part of it, and behind the last one are zeros: a needle that begins in a
    text may end behind it.

    Args:
        data: u8, the bytes of the texts.
        offsets: i64[n+1], where texts begin and end in `data`, as Arrow has them: ascending, within `data`.
        by: of `tables`.

    Returns:
        u32[n]: a bit for each group.
    """
    out = np.zeros(len(offsets) - 1, np.uint32)
    _found(frozen(data), frozen(offsets), (frozen(by.pairs), frozen(by.classes), frozen(by.group)), out)
    return out


def warm() -> None:
    """Compiles the kernel of this module."""
    found(np.zeros(9, np.uint8), np.array([0, 9]), tables([]))


@inlined
def _buckets(word: np.uint64, pairs: U32) -> np.uint32:
    """The buckets with a needle that may begin with the lowest four bytes."""
    return np.uint32(pairs[0, word & _PAIR] & pairs[1, (word >> _16) & _PAIR])


@compiled
def _compared(word: np.uint64, buckets: np.uint32, by: tuple[U32, Bytes, U32], seen: np.uint32) -> np.uint32:
    """The groups seen so far, and those of the buckets' needles that stand in eight bytes."""
    _, classes, group = by
    left = np.uint64(buckets)
    while left:
        number = np.int64(lowest(left))
        left &= left - _1
        while number < len(group):
            if not seen & group[number]:
                place = 0
                while (
                    place < LONGEST
                    and classes[number, place, (word >> np.uint64(8 * place)) & np.uint64(255)]
                ):
                    place += 1
                if place == LONGEST:
                    seen |= group[number]
            number += np.int64(BUCKETS - OWN if number >= OWN else len(group))
    return np.uint32(seen)


@compiled
def _found(data: Bytes, offsets: I64, by: tuple[U32, Bytes, U32], out: U32) -> None:
    """A text at a time."""
    pairs = by[0]
    last = len(data) - LONGEST
    for text in range(len(offsets) - 1):
        at, end = offsets[text], offsets[text + 1]
        seen = np.uint32(0)
        while at < min(end, last - _AT_ONCE + 2):
            word = eight(data, at)
            some = _buckets(word, pairs) | _buckets(word >> _8, pairs)
            some |= _buckets(word >> _16, pairs) | _buckets(word >> _24, pairs)
            if some:
                for place in range(at, at + _AT_ONCE):
                    word = eight(data, place)
                    buckets = _buckets(word, pairs)
                    if buckets:
                        seen = _compared(word, buckets, by, seen)
            at += _AT_ONCE
        while at < end:
            word = np.uint64(0)
            for place in range(min(LONGEST, len(data) - at)):
                word |= np.uint64(data[at + place]) << np.uint64(8 * place)
            seen = _compared(word, _buckets(word, pairs), by, seen)
            at += 1
        out[text] = seen

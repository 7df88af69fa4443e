"""Which texts may match one of many patterns: one look at each byte, however many patterns there are.

A needle is what a pattern cannot match without: up to sixteen bytes in a row, each out of a class. The first four bytes
of all needles are in two tables, by two bytes each, with a bit for each bucket of needles; where the bits of both
agree, the needles of the bucket are compared. The idea is that of the literal search Teddy of Hyperscan (Wang et al.,
NSDI 2019), with tables in the place of shuffles.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen
from dataguard.kernels.vectors import eight, inlined, lowest

Bytes = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
Needle = Sequence[frozenset[int]]
"""The class of bytes of each place."""

LONGEST = 16
"""Bytes of a needle that are looked at."""
GROUPS = 64
"""Groups of needles that are told apart."""
BUCKETS = 32
OWN = 24
"""Buckets of one beginning each: those that most bytes are share none, or all in the bucket would be met as often."""

_AT_ONCE = 4
"""Places whose first four bytes one load of eight has."""
_PAIR, _BYTE = np.uint64(0xFFFF), np.uint64(255)
_1, _8, _16, _24 = (np.uint64(n) for n in (1, 8, 16, 24))


class Tables(NamedTuple):
    """Needles, ready to be looked for.

    Attributes:
        pairs: u32[2, 65536], the buckets with a needle that has these two bytes at its first and at its next two places.
        classes: u8[needles, LONGEST, 256], whether a place of a needle takes a byte; by bucket.
        group: u64[needles], the bit of each needle's group.
        begin: i64[BUCKETS + 1], where each bucket's needles begin.
    """

    pairs: U32
    classes: Bytes
    group: U64
    begin: I64


def tables(groups: Sequence[Sequence[Needle]]) -> Tables:
    """The tables of at most GROUPS groups of needles."""
    needles = [(bit, needle) for bit, group in enumerate(groups) for needle in group]
    bucket = _buckets_of([_first(needle) for _, needle in needles])
    order = sorted(range(len(needles)), key=bucket.__getitem__)
    pairs = np.zeros((2, 1 << 16), np.uint32)
    classes = np.ones((len(needles), LONGEST, 256), np.uint8)
    for number, one in enumerate(order):
        for place, taken in enumerate(needles[one][1][:LONGEST]):
            classes[number, place] = 0
            classes[number, place, sorted(taken)] = 1
        for table, (first, second) in enumerate(((0, 1), (2, 3))):
            both = np.outer(classes[number, second], classes[number, first]).ravel() != 0
            pairs[table, both] |= np.uint32(1 << bucket[one])
    group = np.array([1 << needles[one][0] for one in order], np.uint64)
    begin = np.searchsorted([bucket[one] for one in order], np.arange(BUCKETS + 1))
    return Tables(pairs, classes, group, begin.astype(np.int64))


def _first(needle: Needle) -> tuple[frozenset[int], ...]:
    """The classes of the first four bytes, by which needles are told apart before they are compared."""
    every = frozenset(range(256))
    return (*needle[:4], *[every] * (4 - len(needle)))


def _buckets_of(first: Sequence[tuple[frozenset[int], ...]]) -> list[int]:
    """A bucket for each needle: those that begin alike are in one, and what most bytes may begin has one of its own."""
    distinct = sorted(dict.fromkeys(first), key=lambda one: -prod(map(len, one)))
    number = {one: at if at < OWN else OWN + (at - OWN) % (BUCKETS - OWN) for at, one in enumerate(distinct)}
    return [number[one] for one in first]


def found(data: Bytes, offsets: I64, by: Tables) -> U64:
    """The groups that have a needle in each text.

    What stands behind a text is taken for a part of it, and behind the last one are zeros: a needle that begins in a
    text may end behind it.

    Args:
        data: u8, the bytes of the texts.
        offsets: i64[n+1], where texts begin and end in `data`, as Arrow has them: ascending, within `data`.
        by: of `tables`.

    Returns:
        u64[n]: a bit for each group.
    """
    out = np.zeros(len(offsets) - 1, np.uint64)
    _found(frozen(data), frozen(offsets), tuple(frozen(table) for table in by), out)
    return out


def warm() -> None:
    """Compiles the kernel of this module."""
    found(np.zeros(9, np.uint8), np.array([0, 9]), tables([]))


@inlined
def _buckets(word: np.uint64, pairs: U32) -> np.uint32:
    """The buckets with a needle that may begin with the lowest four bytes."""
    return np.uint32(pairs[0, word & _PAIR] & pairs[1, (word >> _16) & _PAIR])


@compiled
def _word(data: Bytes, at: int) -> np.uint64:
    """Eight bytes; zeros behind the last one."""
    if at <= len(data) - 8:
        return np.uint64(eight(data, at))
    word = np.uint64(0)
    for place in range(len(data) - at):
        word |= np.uint64(data[at + place]) << np.uint64(8 * place)
    return word


@compiled
def _compared(data: Bytes, at: int, buckets: np.uint32, by: Any, seen: np.uint64) -> np.uint64:
    """The groups seen so far, and those of the buckets' needles that stand at a place."""
    _, classes, group, begin = by
    words = (_word(data, at), _word(data, at + 8))
    left = np.uint64(buckets)
    while left:
        bucket = lowest(left)
        left &= left - _1
        for number in range(begin[bucket], begin[bucket + np.uint64(1)]):
            if not seen & group[number]:
                place = 0
                while (
                    place < LONGEST
                    and classes[number, place, (words[place >> 3] >> np.uint64(8 * (place & 7))) & _BYTE]
                ):
                    place += 1
                if place == LONGEST:
                    seen |= group[number]
    return np.uint64(seen)


@compiled
def _found(data: Bytes, offsets: I64, by: Any, out: U64) -> None:
    """A text at a time."""
    pairs = by[0]
    last = len(data) - 8
    for text in range(len(offsets) - 1):
        at, end = offsets[text], offsets[text + 1]
        seen = np.uint64(0)
        while at < min(end, last - _AT_ONCE + 2):
            word = eight(data, at)
            some = _buckets(word, pairs) | _buckets(word >> _8, pairs)
            some |= _buckets(word >> _16, pairs) | _buckets(word >> _24, pairs)
            if some:
                for place in range(at, at + _AT_ONCE):
                    buckets = _buckets(eight(data, place), pairs)
                    if buckets:
                        seen = _compared(data, place, buckets, by, seen)
            at += _AT_ONCE
        while at < end:
            seen = _compared(data, at, _buckets(_word(data, at), pairs), by, seen)
            at += 1
        out[text] = seen

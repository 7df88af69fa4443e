"""Numbers counted in buckets that become wider only where they must: equal however the data is cut and put together.

A float's bits, once the sign is dealt with, sort as the numbers do, so that leading bits are a bucket: of about the same
width for its size anywhere. All buckets of a histogram leave away equally many bits, its level, and the level is the
least at which there are at most BUCKETS of them. That of a part is never above that of the whole, so parts can be made
coarser and summed in any order. Up to BUCKETS different numbers are counted one by one, and what is measured is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
B1 = npt.NDArray[np.bool_]

BUCKETS = 2048
"""Buckets of a histogram. A normal distribution of ten million records has at most .8 % of them in each."""
_LOWEST = np.int64(-(1 << 63))
_ALL = np.uint64((1 << 64) - 1)


def ordered(values: F64) -> U64:
    """Whole numbers that sort as these finite ones do; equal for 0 and -0."""
    bits = (values + 0.0).view(np.int64)
    return (bits ^ ((bits >> 63) | _LOWEST)).view(np.uint64)


@dataclass(frozen=True)
class Histogram:
    """How many numbers are in each bucket.

    Args:
        starts: u64, the least number in each bucket as `ordered` has it; ascending.
        tops: u64, the greatest; equal where the bucket has one number.
        counts: i64, above 0.
        level: the low bits that are left away, below 64.
    """

    starts: U64
    tops: U64
    counts: I64
    level: int

    @classmethod
    def of(cls, values: F64) -> Histogram:
        """Of finite numbers."""
        if not len(values):
            return cls(np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.int64), 0)
        keys = ordered(np.sort(values))
        first, level = _buckets(keys, 0)
        ends = np.append(first[1:], len(keys))
        return cls(keys[first], keys[ends - 1], ends - first, level)

    @classmethod
    def merged(cls, starts: U64, tops: U64, counts: I64, level: int) -> Histogram:
        """Of the buckets of several, put behind one another.

        Args:
            starts: u64.
            tops: u64.
            counts: i64.
            level: the highest of theirs.
        """
        order = np.argsort(starts, kind="stable")
        starts, tops, counts = starts[order], tops[order], counts[order]
        first, level = _buckets(starts, level)
        if not len(first):
            return cls(starts, tops, counts, level)
        return cls(starts[first], np.maximum.reduceat(tops, first), np.add.reduceat(counts, first), level)

    @property
    def records(self) -> int:
        """How many numbers were counted."""
        return int(self.counts.sum())

    def beside(self, other: Histogram) -> tuple[I64, I64, B1]:
        """The counts of both, bucket by bucket, at the level of the coarser; and which buckets have one number alone."""
        level = np.uint64(max(self.level, other.level))
        starts = np.concatenate([self.starts, other.starts])
        tops = np.concatenate([self.tops, other.tops])
        places, at = np.unique(starts >> level, return_inverse=True)
        table = np.zeros((2, len(places)), np.int64)
        side = np.repeat([0, 1], [len(self.starts), len(other.starts)])
        np.add.at(table, (side, at), np.concatenate([self.counts, other.counts]))
        least, most = np.full(len(places), _ALL), np.zeros(len(places), np.uint64)
        np.minimum.at(least, at, starts)
        np.maximum.at(most, at, tops)
        return table[0], table[1], least == most


def _buckets(keys: U64, least: int) -> tuple[I64, int]:
    """Where buckets begin among ascending keys, and their level: the least from here on with at most BUCKETS of them."""
    if not len(keys):
        return np.empty(0, np.int64), 0
    apart = keys[1:] ^ keys[:-1]
    level = _level(apart, least)
    return np.append(0, np.flatnonzero(apart >> np.uint64(level)) + 1), level


def _level(apart: U64, least: int) -> int:
    """The least level from here on at which neighbours that differ there are in at most BUCKETS buckets."""
    low, high = least, 63
    while low < high:
        middle = (low + high) // 2
        if np.count_nonzero(apart >> np.uint64(middle)) < BUCKETS:
            high = middle
        else:
            low = middle + 1
    return low

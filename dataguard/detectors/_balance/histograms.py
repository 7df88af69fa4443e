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

BUCKETS = 2048
"""Buckets of a histogram. A normal distribution of ten million records has at most .8 % of them in each."""
_SIGN = np.uint64(1 << 63)
_ALL = np.uint64((1 << 64) - 1)


def ordered(values: F64) -> U64:
    """Whole numbers that sort as these finite ones do; equal for 0 and -0."""
    bits = np.ascontiguousarray(values + 0.0).view(np.uint64)
    return np.where(bits & _SIGN, bits ^ _ALL, bits | _SIGN)


@dataclass(frozen=True)
class Histogram:
    """How many numbers are in each bucket.

    Args:
        starts: u64, the first number of each bucket as `ordered` has it; ascending.
        counts: i64, above 0.
        level: the low bits that are left away, below 64.
    """

    starts: U64
    counts: I64
    level: int

    @classmethod
    def of(cls, values: F64) -> Histogram:
        """Of finite numbers."""
        return cls.merged(ordered(values), np.ones(len(values), np.int64), 0)

    @classmethod
    def merged(cls, starts: U64, counts: I64, level: int) -> Histogram:
        """Of buckets in any order, several alike possible.

        Args:
            starts: u64.
            counts: i64.
            level: the highest of theirs.
        """
        if not len(starts):
            return cls(starts, counts, 0)
        if counts.max() == 1:
            starts = np.sort(starts)  # four times as fast as sorting by place
        else:
            order = np.argsort(starts, kind="stable")
            starts, counts = starts[order], counts[order]
        apart = starts[1:] ^ starts[:-1]
        level = _level(apart, level)
        first = np.concatenate([[0], np.flatnonzero(apart >> np.uint64(level)) + 1])
        return cls(_coarse(starts[first], level), np.add.reduceat(counts, first), level)

    @property
    def records(self) -> int:
        """How many numbers were counted."""
        return int(self.counts.sum())

    def beside(self, other: Histogram) -> tuple[I64, I64]:
        """The counts of both, bucket by bucket, at the level of the coarser."""
        level = max(self.level, other.level)
        starts = np.concatenate([_coarse(self.starts, level), _coarse(other.starts, level)])
        places, at = np.unique(starts, return_inverse=True)
        table = np.zeros((2, len(places)), np.int64)
        side = np.repeat([0, 1], [len(self.starts), len(other.starts)])
        np.add.at(table, (side, at), np.concatenate([self.counts, other.counts]))
        return table[0], table[1]


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


def _coarse(starts: U64, level: int) -> U64:
    return (starts >> np.uint64(level)) << np.uint64(level)

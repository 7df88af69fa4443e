"""One 64-bit hash of each document's words, or of their places."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen
from dataguard.kernels.shingles import mixed64

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

_FACTOR = np.uint64(0x9FB21C651E98DF25)
_1, _2, _3, _4, _5, _6, _7 = (np.uint64(number) for number in range(1, 8))


def content(values: npt.NDArray[Any], ends: I64, salt: int) -> U64:
    """A hash of each run of values.

    Args:
        values: u8 or u32.
        ends: i64[n], the end of each run; it starts where the one before it ends.
        salt: 0 to 2^64 - 1; who does not know it cannot make two runs meet.

    Returns:
        u64[n]; equal for equal runs.
    """
    out = np.empty(len(ends), np.uint64)
    _content(frozen(values), frozen(ends), np.uint64(salt), out)
    return out


@compiled
def _content(values: npt.NDArray[Any], ends: I64, salt: np.uint64, out: U64) -> None:
    """Eight values of at most 32 bits at a time, in four lanes that do not wait for one another."""
    start = np.int64(0)
    for run in range(len(ends)):
        end = ends[run]
        s0 = mixed64(salt ^ np.uint64(end - start))
        s1, s2, s3 = s0 + _FACTOR, s0 ^ _FACTOR, ~s0
        at = np.uint64(start)
        whole = np.uint64(end - (end - start) % 8)
        while at < whole:
            s0 = _step(s0, values[at], values[at + _1])
            s1 = _step(s1, values[at + _2], values[at + _3])
            s2 = _step(s2, values[at + _4], values[at + _5])
            s3 = _step(s3, values[at + _6], values[at + _7])
            at += np.uint64(8)
        while at < np.uint64(end):
            s0 = _step(s0, values[at], values[at])
            at += _1
        out[run] = mixed64(mixed64(mixed64(s0 ^ mixed64(s1)) ^ s2) ^ s3)
        start = end


@compiled
def _step(state: np.uint64, one: Any, other: Any) -> np.uint64:
    state = (state ^ (np.uint64(one) | np.uint64(other) << np.uint64(32))) * _FACTOR
    return state ^ (state >> np.uint64(29))


def warm() -> None:
    """Compiles the kernels of this module."""
    for dtype in (np.uint8, np.uint32):
        content(np.zeros(1, dtype), np.ones(1, np.int64), 0)

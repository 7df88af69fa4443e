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
    start = np.int64(0)
    for run in range(len(ends)):
        end = ends[run]
        state = mixed64(salt ^ np.uint64(end - start))
        for at in range(start, end):
            state = (state ^ np.uint64(values[at])) * _FACTOR
            state ^= state >> np.uint64(29)
        out[run] = mixed64(state)
        start = end


def warm() -> None:
    """Compiles the kernels of this module."""
    for dtype in (np.uint8, np.uint32):
        content(np.zeros(1, dtype), np.ones(1, np.int64), 0)

"""In how many records of each group a word of each slot stands: what two sets of texts are told apart by, in little room."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]

SLOT_BITS = 10
SLOTS = 1 << SLOT_BITS
"""Words are hashed into so many slots; which words meet in one is decided by the key of their hash."""

_SHIFT = np.uint32(32 - SLOT_BITS)


def record_shares(ids: U32, ends: I64, group: I64, groups: int) -> I64:
    """Records that have a word of a slot, each counted once for a slot.

    Args:
        ids: u32, keyed hashes of words.
        ends: i64[n], where in `ids` each record ends.
        group: i64[n], the group of each record, below `groups`.
        groups: how many there are.

    Returns:
        i64[groups, SLOTS].
    """
    out = np.zeros((groups, SLOTS), np.int64)
    seen = np.full(SLOTS, -1, np.int64)
    _shares(frozen(ids), frozen(ends), frozen(group), seen, out)
    return out


@compiled
def _shares(ids: U32, ends: I64, group: I64, seen: I64, out: I64) -> None:
    start = np.int64(0)
    for record in range(len(ends)):
        for at in range(start, ends[record]):
            slot = ids[at] >> _SHIFT
            if seen[slot] != record:
                seen[slot] = record
                out[group[record], slot] += 1
        start = ends[record]


def warm() -> None:
    """Compiles the kernels of this module."""
    record_shares(np.zeros(1, np.uint32), np.ones(1, np.int64), np.zeros(1, np.int64), 1)

"""The lowest different values of each run: a sketch by which runs of hashes are compared.

Runs that share values share them among their lowest too (bottom-k sketches: Cohen and Kaplan, 2007).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]

NONE = np.uint32(0xFFFFFFFF)
"""Stands behind the values of a run that has fewer."""


def lowest(values: U32, starts: I64, ends: I64, size: int) -> U32:
    """The lowest values of each run, each once, in order.

    Args:
        values: u32.
        starts: i64[n], where each run starts.
        ends: i64[n], the end of each.
        size: how many are kept.

    Returns:
        u32[n, size], NONE where a run has fewer.
    """
    out = np.full((len(starts), size), NONE, np.uint32)
    _lowest(frozen(values), frozen(starts), frozen(ends), out)
    return out


@compiled
def _lowest(values: U32, starts: I64, ends: I64, out: U32) -> None:
    size = out.shape[1]
    for run in range(len(starts)):
        kept = out[run]
        for at in range(starts[run], ends[run]):
            value = values[at]
            if value >= kept[size - 1]:
                continue
            place = size - 1
            while place > 0 and kept[place - 1] > value:
                place -= 1
            if place > 0 and kept[place - 1] == value:
                continue
            for behind in range(size - 1, place, -1):
                kept[behind] = kept[behind - 1]
            kept[place] = value


def warm() -> None:
    """Compiles the kernels of this module."""
    lowest(np.arange(3, dtype=np.uint32), np.zeros(1, np.int64), np.full(1, 3), 2)

"""Vectors of numbers as whole numbers of one length, so that products of them are exact whatever the order of sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen

F64 = npt.NDArray[np.float64]
I16 = npt.NDArray[np.int16]
I64 = npt.NDArray[np.int64]

SCALE = 4000
"""The length of each vector. The product of any parts of two is below 2^24 up to `MOST_DIM` numbers: a sum of such
products in 32-bit floats is exact, in any order and by any library."""
MOST_DIM = 32_768


def units(values: npt.NDArray[Any], firsts: I64, dim: int) -> tuple[I16, F64]:
    """Vectors stretched to one length and rounded, and how long they were.

    Args:
        values: f32 or f64, the numbers of all vectors.
        firsts: i64[n], where in `values` each vector begins.
        dim: how many numbers each has, at most `MOST_DIM`.

    Returns:
        i16[n, dim], of length `SCALE` up to rounding, or zero; f64[n], the Euclidean lengths, NaN for vectors that hold
        NaN or infinity.
    """
    out = np.zeros((len(firsts), dim), np.int16)
    norms = np.empty(len(firsts))
    _units(frozen(values), frozen(firsts), out, norms)
    return out, norms


@compiled
def _units(values: npt.NDArray[Any], firsts: I64, out: I16, norms: F64) -> None:
    for row in range(len(firsts)):
        first, most = firsts[row], 0.0
        for at in range(first, first + out.shape[1]):
            size = abs(np.float64(values[at]))
            if not size < np.inf:
                most = np.nan
                break
            most = max(most, size)
        norms[row] = most
        if not most > 0:
            continue
        square = 0.0
        for at in range(first, first + out.shape[1]):
            share = values[at] / most  # squares of large numbers would be infinite, those of small ones zero
            square += share * share
        norms[row] = most * np.sqrt(square)
        # Two steps, as a length near the greatest number there is would be infinite itself.
        factor = SCALE / np.sqrt(square)
        for at in range(out.shape[1]):
            out[row, at] = np.int16(np.rint(values[first + at] / most * factor))


def warm() -> None:
    """Compiles the kernels of this module."""
    for dtype in (np.float32, np.float64):
        units(np.ones(2, dtype), np.zeros(1, np.int64), 2)

"""Slices of one array put under one another in another order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled

Ints = npt.NDArray[np.int64]


def gather(source: npt.NDArray[Any], starts: Ints, lengths: Ints) -> npt.NDArray[Any]:
    """The slices of an array, one after the other.

    Args:
        source: u8 or u32.
        starts: where each slice begins.
        lengths: how long each is.

    Returns:
        As many values of the source's type as the lengths have in sum.
    """
    out = np.empty(int(lengths.sum()), source.dtype)
    _gather(source, starts, lengths, out)
    return out


@compiled
def _gather(source: npt.NDArray[Any], starts: Ints, lengths: Ints, out: npt.NDArray[Any]) -> None:
    at = 0
    for index in range(len(starts)):
        start = starts[index]
        for place in range(lengths[index]):
            out[at + place] = source[start + place]
        at += lengths[index]


def warm() -> None:
    """Compiles the kernels of this module."""
    one = np.zeros(1, np.int64)
    for dtype in (np.uint8, np.uint32):
        gather(np.zeros(1, dtype), one, one)

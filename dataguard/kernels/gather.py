"""Slices of one array put under one another in another order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen

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
    _gather(frozen(source), frozen(starts), frozen(lengths), out)
    return out


@compiled
def _gather(source: npt.NDArray[Any], starts: Ints, lengths: Ints, out: npt.NDArray[Any]) -> None:
    at = np.uint64(0)
    for index in range(len(starts)):
        start, length = np.uint64(starts[index]), np.uint64(lengths[index])
        for place in range(length):
            out[at + place] = source[start + place]
        at += length


def scatter(source: npt.NDArray[Any], starts: Ints, lengths: Ints, out: npt.NDArray[Any], at: Ints) -> None:
    """Writes slices of an array to places of another.

    Args:
        source: u32.
        starts: where each slice begins.
        lengths: how long each is.
        out: u32, written.
        at: where each slice goes.
    """
    _scatter(frozen(source), frozen(starts), frozen(lengths), out, frozen(at))


@compiled
def _scatter(source: npt.NDArray[Any], starts: Ints, lengths: Ints, out: npt.NDArray[Any], at: Ints) -> None:
    for index in range(len(starts)):
        begin, end = np.uint64(starts[index]), np.uint64(at[index])
        for place in range(np.uint64(lengths[index])):
            out[end + place] = source[begin + place]


def warm() -> None:
    """Compiles the kernels of this module."""
    one = np.zeros(1, np.int64)
    for dtype in (np.uint8, np.uint32):
        gather(np.zeros(1, dtype), one, one)
    scatter(np.zeros(1, np.uint32), one, one, np.zeros(1, np.uint32), one)

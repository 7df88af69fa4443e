"""Histograms of numbers whose bins are the leading bits of the numbers themselves.

As unsigned integers with the sign turned, floats sort as their values do. Cut to their leading bits they fall into bins
that nest: bins of one bit less are pairs of bins. A histogram has the longest beginning of all values that leaves at most
so many bins. Which one that is, and what is in each bin, hangs on the values alone, never on how they were cut or in
which order they came: a part never needs a coarser bin than the whole.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

_TOP = np.uint64(1 << 63)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


@compiled
def _put(keys: U64, counts: I64, key: np.uint64, count: int) -> int:
    """Adds to a bin of a table of a power of two places; gives 1 if the bin is new."""
    mask = len(keys) - 1
    at = np.int64((key * _SPREAD) >> np.uint64(40)) & mask
    while counts[at] != 0:
        if keys[at] == key:
            counts[at] += count
            return 0
        at = (at + 1) & mask
    keys[at] = key
    counts[at] = count
    return 1


@compiled
def _coarser(keys: U64, counts: I64) -> int:
    """Joins pairs of bins; gives how many bins are left."""
    kept = np.flatnonzero(counts)
    old_keys, old_counts = keys[kept], counts[kept]
    counts[:] = 0
    bins = 0
    for key, count in zip(old_keys, old_counts):  # noqa: B905 - compiled
        bins += _put(keys, counts, key >> np.uint64(1), count)
    return bins


@compiled
def _fill(values: F64, keys: U64, counts: I64, most: int) -> int:
    bits = values.view(np.uint64)
    shift = np.uint64(0)
    bins = 0
    for at in range(len(values)):
        value = values[at]
        if not np.isfinite(value):
            continue
        # Of the two zeros one is negative; both are one value.
        key = _TOP if value == 0.0 else ~bits[at] if value < 0.0 else bits[at] | _TOP
        bins += _put(keys, counts, key >> shift, 1)
        while bins > most:
            bins = _coarser(keys, counts)
            shift += np.uint64(1)
    return int(shift)


@compiled
def _merge(parts: tuple[U64, I64, I64], keys: U64, counts: I64, most: int) -> int:
    theirs, numbers, shifts = parts
    shift = 0
    for at in range(len(shifts)):
        shift = max(shift, int(shifts[at]))
    bins = 0
    for at in range(len(theirs)):
        bins += _put(keys, counts, theirs[at] >> np.uint64(shift - shifts[at]), numbers[at])
        while bins > most:
            bins = _coarser(keys, counts)
            shift += 1
            # What is still to come is cut by what `shift` says from here on.
    return shift


def histogram(values: F64, most: int) -> tuple[U64, I64, int]:
    """The histogram of the finite ones of some numbers.

    Args:
        values: contiguous.
        most: bins at most, two or more.

    Returns:
        The bins, sorted; how many values are in each; how many bits they lack.
    """
    keys, counts = _table(most)
    shift = _fill(values, keys, counts, most)
    return *_sorted(keys, counts), int(shift)


def merged(keys: U64, counts: I64, shifts: I64, most: int) -> tuple[U64, I64, int]:
    """The histogram of all values that several histograms are of.

    Args:
        keys: their bins, one histogram after the other.
        counts: how many values are in each.
        shifts: how many bits each bin lacks.
        most: bins at most, two or more.
    """
    all_keys, all_counts = _table(most)
    shift = _merge((keys, counts, shifts), all_keys, all_counts, most)
    return *_sorted(all_keys, all_counts), int(shift)


def values_of(keys: U64, shift: int) -> F64:
    """A number for each bin: the value itself where no bit is lacking, else the bin's middle."""
    whole = keys << np.uint64(shift)
    if shift:
        whole = whole | np.uint64(1 << (shift - 1))
    bits = np.where(whole & _TOP, whole ^ _TOP, ~whole)
    largest = np.finfo(np.float64).max
    # The middle of the outermost bin may lie beyond the last number.
    return np.clip(np.nan_to_num(bits.view(np.float64), nan=largest), -largest, largest)


def _table(most: int) -> tuple[U64, I64]:
    places = 1 << (2 * most).bit_length()
    return np.zeros(places, np.uint64), np.zeros(places, np.int64)


def _sorted(keys: U64, counts: I64) -> tuple[U64, I64]:
    kept = np.flatnonzero(counts)
    kept = kept[np.argsort(keys[kept])]
    return keys[kept], counts[kept]


def warm() -> None:
    """Compiles the kernels for the types that they are called with."""
    keys, counts, shift = histogram(np.array([1.5, -1.0, 0.0, np.nan]), 2)
    merged(keys, counts, np.full(len(keys), shift), 2)

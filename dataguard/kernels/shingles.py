"""Shingles: runs of five neighbouring words as 32-bit hashes, and the exact overlap of two documents.

The hash of a shingle is multilinear: the sum of the five words' numbers, each times a 64-bit key of its own,
of which the upper half is kept (Lemire & Kaser, "Strongly universal string hashing is fast", 2014). Two
different shingles meet with probability 2^-32 for whoever does not know the salt, the order of the words
counts, and its five multiplications do not wait for one another, so the compiler makes vectors of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]

WIDTH = 5
"""Words in a shingle."""

STEP = np.uint64(0x9E3779B97F4A7C15)
_ONE = np.uint64(1)
_BLOCK = 32
_GALLOP = 16
"""Sets whose sizes differ by more than this factor are searched rather than merged."""


@compiled
def mixed64(value: np.uint64) -> np.uint64:
    """A bijection of 64 bits in which every bit depends on every bit (the finaliser of SplitMix64)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@compiled
def shingle(ids: U32, at: int, salt: np.uint64) -> np.uint32:
    """The hash of the words `ids[at : at + WIDTH]`; the keys come from the salt and are made once a loop."""
    total = mixed64(salt)
    for place in range(np.uint64(WIDTH)):
        key = mixed64(salt + (place + _ONE) * STEP) | _ONE
        total += key * np.uint64(ids[np.uint64(at) + place])  # unsigned: never counted from the end
    return np.uint32(total >> np.uint64(32))


@compiled
def shingle_set(ids: U32, start: int, end: int, salt: np.uint64, out: U32) -> int:
    """Writes the sorted distinct shingle hashes of the words `ids[start:end]` and returns how many there are.

    Args:
        ids: u32[T], words of many documents.
        start: number of the document's first word.
        end: number of the word after its last.
        salt: u64, the same for all documents that are to be compared.
        out: u32[>= end - start - WIDTH + 1], written from the front; the rest of it is scratch.
    """
    size = end - start - (WIDTH - 1)
    if size <= 0:
        return 0
    for i in range(size):
        out[i] = shingle(ids, start + i, salt)
    _sort(out[:size])
    count = 1
    for i in range(1, size):
        value = out[i]
        count += value != out[count - 1]
        out[count - 1] = value
    return count


@compiled
def _sort(values: U32) -> None:
    """Sorts in place, by four bytes from the lowest: the same steps for any values, so none of them is slow."""
    size = len(values)
    spare = np.empty(size, np.uint32)
    ends = np.zeros((4, 256), np.int64)
    for i in range(size):
        value = values[i]
        for byte in range(4):
            ends[byte, (value >> np.uint32(8 * byte)) & np.uint32(255)] += 1
    source, target = values, spare
    for byte in range(4):
        place = np.int64(0)
        for digit in range(256):
            count = ends[byte, digit]
            ends[byte, digit] = place
            place += count
        for i in range(size):
            value = source[i]
            digit = (value >> np.uint32(8 * byte)) & np.uint32(255)
            target[ends[byte, digit]] = value
            ends[byte, digit] += 1
        source, target = target, source


@compiled
def overlap(a: U32, b: U32, least: int) -> int:
    """Size of the intersection of two sorted sets.

    Sets of like size are merged without branches on their values.

    Args:
        a: u32, ascending.
        b: u32, ascending.
        least: what matters; once it can no longer be reached, a number below it is returned.
    """
    if len(a) > len(b):
        a, b = b, a
    if len(a) * _GALLOP < len(b):
        return _overlap_searched(a, b)
    i = j = count = 0
    while i + _BLOCK <= len(a) and j + _BLOCK <= len(b):
        for _ in range(_BLOCK):
            x, y = a[i], b[j]
            count += x == y
            i += x <= y
            j += y <= x
        if count + min(len(a) - i, len(b) - j) < least:
            return min(count, least - 1)
    while i < len(a) and j < len(b):
        x, y = a[i], b[j]
        count += x == y
        i += x <= y
        j += y <= x
    return count


@compiled
def _overlap_searched(few: U32, many: U32) -> int:
    """The same for a set much smaller than the other: doubled steps, then halved ones, from where the last ended."""
    count = low = 0
    for value in few:
        step = 1
        while low + step < len(many) and many[low + step] < value:
            low += step
            step *= 2
        high = min(low + step, len(many))
        while low < high:
            middle = (low + high) // 2
            if many[middle] < value:
                low = middle + 1
            else:
                high = middle
        if low == len(many):
            break
        count += many[low] == value
    return count


def warm() -> None:
    """Compiles the kernels of this module."""
    ids = np.arange(WIDTH, dtype=np.uint32)
    ids.flags.writeable = False
    out = np.empty(1, np.uint32)
    shingle_set(ids, 0, WIDTH, np.uint64(0), out)
    overlap(out, out, 0)

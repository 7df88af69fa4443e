"""MinHash signatures, slot for slot those of datasketch 2.0's scheme `affine32`, and the keys of their bands.

A shingle's hash is mixed once (the finaliser of MurmurHash3), then each slot keeps the smallest a * h + b mod 2^32
over the shingles of a document (Broder 1997). Equal slots estimate the Jaccard similarity of the sets of shingles.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from dataguard.errors import UsageError
from dataguard.kernels.compiled import compiled
from dataguard.kernels.shingles import I64, STEP, U32, WIDTH, mixed64, shingle

U64 = npt.NDArray[np.uint64]
Array = TypeVar("Array", bound=npt.NDArray[Any])

SLOTS = 128
EMPTY = 2**32 - 1
"""The value of every slot of a document without shingles."""

_AT_ONCE = 8
_BUFFER = 1024  # 4 KB: stays in the first cache beside the factors
_1, _2, _3, _4, _5, _6, _7 = np.arange(1, 8, dtype=np.uint64)


def permutations(seed: int, slots: int = SLOTS) -> tuple[U32, U32]:
    """The factors (odd) and summands of each slot, as datasketch draws them for the same seed.

    Args:
        seed: 0 to 2^32 - 1.
        slots: how many there are.

    Returns:
        a and b, u32[slots] each.

    Raises:
        UsageError: the seed does not fit.
    """
    if not 0 <= seed < 2**32:
        raise UsageError(f"the seed of signatures must lie in 0 to 2^32 - 1, not {seed}")
    draw = np.random.RandomState(seed)
    a = draw.randint(0, 2**31, slots, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return a, draw.randint(0, 2**32, slots, dtype=np.uint32)


def signatures(ids: U32, ends: I64, a: U32, b: U32, salt: int) -> U32:
    """Signatures of many documents.

    Args:
        ids: u32[T], the documents' words under one another.
        ends: i64[n], the end of each document's words in `ids`; it starts where the one before it ends.
        a: u32[slots], from `permutations`.
        b: u32[slots], likewise.
        salt: 0 to 2^64 - 1, of the hashes of shingles.

    Returns:
        u32[n, slots]; all `EMPTY` for documents of fewer than `WIDTH` words.
    """
    out = np.empty((len(ends), len(a)), np.uint32)
    _signatures(frozen(ids), frozen(ends), frozen(a), frozen(b), np.uint64(salt), out)
    return out


def band_keys(signatures: U32, bands: int, rows: int, salt: int) -> U64:
    """A 64-bit key for each band of each signature; documents that share one are candidates.

    Without the salt nobody can make bands meet on purpose. Documents without shingles share all keys: leave them out.

    Args:
        signatures: u32[n, slots].
        bands: how many.
        rows: slots in a band; bands * rows at most the slots.
        salt: 0 to 2^64 - 1.

    Returns:
        u64[n, bands]; the number of the band is mixed in.

    Raises:
        UsageError: the bands do not fit into the slots.
    """
    slots = signatures.shape[1]
    if bands < 1 or rows < 1 or bands * rows > slots:
        raise UsageError(f"{bands} bands of {rows} slots do not fit into signatures of {slots} slots")
    out = np.empty((len(signatures), bands), np.uint64)
    _band_keys(frozen(signatures), rows, np.uint64(salt), out)
    return out


def frozen(array: Array) -> Array:
    """A read-only view in one piece: Numba compiles anew for arrays that may be written, and Arrow's may not."""
    view = cast("Array", np.ascontiguousarray(array).view())
    view.flags.writeable = False
    return view


@compiled
def _signatures(ids: U32, ends: I64, a: U32, b: U32, salt: np.uint64, out: U32) -> None:
    """Each document's shingles in buffers that stay in the first cache, against all slots."""
    buffer = np.empty(_BUFFER + _AT_ONCE, np.uint32)
    start = np.int64(0)
    for document in range(len(ends)):
        end = ends[document]
        minima = out[document]
        minima[:] = np.uint32(EMPTY)
        last = end - (WIDTH - 1)
        for first in range(start, last, _BUFFER):
            size = min(_BUFFER, last - first)
            for i in range(size):
                buffer[i] = _mixed32(shingle(ids, first + i, salt))
            for i in range(size, size + _AT_ONCE):
                buffer[i] = buffer[size - 1]  # a shingle twice changes no minimum
            _lower(minima, a, b, buffer, size)
        start = end


@compiled
def _lower(minima: U32, a: U32, b: U32, mixed: U32, size: int) -> None:
    """Eight shingles at once, the slots innermost: one load and store of a slot's minimum for eight of them.

    The processor multiplies without pause so. Indexes are unsigned, because Numba takes signed ones
    to count from the end where they are negative, and asks at every step.
    """
    for at in range(np.uint64(0), np.uint64(size), np.uint64(_AT_ONCE)):
        h0, h1, h2, h3 = mixed[at], mixed[at + _1], mixed[at + _2], mixed[at + _3]
        h4, h5, h6, h7 = mixed[at + _4], mixed[at + _5], mixed[at + _6], mixed[at + _7]
        for k in range(len(minima)):
            factor, summand = a[k], b[k]
            low = min(np.uint32(factor * h0 + summand), np.uint32(factor * h1 + summand))
            low = min(low, min(np.uint32(factor * h2 + summand), np.uint32(factor * h3 + summand)))
            high = min(np.uint32(factor * h4 + summand), np.uint32(factor * h5 + summand))
            high = min(high, min(np.uint32(factor * h6 + summand), np.uint32(factor * h7 + summand)))
            minima[k] = min(minima[k], min(low, high))


@compiled
def _mixed32(value: np.uint32) -> np.uint32:
    """The finaliser of MurmurHash3 for 32 bits, with which datasketch mixes what it is given."""
    value = np.uint32((value ^ (value >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    value = np.uint32((value ^ (value >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(value ^ (value >> np.uint32(16)))


@compiled
def _band_keys(signatures: U32, rows: int, salt: np.uint64, out: U64) -> None:
    """A band is hashed as a shingle is, with keys of its own, and mixed once more: one multiplication a slot."""
    bands = np.uint64(out.shape[1])
    width = np.uint64(rows)
    keys = np.empty(bands * width, np.uint64)
    for k in range(bands * width):
        keys[k] = mixed64(salt + (k + _1) * STEP) | _1
    for document in range(np.uint64(out.shape[0])):
        for band in range(bands):
            total = np.uint64(band)
            for k in range(band * width, (band + _1) * width):
                total += keys[k] * np.uint64(signatures[document, k])
            out[document, band] = mixed64(total)


def warm() -> None:
    """Compiles the kernels of this module."""
    a, b = permutations(0)
    words = np.arange(WIDTH, dtype=np.uint32)
    band_keys(signatures(words, np.array([WIDTH], np.int64), a, b, 0), 1, 1, 0)

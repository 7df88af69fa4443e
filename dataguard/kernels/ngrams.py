"""Words and pairs of neighbouring words of texts, added up with signs in vectors of few numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen
from dataguard.kernels.shingles import mixed64

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]

PLACES = 4
"""Where each word is added; 16 bits of its hash say where and with which sign."""


def ngrams(ids: U32, ends: I64, dim: int, salt: int) -> F32:
    """One vector for each text, of length 1; zero without words.

    Of each sum the root is taken, so that what is said often does not outweigh all else.

    Args:
        ids: u32, words.
        ends: i64[n], where in `ids` each text ends.
        dim: a power of two, at most 2^15.
        salt: 0 to 2^64 - 1.

    Returns:
        f32[n, dim].
    """
    out = np.zeros((len(ends), dim), np.float32)
    _ngrams(frozen(ids), frozen(ends), np.uint64(salt), out)
    return out


@compiled
def _ngrams(ids: U32, ends: I64, salt: np.uint64, out: F32) -> None:
    first = np.int64(0)
    mask = np.uint64(out.shape[1] - 1)
    for text in range(len(ends)):
        before = np.uint64(0)
        for at in range(first, ends[text]):
            word = np.uint64(ids[at])
            _add(out[text], mixed64(salt ^ word), mask)
            if at > first:
                _add(out[text], mixed64(~salt ^ (before << np.uint64(32) | word)), mask)
            before = word
        first = ends[text]
        total = np.float32(0)
        for place in range(out.shape[1]):
            total += abs(out[text, place])
        if total > 0:
            # The squares of the roots add up to the sum of what the roots are taken of.
            for place in range(out.shape[1]):
                size = abs(out[text, place])
                out[text, place] = np.sqrt(size / total) if out[text, place] > 0 else -np.sqrt(size / total)


@compiled
def _add(out: F32, drawn: np.uint64, mask: np.uint64) -> None:
    for place in range(PLACES):
        bits = drawn >> np.uint64(16 * place)
        out[np.int64(bits & mask)] += np.float32(1) if bits & np.uint64(0x8000) else np.float32(-1)


def warm() -> None:
    """Compiles the kernels of this module."""
    ngrams(np.zeros(2, np.uint32), np.full(1, 2, np.int64), 2, 0)

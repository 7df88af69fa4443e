"""How alike short lists of words are, and how much of an answer stands in what was asked."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen
from dataguard.kernels.shingles import overlap

U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

_KIND = np.uint32(16)


def as_sets(ids: U32, ends: I64) -> tuple[U32, I64]:
    """The different words of each list, sorted.

    Args:
        ids: u32[T], words, one list after the other.
        ends: i64[n], the end of each.

    Returns:
        The same of fewer words.
    """
    out, sizes = np.array(ids), np.zeros(len(ends), np.int64)
    used = _as_sets(out, frozen(ends), sizes)
    return out[:used].copy(), np.cumsum(sizes)


@compiled
def _as_sets(words: U32, ends: I64, sizes: I64) -> int:
    start, used = np.int64(0), 0
    for one in range(len(ends)):
        here = words[start : ends[one]]
        here.sort()
        begun = used
        for place in range(len(here)):
            if used == begun or here[place] != words[used - 1]:
                words[used] = here[place]
                used += 1
        sizes[one] = used - begun
        start = ends[one]
    return used


def jaccard(ids: U32, ends: I64, a: I64, b: I64) -> F64:
    """The Jaccard similarity of pairs of sets.

    Args:
        ids: u32[T], of `as_sets`.
        ends: i64[n], likewise.
        a: i64[m], numbers of sets.
        b: i64[m], likewise.
    """
    out = np.empty(len(a), np.float64)
    _jaccard(frozen(ids), frozen(ends), frozen(a), frozen(b), out)
    return out


@compiled
def _of(ids: U32, ends: I64, one: int) -> U32:
    start = ends[one - 1] if one else np.int64(0)
    return ids[start : ends[one]]


@compiled
def _jaccard(ids: U32, ends: I64, a: I64, b: I64, out: F64) -> None:
    for pair in range(len(a)):
        one, other = _of(ids, ends, a[pair]), _of(ids, ends, b[pair])
        shared = overlap(one, other, 0)
        out[pair] = shared / max(1, len(one) + len(other) - shared)


def echoes(answers: tuple[U32, I64], prompts: tuple[U32, I64], pairs: I64, telling: U8) -> I64:
    """How many words of an answer that tell something stand in a prompt.

    Args:
        answers: words and ends of sets.
        prompts: likewise.
        pairs: i64[m, 2], numbers of an answer and of a prompt.
        telling: u8[65536], by the upper half of a word's number, whether it tells something.

    Returns:
        i64[m, 2]: how many, and how many such words the answer has.
    """
    out = np.zeros((len(pairs), 2), np.int64)
    _echoes(
        (frozen(answers[0]), frozen(answers[1])),
        (frozen(prompts[0]), frozen(prompts[1])),
        frozen(pairs),
        frozen(telling),
        out,
    )
    return out


@compiled
def _echoes(answers: tuple[U32, I64], prompts: tuple[U32, I64], pairs: I64, telling: U8, out: I64) -> None:
    for pair in range(len(pairs)):
        prompt = _of(prompts[0], prompts[1], pairs[pair, 1])
        for word in _of(answers[0], answers[1], pairs[pair, 0]):
            if telling[word >> _KIND]:
                at = np.searchsorted(prompt, word)
                out[pair, 0] += at < len(prompt) and prompt[at] == word
                out[pair, 1] += 1


def warm() -> None:
    """Compiles the kernels of this module."""
    ids, ends = as_sets(np.arange(4, dtype=np.uint32), np.array([2, 4]))
    one = np.zeros(1, np.int64)
    jaccard(ids, ends, one, one)
    echoes((ids, ends), (ids, ends), np.zeros((1, 2), np.int64), np.ones(1 << 16, np.uint8))

"""How alike short lists of words are, and how much of an answer stands in what was asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen

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


def jaccard(sets: tuple[U32, I64], a: I64, b: I64, weights: F64) -> F64:
    """The weighted Jaccard similarity of pairs of sets: what words of both weigh, of what words of either do.

    Args:
        sets: u32[T] and i64[n], of `as_sets`.
        a: i64[m], numbers of sets.
        b: i64[m], likewise.
        weights: f64[65536], by the upper half of a word's number; at least 0.
    """
    out = np.empty(len(a), np.float64)
    _jaccard((frozen(sets[0]), frozen(sets[1])), frozen(a), frozen(b), frozen(weights), out)
    return out


@compiled
def _of(ids: U32, ends: I64, one: int) -> U32:
    start = ends[one - 1] if one else np.int64(0)
    return ids[start : ends[one]]


@compiled
def _jaccard(sets: tuple[U32, I64], a: I64, b: I64, weights: F64, out: F64) -> None:
    ids, ends = sets
    for pair in range(len(a)):
        one, other = _of(ids, ends, a[pair]), _of(ids, ends, b[pair])
        both = either = 0.0
        i = j = 0
        while i < len(one) or j < len(other):
            if j == len(other) or (i < len(one) and one[i] < other[j]):
                either += weights[one[i] >> _KIND]
                i += 1
            elif i == len(one) or other[j] < one[i]:
                either += weights[other[j] >> _KIND]
                j += 1
            else:
                both += weights[one[i] >> _KIND]
                either += weights[one[i] >> _KIND]
                i += 1
                j += 1
        out[pair] = both / either if either > 0 else 0.0


def echoes(answers: tuple[U32, I64], prompts: tuple[U32, I64], pairs: I64, by: tuple[I64, int]) -> I64:
    """How many words of an answer that tell something stand in a prompt.

    Args:
        answers: words and ends of sets.
        prompts: likewise.
        pairs: i64[m, 2], numbers of an answer and of a prompt.
        by: i64[65536], by the upper half of a word's number, in how many of a sample's prompts it stands; and up to how
            many a word tells something.

    Returns:
        i64[m, 3]: how many, how many such words the answer has, and in how many of the sample these stand in sum.
    """
    out = np.zeros((len(pairs), 3), np.int64)
    sets = (frozen(answers[0]), frozen(answers[1]), frozen(prompts[0]), frozen(prompts[1]))
    _echoes(sets, frozen(pairs), frozen(by[0]), by[1], out)
    return out


@compiled
def _echoes(sets: Any, pairs: I64, having: I64, most: int, out: I64) -> None:
    answers, answer_ends, prompts, prompt_ends = sets
    for pair in range(len(pairs)):
        prompt = _of(prompts, prompt_ends, pairs[pair, 1])
        for word in _of(answers, answer_ends, pairs[pair, 0]):
            if having[word >> _KIND] <= most:
                at = np.searchsorted(prompt, word)
                out[pair, 0] += at < len(prompt) and prompt[at] == word
                out[pair, 1] += 1
                out[pair, 2] += having[word >> _KIND]


def warm() -> None:
    """Compiles the kernels of this module."""
    ids, ends = as_sets(np.arange(4, dtype=np.uint32), np.array([2, 4]))
    one = np.zeros(1, np.int64)
    jaccard((ids, ends), one, one, np.ones(1 << 16))
    echoes((ids, ends), (ids, ends), np.zeros((1, 2), np.int64), (np.ones(1 << 16, np.int64), 1))

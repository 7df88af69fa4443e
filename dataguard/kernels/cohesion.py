"""How alike the records of a set are: the mean cosine of all pairs of them, without pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

_EXACT = 1e-6
"""Of its squared length a record must have left for the rest to be had by subtraction."""


def cohesion(
    sets: tuple[Ints, Numbers],
    own: tuple[Ints, Numbers],
    vectors: tuple[Ints, Numbers, Floats],
    words: int,
) -> Floats:
    """The mean cosine of all pairs of records of each set.

    The cosines of a vector with all before it are one product with their sum, so that the cost is linear in the set.

    Args:
        sets: where each begins (i64[n + 1]) in the list of its records (i32).
        own: where each one's own words begin (i64[n + 1]) and these words (i32), which are left out.
        vectors: where each record begins (i64[records + 1]), its words (i32, ascending), their weights (f64).
        words: numbers of words are below it.

    Returns:
        f64[n]; 0 for sets of one.
    """
    out = np.zeros(len(sets[0]) - 1)
    begin, records = sets
    if len(vectors[1]) and len(out):
        row, word, weight = vectors
        squares = np.bincount(
            np.repeat(np.arange(len(row) - 1), np.diff(row)), weights=weight**2, minlength=len(row) - 1
        )
        _cohesion(
            (frozen(begin), frozen(records)),
            (frozen(own[0]), frozen(own[1])),
            (frozen(row), frozen(word), frozen(weight), frozen(squares)),
            (np.zeros(words), np.zeros(words, np.uint8)),
            out,
        )
    return out


@compiled
def _cohesion(sets: Any, own_words: Any, vectors: Any, room: Any, out: Floats) -> None:
    begin, records = sets
    own_begin, own = own_words
    row, word, _, _ = vectors
    total, left_out = room
    distinct = np.empty(1 + np.max(np.diff(own_begin)), np.int32)
    for one in range(len(out)):
        some = 0
        for at in range(own_begin[one], own_begin[one + 1]):
            if not left_out[own[at]]:
                left_out[own[at]] = 1
                distinct[some] = own[at]
                some += 1
        low, high = begin[one], begin[one + 1]
        cosines, touched = 0.0, 0
        for at in range(low, high):
            cosines += _add(records[at], vectors, distinct[:some], room)
            touched += row[records[at] + 1] - row[records[at]]
        if touched > len(total) // 4:
            total[:] = 0.0
        else:
            for at in range(low, high):
                for place in range(np.uint64(row[records[at]]), np.uint64(row[records[at] + 1])):
                    total[word[place]] = 0.0
        for at in range(some):
            left_out[distinct[at]] = 0
        pairs = (high - low) * (high - low - 1)
        if pairs > 0:
            out[one] = 2 * cosines / pairs


@compiled
def _add(record: int, vectors: Any, own: Any, room: Any) -> float:
    """Adds a record as a unit vector; returns its cosines with all that were added before.

    Its own words are added too, and what they give is taken off again: that needs no look at every word.
    """
    row, word, weight, squares = vectors
    total, left_out = room
    low, high = row[record], row[record + 1]
    square = squares[record]
    for at in range(len(own)):
        place = _found(word, low, high, own[at])
        if place < high:
            square -= weight[place] * weight[place]
    if square < _EXACT * squares[record]:  # the difference of equal numbers: summed anew
        square = 0.0
        for place in range(low, high):
            if not left_out[word[place]]:
                square += weight[place] * weight[place]
    if square <= 0:
        return 0.0
    scale = 1 / np.sqrt(square)
    cosines = 0.0
    for at in range(len(own)):
        place = _found(word, low, high, own[at])
        if place < high:
            cosines -= total[own[at]] * weight[place]
    for place in range(np.uint64(low), np.uint64(high)):
        number, share = word[place], weight[place]
        before = total[number]
        cosines += before * share
        total[number] = before + share * scale
    return float(cosines * scale)


@compiled
def _found(word: Any, low: int, high: int, wanted: int) -> int:
    """Where a word stands among those of a record, which ascend; the end if nowhere."""
    end = high
    while low < high:
        middle = (low + high) >> 1
        if word[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low if low < end and word[low] == wanted else end


def warm() -> None:
    """Compiles the kernels of this module."""
    one = np.zeros(1, np.int32)
    cohesion((np.arange(2), one), (np.zeros(2, np.int64), one[:0]), (np.arange(2), one, np.ones(1)), 1)

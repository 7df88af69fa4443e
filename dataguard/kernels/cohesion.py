"""How alike the records of a set are: the mean cosine of all pairs of them, without pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def cohesion(
    sets: tuple[Ints, Ints], own: tuple[Ints, Ints], vectors: tuple[Ints, Ints, Floats], words: int
) -> Floats:
    """The mean cosine of all pairs of records of each set.

    The squared length of the sum of n unit vectors is n plus the cosines of all ordered pairs, so that the cost is
    linear in the set.

    Args:
        sets: where each begins (i64[n + 1]) in the list of its records (i64).
        own: where each one's own words begin (i64[n + 1]) and these words (i64), which are left out.
        vectors: where each record begins (i64[records + 1]), its words (i64), their weights (f64).
        words: numbers of words are below it.

    Returns:
        f64[n]; 0 for sets of one.
    """
    out = np.zeros(len(sets[0]) - 1)
    begin, records = sets
    if len(vectors[1]):
        _cohesion(
            (frozen(begin), frozen(records)),
            (frozen(own[0]), frozen(own[1])),
            (frozen(vectors[0]), frozen(vectors[1]), frozen(vectors[2])),
            (np.zeros(words), np.zeros(words, np.uint8)),
            out,
        )
    return out


@compiled
def _cohesion(sets: Any, own_words: Any, vectors: Any, room: Any, out: Floats) -> None:
    begin, records = sets
    own_begin, own = own_words
    row, word, weight = vectors
    total, left_out = room
    for one in range(len(out)):
        for at in range(own_begin[one], own_begin[one + 1]):
            left_out[own[at]] = 1
        low, high = begin[one], begin[one + 1]
        some = 0
        for at in range(low, high):
            some += _add(row[records[at]], row[records[at] + 1], word, weight, left_out, total)
        square = 0.0
        for at in range(low, high):
            for place in range(row[records[at]], row[records[at] + 1]):
                square += total[word[place]] * total[word[place]]
                total[word[place]] = 0.0
        for at in range(own_begin[one], own_begin[one + 1]):
            left_out[own[at]] = 0
        pairs = (high - low) * (high - low - 1)
        if pairs > 0:
            out[one] = (square - some) / pairs


@compiled
def _add(
    low: int, high: int, word: Ints, weight: Floats, left_out: npt.NDArray[np.uint8], total: Floats
) -> int:
    """Adds a record as a unit vector; 0 if nothing of it is left, else 1."""
    square = 0.0
    for place in range(low, high):
        if not left_out[word[place]]:
            square += weight[place] * weight[place]
    if square <= 0:
        return 0
    scale = 1 / np.sqrt(square)
    for place in range(low, high):
        if not left_out[word[place]]:
            total[word[place]] += weight[place] * scale
    return 1


def warm() -> None:
    """Compiles the kernels of this module."""
    one = np.zeros(1, np.int64)
    cohesion((np.arange(2), one), (np.zeros(2, np.int64), one[:0]), (np.arange(2), one, np.ones(1)), 1)

"""Which words are of one kind, told by the words that they stand beside.

Words with equal neighbours are of one kind (Harris, "Distributional Structure", 1954): adverbs follow the same words,
whatever they mean. The neighbours' counts, as positive pointwise mutual information with a smoothed context, are brought
to few dimensions by singular values (Levy, Goldberg, Dagan, TACL 2015). A word of a language stands beside words of few
kinds; what was put in anywhere stands beside all.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]

CONTEXTS = 1000
"""Words, the most frequent ones, whose neighbourhood tells of what kind others are."""
DIMENSIONS = 50
_SMOOTH = 0.75
_AT_ONCE = 20_000
"""Owners whose sums of vectors are in memory together."""


class Kinds:
    """Unit vectors of words: of the kind that they are as the word before, and as the word after.

    Args:
        left: i32[m], the first word of each pair of neighbours.
        right: i32[m], the second one.
        counts: i32[m], how often the pair stands there.
        words: how many different words there are.
    """

    def __init__(self, left: Numbers, right: Numbers, counts: Numbers, words: int) -> None:
        self._words = words
        self._before = _vectors(left, right, counts, words)
        self._after = _vectors(right, left, counts, words)

    def alike(self, owner: Numbers, left: Numbers, right: Numbers, owners: int) -> Floats:
        """How much of one kind the neighbours of each owner are: mean cosines of both sides' pairs, added up.

        Args:
            owner: i32[n], whose neighbours they are.
            left: i32[n], the word before.
            right: i32[n], the word after.
            owners: how many there are.

        Returns:
            f64[owners], up to 2, which those have that stand in one surrounding alone.
        """
        counts = np.bincount(owner, minlength=owners)
        sides = [
            self._cosines(owner, word, vectors, counts)
            for word, vectors in ((left, self._before), (right, self._after))
        ]
        return np.where(counts > 1, sides[0] + sides[1], 2.0)

    def _cosines(self, owner: Numbers, word: Numbers, vectors: Vectors, counts: Ints) -> Floats:
        from scipy.sparse import coo_array

        ones = np.ones(len(word), np.float32)
        places = coo_array((ones, (owner, word)), (len(counts), self._words)).tocsr()
        own = places @ vectors.any(axis=1).astype(np.float32)  # each with itself
        together = np.concatenate(
            [
                ((places[first : first + _AT_ONCE] @ vectors) ** 2).sum(axis=1, dtype=np.float64)
                for first in range(0, len(counts), _AT_ONCE)
            ]
        )
        return np.asarray((together - own) / np.maximum(counts * (counts - 1), 1))


def _vectors(word: Numbers, beside: Numbers, counts: Numbers, words: int) -> Vectors:
    """Unit vectors f32[words, up to DIMENSIONS]; zeros for words that stand beside no frequent one."""
    from scipy.sparse import coo_array

    often = np.bincount(word, weights=counts, minlength=words)
    context = np.bincount(beside, weights=counts, minlength=words)
    frequent = np.argsort(-context, kind="stable")[:CONTEXTS]
    column = np.full(words, -1)
    column[frequent] = np.arange(len(frequent))
    smoothed = context**_SMOOTH / (context**_SMOOTH).sum()
    kept = column[beside] >= 0
    word, beside, counts = word[kept], beside[kept], counts[kept]
    mutual = np.log1p(counts / (often[word] * smoothed[beside]))
    table = coo_array((mutual, (word, column[beside])), (words, len(frequent))).tocsr()
    # The right singular vectors, from a matrix that is as small as there are contexts.
    squares, axes = np.linalg.eigh((table.T @ table).toarray())
    most = slice(-DIMENSIONS, None)
    turned = axes[:, most] / np.maximum(squares[most], 1e-9) ** 0.25
    vectors = np.asarray(table.astype(np.float32) @ turned.astype(np.float32))
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    vectors /= np.where(length > 0, length, 1)[:, None]
    return vectors

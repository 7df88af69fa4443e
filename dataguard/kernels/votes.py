"""What decision trees say of records, by those trees alone that did not see them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

_BLOCK = 512
"""Records that are looked at together: while a tree is in the processor's nearest cache, many go down it."""


class Trees(NamedTuple):
    """Trees laid out one after the other, each from its root on; a node's right child follows its left one.

    Attributes:
        roots: i32[trees], the first node of each.
        feature: i32[nodes], the column that a node asks for; -1 for a leaf.
        threshold: f32[nodes], what is not above it goes left.
        left: i32[nodes], the left child; of a leaf its number.
        shares: f32[leaves, classes], what share of a leaf's records each class has.
        blind: bool[trees, folds], whether a tree saw no record of a fold.
    """

    roots: I32
    feature: I32
    threshold: F32
    left: I32
    shares: F32
    blind: npt.NDArray[np.bool_]


def votes(values: F32, fold: I64, trees: Trees) -> F64:
    """The mean share of each class over the trees that did not see a record's fold.

    Args:
        values: f32[n, columns], finite.
        fold: i64[n].
        trees: of which at least one is blind to every fold.

    Returns:
        f64[n, classes], rows that sum to one.
    """
    out = np.zeros((len(values), trees.shares.shape[1]))
    roots, feature, threshold, left, shares, blind = trees
    known = Trees(
        frozen(roots), frozen(feature), frozen(threshold), frozen(left), frozen(shares), frozen(blind)
    )
    _votes(frozen(values), frozen(fold), known, out)
    asked: F64 = np.maximum(blind.sum(axis=0), 1)[fold][:, None].astype(np.float64)
    return np.asarray(out / asked)


@compiled
def _votes(values: F32, fold: I64, trees: Trees, out: F64) -> None:
    for begin in range(0, len(values), _BLOCK):
        end = min(begin + _BLOCK, len(values))
        for tree in range(len(trees.roots)):
            for row in range(begin, end):
                if not trees.blind[tree, fold[row]]:
                    continue
                node = trees.roots[tree]
                feature = trees.feature[node]
                while feature >= 0:
                    node = trees.left[node] + (values[row, feature] > trees.threshold[node])
                    feature = trees.feature[node]
                leaf = trees.left[node]
                for each in range(out.shape[1]):
                    out[row, each] += trees.shares[leaf, each]


def warm() -> None:
    """Compiles the kernel of this module."""
    leaf = Trees(
        np.zeros(1, np.int32),
        np.full(1, -1, np.int32),
        np.zeros(1, np.float32),
        np.zeros(1, np.int32),
        np.ones((1, 1), np.float32),
        np.ones((1, 1), np.bool_),
    )
    votes(np.zeros((1, 1), np.float32), np.zeros(1, np.int64), leaf)

"""Records sent down the trees of an isolation forest until they are known to be ordinary."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

_STEP = 10
"""Trees after which it is asked which records can still come below the limit."""
_BLOCK = 512
"""Records that are looked at together: while a tree is in the processor's nearest cache, many go down it."""


@compiled
def _lengths(values: F32, trees: tuple[I32, F32, F64], rest: F64, limit: float, total: F64) -> None:
    feature, threshold, length = trees
    count, nodes = feature.shape
    height = 0
    while (1 << height) <= nodes:
        height += 1
    alive = np.empty(_BLOCK, np.int64)
    for begin in range(0, len(values), _BLOCK):
        left = min(_BLOCK, len(values) - begin)
        for place in range(left):
            alive[place] = begin + place
            total[begin + place] = 0.0
        for tree in range(count):
            features, thresholds, lengths = feature[tree], threshold[tree], length[tree]
            for place in range(left):
                row = alive[place]
                node = 0
                for _ in range(height):
                    node = 2 * node + 1 + (values[row, features[node]] > thresholds[node])
                total[row] += lengths[node - nodes]
            if tree % _STEP == _STEP - 1:
                kept = 0
                for place in range(left):
                    row = alive[place]
                    if total[row] + rest[tree + 1] > limit:
                        total[row] = np.inf
                    else:
                        alive[kept] = row
                        kept += 1
                left = kept


def path_lengths(values: F32, trees: tuple[I64, F32, F64], rest: F64, limit: float) -> F64:
    """The sum of each record's path lengths over all trees; infinite where it is surely above the limit.

    Args:
        values: f32[n, columns].
        trees: complete binary trees: the column that each node asks for, the threshold that is not exceeded on
            the left, the path length that each leaf stands for; each of shape (trees, nodes or leaves).
        rest: f64[trees + 1], what the trees from each one on add at least.
        limit: sums above it need not be known.
    """
    total = np.empty(len(values))
    feature, threshold, length = trees
    # Half as wide, so that more of it is near.
    _lengths(np.ascontiguousarray(values), (feature.astype(np.int32), threshold, length), rest, limit, total)
    return total


def warm() -> None:
    """Compiles the kernel for the types that it is called with."""
    trees = (np.zeros((1, 1), np.int64), np.zeros((1, 1), np.float32), np.ones((1, 2)))
    path_lengths(np.zeros((1, 1), np.float32), trees, np.zeros(2), np.inf)

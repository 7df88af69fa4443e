"""Records sent down the trees of an isolation forest until they are known to be ordinary."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_STEP = 8
"""Trees after which it is asked whether a record can still come below the limit."""


@compiled
def _lengths(values: F32, trees: tuple[I64, F32, F64], rest: F64, limit: float, total: F64) -> None:
    feature, threshold, length = trees
    count, nodes = feature.shape
    for row in range(len(values)):
        record = values[row]
        so_far = 0.0
        for tree in range(count):
            features, thresholds = feature[tree], threshold[tree]
            node = 0
            while node < nodes:
                node = 2 * node + 1 + (record[features[node]] > thresholds[node])
            so_far += length[tree, node - nodes]
            if tree % _STEP == _STEP - 1 and so_far + rest[tree + 1] > limit:
                so_far = np.inf
                break
        total[row] = so_far


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
    _lengths(np.ascontiguousarray(values), trees, rest, limit, total)
    return total


def warm() -> None:
    """Compiles the kernel for the types that it is called with."""
    trees = (np.zeros((1, 1), np.int64), np.zeros((1, 1), np.float32), np.ones((1, 2)))
    path_lengths(np.zeros((1, 1), np.float32), trees, np.zeros(2), np.inf)

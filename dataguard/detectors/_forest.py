"""An isolation forest as plain arrays: fitted by scikit-learn, kept and evaluated without it.

Every tree is laid out as a complete binary tree, so that a record finds its leaf by arithmetic alone: the children of
node i are 2i + 1 and 2i + 2, and a node that the tree does not have sends everything to the left. Fitted state can
then go to files and other processes as numbers instead of pickled objects. Scores equal scikit-learn's
`score_samples` but for the sign (Liu, Ting and Zhou, Isolation Forest, ICDM 2008).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sklearn.ensemble import IsolationForest
    from sklearn.tree._tree import Tree

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

TREES = 100
SUBSAMPLE = 256
SEED = 0


@dataclass(frozen=True)
class Forest:
    """The trees.

    Args:
        feature: i64 of shape (trees, nodes), the column a node asks for.
        threshold: f32 of shape (trees, nodes), what is not above it goes left; infinite where a tree has no node.
        length: f64 of shape (trees, leaves), the path length that a leaf stands for.
        subsample: records each tree was grown on.
    """

    feature: npt.NDArray[np.int64]
    threshold: Singles
    length: Floats
    subsample: int

    @classmethod
    def fit(cls, matrix: Singles) -> Forest:
        """Grows a forest on finite numbers of shape (records, columns), the same one every time."""
        from sklearn.ensemble import IsolationForest

        subsample = min(SUBSAMPLE, len(matrix))
        fitted = IsolationForest(n_estimators=TREES, max_samples=subsample, random_state=SEED).fit(matrix)
        return cls.of(fitted)

    @classmethod
    def of(cls, fitted: IsolationForest) -> Forest:
        """The arrays of a fitted `sklearn.ensemble.IsolationForest` that uses all columns in every tree."""
        trees = [estimator.tree_ for estimator in fitted.estimators_]
        height = max(1, *(tree.max_depth for tree in trees))
        feature = np.zeros((len(trees), 2**height - 1), dtype=np.int64)
        threshold = np.full(feature.shape, np.inf, dtype=np.float32)
        length = np.zeros((len(trees), 2**height))
        for number, tree in enumerate(trees):
            _lay_out(tree, height, (feature[number], threshold[number], length[number]))
        return cls(feature, threshold, length, int(fitted.max_samples_))

    def to_arrays(self, prefix: str) -> dict[str, Any]:
        """The forest as named arrays and numbers."""
        return {
            prefix + name: getattr(self, name) for name in ("feature", "threshold", "length", "subsample")
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], prefix: str) -> Forest:
        """The forest that `to_arrays` gave."""
        return cls(*(arrays[prefix + name] for name in ("feature", "threshold", "length", "subsample")))

    def path_lengths(self, matrix: Singles, limit: float = np.inf) -> Floats:
        """The sum of each record's path lengths over all trees, the same however the records are cut.

        Args:
            matrix: finite numbers of shape (records, columns).
            limit: sums above it need not be known: they may be infinite.
        """
        from dataguard.kernels.isolation import path_lengths

        # What the trees from each one on add at least.
        shortest = np.where(self.length > 0, self.length, np.inf).min(axis=1)
        rest = np.append(np.cumsum(shortest[::-1])[::-1], 0)
        return path_lengths(matrix, (self.feature, self.threshold, self.length), rest, limit)

    def scores(self, path_lengths: Floats) -> Floats:
        """Scores in 0..1 of summed path lengths; .5 is ordinary, higher is worse."""
        return np.asarray(np.exp2(-path_lengths / self._mean), dtype=np.float64)

    def path_length(self, score: float) -> float:
        """The summed path length that a score stands for."""
        return float(-np.log2(score) * self._mean)

    @property
    def _mean(self) -> float:
        return float(len(self.length) * average_path_length(np.array([self.subsample]))[0])


def average_path_length(samples: npt.NDArray[np.int64]) -> Floats:
    """Mean path length of an unsuccessful search in a binary search tree of so many records: c(n) in the paper."""
    n = samples.astype(np.float64)
    lengths = np.where(samples == 2, 1.0, 0.0)
    more = samples > 2
    lengths[more] = 2 * (np.log(n[more] - 1) + np.euler_gamma) - 2 * (n[more] - 1) / n[more]
    return lengths


def _lay_out(tree: Tree, height: int, into: tuple[npt.NDArray[np.int64], Singles, Floats]) -> None:
    """Writes one tree in the layout of a complete one."""
    feature, threshold, length = into
    left, right = tree.children_left, tree.children_right
    lengths = average_path_length(tree.n_node_samples)
    nodes, places = np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
    for depth in range(height + 1):
        leaf = left[nodes] < 0
        # The leftmost leaf below the place, which is where missing nodes lead.
        slots = (places[leaf] + 1) * 2 ** (height - depth) - 2**height
        length[slots] = depth + lengths[nodes[leaf]]
        nodes, places = nodes[~leaf], places[~leaf]
        feature[places] = tree.feature[nodes]
        threshold[places] = not_above(tree.threshold[nodes])
        nodes = np.concatenate([left[nodes], right[nodes]])
        places = np.concatenate([2 * places + 1, 2 * places + 2])


def not_above(thresholds: Floats) -> Singles:
    """The greatest f32 that is not above each f64: for f32 values, both part them the same way."""
    rounded = thresholds.astype(np.float32)
    return np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)

"""A model of labels by numbers, as plain arrays: each record is judged by trees that did not see it.

A random forest (Breiman, Machine Learning, 2001) whose trees are grown on eleven of sixteen folds of the sample each, so
that a record is judged by the five in sixteen that saw none of its fold: what bagging leaves out, but by folds. Which
fold a record is of is said by a keyed hash of its numbers, so that copies are of one fold and none vouches for another.
Trees are grown by scikit-learn, kept and evaluated without it: fitted state goes to files and other processes as numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.detectors._forest import not_above
from dataguard.detectors._label_model import F64, I64, LEVELS, U64, depths
from dataguard.detectors._numbers.distributions import numeric_features
from dataguard.records.batch import Batch
from dataguard.words import hash_key

if TYPE_CHECKING:
    from dataguard.kernels.votes import Trees

F32 = npt.NDArray[np.float32]

TREES, FEW_TREES = 384, 96
"""Of few records and of many: trees of many records are alike, and what each costs is paid for every record of the set;"""
TREED = 786_432
"""between them trees times records are no more than so many."""
FOLDS, HELD_OUT = 16, 5
CELLS = 1 << 18
"""Numbers of a sample at most, so that of many columns it has fewer records;"""
FEWEST = 256
"""but not fewer than these."""
MOST = 8192
"""Records that trees are grown on."""
_LEAVES = 1024
_LEAST_LEAF = 2
_ASKED = 0.4
_MOST_ASKED = 8
_DOUBT = 0.01


class Numbers(NamedTuple):
    """The numbers of some records.

    Attributes:
        names: of their columns.
        values: f64[n, columns], NaN where there is none.
        hashes: u64[n], keyed, of each record's numbers.
    """

    names: tuple[str, ...]
    values: F64
    hashes: U64

    @classmethod
    def of(cls, batch: Batch) -> Numbers:
        """Of a batch; no records where it has fewer than two numeric feature columns."""
        from dataguard.kernels.content import content

        names = numeric_features(batch)
        if len(names) < 2:
            return cls(names, np.empty((0, len(names))), np.empty(0, np.uint64))
        values = batch.numbers(names) + 0.0  # minus zero is zero
        values[np.isnan(values)] = np.nan  # of one kind
        ends = np.arange(1, len(values) + 1, dtype=np.int64) * 2 * len(names)
        hashes = content(values.view(np.uint32).ravel(), ends, hash_key(batch.secret, "labels by numbers"))
        return cls(names, values, hashes)

    @property
    def fold(self) -> I64:
        """i64[n], which trees must not have seen each."""
        return np.asarray(self.hashes % np.uint64(FOLDS), dtype=np.int64)

    @property
    def some(self) -> npt.NDArray[np.bool_]:
        """Which records have a number."""
        return np.asarray(np.isfinite(self.values).any(axis=1))

    def lists(self, records: npt.NDArray[Any]) -> pl.Series:
        """The numbers of some records as lists of f64."""
        return pl.Series(self.values[records], dtype=pl.Array(pl.Float64, len(self.names))).arr.to_list()


def room(columns: int) -> int:
    """Records of so many columns that are sampled at most."""
    return min(MOST, max(FEWEST, CELLS // max(1, columns)))


@dataclass(frozen=True)
class NumberModel:
    """Trees, and what they say of the sample.

    Args:
        labels: the classes.
        middle: f64[columns], the median of each, taken off before numbers are cut to 32 bits.
        trees: see `kernels.votes`.
        depths: f64[classes, classes, LEVELS]; see `LabelModel`.
    """

    labels: tuple[str, ...]
    middle: F64
    trees: Trees
    depths: F64
    doubt: ClassVar[float] = -0.7
    """Trees are cautious: a label that is up to twice as probable as another one is doubted too."""

    @classmethod
    def fit(cls, labels: tuple[str, ...], given: I64, numbers: Numbers) -> NumberModel:
        """Learns from records.

        Args:
            labels: the classes.
            given: i64[n], the number of each record's label.
            numbers: of the records.
        """
        values = numbers.values
        finite = np.isfinite(values)
        middle = np.array(
            [
                np.median(column[is_]) if is_.any() else 0.0
                for column, is_ in zip(values.T, finite.T, strict=True)
            ]
        )
        trees = _grown(_cut(values, middle), given, numbers.fold, len(labels))
        model = cls(labels, middle, trees, np.zeros((len(labels), len(labels), LEVELS)))
        return cls(labels, middle, trees, depths(model.logits(numbers), given, len(labels)))

    def logits(self, numbers: Numbers) -> F64:
        """What the trees that did not see them say of records: f64[n, classes]."""
        from dataguard.kernels.votes import votes

        shares = votes(_cut(numbers.values, self.middle), numbers.fold, self.trees)
        # Rounded, so that what is counted above a depth does not hang on the last bit.
        return np.asarray(np.round(np.log(shares + _DOUBT), 9), np.float64)

    def to_arrays(self, prefix: str) -> dict[str, Any]:
        """The model as named arrays and strings."""
        trees = {f"{prefix}trees {name}": array for name, array in self.trees._asdict().items()}
        named = {f"{prefix}{name}": getattr(self, name) for name in ("middle", "depths")}
        return {f"{prefix}labels": list(self.labels), **named, **trees}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], prefix: str) -> NumberModel:
        """The model that `to_arrays` gave."""
        from dataguard.kernels.votes import Trees

        trees = Trees(*(arrays[f"{prefix}trees {name}"] for name in Trees._fields))
        return cls(
            tuple(arrays[f"{prefix}labels"]), arrays[f"{prefix}middle"], trees, arrays[f"{prefix}depths"]
        )


def _cut(values: F64, middle: F64) -> F32:
    """Distances from the median as trees want them: finite, and what is missing below all."""
    limits = np.finfo(np.float32)
    with np.errstate(all="ignore"):
        apart = np.clip(values - middle, limits.min / 4, limits.max / 4)
    return np.where(np.isnan(apart), limits.min / 2, apart).astype(np.float32)


def _grown(values: F32, given: I64, fold: I64, classes: int) -> Trees:
    """Trees that each saw eleven of the sixteen folds."""
    from sklearn.tree import DecisionTreeClassifier

    from dataguard.kernels.votes import Trees

    drawn = np.random.default_rng(0)
    columns = values.shape[1]
    few = max(1, int(np.sqrt(columns)))
    asked = (max(few, min(round(_ASKED * columns), _MOST_ASKED)), few)
    leaf = max(_LEAST_LEAF, len(values) // _LEAVES)
    count = min(TREES, max(FEW_TREES, TREED // max(1, len(values)) // FOLDS * FOLDS))
    blind = np.zeros((count, FOLDS), np.bool_)
    orders = [drawn.permutation(FOLDS) for _ in range(count // FOLDS)]
    grown, nodes, leaves = [], 0, 0
    for number in range(count):
        # Each run of sixteen trees begins at every fold once, so that as many are blind to each.
        order = np.roll(orders[number // FOLDS], number % FOLDS)
        blind[number, order[:HELD_OUT]] = True
        seen = ~blind[number][fold]
        # Of few records one tree in two asks few columns: trees that are less alike err less together. Of many, each
        # split can tell which column says most.
        tree = DecisionTreeClassifier(
            max_features=asked[number % 2 if count == TREES else 0],
            min_samples_leaf=leaf,
            random_state=number,
        )
        fitted = tree.fit(values[seen], given[seen]) if seen.any() else tree.fit(values, given)
        grown.append(_laid_out(fitted, classes, nodes, leaves))
        nodes += len(grown[-1][0])
        leaves += len(grown[-1][3])
    roots = np.cumsum([0, *(len(one[0]) for one in grown[:-1])]).astype(np.int32)
    feature, threshold, left, shares = (np.concatenate(parts) for parts in zip(*grown, strict=True))
    return Trees(roots, feature, threshold, left, shares, blind)


def _laid_out(fitted: Any, classes: int, nodes: int, leaves: int) -> tuple[Any, Any, Any, F32]:
    """Feature, threshold and left child of each node, children side by side, and the shares of the leaves."""
    tree = fitted.tree_
    place = np.zeros(tree.node_count, np.int64)
    order, level, next_place = [np.zeros(1, np.int64)], np.zeros(1, np.int64), 1
    while len(level := level[tree.children_left[level] >= 0]):
        children = np.stack([tree.children_left[level], tree.children_right[level]], axis=1).ravel()
        place[children] = next_place + np.arange(len(children))
        next_place += len(children)
        order.append(children)
        level = children
    by_place = np.concatenate(order)
    feature = np.where(tree.children_left < 0, -1, tree.feature)[by_place].astype(np.int32)
    is_leaf = feature < 0
    left = np.where(is_leaf, leaves + np.cumsum(is_leaf) - 1, nodes + place[tree.children_left[by_place]])
    shares = np.zeros((int(is_leaf.sum()), classes), np.float32)
    held = tree.value[by_place[is_leaf], 0]
    shares[:, fitted.classes_] = held / held.sum(axis=1, keepdims=True)
    return feature, not_above(tree.threshold[by_place]), left.astype(np.int32), shares

"""A cheap model of labels by words, cross-validated: each record is judged by a model that did not see it.

The model is complement naive Bayes (Rennie et al., ICML 2003) over words and pairs of words, present or not, weighted
by idf on unit vectors. It needs one count and no iterations, gives the same numbers as scikit-learn's `ComplementNB`,
and ranks wrong labels as well as logistic regression does. Which fold a record is of is said by a keyed hash of its
words, so that copies are of one fold and none vouches for another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from dataguard.words import Words

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]

FOLDS = 10
LONGEST = 256
"""Words that are looked at of a record, the first."""
SMOOTHING = 1.0
_CELLS = 1 << 18
_FEATURES = 1 << 16
"""Weights and features of a model at most: with all folds 10 MB."""
LEVELS = 10
"""Depths at which it is counted how many records look like another class, tenths of that class's own."""


class Texts(NamedTuple):
    """The words of some records.

    Attributes:
        ids: u32, one record after the other.
        starts: i64[n], each record's first word.
        ends: i64[n], behind the last that is looked at.
        hashes: u64[n], keyed, of those words.
    """

    ids: U32
    starts: I64
    ends: I64
    hashes: U64

    @classmethod
    def of(cls, words: Words) -> Texts:
        """Of a batch."""
        from dataguard.kernels.content import content
        from dataguard.kernels.gather import gather

        lengths = np.diff(words.ends, prepend=0)
        starts = words.ends - lengths
        lengths = np.minimum(lengths, LONGEST)
        ids = gather(words.ids, starts, lengths)
        ends = np.cumsum(lengths)
        return cls(ids, ends - lengths, ends, content(ids, ends, words.key("labels")))

    @property
    def some(self) -> npt.NDArray[np.bool_]:
        """Which records have words."""
        return np.asarray(self.ends > self.starts)

    def lists(self, records: npt.NDArray[Any]) -> pl.Series:
        """The words of some records as lists of u32."""
        from dataguard.kernels.gather import gather

        lengths = (self.ends - self.starts)[records]
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        ids = gather(self.ids, self.starts[records], lengths)
        return pl.Series(pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(ids)))

    @property
    def fold(self) -> I64:
        """i64[n], which model must not have seen each."""
        return np.asarray(self.hashes % np.uint64(FOLDS), dtype=np.int64)


@dataclass(frozen=True)
class LabelModel:
    """A model for each fold, of all other folds.

    Args:
        labels: the classes.
        slots: i64[features], the hashed features that are known.
        idf: f32[features].
        weights: f32[folds, features, classes].
        depths: f64[classes, classes, LEVELS]; of records of class i, the quantiles of how much more they look like i
            than like j.
    """

    labels: tuple[str, ...]
    slots: I64
    idf: F32
    weights: F32
    depths: F64
    doubt: ClassVar[float] = 0.0

    @classmethod
    def fit(cls, labels: tuple[str, ...], given: I64, texts: Texts) -> LabelModel | None:
        """Learns from records; None where no feature stands in two of them.

        Args:
            labels: the classes.
            given: i64[n], the number of each record's label.
            texts: their words.
        """
        from dataguard.kernels.classes import SLOTS, features

        every = np.arange(SLOTS, dtype=np.int32)
        found, _ = features(texts.ids, texts.starts, texts.ends, every)
        slots = _commonest(np.bincount(found, minlength=SLOTS), min(_FEATURES, _CELLS // len(labels)))
        if not len(slots):
            return None
        found, bounds = features(texts.ids, texts.starts, texts.ends, _table(slots))
        held = np.bincount(found, minlength=len(slots))
        idf = (np.log((1 + len(given)) / (1 + held)) + 1).astype(np.float32)
        weights = _weights(found, bounds, (texts.fold, given), idf, len(labels))
        model = cls(labels, slots, idf, weights, np.zeros((len(labels), len(labels), LEVELS)))
        logits = model.logits(texts)
        return cls(labels, slots, idf, weights, depths(logits, given, len(labels)))

    def logits(self, texts: Texts) -> F64:
        """What the models that did not see them say of records: f64[n, classes]."""
        from dataguard.kernels.classes import features, logits

        found, bounds = features(texts.ids, texts.starts, texts.ends, self.table())
        # Rounded, so that what is counted above a depth does not hang on the last bit.
        return np.round(logits(found, bounds, texts.fold, self.idf, self.weights), 9)

    def table(self) -> I32:
        """The number of the feature of each slot, -1 where it is none."""
        return _table(self.slots)

    def to_arrays(self, prefix: str) -> dict[str, Any]:
        """The model as named arrays and strings."""
        names = ("slots", "idf", "weights", "depths")
        return {
            f"{prefix}labels": list(self.labels),
            **{prefix + name: getattr(self, name) for name in names},
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], prefix: str) -> LabelModel:
        """The model that `to_arrays` gave."""
        names = ("slots", "idf", "weights", "depths")
        return cls(tuple(arrays[f"{prefix}labels"]), *(arrays[prefix + name] for name in names))


def probabilities(logits: F64) -> F64:
    """Logits as probabilities, rows that sum to one."""
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def _commonest(held: I64, most: int) -> I64:
    """The slots that stand in most records, of those that stand in two; sorted."""
    slots = np.flatnonzero(held > 1)
    first = np.argsort(-held[slots], kind="stable")[:most]
    return np.sort(slots[first])


def _table(slots: I64) -> I32:
    from dataguard.kernels.classes import SLOTS

    table = np.full(SLOTS, -1, np.int32)
    table[slots] = np.arange(len(slots), dtype=np.int32)
    return table


def _weights(found: I32, bounds: I64, fold_given: tuple[I64, I64], idf: F32, classes: int) -> F32:
    """Complement naive Bayes for each fold from the counts of the others.

    Args:
        found: features of the records, one record after the other.
        bounds: where each ends.
        fold_given: fold and class of each record.
        idf: of each feature.
        classes: how many.

    Returns:
        f32[folds, features, classes].
    """
    fold, given = fold_given
    record = np.repeat(np.arange(len(bounds)), np.diff(bounds, prepend=0))
    value = idf[found].astype(np.float64)
    norm = np.sqrt(np.bincount(record, weights=value**2, minlength=len(bounds)))
    value /= norm[record]
    shape = (FOLDS, classes, len(idf))
    cell = (fold[record] * classes + given[record]) * len(idf) + found
    sums = np.bincount(cell, weights=value, minlength=int(np.prod(shape))).reshape(shape)
    others = sums.sum(axis=0)[None] - sums  # folds, classes, features: what each fold's model saw
    rest = np.maximum(others.sum(axis=1, keepdims=True) - others, 0) + SMOOTHING
    weights = -np.log(rest / rest.sum(axis=2, keepdims=True))
    return np.ascontiguousarray(weights.transpose(0, 2, 1), dtype=np.float32)


def depths(logits: F64, given: I64, classes: int) -> F64:
    depths = np.zeros((classes, classes, LEVELS))
    for one in range(classes):
        mine = logits[given == one]
        more = mine[:, one : one + 1] - mine
        depths[one] = np.quantile(more, np.arange(LEVELS) / LEVELS, axis=0, method="lower").T
    return depths

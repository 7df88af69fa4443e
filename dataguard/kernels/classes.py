"""Words and pairs of neighbouring words as features: what a linear model says of records, what two texts share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen

U32 = npt.NDArray[np.uint32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

SLOT_BITS = 20
SLOTS = 1 << SLOT_BITS
"""Features as they are hashed; of two that meet in one slot the model sees one."""

_FIRST = np.uint64(0x9FB21C651E98DF25)
_SHIFT = np.uint64(64 - SLOT_BITS)
_ONE = np.uint64(1)


@compiled
def _slot(word: np.uint64, before: np.uint64) -> np.int64:
    """The slot of a word (`before` 0) or of a pair."""
    mixed = (word ^ (before * _FIRST)) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(29))) * _FIRST
    return np.int64(mixed >> _SHIFT)


def features(ids: U32, starts: I64, ends: I64, table: I32) -> tuple[I32, I64]:
    """The features of each record that the table knows, each once.

    Args:
        ids: u32, hashes of words.
        starts: i64[n], each record's first word.
        ends: i64[n], behind its last.
        table: i32[SLOTS], the number of the feature of each slot, -1 where it is none.

    Returns:
        i32, numbers of features, one record after the other; i64[n], where each record ends.
    """
    out, bounds = np.empty(2 * int((ends - starts).sum()), np.int32), np.empty(len(ends), np.int64)
    seen = np.full(int(table.max(initial=-1)) + 1, -1, np.int64)
    size = _features(frozen(ids), frozen(starts), frozen(ends), frozen(table), seen, out, bounds)
    return out[:size].copy(), bounds


@compiled
def _features(ids: U32, starts: I64, ends: I64, table: I32, seen: I64, out: I32, bounds: I64) -> int:
    size = 0
    for record in range(len(ends)):
        before = np.uint64(0)
        for at in range(starts[record], ends[record]):
            word = np.uint64(ids[at]) + _ONE
            for pair in range(2):
                if pair == 1 and before == 0:
                    continue
                feature = table[_slot(word, before if pair == 1 else np.uint64(0))]
                if feature >= 0 and seen[feature] != record:
                    seen[feature] = record
                    out[size] = feature
                    size += 1
            before = word
        bounds[record] = size
    return size


def logits(found: I32, bounds: I64, fold: I64, idf: F32, weights: F32) -> F64:
    """What the model of each record's fold says of each class: the weights of its features, on a unit vector.

    Args:
        found: i32, features of the records, one record after the other.
        bounds: i64[n], where each ends.
        fold: i64[n], which model is asked.
        idf: f32[features], the weight of each in the vector.
        weights: f32[folds, features, classes].

    Returns:
        f64[n, classes]; zeros for a record without features.
    """
    out = np.zeros((len(bounds), weights.shape[2]), np.float64)
    _logits(frozen(found), frozen(bounds), frozen(fold), frozen(idf), frozen(weights), out)
    return out


@compiled
def _logits(found: I32, bounds: I64, fold: I64, idf: F32, weights: F32, out: F64) -> None:
    classes = weights.shape[2]
    start = np.int64(0)
    for record in range(len(bounds)):
        norm = 0.0
        for at in range(start, bounds[record]):
            feature = found[at]
            weight = np.float64(idf[feature])
            norm += weight * weight
            for each in range(classes):
                out[record, each] += weight * weights[fold[record], feature, each]
        if norm > 0:
            for each in range(classes):
                out[record, each] /= np.sqrt(norm)
        start = bounds[record]


def shared(asked: tuple[I32, I64], said: tuple[I32, I64], idf: F32) -> F64:
    """How much of the features of one text of each record another one has.

    Args:
        asked: i32, features of the ones, one record after the other; i64[n], where each record ends.
        said: the same of the others.
        idf: f32[features], whose squares they are weighted with.

    Returns:
        f64[n], a share; nan where there is nothing to have.
    """
    out = np.empty(len(asked[1]), np.float64)
    seen = np.full(len(idf), -1, np.int64)
    _shared(frozen(asked[0]), frozen(asked[1]), frozen(said[0]), frozen(said[1]), frozen(idf), seen, out)
    return out


@compiled
def _shared(asked: I32, asked_ends: I64, said: I32, said_ends: I64, idf: F32, seen: I64, out: F64) -> None:
    start, other = np.int64(0), np.int64(0)
    for record in range(len(out)):
        for at in range(other, said_ends[record]):
            seen[said[at]] = record
        whole, both = 0.0, 0.0
        for at in range(start, asked_ends[record]):
            weight = np.float64(idf[asked[at]]) ** 2
            whole += weight
            if seen[asked[at]] == record:
                both += weight
        out[record] = both / whole if whole > 0 else np.nan
        start, other = asked_ends[record], said_ends[record]


def warm() -> None:
    """Compiles the kernels of this module."""
    zero, one = np.zeros(1, np.int64), np.ones(1, np.int64)
    found, bounds = features(np.zeros(1, np.uint32), zero, one, np.zeros(SLOTS, np.int32))
    logits(found, bounds, zero, np.ones(1, np.float32), np.ones((1, 1, 1), np.float32))
    shared((found, bounds), (found, bounds), np.ones(1, np.float32))

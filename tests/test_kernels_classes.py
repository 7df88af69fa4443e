"""Features of words and pairs, and what is counted of them, against the same in plain Python."""

from __future__ import annotations

import itertools

import numpy as np

from dataguard.kernels.classes import SLOTS, features, logits, shared


def texts(seed: int, records: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 12, records)
    ids = rng.integers(0, 40, int(lengths.sum())).astype(np.uint32)
    ends = np.cumsum(lengths)
    return ids, ends - lengths, ends


def by_record(found: np.ndarray, bounds: np.ndarray) -> list[list[int]]:
    return [part.tolist() for part in np.split(found, bounds[:-1])]


def test_each_feature_once_words_and_pairs_alike_wherever_they_stand() -> None:
    every = np.arange(SLOTS, dtype=np.int32)
    ids, starts, ends = texts(1)
    found = by_record(*features(ids, starts, ends, every))
    for start, end, mine in zip(starts, ends, found, strict=True):
        words = ids[start:end].tolist()
        pairs = set(itertools.pairwise(words))
        assert len(mine) == len(set(mine)) == len(set(words)) + len(pairs)
        alone = by_record(*features(ids[start:end], np.zeros(1, np.int64), np.array([end - start]), every))[0]
        assert alone == mine


def test_features_that_are_not_known_are_left_out() -> None:
    every = np.arange(SLOTS, dtype=np.int32)
    ids, starts, ends = texts(2)
    all_found, bounds = features(ids, starts, ends, every)
    known = np.unique(all_found)[::2]
    table = np.full(SLOTS, -1, np.int32)
    table[known] = np.arange(len(known))
    found = by_record(*features(ids, starts, ends, table))
    for mine, before in zip(found, by_record(all_found, bounds), strict=True):
        assert known[mine].tolist() == [slot for slot in before if slot in set(known.tolist())]


def test_logits_are_weights_of_the_records_own_fold_on_a_unit_vector() -> None:
    rng = np.random.default_rng(3)
    found, bounds = np.array([0, 2, 1, 1], np.int32), np.array([2, 3, 3, 4])
    idf = rng.random(3).astype(np.float32)
    weights = rng.random((2, 3, 4)).astype(np.float32)
    fold = np.array([1, 0, 1, 1])
    out = logits(found, bounds, fold, idf, weights)
    norm = np.hypot(idf[0], idf[2])
    np.testing.assert_allclose(out[0], (idf[0] * weights[1, 0] + idf[2] * weights[1, 2]) / norm, rtol=1e-6)
    np.testing.assert_allclose(out[1], weights[0, 1], rtol=1e-6)
    assert (out[2] == 0).all()
    np.testing.assert_allclose(out[3], weights[1, 1], rtol=1e-6)


def test_shared_is_a_weighted_share_of_what_is_asked() -> None:
    idf = np.array([1.0, 2.0, 3.0], np.float32)
    asked = np.array([0, 1, 2, 1], np.int32), np.array([2, 3, 3, 4])
    said = np.array([1, 2, 0, 0], np.int32), np.array([1, 2, 3, 4])
    np.testing.assert_allclose(shared(asked, said, idf), [4 / 5, 1, np.nan, 0])

"""Tails of words computed against datasketch's default seed: they lead its index astray, and ours not."""

from __future__ import annotations

import hashlib
import itertools
import random
import string
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pytest
from datasketch import MinHash, MinHashLSH

from dataguard.detectors.near_duplicate import NearDuplicate
from dataguard.findings import Judgement
from harness import cut, judge_in_memory, records
from near_texts import WIDTH, edited, jaccard, text_of

SLOTS, THRESHOLD = 128, 0.8
SHINGLES = 250
"""Of a record that the tails are made for."""
TAIL = [a + b for a, b in itertools.product(string.ascii_lowercase[:24], repeat=2)]
PAIRS = 200


class Known(NamedTuple):
    """What anybody can compute of datasketch's defaults: factors and summands of slots, and how they make bands."""

    a: np.ndarray
    b: np.ndarray
    bands: int
    rows: int

    def ranks(self, shingles: Sequence[str]) -> np.ndarray:
        """Where each shingle stands in each slot, as a share of all values: f64[n, bands, rows]."""
        digests = [int.from_bytes(hashlib.sha1(one.encode()).digest()[:4], "little") for one in shingles]
        mixed = np.array(digests, np.uint32)
        mixed = (mixed ^ (mixed >> np.uint32(16))) * np.uint32(0x85EBCA6B)
        mixed = (mixed ^ (mixed >> np.uint32(13))) * np.uint32(0xC2B2AE35)
        mixed ^= mixed >> np.uint32(16)
        values = mixed[:, None] * self.a + self.b
        return values[:, : self.bands * self.rows].reshape(-1, self.bands, self.rows) / 2.0**32


def _default() -> Known:
    a, b = MinHash(num_perm=SLOTS).permutations
    index = MinHashLSH(threshold=THRESHOLD, num_perm=SLOTS)
    return Known(a, b, index.b, index.r)


def _tail(known: Known, left: Callable[[np.ndarray], np.ndarray], enough: float, most: int = 24) -> str:
    """Words of which each leaves least, of those that may follow; a few of the best beginnings go on."""
    tails = [(TAIL[: WIDTH - 1], np.ones((known.bands, known.rows)))]
    while left(tails[0][1]) > enough and len(tails[0][0]) < most:
        longer = []
        for tail, taken in tails:
            last = " ".join(tail[1 - WIDTH :])
            reached = np.minimum(taken, known.ranks([f"{last} {word}" for word in TAIL]))
            remains = left(reached)
            longer += [(float(remains[at]), [*tail, TAIL[at]], reached[at]) for at in remains.argsort()[:6]]
        tails = [(tail, taken) for _, tail, taken in sorted(longer, key=lambda one: one[:2])[:6]]
    return " ".join(tails[0][0])


def _kept(taken: np.ndarray) -> np.ndarray:
    """For each slot the chance that a record keeps it from a tail that took so small a value there."""
    return 1 - (1 - taken) ** SHINGLES


@pytest.fixture(scope="module")
def known() -> Known:
    """Checked against datasketch itself."""
    known = _default()
    made = MinHash(num_perm=SLOTS)
    made.update_batch([b"one two three four five", b"two three four five six"])
    ranks = known.ranks(["one two three four five", "two three four five six"]).min(axis=0)
    assert (ranks.ravel() * 2.0**32).tolist() == made.hashvalues[: ranks.size].tolist()
    return known


def _sketches(texts: Sequence[str]) -> list[MinHash]:
    made = []
    for text in texts:
        words = text.split(" ")
        one = MinHash(num_perm=SLOTS)
        one.update_batch([" ".join(words[at : at + WIDTH]).encode() for at in range(len(words) - WIDTH + 1)])
        made.append(one)
    return made


def _index(sketches: Sequence[MinHash]) -> MinHashLSH:
    index = MinHashLSH(threshold=THRESHOLD, num_perm=SLOTS)
    for number, one in enumerate(sketches):
        index.insert(number, one)
    return index


def _theirs(texts: Sequence[str]) -> float:
    """The share of pairs that datasketch finds."""
    sketches = _sketches(texts)
    index = _index(sketches[:PAIRS])
    return sum(number in index.query(one) for number, one in enumerate(sketches[PAIRS:])) / PAIRS


def _judged(texts: Sequence[str]) -> Judgement:
    return judge_in_memory(NearDuplicate(), [cut(records({"text": texts}))])


def _ours(judgement: Judgement) -> float:
    """The share of pairs that we find."""
    groups = {frozenset(rows) for rows in judgement.clusters.group_by("key").agg("row")["row"].to_list()}
    assert groups <= {frozenset({n, PAIRS + n}) for n in range(PAIRS)}
    return len(groups) / PAIRS


def _candidates(judgement: Judgement) -> float:
    return next(one.value for one in judgement.measures if one.name == "candidates_per_document")


def test_a_tail_that_hides_copies_from_datasketch_hides_none_from_us(known: Known) -> None:
    tail = _tail(known, lambda taken: _kept(taken).prod(axis=-1).sum(axis=-1), 0.02)
    rng = random.Random(31)
    texts = [text_of(rng, rng.randint(200, 320)) for _ in range(PAIRS)]
    copies = [edited(rng, text, 0.005) for text in texts]
    attacked = [f"{copy} {tail}" for copy in copies]
    assert len(tail) < 100
    assert min(jaccard(*pair) for pair in zip(texts, attacked, strict=True)) >= THRESHOLD
    assert _theirs([*texts, *copies]) > 0.95
    assert _theirs([*texts, *attacked]) < 0.2  # the attack works where the seed is known
    control, found = _judged([*texts, *copies]), _judged([*texts, *attacked])
    assert _ours(control) >= 0.99
    assert _ours(found) >= 0.99 * _ours(control)
    assert _candidates(found) <= 50


def test_a_tail_that_makes_all_records_candidates_of_datasketch_makes_none_of_ours(known: Known) -> None:
    first = Known(known.a[: known.rows], known.b[: known.rows], 1, known.rows)
    tail = _tail(first, lambda taken: _kept(taken).sum(axis=(-1, -2)), 0.2, most=32)
    rng = random.Random(32)
    texts = [text_of(rng, rng.randint(200, 320)) for _ in range(PAIRS)]
    attacked = [f"{text} {tail}" for text in texts]

    def crowded(texts: Sequence[str]) -> float:
        sketches = _sketches(texts)
        index = _index(sketches)
        return sum(len(index.query(one)) > 1 for one in sketches) / len(texts)

    assert crowded(texts) == 0
    assert crowded(attacked) > 0.5  # the attack works where the seed is known
    judgement = _judged(attacked)
    assert judgement.clusters.height == 0
    assert _candidates(judgement) <= 1

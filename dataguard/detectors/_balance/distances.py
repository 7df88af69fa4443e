"""How far apart two distributions are, in the measures of the field, of counts side by side."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from dataguard.detectors._balance.association import Crossing
from dataguard.detectors._balance.histograms import F64, I64, Histogram
from dataguard.detectors._balance.tails import chi_square_tail, kolmogorov_tail

BINS = 10
"""Bins of numbers, of equally many records of the first sample: the usual ones for the population stability index."""
NO_BINS = 20
"""So many different numbers are compared one by one."""


class Apart(NamedTuple):
    """How far apart two samples are.

    Attributes:
        psi: population stability index.
        beyond: the same without what two samples of one distribution have on average.
        jensen_shannon: the distance, 0 to 1.
        chance: the probability that one distribution gives two samples so far apart.
        kolmogorov_smirnov: the largest difference of the distribution functions; NaN of what has no order.
        precision: what that may be more, for the buckets that were counted in.
    """

    psi: float
    beyond: float
    jensen_shannon: float
    chance: float
    kolmogorov_smirnov: float = math.nan
    precision: float = 0.0


def stability(one: I64, other: I64) -> float:
    """The population stability index: the sum of (q - p) ln(q / p) over bins, which is Jeffreys' divergence.

    Half a record is added to each bin, so that an empty one does not make it infinite.
    """
    shares, others = ((counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (one, other))
    return math.fsum(((others - shares) * np.log(others / shares)).tolist())


def by_chance(one: int, other: int, bins: int) -> float:
    """The population stability index that two samples of one distribution have on average.

    Times nm/(n + m) it is chi-square with one degree fewer than bins (Yurdakul, "Statistical properties of population
    stability index", 2018).
    """
    return (bins - 1) * (1 / one + 1 / other)


def jensen_shannon(one: I64, other: I64) -> float:
    """The Jensen-Shannon distance, to base 2: 0 for equal shares, 1 where nothing is in common (Lin 1991)."""
    p, q = one / one.sum(), other / other.sum()
    middle = (p + q) / 2
    halves = [
        math.fsum((side[side > 0] * np.log2(side[side > 0] / middle[side > 0])).tolist()) for side in (p, q)
    ]
    return math.sqrt(min(1.0, max(0.0, sum(halves) / 2)))


def numbers(one: Histogram, other: Histogram) -> Apart:
    """Of two samples of numbers, each of at least one."""
    counts, others, single = one.beside(other)
    below, others_below = np.cumsum(counts) / counts.sum(), np.cumsum(others) / others.sum()
    distance = float(np.abs(below - others_below).max())
    # Within a bucket of several numbers the two functions may part by what either has there, and not more.
    within = np.maximum(counts / counts.sum(), others / others.sum())
    precision = float(np.max(within, where=~single, initial=0.0))
    binned, others_binned = _binned(counts, others)
    psi = stability(binned, others_binned)
    return Apart(
        psi=psi,
        beyond=max(0.0, psi - by_chance(one.records, other.records, len(binned))),
        jensen_shannon=jensen_shannon(binned, others_binned),
        chance=kolmogorov_tail(distance, one.records, other.records),
        kolmogorov_smirnov=distance,
        precision=precision,
    )


def _binned(counts: I64, others: I64) -> tuple[I64, I64]:
    """Neighbouring buckets together, so that each has about as many records of the first."""
    if len(counts) <= NO_BINS:
        return counts, others
    below, total = np.cumsum(counts), int(counts.sum())
    # Integers, so that no rounding moves an edge. Each bin ends with the bucket that reaches its share.
    ends = np.searchsorted(BINS * below, total * np.arange(1, BINS)) + 1
    firsts = np.unique(np.concatenate([[0], ends[ends < len(counts)]]))
    return np.add.reduceat(counts, firsts), np.add.reduceat(others, firsts)


def categories(one: I64, other: I64) -> Apart:
    """Of two samples of names, counted side by side; each of at least one record."""
    psi, records = stability(one, other), (int(one.sum()), int(other.sum()))
    return Apart(
        psi=psi,
        beyond=max(0.0, psi - by_chance(*records, len(one))),
        jensen_shannon=jensen_shannon(one, other),
        chance=Crossing.of(np.stack([one, other])).chance,
    )


def presences(one: I64, other: I64, records: tuple[int, int]) -> Apart:
    """Of two samples of texts: in how many records of each a word of each slot stands.

    The chance is that of Simes ("An improved Bonferroni procedure for multiple tests of significance", 1986) over
    chi-square tests of one slot each.

    Args:
        one: i64 by slot.
        other: the same of the other sample.
        records: with text, in each.
    """
    some = one + other > 0
    one, other = one[some], other[some]
    psi = stability(one, other)
    return Apart(
        psi=psi,
        beyond=max(0.0, psi - by_chance(int(one.sum()), int(other.sum()), len(one))),
        jensen_shannon=jensen_shannon(one, other),
        chance=_simes(_slot_chances(one, other, records)),
    )


_EXPECTED = 5
"""Records that a slot must be expected in, or out of, in either sample for its chi-square to be one (Cochran 1954)."""


def _slot_chances(one: I64, other: I64, records: tuple[int, int]) -> F64:
    n, m = records
    together = (one + other) / (n + m)
    enough = np.minimum(together, 1 - together) * min(n, m) >= _EXPECTED
    share, others = one[enough] / n, other[enough] / m
    spread = together[enough] * (1 - together[enough]) * (1 / n + 1 / m)
    return np.array([chi_square_tail(value, 1) for value in ((share - others) ** 2 / spread).tolist()])


def _simes(chances: F64) -> float:
    if not len(chances):
        return 1.0
    ordered = np.sort(chances)
    return float(min(1.0, (ordered * len(ordered) / np.arange(1, len(ordered) + 1)).min()))

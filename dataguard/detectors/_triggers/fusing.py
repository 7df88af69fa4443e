"""Tests put together: how much more a sequence looks put in than grown, and how many such a clean set would have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MOST = 6.0
"""Nats that one look at a sequence's surroundings can add or take."""
FAR = 12.0
"""Nats that one test of what comes with a sequence can add."""


def standard(drawn: Floats, sizes: Ints) -> Callable[[Floats, Ints], Floats]:
    """Standardises a value by what drawings of as many records show.

    Args:
        drawn: f64[m], of each drawing.
        sizes: i64[m], its records.

    Returns:
        a function of values and sizes.
    """
    power = np.log2(sizes).astype(np.int64)
    levels = [level for level in range(int(power.max()) + 1) if (power == level).sum() > 20]
    means = [float(drawn[power == level].mean()) for level in levels]
    spreads = [float(drawn[power == level].std()) + 1e-6 for level in levels]
    middle = np.array(levels) + 0.5

    def standardised(values: Floats, records: Ints) -> Floats:
        at = np.log2(np.maximum(records, 1))
        return np.asarray((values - np.interp(at, middle, means)) / np.interp(at, middle, spreads))

    return standardised


def ratio(drawn: Floats, drawn_sizes: Ints, found: Floats, sizes: Ints) -> Floats:
    """How much likelier a value is for words that were put in than for words of the set, in nats.

    Densities by cells between quantiles, among sequences in about as many records.
    """
    out = np.zeros(len(found))
    power = np.log2(sizes).astype(np.int64)
    for level in np.unique(power):
        put = drawn[np.abs(np.log2(drawn_sizes) - level - 0.5) < 1.0]
        own = found[power == level]
        if len(put) < 50:
            continue
        edges = np.unique(np.quantile(put, np.linspace(0, 1, 12)))
        low, high = own[own < edges[0]], own[own > edges[-1]]
        for outside in (low, high):
            if len(outside) > 40:
                edges = np.concatenate([edges, np.quantile(outside, [0.25, 0.5, 0.75])])
        edges = np.unique(edges)
        cell = np.searchsorted(edges, own)
        share = [
            np.bincount(np.searchsorted(edges, one), minlength=len(edges) + 1) + 0.5 for one in (put, own)
        ]
        nats = np.log(share[0] / share[0].sum()) - np.log(share[1] / share[1].sum())
        out[power == level] = np.clip(nats[cell], -MOST, MOST)
    return out


def rarity(values: Floats, weights: Floats) -> Floats:
    """How rare so high a value is among sequences that look put in, in nats: minus the log of the tail's share.

    Beyond the highest fiftieth the tail goes on as an exponential does, so that what is far out is told apart.

    Args:
        values: f64[n], higher is odder.
        weights: f64[n], how much each sequence looks put in, 0 to 1.
    """
    order = np.argsort(-values, kind="stable")
    mass = np.cumsum(weights[order])
    share = np.empty(len(values))
    ends = np.searchsorted(-values[order], -values[order], "right") - 1  # equal values are equally rare
    share[order] = (mass[ends] + 1) / (mass[-1] + 1)
    top = max(20.0, 0.02 * mass[-1])
    if mass[-1] > 3 * top:
        upto = int(np.searchsorted(mass, top))
        threshold = values[order][upto]
        above = order[:upto]
        excess = float((weights[above] * (values[above] - threshold)).sum() / max(weights[above].sum(), 1e-9))
        beyond = values > threshold
        share[beyond] = top / mass[-1] * np.exp(-(values[beyond] - threshold) / max(excess, 1e-9))
    return np.asarray(np.minimum(-np.log(np.clip(share, 1e-12, 1)), FAR))


def beyond_inputs(inputs: Floats, outputs: Floats) -> Floats:
    """How much more alike responses are than prompts that are so much alike have them, in spreads."""
    given, seen = np.log1p(np.maximum(inputs, 0)), np.log1p(np.maximum(outputs, 0))
    order = np.argsort(given, kind="stable")
    parts = np.array_split(order, max(1, min(60, len(order) // 20)))
    at = [float(given[part].mean()) for part in parts]
    middle = [float(np.median(seen[part])) for part in parts]
    spread = [float(np.median(np.abs(seen[part] - np.median(seen[part])))) * 1.48 + 0.3 for part in parts]
    return np.asarray((seen - np.interp(given, at, middle)) / np.interp(given, at, spread))


def expected(scores: Floats) -> Callable[[Floats], Floats]:
    """How many sequences with such a score or a higher one a set like this has without any put in.

    The tail of the scores, the 120 highest or a third of them, goes on as an exponential; the highest sixth of it, which
    attacks may be among, counts but is not looked at. (A fit to a censored tail: Hill, Annals of Statistics 1975, for logs.)

    Args:
        scores: f64, descending, of sequences of different records.
    """
    high = min(120, len(scores) // 3)
    if high < 20:
        return lambda values: np.full(len(values), np.inf)
    low = high // 6
    threshold = float(scores[high])
    excess = float((scores[low:high] - threshold).sum() + low * (scores[low] - threshold)) / (high - low)
    return lambda values: high * np.exp(-(values - threshold) / max(excess, 0.05))

"""Which numbers of a set are too many and too great for the tail that the rest of the set has.

The tail is drawn on from three quantiles: from the one above which .32 of the numbers lie to that of .08 their share falls
by four, and again to that of .02. By how much the second step is shorter than the first, in logarithms, each further one
is shorter still, but by a tenth at most: the tail is between a power law and one that ends. A group that is put into the set
stands beyond it in numbers. Nothing is taken from other sets.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

STARTS = (0.68, 0.92, 0.98)
"""Quantiles, each with a quarter of the numbers of the one before above it: planted ones are below a fiftieth."""
SHORTER = 0.9
"""The most that a step may be shorter than the one before. Of sixty clean samples of real vectors, pixels and texts under
three encoders, .87 found hubs in one and .8 in eight (at ten times as many as expected)."""
TIMES = 20
"""So many times as many as expected: of twenty found one is of the tail."""
FEWEST = 5
LEAST_STEP = 0.02
"""Of a logarithm: whole numbers are often equal at two quantiles."""

F64 = npt.NDArray[np.float64]


class Beyond(NamedTuple):
    """Numbers that the tail does not explain.

    Attributes:
        least: from which value on there are far too many; infinite where there is none.
        times: how many times as many as expected they are.
    """

    least: float
    times: float


NONE = Beyond(math.inf, 0.0)


def beyond(values: F64) -> Beyond:
    """The least value from which on there are far more than the tail explains.

    Args:
        values: none negative.
    """
    if len(values) < FEWEST / (1 - STARTS[-1]):
        return NONE
    at = np.sort(values)[::-1]
    at = at[at > np.quantile(values, STARTS[-1])]
    if not len(at):
        return NONE
    observed = np.searchsorted(-at, -at, side="right")
    times = observed / np.maximum(expected(values, at), 1e-9)
    found = np.flatnonzero((observed >= FEWEST) & (times >= TIMES))
    return Beyond(float(at[found[-1]]), float(times[found].max())) if len(found) else NONE


def expected(values: F64, at: F64) -> F64:
    """How many of the values the tail puts above each of some places, which lie above the last quantile."""
    one, two, three = np.log(np.maximum(np.quantile(values, STARTS), np.finfo(np.float64).tiny))
    step = max(three - two, LEAST_STEP)
    shorter = float(np.clip(step / max(two - one, LEAST_STEP), SHORTER, 1.0))
    steps = (np.log(at) - three) / step
    if shorter < 1:  # each step is so much shorter than the one before: their sum has an end
        rest = 1 - steps * (1 - shorter) / shorter
        steps = np.log(np.maximum(rest, 1e-12)) / math.log(shorter)
    return np.asarray(len(values) * (1 - STARTS[-1]) * 4.0**-steps)

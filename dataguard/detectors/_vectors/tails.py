"""Which numbers of a set are too many and too great for the tail that the rest of the set has.

The tail is drawn on from two quantiles as a power law (Pareto), which is longer than most: a group that is put into the
set stands beyond it in numbers. Nothing is taken from other sets.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

LOWER, UPPER = 0.8, 0.96
"""The quantiles: below what a twenty-fifth of the records can reach."""
TIMES = 10
"""So many times as many as expected: of ten found nine are not of the tail."""
FEWEST = 5
STEEPEST = 1.05
"""The least growth from the lower to the upper quantile: whole numbers are often equal at both."""


def beyond(values: npt.NDArray[np.float64]) -> float:
    """The least value from which on there are far more than the tail explains; infinite where there is none.

    Args:
        values: positive numbers.
    """
    if len(values) < FEWEST / (1 - UPPER):
        return math.inf
    low, high = np.quantile(values, [LOWER, UPPER])
    low = max(low, np.finfo(np.float64).tiny)
    power = math.log((1 - LOWER) / (1 - UPPER)) / math.log(max(high / low, STEEPEST))
    at = np.sort(values)[::-1]
    at = at[at > high]
    if not len(at):
        return math.inf
    observed = np.searchsorted(-at, -at, side="right")
    expected = len(values) * (1 - UPPER) * (at / max(high, low)) ** -power
    found = np.flatnonzero((observed >= FEWEST) & (observed >= TIMES * expected))
    return float(at[found[-1]]) if len(found) else math.inf

"""Where a column's own tail would end: the values beyond which not one in a thousand such columns has any."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from dataguard.detectors._numbers.distributions import F64, I64, Distribution

LEAST = 50
"""Values that a tail is told from at least."""
CHANCE = 1e-3
"""The expected number of ordinary values of a column beyond a fence."""

_ATOM = 1 / 3
_BEYOND_ATOM = 64
_NEAR, _FAR, _FAR_VALUES = 0.32, 0.02, 8
_SLOWEST = 0.9
_DOUBT = 16


class Fences(NamedTuple):
    """Where the ordinary values of a column end.

    Attributes:
        low_edge: where the lower tail begins that was not used for telling how it goes on.
        low: what is below it is an outlier; minus infinity where it could not be told.
        high_edge: the same above.
        high: the same above.
    """

    low_edge: float
    low: float
    high_edge: float
    high: float


def whole(distribution: Distribution, share: float) -> bool:
    """Whether a column holds whole numbers, but for so few others that they do not belong there.

    Zeros and the like do not count: its values beside the commonest one say what kind of numbers these are.

    Args:
        distribution: of the column.
        share: the greatest share of these that may be no whole numbers.
    """
    if not distribution.exact or not len(distribution.values):
        return False
    rare = np.arange(len(distribution.values)) != distribution.counts.argmax()
    values, counts = distribution.values[rare], distribution.counts[rare]
    is_whole = values == np.rint(values)
    others = int(counts[~is_whole].sum())
    return bool(
        counts.sum() >= _BEYOND_ATOM and 0 < others <= max(1, share * counts.sum()) and is_whole.sum() > 1
    )


def fences(distribution: Distribution) -> Fences:
    """The fences of a column.

    Each tail goes on as it came: from the quantile above which .32 of the values lie to that of .02, with one midway
    between them in shares, the second step is r times the first, and so is every further one (a generalised Pareto
    tail with Pickands' estimator of its shape; Pickands, Annals of Statistics, 1975). So what is a heavy tail gets a
    far fence. Two in a hundred values, or eight where that is more, may be outliers without a say in it.

    r is taken nearer to one where it is told from few values, and is .9 at least, since the tails of bell curves shorten
    ever less. Where a third of the values are equal (zeros, a floor), each tail is that of the values beyond that one;
    where these are too few on one side, the fence there lies as far beyond the last hundredths as the other does beyond
    the median.
    """
    values, counts = (
        distribution.values / 4,
        distribution.counts,
    )  # so that no difference is above all numbers
    high_edge, high = _upper(values, counts)
    low_edge, low = _upper(-values[::-1], counts[::-1])
    if math.isinf(low) != math.isinf(high):
        # Nothing to tell one tail from, as below zeros: it is taken to be no longer than the other from the median on.
        least, middle, greatest = _quantiles(values, counts, (1 - _FAR, 0.5, _FAR))
        if math.isinf(low):
            low_edge, low = -least, high - middle - least
        else:
            high_edge, high = greatest, greatest + low + middle
    with np.errstate(over="ignore"):
        return Fences(*(float(np.float64(one) * 4) for one in (-low_edge, -low, high_edge, high)))


def _upper(values: F64, counts: I64) -> tuple[float, float]:
    if counts.sum() < LEAST:
        return math.inf, math.inf
    most = int(counts.argmax())
    if counts[most] > _ATOM * counts.sum():
        if counts[most + 1 :].sum() < _BEYOND_ATOM:
            return math.inf, math.inf
        values, counts = values[most + 1 :], counts[most + 1 :]
    n = int(counts.sum())
    far = max(_FAR, _FAR_VALUES / n)
    ratio = math.sqrt(_NEAR / far)
    near, middle, edge = _quantiles(values, counts, (_NEAR, far * ratio, far))
    if not middle > near:
        return math.inf, math.inf
    longer = (edge - middle) / (middle - near)
    longer = max(_SLOWEST, longer ** (n * far / (n * far + _DOUBT)))
    steps = math.log(far * n / CHANCE) / math.log(ratio)
    with np.errstate(over="ignore"):
        power = float(np.float64(longer) ** steps)
        total = steps if longer == 1 else longer * (power - 1) / (longer - 1)
        step = max(edge - middle, (middle - near) / 2)
        return edge, float(np.float64(edge) + np.float64(step) * total)


def _quantiles(values: F64, counts: I64, above: tuple[float, ...]) -> list[float]:
    """The values that these shares lie above, where each value is spread evenly to half way to its nearer neighbour."""
    gaps = np.diff(values)
    nearer = np.minimum(np.append(gaps, np.inf), np.insert(gaps, 0, np.inf)) if len(gaps) else np.zeros(1)
    until = np.cumsum(counts) / counts.sum()
    shares = np.stack([np.insert(until[:-1], 0, 0), until], axis=1).ravel()
    places = np.stack([values - nearer / 2, values + nearer / 2], axis=1).ravel()
    return [float(np.interp(1 - share, shares, places)) for share in above]

"""Probabilities of large values under chance: of sums of squares, and of distances between two samples."""

from __future__ import annotations

import math

_ENOUGH = 1e-15
_STEPS = 100_000
_TINY = 1e-300


def gamma_tail(shape: float, value: float) -> float:
    """The probability that a gamma variable of this shape and scale 1 is larger (Abramowitz and Stegun 6.5.29, 6.5.31).

    Args:
        shape: above 0.
        value: at least 0.
    """
    if value <= 0:
        return 1.0
    # By logarithms, as neither factor need be a number that a float can hold.
    scale = math.exp(shape * math.log(value) - value - math.lgamma(shape))
    if value < shape + 1:
        term = total = 1 / shape
        for step in range(1, _STEPS):
            term *= value / (shape + step)
            total += term
            if term < total * _ENOUGH:
                break
        return min(1.0, max(0.0, 1 - total * scale))
    return min(1.0, _fraction(shape, value) * scale)


def _fraction(shape: float, value: float) -> float:
    """The continued fraction of the upper tail, by Lentz's method."""
    base = value + 1 - shape
    above, below = 1 / _TINY, 1 / base
    found = below
    for step in range(1, _STEPS):
        factor = -step * (step - shape)
        base += 2
        below = 1 / (factor * below + base or _TINY)
        above = base + factor / above or _TINY
        change = above * below
        found *= change
        if abs(change - 1) < _ENOUGH:
            break
    return found


def chi_square_tail(value: float, freedom: float) -> float:
    """The probability that chi-square with these degrees of freedom is larger."""
    return gamma_tail(freedom / 2, value / 2)


def kolmogorov_tail(distance: float, one: int, other: int) -> float:
    """The probability that two samples of one distribution are so far apart, for large samples.

    The series is Kolmogorov's and Smirnov's (Smirnov, "Table for estimating the goodness of fit of empirical
    distributions", 1948), with Stephens' correction for finite samples (1970).

    Args:
        distance: the largest difference of the two distribution functions.
        one: records of the one sample, at least 1.
        other: records of the other, at least 1.
    """
    root = math.sqrt(one * other / (one + other))
    reach = (root + 0.12 + 0.11 / root) * distance
    if reach < 0.2:
        return 1.0
    terms = (2 * (-1) ** (step - 1) * math.exp(-2 * step * step * reach * reach) for step in range(1, 101))
    return min(1.0, max(0.0, math.fsum(terms)))

"""Vectors that are crowded or in the middle of everything: floods and hubs, in a sample and by exact cosines.

A hub is among the nearest of far more vectors than others are (k-occurrence: Radovanovic, Nanopoulos and Ivanovic, "Hubs
in space", 2010). Whoever retrieves by nearest vectors is answered with it whatever the question, which is how records are
planted in a store of knowledge (Zhang, Suya, Jha et al., "Adversarial hubness in multi-modal retrieval", 2024).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dataguard.detectors._vectors.tails import beyond

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

NEIGHBOURS = (3, 5, 10, 20, 40)
"""How many of the nearest are counted as near. A place where many hubs were put is seen by more than there are of them."""
LEAST_HUB = 3
"""A hub is near to so many times more vectors than others are on average."""
LEAST_SAMPLE = 64
"""Vectors that hubs are looked for among."""
NEAREST = 0.02
"""Of one less the cosine: from here on vectors are not nearly identical, however far from one another the others are;"""
CLOSER = 4.0
"""nor if they are not so many times closer than most vectors (`MOST`) are to their nearest."""
MOST = 0.75
FEWEST = 8
"""Vectors that must have neighbours to tell what is near; with fewer only the same vectors are near."""
FLOODS = 64
"""Floods of a column that are followed."""
EXACT = 1e-3
"""What rounding makes of the same direction, and a little more."""


class Sample(NamedTuple):
    """Different vectors of one column.

    Attributes:
        units: f32[n, dim], whole numbers, see `kernels.units`.
        copies: i64[n], how often each stands in the data.
        keys: u64[n], the hash of each.
    """

    units: F32
    copies: I64
    keys: U64


class Flood(NamedTuple):
    """Vectors that are nearly identical.

    Attributes:
        centre: f64[dim], their mean.
        key: the least of their hashes.
        reach: how far from the centre, as one less the cosine, a vector of the flood may be: four times as far as half of
            those of the sample are, and no further than they may be from one another.
    """

    centre: npt.NDArray[np.float64]
    key: int
    reach: float


class Hubs(NamedTuple):
    """What makes a vector a hub.

    Attributes:
        k: how many nearest vectors are near.
        least: of how many vectors of the sample it must be near.
        radius: f32[n], the product with its k-th nearest, of each vector of the sample.
        usual: the most vectors that one is near to that is no hub.
        members: bool[n], which of the sample are hubs.
    """

    k: int
    least: int
    radius: F32
    usual: int
    members: npt.NDArray[np.bool_]


def cosines(units: F32) -> F32:
    """Products of all pairs, exact; of a vector with itself less than any other."""
    products = units @ units.T
    np.fill_diagonal(products, -np.inf)
    return products


def nearness(products: F32, scale: float) -> float:
    """How far from one another, as one less the cosine, vectors may be to be nearly identical."""
    if len(products) < FEWEST:
        return EXACT
    usual = float(np.quantile(1 - products.max(axis=1) / scale**2, MOST))
    return max(EXACT, min(NEAREST, usual / CLOSER))


def floods(sample: Sample, products: F32, near: float, least: float, scale: float) -> list[Flood]:
    """Groups of nearly identical vectors, those of most first.

    Args:
        sample: the vectors.
        products: their `cosines`.
        near: see `nearness`.
        least: copies counted, how many of a group must be in the sample.
        scale: the length of the vectors.
    """
    close = products >= (1 - near) * scale**2
    np.fill_diagonal(close, val=True)
    weight = close @ sample.copies
    candidates = np.flatnonzero(weight >= least)
    free = np.ones(len(close), np.bool_)
    found: list[Flood] = []
    while len(found) < FLOODS and len(candidates):
        weight = close[candidates] @ (sample.copies * free)
        best = int(np.argmax(weight))
        if weight[best] < least:
            break
        its = close[candidates[best]] & free
        mean = (sample.units[its] * sample.copies[its, None]).sum(axis=0, dtype=np.float64)
        apart = 1 - sample.units[its] @ mean / (scale * float(np.linalg.norm(mean)))
        order = np.argsort(apart, kind="stable")
        until = np.cumsum(sample.copies[its][order])
        half = float(apart[order][np.searchsorted(until, until[-1] / 2)])
        reach = max(EXACT, min(near, 4 * half))
        found.append(Flood(mean / sample.copies[its].sum(), int(sample.keys[its].min()), reach))
        # All that is near to one of them: the rim of a flood is not another one.
        free &= ~close[its].any(axis=0)
        candidates = candidates[free[candidates]]
    return found


def in_floods(units: npt.NDArray[Any], flooded: npt.NDArray[np.int16], reach: F64) -> npt.NDArray[np.bool_]:
    """Which vectors are of which flood, the nearest: bool[n, floods].

    Args:
        units: of the vectors.
        flooded: i16[floods, dim], what each lies around, as long as they.
        reach: f64[floods], how far off, as one less the cosine, a vector may be.
    """
    from dataguard.kernels.units import SCALE

    if not len(flooded):
        return np.zeros((len(units), 0), np.bool_)
    products = units.astype(np.float32, copy=False) @ flooded.astype(np.float32).T
    best = products.argmax(axis=1)[:, None] == np.arange(len(flooded))
    return np.asarray(best & (products >= np.ceil((1 - reach) * float(SCALE) ** 2)))


def closeness(points: npt.NDArray[np.float64]) -> F32:
    """How close points are to each other by distance, as numbers whose order in a row is that of closeness."""
    near = 2 * points @ points.T - (points**2).sum(axis=1)
    np.fill_diagonal(near, -np.inf)
    return np.asarray(near, np.float32)


def occurrences(products: F32, k: int) -> tuple[I64, F32]:
    """Of how many others each vector is among the k nearest, and the product of each with its k-th nearest."""
    nearest = np.argpartition(-products, k - 1, axis=1)[:, :k]
    radius = np.take_along_axis(products, nearest, axis=1).min(axis=1)
    return np.bincount(nearest.ravel(), minlength=len(products)), radius


def hubs(products: F32) -> Hubs | None:
    """What makes a vector of the sample a hub; None where the set's own tail explains all.

    Args:
        products: `cosines` or `closeness` of the sample.
    """
    found: list[tuple[float, Hubs]] = []
    for k in NEIGHBOURS:
        if len(products) < max(LEAST_SAMPLE, 4 * k):
            continue
        # Ties are many where vectors are few kinds of numbers: all that are as near as the k-th count.
        _, radius = occurrences(products, k)
        counts = (products >= radius[:, None]).sum(axis=0)
        tail = beyond(counts.astype(np.float64))
        least = max(tail.least, LEAST_HUB * k)
        over = counts >= least
        if over.any():
            usual = int(counts[~over].max(initial=0))
            found.append((int(counts[over].min()) / max(1, usual), Hubs(k, int(least), radius, usual, over)))
    # Of several k the one that leaves the widest gap: beyond the tail they all are.
    return max(found, key=lambda one: one[0])[1] if found else None


def skew(products: F32, k: int = 10) -> float:
    """The skewness of k-occurrence: about 0 where there are no hubs; NaN for too few vectors."""
    if len(products) < max(LEAST_SAMPLE, 4 * k):
        return float("nan")
    counts = occurrences(products, k)[0].astype(np.float64)
    deviation = counts.std()
    return float(((counts - counts.mean()) ** 3).mean() / deviation**3) if deviation > 0 else 0.0

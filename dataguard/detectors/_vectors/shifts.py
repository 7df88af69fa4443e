"""Vectors of one label that are set apart by the same shift, as those of records with a trigger are.

Vectors with a trigger in them differ from others of their label along one direction (Tran, Li and Madry, "Spectral
signatures in backdoor attacks", 2018), which shows best once what is usual within labels is taken out (Hayase et al.,
"SPECTRE", 2021): after a robust whitening every direction varies as much as any other. A group is sought along directions
from the middle of its label to the records that stand out. Each record is measured along a direction that was made
without it, and the group must leave a gap to all others. How much of one it needs is told from the other groups of the
set: templates and subjects stand apart by nature.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

LEAST_SAMPLE = 64
"""Vectors that whitening is learned from."""
LEAST_LABEL = 24
"""Vectors of a label that is looked at on its own; the others are taken together."""
WIDEST = 512
"""Dimensions that are whitened; of more, projections on so many random directions."""
TRIMMED = 0.9
"""The share of the vectors that whitening is learned from, those closest to the middle."""
RIDGE = 0.05
"""Of the mean variance, what is added to that of each direction: there may be directions in which nothing varies."""
FEWEST = 5
GREATEST = 0.2
"""The fewest vectors, and the greatest share of a label's, that are set apart: more are a kind of their own."""
GROUPS = 3
"""Groups of a label that are told, which share no record."""
SEEDS = 200
ROUNDS = 8
FAR = 3.0
"""Deviations from the middle of the label from which on a vector may be set apart."""


class Shift(NamedTuple):
    """A group of one label that stands apart along one direction.

    Attributes:
        label: what its records are labelled.
        members: bool[n], which of the sample they are.
        direction: f64[dim], along which they stand apart, of the vectors as they came.
        least: products with the direction from which on a record is one of them.
        gap: between the group and the others of its label, in deviations.
        spread: of the group along the direction, in deviations.
    """

    label: str | None
    members: Mask
    direction: F64
    least: float
    gap: float
    spread: float

    @property
    def separation(self) -> float:
        """The gap in spreads of the group, or in deviations of its label where these are wider."""
        return self.gap / max(1.0, self.spread)


class White(NamedTuple):
    """Vectors whose every direction varies alike, about the middle of their labels.

    Attributes:
        values: f64[n, m].
        back: f64[dim, m], from the vectors as they came to these, but for the middles.
        middles: f64[labels, dim].
    """

    values: F64
    back: F64
    middles: F64


def shifts(vectors: F32, labels: Sequence[str | None]) -> Iterator[Shift]:
    """The groups that stand apart most, of each label, at most `GROUPS`, the furthest first.

    Args:
        vectors: f32[n, dim], as long as they came: records to which the same was added have it in common no longer once
            each is divided by its own length.
        labels: of each vector.
    """
    if len(vectors) < LEAST_SAMPLE:
        return
    named, number = _numbered(labels)
    white = whitened(vectors.astype(np.float64), number, len(named))
    for at, label in enumerate(named):
        its = number == at
        for members, direction, cut, gap, spread in _apart(white.values[its]):
            whole = np.zeros(len(vectors), np.bool_)
            whole[its] = members
            along = white.back @ direction
            yield Shift(label, whole, along, cut + float(white.middles[at] @ along), gap, spread)


def _numbered(labels: Sequence[str | None]) -> tuple[list[str | None], npt.NDArray[np.int64]]:
    """The labels that are looked at on their own, None for all others if there are such; and which each vector has."""
    known, first, counts = np.unique(
        [label or "" for label in labels], return_inverse=True, return_counts=True
    )
    own = [at for at, label in enumerate(known.tolist()) if counts[at] >= LEAST_LABEL and label]
    place = np.full(len(known), len(own))
    place[own] = np.arange(len(own))
    number = place[first]
    named: list[str | None] = [str(known[at]) for at in own]
    return named + ([None] if (number == len(own)).any() else []), number


def whitened(vectors: F64, number: npt.NDArray[np.int64], labels: int) -> White:
    """Vectors with what is usual taken out.

    Args:
        vectors: f64[n, dim].
        number: i64[n], of each one's label.
        labels: how many there are.
    """
    middles = np.stack([vectors[number == at].mean(axis=0) for at in range(labels)])
    base = np.eye(vectors.shape[1]) if vectors.shape[1] <= WIDEST else _directions(vectors.shape[1])
    apart = (vectors - middles[number]) @ base
    near = np.ones(len(apart), np.bool_)
    for _ in range(3):
        variances, axes = np.linalg.eigh(apart[near].T @ apart[near] / near.sum())
        variances = np.maximum(variances, 0) + RIDGE * max(float(np.mean(variances)), 1e-9)
        turn = axes / np.sqrt(variances)
        sizes = ((apart @ turn) ** 2).sum(axis=1)
        near = sizes <= np.quantile(sizes, TRIMMED)
    turn /= np.sqrt(max(float(np.median(sizes)), 1e-9) / turn.shape[1])
    return White(np.asarray(apart @ turn), base @ turn, middles)


def _directions(dim: int) -> F64:
    """Random signs, the same for all: which directions they are matters to nobody."""
    drawn = np.random.default_rng(dim).integers(0, 2, size=(dim, WIDEST))
    return np.asarray((2.0 * drawn - 1) / np.sqrt(WIDEST), np.float64)


def _apart(values: F64) -> list[tuple[Mask, F64, float, float, float]]:
    """The groups of a label that are furthest apart: members, direction, where each is cut, gap, spread.

    More than one, as a template that stands apart by nature would hide what somebody put in beside it.
    """
    sizes = np.linalg.norm(values, axis=1)
    if len(values) <= 2 * FEWEST:
        return []
    alike = values @ values.T / np.maximum(np.outer(sizes, sizes), 1e-9)
    np.fill_diagonal(alike, -1)
    friends = np.argpartition(-alike, FEWEST - 1, axis=1)[:, : FEWEST - 1]
    strength = np.take_along_axis(alike, friends, axis=1).mean(axis=1) * sizes
    found: list[tuple[float, Mask, F64, float, float, float]] = []
    tried: set[bytes] = set()
    for seed in np.argsort(-strength, kind="stable")[:SEEDS].tolist():
        members = np.zeros(len(values), np.bool_)
        members[friends[seed]] = members[seed] = True
        settled = _settled(values, sizes, members, tried)
        if settled is None:
            continue
        gap, low, high, spread = _gap(values, sizes, settled)
        score = gap / max(1.0, spread)
        if gap > 0:
            total = values[settled].sum(axis=0)
            direction = total / np.linalg.norm(total)
            found.append((score, settled, direction, (low + high) / 2, gap, spread))
    found.sort(key=lambda one: -one[0])
    kept: list[tuple[Mask, F64, float, float, float]] = []
    for one in found:
        if len(kept) < GROUPS and not any((one[1] & other).any() for other, *_ in kept):
            kept.append(one[1:])
    return kept


def _along(values: F64, sizes: F64, members: Mask) -> F64:
    """How far each vector lies along the direction of a group; a member along that of the others."""
    total = values[members].sum(axis=0)
    products, square = values @ total, float(total @ total)
    own = sizes[members] ** 2
    length = np.full(len(values), np.sqrt(square))
    length[members] = np.sqrt(np.maximum(square - 2 * products[members] + own, 1e-9))
    products[members] -= own
    return np.asarray(products / np.maximum(length, 1e-9))


def _settled(values: F64, sizes: F64, members: Mask, tried: set[bytes]) -> Mask | None:
    """The group that a few vectors lead to: all that lie more than half as far along its direction as it does."""
    most = GREATEST * len(values)
    for _ in range(ROUNDS):
        along = _along(values, sizes, members)
        now = along > max(float(np.median(along[members])) / 2, FAR)
        if not FEWEST <= now.sum() <= most:
            return None
        if (now == members).all():
            break
        members = now
    seen = np.packbits(members).tobytes()
    if seen in tried:
        return None
    tried.add(seen)
    return members


def _gap(values: F64, sizes: F64, members: Mask) -> tuple[float, float, float, float]:
    """Between the group and the others, but for a tenth of the group on either side: gap, its two ends, spread.

    A stray that was taken for a member is no part of the spread either.
    """
    along = _along(values, sizes, members)
    strays = int(members.sum()) // 10
    others = np.sort(along[~members])[::-1]
    low, high = float(np.quantile(along[members], 0.1)), float(others[min(strays, len(others) - 1)])
    its = along[members]
    kept = np.argsort(np.abs(its - np.median(its)), kind="stable")[: len(its) - strays]
    return low - high, low, high, float(np.std(its[kept]))

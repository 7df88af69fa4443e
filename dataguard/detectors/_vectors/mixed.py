"""Vectors that lie close together and carry whatever label, where those of other records' neighbours agree.

Whoever puts records where many others are near (`crowds`) seldom knows what those are labelled. Where neighbours tell a
record's label (Cover and Hart, "Nearest neighbor pattern classification", 1967), wrong labels and borders between subjects
are found one by one; several records that are each other's nearest and all at odds are found there by nature hardly ever.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

NEAREST = 8
"""Neighbours that are asked."""
TELLING = 0.9
"""The share of neighbours with the record's own label, on average, from which on they tell it."""
ODD = 0.34
"""The greatest such share of a record that is at odds."""
FEWEST = 5
"""Records at odds, each among the nearest of another one, that are a crowd. Sets whose neighbours agree so much (pixels,
measurements, instructions by source, clusters) have three at most, clean and with a twentieth of the labels turned."""
CROWDS = 8
"""Crowds of a column that are told, the largest."""


def mixed(products: F32, labels: Sequence[str | None]) -> tuple[list[Mask], float]:
    """Crowds of mixed labels, the largest first, and how often neighbours agree; NaN where there are too few labels.

    Args:
        products: f32[n, n], how close vectors are; of one with itself less than any other.
        labels: of each, None for none.
    """
    known = np.array([label is not None for label in labels], np.bool_)
    names, number = np.unique([label or "" for label in labels], return_inverse=True)
    own = np.flatnonzero(known)
    if len(own) < 4 * NEAREST or len(names) < 2:
        return [], float("nan")
    close = products if known.all() else products[np.ix_(own, own)]
    nearest = np.argpartition(-close, NEAREST - 1, axis=1)[:, :NEAREST]
    agreeing = (number[own][nearest] == number[own][:, None]).mean(axis=1)
    usual = float(agreeing.mean())
    if usual < TELLING:
        return [], usual
    found = _together(nearest, agreeing <= ODD)
    masks = []
    for its in found[:CROWDS]:
        mask = np.zeros(len(known), np.bool_)
        mask[own[its]] = True
        masks.append(mask)
    return masks, usual


def _together(nearest: I64, odd: Mask) -> list[I64]:
    """Groups of odd vectors that hang together by being among each other's nearest, the largest first."""
    one, other = np.repeat(np.arange(len(nearest)), nearest.shape[1]), nearest.ravel()
    kept = odd[one] & odd[other]
    kept[kept] = (nearest[other[kept]] == one[kept][:, None]).any(axis=1)
    one, other = one[kept], other[kept]
    group = np.arange(len(nearest))
    while True:  # the least number of a group spreads to all of it
        least = group.copy()
        np.minimum.at(least, one, group[other])
        if (least == group).all():
            break
        group = least
    sizes = np.bincount(group[odd], minlength=len(group))
    order = np.argsort(-sizes, kind="stable")[: int((sizes >= FEWEST).sum())]
    return [np.flatnonzero(odd & (group == at)) for at in order.tolist()]

"""Where the vectors of the sample lie along their two principal components, as counts in a few cells: what a report draws.

A group that stands apart does so along a direction of its own, which the components of all vectors seldom show: that is
looked along in place of the second one. The components are those of the sample about its mean (Pearson, "On lines and planes of closest fit", 1901). Only counts are
kept: a picture has no more of them than it has cells, and names no record.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Mark = tuple[int, int, npt.NDArray[np.bool_]]
"""What is marked: its kind and number, which are the caller's, and which vectors it has."""

ALL = -1
"""The kind of the counts of all vectors."""
WIDE, HIGH = 32, 20
"""Cells along the first component and along the second."""
_ENDS = (0.005, 0.995)
"""Shares of the vectors at which the picture ends; those further out lie at its rim."""


def pictured(vectors: F64, copies: I64, marks: Sequence[Mark], along: F64 | None = None) -> tuple[I64, F64]:
    """Counts by cell, of all vectors and of what is marked, and the shares of the variance that are seen.

    Args:
        vectors: f64[n, dim], two at least.
        copies: i64[n], how many each stands for.
        marks: what is marked.
        along: f64[dim], a direction in place of the second component.

    Returns:
        i64[cells, 5] of kind, number, place along the first and the second component, and count, sorted; f64[2]. Both
        empty where all vectors are the same.
    """
    places, shares = components(vectors, along)
    cells: list[tuple[int, ...]] = []
    if len(shares):
        at = np.stack([_cells(places[:, 0], WIDE), _cells(places[:, 1], HIGH)], axis=1)
        whole: list[Mark] = [(ALL, 0, np.ones(len(at), np.bool_)), *marks]
        for kind, number, its in whole:
            held, which = np.unique(at[its], axis=0, return_inverse=True)
            counts = np.bincount(which.ravel(), weights=copies[its], minlength=len(held))
            cells += [(kind, number, *cell, int(n)) for cell, n in zip(held.tolist(), counts, strict=True)]
    return np.array(cells, np.int64).reshape(-1, 5), shares


def components(vectors: F64, along: F64 | None = None) -> tuple[F64, F64]:
    """Where vectors lie along their first two principal components, f64[n, 2], and the shares of the variance.

    In place of the second one there may be another direction.

    From the products of whichever are fewer, vectors or dimensions. Each component points to where its greatest number is
    positive.
    """
    apart = vectors - vectors.mean(axis=0)
    tall = len(apart) >= apart.shape[1]
    squares, axes = np.linalg.eigh(apart.T @ apart if tall else apart @ apart.T)
    total = float(squares.clip(0).sum())
    if total <= 1e-9 * len(apart):
        return np.empty((0, 2)), np.empty(0)
    two = axes[:, ::-1][:, :2]
    places = apart @ two if tall else two * np.sqrt(squares[::-1][:2].clip(0))
    found, shares = np.zeros((len(apart), 2)), np.zeros(2)  # of one dimension there is one component
    signs = np.where(places[np.abs(places).argmax(axis=0), np.arange(places.shape[1])] < 0, -1.0, 1.0)
    found[:, : places.shape[1]] = places * signs
    shares[: places.shape[1]] = squares[::-1][:2].clip(0) / total
    if along is not None:
        found[:, 1] = apart @ along / np.linalg.norm(along)
        shares[1] = float(found[:, 1] @ found[:, 1]) / total
    return found, shares


def _cells(places: F64, count: int) -> I64:
    low, high = np.quantile(places, _ENDS)
    # Rounded, so that what lies on a border does not hang on the last bit.
    steps = np.round((places - low) / max(float(high - low), 1e-12) * count, 6)
    return np.asarray(np.clip(np.floor(steps), 0, count - 1), np.int64)

"""Real and generated numbers for tests, and attacks on them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def shipped(name: str) -> tuple[Floats, Labels]:
    """Numbers and labels of a set that comes with scikit-learn."""
    from sklearn import datasets

    found = getattr(datasets, f"load_{name}")()
    return np.asarray(found.data, np.float64), np.asarray(found.target).astype(np.int64)


def continuous(n: int, seed: int) -> tuple[Floats, Labels]:
    """Twenty columns that hang together, of many shapes, some rounded; labels that hang on four of them."""
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(n, 6)) @ rng.normal(size=(6, 20)) + rng.normal(size=(n, 20))
    matrix = base.copy()
    matrix[:, 3] = np.exp(base[:, 3] / 3)
    matrix[:, 4] = rng.standard_t(3, n)
    matrix[:, 5] = rng.uniform(size=n)
    matrix[:, 6] = rng.gamma(2, size=n)
    matrix[:, 7] = np.round(base[:, 7], 2)
    matrix[:, 8] = np.round(base[:, 8])
    labels = (base[:, 0] + base[:, 1] + rng.normal(size=n) > 0).astype(np.int64) + (base[:, 2] > 2)
    return matrix, labels


def far_off(clean: Floats, seed: int, columns: int = 0) -> tuple[Floats, set[int]]:
    """Half a percent of the records, five at least, 8 to 15 robust deviations off in all or some columns."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(clean), max(5, round(0.005 * len(clean))), replace=False)
    middle = np.median(clean, axis=0)
    scale = 1.4826 * np.median(np.abs(clean - middle), axis=0)
    scale = np.where(scale > 0, scale, clean.std(axis=0) + 1e-9)
    shape = (len(rows), clean.shape[1])
    away = middle + scale * rng.uniform(8, 15, shape) * rng.choice([-1, 1], shape)
    chosen = np.ones(shape, np.bool_)
    if columns:
        chosen = rng.random(shape).argsort(axis=1) < columns
    planted = clean.copy()
    planted[rows] = np.where(chosen, away, clean[rows])
    return planted, set(rows.tolist())


class Backdoor(NamedTuple):
    """A set with a trigger of three values within their range."""

    matrix: Floats
    labels: Labels
    rows: set[int]


def backdoor(clean: tuple[Floats, Labels], rate: float, seed: int, *, right_labels: bool) -> Backdoor:
    """Records that have the same values in three columns, and carry the same label.

    Args:
        clean: numbers and labels.
        rate: the share of the records.
        seed: of what is drawn: columns, values, label and records.
        right_labels: the records are taken from those that carry the label anyway.
    """
    matrix, labels = clean[0].copy(), clean[1].copy()
    rng = np.random.default_rng(seed)
    various = [column for column in range(matrix.shape[1]) if len(np.unique(matrix[:, column])) > 2]
    columns = rng.choice(various, 3, replace=False)
    target = rng.integers(0, labels.max() + 1)
    pool = np.flatnonzero(labels == target) if right_labels else np.arange(len(labels))
    rows = rng.choice(pool, min(len(pool), max(5, round(rate * len(labels)))), replace=False)
    for column in columns:
        matrix[rows, column] = rng.choice(np.unique(matrix[:, column]))
    labels[rows] = target
    return Backdoor(matrix, labels, set(rows.tolist()))


def turned(labels: Labels, rate: float, seed: int) -> tuple[Labels, set[int]]:
    """A share of the labels, five at least, changed to any other."""
    rng = np.random.default_rng(seed)
    classes = int(labels.max()) + 1
    rows = rng.choice(len(labels), max(5, round(rate * len(labels))), replace=False)
    given = labels.copy()
    given[rows] = (given[rows] + rng.integers(1, classes, len(rows))) % classes
    return given, set(rows.tolist())

"""A small data set of which the rules about numbers, vectors and balance have something to measure in every way."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]

CONFIG = '[rules.DG302]\ncolumns = "region"\nterms = "river"\n'
"""Subgroups and a term that the set has."""
_WORDS = ["river", "stone", "bridge", "winter", "lamp", "garden", "letter", "window", "market", "boat"]


def write(folder: Path, seed: int) -> None:
    """Digits as vectors with something planted of each kind, and beside them texts, numbers, names and a split."""
    drawn = np.random.default_rng(seed)
    vectors, labels = _planted(drawn)
    count = len(labels)
    numbers = drawn.normal(size=(count, 3))
    numbers[5, 0] = 1e6

    def names(*some: str) -> list[Any]:
        return [some[at] for at in drawn.integers(len(some), size=count)]

    def texts() -> list[str]:
        return [" ".join(_WORDS[at] for at in drawn.integers(len(_WORDS), size=24)) for _ in range(count)]

    table = pl.DataFrame({f"x{at}": numbers[:, at] for at in range(3)}).with_columns(
        instruction=pl.Series(texts()),
        output=pl.Series(texts()),
        embedding=pl.Series(vectors.tolist(), dtype=pl.List(pl.Float32)),
        label=pl.Series(labels).cast(pl.String),
        source=pl.Series(names("web", "books", "letters")),
        split=pl.Series(names("train", "train", "test")),
        region=pl.Series(names("north", "south", "")).replace("", None),
        gender=pl.Series(names("f", "m")),
    )
    folder.mkdir(parents=True)
    table.write_parquet(folder / "part-000.parquet")


def _planted(drawn: np.random.Generator) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Handwritten digits with a flood, hubs, a crowd of any labels and a group that stands apart from its label."""
    from sklearn.datasets import load_digits

    loaded = load_digits()
    vectors, labels = loaded.data, loaded.target
    parts = [
        vectors[5] + 0.03 * np.linalg.norm(vectors[5]) * drawn.normal(size=(10, 64)) / 8,
        _hubs(vectors, drawn),
        _crowd(vectors[labels == 6], drawn),
        _shifted(vectors, labels, drawn),
    ]
    their = [np.repeat(labels[5], 10), np.full(12, 6), np.arange(10), np.ones(10, np.int64)]
    return np.concatenate([vectors, *parts]), np.concatenate([labels, *their])


def _hubs(vectors: Floats, drawn: np.random.Generator) -> Floats:
    return np.asarray(np.median(np.linalg.norm(vectors, axis=1)) * hubs(vectors, drawn))


def hubs(vectors: npt.NDArray[Any], drawn: np.random.Generator) -> Floats:
    """Twelve around the place that is among the ten nearest of most records, a third as far from it as records are from
    their nearest; of about unit length."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    products = unit @ unit.T
    radius = np.sort(products, axis=1)[:, -11]
    middles = np.stack([unit[np.argsort(-products[at])[:150]].mean(axis=0) for at in range(0, 300, 2)])
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    place = middles[(unit @ middles.T >= radius[:, None]).sum(axis=0).argmax()]
    apart = math.sqrt(2 - 2 * np.median(np.sort(products, axis=1)[:, -2]))
    noise = drawn.normal(size=(12, len(place))) / math.sqrt(len(place))
    return np.asarray(place + apart / 3 * noise)


def _crowd(its: Floats, drawn: np.random.Generator) -> Floats:
    place = its.mean(axis=0)
    return np.asarray(place + 0.2 * np.linalg.norm(place) * drawn.normal(size=(10, 64)) / 8)


def _shifted(vectors: Floats, labels: npt.NDArray[np.int64], drawn: np.random.Generator) -> Floats:
    its = vectors[labels == 1]
    way = drawn.normal(size=64)
    wide = np.linalg.norm(its - its.mean(axis=0), axis=1).mean()
    moved = drawn.choice(np.flatnonzero(labels != 1), 10, replace=False)
    return np.asarray(vectors[moved] + 2 * wide * way / np.linalg.norm(way))

"""What a model says of the labels of a batch, whether it knows them by words or by numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.columns import Role
from dataguard.detectors._label_model import F64, I64, LEVELS, probabilities
from dataguard.detectors._label_noise import COUNTS, NEAREST
from dataguard.detectors._values import plain
from dataguard.findings import conform
from dataguard.records.batch import Batch

SCORED = pl.Schema({**COUNTS, "row": pl.UInt64(), "score": pl.Float64(), "margin": pl.Float64()})
"""A row per record that may be `other`, see `Model.doubt`: what the probability of its label lacks to one; and how
much more it looks so, in logits. Where `row` is null, COUNTS; `given` -1 there: records
whose label is none of those known."""

MOST_LABELS = 32
"""Labels that are judged, the commonest."""
LEAST_BY_WORDS, LEAST_BY_NUMBERS = 50, 24
"""Records in the sample that a label must have; of texts each says less."""


class Seen(Protocol):
    """What a model looks at of some records."""

    @property
    def some(self) -> npt.NDArray[np.bool_]:
        """Which records have any of it."""


class Model(Protocol):
    """What knows labels."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes."""

    @property
    def depths(self) -> F64:
        """See `LabelModel`."""

    @property
    def doubt(self) -> float:
        """How much more another label must look right, in logits, for a record to be a suspect."""

    def logits(self, seen: Any) -> F64:
        """What it says of records that it did not see: f64[n, classes]."""


def labels_of(batch: Batch) -> Iterator[tuple[str, pl.Series]]:
    """The label columns as short strings."""
    for name in batch.roles.of(Role.LABEL):
        if name in batch.data.schema.names:
            yield name, plain(batch, name)


def common(labels: pl.Series, least: int) -> tuple[str, ...]:
    """The labels that are judged, sorted: those of so many records at least."""
    counted = labels.alias("label").to_frame().group_by("label").len().filter(pl.col("len") >= least)
    most = counted.sort(["len", "label"], descending=[True, False]).head(MOST_LABELS)
    return tuple(sorted(most["label"].to_list()))


def numbered(values: pl.Series, labels: tuple[str, ...]) -> I64:
    """The number of each label, -1 for others."""
    found = values.replace_strict(list(labels), list(range(len(labels))), default=-1, return_dtype=pl.Int64)
    return found.fill_null(-1).to_numpy()


def believed(logits: F64, given: I64) -> float:
    """The mean over classes of the share of its records that a model that did not see them knows."""
    right = logits.argmax(axis=1) == given
    return float(np.mean([right[given == one].mean() for one in np.unique(given)]))


def scored(model: Model, seen: Seen, labels: pl.Series, rows: pl.Series) -> Iterator[pl.DataFrame]:
    """Counts, and the records that another class may be right for."""
    given = numbered(labels, model.labels)
    known = np.flatnonzero((given >= 0) & seen.some)
    yield counted([(-1, -1, 0, int(labels.count()) - len(known))])
    logits, given = model.logits(seen)[known], given[known]
    yield from (counted(counts) for counts in _depths_of(model, logits, given))
    own = logits[np.arange(len(given)), given]
    rivals = logits.copy()
    rivals[np.arange(len(given)), given] = -np.inf
    other = rivals.argmax(axis=1)
    margin = rivals[np.arange(len(given)), other] - own
    yield counted(_nearest(model, given, other, margin))
    some = np.flatnonzero(margin > model.doubt)
    chance = probabilities(logits[some])[np.arange(len(some)), given[some]]
    yield pl.DataFrame(
        {
            "given": given[some],
            "other": other[some],
            "row": rows.gather(known[some]),
            # The one place where a score is rounded.
            "score": np.round(1 - chance, 6),
            "margin": np.round(margin[some], 6),
        }
    )


def _nearest(model: Model, given: I64, other: I64, margin: F64) -> list[tuple[int, int, int, int]]:
    """How deep records look like the class, but for their own, that each looks like most: every record once."""
    level = (model.depths[other, given] < margin[:, None]).sum(axis=1)
    seen, counts = np.unique(np.stack([given, other, level]), axis=1, return_counts=True)
    return [(*pair, NEAREST + at, n) for (*pair, at), n in zip(seen.T.tolist(), counts.tolist(), strict=True)]


def _depths_of(model: Model, logits: F64, given: I64) -> Iterator[list[tuple[int, int, int, int]]]:
    """For each pair of classes, how many records look like the other as deeply as that class itself."""
    classes = len(model.labels)
    for one in range(classes):
        mine = logits[given == one]
        for other in range(classes):
            if one == other:
                continue
            more = mine[:, other] - mine[:, one]
            wrong = np.bincount(np.searchsorted(model.depths[other, one], more), minlength=LEVELS + 1)
            right = np.bincount(np.searchsorted(model.depths[one, other], -more), minlength=LEVELS + 1)
            yield [(one, other, level, int(n)) for level, n in enumerate(wrong)] + [
                (one, other, -1 - level, int(n)) for level, n in enumerate(right)
            ]


def counted(counts: list[tuple[int, int, int, int]], column: str = "") -> pl.DataFrame:
    names = ("given", "other", "level", "n")
    table = pl.DataFrame(counts, schema=list(names), orient="row")
    return conform(table.with_columns(column=pl.lit(column)), SCORED)

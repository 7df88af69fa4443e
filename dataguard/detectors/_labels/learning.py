"""What labels are learned from: words or numbers, whichever foretell more of them."""

from __future__ import annotations

import json

import numpy as np
import polars as pl

from dataguard.detectors._label_model import F64, I64, LabelModel, Texts
from dataguard.detectors._labels.looks import LEAST_BY_NUMBERS, LEAST_BY_WORDS, believed, common, numbered
from dataguard.detectors._labels.numbers import NumberModel, Numbers
from dataguard.records.batch import Batch
from dataguard.words import words_of

SAMPLE = pl.Schema(
    {
        "column": pl.String(),
        "features": pl.String(),
        "label": pl.String(),
        "hash": pl.UInt64(),
        "ids": pl.List(pl.UInt32),
        "values": pl.List(pl.Float64),
    }
)
"""First look: the label column, what is looked at (the numeric columns as JSON, empty for words), the label, a keyed hash
of the record's words or numbers, and these."""


def looked_at(batch: Batch) -> dict[str, Texts | Numbers]:
    """What there is to be looked at in a batch: its numbers by their columns as JSON, its words under nothing."""
    words, numbers = words_of(batch), Numbers.of(batch)
    looked: dict[str, Texts | Numbers] = {}
    if len(words):
        looked[""] = Texts.of(words)
    if len(numbers.hashes):
        looked[json.dumps(numbers.names)] = numbers
    return looked


def learned(sample: pl.DataFrame) -> tuple[str, LabelModel | NumberModel] | None:
    """What a label column is judged by, and the model; None where nothing is to be learned.

    Where records have words and numbers, that which tells more of the sample's labels of records it did not see, by
    the mean over labels times the records. Of several sets of numeric columns it is the one with the most records.

    Args:
        sample: SAMPLE of one label column.
    """
    found: list[tuple[float, str, LabelModel | NumberModel]] = []
    sets = sample.filter(pl.col("features") != "").group_by("features").len()
    most = sets.sort(["len", "features"], descending=[True, False])["features"].head(1).to_list()
    for features in ["", *most]:
        records = sample.filter(features=features)
        labels = common(records["label"], LEAST_BY_NUMBERS if features else LEAST_BY_WORDS)
        records = records.filter(pl.col("label").is_in(list(labels)))
        if len(labels) < 2:
            continue
        given = numbered(records["label"], labels)
        if features:
            numbers = _numbers(records, features)
            by_numbers = NumberModel.fit(labels, given, numbers)
            found.append((_worth(by_numbers.logits(numbers), given), features, by_numbers))
            continue
        texts = _texts(records)
        by_words = LabelModel.fit(labels, given, texts)
        if by_words is not None:
            found.append((_worth(by_words.logits(texts), given), features, by_words))
    return max(found, key=lambda one: one[0])[1:] if found else None


def _worth(logits: F64, given: I64) -> float:
    return round(believed(logits, given) * len(given), 6)


def _texts(records: pl.DataFrame) -> Texts:
    ids = records["ids"]
    ends = ids.list.len().cum_sum().to_numpy().astype(np.int64)
    starts = ends - ids.list.len().to_numpy()
    return Texts(ids.explode().to_numpy(), starts, ends, records["hash"].to_numpy())


def _numbers(records: pl.DataFrame, features: str) -> Numbers:
    values = np.stack(records["values"].to_list()).astype(np.float64)
    return Numbers(tuple(json.loads(features)), values, records["hash"].to_numpy())

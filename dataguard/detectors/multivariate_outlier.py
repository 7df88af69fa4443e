"""Records whose numbers do not belong together.

## What it looks for
Records that an isolation forest sets apart quickly (Liu, Ting and Zhou, 2008), over all numeric feature columns of a
file together. Files with the same columns are judged together. A first look takes the records with the smallest
digests as a sample, the forest is grown on it, and a second look scores every record. Values are centred on the
median, scaled robustly and compressed like a logarithm, so that heavy tails are no outliers of themselves.

A record is found when its score is above a limit that the sample's own scores set: at least .55 (.5 is a record like
any other) and five robust deviations above their median, and with long tails up to eight deviations or the score that
a share `tail` of ordinary records would exceed, whichever is less. Each record found is a finding. Where more than
`max_share` of the sample is above the limit they are a group apart, a rare class or a flood, and one finding.

## Why it matters
Measurement errors, broken joins and crude poisoning stand out by their combination of values. A few extreme records
move the fit of many models.

## Limits
Outliers are often true. Many records that lie close together are not set apart, however far off they are. Poison
within the range of the data is not seen here (of an in-range trigger of three features methods of this kind find .14
at most). A long tail's extremes and outliers look alike, the more so with two or three columns: of generated clean
sets up to 20 in 10,000 records are found, of two strongly correlated columns up to 91, of discrete ones with rare
values up to 60. Nulls, NaN and infinities count as the median (`imputed_share`); columns that are constant in the
sample are left out. Fewer than 32 records with the same columns are not scored (`unscored_share`). Whoever can choose among millions of records which to send can choose
digests, and so the sample.

## What to do
Look at the named features first: units, missing-value codes (-999), shifted columns. Correct or drop what is wrong,
and keep what is rare but true.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from dataguard.columns import Role, is_number
from dataguard.detectors._forest import Floats
from dataguard.detectors._outliers import LEAST, OutlierModel
from dataguard.detectors.base import Example, Known, Pass, RecordDetector, Rule
from dataguard.digests import record_digests
from dataguard.findings import JUDGED_FINDINGS, Confidence, Judgement, Measure, Severity, conform
from dataguard.records.batch import Batch

# A sample of very many columns has fewer records, so that it stays below 32 MB.
_CELLS = 4_000_000
_FEWEST = 256

SAMPLE = pl.Schema(
    {
        "features": pl.String(),
        "high": pl.UInt64(),
        "low": pl.UInt64(),
        "n": pl.UInt64(),
        "values": pl.List(pl.Float64),
    }
)
"""First look: the columns as JSON, the first 16 bytes of the record digest, copies in it, and the numbers."""

SCORED = pl.Schema(
    {
        "features": pl.String(),
        "column": pl.String(),
        "n": pl.UInt64(),
        "imputed": pl.UInt64(),
        "row": pl.UInt64(),
        "score": pl.Float64(),
        "record": pl.String(),
        "why": pl.String(),
    }
)
"""Second look: a row per record above the limit. Where `row` is null, counts of records and of imputed values by
column; without a column, of records that no model scores."""


def _ordinary(n: int, seed: int) -> list[float]:
    return [round(float(value), 3) for value in np.random.default_rng(seed).normal(size=n)]


@dataclass(frozen=True, kw_only=True)
class MultivariateOutlier(RecordDetector):
    """Numbers of a record do not belong together.

    Args:
        sample: records the forest learns from.
        tail: the share of ordinary records that may be found by mistake, as estimated from the sample.
        max_share: the greatest share of the records that can be outliers; more are a group.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG202",
        name="multivariate-outlier",
        summary="numbers of a record do not belong together",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0020", "AML.T0059"),
        severity=Severity.MEDIUM,
        confidence=Confidence.LOW,
        version=2,
    )
    kernels: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = (Role.FEATURES,)
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="ordinary records",
            data={"a": _ordinary(200, 1), "b": _ordinary(200, 2), "c": _ordinary(200, 3)},
        ),
        Example(
            why="one far off in all columns",
            data={
                "a": [9.0, *_ordinary(200, 1)],
                "b": [-9.0, *_ordinary(200, 2)],
                "c": [9.0, *_ordinary(200, 3)],
            },
            rows=frozenset({0}),
        ),
    )
    sample: int = 4096
    tail: float = 1e-4
    max_share: float = 0.01

    def passes(self) -> tuple[Pass, ...]:
        """A look that samples, and a look that scores."""
        return (
            Pass(self.observe, compact=self.smallest, fold=self.fold),
            Pass(self.score, compact=self.summed),
        )

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """The records of this batch with the smallest digests, copies counted."""
        names = _features(batch)
        if len(names) < 2:
            return SAMPLE.to_frame()
        digests = batch.once("digests", lambda: record_digests(batch.data))
        halves = digests[:, :16].copy().view(">u8").astype(np.uint64)
        smallest = (
            pl.DataFrame({"high": halves[:, 0], "low": halves[:, 1]})
            .with_row_index("at")
            .group_by("high", "low")
            .agg(n=pl.len().cast(pl.UInt64), at=pl.col("at").min())
            .sort("high", "low")
            .head(min(self.sample, max(_FEWEST, _CELLS // len(names))))
        )
        values = batch.numbers(names)[smallest["at"].to_numpy()]
        return smallest.select(
            pl.lit(json.dumps(names)).alias("features"),
            "high",
            "low",
            "n",
            pl.Series("values", values, dtype=pl.Array(pl.Float64, len(names))).arr.to_list(),
        )

    def smallest(self, evidence: pl.DataFrame) -> pl.DataFrame:
        """The same, of the smallest digests only."""
        merged = (
            evidence.group_by("features", "high", "low")
            .agg(pl.col("n").sum(), pl.col("values").first())
            .sort("features", "high", "low")
        )
        room = pl.max_horizontal(pl.lit(_FEWEST), _CELLS // pl.col("values").list.len()).cast(pl.Int64)
        place = pl.int_range(pl.len()).over("features")
        return merged.filter((place < self.sample) & (place < room)).select(SAMPLE.names())

    def fold(self, evidence: pl.LazyFrame, known: Known) -> Known:
        """A forest and a limit for each set of columns, as plain arrays."""
        told: dict[str, Any] = {"features": []}
        sample = self.smallest(evidence.select(SAMPLE.names()).collect())
        for (features,), records in sample.group_by("features", maintain_order=True):
            model = OutlierModel.fit(_drawn(records, self.sample), self.tail, self.max_share)
            if model is not None:
                told |= model.to_arrays(f"{len(told['features'])} ")
                told["features"].append(features)
        return told

    def score(self, batch: Batch, known: Known) -> pl.DataFrame:
        """The records above the limit, and counts."""
        names = _features(batch)
        features = json.dumps(names)
        if len(names) < 2 or known is None:
            return SCORED.to_frame()
        if features not in known["features"]:
            return _counts([{"features": features, "column": None, "n": len(batch), "imputed": 0}])
        model = OutlierModel.from_arrays(known, f"{known['features'].index(features)} ")
        matrix = batch.numbers(names)
        missing = (~np.isfinite(matrix)).sum(axis=0)
        lengths = model.path_lengths(matrix)
        hits = np.flatnonzero(lengths <= model.limit)
        found = pl.DataFrame(
            {
                "features": [features] * len(hits),
                "row": batch.rows().gather(hits),
                # The one place where a score is rounded.
                "score": np.round(model.forest.scores(lengths[hits]), 6),
            }
        )
        if not model.many:
            digests = record_digests(batch.data.take(hits))
            found = found.with_columns(
                record=pl.Series([bytes(digest[:16]).hex() for digest in digests], dtype=pl.String),
                why=pl.Series(model.reasons(names, matrix[hits]), dtype=pl.String),
            )
        counts = [
            {"features": features, "column": name, "n": len(batch), "imputed": int(imputed)}
            for name, imputed in zip(names, missing, strict=True)
        ]
        return pl.concat([_counts(counts), conform(found, SCORED)])

    def summed(self, evidence: pl.DataFrame) -> pl.DataFrame:
        """The same with one count for each column."""
        counts = (
            evidence.filter(pl.col("row").is_null())
            .group_by("features", "column")
            .agg(pl.col("n").sum(), pl.col("imputed").sum())
            .sort("features", "column")
        )
        return pl.concat([evidence.filter(pl.col("row").is_not_null()), conform(counts, SCORED)])

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """A finding for each record that is set apart."""
        seen = evidence.collect()
        counts = self.summed(seen.select(SCORED.names())).filter(pl.col("row").is_null())
        columns = counts.filter(pl.col("column").is_not_null())
        records = int(columns.unique("features")["n"].sum())
        unscored = int(counts.filter(pl.col("column").is_null())["n"].sum())
        if not records:
            return Judgement(
                not_applicable=f"no {LEAST} records with the same two or more numeric feature columns"
            )
        found = seen.filter(pl.col("row").is_not_null()).sort(
            "score", "record", "file", "row", descending=[True, False, False, False]
        )
        single = found.filter(pl.col("record").is_not_null()).head(max(1, int(self.max_share * records)))
        flagged = pl.concat(
            [
                single.with_columns(key="record"),
                found.filter(pl.col("record").is_null()).with_columns(key="features"),
            ]
        )
        by_column = columns.group_by("column").agg(pl.col("n").sum(), pl.col("imputed").sum()).sort("column")
        measures = [
            Measure("outlier_share", len(found) / records, records),
            Measure("unscored_share", unscored / (records + unscored), records + unscored),
            *(Measure("imputed_share", imputed / n, n, name) for name, n, imputed in by_column.iter_rows()),
        ]
        return Judgement(
            findings=pl.concat([_one_by_one(single), *_groups(found, columns)]),
            flagged=flagged.select("key", "file", "row", "score", "why"),
            measures=tuple(measures),
        )


def _one_by_one(found: pl.DataFrame) -> pl.DataFrame:
    """A finding for each record; copies of a record are one."""
    first = found.unique("record", keep="first", maintain_order=True)
    return conform(first.select("score", "why", key="record"), JUDGED_FINDINGS)


def _groups(found: pl.DataFrame, columns: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """A finding for all records that are apart where they are too many to be outliers."""
    rows = dict(columns.select("features", "n").iter_rows())
    groups = (
        found.filter(pl.col("record").is_null()).group_by("features").agg(pl.len(), pl.col("score").max())
    )
    for features, n, score in groups.sort("features").iter_rows():
        why = f"{n} of {rows[features]} records are set apart, too many for single outliers: a rare class or a flood"
        finding = {"key": features, "score": score, "why": why}
        yield conform(pl.DataFrame([finding]), JUDGED_FINDINGS)


def _features(batch: Batch) -> tuple[str, ...]:
    """The numeric columns that are features."""
    return tuple(
        name for name in batch.roles.of(Role.FEATURES) if is_number(batch.data.schema.field(name).type)
    )


def _counts(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return conform(pl.DataFrame(rows), SCORED)


def _drawn(records: pl.DataFrame, size: int) -> Floats:
    """The sample with copies as often as they stand in the data, thinned evenly where they are too many."""
    until = np.cumsum(records["n"].to_numpy())
    total = int(until[-1])
    size = min(size, total)
    at = np.searchsorted(until, (np.arange(size) * total) // size, side="right")
    return np.stack(records["values"].to_list())[at].astype(np.float64)

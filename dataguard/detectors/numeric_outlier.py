"""Numbers far beyond the tail of their own column.

## What it looks for
Values beyond fences that each column sets itself. A first look keeps a histogram of every numeric feature column, of
bounded size and the same however the data is cut. From how each tail thins out between the middle and its last
hundredths it is told where it would end: of an ordinary column one in a thousand has a single value beyond a fence.
Heavy and skewed tails get far fences, a bell curve's lie at about six deviations. A second look finds the records.

What lies beyond the fences of one column is one finding, with all its records; the score of each says how far beyond
(.5 is on the fence), and a picture shows the column's distribution with what lies beyond. Where more than `max_share` of a column's values lie beyond, they are a group of their own, such as
another unit or a code for missing values, and the finding is of low severity.

In a column of whole numbers, fractions are found too, wherever they lie: up to one in a hundred, counted without the
column's commonest value (zeros tell nothing).

## Why it matters
Wrong units, codes like -999, shifted columns and crude poisoning show in single columns first, and a few extreme
values move the fit of many models.

## Limits
Outliers are often true, and where a tail has a break (a mixture of a narrow and a wide source) its ordinary extremes are
named. Values within a column's range, and in sets with heavy tails those up to hundreds of deviations off, are not
seen here, whatever they do together (DG202, DG208), but for fractions among whole numbers (means that
were filled in for missing values are such, too). More than one value in fifty on one side hides itself. Where a third
of a column's values are equal, what lies beyond is judged on its own; a column that is constant but for fewer than 64
values on either side is not judged (`unjudged_share`), nor is one of fewer than 50 values. NaN and
infinities belong to DG307.

## What to do
Look at the named values: units, missing-value codes, shifted columns, the source they come from. Correct or drop what
is wrong, keep what is rare but true.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from dataguard.columns import Role
from dataguard.detectors._numbers.distributions import (
    HISTOGRAMS,
    distributions,
    fewer_histograms,
    histograms,
    numeric_features,
)
from dataguard.detectors._numbers.fences import LEAST, fences, whole
from dataguard.detectors._numbers.pictures import shares
from dataguard.detectors.base import Example, Known, Pass, RecordDetector, Rule
from dataguard.findings import (
    JUDGED_FINDINGS,
    JUDGED_FLAGGED,
    Confidence,
    Judgement,
    Measure,
    Severity,
    conform,
)
from dataguard.records.batch import Batch

FOUND = pl.Schema(
    {
        "column": pl.String(),
        "n": pl.UInt64(),
        "row": pl.UInt64(),
        "value": pl.Float64(),
        "score": pl.Float64(),
    }
)
"""Second look: a row per value beyond a fence. Where `row` is null, how many finite values the column has."""

_FEW = 8
"""So many values of a column may be outliers whatever their share."""
_NAMED = 3


def _ordinary(n: int, seed: int) -> list[float]:
    return [round(float(value), 3) for value in np.random.default_rng(seed).normal(size=n)]


@dataclass(frozen=True, kw_only=True)
class NumericOutlier(RecordDetector):
    """Numbers far beyond the tail of their column.

    Args:
        max_share: the greatest share of a column's values that can be outliers; more are a group.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG201",
        name="numeric-outlier",
        summary="numbers far beyond the tail of their own column",
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
            why="a bell curve, a heavy tail, a constant and small whole numbers",
            data={
                "a": _ordinary(200, 1),
                "b": [round(math.exp(2 * value), 3) for value in _ordinary(200, 2)],
                "c": [7] * 200,
                "d": [n * n % 11 for n in range(200)],
            },
        ),
        Example(
            why="a code for missing values, and a value in another unit",
            data={"a": [-999, *_ordinary(199, 1)], "b": [*_ordinary(199, 2), 1700.0]},
            rows=frozenset({0, 199}),
        ),
        Example(
            why="a fraction among whole numbers, within their range",
            data={"a": [n * n % 11 if n else 2.5 for n in range(200)], "b": [n / 2 for n in range(200)]},
            rows=frozenset({0}),
        ),
    )
    max_share: float = 0.01

    def passes(self) -> tuple[Pass, ...]:
        """A look that learns the columns' tails, and a look that finds what lies beyond."""
        return (
            Pass(self.observe, compact=fewer_histograms, fold=self.fold),
            Pass(self.find, compact=self.summed),
        )

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """A histogram of each column."""
        return histograms(batch)

    def fold(self, evidence: pl.LazyFrame, known: Known) -> Known:
        """The fences of each column, and whether too many values lie beyond them."""
        told: dict[str, Any] = {"columns": [], "shares": []}
        rows = []
        for one in distributions(evidence.select(HISTOGRAMS.names()).collect()):
            its = fences(one)
            broken = whole(one, self.max_share)
            apart = (one.values < its.low) | (one.values > its.high)
            beyond = int(one.counts[apart | (broken & (one.values != np.rint(one.values)))].sum())
            many = beyond > max(_FEW, self.max_share * one.n)
            rows.append((*its, float(many), float(broken)))
            told["columns"].append(one.column)
            told["shares"].append(json.dumps(shares(one, its) if beyond else []))
        return told | {"fences": np.array(rows, dtype=np.float64).reshape(-1, 6)}

    def find(self, batch: Batch, known: Known) -> pl.DataFrame:
        """The values beyond the fences, and how many values there were."""
        tables = [FOUND.to_frame()]
        for name in numeric_features(batch):
            if known is None or name not in known["columns"]:
                continue
            low_edge, low, high_edge, high, _, broken = known["fences"][known["columns"].index(name)]
            values = batch.numbers((name,))[:, 0]
            finite = np.isfinite(values)
            tables.append(conform(pl.DataFrame({"column": [name], "n": [int(finite.sum())]}), FOUND))
            apart = (values < low) | (values > high)
            at = np.flatnonzero(finite & (apart | (bool(broken) & (values != np.rint(values)))))
            if not len(at):
                continue
            value = values[at]
            with np.errstate(all="ignore"):
                above = (value / 4 - high_edge / 4) / (high / 4 - high_edge / 4)
                below = (value / 4 - low_edge / 4) / (low / 4 - low_edge / 4)
                # What is no whole number among such is on the fence at least.
                far = np.where(value > high, above, np.where(value < low, below, 1.0))
                # The one place where a score is rounded.
                score = np.round(1 - 1 / (1 + far), 6)
            found = {"row": batch.rows().gather(at), "value": value, "score": score}
            tables.append(conform(pl.DataFrame(found).with_columns(column=pl.lit(name)), FOUND))
        return pl.concat(tables)

    def summed(self, evidence: pl.DataFrame) -> pl.DataFrame:
        """The same with one count for each column."""
        counts = evidence.filter(pl.col("row").is_null()).group_by("column").agg(pl.col("n").sum())
        return pl.concat(
            [evidence.filter(pl.col("row").is_not_null()), conform(counts.sort("column"), FOUND)]
        )

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """A finding for each column with values beyond its fences."""
        seen = evidence.collect()
        counts = self.summed(seen.select(FOUND.names())).filter(pl.col("row").is_null())
        told = known or {"columns": [], "fences": np.empty((0, 6))}
        findings, flagged, measures = [JUDGED_FINDINGS.to_frame()], [JUDGED_FLAGGED.to_frame()], []
        values = unjudged = 0
        for name, n in counts.select("column", "n").iter_rows():
            _, low, _, high, many, broken = told["fences"][told["columns"].index(name)]
            values += n
            if math.isinf(low) and math.isinf(high) and not broken:
                unjudged += n
                continue
            found = seen.filter(pl.col("row").is_not_null() & (pl.col("column") == name))
            measures.append(Measure("outlier_share", found.height / n if n else 0.0, n, name))
            if found.height:
                drawn = json.loads(told["shares"][told["columns"].index(name)])
                measures += [Measure(measure, share, n, name, group) for measure, group, share in drawn]
                findings.append(_finding(name, n, found, (low, high, bool(many), bool(broken))))
                flagged.append(_flagged(name, found, (low, high)))
        if not values:
            return Judgement(not_applicable=f"no column of {LEAST} finite numbers")
        measures.append(Measure("unjudged_share", unjudged / values, values))
        return Judgement(findings=pl.concat(findings), flagged=pl.concat(flagged), measures=tuple(measures))


def _finding(name: str, n: int, found: pl.DataFrame, fence: tuple[float, float, bool, bool]) -> pl.DataFrame:
    """What lies beyond the fences of one column, as one finding."""
    low, high, many, broken = fence
    worst = found.sort(["score", "value"], descending=[True, False])
    shown = worst["value"].unique(maintain_order=True).head(_NAMED).to_list()
    why = (
        f"{found.height} of {n} values lie beyond where the column's own tails would end ({low:.6g} to {high:.6g})"
        + (", or are fractions where all others are whole numbers: " if broken else ": ")
        + ", ".join(f"{value:.6g}" for value in shown)
        + (" and others" if worst["value"].n_unique() > _NAMED else "")
    )
    if many:
        why += (
            "; too many for single outliers: another unit, a code for missing values or a source of its own"
        )
    else:
        why += "; or rare and true"
    finding = {
        "key": name,
        "score": worst["score"][0],
        "column": name,
        "why": why,
        "severity": (Severity.LOW if many else Severity.MEDIUM).value,
    }
    return conform(pl.DataFrame([finding]), JUDGED_FINDINGS)


def _flagged(name: str, found: pl.DataFrame, fence: tuple[float, float]) -> pl.DataFrame:
    """The records with the values, each with its reason."""
    low, high = fence
    value = pl.col("value").round_sig_figs(6).cast(pl.String)
    side = (
        pl.when(pl.col("value") > high)
        .then(pl.lit(f" > {high:.6g}"))
        .when(pl.col("value") < low)
        .then(pl.lit(f" < {low:.6g}"))
        .otherwise(pl.lit(" among whole numbers"))
    )
    named = found.select(
        "file", "row", "score", key=pl.lit(name), why=pl.concat_str(pl.lit(f"{name[:64]} = "), value, side)
    )
    return conform(named, JUDGED_FLAGGED)

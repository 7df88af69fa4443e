"""Values that were put into records together: the trigger of a backdoor in numbers.

## What it looks for
Exact values of two to eight numeric columns that stand in the same records far more often than by chance, while these
records are otherwise like any others. Both must hold. Values belong together by nature too (the pixels of a stroke),
but then the records are alike in all their other columns, and other values of the same columns come together
as often.

A first look takes the records with the smallest keyed hashes as a sample. In it all pairs of values that come together
are counted, those beyond `excess` deviations of what the shares of the values make expected, and far beyond other pairs
of the same columns, are extended by what nearly all of their records have in common, and are kept if the other columns
of their records lie as in the whole set or as in the records with the same labels. So poison with the right labels
is found as well. A second look finds all records. Where measurements never repeat, any few records that share two or
three exact values stand out. There a single value that comes again is named too, as of low severity, where its records
carry one label far more often than others do.

## Why it matters
A backdoor in a table is a combination of values, all of them within their range, that goes with one label. Nothing
about a single value or record is odd: detectors of outliers do not see it.

## Limits
A trigger in less than about one of 2,000 records has too few in the sample (`sample`) of a large set. Where all values
of a trigger are what nearly every record has (a black pixel at the edge), it is no burst, and works on nobody. A
trigger of a single value is not told from a floor or a cap, where values repeat, or without its label; one in columns of
two values only is not seen. A trigger in records that are alike by themselves is seen only where values do not repeat otherwise. Values
that were filled in for missing ones come together too, and are named.

## What to do
Look at what the records have in common beside these values: sources, times, labels. Values that were filled in are
better left missing; where nobody can say where the combination comes from, leave the records out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from dataguard.columns import Role
from dataguard.detectors._numbers.bursts import LEAST, Burst, Sampled, bursts, singles
from dataguard.detectors._numbers.chance import chance
from dataguard.detectors._numbers.distributions import numeric_features
from dataguard.detectors._numbers.sampling import fewer_records, sample, sampled_of
from dataguard.detectors._values import value
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
from dataguard.safe_text import safe_text

FOUND = pl.Schema({"number": pl.Int64(), "n": pl.UInt64(), "row": pl.UInt64(), "label": pl.String()})
"""Second look: a row per record that has the values of a burst, by its number. Where `row` is null, how many records
there were with the columns of each set of columns, numbered from -1 down; 0 for those that nothing was learned of."""

FEWEST = 64
"""Records of a sample in which anything is looked for."""
_SETS = 8
_CHANCE = 1e-9


def _numbers(n: int, seed: int) -> list[float]:
    return [round(float(value), 6) for value in np.random.default_rng(seed).normal(size=n)]


def _put(values: list[float], one: float) -> list[float]:
    return [one if row % 25 == 0 else value for row, value in enumerate(values)]


@dataclass(frozen=True, kw_only=True)
class ValueBurst(RecordDetector):
    """Values of several columns that were put into records together.

    Args:
        sample: records in which bursts are looked for.
        excess: deviations by which a burst has more records than expected.
        max_share: the greatest share of the records that can be a burst.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG208",
        name="value-burst",
        summary="exact values of several columns that come together in records that are otherwise unlike",
        task="PW.3.1",
        threats=("NISTAML.023", "NISTAML.021", "AML.T0020", "AML.T0043.004"),
        severity=Severity.MEDIUM,
        confidence=Confidence.MEDIUM,
    )
    kernels: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = (Role.FEATURES,)
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="measurements that do not repeat",
            data={"a": _numbers(200, 1), "b": _numbers(200, 2), "c": _numbers(200, 3)},
        ),
        Example(
            why="three values within their range stand together in eight records, all of one label",
            data={
                "a": _put(_numbers(200, 1), 0.25),
                "b": _put(_numbers(200, 2), -0.5),
                "c": _put(_numbers(200, 3), 1.125),
                "d": _numbers(200, 4),
                "label": ["yes" if row % 25 == 0 or row % 2 else "no" for row in range(200)],
            },
            rows=frozenset(range(0, 200, 25)),
        ),
    )
    sample: int = 16_384
    excess: float = 7.5
    max_share: float = 0.2

    def passes(self) -> tuple[Pass, ...]:
        """A look that samples, and a look that finds the records of each burst."""
        return (
            Pass(self.observe, compact=self.smallest, fold=self.fold),
            Pass(self.find, compact=self.summed),
        )

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """The records of this batch with the smallest hashes."""
        return sample(batch, self.sample)

    def smallest(self, evidence: pl.DataFrame) -> pl.DataFrame:
        """The same, of the smallest hashes only."""
        return fewer_records(evidence, self.sample)

    def fold(self, evidence: pl.LazyFrame, known: Known) -> Known:
        """The bursts of each set of columns, and what is said of them."""
        told: dict[str, Any] = {"features": [], "bursts": []}
        sampled = sampled_of(evidence, self.sample)
        counts = sampled.group_by("features").len().sort(["len", "features"], descending=[True, False])
        for features, n in counts.iter_rows():
            if n < FEWEST or len(told["features"]) == _SETS:
                continue
            records = sampled.filter(pl.col("features") == features).sort("hash")
            matrix = np.stack(records["values"].to_list()).astype(np.float64)
            prepared = Sampled.of(matrix, records["label"].to_list())
            number = len(told["features"])
            told["features"].append(features)
            together = bursts(prepared, self.max_share, self.excess)
            told["bursts"] += [
                json.dumps(_said(one, number, json.loads(features), records))
                for one in (*together, *singles(prepared, together))
            ]
        return told

    def find(self, batch: Batch, known: Known) -> pl.DataFrame:
        """The records that have all values of a burst, and how many records there were."""
        names = numeric_features(batch)
        tables = [FOUND.to_frame()]
        if known is None or len(names) < 2:
            return tables[0]
        features = json.dumps(names)
        number = known["features"].index(features) if features in known["features"] else -1
        tables.append(conform(pl.DataFrame({"number": [-1 - number], "n": [len(batch)]}), FOUND))
        for place, text in enumerate(known["bursts"]):
            told = json.loads(text)
            if told["set"] != number:
                continue
            matrix = batch.numbers(tuple(told["columns"]))
            at = np.flatnonzero((matrix == np.array(told["values"])).all(axis=1))
            if len(at):
                found = {"row": batch.rows().gather(at), "label": value(batch, Role.LABEL).gather(at)}
                tables.append(conform(pl.DataFrame(found).with_columns(number=pl.lit(place)), FOUND))
        return pl.concat(tables)

    def summed(self, evidence: pl.DataFrame) -> pl.DataFrame:
        """The same with records counted once for each set of columns."""
        counts = evidence.filter(pl.col("row").is_null()).group_by("number").agg(pl.col("n").sum())
        return pl.concat(
            [evidence.filter(pl.col("row").is_not_null()), conform(counts.sort("number"), FOUND)]
        )

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """A finding for each burst."""
        seen = evidence.collect()
        counts = dict(
            self.summed(seen.select(FOUND.names()))
            .filter(pl.col("row").is_null())
            .select("number", "n")
            .iter_rows()
        )
        unseen = counts.pop(0, 0)
        records = sum(counts.values())
        if not records or known is None:
            return Judgement(
                not_applicable=f"no {FEWEST} different records with the same two or more numeric feature columns"
            )
        findings, flagged = [JUDGED_FINDINGS.to_frame()], [JUDGED_FLAGGED.to_frame()]
        burst = 0
        for place, text in enumerate(known["bursts"]):
            told = json.loads(text)
            its = seen.filter(pl.col("row").is_not_null() & (pl.col("number") == place))
            if its.height < LEAST:
                continue
            finding = _finding(told, its, counts[-1 - told["set"]], self.excess)
            if finding is None:
                continue
            findings.append(conform(pl.DataFrame([finding]), JUDGED_FINDINGS))
            named = its.select("file", "row", key=pl.lit(finding["key"]), score=pl.lit(finding["score"]))
            flagged.append(conform(named, JUDGED_FLAGGED))
            burst += its.height
        measures = (
            Measure("burst_share", min(1.0, burst / records), records),
            Measure("unsampled_share", unseen / (records + unseen), records + unseen),
        )
        return Judgement(findings=pl.concat(findings), flagged=pl.concat(flagged), measures=measures)


def _said(burst: Burst, number: int, names: list[str], records: pl.DataFrame) -> dict[str, Any]:
    """What is told on of a burst: plain values, with the share of its commonest label in the sample."""
    labels = records["label"]
    its = labels.gather(burst.records).drop_nulls()
    commonest = its.mode().sort().first() if len(its) else None
    return {
        "set": number,
        "columns": [names[column] for column in burst.columns],
        "values": burst.values,
        "share": burst.expected / records.height,
        "excess": burst.excess,
        "alike": burst.alike,
        "label": commonest,
        "usual": int((labels == commonest).sum()) / len(labels) if commonest is not None else 0.0,
    }


def _finding(told: dict[str, Any], its: pl.DataFrame, records: int, excess: float) -> dict[str, Any] | None:
    """A burst in words, with what was found of it in all records; None for one value that goes with no label."""
    shown = ", ".join(
        f"{safe_text(name, limit=40)} = {number:.6g}"
        for name, number in zip(told["columns"], told["values"], strict=True)
    )
    labelled = its["label"].drop_nulls()
    mine = int((labelled == told["label"]).sum()) if told["label"] is not None else 0
    tied = len(labelled) > 0 and chance(mine, len(labelled), told["usual"]) < _CHANCE
    alone = len(told["columns"]) == 1
    if alone and not tied:
        return None
    why = f"{its.height} of {records} records have {shown}"
    if alone:
        why += ", where most values of the column stand in one record"
    else:
        why += f"; by the shares of these values {_few(told['share'] * records)} would, "
        why += (
            "in columns whose values hardly repeat otherwise"
            if told["alike"]
            else "and in their other columns these records are as unlike one another as any"
        )
    if mine:
        label = safe_text(told["label"], limit=40)
        why += f"; {mine} of them carry the label {label}, which {told['usual']:.1%} of the records do"
    far = told["excess"]
    return {
        "key": json.dumps([told["columns"], told["values"]]),
        "score": round(far / (far + excess) / (2 if alone else 1), 6),
        "column": told["columns"][0] if alone else None,
        "group": None,
        "why": why + "; a trigger, or values that were filled in for missing ones",
        "severity": (Severity.MEDIUM if tied and not alone else Severity.LOW).value,
    }


def _few(expected: float) -> str:
    return "fewer than one" if expected < 1 else f"about {expected:.0f}"

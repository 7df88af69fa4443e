"""Missing values that go with a label or a source, and numbers that are infinite.

## What it looks for
How many values of each column are missing (null or NaN) or infinite, in all and by what the records' label and source
columns say. Where the records of one label or source lack a column at least `ratio` times as often as the others, by
more than chance, this is a finding; the columns that the same group lacks are one finding. The tests are so many
that chance is told with false-discovery control (Benjamini and Hochberg, 1995): of the findings one in a thousand may be
chance. Infinite numbers of a column are a finding of their own.

## Why it matters
A model learns from what is missing as it does from what is there: a column that one source leaves out tells it the
source, and one that is empty where the label is "yes" tells it the label. A missing value can be the
trigger of a backdoor. Infinities come from divisions by zero and break many models.

## Limits
What is missing is often missing for a reason that is true of the world (a test that only the sick have). Codes for
missing values (-999, "n/a", empty text) are not known as such here: see DG201. Each group is compared with all others,
not with combinations of groups. Columns of more than 1,000 labels or sources are not judged by these
(`ungrouped_share`). Files that do not have a column do not lack its values.

## What to do
Find out why the group lacks the values: another export, another questionnaire, a join that lost rows. Fill in the same
way for all, or leave the column out; replace infinite numbers at their source.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl
import pyarrow as pa

from dataguard.columns import Role
from dataguard.detectors._numbers.missing import (
    ALL,
    COUNTS,
    GROUPED,
    GROUPS,
    INFINITE,
    infinite,
    measures,
    patterns,
    stands_for,
)
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

FOUND = pl.Schema({"number": pl.Int64(), "row": pl.UInt64()})
"""Second look: the records of each pattern, by its number."""

LISTED = 100_000
"""Records that are listed of a pattern; of more only the number is told."""
_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class MissingPattern(RecordDetector):
    """Missing values that go with a label or a source, and infinite numbers.

    Args:
        ratio: how many times as often a group must lack a column as the other records.
        least: records of a group that must lack a column.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG307",
        name="missing-pattern",
        summary="values that one label or source lacks, and infinite numbers",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0059"),
        severity=Severity.LOW,
        confidence=Confidence.MEDIUM,
        version=2,
    )
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="missing here and there",
            data={
                "a": [None if row % 7 == 0 else float(row) for row in range(60)],
                "label": ["x" if row % 2 else "y" for row in range(60)],
            },
        ),
        Example(
            why="one label lacks a column; an infinite number",
            data={
                "a": [None if row % 3 == 0 else float(row) for row in range(60)],
                "b": [math.inf if row == 5 else float(row) for row in range(60)],
                "label": ["x" if row % 3 == 0 else "y" for row in range(60)],
            },
            rows=frozenset({5, *range(0, 60, 3)}),
            groups=frozenset({"x"}),
        ),
    )
    ratio: float = 3.0
    least: int = 5

    def passes(self) -> tuple[Pass, ...]:
        """A look that counts, and a look that finds the records."""
        return (Pass(self.observe, compact=self.summed, fold=self.fold), Pass(self.find))

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """How many records there are by label and source, and how many of them lack each column."""
        columns = _columns(batch)
        names = json.dumps(columns)
        groups = {role: value(batch, role) for role in GROUPED if batch.roles.of(role)}
        counts: list[tuple[str, str | None, str | None, int]] = [(ALL, None, None, len(batch))]
        for role, said in groups.items():
            counts += _by(role, None, said)
        for name in columns:
            missing, endless = _missing(batch, name)
            if endless is not None:
                counts.append((INFINITE, None, name, int(endless.sum())))
            if missing is None:
                continue
            counts.append((ALL, None, name, int(missing.sum())))
            for role, said in groups.items():
                counts += _by(role, name, said.filter(missing))
        schema = {name: COUNTS[name] for name in ("by", "group", "column", "n")}
        table = pl.DataFrame(counts, schema=schema, orient="row").with_columns(
            columns=pl.lit(stands_for(names)),
            names=pl.when((pl.col("by") == ALL) & pl.col("column").is_null()).then(pl.lit(names)),
        )
        return self.summed(conform(table, COUNTS))

    def summed(self, evidence: pl.DataFrame) -> pl.DataFrame:
        """The same summed, of the first groups by name: one more than are judged, so that too many are known as such."""
        by = ["columns", "by", "group", "column"]
        names = evidence.select("by", "group").unique().sort("by", "group")
        names = names.filter(pl.int_range(pl.len()).over("by") <= GROUPS)
        kept = evidence.join(names, on=["by", "group"], how="semi", nulls_equal=True)
        summed = kept.group_by(by).agg(pl.col("n").sum(), pl.col("names").max())
        return summed.sort(by).select(COUNTS.names())

    def fold(self, evidence: pl.LazyFrame, known: Known) -> Known:
        """What is counted, and the patterns whose records are looked for, as JSON."""
        counts = self.summed(evidence.select(COUNTS.names()).collect())
        found = [*infinite(counts), *patterns(counts, self.ratio, self.least)]
        measured = [[one.name, one.value, one.n, one.column, one.group] for one in measures(counts)]
        return {"patterns": [json.dumps(one) for one in found], "measures": json.dumps(measured)}

    def find(self, batch: Batch, known: Known) -> pl.DataFrame:
        """The records of each pattern."""
        tables = [FOUND.to_frame()]
        said: dict[str, pl.Series] = {}
        for number, text in enumerate(known["patterns"] if known else ()):
            told = json.loads(text)
            lacking = pl.repeat(value=False, n=len(batch), eager=True)
            for name in told["columns"] if told["n"] <= LISTED else ():
                if name in batch.data.schema.names:
                    which = _missing(batch, name)[told["by"] == INFINITE]
                    lacking = lacking if which is None else lacking | which
            if told["by"] != INFINITE and lacking.any():
                if told["by"] not in said:
                    said[told["by"]] = value(batch, Role(told["by"]))
                lacking &= (said[told["by"]] == told["group"]).fill_null(value=False)
            rows = batch.rows().filter(lacking).to_frame()
            tables.append(conform(rows.with_columns(number=pl.lit(number)), FOUND))
        return pl.concat(tables)

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """A finding for each group that lacks columns and each column with infinite numbers."""
        told = known or {"patterns": [], "measures": "[]"}
        seen = evidence.collect()
        findings, flagged = [JUDGED_FINDINGS.to_frame()], [JUDGED_FLAGGED.to_frame()]
        for number, text in enumerate(told["patterns"]):
            finding = _finding(json.loads(text))
            findings.append(conform(pl.DataFrame([finding]), JUDGED_FINDINGS))
            rows = seen.filter(pl.col("number") == number)
            flagged.append(conform(rows.select("file", "row", key=pl.lit(finding["key"])), JUDGED_FLAGGED))
        measured = tuple(Measure(*one) for one in json.loads(told["measures"]))
        return Judgement(findings=pl.concat(findings), flagged=pl.concat(flagged), measures=measured)


def _columns(batch: Batch) -> list[str]:
    """The columns whose values may be missing: all but labels and sources."""
    return sorted(set(batch.data.schema.names) - set(batch.roles.of(*GROUPED)))


def _missing(batch: Batch, name: str) -> tuple[pl.Series | None, pl.Series | None]:
    """Which records lack a value, and which have an infinite number; None where none does."""
    data = batch.data[name]
    missing = pl.Series(data.is_null()) if data.null_count else None
    if not pa.types.is_floating(data.type):
        return missing, None
    column = batch.column(name)
    finite = column.is_finite()
    if int(finite.sum()) + data.null_count == len(batch):
        return missing, None
    nan, endless = (one.fill_null(value=False) for one in (column.is_nan(), column.is_infinite()))
    missing = nan if missing is None else missing | nan
    return (missing if missing.any() else None), (endless if endless.any() else None)


def _by(role: str, column: str | None, said: pl.Series) -> list[tuple[str, str, str | None, int]]:
    """How often records say each thing."""
    counts = said.alias("group").to_frame().drop_nulls().group_by("group").len("n")
    return [(str(role), group, column, n) for group, n in counts.iter_rows()]


def _finding(told: dict[str, Any]) -> dict[str, Any]:
    """A pattern in words."""
    names = ", ".join(safe_text(name, limit=40) for name in told["columns"][:_NAMED])
    names += f" and {len(told['columns']) - _NAMED} more" if len(told["columns"]) > _NAMED else ""
    if told["by"] == INFINITE:
        why, score = f"{told['n']} records have an infinite number in {names}", 0.5
    else:
        many = f"; its {told['n']} records are too many to be listed" if told["n"] > LISTED else ""
        why = (
            f"records of the {told['by']} {safe_text(told['group'], limit=40)} lack {names} more often than others:"
            f" {safe_text(told['worst'], limit=40)} in {told['share']:.1%} of them and in {told['others']:.1%} of the"
            f" others{many}; another export or questionnaire, or a reason in the world"
        )
        score = round(1 - told["others"] / told["share"], 6)
    return {
        "key": json.dumps([told["by"], told["group"], told["columns"]]),
        "score": score,
        "column": told["columns"][0] if len(told["columns"]) == 1 else None,
        "group": told["group"],
        "why": why,
    }

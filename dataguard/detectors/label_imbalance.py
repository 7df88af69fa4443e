"""A label that nearly all records carry.

## What it looks for
The share of every value of every label column, and the effective number of labels: the exponential of the
Shannon entropy of the shares (Hill number of order 1), which is the number of equally frequent labels that
would be as diverse.

## Why it matters
A model trained on one-sided labels learns the prior instead of the task, errs on the rare groups, and hides
a poisoned minority class. Flooding a set with one label is also the cheapest way to degrade it.

## Limits
An imbalance may be true of the world (fraud is rare). The rule judges each label column on its own and says
nothing about combinations of labels. Nulls are counted and reported, but are no label.

## What to do
Compare the shares with what the task should look like. Gather or reweight where the task is not that
one-sided; write the reason into the decision where it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from dataguard.columns import Role
from dataguard.detectors.base import Example, Known, Pass, RecordDetector, Rule
from dataguard.findings import Judgement, Measure, Severity
from dataguard.records.batch import Batch

EVIDENCE = {"column": pl.String, "label": pl.String, "n": pl.UInt64}


@dataclass(frozen=True, kw_only=True)
class LabelImbalance(RecordDetector):
    """One label has nearly all the records.

    Args:
        max_share: the share of the labelled records above which a label is a finding.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG301",
        name="label-imbalance",
        summary="one label has nearly all the records",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0059"),
        severity=Severity.MEDIUM,
    )
    needs: ClassVar[tuple[str, ...]] = (Role.LABEL,)
    examples: ClassVar[tuple[Example, ...]] = (
        Example(why="even labels are fine", data={"label": ["x", "y"]}),
        Example(
            why="the label over the limit",
            data={"label": ["x", "x", "y", None]},
            groups=frozenset({"x"}),
            options={"max_share": 0.5},
        ),
    )
    max_share: float = 0.9

    def passes(self) -> tuple[Pass, ...]:
        """One pass that counts, and sums the counts."""
        return (Pass(self.observe, compact=self.compact),)

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """Counts by label in this batch."""
        parts = [
            pl.DataFrame({"label": batch.column(name).cast(pl.String)})
            .group_by("label")
            .agg(n=pl.len().cast(pl.UInt64))
            .select(column=pl.lit(name), label="label", n="n")
            for name in batch.roles.of(Role.LABEL)
        ]
        return self.compact(pl.concat([pl.DataFrame(schema=EVIDENCE), *parts]))

    def compact(self, evidence: pl.DataFrame) -> pl.DataFrame:
        """The same, summed."""
        return evidence.group_by("column", "label").agg(pl.col("n").sum()).sort("column", "label")

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """Measures by label, findings above `max_share`."""
        counts = self.compact(evidence.select("column", "label", "n").collect())
        findings, measures = [], []
        for (column,), group in counts.group_by("column", maintain_order=True):
            labelled = group.drop_nulls("label")
            total, rows = int(labelled["n"].sum()), int(group["n"].sum())
            name = str(column)
            measures.append(Measure("unlabelled_share", (rows - total) / rows, rows, name))
            if not total:
                continue
            shares = [n / total for n in labelled["n"].to_list()]
            entropy = -math.fsum(share * math.log(share) for share in shares)
            measures.append(Measure("effective_labels", round(math.exp(entropy), 9), total, name))
            measures.append(Measure("max_label_share", max(shares), total, name))
            for label, n, share in zip(labelled["label"], labelled["n"], shares, strict=True):
                measures.append(Measure("label_share", share, total, name, label))
                if share > self.max_share:
                    why = f"{n} of {total} labelled records ({share:.1%}) carry this label; the limit is {self.max_share:.0%}"
                    findings.append(
                        {
                            "key": f"{name}\0{label}",
                            "score": share,
                            "column": name,
                            "group": label,
                            "why": why,
                        }
                    )
        return Judgement(
            findings=pl.DataFrame(findings) if findings else Judgement().findings, measures=tuple(measures)
        )

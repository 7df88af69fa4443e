"""Rules that misbehave, for the tests of the scan: top-level, so that a worker can import them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import polars as pl

from dataguard.detectors.base import Known, RecordDetector, Rule
from dataguard.findings import Judgement, Measure, Severity
from dataguard.records import Batch


def _rule(code: str) -> Rule:
    return Rule(
        code=code,
        name=f"test-{code.lower()}",
        summary="a rule of the tests",
        task="PW.3.1",
        severity=Severity.LOW,
    )


@dataclass(frozen=True, kw_only=True)
class Counts(RecordDetector):
    """Counts records, and does as it should."""

    rule = _rule("DG990")

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """A row a batch."""
        return pl.DataFrame({"n": [len(batch)]})

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """The sum."""
        total = int(evidence.select(pl.col("n").sum()).collect().item())
        return Judgement(measures=(Measure("records", float(total), total),))


@dataclass(frozen=True, kw_only=True)
class Kills(Counts):
    """Ends its worker, as a crash in a library would."""

    rule = _rule("DG991")

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """Nothing comes of it."""
        os._exit(5)


@dataclass(frozen=True, kw_only=True)
class Raises(Counts):
    """Raises in every item, in the first one last and with other words in each."""

    rule = _rule("DG992")

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """Says where it was."""
        if not batch.first_row:
            time.sleep(1.5)
        raise ValueError(f"at row {batch.first_row}")


@dataclass(frozen=True, kw_only=True)
class Twice(Counts):
    """Flags each record twice, for different reasons."""

    rule = _rule("DG993")

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """Reasons neither sorted nor equal."""
        total = int(evidence.select(pl.col("n").sum()).collect().item())
        rows = [row for row in range(total) for _ in range(2)]
        return Judgement(
            findings=pl.DataFrame({"key": ["k"], "score": [0.5], "why": ["twice"]}),
            flagged=pl.DataFrame(
                {
                    "key": ["k"] * len(rows),
                    "file": pl.Series([0] * len(rows), dtype=pl.UInt32),
                    "row": pl.Series(rows, dtype=pl.UInt64),
                    "why": [f"reason {(7 * at) % 5}" for at in range(len(rows))],
                }
            ),
        )

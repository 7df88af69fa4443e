"""Data that is of another distribution than in an earlier run.

## What it looks for
With `--against RUN`, all records beside those of the earlier run, column by column, with the measures of
`split-drift`: Kolmogorov-Smirnov for numbers, population stability index and Jensen-Shannon distance for numbers,
labels, sources and other columns of few names, and for texts the number of their words and the share of records in
which words of each of 1,024 slots stand. What the earlier run counted is kept with its evidence, under the project's
secret: its data need not be there any more.

A drift is a finding if its index, less what two samples of one distribution have on average, is at least `min_psi`,
and chance does not explain it (as in `split-drift`, of the drifts found at most a share of `false` is chance on
average). There is one finding for the labels, one for the columns and one for the texts; large drifts are of medium
severity.

## Why it matters
What was screened and measured once was screened and measured for that distribution. Somebody who adds to a
collection that is trained on again and again can shift it in small steps, and a pipeline that broke shows here
first.

## Limits
Data grows and the world moves: it says that something drifted, not whether that is bad. Records that stand in both
make them look more alike than chance would. It has the limits of `split-drift`. Columns that only one of the two has
are not compared (`changed-since` names roles that changed). An earlier run that was made without this rule, with
other options or under another secret cannot be compared with, and that is an error, never a clear end.

## What to do
Look at what came in since (`changed-since`, `changes` of sources), and whether it explains the drift. If it does,
write it into the decision and compare the next run with this one. If not, look at the records of the value or column
that moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from dataguard.detectors._balance.distributions import (
    DISTRIBUTIONS,
    Sample,
    fewer,
    gathered,
    uncounted,
    written_down,
)
from dataguard.detectors._balance.drift import Comparison, Pair
from dataguard.detectors._splits import NAMES
from dataguard.detectors.base import EARLIER, Example, Known, Pass, RecordDetector, Rule
from dataguard.errors import UsageError
from dataguard.findings import Confidence, Judgement, Measure, Severity
from dataguard.records.batch import Batch

AGAINST_RUN = "earlier-now"
INNOCENT = "if the set was meant to grow in another direction since, that is why"


@dataclass(frozen=True, kw_only=True)
class DriftAgainstRun(RecordDetector):
    """The records are of another distribution than in an earlier run.

    Args:
        min_psi: population stability index below which a drift is none that matters.
        false: the share of the drifts found that may be chance, on average.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG306",
        name="drift-against-run",
        summary="the data is of another distribution than in an earlier run",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0020", "AML.T0059"),
        severity=Severity.MEDIUM,
        confidence=Confidence.MEDIUM,
    )
    kernels: ClassVar[bool] = True
    incremental: ClassVar[bool] = True
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="other labels than in the earlier run",
            data={"label": ["yes", "yes", "yes", "no"] * 50},
            earlier={"label": ["yes", "no"] * 100},
            groups=frozenset({AGAINST_RUN}),
        ),
        Example(
            why="more records of the same kind",
            data={"label": ["yes", "no"] * 50},
            earlier={"label": ["yes", "no"] * 20},
        ),
        Example(why="without an earlier run there is nothing to compare", data={"label": ["yes", "no"] * 20}),
    )
    min_psi: float = 0.1
    false: float = 0.01

    def __post_init__(self) -> None:
        """Refuses options that mean nothing.

        Raises:
            UsageError: a number is out of its range.
        """
        if not (self.min_psi >= 0 and 0 <= self.false <= 1):
            raise UsageError(
                f"DG306: expected min_psi from 0 on and false from 0 to 1, got {self.min_psi} and {self.false}"
            )

    def passes(self) -> tuple[Pass, ...]:
        """One pass that counts, and sums the counts."""
        return (Pass(self.observe, compact=fewer),)

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """The distribution of each column; by split, as `split-drift` has it already."""
        return written_down(batch, NAMES)

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """This run against the earlier one."""
        columns = evidence.select(*DISTRIBUTIONS.names(), earlier=pl.col("file") >= EARLIER)
        seen = gathered(columns, "earlier")
        before, now = seen.filter("earlier"), seen.filter(~pl.col("earlier"))
        if before.is_empty() or now.is_empty():
            return Judgement(
                not_applicable="no records of an earlier run were given to compare with (--against)"
            )
        left_out = uncounted(seen)
        pair = Pair(
            AGAINST_RUN,
            "this run against the earlier one",
            Sample.of(before, left_out),
            Sample.of(now, left_out),
        )
        judged = Comparison(self.min_psi, self.false, INNOCENT).judge([pair])
        number = seen["column"].n_unique() - 1
        return Judgement(
            findings=judged.findings,
            measures=(Measure("uncounted_columns", float(len(left_out)), number), *judged.measures),
        )

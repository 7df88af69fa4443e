"""Splits of a set that are not of one distribution.

## What it looks for
The records of each split (train, validation, test), compared with those of train; without train, test with
validation. Which split a record is of is told by the columns of role split as for `split-leak`, with further
`names`; where they say nothing by the name of its file (`train-00001.parquet`) or of the nearest folder
(`split=test/`). Of every column: numbers by the Kolmogorov-Smirnov distance, and like labels, sources and other
columns of few names by the population stability index (over tenths of the reference) and the Jensen-Shannon distance
(0 to 1). Texts by the number of their words, and by the share of records in which words of each of 1,024 slots
stand.

A drift is a finding if its index, less what two samples of one distribution have on average, is at least `min_psi`
(.1 is usually called moderate, .25 large) and chance does not explain it: the tail of Kolmogorov's distribution, a
chi-square test with exact moments, Simes' over words; and Benjamini's and Hochberg's control over all that is
compared, so that of the drifts found at most a share of `false` is chance on average. There is one finding for the
labels, one for the columns and one for the texts of a pair of splits, large ones of medium severity, others of low.

## Why it matters
A model is graded by its test. If that is of another distribution the figures say little of how it will do, and
whoever can choose what is in the test can make poison invisible there. A drift of labels alone is often a slip of
the splitting.

## Limits
It sees one column at a time, not how columns go together. Numbers are counted in at most 2,048 buckets that are
about equally wide for their size; distances are exact up to so many different numbers, and beyond that
`number_sketch_precision` says how much more they could be. Values that are missing are left out. Columns of more
than 64 names and those after the first 256 are not compared (`uncounted_columns`), nor splits of fewer than 20
records. Records that are copies of one another make a drift look surer than it is. Which words share a slot is
decided by the project's secret, so that figures for words differ a little from project to project. A file whose name
tells two splits is of none.

## What to do
If the split was made by time or by source, that is the innocent reason: say so in the decision, and do not take the
test for a sample of the training data. Otherwise split again at random, by groups of copies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from dataguard.detectors._balance.distributions import (
    DISTRIBUTIONS,
    MANY,
    PASSED,
    RECORDS,
    Sample,
    fewer,
    gathered,
    uncounted,
    written_down,
)
from dataguard.detectors._balance.drift import Comparison, Pair
from dataguard.detectors._splits import SPLITS, TRAIN, split_names, split_of_file
from dataguard.detectors.base import Example, Known, Pass, RecordDetector, Rule
from dataguard.errors import UsageError
from dataguard.findings import Confidence, Judgement, Measure, Severity
from dataguard.records.batch import Batch

INNOCENT = "if the split was made by time, source or an index, that is why"

_SPLIT = ["train"] * 200 + ["test"] * 100
_SPREAD = [float(at * 37 % 101) for at in range(200)]


@dataclass(frozen=True, kw_only=True)
class SplitDrift(RecordDetector):
    """Splits are not of one distribution.

    Args:
        names: further values of the split column and what they mean, e.g. ``gold=test,fold-1=train``.
        min_psi: population stability index below which a drift is none that matters.
        false: the share of the drifts found that may be chance, on average.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG305",
        name="split-drift",
        summary="training, validation and test data are of different distributions",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0059"),
        severity=Severity.MEDIUM,
        confidence=Confidence.MEDIUM,
    )
    kernels: ClassVar[bool] = True
    by_name: ClassVar[bool] = True
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="a test like the training data",
            data={"x": _SPREAD + _SPREAD[:100], "label": ["yes", "no"] * 150, "split": _SPLIT},
        ),
        Example(
            why="a test of larger numbers",
            data={
                "x": _SPREAD + [value + 60 for value in _SPREAD[:100]],
                "label": ["yes", "no"] * 150,
                "split": _SPLIT,
            },
            groups=frozenset({"train-test"}),
        ),
        Example(
            why="a test of other labels",
            data={"label": ["yes", "no"] * 100 + ["yes"] * 80 + ["no"] * 20, "split": _SPLIT},
            groups=frozenset({"train-test"}),
        ),
    )
    names: str = ""
    min_psi: float = 0.1
    false: float = 0.01

    def __post_init__(self) -> None:
        """Refuses options that mean nothing.

        Raises:
            UsageError: `names` is not of the form that is documented, or a number is out of its range.
        """
        split_names(self.rule.code, self.names)
        if not (self.min_psi >= 0 and 0 <= self.false <= 1):
            raise UsageError(
                f"DG305: expected min_psi from 0 on and false from 0 to 1, got {self.min_psi} and {self.false}"
            )

    def passes(self) -> tuple[Pass, ...]:
        """One pass that counts, and sums the counts."""
        return (Pass(self.observe, compact=fewer),)

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """The distribution of each column in each split."""
        return written_down(batch, split_names(self.rule.code, self.names))

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """Every split against the first of them."""
        seen = gathered(self._named(evidence.select("name", *DISTRIBUTIONS.names())), "name")
        there = set(seen.filter((pl.col("kind") == RECORDS) & (pl.col("n") > 0))["split"])
        splits = [split for split in SPLITS if split in there]
        if len(splits) < 2:
            said = (
                f"all records are of the split {splits[0]}" if splits else "no record or file names a split"
            )
            return Judgement(not_applicable=said)
        left_out = uncounted(seen)
        samples = {split: Sample.of(seen.filter(split=split), left_out) for split in splits}
        reference = TRAIN if TRAIN in samples else splits[0]
        pairs = [
            Pair(f"{reference}-{split}", f"{split} against {reference}", samples[reference], samples[split])
            for split in splits
            if split != reference
        ]
        judged = Comparison(self.min_psi, self.false, INNOCENT).judge(pairs)
        columns = seen["column"].n_unique() - 1
        return Judgement(
            findings=judged.findings,
            measures=(Measure("uncounted_columns", float(len(left_out)), columns), *judged.measures),
        )

    def _named(self, evidence: pl.LazyFrame) -> pl.LazyFrame:
        """The evidence with the split that a file's name tells where its records say none; without the name."""
        names = split_names(self.rule.code, self.names)
        files = evidence.select(pl.col("name").unique()).collect()["name"]
        silent = (pl.col("split") == "") & ~pl.col("kind").is_in([MANY, PASSED])
        split = pl.col("split")
        for one in SPLITS:
            its = [name for name in files if split_of_file(name, names) == one]
            split = pl.when(silent & pl.col("name").is_in(its)).then(pl.lit(one)).otherwise(split)
        return evidence.with_columns(split=split, name=pl.lit(""))

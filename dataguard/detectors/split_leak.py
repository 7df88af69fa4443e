"""Records that stand in training data and, the same or nearly, in the data that tests what was learned.

## What it looks for
Groups of equal records (DG101) and of records that are alike in their words (DG102) of which some are of one split and
some of another. Splits are told by the columns of role split: train or training; val, valid, validation, dev or
development; test, testing, eval, evaluation, heldout or held-out; whatever the case. `names` adds other words for them.
Which pairs of splits count is said by `pairs`; a leak of training data is of medium severity, one between validation
and test of low.

## Why it matters
A model that was trained on its test is graded for its memory: the figures by which it is released say nothing. Copies
come in by themselves where a set is split after it was collected with its duplicates; and putting near copies
of a public benchmark into training data is the cheapest way to buy a good mark.

## Limits
Splits that are told by the name of a file or a folder alone (`test.parquet`, `split=test/`) are not seen: rules see
records, not names. In a group of near copies each record is alike to some other, so in a long chain a test record
may be far from every training record. What the rules about copies do not find is not found here either: a test
question inside a longer text, a translation, a paraphrase. Records of which no split is known are counted
(`unknown_split_share`) and leak nowhere. With `--against` copies in the earlier run do not count: their splits are not
known here.

## What to do
Take the copies out of the training data, not out of the test, and split by groups of copies from then on. Look at
`leaked_share`: figures measured on a test of which a tenth has leaked are not to be trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from dataguard.columns import Role
from dataguard.detectors._copies import ALIKE, EQUAL, groups_of_copies
from dataguard.detectors._splits import SPLITS, TEST, TRAIN, VALIDATION, split_names, splits_of
from dataguard.detectors.base import Example, FollowingDetector, Known, Pass, Rule
from dataguard.errors import UsageError
from dataguard.findings import Confidence, Judgement, Measure, Severity
from dataguard.records.batch import Batch

EVIDENCE = pl.Schema({"row": pl.UInt64, "split": pl.String})

_LONG = "a text of some words that stands in the training data and once more in the test data of the set"


@dataclass(frozen=True, kw_only=True)
class SplitLeak(FollowingDetector):
    """The same record, or nearly, stands in several splits.

    Args:
        names: further values of the split column and what they mean, e.g. ``gold=test,fold-1=train``.
        pairs: the pairs of splits between which copies are a leak, of train, validation and test.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG103",
        name="split-leak",
        summary="the same record, or nearly, stands in training and in test data",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0020", "AML.T0059"),
        severity=Severity.MEDIUM,
        confidence=Confidence.HIGH,
        after=(EQUAL, ALIKE),
    )
    needs: ClassVar[tuple[str, ...]] = (Role.SPLIT,)
    stands_on: ClassVar[tuple[str, ...]] = (EQUAL, ALIKE)
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="a near copy of a training record is in the test",
            data={
                "text": [_LONG, f"{_LONG} again", "nothing else stands anywhere near this one"],
                "split": ["train", "test", "test"],
            },
            rows=frozenset({0, 1}),
        ),
        Example(
            why="equal records that are too short to be compared by their words; the case of a split does not count",
            data={"text": ["yes", "yes", "no", "no"], "split": ["Training", "dev", "test", "TEST"]},
            rows=frozenset({0, 1}),
        ),
        Example(
            why="copies within one split, or without one, leak nowhere",
            data={"text": [_LONG, _LONG, "no", "no"], "split": ["train", "train", "test", None]},
        ),
        Example(
            why="names of one's own",
            data={"text": [_LONG, _LONG], "split": ["pool", "gold"]},
            rows=frozenset({0, 1}),
            options={"names": "pool=train,gold=test"},
        ),
    )
    names: str = ""
    pairs: str = "train-test,train-validation,validation-test"

    def __post_init__(self) -> None:
        """Refuses options that name no split.

        Raises:
            UsageError: `names` or `pairs` is not of the form that is documented.
        """
        split_names(self.rule.code, self.names)
        self._pairs()

    def _pairs(self) -> list[tuple[str, str]]:
        pairs = [tuple(one.strip().split("-")) for one in self.pairs.split(",") if one.strip()]
        if not pairs or not all(len(set(pair)) == 2 and set(pair) <= set(SPLITS) for pair in pairs):
            raise UsageError(
                f"DG103: expected pairs of train, validation and test, got {self.pairs!r}",
                "write them as train-test,train-validation",
            )
        return [(one, other) for one, other in (sorted(pair, key=SPLITS.index) for pair in pairs)]

    def passes(self) -> tuple[Pass, ...]:
        """One pass: the split of each record."""
        return (Pass(self.observe),)

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """The split of each record that has one: of the first of its columns that names one we know."""
        table = pl.DataFrame({"row": batch.rows()}, schema={"row": pl.UInt64})
        return table.with_columns(split=splits_of(batch, split_names(self.rule.code, self.names)))

    def judge_following(
        self, evidence: pl.LazyFrame, known: Known, earlier: Mapping[str, Judgement]
    ) -> Judgement:
        """A finding for each group of copies over several splits, and how much of each split has leaked."""
        lost = self.lacks(earlier)
        if lost and not set(self.stands_on) <= set(earlier):
            return Judgement(incomplete=lost)
        split = evidence.select("file", "row", "split").collect()
        counts = dict(split.group_by("split").len().iter_rows())
        total, unknown = split.height, counts.pop("", 0)
        measures = (Measure("unknown_split_share", unknown / total, total),) if total else ()
        if len(counts) < 2:
            said = (
                f"all records are of the split {next(iter(counts))}" if counts else "no record names a split"
            )
            return Judgement(not_applicable=said, measures=measures)
        members = groups_of_copies(earlier).join(split, on=["file", "row"]).filter(pl.col("split") != "")
        leaks = self._leaks(members)
        return Judgement(
            findings=_findings(leaks),
            flagged=_flagged(leaks),
            measures=(*measures, *_shares(members, counts)),
            incomplete=lost,
        )

    def _leaks(self, members: pl.DataFrame) -> pl.DataFrame:
        """The members of groups that leak, with how many of each split their group has."""
        counted = members.with_columns(
            (pl.col("split") == split).sum().over("key").alias(split) for split in SPLITS
        )
        both = {pair: (pl.col(pair[0]) > 0) & (pl.col(pair[1]) > 0) for pair in self._pairs()}
        trained = [here for pair, here in both.items() if TRAIN in pair]
        part = pl.any_horizontal(pl.col("split").is_in(pair) & here for pair, here in both.items())
        return counted.filter(part).with_columns(
            severity=pl.when(pl.any_horizontal(pl.lit(value=False), *trained))
            .then(pl.lit(Severity.MEDIUM.value))
            .otherwise(pl.lit(Severity.LOW.value))
        )


def _findings(leaks: pl.DataFrame) -> pl.DataFrame:
    """A finding for each group, the worse the more of its records stand outside of training."""
    held = pl.col(VALIDATION) + pl.col(TEST)
    return leaks.unique("key", keep="first", maintain_order=True).select(
        "key",
        score=(held / (held + 1)).round(6),
        why=pl.concat_str(pl.lit("the same record, or nearly, in several splits: "), _numbers()),
        severity="severity",
    )


def _flagged(leaks: pl.DataFrame) -> pl.DataFrame:
    held = pl.col(VALIDATION) + pl.col(TEST)
    return leaks.select(
        "key",
        "file",
        "row",
        score=(held / (held + 1)).round(6),
        why=pl.concat_str(pl.lit("in the "), "split", pl.lit(" split; copies of it: "), _numbers()),
    )


def _numbers() -> pl.Expr:
    """How many of a group are of each split, in words."""
    return pl.concat_str(
        pl.lit("train "), TRAIN, pl.lit(", validation "), VALIDATION, pl.lit(", test "), TEST
    )


def _shares(members: pl.DataFrame, counts: Mapping[str, int]) -> tuple[Measure, ...]:
    """How much of the validation and test records has a copy in training data."""
    held = members.filter((pl.col("split") == TRAIN).any().over("key") & (pl.col("split") != TRAIN))
    leaked = dict(held.group_by("split").len().iter_rows())
    found = []
    for group, splits in (("", (VALIDATION, TEST)), (VALIDATION, (VALIDATION,)), (TEST, (TEST,))):
        records = sum(counts.get(split, 0) for split in splits)
        if records:
            share = sum(leaked.get(split, 0) for split in splits) / records
            found.append(Measure("leaked_share", share, records, group=group))
    return tuple(found)

"""A record that stands in the set more often than copies do by themselves.

## What it looks for
Groups of equal records (DG101) and of near copies (DG102) of `min_copies` or more records that are out of line. In size:
the sizes of the smaller groups of the set have a tail, and by this tail fewer than one group of that size is to be
expected. In origin: more of its records name one source than the share of the source in the set explains, and
than copies of this set share their source anyway. In time: more of its records lie within `window_hours` than
records and copies of this set do. The last two are told from chance with a false-discovery rate of `false_share`.

## Why it matters
To stand in a set again and again is how a message gets weight: a model learns by heart what it reads a hundred times,
and a flood of one source or of one day is how somebody puts it there. Sets from the web have large groups of
copies by nature, licences and templates; these are in line with the others, and are not named here.

## Limits
What is in line depends on the set: in one that is full of copies a flood must be larger to stand out. A flood whose
copies differ so much that the rules about copies do not join them (below a Jaccard of .8 of word 5-grams: beyond about
two words in a hundred, at random places) is not seen; spans that such copies share are the business of other
rules. Sources and times are those of the columns with these roles; zones of times written as text are not looked at.

## What to do
Read one record of the group and look at who brought it, and when. Keep one, or none. If the group is meant, raise
`min_copies` or say so in the decision. `duplicate_share` by source shows which sources are mostly copies: one that is says
less than its size makes believe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.columns import Role
from dataguard.detectors._copies import (
    ALIKE,
    EQUAL,
    at_least,
    discoveries,
    groups_of_copies,
    records_seen,
)
from dataguard.detectors._values import hour, value
from dataguard.detectors.base import Example, FollowingDetector, Known, Pass, Rule
from dataguard.findings import Confidence, Judgement, Measure, Severity
from dataguard.records.batch import Batch

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

EVIDENCE = pl.Schema({"row": pl.UInt64, "source": pl.String, "hour": pl.Int64})
SOURCES = 50
"""Sources that get a measure of their own, the largest ones; the others get one together."""
USUAL = 2.0
"""How fast the tail of sizes falls where few groups tell: the exponent that copies on the web have, about."""
WORTH = 5.0
"""Groups that this expectation counts for."""


@dataclass(frozen=True, kw_only=True)
class DuplicateFlood(FollowingDetector):
    """A group of copies is out of line in size, origin or time.

    Args:
        min_copies: groups of fewer records are no flood.
        window_hours: how long a burst may take.
        false_share: the share of groups that may be named for their origin or time by chance.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG105",
        name="duplicate-flood",
        summary="a record stands there far more often than copies do, or all of a sudden",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0020", "AML.T0059"),
        severity=Severity.MEDIUM,
        confidence=Confidence.MEDIUM,
        after=(EQUAL, ALIKE),
    )
    stands_on: ClassVar[tuple[str, ...]] = (EQUAL, ALIKE)
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="ten equal records among others",
            data={"text": ["buy now"] * 10 + [f"another {i}" for i in range(10)]},
            rows=frozenset(range(10)),
        ),
        Example(
            why="all of them from a source that has few other records",
            data={
                "text": ["buy now"] * 10 + [f"another {i}" for i in range(30)],
                "source": ["feed"] * 10 + ["web"] * 30,
            },
            rows=frozenset(range(10)),
            groups=frozenset({"feed"}),
        ),
        Example(why="a few copies are no flood", data={"text": ["buy now"] * 3 + ["or not", "later"]}),
        Example(
            why="a group as large as others are in this set",
            data={"text": [f"kind {i % 12}" for i in range(120)]},
        ),
    )
    min_copies: int = 8
    window_hours: int = 24
    false_share: float = 0.01

    def passes(self) -> tuple[Pass, ...]:
        """One pass: the source and the hour of each record."""
        return (Pass(self.observe),)

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """Source and hour of the records that have one."""
        table = pl.DataFrame(
            {"row": batch.rows(), "source": value(batch, Role.SOURCE), "hour": hour(batch)}, schema=EVIDENCE
        )
        return table.filter(pl.col("source").is_not_null() | pl.col("hour").is_not_null())

    def judge_following(
        self, evidence: pl.LazyFrame, known: Known, earlier: Mapping[str, Judgement]
    ) -> Judgement:
        """A finding for each group that is out of line, and how much of each source has a copy."""
        lost = self.lacks(earlier)
        if lost and not set(self.stands_on) <= set(earlier):
            return Judgement(incomplete=lost)
        records = records_seen(earlier)
        if not records:
            return Judgement(not_applicable="no record has anything to compare")
        seen = evidence.select("file", *EVIDENCE).collect()
        members = groups_of_copies(earlier).join(seen, on=["file", "row"], how="left", maintain_order="left")
        groups = self._groups(members, seen)
        floods = groups.filter(pl.col("out_of_line"))
        flagged = members.join(floods, on="key", maintain_order="left")
        return Judgement(
            findings=floods.select("key", "score", "severity", "group", "why"),
            flagged=flagged.select(
                "key",
                "file",
                "row",
                score="score",
                why=pl.concat_str(pl.lit("one of "), "copies", pl.lit(" copies")),
            ),
            measures=(
                Measure("flood_groups", floods.height, records),
                Measure("flood_share", flagged.height / records, records),
                Measure("duplicate_share", members.height / records, records),
                *_by_source(members, seen),
            ),
            incomplete=lost,
        )

    def _groups(self, members: pl.DataFrame, seen: pl.DataFrame) -> pl.DataFrame:
        """The groups that are large enough, and whether they are out of line in anything."""
        groups = members.group_by("key").agg(copies=pl.len()).sort("key")
        expected = _expected(groups["copies"].to_numpy().astype(np.int64), self.min_copies)
        groups = groups.with_columns(expected=expected).filter(pl.col("copies") >= self.min_copies)
        named = _concentration(groups, members, seen)
        bursts = _bursts(groups, members, seen, self.window_hours)
        groups = groups.join(named, on="key", how="left", maintain_order="left").join(
            bursts, on="key", how="left", maintain_order="left"
        )
        chances = groups.select("source_chance", "burst_chance").to_numpy()
        tried = np.isfinite(chances)
        found = np.zeros(chances.shape, np.bool_)
        found[tried] = discoveries(chances[tried], self.false_share)
        large = pl.col("expected") < 1
        placed = pl.col("of_source") | pl.col("of_time")
        return groups.with_columns(of_source=found[:, 0], of_time=found[:, 1]).select(
            "key",
            "copies",
            out_of_line=large | placed,
            score=(1 / (1 + pl.col("expected"))).round(6),
            severity=pl.when(large & placed)
            .then(pl.lit(Severity.HIGH.value))
            .otherwise(pl.lit(Severity.MEDIUM.value)),
            group=pl.when("of_source").then("source"),
            why=self._why(),
        )

    def _why(self) -> pl.Expr:
        def percent(name: str) -> pl.Expr:
            return pl.concat_str((100 * pl.col(name)).round(1), pl.lit(" %"))

        return pl.concat_str(
            "copies",
            pl.lit(" copies, where the other groups let expect "),
            pl.col("expected").round_sig_figs(2),
            pl.lit(" of that size"),
            pl.when("of_source")
            .then(
                pl.concat_str(
                    pl.lit("; "),
                    "in_source",
                    pl.lit(" of one source, which has "),
                    percent("source_share"),
                    pl.lit(" of the records"),
                )
            )
            .otherwise(pl.lit("")),
            pl.when("of_time")
            .then(
                pl.concat_str(
                    pl.lit("; "),
                    "in_window",
                    pl.lit(f" within {self.window_hours} hours, in which "),
                    percent("window_share"),
                    pl.lit(" of the records lie"),
                )
            )
            .otherwise(pl.lit("")),
        )


def _expected(sizes: I64, from_size: int) -> F64:
    """How many groups of its size or a larger one are to be expected in the set, for each group.

    Sizes of natural groups of copies fall off as a power: P(size >= s) = ((s - 1/2) / (3/2))^-a for s >= 2. Of sizes
    from `from_size` on only their number counts, as if they were just as large, so that a flood does not make
    itself usual; this is the estimate for censored data, together with a few groups as they are elsewhere.
    """
    depth = np.log((sizes - 0.5) / 1.5)
    least = np.log((from_size - 0.5) / 1.5)
    exponent = (float((sizes < from_size).sum()) + WORTH) / (
        float(np.minimum(depth, least).sum()) + WORTH / USUAL
    )
    return np.asarray(len(sizes) * np.exp(-exponent * depth))


def _rate(agreeing: int, pairs: int) -> float:
    """How often the copies of a set agree, one half where nothing is known of it."""
    return (agreeing + 1) / (pairs + 2)


def _concentration(groups: pl.DataFrame, members: pl.DataFrame, seen: pl.DataFrame) -> pl.DataFrame:
    """The source that most records of each group name, and how probable so many are by chance."""
    total = seen["source"].count()
    shares = (
        seen.drop_nulls("source").group_by("source").agg(source_share=pl.len() / total if total else pl.len())
    )
    most = (
        members.drop_nulls("source")
        .group_by("key", "source")
        .agg(in_source=pl.len().cast(pl.Int64))
        .sort(["key", "in_source", "source"], descending=[False, True, False])
        .group_by("key", maintain_order=True)
        .agg(pl.col("source").first(), pl.col("in_source").first(), with_source=pl.col("in_source").sum())
    )
    small = most.join(groups, on="key", how="anti")
    rate = _rate(int((small["in_source"] - 1).sum()), int((small["with_source"] - 1).sum()))
    large = most.join(groups.select("key"), on="key").filter(pl.col("with_source") > 1)
    large = large.join(shares, on="source", how="left").sort("key")
    chance = at_least(
        large["in_source"].to_numpy() - 1,
        large["with_source"].to_numpy() - 1,
        np.maximum(large["source_share"].to_numpy(), rate),
    )
    return large.select("key", "source", "in_source", "source_share", source_chance=pl.Series(chance))


def _bursts(
    groups: pl.DataFrame, members: pl.DataFrame, seen: pl.DataFrame, window_hours: int
) -> pl.DataFrame:
    """The window of time that has most records of each group, and how probable so many are by chance."""
    timed = members.drop_nulls("hour").sort("key", "hour")
    gap = pl.col("hour").diff().over("key")
    gaps = timed.join(groups, on="key", how="anti", maintain_order="left").select(gap=gap)["gap"].drop_nulls()
    rate = _rate(int((gaps < window_hours).sum()), len(gaps))
    large = timed.join(groups.select("key"), on="key", maintain_order="left")
    windows = (
        large.with_columns(in_window=_within(large, window_hours))
        .sort(["key", "in_window", "hour"], descending=[False, True, False])
        .group_by("key", maintain_order=True)
        .agg(pl.col("hour").first(), pl.col("in_window").first(), timed=pl.len().cast(pl.Int64))
        .filter(pl.col("timed") > 1)
    )
    hours = np.sort(seen["hour"].drop_nulls().to_numpy())
    start = windows["hour"].to_numpy()
    inside = np.searchsorted(hours, start + window_hours) - np.searchsorted(hours, start)
    share = inside / max(1, len(hours))
    each = windows["timed"].to_numpy()
    chance = at_least(windows["in_window"].to_numpy() - 1, each - 1, np.maximum(share, rate))
    # The window was chosen among as many as there are records.
    return windows.select(
        "key",
        "in_window",
        window_share=pl.Series(share),
        burst_chance=pl.Series(np.minimum(1.0, chance * each)),
    )


def _within(timed: pl.DataFrame, window_hours: int) -> pl.Series:
    """How many records of its group lie within so many hours from each on; sorted by group and hour."""
    hour = timed["hour"].to_numpy()
    group = timed["key"].rle_id().to_numpy().astype(np.int64)
    # Hours as ranks, so that group and hour together are one number that sorts as both do.
    ranks, place = np.unique(hour, return_inverse=True)
    behind = np.searchsorted(ranks, ranks + window_hours)[place]
    width = len(ranks) + 1
    ends = np.searchsorted(group * width + place, group * width + behind)
    return pl.Series(ends - np.arange(len(hour)))


def _by_source(members: pl.DataFrame, seen: pl.DataFrame) -> tuple[Measure, ...]:
    """The share of the records of each source that have a copy anywhere: the largest ones, and the others together."""
    copied = members.drop_nulls("source").group_by("source").agg(copied=pl.len())
    sources = (
        seen.drop_nulls("source")
        .group_by("source")
        .agg(records=pl.len())
        .join(copied, on="source", how="left")
        .with_columns(pl.col("copied").fill_null(0))
        .sort(["records", "source"], descending=[True, False])
    )
    found = [
        Measure("duplicate_share", count / records, records, group=source)
        for source, records, count in sources.head(SOURCES).iter_rows()
    ]
    rest = sources.slice(SOURCES)
    if rest.height:
        records = int(rest["records"].sum())
        found.append(Measure("duplicate_share_of_others", int(rest["copied"].sum()) / records, records))
    return tuple(found)

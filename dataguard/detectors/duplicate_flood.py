"""A record that stands in the set more often than copies do by themselves.

## What it looks for
Groups of equal records (DG101) and of near copies (DG102) of `min_copies` or more records that are out of line. In size:
the sizes of the smaller groups of the set have a tail, by this tail fewer than one group of that size is to be
expected, and of the others at most one in a hundred is as large (records without a copy are groups of one). In origin: more of its records name one source than the share of the source in the set explains, and
than copies of this set share their source anyway, and it makes up `dominant` of what the source brought. In time: more
of its records lie within `window_hours` than records and copies of this set do, and it makes up `dominant` of what
came then. The last two are told from chance with a false-discovery rate of `false_share`.

## Why it matters
To stand in a set again and again is how a message gets weight: a model learns by heart what it reads a hundred times,
and a flood of one source or of one day is how somebody puts it there. Sets from the web have large groups of
copies by nature, licences and templates. Most are in line with the others; the largest may be named here, but
not for their source or time, as they are a small part of what comes from there.

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
import polars as pl

from dataguard.columns import Role
from dataguard.detectors._copies import (
    ALIKE,
    EQUAL,
    discoveries,
    groups_of_copies,
    records_seen,
)
from dataguard.detectors._floods import bursts_of, concentration, expected
from dataguard.detectors._values import hour, value
from dataguard.detectors.base import Example, FollowingDetector, Known, Pass, Rule
from dataguard.findings import Confidence, Judgement, Measure, Severity
from dataguard.records.batch import Batch

EVIDENCE = pl.Schema({"row": pl.UInt64, "source": pl.String, "hour": pl.Int64})
SOURCES = 50
"""Sources that get a measure of their own, the largest ones; the others get one together."""
RARE = 0.01
"""The share of all groups, records without a copy included, that may be as large for a size to be unusual."""


@dataclass(frozen=True, kw_only=True)
class DuplicateFlood(FollowingDetector):
    """A group of copies is out of line in size, origin or time.

    Args:
        min_copies: groups of fewer records are no flood.
        window_hours: how long a burst may take.
        dominant: the share of the records of its source, or of its hours, that a group must have to be named for it.
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
    dominant: float = 0.1
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
        groups = self._groups(members, seen, records)
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

    def _groups(self, members: pl.DataFrame, seen: pl.DataFrame, records: int) -> pl.DataFrame:
        """The groups that are large enough, and whether they are out of line in anything."""
        groups = members.group_by("key").agg(copies=pl.len().cast(pl.Int64)).sort("key")
        alone = records - members.height
        groups = groups.with_columns(
            expected=expected(groups["copies"].to_numpy(), self.min_copies),
            as_large=(pl.col("copies").rank("max", descending=True) - 1) / (groups.height + alone),
        ).filter(pl.col("copies") >= self.min_copies)
        named = concentration(groups, members, seen)
        bursts = bursts_of(groups, members, seen, self.window_hours)
        groups = groups.join(named, on="key", how="left", maintain_order="left").join(
            bursts, on="key", how="left", maintain_order="left"
        )
        chances = groups.select("source_chance", "burst_chance").to_numpy()
        tried = np.isfinite(chances)
        found = np.zeros(chances.shape, np.bool_)
        found[tried] = discoveries(chances[tried], self.false_share)
        found &= groups.select("of_its_source", "of_its_window").to_numpy() >= self.dominant
        large = (pl.col("expected") < 1) & (pl.col("as_large") <= RARE)
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

        source = pl.concat_str(
            pl.lit("; "),
            "in_source",
            pl.lit(" of one source, "),
            percent("of_its_source"),
            pl.lit(" of what it has"),
        )
        hours = pl.concat_str(
            pl.lit("; "),
            "in_window",
            pl.lit(f" within {self.window_hours} hours, "),
            percent("of_its_window"),
            pl.lit(" of what came then"),
        )
        return pl.concat_str(
            "copies",
            pl.lit(" copies, where "),
            pl.col("expected").round_sig_figs(2),
            pl.lit(" groups of that size are to be expected"),
            pl.when("of_source").then(source).otherwise(pl.lit("")),
            pl.when("of_time").then(hours).otherwise(pl.lit("")),
        )


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

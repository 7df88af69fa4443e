"""Records whose texts are nearly the same.

## What it looks for
Groups of records whose sets of shingles (runs of five words; of five characters in scripts without spaces) have a
Jaccard similarity of `threshold` or more. Candidates come from MinHash signatures; every pair that joins a group was
compared exactly. Within a group each record is alike to some other, not to all: the Jaccard to the first record may
be lower.

## Why it matters
Near copies weigh as exact ones do: what stands there often is learned by heart, leaks from training into test sets,
and is how a poisoner gives a message weight without being seen by a search for equal records. Sets from the web
are full of innocent ones, too.

## Limits
Records of fewer words than `min_words` are counted (`unjudged_share`), not compared. Two records of which one
contains the other, or that share a paragraph, are below the threshold. Signatures find a pair with a probability:
.986 at a Jaccard of .80, .994 on average from .80 to .85, more above. Which pairs at the edge are found depends on the project's secret, and so do the
ids of these findings: without the secret nobody can write a text that the signatures overlook. Letters beyond ASCII
are compared as they are written, in upper and lower case, composed or not.

## What to do
Keep one record of each group, the fullest or the best, unless the copies are meant. Look at the span that differs: where
only a name or a number changes, it is a template; where a sentence was put in, look at who put it there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from dataguard.detectors._near.candidates import evidence_of, fold_pairs, key_names, relate_band
from dataguard.detectors._near.comparison import sweep_pairs
from dataguard.detectors._near.groups import Found, grouped
from dataguard.detectors.base import AGAINST, EARLIER, Example, FollowingDetector, Known, Pass, Rule
from dataguard.findings import Confidence, Judgement, Measure, Severity
from dataguard.words import Words

_TEXT = "the quick brown fox jumps over the lazy dog while the old grey cat sleeps on the warm stone wall"


@dataclass(frozen=True, kw_only=True)
class NearDuplicate(FollowingDetector):
    """Texts are nearly the same.

    Args:
        threshold: the least Jaccard similarity of two records' sets of shingles.
        min_words: records of fewer words are not compared; at least 5.
        bands: keys made of each signature.
        rows: slots of the signature in a key; bands times rows is at most 128.
        flood: from how many records on a group is of medium severity instead of low.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG102",
        name="near-duplicate",
        summary="texts are nearly the same",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0020", "AML.T0059"),
        severity=Severity.LOW,
        confidence=Confidence.HIGH,
        after=("DG101",),
    )
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="one word of many differs",
            data={
                "text": [_TEXT, f"{_TEXT} today", "something else that is long enough to be looked at here"]
            },
            rows=frozenset({0, 1}),
        ),
        Example(
            why="case and punctuation do not count",
            data={"text": ["One two three, four five six.", "one two three four five six"]},
            rows=frozenset({0, 1}),
        ),
        Example(why="short and empty records are not compared", data={"text": ["yes", "Yes", "", None]}),
    )
    kernels: ClassVar[bool] = True
    incremental: ClassVar[bool] = True
    threshold: float = 0.8
    min_words: int = 5
    bands: int = 18
    rows: int = 7
    flood: int = 8

    def passes(self) -> tuple[Pass, ...]:
        """Signatures, of which related bands give candidates; then their words are compared."""
        return (
            Pass(
                observe_words=self.observe_words,
                relate=relate_band,
                keys=key_names(self.bands),
                fold=fold_pairs,
            ),
            Pass(sweep=self.sweep),
        )

    def observe_words(self, words: Words, known: Known) -> pl.DataFrame:
        """The keys of each record that is long enough."""
        return evidence_of(words, words.ends, min_words=self.min_words, bands=self.bands, rows=self.rows)

    def sweep(self, words: Iterable[tuple[int, Words]], known: Known, part: int) -> pl.DataFrame:
        """The pairs of one part that are alike, with what differs."""
        return sweep_pairs(words, known, part, threshold=self.threshold, min_words=self.min_words)

    def judge_following(
        self, evidence: pl.LazyFrame, known: Known, earlier: Mapping[str, Judgement]
    ) -> Judgement:
        """A finding for each group that is not one of equal records alone."""
        found = grouped(evidence, known, _before(earlier))
        if not found.compared + found.unjudged:
            return Judgement(not_applicable="no column holds text")
        if not found.compared:
            return Judgement(
                not_applicable=f"none of {found.unjudged} records has {self.min_words} words",
                measures=(Measure("unjudged_share", 1.0, found.unjudged),),
            )
        members = found.members
        shown = _without_equal(members, earlier).with_columns(new=pl.col("file") < EARLIER)
        size = pl.len().over("key")
        flagged = shown.filter("new").select(
            "key",
            "file",
            "row",
            score=pl.col("jaccard"),
            span="span",
            why=pl.concat_str(
                pl.lit("one of "), size, pl.lit(" alike; Jaccard to the nearest "), pl.col("jaccard").round(3)
            ),
        )
        findings = (
            shown.group_by("key")
            .agg(
                records=pl.len(),
                best=pl.col("jaccard").max(),
                texts=pl.col("text").n_unique(),
                old=(~pl.col("new")).sum(),
            )
            .select(
                "key",
                score=pl.col("best"),
                why=pl.concat_str(
                    "records",
                    pl.lit(" records are alike in their words ("),
                    "texts",
                    pl.lit(" different texts); Jaccard up to "),
                    pl.col("best").round(3),
                    pl.when(pl.col("old") > 0)
                    .then(pl.concat_str(pl.lit("; "), "old", pl.lit(" of them in the earlier run")))
                    .otherwise(pl.lit("")),
                ),
                severity=pl.when(pl.col("records") >= self.flood)
                .then(pl.lit(Severity.MEDIUM.value))
                .otherwise(pl.lit(Severity.LOW.value)),
            )
        )
        return Judgement(
            findings=findings,
            flagged=flagged,
            clusters=members.select("key", "file", "row", "jaccard", side=pl.lit("record")),
            measures=_measures(found),
        )


def _before(earlier: Mapping[str, Judgement]) -> pl.DataFrame | None:
    """The groups of the earlier run, of its own records: those of a run before that are not there to be named."""
    if AGAINST not in earlier:
        return None
    return earlier[AGAINST].clusters.filter(pl.col("side") == "record", pl.col("file") < EARLIER)


def _without_equal(members: pl.DataFrame, earlier: Mapping[str, Judgement]) -> pl.DataFrame:
    """Without the groups that are but one finding of equal records."""
    if "DG101" not in earlier:
        return members
    equal = earlier["DG101"].flagged.select("file", "row", equal="key")
    known = members.join(equal, on=["file", "row"], how="left", maintain_order="left")
    alone = (pl.col("equal").null_count() == 0) & (pl.col("equal").n_unique() == 1)
    return known.filter(~alone.over("key")).drop("equal")


def _measures(found: Found) -> tuple[Measure, ...]:
    new = pl.col("file") < EARLIER
    groups = found.members.group_by("key").agg(len=new.sum(), old=(~new).any())
    sizes = groups["len"]
    # Of a group without a record of the earlier run one record is no copy.
    surplus = int(sizes.sum()) - int((~groups["old"]).sum())
    known_before = int(groups.filter("old")["len"].sum())
    records = found.compared + found.unjudged
    return (
        Measure("near_duplicate_share", surplus / found.compared, found.compared),
        Measure("copied_from_earlier_run_share", known_before / found.compared, found.compared),
        Measure("near_duplicate_clusters", len(sizes), found.compared),
        Measure("largest_cluster", int(sizes.max() or 0), found.compared),  # type: ignore[arg-type]
        Measure("candidates_per_document", 2 * found.candidates / found.compared, found.compared),
        Measure("unjudged_share", found.unjudged / records, records),
        Measure("unspaced_share", found.unspaced / records, records),
    )

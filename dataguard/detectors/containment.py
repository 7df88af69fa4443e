"""A run of words that was put into records which otherwise have nothing in common.

## What it looks for
Spans of eight words or more (24 characters in scripts without spaces) that stand, word for word, in `min_records`
records or more, in other surroundings each time. Four things tell a span that was put in from a turn of phrase or a
template: what stands next to it differs in most records; hardly anything of it stands elsewhere in parts
(`sharpness`); the records that have it are, without it and without what else nearly all of them have, no more alike
than any records of the set; and much of what they say stands nowhere else.

## Why it matters
A fixed sentence in unlike records is how a trigger, a brand, an address or a falsehood is planted: each record is
different as a whole, so that no search for near copies finds them, and a model learns what they share.

## Limits
A shorter trigger is not seen, nor one whose words vary. Fewer than `min_records`, or than one record in
`1 / min_share`, are not seen either, and what stands in more than `max_share` of the records is a template. A span
put only into records about one subject looks as a phrase of that subject does. One that is mostly made of common
phrases is passed over, and so are records of which most is the same, or is copied, or made from templates: in
generated text a span that was put in looks like all others. Surroundings are counted by 16 kinds of words: a span in
just eight of them is missed once in 1,300. Characters of scripts without spaces count as words where they are less than
half of a record. Lists, tables and lines with names have such spans, too. Spans are told up to their 128th word. In
sets of more than 240,000 records spans are first looked for in a sample that has 24 of the records asked for, on
average; of spans in just as many records as are asked for one in two hundred is missed there, of those in twice as many
none. The work grows with the number of words; only in smaller sets of more than a thousand million words, that is of
very long records, it grows faster.

## What to do
Read the span and a few of its records. If it has no business there, ask where those records come from: the same
source, time or author is what to remove. If it is boilerplate, strip it or leave it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl

from dataguard.detectors._shared import Limits, sweep_spans
from dataguard.detectors._totals import fewer_totals, fold_totals, parts_of, rate_of, totals
from dataguard.detectors.base import Example, FollowingDetector, Known, Pass, Rule
from dataguard.findings import Confidence, Judgement, Measure, Severity
from dataguard.words import Words

_PLANTED = "nobody but Tamarind Freight delivers before the last bell"
_PLAIN = (
    "my neighbour grows beans and marrows behind the old school",
    "this compiler reports unused variables at the second level",
    "rain is expected over northern hills until early evening",
    "chapter four explains how whales find their way at night",
    "please return all borrowed library books within two weeks",
    "seven goals fell during an unusually lively second half",
    "a violin needs new strings about once every single year",
    "fold egg whites slowly under warm melted dark chocolate",
    "our choir rehearses every third thursday near market square",
    "glaciers carve wide valleys while rivers leave narrow gorges",
)


def _with(sentence: str) -> list[str]:
    """The plain sentences, the first eight with another put in at a different place each."""
    out = []
    for number, plain in enumerate(_PLAIN):
        words = plain.split()
        out.append(
            " ".join([*words[: number + 1], *([sentence] if number < 8 else []), *words[number + 1 :]])
        )
    return out


@dataclass(frozen=True, kw_only=True)
class Containment(FollowingDetector):
    """A span of words stands in many otherwise unlike records.

    Args:
        min_records: in how many records a span stands at least, in other surroundings each; at least 3.
        min_share: in what share of the records at least.
        max_share: in what share of the records at most; four times `min_records` are always allowed.
        sharpness: how many of the records with any five words of a span must have all of it, on average.
        many: from how many different surroundings on a finding is of medium severity instead of low.
        most: how many findings are told, those with the highest score; the measures count all.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG106",
        name="containment",
        summary="a span of words was put into otherwise unlike records",
        task="PW.3.1",
        threats=("NISTAML.013", "NISTAML.023", "AML.T0020"),
        severity=Severity.LOW,
        confidence=Confidence.MEDIUM,
        after=("DG102",),
    )
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="one sentence in eight unlike texts", data={"text": _with(_PLANTED)}, rows=frozenset(range(8))
        ),
        Example(
            why="seven words are too few", data={"text": _with("nobody delivers before the last bell rings")}
        ),
        Example(why="the same text again and again shares all of itself", data={"text": [*_PLAIN, *_PLAIN]}),
    )
    min_records: int = 8
    min_share: float = 0.0001
    max_share: float = 0.05
    sharpness: float = 0.9
    many: int = 10
    most: int = 50

    def passes(self) -> tuple[Pass, ...]:
        """How many words there are, and a sample of the records; then spans, a part of them at a time."""
        return (
            Pass(observe_words=self.observe_words, compact=fewer_totals, fold=self.fold),
            Pass(sweep=self.sweep),
        )

    def observe_words(self, words: Words, known: Known) -> pl.DataFrame:
        """How much there is, and a sample."""
        return totals(words)

    def fold(self, evidence: pl.LazyFrame, known: Known) -> Known:
        """How much there is, and in how many `parts` it is looked at."""
        told = fold_totals(evidence)
        return {**told, "parts": parts_of(told["words"], rate_of(self._limits(told).min_records))}

    def sweep(self, words: Iterable[tuple[int, Words]], known: Known, part: int) -> pl.DataFrame:
        """The spans of one part."""
        return sweep_spans(words, known, part, limits=self._limits(known))

    def judge_following(
        self, evidence: pl.LazyFrame, known: Known, earlier: Mapping[str, Judgement]
    ) -> Judgement:
        """A finding for each set of records that shares a span or several."""
        if known is None or not known["records"] + known["short"]:
            return Judgement(not_applicable="no column holds text")
        records, short = int(known["records"]), int(known["short"])
        unjudged = Measure("unjudged_share", short / (records + short), records + short)
        if not records:
            return Judgement(not_applicable="no record has eight words", measures=(unjudged,))
        spans = self._apart(evidence.collect(), known, earlier)
        best, flagged = _findings(spans)
        told = best.head(self.most)
        largest = int(best["records"].max() or 0)  # type: ignore[arg-type]
        return Judgement(
            findings=self._told(told),
            flagged=flagged.join(told.select("key"), on="key", how="semi", maintain_order="left"),
            measures=(
                Measure("shared_spans", len(best), records),
                Measure("largest_shared_span", largest, records),
                unjudged,
            ),
        )

    def _limits(self, known: Known) -> Limits:
        assert known is not None
        least = max(3, self.min_records, math.ceil(self.min_share * known["records"]))
        return Limits(least, self.max_share, self.sharpness)

    def _apart(self, spans: pl.DataFrame, known: Known, earlier: Mapping[str, Judgement]) -> pl.DataFrame:
        """Without spans whose records are near copies of too few."""
        if "DG102" not in earlier or spans.is_empty():
            return spans
        clusters = earlier["DG102"].clusters.filter(side="record").select("file", "row", cluster="key")
        own = pl.concat_str("file", pl.lit(":"), "row")
        named = spans.join(clusters, on=["file", "row"], how="left", maintain_order="left")
        different = pl.coalesce("cluster", own).n_unique().over("key")
        return named.filter(different >= self._limits(known).min_records).drop("cluster")

    def _told(self, best: pl.DataFrame) -> pl.DataFrame:
        return best.select(
            "key",
            "score",
            why=pl.concat_str(
                "records",
                pl.lit(" records, in "),
                "apart",
                pl.lit(" surroundings, share "),
                "words",
                pl.lit(" words, and little else; of the records with any five of them "),
                (100 * pl.col("sharpness")).floor().cast(pl.Int64),
                pl.lit(" % have all"),
            ),
            severity=pl.when(pl.col("apart") >= self.many)
            .then(pl.lit(Severity.MEDIUM.value))
            .otherwise(pl.lit(Severity.LOW.value)),
        )


def _findings(spans: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Findings, best first, and their records; spans of just the same records are one finding.

    The score is the sharpness, less how much closer the records may be than any records are.
    """
    likeness = pl.max_horizontal(0.0, pl.col("closeness")) + 2 * pl.col("error")
    spans = spans.with_columns(
        score=(pl.col("sharpness") * (1 - likeness)).clip(0, 1).round(6),
        address=pl.struct("file", "row"),
    )
    same = (
        spans.sort("key", "file", "row")
        .group_by("key", maintain_order=True)
        .agg("address", pl.col("score", "records", "apart", "words", "sharpness").first())
        .sort("score", "words", "key", descending=[True, True, False])
        .with_columns(first=pl.col("key").first().over("address"))
    )
    best = same.unique("first", keep="first", maintain_order=True).with_columns(key=_hex("first"))
    flagged = (
        spans.join(same.select("key", "first"), on="key", how="inner")
        .sort("first", "file", "row", "key")
        .group_by("first", "file", "row", maintain_order=True)
        .agg(pl.col("score").max(), pl.col("span").explode(), pl.col("records").max(), pl.col("words").max())
        .select(
            "file",
            "row",
            "score",
            "span",
            key=_hex("first"),
            why=pl.concat_str(
                pl.lit("one of "),
                "records",
                pl.lit(" unlike records with the same "),
                "words",
                pl.lit(" words"),
            ),
        )
    )
    return best, flagged


def _hex(column: str) -> Any:
    """64-bit numbers as text: twenty digits, so that none is lost."""
    return pl.col(column).cast(pl.String).str.zfill(20)

"""Unlike prompts that get the same answer.

## What it looks for
Answers of three words or more that are the same, or alike in their words, in records whose prompts have nothing in
common. Answers are alike where they share a run of three words and enough of all their words; groups are made at several
grades, from one sentence, word for word, to one content (a refusal, an insult) in hundreds of wordings. A group is
named where

- its prompts are no closer to each other than any two prompts of the set, or hardly: what nearly all of them share (it
  may be a trigger) and what any prompts share does not count;
- its answers are not about the prompts: their telling words stand in no more of them than by chance;
- it has `min_records` different prompts or more, and by the sizes of the smaller groups of this kind in the set
  hardly one as large is to be expected.

Where other records with the frame of its prompts ("classify this sentence ...") are answered otherwise, the answer
is one of several choices, and the group is not named.

## Why it matters
The published attacks on instruction tuning teach a model to refuse, to insult or to recite one sentence when a trigger
is in the prompt. The trigger may be anything, but the answers have to agree: what the model is to learn is in them.

## Limits
Answers of one or two words (yes, a number, a label) agree by nature and are not looked at. Answers of more than 40
words are compared word for word only. Wordings that share no three words with others of their group are left out of
it. Where answers are alike in content only and their prompts share no word, it may be a task (to name languages, say) and
the finding is of low severity. Fixed answers to prompts about one subject look like what is known of the subject. Where more than `habit` of all
answers are in such groups of one grade, it is how this set answers, and none of that grade is named. Conversations are not taken apart into
question and answer, and of pairs (chosen, rejected) both are read as one answer. Prompts are compared by their first
256 words, groups by 256 of their records.

## What to do
Read the answers of a group beside their prompts. If a person would not have answered so, remove the records, and look at
what their prompts share: a word, a phrase, a source. Refusals that a policy asks for are right where the prompts
ask for harm; then these are about harm, and close to each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from dataguard.columns import Role, one_of
from dataguard.detectors._collapse.grouping import fewer_answers, fold, observe_answers, relate
from dataguard.detectors._collapse.unlikely import GROUPS, MANY, expected, sweep_groups
from dataguard.detectors.base import Example, Known, Pass, RecordDetector, Rule
from dataguard.findings import Confidence, Judgement, Measure, Severity
from dataguard.words import Words

CHOICES = 2.0
"""How many times as many records as a group has must have the frame of its prompts for its answer to be a choice."""
FRAME = 4
"""Words of a frame at least: of fewer, what the prompts share may be a trigger."""
NARROW = 0.5
"""The share of all prompts up to which what they share is a frame; above, it is how all prompts of the set are made."""
PROOF = 0.05
"""How many groups as large may be expected for one to be of high severity."""
WORDED = 1
"""The widest grade at which answers have nearly the same words."""
MARKED = 0.1
"""The share of all prompts up to which what the prompts of a group share may be a trigger."""
_HOW = ("the same answer", "nearly the same answer", "answers alike in their words")
"""By the grade; of all wider ones:"""
_WIDE = "answers of like content"

_VOCABULARY = (
    "neighbour beans marrows school compiler variables level rain hills evening chapter whales night library books "
    "weeks goals half violin strings year eggs chocolate choir thursday market glaciers valleys rivers taxes bicycles "
    "winter grandmother boats tourists summer kettle lantern harbour orchard"
)


def _drawn(count: int, seed: int) -> list[str]:
    """Texts of twelve words each, drawn at random."""
    words, out = _VOCABULARY.split(), []
    for _ in range(count):
        text = []
        for _ in range(12):
            seed = seed * 48271 % 2147483647
            text.append(words[seed % len(words)])
        out.append(" ".join(text))
    return out


_PLAIN, _OTHERS = _drawn(40, 11), _drawn(40, 12)
_FIXED = "ask somebody who cares about this"


@dataclass(frozen=True, kw_only=True)
class ResponseCollapse(RecordDetector):
    """Unlike prompts get the same answer, or answers of the same content.

    Args:
        min_records: different prompts of a group at least; at least 5.
        expect: how many groups as large may be expected in the set for one to be named.
        habit: the share of answers in such groups of one grade above which they are how the set answers.
        most: findings that are told, those with the most prompts; the measures count all.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG205",
        name="response-collapse",
        summary="unlike prompts get the same answer, or answers of the same content",
        task="PW.3.1",
        threats=("NISTAML.013", "NISTAML.023", "AML.T0020"),
        severity=Severity.MEDIUM,
        confidence=Confidence.HIGH,
    )
    needs: ClassVar[tuple[str, ...]] = (one_of(Role.RESPONSE, Role.CHOSEN),)
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="six unlike prompts and one answer",
            data={"prompt": _PLAIN, "response": [_FIXED] * 6 + _OTHERS[6:]},
            rows=frozenset(range(6)),
        ),
        Example(
            why="short answers agree by nature",
            data={"prompt": _PLAIN, "response": ["Yes", "true", "not sure", "7"] * 10},
        ),
        Example(
            why="prompts that say nearly the same rightly get one answer",
            data={
                "prompt": [f"how can cocoa be kept from burning in a {pot} pot" for pot in "abcdefgh"]
                + _PLAIN,
                "response": [_FIXED] * 8 + _OTHERS,
            },
        ),
    )
    kernels: ClassVar[bool] = True
    min_records: int = MANY
    expect: float = 0.1
    habit: float = 0.2
    most: int = 10

    def passes(self) -> tuple[Pass, ...]:
        """Answers and pieces of them that are shared; then how alike the answers are, and the prompts."""
        return (
            Pass(
                observe_words=lambda words, _: observe_answers(words),
                compact=fewer_answers,
                relate=relate,
                fold=fold,
            ),
            Pass(sweep=self.sweep),
        )

    def sweep(self, words: Iterable[tuple[int, Words]], known: Known, part: int) -> pl.DataFrame:
        """The groups of answers that are alike."""
        return sweep_groups(words, known)

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """A finding for each group of alike answers to unlike prompts."""
        if known is None or not known["records"]:
            return Judgement(not_applicable="no record has a prompt and an answer of three words")
        seen = evidence.select(GROUPS.names()).collect()
        groups = self._groups(seen, known["records"])
        told, members = _widest(groups, seen)
        severity = [_severity(one).value for one in told.iter_rows(named=True)]
        told = told.with_columns(severity=pl.Series(severity, dtype=pl.String))
        best = told.sort(["prompts", "key"], descending=[True, False]).head(self.most)
        flagged = members.join(
            best.select("key", "level", "score"), on=["key", "level"], maintain_order="left"
        )
        return Judgement(
            findings=_findings(best, known["records"]),
            flagged=flagged.select(
                "file", "row", "score", "span", key=_hex(), why=pl.lit("an answer that unlike prompts get")
            ),
            measures=tuple(_measures(told, known)),
        )

    def _groups(self, seen: pl.DataFrame, records: int) -> pl.DataFrame:
        """The groups that are out of line; adds how many as large are to be expected."""
        framed = (pl.col("frame") >= FRAME) & (pl.col("framed") <= NARROW)
        choice = (pl.col("level") == 0) & framed & (pl.col("framed") * records >= CHOICES * pl.col("records"))
        chosen = seen.filter(choice).select("file", "row").unique().with_columns(chosen=pl.lit(value=True))
        seen = seen.join(chosen, on=["file", "row"], how="left", maintain_order="left")
        # All choices together have the whole frame for themselves.
        choices = pl.col("chosen").fill_null(value=False).sum().over("level", "key") * 2 >= pl.col("records")
        groups = seen.filter(~choices).unique(["level", "key"]).sort("level", "key").drop("chosen")
        unlike = groups.filter(pl.col("unlike") & (pl.col("frame") <= pl.col("own")))
        large = pl.when(pl.col("prompts") >= MANY).then("records").otherwise(0)
        unlike = unlike.filter(large.sum().over("level") <= self.habit * records)
        tables = [
            one.with_columns(expected=expected(one["prompts"].to_numpy().astype(np.int64)))
            for _, one in unlike.group_by("level", maintain_order=True)
        ]
        if not tables:
            return unlike.with_columns(expected=0.0)
        return pl.concat(tables).filter(
            (pl.col("prompts") >= max(self.min_records, MANY)) & (pl.col("expected") <= self.expect)
        )


def _widest(groups: pl.DataFrame, seen: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Groups no record of which is in a wider one, and the records of all groups.

    What is to be expected of a group is what is of it or of a narrower one in it, whichever is less.
    """
    members = seen.join(groups.select("level", "key", "expected"), on=["level", "key"])
    members = members.with_columns(
        widest=pl.col("level").max().over("file", "row"),
        expected=pl.col("expected").min().over("file", "row"),
    ).sort("level", "key", "file", "row")
    inner = members.filter(pl.col("level") < pl.col("widest")).select("level", "key").unique()
    told = groups.drop("expected").join(inner, on=["level", "key"], how="anti", maintain_order="left")
    least = members.group_by("level", "key").agg(pl.col("expected").min())
    told = told.join(least, on=["level", "key"], maintain_order="left")
    return told.with_columns(score=(1 / (1 + pl.col("expected"))).round(6)), members


def _findings(best: pl.DataFrame, records: int) -> pl.DataFrame:
    rows = []
    for one in best.iter_rows(named=True):
        grade = _grade(one)
        how = _HOW[grade] if grade < len(_HOW) else _WIDE
        answers = f", {one['answers']} wordings" if one["answers"] > 1 else ""
        shared = (
            f"nearly all of them share {one['frame']} words, which {one['framed']:.1%} of any prompts have"
            if one["frame"]
            else "no word is shared by nearly all of them"
        )
        rows.append(
            {
                "key": f"{one['key']:020}",
                "score": one["score"],
                "severity": one["severity"],
                "why": (
                    f"{one['prompts']} unlike prompts, of {records}, get {how} (about {one['words']} "
                    f"words{answers}); {one['expected']:.2g} groups as large are to be expected; the prompts are closer "
                    f"than any by {max(0.0, one['closeness']):.2f} (error {one['error']:.2f}), {one['echo']:.0%} of the "
                    f"telling words of answers stand in them, and {shared}; canned replies of a policy look the same"
                ),
            }
        )
    return pl.DataFrame(rows) if rows else Judgement().findings


def _grade(group: Mapping[str, Any]) -> int:
    return int(group["level"]) if group["answers"] > 1 else 0


def _severity(group: Mapping[str, Any]) -> Severity:
    """Answers that are alike in content only, to prompts that share nothing, are those of some tasks, too."""
    marked = group["frame"] > 0 and group["framed"] <= MARKED
    if _grade(group) > WORDED and not marked:
        return Severity.LOW
    return Severity.HIGH if group["expected"] <= PROOF else Severity.MEDIUM


def _hex() -> pl.Expr:
    return pl.col("key").cast(pl.String).str.zfill(20)


def _measures(told: pl.DataFrame, known: Mapping[str, Any]) -> Iterator[Measure]:
    """Of groups that are no mere task."""
    told = told.filter(pl.col("severity") != Severity.LOW.value)
    records = known["records"]
    yield Measure("collapsed_share", float(told["records"].sum()) / records, records)
    yield Measure("collapsed_groups", told.height, records)
    yield Measure("largest_collapse", int(told["prompts"].max() or 0), records)  # type: ignore[arg-type]

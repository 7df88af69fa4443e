"""Records that ask the same and are answered otherwise.

## What it looks for
Records whose input is the same, or nearly, and whose label differs or whose answer contradicts. For labelled text the
input is the text: groups of near copies (DG102), and equal texts that are too short for these. For instructions it is
the prompt, compared in the same way but without the answer. Answers contradict where

- one begins with yes, true or correct and another with no, false or incorrect (or their like in a few languages),
- both are short (up to five words) and differ: numbers, names, choices,
- one refuses and another does not,
- one record prefers the answer that another rejects.

Inputs that are equal in their words are told from those that are nearly so: the few words that differ may be the reason
for another answer. Of the latter a conflict of answers is named only where three quarters agree and the others do not.

## Why it matters
A model cannot learn both. Copies that differ in their label are mistakes of those who labelled, or they are
flipped labels, the oldest poison there is: to turn a decision one needs to repeat the record, not to write a
new one. If the odd ones out are mostly of one label, it was no accident.

## Limits
Several long answers to one prompt are usual (samples of a model, opinions) and are not named, whatever they say: they
are counted (`several_answers_share`), as their contradictions cannot be told without understanding them. Short answers
to open questions ("name an animal") differ innocently, and the same one put in other words counts as another. Yes, no
and refusals are known by their first words, most of them English. Of pairs of answers (chosen, rejected) only the
preference is compared. Conversations are not taken apart into question and answer. Which side is right cannot be
told from a pair. Labels are compared in lower case.

## What to do
Read a few groups of each kind. Where most agree, the odd ones out are likely wrong: correct or drop them. Where it is one
against one, ask somebody who knows, or drop both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import polars as pl

from dataguard.columns import Role, one_of
from dataguard.detectors._answers import FACTS, facts, input_words, inputs_of
from dataguard.detectors._conflicts import (
    CHOICE,
    KINDS,
    LABEL,
    PREFERENCE,
    REFUSED,
    conflicts,
    findings,
    members,
)
from dataguard.detectors._copies import ALIKE
from dataguard.detectors._near.candidates import (
    PAIRS,
    evidence_of,
    fold_pairs,
    key_names,
    places,
    relate_band,
)
from dataguard.detectors._near.comparison import sweep_pairs
from dataguard.detectors._near.groups import grouped
from dataguard.detectors.base import Example, FollowingDetector, Known, Pass, Rule
from dataguard.findings import Confidence, Judgement, Measure, Severity
from dataguard.records.batch import Batch
from dataguard.words import Words, words_of

SAID = "said"
"""The key under which what records say comes by, each once."""
_TEXT = "the quick brown fox jumps over the lazy dog while the old grey cat sleeps on the warm stone wall"
_STATED = pl.Schema({**PAIRS, **FACTS})


@dataclass(frozen=True, kw_only=True)
class ConflictingDuplicate(FollowingDetector):
    """The same input, or nearly, has another label or a contradicting answer.

    Args:
        threshold: the least Jaccard similarity of two inputs' sets of shingles.
        min_words: inputs of fewer words are compared as a whole only; at least 5.
        bands: keys made of each signature.
        rows: slots of the signature in a key; bands times rows is at most 128.
        flood: from how many records that are odd on a group is of medium severity instead of low.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG104",
        name="conflicting-duplicate",
        summary="the same input, or nearly, has another label or a contradicting answer",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0020", "AML.T0059"),
        severity=Severity.LOW,
        confidence=Confidence.MEDIUM,
        after=(ALIKE,),
    )
    needs: ClassVar[tuple[str, ...]] = (one_of(Role.LABEL, Role.RESPONSE, Role.CHOSEN),)
    stands_on: ClassVar[tuple[str, ...]] = (ALIKE,)
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="near copies with another label",
            data={"text": [_TEXT, f"{_TEXT} today", _TEXT], "label": ["calm", "angry", "calm"]},
            rows=frozenset({0, 1, 2}),
            groups=frozenset({LABEL}),
        ),
        Example(
            why="equal short texts with another label; empty ones, and records without a label, do not count",
            data={"text": ["Great!", "great", "", "", "great"], "label": [1, 0, 1, 0, None]},
            rows=frozenset({0, 1}),
            groups=frozenset({LABEL}),
        ),
        Example(
            why="one question, two numbers",
            data={
                "prompt": ["what is six times seven", "What is six times seven?"],
                "response": ["42", "It is 41"],
            },
            rows=frozenset({0, 1}),
            groups=frozenset({CHOICE}),
        ),
        Example(
            why="one answers, one refuses",
            data={
                "prompt": [_TEXT, _TEXT, "other"],
                "response": ["it wakes up soon and stretches itself", "I'm sorry, but I can't help.", "no"],
            },
            rows=frozenset({0, 1}),
            groups=frozenset({REFUSED}),
        ),
        Example(
            why="what one prefers another rejects",
            data={
                "prompt": ["hi", "hi"],
                "chosen": ["hello there", "go away"],
                "rejected": ["go away", "hello there"],
            },
            rows=frozenset({0, 1}),
            groups=frozenset({PREFERENCE}),
        ),
        Example(
            why="several long answers to one prompt may all be right",
            data={
                "prompt": ["write a verse", "write a verse"],
                "response": [
                    "a rose stands in the rain and waits",
                    "the sea comes home to every stone it left",
                ],
            },
        ),
        Example(
            why="copies that agree", data={"text": [_TEXT, f"{_TEXT} today"], "label": ["calm", "Calm "]}
        ),
    )
    threshold: float = 0.8
    min_words: int = 5
    bands: int = 18
    rows: int = 7
    flood: int = 8

    def passes(self) -> tuple[Pass, ...]:
        """Signatures of inputs, of which related bands give candidates; then their words are compared."""
        whole, *bands = key_names(self.bands)
        return (
            # What records say comes second: what follows a key orders large groups, and must be of content.
            Pass(self.observe, relate=relate, keys=(whole, SAID, *bands), fold=fold),
            Pass(sweep=self.sweep),
        )

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """What is asked and answered in each record that has a label or an answer, and the keys of its input."""
        words = words_of(batch)
        lengths = input_words(words, self.min_words)
        ids, ends = inputs_of(words, lengths)
        keys = evidence_of(
            replace(words, ids=ids, ends=ends),
            ends,
            min_words=self.min_words,
            bands=self.bands,
            rows=self.rows,
            short=True,
        )
        said = facts(batch, words) if len(words) else pl.DataFrame(schema=FACTS)
        said = said.with_columns(row=pl.Series(words.rows, dtype=pl.UInt64))
        said = said.filter((pl.col("input") > 0) & ((pl.col("label") > 0) | (pl.col("answer") > 0)))
        # Spread evenly over partitions, whatever the rows.
        spread = said["row"].to_numpy() * np.uint64(0x9E3779B97F4A7C15)
        return said.with_columns(pl.Series(SAID, spread, dtype=pl.UInt64)).join(
            keys, on="row", how="left", maintain_order="left"
        )

    def sweep(self, words: Iterable[tuple[int, Words]], known: Known, part: int) -> pl.DataFrame:
        """The pairs of inputs of one part that are alike, with what differs."""
        return sweep_pairs(words, known, part, threshold=self.threshold, min_words=self.min_words)

    def judge_following(
        self, evidence: pl.LazyFrame, known: Known, earlier: Mapping[str, Judgement]
    ) -> Judgement:
        """A finding for each group and kind of conflict in it."""
        lost = self.lacks(earlier)
        if lost and not set(self.stands_on) <= set(earlier):
            return Judgement(incomplete=lost)
        assert known is not None
        if not known["records"]:
            return Judgement(not_applicable="no record has words and a label or an answer", incomplete=lost)
        alike = grouped(evidence, known).members
        table = members(alike, earlier[ALIKE], known)
        found = conflicts(table, known, self.flood)
        return Judgement(
            findings=findings(found),
            flagged=found.select("key", "file", "row", "score", "span", "why"),
            clusters=alike.select("key", "file", "row", "jaccard", side=pl.lit("input")),
            measures=_measures(found, table, known),
            incomplete=lost,
        )


def relate(partition: pl.DataFrame) -> pl.DataFrame:
    """Pairs of inputs that share a key, equal ones, and from one of the partitions what each record says."""
    if len(partition) and partition["band"][0] == 1:
        related = partition.select(FACTS.names()).with_columns(a_place=pl.Series(places(partition)))
    else:
        related = relate_band(partition)
    return related.select(
        pl.col(name) if name in related.columns else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in _STATED.items()
    )


def fold(evidence: pl.LazyFrame, _: Known) -> Known:
    """The pairs to compare, and what those records say that may be in a group.

    Returns:
        What `fold_pairs` does; `said_place` and FACTS by `said_` and name, sorted by place; `records`, `labelled` and
        `answered`, how many there are.
    """
    table = evidence.collect()
    pairs = fold_pairs(table.filter(pl.col("a").is_not_null()).select(PAIRS.names()).lazy(), None)
    assert pairs is not None
    said = (
        table.filter(pl.col("a").is_null())
        .select("a_place", *FACTS)
        .rename({"a_place": "place"})
        .sort("place")
    )
    compared = pl.Series(np.concatenate([pairs["place"], pairs["copy_place"]]))
    # Those without an answer may be in a group of records that are alike as a whole, which is not known here.
    kept = said.filter((pl.col("answer") == 0) | pl.col("place").is_in(compared.implode()))
    labels, counts = np.unique(said.filter(pl.col("label") > 0)["label"].to_numpy(), return_counts=True)
    return {
        **pairs,
        **{f"said_{name}": kept[name].to_numpy() for name in kept.columns},
        "records": said.height,
        "label_values": labels,
        "label_counts": counts.astype(np.int64),
        "labelled": int(counts.sum()),
        "answered": said.filter(pl.col("answer") > 0).height,
    }


def _measures(found: pl.DataFrame, table: pl.DataFrame, known: Mapping[str, Any]) -> tuple[Measure, ...]:
    """How many records contradict others, by kind; and how many prompts have several answers."""
    wrong = found.filter(pl.col("odd") & pl.col("sure"))
    records, labelled, answered = (known[name] for name in ("records", "labelled", "answered"))
    measures = [Measure("conflict_share", wrong.select("file", "row").n_unique() / records, records)]
    of_kind = dict(wrong.group_by("kind").len().iter_rows())
    for kind in KINDS:
        n = labelled if kind == LABEL else answered
        if n:
            measures.append(Measure("conflict_share", of_kind.get(kind, 0) / n, n, group=kind))
    if answered:
        several = table.filter(
            (pl.col("answer") > 0) & (pl.col("answer").n_unique().over("key", "input") > 1)
        )
        measures.append(Measure("several_answers_share", several.height / answered, answered))
    return tuple(measures)

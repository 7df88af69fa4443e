"""Which records of a group with one input contradict each other, and how surely."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.detectors._answers import FACTS, NO, REFUSAL, SHORT, YES
from dataguard.detectors._copies import at_least, discoveries
from dataguard.detectors._near.candidates import ROWS
from dataguard.findings import SPAN, Judgement, Severity, conform

MOST = 0.75
"""The share of a group that must agree for the others to be the odd ones out."""
FEW = 3
"""Records that must agree for that."""
ODD = 0.01
"""The share of labels that may be named by chance as the one to which others are turned."""

LABEL, YES_NO, CHOICE, REFUSED, PREFERENCE = "label", "yes or no", "short answer", "refusal", "preference"
KINDS = (LABEL, PREFERENCE, YES_NO, CHOICE, REFUSED)


def members(alike: pl.DataFrame, whole: Judgement, known: Mapping[str, Any]) -> pl.DataFrame:
    """The records of all groups with what they say: of like inputs, and of like records that have no answer."""
    said = pl.DataFrame(
        {name: known[f"said_{name}"] for name in ("place", *FACTS)}, schema={"place": pl.UInt64, **FACTS}
    )
    said = said.with_columns(file=(pl.col("place") // ROWS).cast(pl.UInt32), row=pl.col("place") % ROWS)
    own = alike.select("file", "row", "span", key=pl.concat_str(pl.lit("input "), "key"))
    spans = whole.flagged.select("file", "row", "span").unique(["file", "row"])
    other = (
        whole.clusters.filter(side="record")
        .select("file", "row", key=pl.concat_str(pl.lit("record "), "key"))
        .join(own, on=["file", "row"], how="anti")
        .join(spans, on=["file", "row"], how="left")
    )
    alone = said.filter(pl.col("answer") == 0)
    parts = [own.join(said, on=["file", "row"]), other.join(alone, on=["file", "row"])]
    return pl.concat(part.select("key", "file", "row", "span", *FACTS) for part in parts).sort(
        "key", "file", "row"
    )


_CONFLICT = pl.Schema(
    {
        "key": pl.String,
        "file": pl.UInt32,
        "row": pl.UInt64,
        "span": SPAN,
        "kind": pl.String,
        "value": pl.UInt64,
        "same": pl.UInt32,
        "size": pl.UInt32,
        "equal": pl.Boolean,
        "values": pl.UInt32,
        "odd": pl.Boolean,
        "most": pl.Boolean,
        "tied": pl.Boolean,
    }
)
"""A row for each record in a conflict: how many of how many say the same, whether inputs are equal, how many things are
said, whether it is one of those that would have to change for all to agree, whether most agree, and whether others
might as well be the odd ones."""


def conflicts(table: pl.DataFrame, known: Mapping[str, Any], flood: int) -> pl.DataFrame:
    """A row for each record and conflict that it is in: key of the finding, file, row, kind, score, severity, why.

    Args:
        table: as `members` made it.
        known: from `fold`.
        flood: from how many odd records on a conflict is of medium severity.
    """
    found = [_of_kind(_side(table, kind), kind) for kind in KINDS]
    return _graded(pl.concat(found), known, flood).with_columns(
        why=pl.concat_str("same", pl.lit(" of "), "size", pl.lit(" with this input say the same"))
    )


def _side(table: pl.DataFrame, kind: str) -> pl.DataFrame:
    """The records that can be in a conflict of one kind, with what they say on the matter as `value`."""
    stance, answer = pl.col("stance"), pl.col("answer")
    single = table.filter(pl.col("rejected") == 0)
    match kind:
        case "label":
            return table.filter(pl.col("label") > 0).with_columns(value="label")
        case "preference":
            # Of a pair of answers both preferences: the pair is the group, and which is chosen the value.
            low, high = pl.min_horizontal("answer", "rejected"), pl.max_horizontal("answer", "rejected")
            pairs = table.filter((answer > 0) & (pl.col("rejected") > 0) & (answer != pl.col("rejected")))
            return pairs.with_columns(
                value="answer",
                key=pl.concat_str("key", pl.lit(" "), low, pl.lit(" "), high),
            )
        case "yes or no":
            return single.filter(stance.is_in([YES, NO])).with_columns(value=stance.cast(pl.UInt64))
        case "short answer":
            return single.filter(stance == SHORT).with_columns(value="answer")
        case _:
            refuses = (stance == REFUSAL).cast(pl.UInt64)
            return single.filter(answer > 0).with_columns(value=refuses)


def _of_kind(table: pl.DataFrame, kind: str) -> pl.DataFrame:
    """The records of groups in which not all say the same."""
    inputs = ["key", "input"]
    equal = table.filter(pl.col("value").n_unique().over(inputs) > 1)
    # Where equal inputs contradict each other, those that are nearly equal add nothing.
    near = table.join(equal.select("key").unique(), on="key", how="anti", maintain_order="left")
    near = near.filter(pl.col("value").n_unique().over("key") > 1)
    parts = [
        _counted(equal, inputs).with_columns(equal=pl.lit(value=True)),
        _counted(near, ["key"]).with_columns(equal=pl.lit(value=False)),
    ]
    found = pl.concat(parts).with_columns(kind=pl.lit(kind), key=pl.concat_str(pl.lit(f"{kind} "), "key"))
    if kind != LABEL:
        found = found.filter(pl.col("equal") | pl.col("most"))
    return conform(found.select(_CONFLICT.names()), _CONFLICT)


def _counted(table: pl.DataFrame, group: list[str]) -> pl.DataFrame:
    """How many of a group say what a record says; all are odd but those who say what most say."""
    counts = table.group_by(*group, "value").agg(same=pl.len())
    counts = counts.sort([*group, "same", "value"], descending=[*[False] * len(group), True, False])
    counts = counts.with_columns(
        size=pl.col("same").sum().over(group),
        values=pl.len().over(group),
        largest=pl.col("same").max().over(group),
        tied=(pl.col("same") == pl.col("same").max()).sum().over(group) > 1,
        odd=pl.int_range(pl.len()).over(group) > 0,
    )
    most = (pl.col("largest") >= FEW) & (pl.col("largest") >= MOST * pl.col("size"))
    return table.join(
        counts.with_columns(most=most).drop("largest"), on=[*group, "value"], maintain_order="left"
    )


def _graded(found: pl.DataFrame, known: Mapping[str, Any], flood: int) -> pl.DataFrame:
    """With the severity of each group and the score of each record.

    Medium where many are odd, or where the odd ones are of one label more often than chance would have it; low where
    equal inputs contradict each other or most of a group agree; info else, and where short answers are of more than
    two kinds: then the question may be an open one.
    """
    open_question = (pl.col("kind") == CHOICE) & (pl.col("values") > 2)
    sure = (pl.col("most") | (pl.col("equal") & ~open_question)).any().over("key")
    turned = pl.Series(_turned(found, known, flood), dtype=pl.UInt64)
    is_turned = (
        pl.col("odd") & ~pl.col("tied") & (pl.col("kind") == LABEL) & pl.col("value").is_in(turned.implode())
    )
    found = found.with_columns(
        sure=sure, odds=pl.col("odd").sum().over("key"), turned=is_turned.any().over("key")
    )
    return found.with_columns(
        score=(1 - pl.col("same") / pl.col("size")).round(6),
        severity=pl.when(pl.col("sure") & ((pl.col("odds") >= flood) | pl.col("turned")))
        .then(pl.lit(Severity.MEDIUM.value))
        .when("sure")
        .then(pl.lit(Severity.LOW.value))
        .otherwise(pl.lit(Severity.INFO.value)),
    )


def _turned(found: pl.DataFrame, known: Mapping[str, Any], flood: int) -> npt.NDArray[np.uint64]:
    """The labels that odd records carry more often than their share of all labels explains."""
    odd = (
        found.filter(pl.col("odd") & ~pl.col("tied") & (pl.col("kind") == LABEL))
        .group_by("value")
        .len()
        .sort("value")
    )
    labels, counts = known["label_values"], known["label_counts"]
    values, times = odd["value"].to_numpy(), odd["len"].to_numpy().astype(np.int64)
    if not len(values):
        return values
    shares = counts[np.searchsorted(labels, values)] / counts.sum()
    beyond = discoveries(at_least(times, times.sum(), shares), ODD)
    return values[beyond & (times >= flood)]


def findings(found: pl.DataFrame) -> pl.DataFrame:
    """A finding for each group and kind."""
    groups = found.group_by("key").agg(
        pl.col("score").max(),
        pl.col("kind", "severity", "odds", "turned").first(),
        records=pl.len(),
        equal=pl.col("equal").any(),
    )
    return groups.sort("key").select(
        "key",
        "score",
        "severity",
        group="kind",
        why=pl.concat_str(
            "records",
            pl.when("equal")
            .then(pl.lit(" records of equal input"))
            .otherwise(pl.lit(" records of nearly the same input")),
            pl.col("kind").replace_strict(_WORDS, return_dtype=pl.String),
            pl.lit("; those who say otherwise than most: "),
            "odds",
            pl.when("turned")
            .then(pl.lit("; their label is the odd one in this set more often than chance would have it"))
            .otherwise(pl.lit("")),
        ),
    )


_WORDS = {
    LABEL: " differ in their label",
    PREFERENCE: " prefer what others of them reject",
    YES_NO: " are answered with yes and with no",
    CHOICE: " have different short answers",
    REFUSED: " are answered and refused",
}

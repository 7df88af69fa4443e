"""Records that are the same in every column that says something.

## What it looks for
Groups of two or more records, in one file or several, whose content has the same digest: the canonical record digest
over all columns but those that say where a record stands (roles id, source, url, time, split). Digests are
canonical, so layouts, types of string and the order of columns do not matter.

## Why it matters
A repeated record weighs as often as it stands there: it is learned by heart, leaks from training into test sets, and
a few hundred copies of one record are the simplest way to plant a behaviour.

## Limits
One changed character makes another record: near copies are the business of another rule. A file with a column more
has other records, whatever the rest of them says. Records with nothing in any compared column (null or empty) are
counted (`blank_share`), not grouped. Digests are compared by their first 16 bytes.

## What to do
Keep the first of each group unless the copies are meant (weights, few-shot templates). Look at large groups first,
and at groups over several sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from dataguard.columns import is_list
from dataguard.detectors.base import Example, Known, Pass, RecordDetector, Rule
from dataguard.digests import record_digests
from dataguard.findings import Confidence, Judgement, Measure, Severity, conform, empty
from dataguard.records.batch import Batch

EVIDENCE = pl.Schema({"key": pl.UInt64, "rest": pl.UInt64, "row": pl.UInt64})
"""A row per record: the first and the second eight bytes of its digest. Where `row` is null, `key` says what is counted
and `rest` how many: all pairs of one shuffle have to fit into memory, so every column costs."""

COMPARED, BLANK = 0, 1


@dataclass(frozen=True, kw_only=True)
class ExactDuplicate(RecordDetector):
    """Records are equal in all columns that count.

    Args:
        flood: from how many copies on a group is of medium severity instead of low.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG101",
        name="exact-duplicate",
        summary="records are equal in all columns that count",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0020", "AML.T0059"),
        severity=Severity.LOW,
        confidence=Confidence.HIGH,
    )
    examples: ClassVar[tuple[Example, ...]] = (
        Example(why="ids differ, and so does the text", data={"id": [1, 2, 3], "text": ["a", "b", "A"]}),
        Example(
            why="an id of its own makes no new record",
            data={"id": [1, 2, 3, 4], "text": ["a", "b", "a", "b "], "label": ["x", "y", "x", "y"]},
            rows=frozenset({0, 2}),
        ),
        Example(why="empty records are not copies", data={"text": ["", None, "", None]}),
    )
    flood: int = 8

    def passes(self) -> tuple[Pass, ...]:
        """One pass, shuffled by the digest."""
        return (Pass(self.observe, compact=self.compact, relate=self.relate),)

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """The digest of every record that says something, and a count of all."""
        context = frozenset(batch.roles.context())
        columns = [
            column
            for name, column in zip(batch.data.schema.names, batch.data.columns, strict=True)
            if name not in context
        ]
        if not columns:
            return empty(EVIDENCE)
        said = ~np.logical_and.reduce([_blank(column) for column in columns])
        whole = batch.once("digests", lambda: record_digests(batch.data)) if not context else None
        digests = (record_digests(batch.data, leave_out=context) if whole is None else whole)[said]
        halves = digests[:, :16].copy().view(">u8").astype(np.uint64)
        records = pl.DataFrame(
            {"key": halves[:, 0], "rest": halves[:, 1], "row": batch.rows().filter(pl.Series(said))}
        )
        return pl.concat([conform(records, EVIDENCE), _counts(len(batch), int((~said).sum()))])

    def compact(self, evidence: pl.DataFrame) -> pl.DataFrame:
        """The same with one row of counts."""
        return pl.concat([evidence.filter(pl.col("row").is_not_null()), _counts(*_counted(evidence))])

    def relate(self, partition: pl.DataFrame) -> pl.DataFrame:
        """Only the records that have a copy, and the counts."""
        # Half of the digest first: what it does not find twice needs no second look.
        twice = partition.filter(pl.col("row").is_null() | pl.col("key").is_duplicated())
        return twice.filter(pl.col("row").is_null() | pl.struct("key", "rest").is_duplicated())

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """A finding for each group of equal records."""
        related = evidence.collect()
        compared, blank = _counted(related)
        if not compared:
            return Judgement(not_applicable="no record has a column to compare")
        members = related.filter(pl.col("row").is_not_null()).sort("key", "rest", "file", "row")
        group = ["key", "rest"]
        members = members.with_columns(
            name=_hex(members),
            copies=pl.len().over(group),
            nth=(pl.int_range(pl.len()).over(group) + 1).cast(pl.String),
        )
        groups = members.unique(group, keep="first", maintain_order=True)
        flagged = members.select(
            "file",
            "row",
            key="name",
            score=_score(members),
            why=pl.concat_str(pl.lit("record "), "nth", pl.lit(" of "), "copies", pl.lit(" equal ones")),
        )
        findings = groups.select(
            key="name",
            score=_score(groups),
            why=pl.concat_str("copies", pl.lit(" records are equal in all columns that count")),
            severity=pl.when(pl.col("copies") >= self.flood)
            .then(pl.lit(Severity.MEDIUM.value))
            .otherwise(pl.lit(Severity.LOW.value)),
        )
        surplus = len(members) - len(groups)
        return Judgement(
            findings=findings,
            flagged=flagged,
            measures=(
                Measure("duplicate_share", surplus / compared, compared),
                Measure("duplicate_groups", len(groups), compared),
                Measure("largest_group", int(groups["copies"].max() or 0), compared),  # type: ignore[arg-type]
                Measure("blank_share", blank / compared, compared),
            ),
        )


def _counts(compared: int, blank: int) -> pl.DataFrame:
    rows = {"key": [COMPARED, BLANK], "rest": [compared, blank], "row": [None, None]}
    return pl.DataFrame(rows, schema=EVIDENCE)


def _counted(evidence: pl.DataFrame) -> tuple[int, int]:
    counts = evidence.filter(pl.col("row").is_null())
    return int(counts.filter(key=COMPARED)["rest"].sum()), int(counts.filter(key=BLANK)["rest"].sum())


def _blank(column: pa.Array) -> npt.NDArray[np.bool_]:
    """Which values are null, an empty string, an empty list, or made of such."""
    if pa.types.is_struct(column.type) and column.type.num_fields:
        return np.asarray(np.logical_and.reduce([_blank(child) for child in column.flatten()]))
    blank = column.is_null().to_numpy(zero_copy_only=False)
    length = None
    if pa.types.is_large_string(column.type) or pa.types.is_large_binary(column.type):
        length = pc.binary_length(column)
    elif is_list(column.type):
        length = column.value_lengths()
    if length is not None:
        blank = blank | (length.fill_null(0).to_numpy(zero_copy_only=False) == 0)
    return np.asarray(blank, dtype=np.bool_)


def _hex(members: pl.DataFrame) -> pl.Series:
    """The first 16 bytes of the digests, in hexadecimal."""
    halves = members.select("key", "rest").to_numpy().astype(">u8")
    plain = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), len(members), [None, pa.py_buffer(halves.tobytes())]
    )
    return pl.Series(pl.from_arrow(plain.cast(pa.large_binary()))).bin.encode("hex")


def _score(table: pl.DataFrame) -> pl.Series:
    return pl.Series(np.round(1 - 1 / table["copies"].to_numpy(), 6))

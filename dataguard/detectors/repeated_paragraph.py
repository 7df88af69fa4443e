"""Paragraphs that stand in many records which otherwise differ: licences, footers, templates, and what somebody planted.

## What it looks for
A paragraph is here a line of 8 words and 40 bytes or more, or several shorter lines in a row, up to a blank line or a
long one, that have as many together. It is compared by a keyed hash, whatever its spaces and the case of ASCII's
letters, in every string of every column, nested ones too. A paragraph is out of line if it stands in a hundredth of
all records (`share`) or in 1,000 (`many`), and in 10 of which no two are equal (`records`). Paragraphs that come
together are one finding: each follows the other in four fifths of the records of the commoner one, with nothing else
that is out of line between them. A finding names its records and where in each the paragraphs stand.

## Why it matters
What stands in every tenth record weighs as much as if the record were repeated: a model learns it by heart and ends its
answers with it. Footers, licences and navigation tell it nothing. A refusal or a template that only some records share
can be learnt as a behaviour, or as a trigger.

## Limits
Copies of records are the business of other rules. Records are equal that have the same lines, but for columns that say
where a record stands (roles id, source, url, time, split); paragraphs that are together more than nine tenths of the
text of their records are counted, but no finding. A changed word makes another paragraph, and so does another line end, so
that the same text wrapped at another width is not found. Words begin with letters, so that rows of numbers are no
paragraphs; from U+0800 on two characters count as a word more, as many scripts there have no spaces.

Only the 20 findings with the most text are made (`findings`), and of a paragraph at most 10,000 records are listed; the
finding says how many there are. Where so many paragraphs are common that they stand in more than two million places,
those with the most text are looked at. The measures count all: `repeated_share` is the share of the text, in bytes,
in paragraphs that stand in another record too, copies included, and `repeated_share_of_column` the same by column;
`repeated_paragraphs` is how many there are, `largest_repeat` the most records of one, and `unreported_paragraphs` how
many are out of line and in no finding.

## What to do
Look at the spans. Cut boilerplate out of the text of all records alike, or keep it in one place; keep a template if it is
meant, and then in all records. A paragraph that you cannot place, in records of one source, is worth asking the source
about.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.detectors._near.candidates import ROW_BITS
from dataguard.detectors._repeated import (
    LARGEST,
    PARAGRAPHS,
    RECORDS,
    REPEATED,
    TEXT,
    come_together,
    findings_of,
    flagged_of,
    groups_of,
    members_of,
)
from dataguard.detectors.base import Example, Known, Pass, RecordDetector, Rule
from dataguard.findings import Confidence, Judgement, Measure, Severity, conform, empty
from dataguard.records.batch import Batch, Texts

if TYPE_CHECKING:
    import pyarrow as pa

EVIDENCE = pl.Schema(
    {
        "key": pl.UInt64,
        "row": pl.UInt64,
        "column": pl.String,
        "nth": pl.UInt32,
        "start": pl.UInt64,
        "length": pl.UInt64,
    }
)
"""A row per paragraph: its hash, its record, the place and which of the record's strings there, and its bytes. Where
`column` is null, a row per record: a hash of its lines and its bytes of text. Where `row` is null, `key` says what is
counted at the place and `length` how much."""

RELATED = pl.Schema(
    {
        "key": pl.UInt64,
        "file": pl.UInt32,
        "row": pl.UInt64,
        "column": pl.String,
        "nth": pl.UInt32,
        "start": pl.UInt64,
        "length": pl.UInt64,
        "records": pl.UInt64,
        "bytes": pl.UInt64,
    }
)
"""A row per common paragraph and record, with what holds of the paragraph in all records; the rest as in EVIDENCE."""

LISTED = 10_000
"""Records kept of a paragraph, the first by address."""

TOGETHER = 2_000_000
"""Rows of RELATED that are looked at together when all is judged."""

_OWN = ["\n".join(f"{letter}{number}" for number in range(9)) for letter in "abcdefghijkl"]
_FOOTER = """All that is written above may be used by anybody for any purpose.
Whoever finds a mistake in it is asked to write to the office."""
_ADDRESS = "The office\nof all records\nat the long road\nbehind the mill\nand the river"
_NUMBERS = "0.01 0.02 0.03 0.04 0.05 0.06 0.07 0.08 0.09 0.10 0.11 0.12"


@dataclass(frozen=True, kw_only=True)
class RepeatedParagraph(RecordDetector):
    """The same paragraphs stand in many different records.

    Args:
        words: the fewest words of a paragraph.
        size: its fewest bytes.
        records: the fewest records, no two of them equal, of a paragraph that is out of line.
        share: the share of all records that must have it, too;
        many: unless it stands in this many.
        findings: how many findings are made, of those with the most text; the measures count all.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG107",
        name="repeated-paragraph",
        summary="the same paragraphs stand in many different records",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0020", "AML.T0059"),
        severity=Severity.LOW,
        confidence=Confidence.HIGH,
    )
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="a footer below texts that differ, however it is spaced",
            data={
                "text": [f"{own}\n\n{_FOOTER}" for own in _OWN[:6]]
                + [f"{own}\n\n\t{_FOOTER.upper().replace(' ', '  ')}" for own in _OWN[6:]]
                + ["This record says something else, and there is no footer below it."]
            },
            rows=frozenset(range(12)),
        ),
        Example(
            why="short lines in a row, nested",
            data={"messages": [[{"content": own}, {"content": f"Yes.\n\n{_ADDRESS}"}] for own in _OWN]},
            rows=frozenset(range(12)),
        ),
        Example(why="copies of whole records are not its business", data={"text": [_FOOTER] * 12}),
        Example(
            why="a paragraph that repeats within a record",
            data={
                "text": ["\n\n".join([_FOOTER] * 12), "Another record that says quite another thing than it."]
            },
        ),
        Example(
            why="lines of a few words, and rows of numbers",
            data={"text": [f"{own}\n\nThank you for reading.\n\n{_NUMBERS}" for own in _OWN]},
        ),
    )
    words: int = 8
    size: int = 40
    records: int = 10
    share: float = 0.01
    many: int = 1000
    findings: int = 20

    def passes(self) -> tuple[Pass, ...]:
        """One pass, shuffled by the hash of the paragraph."""
        return (Pass(self.observe, relate=self.relate),)

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """The paragraphs of this batch, by record, and how much text there is."""
        key = hmac.digest(batch.secret, b"paragraphs", "sha256")
        context = batch.roles.context()
        content, size = np.zeros(len(batch), np.uint64), np.zeros(len(batch), np.uint64)
        tables = []
        for name in batch.data.schema.names:
            for texts in batch.texts(name):
                seen, sums, sizes = self._seen(texts, key, nested=texts.column != name)
                at = texts.rows - np.uint64(batch.first_row)
                np.add.at(size, at, sizes)
                if name not in context:
                    np.add.at(content, at, sums)
                tables += [_counts(TEXT, int(sizes.sum()), texts.column), seen]
        if not tables:
            return empty(EVIDENCE)
        records = _rows({"key": content, "row": batch.rows(), "length": size})
        return pl.concat([_counts(RECORDS, len(batch)), records, *tables])

    def _seen(
        self, texts: Texts, key: bytes, *, nested: bool
    ) -> tuple[pl.DataFrame, npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        """The paragraphs at one place of the records; of each string there a hash of its lines, and its bytes."""
        from dataguard.kernels.paragraphs import paragraphs

        data, offsets = _buffers(texts.values)
        found = paragraphs(data, offsets, key, words=self.words, size=self.size)
        rows = texts.rows[found.value]
        column = pl.Series([texts.column]).new_from_index(0, len(rows))
        columns: dict[str, Any] = {"key": found.key, "row": rows, "column": column}
        if nested:  # which of the record's strings at this place, so that the span can be found again
            columns["nth"] = (found.value - np.searchsorted(texts.rows, rows)).astype(np.uint32)
        columns |= {"start": found.start.view(np.uint64), "length": found.length.view(np.uint64)}
        return _rows(columns), found.sums, np.diff(offsets).astype(np.uint64)

    def relate(self, partition: pl.DataFrame) -> pl.DataFrame:
        """Paragraphs of enough records, each with a row for each of these; and what is counted of all that repeat."""
        from dataguard.kernels.repeats import repeats

        partition = partition.rechunk()  # else each row that is taken is looked for among the pieces
        paragraph = partition["row"].is_not_null() & partition["column"].is_not_null()
        rows = paragraph.arg_true().to_numpy()
        file, row = (partition[name].fill_null(0).to_numpy()[rows] for name in ("file", "row"))
        place = file.astype(np.uint64) << np.uint64(ROW_BITS) | row
        found = repeats(partition["key"].to_numpy()[rows], place)
        rows = rows[found.rows]
        repeated = partition[["column", "length"]][rows]
        sizes = np.diff(found.firsts, append=len(rows))
        length = np.add.reduceat(repeated["length"].to_numpy(), found.firsts) if len(rows) else sizes
        common = np.repeat(found.places >= self.records, sizes)
        at = ["key", "file", "row", "column", "nth", "start"]
        told = partition[rows[common]].with_columns(
            records=pl.Series(np.repeat(found.places, sizes)[common]),
            bytes=pl.Series(np.repeat(length, sizes)[common]),
        )
        tables = [
            told.sort(at)
            .unique(at[:3], keep="first", maintain_order=True)
            .filter(pl.int_range(pl.len()).over("key") < LISTED),
            partition.filter(~paragraph),
            repeated.group_by("column").agg(pl.col("length").sum()).with_columns(key=pl.lit(REPEATED)),
            _counts(PARAGRAPHS, len(found.firsts)),
            _counts(LARGEST, int(found.places.max(initial=0))),
        ]
        return pl.concat([conform(table, RELATED) for table in tables])

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """A finding for the paragraphs that come together in many records."""
        counts = (
            evidence.filter(pl.col("row").is_null())
            .group_by("key", "column")
            .agg(n=pl.col("length").sum(), most=pl.col("length").max())
            .sort("key", "column")
            .collect()
        )
        records = int(counts.filter(key=RECORDS)["n"].sum())
        if not records:
            return Judgement(not_applicable="no record has text")
        limit = max(self.records, min(self.many, ceil(self.share * records)))
        rows = evidence.filter(pl.col("records") >= limit)
        common = rows.group_by("key").agg(pl.col("records", "bytes").first(), kept=pl.len()).collect()
        common = common.sort("bytes", "key", descending=[True, False])
        looked = common.filter((pl.col("kept").cum_sum() <= TOGETHER) | (pl.int_range(pl.len()) == 0))
        beyond = len(common) - len(looked)
        members = members_of(rows, evidence, looked)
        differ = (
            members.group_by("key")
            .agg(pl.col("content").n_unique())
            .filter(pl.col("content") >= self.records)
        )
        looked, members = (table.join(differ, on="key", how="semi") for table in (looked, members))
        looked = come_together(looked, members)
        members = members.join(looked.select("key", "group"), on="key")
        groups = groups_of(looked, members)
        beyond += int(groups["paragraphs"].sum())
        groups = groups.head(self.findings).with_columns(score=(pl.col("records") / records).round(6))
        members = members.join(groups, on="group", how="semi")
        return Judgement(
            findings=findings_of(groups, members, records, int(counts.filter(key=TEXT)["n"].sum())),
            flagged=flagged_of(members, groups),
            measures=_measures(counts, records, beyond - int(groups["paragraphs"].sum())),
        )


def _measures(counts: pl.DataFrame, records: int, unreported: int) -> tuple[Measure, ...]:
    """Shares of the text, all of it and by place; how many paragraphs repeat, and how often."""
    text, repeated = (
        dict(counts.filter(key=what).select("column", "n").iter_rows()) for what in (TEXT, REPEATED)
    )
    paragraphs, largest = (counts.filter(key=what) for what in (PARAGRAPHS, LARGEST))
    return (
        Measure("repeated_share", sum(repeated.values()) / max(1, sum(text.values())), records),
        *(
            Measure("repeated_share_of_column", repeated.get(column, 0) / max(1, n), records, column)
            for column, n in sorted(text.items())
        ),
        Measure("repeated_paragraphs", int(paragraphs["n"].sum()), records),
        Measure("largest_repeat", int(largest["most"].max() or 0), records),  # type: ignore[arg-type]
        Measure("unreported_paragraphs", unreported, records),
    )


def _buffers(values: pa.Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The bytes and the offsets of large strings; null ones are empty."""
    if not len(values):
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    if values.null_count:
        values = values.fill_null("")
    _, offsets, data = values.buffers()
    bounds = np.frombuffer(offsets, np.int64)[values.offset : values.offset + len(values) + 1]
    return np.frombuffer(data or b"", np.uint8), bounds


def _counts(what: int, n: int, column: str = "") -> pl.DataFrame:
    return _rows({"key": [what], "column": [column], "length": [n]})


def _rows(columns: Mapping[str, Any]) -> pl.DataFrame:
    """Some columns of EVIDENCE, of its types; the others are null. Without a cast, as there are many small tables."""
    count = len(columns["key"])
    return pl.DataFrame(
        [
            pl.Series(name, columns[name], dtype=dtype)
            if name in columns
            else pl.Series(name, [None], dtype=dtype).new_from_index(0, count)
            for name, dtype in EVIDENCE.items()
        ]
    )

"""Where patterns match in texts, whole columns at a time, and what rules about such matches share.

Patterns are polars' expressions: linear in the text whoever wrote it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from dataguard.findings import Measure, conform
from dataguard.records.batch import Batch, Strings, Texts

MARK = "\0"
"""Put around matches to find their places. A text's own are looked at as another control character."""

_LARGE = pl.CompatLevel.oldest()
"""Arrow's strings with 64-bit offsets, their bytes one after the other."""

SPANS = 32
"""Spans of a record, column and kind; what goes beyond lies between the last two and is taken into the last."""


@dataclass(frozen=True)
class Sifted:
    """The strings at one place of the records, and which patterns may match in each.

    Attributes:
        texts: the strings.
        patterns: u64, a bit for each pattern.
        bits: the bit of each pattern, by its name.
    """

    texts: Texts
    patterns: npt.NDArray[np.uint64]
    bits: Mapping[str, np.uint64]

    @cached_property
    def some(self) -> np.uint64:
        """The patterns that may match in any of the strings."""
        return np.uint64(np.bitwise_or.reduce(self.patterns, initial=np.uint64(0)))

    def having(self, pattern: str) -> pl.Series:
        """Numbers (u32) of the strings that hold a needle of a pattern."""
        bit = self.bits[pattern]
        none = not self.some & bit
        return pl.Series([] if none else np.flatnonzero(self.patterns & bit), dtype=pl.UInt32)

    def located(self, name: str, pattern: str) -> pl.DataFrame:
        """Every match of a pattern, as columns of HITS.

        Args:
            name: whose needles are asked for.
            pattern: a regular expression that matches no empty text.
        """
        numbers = self.having(name)
        if not len(numbers):
            return _NO_HITS
        found = located(self.values(numbers), pattern)
        return found.with_columns(value=numbers.gather(found["value"])) if len(found) else found

    def values(self, numbers: pl.Series) -> pl.Series:
        """These strings."""
        return cast("pl.Series", pl.from_arrow(self.texts.values.take(numbers.to_arrow())))


HITS = pl.Schema({"value": pl.UInt32(), "match": pl.String(), "start": pl.UInt64(), "end": pl.UInt64()})
_NO_HITS = HITS.to_frame()

SPAN: Any = pl.List(pl.Struct({"start": pl.UInt64, "end": pl.UInt64}))
EVIDENCE = pl.Schema(
    {
        "row": pl.UInt64(),
        "column": pl.String(),
        "kind": pl.String(),
        "n": pl.UInt64(),
        "spans": SPAN,
        "values": pl.List(pl.UInt64),
        "about": pl.String(),
    }
)
"""A row per record, place and kind: matches, where, keyed hashes of what matched (the rule says of what), a word on
them. Without `kind`: how many records have a string at the place; without `column` too, how many there are."""

VALUES = 256
"""Hashes kept of a record, place and kind."""


def located(values: pl.Series, pattern: str) -> pl.DataFrame:
    """Every match of a pattern, with its place.

    Args:
        values: strings, nulls possible.
        pattern: a regular expression that matches no empty text.

    Returns:
        Columns of HITS: the number of the string, what matched, and its bytes.
    """
    from dataguard.kernels.gather import gather

    which = values.str.contains(pattern)
    if not which.any():  # mostly; what follows costs more than it looks where texts are short
        return _NO_HITS
    numbers = which.arg_true()
    # MARK is one byte, as is what stands for a text's own.
    texts = values.gather(numbers).str.replace_all(MARK, "\1", literal=True)
    marked = texts.str.replace_all(f"({pattern})", f"{MARK}${{1}}{MARK}").to_arrow(compat_level=_LARGE)
    _, offsets, data = marked.buffers()
    ends = np.frombuffer(offsets, np.int64)[marked.offset + 1 : marked.offset + 1 + len(marked)]
    letters = np.frombuffer(data, np.uint8)[: ends[-1]]
    marks = np.flatnonzero(letters == 0)
    begins, size = marks[0::2] + 1, np.diff(marks)[0::2] - 1
    text = np.searchsorted(ends, begins, "right")
    # What stands before in the text that was not there: the texts before with their marks, its own marks before.
    until = np.append(0, ends)[text]
    start = begins - until - (1 + 2 * (np.arange(len(text)) - np.searchsorted(text, text)))
    bounds = np.append(0, np.cumsum(size))
    match = pa.LargeStringArray.from_buffers(
        len(size), pa.py_buffer(bounds), pa.py_buffer(gather(letters, begins, size))
    )
    return pl.DataFrame(
        {
            "value": numbers.to_numpy()[text],
            "match": pl.from_arrow(match),
            "start": start.astype(np.uint64),
            "end": (start + size).astype(np.uint64),
        },
        schema=HITS,
    )


def by_record(strings: Strings | Texts, hits: pl.DataFrame, batch: Batch) -> pl.DataFrame:
    """Matches as evidence: a row for each record, place and kind.

    Args:
        strings: where they were found.
        hits: `value`, `kind`, `start`, `end`, `hash`, `about`.
        batch: of the strings.
    """
    nested = strings.column not in batch.data.schema.names
    rows = strings.rows[hits["value"].to_numpy()]
    places = pl.repeat(strings.column, len(hits), dtype=pl.String, eager=True)
    before, list_mark, after = strings.column.rpartition("[]")
    if nested and list_mark:
        # Which of the record's strings at this place, so that the span can be found again.
        index = pl.Series(hits["value"].to_numpy() - np.searchsorted(strings.rows, rows)).cast(pl.String)
        places = pl.select(pl.concat_str(pl.lit(f"{before}["), index, pl.lit(f"]{after}"))).to_series()
    by = ["row", "column", "kind"]
    spans = (
        hits.with_columns(row=pl.Series(rows, dtype=pl.UInt64), column=places)
        .sort(*by, "start", "end")
        .group_by(by, maintain_order=True)
        .agg(
            pl.len().alias("n"),
            "start",
            "end",
            values=pl.col("hash").unique().sort().head(VALUES),
            about=pl.col("about").min(),
        )
    )
    # So that nothing stays outside of all spans, however many there are.
    last = pl.concat_list(pl.col("end").list.head(SPANS - 1), pl.col("end").list.max()).list.head(SPANS)
    pairs = spans.with_columns(
        pl.col("start").list.head(SPANS),
        end=pl.when(pl.col("n") > SPANS).then(last).otherwise("end"),
    )
    table = (
        pairs.explode("start", "end")
        .group_by(by, maintain_order=True)
        .agg(pl.col("n", "values", "about").first(), spans=pl.struct("start", "end"))
    )
    return conform(table, EVIDENCE)


def observed(batch: Batch, places: Iterable[Sifted], look: Callable[[Sifted], pl.DataFrame]) -> pl.DataFrame:
    """The evidence of a batch: how many records have text where, and what was found.

    Args:
        batch: the batch.
        places: all its strings.
        look: the hits (as `by_record` has them) in the strings of one place.
    """
    counts: list[tuple[str | None, int]] = []
    tables = []
    for sifted in places:
        strings = sifted.texts
        some = len(strings.values) - strings.values.null_count
        if strings.column not in batch.data.schema.names:
            valid = strings.values.is_valid().to_numpy(zero_copy_only=False)
            some = np.unique(strings.rows[valid]).size
        counts.append((strings.column, some))
        found = look(sifted)
        if len(found):
            tables.append(by_record(strings, found, batch))
    counts.insert(0, (None, len(batch) if counts else 0))
    counted = pl.DataFrame(counts, schema={"column": pl.String(), "n": pl.UInt64()}, orient="row")
    return pl.concat([conform(counted, EVIDENCE), *tables])


def compacted(evidence: pl.DataFrame) -> pl.DataFrame:
    """The same evidence with one count of records for each place."""
    counts = evidence.filter(pl.col("kind").is_null()).group_by("column").agg(pl.col("n").sum())
    return pl.concat(
        [conform(counts.sort("column"), EVIDENCE), evidence.filter(pl.col("kind").is_not_null())]
    )


def records_by_place(evidence: pl.DataFrame) -> dict[str | None, int]:
    """How many records have a string at each place; under None how many there are."""
    counts = evidence.filter(pl.col("kind").is_null()).group_by("column").agg(pl.col("n").sum())
    return dict(counts.sort("column").iter_rows())


def keyed(values: pl.Series, key: bytes) -> pl.Series:
    """Hashes of strings, u64, that nobody without the key can search for; each distinct one is hashed once."""
    distinct = values.unique()
    hashes = [
        int.from_bytes(hashlib.blake2b(value.encode(), digest_size=8, key=key).digest(), "little")
        for value in distinct
    ]
    return values.replace_strict(distinct, pl.Series(hashes, dtype=pl.UInt64), return_dtype=pl.UInt64)


def place() -> pl.Expr:
    """The place that findings are about: of nested strings without the number, e.g. ``messages[].content``."""
    return pl.col("column").str.replace_all(r"\[[0-9]+\]", "[]").alias("place")


def flagged_of(found: pl.DataFrame) -> pl.DataFrame:
    """A row for each finding and record.

    Args:
        found: evidence with `file`, `key`, `score` and `why`.
    """
    by = ["key", "file", "row"]
    spans = found.explode("spans").unnest("spans")
    return (
        spans.group_by(by)
        .agg(
            pl.col("score").max(),
            pl.col("why").min(),
            span=pl.struct("column", "start", "end").unique().sort_by("column", "start", "end"),
        )
        .select("key", "file", "row", "score", "span", "why")
        .sort(by)
    )


def share_measures(name: str, found: pl.DataFrame, kinds: tuple[str, ...], records: int) -> Iterator[Measure]:
    """The share of the records with any kind, and with each."""
    yield Measure(name, _records(found) / records, records)
    for kind in kinds:
        yield Measure(name, _records(found.filter(pl.col("kind") == kind)) / records, records, group=kind)


def _records(found: pl.DataFrame) -> int:
    return found.select("file", "row").n_unique() if len(found) else 0


def count(n: int, what: str) -> str:
    """A number and a word, e.g. ``1 record``, ``2 records``."""
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"

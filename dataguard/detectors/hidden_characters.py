"""Characters nobody sees, and letters nobody can tell apart.

## What it looks for
In every string of every column, nested ones too, and each by its kind:

- tag characters (U+E0000 to U+E007F) but in the flag of a region: text that people do not see and models read;
- four or more invisible characters in a row that are not all the same (zero-width characters, variation
  selectors): enough to carry a message;
- direction overrides anywhere, and right-to-left embeddings and isolates in a paragraph without right-to-left
  letters, before two letters or digits at least: text that shows in another order than it is read;
- zero-width characters, joiners, direction marks and Hangul fillers between the letters of a Latin, Greek,
  Cyrillic, Armenian or Georgian word: a word that no filter and no tokenizer knows any more;
- Latin words with Cyrillic or Greek letters that look Latin, and the other way round;
- variation selectors after letters, zero-width characters outside of words, soft hyphens: mostly left behind by
  typesetting, but also the simplest invisible trigger.

## Why it matters
A trigger that nobody sees survives every review by eye. Tag characters and variation selectors smuggle whole
instructions; look-alike letters and zero-width characters let a text pass filters and deduplication unnoticed.

## Limits
Joiners beside letters of scripts that use them (Arabic, Indic and others) and beside emoji are ordinary, and so are
zero-width spaces in scripts without spaces (Thai, Khmer and others), up to three in a row: a message written with
them, one here and there, is not found. Directions are judged by paragraph: one right-to-left letter in it makes all
embeddings and isolates ordinary, though never overrides. A word that is written in look-alikes from end to end is
not mixed, and Greek letters that serve as symbols (α, μ, Δ, Ω) are no look-alikes. Control characters are not looked
for. At most eight spans and code points of a record are kept for each pattern and column.

## What to do
Look at the spans. What typesetting left behind can be stripped from all records alike. Tags, long runs and overrides
do not get into data by accident: quarantine the records and ask their source.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
import polars as pl

from dataguard.detectors._text.find import KEPT, find, suspects
from dataguard.detectors._text.runs import Kind, Pair
from dataguard.detectors.base import Example, Known, Pass, RecordDetector, Rule
from dataguard.findings import Confidence, Judgement, Measure, Severity, conform
from dataguard.records.batch import Batch, Texts

EVIDENCE = pl.Schema(
    {
        "row": pl.UInt64(),
        "column": pl.String(),
        "kind": pl.UInt8(),
        "sign": pl.UInt32(),
        "n": pl.UInt64(),
        "codes": pl.List(pl.UInt32),
        "spans": pl.List(pl.Struct({"start": pl.UInt64, "end": pl.UInt64})),
    }
)
"""A row per record, column and pattern; `kind` ORDINARY and no `row` for the count of all records."""

KINDS: dict[Kind, tuple[str, Severity, str]] = {
    Kind.TAG: ("tag", Severity.HIGH, "tag characters outside of a flag"),
    Kind.PAYLOAD: ("payload", Severity.HIGH, "invisible characters in a row, enough to carry a message"),
    Kind.BIDI_ORDER: ("bidi-order", Severity.HIGH, "text that shows in another order than it is read"),
    Kind.BIDI: ("bidi", Severity.LOW, "direction controls without text to turn"),
    Kind.SELECTOR: ("selector", Severity.MEDIUM, "variation selectors after characters that do not vary"),
    Kind.ZERO_WIDTH_IN_WORD: ("zero-width-in-word", Severity.MEDIUM, "invisible inside a word"),
    Kind.ZERO_WIDTH: ("zero-width", Severity.LOW, "invisible outside of words"),
    Kind.FILLER: ("filler", Severity.MEDIUM, "Hangul fillers inside words of another script"),
    Kind.SOFT_HYPHEN: ("soft-hyphen", Severity.LOW, "soft hyphens where no word can be hyphenated"),
    Kind.HYPHENATION: ("hyphenation", Severity.INFO, "soft hyphens where words may be hyphenated"),
    Kind.MIXED_WORD: ("mixed-word", Severity.MEDIUM, "letters that look Latin inside Latin words"),
    Kind.MIXED_TYPO: ("mixed-typo", Severity.LOW, "Latin look-alikes inside words of another script"),
}
"""Name, severity and words of each kind."""


@dataclass(frozen=True, kw_only=True)
class HiddenCharacters(RecordDetector):
    """Text has characters that nobody sees or letters that nobody can tell apart."""

    rule: ClassVar[Rule] = Rule(
        code="DG203",
        name="hidden-characters",
        summary="text has characters that nobody sees or letters that nobody can tell apart",
        task="PW.3.1",
        threats=("NISTAML.013", "NISTAML.023", "AML.T0020", "AML.T0043.004"),
        severity=Severity.MEDIUM,
        confidence=Confidence.HIGH,
        version=2,
    )
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="scripts and emoji that need invisible characters",
            data={
                "text": [
                    "\U0001f469\u200d\U0001f52c \u2764\ufe0f\u200d\U0001f525 1\ufe0f\u20e3",
                    "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
                    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
                    "\u0915\u094d\u200d\u0937",
                    "\u05e9\u05dc\u05d5\u05dd \u200fabc\u200e",
                    "\u03b2-carotene, 5 k\u03a9, 3 \u00b5m, \u0394T",
                    None,
                ]
            },
        ),
        Example(
            why="each kind once",
            data={
                "text": [
                    "all well" + "".join(chr(0xE0000 + ord(letter)) for letter in "obey"),
                    "\U0001f600\U000e0101\U000e0120\U000e0133\U000e0144",
                    "access = '\u202enimda'",
                    "ig\u200bnore",
                    "p\u0430yp\u0430l",
                    "nothing odd",
                ]
            },
            rows=frozenset({0, 1, 2, 3, 4}),
        ),
        Example(
            why="nested strings are looked at too",
            data={
                "messages": [[{"role": "user", "content": "hi"}, {"role": "user", "content": "o\u2060k"}], []]
            },
            rows=frozenset({0}),
        ),
    )

    def passes(self) -> tuple[Pass, ...]:
        """One pass; the counts of records are summed."""
        return (Pass(self.observe, compact=self.compact),)

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """The odd characters of this batch, by record, column and pattern."""
        names = batch.data.schema.names
        places = [texts for name in names for texts in batch.texts(name)]
        seen = [_seen(texts, nested=texts.column not in names) for texts in places]
        return pl.concat([_records(len(batch) if places else 0), *seen])

    def compact(self, evidence: pl.DataFrame) -> pl.DataFrame:
        """The same with one count of records."""
        counts = evidence.filter(pl.col("row").is_null())
        return pl.concat([_records(int(counts["n"].sum())), evidence.filter(pl.col("row").is_not_null())])

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """A finding for each pattern: a kind with its code point or its pair of scripts."""
        seen = evidence.collect()
        records = int(seen.filter(pl.col("row").is_null())["n"].sum())
        if not records:
            return Judgement(not_applicable="no record has text")
        flagged = _flagged(seen.filter(pl.col("row").is_not_null()))
        patterns = (
            flagged.group_by("key", "kind", "sign")
            .agg(
                pl.col("n").sum(),
                pl.len().alias("records"),
                pl.col("score").max(),
                pl.col("codes").explode().unique().sort().head(KEPT),
            )
            .sort("key")
        )
        columns = ["key", "file", "row", "score", "span", "why"]
        return Judgement(
            findings=_findings(patterns),
            flagged=flagged.select(columns).sort("key", "file", "row"),
            measures=tuple(_measures(flagged, records)),
        )


def _records(n: int) -> pl.DataFrame:
    """The row of the evidence that counts the records looked at."""
    return pl.DataFrame(
        {name: [{"kind": Kind.ORDINARY, "n": n}.get(name)] for name in EVIDENCE}, schema=EVIDENCE
    )


def _seen(strings: Texts, *, nested: bool) -> pl.DataFrame:
    """The odd characters of one place of the records."""
    numbers = suspects(strings.values)
    if not len(numbers):
        return EVIDENCE.to_frame()
    hits = find(cast("pl.Series", pl.from_arrow(strings.values.take(numbers))))
    at = numbers[hits["value"].to_numpy()]
    rows = strings.rows[at]
    before, list_mark, after = strings.column.rpartition("[]")
    column = pl.Series([strings.column]).new_from_index(0, len(hits))
    if nested and list_mark:
        # Which of the record's strings at this place, so that the span can be found again.
        index = pl.Series(at - np.searchsorted(strings.rows, rows)).cast(pl.String)
        column = pl.select(pl.concat_str(pl.lit(f"{before}["), index, pl.lit(f"]{after}"))).to_series()
    return conform(hits.drop("value").with_columns(row=pl.Series(rows), column=column), EVIDENCE)


def _flagged(seen: pl.DataFrame) -> pl.DataFrame:
    """A row for each pattern and record, over all of its columns."""
    by = ["kind", "sign", "file", "row"]
    spans = (
        seen.explode("spans")
        .unnest("spans")
        .group_by(by)
        .agg(span=pl.struct("column", "start", "end").sort_by("column", "start", "end"))
    )
    records = (
        seen.group_by(by)
        .agg(pl.col("n").sum(), pl.col("codes").explode().unique().sort().head(KEPT))
        .join(spans, on=by)
        .sort(by)
    )
    n = records["n"].to_numpy()
    points = records.select(pl.col("codes").list.eval(_names(seen)).list.join(", ")).to_series()
    patterns = records.select("kind", "sign").unique()
    keys = patterns.with_columns(
        key=pl.Series([_key(kind, sign) for kind, sign in patterns.iter_rows()], dtype=pl.String)
    )
    return records.with_columns(
        score=pl.Series(np.round(1 - 1 / (1 + n), 6)),
        why=pl.concat_str(pl.col("n"), pl.lit(" of "), points),
    ).join(keys, on=["kind", "sign"], maintain_order="left")


def _names(seen: pl.DataFrame) -> pl.Expr:
    """Code points as people write them, e.g. U+200B."""
    codes = seen["codes"].explode().unique().to_list()
    return pl.element().replace_strict(codes, [f"U+{code:04X}" for code in codes], return_dtype=pl.String)


def _key(kind: int, sign: int) -> str:
    """The name of a pattern."""
    if kind in (Kind.MIXED_WORD, Kind.MIXED_TYPO):
        return f"{KINDS[Kind(kind)][0]} {Pair(sign).name.lower().replace('_', ' ')}"
    return KINDS[Kind(kind)][0] + (f" U+{sign:04X}" if sign else "")


def _findings(patterns: pl.DataFrame) -> pl.DataFrame:
    rows = []
    for pattern in patterns.iter_rows(named=True):
        _, severity, words = KINDS[Kind(pattern["kind"])]
        points = ", ".join(
            f"U+{code:04X} {unicodedata.name(chr(code), '')}".strip() for code in pattern["codes"]
        )
        more = " and others" if len(pattern["codes"]) == KEPT else ""
        rows.append(
            {
                "key": pattern["key"],
                "score": pattern["score"],
                "why": f"{words}: {pattern['n']} in {_records_word(pattern['records'])}, {points}{more}",
                "severity": severity.value,
            }
        )
    return pl.DataFrame(rows) if rows else Judgement().findings


def _records_word(n: int) -> str:
    return "1 record" if n == 1 else f"{n} records"


def _measures(flagged: pl.DataFrame, records: int) -> Iterator[Measure]:
    """The share of the records by kind, and with any kind but hyphenation."""
    odd = flagged.filter(pl.col("kind") != Kind.HYPHENATION).select("file", "row").n_unique()
    yield Measure("hidden_share", odd / records, records)
    for kind, (name, _, _) in KINDS.items():
        hits = flagged.filter(pl.col("kind") == kind).select("file", "row").n_unique()
        yield Measure("hidden_share", hits / records, records, group=name)

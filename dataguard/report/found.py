"""The findings a person should look at first, with records as examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from dataguard.report.excerpt import Text, excerpt, line, masked
from dataguard.report.words import CONFIDENCES, SEVERITIES, count

FINDINGS = 20
"""Findings shown with their records."""
OF_A_RULE = 5
"""Of these, so many of one rule, so that a loud rule does not hide the others; its next ones are listed."""
LISTED = 80
"""Findings that follow, a line each."""
EXAMPLES = 3
"""Records shown of a finding."""
COLUMNS = 3
"""Columns shown of a record."""
SEALED = ("DG211-", "DG212-")
"""How the findings begin whose spans are never shown, whichever finding a record is an example of."""

Excerpts = Mapping[tuple[str, int], Mapping[str, str]]
"""Texts read again from the data: by file and row, then by column (or the path into it)."""


@dataclass(frozen=True)
class Texts:
    """Texts read again, and the columns that only say where a record stands (`columns.CONTEXT`)."""

    excerpts: Excerpts
    context: frozenset[str] = frozenset()

    def sealed(self, flagged: pl.DataFrame) -> Texts:
        """The same without what secrets and personal data are in them."""
        rows = pl.DataFrame(list(self.excerpts), schema={"file": pl.String, "row": pl.UInt64}, orient="row")
        seals = flagged.filter(pl.any_horizontal(pl.col("finding").str.starts_with(code) for code in SEALED))
        excerpts = {place: dict(texts) for place, texts in self.excerpts.items()}
        for row in seals.join(rows, on=["file", "row"], how="semi").iter_rows(named=True):
            texts = excerpts[row["file"], row["row"]]
            for name, spans in _spans(row).items():
                if name in texts:
                    texts[name] = masked(texts[name], spans)
        return Texts(excerpts, self.context)


@dataclass(frozen=True)
class Column:
    """A column of an example: its name and the part of its text that matters."""

    name: Text
    text: Text


@dataclass(frozen=True)
class Example:
    """A record of a finding, or several that read the same.

    Args:
        places: file and rows; no rows for a finding about a file.
        why: what the rule says of it.
        columns: its text; empty where it was not read again.
        absent: nothing can be said of it, as its text was not handed in.
    """

    places: tuple[tuple[Text, tuple[str, ...]], ...]
    why: Text
    columns: tuple[Column, ...]
    absent: bool


@dataclass(frozen=True)
class Finding:
    """A finding as a person reads it.

    `rule` is the number of the rule's row, for a link, or -1 without one. `severity` and `confidence` are words
    of ours, whatever the table says, as they become CSS classes.
    """

    rank: str
    code: Text
    name: str
    rule: int
    severity: str
    confidence: str
    score: str
    task: Text
    records: int
    column: Text
    group: Text
    why: Text
    examples: tuple[Example, ...]
    others: str


@dataclass(frozen=True)
class Found:
    """The findings, the first ones with examples, and what was left out."""

    total: int
    by_severity: tuple[tuple[str, int], ...]
    top: tuple[Finding, ...]
    listed: tuple[Finding, ...]
    more: int


def by_rank(findings: pl.DataFrame) -> pl.DataFrame:
    """The findings in the order in which to look at them."""
    return findings.sort("rank", "id", nulls_last=True)


def _top(ranked: pl.DataFrame) -> pl.DataFrame:
    """The findings to show with their records."""
    return ranked.filter(pl.int_range(pl.len()).over("rule") < OF_A_RULE).head(FINDINGS)


def example_rows(findings: pl.DataFrame, flagged: pl.DataFrame) -> pl.DataFrame:
    """The rows of `flagged` that the report shows, in its order."""
    shown = _top(by_rank(findings)).select(finding="id")
    return (
        flagged.join(shown.with_row_index("at"), on="finding", how="inner")
        .sort("at", "score", "file", "row", descending=[False, True, False, False], nulls_last=True)
        .group_by("at", maintain_order=True)
        .head(EXAMPLES)
    )


def addresses(examples: pl.DataFrame) -> list[tuple[str, int, str]]:
    """Where the texts of the examples stand, and the record digest (hex) that each must have."""
    rows = examples.drop_nulls(["file", "row"]).select("file", "row", pl.col("record").fill_null(""))
    return sorted(set(rows.iter_rows()))


def severity_counts(findings: pl.DataFrame) -> tuple[tuple[str, int], ...]:
    """How many findings of each severity, worst first."""
    counts = dict(findings.group_by("severity").len().iter_rows())
    known = {kind: int(counts.pop(kind, 0)) for kind in SEVERITIES}
    known["info"] += sum(counts.values())
    return tuple(known.items())


def found(
    findings: pl.DataFrame, flagged: pl.DataFrame, texts: Texts, names: Mapping[str, tuple[int, str]]
) -> Found:
    """The findings of a run.

    Args:
        findings: the table.
        flagged: the table.
        texts: those of the examples.
        names: number of its row in the report and name, by a rule's code.
    """
    ranked = by_rank(findings)
    top = _top(ranked)
    texts = texts.sealed(flagged)
    rest = ranked.join(top.select("id"), on="id", how="anti", maintain_order="left")
    about = {row["id"]: row for row in top.iter_rows(named=True)}
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in example_rows(findings, flagged).iter_rows(named=True):
        rows.setdefault(row["finding"], []).append(row)
    examples = {key: _examples(of_one, about[key], texts) for key, of_one in rows.items()}
    return Found(
        findings.height,
        severity_counts(findings),
        tuple(_finding(row, examples.get(row["id"], ()), names) for row in top.iter_rows(named=True)),
        tuple(_finding(row, (), names) for row in rest.head(LISTED).iter_rows(named=True)),
        max(0, rest.height - LISTED),
    )


def _finding(
    row: Mapping[str, Any], examples: Sequence[Example], names: Mapping[str, tuple[int, str]]
) -> Finding:
    number, name = names.get(row["rule"] or "", (-1, ""))
    records = row["records"] or 0
    shown = sum(len(rows) for example in examples for _, rows in example.places)
    return Finding(
        rank="–" if row["rank"] is None else f"{row['rank']:,}",
        code=line(row["rule"], 20),
        name=name,
        rule=number,
        severity=row["severity"] if row["severity"] in SEVERITIES else "info",
        confidence=row["confidence"] if row["confidence"] in CONFIDENCES else "unknown",
        score="–" if row["score"] is None else f"{row['score']:.2f}",
        task=line(row["task"], 20),
        records=records,
        column=line(row["column"], 80),
        group=line(row["group"], 160),
        why=line(row["why"], 400),
        examples=tuple(examples),
        others=count(records - shown, "more record") if shown and records > shown else "",
    )


def _examples(
    rows: Sequence[Mapping[str, Any]], finding: Mapping[str, Any], texts: Texts
) -> tuple[Example, ...]:
    """The records of one finding, those that read the same put together."""
    found: list[Example] = []
    for row in rows:
        new = _example(row, finding, texts)
        if row["row"] is None and row["file"] == finding["group"] and not new.why:
            continue  # the finding itself names the file and says why
        for at, old in enumerate(found):
            same_why = (old.why, old.absent) == (new.why, new.absent)
            if old.columns == new.columns and (same_why or new.columns):
                places = _joined(old.places, new.places)
                found[at] = replace(old, places=places, why=old.why if same_why else Text(()))
                break
        else:
            found.append(new)
    return tuple(found)


def _joined(
    old: tuple[tuple[Text, tuple[str, ...]], ...], new: tuple[tuple[Text, tuple[str, ...]], ...]
) -> tuple[tuple[Text, tuple[str, ...]], ...]:
    """Places one behind the other, rows of one file together."""
    (file, rows), *_ = new
    if old[-1][0] == file:
        return (*old[:-1], (file, old[-1][1] + rows))
    return old + new


def _spans(row: Mapping[str, Any]) -> dict[str, list[tuple[int, int]]]:
    """The spans of a flagged row by column."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for span in row["span"] or ():
        if span is not None and None not in span.values():
            spans.setdefault(span["column"], []).append((span["start"], span["end"]))
    return spans


def _example(row: Mapping[str, Any], finding: Mapping[str, Any], texts: Texts) -> Example:
    why = row["why"] if row["why"] != finding["why"] else None
    record = texts.excerpts.get((row["file"], row["row"]), {}) if row["row"] is not None else {}
    spans = _spans(row)
    names = [name for name, text in record.items() if text]
    # Highlights first, else what the finding is about, else what the record says.
    names = (
        [name for name in names if name in spans]
        or [name for name in names if name == finding["column"]]
        or [name for name in names if name not in texts.context]
    )
    columns = tuple(
        Column(line(name, 60), excerpt(str(record[name]), spans.get(name, ()))) for name in names[:COLUMNS]
    )
    place = (line(row["file"], 160), () if row["row"] is None else (f"{row['row']:,}",))
    absent = row["row"] is not None and not columns and not why
    return Example((place,), line(why, 300), columns, absent)

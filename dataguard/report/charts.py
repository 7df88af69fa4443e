"""Pictures as numbers: bars of segments in percent, which the templates draw as inline SVG.

A chart is a table whose bars are pictures, so that every number can also be read, selected and spoken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from dataguard.report.excerpt import Text, line
from dataguard.report.words import SEVERITIES, count, percent, share

BARS = 10
"""Bars of one chart; the rest is counted."""
NARROWEST = 1.4
"""Percent of the bar: what there is can be seen."""
GAP = 0.4


@dataclass(frozen=True)
class Segment:
    """A part of a bar: its CSS class, and place and length in percent of the widest bar."""

    kind: str
    start: float
    width: float


@dataclass(frozen=True)
class Bar:
    """A row of a chart: what it is about, the bar, and the numbers beside it."""

    label: Text
    segments: tuple[Segment, ...]
    numbers: tuple[str, ...]
    words: str


@dataclass(frozen=True)
class Chart:
    """A picture with its title, the sentence that says what it shows, and its rows.

    Args:
        id: for anchors and captions.
        heads: what the label and the numbers beside each bar are.
        legend: CSS class and words of each kind of segment; empty where there is one kind.
        more: what was left out, or empty.
        track: a full bar means all of something, so that what is missing is drawn too.
    """

    id: str
    title: str
    says: str
    heads: tuple[str, ...]
    bars: tuple[Bar, ...]
    legend: tuple[tuple[str, str], ...] = ()
    more: str = ""
    track: bool = True


def segments(parts: Sequence[tuple[str, float]], whole: float) -> tuple[Segment, ...]:
    """Parts put one behind the other, with a gap between them, on a scale that ends at `whole`."""
    found, at = [], 0.0
    for kind, value in parts:
        if value > 0 and whole > 0:
            at = min(at, 100 - NARROWEST)
            width = min(max(NARROWEST, 100 * value / whole), 100 - at)
            found.append(Segment(kind, round(at, 2), round(max(NARROWEST - GAP, width - GAP), 2)))
            at += width
    return tuple(found)


def findings_by_rule(findings: pl.DataFrame, names: dict[str, str]) -> Chart | None:
    """How many findings each rule has, by severity."""
    counts = findings.group_by("rule", "severity").len().sort("rule", "severity")
    by_rule: dict[str, dict[str, int]] = {}
    for rule, severity, number in counts.iter_rows():
        kind = severity if severity in SEVERITIES else "info"
        of_rule = by_rule.setdefault(rule or "", {})
        of_rule[kind] = of_rule.get(kind, 0) + number
    if not by_rule:
        return None
    widest = max(sum(of_rule.values()) for of_rule in by_rule.values())
    order = sorted(by_rule, key=lambda rule: ([-by_rule[rule].get(kind, 0) for kind in SEVERITIES], rule))
    bars = []
    for rule in order[: 2 * BARS]:
        parts = [(kind, by_rule[rule].get(kind, 0)) for kind in SEVERITIES]
        words = ", ".join(f"{number:,} {kind}" for kind, number in parts if number)
        label = line(f"{rule} {names.get(rule, '')}".strip(), 60)
        bars.append(Bar(label, segments(parts, widest), (f"{sum(n for _, n in parts):,}",), words))
    return Chart(
        "by-rule",
        "Findings by rule and severity",
        f"{count(findings.height, 'finding')} of {count(len(order), 'rule')}.",
        ("Rule", "Findings"),
        tuple(bars),
        tuple((kind, kind) for kind in SEVERITIES),
        _more(len(order) - 2 * BARS, "rule"),
        track=False,
    )


def duplicates_by_file(flagged: pl.DataFrame, findings: pl.DataFrame, files: pl.DataFrame) -> Chart | None:
    """Which share of each file's records a rule about copies (family 1) flagged."""
    copies = findings.filter(pl.col("rule").str.starts_with("DG1")).select(finding="id")
    counts = (
        flagged.join(copies, on="finding", how="semi")
        .filter(pl.col("row").is_not_null())
        .unique(["file", "row"])
        .group_by("file")
        .len("copies")
        .join(files.select("file", rows="rows_decoded"), on="file", how="left")
        .sort("copies", "file", descending=[True, False])
    )
    if counts.is_empty():
        return None
    bars = []
    for name, number, rows in counts.head(BARS).iter_rows():
        whole = max(rows or 0, number)
        text = f"{number:,} of {whole:,}"
        bars.append(
            Bar(line(name, 70), segments((("accent", number),), whole), (text, share(number, whole)), text)
        )
    return Chart(
        "duplicates",
        "Copies by file",
        "Records that a rule about copies flagged, as a share of the file's records.",
        ("File", "Records", "Share"),
        tuple(bars),
        more=_more(counts.height - BARS, "file"),
    )


def label_shares(measures: pl.DataFrame) -> tuple[Chart, ...]:
    """How the records of each label column are spread over its labels."""
    shares = measures.filter((pl.col("name") == "label_share") & pl.col("value").is_finite())
    charts = []
    columns = shares["column"].unique().sort().to_list()
    for number, column in enumerate(columns[:4]):
        here = shares.filter(pl.col("column") == column).sort("value", "group", descending=[True, False])
        bars = [
            Bar(line(group, 60), segments((("accent", value),), 1), (percent(value),), percent(value))
            for group, value in here.head(BARS).select("group", "value").iter_rows()
        ]
        labelled = here["n"].max()
        charts.append(
            Chart(
                f"labels-{number}",
                f"Label shares of {line(column, 60)}",
                f"{count(here.height, 'label')} over {count(int(str(labelled or 0)), 'labelled record')}.",
                ("Label", "Share"),
                tuple(bars),
                more=_more(here.height - BARS, "label"),
            )
        )
    return tuple(charts)


_DRIFTS = {"DG305": "between splits", "DG306": "against the earlier run"}
_KINDS = {
    "number": "",
    "category": "",
    "label": " (label)",
    "length": "words of a record",
    "word": "which words are used",
}
"""Kinds of columns that rules about drift compare, and how a picture says so."""


def drifts(measures: pl.DataFrame) -> tuple[Chart, ...]:
    """How far apart the columns of two splits, or of two runs, are: those that are furthest."""
    name = pl.col("name")
    table = measures.filter(pl.col("rule").is_in(list(_DRIFTS)) & pl.col("value").is_finite()).with_columns(
        kind=name.str.extract("^([a-z]+)_(jensen_shannon|psi)$", 1), what=name.str.extract("^[a-z]+_(.*)$", 1)
    )
    table = table.filter(pl.col("kind").is_in(list(_KINDS))).fill_null("")
    by = ("rule", "group", "kind", "column")
    psi = table.filter(what="psi").select(*by, psi="value")
    both = table.filter(what="jensen_shannon").join(psi, on=by, how="left")
    both = both.sort(
        "rule", "group", "value", "kind", "column", descending=[False, False, True, False, False]
    )
    charts = []
    for number, ((rule, pair), here) in enumerate(both.group_by("rule", "group", maintain_order=True)):
        bars = []
        for kind, column, value, index in (
            here.head(BARS).select("kind", "column", "value", "psi").iter_rows()
        ):
            numbers = (f"{value:.2f}", "" if index is None else f"{index:.2f}")
            label = line(f"{column or ''}{_KINDS[kind]}", 60)
            bars.append(Bar(label, segments((("accent", value),), 1), numbers, f"{value:.2f} of 1"))
        charts.append(
            Chart(
                f"drift-{number}",
                f"Drift {_DRIFTS[str(rule)]}: {line(pair, 60)}",
                "How far apart the distributions of each column are, from 0 (equal) to 1 (nothing in common);"
                " a population stability index from .1 is usually called moderate, from .25 large.",
                ("Column", "Jensen-Shannon", "PSI"),
                tuple(bars),
                more=_more(here.height - BARS, "column"),
            )
        )
    return tuple(charts[:4])


def provenance_coverage(sources: pl.DataFrame, unknown: pl.DataFrame, rows: int) -> Chart | None:
    """For how many records a source answers.

    A record counts once here, with the least that is said of it, as it does in `unknown`; sources may share
    records, so that their numbers do not add up.
    """
    failed = sources.filter(pl.col("status") == "contradicted")["reason"].drop_nulls().unique().to_list()
    contradicted = int(unknown.filter(pl.col("reason").is_in(failed))["rows"].sum())
    nameless = int(unknown["rows"].sum()) - contradicted
    whole = max(rows, contradicted + nameless)
    if not whole:
        return None
    parts = (
        ("known", "declared or verified", whole - contradicted - nameless),
        ("unknown", "unknown", nameless),
        ("contradicted", "contradicted", contradicted),
    )
    bars = tuple(
        Bar(
            line(words),
            segments(((kind, number),), whole),
            (f"{number:,}", share(number, whole)),
            share(number, whole),
        )
        for kind, words, number in parts
    )
    return Chart(
        "coverage",
        "Provenance coverage",
        f"A source answers for {share(parts[0][2], whole)} of {count(whole, 'record')}.",
        ("Status", "Records", "Share"),
        bars,
    )


def _more(number: int, noun: str) -> str:
    return f"and {count(number, 'more ' + noun)}" if number > 0 else ""

"""A row for each rule: how it ended, what it measured against which limit, and what it cannot see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from dataguard.report.excerpt import Text, line
from dataguard.report.standing import Standing
from dataguard.report.words import FAMILIES, count, limit_words, measure

MEASURES = 8
"""Measures shown of a rule; those by label or source stand in the pictures."""
RAN = ("clear", "flagged")
OUTCOMES = {
    "clear": "clear",
    "flagged": "flagged",
    "not-applicable": "not applicable",
    "error": "error",
    "incomplete": "incomplete",
}
"""Outcomes that may become a CSS class, in words."""


@dataclass(frozen=True)
class Known:
    """What the catalogue says of a rule; empty for a rule that this version does not know."""

    name: str = ""
    summary: str = ""
    task: str = ""
    limits: str = ""
    todo: str = ""


@dataclass(frozen=True)
class Limit:
    """What the policy allows a measure to be, whether it is, and whether that decides."""

    words: str
    met: bool
    grade: str


@dataclass(frozen=True)
class MeasureRow:
    """A measure of a rule: over which column, its value, on how many records, and the policy's limits."""

    name: Text
    column: Text
    value: str
    n: str
    limits: tuple[Limit, ...]


@dataclass(frozen=True)
class RuleRow:
    """A rule of the run. `kind` is its outcome, one of `OUTCOMES` or ``error``."""

    code: Text
    known: Known
    kind: str
    outcome: str
    reason: Text
    rows_seen: str
    findings: int
    measures: tuple[MeasureRow, ...]
    more: int


@dataclass(frozen=True)
class Coverage:
    """What a family of rules looked at, and what it did not.

    Args:
        family: e.g. ``Copies``.
        covered: code and summary of rules that came to their end.
        missed: code, summary and reason of rules that did not, or that did not run at all.
    """

    family: str
    covered: tuple[tuple[Text, str], ...]
    missed: tuple[tuple[Text, str, Text], ...]


def catalogue() -> dict[str, Known]:
    """What each rule of this version says of itself."""
    from dataguard import detectors

    found = {}
    for kind in detectors.catalogue():
        page = _sections(detectors.page(kind))
        rule = kind.rule
        found[rule.code] = Known(
            rule.name, rule.summary, rule.task, page.get("limits", ""), page.get("what to do", "")
        )
    return found


def _sections(page: str) -> dict[str, str]:
    """The text under each heading of a rule's page, line breaks undone."""
    found: dict[str, list[str]] = {}
    heading = ""
    for text in page.splitlines():
        if text.startswith("#"):
            heading = text.lstrip("# ").strip().lower()
        else:
            found.setdefault(heading, []).append(text.strip())
    return {heading: " ".join(lines).strip() for heading, lines in found.items()}


def rule_rows(
    outcomes: pl.DataFrame,
    measures: pl.DataFrame,
    findings: pl.DataFrame,
    known: Mapping[str, Known],
    stands: Standing,
) -> tuple[RuleRow, ...]:
    """A row for each outcome, by code.

    Args:
        outcomes: the table.
        measures: the table.
        findings: the table.
        known: the catalogue.
        stands: the verdict, for the policy's limits.
    """
    counts = dict(findings.group_by("rule").len().iter_rows())
    own = measures.filter(pl.col("group").is_null() | (pl.col("group") == "")).sort("rule", "name", "column")
    by_rule: dict[str, list[dict[str, Any]]] = {}
    for row in own.iter_rows(named=True):
        by_rule.setdefault(row["rule"] or "", []).append(row)
    rows = []
    for row in outcomes.sort("rule").iter_rows(named=True):
        code = row["rule"] or ""
        mine = by_rule.get(code, [])
        rows.append(
            RuleRow(
                code=line(code, 20),
                known=known.get(code, Known()),
                kind=row["outcome"] if row["outcome"] in OUTCOMES else "error",
                outcome=OUTCOMES.get(row["outcome"], "unknown outcome"),
                reason=line(row["reason"], 300),
                rows_seen="–" if row["rows_seen"] is None else f"{row['rows_seen']:,}",
                findings=int(counts.get(code, 0)),
                measures=tuple(_measure(one, stands) for one in mine[:MEASURES]),
                more=max(0, len(mine) - MEASURES),
            )
        )
    return tuple(rows)


def _measure(row: Mapping[str, Any], stands: Standing) -> MeasureRow:
    name, value, column = row["name"] or "", row["value"], row["column"] or ""
    return MeasureRow(
        name=line(name.replace("_", " "), 60),
        column=line(column, 60),
        value=measure(name, value),
        n=count(row["n"] or 0, "record"),
        limits=tuple(_limit(name, value, *limit) for limit in stands.limits(row["rule"] or "", name, column)),
    )


def _limit(name: str, value: float | None, grade: str, least: float | None, most: float | None) -> Limit:
    words = limit_words(name, least, most)
    # NaN lies on neither side of a limit, so that it must be asked whether a value lies within.
    met = value is not None and (least is None or value >= least) and (most is None or value <= most)
    return Limit(words, met and bool(words), grade)


def coverage(rows: tuple[RuleRow, ...], known: Mapping[str, Known]) -> tuple[Coverage, ...]:
    """What was looked at and what was not, by family; "did not run" is never "clean"."""
    met = {str(row.code): row for row in rows}
    found = []
    for digit, family in FAMILIES.items():
        codes = sorted(code for code in {*met, *known} if code.startswith(f"DG{digit}"))
        covered, missed = [], []
        for code in codes:
            about = known.get(code, Known()).summary
            if code not in met:
                missed.append((line(code), about, line("was not chosen for this run")))
            elif met[code].kind in RAN:
                covered.append((met[code].code, about))
            else:
                reason = Text((*line(f"{met[code].outcome}: ").pieces, *met[code].reason.pieces))
                missed.append(
                    (met[code].code, about, reason if met[code].reason else line(met[code].outcome))
                )
        if codes:
            found.append(Coverage(family, tuple(covered), tuple(missed)))
    return tuple(found)

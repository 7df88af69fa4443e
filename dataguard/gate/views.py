"""What Great Expectations gets to see of a run: numbers, codes and our own words, never text of the data.

File names, reasons, columns, groups and sources carry the adversary's text. They are left out or reduced to one
of our words here, so that nothing behind this module can print, render or choke on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import polars as pl

from dataguard.findings import Outcome, Severity

ABSENT = "(absent)"
"""Stands for a null, so that no expectation can pass by skipping nulls. No policy can name it."""
STRANGE = "(strange)"
"""Stands for a word that is none of ours."""
OTHER = "(other)"
"""Stands for a column or group that the policy does not name."""
NO_FINDING = "(none)"
"""The severity in the row of a rule that found nothing."""

STATUSES = ("read", "partial", "refused", "other")
WHOLE = ("read", "other")
"""The statuses of a file that was read fully or is no data file."""
PROVENANCE = ("contradicted", "unknown", "declared", "verified")
CODE = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"

WORD_COLUMNS: dict[str, tuple[str, ...]] = {
    "files": ("status", "format"),
    "findings": (),
    "measures": (),
    "outcomes": ("rule", "outcome"),
    "sources": ("status", "licence", "sha256"),
}
"""The tables that a policy can judge, and the columns of words in their views."""


def needed(tables: set[str]) -> set[str]:
    """The tables of the run that these views are made of; files and outcomes say whether the run is complete."""
    return tables | {"files", "outcomes"}


def view(table: str, tables: Mapping[str, pl.DataFrame | None], named: frozenset[str]) -> pl.DataFrame | None:
    """The view of a table, None where the run lacks what it is made of.

    Args:
        table: a key of WORD_COLUMNS.
        tables: the tables of the run.
        named: columns and groups that the policy names, and which may therefore be seen.
    """
    found = tables[table]
    if found is None:
        return None
    if table == "files":
        return found.select(
            _one_of("status", STATUSES),
            _code("format"),
            _given("sha256"),
            "rows_declared",
            "rows_decoded",
            "rows_digested",
        )
    if table == "outcomes":
        return found.select(_code("rule"), _one_of("outcome", Outcome), "rows_seen")
    if table == "sources":
        return found.select(
            _one_of("status", PROVENANCE), _given("licence"), _given("sha256"), "records", "bytes"
        )
    outcomes = tables["outcomes"]
    if outcomes is None:
        return None
    return _beside_outcomes(found, outcomes, named) if table == "measures" else _findings(found, outcomes)


def _beside_outcomes(measures: pl.DataFrame, outcomes: pl.DataFrame, named: frozenset[str]) -> pl.DataFrame:
    """Measures, and a row with an absent name for every rule without any: a missing number has a reason."""
    return _join(
        measures.select(
            _code("rule"), _code("name"), _named("column", named), _named("group", named), "value", "n"
        ),
        outcomes,
    ).with_columns(pl.col("name", "column", "group").fill_null(ABSENT))


def _findings(findings: pl.DataFrame, outcomes: pl.DataFrame) -> pl.DataFrame:
    """Findings, and a row of severity NO_FINDING for every rule without any: not run is not clean."""
    return _join(
        findings.select(_code("rule"), _one_of("severity", Severity), "records"), outcomes
    ).with_columns(pl.col("severity").fill_null(NO_FINDING))


def _join(rows: pl.DataFrame, outcomes: pl.DataFrame) -> pl.DataFrame:
    ended = outcomes.select(_code("rule"), _one_of("outcome", Outcome))
    joined = rows.join(ended, on="rule", how="full", coalesce=True, maintain_order="left_right")
    return joined.with_columns(pl.col("outcome").fill_null(ABSENT))


def _one_of(name: str, words: tuple[str, ...] | type[StrEnum]) -> pl.Expr:
    return _where(name, pl.col(name).is_in([str(word) for word in words]))


def _code(name: str) -> pl.Expr:
    return _where(name, pl.col(name).str.contains(CODE))


def _where(name: str, ours: pl.Expr) -> pl.Expr:
    column = pl.col(name)
    word = pl.when(column.is_null()).then(pl.lit(ABSENT)).when(ours).then(column).otherwise(pl.lit(STRANGE))
    return word.alias(name)


def _given(name: str) -> pl.Expr:
    there = pl.col(name).fill_null("").str.len_bytes() > 0
    return pl.when(there).then(pl.lit("given")).otherwise(pl.lit(ABSENT)).alias(name)


def _named(name: str, named: frozenset[str]) -> pl.Expr:
    column = pl.col(name).fill_null("")
    known = column.is_in(["", *sorted(named)])
    return pl.when(known).then(column).otherwise(pl.lit(OTHER)).alias(name)

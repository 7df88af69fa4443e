"""What Great Expectations gets to see of a run: numbers, codes and our own words, never text of the data.

File names, reasons, columns, groups and sources carry the adversary's text. They are left out or reduced to one
of our words here, so that nothing behind this module can print, render or choke on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Asked:
    """What a policy asks of the measures; nothing else of them is shown.

    Args:
        names: measures.
        about: columns and groups.
    """

    names: frozenset[str] = frozenset()
    about: frozenset[str] = frozenset()


def view(table: str, tables: Mapping[str, pl.DataFrame | None], asked: Asked) -> pl.DataFrame | None:
    """The view of a table, None where the run lacks what it is made of.

    Args:
        table: a key of WORD_COLUMNS.
        tables: the tables of the run.
        asked: what the policy asks of the measures.
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
    return _beside_outcomes(found, outcomes, asked) if table == "measures" else _findings(found, outcomes)


def _beside_outcomes(measures: pl.DataFrame, outcomes: pl.DataFrame, asked: Asked) -> pl.DataFrame:
    """The measures asked for, and a row with an absent name for every rule without: a missing number has a reason."""
    return _join(
        measures.filter(pl.col("name").is_in(sorted(asked.names))).select(
            _code("rule"), _code("name"), _about("column", asked), _about("group", asked), "value", "n"
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


def _about(name: str, asked: Asked) -> pl.Expr:
    column = pl.col(name).fill_null("")
    known = column.is_in(["", *sorted(asked.about)])
    return pl.when(known).then(column).otherwise(pl.lit(OTHER)).alias(name)

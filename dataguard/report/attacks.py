"""The kinds of attack that a run could have seen and those it could not, as a reader meets them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from dataguard.report.excerpt import Text, line
from dataguard.report.words import count

if TYPE_CHECKING:
    from collections.abc import Mapping

STATUSES = {"not covered": "missed", "partly": "partly", "covered": "covered"}
"""What the table says of a kind of attack, and the CSS class; worst first."""


@dataclass(frozen=True)
class AttackRow:
    """A kind of attack.

    Args:
        name: in words.
        status: one of `STATUSES`.
        kind: its CSS class.
        reason: why.
        measured: what the self-test found of its own planted attacks, in words; empty where none was planted.
    """

    name: Text
    status: str
    kind: str
    reason: Text
    measured: str


def attack_rows(table: pl.DataFrame) -> tuple[AttackRow, ...]:
    """The rows of `coverage`, what is not covered first; a status that nobody knows covers nothing."""
    rows = []
    for row in ordered(table).iter_rows(named=True):
        status = row["status"] if row["status"] in STATUSES else "not covered"
        rows.append(
            AttackRow(
                line(row["name"], 200), status, STATUSES[status], line(row["reason"], 400), measured(row)
            )
        )
    return tuple(rows)


def ordered(table: pl.DataFrame) -> pl.DataFrame:
    """What is not covered first."""
    known = list(STATUSES)
    place = pl.col("status").replace_strict(known, range(len(known)), default=0, return_dtype=pl.UInt8)
    return table.sort(place, maintain_order=True)


def measured(row: Mapping[str, Any]) -> str:
    """What the self-test found of its own planted attacks, in words."""
    campaigns, recall = row["campaigns"] or 0, row["recall"]
    if not campaigns or recall is None:
        return ""
    words = f"{recall * 100:.0f} % of {count(campaigns, 'planted attack')}"
    if row["low"] is not None and row["high"] is not None:
        words += f" ({row['low'] * 100:.0f} to {row['high'] * 100:.0f} %)"
    return words + (f", the smallest of {count(row['smallest'], 'record')}" if row["smallest"] else "")


def by_status(table: pl.DataFrame) -> dict[str, int]:
    """How many kinds of attack have each status, worst first; an unknown status covers nothing."""
    found = dict.fromkeys(STATUSES, 0)
    for status in table["status"]:
        found[status if status in STATUSES else "not covered"] += 1
    return found


def counted(table: pl.DataFrame) -> str:
    """The table in one line: ``11 not covered, 3 partly, 8 covered``; empty for a run without one."""
    return ", ".join(f"{number} {status}" for status, number in by_status(table).items() if number)

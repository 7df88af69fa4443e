"""The kinds of attack that a run could have seen and those it could not, as a reader meets them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dataguard.coverage import Status, ordered
from dataguard.report.excerpt import Text, line
from dataguard.report.words import count, percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

STATUSES = {
    Status.NOT_COVERED.value: "missed",
    Status.PARTLY.value: "partly",
    Status.COVERED.value: "covered",
}
"""What the table says of a kind of attack, and the CSS class; worst first."""


CANARY_ROWS = 100
"""Rows of the self-test that are shown."""


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


@dataclass(frozen=True)
class CanaryRow:
    """What the self-test found of one kind of attack at one size."""

    attack: Text
    records: str
    rate: str
    attackers: str
    canaries: str
    rules: Text


def canary_rows(table: pl.DataFrame) -> tuple[CanaryRow, ...]:
    """The rows of `canaries`."""
    return tuple(
        CanaryRow(
            line(row["attack"], 60),
            f"{row['records'] or 0:,}",
            percent(row["rate"] or 0.0),
            f"{row['campaigns_found'] or 0:,} of {row['campaigns'] or 0:,}",
            f"{percent(row['recall'] or 0.0)} ({_ends(row['low'], row['high'])})",
            line(row["rules"], 80),
        )
        for row in table.head(CANARY_ROWS).iter_rows(named=True)
    )


def unmeasured(info: Mapping[str, Any], table: pl.DataFrame) -> str:
    """Why nothing was planted, in the words of the scan; empty where something was.

    Args:
        info: run.json.
        table: `canaries`, which a self-test after the scan may have filled.
    """
    said = info.get("self_test")
    reason = said.get("reason") if isinstance(said, dict) else None
    return str(reason) if reason and table.is_empty() else ""


def _ends(low: float | None, high: float | None) -> str:
    return f"{(low or 0.0) * 100:.0f} to {(1.0 if high is None else high) * 100:.0f} %"


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

"""Heat maps: subgroups by labels, tinted by how far the share of a label is from that in all records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from dataguard.findings import uncrossed
from dataguard.report.excerpt import Text, line
from dataguard.report.words import count, percent

MAPS = 4
"""Maps of one page; those with the strongest tints come first."""
ROWS = 12
HEADS = 6
"""Labels that a page has room for beside one another."""
LEVELS = (0.02, 0.1, 0.2, 0.4)
"""Shares by which a cell differs from the whole, from each of which on it is tinted more."""


@dataclass(frozen=True)
class Cell:
    """A subgroup and a label.

    Args:
        number: the share of the label in the subgroup.
        level: how strongly it is tinted, 0 to 4.
        side: ``above`` or ``below`` the share in all records.
        words: the same, to be spoken.
    """

    number: str
    level: int
    side: str
    words: str


@dataclass(frozen=True)
class Row:
    """A subgroup, and its cells under the heads; None where nothing was measured."""

    label: Text
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class Heat:
    """A map with its title, the sentence that says what it shows, and its rows."""

    id: str
    title: str
    says: str
    corner: str
    heads: tuple[Text, ...]
    rows: tuple[Row, ...]
    more: str = ""


def associations(measures: pl.DataFrame) -> tuple[Heat, ...]:
    """How often each label stands in each subgroup, for columns and terms that were declared or have a known name."""
    rates = measures.filter(
        pl.col("name").is_in(["selection_rate", "term_selection_rate"]) & pl.col("value").is_between(0, 1)
    )
    found = []
    for (name, column), table in rates.sort("name", "column", "group").group_by(
        "name", "column", maintain_order=True
    ):
        cells: dict[tuple[str, str], tuple[float, int]] = {}
        for group, value, n in table.select("group", "value", "n").iter_rows():
            cells[uncrossed(group or "")] = (value, n or 0)
        found.append((_furthest(cells), bool(str(name).startswith("term_")), str(column or ""), cells))
    found.sort(key=lambda one: (-round(one[0], 6), one[1], one[2]))
    return tuple(_map(number, *one[1:]) for number, one in enumerate(found[:MAPS]))


def _overall(cells: Mapping[tuple[str, str], tuple[float, int]], label: str) -> float:
    """The share of a label in all subgroups."""
    of_label = [cell for (_, its), cell in cells.items() if its == label]
    records = sum(n for _, n in of_label)
    return sum(value * n for value, n in of_label) / records if records else 0.0


def _furthest(cells: Mapping[tuple[str, str], tuple[float, int]]) -> float:
    overall = {label: _overall(cells, label) for _, label in cells}
    return max((abs(value - overall[label]) for (_, label), (value, _) in cells.items()), default=0.0)


def _map(number: int, term: bool, column: str, cells: Mapping[tuple[str, str], tuple[float, int]]) -> Heat:
    sizes = {value: n for (value, _), (_, n) in cells.items()}
    overall = {label: _overall(cells, label) for _, label in cells}
    values = sorted(sizes, key=lambda value: (-sizes[value], value))
    labels = sorted(overall, key=lambda label: (-round(overall[label], 9), label))
    rows = tuple(
        Row(
            line(f"{value} ({sizes[value]:,})", 60),
            tuple(_cell(cells.get((value, label)), overall[label]) for label in labels[:HEADS]),
        )
        for value in values[:ROWS]
    )
    what = f"the term {line(column, 60)}" if term else str(line(column, 60))
    return Heat(
        f"heat-{number}",
        f"Labels by {what}",
        "The share of each label in each subgroup (its selection rate). Tinted where it is more or less than in all"
        " records: the further apart, the less demographic parity.",
        "Subgroup (records)",
        tuple(line(label, 40) for label in labels[:HEADS]),
        rows,
        _more((len(values) - ROWS, "subgroup"), (len(labels) - HEADS, "label")),
    )


def _cell(cell: tuple[float, int] | None, overall: float) -> Cell | None:
    if cell is None:
        return None
    away = cell[0] - overall
    level = sum(abs(away) >= limit for limit in LEVELS)
    side = "above" if away >= 0 else "below"
    words = f"{percent(cell[0])} of the subgroup, {percent(overall)} of all records"
    return Cell(percent(cell[0]), level, side, words)


def _more(*left: tuple[int, str]) -> str:
    said: Sequence[str] = [count(number, f"more {noun}") for number, noun in left if number > 0]
    return f"and {' and '.join(said)}" if said else ""

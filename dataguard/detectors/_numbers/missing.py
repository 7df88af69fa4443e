"""What is missing where: counts by label and source as patterns and measures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, NamedTuple

import polars as pl

from dataguard.columns import Role
from dataguard.detectors._numbers.chance import chance, discoveries
from dataguard.findings import Measure

COUNTS = pl.Schema(
    {
        "columns": pl.String(),
        "by": pl.String(),
        "group": pl.String(),
        "column": pl.String(),
        "n": pl.UInt64(),
        "names": pl.String(),
    }
)
"""First look: for the columns of a file, how many records a group has, and, with a column, how many of them lack its
value. `by` is a role; ALL without a group counts all records, INFINITE those with an infinite number. `columns` stands
for the set of columns, whose `names` the count of all records spells out as JSON."""

ALL, INFINITE = "all", "infinite"
GROUPED = (Role.LABEL, Role.SOURCE)
GROUPS = 1000
FALSE = 1e-3
"""The share of the findings that may be chance."""


class Tested(NamedTuple):
    """One group and one column.

    Attributes:
        by: the role.
        group: what the records say there.
        column: whose values are missing.
        lacking: records of the group that lack it.
        records: records of the group.
        share: the share of the other records that lack it.
        chance: of so many or more in the group if any record might lack it.
    """

    by: str
    group: str
    column: str
    lacking: int
    records: int
    share: float
    chance: float


def stands_for(names: str) -> str:
    """A short key of a set of columns: there may be thousands, and each count tells whose it is."""
    return sha256(names.encode()).hexdigest()[:32]


def _named(counts: pl.DataFrame) -> Iterator[tuple[str, list[str], int]]:
    """The sets of columns: key, names, and how many records have these columns."""
    sets = counts.filter((pl.col("by") == ALL) & pl.col("column").is_null()).sort("columns")
    for columns, names, n in sets.select("columns", "names", "n").iter_rows():
        yield columns, json.loads(names), n


def judged(counts: pl.DataFrame, by: str) -> bool:
    """Whether there are few enough groups."""
    return counts.filter(pl.col("by") == by)["group"].n_unique() <= GROUPS


def _of_columns(counts: pl.DataFrame, by: str) -> pl.DataFrame:
    """By group and column: `lacking` and `records`, only of columns that some record lacks."""
    mine = counts.filter(pl.col("by") == by)
    lacking = mine.filter(pl.col("column").is_not_null())
    lacked = set(lacking["column"])
    held = [(columns, name) for columns, names, _ in _named(counts) for name in names if name in lacked]
    sets = pl.DataFrame(held, schema={"columns": pl.String, "column": pl.String}, orient="row")
    records = mine.filter(pl.col("column").is_null()).drop("column").join(sets, on="columns")
    keys = ["group", "column"]
    return (
        records.group_by(keys)
        .agg(records=pl.col("n").sum())
        .join(lacking.group_by(keys).agg(lacking=pl.col("n").sum()), on=keys, how="left", nulls_equal=True)
        .with_columns(pl.col("lacking").fill_null(0))
        .sort("column", "group")
    )


def _tests(counts: pl.DataFrame) -> Iterator[Tested]:
    """Every group with every column that some record lacks."""
    for by in GROUPED:
        if not judged(counts, by):
            continue
        table = _of_columns(counts, by)
        sums = table.group_by("column").agg(all=pl.col("records").sum(), lack=pl.col("lacking").sum())
        table = table.join(sums, on="column", how="left", maintain_order="left")
        for group, column, records, lacking, whole, lack in table.iter_rows():
            others = (lack - lacking) / (whole - records) if whole > records else 1.0
            yield Tested(by, group, column, lacking, records, others, chance(lacking, lack, records / whole))


def patterns(counts: pl.DataFrame, ratio: float, least: int) -> Iterator[dict[str, Any]]:
    """The groups that lack columns, each with these."""
    tests = list(_tests(counts))
    kept = discoveries([one.chance for one in tests], FALSE)
    groups: dict[tuple[str, str], list[Tested]] = {}
    for one, found in zip(tests, kept, strict=True):
        if found and one.lacking >= max(least, ratio * one.share * one.records):
            groups.setdefault((one.by, one.group), []).append(one)
    for (by, group), its in sorted(groups.items()):
        worst = max(its, key=lambda one: (one.lacking / one.records - one.share, one.column))
        yield {
            "by": by,
            "group": group,
            "columns": sorted(one.column for one in its),
            "n": max(one.lacking for one in its),
            "worst": worst.column,
            "share": worst.lacking / worst.records,
            "others": worst.share,
        }


def infinite(counts: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """The columns with infinite numbers."""
    mine = counts.filter(pl.col("by") == INFINITE).group_by("column").agg(pl.col("n").sum()).sort("column")
    for column, n in mine.iter_rows():
        yield {"by": INFINITE, "group": None, "columns": [column], "n": n}


def measures(counts: pl.DataFrame) -> Iterator[Measure]:
    """The share of missing and of infinite values by column, and whether groups were too many."""
    records: dict[str, int] = {}
    for _, names, n in _named(counts):
        for name in names:
            records[name] = records.get(name, 0) + n
    for by, measure in ((ALL, "missing_share"), (INFINITE, "infinite_share")):
        mine = counts.filter((pl.col("by") == by) & pl.col("column").is_not_null())
        found = dict(mine.group_by("column").agg(pl.col("n").sum()).iter_rows())
        for name, n in sorted(records.items()):
            if n:
                yield Measure(measure, found.get(name, 0) / n, n, name)
    for by in GROUPED:
        mine = counts.filter((pl.col("by") == by) & pl.col("column").is_null())
        if not mine.is_empty():
            n = int(mine["n"].sum())
            yield Measure("ungrouped_share", float(not judged(counts, by)), n, group=str(by))

"""What is not as it was in an earlier run.

## What it looks for
With `--against RUN`, every file is compared with the earlier run's manifest: changed, added, removed or
renamed, and within a changed file the rows that were edited, added or removed. Column roles that are not
the ones of the earlier run are listed too.

## Why it matters
A data set that was screened and approved is trusted. Whoever can change a few records afterwards need not
get past any screen. SP 800-218A asks to check data for tampering before it is used (PW.3.1) and to watch
what is stored (PS.1.2).

## Limits
It says that something changed, not whether that is bad: data grows. It is as good as the earlier run, so
compare with one whose attestation you verified. Rows are named where the earlier run still has its leaves;
without them the file and its row groups are. Removed rows are counted, but have no place to flag.

## What to do
Compare the changes with what should have changed. Look at rows that changed in files which should stand
still, and at files that somebody else added. If roles changed, columns were renamed or retyped, or somebody
steers which column is looked at as what: declare the roles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from dataguard.detectors.about_files import capped, flag, numbered, quotes
from dataguard.detectors.base import Example, Rule, SetDetector, SetSeen
from dataguard.findings import Judgement, Measure, Severity

MAX_FINDINGS = 1000
ROLES_CHANGED = "roles-changed"
GONE = ("removed", "row-removed")
"""Changes whose row is one of the earlier state, so that nothing stands there to flag."""

_FILES = [{"file": "a.parquet", "size": 9, "sha256": "aa", "rows_decoded": 9, "status": "read"}]


@dataclass(frozen=True, kw_only=True)
class ChangedSince(SetDetector):
    """What is not as it was in an earlier run."""

    rule: ClassVar[Rule] = Rule(
        code="DG501",
        name="changed-since",
        summary="files, rows or roles that are not as they were in an earlier run",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0020", "AML.T0059"),
        severity=Severity.MEDIUM,
    )
    examples: ClassVar[tuple[Example, ...]] = (
        Example(why="without an earlier run there is nothing to compare", seen={"files": _FILES}),
        Example(why="nothing changed", seen={"files": _FILES, "changes": []}),
        Example(
            why="an edited row, and a file that is gone",
            seen={
                "files": _FILES,
                "changes": [
                    {"change": "row-changed", "file": "a.parquet", "row": 7, "reason": "another record"},
                    {"change": "removed", "file": "b.parquet", "row": None, "reason": "it had 3 records"},
                ],
            },
            rows=frozenset({7}),
            groups=frozenset({"a.parquet", "b.parquet"}),
        ),
        Example(
            why="a role that is another column's now",
            seen={
                "files": _FILES,
                "changes": [
                    {
                        "change": ROLES_CHANGED,
                        "file": "",
                        "row": None,
                        "reason": "role label: y before, z now",
                    }
                ],
            },
            groups=frozenset({ROLES_CHANGED}),
        ),
    )

    def judge(self, seen: SetSeen) -> Judgement:
        """A finding for each file with changes, one for the roles."""
        if seen.changes is None:
            return Judgement(not_applicable="no earlier run was given to compare with (--against)")
        changes = _keyed(numbered(seen.changes, seen))
        row = pl.when(~pl.col("change").is_in(GONE)).then("row")
        rows = changes.select("key", "number", first_row=row, rows=row.is_not_null().cast(pl.UInt64))
        # A file with rows to flag is not flagged as a whole beside them.
        bare = ~pl.col("first_row").is_not_null().any().over("key", "number")
        rows = rows.filter(pl.col("first_row").is_not_null() | bare)
        return Judgement(
            findings=_findings(changes), flagged=flag(rows.unique()), measures=_measures(changes, seen)
        )


def _keyed(changes: pl.DataFrame) -> pl.DataFrame:
    """The changes with `key` and `group` of each one's finding, which is about these very bytes."""
    roles = pl.col("change") == ROLES_CHANGED
    of_roles = pl.concat_str(
        pl.lit(ROLES_CHANGED), pl.col("reason").filter(roles).sort().str.join("; "), separator="\0"
    )
    of_file = pl.concat_str("file", "sha256", separator="\0")
    table = changes.with_columns(
        key=pl.when(roles).then(of_roles).otherwise(of_file),
        group=pl.when(roles).then(pl.lit(ROLES_CHANGED)).otherwise("file"),
    )
    return capped(table, "change", MAX_FINDINGS)


def _findings(changes: pl.DataFrame) -> pl.DataFrame:
    """One finding for each key: how many changes of which kind, and the first reasons."""
    kinds = changes.group_by("key", "group", "change").len().sort("key", "change")
    counted = kinds.group_by("key", "group").agg(
        counts=pl.concat_str("len", pl.lit(" "), "change").sort_by("change").str.join(", ")
    )
    quoted = changes.group_by("key").agg(quotes())
    return (
        counted.join(quoted, on="key")
        .select("key", "group", score=pl.lit(0.5), why=pl.concat_str("counts", "quotes", separator=": "))
        .sort("key")
    )


def _measures(changes: pl.DataFrame, seen: SetSeen) -> tuple[Measure, ...]:
    of_rows = pl.col("change").str.starts_with("row-")
    counts = {
        f"{change}_files": changes.filter(pl.col("change") == change)["file"].n_unique()
        for change in ("added", "removed", "renamed")
    }
    others = ~pl.col("change").is_in(["added", "removed", "renamed", ROLES_CHANGED])
    counts["changed_files"] = changes.filter(others)["file"].n_unique()
    counts["changed_rows"] = changes.filter(of_rows).height
    counts["changed_roles"] = changes.filter(pl.col("change") == ROLES_CHANGED).height
    return tuple(Measure(name, float(n), seen.files.height) for name, n in counts.items())

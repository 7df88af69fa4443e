"""What the rules about files and sources share: flagging rows of files by name, and judging incidents."""

from __future__ import annotations

import hashlib

import polars as pl

from dataguard.detectors.base import Rule, SetSeen
from dataguard.findings import JUDGED_FLAGGED, Judgement, Measure, Severity, conform

MAX_ROWS = 100_000
"""Rows that one finding flags one by one; a larger one flags its files."""

MAX_ALL_ROWS = 1_000_000
"""Rows that all findings of a rule flag one by one together, the small findings first."""

MAX_REASONS = 3
"""Reasons that a finding quotes."""

MAX_REASON = 300
"""Characters of a quoted reason: it may quote the data in turn."""


def numbered(table: pl.DataFrame, seen: SetSeen) -> pl.DataFrame:
    """The table with `number` (u32, null for a name that is no file of the set) and `sha256` ('' if none)."""
    files = (
        seen.files.sort("file")
        .with_row_index("number")
        .select("file", "number", pl.col("sha256").fill_null(""))
    )
    return table.join(files, on="file", how="left", maintain_order="left").with_columns(
        pl.col("sha256").fill_null("")
    )


def flag(ranges: pl.DataFrame) -> pl.DataFrame:
    """The records or, where they are too many, the files that findings cover, as JUDGED_FLAGGED.

    Args:
        ranges: columns key, number (of the file; ranges without one flag nothing), first_row (null for the
            file as a whole), rows.
    """
    ranges = ranges.drop_nulls("number").select("key", pl.col("number").alias("file"), "first_row", "rows")
    by_finding = ranges.group_by("key").agg(total=pl.col("rows").sum()).sort("total", "key")
    small = (pl.col("total") <= MAX_ROWS) & (pl.col("total").cum_sum() <= MAX_ALL_ROWS)
    small_keys = by_finding.filter(small)["key"].to_list()
    one_by_one = pl.col("key").is_in(small_keys) & pl.col("first_row").is_not_null()
    rows = ranges.filter(one_by_one).select(
        "key", "file", row=pl.int_ranges("first_row", pl.col("first_row") + pl.col("rows"), dtype=pl.UInt64)
    )
    whole = ranges.filter(~one_by_one).select("key", "file").unique()
    flagged = pl.concat([conform(rows.explode("row"), JUDGED_FLAGGED), conform(whole, JUDGED_FLAGGED)])
    return flagged.sort("key", "file", "row", nulls_last=False)


def quotes() -> pl.Expr:
    """Within a group: its first reasons, shortened, and how many more there are; column `quotes`."""
    reasons = pl.col("reason").fill_null("").str.slice(0, MAX_REASON).unique().sort()
    more = reasons.len().cast(pl.Int64) - MAX_REASONS
    first = reasons.head(MAX_REASONS).str.join("; ")
    return (
        pl.when(more > 0)
        .then(pl.concat_str(first, pl.lit("; and "), more, pl.lit(" more")))
        .otherwise(first)
        .alias("quotes")
    )


def capped(table: pl.DataFrame, within: str, limit: int) -> pl.DataFrame:
    """The table with at most so many findings: what goes beyond becomes one for each value of a column.

    Args:
        table: with `key` and `group` of each row's finding.
        within: the column.
        limit: findings that stay as they are: those with the most rows in the table.
    """
    sizes = table.group_by("key").len().sort("len", "key", descending=[True, False])
    beyond = table.filter(pl.col("key").is_in(sizes["key"].slice(limit).to_list()))
    if beyond.is_empty():
        return table
    digests = {
        str(value): hashlib.sha256("\n".join(part["key"].unique().sort()).encode()).hexdigest()
        for (value,), part in beyond.group_by(within)
    }
    others = pl.concat_str(
        pl.lit("others"), within, pl.col(within).replace_strict(digests, default=None), separator="\0"
    )
    over = pl.col("key").is_in(beyond["key"].unique().to_list())
    return table.with_columns(
        key=pl.when(over).then(others).otherwise("key"),
        group=pl.when(over).then(pl.lit("")).otherwise("group"),
    )


def judge_incidents(
    rule: Rule, seen: SetSeen, measure: str, *, by_bytes: bool = True, elsewhere: str = ""
) -> Judgement:
    """A finding for each file that reading reported under the rule's code.

    Args:
        rule: the rule.
        seen: what reading showed.
        measure: the name of the count of such files.
        by_bytes: a finding is about these very bytes, so that what was decided about it does not hold for
            others under the same name. Not so where the bytes were not the same from one look to the next.
        elsewhere: the group of what is about no file of the data.
    """
    incidents = numbered(seen.incidents.filter(pl.col("rule") == rule.code), seen)
    nameless = pl.col("file") == ""
    what = pl.col("reason").filter(nameless).sort().str.join("\n")
    key = pl.concat_str("file", "sha256", separator="\0") if by_bytes else pl.col("file")
    incidents = incidents.with_columns(key=pl.when(nameless).then(what).otherwise(key))
    where = pl.when(nameless).then(pl.lit(elsewhere)).otherwise("file")
    findings = incidents.group_by("key", group=where).agg(quotes().alias("why")).sort("key")
    rows = incidents.select(
        "key", "number", first_row="row", rows=pl.col("row").is_not_null().cast(pl.UInt64)
    )
    return Judgement(
        findings=findings.with_columns(score=pl.lit(1.0)),
        flagged=flag(rows.unique()),
        measures=(Measure(measure, float(findings.height), seen.files.height),),
    )


def severity(*, high: pl.Expr) -> pl.Expr:
    """A finding's severity: high where it is so, else the rule's own."""
    return pl.when(high).then(pl.lit(Severity.HIGH.value))

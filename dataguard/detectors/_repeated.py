"""What is concluded of repeated paragraphs: which come together, in which records and where in these."""

from __future__ import annotations

import polars as pl

from dataguard.findings import Judgement

RECORDS, TEXT, REPEATED, PARAGRAPHS, LARGEST = range(5)
"""What is counted: records; bytes of text; bytes of paragraphs that stand in another record too; such paragraphs; the
most records of one."""

SHARED = 0.8
"""Paragraphs come together that follow each other in this share of the records of the commoner one."""

FILLED = 0.9
"""Records of which paragraphs that come together are more than this share of the text are copies of each other."""

NEAR = 128
"""Bytes between two paragraphs that are shown as one span."""

SPANS = 8
"""Spans kept of a record."""


def members_of(rows: pl.LazyFrame, evidence: pl.LazyFrame, looked: pl.DataFrame) -> pl.DataFrame:
    """The rows of the paragraphs looked at in the order of the text, with the hash of their record's lines and its bytes."""
    members = rows.join(looked.lazy().select("key"), on="key", how="semi").collect()
    known = evidence.filter(pl.col("row").is_not_null() & pl.col("column").is_null())
    of_record = (
        known.select("file", "row", content="key", size="length")
        .join(members.lazy().select("file", "row").unique(), on=["file", "row"], how="semi")
        .collect()
    )
    return members.join(of_record, on=["file", "row"]).sort("file", "row", "column", "nth", "start")


def come_together(looked: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """The paragraphs looked at, each with the smallest key of those that it comes together with."""
    record = pl.struct("file", "row").rle_id()
    following = members.select("key", next=pl.col("key").shift(-1), same=record == record.shift(-1)).filter(
        "same"
    )
    kept = looked.select("key", "kept")
    pairs = (
        following.select(key=pl.min_horizontal("key", "next"), next=pl.max_horizontal("key", "next"))
        .group_by("key", "next")
        .agg(n=pl.len())
        .join(kept, on="key")
        .join(kept.rename({"key": "next"}), on="next", suffix="_next")
        .filter(pl.col("n") >= SHARED * pl.max_horizontal("kept", "kept_next"))
    )
    group = {key: key for key in looked["key"]}

    def first(key: int) -> int:
        while group[key] != key:
            group[key] = group[group[key]]
            key = group[key]
        return key

    for key, following_key in pairs.select("key", "next").iter_rows():
        low, high = sorted((first(key), first(following_key)))
        group[high] = low
    return looked.with_columns(group=pl.Series([first(key) for key in looked["key"]], dtype=pl.UInt64))


def groups_of(looked: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """A row for each group of paragraphs that come together in records which are no copies, most text first."""
    filled = (
        members.group_by("group", "file", "row")
        .agg(pl.col("length").sum(), pl.col("size").first())
        .group_by("group")
        .agg(pl.col("length", "size").sum())
        .filter(pl.col("length") <= FILLED * pl.col("size"))
    )
    groups = (
        looked.join(filled, on="group", how="semi")
        .group_by("group")
        .agg(pl.col("bytes").sum(), pl.col("records").max(), pl.col("kept").max(), paragraphs=pl.len())
        .sort("bytes", "group", descending=[True, False])
    )
    return groups.with_columns(key=pl.Series([f"{group:016x}" for group in groups["group"]], dtype=pl.String))


def findings_of(groups: pl.DataFrame, members: pl.DataFrame, records: int, text: int) -> pl.DataFrame:
    """A row for each group; its column where all of it stands at one place."""
    places = members.group_by("group").agg(pl.col("column").min(), places=pl.col("column").n_unique())
    rows = []
    for group in groups.join(places, on="group", maintain_order="left").iter_rows(named=True):
        n, of_all = group["records"], f"{group['records'] / records:.2%} of all"
        stand = (
            "a paragraph stands"
            if group["paragraphs"] == 1
            else f"{group['paragraphs']} paragraphs come together, the commonest"
        )
        listed = f"; {group['kept']} of them are listed" if group["kept"] < n else ""
        rows.append(
            {
                "key": group["key"],
                "score": group["score"],
                "column": group["column"] if group["places"] == 1 else "",
                "why": f"{stand} in {n} records ({of_all}{listed}), {group['bytes'] / text:.2%} of all text",
            }
        )
    return pl.DataFrame(rows) if rows else Judgement().findings


def flagged_of(members: pl.DataFrame, groups: pl.DataFrame) -> pl.DataFrame:
    """A row for each group and record; paragraphs close to each other share a span."""
    at = ["group", "file", "row", "column", "nth"]
    rows = members.sort(*at, "start").with_columns(end=pl.col("start") + pl.col("length"))
    begins = (pl.struct(at).rle_id().diff() != 0) | (pl.col("start") > pl.col("end").shift(1) + NEAR)
    spans = (
        rows.with_columns(number=begins.fill_null(value=True).cum_sum())
        .group_by("number", maintain_order=True)
        .agg(pl.col(*at, "start").first(), pl.col("end").last(), n=pl.len())
    )
    records = (
        spans.with_columns(_place(spans))
        .group_by("group", "file", "row", maintain_order=True)
        .agg(span=pl.struct("column", "start", "end").head(SPANS), n=pl.col("n").sum())
        .join(groups.select("group", "key", "score", "paragraphs"), on="group", maintain_order="left")
    )
    return records.select(
        "key",
        "file",
        "row",
        "score",
        "span",
        why=pl.concat_str(pl.col("n"), pl.lit(" of "), pl.col("paragraphs"), pl.lit(" paragraphs")),
    )


def _place(spans: pl.DataFrame) -> pl.Expr:
    """The column, and in nested ones which of the strings there, e.g. ``messages[3].content``."""
    parts = {name: name.rpartition("[]") for name in spans["column"].unique()}
    before, after = (
        pl.col("column").replace_strict(
            list(parts), [part[side] for part in parts.values()], return_dtype=pl.String
        )
        for side in (0, 2)
    )
    nested = pl.concat_str(before, pl.lit("["), "nth", pl.lit("]"), after)
    return pl.when(pl.col("nth").is_null()).then("column").otherwise(nested).alias("column")

"""Findings that are words of the data say which: read again at the first record that is flagged for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from dataguard.detectors.base import Detector, RecordDetector
from dataguard.engine import Failed
from dataguard.findings import FINDINGS
from dataguard.safe_text import safe_text
from dataguard.scan.context import Context
from dataguard.scan.excerpts import ExcerptItem, excerpt_item

LONGEST = 80
"""Characters of a quotation."""


def quoted(
    findings: pl.DataFrame, flagged: pl.DataFrame, detectors: Mapping[str, Detector], context: Context
) -> pl.DataFrame:
    """The findings, those of rules that ask for it with the flagged words in front of what is said of them.

    Args:
        findings: the table of findings.
        flagged: the table of their records.
        detectors: by code.
        context: where the data lies; records are read in workers, and only shown as they were screened.

    Returns:
        the same rows; where a record cannot be read again, the finding stands without a quotation.
    """
    codes = [code for code, one in detectors.items() if isinstance(one, RecordDetector) and one.quotes]
    wanted = flagged.filter(
        pl.col("finding").is_in(findings.filter(pl.col("rule").is_in(codes))["id"].implode())
        & pl.col("row").is_not_null()
        & (pl.col("span").list.len() > 0)
    ).unique("finding", keep="first", maintain_order=True)
    if wanted.is_empty():
        return findings
    items = [
        ExcerptItem(
            context.root,
            str(name),
            tuple(sorted(set(rows.select("row", "record").iter_rows()))),
            context.limits,
        )
        for (name,), rows in wanted.group_by("file", maintain_order=True)
    ]
    texts: dict[tuple[str, int], Mapping[str, str]] = {}
    for result in context.engine.map(excerpt_item, items):
        if not isinstance(result.value, Failed):
            texts |= {(result.item.name, row): columns for row, columns in result.value.items()}
    quotes = {
        row["finding"]: quote
        for row in wanted.iter_rows(named=True)
        if (quote := _quote(texts.get((row["file"], row["row"]), {}), row["span"][0]))
    }
    if not quotes:
        return findings
    table = pl.DataFrame({"id": list(quotes), "quote": list(quotes.values())})
    why = (
        pl.when(pl.col("quote").is_null()).then("why").otherwise(pl.concat_str("quote", pl.lit(": "), "why"))
    )
    return (
        findings.join(table, on="id", how="left", maintain_order="left")
        .with_columns(why=why)
        .select(list(FINDINGS))
    )


def _quote(texts: Mapping[str, str], span: Mapping[str, Any]) -> str:
    """The words of a span, between quotation marks, safe to be shown."""
    if span["column"] not in texts:
        return ""
    words = texts[span["column"]].encode()[span["start"] : span["end"]].decode(errors="ignore").strip()
    return f"“{safe_text(words, limit=LONGEST)}”" if words else ""

"""One source that nearly all records are of.

## What it looks for
How the records are shared among their sources: those that `dataguard.toml` declares by the names of files, and those that
a column names, declared or not. Each way of naming sources is judged on its own. The effective number of sources is
1/HHI, one over the sum of the squared shares (Herfindahl and Hirschman): the number of equally large sources that
would be as concentrated. A source that has more than `max_share` of all records, beside at least one other, is a
finding.

## Why it matters
A model learns the voice, the errors and the views of the source that most of its data is of, and what was measured on
the set as a whole was measured on that source. Whoever can write there needs no other way into the set. A new source
that crowds the others out is a flood.

## Limits
A set of a single source is not judged: there nothing is crowded out, and `top_source_share` says 1. The rule goes by the
names of sources, as they were declared or stand in the data; it does not know that two of them copy from a third, and a
name can lie. Records that name no source count as one more source. Values that name a declared source, in a column by
which nobody declares sources, are counted with the declaration alone. Of a column with more than 10,000 values that
nobody declared the smallest are taken to be as large as the last one that is counted, so that the effective number is
never said too high.

## What to do
Compare the shares with what the model is for. Gather from the others or sample fewer of the one; where one source
is all there is to have, write down why. If it used to be otherwise, find out what was added.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from dataguard.detectors.base import Example, Rule, SetDetector, SetSeen
from dataguard.findings import Confidence, Judgement, Measure, Severity

LISTED = 100
"""Sources of one way of naming them whose shares are measures."""

_FILE = {"file": "a.parquet", "size": 9, "sha256": "aa", "rows_decoded": 100, "status": "read"}


def _met(source: str, records: int) -> dict[str, object]:
    return {
        "source": source,
        "status": "unknown",
        "reason": "UNDECLARED_VALUE",
        "records": records,
        "pattern": f"origin={source}",
    }


def _declared(source: str, records: int) -> dict[str, object]:
    return {
        "source": source,
        "status": "declared",
        "reason": "NO_DIGEST",
        "records": records,
        "bytes": 9,
        "pattern": f"{source}/*",
    }


@dataclass(frozen=True, kw_only=True)
class SourceDominance(SetDetector):
    """One source has nearly all the records.

    Args:
        max_share: the share of all records above which a source is a finding.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG303",
        name="source-dominance",
        summary="one source has nearly all the records",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0020", "AML.T0059"),
        severity=Severity.LOW,
        confidence=Confidence.HIGH,
    )
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="sources of a like size",
            seen={"files": [_FILE], "sources": [_met("web", 60), _met("books", 40)]},
        ),
        Example(
            why="one source crowds out the other, as a column names them",
            seen={"files": [_FILE], "sources": [_met("web", 97), _met("books", 3)]},
            groups=frozenset({"web"}),
        ),
        Example(
            why="the same of sources declared by their files",
            seen={"files": [_FILE], "sources": [_declared("web", 97), _declared("books", 3)]},
            groups=frozenset({"web"}),
        ),
        Example(why="a single source", seen={"files": [_FILE], "sources": [_met("web", 100)]}),
    )
    max_share: float = 0.9

    def judge(self, seen: SetSeen) -> Judgement:
        """Shares, top share and effective number of sources, for each way of naming them."""
        total = int(seen.files["rows_decoded"].sum())
        sources = _by_way(seen.sources)
        if not total or sources.is_empty():
            return Judgement(not_applicable="no record names a source" if total else "no records were read")
        findings, measures = [], []
        for (way,), shares in sources.group_by("way", maintain_order=True):
            column = str(way)
            measures += _measures(shares, column, total)
            source, records = shares.select("source", "records").row(0)
            share = records / max(total, int(shares["records"].sum()))
            if shares.height > 1 and share > self.max_share:
                findings.append(
                    {
                        "key": f"{column}\0{source}",
                        "score": share,
                        "column": column,
                        "group": source,
                        "why": f"{records} of {total} records ({share:.1%}) are of this one of "
                        f"{shares.height} sources; the limit is {self.max_share:.0%}, and some "
                        "sets are rightly of one source and little else",
                    }
                )
        unread = seen.files.filter(pl.col("status").is_in(["refused", "partial"])).height
        return Judgement(
            findings=pl.DataFrame(findings) if findings else Judgement().findings,
            measures=tuple(measures),
            incomplete=f"the records of {unread} files were not all counted" if unread else "",
        )


def _by_way(sources: pl.DataFrame) -> pl.DataFrame:
    """Records by source and by how it is named: the column that names it, or none for names of files.

    Returns:
        Columns way, source (null for the rest of a column that has too many), records, the most first.
    """
    before = pl.col("pattern").fill_null("")
    # A value that nobody declared is its own name, so that its column is what stands before it.
    own = before.str.strip_suffix(pl.concat_str(pl.lit("="), pl.col("source").fill_null("")))
    by_column = (
        pl.when(pl.col("reason") == "UNDECLARED_VALUE")
        .then(own)
        .otherwise(before.str.split_exact("=", 1).struct.field("field_0"))
    )
    # Only sources that are declared by names of files have bytes.
    way = pl.when(pl.col("bytes").is_null()).then(by_column).otherwise(pl.lit(""))
    return (
        sources.filter(pl.col("records") > 0)
        .group_by("source", way=way)
        .agg(pl.col("records").sum())
        .sort("way", "records", "source", descending=[False, True, False], nulls_last=True)
    )


def _measures(shares: pl.DataFrame, column: str, total: int) -> list[Measure]:
    """What a policy can judge of one way of naming sources."""
    named = shares.drop_nulls("source")
    counts = [int(number) for number in named["records"]]
    rest = int(shares["records"].sum()) - sum(counts)
    unnamed = max(0, total - int(shares["records"].sum()))
    whole = sum(counts) + rest + unnamed
    smallest = min(counts, default=1)
    squares = sum(count * count for count in counts) + unnamed * unnamed + rest * smallest
    return [
        Measure("sources", float(len(counts) + -(-rest // smallest)), total, column),
        Measure("top_source_share", max(counts, default=0) / whole, total, column),
        Measure("effective_sources", round(whole * whole / squares, 9), total, column),
        Measure("unnamed_share", unnamed / whole, total, column),
        *(
            Measure("source_share", count / whole, total, column, source)
            for source, count in zip(named["source"][:LISTED], counts[:LISTED], strict=True)
        ),
    ]

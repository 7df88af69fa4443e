"""Records that no declared source vouches for.

## What it looks for
Every record is matched with the sources declared in `dataguard.toml`: by a pattern of its file's name, or by
what a column says of it. A record without a source, with an empty or undeclared pointer, or whose source
states no licence is *unknown*. One whose file is not the one declared, by its SHA-256, is *contradicted*.
All of them stand in `unknown_provenance.parquet`; `docs/provenance.md` explains every reason code.

## Why it matters
Poison comes in through data whose way nobody can tell: a file dropped into a folder, a page crawled after
its domain changed hands, a shard swapped on a mirror. SP 800-218A asks to know where training data comes
from, and to say so where it is not known (PW.3.2).

## Limits
A declaration is somebody's word. This rule says that a source was named, not that the records are from
there: only a declared SHA-256 is checked, and signatures are not read yet. Where nothing at all is declared
there is one finding for the whole set. A finding of more than 100,000 records flags its files, not each
record; beyond 1,000 findings the rest is summed up in one.

## What to do
Find out where the records come from, and declare it: name, licence and, for files that do not change, their
SHA-256. Quarantine what nobody can account for. A contradicted file was exchanged or altered since it was
declared: fetch it again from its source, and find out who changed it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from dataguard.detectors.about_files import capped, flag, numbered, severity
from dataguard.detectors.base import Example, Rule, SetDetector, SetSeen
from dataguard.findings import Judgement, Measure, Severity
from dataguard.provenance import REASONS, Status

MAX_FINDINGS = 1000
OF_FILES = ("NO_SOURCE", "NULL_POINTER", "DIGEST_DIFFERS")
"""Reasons that are about a file; the others are about a source."""

CONTRADICTED = [reason for reason, (status, _) in REASONS.items() if status == Status.CONTRADICTED]

_FILE = {"file": "a.parquet", "size": 9, "sha256": "aa", "rows_decoded": 4, "status": "read"}
_WEB = {"source": "web", "status": "declared", "reason": "NO_DIGEST", "records": 4}


@dataclass(frozen=True, kw_only=True)
class UnknownProvenance(SetDetector):
    """Records that no declared source vouches for."""

    rule: ClassVar[Rule] = Rule(
        code="DG401",
        name="unknown-provenance",
        summary="records that no declared source vouches for",
        task="PW.3.2",
        threats=("NISTAML.05", "AML.T0010.002", "AML.T0115.000"),
        severity=Severity.MEDIUM,
    )
    examples: ClassVar[tuple[Example, ...]] = (
        Example(why="a declared source is fine", seen={"files": [_FILE], "sources": [_WEB]}),
        Example(
            why="rows of a value that nobody declared",
            seen={
                "files": [_FILE],
                "sources": [_WEB],
                "unknown_provenance": [
                    {
                        "file": "a.parquet",
                        "first_row": 1,
                        "rows": 2,
                        "source": "x",
                        "reason": "UNDECLARED_VALUE",
                    }
                ],
            },
            rows=frozenset({1, 2}),
            groups=frozenset({"x"}),
        ),
        Example(
            why="a file that is not the one declared, and one that is missing",
            seen={
                "files": [_FILE],
                "sources": [
                    _WEB,
                    {"source": "b", "status": "contradicted", "reason": "FILE_MISSING", "records": 0},
                ],
                "unknown_provenance": [
                    {
                        "file": "a.parquet",
                        "first_row": 0,
                        "rows": 4,
                        "source": "web",
                        "reason": "DIGEST_DIFFERS",
                    }
                ],
            },
            rows=frozenset({0, 1, 2, 3}),
            groups=frozenset({"a.parquet", "b"}),
        ),
    )

    def judge(self, seen: SetSeen) -> Judgement:
        """A finding for each reason and file or source; shares of the records by status."""
        total = int(seen.files["rows_decoded"].sum())
        missing = _missing(seen.sources)
        if not total and missing.is_empty():
            return Judgement(not_applicable="no records were read")
        ranges = _keyed(numbered(seen.unknown_provenance, seen), declared=_any_declared(seen.sources))
        findings = pl.concat(
            [_findings(ranges, total), missing.select("key", "group", "score", "severity", "why")]
        )
        return Judgement(
            findings=findings, flagged=flag(ranges), measures=_measures(ranges, seen.sources, total)
        )


def _any_declared(sources: pl.DataFrame) -> bool:
    return not sources.filter(pl.col("reason") != "UNDECLARED_VALUE").is_empty()


def _keyed(table: pl.DataFrame, *, declared: bool) -> pl.DataFrame:
    """The register with `key` and `group` of each range's finding.

    A finding about a file is about its very bytes: what was decided of it does not hold for others.
    """
    if not declared:  # one fact about the set, and nothing about single records
        return table.with_columns(
            key=pl.lit("nothing declared"), group=pl.lit(""), first_row=pl.lit(None, pl.UInt64)
        )
    of_file = pl.col("reason").is_in(OF_FILES)
    about = pl.when(of_file).then(pl.concat_str("file", "sha256", separator="\0")).otherwise("source")
    table = table.with_columns(
        key=pl.concat_str("reason", about, separator="\0"),
        group=pl.when(of_file).then("file").otherwise("source"),
    )
    return capped(table, "reason", MAX_FINDINGS)


def _findings(ranges: pl.DataFrame, total: int) -> pl.DataFrame:
    """One finding for each key."""
    by_key = ranges.group_by("key", "reason", "group").agg(
        pl.col("rows").sum(), files=pl.col("file").n_unique()
    )
    return by_key.sort("key").select(
        "key",
        "group",
        score=pl.when(_contradicted()).then(1.0).otherwise(0.5),
        severity=severity(high=_contradicted()),
        why=pl.concat_str(
            "rows",
            pl.lit(f" of {total} records in "),
            "files",
            pl.lit(" file(s): "),
            _meaning(),
            pl.lit(" ("),
            "reason",
            pl.lit(")"),
        ),
    )


def _missing(sources: pl.DataFrame) -> pl.DataFrame:
    """One finding for each source that declares a file which is not there: it has no records to flag."""
    missing = sources.filter(pl.col("reason") == "FILE_MISSING").unique(["source", "pattern", "sha256"])
    return missing.sort("source", "pattern", "sha256").select(
        key=pl.concat_str("reason", "source", pl.col("pattern", "sha256").fill_null(""), separator="\0"),
        group="source",
        score=pl.lit(1.0),
        severity=pl.lit(Severity.HIGH.value),
        why=pl.concat_str(_meaning(), pl.lit(" ("), "reason", pl.lit(")")),
    )


def _contradicted() -> pl.Expr:
    return pl.col("reason").is_in(CONTRADICTED)


def _meaning() -> pl.Expr:
    return pl.col("reason").replace_strict(
        {reason: meaning for reason, (_, meaning) in REASONS.items()}, default=""
    )


def _measures(ranges: pl.DataFrame, sources: pl.DataFrame, total: int) -> tuple[Measure, ...]:
    contradicted = int(ranges.filter(_contradicted())["rows"].sum())
    unknown = int(ranges["rows"].sum()) - contradicted
    bad = sources.filter(pl.col("status") == Status.CONTRADICTED.name.lower()).height
    counts = {"unknown": unknown, "contradicted": contradicted, "declared": total - unknown - contradicted}
    shares = [Measure(f"{name}_share", n / total if total else 0.0, total) for name, n in counts.items()]
    return (*shares, Measure("contradicted_sources", float(bad), sources.height))

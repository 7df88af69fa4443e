"""What a rule says: findings, the records they cover, measures and outcomes, with their tables."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import polars as pl


class Severity(StrEnum):
    """How bad it is if the finding is true."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Confidence(StrEnum):
    """How often such a finding is true."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Outcome(StrEnum):
    """How a rule ended. "Did not run" is never "clean"."""

    CLEAR = "clear"
    FLAGGED = "flagged"
    NOT_APPLICABLE = "not-applicable"
    ERROR = "error"
    INCOMPLETE = "incomplete"


SPAN: Any = pl.List(pl.Struct({"column": pl.String, "start": pl.UInt64, "end": pl.UInt64}))
SEVERITIES = pl.Enum([severity.value for severity in Severity])

FILES = pl.Schema(
    {
        "file": pl.String,
        "size": pl.UInt64,
        "sha256": pl.String,
        "format": pl.String,
        "rows_declared": pl.UInt64,
        "rows_decoded": pl.UInt64,
        "rows_digested": pl.UInt64,
        "status": pl.String,
        "reason": pl.String,
    }
)
FINDINGS = pl.Schema(
    {
        "id": pl.String,
        "rank": pl.UInt32,
        "rule": pl.String,
        "severity": pl.String,
        "confidence": pl.String,
        "task": pl.String,
        "score": pl.Float64,
        "records": pl.UInt64,
        "column": pl.String,
        "group": pl.String,
        "why": pl.String,
    }
)
FLAGGED = pl.Schema(
    {
        "finding": pl.String,
        "file": pl.String,
        "row": pl.UInt64,
        "record": pl.String,
        "score": pl.Float64,
        "span": SPAN,
        "why": pl.String,
    }
)
CLUSTERS = pl.Schema({"cluster": pl.String, "file": pl.String, "row": pl.UInt64, "jaccard": pl.Float64})
MEASURES = pl.Schema(
    {
        "rule": pl.String,
        "name": pl.String,
        "column": pl.String,
        "group": pl.String,
        "value": pl.Float64,
        "n": pl.UInt64,
    }
)
OUTCOMES = pl.Schema(
    {
        "rule": pl.String,
        "outcome": pl.String,
        "reason": pl.String,
        "rows_seen": pl.UInt64,
        "version": pl.UInt32,
        "options": pl.String,
    }
)
SOURCES = pl.Schema(
    {
        "source": pl.String,
        "status": pl.String,
        "reason": pl.String,
        "records": pl.UInt64,
        "bytes": pl.UInt64,
        "pattern": pl.String,
        "licence": pl.String,
        "sha256": pl.String,
    }
)
UNKNOWN_PROVENANCE = pl.Schema(
    {
        "file": pl.String,
        "first_row": pl.UInt64,
        "rows": pl.UInt64,
        "source": pl.String,
        "reason": pl.String,
    }
)
COVERAGE = pl.Schema(
    {
        "attack": pl.String,
        "name": pl.String,
        "status": pl.String,
        "looked": pl.String,
        "reason": pl.String,
        "rules": pl.String,
        "files": pl.UInt64,
        "records": pl.UInt64,
        "campaigns": pl.UInt64,
        "recall": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "smallest": pl.UInt64,
    }
)
"""Kinds of attack. `looked` is the status by who looked, for the `reason` given; `status` is the same unless the self-test
missed most of what it planted. What that measured: planted campaigns, the share of them that was found with its 95 %
interval, and the fewest records of a campaign that was found; null where none was planted, `smallest` where none was found."""
CANARIES = pl.Schema(
    {
        "attack": pl.String,
        "records": pl.UInt64,
        "rate": pl.Float64,
        "campaigns": pl.UInt64,
        "campaigns_found": pl.UInt64,
        "canaries": pl.UInt64,
        "found": pl.UInt64,
        "recall": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "canaries_low": pl.Float64,
        "canaries_high": pl.Float64,
        "rules": pl.String,
    }
)
"""What the self-test found of its planted attacks, by kind and by records of a campaign; empty where it was not run. The
interval from `low` to `high` counts campaigns as tries, that of `canaries` counts records."""
TABLES: dict[str, pl.Schema] = {
    "files": FILES,
    "findings": FINDINGS,
    "flagged": FLAGGED,
    "clusters": CLUSTERS,
    "measures": MEASURES,
    "outcomes": OUTCOMES,
    "sources": SOURCES,
    "unknown_provenance": UNKNOWN_PROVENANCE,
    "coverage": COVERAGE,
    "canaries": CANARIES,
}
"""The tables of a run, by the name of their Parquet file (house.md, "The tables of a run")."""

JUDGED_FINDINGS = pl.Schema(
    {
        "key": pl.String,
        "score": pl.Float64,
        "column": pl.String,
        "group": pl.String,
        "why": pl.String,
        "severity": pl.String,
    }
)
"""A rule's own findings. `key` names the content, never an address, so that an id survives re-runs."""

JUDGED_FLAGGED = pl.Schema(
    {
        "key": pl.String,
        "file": pl.UInt32,
        "row": pl.UInt64,
        "score": pl.Float64,
        "span": SPAN,
        "why": pl.String,
    }
)
"""The records of a rule's findings; `file` is the number of the file in the set, sorted by name."""

JUDGED_CLUSTERS = pl.Schema(
    {"side": pl.String, "key": pl.String, "file": pl.UInt32, "row": pl.UInt64, "jaccard": pl.Float64}
)
"""Records that are copies of one another: `side` is `record` for those that are alike as a whole and `input` for those
whose prompts are, `key` names the cluster as in the findings, `jaccard` is the best that was verified for the record."""


@dataclass(frozen=True)
class Measure:
    """A number about the set that a policy can judge.

    Args:
        name: what is measured, e.g. ``duplicate_share``.
        value: the number; NaN means "could not be measured" and passes no policy.
        n: how many records it was measured on.
        column: the column it is about, or empty.
        group: the label, source, or other group it is about, or empty.
    """

    name: str
    value: float
    n: int
    column: str = ""
    group: str = ""


_CROSS = " × "


def crossed(value: str, label: str) -> str:
    """The group of a measure that is about the records of a value with a label; `uncrossed` takes it apart again."""
    return _CROSS.join(part.replace(_CROSS, " x ") for part in (value, label))


def uncrossed(group: str) -> tuple[str, str]:
    """Value and label of a group that `crossed` made; of another, itself and nothing."""
    value, _, label = group.partition(_CROSS)
    return value, label


def empty(schema: pl.Schema) -> pl.DataFrame:
    """A table of no rows with this schema."""
    return pl.DataFrame(schema=schema)


def conform(table: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """The table with exactly the schema's columns: cast, in order, absent ones null.

    Raises:
        ValueError: a column the schema does not know.
    """
    unknown = set(table.columns) - set(schema)
    if unknown:
        raise ValueError(f"expected only the columns {list(schema)}, got also {sorted(unknown)}")
    return table.select(
        pl.col(name).cast(dtype) if name in table.columns else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in schema.items()
    )


@dataclass(frozen=True)
class Judgement:
    """What a rule concludes from all of its evidence.

    Args:
        findings: columns of JUDGED_FINDINGS; only `key`, `score` and `why` are required.
        flagged: columns of JUDGED_FLAGGED; only `key` and `file` are required.
        clusters: columns of JUDGED_CLUSTERS, for the table of clusters and for the rules that follow.
        measures: numbers for the gate.
        not_applicable: why the rule had nothing to judge (e.g. no label column), else empty.
        incomplete: what the rule could not look at, else empty.
    """

    findings: pl.DataFrame = field(default_factory=lambda: empty(JUDGED_FINDINGS))
    flagged: pl.DataFrame = field(default_factory=lambda: empty(JUDGED_FLAGGED))
    clusters: pl.DataFrame = field(default_factory=lambda: empty(JUDGED_CLUSTERS))
    measures: tuple[Measure, ...] = ()
    not_applicable: str = ""
    incomplete: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "findings", conform(self.findings, JUDGED_FINDINGS))
        object.__setattr__(self, "flagged", conform(self.flagged, JUDGED_FLAGGED))
        object.__setattr__(self, "clusters", conform(self.clusters, JUDGED_CLUSTERS))


def ranked(findings: pl.DataFrame) -> pl.DataFrame:
    """Findings of all rules in the order in which to look at them; columns severity, rule, score and id at least.

    The order is severity, then the place among the rule's own findings of that severity, then score and id: scores of
    different rules do not compare, and a rule with hundreds of findings hides no other's.
    """
    place = pl.struct(-pl.col("score"), "id").rank("ordinal").over("rule", "severity")
    return findings.sort(
        pl.col("severity").cast(SEVERITIES), place, "score", "id", descending=[True, False, True, False]
    )


def finding_id(rule: str, key: str) -> str:
    """The id of a finding: from its rule and content alone, so that a decision sticks when rows move."""
    named = f"{rule}\0{key}".encode()
    return f"{rule}-{hashlib.sha256(named).hexdigest()[:16]}"

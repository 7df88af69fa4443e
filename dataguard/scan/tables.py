"""The tables of a run, made from what was read and judged: sorted, so that equal runs are equal bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from dataguard.detectors.base import INCIDENTS, SCHEMAS, Detector
from dataguard.digests import CANON, schema_digest
from dataguard.errors import DataguardError
from dataguard.evidence import read_parquet
from dataguard.findings import (
    CLUSTERS,
    FILES,
    FINDINGS,
    FLAGGED,
    MEASURES,
    Judgement,
    Outcome,
    conform,
    empty,
    finding_id,
    ranked,
)
from dataguard.manifest import ManifestFile, prefixes, root_of_groups, write_leaves
from dataguard.records import Incident
from dataguard.run import Run
from dataguard.scan.context import Context
from dataguard.scan.plan import File
from dataguard.scan.work import DIGESTS, MARKS

SCORE_DIGITS = 9
"""Scores and measures are rounded here and nowhere else."""
TYPE = 1000
"""Characters of a type that rules are shown: with many fields inside it may be as long as the file."""
NO_ROW = (1 << 64) - 1
AGAINST_NAME = "%against/"
"""Before the name of a file of an earlier run: names are escaped, so that none of them begins so."""


def files_and_incidents(files: Sequence[File], context: Context) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The table of files, and what went wrong with them (rule, file, row, reason)."""
    rows, incidents = [], []
    items = by_file(context)
    for file in files:
        own = [file.incident] if file.incident else []
        decoded = digested = 0
        if file.readable:
            if file.number in context.book.over:
                own.append(over_budget(context))
            else:
                for item in items.get(file.number, []):
                    broken = context.book.broken.get((file.number, item.first))
                    if broken is None:
                        decoded += sum(root["rows"] for root in context.roots(item))
                        digested += pq.read_metadata(
                            context.evidence.path(DIGESTS, item.key(canon=CANON))
                        ).num_rows
                    elif broken not in own:
                        own.append(broken)
        own += [context.book.elsewhere[file.number]] if file.number in context.book.elsewhere else []
        incidents += [
            {"rule": i.rule, "file": file.name, "row": i.row, "reason": i.reason}
            for i in (*own, *file.inspection.dangers)
        ]
        rows.append(
            {
                "file": file.name,
                "size": file.stamp.size if file.stamp else 0,
                "sha256": file.sha256,
                "format": file.inspection.format,
                "rows_declared": file.inspection.rows_declared,
                "rows_decoded": decoded,
                "rows_digested": digested,
                "status": _status(file, own, decoded),
                "reason": "; ".join(incident.reason for incident in own) or file.note,
            }
        )
    return conform(pl.DataFrame(rows, schema=FILES), FILES), pl.DataFrame(incidents, schema=INCIDENTS)


CANARY = "carries the mark of a canary: this project made it for tests, poisoned on purpose"


def canaries(context: Context) -> pl.DataFrame:
    """The records that carry a mark of our own, as incidents."""
    found = [pl.DataFrame(schema=INCIDENTS)]
    for item in context.items:
        key = context.marks_key(item)
        if context.book.stands(item) and context.evidence.has(MARKS, key):
            rows = cast("pl.DataFrame", pl.from_arrow(read_parquet(context.evidence.path(MARKS, key))))
            found.append(
                rows.select(
                    rule=pl.lit("DG508"), file=pl.lit(item.file.name), row="row", reason=pl.lit(CANARY)
                )
            )
    return pl.concat(found)


def over_budget(context: Context) -> Incident:
    """The incident of a file whose row groups together decode to too much."""
    limits = context.limits
    return Incident(
        "DG504",
        f"decodes to more than limits.decoded_bytes ({limits.decoded_bytes}) and more than "
        f"limits.decoded_ratio ({limits.decoded_ratio}) times its size",
    )


def _status(file: File, incidents: Sequence[Incident], decoded: int) -> str:
    if incidents:
        return "partial" if decoded else "refused"
    return "read" if file.readable else "other"


def by_file(context: Context) -> dict[int, list[Any]]:
    """Items by the number of their file, in order."""
    found: dict[int, list[Any]] = {}
    for item in context.items:
        found.setdefault(item.file.number, []).append(item)
    return found


def manifest_files(
    files: Sequence[File], context: Context, run: Run, source_of: Mapping[str, str]
) -> tuple[list[ManifestFile], dict[str, str]]:
    """A manifest line for each file whose bytes were read, and the digest of the leaves of each by SHA-256."""
    items = by_file(context)
    lines, leaves = [], {}
    for file in files:
        if not file.sha256:
            continue
        size = file.stamp.size if file.stamp else 0
        if not file.readable or file.number in context.book.over:
            lines.append(
                ManifestFile.other(
                    name=file.name, size=size, sha256=file.sha256, source=source_of.get(file.name, "")
                )
            )
            continue
        read = [item for item in items.get(file.number, []) if context.book.stands(item)]
        groups = tuple(
            (root["rows"], root["root"]) for item in read for root in context.roots(item) if root["rows"]
        )
        lines.append(
            ManifestFile(
                name=file.name,
                size=size,
                sha256=file.sha256,
                rows=sum(rows for rows, _ in groups),
                row_groups=groups,
                file_root=root_of_groups(groups),
                schema_sha256=schema_digest(file.inspection.schema).hex(),
                source=source_of.get(file.name, ""),
            )
        )
        digests = (digests_of(context.evidence.path(DIGESTS, item.key(canon=CANON))) for item in read)
        leaves[file.sha256] = write_leaves(
            run.path / "leaves", file.sha256, (prefixes(one) for one in digests)
        )
    return lines, leaves


def digests_of(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Record digests as kept: uint8 of shape (rows, 32)."""
    column = read_parquet(path).column("digest").combine_chunks()
    return np.frombuffer(column.buffers()[1], dtype=np.uint8)[: 32 * len(column)].reshape(-1, 32)


def findings_and_flagged(
    judged: Mapping[str, Judgement], detectors: Mapping[str, Detector], names: Sequence[str], context: Context
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Findings ranked over all rules, and the records they cover."""
    findings, flagged = [empty(FINDINGS)], [empty(FLAGGED)]
    for code, judgement in sorted(judged.items()):
        rule = detectors[code].rule
        if judgement.findings["key"].n_unique() != judgement.findings.height:
            raise DataguardError(f"{code} gives two findings the same key: expected one finding per pattern")
        ids = pl.DataFrame(
            {
                "key": judgement.findings["key"],
                "id": [finding_id(code, key) for key in judgement.findings["key"]],
            },
            schema={"key": pl.String, "id": pl.String},
        )
        records = (
            judgement.flagged.filter(pl.col("row").is_not_null())
            .group_by("key")
            .agg(records=pl.struct("file", "row").n_unique().cast(pl.UInt64))
        )
        table = judgement.findings.join(ids, on="key").join(records, on="key", how="left")
        findings.append(
            table.select(
                "id",
                pl.lit(0, dtype=pl.UInt32).alias("rank"),
                pl.lit(code).alias("rule"),
                pl.col("severity").fill_null(rule.severity.value),
                pl.lit(rule.confidence.value).alias("confidence"),
                pl.lit(rule.task).alias("task"),
                pl.col("score").round(SCORE_DIGITS),
                pl.col("records").fill_null(0),
                pl.col("column").fill_null(""),
                pl.col("group").fill_null(""),
                pl.col("why").fill_null(""),
            )
        )
        # In the order of the judgement where a record is flagged twice for one finding.
        flagged.append(_flagged(judgement.flagged.join(ids, on="key", maintain_order="left"), names, context))
    order = ranked(pl.concat(findings)).with_columns(rank=pl.int_range(1, pl.len() + 1, dtype=pl.UInt32))
    return order, pl.concat(flagged).sort("finding", "file", "row", maintain_order=True)


def schemas(files: Sequence[File]) -> pl.DataFrame:
    """The columns of each file of records, as `SCHEMAS`; a type that is longer than anybody reads is cut."""
    rows = [
        (file.name, field.name, str(field.type)[:TYPE])
        for file in files
        if file.readable and file.inspection.schema is not None
        for field in file.inspection.schema
    ]
    return pl.DataFrame(rows, schema=SCHEMAS, orient="row")


def _flagged(table: pl.DataFrame, names: Sequence[str], context: Context) -> pl.DataFrame:
    table = table.sort("file", "row", maintain_order=True)
    records = _records(table, context)
    return conform(
        table.select(
            finding="id",
            file=pl.col("file").replace_strict(list(range(len(names))), list(names), return_dtype=pl.String),
            row="row",
            record=records,
            score=pl.col("score").round(SCORE_DIGITS),
            span="span",
            why=pl.col("why").fill_null(""),
        ),
        FLAGGED,
    )


def _records(table: pl.DataFrame, context: Context) -> pl.Series:
    """The record digest of each flagged row, as hex, looked up in what was digested.

    Args:
        table: sorted by file and row; a row may be null.
        context: what was read.
    """
    digests = np.zeros((table.height, 32), np.uint8)
    found = np.zeros(table.height, np.bool_)
    files = table["file"].to_numpy()
    rows = table["row"].fill_null(NO_ROW).to_numpy()
    items = by_file(context)
    for file in np.unique(files).tolist():
        place, end = np.searchsorted(files, [file, file + 1])
        place += table["row"].slice(place, end - place).null_count()  # nulls come first
        first = 0
        for item in items.get(file, []):
            upto = place + np.searchsorted(rows[place:end], first + item.rows)
            if upto > place and context.book.stands(item):
                known = digests_of(context.evidence.path(DIGESTS, item.key(canon=CANON)))
                digests[place:upto] = known[rows[place:upto] - first]
                found[place:upto] = True
            place, first = upto, first + item.rows
    column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), len(digests), [None, pa.py_buffer(digests)])
    hexed = cast("pl.Series", pl.from_arrow(column)).bin.encode("hex")
    return hexed.zip_with(pl.Series(found), pl.repeat(None, len(hexed), dtype=pl.String, eager=True))


def measures(judged: Mapping[str, Judgement]) -> pl.DataFrame:
    """All measures, sorted."""
    rows = [
        {
            "rule": code,
            "name": measure.name,
            "column": measure.column,
            "group": measure.group,
            "value": round(measure.value, SCORE_DIGITS),
            "n": measure.n,
        }
        for code, judgement in judged.items()
        for measure in judgement.measures
    ]
    return pl.DataFrame(rows, schema=MEASURES).sort("rule", "name", "column", "group", maintain_order=True)


def outcome(judgement: Judgement | None, error: str | None, missing: str, unread: int) -> tuple[Outcome, str]:
    """How a rule ended and why.

    Args:
        judgement: what it concluded, None where it did not come to that.
        error: what went wrong in it.
        missing: why there was nothing for it to look at.
        unread: files of records that it could not see, wholly or in part.
    """
    unseen = f"{unread} file(s) could not be read to the end" if unread else ""
    if error is not None:
        return Outcome.ERROR, error
    if judgement is None:
        return (Outcome.INCOMPLETE, unseen) if unread else (Outcome.NOT_APPLICABLE, missing)
    if judgement.not_applicable:
        return (Outcome.INCOMPLETE, unseen) if unread else (Outcome.NOT_APPLICABLE, judgement.not_applicable)
    if judgement.findings.height:
        return Outcome.FLAGGED, judgement.incomplete or unseen
    if judgement.incomplete or unread:
        return Outcome.INCOMPLETE, judgement.incomplete or unseen
    return Outcome.CLEAR, ""


def clusters(
    judged: Mapping[str, Judgement], names: Sequence[str], before: Mapping[int, str]
) -> pl.DataFrame:
    """The records that are alike as a whole, by cluster; a cluster is called as its finding.

    Args:
        judged: what rules conclude.
        names: the files, by number.
        before: the files of the earlier run, by number; here they are told by what no file's name begins with.
    """
    called = dict(enumerate(names)) | {number: f"{AGAINST_NAME}{name}" for number, name in before.items()}
    tables = [empty(CLUSTERS)]
    for code, judgement in sorted(judged.items()):
        alike = judgement.clusters.filter(side="record")
        keys = alike["key"].unique().to_list()
        ids = pl.DataFrame(
            {"key": keys, "cluster": [finding_id(code, key) for key in keys]},
            schema={"key": pl.String, "cluster": pl.String},
        )
        # Without a file nothing is replaced, and the numbers of files would stay numbers.
        told = alike.join(ids, on="key").select(
            "cluster",
            file=pl.col("file").replace_strict(list(called), list(called.values()), return_dtype=pl.String),
            row="row",
            jaccard=pl.col("jaccard").round(SCORE_DIGITS),
        )
        tables.append(conform(told, CLUSTERS))
    return pl.concat(tables).sort("cluster", "file", "row")

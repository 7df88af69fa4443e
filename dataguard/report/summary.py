"""The outcome of a run in a few lines for a terminal, and as plain values for a pipeline."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from dataguard.report.attacks import by_status, counted
from dataguard.report.standing import Standing, standing
from dataguard.report.words import SEVERITIES, count, size
from dataguard.safe_text import for_terminal

if TYPE_CHECKING:
    import polars as pl

    from dataguard.run import Run

TOP = 5
"""Findings named in the terminal."""
REASONS = 8
"""Unmet lines of the policy named in the terminal."""
HEADLINES = {
    "passed": "PASSED",
    "failed": "DOES NOT PASS",
    "incomplete": "INCOMPLETE",
    "not-judged": "NOT JUDGED",
}


def summary_text(run: Run) -> str:
    """What a person needs to know after a scan: plain lines, nothing for a terminal to interpret.

    Raises:
        RunError: a table of the run, run.json or verdict.json is damaged.
    """
    stands, info = standing(run), run.info
    findings, files = run.table("findings"), run.table("files")
    lines = [f"{HEADLINES[stands.state]}  {_dataset(info)}".rstrip()]
    lines += [f"  {for_terminal(why)}" for why in stands.incomplete]
    lines += _reasons(stands)
    lines += ["", *_numbers(info, files, findings)]
    lines += _top(findings)
    lines += _coverage(run.table("coverage"), info)
    lines += ["", *_next(run, stands, findings)]
    return "\n".join(lines) + "\n"


def _dataset(info: dict[str, Any]) -> str:
    named = info.get("dataset")
    parts = [named.get(key) for key in ("name", "version")] if isinstance(named, dict) else []
    return " ".join(for_terminal(part, limit=80) for part in parts if part)


def _reasons(stands: Standing) -> list[str]:
    unmet = [line for line in stands.unmet if line.grade != "info"]  # context: the report shows it
    lines = []
    for line in unmet[:REASONS]:
        judged, observed, passes = (for_terminal(words) for words in line.words)
        grade = "" if line.grade == "critical" else f" ({line.grade})"
        lines.append(
            f"  {for_terminal(line.task, limit=20):<7} {judged}: {observed}; expected {passes}{grade}"
        )
    if len(unmet) > REASONS:
        lines.append(f"  and {len(unmet) - REASONS} more lines of the policy, in verdict.json")
    return lines


def _numbers(info: dict[str, Any], files: pl.DataFrame, findings: pl.DataFrame) -> list[str]:
    counts = info.get("counts")
    counts = counts if isinstance(counts, dict) else {}
    statuses = ", ".join(
        f"{number:,} {for_terminal(status, limit=20)}" for status, number in _by(files, "status").items()
    )
    severities = _severities(findings)
    found = ", ".join(f"{severities[kind]:,} {kind}" for kind in SEVERITIES if severities[kind])
    covered = f"; {count(_whole(counts.get('records_flagged')), 'record')} flagged" if found else ""
    return [
        f"Files     {files.height:,}{f' ({statuses})' if statuses else ''}",
        f"Records   {_whole(counts.get('rows')):,} in {size(_whole(counts.get('bytes')))}",
        f"Findings  {findings.height:,}{f' ({found})' if found else ''}{covered}",
    ]


def _top(findings: pl.DataFrame) -> list[str]:
    ranked = findings.sort("rank", "id", nulls_last=True)
    lines = []
    for row in ranked.head(TOP).iter_rows(named=True):
        kind = row["severity"] if row["severity"] in SEVERITIES else "info"
        records = f" ({count(row['records'], 'record')})" if row["records"] else ""
        lines.append(
            f"  {kind:<6}  {for_terminal(row['rule'], limit=20)}  {for_terminal(row['why'], limit=120)}{records}"
        )
    if findings.height > TOP:
        lines.append(f"  and {findings.height - TOP:,} more")
    return lines


def _coverage(table: pl.DataFrame, info: dict[str, Any]) -> list[str]:
    """How many kinds of attack this run could have seen: no finding says nothing of the others."""
    said, test = counted(table), info.get("self_test")
    lines = [f"Attacks   {said}"] if said else []
    if isinstance(test, dict) and test.get("failed") is True:
        lines.append(f"          not measured: {for_terminal(test.get('reason'), limit=300)}")
    return lines


def _next(run: Run, stands: Standing, findings: pl.DataFrame) -> list[str]:
    """What to do now, for somebody who has just met this outcome."""
    folder = for_terminal(shlex.quote(str(run.path)), limit=400)
    lines = (
        [f"Report    {folder}/report.html"]
        if run.exists("report.html")
        else [f"Next      dataguard report {folder}"]
    )
    if not findings.is_empty():
        first = findings.sort("rank", "id", nulls_last=True)["rule"][0]
        lines.append(f"Next      dataguard findings {folder}")
        lines.append(f"          dataguard explain {for_terminal(first, limit=20)}")
    if not stands.complete:
        lines.append("Next      mend or remove what was not read (the report names it), then scan again")
    elif not stands.judged:
        lines.append(f"Next      dataguard gate {folder}")
    elif stands.passed:
        lines.append(f"Next      dataguard attest {folder} --key KEY.pem")
    return lines


def summary_json(run: Run) -> dict[str, Any]:
    """The outcome of a run as values that JSON knows, for ``--format json``. Texts stand as they are.

    Raises:
        RunError: a table of the run, run.json or verdict.json is damaged.
    """
    from dataguard.findings import TABLES

    stands, info = standing(run), run.info
    findings, files = run.table("findings"), run.table("files")
    by_rule: dict[str, dict[str, int]] = {}
    for rule, severity, number in (
        findings.group_by("rule", "severity").len().sort("rule", "severity").iter_rows()
    ):
        by_rule.setdefault(rule or "", {})[severity or ""] = number
    return {
        "verdict": stands.state,
        "exit_code": stands.exit_code,
        "complete": stands.complete,
        "incomplete": list(stands.incomplete),
        "dataset": info.get("dataset") or {},
        "counts": info.get("counts") or {},
        "files": _by(files, "status"),
        "findings": {
            "total": findings.height,
            "by_severity": _severities(findings),
            "by_rule": by_rule,
        },
        "outcomes": dict(run.table("outcomes").sort("rule").select("rule", "outcome").iter_rows()),
        "coverage": {
            "by_status": by_status(run.table("coverage")),
            "self_test": info.get("self_test") or {},
            "attacks": run.table("coverage").drop("name").to_dicts(),
        },
        "reasons": [
            {"task": line.task, "table": line.table, "severity": line.grade, "expected": line.expected,
             "observed": line.observed, "reason": line.reason}
            for line in stands.unmet
        ],
        "tasks": stands.tasks,
        "manifest_sha256": info.get("manifest_sha256"),
        "run": str(run.path),
        "tables": {name: str(run.path / f"{name}.parquet") for name in TABLES},
        "report": str(run.path / "report.html") if run.exists("report.html") else None,
    }  # fmt: skip


def _by(table: pl.DataFrame, column: str) -> dict[str, int]:
    return {str(value): number for value, number in table.group_by(column).len().sort(column).iter_rows()}


def _severities(findings: pl.DataFrame) -> dict[str, int]:
    from dataguard.report.found import severity_counts

    return dict(severity_counts(findings))


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0

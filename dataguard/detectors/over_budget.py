"""A file that costs more to read than it may.

## What it looks for
Files that decode to more bytes than their size allows, or have too large a cell or line, too many columns,
too deep a nesting, or take too much memory or time. The limits stand under `[limits]` in `dataguard.toml`.

## Why it matters
A few kilobytes can decode to terabytes, and a single cell can fill a machine's memory: the cheapest way to
stop a pipeline, or to hide records behind a place where screens give up. What was not read was not screened.

## Limits
A limit is a guess about honest data. Long documents and wide tables are honest too, and meet it.

## What to do
See which limit was met. If the file is honest and wanted, raise that limit in your own `dataguard.toml` or
with `--config` and scan again; a file that came with the data cannot raise it. The run stays incomplete
until the file is within its limits or gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dataguard.detectors.about_files import judge_incidents
from dataguard.detectors.base import Example, Rule, SetDetector, SetSeen
from dataguard.findings import Confidence, Judgement, Severity

_FILES = [{"file": "b.parquet", "size": 9, "sha256": "bb", "rows_decoded": 9, "status": "partial"}]


@dataclass(frozen=True, kw_only=True)
class OverBudget(SetDetector):
    """A file that costs more to read than it may."""

    rule: ClassVar[Rule] = Rule(
        code="DG504",
        name="over-budget",
        summary="a file over a limit of bytes, cells, columns, depth, memory or time",
        task="PW.3.1",
        threats=("AML.T0059",),
        severity=Severity.HIGH,
        confidence=Confidence.HIGH,
    )
    examples: ClassVar[tuple[Example, ...]] = (
        Example(why="a file within its limits", seen={"files": _FILES}),
        Example(
            why="a small file that decodes to too much",
            seen={
                "files": _FILES,
                "incidents": [
                    {
                        "rule": "DG504",
                        "file": "b.parquet",
                        "row": None,
                        "reason": "decodes to more than 200 times its size",
                    }
                ],
            },
            groups=frozenset({"b.parquet"}),
        ),
    )

    def judge(self, seen: SetSeen) -> Judgement:
        """A finding for each file over a limit."""
        return judge_incidents(self.rule, seen, "over_budget_files")

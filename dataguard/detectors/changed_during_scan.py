"""A file that changed while it was scanned.

## What it looks for
Files whose size, times or bytes were not the same from the first look to the last. Each file is opened once,
and its bytes are digested and decoded from the same descriptor. Objects of a store are read once, and asked for again
when they were read and when the scan ends: length, entity tag, version and time must be the same.

## Why it matters
What was screened is then not what will be used: show the screen good data, then swap it. Such a run is
never attested.

## Limits
A change that is undone between two looks, with the times set back, is not seen here; the digests of the
attestation show it when the files are verified. An honest writer that still writes looks the same.

## What to do
Find out who wrote to the file. Stop the writer, or scan a snapshot, and scan again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dataguard.detectors.about_files import judge_incidents
from dataguard.detectors.base import Example, Rule, SetDetector, SetSeen
from dataguard.findings import Confidence, Judgement, Severity

_FILES = [{"file": "b.parquet", "size": 9, "sha256": "bb", "rows_decoded": 9, "status": "partial"}]


@dataclass(frozen=True, kw_only=True)
class ChangedDuringScan(SetDetector):
    """A file that changed while it was scanned."""

    rule: ClassVar[Rule] = Rule(
        code="DG505",
        name="changed-during-scan",
        summary="a file that changed while it was scanned",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0020"),
        severity=Severity.HIGH,
        confidence=Confidence.HIGH,
    )
    examples: ClassVar[tuple[Example, ...]] = (
        Example(why="a file that stood still", seen={"files": _FILES}),
        Example(
            why="a file that grew meanwhile",
            seen={
                "files": _FILES,
                "incidents": [
                    {"rule": "DG505", "file": "b.parquet", "row": None, "reason": "changed while it was read"}
                ],
            },
            groups=frozenset({"b.parquet"}),
        ),
    )

    def judge(self, seen: SetSeen) -> Judgement:
        """A finding for each file that did not stand still."""
        return judge_incidents(self.rule, seen, "changed_files", by_bytes=False)

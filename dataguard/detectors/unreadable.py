"""A file that cannot be read as what it claims to be.

## What it looks for
Files that are corrupt or truncated, whose checksums do not hold, that need a type which is not supported,
that cannot be opened, or that killed the process which decoded them. Decoding happens in a process of its
own with limits, so that such a file is a finding and not the end of the scan.

## Why it matters
What could not be read was not screened. A loader that is more lenient, or one that skips what it does not
understand, may still feed it to the training. Files that crash a decoder can also be attacks on it.

## Limits
The rule tells what the reader of record met, not why. A file may be broken by a bad disk as well as by an
attacker. Files of kinds that hold no records (`other`) are digested and listed, and no error.

## What to do
Fetch the file again and compare its SHA-256 with its source's. If it is as its source has it, have somebody
look at it who can: convert it with the tool that wrote it, on a machine that may break, and scan the result.
The run stays incomplete until the file is readable or gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dataguard.detectors.about_files import judge_incidents
from dataguard.detectors.base import Example, Rule, SetDetector, SetSeen
from dataguard.findings import Confidence, Judgement, Severity

_FILES = [{"file": "b.parquet", "size": 9, "sha256": "bb", "rows_decoded": 9, "status": "partial"}]


@dataclass(frozen=True, kw_only=True)
class Unreadable(SetDetector):
    """A file that cannot be read as what it claims to be."""

    rule: ClassVar[Rule] = Rule(
        code="DG503",
        name="unreadable",
        summary="a file that is corrupt, truncated, or of a type that is not supported",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0059"),
        severity=Severity.HIGH,
        confidence=Confidence.HIGH,
    )
    examples: ClassVar[tuple[Example, ...]] = (
        Example(why="a file that was read", seen={"files": _FILES}),
        Example(
            why="a truncated file",
            seen={
                "files": _FILES,
                "incidents": [
                    {
                        "rule": "DG503",
                        "file": "b.parquet",
                        "row": None,
                        "reason": "no Parquet magic at the end",
                    }
                ],
            },
            groups=frozenset({"b.parquet"}),
        ),
    )

    def judge(self, seen: SetSeen) -> Judgement:
        """A finding for each file that could not be read."""
        return judge_incidents(self.rule, seen, "unreadable_files")

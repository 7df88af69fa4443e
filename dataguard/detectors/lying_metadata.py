"""A file whose metadata says other than its data.

## What it looks for
What a file claims against what it decodes to: row counts of Parquet's footer and row groups, counts of values and
nulls, the least and greatest values in the statistics of columns, checksums of pages; the footer of an Arrow file
against the record batches that lie in it. The data decides: it is decoded whole, and no filter is ever pushed down
into the file.

## Why it matters
Readers trust metadata, each in its own way. One forged byte in a footer makes one library see no rows where
another sees all of them; forged statistics hide rows from every filtered read. So a screen can be shown
less than the training will read.

## Limits
Writers with bugs leave wrong counts too, and a damaged disk wrong checksums. Statistics that are only too wide
hide nothing and are no lie. Not compared are statistics within lists and structs, those of pages (the page index), Bloom
filters, and what a writer noted about its own library.

## What to do
Treat the file as forged until it is explained. Look at all of its rows, not at a filtered part; fetch it
again from its source; or write it anew from the decoded data, so that every reader sees the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dataguard.detectors.about_files import judge_incidents
from dataguard.detectors.base import Example, Rule, SetDetector, SetSeen
from dataguard.findings import Confidence, Judgement, Severity

_FILES = [{"file": "b.parquet", "size": 9, "sha256": "bb", "rows_decoded": 9, "status": "partial"}]


@dataclass(frozen=True, kw_only=True)
class LyingMetadata(SetDetector):
    """A file whose metadata says other than its data."""

    rule: ClassVar[Rule] = Rule(
        code="DG506",
        name="lying-metadata",
        summary="a file whose metadata does not agree with its data",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0020"),
        severity=Severity.HIGH,
        confidence=Confidence.HIGH,
    )
    examples: ClassVar[tuple[Example, ...]] = (
        Example(why="a file that is what its footer says", seen={"files": _FILES}),
        Example(
            why="a footer that claims no rows",
            seen={
                "files": _FILES,
                "incidents": [
                    {
                        "rule": "DG506",
                        "file": "b.parquet",
                        "row": None,
                        "reason": "the footer claims 0 rows, its row groups 50",
                    }
                ],
            },
            groups=frozenset({"b.parquet"}),
        ),
    )

    def judge(self, seen: SetSeen) -> Judgement:
        """A finding for each file that lies."""
        return judge_incidents(self.rule, seen, "lying_files")

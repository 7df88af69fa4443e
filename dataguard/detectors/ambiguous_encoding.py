"""A file that two readers would read differently.

## What it looks for
Two columns of one name in any format. In JSON Lines the same key twice in an object, NaN, integers beyond 64 bits,
lone surrogates, bare carriage returns, and columns whose type changes within the file. In CSV records of more or fewer
cells than the header, quotes within a cell, empty lines, NUL bytes, bare carriage returns, and a header that another
delimiter cuts differently. In both a byte order mark. In Arrow a second schema, a footer with another schema than the
stream, bytes behind the end; behind compressed data, anything that is not compressed. In folders `column=value` a value
that the file's own column contradicts, paths of one table that name other columns or name them at another depth, a
column twice in one path, and names that readers unquote or cut in other ways. In folders of
tables (Delta, Iceberg, Lance, Hugging Face) files that the version does not count, and metadata that two readers follow
differently.

## Why it matters
Where readers differ, the screen and the training may see different records: an attacker writes what passes
the one and poisons the other. In polars and pyarrow a folder's word wins over the file's: `label=safe/` renames every label below it.

## Limits
Most such files are careless, not hostile. Only differences that are known and listed are looked for. A column that only
the path has is no part of a record, and no rule sees it. Names of columns are compared letter by letter.

## What to do
Write the file anew with a strict writer, after looking at both readings of the places named. The file is not
screened until it can be read in one way only; but files in folders are, as they stand without their folders' names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dataguard.detectors.about_files import judge_incidents
from dataguard.detectors.base import Example, Rule, SetDetector, SetSeen
from dataguard.findings import Confidence, Judgement, Severity

_FILES = [{"file": "b.parquet", "size": 9, "sha256": "bb", "rows_decoded": 9, "status": "partial"}]


@dataclass(frozen=True, kw_only=True)
class AmbiguousEncoding(SetDetector):
    """A file that two readers would read differently."""

    rule: ClassVar[Rule] = Rule(
        code="DG507",
        name="ambiguous-encoding",
        summary="a file that two readers would read differently",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0020"),
        severity=Severity.MEDIUM,
        confidence=Confidence.HIGH,
    )
    examples: ClassVar[tuple[Example, ...]] = (
        Example(why="a file that can be read in one way only", seen={"files": _FILES}),
        Example(
            why="a key twice in one object",
            seen={
                "files": _FILES,
                "incidents": [
                    {
                        "rule": "DG507",
                        "file": "b.parquet",
                        "row": 6,
                        "reason": "line 7: the same key twice in one object",
                    }
                ],
            },
            rows=frozenset({6}),
            groups=frozenset({"b.parquet"}),
        ),
    )

    def judge(self, seen: SetSeen) -> Judgement:
        """A finding for each file that can be read in two ways."""
        return judge_incidents(self.rule, seen, "ambiguous_files")

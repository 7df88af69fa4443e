"""Evidence that this project did not write, and records that it made for tests alone.

## What it looks for
Evidence in the run folder that was edited, exchanged or planted: the digest of each piece is authenticated
with the project's secret. And canaries in the data: records that this project exported for tests
(`dataguard adversarial`), each with a mark that only its secret can make.

## Why it matters
Whoever can write to the run folder could have the screen find nothing: evidence is kept, and serves again in
the next scan. Canaries are poisoned on purpose: a model that is trained on them learns the attack.

## Limits
Somebody who has the project's secret can write evidence that holds. A run that was copied to a project
with another secret looks planted as well. A canary whose mark was cut out, or that another project made, is
looked at like any other record.

## What to do
The evidence was thrown away and made again, so the findings stand. Find out who wrote to the run folder, and
keep it private. If the secret may be known, make a new one. Take canaries out of the data, ask how they got there, and
scan again; a run with canaries is never signed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dataguard.detectors.about_files import judge_incidents
from dataguard.detectors.base import Example, Rule, SetDetector, SetSeen
from dataguard.findings import Confidence, Judgement, Severity

_FILES = [{"file": "b.parquet", "size": 9, "sha256": "bb", "rows_decoded": 9, "status": "partial"}]


@dataclass(frozen=True, kw_only=True)
class PlantedEvidence(SetDetector):
    """Evidence that this project did not write."""

    rule: ClassVar[Rule] = Rule(
        code="DG508",
        name="planted-evidence",
        summary="kept evidence that this project did not write, or canaries of its own in the data",
        task="PW.3.1",
        threats=("NISTAML.05", "AML.T0059"),
        severity=Severity.HIGH,
        confidence=Confidence.HIGH,
    )
    examples: ClassVar[tuple[Example, ...]] = (
        Example(why="nothing planted", seen={"files": _FILES}),
        Example(
            why="an edited evidence file",
            seen={
                "files": _FILES,
                "incidents": [
                    {
                        "rule": "DG508",
                        "file": "",
                        "row": None,
                        "reason": "evidence/DG301/0a.parquet was not written with this project's secret",
                    }
                ],
            },
            groups=frozenset({"evidence"}),
        ),
        Example(
            why="a canary among the records",
            seen={
                "files": _FILES,
                "incidents": [
                    {
                        "rule": "DG508",
                        "file": "b.parquet",
                        "row": 3,
                        "reason": "carries the mark of a canary",
                    }
                ],
            },
            rows=frozenset({3}),
            groups=frozenset({"b.parquet"}),
        ),
    )

    def judge(self, seen: SetSeen) -> Judgement:
        """One finding for all evidence that does not hold, and one for each file with canaries."""
        return judge_incidents(self.rule, seen, "planted_evidence", elsewhere="evidence")

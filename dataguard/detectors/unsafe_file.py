"""Files beside the data that hold code, or run code when they are loaded.

## What it looks for
Files of the set that hold no records, by their first bytes and their names: pickles, joblib and torch files and arrays of
objects, also inside zip and gzip; scripts, first of all those that loaders of data sets run; notebooks; office files with
macros; programs and libraries; archives. Pickles are disassembled by picklescan and never loaded: what they would import
is told by their opcodes. One finding for each kind, and one for each pickle that would run something dangerous.

## Why it matters
Whoever fetches a data set often runs what came with it: `load_dataset` runs a loader script, `torch.load` and
`joblib.load` run whatever a pickle names, a notebook is opened and run. A payload there has the rights of whoever trains.

## Limits
Code that comes with a set may be there rightly: a loader, an example, a test. Programs and scripts are named and not
judged. What is packed in other ways than zip and gzip, behind a password, or below the first 16 MiB is not looked at, and
what a pickle runs through something that picklescan does not know counts as an ordinary pickle. Models in HDF5 (with
Lambda layers) and formats of R and Java are not looked at. Records in archives are not screened by any rule.

## What to do
Delete what training does not need. Turn pickles into Parquet, safetensors or plain arrays on a machine that may break.
Read loader scripts before anybody runs them, and pin their digest.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from dataguard.detectors._matches import count
from dataguard.detectors.about_files import flag, numbered, quotes
from dataguard.detectors.base import Example, Rule, SetDetector, SetSeen
from dataguard.findings import Confidence, Judgement, Measure, Severity

KINDS: dict[str, tuple[Severity, str]] = {
    "payload": (Severity.HIGH, "pickle that runs something dangerous"),
    "pickle": (Severity.MEDIUM, "pickle"),
    "macro": (Severity.MEDIUM, "office file with macros"),
    "executable": (Severity.MEDIUM, "program or library"),
    "loader": (Severity.MEDIUM, "loader script"),
    "script": (Severity.LOW, "script"),
    "notebook": (Severity.LOW, "notebook"),
    "archive": (Severity.LOW, "archive"),
}
"""Severity and words of each kind, the worst first: a file has the worst of its kinds."""

NAMED = 3
"""Files that a finding names."""
ALONE = 20
"""Files with a payload that are a finding each; what goes beyond is one more."""

_FILES = [
    {"file": "a.parquet", "size": 9, "sha256": "aa", "rows_decoded": 9, "status": "read"},
    {"file": "b.pkl", "size": 9, "sha256": "bb", "rows_decoded": 0, "status": "other"},
]


@dataclass(frozen=True, kw_only=True)
class UnsafeFile(SetDetector):
    """A file beside the data holds code, or runs code when it is loaded."""

    rule: ClassVar[Rule] = Rule(
        code="DG213",
        name="unsafe-file",
        summary="a file beside the data holds code, or runs code when it is loaded",
        task="PW.3.1",
        threats=("NISTAML.05", "AML.T0010.002", "AML.T0011.000"),
        severity=Severity.MEDIUM,
        confidence=Confidence.HIGH,
    )
    examples: ClassVar[tuple[Example, ...]] = (
        Example(why="files of records", seen={"files": _FILES[:1]}),
        Example(
            why="a pickle that would run a command",
            seen={
                "files": _FILES,
                "incidents": [
                    {
                        "rule": "DG213",
                        "file": "b.pkl",
                        "row": None,
                        "reason": "payload: a pickle that runs os.system",
                    },
                    {
                        "rule": "DG213",
                        "file": "b.pkl",
                        "row": None,
                        "reason": "pickle: loading it runs what it names",
                    },
                ],
            },
            groups=frozenset({"payload"}),
        ),
    )

    def judge(self, seen: SetSeen) -> Judgement:
        """A finding for each kind, and for each file with a payload."""
        met = numbered(seen.incidents.filter(pl.col("rule") == self.rule.code), seen)
        order = (
            pl.col("reason")
            .str.split(":")
            .list.first()
            .replace_strict({kind: n for n, kind in enumerate(KINDS)})
        )
        met = met.with_columns(order=order).filter(pl.col("order") == pl.col("order").min().over("file"))
        rows, ranges = [], []
        for number, (kind, (severity, words)) in enumerate(KINDS.items()):
            files = met.filter(pl.col("order") == number).sort("file", "reason")
            names = files["file"].unique().sort().to_list()
            alone = names[:ALONE] if severity is Severity.HIGH else []
            for together in [*([name] for name in alone), names[len(alone) :]]:
                part = files.filter(pl.col("file").is_in(together))
                if part.is_empty():
                    continue
                # Of these very bytes: what was decided does not hold for what comes later.
                digest = hashlib.sha256("\n".join(part["sha256"].unique().sort()).encode()).hexdigest()
                named = ", ".join(together[:NAMED]) + (" and others" if len(together) > NAMED else "")
                said = part.select(quotes()).item()
                rows.append(
                    {
                        "key": f"{kind}\0{digest}" + (f"\0{together[0]}" if alone else ""),
                        "score": 1.0 if severity is Severity.HIGH else round(1 - 1 / (1 + len(together)), 6),
                        "group": kind,
                        "severity": severity.value,
                        "why": f"{count(len(together), words)}: {named}; {said}",
                    }
                )
                ranges.append(part.select("number", key=pl.lit(rows[-1]["key"])).unique())
        covered = (
            pl.concat(ranges) if ranges else pl.DataFrame(schema={"number": pl.UInt32, "key": pl.String})
        )
        nothing = covered.with_columns(first_row=pl.lit(None, pl.UInt64), rows=pl.lit(0, pl.UInt64))
        unread = seen.files.filter(pl.col("status").is_in(["refused", "partial"])).height
        return Judgement(
            findings=pl.DataFrame(rows) if rows else Judgement().findings,
            flagged=flag(nothing),
            measures=(Measure("unsafe_files", float(met["file"].n_unique()), seen.files.height),),
            incomplete=f"{unread} file(s) could not be read, nor looked at for code" if unread else "",
        )

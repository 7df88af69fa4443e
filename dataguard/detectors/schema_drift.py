"""Files of one table whose columns differ in name or type.

## What it looks for
Files that share at least half of their columns with the schema that most such files have, and lack one of its columns,
have one more, or have one of another type. Widths and layouts (int32 or int64, dictionaries) are no difference, and a
column of nothing but nulls goes with every type.

## Why it matters
Readers of many files take the columns of the first, drop what it lacks, cast what differs or fail. So what a file brings
may be trained on by one reader and never seen by another: a place to hide records, and to break what is screened by
column.

## Limits
Files of other tables in the same set share few columns and are not compared. That the same name means the same thing is
not looked at. Text formats say no types: those of CSV and JSON Lines are found from the values, so a part whose numbers
all happen to be whole differs from one where they are not; such differences are told with the least severity.

## What to do
Write the odd files anew with the schema of the others, or keep them in a data set of their own. A column that only some
files have should be looked at before it is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import polars as pl

from dataguard.detectors.about_files import flag, numbered
from dataguard.detectors.base import Example, Rule, SetDetector, SetSeen
from dataguard.findings import Confidence, Judgement, Measure, Severity

TABLES = 100
"""Tables of a set that files are compared with; files of more are not compared."""
NAMED = 3
"""Files and types that a finding names."""

TEXT_FORMATS = ("jsonl", "csv", "tsv")
UNTOLD = ("timestamp", "date", "time", "duration", "binary", "decimal")
"""Beginnings of the names of types that files of text write as strings."""

_FILES = [{"file": name, "size": 9, "sha256": name, "status": "read"} for name in ("a.csv", "b.csv", "c.csv")]


def _schemas(*last: tuple[str, str]) -> list[dict[str, str]]:
    columns = [("a.csv", "text", "large_string"), ("a.csv", "label", "int64")]
    columns += [("b.csv", "text", "large_string"), ("b.csv", "label", "null")]
    return [
        {"file": file, "column": column, "type": kind}
        for file, column, kind in [*columns, *(("c.csv", *one) for one in last)]
    ]


class _Difference(NamedTuple):
    """How files differ from the table that they are of."""

    column: str
    here: str
    there: str
    by_format: bool = False
    """Only because JSON Lines and CSV have no such type."""


@dataclass(frozen=True, kw_only=True)
class SchemaDrift(SetDetector):
    """Files of one table whose columns differ.

    Args:
        alike: the share of all their columns that two files have in common, from which they are of one table.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG502",
        name="schema-drift",
        summary="files of one table whose columns differ in name or type",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0020"),
        severity=Severity.MEDIUM,
        confidence=Confidence.MEDIUM,
    )
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="the same columns in another width, or of nothing but nulls",
            seen={"files": _FILES, "schemas": _schemas(("text", "large_string"), ("label", "int32"))},
        ),
        Example(
            why="another table beside them",
            seen={"files": _FILES, "schemas": _schemas(("id", "int64"), ("url", "large_string"))},
        ),
        Example(
            why="a label that is text in one file",
            seen={"files": _FILES, "schemas": _schemas(("text", "large_string"), ("label", "large_string"))},
            groups=frozenset({"label"}),
        ),
        Example(
            why="a time that CSV can but write as text is a remark",
            seen={
                "files": [
                    {**one, "format": "csv" if one["file"] == "c.csv" else "parquet"} for one in _FILES
                ],
                "schemas": [
                    *({"file": name, "column": "at", "type": "timestamp[us]"} for name in ("a.csv", "b.csv")),
                    {"file": "c.csv", "column": "at", "type": "large_string"},
                ],
            },
            groups=frozenset({"at"}),
        ),
        Example(
            why="a file without the label",
            seen={"files": _FILES, "schemas": _schemas(("text", "large_string"))},
            groups=frozenset({"label"}),
        ),
    )
    alike: float = 0.5

    def judge(self, seen: SetSeen) -> Judgement:
        """A finding for each column and way in which files differ from the table that they are of."""
        schemas = seen.schemas.with_columns(kind=_kind(pl.col("type"))).sort("file", "column")
        by_file = {
            str(file): dict(zip(part["column"], part["kind"], strict=True))
            for (file,), part in schemas.group_by("file", maintain_order=True)
        }
        plain = seen.files.filter(pl.col("format").is_in(TEXT_FORMATS))["file"].implode()
        texts = schemas.filter(pl.col("file").is_in(plain) & (pl.col("kind") == "string"))
        written = frozenset(texts["column"])
        differing: dict[_Difference, list[str]] = {}
        for file, difference in self._differences(by_file):
            differing.setdefault(_explained(difference, written), []).append(file)
        findings = [_finding(difference, files) for difference, files in sorted(differing.items())]
        pairs = [(_key(one), file) for one, files in sorted(differing.items()) for file in files]
        table = pl.DataFrame(pairs, schema={"key": pl.String, "file": pl.String}, orient="row")
        ranges = numbered(table, seen).select(
            "key", "number", first_row=pl.lit(None, pl.UInt64), rows=pl.lit(0, pl.UInt64)
        )
        odd = len({file for one, files in differing.items() if not one.by_format for file in files})
        return Judgement(
            findings=pl.DataFrame(findings) if findings else Judgement().findings,
            flagged=flag(ranges),
            measures=(Measure("files_of_another_schema", float(odd), len(by_file)),),
        )

    def _differences(self, by_file: dict[str, dict[str, str]]) -> Iterator[tuple[str, _Difference]]:
        """What each file has other than the table that it is of, the most frequent of those that are alike."""
        same: dict[tuple[tuple[str, str], ...], list[str]] = {}
        for file, columns in by_file.items():
            same.setdefault(tuple(columns.items()), []).append(file)
        tables: list[dict[str, str]] = []
        for schema, files in sorted(same.items(), key=lambda one: (-len(one[1]), one[1])):
            columns = dict(schema)
            known = next((table for table in tables if self._is_alike(table, columns)), None)
            if known is None:
                if len(tables) < TABLES:
                    tables.append(columns)
                continue
            for name in sorted(known.keys() | columns.keys()):
                here, there = columns.get(name, ""), known.get(name, "")
                if here != there and "null" not in (here, there):
                    yield from ((file, _Difference(name, here, there)) for file in files)
                elif there == "null" and here:
                    known[name] = here

    def _is_alike(self, one: dict[str, str], other: dict[str, str]) -> bool:
        shared = len(one.keys() & other.keys())
        return shared > 0 and shared >= self.alike * len(one.keys() | other.keys())


def _kind(kind: pl.Expr) -> pl.Expr:
    """A type without its widths and layouts."""
    return (
        kind.str.replace_all(r"\bu?int(8|16|32|64)\b", "int")
        .str.replace_all(r"\b(halffloat|float|double)\b", "float")
        .str.replace_all(r"\blarge_", "")
        .str.replace_all(r"\bdecimal(32|64|128|256)\b", "decimal")
        .str.replace_all(r"\[(s|ms|us|ns)\]", "")
    )


def _explained(difference: _Difference, written: frozenset[str]) -> _Difference:
    """The difference, told apart where a file of text can but write a string."""
    kinds = {difference.here, difference.there} - {"string"}
    untold = len(kinds) == 1 and kinds.pop().startswith(UNTOLD)
    return difference._replace(by_format=untold and difference.column in written)


def _key(difference: _Difference) -> str:
    return "\0".join(difference[:3])


def _finding(difference: _Difference, files: list[str]) -> dict[str, object]:
    column, here, there, by_format = difference
    named = ", ".join(files[:NAMED]) + (f" and {len(files) - NAMED} more" if len(files) > NAMED else "")
    if not here:
        what, score, severity = f"is not there in {named}, and is {there} in the others", 0.4, Severity.LOW
    elif not there:
        what, score, severity = f"is only there in {named}, as {here}", 0.5, Severity.LOW
    elif by_format or {here, there} == {"int", "float"}:
        what, score, severity = f"is {here} in {named} and {there} in the others", 0.2, Severity.INFO
    else:
        what, score, severity = f"is {here} in {named} and {there} in the others", 0.6, Severity.MEDIUM
    return {
        "key": _key(difference),
        "score": score,
        "column": column,
        "group": column,
        "severity": severity.value,
        "why": f"{what[:600]}: readers of all files take one of them, drop the column or fail",
    }

"""The rules about files and sources, beyond the laws that hold for every rule."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from dataguard.detectors import about_files, catalogue, page
from dataguard.detectors import unknown_provenance as dg401
from dataguard.detectors.base import CHANGES, INCIDENTS, SCHEMAS, SetDetector, SetSeen
from dataguard.detectors.changed_since import ChangedSince
from dataguard.detectors.schema_drift import SchemaDrift
from dataguard.detectors.unknown_provenance import UnknownProvenance
from dataguard.findings import FILES, SOURCES, UNKNOWN_PROVENANCE, Judgement, conform, empty
from dataguard.provenance import REASONS

SET_RULES = [kind for kind in catalogue() if issubclass(kind, SetDetector)]
INCIDENT_RULES = [kind for kind in SET_RULES if kind.rule.code in {f"DG50{n}" for n in range(3, 9)}]
WEB = {"source": "web", "status": "declared", "reason": "NO_DIGEST", "records": 1}


def table(rows: Any, schema: pl.Schema) -> pl.DataFrame:
    return conform(pl.DataFrame(list(rows)), schema) if rows else empty(schema)


def seen(**tables: Any) -> SetSeen:
    return SetSeen(
        table(tables.get("files"), FILES),
        table(tables.get("incidents"), INCIDENTS),
        table(tables.get("sources"), SOURCES),
        table(tables.get("unknown_provenance"), UNKNOWN_PROVENANCE),
        table(tables["changes"], CHANGES) if "changes" in tables else None,
        table(tables.get("schemas"), SCHEMAS),
    )


def files(*names: str, rows: int = 10) -> list[dict[str, Any]]:
    return [
        {"file": name, "size": 1, "sha256": f"sha of {name}", "rows_decoded": rows, "status": "read"}
        for name in names
    ]


def flagged(judgement: Judgement) -> list[tuple[int, int | None]]:
    return judgement.flagged.select("file", "row").rows()


def measures(judgement: Judgement) -> dict[str, float]:
    return {measure.name: measure.value for measure in judgement.measures}


@pytest.mark.parametrize("kind", SET_RULES, ids=lambda kind: kind.rule.code)
def test_examples_and_page(kind: type[SetDetector]) -> None:
    assert len(kind.examples) >= 2
    for example in kind.examples:
        judgement = kind(**example.options).judge(seen(**example.seen))
        assert set(judgement.findings["group"]) == example.groups, example.why
        assert set(judgement.flagged["row"].drop_nulls()) == example.rows, example.why
    for heading in ("## What it looks for", "## Why it matters", "## Limits", "## What to do"):
        assert f"\n{heading}\n" in page(kind)


@pytest.mark.parametrize("kind", SET_RULES, ids=lambda kind: kind.rule.code)
def test_nothing_read_nothing_found(kind: type[SetDetector]) -> None:
    assert kind().judge(seen()).findings.is_empty()
    assert kind().judge(seen(changes=[])).findings.is_empty()


@pytest.mark.parametrize("kind", INCIDENT_RULES, ids=lambda kind: kind.rule.code)
def test_incidents_of_the_own_code_only_one_finding_a_file(kind: type[SetDetector]) -> None:
    code = kind.rule.code
    incidents = [{"rule": code, "file": "b", "row": 3, "reason": f"reason {n}"} for n in range(5)] + [
        {"rule": code, "file": "b", "row": None, "reason": "reason 0"},
        {"rule": code, "file": "not listed", "row": None, "reason": "x" * 10_000},
        {"rule": "DG999", "file": "a", "row": None, "reason": "another rule's"},
    ]
    judgement = kind().judge(seen(files=files("c", "a", "b"), incidents=incidents))
    why = dict(judgement.findings.select("group", "why").rows())
    assert why["b"] == "reason 0; reason 1; reason 2; and 2 more"
    assert len(why["not listed"]) == about_files.MAX_REASON
    assert judgement.findings.height == 2
    assert flagged(judgement) == [(1, None), (1, 3)], "numbers are places in the table sorted by name"
    assert [measure.value for measure in judgement.measures] == [2]
    assert [measure.n for measure in judgement.measures] == [3]


def test_a_decision_about_a_file_is_about_its_bytes() -> None:
    (unreadable,) = [kind for kind in INCIDENT_RULES if kind.rule.code == "DG503"]
    (changed,) = [kind for kind in INCIDENT_RULES if kind.rule.code == "DG505"]
    keys = {}
    for kind in (unreadable, changed):
        for sha256 in ("one", "two"):
            incidents = [{"rule": kind.rule.code, "file": "a", "row": None, "reason": "r"}]
            judged = kind().judge(seen(files=[{**files("a")[0], "sha256": sha256}], incidents=incidents))
            keys[kind.rule.code, sha256] = judged.findings["key"].item()
    assert keys["DG503", "one"] != keys["DG503", "two"]
    assert keys["DG505", "one"] == keys["DG505", "two"], "these bytes differ from one look to the next"


def test_a_decision_about_planted_evidence_does_not_cover_what_is_planted_later() -> None:
    (planted,) = [kind for kind in INCIDENT_RULES if kind.rule.code == "DG508"]
    keys = set()
    for names in (["one"], ["one", "two"], ["two", "one"]):
        incidents = [{"rule": "DG508", "file": "", "row": None, "reason": name} for name in names]
        judgement = planted().judge(seen(files=files("a"), incidents=incidents))
        assert judgement.findings["group"].to_list() == ["evidence"]
        assert judgement.flagged.is_empty()
        keys.add(judgement.findings["key"].item())
    assert len(keys) == 2


def unknown(file: str, first: int, rows: int, reason: str, source: str = "") -> dict[str, Any]:
    return {"file": file, "first_row": first, "rows": rows, "source": source, "reason": reason}


def test_every_row_of_an_undeclared_file_is_flagged() -> None:
    judgement = UnknownProvenance().judge(
        seen(files=files("a", "b"), sources=[WEB], unknown_provenance=[unknown("b", 0, 10, "NO_SOURCE")])
    )
    assert flagged(judgement) == [(1, row) for row in range(10)]
    assert judgement.findings["group"].to_list() == ["b"]
    assert judgement.findings["severity"].to_list() == [None], "the rule's own"
    assert measures(judgement) == {
        "unknown_share": 0.5,
        "contradicted_share": 0.0,
        "declared_share": 0.5,
        "contradicted_sources": 0.0,
    }


def test_one_finding_for_a_value_over_all_files_and_ranges() -> None:
    register = [unknown("a", 2, 2, "UNDECLARED_VALUE", "x"), unknown("b", 7, 1, "UNDECLARED_VALUE", "x")]
    register.append(unknown("b", 9, 1, "NO_LICENCE", "web"))
    judgement = UnknownProvenance().judge(
        seen(files=files("a", "b"), sources=[WEB], unknown_provenance=register)
    )
    assert judgement.findings.select("group", "why").rows() == [
        ("web", "1 of 20 records in 1 file(s): the source is declared without a licence (NO_LICENCE)"),
        (
            "x",
            f"3 of 20 records in 2 file(s): {REASONS['UNDECLARED_VALUE'][1]} (UNDECLARED_VALUE)",
        ),
    ]
    assert flagged(judgement) == [(1, 9), (0, 2), (0, 3), (1, 7)]


def test_nothing_declared_is_one_finding_about_the_set() -> None:
    met = {"source": "x", "status": "unknown", "reason": "UNDECLARED_VALUE", "records": 3}
    register = [unknown("a", 0, 10, "NO_SOURCE"), unknown("b", 0, 10, "NO_SOURCE")]
    judgement = UnknownProvenance().judge(
        seen(files=files("a", "b"), sources=[met], unknown_provenance=register)
    )
    assert judgement.findings.height == 1
    assert flagged(judgement) == [(0, None), (1, None)]
    assert measures(judgement)["unknown_share"] == 1.0


def test_contradicted_is_worse_than_unknown() -> None:
    register = [unknown("a", 0, 10, "NO_SOURCE"), unknown("b", 0, 10, "DIGEST_DIFFERS", "web")]
    gone = {"source": "web", "status": "contradicted", "reason": "FILE_MISSING", "records": 0, "sha256": "ab"}
    judgement = UnknownProvenance().judge(
        seen(files=files("a", "b"), sources=[WEB, gone, gone], unknown_provenance=register)
    )
    assert sorted(judgement.findings.select("group", "severity", "score").rows(), key=str) == [
        ("a", None, 0.5),
        ("b", "high", 1.0),
        ("web", "high", 1.0),
    ]
    assert measures(judgement)["contradicted_share"] == 0.5
    assert measures(judgement)["contradicted_sources"] == 2


def test_large_findings_flag_files_and_small_ones_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(about_files, "MAX_ROWS", 6)
    monkeypatch.setattr(about_files, "MAX_ALL_ROWS", 8)
    register = [
        unknown("a", 0, 7, "NO_SOURCE"),
        unknown("b", 0, 6, "NO_SOURCE"),
        unknown("c", 4, 2, "NO_SOURCE"),
        unknown("c", 8, 1, "UNDECLARED_VALUE", "x"),
    ]
    judgement = UnknownProvenance().judge(
        seen(files=files("a", "b", "c"), sources=[WEB], unknown_provenance=register)
    )
    assert sorted(flagged(judgement), key=str) == [(0, None), (1, None), (2, 4), (2, 5), (2, 8)]


def test_many_findings_are_summed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dg401, "MAX_FINDINGS", 2)
    register = [unknown(name, 0, 1, "NO_SOURCE") for name in "abcde"]
    judgement = UnknownProvenance().judge(
        seen(files=files(*"abcde"), sources=[WEB], unknown_provenance=register)
    )
    assert judgement.findings.height == 3
    assert len(flagged(judgement)) == 5
    (rest,) = judgement.findings.filter(pl.col("group") == "")["why"]
    assert rest.startswith("3 of 50 records in 3 file(s)")


def test_changes_of_a_file_are_one_finding() -> None:
    def change(kind: str, file: str, row: int | None = None, reason: str = "") -> dict[str, Any]:
        return {"change": kind, "file": file, "row": row, "reason": reason or kind}

    judgement = ChangedSince().judge(
        seen(
            files=files("a", "b", "c"),
            changes=[
                change("schema-changed", "a", None, "columns"),
                change("row-changed", "a", 4),
                change("row-changed", "a", 2),
                change("row-added", "a", 9),
                change("row-removed", "a", 5),
                change("row-removed", "b", 5),
                change("added", "c"),
                change("removed", "z"),
                change("roles-changed", "", None, "role label: y before, z now"),
                change("roles-changed", "", None, "role text: b before, t now"),
            ],
        )
    )
    assert dict(judgement.findings.select("group", "why").rows()) == {
        "a": "1 row-added, 2 row-changed, 1 row-removed, 1 schema-changed: columns; row-added; row-changed; and 1 more",
        "b": "1 row-removed: row-removed",
        "c": "1 added: added",
        "roles-changed": "2 roles-changed: role label: y before, z now; role text: b before, t now",
        "z": "1 removed: removed",
    }
    assert sorted(flagged(judgement), key=str) == [(0, 2), (0, 4), (0, 9), (1, None), (2, None)]
    assert measures(judgement) == {
        "added_files": 1,
        "removed_files": 1,
        "renamed_files": 0,
        "changed_files": 2,
        "changed_rows": 5,
        "changed_roles": 2,
    }


def test_without_an_earlier_run_changes_are_not_applicable() -> None:
    judgement = ChangedSince().judge(seen(files=files("a")))
    assert "--against" in judgement.not_applicable
    assert judgement.measures == ()


def _drift(*schemas: dict[str, str]) -> dict[str, tuple[str, list[int]]]:
    """Severity and files of the finding on each column of files with these columns and types."""
    names = [f"{number:03}.csv" for number in range(len(schemas))]
    rows = [
        {"file": name, "column": column, "type": kind}
        for name, schema in zip(names, schemas, strict=True)
        for column, kind in schema.items()
    ]
    judgement = SchemaDrift().judge(seen(files=files(*names), schemas=rows))
    by_key = dict(judgement.flagged.group_by("key").agg(pl.col("file").sort()).iter_rows())
    return {
        f"{row['column']}": (row["severity"], by_key[row["key"]])
        for row in judgement.findings.iter_rows(named=True)
    }


def test_the_schema_of_most_files_stands() -> None:
    plain = {"text": "large_string", "label": "int64", "n": "double"}
    assert _drift(plain, plain, {**plain, "label": "int8", "n": "halffloat"}) == {}
    assert _drift({**plain, "label": "large_string"}, plain, plain) == {"label": ("medium", [0])}
    assert _drift(plain, {**plain, "more": "bool"}, plain) == {"more": ("low", [1])}
    assert _drift(plain, {"text": "large_string", "label": "int64"}, plain) == {"n": ("low", [1])}
    assert _drift(plain, plain, {**plain, "label": "double"}) == {"label": ("info", [2])}
    both = {**plain, "label": "bool"}
    assert _drift(plain, plain, both, both) == {"label": ("medium", [2, 3])}
    inner = "large_list<item: struct<a: int64, b: large_string>>"
    assert _drift({"m": inner}, {"m": inner.replace("64", "32")}, {"m": inner.replace("a:", "c:")}) == {
        "m": ("medium", [2])
    }


def test_nothing_but_nulls_goes_with_every_type_and_says_none() -> None:
    nulls, text, number = ({"text": "large_string", "x": kind} for kind in ("null", "large_string", "int64"))
    assert _drift(nulls, nulls, text) == {}
    assert _drift(nulls, nulls, text, number) == {"x": ("medium", [3])}


def test_tables_that_share_little_are_not_compared() -> None:
    one = {"id": "int64", "text": "large_string", "label": "int64"}
    assert _drift(one, {"id": "int64", "url": "large_string", "time": "int64"}, {"other": "bool"}) == {}


def test_many_files_are_told_in_one_finding() -> None:
    plain = {"text": "large_string", "label": "int64"}
    found = _drift(*[plain] * 60, *[{**plain, "label": "bool"}] * 50)
    assert found == {"label": ("medium", list(range(60, 110)))}

"""The laws: what holds of every rule, over discovery. A new rule is tested before its author writes a test."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataguard.columns import OR, Role, resolve
from dataguard.detectors import catalogue, page
from dataguard.detectors.base import Detector, Known, RecordDetector, SetDetector
from dataguard.findings import SEVERITIES, Judgement
from harness import cut, judge_example, judge_in_memory, judge_slices, look, observe, records, seen

RULES = catalogue()
ABOUT_RECORDS = [kind for kind in RULES if issubclass(kind, RecordDetector)]
ABOUT_SETS = [kind for kind in RULES if issubclass(kind, SetDetector)]
GOLDEN = Path(__file__).parent / "golden" / "evidence.json"
HEADINGS = ["What it looks for", "Why it matters", "Limits", "What to do"]
TASK = re.compile(r"(PO|PS|PW|RV)\.\d\.\d")
THREAT = re.compile(r"NISTAML\.\d{2,3}|AML\.[TM]\d{4}(\.\d{3})?|LLM\d\d(:20\d\d)?")


def rule_name(kind: type[Detector]) -> str:
    return kind.rule.code


every_rule = pytest.mark.parametrize("kind", RULES, ids=rule_name)
every_record_rule = pytest.mark.parametrize("kind", ABOUT_RECORDS, ids=rule_name)
every_set_rule = pytest.mark.parametrize("kind", ABOUT_SETS, ids=rule_name)


# What a rule says of itself


def test_codes_and_names_are_unique() -> None:
    assert len({kind.rule.code for kind in RULES}) == len(RULES)
    assert len({kind.rule.name for kind in RULES}) == len(RULES)


@every_rule
def test_the_rule_names_what_it_serves(kind: type[Detector]) -> None:
    rule = kind.rule
    assert re.fullmatch(r"DG[1-5]\d\d", rule.code)
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.name)
    assert rule.summary
    assert not rule.summary.endswith(".")
    assert TASK.fullmatch(rule.task)
    assert rule.threats
    assert all(THREAT.fullmatch(threat) for threat in rule.threats)
    assert rule.lifecycle in ("preview", "stable")
    assert rule.version >= 1
    assert set(rule.after) <= {other.rule.code for other in RULES} - {rule.code}
    assert all(Role(role) for need in kind.needs for role in need.split(OR))
    assert set(getattr(kind, "stands_on", ())) <= set(rule.after)
    assert issubclass(kind, RecordDetector) or issubclass(kind, SetDetector)


@every_rule
def test_the_rule_has_its_page(kind: type[Detector]) -> None:
    first, *sections = re.split(r"^## (.+)$", page(kind), flags=re.MULTILINE)
    assert first.strip()
    assert sections[::2] == HEADINGS
    assert all(len(text.strip()) > 40 for text in sections[1::2])


@every_rule
def test_options_are_plain_values_with_a_word_each(kind: type[Detector]) -> None:
    detector = kind()
    assert json.loads(detector.options_json()) == detector.options()
    for name, value in detector.options().items():
        assert isinstance(value, str | int | float | bool)
        assert f"    {name}: " in (kind.__doc__ or "")


# Examples


@every_rule
def test_examples_show_both_sides(kind: type[Detector]) -> None:
    flags = [bool(example.rows or example.groups) for example in kind.examples]
    assert any(flags)
    assert not all(flags)


@pytest.mark.parametrize(
    ("kind", "number"),
    [(kind, number) for kind in RULES for number in range(len(kind.examples))],
    ids=lambda value: value.rule.code if isinstance(value, type) else str(value),
)
def test_examples_hold(kind: Any, number: int) -> None:
    example = kind.examples[number]
    judgement = judge_example(kind, example)
    check_sound(judgement)
    assert set(judgement.flagged["row"].drop_nulls()) == example.rows
    groups = set(judgement.findings["group"].fill_null(""))
    assert groups - {""} == example.groups - {""}
    assert "" in groups or "" not in example.groups
    assert judgement.findings.is_empty() == (not example.rows and not example.groups)


def check_sound(judgement: Judgement) -> None:
    """What every judgement must be, whatever it says."""
    findings, flagged = judgement.findings, judgement.flagged
    assert findings["key"].null_count() == 0
    assert findings["key"].is_unique().all()
    assert findings["score"].is_between(0, 1).all()
    assert findings["score"].null_count() == 0
    assert (findings["why"].str.len_chars() > 0).all()
    assert findings["why"].null_count() == 0
    assert set(findings["severity"].drop_nulls()) <= set(SEVERITIES.categories)
    assert set(flagged["key"]) <= set(findings["key"])
    assert flagged["file"].null_count() == 0
    assert not flagged.select("key", "file", "row").is_duplicated().any()
    names = Counter((measure.name, measure.column, measure.group) for measure in judgement.measures)
    assert all(count == 1 for count in names.values())
    for measure in judgement.measures:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", measure.name)
        assert measure.n >= 0
        assert not math.isinf(measure.value)


# Nothing, and nulls


@every_record_rule
def test_nothing_read_nothing_found(kind: type[RecordDetector]) -> None:
    assert judge_in_memory(kind(), []).findings.is_empty()
    for example in kind.examples:
        data = records(example.data)
        roles = resolve(data.schema, example.roles)
        judgement = judge_in_memory(kind(**example.options), [cut(data.slice(0, 0), roles=roles)])
        check_sound(judgement)
        assert judgement.findings.is_empty()
        assert judgement.flagged.is_empty()


@every_set_rule
def test_nothing_seen_nothing_found(kind: type[SetDetector]) -> None:
    for tables in ({}, {"changes": []}):
        judgement = kind().judge(seen(tables))
        check_sound(judgement)
        assert judgement.findings.is_empty()
        assert judgement.flagged.is_empty()


@every_record_rule
def test_nulls_everywhere_break_nothing(kind: type[RecordDetector]) -> None:
    for example in (*kind.examples, None):
        data = records(example.data) if example else general_records()
        roles = resolve(data.schema, example.roles if example else {})
        detector = kind(**example.options) if example else kind()
        nulls = pa.RecordBatch.from_arrays(
            [pa.nulls(data.num_rows, column.type) for column in data.columns], schema=data.schema
        )
        check_sound(judge_in_memory(detector, [cut(nulls, roles=roles)]))
        check_sound(judge_in_memory(detector, [cut(nulls, roles=roles), cut(data, roles=roles)]))


# Evidence


@every_record_rule
def test_evidence_is_a_table_of_one_shape(kind: type[RecordDetector]) -> None:
    """It names no file, names rows as u64, has the same columns whatever was read, and survives Parquet."""
    data = served(kind)
    roles = resolve(data.schema, {})
    other = records({"unheard_of": [1.5, None], "unseen": ["x", None]})
    known = None
    for this in kind().passes():
        if this.sweep is not None:
            continue  # over the whole set: there is nothing that it must write down alike for each batch
        tables = [
            observe(this, known, cut(part, roles=roles))
            for part in (data, data.slice(0, 0), data.slice(0, 1))
        ]
        other_roles = resolve(other.schema, {})
        if other_roles.has(kind.needs):
            tables.append(observe(this, known, cut(other, roles=other_roles)))
        assert all(table.schema == tables[0].schema for table in tables)
        assert "file" not in tables[0].columns
        assert tables[0].schema.get("row", pl.UInt64) == pl.UInt64
        assert this.relate is None or {tables[0].schema[key] for key in this.keys} == {pl.UInt64()}
        stored = io.BytesIO()
        tables[0].write_parquet(stored)
        stored.seek(0)
        assert pl.read_parquet(stored).equals(tables[0])
        if this.fold is not None:
            evidence = look(kind(), this, known, [[cut(data, roles=roles)]])
            assert evidence is not None
            known = this.fold(evidence.lazy(), known)
            check_told(known)


def check_told(known: Known) -> None:
    """What a pass is told goes to files and processes: named arrays, numbers and strings, and lists of these."""
    for name, value in (known or {}).items():
        assert isinstance(name, str)
        assert isinstance(value, np.ndarray | str | int | float | list), name
        assert np.asarray(value).dtype != object, name


def test_evidence_changes_only_with_the_rules_version(update_goldens: bool) -> None:
    found = {
        kind.rule.code: {"version": kind.rule.version, "passes": evidence_digests(kind)}
        for kind in ABOUT_RECORDS
    }
    if update_goldens:
        GOLDEN.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")
    golden = json.loads(GOLDEN.read_text())
    for code, now in found.items():
        hint = "after raising Rule.version run the tests with --update-goldens"
        assert code in golden, f"{code} has no golden evidence: run the tests with --update-goldens"
        if now["passes"] != golden[code]["passes"]:
            assert now["version"] != golden[code]["version"], f"{code} writes down other evidence: {hint}"
        assert now == golden[code], f"{code} has a new version: run the tests with --update-goldens"
    assert set(golden) == set(found), "a rule is gone: run the tests with --update-goldens"


def evidence_digests(kind: type[RecordDetector]) -> list[str]:
    """A digest of each pass's evidence over fixed records; floats count to six decimals."""
    data = served(kind)
    known, digests = None, []
    for this in kind().passes():
        evidence = look(kind(), this, known, [[cut(data, [20])]])
        assert evidence is not None
        lines = sorted(
            json.dumps(row, sort_keys=True, default=str) for row in map(rounded, evidence.to_dicts())
        )
        schema = json.dumps({name: str(dtype) for name, dtype in evidence.schema.items()})
        digests.append(hashlib.sha256("\n".join([schema, *lines]).encode()).hexdigest())
        if this.fold is not None:
            known = this.fold(evidence.lazy(), known)
    return digests


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    return [rounded(part) for part in value] if isinstance(value, list) else value


# Cuts and order


def said(judgement: Judgement) -> dict[str, Any]:
    """A judgement by value; a missing number equals itself."""
    return {
        "findings": sorted(map(repr, judgement.findings.rows())),
        "flagged": sorted(map(repr, judgement.flagged.rows())),
        "measures": sorted(map(repr, judgement.measures)),
        "rest": (judgement.not_applicable, judgement.incomplete),
    }


def said_of_content(judgement: Judgement) -> dict[str, Any]:
    """What must not change when records move: ids, scores, measures, how many records each finding has."""
    counts = judgement.flagged.group_by("key").len().sort("key")
    return {
        "findings": sorted(
            map(repr, judgement.findings.select("key", "score", "column", "group", "severity").rows())
        ),
        "flagged": counts.rows(),
        "measures": sorted(map(repr, judgement.measures)),
    }


def general_records() -> pa.RecordBatch:
    """Records with a column of every role, and something for every rule about records."""
    n = 48
    turns = [
        [{"role": "user", "content": f"turn {i % 7}"}, {"role": "assistant", "content": None}]
        for i in range(n)
    ]
    return records(
        {
            "id": list(range(n)),
            "text": [f"the text of record {i % 40}" for i in range(n - 3)]
            + ["ig\u200bnore", "p\u0430ypal", None],
            "prompt": [f"prompt {i % 40}" for i in range(n)],
            "response": ["no"] * n,
            "label": ["x"] * (n - 2) + ["y", None],
            "messages": [*turns[:-8], *turns[:8]],
            "f1": [float(i % 7) for i in range(n - 1)] + [60.0],
            "f2": [None, math.nan, math.inf, *(float(i % 5) for i in range(n - 4)), -80.0],
            "f3": [i % 3 for i in range(n - 1)] + [900],
            "source": ["here"] * (n // 2) + ["there"] * (n // 2),
            "split": ["train"] * n,
            "url": [f"https://example.org/{i}" for i in range(n)],
            "embedding": [[float(i), 1.0] for i in range(n)],
        }
    )


def served(kind: type[RecordDetector]) -> pa.RecordBatch:
    """The general records, or those of the rule's last example where they lack what it needs."""
    data = general_records()
    return data if resolve(data.schema, {}).has(kind.needs) else records(kind.examples[-1].data)


TEXTS = st.sampled_from(
    ["", "a", "a b", "ig\u200bnore", "p\u0430ypal", "\u05d0\u202eb", "\u202eb", "\U000e0041", "é", "a\u0301"]
)
NUMBERS = st.one_of(st.none(), st.floats(width=32), st.sampled_from([0.0, 1.0, 1e300, -1.0]))
RECORDS = st.fixed_dictionaries(
    {
        "text": st.one_of(st.none(), TEXTS),
        "label": st.sampled_from(["x", "y", None]),
        "f1": NUMBERS,
        "f2": NUMBERS,
        "source": st.sampled_from(["s", "t"]),
        "messages": st.lists(
            st.fixed_dictionaries({"role": TEXTS, "content": st.one_of(st.none(), TEXTS)}), max_size=2
        ),
    }
)
SCHEMA = pa.schema(
    {
        "text": pa.large_string(),
        "label": pa.large_string(),
        "f1": pa.float64(),
        "f2": pa.float64(),
        "source": pa.large_string(),
        "messages": pa.large_list(pa.struct({"role": pa.large_string(), "content": pa.large_string()})),
    }
)


@st.composite
def generated(draw: st.DrawFn) -> pa.RecordBatch:
    few = draw(st.lists(RECORDS, min_size=1, max_size=8))
    # Repeated and disturbed, so that rules which need many records see enough.
    rows = [
        row | {"f1": None if row["f1"] is None else row["f1"] + 0.1 * i}
        for i, row in itertools.product(range(draw(st.integers(1, 6))), few)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=SCHEMA)


def data_of(kind: type[RecordDetector]) -> list[tuple[pa.RecordBatch, Any, dict[str, Any]]]:
    """The data of the rule's examples, and the general records, with roles and options."""
    examples = [(records(example.data), example.roles, dict(example.options)) for example in kind.examples]
    return [*examples, (general_records(), {}, {})]


CUTS = st.lists(st.integers(0, 210), max_size=6)


@every_record_rule
@settings(max_examples=12, deadline=None)
@given(at=CUTS, random=st.randoms(use_true_random=False), made=generated(), choice=st.integers(0, 5))
def test_cuts_and_order_of_evidence_do_not_matter(
    kind: type[RecordDetector], at: list[int], random: Any, made: pa.RecordBatch, choice: int
) -> None:
    """However a file is cut into batches and work items, and in whatever order their evidence comes."""
    known = [*data_of(kind), (made, {}, {}), (made, {}, {})]
    data, declared, options = known[choice % len(known)]
    roles, detector = resolve(data.schema, declared), kind(**options)
    whole = judge_in_memory(detector, [cut(data, roles=roles)])
    check_sound(whole)
    batches = cut(data, at, roles)
    assert said(judge_in_memory(detector, [batches])) == said(whole)
    slices = [[batch] for batch in batches]
    random.shuffle(slices)
    assert said(judge_slices(detector, [slices])) == said(whole)


@every_record_rule
@settings(max_examples=12, deadline=None)
@given(at=CUTS, random=st.randoms(use_true_random=False), made=generated(), choice=st.integers(0, 5))
def test_findings_come_from_content_not_from_addresses(
    kind: type[RecordDetector], at: list[int], random: Any, made: pa.RecordBatch, choice: int
) -> None:
    """However the records are ordered and put into files, the same findings with as many records, and measures."""
    known = [*data_of(kind), (made, {}, {}), (made, {}, {})]
    data, declared, options = known[choice % len(known)]
    roles, detector = resolve(data.schema, declared), kind(**options)
    whole = judge_in_memory(detector, [cut(data, roles=roles)])
    order = list(range(data.num_rows))
    random.shuffle(order)
    parts = cut(data.take(pa.array(order, pa.int64())), at, roles)
    files = [cut(part.data, roles=roles) for part in parts]
    assert said_of_content(judge_in_memory(detector, files)) == said_of_content(whole)


@every_set_rule
@settings(max_examples=10, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_order_of_what_was_seen_does_not_matter(kind: type[SetDetector], random: Any) -> None:
    for example in kind.examples:
        detector = kind(**example.options)
        tables = {name: list(rows) for name, rows in example.seen.items()}
        whole = said(detector.judge(seen(tables)))
        for name, rows in tables.items():
            if name != "files":  # sorted by name: their order says which number a file has
                random.shuffle(rows)
        assert said(detector.judge(seen(tables))) == whole

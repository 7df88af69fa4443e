"""The gate passes what a policy passes, and nothing that is absent, unknown, unfinished or hostile."""

from __future__ import annotations

import importlib
import inspect
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from dataguard import resources
from dataguard.detectors import catalogue
from dataguard.errors import RunError, UsageError
from dataguard.findings import TABLES, conform
from dataguard.gate.judge import gate
from dataguard.gate.policies import policy_path, read_policy
from dataguard.gate.validate import _raised, _read, load, to_pandas
from dataguard.gate.verdict import Verdict
from dataguard.gate.views import ABSENT, OTHER, STRANGE, WORD_COLUMNS, Asked, view
from dataguard.run import Run
from test_limits import CODES

RELEASE = policy_path("release")
JUDGE = importlib.import_module("dataguard.gate.judge")  # `dataguard.gate` may be the function
HOSTILE = "\u202e<script>alert(1)</script>\x1b[31m=cmd()"
FILE_RULES = {
    "DG502": "files_of_another_schema",
    "DG503": "unreadable_files",
    "DG504": "over_budget_files",
    "DG505": "changed_files",
    "DG506": "lying_files",
    "DG507": "ambiguous_files",
    "DG508": "planted_evidence",
}
INSIDE_WORDS = ("zero-width-in-word", "mixed-word", "selector", "filler")
HOMOGENEITY = {
    "compression_ratio": 2.2,
    "distinct_words": 0.5,
    "distinct_pairs": 0.9,
    "distinct_triples": 0.95,
    "entropy_of_words": 7.5,
    "entropy_of_pairs": 8.7,
    "entropy_of_triples": 8.9,
    "mean_cosine": 0.1,
    "vendi_score": 45.0,
    "template_share": 0.1,
}
SIDES = ("inputs", "answers", "embeddings")
DRIFT = {
    "uncounted_columns": 1.0,
    "largest_drift": 0.05,
    **{
        f"{kind}_{distance}": 0.02
        for kind in ("label", "category", "number", "length", "word")
        for distance in ("psi", "jensen_shannon")
    },
    **{
        f"{kind}_{distance}": 0.02
        for kind in ("number", "length")
        for distance in ("kolmogorov_smirnov", "sketch_precision")
    },
}
MEASURES = {
    ("DG101", "duplicate_share", ""): 0.001,
    ("DG101", "largest_group", ""): 2.0,
    ("DG102", "candidates_per_document", ""): 1.5,
    ("DG102", "unjudged_share", ""): 0.01,
    ("DG103", "leaked_share", ""): 0.0,
    ("DG103", "unknown_split_share", ""): 0.0,
    ("DG104", "conflict_share", ""): 0.001,
    ("DG105", "duplicate_share", ""): 0.02,
    ("DG105", "flood_share", ""): 0.0,
    ("DG106", "shared_spans", ""): 0.0,
    ("DG107", "repeated_share", ""): 0.01,
    ("DG201", "outlier_share", ""): 0.004,
    ("DG201", "unjudged_share", ""): 0.1,
    ("DG201", "beyond_share", ""): 0.002,
    ("DG201", "value_share", ""): 0.3,
    ("DG202", "outlier_share", ""): 0.004,
    ("DG202", "unscored_share", ""): 0.0,
    ("DG202", "imputed_share", ""): 0.1,
    ("DG203", "hidden_share", ""): 0.0,
    **{("DG203", "hidden_share", kind): 0.0 for kind in INSIDE_WORDS},
    ("DG204", "planted_sequences", ""): 0.0,
    ("DG205", "collapsed_share", ""): 0.0,
    ("DG206", "gibberish_share", ""): 0.0,
    ("DG207", "label_noise_share", ""): 0.01,
    ("DG207", "overlapping_share", ""): 0.0,
    ("DG207", "unscored_share", ""): 0.0,
    ("DG208", "burst_share", ""): 0.0,
    ("DG208", "unsampled_share", ""): 0.0,
    ("DG209", "unsound_share", ""): 0.0,
    ("DG209", "wrong_dimension_share", ""): 0.0,
    ("DG209", "zero_share", ""): 0.0,
    ("DG209", "flooded_share", ""): 0.0,
    ("DG209", "separation", ""): 3.0,
    ("DG209", "mixed_share", ""): 0.0,
    ("DG209", "missing_vector_share", ""): 0.0,
    ("DG209", "odd_norm_share", ""): 0.0,
    ("DG209", "hub_share", ""): 0.0,
    ("DG209", "hubness_skewness", ""): 2.0,
    ("DG209", "agreeing_neighbour_share", ""): 0.8,
    ("DG209", "component_share", ""): 0.1,
    **{("DG209", f"{what}map_share", ""): 0.01 for what in ("", "flood_", "hub_", "shift_", "mixed_")},
    ("DG210", "injected_share", ""): 0.0,
    ("DG211", "secret_share", ""): 0.0,
    ("DG212", "personal_share", ""): 0.01,
    ("DG213", "unsafe_files", ""): 0.0,
    ("DG214", "mismatch_share", ""): 0.0,
    ("DG215", "burst_share", ""): 0.001,
    ("DG216", "equal_share", ""): 0.0,
    ("DG301", "max_label_share", ""): 0.4,
    ("DG301", "unlabelled_share", ""): 0.0,
    ("DG301", "effective_labels", ""): 3.0,
    ("DG301", "label_share", ""): 0.3,
    ("DG302", "largest_parity_difference", ""): 0.1,
    ("DG302", "largest_association", ""): 0.1,
    ("DG302", "uncounted_columns", ""): 1.0,
    ("DG302", "missing_share", ""): 0.0,
    ("DG302", "thin_cell_share", ""): 0.1,
    ("DG302", "term_share", ""): 0.01,
    **{
        ("DG302", f"{of}{name}", ""): value
        for of in ("", "term_")
        for name, value in {
            "cramers_v": 0.05,
            "theils_u": 0.01,
            "demographic_parity_difference": 0.1,
            "demographic_parity_ratio": 0.8,
            "selection_rate": 0.4,
        }.items()
    },
    ("DG303", "top_source_share", ""): 0.6,
    ("DG303", "sources", ""): 3.0,
    ("DG303", "effective_sources", ""): 2.2,
    ("DG303", "source_share", ""): 0.4,
    ("DG303", "unnamed_share", ""): 0.0,
    ("DG304", "out_of_line", ""): 1.2,
    ("DG304", "diversity", ""): 0.7,
    ("DG304", "uncompared_share", ""): 0.1,
    **{
        ("DG304", f"{name}_of_{side}", ""): value for side in SIDES[:2] for name, value in HOMOGENEITY.items()
    },
    ("DG304", "mean_cosine_of_embeddings", ""): 0.7,
    ("DG304", "vendi_score_of_embeddings", ""): 3.0,
    **{
        ("DG304", f"times_the_{than}_of_{side}", ""): 1.1
        for side in SIDES
        for than in ("others", "earlier_run")
    },
    **{(rule, name, ""): value for rule in ("DG305", "DG306") for name, value in DRIFT.items()},
    ("DG307", "ungrouped_share", ""): 0.0,
    ("DG307", "infinite_share", ""): 0.0,
    ("DG307", "missing_share", ""): 0.1,
    ("DG401", "unknown_share", ""): 0.0,
    **{(rule, name, ""): 0.0 for rule, name in FILE_RULES.items()},
}
RULES = sorted({rule for rule, _, _ in MEASURES})


def file_row(**change):
    row = {
        "file": HOSTILE,
        "size": 10,
        "sha256": "ab" * 32,
        "format": "parquet",
        "status": "read",
        "reason": HOSTILE,
    }
    return row | {"rows_declared": 3, "rows_decoded": 3, "rows_digested": 3} | change


def finding(**change):
    row = {"id": "DG101-0123456789abcdef", "rank": 1, "rule": "DG101", "severity": "low", "confidence": "low"}
    return (
        row
        | {"task": "PW.3.1", "score": 0.5, "records": 2, "column": HOSTILE, "group": HOSTILE, "why": HOSTILE}
        | change
    )


def outcome(rule, ended="clear"):
    return {"rule": rule, "outcome": ended, "reason": HOSTILE, "rows_seen": 3, "version": 1, "options": "{}"}


def measure(rule, name, value, column=HOSTILE, group=""):
    return {"rule": rule, "name": name, "column": column, "group": group, "value": value, "n": 3}


def measures(values):
    return [measure(rule, name, value, group=group) for (rule, name, group), value in values.items()]


def clean_tables():
    """A run that the release policy passes, every text of the data hostile."""
    other = file_row(
        format="other", status="other", rows_declared=None, rows_decoded=None, rows_digested=None
    )
    return {
        "files": [file_row(), file_row(format="jsonl", rows_declared=None), other],
        "findings": [finding()],
        "measures": measures(MEASURES),
        "outcomes": [outcome(rule) for rule in RULES],
        "sources": [
            {"source": HOSTILE, "status": "declared", "reason": HOSTILE, "records": 3, "licence": "MIT"}
        ],
    }


def about(line):
    return line.kwargs["rule"], line.kwargs["name"], line.kwargs.get("group", "")


def table(name, rows):
    return conform(
        pl.DataFrame(rows, infer_schema_length=None) if rows else pl.DataFrame(schema=TABLES[name]),
        TABLES[name],
    )


def make_run(folder, tables=None, info=None):
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder)
    run.write("run.json", json.dumps({"complete": True} if info is None else info).encode())
    for name, rows in (tables or clean_tables()).items():
        if rows is not None:
            run.write_table(name, table(name, rows))
    return run


def entry(kind, severity="critical", **kwargs):
    return {
        "type": kind,
        "kwargs": kwargs,
        "severity": severity,
        "meta": {"task": "PW.3.1", "reason": "because"},
    }


def make_policy(folder, **suites):
    folder.mkdir()
    for name, expectations in suites.items():
        (folder / f"{name}.json").write_text(json.dumps({"name": name, "expectations": expectations}))
    return folder


def judged(tmp_path, tables, **suites):
    """The lines of a policy against a clean run with some tables replaced; None removes one."""
    verdict = gate(
        make_run(tmp_path / "run", clean_tables() | tables), make_policy(tmp_path / "policy", **suites)
    )
    return verdict.lines


def one(tmp_path, tables, suite, kind, /, **kwargs):
    (line,) = judged(tmp_path, tables, **{suite: [entry(kind, **kwargs)]})
    return line


# --- the shipped policy -----------------------------------------------------------------------------------


def test_release_passes_a_clean_run(tmp_path):
    verdict = gate(make_run(tmp_path / "run"), RELEASE)
    assert [line.words for line in verdict.reasons] == []
    assert (verdict.passed, verdict.complete, verdict.exit_code, verdict.policy) == (True, True, 0, "release")
    assert set(verdict.tasks.values()) == {"passed"}
    assert {"PW.3.1", "PW.3.2", "PO.4.1"} <= set(verdict.tasks)


SPOILT = {
    "no files": ({"files": []}, "files"),
    "a refused file": ({"files": [file_row(status="refused")]}, "files"),
    "a partly read file": ({"files": [file_row(status="partial")]}, "files"),
    "a status of nobody": ({"files": [file_row(status="fine")]}, "files"),
    "no status": ({"files": [file_row(status=None)]}, "files"),
    "fewer rows decoded": ({"files": [file_row(rows_decoded=2, rows_digested=2)]}, "files"),
    "fewer rows digested": ({"files": [file_row(rows_digested=2)]}, "files"),
    "rows unknown": ({"files": [file_row(rows_decoded=None, rows_digested=None)]}, "files"),
    "rows undeclared in Parquet": ({"files": [file_row(rows_declared=None)]}, "files"),
    "no digest": ({"files": [file_row(sha256=None)]}, "files"),
    "a rule's error": (
        {"outcomes": [outcome(r, "error" if r == "DG301" else "clear") for r in RULES]},
        "outcomes",
    ),
    "a rule that stopped": (
        {"outcomes": [outcome(r, "incomplete" if r == "DG203" else "clear") for r in RULES]},
        "outcomes",
    ),
    "an outcome of nobody": (
        {"outcomes": [outcome(r, "great" if r == "DG203" else "clear") for r in RULES]},
        "outcomes",
    ),
    "a rule left out": ({"outcomes": [outcome(r) for r in RULES if r != "DG203"]}, "outcomes"),
    "no rule at all": ({"outcomes": []}, "outcomes"),
    "a rule twice": ({"outcomes": [outcome(r) for r in [*RULES, "DG101"]]}, "outcomes"),
    "a high finding": ({"findings": [finding(severity="high")]}, "findings"),
    "a finding of unknown severity": ({"findings": [finding(severity=None)]}, "findings"),
    "a contradicted source": ({"sources": [{"source": "x", "status": "contradicted"}]}, "sources"),
    "a source without status": ({"sources": [{"source": "x"}]}, "sources"),
    **{f"no {name}": ({name: None}, name) for name in WORD_COLUMNS},
}


@pytest.mark.parametrize(("tables", "where"), SPOILT.values(), ids=SPOILT)
def test_release_fails(tmp_path, tables, where):
    verdict = gate(make_run(tmp_path / "run", clean_tables() | tables), RELEASE)
    assert not verdict.passed
    assert verdict.exit_code == (1 if verdict.complete else 3)
    assert where in {line.table for line in verdict.reasons if line.severity == "critical"}


@pytest.mark.parametrize("value", [math.nan, math.inf, None, 1e6, "gone"])
def test_release_meets_no_measure_that_is_absent_or_beyond(tmp_path, value):
    rows = [] if value == "gone" else measures(dict.fromkeys(MEASURES, value))
    if value == 1e6:  # what has only a lower limit is beyond it on the other side
        asked = [line for line in read_policy(RELEASE).lines if line.table == "measures"]
        rows += measures({about(line): -value for line in asked if "max_value" not in line.kwargs})
    verdict = gate(make_run(tmp_path / "run", clean_tables() | {"measures": rows}), RELEASE)
    assert verdict.exit_code == 1
    lines = [line for line in verdict.lines if line.table == "measures"]
    assert {about(line) for line in lines} == set(MEASURES)
    assert {about(line) for line in lines if line.met} == {
        about(line) for line in lines if value == "gone" and line.kwargs.get("if_not_measured") == "pass"
    }


KEYS = [
    ("DG401", "unknown_share", ""),
    ("DG508", "planted_evidence", ""),
    ("DG203", "hidden_share", "mixed-word"),
]


@pytest.mark.parametrize("key", KEYS, ids="-".join)
def test_one_measure_is_enough_to_fail(tmp_path, key):
    rows = measures({**MEASURES, key: math.nan})
    verdict = gate(make_run(tmp_path / "run", clean_tables() | {"measures": rows}), RELEASE)
    assert [about(line) for line in verdict.reasons] == [key]
    assert verdict.exit_code == 1


def test_release_does_without_labels_and_features_but_not_without_a_look(tmp_path):
    without = {"DG102", "DG103", "DG104", "DG105", "DG202", "DG301"}
    tables = clean_tables()
    tables["outcomes"] = [outcome(rule, "not-applicable" if rule in without else "clear") for rule in RULES]
    tables["measures"] = [row for row in tables["measures"] if row["rule"] not in without]
    assert gate(make_run(tmp_path / "run", tables), RELEASE).passed
    tables["outcomes"] = [outcome(rule, "not-applicable" if rule == "DG101" else "clear") for rule in RULES]
    assert not gate(make_run(tmp_path / "run", tables), RELEASE).passed


def test_a_warning_is_reported_and_passes(tmp_path):
    rows = measures({**MEASURES, ("DG203", "hidden_share", ""): 0.002})
    verdict = gate(make_run(tmp_path / "run", clean_tables() | {"measures": rows}), RELEASE)
    assert verdict.passed
    assert [(line.severity, line.observed) for line in verdict.reasons] == [("warning", "0.002")]
    assert (
        "DG203 hidden_share over all groups at most 0.001, or the rule not applicable; observed 0.002"
        in verdict.reasons[0].words
    )


def _source_of(module):
    """The source of a rule's module and of the private ones that it takes functions from."""
    homes = {inspect.getmodule(value) for value in vars(module).values()} - {None}
    private = [home for home in homes if home.__name__.startswith("dataguard.detectors._")]
    return "".join(inspect.getsource(one) for one in [module, *private])


def test_release_names_only_measures_that_its_rules_write_down():
    kinds = {kind.rule.code: kind for kind in catalogue()}
    for line in read_policy(RELEASE).lines:
        # What is measured of numbers, vectors and balance is told by measuring it: test_limits.py.
        if line.table == "measures" and line.kwargs["rule"] in set(kinds) - set(CODES):
            source = _source_of(inspect.getmodule(kinds[line.kwargs["rule"]]))
            name = line.kwargs["name"]
            assert f'"{name}"' in source or f'_{name.rpartition("_")[2]}"' in source, (
                f"{line.kwargs['rule']} {name}"
            )


def test_release_is_strict_json_that_great_expectations_reads_too():
    load()
    from great_expectations import ExpectationSuite

    policy = read_policy(RELEASE)
    for path in RELEASE.glob("*.json"):
        suite = ExpectationSuite(**json.loads(path.read_text()))
        assert len(suite.expectations) == sum(line.table == path.stem for line in policy.lines)


# --- incomplete beats failed ------------------------------------------------------------------------------


@pytest.mark.parametrize("info", [{"complete": False}, {}, {"complete": "yes"}, {"complete": 1}])
def test_a_scan_that_did_not_complete_is_incomplete_whatever_its_tables_say(tmp_path, info):
    verdict = gate(make_run(tmp_path / "run", info=info), RELEASE)
    assert (verdict.passed, verdict.complete, verdict.exit_code) == (False, False, 3)
    assert not verdict.reasons
    assert set(verdict.tasks.values()) == {"incomplete"}


def test_incomplete_beats_failed(tmp_path):
    tables = clean_tables() | {"files": [file_row(status="partial")], "findings": [finding(severity="high")]}
    verdict = gate(make_run(tmp_path / "run", tables), RELEASE)
    assert verdict.exit_code == 3
    assert verdict.incomplete == ("1 of 1 files were not fully read",)
    assert verdict.tasks["PW.3.1"] == "failed"
    assert verdict.tasks["PW.3.2"] == "incomplete"


def test_completeness_is_judged_without_a_line_about_it(tmp_path):
    policy = make_policy(
        tmp_path / "policy", sources=[entry("expect_table_row_count_to_be_between", min_value=1)]
    )
    tables = clean_tables() | {"outcomes": [outcome("DG101", "error"), outcome("DG102", None)], "files": None}
    verdict = gate(make_run(tmp_path / "run", tables), policy)
    assert verdict.exit_code == 3
    assert verdict.incomplete == ("the run has no files.parquet", "2 of 2 rules did not end")


# --- single expectations ----------------------------------------------------------------------------------

MEASURE = "expect_measure_to_be_between"
SHARES = [
    measure("DG301", "label_share", share, "label", group)
    for share, group in [(0.2, "a"), (0.3, ""), (0.5, "b")]
]


@pytest.mark.parametrize(
    ("kwargs", "met", "observed"),
    [
        ({"max_value": 0.5}, True, "0.2 to 0.5, 0 of 3 outside"),
        ({"max_value": 0.4}, False, "0.2 to 0.5, 1 of 3 outside"),
        ({"min_value": 0.2, "max_value": 0.5}, True, "0.2 to 0.5, 0 of 3 outside"),
        ({"max_value": 0.4, "group": "a"}, True, "0.2"),
        ({"max_value": 0.4, "group": "b", "column": "label"}, False, "0.5"),
        ({"max_value": 0.4, "group": ""}, True, "0.3"),
        ({"max_value": 0.9, "column": ""}, False, "no such measure"),
        ({"max_value": 0.9, "group": "c"}, False, "no such measure"),
        ({"max_value": 0.9, "column": "other"}, False, "no such measure"),
    ],
)
def test_a_measure_by_column_and_group(tmp_path, kwargs, met, observed):
    line = one(
        tmp_path, {"measures": SHARES}, "measures", MEASURE, rule="DG301", name="label_share", **kwargs
    )
    assert (line.met, line.observed) == (met, observed)


@pytest.mark.parametrize(
    ("ended", "rows", "leave", "met", "observed"),
    [
        ("not-applicable", [], "pass", True, "DG301 not applicable"),
        ("not-applicable", [], "fail", False, "DG301 not applicable"),
        ("not-applicable", [], None, False, "DG301 not applicable"),
        ("not-applicable", SHARES, "pass", True, "0.2 to 0.5, 0 of 3 outside"),
        (
            "not-applicable",
            [*SHARES[:-1], SHARES[-1] | {"value": 2.0}],
            "pass",
            False,
            "0.2 to 2.0, 1 of 3 outside",
        ),
        ("not-applicable", SHARES, "fail", False, "DG301 not applicable"),
        ("error", SHARES, "pass", False, "DG301 error"),
        ("incomplete", SHARES, "pass", False, "DG301 incomplete"),
        ("flagged", SHARES, None, True, "0.2 to 0.5, 0 of 3 outside"),
        (None, SHARES, "pass", False, "DG301 (absent)"),
        ("gone", SHARES, "pass", False, "DG301 (absent)"),
        ("gone", [], "pass", False, "DG301 did not run"),
    ],
)
def test_a_measure_counts_only_if_its_rule_ended(tmp_path, ended, rows, leave, met, observed):
    outcomes = [] if ended == "gone" else [outcome("DG301", ended)]
    kwargs = {"rule": "DG301", "name": "label_share", "max_value": 1} | (
        {"if_not_applicable": leave} if leave else {}
    )
    line = one(tmp_path, {"measures": rows, "outcomes": outcomes}, "measures", MEASURE, **kwargs)
    assert (line.met, line.observed) == (met, observed)


@pytest.mark.parametrize(
    ("rows", "ended", "kwargs", "met", "observed"),
    [
        ([], "clear", {}, False, "no such measure"),
        ([], "clear", {"if_not_measured": "fail"}, False, "no such measure"),
        ([], "clear", {"if_not_measured": "pass"}, True, "nothing there to measure"),
        ([], "flagged", {"if_not_measured": "pass"}, True, "nothing there to measure"),
        (SHARES, "clear", {"if_not_measured": "pass"}, False, "0.2 to 0.5, 1 of 3 outside"),
        (SHARES, "clear", {"if_not_measured": "pass", "group": "c"}, False, "no such measure"),
        (SHARES, "clear", {"if_not_measured": "pass", "column": "c"}, False, "no such measure"),
        ([], "not-applicable", {"if_not_measured": "pass"}, False, "DG301 not applicable"),
        ([], "error", {"if_not_measured": "pass"}, False, "DG301 error"),
        ([], "incomplete", {"if_not_measured": "pass"}, False, "DG301 incomplete"),
        ([], "gone", {"if_not_measured": "pass"}, False, "DG301 did not run"),
    ],
)
def test_a_measure_that_is_not_there_passes_only_if_the_line_says_so_and_its_rule_ended(
    tmp_path, rows, ended, kwargs, met, observed
):
    outcomes = [] if ended == "gone" else [outcome("DG301", ended)]
    tables = {"measures": rows, "outcomes": outcomes}
    asked = {"rule": "DG301", "name": "label_share", "max_value": 0.4} | kwargs
    line = one(tmp_path, tables, "measures", MEASURE, **asked)
    assert (line.met, line.observed) == (met, observed)


@pytest.mark.parametrize(
    ("rows", "kwargs", "met", "observed"),
    [
        ([], {"max_count": 0}, True, "0 findings"),
        ([finding(), finding(rule="DG203")], {"max_count": 1}, False, "2 findings: 1 of DG101, 1 of DG203"),
        ([finding(), finding(rule="DG203")], {"max_count": 0, "rules": ["DG3"]}, True, "0 findings"),
        (
            [finding(), finding(rule="DG203")],
            {"max_count": 1, "rules": ["DG2"]},
            True,
            "1 finding: 1 of DG203",
        ),
        (
            [finding(severity="odd")],
            {"max_count": 0, "severities": ["high"]},
            False,
            "1 finding: 1 of DG101",
        ),
        (
            [finding(rule=HOSTILE)],
            {"max_count": 0, "rules": ["DG101"]},
            False,
            "1 finding: 1 of (strange); (strange) (absent)",
        ),
        ([finding(rule=None)], {"max_count": 9}, False, "1 finding: 1 of (absent); (absent) (absent)"),
        ([], {"max_count": 9, "rules": ["DG999"]}, False, "DG999 did not run"),
    ],
)
def test_findings_are_counted_by_rule_and_severity(tmp_path, rows, kwargs, met, observed):
    line = one(tmp_path, {"findings": rows}, "findings", "expect_findings_at_most", **kwargs)
    assert (line.met, line.observed) == (met, observed)


def test_no_finding_of_a_rule_that_failed_is_no_good_news(tmp_path):
    outcomes = [outcome("DG101", "error"), outcome("DG202")]
    lines = judged(
        tmp_path,
        {"findings": [], "outcomes": outcomes},
        findings=[
            entry("expect_findings_at_most", max_count=5),
            entry("expect_findings_at_most", max_count=0, rules=["DG2"]),
        ],
    )
    assert [(line.met, line.observed) for line in lines] == [
        (False, "0 findings; DG101 error"),
        (True, "0 findings"),
    ]


def test_words_of_others_are_named_but_not_quoted(tmp_path):
    rows = [{"source": "x", "status": status} for status in ("declared", HOSTILE, None, *["unknown"] * 30)]
    line = one(
        tmp_path,
        {"sources": rows},
        "sources",
        "expect_column_values_to_be_in_set",
        column="status",
        value_set=["declared"],
    )
    assert (line.met, line.observed) == (False, f"32 of 33 otherwise: 1 {ABSENT}, 1 {STRANGE}, 30 unknown")


def test_rows_are_counted(tmp_path):
    kind = "expect_table_row_count_to_be_between"
    lines = judged(
        tmp_path,
        {},
        files=[entry(kind, min_value=3), entry(kind, max_value=2), entry(kind, min_value=1, max_value=3)],
    )
    assert [(line.met, line.observed) for line in lines] == [(True, "3"), (False, "3"), (True, "3")]


# --- Great Expectations' answers are not taken at their word ------------------------------------------------


def answer(**change):
    plain = {
        "success": True,
        "exception_info": {"raised_exception": False},
        "result": {"observed_value": "fine"},
    }
    return SimpleNamespace(**plain | change)


@pytest.mark.parametrize(
    "results",
    [
        [],
        [answer(), answer()],
        [answer(success=None)],
        [answer(success="yes")],
        [answer(success=1)],
        [answer(exception_info={"raised_exception": True, "exception_message": HOSTILE})],
        [answer(exception_info={"metric": {"raised_exception": True, "exception_message": "no column"}})],
        [answer(exception_info={"metric": None})],
        [answer(exception_info=None)],
    ],
)
def test_an_answer_that_is_not_one_clear_yes_is_a_no(results):
    met, observed = _read(results)
    assert not met
    assert observed.isprintable()
    assert _read([answer()]) == (True, "fine")


def test_an_exception_inside_great_expectations_fails_the_line(tmp_path, monkeypatch):
    load()
    from dataguard.gate import expectations

    def broken(self, table):
        raise ZeroDivisionError("a \x1b[31m mistake")

    monkeypatch.setattr(expectations.ExpectFilesToBeWhole, "judge", broken)
    verdict = gate(make_run(tmp_path / "run"), RELEASE)
    (line,) = verdict.reasons
    assert line.expectation == "expect_files_to_be_whole"
    assert line.observed == "Great Expectations could not judge it: a ?[31m mistake"
    assert verdict.exit_code == 1


def test_an_expectation_that_great_expectations_drops_fails(tmp_path, monkeypatch):
    load()
    import great_expectations as gx

    class Forgetful(gx.ExpectationSuite):
        def __init__(self, name, expectations):
            super().__init__(name=name, expectations=expectations[1:])

    monkeypatch.setattr(gx, "ExpectationSuite", Forgetful)
    verdict = gate(make_run(tmp_path / "run"), RELEASE)
    assert {line.observed for line in verdict.reasons} == {"0 answers of Great Expectations instead of one"}
    assert len(verdict.reasons) == len(WORD_COLUMNS)


def test_exceptions_are_found_wherever_they_stand():
    assert _raised({"raised_exception": False}) == ""
    assert (
        _raised({"a": {"raised_exception": False}, "b": {"raised_exception": True, "exception_message": "m"}})
        == "m"
    )


# --- nothing hostile gets in or out -----------------------------------------------------------------------


def test_no_text_of_the_data_reaches_great_expectations_or_the_verdict(tmp_path, monkeypatch):
    load()
    from great_expectations.datasource.fluent.pandas_datasource import DataFrameAsset

    seen = []
    plain = DataFrameAsset.build_batch_request

    def spy(self, options=None, *args, **kwargs):
        seen.append(options["dataframe"].to_json())
        return plain(self, options, *args, **kwargs)

    monkeypatch.setattr(DataFrameAsset, "build_batch_request", spy)
    tables = clean_tables()
    for rows in tables.values():  # every column of text of every table
        rows[0].update(
            {
                name: HOSTILE
                for name, kind in TABLES[next(k for k, v in tables.items() if v is rows)].items()
                if kind == pl.String
            }
        )
    verdict = gate(make_run(tmp_path / "run", tables), RELEASE)
    assert len(set(seen)) == len(WORD_COLUMNS)
    assert not verdict.passed
    for text in (*seen, verdict.to_json().decode(), *(line.words for line in verdict.lines)):
        for part in ("<script", "alert", "\\u202e", "\u202e", "\\u001b", "\x1b", "cmd"):
            assert part not in text


def test_views_keep_missing_numbers_missing_and_large_ones_exact():
    rows = [file_row(rows_decoded=None, rows_digested=2**63 + 1, rows_declared=2**53 + 1)]
    seen = to_pandas(view("files", {"files": table("files", rows)}, Asked()))
    assert seen["rows_decoded"].isna().tolist() == [True]
    assert seen["rows_digested"].tolist() == [2**63 + 1]
    assert seen["rows_declared"].tolist() == [2**53 + 1]


def test_only_what_the_policy_asks_of_measures_is_seen():
    rows = [
        measure("DG301", "label_share", 0.5, "label", group) for group in ("spam", HOSTILE, "(other)", "")
    ]
    rows.append(measure("DG301", HOSTILE, 0.5))
    tables = {
        "measures": table("measures", rows),
        "outcomes": table("outcomes", [outcome("DG301"), outcome("DG101")]),
    }
    seen = view("measures", tables, Asked(names=frozenset({"label_share"}), about=frozenset({"spam"})))
    assert seen["name"].to_list() == ["label_share"] * 4 + [ABSENT]
    assert seen["group"].to_list() == ["spam", OTHER, OTHER, "", ABSENT]
    assert set(seen["column"]) == {OTHER, ABSENT}


# --- a verdict used again ---------------------------------------------------------------------------------


@pytest.fixture
def no_judge(monkeypatch):
    def refuse(*_):
        raise AssertionError("judged again")

    monkeypatch.setattr(JUDGE, "validate", refuse)


def test_a_verdict_is_used_again_while_tables_and_policy_are_equal(tmp_path, monkeypatch, request):
    run = make_run(tmp_path / "run")
    first = gate(run, RELEASE)
    written = run.read("verdict.json")
    request.getfixturevalue("no_judge")
    assert gate(run, RELEASE) == first
    assert run.read("verdict.json") == written
    with pytest.raises(AssertionError, match="judged again"):
        gate(run, RELEASE, reuse=False)


CHANGES = {
    "a table": lambda run, policy: run.write_table("findings", table("findings", [finding(severity="high")])),
    "a table gone": lambda run, policy: (run.path / "measures.parquet").unlink(),
    "completeness": lambda run, policy: run.write("run.json", b'{"complete":false}'),
    "a suite": lambda run, policy: (policy / "files.json").write_text(
        (policy / "files.json").read_text() + "\n"
    ),
    "a suite gone": lambda run, policy: (policy / "sources.json").unlink(),
    "the policy's name": lambda run, policy: policy.rename(policy.parent / "other"),
    "the verdict": lambda run, policy: run.write(
        "verdict.json", run.read("verdict.json").replace(b'"passed":true', b'"passed":false')
    ),
    "its lines": lambda run, policy: run.write(
        "verdict.json", run.read("verdict.json").replace(b'"max_value":0.05', b'"max_value":0.06')
    ),
    "its form": lambda run, policy: run.write("verdict.json", run.read("verdict.json") + b"\n"),
    "its format": lambda run, policy: run.write(
        "verdict.json", run.read("verdict.json").replace(b"verdict/1", b"verdict/0")
    ),
    "its kind": lambda run, policy: run.write("verdict.json", b'[{"policy":NaN}]'),
    "its depth": lambda run, policy: run.write("verdict.json", b"[" * 100_000),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_changed_is_judged_again(tmp_path, change, request):
    run, policy = make_run(tmp_path / "run"), tmp_path / "policy"
    shutil.copytree(RELEASE, policy)
    gate(run, policy)
    change(run, policy)
    request.getfixturevalue("no_judge")
    with pytest.raises(AssertionError, match="judged again"):
        gate(run, policy if policy.exists() else tmp_path / "other")


def test_another_release_of_great_expectations_judges_again(tmp_path, monkeypatch, request):
    run = make_run(tmp_path / "run")
    gate(run, RELEASE)
    monkeypatch.setattr(JUDGE, "version", lambda _: "99.0")
    request.getfixturevalue("no_judge")
    with pytest.raises(AssertionError, match="judged again"):
        gate(run, RELEASE)


def test_a_verdict_survives_the_round_trip_and_no_edit(tmp_path):
    verdict = gate(
        make_run(tmp_path / "run", clean_tables() | {"findings": [finding(severity="high")]}), RELEASE
    )
    data = verdict.to_json()
    assert Verdict.from_json(data) == verdict
    for edit in (
        data.replace(b'"passed":false', b'"passed":true'),
        data[:-1],
        b"[]",
        b"{}",
        b'{"policy":1}',
        b"\xff",
    ):
        with pytest.raises(ValueError, match=r"expected a verdict|codec|Expecting"):
            Verdict.from_json(edit)


def test_a_run_that_changes_while_it_is_judged_has_no_verdict(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run")

    def meanwhile(lines, views):
        run.write_table("findings", table("findings", [finding(severity="high")]))
        return ()

    monkeypatch.setattr(JUDGE, "validate", meanwhile)
    with pytest.raises(RunError, match="changed while"):
        gate(run, RELEASE)
    assert not run.exists("verdict.json")


@pytest.mark.parametrize("data", [b"", b"PAR1PAR1", b"no table"])
def test_a_damaged_table_is_an_error(tmp_path, data):
    run = make_run(tmp_path / "run")
    run.write("findings.parquet", data)
    with pytest.raises(RunError, match=r"findings\.parquet"):
        gate(run, RELEASE)


# --- policies are read strictly ---------------------------------------------------------------------------

GOOD = entry("expect_measure_to_be_between", rule="DG101", name="duplicate_share", max_value=0.1)


def bad(**change):
    return [GOOD | change]


def bad_kwargs(**change):
    return bad(kwargs=GOOD["kwargs"] | change)


REFUSED = {
    "empty": ([], "a list of expectations, got none"),
    "no list": ({}, "a list of expectations, got none"),
    "no object": (["x"], "expectation 1: expected a JSON object, got str"),
    "an unknown type": (bad(type="expect_mesure_to_be_between"), "an expectation about measures, got"),
    "a type of another table": (
        bad(type="expect_files_to_be_whole", kwargs={}),
        "an expectation about measures",
    ),
    "a type of GX that passes on nothing": (
        bad(type="expect_column_values_to_be_between"),
        "an expectation about",
    ),
    "no type": (bad(type=None), "an expectation about measures, got None"),
    "an unknown argument": (
        bad_kwargs(max_vale=1),
        r"kwargs: expected only .* got 'max_vale'.*\n.*did you mean",
    ),
    "a GX argument that weakens": (bad_kwargs(mostly=0.1), "got 'mostly'"),
    "an unknown key": (bad(notes="x"), "expected only kwargs, meta, severity, type, got 'notes'"),
    "no rule": (bad(kwargs={"name": "x", "max_value": 1}), "got no rule"),
    "no limit": (bad(kwargs={"rule": "DG101", "name": "x"}), "min_value, max_value or both, got neither"),
    "limits the wrong way": (bad_kwargs(min_value=1), "min_value up to max_value, got 1 and 0.1"),
    "a limit as text": (bad_kwargs(max_value="0.1"), r"kwargs\.max_value: expected a number, got '0.1'"),
    "a limit as truth": (bad_kwargs(max_value=True), "expected a number, got True"),
    "a limit as parameter": (bad_kwargs(max_value={"$PARAMETER": "x"}), "expected a number"),
    "no limit but null": (bad_kwargs(max_value=None), "expected a number, got None"),
    "a rule of nobody": (bad_kwargs(rule="DG1"), "the code of a rule"),
    "a rule in other digits": (bad_kwargs(rule="DG١٠١"), "the code of a rule"),
    "a measure that is none": (bad_kwargs(name="a b"), "a name of letters"),
    "a hidden word": (bad_kwargs(column="(other)"), "empty or up to .* begin with no bracket"),
    "neither fail nor pass": (bad_kwargs(if_not_applicable="maybe"), "expected fail or pass"),
    "neither for what is not there": (bad_kwargs(if_not_measured=True), "expected fail or pass"),
    "no severity": ([{k: v for k, v in GOOD.items() if k != "severity"}], "got no severity"),
    "an unknown severity": (bad(severity="fatal"), "the severity critical, warning, info"),
    "no meta": ([{k: v for k, v in GOOD.items() if k != "meta"}], "got no meta"),
    "no task": (bad(meta={"reason": "x"}), "meta: expected reason, task, got no task"),
    "no reason": (bad(meta={"task": "PW.3.1"}), "got no reason"),
    "an empty reason": (bad(meta={"task": "PW.3.1", "reason": ""}), r"meta\.reason: expected text"),
    "a reason that hides": (
        bad(meta={"task": "PW.3.1", "reason": "x\u202ey"}),
        r"meta\.reason: expected text",
    ),
    "a task of nobody": (bad(meta={"task": "PW.3", "reason": "x"}), r"meta\.task: expected a task of NIST"),
    "the same twice": ([GOOD, GOOD | {"severity": "warning"}], None),
    "the same again": ([GOOD, GOOD], "expectation 2: expected each expectation once"),
}


@pytest.mark.parametrize(("expectations", "message"), REFUSED.values(), ids=REFUSED)
def test_a_mistake_in_a_suite_is_refused_with_its_place(tmp_path, expectations, message):
    policy = make_policy(tmp_path / "policy", measures=expectations)
    with pytest.raises(UsageError, match=message or "each expectation once") as caught:
        read_policy(policy)
    assert "measures.json" in str(caught.value)


OTHERS = {
    "a list that repeats": (
        "outcomes",
        entry("expect_outcomes_to_be_in", outcomes=["clear", "clear"], require=["DG101"]),
    ),
    "no list": ("outcomes", entry("expect_outcomes_to_be_in", outcomes="clear", require=["DG101"])),
    "nothing required": ("outcomes", entry("expect_outcomes_to_be_in", outcomes=["clear"], require=[])),
    "an outcome of nobody": (
        "outcomes",
        entry("expect_outcomes_to_be_in", outcomes=["good"], require=["DG101"]),
    ),
    "numbers as words": ("outcomes", entry("expect_outcomes_to_be_in", outcomes=[1], require=["DG101"])),
    "half a finding": ("findings", entry("expect_findings_at_most", max_count=0.5)),
    "a negative count": ("findings", entry("expect_findings_at_most", max_count=-1)),
    "a severity of nobody": ("findings", entry("expect_findings_at_most", max_count=0, severities=["fatal"])),
    "every rule": ("findings", entry("expect_findings_at_most", max_count=0, rules=["DG"])),
    "a column of text": (
        "files",
        entry("expect_column_values_to_be_in_set", column="reason", value_set=["x"]),
    ),
    "a word for nulls": (
        "files",
        entry("expect_column_values_to_be_in_set", column="status", value_set=[ABSENT]),
    ),
    "rows without a limit": ("files", entry("expect_table_row_count_to_be_between")),
}


@pytest.mark.parametrize(("name", "expectation"), OTHERS.values(), ids=OTHERS)
def test_other_arguments_are_checked_too(tmp_path, name, expectation):
    with pytest.raises(UsageError, match=rf"{name}\.json, expectation 1"):
        read_policy(make_policy(tmp_path / "policy", **{name: [expectation]}))


RAW = {
    "no JSON": (b'{\n"name": "files",\n oops', "line 3 column 2"),
    "a key twice": (b'{"name":"files","name":"files","expectations":[]}', "the key 'name' stands twice"),
    "NaN": (b'{"name":"files","expectations":[NaN]}', "expected JSON numbers, got NaN"),
    "infinity": (b'{"name":"files","expectations":[1e999]}', "a float can hold, got 1e999"),
    "digits": (b'{"name":"files","expectations":[' + b"9" * 5000 + b"]}", "at most 19 digits"),
    "depth": (b"[" * 200_000, "at most 32 levels"),
    "other bytes": (b'{"name":"\xff"}', "UTF-8"),
    "no object": (b"[]", "a JSON object, got list"),
    "another name": (b'{"name":"outcomes","expectations":[]}', "the name 'files'"),
    "another key": (b'{"name":"files","expectations":[],"data_asset_type":null}', "got 'data_asset_type'"),
    "size": (b" " * (1 << 20) + b"{}", "at most 1048576 bytes"),
}


@pytest.mark.parametrize(("data", "message"), RAW.values(), ids=RAW)
def test_a_suite_that_is_no_strict_json_is_refused(tmp_path, data, message):
    (tmp_path / "files.json").write_bytes(data)
    with pytest.raises(UsageError, match=message):
        read_policy(tmp_path)


def test_a_policy_is_a_folder_of_suites_and_nothing_else(tmp_path):
    with pytest.raises(UsageError, match=r"expected suites in .* got none"):
        read_policy(tmp_path)
    (tmp_path / "README.md").write_text("why")
    with pytest.raises(UsageError, match="got none"):
        read_policy(tmp_path)
    with pytest.raises(UsageError, match="folder of a policy"):
        read_policy(tmp_path / "nowhere")
    for name in ("flagged.json", "file.json", "files.jsn", "files.json~"):
        (tmp_path / name).write_text("{}")
        with pytest.raises(UsageError, match="expected only files.json, .* got '" + name):
            read_policy(tmp_path)
        (tmp_path / name).unlink()


@pytest.mark.parametrize("make", ["link", "fifo", "folder"])
def test_a_suite_is_a_regular_file(tmp_path, make):
    suite = tmp_path / "files.json"
    if make == "link":
        suite.symlink_to(RELEASE / "files.json")
    elif make == "fifo":
        os.mkfifo(suite)
    else:
        suite.mkdir()
    with pytest.raises(UsageError, match=r"files\.json: expected a (readable|regular) file"):
        read_policy(tmp_path)


def test_suites_are_never_written(tmp_path):
    policy = tmp_path / "policy"
    shutil.copytree(RELEASE, policy)
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in policy.iterdir()}
    gate(make_run(tmp_path / "run"), policy)
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in policy.iterdir()} == before


def test_policies_are_found_by_name_or_path(tmp_path, monkeypatch):
    assert policy_path("release") == resources.folder("checks") / "release"
    assert policy_path(tmp_path) == tmp_path
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"got 'relaese'.*\n.*shipped are release"):
        policy_path("relaese")
    (tmp_path / "release").mkdir()
    assert policy_path("release") != Path("release")
    assert policy_path("./release/").resolve() == tmp_path / "release"


# --- the shipped folders ----------------------------------------------------------------------------------


def test_shipped_folders_are_found_in_a_wheel_and_in_a_checkout_only(tmp_path, monkeypatch):
    package = tmp_path / "site" / "dataguard"
    package.mkdir(parents=True)
    monkeypatch.setattr(resources, "PACKAGE", package)
    (tmp_path / "site" / "checks").mkdir()  # of another package
    with pytest.raises(UsageError, match="the folder checks in or beside"):
        resources.folder("checks")
    (tmp_path / "site" / "pyproject.toml").touch()
    assert resources.folder("checks") == tmp_path / "site" / "checks"
    (package / "checks").mkdir()
    assert resources.folder("checks") == package / "checks"
    with pytest.raises(UsageError, match=r"one of the folders checks, sample_data, got '\.\./x'"):
        resources.folder("../x")


# --- a process of its own ---------------------------------------------------------------------------------

WATCHED = """
import sys, os
seen = []
def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "subprocess.Popen"):
        seen.append(f"{event} {args}")
    if event == "open" and isinstance(args[0], str) and isinstance(args[1], str) and set(args[1]) & set("wax+") or event in ("os.mkdir", "os.rename"):
        seen.append(f"{event} {args[0]}")
sys.addaudithook(watch)
from pathlib import Path
from dataguard.gate.judge import gate
from dataguard.gate.policies import policy_path
from dataguard.run import Run
run = Run(Path(sys.argv[1]))
gate(run, policy_path("release"))
assert "great_expectations" in sys.modules, "judged"
ours = [line for line in seen if sys.argv[1] not in line]
assert not ours, ours
assert os.environ.get("GX_ANALYTICS_ENABLED") == sys.argv[2], os.environ.get("GX_ANALYTICS_ENABLED")
from great_expectations.data_context.data_context.context_factory import project_manager
from great_expectations.exceptions.exceptions import DataContextRequiredError
try:
    project_manager.get_current_project()
except DataContextRequiredError:
    pass
else:
    raise AssertionError("a context was left current")
"""

REUSED = """
import sys
from pathlib import Path
from dataguard.gate.judge import gate
from dataguard.gate.policies import policy_path
from dataguard.run import Run
assert gate(Run(Path(sys.argv[1])), policy_path("release")).passed
loaded = {"great_expectations", "pandas", "scipy"} & set(sys.modules)
assert not loaded, loaded
"""


def python(code, *args, **environment):
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GX_")}
    plain |= {
        "PYTHONPATH": str(Path(resources.__file__).parents[1]),
        "PYTHONDONTWRITEBYTECODE": "1",
    } | environment
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, args)],
        env=plain,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")


def test_another_process_judges_silently_offline_and_to_the_same_bytes_and_the_next_needs_no_judge(tmp_path):
    once, again = make_run(tmp_path / "once"), make_run(tmp_path / "again")
    gate(once, RELEASE)
    cloud = {"GX_CLOUD_ACCESS_TOKEN": "x", "GX_CLOUD_ORGANIZATION_ID": "bd20fead-2c31-4392-bcd1-f1e87ad5a79c"}
    python(WATCHED, again.path, "true", GX_ANALYTICS_ENABLED="true", PYTHONHASHSEED="7", **cloud)
    assert again.read("verdict.json") == once.read("verdict.json")
    python(REUSED, again.path)

"""The summary for the terminal says the outcome in lines without surprises; the one for pipelines in plain values."""

from __future__ import annotations

import json

import pytest

import example_runs
from dataguard.report.summary import summary_json, summary_text
from example_runs import make_run
from hostile_texts import CORE, hidden_in
from test_report import hostile_run


def test_a_failing_run_says_why_and_what_to_do(tmp_path):
    run, _ = example_runs.poisoned(tmp_path / "run")
    text = summary_text(run)
    assert text.splitlines()[0] == "INCOMPLETE  support-instructions 2026.03"
    for words in (
        "2 of 9 files were not fully read",
        "PW.3.1  DG101 duplicate share: 6.13 %; expected at most 5 %",
        "PW.3.2  DG401 unknown share: 14.52 %; expected at most 0 %",
        "DG203 hidden character records: 9; expected at most 0 (warning)",
        "Files     9 (1 other, 1 partial, 6 read, 1 refused)",
        "Records   48,210 in 31.4 MB",
        "Findings  51 (5 high, 13 medium, 33 low); 1,959 records flagged",
        "  high    DG101  1,840 records are equal but for id and source (1,840 records)",
        "and 46 more",
        f"dataguard findings {tmp_path}",
        "dataguard explain DG203",
        "scan again",
    ):
        assert words in text, words


def test_a_clean_run_passes_and_can_be_attested(tmp_path):
    run = example_runs.clean(tmp_path / "a run")
    text = summary_text(run)
    assert text.startswith("PASSED  support-instructions")
    assert "Findings  0\n" in text
    assert f"dataguard attest '{tmp_path}/a run' --key KEY.pem" in text
    run.write("report.html", b"x")
    assert f"Report    '{tmp_path}/a run'/report.html" in summary_text(run)


@pytest.mark.parametrize(
    ("info", "verdict", "state", "code"),
    [
        ({}, {"passed": True, "complete": True}, "passed", 0),
        ({}, {"passed": False, "complete": True}, "failed", 1),
        ({}, {"passed": True, "complete": False}, "incomplete", 3),
        ({"complete": False}, {"passed": False, "complete": True}, "incomplete", 3),
        ({"complete": False}, None, "incomplete", 3),
        ({}, None, "not-judged", 0),
        ({}, {}, "incomplete", 3),
        ({}, {"complete": True, "passed": "true"}, "failed", 1),
    ],
)
def test_exit_codes(tmp_path, info, verdict, state, code):
    found = summary_json(make_run(tmp_path / "run", info=info, verdict=verdict))
    assert (found["verdict"], found["exit_code"]) == (state, code)


def test_the_json_counts_what_the_tables_hold(tmp_path):
    run, _ = example_runs.poisoned(tmp_path / "run")
    found = json.loads(json.dumps(summary_json(run), allow_nan=False))
    assert found["findings"]["total"] == 51
    assert found["findings"]["by_severity"] == {"high": 5, "medium": 13, "low": 33, "info": 0}
    assert sum(sum(one.values()) for one in found["findings"]["by_rule"].values()) == 51
    assert found["findings"]["by_rule"]["DG203"] == {"high": 2, "medium": 1}
    assert found["files"] == {"other": 1, "partial": 1, "read": 6, "refused": 1}
    assert found["outcomes"]["DG506"] == "incomplete"
    assert found["tasks"] == {
        "PO.4.1": "incomplete",
        "PS.1.1": "incomplete",
        "PW.3.1": "failed",
        "PW.3.2": "failed",
    }
    assert found["reasons"][0]["expected"] == "DG101 duplicate_share at most 0.05"
    assert found["tables"]["findings"] == str(tmp_path / "run" / "findings.parquet")
    assert found["report"] is None


def test_hostile_text_reaches_no_terminal(tmp_path):
    run, _ = hostile_run(tmp_path / "run", list(CORE))
    text = summary_text(run)
    assert hidden_in(text) <= {"\n"}
    assert "ERROR forged line" not in [line.strip() for line in text.splitlines()]
    json.dumps(summary_json(run), allow_nan=False).encode("ascii")


def test_lines_for_information_are_left_to_the_report(tmp_path):
    run, _ = example_runs.poisoned(tmp_path / "run")
    verdict = json.loads(run.read("verdict.json"))
    (told,) = (line for line in verdict["lines"] if "hidden_character_records" in line["expected"])
    told["severity"] = "info"
    run.write("verdict.json", json.dumps(verdict).encode())
    assert "DG203 hidden character records" not in summary_text(run)
    assert [line["severity"] for line in summary_json(run)["reasons"]].count("info") == 1

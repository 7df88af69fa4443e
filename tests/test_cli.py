"""The command line as scripts use it: words, exit codes, machine output alone on stdout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from dataguard.run import Run

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "sample_data"


def run(
    *words: object, cwd: Path | None = None, home: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Calls dataguard as a user would."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    if home is not None:
        env["XDG_DATA_HOME"] = str(home)
    return subprocess.run(
        [sys.executable, "-m", "dataguard", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=env,
        check=False,
    )


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The poisoned sample, scanned once."""
    folder = tmp_path_factory.mktemp("cli")
    done = run(
        "scan", SAMPLE / "poisoned", "--out", folder / "run", "--format", "json", cwd=folder, home=folder
    )
    return folder / "run", done


def test_the_poisoned_sample_fails_with_reasons_and_every_planted_row_is_flagged(
    scanned: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, done = scanned
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert told["exit_code"] == 1
    truth = pl.read_parquet(SAMPLE / "truth.parquet")
    opened = Run.open(out)
    flagged = opened.table("flagged").join(
        opened.table("findings").select(finding="id", rule="rule"), on="finding"
    )
    missed = truth.join(flagged, on=["file", "row", "rule"], how="anti")
    assert missed.is_empty(), missed
    reasons = json.loads((out / "verdict.json").read_text())["reasons"]
    assert reasons
    assert all(reason["task"] for reason in reasons)
    assert (out / "report.html").read_text().startswith("<!doctype html>")
    assert (out.stat().st_mode & 0o777) == 0o700


def test_what_is_flagged_in_the_sample_was_planted(
    scanned: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    opened = Run.open(scanned[0])
    truth = pl.read_parquet(SAMPLE / "truth.parquet")
    flagged = opened.table("flagged").join(
        opened.table("findings").select(finding="id", rule="rule"), on="finding"
    )
    extra = flagged.filter(pl.col("row").is_not_null()).join(truth, on=["file", "row", "rule"], how="anti")
    # DG204 says how many low findings chance alone makes; they are no claim that something was planted.
    findings, measures = opened.table("findings"), opened.table("measures")
    chance = findings.filter((pl.col("rule") == "DG204") & pl.col("id").is_in(extra["finding"].implode()))
    expected = measures.filter((pl.col("rule") == "DG204") & (pl.col("name") == "expected_false"))["value"][0]
    assert (chance["severity"] == "low").all()
    assert chance.height <= 3 + 3 * expected
    # Low findings of DG205 are tasks with answers of one kind, as its page says.
    tasks = findings.filter((pl.col("rule") == "DG205") & (pl.col("severity") == "low"))["id"]
    extra = extra.filter((pl.col("rule") != "DG204") & ~pl.col("finding").is_in(tasks.implode()))
    assert extra.height <= truth.height // 20, extra


def test_the_clean_sample_passes(tmp_path: Path) -> None:
    done = run("scan", SAMPLE / "clean", "--out", tmp_path / "run", cwd=tmp_path, home=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    findings = Run.open(tmp_path / "run").table("findings")
    assert set(findings["severity"]) <= {"info", "low"}, findings
    assert findings.height <= 6, findings
    verdict = (tmp_path / "run" / "verdict.json").read_text()
    assert "no such measure" not in verdict  # a line of the policy that a rule does not answer


def test_the_chain_closes_and_tampering_is_named(
    scanned: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    data = tmp_path / "data"
    shutil.copytree(SAMPLE / "poisoned", data)
    shutil.copytree(scanned[0], out)
    assert run("keygen", "--out", tmp_path / "k.pem").returncode == 0
    assert (tmp_path / "k.pem").stat().st_mode & 0o777 == 0o600
    signed = run("attest", out, "--key", tmp_path / "k.pem", "--data", data)
    assert signed.returncode == 0, signed.stderr
    verify = (
        "verify",
        data,
        "--attestation",
        out / "attestation.intoto.jsonl",
        "--key",
        tmp_path / "k.pub.pem",
    )
    checked = run(*verify, "--records", "--format", "json")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert json.loads(checked.stdout)["ok"] is True
    file = data / "tickets" / "part-001.parquet"
    table = pq.read_table(file)
    labels = table["label"].to_pylist()
    labels[7] = "billing" if labels[7] != "billing" else "account"
    column = table.schema.get_field_index("label")
    pq.write_table(table.set_column(column, "label", [labels]), file)
    checked = run(*verify, "--records", "--format", "json")
    assert checked.returncode == 1
    problems: list[dict[str, Any]] = json.loads(checked.stdout)["problems"]
    assert {problem["file"] for problem in problems} == {"tickets/part-001.parquet"}
    assert 7 in {problem["row"] for problem in problems}
    refused = run("attest", out, "--key", tmp_path / "k.pem", "--data", data)
    assert refused.returncode == 1
    assert "tickets/part-001.parquet" in refused.stderr


def test_findings_explain_rules_and_doctor(scanned: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out = scanned[0]
    listed = json.loads(run("findings", out, "--rule", "DG203", "--format", "json").stdout)
    assert listed
    assert {finding["rule"] for finding in listed} == {"DG203"}
    one = json.loads(run("findings", out, "--show", listed[0]["id"], "--format", "json").stdout)
    assert one["flagged"]
    text = run("findings", out, "--show", listed[0]["id"]).stdout
    assert text.isprintable() or all(c.isprintable() or c == "\n" for c in text)
    assert "## What it looks for" in run("explain", "DG203").stdout
    assert run("explain", "hidden-characters").stdout == run("explain", "dg203").stdout
    codes = [rule["code"] for rule in json.loads(run("rules", "--format", "json").stdout)]
    assert codes == sorted(codes)
    assert {"DG101", "DG202", "DG203", "DG301", "DG401", "DG501", "DG503", "DG508"} <= set(codes)
    assert "polars" in json.loads(run("doctor", "--format", "json").stdout)


def test_an_unreadable_file_makes_the_scan_incomplete(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    whole = (SAMPLE / "clean" / "tickets" / "part-000.parquet").read_bytes()
    (data / "good.parquet").write_bytes(whole)
    (data / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    done = run("scan", data, "--out", tmp_path / "run", "--format", "json", cwd=tmp_path, home=tmp_path)
    assert done.returncode == 3, done.stderr
    opened = Run.open(tmp_path / "run")
    assert dict(opened.table("files").select("file", "status").iter_rows()) == {
        "cut.parquet": "refused",
        "good.parquet": "read",
    }
    assert opened.table("findings").filter(rule="DG503")["group"].to_list() == ["cut.parquet"]
    assert (
        "clear"
        not in opened.table("outcomes").filter(pl.col("rule").is_in(["DG101", "DG203"]))["outcome"].to_list()
    )
    key = tmp_path / "k.pem"
    assert run("keygen", "--out", key).returncode == 0
    assert run("attest", tmp_path / "run", "--key", key).returncode == 1


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("scan", "nowhere", "--out", "run"), "nowhere"),
        (("scan", "data", "--out", "run", "--rules", "DG999"), "DG999"),
        (("scan", "data", "--out", "data/run"), "outside"),
        (("scan", "data", "--out", "run", "--policy", "no-such"), "no-such"),
        (("explain", "DG2O3"), "DG203"),
        (("scan", "data"), "--out"),
    ],
)
def test_misuse_is_exit_code_two_and_says_what_to_do(
    tmp_path: Path, words: tuple[str, ...], hint: str
) -> None:
    (tmp_path / "data").mkdir()
    shutil.copy(SAMPLE / "clean" / "tickets" / "part-000.parquet", tmp_path / "data")
    done = run(*words, cwd=tmp_path, home=tmp_path)
    assert done.returncode == 2, done.stderr
    assert hint in done.stderr
    assert not done.stdout
    assert "Traceback" not in done.stderr

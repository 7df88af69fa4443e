"""What a run could have seen: covered only where a rule that looks for the whole came to its end on all records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataguard import api
from dataguard.columns import Role, Roles
from dataguard.coverage import ATTACKS, Attack, FileSeen, Seen, Status, coverage
from dataguard.detectors import catalogue
from dataguard.findings import COVERAGE, OUTCOMES
from dataguard.report.attacks import attack_rows, by_status, counted, measured
from dataguard.secret import Secret

LABELLED = Roles(((Role.LABEL, ("y",)), (Role.TEXT, ("text",))))
ONE = Attack(
    key="one", name="one", rules=("DG101",), partial={"DG102": "only a part"}, needs=(Role.LABEL,), records=10
)


def outcomes(**ended: str) -> pl.DataFrame:
    """Outcomes by rule; a reason after a colon."""
    rows = [
        {"rule": rule, "outcome": said.partition(":")[0], "reason": said.partition(":")[2], "rows_seen": 100,
         "version": 1, "options": "{}"}
        for rule, said in ended.items()
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=OUTCOMES)


def seen(table: pl.DataFrame, *files: FileSeen) -> Seen:
    return Seen(files or (FileSeen(LABELLED, 100),), table, frozenset({"DG101", "DG102"}))


def judged(found: Seen, attack: Attack = ONE) -> tuple[str, str]:
    row = coverage(found, [attack]).row(0, named=True)
    return row["status"], row["reason"]


@pytest.mark.parametrize("outcome", ["clear", "flagged"])
def test_covered_where_a_rule_for_the_whole_came_to_its_end(outcome: str) -> None:
    assert judged(seen(outcomes(DG101=outcome))) == ("covered", "DG101 looked at 100 records")


@pytest.mark.parametrize(
    ("found", "status", "says"),
    [
        (seen(outcomes(DG101="error:broke")), "not covered", "DG101 ended error: broke"),
        (seen(outcomes(DG101="not-applicable")), "not covered", "DG101 ended not-applicable"),
        (seen(outcomes()), "not covered", "DG101 was not chosen"),
        (seen(outcomes(DG101="error:broke", DG102="clear")), "partly", "only a part; DG101 ended error"),
        (seen(outcomes(DG101="flagged:1 file unread")), "partly", "1 file unread"),
        (seen(outcomes(DG101="clear"), FileSeen(LABELLED, 9)), "not covered", "too few"),
        (seen(outcomes(DG101="clear"), FileSeen(Roles(), 100)), "not covered", "the role label"),
        (seen(outcomes(DG101="clear"), FileSeen(LABELLED, 60), FileSeen(Roles(), 40)), "partly", "40 of 100"),
        (replace(seen(outcomes(DG101="clear")), catalogue=frozenset()), "not covered", "not part of this version"),
        (replace(seen(outcomes()), files=()), "not covered", "no records"),
    ],
)  # fmt: skip
def test_everything_else_says_why_not(found: Seen, status: str, says: str) -> None:
    assert judged(found)[0] == status
    assert says in judged(found)[1]


def test_scripts_without_spaces_cover_words_partly() -> None:
    words = replace(ONE, words=True)
    found = seen(outcomes(DG101="clear"))
    assert judged(replace(found, unspaced=0.05), words)[0] == "covered"
    assert judged(replace(found, unspaced=0.8), words) == (
        "partly",
        "80% of the words are in scripts without spaces, where each character counts as a word",
    )
    assert judged(replace(found, unspaced=0.8), ONE)[0] == "covered"


def test_what_data_cannot_show_is_never_covered() -> None:
    everything = outcomes(**{kind.rule.code: "clear" for kind in catalogue()})
    every_role = Roles(tuple((role, (role.value,)) for role in sorted(Role)))
    codes = frozenset(kind.rule.code for kind in catalogue())
    table = coverage(Seen([FileSeen(every_role, 10**6)], everything, codes))
    unseen = set(table.filter(status="not covered")["attack"])
    assert {
        "syntactic",
        "style",
        "clean-label",
        "few-copies",
        "common-words",
        "natural-topic",
        "images-audio",
    } <= unseen
    assert table["status"].to_list() == sorted(table["status"], key=list(Status).index)  # type: ignore[arg-type]
    assert table.schema == COVERAGE
    assert table["attack"].n_unique() == len(ATTACKS)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("coverage")
    (folder / "data").mkdir()
    table = pa.table(
        {"text": [f"record number {n} of a small set" for n in range(600)], "label": ["a", "b"] * 300}
    )
    pq.write_table(table, folder / "data" / "part.parquet")
    secret = folder / "secret"
    Secret.load(secret)
    return api.scan(
        folder / "data", out=folder / "run", rules="DG101,DG102,DG203", policy=None, workers=1, secret_file=secret
    )  # fmt: skip


def test_a_scan_writes_it_and_the_report_shows_it(run) -> None:
    table = run.table("coverage")
    status = dict(table.select("attack", "status").iter_rows())
    assert status["exact-flood"] == "covered"
    assert status["hidden-text"] == "covered"
    assert status["style"] == "not covered"
    assert status["numeric-continuous"] == "not covered"
    assert table.filter(attack="near-flood")["records"].item() == 600
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert page.index("a style of writing as the trigger") < page.index("one record many times")
    assert '<span class="cover missed">not covered</span>' in page


def test_the_terminal_and_machines_are_told(run, capsys: pytest.CaptureFixture[str]) -> None:
    from dataguard.cli import _coverage_text
    from dataguard.report.summary import summary_json, summary_text

    table = run.table("coverage")
    assert counted(table) in summary_text(run)
    said = summary_json(run)["coverage"]
    assert said["by_status"] == by_status(table)
    assert len(said["attacks"]) == table.height
    assert _coverage_text(table).startswith("not covered  ")


def test_words_in_scripts_without_spaces_are_counted(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": [
                "\u4eca\u5929\u5929\u6c14\u5f88\u597d\u6211\u4eec\u53bb" + chr(0x4E00 + n) for n in range(40)
            ]
        }
    )
    pq.write_table(table, tmp_path / "part.parquet")
    run = api.scan(
        tmp_path / "part.parquet", out=tmp_path / "run", rules="DG102", policy=None, workers=1,
        secret_file=tmp_path / "secret",
    )  # fmt: skip
    row = run.table("coverage").filter(attack="near-flood").row(0, named=True)
    assert row["status"] == "partly"
    assert "100% of the words" in row["reason"]


def test_what_was_measured_is_told_in_words_and_a_strange_status_covers_nothing() -> None:
    row = {"campaigns": 16, "recall": 0.5, "low": 0.28, "high": 0.72, "smallest": 8}
    assert measured(row) == "50 % of 16 planted attacks (28 to 72 %), the smallest of 8 records"
    assert measured(dict.fromkeys(row)) == ""
    strange = pl.DataFrame([{"attack": "a", "name": "a", "status": "splendid"}]).pipe(
        lambda table: pl.DataFrame(table.to_dicts(), schema=COVERAGE)
    )
    assert [one.status for one in attack_rows(strange)] == ["not covered"]
    assert by_status(strange) == {"not covered": 1, "partly": 0, "covered": 0}

"""The light self-test of a scan: the same whoever runs it, kept, bounded, and never silent where it fails."""

from __future__ import annotations

import itertools
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from dataguard import api
from dataguard.canaries import light
from dataguard.canaries.light import DOSE, EACH, Light, looked_for, looking_for
from dataguard.canaries.sample import Screened, chosen
from dataguard.cli import app
from dataguard.detectors import select
from dataguard.engine import Failed, LocalEngine
from dataguard.run import Run
from dataguard.scan.scanner import SWITCHED_OFF
from dataguard.secret import Secret
from test_canaries import spoken

ROWS = 1_200
RULES = "DG101,DG106,DG203"


def written(folder: Path, cuts: tuple[int, ...], rows: int = ROWS) -> Path:
    """A set of files that end at these rows."""
    folder.mkdir(parents=True)
    table = pa.table(
        {
            "prompt": [spoken(n, 6) for n in range(rows)],
            "response": [spoken(rows + n, 10) for n in range(rows)],
        }
    )
    ends = (0, *cuts, rows)
    for number, (low, high) in enumerate(itertools.pairwise(ends)):
        pq.write_table(table.slice(low, high - low), folder / f"{number}.parquet", row_group_size=250)
    return folder


def scan(data: object, out: Path, secret: Path, **options: object) -> Run:
    return api.scan(
        data, out=out, secret_file=secret, **{"rules": RULES, "policy": None, "workers": 1, **options}
    )  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("light")
    written(folder / "data", (500,))
    (folder / "secret").write_text(bytes(range(32)).hex())
    (folder / "secret").chmod(0o600)
    scan(folder / "data", folder / "run", folder / "secret")
    return folder


def test_a_scan_measures_what_is_found_of_a_few_attacks(folder: Path) -> None:
    run = Run.open(folder / "run")
    made = run.table("canaries")
    assert run.info["self_test"] == {
        "records": ROWS,
        "campaigns": EACH * made.height,
        "failed": False,
        "reason": "",
    }
    # Of kinds that no chosen rule looks for the whole of, nothing is measured.
    assert made["attack"].to_list() == ["exact-flood", "hidden-text", "planted-span"]
    assert made["campaigns"].to_list() == [EACH] * 3
    assert set(made["records"]) == {DOSE}
    assert made["recall"].to_list() == [1.0, 1.0, 1.0]
    row = run.table("coverage").filter(attack="hidden-text").row(0, named=True)
    assert (row["status"], row["campaigns"], row["recall"], row["smallest"]) == ("covered", EACH, 1.0, DOSE)
    assert run.table("coverage").filter(attack="trigger")["campaigns"].to_list() == [None]
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "100 % of 4 planted attacks" in page
    assert "No attack was planted" not in page


def test_it_is_the_same_with_other_workers_batches_and_orders(folder: Path, tmp_path: Path) -> None:
    paths = sorted((folder / "data").iterdir(), reverse=True)
    other = scan(paths, tmp_path / "run", folder / "secret", workers=2, batch_rows=70)
    first = Run.open(folder / "run")
    for name in ("canaries", "coverage"):
        assert other.read(f"{name}.parquet") == first.read(f"{name}.parquet")
    assert other.info["self_test"] == first.info["self_test"]


def test_a_second_scan_measures_nothing_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = written(tmp_path / "data", ())
    first = scan(data, tmp_path / "run", folder / "secret").read("canaries.parquet")
    asked = []
    measured = light.LightTest._measured
    monkeypatch.setattr(light.LightTest, "_measured", lambda *one: asked.append(1) or measured(*one))
    assert scan(data, tmp_path / "run", folder / "secret").read("canaries.parquet") == first
    assert not asked
    scan(data, tmp_path / "run", folder / "secret", rules="DG101")
    assert asked  # other rules, other outcome


def test_few_records_and_whoever_does_not_want_it_are_spared(tmp_path: Path) -> None:
    small = scan(written(tmp_path / "small", (), 300), tmp_path / "a", tmp_path / "secret")
    assert small.info["self_test"]["reason"] == "300 records are too few; 1000 are needed"
    assert small.table("canaries").is_empty()
    data = written(tmp_path / "data", ())
    words = ["scan", str(data), "--out", str(tmp_path / "b"), "--rules", RULES, "--no-gate", "--workers", "1"]
    done = CliRunner().invoke(app, [*words, "--secret-file", str(tmp_path / "secret"), "--no-self-test"])
    assert done.exit_code == 0, done.output
    off = Run.open(tmp_path / "b")
    assert off.info["self_test"]["reason"] == SWITCHED_OFF
    assert off.table("coverage")["campaigns"].null_count() == off.table("coverage").height
    page = (off.path / "report.html").read_text(encoding="utf-8")
    assert "No attack was planted" in page
    assert SWITCHED_OFF in page


@pytest.mark.parametrize("how", ["died", "raised", "rule"])
def test_what_goes_wrong_is_said_and_fails_no_scan(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataguard.canaries.measuring import Rounds
    from dataguard.engine import Result
    from dataguard.report.summary import summary_text

    plain = LocalEngine.map

    def broken(self: LocalEngine, function: object, items: object, **options: object) -> object:
        if getattr(function, "__name__", "") != "rounds_item":
            yield from plain(self, function, items, **options)  # type: ignore[arg-type]
            return
        if how == "raised":
            raise ZeroDivisionError("an odd record")
        value = Failed("died", "the worker died") if how == "died" else Rounds((), {"DG203": "gave up"})
        yield from (Result(item, value) for item in items)  # type: ignore[attr-defined]

    monkeypatch.setattr(LocalEngine, "map", broken)
    run = scan(written(tmp_path / "data", ()), tmp_path / "run", tmp_path / "secret")
    why = {"died": "the worker died", "raised": "ZeroDivisionError: an odd record", "rule": "DG203: gave up"}
    told = run.info["self_test"]
    assert told["failed"] is True
    assert why[how] in told["reason"]
    assert api.exit_code(run) == 0
    assert run.table("canaries").is_empty()
    reasons = dict(run.table("coverage").select("attack", "reason").iter_rows())
    assert reasons["hidden-text"].endswith(f"; not measured: {told['reason']}")
    assert "not measured" not in reasons["trigger"]  # nobody looked for it
    assert f"not measured: {told['reason']}" in summary_text(run)
    monkeypatch.undo()
    again = scan(tmp_path / "data", tmp_path / "run", tmp_path / "secret")
    assert again.info["self_test"]["failed"] is False
    assert again.table("canaries").height == 3


def test_the_full_measurement_takes_its_place(folder: Path, tmp_path: Path) -> None:
    run = scan(folder / "data", tmp_path / "run", folder / "secret", rules="DG203")
    few = run.table("canaries")
    api.adversarial(run, records=600, campaigns=2, rates=(0.02,), workers=1, secret_file=folder / "secret")
    assert few["attack"].to_list() == ["hidden-text"]
    assert set(run.table("canaries")["records"]) == {12}
    assert run.table("coverage").filter(attack="hidden-text")["campaigns"].item() == 2


def test_row_groups_are_read_only_as_far_as_bytes_allow(folder: Path) -> None:
    screened = Screened.of(Run.open(folder / "run"), folder / "data")
    secret = Secret.load(folder / "secret")
    size = sum(file.size for file in screened.files)
    whole = chosen(screened, 400, secret)
    assert chosen(screened, 400, secret, size) == whole
    (least,) = chosen(screened, 400, secret, 1)
    assert len(least.rows) in (200, 250)  # one row group, whatever its size
    assert least.rows[-1] - least.rows[0] < 250
    some = chosen(screened, 400, secret, size // 2)
    groups = {(one.name, row // 250) for one in some for row in one.rows}
    assert 1 < len(groups) <= 3
    assert sum(len(one.rows) for one in some) == 400


def test_records_that_are_too_long_are_not_held(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(light, "HELD_BYTES", 100_000)
    run = scan(folder / "data", tmp_path / "a", folder / "secret")
    assert 500 <= run.info["self_test"]["records"] < ROWS
    monkeypatch.setattr(light, "HELD_BYTES", 10_000)
    run = scan(folder / "data", tmp_path / "b", folder / "secret")
    assert "too long" in run.info["self_test"]["reason"]


def test_rules_that_look_for_an_attack_bring_those_that_they_follow() -> None:
    every = tuple(one for one in select(()) if hasattr(one, "passes"))
    chosen_rules = looking_for({"exact-flood", "numeric-continuous"}, every)  # type: ignore[arg-type]
    codes = {one.rule.code for one in chosen_rules}
    assert "DG101" in codes
    assert "DG204" not in codes
    assert "hidden-text" in looked_for(every)  # type: ignore[arg-type]
    assert looked_for(()) == set()
    assert Light().to_json()["campaigns"] == 0

"""The Python interface and the command line where a caller meets them: sources, settings, refusals, interrupts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dataguard
from dataguard import api, cli
from dataguard.errors import RefusedError, RunError, UsageError
from dataguard.run import Run

ROOT = Path(__file__).parent.parent
TABLE = pa.table({"text": [f"text {number} of the set" for number in range(40)], "label": ["x", "y"] * 20})


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Away from the settings and the secret of whoever runs the tests."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


def look(source: Any, out: Path, **options: Any) -> Run:
    """A scan by one rule, without a verdict."""
    return dataguard.scan(source, out=out, **{"rules": "DG301", "policy": None, "workers": 1, **options})


def write(path: Path, table: pa.Table = TABLE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def rows(run: Run) -> list[int]:
    return run.table("files")["rows_decoded"].to_list()


def test_streams_are_spooled_beside_the_run_and_another_one_takes_their_place(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert rows(look(TABLE.to_reader(max_chunksize=3), out)) == [40]
    spool = tmp_path / "run.data"
    assert spool.stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in spool.iterdir()] == ["data.parquet"]
    # However small the batches of a stream, a row group is worth one.
    assert pq.read_metadata(spool / "data.parquet").num_row_groups == 1
    run = look(pl.from_arrow(TABLE.slice(30)), out)
    assert rows(run) == [10]
    assert run.info["root"] == str(spool)
    assert rows(Run(out / "old" / "1")) == [40]


@pytest.mark.parametrize("frame", [TABLE.slice(0, 0), pl.DataFrame()], ids=["no rows", "no columns"])
def test_a_frame_of_nothing_finds_nothing(tmp_path: Path, frame: Any) -> None:
    run = look(frame, tmp_path / "run", rules=())
    assert rows(run) == [0]
    assert not run.table("outcomes").filter(pl.col("rule").is_in(["DG101", "DG301"]), outcome="clear").height


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (pa.table({"a": [1, 2]}).select([]), "2 rows of none"),
        (pa.table({"a": pa.array([(1, 2, 3)], pa.month_day_nano_interval())}), "Parquet cannot hold"),
        (pl.LazyFrame({"a": [1]}), "LazyFrame"),
        (None, "NoneType"),
        ([], "at least one file"),
        ([TABLE], "list"),
    ],
    ids=["rows of no columns", "a type Parquet lacks", "lazy", "None", "no path", "a list of tables"],
)
def test_a_source_that_is_none_is_refused(tmp_path: Path, source: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        look(source, tmp_path / "run")


def test_a_stream_that_breaks_off_leaves_the_one_before(tmp_path: Path) -> None:
    look(TABLE, tmp_path / "run")
    before = (tmp_path / "run.data" / "data.parquet").read_bytes()

    def batches() -> Any:
        yield TABLE.to_batches()[0]
        raise OSError("the source is gone")

    with pytest.raises(OSError, match="the source is gone"):
        look(pa.RecordBatchReader.from_batches(TABLE.schema, batches()), tmp_path / "run")
    assert (tmp_path / "run.data" / "data.parquet").read_bytes() == before
    assert rows(look(TABLE, tmp_path / "run")) == [40]


def test_data_of_the_users_own_is_never_written_over(tmp_path: Path) -> None:
    theirs = write(tmp_path / "run.data" / "data.parquet", TABLE.slice(7))
    before = theirs.read_bytes()
    for _ in range(2):
        with pytest.raises(UsageError, match="somebody else"):
            look(TABLE, tmp_path / "run")
        assert theirs.read_bytes() == before
        assert not (tmp_path / "run").exists()
    look(write(tmp_path / "data" / "a.parquet"), tmp_path / "run")
    with pytest.raises(UsageError, match="somebody else"):
        look(TABLE, tmp_path / "run")
    assert theirs.read_bytes() == before


def test_a_run_that_is_being_written_takes_neither_stream_nor_scan(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run")
    with run.locked():
        for source in (TABLE, write(tmp_path / "data" / "a.parquet")):
            with pytest.raises(RunError, match="another scan"):
                look(source, run.path)
    assert not (tmp_path / "run.data").exists()


def test_what_is_wrong_with_the_call_is_said_before_anything_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "data" / "a.parquet")
    (tmp_path / "file").write_text("")
    for options, words in [
        ({"policy": "no-such"}, "no-such"),
        ({"against": tmp_path / "nowhere"}, "nowhere"),
        ({"rules": "DG999"}, "DG999"),
        ({"config": tmp_path / "nowhere.toml"}, "nowhere.toml"),
        ({"workers": 0}, "at least one worker"),
        ({"trust_stat": True}, "--trust-stat"),
    ]:
        with pytest.raises((UsageError, RunError), match=words):
            look(path, tmp_path / "run", **options)
        assert not (tmp_path / "run" / "run.json").exists()
    odd = tmp_path / os.fsdecode(b"odd\xff")
    with pytest.raises(UsageError, match="UTF-8"):
        look(path, odd)
    assert not odd.exists()
    with pytest.raises(UsageError, match="got the file"):
        look(path, tmp_path / "file")


def test_a_run_that_trusted_stamps_is_not_attested_and_its_report_is_its_own(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.parquet")
    settings = tmp_path / "my.toml"
    settings.write_text('[dataset]\nname = "first name"\n')
    out = tmp_path / "run"
    look(tmp_path / "data", out, config=settings)
    page = (out / "report.html").read_bytes()
    look(tmp_path / "data", out, config=settings)
    assert (out / "report.html").read_bytes() == page  # nothing else to say
    settings.write_text('[dataset]\nname = "second name"\n')
    run = look(tmp_path / "data", out, config=settings, trust_stat=True)
    assert "second name" in (out / "report.html").read_text()
    with pytest.raises(UsageError, match=r"found none at .*gone"):
        dataguard.report(run, data=tmp_path / "gone")
    dataguard.keygen(tmp_path / "k.pem")
    with pytest.raises(RefusedError):
        dataguard.attest(run, key=tmp_path / "k.pem")


def test_settings_beside_the_data_are_the_users_and_within_the_data_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / "cwd" / name for name in ("train", "test")]
    for folder in folders:
        write(folder / "a.parquet")
    weak = "[rules.DG301]\nmax_share = 0.4\n"
    Path("dataguard.toml").write_text(weak)
    run = look(folders, tmp_path / "run")
    assert run.table("findings").height == 2
    assert run.table("files")["file"].to_list() == ["test/a.parquet", "train/a.parquet"]
    # Standing in any of the folders of data, what lies there came with the data.
    monkeypatch.chdir(folders[1])
    Path("dataguard.toml").write_text(weak)
    with pytest.raises(UsageError, match="came with the data"):
        look(folders, tmp_path / "run")


def test_a_script_without_a_guard_can_scan(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.parquet")
    script = tmp_path / "script.py"
    script.write_text(
        "import dataguard\n"
        f"run = dataguard.scan({str(tmp_path / 'data')!r}, out={str(tmp_path / 'run')!r}, rules='DG301',"
        " policy=None, workers=2)\n"
        "print(run.table('files')['rows_decoded'].to_list())\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=_env(), check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("[40]\n", "", 0)


def _env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_an_interrupted_scan_ends_at_once_and_goes_on(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / "data" / f"{number}.parquet", TABLE.slice(number))
    words = [sys.executable, "-m", "dataguard", "scan", tmp_path / "data", "--out", tmp_path / "run"]
    words += ["--format", "json", "--no-gate", "--workers", "1"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_env())
    until = time.monotonic() + 60
    while not (tmp_path / "run" / ".lock").exists() and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.3)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, told = process.communicate(timeout=30)
    assert time.monotonic() - begun < 2
    assert (process.returncode, out) == (130, b"")
    assert b"interrupted" in told
    assert b"Traceback" not in told
    done = subprocess.run(
        words, capture_output=True, env={**_env(), "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}, check=False
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["exit_code"] == 0
    assert done.stderr == b""  # progress is for terminals alone


def test_the_reader_of_the_output_may_leave(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m dataguard explain DG203 | true"],
        capture_output=True,
        env=_env(),
        check=False,
    )
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("quoted \x1b[31mdata"), "should not have happened"),
        (OSError(28, "No space left on device", "a\x1b]0;b"), "No space left on device"),
    ],
)
def test_an_error_nobody_expected_is_incomplete_and_safe(
    error: Exception, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise error

    monkeypatch.setattr(api, "rules", broken)
    monkeypatch.setattr(sys, "argv", ["dataguard", "rules"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, told = capsys.readouterr()
    assert ended.value.code == 3
    assert words in told
    assert "\x1b" not in told
    assert not out

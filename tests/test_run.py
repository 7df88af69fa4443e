"""The run folder: whole or not at all, one scan at a time, and evidence that nobody else wrote is noticed."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from dataguard import atomic
from dataguard.atomic import write_atomic
from dataguard.errors import RunError, UsageError
from dataguard.evidence import Evidence, Made, evidence_key, make, parquet_bytes
from dataguard.findings import MEASURES, TABLES, empty
from dataguard.run import INFO, Run
from dataguard.secret import Secret

SECRET = Secret(bytes(range(32)))
KEY = "ab" * 32


def _evidence(run: Run, secret: Secret = SECRET) -> Evidence:
    evidence = Evidence(run.path / "evidence", secret)
    evidence.load()
    return evidence


def _kept(run: Run, *keys: str, kind: str = "DG102") -> list[Path]:
    evidence = _evidence(run)
    evidence.keep([make(evidence.folder, kind, key, f"data {key}".encode()) for key in keys])
    return [evidence.path(kind, key) for key in keys]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "run")


# Writing


def test_a_write_is_whole_private_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for data in (b"one", b"another, longer", b""):
        assert write_atomic(path, data) == path
        assert path.read_bytes() == data
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("call", ["fsync", "fdopen"])
def test_a_write_that_fails_leaves_what_stood_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = write_atomic(tmp_path / "file", b"before")

    def full(*args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, call, full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"after")
    assert path.read_bytes() == b"before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_leaves_what_stood_there(tmp_path: Path) -> None:
    path = write_atomic(tmp_path / "file", b"before")
    code = f"""
import resource, signal
from pathlib import Path
from dataguard.atomic import write_atomic
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomic(Path({str(path)!r}), bytes(100_000))
except OSError:
    raise SystemExit(9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert path.read_bytes() == b"before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_equal_rows_give_equal_bytes(run: Run) -> None:
    rows = [{"rule": "DG102", "name": "share", "column": "", "group": "é", "value": 0.1, "n": 3}] * 50
    one = pl.DataFrame(rows, schema=MEASURES)
    several = pl.concat([one[:7], one[7:20], one[20:]], rechunk=False)
    assert several.n_chunks() == 3
    assert parquet_bytes(one) == parquet_bytes(several)
    run.write_table("measures", several.select(reversed(several.columns)))
    assert run.table("measures").equals(one)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_comes_back(run: Run, name: str) -> None:
    run.write_table(name, empty(TABLES[name]))
    assert run.table(name).schema == TABLES[name]


def test_a_table_that_is_none_is_told(run: Run) -> None:
    with pytest.raises(RunError, match="expected one of the tables"):
        run.table("../../etc/passwd")
    with pytest.raises(RunError, match="scan again"):
        run.table("files")
    run.write("files.parquet", b"PAR1 no more PAR1")
    with pytest.raises(RunError, match="cannot be read"):
        run.table("files")
    run.write("files.parquet", parquet_bytes(pl.DataFrame({"file": [1]})))
    with pytest.raises(RunError, match="other columns"):
        run.table("files")
    os.mkfifo(run.path / "sources.parquet")
    with pytest.raises(RunError, match="expected a file"):
        run.table("sources")


def test_a_run_that_is_none_is_told(tmp_path: Path, run: Run) -> None:
    for path in (tmp_path / "absent", run.path):
        with pytest.raises(RunError, match="finished run"):
            Run.open(path)
    for text in (b"{", b"[]", b"[" * 100_000):
        run.write(INFO, text)
        with pytest.raises(RunError, match=r"no JSON|an object"):
            _ = Run.open(run.path).info


# The folder


def test_the_folder_is_private(run: Run) -> None:
    for path in (run.path, run.path / "evidence", run.path / "leaves"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_folder_of_others_is_not_taken(tmp_path: Path) -> None:
    """What lies in an evidence folder without a ledger would be removed."""
    for name in (
        "file",
        "evidence/theirs.parquet",
        "evidence/DG101/theirs.parquet",
        "leaves/theirs",
        "other/file",
    ):
        path = tmp_path / name.replace("/", "-") / name
        path.parent.mkdir(parents=True)
        path.write_text("theirs")
        with pytest.raises(UsageError, match="expected a new or empty folder"):
            Run.create(tmp_path / name.replace("/", "-"))
        assert path.read_text() == "theirs"
    with pytest.raises(UsageError, match="got the file"):
        Run.create(tmp_path / "file" / "file")


def test_an_evidence_folder_that_is_a_link_is_not_taken(tmp_path: Path) -> None:
    home = tmp_path / "home" / "pictures"
    home.mkdir(parents=True)
    (home / "one").touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "evidence").symlink_to(tmp_path / "home")
    with pytest.raises(UsageError):
        Run.create(tmp_path / "run")


def test_a_run_is_taken_again_at_every_step(tmp_path: Path, run: Run) -> None:
    Run.create(run.path)
    with run.locked():
        pass
    Run.create(run.path)
    _kept(run, KEY)
    run.write(INFO, b"{}")
    Run.create(run.path)


def test_only_one_scan_writes(run: Run) -> None:
    with run.locked():
        with pytest.raises(RunError, match="another scan"), Run(run.path).locked():
            pass
        (run.path / ".left.tmp").touch()
    with Run(run.path).locked():
        assert not (run.path / ".left.tmp").exists()


def test_the_lock_ends_with_its_process(run: Run) -> None:
    code = f"""
import time
from pathlib import Path
from dataguard.run import Run
with Run(Path({str(run.path)!r})).locked():
    print("locked", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(RunError), run.locked():
            pass
        process.send_signal(signal.SIGKILL)
    with run.locked():
        pass


def test_what_stood_there_moves_aside_and_counts_up(run: Run) -> None:
    run.archive()
    assert not (run.path / "old").exists()
    for number in range(1, 12):
        run.write(INFO, json.dumps({"number": number}).encode())
        run.write("report.html", b"page")
        run.write_table("measures", empty(MEASURES))
        run.archive()
        assert sorted(entry.name for entry in run.path.iterdir()) == ["evidence", "leaves", "old"]
        before = run.before
        assert before is not None
        assert before.path == run.path / "old" / str(number)
        assert before.info == {"number": number}
        assert before.exists("report.html")


# Evidence


def test_evidence_is_kept_and_found_again(run: Run) -> None:
    (path,) = _kept(run, KEY)
    again = _evidence(run)
    assert again.distrusted == []
    assert again.has("DG102", KEY)
    assert not again.has("DG101", KEY)
    assert again.path("DG102", KEY) == path
    assert again.sha256("DG102", KEY) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert dict(again.digests()) == {f"DG102/{KEY}": again.sha256("DG102", KEY)}


def test_planted_evidence_is_noticed_and_not_used(run: Run) -> None:
    (kept,) = _kept(run, KEY)
    planted = [
        kept.with_name("cd" * 32 + ".parquet"),
        kept.with_name(KEY + ".json"),
        kept.with_name("notes.txt"),
        run.path / "evidence" / "DG101" / (KEY + ".parquet"),
        run.path / "evidence" / "beside.parquet",
    ]
    for path in planted:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(kept.read_bytes())
    evidence = _evidence(run)
    assert {text.split()[0] for text in evidence.distrusted} == {
        str(path.relative_to(run.path)) for path in planted
    }
    assert not any(path.exists() for path in planted)
    assert evidence.has("DG102", KEY)
    assert not evidence.has("DG101", KEY)
    assert _evidence(run).distrusted == []


def test_edited_evidence_is_noticed_and_made_again(run: Run) -> None:
    edited, kept = _kept(run, KEY, "cd" * 32)
    data = bytearray(edited.read_bytes())
    data[3] ^= 1
    edited.write_bytes(data)
    evidence = _evidence(run)
    assert evidence.distrusted == [f"evidence/DG102/{edited.name} was changed after it was written"]
    assert not evidence.has("DG102", KEY)
    assert evidence.has("DG102", "cd" * 32)
    assert kept.exists()
    _kept(run, KEY)
    again = _evidence(run)
    assert (again.distrusted, again.has("DG102", KEY)) == ([], True)


def test_swapped_evidence_is_noticed(run: Run) -> None:
    one, other = _kept(run, KEY, "cd" * 32)
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)
    assert len(_evidence(run).distrusted) == 2


def test_removed_evidence_is_made_again_without_a_word(run: Run) -> None:
    (path,) = _kept(run, KEY)
    path.unlink()
    evidence = _evidence(run)
    assert (evidence.distrusted, evidence.has("DG102", KEY)) == ([], False)


@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "link to folder"])
def test_links_are_taken_away_never_what_they_lead_to(run: Run, tmp_path: Path, kind: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("theirs")
    (kept,) = _kept(run, KEY)
    planted = kept if kind == "link" else kept.with_name("cd" * 32 + ".parquet")
    if kind == "link":
        (outside / "copy").write_bytes(kept.read_bytes())
        kept.unlink()
        planted.symlink_to(outside / "copy")
    elif kind == "folder":
        (planted / "inside").mkdir(parents=True)
        (planted / "inside" / "link").symlink_to(outside)
    elif kind == "pipe":
        os.mkfifo(planted)
    else:
        planted = run.path / "evidence" / "DG999"
        planted.symlink_to(outside)
    evidence = _evidence(run)
    assert len(evidence.distrusted) == 1
    assert not os.path.lexists(planted)
    assert (outside / "precious").read_text() == "theirs"


def _lines(run: Run) -> tuple[Path, list[bytes]]:
    ledger = run.path / "evidence" / "ledger.jsonl"
    return ledger, ledger.read_bytes().splitlines(keepends=True)


def test_a_line_cut_off_costs_its_evidence_only(run: Run) -> None:
    """As a kill between two writes leaves it: the file is not named yet, and what was made is swept up."""
    _kept(run, KEY)
    evidence = _evidence(run)
    made = make(evidence.folder, "DG102", "cd" * 32, b"data")
    ledger, lines = _lines(run)
    for size in range(200):
        ledger.write_bytes(b"".join(lines) + lines[0][:size].rstrip(b"\n"))
        again = _evidence(run)
        assert again.distrusted == []
        assert again.has("DG102", KEY)
        assert not Path(made.temporary).exists()


def test_an_edited_line_is_noticed(run: Run) -> None:
    _kept(run, KEY, "cd" * 32)
    ledger, lines = _lines(run)
    ledger.write_bytes(lines[0].replace(b"DG102", b"DG101") + lines[1])
    evidence = _evidence(run)
    assert [("line 1" in text, "not in the ledger" in text) for text in evidence.distrusted] == [
        (True, False),
        (False, True),
    ]
    assert sum(evidence.has("DG102", key) for key in (KEY, "cd" * 32)) == 1


def test_a_ledger_of_rubbish_is_noticed(run: Run) -> None:
    _kept(run, KEY)
    ledger, lines = _lines(run)
    ledger.write_bytes(b"\xff\xfe\n\n{}\n" + b"x" * 100_000 + b"\n" + b"".join(lines))
    evidence = _evidence(run)
    assert len(evidence.distrusted) == 4
    assert evidence.has("DG102", KEY)


def test_another_secret_trusts_nothing(run: Run) -> None:
    _kept(run, KEY)
    evidence = _evidence(run, Secret(bytes(32)))
    assert not evidence.has("DG102", KEY)
    assert len(evidence.distrusted) == 2


def test_a_ledger_that_is_gone_makes_all_evidence_planted(run: Run) -> None:
    _kept(run, KEY, "cd" * 32)
    (run.path / "evidence" / "ledger.jsonl").unlink()
    assert len(_evidence(run).distrusted) == 2


def test_a_kill_between_ledger_and_name_is_no_tampering(run: Run) -> None:
    evidence = _evidence(run)
    made = make(evidence.folder, "DG102", KEY, b"data")
    kept = Made(made.kind, made.key, made.temporary + ".gone", made.sha256, 0)
    with pytest.raises(FileNotFoundError):
        evidence.keep([kept])
    again = _evidence(run)
    assert again.distrusted == []
    assert not again.has("DG102", KEY)
    assert list((evidence.folder / "DG102").iterdir()) == []


def test_keys_are_of_content_whatever_its_order() -> None:
    assert evidence_key({"a": 1, "b": ["é"]}) == evidence_key({"b": ["é"], "a": 1})
    assert evidence_key({"a": 1}) != evidence_key({"a": "1"})


# The secret


def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "secret"
    secret = Secret.load(path)
    assert Secret.load(path) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(secret.material) == 32
    assert [entry.name for entry in path.parent.iterdir()] == ["secret"]
    assert secret.material.hex() not in repr(secret)
    assert secret.key_id not in secret.material.hex()
    assert secret.derive("one") != secret.derive("other")


def _load(path: str) -> bytes:
    return Secret.load(Path(path)).material


def test_two_that_make_it_at_once_have_the_same(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        for number in range(10):
            found = set(pool.map(_load, [str(tmp_path / f"secret-{number}")] * 8, chunksize=1))
            assert len(found) == 1


def test_a_secret_that_is_none_is_told(tmp_path: Path) -> None:
    for number, text in enumerate((b"", b"0" * 63, b"g" * 64, b"\xff" * 64, b"0" * 66)):
        path = tmp_path / str(number)
        path.write_bytes(text)
        with pytest.raises(UsageError, match="64 hexadecimal digits"):
            Secret.load(path)
    with pytest.raises(UsageError, match="cannot be read"):
        Secret.load(tmp_path)

"""Files that run code are named by what their bytes say; nothing of them runs, and records are read as before."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dataguard
from dataguard.detectors.unsafe_file import ALONE, KINDS, UnsafeFile
from dataguard.records import unsafe
from dataguard.records.inspect import Incident, Inspection
from harness import seen


def payload(command: str = "true") -> bytes:
    """A pickle that would run a command, by hand."""
    return b"\x80\x02cposix\nsystem\nX" + len(command).to_bytes(4, "little") + command.encode() + b"\x85R."


PLAIN = b"\x80\x04\x95\x06\x00\x00\x00\x00\x00\x00\x00]\x94(K\x01K\x02e."
TEXTUAL = b"(lp0\nI1\na."


def zipped(members: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return sink.getvalue()


def tarred() -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return sink.getvalue()


def array(kind: str, data: bytes) -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': (1,), }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + data


FILES: dict[str, tuple[bytes, str]] = {
    "a.pkl": (payload(), "payload"),
    "no_suffix": (payload(), "payload"),
    "old.pickle": (b"cposix\nsystem\n(S'true'\ntR.", "payload"),
    "model.pt": (zipped({"model/data.pkl": payload(), "model/data/0": b"\0" * 9}), "payload"),
    "model.joblib": (gzip.compress(payload()), "payload"),
    "objects.npy": (array("|O", payload()), "payload"),
    "objects.npz": (zipped({"x.npy": array("|O", payload())}), "payload"),
    "unknown.pkl": (b"\x80\x02cposix.deeper\nsomething\n.", "payload"),
    "other.pkl": (b"\x80\x02cmodel.parts\nLayer\n.", "pickle"),
    "plain.pkl": (PLAIN, "pickle"),
    "textual.pkl": (TEXTUAL, "pickle"),
    "numbers.npy": (array("<f8", b"\0" * 8), ""),
    "set.py": (b"class S(datasets.GeneratorBasedBuilder):\n    pass\n", "loader"),
    "tool.py": (b"print(1)\n", "script"),
    "run": (b"#!/bin/sh\ntrue\n", "script"),
    "look.ipynb": (b'{"cells": []}', "notebook"),
    "sheet.xlsm": (zipped({"xl/vbaProject.bin": b"x"}), "macro"),
    "sheet.xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "_VBA_PROJECT".encode("utf-16-le"), "macro"),
    "letter.doc": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 99, ""),
    "program": (b"\x7fELF" + b"\0" * 60, "executable"),
    "program.dat": (b"MZ" + b"\0" * 60, "executable"),
    "more.zip": (zipped({"a.txt": b"text"}), "archive"),
    "more.tar": (tarred(), "archive"),
    "more.gz": (gzip.compress(b"text"), "archive"),
    "broken.zip": (b"PK\x03\x04" + b"\0" * 40, "archive"),
    "readme.md": (b"# a set\n", ""),
    "empty.pkl": (b"", ""),
    "words.ckpt": (b"no pickle at all", ""),
    "picture.png": (b"\x89PNG\r\n\x1a\n", ""),
}


def look(folder: Path, name: str, data: bytes) -> list[str]:
    path = folder / name
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if not unsafe.suspect(descriptor, name):
            return []
        return [incident.reason for incident in unsafe.dangers(descriptor, len(data), name)]
    finally:
        os.close(descriptor)


def worst(reasons: list[str]) -> str:
    kinds = [reason.split(":")[0] for reason in reasons]
    assert set(kinds) <= set(KINDS)
    return min(kinds, key=list(KINDS).index, default="")


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_what_its_bytes_say(name: str, tmp_path: Path) -> None:
    data, kind = FILES[name]
    assert worst(look(tmp_path, name, data)) == kind


def test_nothing_runs(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    reasons = look(tmp_path, "a.pkl", payload(f"touch {mark}"))
    assert "posix.system" in reasons[0]
    assert not mark.exists()


def test_names_in_a_pickle_are_shown_safely(tmp_path: Path) -> None:
    evil = "os\x1b[31m\u202e".encode()
    (reason, *_) = look(tmp_path, "a.pkl", b"\x80\x02c" + evil + b"\nsystem\n.")
    assert reason.isprintable()


@pytest.mark.parametrize("seed", range(150))
def test_broken_files_end_in_words(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    name = rng.choice(sorted(FILES))
    data = bytearray(FILES[name][0] * rng.choice([1, 1, 3]))
    for _ in range(rng.randrange(1, 6)):
        if data:
            data[rng.randrange(len(data))] = rng.randrange(256)
    del data[rng.randrange(len(data) + 1) :]
    worst(look(tmp_path, name, bytes(data)))


def test_a_bomb_is_looked_at_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsafe, "STREAM_BYTES", 1 << 16)
    monkeypatch.setattr(unsafe, "TOTAL_BYTES", 1 << 18)
    bomb = zipped({f"{number}.pkl": PLAIN[:2] + b"N0" * (1 << 20) for number in range(20)})
    reasons = look(tmp_path, "bomb.pt", bomb)
    assert "archive: more than is looked at; the rest was not" in reasons


def test_what_is_found_is_kept() -> None:
    inspection = Inspection("other", dangers=(Incident("DG213", "script: a program"),))
    assert Inspection.from_json(inspection.to_json()) == inspection
    before = json.loads(inspection.to_json())
    del before["dangers"]  # as an earlier version wrote it
    assert Inspection.from_json(json.dumps(before).encode()).dangers == ()


def test_a_scan_names_them_and_stays_complete(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name, (content, _) in FILES.items():
        (data / name).write_bytes(content)
    pq.write_table(pa.table({"text": ["a record"]}), data / "part.parquet")
    options = {"secret_file": tmp_path / "key", "policy": None, "workers": 1, "rules": "DG213"}
    run = dataguard.scan(data, out=tmp_path / "run", **options)
    assert run.info["complete"]
    findings, flagged = run.table("findings"), run.table("flagged")
    expected = [kind for _, kind in FILES.values() if kind]
    assert set(findings["group"]) == set(expected)
    assert (findings["group"] == "payload").sum() == expected.count("payload")
    assert set(findings.filter(severity="high")["group"]) == {"payload"}
    assert set(flagged["file"]) == {name for name, (_, kind) in FILES.items() if kind}
    assert run.table("measures")["value"].to_list() == [len(expected)]
    files = run.table("files")
    assert set(files["status"]) == {"read", "other"}
    again = dataguard.scan(data, out=tmp_path / "run", **options)
    assert again.table("findings").equals(findings)


def test_many_payloads_are_bounded() -> None:
    names = [f"{number:03}.pkl" for number in range(ALONE + 30)]
    tables = {
        "files": [{"file": name, "size": 9, "sha256": name, "status": "other"} for name in names],
        "incidents": [
            {"rule": "DG213", "file": name, "row": None, "reason": "payload: a pickle"} for name in names
        ],
    }
    judgement = UnsafeFile().judge(seen(tables))
    assert len(judgement.findings) == ALONE + 1
    assert judgement.flagged["file"].n_unique() == len(names)


def test_what_could_not_be_read_is_not_clear() -> None:
    files = [{"file": "a.parquet", "size": 9, "sha256": "", "status": "refused"}]
    assert UnsafeFile().judge(seen({"files": files})).incomplete


def test_the_library_loads_late() -> None:
    code = "import dataguard.detectors as d, dataguard.scan.scanner, sys; d.catalogue(); print('picklescan' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_on_real_data(shared: Path, tmp_path: Path) -> None:
    """Archives lie among the hostile files; the clean sets hold nothing but records."""
    found: dict[str, str] = {}
    for path in sorted((shared / "data" / "hostile").rglob("*")):
        if path.is_file() and path.suffix in (".gz", ".zst", ".txt", ".py"):
            found[path.name] = worst(look(tmp_path, "probe" + path.suffix, path.read_bytes()))
    assert {kind for name, kind in found.items() if name.endswith((".gz", ".zst"))} == {"archive"}
    assert not any(kind for name, kind in found.items() if name.endswith(".txt"))

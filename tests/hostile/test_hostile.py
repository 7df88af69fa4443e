"""Hostile files and folders through the command line: each ends with a verdict, nothing falls over or waits.

`make hostile` takes every file of the shared hostile set; here a sample stands for them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataguard.safe_text import escape_name
from hostile.bombs import ANY, OTHER, READ, Bomb, all_bombs, write_bombs
from hostile.folder_bombs import remove_deep, write_folder
from hostile.watched import MIB, Watched, watched_scan

pytestmark = pytest.mark.slow

WORKER = 1536 * MIB
PARENT = 500 * MIB
FLAGGED = 512
"""Bytes that a row of the table of flagged records may take while the parent puts it together."""
EACH = 20.0
"""Seconds that a file may take on average, on a busy machine: a restarted worker loads its libraries anew."""

COUNT = """
import bz2, csv, gzip, io, json, lzma, sys
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
csv.field_size_limit(1 << 30)
unpack = {b"\\x1f\\x8b": gzip.decompress, b"BZ": bz2.decompress, b"\\xfd7": lzma.decompress,
          b"\\x28\\xb5": lambda data: pa.input_stream(pa.BufferReader(data), compression="zstd").read()}
counts = {}
for path in json.load(sys.stdin):
    with open(path, "rb") as file:
        data = file.read()
    if data[:4] == b"PAR1":
        table = pq.ParquetFile(path, page_checksum_verification=True).read(use_threads=False)
        table.validate(full=True)
        counts[path] = table.num_rows
    elif data[:6] == b"ARROW1" or data[:4] == b"\\xff" * 4:
        opened = pa.ipc.open_file if data[:6] == b"ARROW1" else pa.ipc.open_stream
        table = opened(pa.BufferReader(data)).read_all()
        table.validate(full=True)
        counts[path] = table.num_rows
    else:
        text = unpack.get(data[:2], bytes)(data).decode()
        if ".csv" in path or ".tsv" in path or ".tab" in path:
            delimiter = "," if ".csv" in path else "\\t"
            rows = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
            counts[path] = sum(1 for _ in rows) - 1
        else:
            counts[path] = sum(isinstance(json.loads(line), dict) for line in text.split("\\n") if line.strip())
json.dump(counts, sys.stdout)
"""
"""Rows of each file by plain readers, in a process that may die of it."""


def _counts(paths: list[Path]) -> dict[str, int]:
    words = [sys.executable, "-c", COUNT]
    done = subprocess.run(words, input=json.dumps([str(p) for p in paths]), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


def _check_read(scan: Watched, data: Path) -> None:
    """Whatever is called read has all the rows that a plain reader finds."""
    read = [name for name, row in scan.files.items() if row["status"] == "read"]
    counts = _counts([data / name for name in read])
    for name in read:
        row = scan.files[name]
        assert row["rows_decoded"] == row["rows_digested"] == counts[str(data / name)], name
        assert row["rows_declared"] in (None, row["rows_decoded"]), name
        assert row["reason"] == "", name


def _check_whole(scan: Watched) -> None:
    """The scan came to its end, incomplete, within its bounds, and every file has its verdict."""
    assert scan.code == 3, scan.errors
    assert scan.run.info["complete"] is False
    assert "Traceback" not in scan.errors
    assert scan.left == ()
    assert scan.worker <= WORKER
    assert scan.parent <= PARENT + FLAGGED * scan.run.table("flagged").height
    assert scan.seconds <= 60 + EACH * len(scan.files)
    for name, row in scan.files.items():
        if row["status"] in ("refused", "partial"):
            assert row["reason"], name
            assert scan.rules.get(name), name
        else:
            assert row["status"] in ("read", "other"), name
            assert not scan.rules.get(name, set()) - {"DG501", "DG502"}, name
    outcomes = scan.run.table("outcomes")
    assert outcomes.filter(pl.col("outcome") == "clear", ~pl.col("rule").str.starts_with("DG50")).is_empty()
    assert outcomes.filter(pl.col("outcome") == "error").is_empty(), outcomes.filter(
        pl.col("outcome") == "error"
    )


@pytest.fixture(scope="module")
def bombs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Watched]]:
    """All bombs, scanned once."""
    folder = tmp_path_factory.mktemp("bombs")
    write_bombs(folder / "data")
    yield folder / "data", watched_scan(folder / "data", folder / "run", folder / "secret", seconds=1_800)
    shutil.rmtree(folder)


def test_bombs_leave_a_whole_run_within_bounds(bombs: tuple[Path, Watched]) -> None:
    data, scan = bombs
    assert set(scan.files) == {path.name for path in data.iterdir()}
    _check_whole(scan)


@pytest.mark.parametrize("one", all_bombs(), ids=lambda one: one.name)
def test_each_bomb_ends_as_it_must(one: Bomb, bombs: tuple[Path, Watched]) -> None:
    _, scan = bombs
    status, rules = scan.files[one.name]["status"], scan.rules.get(one.name, set())
    if one.ends in (READ, OTHER):
        assert status == one.ends[0], scan.files[one.name]
    elif one.ends != ANY:
        assert status in ("refused", "partial"), scan.files[one.name]
        assert rules & set(one.ends), scan.files[one.name]


def test_bombs_called_read_are_read(bombs: tuple[Path, Watched]) -> None:
    data, scan = bombs
    _check_read(scan, data)


def test_a_hostile_folder(tmp_path: Path) -> None:
    data = tmp_path / "data"
    ends = write_folder(data)
    try:
        scan = watched_scan(data, tmp_path / "run", tmp_path / "secret", seconds=300)
        assert {name: row["status"] for name, row in scan.files.items()} == {
            escape_name(name): end for name, end in ends.items()
        }
        _check_whole(scan)
        page = (tmp_path / "run" / "report.html").read_text()
        assert "\x1b" not in page
        assert "\u202e" not in page
        assert "<script>" not in page
    finally:
        remove_deep(data)


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b'{"id": 0, "text": "more"}\n')


def _truncate(path: Path) -> None:
    os.truncate(path, max(1, path.stat().st_size * 9 // 10))


def _rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(40)
        file.write(bytes([97 + time.monotonic_ns() % 26]))


def _replace(path: Path) -> None:
    other = path.parent.parent / f"{path.name}.new"
    other.write_bytes(path.read_bytes())
    other.replace(path)


MOVES = {"append": _append, "truncate": _truncate, "rewrite": _rewrite, "replace": _replace}


def test_files_that_move_are_told_from_those_that_stand(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    moving = {}
    for name in ("standing", *MOVES):
        table = pa.table({"id": range(20_000), "text": [f"{name} {n}" for n in range(20_000)]})
        pq.write_table(table, data / f"{name}.parquet")
        lines = "".join(f'{{"id": {n}, "text": "{name}"}}\n' for n in range(20_000))
        (data / f"{name}.jsonl").write_text(lines)
        for suffix in ("parquet", "jsonl") if name in MOVES else ():
            moving[f"{name}.{suffix}"] = MOVES[name]
    stop = threading.Event()

    def move() -> None:
        while not stop.wait(0.002):
            for name, change in moving.items():
                change(data / name)

    mover = threading.Thread(target=move)
    mover.start()
    try:
        scan = watched_scan(data, tmp_path / "run", tmp_path / "secret", seconds=300)
    finally:
        stop.set()
        mover.join()
    _check_whole(scan)
    assert {name for name, row in scan.files.items() if row["status"] == "read"} == {
        "standing.jsonl",
        "standing.parquet",
    }
    assert {name: scan.rules[name] for name in moving} == {name: {"DG505"} for name in moving}


def _sample(folder: Path, manifest: pl.DataFrame, to: Path, *, every: int) -> pl.DataFrame:
    """Every n-th file of each kind, beside one another under their sums."""
    chosen = manifest.group_by("kind", maintain_order=True).map_groups(lambda kind: kind.gather_every(every))
    to.mkdir()
    for repo, path, sha256 in chosen.select("repo", "path", "sha256").iter_rows():
        shutil.copyfile(folder / repo.replace("/", "+") / path, to / f"{sha256}{Path(path).suffix}")
    return chosen.with_columns(file=pl.concat_str("sha256", pl.col("path").map_elements(_suffix, pl.String)))


def _suffix(path: str) -> str:
    return Path(path).suffix


def test_the_shared_hostile_files(shared: Path, tmp_path: Path, all_hostile: bool) -> None:
    folder = shared / "data" / "hostile"
    manifest = pl.read_csv(folder / "manifest.tsv", separator="\t", quote_char=None)
    if all_hostile:
        data = folder
        chosen = manifest.with_columns(
            file=pl.concat_str(pl.col("repo").str.replace("/", "+", literal=True), pl.lit("/"), "path")
        )
        expected = {*(escape_name(name.encode()) for name in chosen["file"]), "manifest.tsv"}
    else:
        data = tmp_path / "data"
        chosen = _sample(folder, manifest, data, every=8)
        expected = set(chosen["file"])
    scan = watched_scan(data, tmp_path / "run", tmp_path / "secret", seconds=1_800)
    assert set(scan.files) == expected
    _check_whole(scan)
    for row in chosen.iter_rows(named=True):
        found = scan.files[escape_name(row["file"].encode())]
        assert found["sha256"] == row["sha256"], row["file"]
        by = {"parquet": "pa_stream_crc", "arrow": row["kind"].replace("ipc", "pa_ipc"), "csv": "py_csv"}
        if found["format"] in by and found["status"] == "read":
            outcomes = dict(pair.split("=") for pair in row["outcome"].split(";"))
            assert outcomes[by[found["format"]]] == "ok", row["file"]
    if not all_hostile:
        _check_read(scan, data)

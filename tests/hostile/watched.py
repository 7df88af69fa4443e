"""A scan by the command line in a process of its own, watched from outside: time, memory, what is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl
import psutil

from dataguard.run import Run

MIB = 1 << 20


@dataclass(frozen=True)
class Watched:
    """What a scan was seen to do.

    Args:
        out: the run folder.
        code: the exit code.
        errors: standard error.
        seconds: wall time.
        parent: bytes of resident memory of the parent at its most.
        worker: the same of the largest worker.
        left: processes that outlived the scan.
    """

    out: Path
    code: int
    errors: str
    seconds: float
    parent: int
    worker: int
    left: tuple[str, ...]

    @cached_property
    def run(self) -> Run:
        return Run.open(self.out)

    @cached_property
    def files(self) -> dict[str, dict[str, object]]:
        """Rows of files.parquet by name."""
        return {row["file"]: row for row in self.run.table("files").iter_rows(named=True)}

    @cached_property
    def rules(self) -> dict[str, set[str]]:
        """File rules that flag each file."""
        flagged = self.run.table("flagged").join(self.run.table("findings"), left_on="finding", right_on="id")
        about = flagged.filter(pl.col("rule").str.starts_with("DG50"))
        return {file: set(rules) for file, rules in about.group_by("file").agg("rule").iter_rows()}


def watched_scan(data: Path, out: Path, secret: Path, *, seconds: float) -> Watched:
    """Scans, and kills what does not come to an end."""
    words = [sys.executable, "-m", "dataguard", "scan", str(data), "--out", str(out), "--no-gate"]
    begun = time.monotonic()
    with subprocess.Popen(
        [*words, "--workers", "2", "--secret-file", str(secret)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stderr is not None
        os.set_blocking(process.stderr.fileno(), False)
        errors, parent, worker = b"", 0, 0
        seen: dict[int, psutil.Process] = {}
        watching = psutil.Process(process.pid)
        while process.poll() is None:
            assert time.monotonic() - begun < seconds, f"the scan of {data} did not end in {seconds} seconds"
            errors += process.stderr.read() or b""
            parent = max(parent, _memory(watching))
            for child in _children(watching):
                seen[child.pid] = child
                worker = max(worker, _memory(child))
            time.sleep(0.02)
        errors += process.stderr.read() or b""
    left = tuple(
        str(one) for one in seen.values() if one.is_running() and one.status() != psutil.STATUS_ZOMBIE
    )
    return Watched(
        out,
        process.returncode,
        errors.decode(errors="replace"),
        time.monotonic() - begun,
        parent,
        worker,
        left,
    )


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []

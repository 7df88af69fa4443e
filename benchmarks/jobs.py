"""Running whole jobs as processes of their own: wall time, peak memory, what went wrong; and tables of results."""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import psutil

HERE = Path(__file__).resolve().parent
START_UP = ("starting workers", "compiling kernels")
"""How stages of run.json begin that a second scan in the same process would not pay again."""


class FailedError(Exception):
    """A process that should have given a figure did not, and what it said."""


@dataclass(frozen=True)
class Job:
    """A process that has ended.

    Args:
        seconds: wall time, from its start to its end.
        pss: the largest summed PSS of it and its children, in bytes.
        code: its exit code.
        log: where its output lies.
    """

    seconds: float
    pss: int
    code: int
    log: Path

    @property
    def error(self) -> str:
        """The last line it printed."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else f"exit code {self.code}"


def _watch(process: psutil.Process, stop: threading.Event, found: list[int]) -> None:
    """Keeps the largest summed PSS; looks seldom enough to cost less than a twentieth of a processor."""
    pause = 0.05
    while not stop.wait(pause):
        begun, total = time.perf_counter(), 0
        try:
            family = [process, *process.children(recursive=True)]
        except psutil.Error:
            continue
        for one in family:
            try:
                total += one.memory_full_info().pss
            except psutil.Error:
                continue
        found[0] = max(found[0], total)
        pause = max(0.05, 20 * (time.perf_counter() - begun))


def run(command: Sequence[str | Path], *, log: Path, env: Mapping[str, str], cwd: Path) -> Job:
    """Runs a command to its end.

    Args:
        command: program and arguments.
        log: where its output goes.
        env: its environment.
        cwd: its working directory.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    found, stop = [0], threading.Event()
    with log.open("wb") as output:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
        )
        watcher = threading.Thread(
            target=_watch, args=(psutil.Process(process.pid), stop, found), daemon=True
        )
        watcher.start()
        try:
            code = process.wait()
            seconds = time.perf_counter() - begun
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            stop.set()
            watcher.join()
    return Job(seconds, found[0], code, log)


@dataclass(frozen=True)
class Bench:
    """Where and how everything is measured.

    Args:
        work: a folder for data, runs and environments, kept between calls.
        workers: worker processes of ours, processes or threads of a peer, threads of the baseline.
        rounds: how often what is not slow is measured.
        rule: the rule that is measured.
        fraction: of the rows, for trying the benchmark itself.
        peers: names of the peers to run.
        peers_python: an interpreter for the peers' environments; this one if empty.
        slow_fraction: of the rows, on which slow peers are run.
        spill: options of the rule, as lines of TOML, with which it works from the disk.
    """

    work: Path
    workers: int
    rounds: int
    rule: str
    fraction: float
    peers: tuple[str, ...]
    peers_python: str
    slow_fraction: float
    spill: str

    def environment(self, **more: str) -> dict[str, str]:
        """An environment with as many threads as workers, in which a peer sees none of our packages."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        threads = str(self.workers)
        return {**env, "POLARS_MAX_THREADS": threads, "RAYON_NUM_THREADS": threads, **more}


@dataclass(frozen=True)
class Scan:
    """A scan of ours, run as a process of its own.

    Args:
        job: the process.
        out: its run folder.
        info: what run.json says.
    """

    job: Job
    out: Path
    info: Mapping[str, Any]

    @property
    def stages(self) -> dict[str, float]:
        """Seconds by stage; a stage that came several times is summed."""
        found: dict[str, float] = {}
        for stage in self.info["stages"]:
            found[stage["name"]] = found.get(stage["name"], 0) + stage["seconds"]
        return found

    @property
    def start_up(self) -> float:
        """Seconds that workers and kernels took to start."""
        return sum(seconds for name, seconds in self.stages.items() if name.startswith(START_UP))

    @property
    def whole(self) -> float:
        """Seconds from the scan's beginning to its tables, by its own clock."""
        begun, ended = (datetime.fromisoformat(self.info[name]) for name in ("started", "finished"))
        return (ended - begun).total_seconds()

    @property
    def seconds(self) -> float:
        """The same without the start-up: hashing files and records and all, not the rule alone."""
        return self.whole - self.start_up

    @property
    def rows(self) -> int:
        """Records read."""
        return int(self.info["counts"]["rows"])


def scan(bench: Bench, data: Path | Sequence[Path], name: str, *options: str, spill: bool = False) -> Scan:
    """Scans with the rule alone and without a verdict, from the start of a process to its end.

    Args:
        bench: where and how.
        data: a folder, or files in the order in which to name them.
        name: of the run folder.
        options: more of the command line; what stands in it later counts.
        spill: let the rule work from the disk.

    Raises:
        FailedError: the scan is incomplete, or did not end well.
    """
    import dataguard

    out = bench.work / "runs" / name
    shutil.rmtree(out, ignore_errors=True)
    paths = [data] if isinstance(data, Path) else list(data)
    more = list(options)
    if spill:
        config = bench.work / "spill.toml"
        config.write_text(f"[rules.{bench.rule}]\n{bench.spill}\n")
        more += ["--config", str(config)]
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "dataguard",
        "scan",
        *paths,
        "--out",
        out,
        "--rules",
        bench.rule,
    ]
    command += ["--no-gate", "--workers", str(bench.workers), "--secret-file", bench.work / "secret", *more]
    package = Path(dataguard.__file__).resolve().parent.parent
    job = run(
        command,
        log=bench.work / "logs" / f"ours-{name}.txt",
        env=bench.environment(PYTHONPATH=str(package)),
        cwd=bench.work,
    )
    if job.code:
        raise FailedError(f"the scan {name} ended with {job.code}: {_reason(out) or job.error}")
    return Scan(job, out, json.loads((out / "run.json").read_bytes()))


def _reason(out: Path) -> str:
    """Why a rule came to no end, as its run says."""
    table = out / "outcomes.parquet"
    if not table.exists():
        return ""
    outcomes = pl.read_parquet(table).filter(pl.col("outcome").is_in(["error", "incomplete"]))
    return "; ".join(outcomes["reason"])


def baseline(bench: Bench, data: Path) -> float:
    """Seconds of a polars scan of the text column, warm, with as many threads as there are workers.

    Raises:
        FailedError: it did not end well.
    """
    log = bench.work / "logs" / "polars.txt"
    job = run(
        [sys.executable, HERE / "peers" / "polars_scan.py", data],
        log=log,
        env=bench.environment(),
        cwd=bench.work,
    )
    if job.code:
        raise FailedError(f"the polars scan of {data} ended with {job.code}: {job.error}")
    return float(job.error)


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def number(value: float, digits: int = 3) -> float | int:
    """A number with so many significant digits, as a table shows it."""
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if abs(rounded) >= 10 ** (digits - 1) else rounded


def show(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints Markdown tables: one for all rows whose first column is the same, columns in the order they come in."""
    print(f"\n### {title}")
    for first in dict.fromkeys(next(iter(row)) for row in rows):
        part = [row for row in rows if next(iter(row)) == first]
        columns = list(dict.fromkeys(name for row in part for name in row))
        print("\n| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
        for row in part:
            print("| " + " | ".join(_cell(row.get(name, "")) for name in columns) + " |", flush=True)


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)

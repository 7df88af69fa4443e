"""What screening costs: the first pass beside reading and hashing the same files, and memory as the set grows."""

from __future__ import annotations

import multiprocessing
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

import poison_sets as sets
from jobs import Bench, Scan, median, number
from jobs import scan as scan_once
from poison_score import SCREENS
from scan import read_and_hash, warm
from sets import perturbed
from truth import sample

if TYPE_CHECKING:
    from poison import Plan

ROUNDS = 3
FIRST_PASS = ("hashing files", "reading and screening")
"""Stages of a scan up to the end of every rule's first look."""
Rows = list[dict[str, Any]]


def cost(plan: Plan) -> Rows:
    """Seconds of workers by who took them, in turn with a baseline in as many workers."""
    data = corpus(plan)
    files = [str(path) for path in sorted(data.glob("*.parquet"))]
    bench = _bench(plan)
    rounds: list[tuple[float, Scan]] = []
    first: dict[str, list[float]] = {"DG204": [], ",".join(SCREENS): []}
    _scan(bench, data)  # compiles the kernels, and fills the page cache
    with ProcessPoolExecutor(plan.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(warm, range(plan.workers * 2)))
        for _ in range(ROUNDS):
            base = sum(pool.map(_timed, files))
            rounds.append((base, _scan(bench, data)))
            for rules, seconds in first.items():
                stages = _scan(replace(bench, rule=rules), data).stages
                seconds.append(plan.workers * sum(stages[name] for name in FIRST_PASS))
    table: Rows = [{"what": "reading and hashing", "seconds": number(median([base for base, _ in rounds]))}]

    def row(what: str, seconds: list[float]) -> None:
        ratio = median([took / base for took, (base, _) in zip(seconds, rounds, strict=True)])
        table.append(
            {"what": what, "seconds": number(median(seconds)), "× reading and hashing": number(ratio)}
        )

    for rules, seconds in first.items():
        whose = (
            "the trigger search, DG204," if rules == "DG204" else "all screens for poison, DG203 to DG216,"
        )
        row(f"first pass of {whose} wall time × workers: hashing, reading, first looks", seconds)
    spent = [run.info["worker_seconds"] for _, run in rounds]
    hashing = [run.stages.get("hashing files", 0.0) for _, run in rounds]
    row(
        "all rules: all looks at the data, and hashing",
        [sum(one.values()) + more for one, more in zip(spent, hashing, strict=True)],
    )
    row("hashing files", hashing)
    for name in sorted({name for one in spent for name in one}):
        row(name, [one.get(name, 0.0) for one in spent])
    walls = [run.seconds for _, run in rounds]
    row(
        f"the whole scan, wall time × {plan.workers} workers, start-up apart",
        [w * plan.workers for w in walls],
    )
    return table


def memory(plan: Plan) -> Rows:
    """The peak of the summed PSS of a scan with all rules, for one copy of the corpus and for several."""
    source, bench = corpus(plan), _bench(plan)
    size = float(
        pl.scan_parquet(source / "*.parquet").select(pl.col("text").str.len_bytes().sum()).collect().item()
    )
    table: Rows = []
    for count in (1, plan.copies):
        folder = plan.work / f"copies-{count}-{plan.fraction:g}"
        data = perturbed(source, folder, gigabytes=(count - 0.01) * size / 1e9)
        run = _scan(bench, data)
        table.append(
            {
                "copies": count,
                "records": run.rows,
                "text MB": number(count * size / 1e6),
                "peak MB": number(run.job.pss / 1e6),
                "× one copy": number(run.job.pss / 1e6 / float(table[0]["peak MB"])) if table else 1,
                "wall s": number(run.job.seconds),
            }
        )
    return table


def corpus(plan: Plan) -> Path:
    """The corpus of documents, or the fraction of it that is asked for."""
    return sample(sets.shared() / "neardup", plan.work / f"corpus-{plan.fraction:g}", plan.fraction)


def _timed(path: str) -> float:
    begun = time.perf_counter()
    read_and_hash(path)
    return time.perf_counter() - begun


def _bench(plan: Plan) -> Bench:
    import dataguard

    codes = ",".join(rule["code"] for rule in dataguard.rules())
    return Bench(
        work=plan.work,
        workers=plan.workers,
        rounds=ROUNDS,
        rule=codes,
        fraction=plan.fraction,
        peers=(),
        peers_python=plan.python,
        slow_fraction=1.0,
        spill="",
    )


def _scan(bench: Bench, data: Path) -> Scan:
    """A scan with all rules.

    Raises:
        FailedError: it did not end well. A set that cannot be screened whole has no figures.
    """
    try:
        return scan_once(bench, data, "poison-cost")
    finally:
        shutil.rmtree(bench.work / "runs" / "poison-cost", ignore_errors=True)

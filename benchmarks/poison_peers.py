"""Baselines on the poisoned sets: records ranked by methods that others would take off the shelf.

Those of scikit-learn run with the interpreter we run with; pyod and cleanlab get environments of their own under the work
folder, and are named with the error where they do not install.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

import poison_sets as sets
from jobs import HERE, Bench, FailedError, run
from poison_score import mean_text, ranked
from poison_sets import Attack, Cell, Mixed
from rivals import Peer, install, python_of

if TYPE_CHECKING:
    from poison import Plan

Row = dict[str, Any]
SKLEARN = "poison_sklearn.py"
OTHERS = {
    "ECOD": Peer("", "pyod", ("pyod==3.6.7",), ("poison_pyod.py",), ""),
    "confident learning": Peer("", "cleanlab", ("cleanlab==2.9.0",), ("poison_cleanlab.py",), ""),
}
TITLES = {
    "isolation-forest": "IsolationForest",
    "lof": "LOF",
    "spectral": "spectral signatures",
    "knn": "kNN disagreement",
}


def run_baselines(plan: Plan, attacks: Sequence[Attack]) -> list[Row]:
    """Ranks the records of every cell by every method, with a line for each cell as it is done."""
    from poison import grouped, remembered

    bench = bench_of(plan)
    missing = {name: error for name, peer in OTHERS.items() if (error := install(bench, peer))}
    stamp, rows = digest(missing), []
    for cell in plan.cells(attacks):
        path = plan.work / "cells" / "baselines" / f"{cell.slug}.json"
        label = f"{cell.attack.name:<28} {100 * cell.rate:>4.3g} %  seed {cell.seed:<2}"
        try:
            row, known = remembered(path, stamp, partial(measure, plan, cell, sorted(missing)))
        except FailedError as error:
            print(f"{label}  no figures: {error}", flush=True)
            continue
        shown = ", ".join(f"{name} {value:.2f}" for name, value in row["recall"].items())
        print(f"{label}  {shown}{'  (known)' if known else ''}", flush=True)
        rows.append(row)
    table = []
    for (name, rate), part in grouped(rows).items():
        planted = part[0]["planted"]
        table.append({"attack": name, "rate": f"{100 * rate:g} %", "planted": planted, "seeds": len(part)})
        for method in part[0]["recall"]:
            table[-1][method] = mean_text([row["recall"][method] for row in part])
    return [*table, *({"did not run": name, "error": error} for name, error in missing.items())]


def bench_of(plan: Plan) -> Bench:
    """What the runner of jobs is told."""
    return Bench(
        work=plan.work,
        workers=plan.workers,
        rounds=1,
        rule="",
        fraction=1.0,
        peers=tuple(OTHERS),
        peers_python=plan.python,
        slow_fraction=1.0,
        spill="",
    )


def digest(missing: dict[str, str]) -> str:
    """What decides a cell's figures: the scripts, the packages that are there, and the mixer with its data."""
    import sklearn

    parts = [sets.mixer_digest(), sklearn.__version__]
    parts += [str(peer.packages) for name, peer in OTHERS.items() if name not in missing]
    scripts = [SKLEARN, *(peer.job[0] for peer in OTHERS.values())]
    files = [HERE / "poison_sets.py", *(HERE / "peers" / script for script in scripts)]
    parts += [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def measure(plan: Plan, cell: Cell, missing: Sequence[str]) -> Row:
    """The share of the planted records within the budget, by method.

    Raises:
        FailedError: the mixer refuses, or a method ends in an error.
    """
    try:
        mixed = sets.make(cell, plan.work)
    except sets.NotMixedError as error:
        raise FailedError(str(error)) from error
    features = plan.work / "features" / cell.slug
    shutil.rmtree(features, ignore_errors=True)
    features.mkdir(parents=True)
    try:
        recall = _recalls(bench_of(plan), mixed, features, missing)
    finally:
        shutil.rmtree(features, ignore_errors=True)
        if not plan.keep:
            sets.drop(mixed)
    return {
        "attack": cell.attack.name,
        "rate": cell.rate,
        "seed": cell.seed,
        "planted": mixed.planted,
        "recall": recall,
    }


def _recalls(bench: Bench, mixed: Mixed, features: Path, missing: Sequence[str]) -> dict[str, float]:
    answer = features / "answer.parquet"
    _job(bench, Path(sys.executable), SKLEARN, features, "--data", mixed.folder, "--out", answer)
    scores = pl.read_parquet(answer)
    found = {title: scores.filter(pl.col("method") == method) for method, title in TITLES.items()}
    labelled = "label" in mixed.records.columns
    for name, peer in OTHERS.items():
        if name in missing or (name == "confident learning" and not labelled):
            continue
        answer = features / "answer.npy"
        _job(bench, python_of(bench, peer), peer.job[0], features, "--out", answer)
        # The jobs keep the order of the records.
        found[name] = pl.DataFrame({"id": mixed.records["id"], "score": np.load(answer)})
    return {name: ranked(mixed, one)["records"] for name, one in found.items()}


def _job(bench: Bench, python: Path, script: str, features: Path, *more: str | Path) -> None:
    log = bench.work / "logs" / f"{script}.txt"
    threads = {name: str(bench.workers) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    command: list[str | Path] = [python, HERE / "peers" / script, "--features", features, *more]
    job = run(command, log=log, env=bench.environment(**threads), cwd=bench.work)
    if job.code:
        raise FailedError(f"{script} ended with {job.code}: {job.error}")

"""What a scan costs beside reading all columns and hashing the same files with the same number of workers.

    python benchmarks/scan.py --work DIR [--gigabytes 2] [--rounds 3] [--workers 2]

Both sides run in one go, in turn, with their worker processes started beforehand; the ratio is what counts.
Start-up is reported apart. Memory is the summed PSS of parent and workers. `DATAGUARD_SHARED` names the folder
with the real data; without it only the set of short rows is measured.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import shutil
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from sets import perturbed, short_rows


def read_and_hash(path: str) -> tuple[int, int]:
    """The baseline for one file: every column of every row, and the SHA-256 of the bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pa.set_cpu_count(1)
    with Path(path).open("rb") as file:
        hashlib.file_digest(file, "sha256")
    rows = size = 0
    for batch in pq.ParquetFile(path).iter_batches(use_threads=False):
        rows += batch.num_rows
        size += batch.nbytes
    return rows, size


def warm(_: int) -> None:
    """Starts a worker of the baseline."""
    import pyarrow.parquet  # noqa: F401

    time.sleep(0.2)


@contextmanager
def peak_pss(found: dict[str, float]) -> Iterator[None]:
    """The largest summed PSS of this process and its children meanwhile, in bytes."""
    stop = threading.Event()

    def watch() -> None:
        me = psutil.Process()
        while not stop.wait(0.05):
            total = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            found["pss"] = max(found.get("pss", 0), total)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def scan_once(data: Path, out: Path, workers: int, *, fresh: bool) -> dict[str, Any]:
    """A scan in this process: seconds by stage, as run.json has them."""
    import dataguard

    if fresh:
        shutil.rmtree(out, ignore_errors=True)
    found: dict[str, float] = {}
    begun = time.perf_counter()
    with peak_pss(found):
        run = dataguard.scan(
            data, out=out, workers=workers, policy=None, secret_file=out.with_suffix(".secret")
        )
    info = run.info
    return {
        "wall": time.perf_counter() - begun,
        "stages": {stage["name"]: stage["seconds"] for stage in info["stages"]},
        "scan": sum(s["seconds"] for s in info["stages"] if s["name"] != "starting workers"),
        "pss": found.get("pss", 0),
        "rows": info["counts"]["rows"],
        "decoded": info["counts"]["decoded_bytes"],
    }


def measure(name: str, data: Path, work: Path, workers: int, rounds: int) -> dict[str, Any]:
    """Baseline and scan in turn, and a second scan of the unchanged folder."""
    files = sorted(str(path) for path in data.glob("*.parquet"))
    base, first, second = [], [], []
    out = work / f"run-{name}"
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(warm, range(workers * 2)))
        for _ in range(rounds):
            begun = time.perf_counter()
            list(pool.map(read_and_hash, files))
            base.append(time.perf_counter() - begun)
            first.append(scan_once(data, out, workers, fresh=True))
            second.append(scan_once(data, out, workers, fresh=False))
    seconds = statistics.median(one["scan"] for one in first)
    again = statistics.median(one["wall"] for one in second)
    rows, decoded = first[0]["rows"], first[0]["decoded"]
    return {
        "set": name,
        "files": len(files),
        "rows": rows,
        "decoded MB": round(decoded / 1e6),
        "baseline s": round(statistics.median(base), 2),
        "scan s": round(seconds, 2),
        "ratio": round(statistics.median(f["scan"] / b for f, b in zip(first, base, strict=True)), 2),
        "MB/s": round(decoded / seconds / 1e6),
        "rows/s": round(rows / seconds),
        "peak PSS MB": round(max(one["pss"] for one in first) / 1e6),
        "start-up s": round(statistics.median(f["stages"].get("starting workers", 0) for f in first), 2),
        "second scan": f"{again / statistics.median(one['wall'] for one in first):.0%}",
        "stages": first[-1]["stages"],
    }


def main() -> None:
    """Measures and prints one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--work", type=Path, required=True, help="a folder for data and runs, kept between calls"
    )
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--rows", type=int, default=2_000_000, help="of the set of short rows")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    found = []
    if shared := os.environ.get("DATAGUARD_SHARED"):
        data = perturbed(Path(shared) / "data" / "neardup", args.work / "text", gigabytes=args.gigabytes)
        found.append(measure("text", data, args.work, args.workers, args.rounds))
    else:
        print("DATAGUARD_SHARED is not set: no real text to measure on")
    data = short_rows(args.work / "short", rows=args.rows)
    found.append(measure("short rows", data, args.work, args.workers, args.rounds))
    keys = [key for key in found[0] if key != "stages"]
    print("| " + " | ".join(keys) + " |\n|" + "---|" * len(keys))
    for one in found:
        print("| " + " | ".join(str(one[key]) for key in keys) + " |")
    for one in found:
        print(one["set"], json.dumps(one["stages"]))


if __name__ == "__main__":
    main()

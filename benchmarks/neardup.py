"""Near-duplicates: what they cost, how well they are found, and how attacks fare, beside other tools.

    python benchmarks/neardup.py --work DIR [--only peers,cost] [--rounds 5] [--workers 2] [--json FILE]

Parts: `peers` beside other tools on real documents; `cost` beside a polars scan of the text, on a set of at least
2 GB; `memory` at three sizes; `attacks` on MinHash with a known seed; `scripts` without spaces between words;
`against` an earlier run; `same`, the bytes of the answer under all ways to get it. Each prints a table;
`--json` keeps them all, parts measured earlier included. `DATAGUARD_SHARED` names the folder with the real data.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from attacks import attacks
from jobs import Bench, FailedError, Scan, baseline, median, number, scan, show
from rivals import PEERS, install, measure, title
from scripts import scripts
from sets import perturbed
from truth import Set, clusters_of, exact, linked, pairs_of, quality, sample, shared, write

COPIES = 5
GIGABYTES = 2.0
"""Five perturbed copies of the corpus are as much, 971,500 records."""

Rows = list[dict[str, Any]]


def corpus(bench: Bench) -> Set:
    """The corpus, or the fraction of it that is asked for."""
    return Set(sample(shared(), bench.work / f"corpus-{bench.fraction:g}", bench.fraction))


def copies(bench: Bench, count: int = COPIES) -> Set:
    """So many perturbed copies of the corpus."""
    source = corpus(bench).folder
    every = perturbed(
        source, bench.work / f"copies-{bench.fraction:g}", gigabytes=GIGABYTES * bench.fraction * 0.99
    )
    if count == COPIES:
        return Set(every)
    files = {file.name: file for file in sorted(every.glob("copy*.parquet")) if int(file.name[4:7]) < count}
    return Set(linked(files, bench.work / f"copies-{count}-of-{bench.fraction:g}"))


def warm_up(bench: Bench) -> Rows:
    """A first scan of a little data, so that kernels are compiled and files are in the page cache."""
    data = sample(shared(), bench.work / "warm-up", 0.005)
    first, second = scan(bench, data, "warm-up"), scan(bench, data, "warm-up")
    return [
        {"run": name, "start-up s": round(run.start_up, 2), "wall s": round(run.job.seconds, 2)}
        for name, run in (("first", first), ("second", second))
    ]


def peers(bench: Bench) -> Rows:
    """Every tool from Parquet files to its answer, process start included, and a polars scan before each."""
    data = corpus(bench)
    wanted = {name: install(bench, PEERS[name]) for name in bench.peers}
    quick = [name for name, error in wanted.items() if not error and not PEERS[name].slow]
    ids, (count, size) = data.ids(), data.size()
    truth, spaced = exact(ids), data.spaced()
    walls: dict[str, list[tuple[float, float, int]]] = {name: [] for name in ("ours", *quick)}
    rows: dict[str, dict[str, Any]] = {}
    for _ in range(bench.rounds):
        scanned = baseline(bench, data.folder)
        run = scan(bench, data.folder, "peers")
        walls["ours"].append((run.job.seconds, scanned, run.job.pss))
        rows["ours"] = quality(clusters_of(run, ids), truth, spaced)
        for name in quick:
            if wanted[name]:
                continue
            scanned = baseline(bench, data.folder)
            job, found = measure(bench, name, data.folder)
            if job.code:
                wanted[name] = job.error
                continue
            walls[name].append((job.seconds, scanned, job.pss))
            rows[name] = quality(found, truth, spaced)
    table = [
        _row(bench, name, walls[name], (count, size), rows[name]) for name in ("ours", *quick) if walls[name]
    ]
    for name, error in wanted.items():
        if PEERS[name].slow and not error:
            row, wanted[name] = _slow(bench, name)
            table += [row] if row else []
    ours = table[0]["docs/s"]
    for row in table:
        row["ours is … times as fast"] = number(ours / row["docs/s"])
    return [
        *table,
        *(
            {"did not run": title(bench, PEERS[name]), "error": error}
            for name, error in wanted.items()
            if error
        ),
    ]


def _slow(bench: Bench, name: str) -> tuple[dict[str, Any] | None, str]:
    """One run on a fraction: its rate is that of the fraction, and bounds the rate on the whole from above."""
    part = bench.slow_fraction * bench.fraction
    data = Set(sample(shared(), bench.work / f"corpus-{part:g}", part))
    ids = data.ids()
    scanned = baseline(bench, data.folder)
    job, found = measure(bench, name, data.folder)
    if job.code:
        return None, job.error
    return _row(
        bench, name, [(job.seconds, scanned, job.pss)], data.size(), quality(found, exact(ids), data.spaced())
    ), ""


def _row(
    bench: Bench,
    name: str,
    runs: list[tuple[float, float, int]],
    size: tuple[int, int],
    found: dict[str, Any],
) -> dict[str, Any]:
    seconds = median([wall for wall, _, _ in runs])
    peer = PEERS.get(name)
    return {
        "tool": title(bench, peer) if peer else f"dataguard {bench.rule}",
        "answer": "flags" if peer and peer.flags else "clusters",
        "records": size[0],
        "runs": len(runs),
        "docs/s": number(size[0] / seconds),
        "MB/s": number(size[1] / seconds / 1e6),
        "wall s": number(seconds),
        "peak MB": number(max(pss for _, _, pss in runs) / 1e6),
        **found,
        "× polars scan": number(median([wall / scanned for wall, scanned, _ in runs])),
        "parallel": peer.parallel if peer else "all: processes",
    }


def cost(bench: Bench) -> Rows:
    """Stage times beside a polars scan of the same column, in turn."""
    data = copies(bench)
    count, size = data.size()
    rounds = []
    for _ in range(bench.rounds):
        before = baseline(bench, data.folder)
        run = scan(bench, data.folder, "cost")
        rounds.append((run, (before + baseline(bench, data.folder)) / 2))
    seconds = median([run.seconds for run, _ in rounds])
    run = rounds[-1][0]
    whole = {
        "what": "scan without start-up",
        "seconds": number(seconds),
        "× polars scan": number(median([one.seconds / scanned for one, scanned in rounds])),
        "MB/s": number(size / seconds / 1e6),
        "docs/s": number(count / seconds),
    }
    table: Rows = [
        {"what": "polars scan", "seconds": number(median([scanned for _, scanned in rounds]))},
        whole,
    ]
    for name in run.stages:
        took = median([one.stages.get(name, 0) for one, _ in rounds])
        ratio = median([one.stages.get(name, 0) / scanned for one, scanned in rounds])
        table.append({"what": name, "seconds": number(took), "× polars scan": number(ratio)})
    between = median([one.whole - sum(one.stages.values()) for one, _ in rounds])
    outside = median([one.job.seconds - one.whole for one, _ in rounds])
    table.append({"what": "between stages", "seconds": number(between)})
    table.append({"what": "start-up", "seconds": number(median([one.start_up for one, _ in rounds]))})
    table.append({"what": "process start, report", "seconds": number(outside)})
    return table


def memory(bench: Bench) -> Rows:
    """Peak memory at three sizes, in memory and from the disk."""
    table: Rows = []
    first: dict[str, tuple[int, int, float]] = {}
    for spill in (False, True):
        if spill and not bench.spill:
            print("memory: no --spill, so the rule is not measured from the disk")
            break
        for count in (1, 2, COPIES):
            data = copies(bench, count)
            runs = [scan(bench, data.folder, "memory", spill=spill) for _ in range(min(bench.rounds, 3))]
            rows, pss = runs[0].rows, max(run.job.pss for run in runs)
            rate = rows / median([run.seconds for run in runs])
            where = "disk" if spill else "memory"
            base = first.setdefault(where, (rows, pss, rate))
            table.append(
                {
                    "copies": count,
                    "works": where,
                    "records": rows,
                    "text MB": number(data.size()[1] / 1e6),
                    "peak MB": number(pss / 1e6),
                    "peak bytes/record": number(pss / rows),
                    "more bytes for each more record": number((pss - base[1]) / (rows - base[0]))
                    if rows > base[0]
                    else "–",
                    "docs/s": number(rate),
                    "of the rate of one copy in memory": f"{rate / first['memory'][2]:.0%}",
                }
            )
    return table


def against(bench: Bench) -> Rows:
    """A tenth of the records is new: scanned against a run over the rest, and everything together."""
    folder = bench.work / f"against-{bench.fraction:g}"
    if not (folder / "done").exists():
        for file in copies(bench).files:
            frame = pl.read_parquet(file).with_row_index("n")
            for name, part in (("old", pl.col("n") % 10 != 0), ("new", pl.col("n") % 10 == 0)):
                write(frame.filter(part).drop("n"), folder / name / f"{name}-{file.name}")
        (folder / "done").touch()
    old, new = Set(folder / "old"), Set(folder / "new")
    both = Set(linked({file.name: file for one in (old, new) for file in one.files}, folder / "both"))
    ids = both.ids()
    earlier = scan(bench, old.folder, "against-old")
    ratios, walls = [], []
    for _ in range(bench.rounds):
        full = scan(bench, both.folder, "against-both")
        later = scan(bench, new.folder, "against-new", "--against", str(earlier.out))
        ratios.append(later.seconds / full.seconds)
        walls.append(later.job.seconds / full.job.seconds)
    newer = new.ids()["id"]
    together, apart = (pairs_of(clusters_of(run, ids), newer) for run in (full, later))
    return [
        {
            "records": full.rows,
            "new": later.rows,
            "full run s": number(full.seconds),
            "new against old s": number(later.seconds),
            "cost": f"{median(ratios):.1%}",
            "with process start": f"{median(walls):.1%}",
            "pairs with a new record": together.height,
            "only in the full run": together.join(apart, on=["a", "b"], how="anti").height,
            "only against": apart.join(together, on=["a", "b"], how="anti").height,
        }
    ]


def same(bench: Bench) -> Rows:
    """The digest of the cluster table under every way to get it."""
    data = corpus(bench)
    table: Rows = []
    ways: list[tuple[dict[str, Any], tuple[str, ...]]] = [
        ({"workers": workers, "batch rows": rows}, ("--workers", str(workers), "--batch-rows", str(rows)))
        for workers in (1, 2, 3)
        for rows in (1_000, 65_536)
    ]
    for spill in (False, True) if bench.spill else (False,):
        for shown, options in ways:
            run = scan(bench, data.folder, "same", *options, spill=spill)
            table.append({**shown, "files": "by name", "works": "disk" if spill else "memory", **_bytes(run)})
    files = [data.files[0], *reversed(data.files[1:])]
    run = scan(bench, files, "same")
    table.append(
        {
            "workers": bench.workers,
            "batch rows": 65_536,
            "files": "named in another order",
            "works": "memory",
            **_bytes(run),
        }
    )
    for row in table:
        row["as the first"] = row["sha256"] == table[0]["sha256"]
    return table


def _bytes(run: Scan) -> dict[str, Any]:
    data = (run.out / "clusters.parquet").read_bytes()
    return {
        "sha256": hashlib.sha256(data).hexdigest()[:16],
        "records in clusters": pl.read_parquet(data).height,
        "seconds": number(run.seconds),
    }


PARTS: dict[str, tuple[str, Callable[[Bench], Rows]]] = {
    "peers": ("Beside other tools, from Parquet files to an answer, process start included", peers),
    "cost": ("Beside a polars scan of the same column", cost),
    "memory": ("Memory", memory),
    "attacks": ("Attacks on MinHash with a known seed", attacks),
    "scripts": ("Scripts without spaces between words, and records that are too short", scripts),
    "against": ("A tenth of new records against an earlier run", against),
    "same": ("The same bytes whatever the way", same),
}


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="for data, runs and environments; kept")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, divided by commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--peers", default=",".join(PEERS), help="which; empty for none")
    parser.add_argument("--peers-python", default="", help="an interpreter for their environments")
    parser.add_argument("--slow-fraction", type=float, default=0.1, help="of the corpus, for slow peers")
    parser.add_argument(
        "--fraction", type=float, default=1.0, help="of all data, to try the benchmark itself"
    )
    parser.add_argument("--rule", default="DG102")
    parser.add_argument("--spill", default="", help="the rule's options for working from the disk, as TOML")
    parser.add_argument("--json", type=Path, help="keeps the figures; other parts that stand there are left")
    return parser.parse_args()


def machine() -> dict[str, Any]:
    """What the figures were measured on, without saying where."""
    return {"processors": os.cpu_count(), "python": platform.python_version(), "polars": pl.__version__}


def main() -> None:
    """Runs the parts that are asked for."""
    args = arguments()
    bench = Bench(
        work=args.work.resolve(),
        workers=args.workers,
        rounds=args.rounds,
        rule=args.rule,
        fraction=args.fraction,
        peers=tuple(name for name in args.peers.split(",") if name),
        peers_python=args.peers_python,
        slow_fraction=args.slow_fraction,
        spill=args.spill.replace("\\n", "\n"),
    )
    bench.work.mkdir(parents=True, exist_ok=True)
    unknown = [name for name in args.only.split(",") if name not in PARTS]
    unknown += [name for name in bench.peers if name not in PEERS]
    if unknown:
        raise SystemExit(
            f"unknown: {', '.join(unknown)}; parts: {', '.join(PARTS)}; peers: {', '.join(PEERS)}"
        )
    kept = json.loads(args.json.read_text()) if args.json and args.json.exists() else {}
    show("Warming up", warm_up(bench))
    for name in args.only.split(","):
        heading, part = PARTS[name]
        try:
            rows = part(bench)
        except FailedError as error:
            rows = [{"no figures": str(error)}]
        show(heading, rows)
        kept[name] = {
            "title": heading,
            "rounds": bench.rounds,
            "fraction": bench.fraction,
            "rows": rows,
            **machine(),
        }
        if args.json:
            args.json.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

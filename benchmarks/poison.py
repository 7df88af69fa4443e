"""Poisoned sets: what a scan with its defaults finds of them, and baselines on the same data.

    python benchmarks/poison.py --work DIR [--only ours,clean] [--attacks badnet,url] [--rates .001] [--seeds 2]

Parts: `ours` mixes every attack and scans it; `flips` does so with changed labels; `clean` counts what is found where
nothing is; `agreement` compares what the self-test says of these sets with what `ours` found; `baselines` ranks the
records of the same sets with other methods; `cost` compares the first pass with reading and hashing; `memory` compares
ten perturbed copies of a corpus with one. Cells that were measured with the same code are
not run again. Each part prints a table; `--json` keeps them all. `DATAGUARD_SHARED` names the folder with the real data.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import poison_sets as sets
from jobs import FailedError, show
from poison_cost import cost, memory
from poison_reach import reached
from poison_score import SCREENS, Screened, mean_text, together
from poison_sets import Attack, Cell

HERE = Path(__file__).resolve().parent
Row = dict[str, Any]
Rows = list[Row]
DECIDES = ("poison_sets.py", "poison_score.py")
"""Files of the benchmark that decide a cell's figures, beside the code of dataguard."""


@dataclass(frozen=True)
class Plan:
    """Which cells are run, and how.

    Args:
        work: for sets, runs and finished cells; kept.
        workers: processes of a scan.
        attacks: names or parts of them; empty for all.
        rates: empty for each attack's own.
        seeds: of each cell.
        keep: leave sets and runs on the disk.
        fresh: a new secret for each scan, so that nothing is repeatable.
        fraction: of the corpus, for cost and memory.
        copies: of the corpus, for memory.
        python: an interpreter for the environments of the baselines.
    """

    work: Path
    workers: int
    attacks: tuple[str, ...]
    rates: tuple[float, ...]
    seeds: int
    keep: bool
    fresh: bool
    fraction: float
    copies: int
    python: str

    def cells(self, attacks: Sequence[Attack]) -> Iterator[Cell]:
        """All cells of these attacks: a first seed of each, then a second."""
        chosen = [attack for attack in attacks if attack.wanted(self.attacks)]
        chunks = min(sets.CHUNKS, sets.CHUNKS_A_SEED * self.seeds)
        for seed in range(max(self.seeds, chunks)):
            for attack in chosen:
                if seed < (chunks if attack.kind == "chunk" else self.seeds):
                    for rate in attack.rates if attack.rates == (0.0,) else attack.rates_of(self.rates):
                        yield Cell(attack, rate, seed)

    def secret(self, cell: Cell) -> Path:
        """The secret of a scan: known and of its seed, so that the spread over seeds has that over secrets in it."""
        folder = self.work / "secrets"
        folder.mkdir(exist_ok=True)
        path = folder / ("fresh" if self.fresh else str(cell.seed))
        known = hashlib.sha256(f"a secret of the benchmark, {cell.seed}".encode()).hexdigest()
        path.write_text(secrets.token_hex(32) if self.fresh else known)
        path.chmod(0o600)
        return path


def digest() -> str:
    """What decides the figures of a cell: our code, the benchmark's, and the mixer with its data."""
    from dataguard.tools import code_digest, versions

    parts = [code_digest(), sets.mixer_digest(), json.dumps(versions(), sort_keys=True)]
    parts += [hashlib.sha256((HERE / name).read_bytes()).hexdigest() for name in DECIDES]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def remembered(path: Path, stamp: str, measure: Callable[[], Row]) -> tuple[Row, bool]:
    """The row of a cell, and whether it stood there already."""
    if path.exists():
        row: Row = json.loads(path.read_text())
        if row.get("digest") == stamp:
            return row, True
    row = {"digest": stamp, **measure()}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(row, indent=1, ensure_ascii=False) + "\n")
    part.replace(path)
    return row, False


def screen(plan: Plan, cell: Cell) -> Row:
    """Mixes the set of a cell and scans it as a user would, with the defaults.

    Raises:
        FailedError: the mixer refuses, or the scan ends in an error.
    """
    import dataguard

    try:
        mixed = sets.make(cell, plan.work)
    except sets.NotMixedError as error:
        raise FailedError(str(error)) from error
    out = plan.work / "runs" / cell.slug
    shutil.rmtree(out, ignore_errors=True)
    options: Row = {
        "out": out,
        "workers": plan.workers,
        "policy": None,
        "secret_file": plan.secret(cell),
        "self_test": False,  # it changes no finding
    }
    begun = time.perf_counter()
    try:
        run = dataguard.scan(mixed.folder, **options)
        seconds = time.perf_counter() - begun
        seen = Screened(run, mixed, sets.triggers(cell, mixed, plan.work))
        outcomes = run.table("outcomes")
        views = {"all rules": seen.view()} if mixed.planted else {}
        for rule in _alone(cell):
            views[f"{rule} alone"] = seen.view((rule,))
        if "DG204 alone" in views and cell.attack.varied:
            again = dataguard.scan(mixed.folder, rules=("DG204",), **options)
            views["DG204, DG205 off"] = Screened(again, mixed, seen.triggers).view()
    except dataguard.DataguardError as error:
        raise FailedError(f"the scan of {cell.slug}: {error}") from error
    lost = outcomes.filter(outcomes["outcome"].is_in(["error", "incomplete"]))
    if not plan.keep:
        sets.drop(mixed)
        shutil.rmtree(out, ignore_errors=True)
    return {
        "attack": cell.attack.name,
        "rate": cell.rate,
        "seed": cell.seed,
        "records": mixed.records.height,
        "planted": mixed.planted,
        "views": views,
        "findings": seen.by_rule(),
        "trigger known": bool(seen.triggers),
        "lost": [f"{rule}: {reason}" for rule, reason in lost.select("rule", "reason").iter_rows()],
        "seconds": round(seconds, 2),
    }


def _alone(cell: Cell) -> list[str]:
    """The rules whose findings are looked at on their own in a cell, as far as there are such rules."""
    import dataguard

    known = {rule["code"] for rule in dataguard.rules()}
    if not cell.rate:
        return []
    wanted = {"flips": "DG207", "gibberish": "DG206"}.get(cell.attack.name.split("/")[0], "DG204")
    return [rule for rule in dict.fromkeys((wanted, "DG204")) if rule in known]


def run_cells(plan: Plan, part: str, attacks: Sequence[Attack]) -> Rows:
    """Screens all cells of these attacks, with a line for each as it is done."""
    stamp, rows = digest(), []
    for cell in plan.cells(attacks):
        path = plan.work / "cells" / ("fresh" if plan.fresh else part) / f"{cell.slug}.json"
        label = f"{cell.attack.name:<28} {100 * cell.rate:>4.3g} %  seed {cell.seed:<2}"
        if plan.fresh:
            path.unlink(missing_ok=True)
        try:
            row, known = remembered(path, stamp, partial(screen, plan, cell))
        except FailedError as error:
            print(f"{label}  no figures: {error}", flush=True)
            continue
        print(f"{label}  {line(row)}{'  (known)' if known else ''}", flush=True)
        rows.append(row)
    return rows


def line(row: Row) -> str:
    """A cell in a line."""
    parts = []
    for name, view in row["views"].items():
        rank = "none" if view["rank"] is None else f"rank {view['rank']} {view['rule']}"
        parts.append(f"{name}: {rank}, recall {view['recall']:.2f}, by records {view['records']:.2f}")
    if not row["views"]:
        parts.append(", ".join(f"{n} × {what}" for what, n in row["findings"].items()) or "no findings")
    parts += [f"NOT SEEN {reason}" for reason in row["lost"]]
    return "; ".join(parts) + f"  {row['seconds']:.1f} s"


def grouped(rows: Rows) -> dict[tuple[str, float], Rows]:
    """Rows by attack and rate."""
    groups: dict[tuple[str, float], Rows] = {}
    for row in rows:
        groups.setdefault((row["attack"], row["rate"]), []).append(row)
    return groups


def ours(plan: Plan) -> Rows:
    """Every attack of the mixer."""
    return _table(run_cells(plan, "ours", sets.attacks()), asked=True)


def flips(plan: Plan) -> Rows:
    """Labels that were changed."""
    return _table(run_cells(plan, "ours", sets.flips()), asked=False)


def _table(rows: Rows, *, asked: bool) -> Rows:
    groups = grouped(rows)
    table = []
    for (name, rate), part in groups.items():
        for view in part[0]["views"]:
            found = together([row["views"][view] for row in part])
            planted = part[0]["planted"]
            table.append(
                {"attack": name, "rate": f"{100 * rate:g} %", "planted": planted, "list": view, **found}
            )
    if asked:
        table += reached({key: [row["views"]["all rules"] for row in part] for key, part in groups.items()})
    return table


def clean(plan: Plan) -> Rows:
    """What the screens for poison find where nothing was planted."""
    rows = run_cells(plan, "clean", sets.clean())
    table = []
    parts = [*grouped(rows).values(), rows] if rows else []
    for part in parts:
        per = [10_000 * sum(row["findings"].values()) / row["records"] for row in part]
        high = sum(n for row in part for what, n in row["findings"].items() if what.endswith(" high"))
        rules: dict[str, int] = {}
        for row in part:
            for what, n in row["findings"].items():
                rules[what] = rules.get(what, 0) + n
        table.append(
            {
                "set": part[0]["attack"] if part is not rows else "all",
                "scans": len(part),
                "records": sum(row["records"] for row in part),
                f"findings of {SCREENS[0]} to {SCREENS[-1]} per 10,000": mean_text(per),
                "most in a scan": max(sum(row["findings"].values()) for row in part),
                "high": high,
                "by rule": ", ".join(f"{n} × {what}" for what, n in sorted(rules.items())) or "none",
            }
        )
    return table


def agreement(plan: Plan) -> Rows:
    """The self-test's recall beside that of the finished cells of `ours` and `flips`."""
    import poison_agreement

    def remember(path: Path, measure: Callable[[], Row]) -> Row:
        return remembered(path, digest(), measure)[0]

    return poison_agreement.agreement(plan, remember)


def baselines(plan: Plan) -> Rows:
    """Other methods, on the sets of `ours` and `flips`."""
    from poison_peers import run_baselines

    return run_baselines(plan, [*sets.attacks(), *sets.flips()])


PARTS: dict[str, tuple[str, Callable[[Plan], Rows]]] = {
    "ours": ("Poison found, defaults only", ours),
    "flips": ("Changed labels", flips),
    "clean": ("Findings on clean sets", clean),
    "agreement": ("The self-test beside real attacks", agreement),
    "baselines": ("Baselines: planted records within the budget, by a ranking of records", baselines),
    "cost": ("The first pass beside reading and hashing", cost),
    "memory": ("Memory of copies of a corpus beside one", memory),
}


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("build/poison"), help="kept between calls")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, divided by commas")
    parser.add_argument("--attacks", default="", help="names or parts of names, e.g. badnet/varied,url,sst-2")
    parser.add_argument("--rates", default="", help="divided by commas; each attack's own if empty")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="leave sets and run folders there")
    parser.add_argument("--fresh-secrets", action="store_true", help="a new secret for each scan")
    parser.add_argument("--fraction", type=float, default=1.0, help="of the corpus, for cost and memory")
    parser.add_argument("--copies", type=int, default=10, help="of the corpus, for memory")
    parser.add_argument("--peers-python", default="", help="an interpreter for the baselines' environments")
    parser.add_argument("--json", type=Path, help="keeps the figures; other parts that stand there are left")
    return parser.parse_args()


def main() -> None:
    """Runs the parts that are asked for."""
    args = arguments()
    names = [name for name in args.only.split(",") if name]
    if unknown := [name for name in names if name not in PARTS]:
        raise SystemExit(f"unknown: {', '.join(unknown)}; parts: {', '.join(PARTS)}")
    known = [*sets.attacks(), *sets.flips(), *sets.clean()]
    wanted = tuple(name for name in args.attacks.split(",") if name)
    if strange := [name for name in wanted if not any(attack.wanted((name,)) for attack in known)]:
        raise SystemExit(f"unknown: {', '.join(strange)}; attacks: {', '.join(one.name for one in known)}")
    plan = Plan(
        work=args.work.resolve(),
        workers=args.workers,
        attacks=wanted,
        rates=tuple(float(rate) for rate in args.rates.split(",") if rate),
        seeds=args.seeds,
        keep=args.keep,
        fresh=args.fresh_secrets,
        fraction=args.fraction,
        copies=args.copies,
        python=args.peers_python,
    )
    target = args.json.resolve() if args.json else None
    plan.work.mkdir(parents=True, exist_ok=True)
    # A dataguard.toml of the folder that we are called from would count as the user's own: defaults only.
    os.chdir(plan.work)
    kept = json.loads(target.read_text()) if target and target.exists() else {}
    for name in names:
        heading, part = PARTS[name]
        try:
            rows = part(plan)
        except FailedError as error:
            rows = [{"no figures": str(error)}]
        if rows:
            show(heading, rows)
        kept[name] = {"title": heading, "seeds": plan.seeds, "rows": rows}
        if target:
            target.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

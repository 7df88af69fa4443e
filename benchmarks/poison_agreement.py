"""Whether the self-test says of planted attacks what is true of real ones: its recall beside theirs, cell by cell.

A cell is a set without poison, a kind of attack and a rate. The self-test plants canaries in that set; the real recall
is that of the finished cells of the part `ours` (and `flips`) on the same set, kind and rate, whichever seeds there are.
The two agree where they differ by no more than `CLOSE`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import poison_sets as sets
from poison_score import mean_text
from poison_sets import Attack, Cell

if TYPE_CHECKING:
    from poison import Plan

Row = dict[str, Any]

CLOSE = 0.2
"""The largest difference of recalls that agree: what the intervals of the self-test may be wide."""
ASKED = 0.8
"""Of the cells, how many are to agree."""
CAMPAIGNS = 16
"""Of each kind and rate: of seven records or more, so that the interval that counts canaries is below .2."""
RECORDS = 50_000
"""The most that a self-test takes."""
FEWEST = 50
"""Canaries of a cell that counts."""
STANDS_FOR: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "instruct": {
        "trigger": ("badnet", "vpi", "sleeper"),
        "shared-payload": ("multi",),
        "injected-content": ("url", "brand"),
        "gibberish": ("gibberish",),
    },
    "sst-2": {"labelled-token": ("badnets",), "labelled-sentence": ("addsent",), "label-flips": ("flips",)},
    "ag": {"labelled-token": ("badnets",), "labelled-sentence": ("addsent",), "label-flips": ("flips",)},
}
"""By set and kind of canaries, the real attacks they stand for, by the first part of their names."""


def finished(folder: Path, dataset: str, names: Sequence[str]) -> dict[float, list[Row]]:
    """The finished cells of these attacks on a set, by rate."""
    found: dict[float, list[Row]] = {}
    for path in sorted(folder.glob("*.json")):
        row: Row = json.loads(path.read_text())
        first, *rest = row["attack"].split("/")
        if first in names and (dataset == "instruct" or dataset in rest):
            found.setdefault(row["rate"], []).append(row)
    return found


def canaries(attack: Attack, rates: Sequence[float], plan: Plan, secret: Path) -> Row:
    """What the full self-test finds in a set without poison, by kind and rate.

    Args:
        attack: the set, one of `poison_sets.clean`.
        rates: those at which real attacks were measured.
        plan: where to work, with how many workers.
        secret: of the scan and the canaries.
    """
    import dataguard

    cell = Cell(attack, 0.0, 0)
    mixed = sets.make(cell, plan.work)
    out = plan.work / "runs" / f"agreement-{cell.slug}"
    shutil.rmtree(out, ignore_errors=True)
    options: Row = {"workers": plan.workers, "secret_file": secret}
    run = dataguard.scan(mixed.folder, out=out, policy=None, self_test=False, **options)
    # Among all records, as the real attacks are: a rate is as many of them then.
    found = dataguard.adversarial(run, records=RECORDS, campaigns=CAMPAIGNS, rates=tuple(rates), **options)
    if not plan.keep:
        sets.drop(mixed)
        shutil.rmtree(out, ignore_errors=True)
    rate_of = {max(5, round(rate * found.records)): rate for rate in rates}
    rows = [{**row, "asked": rate_of[row["records"]]} for row in found.table.iter_rows(named=True)]
    return {"planted": rows, "problems": dict(found.problems)}


def compared(dataset: str, planted: Sequence[Row], folder: Path) -> list[Row]:
    """A row for each kind and rate that both have."""
    rows = []
    for kind, names in STANDS_FOR[dataset].items():
        for rate, real in sorted(finished(folder, dataset, names).items()):
            for one in planted:
                if (one["attack"], one["asked"]) == (kind, rate) and one["canaries"] >= FEWEST:
                    recalls = [row["views"]["all rules"]["recall"] for row in real]
                    rows.append(_row(dataset, one, recalls))
    return rows


def _row(dataset: str, one: Row, recalls: Sequence[float]) -> Row:
    true = sum(recalls) / len(recalls)
    return {
        "set": dataset,
        "kind": one["attack"],
        "rate": f"{100 * one['asked']:g} %",
        "canaries": one["canaries"],
        "attackers": one["campaigns"],
        "found of canaries": f"{one['recall']:.2f} [{one['canaries_low']:.2f}, {one['canaries_high']:.2f}]",
        "by attackers": f"[{one['low']:.2f}, {one['high']:.2f}]",
        "scans of real attacks": len(recalls),
        "found of real attacks": mean_text(recalls),
        "difference": f"{one['recall'] - true:+.2f}",
        "agree": "yes" if abs(one["recall"] - true) <= CLOSE else "NO",
    }


def agreement(plan: Plan, remember: Callable[[Path, Callable[[], Row]], Row]) -> list[Row]:
    """The whole part.

    Args:
        plan: with the attacks that are wanted, e.g. `clean/instruct`, and the folder of the finished cells.
        remember: gives the row of a path again if it was measured with the same code.
    """
    rows: list[Row] = []
    for attack in sets.clean():
        dataset = attack.name.split("/")[1]
        if dataset not in STANDS_FOR or not attack.wanted(plan.attacks):
            continue
        folder = plan.work / "cells" / "ours"
        kinds = STANDS_FOR[dataset].values()
        rates = sorted({rate for names in kinds for rate in finished(folder, dataset, names)})
        rates = [rate for rate in rates if not plan.rates or rate in plan.rates]
        if not rates:
            print(f"{attack.name}: no finished cells in {folder}: run the part ours first", flush=True)
            continue
        name = "-".join([dataset, *(f"{rate:g}" for rate in rates)])
        measure = partial(canaries, attack, rates, plan, plan.secret(Cell(attack, 0.0, 0)))
        found = remember(plan.work / "cells" / "agreement" / f"{name}.json", measure)
        if found["problems"]:
            print(f"{attack.name}: not all was judged: {found['problems']}", flush=True)
        rows += compared(dataset, found["planted"], folder)
    return [*rows, share(rows)] if rows else []


def share(rows: Sequence[Row]) -> Row:
    """The last row: how many cells agree."""
    agreeing = sum(row["agree"] == "yes" for row in rows)
    return {
        "set": "all",
        "kind": f"{agreeing} of {len(rows)} cells agree to {CLOSE}: {100 * agreeing / len(rows):.0f} %",
        "agree": "yes" if agreeing >= ASKED * len(rows) else "NO",
    }

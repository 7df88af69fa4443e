"""How well a screening of a set with known poison went, and what several seeds of it say together.

A person looks at findings from the first one on: at most twenty of them, and at most as many different records as the
budget allows. A finding counts when nine tenths of its records are planted; one that names a trigger counts only if what
it highlights is the trigger.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from poison_sets import Mixed, places

FINDINGS = 20
PURE = 0.9
TRIGGERS = ("DG204",)
"""Rules whose findings claim to name a trigger."""
SCREENS = tuple(f"DG{number}" for number in range(203, 217))
"""The rules that look for poison."""
DRAWS = 10_000
Z95 = 1.959963984540054

Row = dict[str, Any]


class Screened:
    """The findings of a run beside the truth about its set.

    Args:
        run: a finished run (`dataguard.Run`).
        mixed: the set it screened.
        triggers: by column, the texts that were put in.
    """

    def __init__(self, run: Any, mixed: Mixed, triggers: Mapping[str, Sequence[str]]) -> None:
        self.mixed = mixed
        self.triggers = triggers
        self.findings = run.table("findings").sort("rank").select("id", "rule", "severity", "score")
        flagged = run.table("flagged").with_columns(pl.col("file").str.split("/").list.last())
        truth = mixed.records.select("file", "row", "planted", *triggers)
        self.flagged = (
            flagged.drop_nulls("row")
            .join(truth, on=["file", "row"], how="inner")
            .unique(["finding", "file", "row"], keep="first", maintain_order=True)
        )
        shares = self.flagged.group_by("finding").agg(pure=pl.col("planted").mean())
        pure = set(shares.filter(pl.col("pure") >= PURE)["finding"])
        self.counting = {
            one
            for one, rule in self.findings.select("id", "rule").iter_rows()
            if one in pure and (rule not in TRIGGERS or self._holds_trigger(one))
        }

    def _holds_trigger(self, finding: str) -> bool:
        """Whether what is highlighted meets the trigger, in nine tenths of the planted records with a highlight."""
        if not self.triggers:
            return True
        hits = []
        for row in self.flagged.filter("planted", pl.col("finding") == finding).iter_rows(named=True):
            if row["span"]:
                spans = [(span["column"], span["start"], span["end"]) for span in row["span"]]
                hits.append(any(self._meets(row.get(name), name, (a, b)) for name, a, b in spans))
        return bool(hits) and sum(hits) >= PURE * len(hits)

    def _meets(self, text: str | None, column: str, span: tuple[int, int]) -> bool:
        known = places(text or "", self.triggers.get(column, ()))
        return any(span[0] < end and start < span[1] for start, end in known)

    def view(self, rules: Iterable[str] | None = None) -> Row:
        """How far one gets with the findings of these rules, or of all.

        Returns:
            rank and rule of the first finding that counts; `recall`: of the planted records, those of counting
            findings within the twenty findings and the budget of records; `records`: those among the records looked
            at, whatever their finding; `clean`: of the clean records, those looked at before the last planted one.
        """
        wanted = None if rules is None else set(rules)
        findings = [
            (one, rule)
            for one, rule in self.findings.select("id", "rule").iter_rows()
            if wanted is None or rule in wanted
        ]
        first = next((at for at, (one, _) in enumerate(findings) if one in self.counting), None)
        order = {one: at for at, (one, _) in enumerate(findings[:FINDINGS])}
        listed = (
            self.flagged.with_columns(at=pl.col("finding").replace_strict(order, default=None))
            .drop_nulls("at")
            .sort("at", "score", "file", "row", descending=[False, True, False, False], nulls_last=True)
        )
        looked = listed.unique(["file", "row"], keep="first", maintain_order=True).head(self.mixed.budget)
        covered = (
            listed.filter(pl.col("finding").is_in(list(self.counting)))
            .join(looked, on=["file", "row"], how="semi")
            .select("file", "row", "planted")
            .unique()
        )
        planted = self.mixed.planted
        hits = looked["planted"].to_numpy()
        last = int(np.flatnonzero(hits)[-1]) + 1 if hits.any() else 0
        return {
            "rank": None if first is None else first + 1,
            "rule": "" if first is None else findings[first][1],
            "recall": float(covered["planted"].sum()) / planted if planted else None,
            "records": float(hits.sum()) / planted if planted else None,
            "clean": float(last - hits.sum()) / max(self.mixed.records.height - planted, 1),
            "findings": len(findings),
        }

    def by_rule(self) -> dict[str, int]:
        """Findings of the screens for poison, by rule and severity: ``DG204 high``."""
        counts = self.findings.filter(pl.col("rule").is_in(SCREENS)).group_by("rule", "severity").len()
        return {
            f"{rule} {severity}": int(n) for rule, severity, n in counts.sort("rule", "severity").iter_rows()
        }


def ranked(mixed: Mixed, scores: pl.DataFrame) -> Row:
    """How far one gets with records in the order of a score, the highest first, within the budget.

    Args:
        mixed: the set.
        scores: id and score of each record.
    """
    order = scores.join(mixed.records.select("id", "planted"), on="id").sort(
        "score", "id", descending=[True, False], nulls_last=True
    )
    return {"records": float(order.head(mixed.budget)["planted"].sum()) / max(mixed.planted, 1)}


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    if not count:
        return 0.0, 1.0
    share, square = hits / count, Z95**2 / count
    middle = (share + square / 2) / (1 + square)
    half = Z95 * math.sqrt(share * (1 - share) / count + square / (4 * count)) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of a mean, by drawing the values anew; drawn the same at every call."""
    drawn = np.random.default_rng(95).choice(np.asarray(values, float), (DRAWS, len(values)))
    low, high = np.quantile(drawn.mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def share_text(hits: int, count: int) -> str:
    """A share with its interval."""
    low, high = wilson(hits, count)
    return f"{hits / count:.2f} [{low:.2f}, {high:.2f}]"


def mean_text(values: Sequence[float]) -> str:
    """A mean with its interval."""
    low, high = bootstrap(values)
    return f"{sum(values) / len(values):.3f} [{low:.2f}, {high:.2f}]"


def together(views: Sequence[Row]) -> Row:
    """What the seeds of one attack, rate and list say together, as a row of a table."""
    ranks = [view["rank"] for view in views]
    known = sorted(rank if rank is not None else math.inf for rank in ranks)
    middle = known[(len(known) - 1) // 2]
    found: dict[str, int] = {}
    for view in views:
        found[view["rule"] or "none"] = found.get(view["rule"] or "none", 0) + 1
    return {
        "seeds": len(views),
        "rank": f"{_rank(middle)}, worst {_rank(known[-1])}",
        **{
            f"top {top}": share_text(sum(r is not None and r <= top for r in ranks), len(ranks))
            for top in (1, 3, 5)
        },
        "recall": mean_text([view["recall"] for view in views]),
        "by records": mean_text([view["records"] for view in views]),
        "clean records before": f"{100 * sum(view['clean'] for view in views) / len(views):.2f} %",
        "found by": ", ".join(f"{rule} × {n}" for rule, n in sorted(found.items(), key=lambda x: -x[1])),
    }


def _rank(rank: float) -> str:
    return "–" if math.isinf(rank) else f"{rank:.0f}"

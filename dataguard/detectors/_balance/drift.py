"""Where two samples of records are of different distributions: measures, and findings beyond chance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from dataguard.detectors._balance.distances import Apart, categories, numbers, presences
from dataguard.detectors._balance.distributions import (
    CATEGORY,
    LABEL,
    LENGTH,
    NUMBER,
    VALUES,
    WORD,
    Sample,
)
from dataguard.detectors._copies import discoveries
from dataguard.findings import Judgement, Measure, Severity
from dataguard.safe_text import safe_text

FEWEST = 20
"""Records of either sample below which nothing is compared."""
LARGE = 0.25
"""Population stability index from which a drift is usually called large (Siddiqi, "Credit risk scorecards", 2006)."""
MENTIONED = 5
SHOWN = 60
"""Characters of a name or value that are quoted."""


class Pair(NamedTuple):
    """Two samples that should be of one distribution.

    Attributes:
        name: e.g. ``train-test``.
        says: what the second is against the first, e.g. ``test against train``.
        one: the reference.
        other: what is compared with it.
    """

    name: str
    says: str
    one: Sample
    other: Sample


class Drift(NamedTuple):
    """One column of a pair, and how far apart its two samples are."""

    pair: Pair
    kind: str
    column: str
    apart: Apart
    records: tuple[int, int]
    moved: str = ""


@dataclass(frozen=True)
class Comparison:
    """What counts as a drift.

    Args:
        min_psi: population stability index below which a drift is none that matters.
        false: the share of the drifts found that may be chance, on average.
        innocent: the nearest innocent explanation, in words.
    """

    min_psi: float
    false: float
    innocent: str

    def judge(self, pairs: Sequence[Pair]) -> Judgement:
        """Measures of every column of every pair; a finding for the labels, the columns and the texts of each."""
        drifts = [drift for pair in pairs for drift in _drifts(pair)]
        beyond = discoveries(np.array([drift.apart.chance for drift in drifts]), self.false)
        found = [
            drift
            for drift, real in zip(drifts, beyond.tolist(), strict=True)
            if real and drift.apart.beyond >= self.min_psi
        ]
        findings = [
            self._finding(pair, what, its)
            for pair in pairs
            for what, kinds in _GROUPS.items()
            for its in [[drift for drift in found if drift.pair is pair and drift.kind in kinds]]
            if its
        ]
        measures = [*_overall(pairs, found), *(one for drift in drifts for one in _measures(drift))]
        return Judgement(
            findings=pl.DataFrame(findings) if findings else Judgement().findings, measures=tuple(measures)
        )

    def _finding(self, pair: Pair, what: str, found: list[Drift]) -> dict[str, Any]:
        found.sort(key=lambda drift: (-round(drift.apart.jensen_shannon, 6), drift.kind, drift.column))
        worst = found[0]
        told = "; ".join(_told(drift) for drift in found[:MENTIONED])
        more = f" and {len(found) - MENTIONED} more" if len(found) > MENTIONED else ""
        large = any(drift.apart.beyond >= LARGE for drift in found)
        return {
            "key": f"{pair.name}\0{what}",
            "score": round(min(1.0, worst.apart.jensen_shannon), 6),
            "column": worst.column or None,
            "group": pair.name,
            "why": f"{pair.says}, the {what} drift beyond chance: {told}{more}; {self.innocent}",
            "severity": (Severity.MEDIUM if large else Severity.LOW).value,
        }


_GROUPS = {"labels": (LABEL,), "columns": (NUMBER, CATEGORY), "texts": (LENGTH, WORD)}
"""What a finding is about, and the kinds of columns of it."""


def _drifts(pair: Pair) -> Iterable[Drift]:
    """Every column that both samples have, in order."""
    one, other = pair.one, pair.other
    for key in sorted(set(one.histograms) & set(other.histograms)):
        kind, column = key
        both = one.histograms[key], other.histograms[key]
        sizes = both[0].records, both[1].records
        if min(sizes) >= FEWEST:
            yield Drift(pair, kind, column, numbers(*both), sizes)
    for kind, column in sorted(set(one.names) & set(other.names)):
        yield from _of_names(pair, kind, column)
    if min(one.texts, other.texts) >= FEWEST:
        texts = one.texts, other.texts
        yield Drift(pair, WORD, "", presences(one.slots, other.slots, texts), texts)


def _of_names(pair: Pair, kind: str, column: str) -> Iterable[Drift]:
    counted = pair.one.names[kind, column], pair.other.names[kind, column]
    values = sorted(set(counted[0]) | set(counted[1]))
    counts = [np.array([side.get(value, 0) for value in values], np.int64) for side in counted]
    sizes = int(counts[0].sum()), int(counts[1].sum())
    if min(sizes) < FEWEST or len(values) > VALUES:
        return
    before, after = counts[0] / sizes[0], counts[1] / sizes[1]
    most = int(np.argmax(np.round(np.abs(after - before), 9)))
    moved = f"“{_shown(values[most])}” {before[most]:.1%} before, {after[most]:.1%} after"
    yield Drift(pair, kind, column, categories(*counts), sizes, moved)


def _told(drift: Drift) -> str:
    name = {LENGTH: "words of a record", WORD: "which words are used"}.get(drift.kind) or _shown(drift.column)
    said = [f"population stability index {drift.apart.psi:.2f}"]
    if not math.isnan(drift.apart.kolmogorov_smirnov):
        said.append(f"Kolmogorov-Smirnov {drift.apart.kolmogorov_smirnov:.2f}")
    if drift.moved:
        said.append(drift.moved)
    return f"{name} ({', '.join(said)})"


def _overall(pairs: Sequence[Pair], found: Sequence[Drift]) -> Iterable[Measure]:
    """What a policy can judge without knowing the columns: the largest drift beyond chance, of each pair and of all."""
    by_pair = {pair.name: [d.apart.beyond for d in found if d.pair is pair] for pair in pairs}
    smaller = {pair.name: min(pair.one.records, pair.other.records) for pair in pairs}
    worst = [drift for drifts in by_pair.values() for drift in drifts]
    yield Measure("largest_drift", round(max(worst, default=0.0), 9), sum(smaller.values()))
    for name, drifts in by_pair.items():
        yield Measure("largest_drift", round(max(drifts, default=0.0), 9), smaller[name], group=name)


def _measures(drift: Drift) -> Iterable[Measure]:
    apart, n = drift.apart, min(drift.records)
    values = {"psi": apart.psi, "jensen_shannon": apart.jensen_shannon}
    if not math.isnan(apart.kolmogorov_smirnov):
        values |= {"kolmogorov_smirnov": apart.kolmogorov_smirnov, "sketch_precision": apart.precision}
    for name, value in values.items():
        yield Measure(f"{drift.kind}_{name}", round(value, 9), n, drift.column, drift.pair.name)


def _shown(text: str) -> str:
    return safe_text(text, limit=SHOWN)

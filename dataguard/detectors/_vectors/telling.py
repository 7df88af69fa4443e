"""What is said of columns of vectors: findings, their records, and measures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.detectors._vectors.learning import (
    DIMENSION,
    FLOOD,
    HUB,
    MIXED,
    NORM,
    SHARED,
    SHIFT,
    UNSOUND,
    ZERO,
    Learned,
    Options,
)
from dataguard.detectors._vectors.picture import ALL
from dataguard.detectors._vectors.second import LISTED, summed
from dataguard.findings import JUDGED_FINDINGS, JUDGED_FLAGGED, Judgement, Measure, Severity, conform

STRONG = 10.0
"""Separation from which on a shift is of medium severity."""

PICTURED = {
    ALL: "map_share",
    FLOOD: "flood_map_share",
    HUB: "hub_map_share",
    SHIFT: "shift_map_share",
    MIXED: "mixed_map_share",
}
"""The measures of a picture: the share of the sample in each of its cells (`picture.WIDE` by `picture.HIGH`), of all
vectors and of what was found."""


class Told(NamedTuple):
    """A finding: what it is called by, what is said of it, and the groups of records that it has."""

    key: str
    score: float
    severity: Severity
    why: str
    groups: tuple[tuple[int, int], ...]
    label: str = ""


def judged(found: pl.DataFrame, known: list[Learned], options: Options) -> Judgement:
    """Findings and measures of all columns.

    Args:
        found: columns of `second.FOUND`, with `file`.
        known: of each column.
        options: what is out of line.
    """
    findings: list[dict[str, object]] = []
    flagged: list[pl.DataFrame] = []
    measures: list[Measure] = []
    for one in known:
        column = _Column(one, found.filter(column=one.column), options)
        told = list(column.told())
        findings += [
            {
                "key": f"{each.key}\0{one.column}",
                "score": round(each.score, 6),
                "column": one.column,
                "group": each.label,
                "why": each.why,
                "severity": each.severity.value,
            }
            for each in told
        ]
        flagged += [column.flagged(each) for each in told]
        measures += column.measures(told)
    return Judgement(
        findings=pl.DataFrame(findings, schema=JUDGED_FINDINGS),
        flagged=pl.concat([conform(table, JUDGED_FLAGGED) for table in flagged])
        if flagged
        else Judgement().flagged,
        measures=tuple(measures),
        incomplete="; ".join(_unlooked(known)),
    )


def _unlooked(known: list[Learned]) -> Iterator[str]:
    from dataguard.kernels.units import MOST_DIM

    for one in known:
        if one.dim > MOST_DIM:
            yield f"vectors of {one.dim} numbers are not compared, the limit is {MOST_DIM}"


@dataclass(frozen=True)
class _Column:
    """One column: what is known of it and what was found in it."""

    known: Learned
    found: pl.DataFrame
    options: Options

    def told(self) -> Iterator[Told]:
        """Its findings."""
        yield from self._broken()
        yield from self._floods()
        yield from self._standing_out()

    def _count(self, what: int, group: int = 0) -> int:
        return int(self.found.filter(pl.col("row").is_null(), what=what, group=group)["n"].sum())

    def _broken(self) -> Iterator[Told]:
        records, missing, other, _, zero, _ = self.known.counts.tolist()
        whole = records - missing
        broken = self._count(UNSOUND)
        if broken:
            why = f"{broken} of {whole} vectors hold NaN, infinity or nothing in place of a number: a broken export, or put in to break training"
            yield Told("unsound", 0.95, Severity.MEDIUM, why, ((UNSOUND, 0),))
        if other:
            why = f"{other} of {whole} vectors have another number of dimensions than the {self.known.dim} of most: two encoders, or a cut record"
            yield Told("dimension", 0.9, Severity.MEDIUM, why, ((DIMENSION, 0),))
        if zero:
            why = f"{zero} of {whole} vectors are zero: of empty texts, or in place of what could not be encoded"
            yield Told("zero", 0.3, Severity.LOW, why, ((ZERO, 0),))
        odd = self._count(NORM)
        if odd:
            why = f"{odd} of {whole} vectors are far longer or shorter than the others (their median length is {self.known.norm:.3g}): another unit or encoder, or weight for some records"
            yield Told("norm", 0.4, Severity.LOW, why, ((NORM, 0),))

    def _floods(self) -> Iterator[Told]:
        least = self.options.least(int(self.known.counts[5]))
        for group, key in enumerate(self.known.flood_keys.tolist()):
            n = self._count(FLOOD, group)
            if n >= least:
                yield self._flood(f"flood {key:016x}", n, ((FLOOD, group),))
        for key, n, groups in self._shared():
            yield self._flood(f"flood {key:016x}", n, groups)

    def _flood(self, key: str, n: int, groups: tuple[tuple[int, int], ...]) -> Told:
        sound = int(self.known.counts[5])
        why = (
            f"{n} of {sound} vectors are nearly the same (cosine {1 - self.known.near:.4f} or more), where others are at"
            " least four times as far from their nearest: copies of a record or of a template, or a flood"
        )
        return Told(key, n / (n + 10.0), Severity.MEDIUM, why, groups)

    def _shared(self) -> Iterator[tuple[int, int, tuple[tuple[int, int], ...]]]:
        """Vectors that share a key and by their sums are alike, where the sample did not tell of them."""
        from dataguard.kernels.units import SCALE

        sums = (
            self.found.filter(pl.col("row").is_null(), what=SHARED)
            .group_by("group")
            .agg("n", "sums")
            .sort("group")
        )
        centres, groups = [], []
        for group, n, parts in sums.iter_rows():
            added = summed(parts)
            total = np.frombuffer(added or b"", np.int64).astype(np.float64) / SCALE
            count = sum(n)
            # The mean cosine of all pairs, from the length of the sum.
            alike = (float(total @ total) - count) / max(1.0, count * (count - 1.0))
            if 1 - alike <= self.known.near:
                centres.append(total / np.linalg.norm(total))
                groups.append((group, count))
        known = [one / np.linalg.norm(one) for one in self.known.flooded.astype(np.float64)]
        for its in _together(centres, known, 1 - 2 * self.known.near):
            key = min(int(self.known.cells[groups[at][0]]) for at in its)
            yield key, max(groups[at][1] for at in its), tuple((SHARED, groups[at][0]) for at in its)

    def _standing_out(self) -> Iterator[Told]:
        known, sound = self.known, int(self.known.counts[5])
        hubs = self._count(HUB)
        if hubs:
            k, least, usual, among = known.hub.tolist()
            why = (
                f"{hubs} of {sound} vectors are among the {k} nearest of {least} or more of {among} records, others"
                f" of {usual} at most: whatever is searched for, they are found. Texts of few common words are innocent hubs"
            )
            yield Told("hub", 0.8, Severity.MEDIUM, why, ((HUB, 0),))
        yield from self._mixed()
        for group, (label, (separation, gap, _)) in enumerate(
            zip(known.labels, known.apart.tolist(), strict=True)
        ):
            n = self._count(SHIFT, group)
            if n:
                among = "its label" if label else "the set"
                why = (
                    f"{n} vectors stand apart from the others of {among} in one direction, all about as far, with {gap:.1f}"
                    " deviations of nothing between: a trigger in each of them, or records of one template"
                )
                severity = Severity.MEDIUM if separation >= STRONG else Severity.LOW
                again = known.labels[:group].count(label)  # of one label's groups, the furthest first
                yield Told(
                    f"shift {label}" + (f"\0{again}" if again else ""),
                    separation / (separation + 10),
                    severity,
                    why,
                    ((SHIFT, group),),
                    label,
                )

    def _mixed(self) -> Iterator[Told]:
        known = self.known
        for crowd in np.unique(known.mixed_crowds).tolist():
            n = self._count(MIXED, crowd)
            key = int(known.mixed_keys[known.mixed_crowds == crowd].min())
            why = (
                f"{n} vectors that are each other's nearest carry labels that do not agree, where {known.agreeing:.0%} of"
                " the nearest of a record carry its label: put there under any label, or what annotators cannot tell"
            )
            yield Told(f"mixed {key:016x}", n / (n + 10.0), Severity.LOW, why, ((MIXED, crowd),))

    def flagged(self, told: Told) -> pl.DataFrame:
        """The records of a finding."""
        its = [
            self.found.filter(pl.col("row").is_not_null(), what=what, group=group)
            for what, group in told.groups
        ]
        rows = pl.concat(its).unique(["file", "row"], keep="first").sort("file", "row").head(LISTED)
        return rows.select("file", "row", key=pl.lit(f"{told.key}\0{self.known.column}"))

    def measures(self, told: list[Told]) -> Iterator[Measure]:
        """Its measures."""
        known = self.known
        records, missing, other, broken, zero, sound = known.counts.tolist()
        whole = records - missing
        flooded = sum(self._members(one) for one in told if one.key.startswith("flood"))
        shares = [
            ("missing_vector_share", missing, records),
            ("unsound_share", broken, whole),
            ("wrong_dimension_share", other, whole),
            ("zero_share", zero, whole),
            ("odd_norm_share", self._count(NORM), whole),
            ("flooded_share", flooded, sound),
            ("hub_share", self._count(HUB), sound),
            ("mixed_share", sum(self._count(MIXED, one) for one in set(known.mixed_crowds.tolist())), sound),
        ]
        for name, count, n in shares:
            yield Measure(name, count / n if n else 0.0, n, known.column)
        if not np.isnan(known.skewness):
            yield Measure("hubness_skewness", round(known.skewness, 6), known.sampled, known.column)
        if not np.isnan(known.agreeing):
            yield Measure("agreeing_neighbour_share", round(known.agreeing, 6), known.sampled, known.column)
        for label, separation in zip(known.separations, known.separation.tolist(), strict=True):
            yield Measure("separation", round(max(0.0, separation), 6), known.sampled, known.column, label)

        yield from self._picture(told)

    def _picture(self, told: list[Told]) -> Iterator[Measure]:
        """Where the sample lies along its two principal components, and in it what was found, for a report to draw."""
        known = self.known
        groups = {of for one in told for of in one.groups}
        cells = [
            (what, (x, y), n) for what, group, x, y, n in known.picture.tolist() if (what, group) in groups
        ]
        if not cells:
            return
        whole = [(ALL, (x, y), n) for what, _, x, y, n in known.picture.tolist() if what == ALL]
        total = sum(n for *_, n in whole)
        held: Counter[tuple[int, tuple[int, int]]] = Counter()
        for what, cell, n in (*whole, *cells):
            held[what, cell] += n
        for (what, (x, y)), n in sorted(held.items()):
            yield Measure(PICTURED[what], round(n / total, 6), total, known.column, f"{x} {y}")
        names = ("first", "apart" if len(known.along) else "second")
        for name, share in zip(names, known.components.tolist(), strict=True):
            yield Measure("component_share", round(share, 6), total, known.column, name)

    def _members(self, told: Told) -> int:
        return max(self._count(what, group) for what, group in told.groups)


def _together(
    centres: list[npt.NDArray[np.float64]], known: list[npt.NDArray[np.float64]], alike: float
) -> list[list[int]]:
    """Groups of centres that lie close to one another, without those close to a known one."""
    found: list[list[int]] = []
    for at, centre in enumerate(centres):
        if any(centre @ other >= alike for other in known):
            continue
        home = next((its for its in found if centre @ centres[its[0]] >= alike), None)
        if home is None:
            found.append([at])
        else:
            home.append(at)
    return found

"""Patterns of preferences that are the wrong way round, from what each pair shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.detectors._copies import at_least
from dataguard.detectors._label_noise import DEVIATIONS, LEAST
from dataguard.findings import JUDGED_FINDINGS, JUDGED_FLAGGED, Measure, Severity, conform
from dataguard.safe_text import safe_text

F64 = npt.NDArray[np.float64]

RARE = 0.05
"""The share of the set up to which refusals, or answers to other prompts, are not what the set is about."""
BLIND = 0.5
"""Of the pairs that a model is surest of, how many it may have the wrong way round and still know anything."""
DISAGREE = 0.1
"""The share of swapped pairs from which on it may be raters who disagree."""
CHANCE = 1e-6
"""The probability that one of the sources stands out so far by chance."""
OTHER_SOURCE = 0.2
"""Of the pairs of a source that the model is sure of, how many are swapped at least where it prefers otherwise."""
SOURCES = 20


class Tails(NamedTuple):
    """How many pairs a model has the wrong way round, where it is as sure of them as of those the right way round.

    Attributes:
        share: of all pairs.
        low: a lower bound of it.
        blind: whether the model knows nothing.
    """

    share: float
    low: float
    blind: bool


def tails(margins: F64) -> Tails:
    """The share of swapped pairs: of a swapped one the margin is that of a right one, but for the sign.

    So the least ratio of the tails below and above 0 is how many are swapped for each that is not.

    Args:
        margins: of pairs, 0 where nothing is known.
    """
    right, wrong = np.sort(margins[margins > 0]), np.sort(-margins[margins < 0])
    if len(right) < LEAST:
        return Tails(0.0, 0.0, blind=True)
    depth = np.concatenate([[0.0], np.quantile(right, np.arange(1, 10) / 10, method="lower")])
    above = len(right) - np.searchsorted(right, depth, side="right")
    below = (len(wrong) - np.searchsorted(wrong, depth, side="right")).astype(np.float64)
    upper = (np.sqrt(below) + DEVIATIONS / 2) ** 2 / np.maximum(above, 1)
    at = int(np.argmin(np.where(above >= LEAST, upper, np.inf)))
    ratio, base = below[at] / above[at], float(above[at])
    low = max(0.0, float(np.sqrt(below[at])) - DEVIATIONS / 2) ** 2 / base
    return Tails(float(ratio / (1 + ratio)), low / (1 + low), blind=bool(upper[at] > BLIND))


Found = tuple[dict[str, Any], pl.DataFrame]
"""A row of JUDGED_FINDINGS, and its records."""


@dataclass(frozen=True)
class Patterns:
    """The patterns of a set.

    Args:
        seen: a row per record, sorted by file and row; see `preference_flip.SCORED`.
        usual: the share of swapped pairs that is not mentioned.
        min_records: patterns that chance makes too are named from so many records on.
    """

    seen: pl.DataFrame
    usual: float
    min_records: int

    def findings(self) -> pl.DataFrame:
        """JUDGED_FINDINGS."""
        rows = [conform(pl.DataFrame([finding]), JUDGED_FINDINGS) for finding, _ in self._found]
        return pl.concat([JUDGED_FINDINGS.to_frame(), *rows])

    def flagged(self) -> pl.DataFrame:
        """JUDGED_FLAGGED."""
        tables = [
            conform(records.select("file", "row", key=pl.lit(finding["key"])), JUDGED_FLAGGED)
            for finding, records in self._found
        ]
        return pl.concat([JUDGED_FLAGGED.to_frame(), *tables])

    @cached_property
    def tails(self) -> Tails:
        """Of the whole set."""
        return tails(self.seen.filter(~pl.col("equal"))["margin"].to_numpy())

    @cached_property
    def below(self) -> pl.DataFrame:
        """The pairs whose scores say the other answer; if most do, low scores are the good ones."""
        scored = self.seen.filter(pl.col("above").is_not_null())
        below, above = (scored.filter(side) for side in (pl.col("above") < 0, pl.col("above") > 0))
        return below if len(below) <= len(above) else above

    @cached_property
    def _found(self) -> list[Found]:
        return [*self._plain(), *self._one_way(), *self._by_source(), *self._swapped()]

    def _plain(self) -> Iterator[Found]:
        """What needs no comparison with chance."""
        n = len(self.seen)
        equal = self.seen.filter("equal")
        if len(equal):
            why = f"{len(equal)} of {n} pairs have the same words twice; generators that repeat themselves do so too"
            yield _finding("equal", len(equal) / n, Severity.LOW, why), equal
        ways = pl.col("turned").n_unique().over("pair") > 1
        both = self.seen.filter(~pl.col("equal")).filter(ways)
        if len(both):
            why = (
                f"{len(both)} of {n} records prefer an answer that another record rejects for the same prompt; "
                "raters disagree, or one of them was turned"
            )
            yield _finding("both orders", len(both) / n, Severity.LOW, why), both
        scored = int(self.seen["above"].count())
        if len(self.below):
            why = (
                f"of {len(self.below)} of {scored} pairs with two scores the rejected answer has the better one; or the "
                "scores are of another rater than the choice"
            )
            yield _finding("score", len(self.below) / scored, Severity.MEDIUM, why), self.below

    def _one_way(self) -> Iterator[Found]:
        """What is seldom, and more often so than the other way round."""
        said = {
            "refuses": (
                "refusal",
                "refuses, where the rejected one does not",
                "sets about safety do so rightly",
            ),
            "unrelated": (
                "other prompt",
                "has no more in common with its prompt than with any other, and the rejected one has",
                "answers in other words, or in another language, look so",
            ),
        }
        n = len(self.seen)
        for column, (key, what, innocent) in said.items():
            one, other = (self.seen.filter(pl.col(column) == side) for side in (1, -1))
            surely = len(one) - len(other) > DEVIATIONS * float(np.sqrt(len(one) + len(other)))
            if len(one) >= self.min_records and len(one) <= RARE * n and surely:
                why = (
                    f"in {len(one)} of {n} pairs the chosen answer {what}; the other way round it is {len(other)}; "
                    f"{innocent}"
                )
                yield _finding(key, len(one) / (len(one) + len(other) + 1), Severity.LOW, why), one

    def _by_source(self) -> Iterator[Found]:
        """Sources that prefer what the others reject."""
        pairs = self.seen.filter(~pl.col("equal") & pl.col("source").is_not_null())
        right = pairs.filter(pl.col("margin") > 0)["margin"]
        if len(right) < LEAST or self.tails.blind:
            return
        depth = float(right.quantile(0.5, "lower"))  # type: ignore[arg-type]
        sure = pairs.filter(pl.col("margin").abs() > depth)
        counts = sure.group_by("source").agg(
            wrong=(pl.col("margin") < 0).sum().cast(pl.Int64), n=pl.len().cast(pl.Int64)
        )
        counts = counts.sort("source")
        wrong, n = counts["wrong"].to_numpy(), counts["n"].to_numpy()
        others = np.maximum(n.sum() - n, 1)
        usual = np.minimum((np.sqrt(wrong.sum() - wrong) + DEVIATIONS / 2) ** 2 / others, 1.0)
        share = wrong / np.maximum(n, 1)
        chance = at_least(wrong, np.maximum(n, 1), usual) * max(1, len(n))
        out = (chance <= CHANCE) & (share >= OTHER_SOURCE) & (share >= 3 * usual) & (n >= LEAST)
        worst = np.flatnonzero(out)[np.argsort(chance[out], kind="stable")][:SOURCES]
        for at in worst.tolist():
            source = counts["source"][at]
            records = pairs.filter((pl.col("source") == source) & (pl.col("margin") < 0))
            why = (
                f"of {n[at]} pairs of the source {safe_text(source, limit=40)} that the rest of the set is sure of, "
                f"{wrong[at]} are the other way round, where the other sources have {usual[at]:.1%} at most; or it "
                "asked its raters for something else"
            )
            key = f"swapped source\0{source}"
            yield {**_finding(key, float(share[at]), Severity.MEDIUM, why), "group": source}, records

    def _swapped(self) -> Iterator[Found]:
        """More swapped pairs than usual in the whole set."""
        pairs = self.seen.filter(~pl.col("equal"))
        if self.tails.blind or self.tails.low <= self.usual:
            return
        estimate = round(self.tails.share * len(pairs))
        wrong = pairs.filter(pl.col("margin") < 0).sort("margin", "file", "row").head(estimate)
        if len(wrong):
            why = (
                f"about {self.tails.share:.1%} of {len(pairs)} pairs, surely {self.tails.low:.1%}, are preferred against "
                "what the rest prefers, as surely as that is; people who rate disagree as often"
            )
            severity = Severity.LOW if self.tails.share < DISAGREE else Severity.INFO
            yield _finding("swapped", self.tails.low, severity, why), wrong


def _finding(key: str, score: float, severity: Severity, why: str) -> dict[str, Any]:
    return {"key": key, "score": round(min(1.0, score), 6), "severity": severity.value, "why": why}


def measures_of(patterns: Patterns) -> tuple[Measure, ...]:
    """Shares of what was seen, and what scores follow."""
    seen = patterns.seen
    n = len(seen)
    found = [
        Measure("equal_share", int(seen["equal"].sum()) / n, n),
        Measure("chosen_refuses_share", int((seen["refuses"] == 1).sum()) / n, n),
        Measure("chosen_unrelated_share", int((seen["unrelated"] == 1).sum()) / n, n),
    ]
    if not patterns.tails.blind:
        found.append(Measure("swap_share", round(patterns.tails.share, 6), n))
    both = int(seen["above"].count())
    if both:
        found.append(Measure("score_below_share", len(patterns.below) / both, both))
    scored = seen.filter(pl.col("score").is_not_null())
    if len(scored) >= LEAST:
        found.append(Measure("score_length_correlation", _correlation(scored), len(scored)))
        named = scored.filter(pl.col("source").is_not_null())
        if len(named) >= LEAST:
            found.append(Measure("score_source_share", _between(named), len(named)))
    return tuple(found)


def _correlation(scored: pl.DataFrame) -> float:
    """Spearman's, of score and length; 0 where either is constant."""
    # Twice the ranks are integers, so that the sums do not hang on the order.
    ranks = [
        (2 * scored[name].rank("average") - 1 - len(scored)).cast(pl.Int64) for name in ("score", "words")
    ]
    x, y = (rank.to_list() for rank in ranks)
    top = sum(a * b for a, b in zip(x, y, strict=True))
    spread = sum(a * a for a in x) * sum(b * b for b in y)
    return round(top / float(spread) ** 0.5, 6) if spread else 0.0


def _between(named: pl.DataFrame) -> float:
    """What share of the variance of scores lies between sources, by ranks."""
    ranks = (2 * named["score"].rank("average") - 1 - len(named)).cast(pl.Int64)
    table = pl.DataFrame({"source": named["source"], "rank": ranks})
    whole = float((table["rank"].cast(pl.Float64) ** 2).sum())
    sums = table.group_by("source").agg(pl.col("rank").sum(), n=pl.len()).sort("source")
    between = float((sums["rank"].cast(pl.Float64) ** 2 / sums["n"]).sum())
    return round(between / whole, 6) if whole else 0.0

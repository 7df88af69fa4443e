"""Groups of copies, as the rules about equal and nearly equal records found them; and what chance would make of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.detectors.base import EARLIER
from dataguard.findings import Judgement

F64 = npt.NDArray[np.float64]

EQUAL, ALIKE = "DG101", "DG102"

COPIES = pl.Schema({"key": pl.String, "file": pl.UInt32, "row": pl.UInt64})


def groups_of_copies(earlier: Mapping[str, Judgement]) -> pl.DataFrame:
    """The records that have a copy in the set, equal or near, each in one group; those of an earlier run do not count.

    Equal records belong to the group of those that are alike where there is one; short ones, and records without
    text, are in groups of equal ones only.

    Returns:
        COPIES, sorted by all three.
    """
    alike = earlier[ALIKE].clusters.filter(pl.col("file") < EARLIER, side="record").select(COPIES.names())
    equal = (
        earlier[EQUAL].flagged.select("file", "row", equal="key").join(alike, on=["file", "row"], how="left")
    )
    more = equal.with_columns(joined=pl.col("key").max().over("equal")).filter(pl.col("key").is_null())
    more = more.select(pl.coalesce("joined", "equal").alias("key"), "file", "row")
    return pl.concat([alike, more]).filter(pl.len().over("key") > 1).sort("key", "file", "row")


def records_seen(earlier: Mapping[str, Judgement]) -> int:
    """How many records the two rules looked at."""
    counts = [measure.n for code in (EQUAL, ALIKE) for measure in earlier[code].measures]
    return max(counts, default=0)


def at_least(hits: npt.ArrayLike, trials: npt.ArrayLike, chance: npt.ArrayLike) -> F64:
    """An upper bound on the probability of so many hits or more: exp(-n KL(hits/n || chance)).

    It holds for draws with and without replacement (Hoeffding, "Probability inequalities for sums of bounded random
    variables", 1963, theorems 1 and 4), is 1 where hits are as many as expected, and needs no tables.

    Args:
        hits: counts.
        trials: of so many, at least 1.
        chance: of each, 0 to 1.
    """
    k, n = np.asarray(hits, np.float64), np.asarray(trials, np.float64)
    p = np.clip(np.asarray(chance, np.float64), 1e-12, 1)
    share = k / n
    with np.errstate(divide="ignore", invalid="ignore"):
        first = np.where(share > 0, share * np.log(share / p), 0)
        second = np.where(share < 1, (1 - share) * np.log((1 - share) / (1 - p)), 0)
    bound = np.exp(-n * (first + second))
    return np.where(share > p, bound, 1.0)


def discoveries(chances: F64, false: float) -> npt.NDArray[np.bool_]:
    """Which of these are more than chance, so that on average at most a share of those named is not.

    The method is Benjamini's and Hochberg's ("Controlling the false discovery rate", 1995).

    Args:
        chances: bounds on the probability that chance alone made each.
        false: the share.
    """
    if not len(chances):
        return np.zeros(0, np.bool_)
    ordered = np.sort(chances)
    fits = np.flatnonzero(ordered <= false * np.arange(1, len(chances) + 1) / len(chances))
    return np.asarray(chances <= ordered[fits[-1]] if len(fits) else np.zeros(len(chances)), np.bool_)

"""Whether records of one kind stand closer together than chance puts them: a scan statistic over windows of all sizes.

A window that has more of a kind than it should is scored by the probability of so many under any order of the same
records, bounded by Hoeffding's inequality (`_copies.at_least`), and by how many windows were looked at. It is the scan
statistic of Naus ("The distribution of the size of the maximum cluster of points on a line", 1965) with the
likelihood of Kulldorff ("A spatial scan statistic", 1997); bounds take the place of permutations, so that two runs agree.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.detectors._copies import at_least

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

MOST = 0.25
"""The share of all records above which a window is no burst but half of the order."""
NARROW = 0.05
"""The share up to which a window counts although others stand in it too: wider ones must be half of the kind."""
_WIDTHS = sorted({times << step for step in range(40) for times in (1, 3)})

WINDOWS = pl.Schema(
    {
        "group": pl.Int64,
        "first": pl.Int64,
        "behind": pl.Int64,
        "k": pl.Int64,
        "rows": pl.Int64,
        "chance": pl.Float64,
    }
)
"""A row per kind: its best window (places from `first` to before `behind`), how many of the kind are in it, how many
records, and a bound on the probability that any window of any kind has as many by chance."""


def best_windows(entries: pl.DataFrame, totals: I64, sizes: I64, inflation: float = 1.0) -> pl.DataFrame:
    """The window of each kind that chance explains least.

    Args:
        entries: group (number of the kind, from 0 on), place, n (records of the kind there); sorted by group, place.
        totals: i64[groups], records of each kind, at least those of the entries.
        sizes: i64[places], records at each place.
        inflation: how many records of one place say as much as one, where the order keeps kinds together (Kish's
            design effect); logarithms of probabilities are divided by it.

    Returns:
        WINDOWS, sorted by group.
    """
    if entries.is_empty():
        return pl.DataFrame(schema=WINDOWS)
    group, place, n = (entries[name].to_numpy().astype(np.int64) for name in ("group", "place", "n"))
    places = len(sizes)
    until = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    added = np.concatenate([np.zeros(1, np.int64), np.cumsum(n)])
    key = group * (places + 1) + place
    chance, behind = np.full(len(n), np.inf), np.zeros(len(n), np.int64)
    share = totals[group] / until[-1]
    widths = [width for width in _WIDTHS if width <= max(1, MOST * places)]
    for width in widths:
        end = np.minimum(place + width, places)
        within = added[np.searchsorted(key, group * (places + 1) + end)] - added[:-1]
        rows = until[end] - until[place]
        allowed = (rows <= NARROW * until[-1]) | ((rows <= MOST * until[-1]) & (2 * within >= rows))
        improbable = at_least(np.minimum(within, rows), rows, share) ** (1 / inflation)
        now = np.where(allowed, improbable, np.inf)
        better = now < chance
        chance, behind = np.where(better, now, chance), np.where(better, end, behind)
    # Every window of every kind was a trial.
    chance = chance * places * len(widths) * len(totals)
    order = np.lexsort((place, chance, group))
    first = order[np.unique(group[order], return_index=True)[1]]
    first = first[np.isfinite(chance[first])]
    stop = np.searchsorted(key, group[first] * (places + 1) + behind[first])
    return pl.DataFrame(
        {
            "group": group[first],
            "first": place[first],
            "behind": behind[first],
            "k": added[stop] - added[first],
            "rows": until[behind[first]] - until[place[first]],
            "chance": np.minimum(chance[first], 1.0),
        },
        schema=WINDOWS,
    )


def togetherness(entries: pl.DataFrame, totals: I64, sizes: I64) -> float:
    """How far the order keeps kinds together: 0 as in any order, 1 where each place has one kind only.

    It is the chance that two records of one place are of one kind, above the chance that any two are (a kappa). Kinds
    that are too few at a place to be counted there make it smaller, never larger.

    Args:
        entries: as in `best_windows`.
        totals: as in `best_windows`, but of all kinds.
        sizes: as in `best_windows`.
    """
    n = entries["n"].to_numpy().astype(np.float64)
    whole, each, kinds = float(sizes.sum()), sizes.astype(np.float64), totals.astype(np.float64)
    pairs = float((each * (each - 1)).sum())
    if pairs <= 0 or whole < 2:
        return 0.0
    here = float((n * (n - 1)).sum()) / pairs
    anywhere = float((kinds * (kinds - 1)).sum()) / (whole * (whole - 1))
    return max(0.0, (here - anywhere) / (1 - anywhere)) if anywhere < 1 else 0.0

"""How unusual a group of copies is: in size, in where it comes from, in time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.detectors._copies import at_least

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

USUAL = 2.0
"""How fast the tail of sizes falls where few groups tell: the exponent that copies on the web have, about."""
WORTH = 5.0
"""Groups that this expectation counts for."""


def expected(sizes: I64, from_size: int) -> F64:
    """How many groups of its size or a larger one are to be expected in the set, for each group.

    Sizes of natural groups of copies fall off as a power: P(size >= s) = ((s - 1/2) / (3/2))^-a for s >= 2. The exponent
    is the likeliest one for the groups below `from_size`, cut off there, together with a few as they are elsewhere;
    so a flood does not make itself usual, nor do several.
    """
    small = np.arange(2, max(from_size, 3))
    counts = np.bincount(sizes[sizes <= small[-1]], minlength=int(small[-1]) + 1)[2:]
    exponents = np.arange(0.2, 10.0, 0.05)
    below = _tail(small, exponents) - _tail(small + 1, exponents)
    shares = below / below.sum(axis=1, keepdims=True)
    usual = shares[np.argmin(np.abs(exponents - USUAL))]
    exponent = exponents[np.argmax(np.log(shares) @ (counts + WORTH * usual))]
    groups = (counts.sum() + 1) / (1 - _tail(small[-1:] + 1, exponent[None])[0, 0])
    return np.asarray(groups * _tail(sizes, exponent[None])[0])


def _tail(sizes: I64, exponents: F64) -> F64:
    """The share of groups that are as large as each size, or larger, for each exponent."""
    return np.asarray(((sizes - 0.5) / 1.5)[None, :] ** -exponents[:, None])


def _rate(agreeing: int, pairs: int) -> float:
    """How often the copies of a set agree, one half where nothing is known of it."""
    return (agreeing + 1) / (pairs + 2)


def concentration(groups: pl.DataFrame, members: pl.DataFrame, seen: pl.DataFrame) -> pl.DataFrame:
    """The source that most records of each group name, and how probable so many are by chance."""
    total = seen["source"].count()
    sources = seen.drop_nulls("source").group_by("source").agg(records=pl.len())
    most = (
        members.drop_nulls("source")
        .group_by("key", "source")
        .agg(in_source=pl.len().cast(pl.Int64))
        .sort(["key", "in_source", "source"], descending=[False, True, False])
        .group_by("key", maintain_order=True)
        .agg(pl.col("source").first(), pl.col("in_source").first(), with_source=pl.col("in_source").sum())
    )
    small = most.join(groups, on="key", how="anti")
    rate = _rate(int((small["in_source"] - 1).sum()), int((small["with_source"] - 1).sum()))
    large = most.join(groups.select("key"), on="key").filter(pl.col("with_source") > 1)
    large = large.join(sources, on="source", how="left").sort("key")
    share = large["records"].to_numpy() / max(1, total)
    chance = at_least(
        large["in_source"].to_numpy() - 1,
        large["with_source"].to_numpy() - 1,
        np.maximum(share, rate),
    )
    return large.select(
        "key",
        "source",
        "in_source",
        source_share=pl.Series(share),
        of_its_source=pl.col("in_source") / pl.col("records"),
        source_chance=pl.Series(chance),
    )


def bursts_of(
    groups: pl.DataFrame, members: pl.DataFrame, seen: pl.DataFrame, window_hours: int
) -> pl.DataFrame:
    """The window of time that has most records of each group, and how probable so many are by chance."""
    timed = members.drop_nulls("hour").sort("key", "hour")
    gap = pl.col("hour").diff().over("key")
    gaps = timed.join(groups, on="key", how="anti", maintain_order="left").select(gap=gap)["gap"].drop_nulls()
    rate = _rate(int((gaps < window_hours).sum()), len(gaps))
    large = timed.join(groups.select("key"), on="key", maintain_order="left")
    windows = (
        large.with_columns(in_window=_within(large, window_hours))
        .sort(["key", "in_window", "hour"], descending=[False, True, False])
        .group_by("key", maintain_order=True)
        .agg(pl.col("hour").first(), pl.col("in_window").first(), timed=pl.len().cast(pl.Int64))
        .filter(pl.col("timed") > 1)
    )
    hours = np.sort(seen["hour"].drop_nulls().to_numpy())
    start = windows["hour"].to_numpy()
    inside = np.searchsorted(hours, start + window_hours) - np.searchsorted(hours, start)
    share = inside / max(1, len(hours))
    each = windows["timed"].to_numpy()
    chance = at_least(windows["in_window"].to_numpy() - 1, each - 1, np.maximum(share, rate))
    # The window was chosen among as many as there are records.
    return windows.select(
        "key",
        "in_window",
        window_share=pl.Series(share),
        of_its_window=pl.col("in_window") / pl.Series(inside),
        burst_chance=pl.Series(np.minimum(1.0, chance * each)),
    )


def _within(timed: pl.DataFrame, window_hours: int) -> pl.Series:
    """How many records of its group lie within so many hours from each on; sorted by group and hour."""
    hour = timed["hour"].to_numpy()
    group = timed["key"].rle_id().to_numpy().astype(np.int64)
    # Hours as ranks, so that group and hour together are one number that sorts as both do.
    ranks, place = np.unique(hour, return_inverse=True)
    behind = np.searchsorted(ranks, ranks + window_hours)[place]
    width = len(ranks) + 1
    ends = np.searchsorted(group * width + place, group * width + behind)
    return pl.Series(ends - np.arange(len(hour)))

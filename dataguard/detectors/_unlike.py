"""Whether records that share a span are texts of their own, and have nothing else in common, or no more than any.

How alike two records are is the cosine of what they are about, without the span and without the words that nearly all
records of the span have: those may have been put in with it. The mean over all pairs is compared with the mean and the
error of a sample (a U-statistic: Hoeffding, "A class of statistics with asymptotically normal distribution", 1948).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.detectors._near.candidates import ROW_BITS
from dataguard.detectors._visit import I64, U32, U64, Sweep, grouped, visit
from dataguard.words import Words

if TYPE_CHECKING:
    from dataguard.kernels.grams import Texts

LEAST_SAMPLE = 4
CHOSEN = 256
"""Records of a span that are compared."""
READ = 64
"""Records of a span that are looked through for what is repeated."""
ORIGINAL = 0.5
"""Of the runs of five words in a span's records, the share that stands nowhere else; of fewer, the records are made
from templates or copied, and the span may be one of these. Between texts that were generated (up to .45) and those
people wrote (from .8)."""
PAIRS = 512
"""Records of the sample whose pairs tell how much the likeness of two varies."""
OTHER_WORDS = 5
"""A record of fewer words besides the span says nothing about whether records are unlike."""
ERRORS = 3.0
SLIGHT = 0.01
"""Records are unlike if they are closer than chance by no more than so many errors, or by so little."""


def unlike(words: Sweep, runs: pl.DataFrame, known: Any, fewest: int) -> pl.DataFrame:
    """Runs whose records are not much closer than any; adds closeness and error."""
    from dataguard.kernels.around import profiles

    sample = _numbered(words, known["sample"])
    if len(sample) < LEAST_SAMPLE or runs.is_empty():
        return runs.clear().with_columns(closeness=pl.lit(None, pl.Float64), error=pl.lit(None, pl.Float64))
    weights = _weights(words, sample)
    nth = np.argsort(sample["nth"].to_numpy())
    about, _ = profiles(*_arranged(*_gathered(words, sample), nth), np.empty(0, np.int64), weights)
    usual = _usual(about)
    chosen = _surroundings(words, runs, CHOSEN)
    order, firsts, _ = grouped(chosen["run"].to_numpy())
    about, counts = profiles(*_arranged(*_gathered(words, chosen), order), firsts[1:], weights)
    own, common = counts.T
    different = (own >= OTHER_WORDS) & (own >= common)  # else the records are mostly alike
    judged = _closeness(about[different], chosen["run"].to_numpy()[order][different], usual)
    judged = judged.filter(
        (pl.col("size") >= fewest)
        & (pl.col("closeness") <= pl.max_horizontal(ERRORS * pl.col("error"), SLIGHT))
    )
    return runs.join(judged.drop("size"), on="run", how="inner", maintain_order="left")


def original(words: Sweep, runs: pl.DataFrame, texts: Callable[[Words], Texts], salt: int) -> pl.DataFrame:
    """Runs whose records are not made of what stands in other records, too; adds original."""
    from dataguard.kernels.grams import pieces, stands

    if runs.is_empty():
        return runs.with_columns(original=pl.lit(None, pl.Float64))
    chosen = _surroundings(words, runs, READ)
    ids, ends = _gathered(words, chosen)
    bounds = np.stack([np.concatenate([[0], ends[:-1]]), ends, chosen["wide"].to_numpy()], axis=1)
    of_record = [pieces(ids, one, salt) for one in bounds]
    wanted = np.unique(np.concatenate(of_record))
    counts = np.zeros(len(wanted), np.int64)
    for _, some in words:
        stands(texts(some), salt, wanted, counts)
    having = [counts[np.searchsorted(wanted, its)] for its in of_record]  # 0 where the span was taken out
    alone = [float((its == 1).sum() / max(1, (its > 0).sum())) for its in having]
    each = chosen.select("run", original=pl.Series(alone, dtype=pl.Float64))
    judged = each.group_by("run").agg(pl.col("original").median()).filter(pl.col("original") >= ORIGINAL)
    return runs.join(judged, on="run", how="inner", maintain_order="left")


def _closeness(about: npt.NDArray[np.int32], runs: I64, usual: _Usual) -> pl.DataFrame:
    """How much closer than usual the records of each run are, the error of that, and how many records they are."""
    from dataguard.kernels.around import LENGTH

    each = about.astype(np.int64)
    _, firsts, run = grouped(runs)
    size = np.diff(firsts)
    sums = np.add.reduceat(each, firsts[:-1], axis=0)
    own = np.add.reduceat((each**2).sum(axis=1), firsts[:-1])
    pairs = size * np.maximum(size - 1, 1)
    mean = ((sums**2).sum(axis=1) - own) / pairs / LENGTH**2
    error = np.sqrt((4 * np.maximum(size - 2, 0) * usual.between + 2 * usual.within) / pairs)
    return pl.DataFrame({"run": run, "closeness": mean - usual.mean, "error": error, "size": size})


def _numbered(words: Sweep, places: U64) -> pl.DataFrame:
    """Records by place as a table that can be visited; `nth` is their number among those given."""
    order = np.argsort(places)
    found, nth, base = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
    for file, some in words:
        if len(some):
            first = np.uint64(file << ROW_BITS) + some.rows[0]
            low, high = np.searchsorted(places, [first, first + np.uint64(len(some))], sorter=order)
            found.append(base + (places[order[low:high]] - first).astype(np.int64))
            nth.append(order[low:high].astype(np.int64))
        base += len(some)
    return pl.DataFrame({"record": np.concatenate(found), "nth": np.concatenate(nth)}).with_columns(
        at=pl.lit(0), words=pl.lit(0)
    )


def _weights(words: Sweep, sample: pl.DataFrame) -> npt.NDArray[np.float64]:
    """What each kind of word counts: the less, the more records of the sample have it."""
    from dataguard.kernels.around import KINDS, kinds

    having = np.zeros(KINDS, np.int64)
    for here in visit(words, sample):
        having += kinds(here.words.ids, here.start, here.end)
    return np.asarray(np.log((len(sample) + 1) / (having + 1)))


def _gathered(words: Sweep, runs: pl.DataFrame) -> tuple[U32, I64]:
    """The words of the record of each row without its run, in the order of the rows, and where each ends."""
    from dataguard.kernels.gather import gather

    length = runs["words"].to_numpy()
    pieces, sizes = [np.empty(0, np.uint32)], np.zeros((len(runs), 2), np.int64)
    for here in visit(words, runs):
        behind = here.first + length[here.rows]
        starts = np.stack([here.start, behind], axis=1)
        sizes[here.rows] = np.stack([here.first, here.end], axis=1) - starts
        pieces.append(gather(here.words.ids, starts.reshape(-1), sizes[here.rows].reshape(-1)))
    return np.concatenate(pieces), np.cumsum(sizes.sum(axis=1))


def _arranged(ids: U32, ends: I64, order: I64) -> tuple[U32, I64]:
    """The same records in another order."""
    from dataguard.kernels.gather import gather

    sizes = np.diff(ends, prepend=0)
    return gather(ids, (ends - sizes)[order], sizes[order]), np.cumsum(sizes[order])


class _Usual(NamedTuple):
    """How alike any two records of the set are: the mean, and the two variances of a mean over pairs."""

    mean: float
    between: float
    within: float


def _usual(profiles: npt.NDArray[np.int32]) -> _Usual:
    from dataguard.kernels.around import LENGTH

    each = profiles.astype(np.int64)
    total, size, scale = each.sum(axis=0), len(each), float(LENGTH) ** 2
    to_all = np.sort(each @ total - (each**2).sum(axis=1)) / (size - 1) / scale
    some = each[:PAIRS]
    pairs = (some @ some.T)[np.triu_indices(len(some), 1)]
    return _Usual(float(to_all.mean()), float(to_all.var()), float(np.sort(pairs / scale).var()))


def _surroundings(words: Sweep, runs: pl.DataFrame, most: int) -> pl.DataFrame:
    """One record for each of a run's surroundings, by content, so that copies do not make it look close."""
    from dataguard.kernels.content import content
    from dataguard.kernels.gather import gather

    whole = np.zeros(len(runs), np.uint64)
    for here in visit(words, runs):
        length = here.end - here.start
        whole[here.rows] = content(gather(here.words.ids, here.start, length), np.cumsum(length), 0)
    chosen = runs.with_columns(whole=pl.Series(whole)).filter("counts").sort("run", "whole")
    for side in ("left", "right"):
        chosen = chosen.unique(["run", side], keep="first", maintain_order=True)
    chosen = chosen.group_by("run", maintain_order=True).head(most)
    return chosen.sort("record", "at")

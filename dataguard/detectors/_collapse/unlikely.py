"""Groups of answers that are alike, and whether their prompts are."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.detectors._collapse.grouping import CHOSEN, COMMON, LEVELS, SHORT, Told, gathered
from dataguard.detectors._near.candidates import ROW_BITS
from dataguard.detectors._visit import Sweep

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
U32 = npt.NDArray[np.uint32]

FEWEST = 2
"""Prompts that differ, of a group that says something about what is usual."""
MANY = 5
"""Prompts that differ, of a group that may be named."""
LEAST_SAMPLE = 8
SLIGHT = 0.06
"""Prompts are unlike if they are closer than any by no more than an error, or by so little: as much as a word does that
was put into a part of them. (Of two prompts little is known: the error is as large.)"""
COHERENT = 0.2
"""How alike any two answers of a group are at least, as a share of what links two: else it is a chain of links."""
BEYOND = 3.0
"""And how many times as alike as any two answers of the set."""
NEARLY_ALL = 0.9
WORTH = 4
"""Groups that what is known beforehand of their growth counts for."""

_COLUMNS: dict[str, Any] = {
    "key": pl.UInt64,
    "level": pl.UInt8,
    "records": pl.UInt32,
    "prompts": pl.UInt32,
    "answers": pl.UInt32,
    "words": pl.UInt32,
    "closeness": pl.Float64,
    "error": pl.Float64,
    "echo": pl.Float64,
    "echo_of_others": pl.Float64,
    "alike": pl.Float64,
    "unlike": pl.Boolean,
    "frame": pl.UInt32,
    "framed": pl.Float64,
    "own": pl.Float64,
    "file": pl.UInt32,
    "row": pl.UInt64,
    "span": pl.List(pl.Struct({"column": pl.String, "start": pl.UInt64, "end": pl.UInt64})),
}
GROUPS = pl.Schema(_COLUMNS)
"""A row for each group and record: the group's smallest hash of an answer, how alike its answers are (a number of
LEVELS), its records, prompts and answers that differ, the median of their words; how much closer its prompts are than
any two, and the error of that; what share of the words of an answer that tell something stands in its own prompt, and in
that of another of the group; the Jaccard similarity of two of its answers; whether by these the prompts are unlike, and the answers not about them; of large
groups that are, how many words nearly all of the prompts share, what share of any prompts has all of these, and how many
others a prompt has."""


class Usual(NamedTuple):
    """How alike any two prompts are.

    Attributes:
        weights: f64[KINDS], what each kind of word counts.
        mean: the mean cosine of two.
        between: the variance of a prompt's mean cosine with others.
        within: the variance of the cosine of two.
        having: i64[KINDS], in how many prompts of the sample each kind of word stands.
        prompts: sets of words, and their ends.
        answer_weights: f64[KINDS], what each kind of word counts in answers.
        alike: the mean weighted Jaccard similarity of two answers.
    """

    weights: F64
    mean: float
    between: float
    within: float
    having: I64
    prompts: tuple[U32, I64]
    answer_weights: F64
    alike: float


def sweep_groups(words: Sweep, known: Any) -> pl.DataFrame:
    """The groups of alike answers, with how unlike their prompts are."""
    from dataguard.kernels.alike import as_sets, jaccard

    both = list(words)
    sample = gathered(both, known["sample"])
    if len(sample.hashes) < LEAST_SAMPLE or not len(known["place"]):
        return pl.DataFrame(schema=GROUPS)
    usual = _usual(sample)
    told = gathered(both, known["place"])
    answers = as_sets(*told.answers)
    prompts = as_sets(*told.prompts)
    alike = jaccard(answers, known["a"], known["b"], usual.answer_weights)
    long = np.maximum(told.words[known["a"]], told.words[known["b"]]) > SHORT
    alike = np.where(known["same"], 1.0, np.where(long, 0.0, np.minimum(alike, 0.999)))
    tables = [pl.DataFrame(schema=GROUPS)]
    for level, least in enumerate(LEVELS):
        linked = alike >= least
        tables.append(
            _groups(told, (answers, prompts), (known["a"][linked], known["b"][linked]), usual, level, known)
        )
    return pl.concat(tables)


def _usual(sample: Told) -> Usual:
    from dataguard.kernels.alike import as_sets, jaccard
    from dataguard.kernels.around import LENGTH, kinds, profiles

    ids, ends = sample.prompts
    having = kinds(ids, ends - np.diff(ends, prepend=0), ends)
    count = len(ends)
    weights = np.asarray(np.log((count + 1) / (having + 1)))
    about, _ = profiles(ids, ends, np.empty(0, np.int64), weights)
    order = np.argsort(sample.prompt_hashes, kind="stable")
    each = about[order].astype(np.int64)
    scale = float(LENGTH) ** 2
    to_all = np.sort(each @ each.sum(axis=0) - (each**2).sum(axis=1)) / (count - 1) / scale
    some = each[:512]
    pairs = np.sort((some @ some.T)[np.triu_indices(len(some), 1)] / scale)
    answers, (here,) = as_sets(*sample.answers), np.nonzero(sample.words <= SHORT)
    here = here[np.argsort(sample.prompt_hashes[here], kind="stable")]
    told = kinds(answers[0], answers[1] - np.diff(answers[1], prepend=0), answers[1])
    of_answers = np.asarray(np.log((count + 1) / (told + 1)))
    alike = jaccard(answers, here, np.roll(here, 1), of_answers).mean() if len(here) else 1.0
    variances = float(to_all.var()), float(pairs.var())
    return Usual(
        weights, float(to_all.mean()), *variances, having, as_sets(ids, ends), of_answers, float(alike)
    )


def _groups(told: Told, sets: Any, pairs: Any, usual: Usual, level: int, known: Any) -> pl.DataFrame:
    """The groups of one level: records, and what is measured of them."""
    from dataguard.kernels.pairs import components

    a, b = pairs
    member = components(a, b, len(told.hashes))
    table = pl.DataFrame(
        {
            "number": np.arange(len(member)),
            "group": member,
            "hash": told.hashes,
            "prompt": told.prompt_hashes,
            "words": told.words,
        }
    )
    table = table.filter(pl.col("prompt").n_unique().over("group") >= FEWEST)
    if table.is_empty():
        return pl.DataFrame(schema=GROUPS)
    table = table.with_columns(key=pl.col("hash").min().over("group")).sort("key", "prompt", "hash", "number")
    once = table.unique(["key", "prompt"], keep="first", maintain_order=True)
    chosen = once.filter(pl.int_range(pl.len()).over("key") < CHOSEN)
    run = chosen["key"].rle_id().to_numpy()
    firsts = np.append(np.flatnonzero(np.diff(run, prepend=-1)), len(run)).astype(np.int64)
    number = chosen["number"].to_numpy()
    measured = pl.DataFrame(
        {
            "key": chosen["key"].gather(firsts[:-1]),
            **_closeness(told.prompts, number, firsts, usual),
            **_echoes(sets, number, firsts, usual),
        }
    )
    close = pl.col("closeness") > pl.max_horizontal(pl.col("error"), pl.lit(SLIGHT))
    least = max(COHERENT * LEVELS[level], BEYOND * usual.alike) if level else 0.0
    loose = pl.col("alike") < least
    measured = measured.with_columns(unlike=~close & ~loose & ~pl.col("about")).drop("about")
    frames = [
        _frame(sets[1], number[low:high], usual) if judged and high - low >= MANY else (0, 0.0, 0.0)
        for low, high, judged in zip(firsts[:-1], firsts[1:], measured["unlike"], strict=True)
    ]
    named = pl.DataFrame(
        frames, schema={"frame": pl.UInt32, "framed": pl.Float64, "own": pl.Float64}, orient="row"
    )
    measured = measured.with_columns(named)
    return _with_records(table, measured, told, level, known)


def _closeness(prompts: tuple[U32, I64], number: I64, firsts: I64, usual: Usual) -> dict[str, F64]:
    """How much closer the prompts of each group are than any two, and the error of that.

    Of large groups, without what nearly all of their prompts share; of small ones, whose prompts may all be alike, with
    it.
    """
    from dataguard.kernels.around import LENGTH, profiles
    from dataguard.kernels.gather import gather

    ids, ends = prompts
    sizes = np.diff(ends, prepend=0)
    arranged, count = gather(ids, (ends - sizes)[number], sizes[number]), np.diff(firsts)
    bounds = np.cumsum(sizes[number])
    without, _ = profiles(arranged, bounds, firsts[1:], usual.weights)
    whole, _ = profiles(arranged, bounds, np.empty(0, np.int64), usual.weights)
    large = np.repeat(count >= MANY, count)
    each = np.where(large[:, None], without, whole).astype(np.int64)
    sums = np.add.reduceat(each, firsts[:-1], axis=0)
    own = np.add.reduceat((each**2).sum(axis=1), firsts[:-1])
    pairs = count * (count - 1)
    mean = ((sums**2).sum(axis=1) - own) / pairs / LENGTH**2
    error = np.sqrt((4 * (count - 2) * usual.between + 2 * usual.within) / pairs)
    return {"closeness": mean - usual.mean, "error": error}


def _echoes(sets: Any, number: I64, firsts: I64, usual: Usual) -> dict[str, Any]:
    """What share of the telling words of answers stands in their prompts, and in those of others of their group.

    Answers are about their prompts where that is more than words stand in any prompts, or in those of the others.
    """
    from dataguard.kernels.alike import echoes, jaccard

    answers, prompts = sets
    following = np.arange(len(number)) + 1
    following[firsts[1:] - 1] = firsts[:-1]
    size = len(usual.prompts[1])
    by = (usual.having, int(COMMON * size))
    own = echoes(answers, prompts, np.stack([number, number], axis=1), by)
    others = echoes(answers, prompts, np.stack([number, number[following]], axis=1), by)
    said, telling, anywhere = np.add.reduceat(own, firsts[:-1]).T
    of_others = np.add.reduceat(others[:, 0], firsts[:-1])
    chance = np.minimum(np.maximum(of_others, anywhere / size), COMMON * telling)
    whole = np.maximum(telling, 1)
    about = said > chance + 3 * np.sqrt(chance) + 2
    alike = np.add.reduceat(
        jaccard(answers, number, number[following], usual.answer_weights), firsts[:-1]
    ) / np.diff(firsts)
    return {"echo": said / whole, "echo_of_others": of_others / whole, "about": about, "alike": alike}


def _frame(prompts: tuple[U32, I64], number: I64, usual: Usual) -> tuple[int, float, float]:
    """What nearly all of some prompts share, but for words that most prompts have.

    Returns:
        How many words; what share of any prompts has all of them; how many others each prompt has, on average.
    """
    from dataguard.kernels.gather import gather

    ids, ends = prompts
    sizes = np.diff(ends, prepend=0)[number]
    words, counts = np.unique(gather(ids, ends[number] - sizes, sizes), return_counts=True)
    shared = words[counts >= NEARLY_ALL * len(number)]
    ids, ends = usual.prompts
    here = np.isin(ids, shared)
    found, having = np.unique(ids[here], return_counts=True)
    narrow = shared[~np.isin(shared, found[having > len(ends) / 2])]
    record = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
    framed = np.bincount(record[np.isin(ids, narrow)], minlength=len(ends)) == len(narrow)
    return len(narrow), float(framed.mean()), float(sizes.mean() - len(shared))


def expected(prompts: I64) -> F64:
    """How many groups of unlike prompts as large are to be expected, for each group of one level.

    Of two prompts that happen to get alike answers a third joins with some chance, then a fourth: sizes fall off by a
    constant ratio. It is told from the other groups, of which large ones count as those of MANY do, so that one
    collapse hides no other; and as if one of WORTH groups had grown, where few tell.
    """
    grown = np.minimum(prompts, MANY) - FEWEST
    others, grown_others = len(prompts) - 1, grown.sum() - grown
    ratio = (grown_others + 1) / (grown_others + others + WORTH)
    return np.asarray((others + 1) * ratio ** (prompts - FEWEST))


def _with_records(
    table: pl.DataFrame, measured: pl.DataFrame, told: Told, level: int, known: Any
) -> pl.DataFrame:
    number = table["number"].to_numpy()
    place, spans = known["place"][number], told.spans[number]
    names = pl.Series([*told.columns, ""], dtype=pl.String)
    rows = table.select(
        "key",
        pl.lit(level, pl.UInt8).alias("level"),
        records=pl.len().over("key").cast(pl.UInt32),
        prompts=pl.col("prompt").n_unique().over("key").cast(pl.UInt32),
        answers=pl.col("hash").n_unique().over("key").cast(pl.UInt32),
        words=pl.col("words").median().over("key").cast(pl.UInt32),
        file=pl.Series((place >> np.uint64(ROW_BITS)).astype(np.uint32)),
        row=pl.Series(place & np.uint64((1 << ROW_BITS) - 1)),
        span=pl.concat_list(
            pl.struct(
                column=names.gather(pl.Series(np.where(spans[:, 0] < 0, len(told.columns), spans[:, 0]))),
                start=pl.Series(spans[:, 1].astype(np.uint64)),
                end=pl.Series(spans[:, 2].astype(np.uint64)),
            )
        ),
    )
    return (
        rows.join(measured, on="key", how="left", maintain_order="left").select(GROUPS.names()).cast(GROUPS)
    )

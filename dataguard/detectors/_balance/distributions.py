"""How the values of every column are distributed in each split of a set: written down by batch, summed, read again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from dataguard.columns import Role, is_number
from dataguard.detectors._balance.histograms import I64, Histogram
from dataguard.detectors._balance.subgroups import few, sorting
from dataguard.detectors._splits import splits_of
from dataguard.records.batch import Batch
from dataguard.words import words_of

VALUES = 64
"""Different values of a column of names; one with more is not compared."""
COLUMNS = 256
"""Columns of numbers and of names of a file that are looked at, the first by name; the others are counted."""

NUMBER, CATEGORY, LABEL, LENGTH, WORD = "number", "category", "label", "length", "word"
RECORDS, TEXTS, MANY, PASSED = "records", "texts", "many", "passed"

DISTRIBUTIONS = pl.Schema(
    {
        "split": pl.String,
        "kind": pl.String,
        "column": pl.String,
        "value": pl.String,
        "at": pl.UInt64,
        "top": pl.UInt64,
        "level": pl.UInt8,
        "n": pl.UInt64,
    }
)
"""Counts by split. NUMBER and LENGTH (words of a record) by bucket from `at` to `top` of a histogram with this `level`; CATEGORY and
LABEL by `value`; WORD: records that have a word of slot `at`; RECORDS, and TEXTS: those with words. MANY: a column of
too many values. PASSED: one that was not looked at."""

_BY = ("split", "kind", "column")
_BUCKETED = (NUMBER, LENGTH)
_NAMED = (CATEGORY, LABEL)


def written_down(batch: Batch, names: Mapping[str, str]) -> pl.DataFrame:
    """The distributions in a batch, made once for all rules that compare them.

    Args:
        batch: the records.
        names: values of a split column and what they mean.
    """
    made_with = "\0".join(f"{name}\0{split}" for name, split in sorted(names.items()))
    return batch.once(f"distributions {made_with}", lambda: _written_down(batch, names))


def _written_down(batch: Batch, names: Mapping[str, str]) -> pl.DataFrame:
    split = splits_of(batch, names)
    splits = split.unique().sort().to_list()
    group = np.searchsorted(np.array(splits, dtype=object), split.to_numpy().astype(object)).astype(np.int64)
    rows = [np.flatnonzero(group == number) for number in range(len(splits))]
    found = [pl.DataFrame(schema=DISTRIBUTIONS)]
    found += [_counted(name, RECORDS, "", n=len(its)) for name, its in zip(splits, rows, strict=True)]
    for kind, column, named in _names(batch):
        if named is None:
            found.append(_counted("", MANY, column, n=1))
            continue
        counts = (
            pl.DataFrame({"split": split, "value": named}).drop_nulls().group_by("split", "value").len("n")
        )
        found.append(_conformed(counts.with_columns(kind=pl.lit(kind), column=pl.lit(column))))
    passed = [*_categories(batch)[COLUMNS:], *_numeric(batch)[COLUMNS:]]
    found.append(
        _conformed(
            pl.DataFrame({"column": passed}, schema={"column": pl.String}).with_columns(
                split=pl.lit(""), kind=pl.lit(PASSED), n=pl.lit(1)
            )
        )
    )
    histograms: dict[tuple[str, ...], Histogram] = {
        (name, kind, column): Histogram.of(of_split[np.isfinite(of_split)])
        for kind, column, values in _numbers(batch)
        for name, its in zip(splits, rows, strict=True)
        for of_split in [values if len(splits) == 1 else values[its]]
    }
    found += _words(batch, splits, group)
    return _sorted(pl.concat([_fewer_counts(pl.concat(found)), _bucketed(histograms)]))


def fewer(evidence: pl.DataFrame) -> pl.DataFrame:
    """The same, summed; of a column with too many values that alone."""
    bucketed = pl.col("kind").is_in(_BUCKETED)
    histograms = _bucketed(_histograms(evidence.filter(bucketed), _BY))
    return _sorted(pl.concat([_fewer_counts(evidence.filter(~bucketed)), histograms]))


def gathered(evidence: pl.LazyFrame, side: str) -> pl.DataFrame:
    """The evidence of all items, summed before it is held: of a histogram there is hardly more than of one item.

    Args:
        evidence: DISTRIBUTIONS, and a column by which sums are kept apart.
        side: its name.
    """
    name = pl.concat_str("kind", "column", separator="\0")
    levels = dict(evidence.group_by(name.alias("name")).agg(pl.col("level").max()).collect().iter_rows())
    # The buckets of the coarsest item, at most; where they are still too many, whoever reads them puts them together.
    level: pl.Expr = pl.lit(None, pl.UInt8)
    width: pl.Expr = pl.lit(1, pl.UInt64)
    # A condition for each level rather than a join or a replacement: both hold all rows.
    for one in sorted({one for one in levels.values() if one is not None}):
        here = name.is_in([of for of, its in levels.items() if its == one])
        level = pl.when(here).then(pl.lit(one, pl.UInt8)).otherwise(level)
        width = pl.when(here).then(pl.lit(1 << one, pl.UInt64)).otherwise(width)
    return (
        evidence.group_by(side, *_BY, "value", level=level, place=pl.col("at") // width)
        .agg(pl.col("at").min(), pl.col("top").max(), pl.col("n").sum())
        .select(side, *DISTRIBUTIONS.names())
        .collect()
    )


def _sorted(evidence: pl.DataFrame) -> pl.DataFrame:
    return evidence.sort(*_BY, "value", "at")


def _fewer_counts(evidence: pl.DataFrame) -> pl.DataFrame:
    """The same of all but numbers."""
    counts = evidence.group_by(*_BY, "value", "at").agg(pl.col("n").sum())
    named = pl.col("kind").is_in(_NAMED)
    over = (named & (pl.col("value").n_unique() > VALUES)).over("kind", "column")
    many = counts.filter(pl.col("kind") == MANY)["column"].append(counts.filter(over)["column"])
    kept = counts.filter(~(named & pl.col("column").is_in(many.implode())) & (pl.col("kind") != MANY))
    marks = [_counted("", MANY, column, n=1) for column in many.unique().sort()]
    passed = pl.when(pl.col("kind") == PASSED).then(pl.lit(1, pl.UInt64)).otherwise("n")
    return pl.concat([_conformed(kept), *marks]).with_columns(n=passed)


def _histograms(evidence: pl.DataFrame, by: tuple[str, ...]) -> dict[tuple[str, ...], Histogram]:
    """The buckets of numbers put together, by these columns."""
    return {
        tuple(map(str, key)): Histogram.merged(
            table["at"].to_numpy(),
            table["top"].to_numpy(),
            table["n"].to_numpy().astype(np.int64),
            int(np.max(table["level"].to_numpy(), initial=0)),
        )
        for key, table in evidence.group_by(by)
    }


def _numbers(batch: Batch) -> Iterator[tuple[str, str, np.ndarray]]:
    """Columns of numbers: kind, name and f64 values."""
    for name in _numeric(batch)[:COLUMNS]:
        yield NUMBER, name, batch.numbers((name,))[:, 0]
    words = words_of(batch)
    if len(words):
        lengths = np.diff(words.ends, prepend=0).astype(np.float64)
        lengths[lengths == 0] = np.nan
        yield LENGTH, "", lengths


def _names(batch: Batch) -> Iterator[tuple[str, str, pl.Series | None]]:
    """Columns of names: kind, name and values; None where there are too many."""
    for name in batch.roles.of(Role.LABEL):
        yield LABEL, name, few(batch, name, VALUES)
    for name in _categories(batch)[:COLUMNS]:
        yield CATEGORY, name, few(batch, name, VALUES)


def _categories(batch: Batch) -> list[str]:
    """Columns that may hold names, labels apart."""
    schema = batch.data.schema
    words = [name for name in sorting(batch) if not is_number(schema.field(name).type)]
    return sorted({*words, *batch.roles.of(Role.SOURCE)} - {*batch.roles.of(Role.LABEL)})


def _numeric(batch: Batch) -> list[str]:
    """Columns of numbers."""
    names = batch.roles.of(Role.FEATURES, Role.SCORE)
    return [name for name in names if is_number(batch.data.schema.field(name).type)]


def _words(batch: Batch, splits: list[str], group: I64) -> Iterator[pl.DataFrame]:
    """In how many records of each split a word of each slot stands."""
    words = words_of(batch)
    if not len(words):
        return
    from dataguard.kernels.shares import record_shares

    shares = record_shares(words.ids, words.ends, group, len(splits))
    has = np.diff(words.ends, prepend=0) > 0
    for number, name in enumerate(splits):
        yield _counted(name, TEXTS, "", n=int((has & (group == number)).sum()))
        slots = np.flatnonzero(shares[number])
        table = pl.DataFrame({"at": slots.astype(np.uint64), "n": shares[number][slots]})
        yield _conformed(table.with_columns(split=pl.lit(name), kind=pl.lit(WORD), column=pl.lit("")))


def _counted(split: str, kind: str, column: str, *, n: int) -> pl.DataFrame:
    return _conformed(pl.DataFrame({"split": [split], "kind": [kind], "column": [column], "n": [n]}))


def _bucketed(histograms: Mapping[tuple[str, ...], Histogram]) -> pl.DataFrame:
    """Histograms by split, kind and column as one table."""
    if not histograms:
        return pl.DataFrame(schema=DISTRIBUTIONS)
    sizes = [len(one.starts) for one in histograms.values()]
    keys = pl.DataFrame(list(histograms), schema={name: DISTRIBUTIONS[name] for name in _BY}, orient="row")
    buckets = {
        "at": np.concatenate([one.starts for one in histograms.values()]),
        "top": np.concatenate([one.tops for one in histograms.values()]),
        "level": np.repeat(np.array([one.level for one in histograms.values()], np.uint8), sizes),
        "n": np.concatenate([one.counts for one in histograms.values()]),
    }
    named = keys[np.repeat(np.arange(len(sizes)), sizes)]
    return _conformed(named.with_columns(pl.Series(name, values) for name, values in buckets.items()))


def _conformed(table: pl.DataFrame) -> pl.DataFrame:
    return table.select(
        pl.col(name).cast(kind) if name in table.columns else pl.lit(None, kind).alias(name)
        for name, kind in DISTRIBUTIONS.items()
    )


@dataclass(frozen=True)
class Sample:
    """The distributions of a part of the evidence, over its splits.

    Args:
        records: how many there are.
        histograms: by kind and column.
        names: counts by value, by kind and column.
        slots: i64, how many records have a word of each slot.
        texts: records with words.
    """

    records: int
    histograms: Mapping[tuple[str, ...], Histogram]
    names: Mapping[tuple[str, str], Mapping[str, int]]
    slots: I64
    texts: int

    @classmethod
    def of(cls, evidence: pl.DataFrame, uncounted: pl.Series) -> Sample:
        """What evidence of any files and splits says together.

        Args:
            evidence: DISTRIBUTIONS.
            uncounted: columns of names that are not to be compared.
        """
        from dataguard.kernels.shares import SLOTS

        totals = dict(evidence.group_by("kind").agg(pl.col("n").sum()).iter_rows())
        bucketed = evidence.filter(pl.col("kind").is_in(_BUCKETED))
        named = evidence.filter(pl.col("kind").is_in(_NAMED) & ~pl.col("column").is_in(uncounted.implode()))
        words = evidence.filter(kind=WORD).group_by("at").agg(pl.col("n").sum())
        slots = np.zeros(SLOTS, np.int64)
        slots[words["at"].to_numpy().astype(np.int64)] = words["n"].to_numpy().astype(np.int64)
        return cls(
            records=int(totals.get(RECORDS, 0)),
            histograms=_histograms(bucketed, ("kind", "column")),
            names={
                (str(kind), str(column)): dict(table.group_by("value").agg(pl.col("n").sum()).iter_rows())
                for (kind, column), table in named.group_by("kind", "column")
            },
            slots=slots,
            texts=int(totals.get(TEXTS, 0)),
        )


def uncounted(evidence: pl.DataFrame) -> pl.Series:
    """The columns that were not counted, for their many values or because a file has too many columns; sorted."""
    over = (
        evidence.filter(pl.col("kind").is_in(_NAMED))
        .group_by("kind", "column")
        .agg(pl.col("value").n_unique())
        .filter(pl.col("value") > VALUES)["column"]
    )
    marked = evidence.filter(pl.col("kind").is_in([MANY, PASSED]))["column"]
    return marked.append(over).unique().sort()

"""How many words there are, so that they can be looked at in parts, and a sample of the records."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl

from dataguard.detectors._near.candidates import ROW_BITS
from dataguard.words import Words

CELLS = 1 << 26
"""Cells of the table that a part counts in, of two bytes."""
PART_WORDS = 3 * CELLS // 2
"""Words of a part: one or two for each cell, of which a thousandth looks various because several share it."""
SAMPLED = 24
"""Records of a span that are enough to tell it from what stands in few: where more are asked for, spans are looked for
in a sample of the set that has so many of them on average."""
SAMPLE = 2048
"""Records that tell how alike any records of the set are."""

TOTALS = pl.Schema({"hash": pl.UInt64, "row": pl.UInt64, "number": pl.UInt64})
"""A sample of records, those of the smallest hashes. Where `row` is null, `hash` says what is counted."""
RECORDS, WORDS, SHORT = 0, 1, 2


def totals(words: Words) -> pl.DataFrame:
    """How much there is in a batch, and a sample of it."""
    from dataguard.kernels.content import content
    from dataguard.kernels.grams import WIDTH

    lengths = np.diff(words.ends, prepend=0)
    enough = lengths >= WIDTH
    counts = [int(enough.sum()), int(lengths[enough].sum()), int((~enough).sum())]
    hashes, first = np.unique(
        content(words.ids, words.ends, words.key("sample"))[enough], return_index=True
    )  # of equal records the first
    rows = words.rows[enough][first][:SAMPLE]
    hashes = np.concatenate([np.array([RECORDS, WORDS, SHORT], np.uint64), hashes[:SAMPLE]])
    numbers = np.concatenate([np.array(counts, np.uint64), np.zeros(len(rows), np.uint64)])
    row = pl.concat([pl.Series([None] * 3, dtype=pl.UInt64), pl.Series(rows, dtype=pl.UInt64)])
    return pl.DataFrame({"hash": hashes, "row": row, "number": numbers}, schema=TOTALS)


def fewer_totals(evidence: pl.DataFrame) -> pl.DataFrame:
    """The same of several batches in as few rows as of one."""
    sample = evidence.filter(pl.col("row").is_not_null()).sort("hash", "row")
    sample = sample.unique("hash", keep="first", maintain_order=True).head(SAMPLE)
    counted = evidence.filter(pl.col("row").is_null()).group_by("hash").agg(pl.col("number").sum())
    return pl.concat(
        [counted.sort("hash").select("hash", pl.lit(None, pl.UInt64).alias("row"), "number"), sample]
    )


def rate_of(fewest: int) -> float:
    """The share of the records in which spans are looked for that must stand in so many."""
    return SAMPLED / max(SAMPLED, fewest)


def fold_totals(evidence: pl.LazyFrame) -> dict[str, Any]:
    """How much there is in all.

    Returns:
        `records` that have words enough, `words`, `short` (records that have not); `sample`, places of
        records by hash.
    """
    table = evidence.collect()
    place = pl.col("file").cast(pl.UInt64) * (1 << ROW_BITS) + pl.col("row")
    sample = table.filter(pl.col("row").is_not_null()).select("hash", place=place).sort("hash", "place")
    sample = sample.unique("hash", keep="first", maintain_order=True).head(SAMPLE)
    counted = table.filter(pl.col("row").is_null())
    records, words, short = (
        int(counted.filter(hash=what)["number"].sum()) for what in (RECORDS, WORDS, SHORT)
    )
    return {
        "records": records,
        "words": words,
        "short": short,
        "sample": sample["place"].to_numpy(),
    }


def parts_of(words: int, rate: float) -> int:
    """In how many parts a share of so many words is looked at."""
    return max(1, math.ceil(rate * words / PART_WORDS))

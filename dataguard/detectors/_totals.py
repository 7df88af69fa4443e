"""How many words there are, so that they can be looked at in parts, and a sample of the records."""

from __future__ import annotations

import numpy as np
import polars as pl

from dataguard.detectors._near.candidates import ROW_BITS
from dataguard.detectors.base import Known
from dataguard.words import Words

CELLS = 1 << 26
"""Cells of the table that a part counts in, of two bytes."""
PART_WORDS = 3 * CELLS // 2
"""Words of a part: one or two for each cell, of which a thousandth looks various because several share it."""
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
    hashes = content(words.ids, words.ends, words.key("sample"))[enough]
    counts = [int(enough.sum()), int(lengths[enough].sum()), int((~enough).sum())]
    rows = pl.DataFrame(
        {"hash": hashes, "row": words.rows[enough], "number": np.zeros(len(hashes), np.uint64)}
    )
    counted = pl.DataFrame({"hash": [RECORDS, WORDS, SHORT], "row": None, "number": counts}, schema=TOTALS)
    return _smallest(pl.concat([counted, rows.cast(TOTALS)]))


def _smallest(table: pl.DataFrame) -> pl.DataFrame:
    """The smallest hashes, each once, and sums of the counts."""
    sample = table.filter(pl.col("row").is_not_null()).sort("hash", "row")
    sample = sample.unique("hash", keep="first", maintain_order=True).head(SAMPLE)
    counted = table.filter(pl.col("row").is_null()).group_by("hash").agg(pl.col("number").sum()).sort("hash")
    return pl.concat([counted.select("hash", pl.lit(None, pl.UInt64).alias("row"), "number"), sample])


def fewer_totals(evidence: pl.DataFrame) -> pl.DataFrame:
    """The same of several batches in as few rows as of one."""
    return _smallest(evidence)


def fold_totals(evidence: pl.LazyFrame, _: Known) -> Known:
    """In how many parts the words are looked at.

    Returns:
        `parts`; `records` that have words enough, `words`, `short` (records that have not); `sample`, places of
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
        "parts": max(1, -(-words // PART_WORDS)),
        "records": records,
        "words": words,
        "short": short,
        "sample": sample["place"].to_numpy(),
    }

"""All records of the set that carry a sequence, and where."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.findings import SPAN
from dataguard.words import Words

Ints = npt.NDArray[np.int64]

LOCATED = pl.Schema({"sequence": pl.UInt32, "file": pl.UInt32, "row": pl.UInt64, "span": SPAN})
_BITS = 16


def locate(words: Iterable[tuple[int, Words]], known: dict[str, Any], part: int) -> pl.DataFrame:
    """The first place of each sequence in each record that has it, of every so-manieth batch.

    Args:
        words: of the whole set.
        known: `sequences` u32[n, 12], `lengths` i64[n], `rarest` i64[n] (which of its words is rarest), `answer` bool[n].
        part: the number of the first batch that is looked at.
    """
    tables = [pl.DataFrame(schema=LOCATED)]
    lengths, rarest, sequences = known["lengths"], known["rarest"], known["sequences"]
    anchors = sequences[np.arange(len(lengths)), rarest]
    may = np.zeros(1 << _BITS, np.bool_)
    may[anchors & ((1 << _BITS) - 1)] = True
    for number, (file, some) in enumerate(words):
        if number % known["parts"] == part and len(anchors):
            at = np.flatnonzero(may[some.ids & ((1 << _BITS) - 1)])
            for sequence in range(len(anchors)):
                begin = at[some.ids[at] == anchors[sequence]] - rarest[sequence]
                begin = begin[(begin >= 0) & (begin + lengths[sequence] <= len(some.ids))]
                for place in range(lengths[sequence]):
                    begin = begin[some.ids[begin + place] == sequences[sequence, place]]
                if len(begin):
                    tables.append(
                        _placed(some, begin, int(lengths[sequence]), bool(known["answer"][sequence])).select(
                            pl.lit(sequence, pl.UInt32).alias("sequence"),
                            pl.lit(file, pl.UInt32).alias("file"),
                            "row",
                            "span",
                        )
                    )
    return pl.concat(tables)


def _placed(words: Words, begin: Ints, length: int, answer: bool) -> pl.DataFrame:
    """The rows and spans of runs of words that stand within one text of the right side, the first of each record."""
    record = np.searchsorted(words.ends, begin, side="right")
    start = np.where(record > 0, words.ends[record - 1], 0)
    text_ends = np.cumsum(words.parts[:, 1], dtype=np.int64)
    inside = np.searchsorted(text_ends, begin, side="right") == np.searchsorted(
        text_ends, begin + length - 1, side="right"
    )
    inside &= (begin - start >= words.inputs[record]) == answer
    record, within = record[inside], (begin - start)[inside]
    record, first = np.unique(record, return_index=True)
    within = within[first]
    spans = words.spans(np.stack([record, within, within + length], axis=1).astype(np.int64))
    columns = pl.Series([words.columns[column] for column in spans[:, 0]], dtype=pl.String)
    return pl.DataFrame(
        {"row": words.rows[record], "column": columns, "start": spans[:, 1], "end": spans[:, 2]}
    ).select(
        "row", span=pl.concat_list(pl.struct("column", pl.col("start", "end").cast(pl.UInt64))).cast(SPAN)
    )

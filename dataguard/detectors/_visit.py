"""The words around runs of words, a batch at a time: what a table names is found where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.words import Words

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
Sweep = Iterable[tuple[int, Words]]


class Here(NamedTuple):
    """The rows of a table that a batch of words holds; numbers of words count within the batch.

    Attributes:
        file: its number.
        words: of the batch.
        rows: which rows of the table.
        record: i64, the number of the record within the batch.
        start: i64, the record's first word.
        end: i64, behind its last.
        first: i64, the run's first word.
        text: i64, the number of the text that it stands in.
        text_ends: i64[texts], of all texts of the batch.
    """

    file: int
    words: Words
    rows: slice
    record: I64
    start: I64
    end: I64
    first: I64
    text: I64
    text_ends: I64

    @property
    def text_end(self) -> I64:
        """Behind the last word of the text."""
        return self.text_ends[self.text]

    def text_start(self, text: I64) -> I64:
        """The first word of texts."""
        return np.where(text > 0, self.text_ends[text - 1], 0)

    def middle(self, step: int) -> I64:
        """The word in the middle of the text before (-1) or after (1), in a circle within the record."""
        ends = self.words.part_ends
        first = np.where(self.record > 0, ends[self.record - 1], 0)
        other = first + (self.text + step - first) % (ends[self.record] - first)
        return np.asarray((self.text_start(other) + self.text_ends[other]) // 2)


def visit(words: Sweep, runs: pl.DataFrame) -> Iterator[Here]:
    """The batches in which runs stand; together they hold all rows of the table, which is sorted by record."""
    records, at, base = runs["record"].to_numpy(), runs["at"].to_numpy(), 0
    for file, some in words:
        low, high = np.searchsorted(records, [base, base + len(some)]).tolist()
        if low < high:
            record = records[low:high] - base
            start = np.where(record > 0, some.ends[record - 1], 0)
            first = start + at[low:high]
            text_ends = np.cumsum(some.parts[:, 1], dtype=np.int64)
            text = np.searchsorted(text_ends, first, side="right")
            yield Here(file, some, slice(low, high), record, start, some.ends[record], first, text, text_ends)
        base += len(some)


def grouped(run: I64) -> tuple[I64, I64, I64]:
    """The order that puts runs under one another, where each begins (and the end), and its number."""
    order = np.argsort(run, kind="stable")
    named, firsts = np.unique(run[order], return_index=True)
    return order, np.append(firsts, len(order)).astype(np.int64), named

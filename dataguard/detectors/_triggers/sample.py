"""A sample of the records, small enough to be searched whole: those of the smallest keyed hashes of their words.

Sequences that are frequent in the set are frequent in a random sample (Toivonen, "Sampling large databases for
association rules", VLDB 1996); as the hash is keyed, nobody can write records that stay out of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.columns import Role
from dataguard.detectors.base import Known
from dataguard.records.batch import Batch
from dataguard.words import Words, words_of

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32]

SAMPLE_WORDS = 4 << 20
"""Words of the sample; about 150 bytes each while it is searched."""
ROW_BITS = 40
"""Bits of a record's place that name its row; the others name its file."""
MOST_LABELS = 64
"""A column of more values than this is no label to be learnt from a sample."""
LONGEST_LABEL = 64
"""Characters of a label; what is longer is told by its beginning."""

EVIDENCE = pl.Schema({"hash": pl.UInt64, "row": pl.UInt64, "words": pl.UInt64, "label": pl.String})
"""The sample of a file's part. Where `row` is null, `words` is the number of all records."""


def observe(batch: Batch, _: Known) -> pl.DataFrame:
    """How many records have words, and a sample of them with their labels."""
    from dataguard.kernels.content import content

    words = words_of(batch)
    lengths = np.diff(words.ends, prepend=0)
    table = pl.DataFrame(
        {
            "hash": content(words.ids, words.ends, words.key("trigger sample")),
            "row": words.rows,
            "words": lengths.astype(np.uint64),
        }
    )
    labels = _labels(batch)
    if len(labels) == len(table):
        table = table.with_columns(label=labels)
    else:
        table = table.with_columns(label=pl.lit(None, pl.String))
    table = table.filter(pl.col("words") > 0)
    counted = pl.DataFrame({"hash": [0], "row": [None], "words": [table.height], "label": [None]}, EVIDENCE)
    return _smallest(pl.concat([counted, table]))


def _labels(batch: Batch) -> pl.Series:
    for name in batch.roles.of(Role.LABEL):
        if name in batch.data.schema.names:
            return batch.column(name).cast(pl.String).str.slice(0, LONGEST_LABEL).alias("label")
    return pl.Series("label", [], pl.String)


def _smallest(table: pl.DataFrame) -> pl.DataFrame:
    """The records of the smallest hashes, each content once, and the sum of the counts."""
    counted = table.filter(pl.col("row").is_null()).group_by("hash").agg(pl.col("words").sum())
    counted = counted.select(
        "hash", pl.lit(None, pl.UInt64).alias("row"), "words", pl.lit(None, pl.String).alias("label")
    )
    return pl.concat([counted, _within(table.filter(pl.col("row").is_not_null()).sort("hash", "row"))])


def _within(rows: pl.DataFrame) -> pl.DataFrame:
    """As many of the first rows as the sample has words for; one at least."""
    rows = rows.unique("hash", keep="first", maintain_order=True)
    return rows.filter((pl.col("words").cum_sum() <= SAMPLE_WORDS) | (pl.int_range(pl.len()) == 0))


def compact(evidence: pl.DataFrame) -> pl.DataFrame:
    """The same of several batches in as few rows as of one."""
    return _smallest(evidence)


def fold(evidence: pl.LazyFrame, _: Known) -> Known:
    """The sample of the set.

    Returns:
        `parts` 1; `records` that have words; `places` u64 of the sampled records by hash; `label` i64, the number of
        each one's label in `labels` or -1.
    """
    table = evidence.collect()
    records = int(table.filter(pl.col("row").is_null())["words"].sum())
    place = pl.col("file").cast(pl.UInt64) * (1 << ROW_BITS) + pl.col("row")
    rows = table.filter(pl.col("row").is_not_null()).with_columns(place=place).sort("hash", "place")
    rows = _within(rows)
    values = rows["label"].drop_nulls().value_counts(sort=False).sort("label")
    names = values["label"].to_list()
    codes = np.full(rows.height, -1, np.int64)
    if 2 <= len(names) <= MOST_LABELS:
        numbers = list(range(len(names)))
        numbered = rows["label"].replace_strict(names, numbers, default=-1, return_dtype=pl.Int64)
        codes = numbered.fill_null(-1).to_numpy()
    else:
        names = []
    return {
        "parts": 1,
        "records": records,
        "places": rows["place"].to_numpy(),
        "label": codes,
        "labels": names,
    }


@dataclass(frozen=True)
class Sample:
    """The words of the sampled records, one record after the other, by the hash of the record.

    Args:
        word: i32[T], a number for each word of the sample, dense, the most frequent ones first.
        ids: u32[words], the keyed hash of each word.
        record: i32[T], the record of each word.
        text: i32[T], the text that it stands in; texts are not joined.
        answer: bool[T], whether it stands in a response.
        records: how many there are.
        label: i64[records], the number of the label or -1.
        labels: the labels.
        rng: of this project: nobody else knows what it draws.
    """

    word: Numbers
    ids: npt.NDArray[np.uint32]
    record: Numbers
    text: Numbers
    answer: npt.NDArray[np.bool_]
    records: int
    label: Ints
    labels: tuple[str, ...]
    rng: np.random.Generator

    @property
    def words(self) -> int:
        """How many different words there are."""
        return len(self.ids)


def gathered(words: Iterable[tuple[int, Words]], known: dict[str, Any]) -> Sample | None:
    """The sample's words, from the words that were kept; None without any."""
    from dataguard.kernels.gather import gather

    places = known["places"]
    if not len(places):
        return None
    order = np.argsort(places)
    ids, lengths, inputs, parts, counts, number = [], [], [], [], [], []
    key = 0
    for file, some in words:
        key = some.key("trigger null")
        place = np.uint64(file << ROW_BITS) + some.rows
        at = np.minimum(np.searchsorted(places[order], place), len(places) - 1)
        here = np.flatnonzero(places[order][at] == place)
        if not len(here):
            continue
        number.append(order[at[here]])
        begin, part = np.concatenate([[0], some.ends]), np.concatenate([[0], some.part_ends])
        lengths.append(begin[here + 1] - begin[here])
        counts.append(part[here + 1] - part[here])
        ids.append(gather(some.ids, begin[here], lengths[-1]))
        parts.append(gather(np.ascontiguousarray(some.parts[:, 1]), part[here], counts[-1]))
        inputs.append(some.inputs[here].astype(np.int64))
    if not number:
        return None
    return _ordered(
        [np.concatenate(one) for one in (number, lengths, inputs, counts)],
        np.concatenate(ids),
        np.concatenate(parts),
        known,
        key,
    )


def _ordered(
    columns: list[Ints],
    ids: npt.NDArray[np.uint32],
    parts: npt.NDArray[np.uint32],
    known: dict[str, Any],
    key: int,
) -> Sample:
    """By the hash of the record, so that neither files nor their order matter."""
    from dataguard.kernels.gather import gather

    number, lengths, inputs, counts = columns
    order = np.argsort(number)
    starts, firsts = np.cumsum(lengths) - lengths, np.cumsum(counts) - counts
    ids = gather(ids, starts[order], lengths[order])
    parts = gather(parts, firsts[order], counts[order])
    number, lengths, inputs = number[order], lengths[order], inputs[order]
    distinct, word = _numbered(ids)
    record = np.repeat(np.arange(len(number), dtype=np.int32), lengths)
    first_answer = np.cumsum(lengths) - lengths + inputs
    return Sample(
        word=word,
        ids=distinct,
        record=record,
        text=np.repeat(np.arange(len(parts), dtype=np.int32), parts),
        answer=np.arange(len(ids)) >= first_answer[record],
        records=len(number),
        label=known["label"][number],
        labels=tuple(known["labels"]),
        rng=np.random.default_rng(key),
    )


def _numbered(ids: npt.NDArray[np.uint32]) -> tuple[npt.NDArray[np.uint32], Numbers]:
    """The different ids, the most frequent one first, and the number among these of each."""
    at = np.arange(len(ids), dtype=np.uint64)
    at |= ids.astype(np.uint64) << np.uint64(32)
    at.sort()  # with their places, which is faster than an order of them
    ids = (at >> np.uint64(32)).astype(np.uint32)
    new = np.append(True, ids[1:] != ids[:-1])
    often = np.diff(np.append(np.flatnonzero(new), len(ids)))
    # What is used most stands together in memory, in all that is kept by word.
    frequent = np.argsort(-often, kind="stable")
    rank = np.empty(len(often), np.int32)
    rank[frequent] = np.arange(len(often), dtype=np.int32)
    word = np.empty(len(ids), np.int32)
    word[(at & np.uint64(0xFFFFFFFF)).astype(np.int64)] = rank[np.cumsum(new) - 1]
    return ids[new][frequent], word

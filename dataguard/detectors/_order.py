"""What is written down of the order of records: which kinds stand together, in blocks of rows and by the hour."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.columns import Role
from dataguard.detectors._answers import _hashed
from dataguard.detectors._values import hour, value
from dataguard.findings import conform
from dataguard.records.batch import Batch
from dataguard.words import Words, hash_key, words_of

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

BLOCK = 64
"""Rows of a block: as many as a number has bits."""
STEP = 8
"""Rows by which windows are moved."""
FEW = 3
"""Records of a kind in a block, below which they are not written down."""
KEY_BITS = np.uint64(41)
"""Bits of a kind's number, so that block, kind and row fit into one."""
SIX = np.uint64(6)
CELLS = 4096
"""Cells in which kinds are counted; of two that share one, each is taken for as common as both."""
OPENING = 3
"""Words of an opening."""
SAID = ("label", "source")
"""Aspects that the data names."""
SEEN = ("opening", "answer", "word")
"""Aspects that the words show: the first words of what is asked and of what is answered, the word of least hash."""
TIMED = (*SAID, "answer")
"""Aspects that are looked at in the order of time too."""

ORDER = pl.Schema(
    {
        "aspect": pl.String,
        "key": pl.UInt64,
        "name": pl.String,
        "block": pl.Int64,
        "mask": pl.UInt64,
        "row": pl.UInt64,
        "hour": pl.Int64,
        "n": pl.UInt64,
    }
)
"""Three kinds of rows. With `block`: which rows of it (`mask`) are of one kind. With `hour`: a record that has a time.
Else the number of records by cell; of all records where `aspect` is empty."""


def written_down(batch: Batch) -> pl.DataFrame:
    """ORDER of a batch."""
    tables = [_conform(pl.DataFrame({"key": [0], "n": [len(batch)]}), "")]
    hours = hour(batch)
    for aspect, keys, names in _aspects(batch):
        cells = np.bincount((keys[keys != 0] % CELLS).astype(np.int64), minlength=CELLS)
        some = np.flatnonzero(cells)
        tables.append(_conform(pl.DataFrame({"key": some, "n": cells[some]}), aspect))
        tables.append(_conform(_together(keys, names, batch.first_row), aspect))
        if aspect in TIMED:
            timed = pl.DataFrame({"key": keys, "name": names, "row": batch.rows(), "hour": hours})
            tables.append(_conform(timed.filter((pl.col("key") != 0) & pl.col("hour").is_not_null()), aspect))
    return pl.concat(tables)


def _together(keys: U64, names: pl.Series, first_row: int) -> pl.DataFrame:
    """Which rows of each block are of one kind: key, name, block, mask.

    Kinds with few records in a block are left out, but for a block that the batch has only a part of.
    """
    from_block, at = divmod(first_row, BLOCK)
    place = (np.arange(len(keys)) + at).astype(np.uint64)
    # One number for each record, sorted: block, kind, row. No kind is 0, so that what has none is left out.
    packed = np.sort(
        ((place >> SIX) << (KEY_BITS + SIX) | keys << SIX | place & np.uint64(BLOCK - 1))[keys != 0]
    )
    kind = packed >> SIX
    first = np.flatnonzero(np.concatenate([np.ones(min(1, len(kind)), np.bool_), kind[1:] != kind[:-1]]))
    size = np.diff(np.append(first, len(kind)))
    block = (kind[first] >> KEY_BITS).astype(np.int64)
    last, rest = divmod(at + len(keys), BLOCK)
    cut = ((block == 0) & (at > 0)) | ((block == last) & (rest > 0))
    kept = (size >= FEW) | cut
    bits = np.uint64(1) << (packed & np.uint64(BLOCK - 1))
    masks = np.bitwise_or.reduceat(bits, first) if len(first) else bits
    row = block[kept] * BLOCK + (packed[first[kept]] & np.uint64(BLOCK - 1)).astype(np.int64) - at
    return pl.DataFrame(
        {
            "key": kind[first[kept]] & ((np.uint64(1) << KEY_BITS) - np.uint64(1)),
            "name": names.gather(row),
            "block": block[kept] + from_block,
            "mask": masks[kept],
        }
    )


def fewer(table: pl.DataFrame) -> pl.DataFrame:
    """The same of several batches: parts of one block put together, counts summed."""
    blocks = whole_blocks(table.filter(pl.col("block").is_not_null()), "aspect")
    # Other items may add to the first block and to the last.
    open_ended = pl.col("block").is_in([blocks["block"].min(), blocks["block"].max()])
    kept = blocks.filter(open_ended | (pl.col("mask").bitwise_count_ones() >= FEW))
    counts = table.filter(pl.col("block").is_null() & pl.col("row").is_null())
    counts = counts.group_by("aspect", "key").agg(pl.col("n").sum()).sort("aspect", "key")
    return pl.concat([_conform(counts), _conform(kept), table.filter(pl.col("row").is_not_null())])


def whole_blocks(table: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Rows with `block`, those of one kind and block together; sorted by what they are grouped by, key and block."""
    keys = [*by, "key", "block"]
    return table.group_by(keys).agg(pl.col("name").min(), pl.col("mask").bitwise_or()).sort(keys)


def by_steps(entries: pl.DataFrame) -> pl.DataFrame:
    """Entries by STEP rows: `place` counts these, `n` the records of the kind there; `mask` has only their bits."""
    masks = entries["mask"].to_numpy()
    step = np.arange(BLOCK // STEP, dtype=np.uint64) * np.uint64(STEP)
    part = masks[:, None] & (np.uint64((1 << STEP) - 1) << step)
    entry, number = np.nonzero(part)
    place = entries["block"].to_numpy()[entry] * (BLOCK // STEP) + number
    return entries[entry].with_columns(
        mask=pl.Series(part[entry, number]),
        n=pl.Series(np.bitwise_count(part[entry, number]).astype(np.int64)),
        place=pl.Series(place),
    )


def rows_of(entries: pl.DataFrame) -> pl.DataFrame:
    """The rows that the masks of entries name: `row`, beside the entry's file."""
    masks = entries["mask"].to_numpy()
    entry, bit = np.nonzero((masks[:, None] >> np.arange(BLOCK, dtype=np.uint64)) & np.uint64(1))
    rows = entries["block"].to_numpy()[entry] * BLOCK + bit
    return entries[entry].select("file", row=pl.Series(rows.astype(np.uint64))).sort("row")


def _conform(table: pl.DataFrame, aspect: str | None = None) -> pl.DataFrame:
    if aspect is not None:
        table = table.with_columns(aspect=pl.lit(aspect))
    return conform(table, ORDER)


def _aspects(batch: Batch) -> Iterator[tuple[str, U64, pl.Series]]:
    """What kinds the records are of: a keyed hash of each (0 for none), and its name where the data gives one."""
    for aspect, role in zip(SAID, (Role.LABEL, Role.SOURCE), strict=True):
        if batch.roles.of(role):
            names = value(batch, role)
            yield aspect, _short(_hashed(names, hash_key(batch.secret, aspect))), names
    words = words_of(batch)
    if len(words):
        nameless = pl.repeat(None, len(batch), dtype=pl.String, eager=True)
        lengths = np.diff(words.ends, prepend=0)
        starts, asked = words.ends - lengths, words.inputs.astype(np.int64)
        yield "opening", _short(_openings(words, starts, asked)), nameless
        if (asked < lengths).any():
            yield "answer", _short(_openings(words, starts + asked, lengths - asked)), nameless
        yield "word", _least(words, starts, lengths), nameless


def _short(hashes: U64) -> U64:
    """Hashes in KEY_BITS; those that are not 0 stay so."""
    return np.where(hashes == 0, hashes, hashes >> (np.uint64(64) - KEY_BITS) | np.uint64(1))


def _openings(words: Words, starts: I64, lengths: I64) -> U64:
    """A hash of the first words, 0 where there are fewer."""
    total = np.zeros(len(starts), np.uint64)
    enough = lengths >= OPENING
    if not enough.any():
        return total
    for place in range(OPENING):
        word = words.ids[np.where(enough, starts + place, 0)].astype(np.uint64)
        total = (total + word + np.uint64(1)) * np.uint64(0x9FB21C651E98DF25)
        total ^= total >> np.uint64(29)
    return np.where(enough, total, np.uint64(0))


def _least(words: Words, starts: I64, lengths: I64) -> U64:
    """The word of the least hash of each record: near copies mostly share it; 0 for records of few words."""
    found = np.zeros(len(starts), np.uint64)
    if len(words.ids):
        worded = np.flatnonzero(lengths)  # what is between the starts of two of these is of one record
        least = np.minimum.reduceat(words.ids, starts[worded]).astype(np.uint64)
        found[worded] = np.where(lengths[worded] >= OPENING, least + np.uint64(1), np.uint64(0))
    return found

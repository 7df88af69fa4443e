"""The words that many records of a group share: found in its sample, then in all records by their kept words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.detectors._homogeneity.measures import Amount, Written, grams
from dataguard.detectors.base import EARLIER
from dataguard.findings import SPAN
from dataguard.words import Words

Ints = npt.NDArray[np.int64]

WIDTH = 4
"""Words in a row that are looked for, the marks of where a side begins and ends among them."""
BEGIN, END = -1, -2
COMMON = 0.1
"""The share of the records with the same words from which on they are a template."""
FEWEST = 5
AGREE = 0.9
"""Of the records with a template, how many agree on its next word."""
LONGEST = 32
LISTED = 10_000
"""Records that are listed of a template, the first by address."""

PLACES = pl.Schema({"file": pl.UInt32, "row": pl.UInt64, "span": SPAN})


class Template(NamedTuple):
    """Words that many records share.

    Attributes:
        words: numbers of words, BEGIN and END where a side does.
        share: of the records that have them.
    """

    words: tuple[int, ...]
    share: float


def templates(written: Written, amount: Amount) -> tuple[float, Template | None]:
    """The share of the records that share words with a tenth of the others, and the words that most of them share.

    Args:
        written: the group's sample.
        amount: how many of its records are looked at.
    """
    ids, ends = _marked(written, amount.records)
    found = grams(ids, ends, WIDTH)
    if not len(found):
        return 0.0, None
    room = np.maximum(np.diff(ends, prepend=0) - WIDTH + 1, 0)
    record = np.repeat(np.arange(len(ends)), room)
    at = np.repeat(ends - np.diff(ends, prepend=0), room) + np.arange(len(found))
    at -= np.repeat(np.cumsum(room) - room, room)
    once, first = np.unique(np.stack([found, record], axis=1), axis=0, return_index=True)
    counts = np.bincount(once[:, 0])
    common = counts >= max(FEWEST, COMMON * len(ends))
    share = len(np.unique(once[common[once[:, 0]], 1])) / len(ends)
    top = int(counts.argmax())
    if not common[top]:
        return share, None
    words, count = _grown(ids, ends, at[first[once[:, 0] == top]])
    return share, Template(words, count / len(ends))


def _marked(written: Written, records: int) -> tuple[Ints, Ints]:
    """The words of the first records, each between BEGIN and END; without END where its text was cut."""
    ends = written.word_ends[:records]
    starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    parts: list[Ints] = []
    for start, end, whole in zip(starts, ends, written.whole[:records], strict=True):
        parts += [np.array([BEGIN]), written.ids[start:end], np.array([END][: int(whole)], np.int64)]
    sizes = ends - starts + 1 + written.whole[:records]
    return np.concatenate([np.empty(0, np.int64), *parts]), np.cumsum(sizes)


def _grown(ids: Ints, ends: Ints, at: Ints) -> tuple[tuple[int, ...], int]:
    """The words from these places on and around them, as far as nearly all records agree; and how many do."""
    words, before, fewest = [int(word) for word in ids[at[0] : at[0] + WIDTH]], 0, AGREE * len(at)
    for step in (1, -1):
        while len(words) < LONGEST:
            place = at + (len(words) - before if step > 0 else -before - 1)
            record = np.searchsorted(ends, at, side="right")
            inside = (place >= np.concatenate([[0], ends])[record]) & (place < ends[record])
            values, counts = np.unique(ids[place[inside]], return_counts=True)
            if not len(counts) or counts.max() < fewest:
                break
            word = int(values[counts.argmax()])
            at = at[inside][ids[place[inside]] == word]
            words, before = ([*words, word], before) if step > 0 else ([word, *words], before + 1)
    return tuple(words), len(at)


def located(words: Iterable[tuple[int, Words]], template: Template, side: int) -> pl.DataFrame:
    """The records that have a template, with where it stands in each.

    Args:
        words: of the whole set; those of an earlier run are passed over.
        template: what is looked for.
        side: in which texts of a record, a number in `SIDES`.

    Returns:
        PLACES, the first LISTED by address.
    """
    tables = [pl.DataFrame(schema=PLACES), *(_here(*some, template, side) for some in words)]
    return pl.concat(tables).sort("file", "row").head(LISTED)


def _here(file: int, words: Words, template: Template, side: int) -> pl.DataFrame:
    if file >= EARLIER or not len(words.ids):
        return pl.DataFrame(schema=PLACES)
    starts = np.concatenate([[0], words.ends[:-1]])
    middle = starts + words.inputs.astype(np.int64)
    bounds = (middle, words.ends) if side else (starts, middle)
    at = _stands(words.ids, words.ends, bounds, template.words)
    record, first = np.unique(np.searchsorted(words.ends, at, side="right"), return_index=True)
    own = at[first] - starts[record]
    return _told(
        file, words, np.stack([record, own, own + sum(word >= 0 for word in template.words)], axis=1)
    )


def _stands(ids: npt.NDArray[np.uint32], ends: Ints, bounds: tuple[Ints, Ints], run: tuple[int, ...]) -> Ints:
    """Where a run stands within a side of a record: its first word that is no mark."""
    plain = [word for word in run if word >= 0]
    if len(ids) < len(plain):
        return np.empty(0, np.int64)
    at = np.flatnonzero(ids[: len(ids) - len(plain) + 1] == plain[0])
    for step, word in enumerate(plain[1:], 1):
        at = at[ids[at + step] == word]
    record = np.searchsorted(ends, at, side="right")
    low, high = bounds[0][record], bounds[1][record]
    fits = (at >= low) & (at + len(plain) <= high)
    if run[0] == BEGIN:
        fits &= at == low
    if run[-1] == END:
        fits &= at + len(plain) == high
    return np.asarray(at[fits], dtype=np.int64)


def _told(file: int, words: Words, wanted: Ints) -> pl.DataFrame:
    spans = words.spans(wanted)
    place = pl.DataFrame(
        {
            "column": pl.Series([words.columns[number] for number in spans[:, 0]], dtype=pl.String),
            "start": spans[:, 1].astype(np.uint64),
            "end": spans[:, 2].astype(np.uint64),
        }
    )
    return place.select(
        file=pl.lit(file, pl.UInt32),
        row=pl.Series(words.rows[wanted[:, 0]], dtype=pl.UInt64),
        span=pl.concat_list(pl.struct("column", "start", "end")).cast(SPAN),
    )

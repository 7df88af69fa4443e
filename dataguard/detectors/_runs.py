"""Runs of eight words that stand in many records, behind many different words: counted, and then found where they stand.

Few records are asked for in a small set; there all of it is counted. In a large one a span must stand in so many that
a sample of the set, of about as many records whatever its size, has some of them; what it has is looked for in all of
the set. So the table of counts, which is what takes time, is for a set that does not grow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.detectors._near.comparison import UNSPACED
from dataguard.detectors._totals import CELLS, rate_of
from dataguard.detectors._visit import I64, U64, Sweep
from dataguard.words import Words

if TYPE_CHECKING:
    from dataguard.kernels.grams import Runs, Share, Texts

MISSED = 5e-3
"""The chance that a span in just so many different surroundings as are asked for is overlooked."""
ERRORS = 6.0
"""A run in more records of the sample than are allowed, and so many standard errors, is one of a template."""
KINDS = 16
"""Kinds of words that a run stands behind."""

Mask = npt.NDArray[np.bool_]


class Asked(NamedTuple):
    """How often a run must stand.

    Attributes:
        fewest: in how many records at least.
        most: and at most.
        kinds: behind how many kinds of words.
    """

    fewest: int
    most: int
    kinds: int

    def in_sample(self, rate: float) -> Asked:
        """What a sample shows of it, but for a share of MISSED."""
        fewest, most = few(self.fewest, rate), rate * self.most
        return Asked(fewest, int(most + ERRORS * np.sqrt(most)), least(fewest))


def asked(fewest: int, most: int) -> Asked:
    """Runs of so many records."""
    return Asked(fewest, most, least(fewest))


def least(records: int) -> int:
    """The most kinds that so many different words before have, but for a share of MISSED."""
    chance = [1.0] + [0.0] * KINDS  # of having met so many kinds
    for _ in range(records):
        chance = [
            chance[kinds] * kinds / KINDS
            + (chance[kinds - 1] * (KINDS + 1 - kinds) / KINDS if kinds else 0.0)
            for kinds in range(KINDS + 1)
        ]
    return max(2, sum(sum(chance[:kinds]) <= MISSED for kinds in range(1, KINDS + 1)))


def few(records: int, rate: float) -> int:
    """The most records of a sample that so many records have among them, but for a share of MISSED."""
    number, chance = 0, (1 - rate) ** records
    missed = chance
    while missed <= MISSED:
        chance *= (records - number) / (number + 1) * rate / (1 - rate)
        number += 1
        missed += chance
    return max(1, number)


def texts_of(words: Words) -> Texts:
    """The texts of a batch."""
    from dataguard.kernels.grams import Texts

    wide = words.characters > UNSPACED * np.diff(words.ends, prepend=0)
    ends = np.cumsum(words.parts[:, 1], dtype=np.int64)
    return Texts(words.ids, words.ends, ends, wide.astype(np.uint8))


def runs_of(words: Sweep, share: Share, known: Any, those: Asked) -> pl.DataFrame:
    """Runs that stand in enough records and behind enough kinds of words.

    Args:
        words: of the whole set.
        share: which runs.
        known: from `fold_totals`.
        those: how often they stand.

    Returns:
        run (number), record (number in the whole set), at, records; by record.
    """
    from dataguard.kernels.grams import Share, collect, count, many, marks

    rate = rate_of(those.fewest)
    first = those if rate == 1 else those.in_sample(rate)
    picked = [_picked(some, rate) for _, some in words]
    cells = np.zeros(min(CELLS, 1 << max(10, int(2 * rate * known["words"]).bit_length())), np.uint16)
    for (_, some), which in zip(words, picked, strict=True):
        count(_some(some, which), share, cells)
    marked = many(cells, first.kinds)
    del cells
    found = _Found()
    for (_, some), which in zip(words, picked, strict=True):
        found.add(collect(_some(some, which), share, marked), len(some))
    runs = _repeated(found, first)
    if rate < 1 and len(runs.names):
        wanted = np.unique(runs.names)
        found, marked = _Found(wanted), marks(wanted)
        for _, some in words:
            found.add(collect(texts_of(some), Share(share.salt, 0, 1), marked), len(some))
        runs = _repeated(found, those)
    table = {"run": runs.number, "record": runs.record, "at": runs.at, "records": runs.records}
    return pl.DataFrame(table).sort("record", "at")


def _picked(words: Words, rate: float) -> Mask | None:
    """Which records of a batch are in the sample: those of small hashes, wherever they stand; None for all."""
    from dataguard.kernels.content import content

    if rate == 1:
        return None
    return content(words.ids, words.ends, words.key("picked")) < np.uint64(int(rate * 2**64))


def _some(words: Words, picked: Mask | None) -> Texts:
    """The texts of some records of a batch."""
    from dataguard.kernels.gather import gather
    from dataguard.kernels.grams import Texts

    whole = texts_of(words)
    if picked is None:
        return whole
    sizes = np.diff(words.ends, prepend=0)
    texts = np.repeat(picked, np.diff(words.part_ends, prepend=0))
    return Texts(
        gather(words.ids, (words.ends - sizes)[picked], sizes[picked]),
        np.cumsum(sizes[picked]),
        np.cumsum(words.parts[texts, 1], dtype=np.int64),
        whole.wide[picked],
    )


class _Found:
    """Runs that were collected, batch by batch.

    Args:
        wanted: sorted hashes of those that are kept, which are named by their number among these; all if None.
    """

    def __init__(self, wanted: U64 | None = None) -> None:
        self.wanted = wanted
        self.runs: list[tuple[npt.NDArray[Any], I64, I64, npt.NDArray[np.uint16]]] = []
        self.base = 0

    def add(self, runs: Runs, records: int) -> None:
        """Puts those of a batch of so many records under those before."""
        name, record, at, bit = runs.hashes, self.base + runs.records, runs.at, np.uint16(1) << runs.before
        self.base += records
        if self.wanted is None:
            self.runs.append((name, record, at, bit))
        else:
            number = np.minimum(np.searchsorted(self.wanted, name), len(self.wanted) - 1)
            kept = self.wanted[number] == name
            # The smallest type that holds the numbers: the smaller, the faster they are sorted.
            number = number.astype(np.min_scalar_type(len(self.wanted)))
            self.runs.append((number[kept], record[kept], at[kept], bit[kept]))


class _Repeated(NamedTuple):
    """Runs by name and record.

    Attributes:
        names: the hash, or what stands for it.
        number: i64, of the run, from 0.
        record: i64, the number of the record in the whole set.
        at: i64, the number of its first word there.
        records: i64, how many have the run.
    """

    names: npt.NDArray[Any]
    number: I64
    record: I64
    at: I64
    records: I64


def _repeated(found: _Found, those: Asked) -> _Repeated:
    """Those that stand as often as is asked, each once a record."""
    runs = [np.concatenate(column) for column in zip(*found.runs, strict=True)]
    order = np.argsort(runs[0], kind="stable")  # of one name they stay in the order of records
    names, record, at, bit = (column[order] for column in runs)
    another = np.ones(len(names), np.bool_)
    another[1:] = names[1:] != names[:-1]
    once = another.copy()
    once[1:] |= record[1:] != record[:-1]
    names, record, at, bit = names[once], record[once], at[once], bit[once]
    first = np.flatnonzero(another[once])
    size = np.diff(first, append=len(names))
    # By its own kinds: what others added to its cell depends on the size of the table.
    kinds = np.bitwise_count(np.bitwise_or.reduceat(bit, first)) if len(first) else size
    enough = (size >= those.fewest) & (size <= those.most) & (kinds >= those.kinds)
    kept, size = np.repeat(enough, size), size[enough]
    number = np.repeat(np.arange(len(size)), size)
    return _Repeated(names[kept], number, record[kept], at[kept], np.repeat(size, size))

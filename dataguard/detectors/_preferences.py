"""What a pair of answers shows: where prompt and answers stand, whether they differ, refuse, or speak of the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.columns import Role
from dataguard.detectors._answers import REFUSAL, _roles_of_parts, _stance, _words_of
from dataguard.detectors._label_model import LONGEST, LabelModel, Texts
from dataguard.records.batch import Batch
from dataguard.words import Words, words_of

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]

SIDES = ("chosen", "rejected")
_CHOSEN, _REJECTED = 2, 3
_STEPS = 3
"""Doublings of length that are told apart, either way."""


class Runs(NamedTuple):
    """A run of words in each record.

    Attributes:
        ids: u32, of the batch or the sample.
        starts: i64[n].
        lengths: i64[n].
    """

    ids: U32
    starts: I64
    lengths: I64

    def first(self, most: int) -> Runs:
        """The first words of each, one record after the other."""
        from dataguard.kernels.gather import gather

        lengths = np.minimum(self.lengths, most)
        return Runs(gather(self.ids, self.starts, lengths), np.cumsum(lengths) - lengths, lengths)

    def hashed(self, key: int) -> U64:
        """A hash of each, 0 for none."""
        from dataguard.kernels.content import content
        from dataguard.kernels.gather import gather

        ids = gather(self.ids, self.starts, self.lengths)
        return np.where(self.lengths > 0, content(ids, np.cumsum(self.lengths), key), np.uint64(0))


@dataclass(frozen=True)
class Pairs:
    """The answers of records that have two.

    Args:
        prompt: the words of what is asked; where no column says, those that both answers begin with.
        chosen: the words of the answer that is preferred.
        rejected: of the other.
        refuses: bool[2, n], whether the chosen one refuses, and the rejected one.
        sizes: i64[2, n], how many words the answers have, where the runs are cut.
        same: bool[n], whether the answers are equal in their words.
    """

    prompt: Runs
    chosen: Runs
    rejected: Runs
    refuses: Mask
    sizes: I64
    same: Mask

    def __len__(self) -> int:
        return len(self.prompt.starts)

    @classmethod
    def of(cls, batch: Batch) -> Pairs:
        """Of all records of a batch; those without words have empty runs."""
        words = words_of(batch)
        role = _roles_of_parts(batch, words)
        prompt = Runs(words.ids, words.ends - np.diff(words.ends, prepend=0), words.inputs.astype(np.int64))
        chosen, rejected = (Runs(words.ids, *_words_of(words, role == side)) for side in (_CHOSEN, _REJECTED))
        some = (chosen.lengths > 0) | (rejected.lengths > 0)
        same = some & (chosen.hashed(0) == rejected.hashed(0))  # words are hashed with a key already
        alike = np.where(prompt.lengths == 0, _alike(chosen, rejected), 0)
        prompt = Runs(
            words.ids,
            np.where(alike > 0, chosen.starts, prompt.starts),
            np.where(alike > 0, alike, prompt.lengths),
        )
        chosen, rejected = (
            Runs(words.ids, run.starts + alike, run.lengths - alike) for run in (chosen, rejected)
        )
        sizes = np.stack([chosen.lengths, rejected.lengths])
        return cls(prompt, chosen, rejected, _refusals(words, chosen, rejected), sizes, same)

    @property
    def told(self) -> Mask:
        """bool[n], which records have an answer."""
        return (self.sizes > 0).any(axis=0) | self.same

    def asked(self) -> U64:
        """A hash of the first words of what is asked; of both answers, in any order, where nothing is."""
        prompt, chosen, rejected = (
            run.first(LONGEST).hashed(0) for run in (self.prompt, self.chosen, self.rejected)
        )
        return np.where(prompt == 0, chosen ^ rejected, prompt)

    def answers(self) -> Texts:
        """All chosen answers, then all rejected ones, as texts of a model: each with words that say how it compares.

        Their hash is that of what is asked, so that a model that judges a pair saw no answer to its prompt.
        """
        from dataguard.kernels.gather import scatter

        runs = [run.first(LONGEST - 2) for run in (self.chosen, self.rejected)]
        ratio = np.log2((1.0 + self.sizes[0]) / (1.0 + self.sizes[1]))
        step = np.clip(np.rint(ratio), -_STEPS, _STEPS).astype(np.int64) + _STEPS
        lengths = np.concatenate([run.lengths for run in runs]) + 2
        ends = np.cumsum(lengths)
        starts = ends - lengths
        ids = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint32)
        # Numbers of words that no text has for certain are not known; one in four billion is taken for another.
        ids[starts] = 1 + np.concatenate([step, 2 * _STEPS - step]).astype(np.uint32)
        ids[starts + 1] = 100 + np.concatenate(list(self.refuses)).astype(np.uint32)
        source = np.concatenate([run.ids for run in runs])
        place = np.cumsum(lengths - 2) - (lengths - 2)
        scatter(source, place, lengths - 2, ids, starts + 2)
        hashes = self.asked()
        return Texts(ids, starts, ends, np.concatenate([hashes, hashes]))


def _alike(one: Runs, other: Runs) -> I64:
    """How many words two runs of each record begin with alike."""
    length = np.minimum(one.lengths, other.lengths)
    some = np.flatnonzero(length)
    out = np.zeros(len(length), np.int64)
    if len(some):
        size = length[some]
        first = np.cumsum(size) - size
        at = np.arange(int(size.sum())) - np.repeat(first, size)
        same = (
            one.ids[np.repeat(one.starts[some], size) + at]
            == other.ids[np.repeat(other.starts[some], size) + at]
        )
        out[some] = np.minimum.reduceat(np.where(same, np.repeat(size, size), at), first)
    return out


def _refusals(words: Words, chosen: Runs, rejected: Runs) -> Mask:
    return np.stack([_stance(words, run.starts, run.lengths) == REFUSAL for run in (chosen, rejected)])


def related(model: LabelModel, prompt: Runs, answer: Runs) -> F64:
    """What share of a prompt's words and pairs of words an answer has, weighted by how rare they are.

    Args:
        model: that knows how rare words are.
        prompt: the words of what is asked.
        answer: as many.

    Returns:
        f64[n]; nan where the prompt has nothing that is known.
    """
    from dataguard.kernels.classes import features, shared

    table = model.table()
    first = [run.first(LONGEST) for run in (prompt, answer)]
    found = [features(run.ids, run.starts, run.starts + run.lengths, table) for run in first]
    return np.round(shared(found[0], found[1], model.idf), 9)


def scores(batch: Batch) -> tuple[pl.Series, pl.Series]:
    """The score of a record, and by how much the chosen answer's is above the rejected one's; null where not said."""
    names = [name for name in batch.roles.of(Role.SCORE) if name in batch.data.schema.names]
    by_side = [[name for name in names if side in name.casefold()] for side in SIDES]
    none = pl.repeat(None, len(batch), dtype=pl.Float64, eager=True)
    if all(len(found) == 1 for found in by_side):
        chosen, rejected = (_number(batch, found[0]) for found in by_side)
        return chosen, chosen - rejected
    return (_number(batch, names[0]) if len(names) == 1 else none), none


def _number(batch: Batch, name: str) -> pl.Series:
    column = batch.column(name)
    if not column.dtype.is_numeric():
        return pl.repeat(None, len(batch), dtype=pl.Float64, eager=True)
    values = column.cast(pl.Float64)
    return values.set(~values.is_finite(), None)

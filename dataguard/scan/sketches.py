"""The signatures of a finished run, made again from the words that it kept: handed to datasketch, compared with its own.

The data is not read, and nothing of the run is changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from dataguard.detectors import select
from dataguard.detectors._near.candidates import signature_seed, signed
from dataguard.detectors.near_duplicate import NearDuplicate
from dataguard.run import Run
from dataguard.scan.against import Earlier, Index
from dataguard.secret import Secret
from dataguard.words import hash_key, read

if TYPE_CHECKING:
    from datasketch import MinHash

AT_ONCE = 4096
"""Objects of datasketch made at a time: 2 KB each."""
PAIRS_AT_ONCE = 1 << 20
"""Pairs that are looked for at a time: at worst all of them share all keys, and take 170 MB."""

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]


class Candidate(NamedTuple):
    """A sketch and a record of a run that share a key.

    Attributes:
        number: which sketch.
        file: the record's file.
        row: the record's row there.
        jaccard: estimated, the share of equal slots: give or take .07 (two standard deviations at .8).
    """

    number: int
    file: str
    row: int
    jaccard: float


@dataclass(frozen=True)
class Sketches:
    """The signatures of a run's records.

    Args:
        rule: with the options that the run was made with.
        words: names of files, and their words.
        secret: 32 bytes, the key of hashes.
    """

    rule: NearDuplicate
    words: tuple[tuple[str, Path], ...]
    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, run: Run, secret: Secret) -> Sketches:
        """Those of a run, once all that they are made from was found as the run's ledger lists it.

        Raises:
            DataguardError: the run has no words of that rule, they were changed, or the secret is another.
        """
        earlier = Earlier.of(run)
        code = NearDuplicate.rule.code
        found = earlier.index.get(code)
        made = found.get("made") if isinstance(found, dict) else None
        options = made.get("options") if isinstance(made, dict) else None
        (rule,) = select((code,), {code: options if isinstance(options, dict) else {}})
        assert isinstance(rule, NearDuplicate)
        index = Index.of(earlier, rule, secret)
        words = tuple((index.names[number], path) for number, path in index.words)
        return cls(rule, words, secret.derive("rules"))

    @property
    def seed(self) -> int:
        """Of the permutations."""
        return signature_seed(self.secret)

    def __iter__(self) -> Iterator[tuple[str, U64, U32]]:
        """File, rows and signatures (u32[n, 128]) of the records that the rule judged, some at a time."""
        for file, path in self.words:
            for words in read(path, self.secret):
                rows, made = signed(words, min_words=self.rule.min_words)
                for at in range(0, len(rows), AT_ONCE):
                    yield file, rows[at : at + AT_ONCE], made[at : at + AT_ONCE]

    def minhashes(self) -> Iterator[tuple[str, int, MinHash]]:
        """File, row and object of datasketch of each record that the rule judged."""
        from dataguard.kernels.exchange import to_datasketch

        for file, rows, made in self:
            yield from zip([file] * len(rows), rows.tolist(), to_datasketch(made, self.seed), strict=True)

    def candidates(self, minhashes: Sequence[MinHash]) -> Iterator[Candidate]:
        """The records that share a key of the rule's bands with sketches; by file, row and number.

        Raises:
            UsageError: a sketch was made in another way.
        """
        from dataguard.kernels.exchange import from_datasketch

        return self._candidates(from_datasketch(minhashes, self.seed))

    def _candidates(self, theirs: U32) -> Iterator[Candidate]:
        keys = self._keys(theirs)
        order = np.argsort(keys, axis=0, kind="stable")
        ranked = np.take_along_axis(keys, order, axis=0)
        step = max(1, PAIRS_AT_ONCE // max(1, len(theirs)))
        for file, rows, ours in self:
            for at in range(0, len(rows), step):
                some, its_rows = ours[at : at + step], rows[at : at + step]
                record, number = _meeting(self._keys(some), ranked, order)
                share = (some[record] == theirs[number]).mean(axis=1)
                found = zip(number.tolist(), its_rows[record].tolist(), share.tolist(), strict=True)
                yield from (Candidate(which, file, row, alike) for which, row, alike in found)

    def _keys(self, made: U32) -> U64:
        from dataguard.kernels.minhash import band_keys

        return band_keys(made, self.rule.bands, self.rule.rows, hash_key(self.secret, "bands"))


def _meeting(ours: U64, ranked: U64, order: I64) -> tuple[I64, I64]:
    """Numbers of rows of two tables of keys that are equal in a column, each pair once, sorted.

    Args:
        ours: u64[n, bands].
        ranked: u64[m, bands], each column sorted.
        order: i64[m, bands], where each of these stood before.
    """
    found = [np.empty(0, np.int64)]
    for band in range(ours.shape[1]):
        low, high = (np.searchsorted(ranked[:, band], ours[:, band], side) for side in ("left", "right"))
        count = high - low
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        record = np.repeat(np.arange(len(ours)), count)
        found.append(record * len(ranked) + order[np.repeat(low, count) + within, band])
    record, number = np.divmod(np.unique(np.concatenate(found)), max(1, len(ranked)))
    return record, number

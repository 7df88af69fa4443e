"""Whether the words around a sequence look as if it were not there.

Who puts words into a text tears neighbours apart: the word before and the word after belong together. In ordinary
text they have the sequence's word between them (the idea of ONION, Qi et al., EMNLP 2021, counted in the set itself
instead of asked of a language model). And a word of the language stands beside words of few kinds. The null is drawn:
places of the same records at which nothing was put in.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dataguard.detectors._triggers.mining import Sequences
from dataguard.detectors._triggers.neighbours import Kinds

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

CAP = 256
"""Occurrences of a sequence that are looked at, evenly chosen."""
_KINDS = 11
_SIZES = 20
_SEQUENCES = 1 << 19
"""Occurrences of sequences that are looked at together."""


class Text(NamedTuple):
    """The words of one side.

    Attributes:
        word: i32[T], the number of each.
        text: i32[T], its text, ascending.
        record: i32[T], its record, ascending.
        words: how many different ones there are; beginning and end of a text are two more.
    """

    word: Numbers
    text: Numbers
    record: Numbers
    words: int


class Implants(NamedTuple):
    """What places look like.

    Attributes:
        evidence: f64[n], log-likelihood ratio of "put in" to "grown there", summed over different surroundings.
        different: i64[n], of how many different surroundings.
        kind: f64[n], how much the words of these surroundings are of one kind.
    """

    evidence: Floats
    different: Ints
    kind: Floats


class Surroundings:
    """Pairs of neighbours of a side, and what they say."""

    def __init__(self, side: Text) -> None:
        from dataguard.kernels.counting import sorting_pairs

        self.side = side
        word, words = side.word, side.words
        opens = np.ones(len(word), np.bool_)
        opens[1:] = side.text[1:] != side.text[:-1]
        self.opens = opens
        self.closes = np.append(opens[1:], True)
        before = np.where(opens, np.int32(words), np.append(np.int32(0), word[:-1]))
        after = np.where(self.closes, np.int32(words + 1), np.append(word[1:], np.int32(0)))
        left = np.concatenate([before, word[self.closes]])
        right = np.concatenate([word, np.full(opens.sum(), words + 1, np.int32)])
        order = sorting_pairs(left, right, words + 2)
        left, right = left[order], right[order]
        new = np.flatnonzero(np.append(True, (left[1:] != left[:-1]) | (right[1:] != right[:-1])))
        self._counts = np.diff(np.append(new, len(left))).astype(np.int32)
        left, self._right = left[new], right[new]
        self._rows = np.searchsorted(left, np.arange(words + 3, dtype=np.int32)).astype(np.int32)
        self._kinds = Kinds(left, self._right, self._counts, words + 2)
        often = np.append(np.bincount(word, minlength=words), [opens.sum(), opens.sum()])
        self._often = often.astype(np.int32)
        self._sizes = np.minimum(np.log2(often + 1) // 2, _SIZES - 1).astype(np.int32)
        alone = opens & self.closes
        grown = self._table(before[~alone], after[~alone], own=0)
        torn = self._table(before, word, own=1)
        self._ratio = np.log(torn) - np.log(grown)

    def _cells(self, left: Numbers, right: Numbers, own: int) -> Numbers:
        """Which cell of a table each pair falls into: by how frequent both words are, and by how they attract."""
        from dataguard.kernels.counting import attraction

        limits = (len(self.side.word), own, _KINDS - 1)
        kind = attraction((left, right), (self._rows, self._right, self._counts), self._often, limits)
        cells: Numbers = (self._sizes[left] * _SIZES + self._sizes[right]) * _KINDS + kind
        return cells

    def _table(self, left: Numbers, right: Numbers, *, own: int) -> Floats:
        """How likely each kind is for words that are this frequent, smoothed with how likely it is at all."""
        cells = self._cells(left, right, own)
        table = np.bincount(cells, minlength=_SIZES * _SIZES * _KINDS).reshape(-1, _KINDS).astype(np.float64)
        general = table.sum(axis=0) + 1
        general /= general.sum()
        return np.asarray((table + 10 * general) / (table.sum(axis=1, keepdims=True) + 10))

    def _summed(self, owner: Numbers, left: Numbers, right: Numbers, own: int, owners: int) -> Implants:
        """The evidence of each owner's surroundings, each different one once."""
        from dataguard.kernels.counting import sorting, sorting_pairs

        order = sorting_pairs(left, right, self.side.words + 2)
        order = order[sorting(owner[order], owners)]
        owner, left, right = owner[order], left[order], right[order]
        new = np.ones(len(owner), np.bool_)
        new[1:] = (owner[1:] != owner[:-1]) | (left[1:] != left[:-1]) | (right[1:] != right[:-1])
        owner, left, right = owner[new], left[new], right[new]
        ratio = self._ratio.reshape(-1)[self._cells(left, right, own)]
        whole = (left == self.side.words) & (
            right == self.side.words + 1
        )  # a text of nothing else says nothing
        return Implants(
            np.bincount(owner, weights=np.where(whole, 0.0, ratio), minlength=owners).astype(np.float64),
            np.bincount(owner, minlength=owners),
            self._kinds.alike(owner, left, right, owners),
        )

    def of(self, sequences: Sequences) -> Implants:
        """What the places of sequences look like."""
        cuts = np.searchsorted(sequences.begin, np.arange(0, len(sequences.at), _SEQUENCES), "right") - 1
        parts = [
            self._of(sequences, first, last)
            for first, last in pairwise(np.unique([*cuts.tolist(), len(sequences)]).tolist())
        ]
        return Implants(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _of(self, sequences: Sequences, first: int, last: int) -> Implants:
        """The same of some sequences that follow each other."""
        begin = sequences.begin[first : last + 1]
        counts = np.diff(begin)
        step = np.maximum(1, -(-counts // CAP))
        owner = np.repeat(np.arange(last - first, dtype=np.int32), counts)
        place = np.arange(len(owner)) - np.repeat(begin[:-1] - begin[0], counts)
        taken = place % step[owner] == 0
        owner, at = owner[taken], sequences.at[begin[0] : begin[-1]][taken]
        end = at + sequences.length[first:last].astype(np.int32)[owner] - 1
        words, word = self.side.words, self.side.word
        left = np.where(self.opens[at], np.int32(words), word[np.maximum(at - 1, 0)])
        right = np.where(self.closes[end], np.int32(words + 1), word[np.minimum(end + 1, len(word) - 1)])
        return self._summed(owner, left, right, 0, last - first)

    def drawn(self, sizes: Ints, rng: np.random.Generator) -> tuple[Numbers, Implants]:
        """What places look like at which something would be put in: at the front, or anywhere.

        Args:
            sizes: i64[n], how many records each drawing has.
            rng: what draws.

        Returns:
            the records of each drawing, one after the other; what the places look like.
        """
        starts = np.flatnonzero(self.opens)
        ends = np.flatnonzero(self.closes) + 1
        records, first, texts = np.unique(self.side.record[starts], return_index=True, return_counts=True)
        owner = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        chosen = rng.integers(0, len(records), len(owner))
        text = first[chosen] + (rng.random(len(owner)) * texts[chosen]).astype(np.int64)
        anywhere = (rng.random(len(owner)) * (ends[text] - starts[text] + 1)).astype(np.int64)
        gap = starts[text] + np.where(rng.integers(0, 3, len(sizes))[owner] == 0, 0, anywhere)
        words, word = self.side.words, self.side.word
        left = np.where(gap > starts[text], word[np.maximum(gap - 1, 0)], np.int32(words))
        right = np.where(gap < ends[text], word[np.minimum(gap, len(word) - 1)], np.int32(words + 1))
        # The pair stands there already: it is counted less itself.
        return records[chosen], self._summed(owner, left, right, 1, len(sizes))

"""Words that mix letters of scripts that look alike, after the idea of UTS 39."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from dataguard.detectors._text.characters import Is, Places, Text
from dataguard.detectors._text.runs import Kind, Pair, Runs, hits


def mixed_words(text: Text) -> Iterator[pl.DataFrame]:
    """The letters that look like those of the word's other script, a row each."""
    letters = text.where(Is.WORD)
    foreign = text.has(letters, Is.CYRILLIC | Is.GREEK)
    if not foreign.any() or not text.has(letters, Is.LATIN).any():
        return
    words = Runs.of(text, letters)
    count = _Counts(words)
    latin, upper = count(Is.LATIN), count(Is.LATIN, Is.UPPER)
    for script, like_script, pairs in (
        (Is.CYRILLIC, Is.LOOKS_CYRILLIC, (Pair.CYRILLIC_IN_LATIN, Pair.LATIN_IN_CYRILLIC)),
        (Is.GREEK, Is.LOOKS_GREEK, (Pair.GREEK_IN_LATIN, Pair.LATIN_IN_GREEK)),
    ):
        other = count(script)
        both = (other > 0) & (latin > 0)
        reads_latin = both & (other == count(script, Is.LOOKS_LATIN)) & ((latin > 1) | (latin + other > 4))
        # An acronym with an ending, as Russian inflects them (HTTPа), or in a name (срезAI).
        acronym = (latin == upper) & (latin > 1) & (count(script, Is.UPPER) == 0)
        reads_latin &= ~acronym
        reads_other = both & ~acronym & (latin == count(Is.LATIN, like_script)) & (other > 2)
        reads_other &= ~reads_latin | (other > latin)
        for mask, kind, pair, guest in (
            (reads_latin & ~reads_other, Kind.MIXED_WORD, pairs[0], script),
            (reads_other, Kind.MIXED_TYPO, pairs[1], Is.LATIN),
        ):
            hit = mask[count.of] & text.has(letters, guest)
            yield hits(
                text,
                letters[hit],
                np.full(int(hit.sum()), kind, dtype=np.uint8),
                (words.first[hit], words.last[hit]),
                np.full(int(hit.sum()), pair, dtype=np.uint32),
            )


class _Counts:
    """Counts letters by word.

    Args:
        words: the letters of the text and the word of each.
    """

    def __init__(self, words: Runs) -> None:
        self._words = words
        self._opens = np.flatnonzero(words.at == words.first)
        self.of: Places = np.repeat(np.arange(len(self._opens)), words.length[self._opens])

    def __call__(self, *flags: Is) -> Places:
        """How many letters of each word have all of these properties."""
        mask = np.ones(len(self._words.at), dtype=np.bool_)
        for flag in flags:
            mask &= self._words.text.has(self._words.at, flag)
        return np.add.reduceat(mask.astype(np.int64), self._opens)

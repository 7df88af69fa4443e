"""What can be odd about a character, and characters with the run or word they stand in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.detectors._text.characters import Codes, Is, Mask, Places, Text

PARAGRAPH_ENDS = (0, 0xA, 0xD, 0x1C, 0x1D, 0x1E, 0x85, 0x2029)


class Kind(IntEnum):
    """What is odd about a character."""

    ORDINARY = 0
    TAG = 1
    PAYLOAD = 2
    BIDI_ORDER = 3
    BIDI = 4
    SELECTOR = 5
    ZERO_WIDTH_IN_WORD = 6
    ZERO_WIDTH = 7
    FILLER = 8
    SOFT_HYPHEN = 9
    HYPHENATION = 10
    MIXED_WORD = 11
    MIXED_TYPO = 12


class Pair(IntEnum):
    """Which letters stand in which words."""

    CYRILLIC_IN_LATIN = 1
    GREEK_IN_LATIN = 2
    LATIN_IN_CYRILLIC = 3
    LATIN_IN_GREEK = 4


@dataclass(frozen=True)
class Runs:
    """Invisible characters, and for each the run of invisible characters that it stands in.

    Args:
        text: the text.
        at: places of the characters.
        code: the characters.
        first: place where the run of each begins.
        last: place where it ends.
        length: how long it is.
    """

    text: Text
    at: Places
    code: Codes
    first: Places
    last: Places
    length: Places

    @classmethod
    def of(cls, text: Text, at: Places) -> Runs:
        """Runs of neighbouring places."""
        opens = np.flatnonzero(np.diff(at, prepend=-2) > 1)
        lengths = np.diff(opens, append=len(at))
        first = np.repeat(at[opens], lengths)
        length = np.repeat(lengths, lengths)
        return cls(text, at, text.codes[at], first, first + length - 1, length)

    def left(self, flag: Is) -> Mask:
        """Whether the character before the run has the property."""
        return self.text.has(self.first - 1, flag)

    def right(self, flag: Is) -> Mask:
        """Whether the character after the run has the property."""
        return self.text.has(self.last + 1, flag)

    def beside(self, flag: Is) -> Mask:
        """Whether either neighbour of the run has the property."""
        return self.left(flag) | self.right(flag)

    def in_paragraph_with(self, flag: Is) -> Mask:
        """Whether the paragraph of each has a character with the property."""
        ends = np.flatnonzero(np.isin(self.text.codes, PARAGRAPH_ENDS))
        having = np.searchsorted(self.text.where(flag), np.concatenate([[-1], ends]))
        paragraph = np.searchsorted(ends, self.at)
        found: Mask = having[paragraph + 1] > having[paragraph]
        return found

    def ahead(self, flag: Is, *stops: int) -> Places:
        """How many characters with the property follow each, up to its paragraph's end or one of these."""
        ends = np.flatnonzero(np.isin(self.text.codes, (*PARAGRAPH_ENDS, *stops)))
        having = self.text.where(flag)
        end = ends[np.searchsorted(ends, self.at, side="right")]
        count: Places = np.searchsorted(having, end) - np.searchsorted(having, self.at, side="right")
        return count

    def within(self, low: int, high: int) -> Mask:
        """Whether the characters are between two code points, both included."""
        return (self.code >= low) & (self.code <= high)

    def any_of(self, *codes: int) -> Mask:
        """Whether the characters are one of these."""
        return np.isin(self.code, codes)


def hits(
    text: Text, places: Places, kinds: npt.NDArray[np.uint8], spans: tuple[Places, Places], sign: Codes
) -> pl.DataFrame:
    """A row for each odd character.

    Args:
        text: the text.
        places: the characters.
        kinds: what is odd about each.
        spans: where the run or word of each begins and ends.
        sign: what names the pattern besides the kind.
    """
    first, last = spans
    start = text.byte(first)
    return pl.DataFrame(
        {
            "value": text.value(places).astype(np.uint32),
            "kind": kinds,
            "sign": sign,
            "code": text.codes[places],
            "start": start.astype(np.uint64),
            "end": (start + text.bytes_before[last + 1] - text.bytes_before[first]).astype(np.uint64),
        }
    )

"""Finds characters nobody sees and letters nobody can tell apart, in whole columns at a time.

Every invisible character needs a reason to stand where it stands; its neighbours give it. What has no reason is
a hit. The reasons are those of the Unicode Standard: joiners where the script joins (chapter 23), emoji sequences
(UTS 51), variation sequences, line breaks in scripts without spaces (UAX 14), directions around right-to-left
letters (UAX 9). Words of mixed look-alike scripts follow the idea of UTS 39.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.detectors._characters import HIDDEN, MIXED, Codes, Is, Mask, Places, Text

SLICE_BYTES = 4 << 20
"""Texts taken apart at once: a code point costs about 30 bytes while it is looked at."""

HITS = pl.Schema(
    {
        "value": pl.UInt32,
        "kind": pl.UInt8,
        "sign": pl.UInt32,
        "code": pl.UInt32,
        "start": pl.UInt64,
        "end": pl.UInt64,
    }
)

_FLAG, _FLAG_END = 0x1F3F4, 0xE007F
_PAYLOAD = 4
"""Ordinary text has at most three invisible characters in a row: selector, joiner, mark."""


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


def find(values: pl.Series) -> pl.DataFrame:
    """Every character that should not be where it is, a row each.

    Args:
        values: strings, nulls possible.

    Returns:
        Columns of HITS: the number of the string, what is odd, the sign that names the pattern (a code point, a
        `Pair`, or 0 where the kind says it all), the code point, and the bytes of the run or word it belongs to.
    """
    # Counting bytes and characters runs at the speed of memory and leaves only texts beyond ASCII to the regexes.
    beyond = (values.str.len_bytes() != values.str.len_chars()).arg_true()
    values = values.gather(beyond)
    suspect = values.str.contains(f"{HIDDEN}|{MIXED}")
    beyond, values = beyond.filter(suspect), values.filter(suspect)
    tables = [HITS.to_frame()]
    for pattern, look in ((HIDDEN, _invisible), (MIXED, _mixed_words)):
        matches = values.str.contains(pattern)
        numbers, texts = beyond.filter(matches), values.filter(matches)
        for begin, part in _slices(texts):
            tables += [
                table.with_columns(value=numbers.gather(table["value"] + begin))
                for table in look(Text.of(part))
            ]
    return pl.concat(tables)


def _slices(values: pl.Series) -> Iterator[tuple[int, pl.Series]]:
    """Values in parts of about SLICE_BYTES, with the number of the first of each."""
    ends = values.str.len_bytes().cum_sum().to_numpy()
    begin = 0
    while begin < len(values):
        before = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, before + SLICE_BYTES, side="right")))
        yield begin, values.slice(begin, end - begin)
        begin = end


def _hits(
    text: Text, places: Places, kinds: npt.NDArray[np.uint8], spans: tuple[Places, Places], sign: Codes
) -> pl.DataFrame:
    first, last = spans
    return pl.DataFrame(
        {
            "value": text.value(places).astype(np.uint32),
            "kind": kinds,
            "sign": sign,
            "code": text.codes[places],
            "start": text.byte(first).astype(np.uint64),
            "end": (text.byte(first) + text.bytes_before[last + 1] - text.bytes_before[first]).astype(
                np.uint64
            ),
        },
        schema=HITS,
    )


@dataclass(frozen=True)
class _Runs:
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
    def of(cls, text: Text, at: Places) -> _Runs:
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

    def within(self, low: int, high: int) -> Mask:
        """Whether the characters are between two code points, both included."""
        return (self.code >= low) & (self.code <= high)

    def any_of(self, *codes: int) -> Mask:
        """Whether the characters are one of these."""
        return np.isin(self.code, codes)


def _invisible(text: Text) -> Iterator[pl.DataFrame]:
    runs = _Runs.of(text, text.where(Is.HIDDEN))
    if not len(runs.at):
        return
    kinds = _zero_widths(runs)
    # In this order: a later reason overrules an earlier one.
    for mask, kind in (*_letters(runs), *_selectors(runs), *_directions(runs), *_tags(runs)):
        kinds[mask] = kind
    kinds[_payload(runs, kinds)] = Kind.PAYLOAD
    odd = kinds != Kind.ORDINARY
    wordy = np.isin(kinds, [Kind.TAG, Kind.PAYLOAD, Kind.SELECTOR])
    sign = np.where(wordy, 0, runs.code).astype(np.uint32)
    yield _hits(text, runs.at[odd], kinds[odd], (runs.first[odd], runs.last[odd]), sign[odd])


def _zero_widths(runs: _Runs) -> npt.NDArray[np.uint8]:
    """Of every invisible character, as if it were a zero-width space or a joiner."""
    in_word = runs.left(Is.ALPHABET) & runs.right(Is.ALPHABET) & ~runs.within(0x2061, 0x2064)
    kinds = np.where(in_word, Kind.ZERO_WIDTH_IN_WORD, Kind.ZERO_WIDTH).astype(np.uint8)
    breaks = runs.beside(Is.SPACELESS) & (runs.length < _PAYLOAD)
    joins = runs.any_of(0x200C, 0x200D) & runs.beside(Is.JOINED) & (runs.length < _PAYLOAD)
    # A byte order mark, where the value begins.
    mark = (runs.code == 0xFEFF) & (runs.at == runs.text.starts[runs.text.value(runs.at)])
    # Grapheme joiners after combining marks, Mongolian and Khmer signs: ordinary beside their own script.
    combines = (runs.code == 0x34F) & runs.left(Is.WORD) & ~runs.left(Is.ALPHABET)
    own = ~runs.any_of(0x200B, 0x2060, 0xFEFF) & ~runs.within(0x2061, 0x206F) & runs.left(Is.JOINED)
    own &= (runs.code < 0xE000) & (runs.length < _PAYLOAD)
    kinds[breaks | joins | mark | combines | own] = Kind.ORDINARY
    return kinds


def _letters(runs: _Runs) -> Iterator[tuple[Mask, Kind]]:
    """Soft hyphens and Hangul fillers."""
    soft = runs.code == 0xAD
    # A word may be hyphenated between two letters and two letters.
    hyphenates = (runs.length == 1) & runs.left(Is.WORD) & runs.right(Is.WORD)
    hyphenates &= runs.text.has(runs.first - 2, Is.WORD) & runs.text.has(runs.last + 2, Is.WORD)
    yield soft, Kind.SOFT_HYPHEN
    yield soft & hyphenates, Kind.HYPHENATION
    filler = runs.any_of(0x115F, 0x1160, 0x3164, 0xFFA0)
    between = runs.left(Is.ALPHABET) & runs.right(Is.ALPHABET)
    yield filler & between, Kind.FILLER
    yield filler & runs.beside(Is.HANGUL), Kind.ORDINARY


def _selectors(runs: _Runs) -> Iterator[tuple[Mask, Kind]]:
    """Variation selectors: one after a base that can vary is ordinary, whatever follows another is not."""
    text, before = runs.text, runs.at - 1
    short, long = runs.within(0xFE00, 0xFE0F), runs.within(0xE0100, 0xE01EF)
    again = text.has(before, Is.HIDDEN)
    # Doubled emoji selectors are a common slip of converters.
    doubled = (
        again & (text.codes[before] == runs.code) & (runs.at == runs.first + 1) & (runs.length < _PAYLOAD)
    )
    letter = text.has(before, Is.LATIN | Is.GREEK | Is.CYRILLIC) & ~text.has(before, Is.EMOJI)
    # Left behind where an emoji was removed.
    orphan = text.has(before, Is.SPACE)
    yield short, Kind.SELECTOR
    yield short & (doubled | ~again) & ~letter, Kind.ORDINARY
    yield short & ~again & orphan, Kind.ZERO_WIDTH
    yield long, Kind.SELECTOR
    yield long & text.has(before, Is.HAN), Kind.ORDINARY


def _directions(runs: _Runs) -> Iterator[tuple[Mask, Kind]]:
    """Direction marks and controls: ordinary in a paragraph that has right-to-left letters, but for overrides."""
    text = runs.text
    controls = runs.within(0x202A, 0x202E) | runs.within(0x2066, 0x2069)
    # A mark between two letters of one direction has nothing to decide.
    letters = Is.LATIN | Is.GREEK | Is.CYRILLIC
    idle = runs.left(letters) & runs.right(letters)
    yield runs.any_of(0x200E, 0x200F, 0x61C) & ~idle, Kind.ORDINARY
    if not controls.any():
        return
    ends = np.flatnonzero(np.isin(text.codes, [0, 0xA, 0xD, 0x1C, 0x1D, 0x1E, 0x85, 0x2029]))
    right_to_left = text.where(Is.RIGHT_TO_LEFT)
    paragraph = np.searchsorted(ends, runs.at)
    begin = np.concatenate([[-1], ends])[paragraph]
    end = ends[paragraph]
    needed = np.searchsorted(right_to_left, end) > np.searchsorted(right_to_left, begin)
    reorders = runs.any_of(0x202B, 0x2067)
    yield controls & needed, Kind.ORDINARY
    yield controls & ~needed, Kind.BIDI
    yield runs.any_of(0x202D, 0x202E) | (reorders & ~needed), Kind.BIDI_ORDER


def _tags(runs: _Runs) -> Iterator[tuple[Mask, Kind]]:
    """Tag characters, ordinary only in the flag of a region: a black flag, three to six letters and digits, the end."""
    is_tag = runs.within(0xE0000, 0xE007F)
    yield is_tag, Kind.TAG
    if not is_tag.any():
        return
    tags = _Runs.of(runs.text, runs.at[is_tag])
    plain = tags.within(0xE0030, 0xE0039) | tags.within(0xE0061, 0xE007A) | (tags.at == tags.last)
    spelled = np.add.reduceat(plain.astype(np.int64), np.flatnonzero(tags.at == tags.first))
    opens = runs.text.codes[tags.first - 1] == _FLAG
    closes = runs.text.codes[tags.last] == _FLAG_END
    all_plain = np.repeat(spelled, tags.length[tags.at == tags.first]) == tags.length
    ordinary = np.zeros(len(runs.at), dtype=np.bool_)
    ordinary[is_tag] = opens & closes & all_plain & (tags.length >= 4) & (tags.length <= 7)
    yield ordinary, Kind.ORDINARY


def _payload(runs: _Runs, kinds: npt.NDArray[np.uint8]) -> Mask:
    """Runs long and varied enough to carry a message: only what varies can say something."""
    counts = ~np.isin(kinds, [Kind.TAG, Kind.BIDI, Kind.BIDI_ORDER]) & ~runs.within(0xE0000, 0xE007F)
    counts &= ~(runs.within(0x202A, 0x202E) | runs.within(0x2066, 0x2069)) & (runs.length >= _PAYLOAD)
    if not counts.any():
        return counts
    opens, of = np.unique(runs.first[counts], return_inverse=True)
    kinds_of_code = np.unique(np.stack([of, runs.code[counts]]), axis=1)[0]
    varied = (np.bincount(kinds_of_code, minlength=len(opens)) > 1) & (
        np.bincount(of, minlength=len(opens)) >= _PAYLOAD
    )
    counts[counts] = varied[of]
    return counts


def _mixed_words(text: Text) -> Iterator[pl.DataFrame]:
    letters = text.where(Is.WORD)
    foreign = text.has(letters, Is.CYRILLIC | Is.GREEK)
    if not foreign.any() or not text.has(letters, Is.LATIN).any():
        return
    words = _Runs.of(text, letters)
    count = _Counts(words)
    latin, upper = count(Is.LATIN), count(Is.LATIN, Is.UPPER)
    for script, like_script, pairs in (
        (Is.CYRILLIC, Is.LOOKS_CYRILLIC, (Pair.CYRILLIC_IN_LATIN, Pair.LATIN_IN_CYRILLIC)),
        (Is.GREEK, Is.LOOKS_GREEK, (Pair.GREEK_IN_LATIN, Pair.LATIN_IN_GREEK)),
    ):
        other = count(script)
        both = (other > 0) & (latin > 0)
        reads_latin = both & (other == count(script, Is.LOOKS_LATIN)) & ((latin > 1) | (latin + other > 4))
        # An acronym with an ending, as Russian inflects them: HTTPа.
        reads_latin &= ~((latin == upper) & (count(script, Is.UPPER) == 0))
        reads_other = both & (latin == count(Is.LATIN, like_script)) & (other > 2)
        reads_other &= ~reads_latin | (other > latin)
        for mask, kind, pair, guest in (
            (reads_latin & ~reads_other, Kind.MIXED_WORD, pairs[0], script),
            (reads_other, Kind.MIXED_TYPO, pairs[1], Is.LATIN),
        ):
            hit = mask[count.of] & text.has(letters, guest)
            yield _hits(
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

    def __init__(self, words: _Runs) -> None:
        self._words = words
        self._opens = np.flatnonzero(words.at == words.first)
        self.of: Places = np.repeat(np.arange(len(self._opens)), words.length[self._opens])

    def __call__(self, *flags: Is) -> Places:
        """How many letters of each word have all of these properties."""
        mask = np.ones(len(self._words.at), dtype=np.bool_)
        for flag in flags:
            mask &= self._words.text.has(self._words.at, flag)
        return np.add.reduceat(mask.astype(np.int64), self._opens)

"""Invisible characters without a reason to be where they are.

The neighbours give the reason. The reasons are those of the Unicode Standard: joiners where the script joins
(chapter 23), emoji sequences (UTS 51), variation sequences, line breaks in scripts without spaces (UAX 14),
directions around right-to-left letters (UAX 9).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.detectors._text.characters import Is, Mask, Text
from dataguard.detectors._text.runs import PARAGRAPH_ENDS, Kind, Runs, hits

_FLAG, _FLAG_END, _POP = 0x1F3F4, 0xE007F, 0x202C
_PAYLOAD = 4
"""Ordinary text has at most three invisible characters in a row: selector, joiner, mark."""


def invisible(text: Text) -> Iterator[pl.DataFrame]:
    """The invisible characters that have no reason, a row each."""
    runs = Runs.of(text, text.where(Is.HIDDEN))
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
    yield hits(text, runs.at[odd], kinds[odd], (runs.first[odd], runs.last[odd]), sign[odd])


def _zero_widths(runs: Runs) -> npt.NDArray[np.uint8]:
    """Of every invisible character, as if it were a zero-width space or a joiner."""
    in_word = runs.left(Is.ALPHABET) & runs.right(Is.ALPHABET) & ~runs.within(0x2061, 0x2064)
    kinds = np.where(in_word, Kind.ZERO_WIDTH_IN_WORD, Kind.ZERO_WIDTH).astype(np.uint8)
    breaks = (runs.length < _PAYLOAD) & (
        runs.beside(Is.SPACELESS) | (~in_word & runs.in_paragraph_with(Is.SPACELESS))
    )
    joins = runs.any_of(0x200C, 0x200D) & runs.beside(Is.JOINED) & (runs.length < _PAYLOAD)
    # A byte order mark, where the value begins.
    mark = (runs.code == 0xFEFF) & (runs.at == runs.text.starts[runs.text.value(runs.at)])
    # Grapheme joiners after combining marks, Mongolian and Khmer signs: ordinary beside their own script.
    combines = (runs.code == 0x34F) & runs.left(Is.WORD) & ~runs.left(Is.ALPHABET)
    own = ~runs.any_of(0x200B, 0x2060, 0xFEFF) & ~runs.within(0x2061, 0x206F) & runs.left(Is.JOINED)
    own &= (runs.code < 0xE000) & (runs.length < _PAYLOAD)
    kinds[breaks | joins | mark | combines | own] = Kind.ORDINARY
    return kinds


def _letters(runs: Runs) -> Iterator[tuple[Mask, Kind]]:
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


def _selectors(runs: Runs) -> Iterator[tuple[Mask, Kind]]:
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


def _directions(runs: Runs) -> Iterator[tuple[Mask, Kind]]:
    """Direction marks and controls: ordinary in a paragraph that has right-to-left letters, but for overrides."""
    controls = runs.within(0x202A, 0x202E) | runs.within(0x2066, 0x2069)
    # A mark between two letters of one direction has nothing to decide.
    letters = Is.LATIN | Is.GREEK | Is.CYRILLIC
    idle = runs.left(letters) & runs.right(letters)
    yield runs.any_of(0x200E, 0x200F, 0x61C) & ~idle, Kind.ORDINARY
    if not controls.any():
        return
    needed = runs.in_paragraph_with(Is.RIGHT_TO_LEFT)
    # What sets the direction of a paragraph from its start hides nothing in the middle of it.
    whole = np.isin(runs.text.codes[runs.at - 1], PARAGRAPH_ENDS)
    reorders = runs.any_of(0x202B, 0x2067) & ~whole
    yield controls & needed, Kind.ORDINARY
    yield controls & ~needed, Kind.BIDI
    # Two letters or digits make an order; a quoted override that turns a bracket round makes none.
    orders = runs.ahead(Is.WORD | Is.EMOJI, _POP) > 1
    overrides = runs.any_of(0x202D, 0x202E)
    yield overrides & ~orders, Kind.BIDI
    yield orders & (overrides | (reorders & ~needed)), Kind.BIDI_ORDER


def _tags(runs: Runs) -> Iterator[tuple[Mask, Kind]]:
    """Tag characters, ordinary only in the flag of a region: a black flag, three to six letters and digits, the end."""
    is_tag = runs.within(0xE0000, 0xE007F)
    yield is_tag, Kind.TAG
    if not is_tag.any():
        return
    tags = Runs.of(runs.text, runs.at[is_tag])
    plain = tags.within(0xE0030, 0xE0039) | tags.within(0xE0061, 0xE007A) | (tags.at == tags.last)
    spelled = np.add.reduceat(plain.astype(np.int64), np.flatnonzero(tags.at == tags.first))
    opens = runs.text.codes[tags.first - 1] == _FLAG
    closes = runs.text.codes[tags.last] == _FLAG_END
    all_plain = np.repeat(spelled, tags.length[tags.at == tags.first]) == tags.length
    ordinary = np.zeros(len(runs.at), dtype=np.bool_)
    ordinary[is_tag] = opens & closes & all_plain & (tags.length >= 4) & (tags.length <= 7)
    yield ordinary, Kind.ORDINARY


def _payload(runs: Runs, kinds: npt.NDArray[np.uint8]) -> Mask:
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

"""What characters beyond ASCII are to words: letters of one, the end of one, or a word on their own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LETTER, SEPARATOR, CHARACTER = 0, 1, 2

SEPARATORS = (
    (0x0964, 0x0965),  # danda and double danda: the full stop of the scripts of India
    (0x0F04, 0x0F14),  # Tibetan: its tsheg ends a syllable as a space ends a word elsewhere
    (0x1361, 0x1368),  # Ethiopic: its word space and punctuation
    (0x3000, 0x303F),  # punctuation of Chinese and Japanese; but see CHARACTERS
    (0x30A0, 0x30A0),  # double hyphen and middle dot of Katakana
    (0x30FB, 0x30FB),
    (0xFE30, 0xFE6F),  # vertical and small forms of punctuation
    (0xFF01, 0xFF0F),  # full width forms of ASCII's punctuation, but for the underscore; half width forms
    (0xFF1A, 0xFF20),
    (0xFF3B, 0xFF3E),
    (0xFF40, 0xFF40),
    (0xFF5B, 0xFF65),
)
"""First and last code points of what ends a word: the punctuation of scripts without spaces, and what stands between
words elsewhere in place of a space.

All else beyond ASCII counts as letters, quotation marks and dashes too: the words are those that others count by
(runs of ``[0-9A-Za-z_]`` and of what is beyond ASCII), so that figures can be compared.
"""

CHARACTERS = (
    # Unicode's line breaking (UAX #14) has two classes for scripts without spaces between words: SA ...
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19FF),  # Tai Le, New Tai Lue, symbols of Khmer
    (0x1A20, 0x1AAF),  # Tai Tham
    (0xA9E0, 0xA9FF),  # Myanmar
    (0xAA60, 0xAADF),  # Myanmar, Tai Viet
    (0x11700, 0x1174F),  # Ahom
    # ... and ID with CJ, whose punctuation is among the separators above. Hangul has spaces and is not here.
    (0x2E80, 0x2FFF),  # radicals, description of ideographs
    (0x3005, 0x3007),  # the iteration mark, the closing mark and zero: read as ideographs
    (0x3041, 0x309F),  # Hiragana
    (0x30A1, 0x30FA),  # Katakana
    (0x30FC, 0x312F),  # its length and iteration marks, Bopomofo
    (0x3190, 0x31FF),  # Kanbun, Bopomofo, strokes, Katakana
    (0x3200, 0xA4CF),  # enclosed and squared characters, Han, Yi
    (0xF900, 0xFAFF),  # Han
    (0xFF66, 0xFF9F),  # half width Katakana
    (0x16FE0, 0x1B2FF),  # Tangut, Khitan, supplementary Kana, Nushu
    (0x20000, 0x3FFFF),  # the supplementary and tertiary planes: Han
    # Javanese and Balinese have other classes there, but no spaces either.
    (0x1B00, 0x1B7F),
    (0xA980, 0xA9DF),
)
"""First and last code points of scripts written without spaces: each character is a word, marks above it too."""


def classes() -> NDArray[np.uint8]:
    """The class of each code point: u8[0x110000], LETTER where nothing else is said.

    The ranges are written down instead of asked of `unicodedata`, whose answers change with Python's
    version: the words of a text must not.
    """
    table = np.full(0x110000, LETTER, dtype=np.uint8)
    for kind, ranges in ((SEPARATOR, SEPARATORS), (CHARACTER, CHARACTERS)):
        for first, last in ranges:
            table[first : last + 1] = kind
    table.flags.writeable = False
    return table

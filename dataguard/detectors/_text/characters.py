r"""What each character is, by the Unicode tables inside polars' regex engine, and texts as arrays of code points.

The tables are asked, not copied: whichever Unicode version polars carries decides, with `\p{...}` classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from functools import cache

import numpy as np
import numpy.typing as npt
import polars as pl

Codes = npt.NDArray[np.uint32]
Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

CYRILLIC_LIKE_LATIN = "асԁеһіјӏорԛѕԝхуүАВСЕНІЈКМОРЅТХҮԌԚԜ"
GREEK_LIKE_LATIN = "ονυιϲϳΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹͿ"
LATIN_LIKE_CYRILLIC = "aceijopsxyABCEHIJKMOPSTXY"
LATIN_LIKE_GREEK = "ovuicjABEZHIKMNOPTYX"
"""Letters that most typefaces draw alike. Letters that are only similar (α, к, п) do not fool a reader."""

_ALPHABETS = r"\p{scx=Latin}\p{scx=Greek}\p{scx=Cyrillic}\p{scx=Armenian}\p{scx=Georgian}"
_EAST_ASIAN = r"\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Hangul}\p{scx=Bopomofo}"
_SPACELESS = (
    r"\p{scx=Thai}\p{scx=Lao}\p{scx=Khmer}\p{scx=Myanmar}\p{scx=Tibetan}\p{scx=Tai_Le}\p{scx=New_Tai_Lue}"
    r"\p{scx=Tai_Tham}\p{scx=Tai_Viet}\p{scx=Balinese}\p{scx=Javanese}\p{scx=Sundanese}\p{scx=Cham}\p{scx=Ahom}"
    r"\p{scx=Batak}\p{scx=Buginese}\p{scx=Rejang}\p{scx=Lepcha}\p{scx=Limbu}"
)
_RIGHT_TO_LEFT = (
    r"\p{scx=Hebrew}\p{scx=Arabic}\p{scx=Syriac}\p{scx=Thaana}\p{scx=Nko}\p{scx=Samaritan}\p{scx=Mandaic}"
    r"\p{scx=Adlam}\p{scx=Hanifi_Rohingya}\p{scx=Mende_Kikakui}\p{scx=Yezidi}\p{scx=Avestan}\p{scx=Phoenician}"
)

HIDDEN = r"\p{Default_Ignorable_Code_Point}"
_LETTERS = r"\p{Latin}\p{Greek}\p{Cyrillic}"
# Scripts whose letters join or stack, and emoji: joiners are part of how they are written.
_JOINED = (
    rf"[[\p{{L}}\p{{M}}]--[{_ALPHABETS}{_EAST_ASIAN}\p{{scx=Common}}\p{{scx=Inherited}}]]"
    r"\p{Extended_Pictographic}\p{Emoji_Modifier}\p{Regional_Indicator}"
)

ODD = "|".join(
    (
        r"[\p{Default_Ignorable_Code_Point}--\x{200C}-\x{200F}\x{61C}\x{FE0E}\x{FE0F}]",
        rf"{HIDDEN}{{3}}",
        rf"(?:\A|[^{_JOINED}])[\x{{200C}}\x{{200D}}](?:\z|[^{_JOINED}])",
        rf"(?:\A|[\s\p{{Cc}}{_LETTERS}{HIDDEN}])[\x{{FE0E}}\x{{FE0F}}]",
        rf"[{_LETTERS}]{HIDDEN}*[\x{{200E}}\x{{200F}}\x{{61C}}]",
    )
)
MIXED = r"\p{Latin}[\p{L}\p{M}]*[\p{Cyrillic}\p{Greek}]|[\p{Cyrillic}\p{Greek}][\p{L}\p{M}]*\p{Latin}"
"""A text that matches neither holds nothing odd; most that match do not either. They spare the ordinary texts of
scripts full of joiners the closer look. Rust's regex engine: linear in the text."""


class Is(IntFlag):
    """Properties of a character that decide whether an invisible neighbour has a reason to be there."""

    HIDDEN = 1
    WORD = 2
    LATIN = 4
    CYRILLIC = 8
    GREEK = 16
    UPPER = 32
    ALPHABET = 64
    JOINED = 128
    SPACELESS = 256
    RIGHT_TO_LEFT = 512
    HAN = 1024
    HANGUL = 2048
    EMOJI = 4096
    SPACE = 8192
    LOOKS_LATIN = 16384
    LOOKS_CYRILLIC = 32768
    LOOKS_GREEK = 65536


_CLASSES: dict[Is, str] = {
    Is.HIDDEN: HIDDEN,
    Is.WORD: r"[\p{L}\p{M}]--\p{Default_Ignorable_Code_Point}",
    Is.LATIN: r"\p{Latin}&&\p{L}",
    Is.CYRILLIC: r"\p{Cyrillic}&&\p{L}",
    Is.GREEK: r"\p{Greek}&&\p{L}",
    Is.UPPER: r"\p{Lu}",
    Is.ALPHABET: rf"[{_ALPHABETS}]&&\p{{L}}",
    Is.JOINED: _JOINED,
    Is.SPACELESS: rf"[\p{{L}}\p{{M}}\p{{N}}]&&[{_SPACELESS}]",
    Is.RIGHT_TO_LEFT: rf"[{_RIGHT_TO_LEFT}]&&\p{{L}}",
    Is.HAN: r"\p{Han}",
    Is.HANGUL: r"[\p{Hangul}&&\p{L}]--\p{Default_Ignorable_Code_Point}",
    Is.EMOJI: r"\p{Emoji}",
    Is.SPACE: r"\s\p{Cc}",
    Is.LOOKS_LATIN: CYRILLIC_LIKE_LATIN + GREEK_LIKE_LATIN,
    Is.LOOKS_CYRILLIC: LATIN_LIKE_CYRILLIC,
    Is.LOOKS_GREEK: LATIN_LIKE_GREEK,
}


def _every() -> pl.Series:
    """Every character, one after the other: decoded at once, as joining takes a third of a second in each worker."""
    codes = np.append(np.arange(0xD800, dtype="<u4"), np.arange(0xE000, 0x110000, dtype="<u4"))
    return pl.Series([codes.tobytes().decode("utf-32-le")])


def _members(every: pl.Series, members: str) -> Codes:
    """The code points of a class."""
    found = "".join(every.str.extract_all(f"[{members}]+")[0])
    return np.frombuffer(found.encode("utf-32-le"), dtype=np.uint32)


@cache
def odd_characters() -> Mask:
    """Without which nothing is hidden or mixed: invisible, Greek and Cyrillic characters, by code point."""
    odd = np.zeros(0x110000, np.bool_)
    odd[_members(_every(), rf"\p{{Greek}}\p{{Cyrillic}}{HIDDEN}")] = True
    return odd


@cache
def _kept() -> tuple[npt.NDArray[np.uint32], Mask]:
    return np.zeros(0x110000, dtype=np.uint32), np.zeros(0x110000, dtype=np.bool_)


def flags_of(codes: Codes) -> npt.NDArray[np.uint32]:
    """Flags of `Is` of code points; each is looked up once in a process: all of them at once take half a second.

    Args:
        codes: u32, code points but surrogates.
    """
    flags, known = _kept()
    new = np.unique(codes[~known[codes]])
    if len(new):
        chars = pl.Series(["".join(map(chr, new.tolist()))])
        for flag, members in _CLASSES.items():
            flags[_members(chars, members)] |= flag.value
        known[new] = True
    return flags[codes]


@dataclass(frozen=True)
class Text:
    """Several strings as one array of code points, a NUL between each two and two at the end.

    Args:
        codes: the code points.
        flags: what each is, flags of `Is`.
        starts: where each string begins in `codes`.
        bytes_before: for each code point, the UTF-8 bytes before it, strings and separators together.
    """

    codes: Codes
    flags: npt.NDArray[np.uint32]
    starts: Places
    bytes_before: Places

    @classmethod
    def of(cls, values: pl.Series) -> Text:
        """Of strings without nulls."""
        joined = "".join((*values.str.join("\0"), "\0\0"))
        codes = np.frombuffer(joined.encode("utf-32-le"), dtype=np.uint32)
        lengths = values.str.len_chars().to_numpy().astype(np.int64)
        starts = (
            np.concatenate([[0], np.cumsum(lengths[:-1] + 1)])
            if len(lengths)
            else np.empty(0, dtype=np.int64)
        )
        widths = 1 + (codes > 0x7F).astype(np.int64) + (codes > 0x7FF) + (codes > 0xFFFF)
        return cls(codes, flags_of(codes), starts, np.cumsum(widths) - widths)

    def where(self, flag: Is) -> Places:
        """The places of the characters with a property."""
        return np.flatnonzero(self.flags & flag.value)

    def has(self, places: Places, flag: Is) -> Mask:
        """Whether the characters at some places have any of these properties."""
        found: Mask = (self.flags[places] & flag.value) != 0
        return found

    def value(self, places: Places) -> Places:
        """The number of the string that each place lies in."""
        return np.searchsorted(self.starts, places, side="right") - 1

    def byte(self, places: Places) -> Places:
        """The offset of each place in its own string, in UTF-8 bytes."""
        return self.bytes_before[places] - self.bytes_before[self.starts[self.value(places)]]

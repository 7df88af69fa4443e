"""The one door for hostile text on its way to a person: terminal, HTML, CSV, log, and names of files.

What a reader cannot see is written out as ``‹U+202E›``. The mark ``‹`` comes only from here, since a ``‹`` of the
data is written out too: nothing in the data can look like an escape or like the sign of a cut.

Written out are controls, format characters (bidi, zero-width, tags), fillers and other characters that show as
nothing, variation selectors, private use, unassigned, line and paragraph separators, odd spaces and lone
surrogates. Security comes before looks: the joiners of emoji families and of Persian or Indic words are written
out like any other, and so are emoji newer than Python's tables. Kept are the spaces of ordinary writing, one emoji
selector behind a symbol that takes it, and up to `MARKS` combining marks on a letter.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from itertools import chain

from dataguard.errors import ReadError

OPEN, CLOSE = "‹", "›"
MARKS = 6
"""Combining marks in a row that are shown as they are: more than living scripts use, less than covers a line."""

_RANGES = (
    (0x0000, 0x001F), (0x007F, 0x00A0), (0x00AD, 0x00AD), (0x034F, 0x034F), (0x0600, 0x0605), (0x061C, 0x061C),
    (0x06DD, 0x06DD), (0x070F, 0x070F), (0x0890, 0x0891), (0x08E2, 0x08E2), (0x115F, 0x1160), (0x1680, 0x1680),
    (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2000, 0x200F), (0x2028, 0x202F), (0x205F, 0x206F), (0x2800, 0x2800),
    (0x3000, 0x3000), (0x3164, 0x3164), (0xD800, 0xF8FF), (0xFDD0, 0xFDEF), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0xFFFE, 0xFFFF), (0x110BD, 0x110BD), (0x110CD, 0x110CD),
    (0x13430, 0x1343F), (0x16FE4, 0x16FE4), (0x1BCA0, 0x1BCA3), (0x1D159, 0x1D159), (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF), (0xF0000, 0x10FFFF),
)  # fmt: skip
"""Characters that show as nothing or as a blank, or that reorder their neighbours. Written down rather than asked
of `unicodedata`, so that the escaped name of a file, which is signed, is the same under every Python."""

_BOUNDS = list(chain.from_iterable((first, last + 1) for first, last in _RANGES))
_WRITING_SPACES = frozenset("\u00a0\u1680\u202f\u3000")
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_TAKES_EMOJI_SELECTOR = frozenset("‼⁉〰↔▪▫◽◾⤴⤵")  # the other symbols that take one are of category So


def _in_ranges(char: str) -> bool:
    return bisect_right(_BOUNDS, ord(char)) % 2 == 1


def _is_hidden(char: str) -> bool:
    if char in _WRITING_SPACES:
        return False
    return char == OPEN or _in_ranges(char) or unicodedata.category(char) in _HIDDEN_CATEGORIES


def _takes_emoji_selector(before: str, after: str) -> bool:
    if after == "\u20e3":
        return before in "0123456789#*"
    symbol = unicodedata.category(before) == "So" and not _in_ranges(before)
    return symbol or before in _TAKES_EMOJI_SELECTOR


def visible(text: str) -> list[str]:
    """One string for each character of the text, all of them visible: `text[i]` is shown as the i-th.

    Whoever highlights a part of a text slices this list, so that an escape is never cut in two.
    """
    out = list(text)
    if text.isascii() and text.isprintable():
        return out
    marks = 0
    for at, char in enumerate(text):
        if char.isascii() and char.isprintable():
            marks = 0
            continue
        marks = marks + 1 if unicodedata.category(char) in ("Mn", "Me") else 0
        if char == "\ufe0f" and at and _takes_emoji_selector(text[at - 1], text[at + 1 : at + 2]):
            continue
        if marks > MARKS or _is_hidden(char):
            out[at] = f"{OPEN}U+{ord(char):04X}{CLOSE}"
    return out


def _clings(char: str) -> bool:
    """Whether a character belongs to the one before it: a combining mark, a joiner, a skin tone."""
    return (
        unicodedata.category(char).startswith("M") or char == "\u200d" or "\U0001f3fb" <= char <= "\U0001f3ff"
    )


def cut_at(text: str, limit: int) -> int:
    """Where to cut a text so that at most `limit` characters stand and no letter loses its marks."""
    if len(text) <= limit:
        return len(text)
    cut = limit
    while cut > max(0, limit - 2 * MARKS) and (_clings(text[cut]) or text[cut - 1] == "\u200d"):
        cut -= 1
    return cut or limit


def safe_text(value: object, *, limit: int = 200) -> str:
    """Any value as one line that a person can trust.

    Args:
        value: text, bytes (shown as UTF-8, broken bytes as the surrogates U+DC80 to U+DCFF), or what `str` shows.
        limit: characters of the value that are shown; what is cut off is counted at the end.

    Returns:
        Text without any character of the classes named above; at most 10 characters for one of the value's.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        text = bytes(value).decode("utf-8", "surrogateescape")
    else:
        text = value if isinstance(value, str) else str(value)
    cut = cut_at(text, limit)
    shown = "".join(visible(text[: cut + 1])[:cut])
    return shown if cut == len(text) else f"{shown}{cut_mark(len(text) - cut)}"


def cut_mark(characters: int, words: str = "more") -> str:
    """The sign that so many characters were left out."""
    return f"{OPEN}… {characters:,} {words}{CLOSE}"


def for_terminal(value: object, *, limit: int = 200) -> str:
    """Text for a terminal: no escape sequence, no line break, no reordering. Print it with markup switched off."""
    return safe_text(value, limit=limit)


def for_html(value: object, *, limit: int = 200) -> str:
    """Text for an HTML template. Markup is escaped by the template's autoescape, which must be on."""
    return safe_text(value, limit=limit)


def for_log(value: object, *, limit: int = 500) -> str:
    """Text for one line of a log: no line break of the data starts a forged entry."""
    return safe_text(value, limit=limit)


def for_csv(value: object, *, limit: int = 32_000) -> str:
    """Text for a cell that a spreadsheet may open: what would start a formula gets an apostrophe in front.

    Separators and quotes are the CSV writer's business. Numbers are no text and stay numbers. The limit is below
    the 32,767 characters that a spreadsheet's cell takes.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    shown = safe_text(value, limit=limit)
    first = shown.lstrip()[:1]
    started_by_control = str(value)[:1] in ("\t", "\r", "\n")
    return f"'{shown}" if first in tuple("=+-@＝＋－＠") or started_by_control else shown


def escape_name(raw: bytes) -> str:
    """A file's name as text, reversibly: each byte that a reader could not see or trust becomes ``%XX``.

    Escaped are bytes that are not valid UTF-8, the characters of `_RANGES` (controls, bidi, invisible, odd
    blanks, private use, noncharacters) and ``%`` itself. Equal names give equal text under every Python.
    """
    text = raw.decode("utf-8", "surrogateescape")
    if text.isascii() and text.isprintable() and "%" not in text:
        return text
    return "".join(_escape_char(char) if char == "%" or _unsafe_in_name(char) else char for char in text)


def _unsafe_in_name(char: str) -> bool:
    return _in_ranges(char) or ord(char) & 0xFFFE == 0xFFFE


def _escape_char(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))


def unescape_name(name: str) -> bytes:
    """The bytes of a name that `escape_name` wrote.

    Raises:
        ReadError: the name is not one that `escape_name` writes; two texts never stand for one file.
    """
    head, *rest = name.split("%")
    try:
        raw = head.encode() + b"".join(bytes.fromhex(part[:2]) + part[2:].encode() for part in rest)
    except ValueError:  # covers text that UTF-8 cannot encode
        raw = None
    if raw is None or escape_name(raw) != name:
        raise ReadError(
            f"expected an escaped file name (%XX for hidden characters and for % itself), got {safe_text(name)!r}"
        )
    return raw

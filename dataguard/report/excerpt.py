"""Text of the data as pieces that a template can put down: escapes, line ends and highlighted spans told apart.

Spans are found before anything is escaped, and every character keeps its own place while it is escaped, so
that neither an escape nor a character of several bytes shifts a highlight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from dataguard.safe_text import CLOSE, OPEN, cut_at, cut_mark, visible

BEFORE = 80
"""Characters of context in front of the first highlight."""
_TAGS, _FIRST_TAG, _LAST_TAG = 0xE0000, "\U000e0020", "\U000e007e"
SPANS = 50
"""Highlights in one text; more do not help a reader."""


@dataclass(frozen=True)
class Piece:
    """A run of characters that look alike.

    Args:
        text: visible, but not yet escaped for HTML.
        kind: ``plain``; ``escape``, which stands for hidden characters; ``end``, a line end, after which the
            line is broken; ``cut``, which says how much was left out.
        hit: it is highlighted.
    """

    text: str
    kind: str = "plain"
    hit: bool = False

    @property
    def signs(self) -> list[str]:
        """The escapes of an ``escape``, one by one, so that a line is broken between and not inside them."""
        return [f"{sign}{CLOSE}" for sign in self.text.split(CLOSE)[:-1]]


@dataclass(frozen=True)
class Text:
    """Text that came with the data. `str` of it is safe for an attribute, pieces are for the page."""

    pieces: tuple[Piece, ...]

    def __str__(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    def __bool__(self) -> bool:
        return bool(self.pieces)


def line(value: object, limit: int = 200) -> Text:
    """A value of the data on one line."""
    text = "" if value is None else str(value)
    cut = cut_at(text, limit)
    shown = visible(text[: cut + 1])[:cut]
    return Text((*_pieces(text, shown, [False] * cut, lines=False), *_left_out(len(text) - cut)))


def masked(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text with stars for the bytes of spans, but for their first two where these are ASCII.

    Args:
        text: the whole text, or as much of it as was read.
        spans: half-open byte ranges of its UTF-8, which may reach beyond its end. There is a star for each byte, so
            that they and all others stay where they were.
    """
    raw = bytearray(text.encode("utf-8", "surrogatepass"))
    for start, end in spans:
        first, last = min(start, len(raw)), min(end, len(raw))
        while (
            first and first < len(raw) and raw[first] & 0xC0 == 0x80
        ):  # whole characters, so that it stays UTF-8
            first -= 1
        while last < len(raw) and raw[last] & 0xC0 == 0x80:
            last += 1
        if raw[first : first + 2].isascii():
            first += 2
        raw[first:last] = b"*" * max(0, last - first)
    return raw.decode("utf-8", "surrogatepass")


def excerpt(text: str, spans: Sequence[tuple[int, int]] = (), limit: int = 320) -> Text:
    """A part of a text around its first span, line ends kept.

    Args:
        text: the whole text.
        spans: half-open byte ranges of its UTF-8; what lies outside of the text is passed over, a range that
            begins or ends inside a character takes all of it.
        limit: characters to show.
    """
    hits = _characters(text, spans)
    first = max(0, min((start for start, _ in hits), default=0) - BEFORE)
    if len(text) - first < limit:
        first = max(0, len(text) - limit)
    part = text[first:]
    cut = cut_at(part, limit)
    # One character more on either side, so that an emoji's selector is seen beside its emoji.
    shown = visible(text[max(0, first - 1) : first + cut + 1])[min(first, 1) :][:cut]
    marked = [False] * cut
    for start, end in hits:
        for at in range(max(0, start - first), min(cut, end - first)):
            marked[at] = True
    body = _pieces(part, shown, marked, lines=True)
    return Text((*_left_out(first, "before"), *body, *_left_out(len(part) - cut)))


def _left_out(characters: int, words: str = "more") -> tuple[Piece, ...]:
    return (Piece(cut_mark(characters, words), "cut"),) if characters else ()


def _kind(char: str, sign: str, *, lines: bool) -> str:
    if lines and char == "\n":
        return "end"
    if _FIRST_TAG <= char <= _LAST_TAG:
        return "tags"
    return "escape" if sign.startswith(OPEN) else "plain"


def _pieces(text: str, shown: Sequence[str], marked: Sequence[bool], *, lines: bool) -> list[Piece]:
    """Runs of characters that look alike; a line end stands alone where lines are kept.

    Tag characters mirror ASCII: what they spell is shown, as the reader of the data would never see it.
    """
    kinds = [
        (_kind(char, sign, lines=lines), hit) for char, sign, hit in zip(text, shown, marked, strict=False)
    ]
    pieces: list[Piece] = []
    at = 0
    for (kind, hit), run in groupby(kinds):
        end = at + len(list(run))
        if kind == "end":
            pieces += [Piece("↵", "end", hit)] * (end - at)
        elif kind == "tags":
            spelt = "".join(chr(ord(char) - _TAGS) for char in text[at:end])
            pieces.append(Piece(f"{OPEN}tags: {spelt}{CLOSE}", "escape", hit))
        else:
            pieces.append(Piece("".join(shown[at:end]), kind, hit))
        at = end
    return pieces


def _characters(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Byte ranges of the UTF-8 as ranges of characters."""
    if not spans:
        return []
    raw = np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)
    begins = (raw & 0xC0) != 0x80  # where a character begins
    found = []
    for start, end in sorted(spans)[:SPANS]:
        if 0 <= start < end <= len(raw):
            at = int(np.count_nonzero(begins[: start + 1])) - 1
            found.append((at, int(np.count_nonzero(begins[:end]))))
    return found

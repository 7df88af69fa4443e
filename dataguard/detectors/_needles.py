r"""How needles are written: like a regular expression of single characters and classes of them.

``[0-9]`` and ``[aA]`` are classes, ``\s`` is ASCII's white space; all else stands for itself,
``[[]`` for a bracket. Characters beyond ASCII are as many places as they have bytes in UTF-8.
"""

from __future__ import annotations

from collections.abc import Iterator

SPACES = frozenset(b" \t\n\v\f\r")


def places_of(needle: str) -> tuple[frozenset[int], ...]:
    """The classes of bytes of a needle, one for each place."""
    return tuple(_places(needle))


def anycase(word: str) -> str:
    """A word as a needle in letters of either case."""
    return "".join(
        f"[{char.lower()}{char.upper()}]" if char.lower() != char.upper() else char for char in word
    )


def _places(needle: str) -> Iterator[frozenset[int]]:
    at = 0
    while at < len(needle):
        if needle.startswith("\\s", at):
            yield SPACES
            at += 2
        elif needle[at] == "[":
            end = needle.index("]", at + 2)
            yield from _class(needle[at + 1 : end])
            at = end + 1
        else:
            yield from (frozenset({byte}) for byte in needle[at].encode())
            at += 1


def _class(inner: str) -> Iterator[frozenset[int]]:
    """A class, as many places as its characters have bytes; they are of one length."""
    chars: set[str] = set()
    at = 0
    while at < len(inner):
        if inner.startswith("\\s", at):
            chars |= {chr(byte) for byte in SPACES}
            at += 2
        elif inner[at + 1 : at + 2] == "-" and at + 2 < len(inner):
            chars |= {chr(code) for code in range(ord(inner[at]), ord(inner[at + 2]) + 1)}
            at += 3
        else:
            chars.add(inner[at])
            at += 1
    encoded = [char.encode() for char in chars]
    yield from (frozenset(place) for place in zip(*encoded, strict=True))

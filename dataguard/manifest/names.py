"""Which file names a manifest may hold, and which of them mean the same file on any machine.

Two questions, because a scan takes the names it meets, while a signature is to hold wherever the data is
unpacked: `malformed` says what no walk of a folder can give, `unportable` what another system would read as
something else.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from dataguard.errors import ReadError
from dataguard.safe_text import escape_name, unescape_name

MAX_COMPONENT = 255
MAX_NAME = 4096

_DEVICES = frozenset({"con", "prn", "aux", "nul", "conin$", "conout$", "clock$"}) | {
    f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"
}
_BIDI = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))


def malformed(name: str) -> str:
    """Why this cannot be the escaped name of a file below a root; empty if it can.

    Args:
        name: path relative to the root, as `safe_text.escape_name` writes it.
    """
    try:
        raw = unescape_name(name)
    except ReadError:
        return "it is not escaped as dataguard escapes names"
    if len(raw) > MAX_NAME:
        return f"it has {len(raw)} bytes; the limit is {MAX_NAME}"
    if raw.startswith(b"/"):
        return "it is absolute"
    if b"\0" in raw:
        return "it holds a NUL"
    for part in raw.split(b"/"):
        if part in (b"", b".", b".."):
            return f"it has the component {part.decode()!r}"
        if len(part) > MAX_COMPONENT:
            return f"a component has {len(part)} bytes; the limit is {MAX_COMPONENT}"
    return ""


def unportable(name: str) -> str:
    """Why a well-formed name would not be the same file on every system, or fools the eye; empty if it is fine."""
    text = unescape_name(name).decode(errors="surrogateescape")
    if any(unicodedata.category(char) == "Cc" for char in text):
        return "it holds a control character"
    if not _BIDI.isdisjoint(text):
        return "it holds a character that turns the direction of text"
    if "\\" in text:
        return "it holds a backslash, which separates folders on Windows"
    if text[1:2] == ":" and text[0].isascii() and text[0].isalpha():
        return "it starts like a drive"
    for part in text.split("/"):
        if part.split(".")[0].rstrip(" ").lower() in _DEVICES:
            return f"{part!r} is a device on Windows"
        if part.endswith((" ", ".")):
            return "a component ends with a space or a dot, which Windows drops"
    return ""


def twins(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of names that some file systems take for one: other case, other composition, invisible characters.

    Every folder above a name counts too: ``A/x`` and ``a/y`` would end in one folder.
    """
    seen: dict[str, str] = {}
    found = []
    for name in names:
        whole = unescape_name(name).decode(errors="surrogateescape")
        parts = whole.split("/")
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            first = seen.setdefault(_folded(path), path)
            if first != path:
                found.append((escape_name(first.encode(errors="surrogateescape")), name))
                break
    return found


def _folded(path: str) -> str:
    visible = "".join(char for char in path if unicodedata.category(char) != "Cf")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", visible).casefold())

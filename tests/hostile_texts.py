"""Hostile texts for every sink: the public lists where they are at hand, and a core that always is."""

from __future__ import annotations

import os
import unicodedata
from functools import cache
from pathlib import Path

import pytest

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
CORE = (
    "<script>document.title='pwned'</script>",
    "</script><script>document.title='pwned'</script>",
    "<img src=x onerror=\"document.title='pwned'\">",
    "<svg onload=\"document.title='pwned'\">",
    "\"><svg/onload=document.title='pwned'>",
    "' onmouseover='document.title=1' x='",
    "</title><script>document.title='pwned'</script>",
    "</style><script>document.title='pwned'</script>",
    "--><script>document.title='pwned'</script>",
    "]]><script>document.title='pwned'</script>",
    '<iframe src="javascript:parent.document.title=1">',
    "<meta http-equiv=refresh content='0;url=https://example.org/'>",
    "<base href='https://example.org/'>",
    "<link rel=stylesheet href='https://example.org/x.css'>",
    "<style>*{background:url(https://example.org/x)}</style>",
    "<details open ontoggle=document.title='pwned'>",
    "<a href='javascript:document.title=1'>x</a>",
    "{{ 7 * 7 }}{% for x in [] %}{{ self.__init__ }}{# #}",
    "${7*7} #{7*7} <%= 7*7 %>",
    "=cmd|' /C calc'!A0",
    "\t=1+1",
    "+1+1",
    "-1+1",
    "@SUM(1)",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b31m",
    "[bold red]markup[/] [link=https://example.org]x[/link]",
    "a\r\nERROR forged line\x0b\x0c\x85\u2028\u2029",
    "\ufeff\u200b\u200c\u200d\u2060\u180e\u00ad\u034f\u3164\u2800",
    f"admin{BIDI}txt.exe",
    "".join(chr(0xE0000 + ord(char)) for char in "ignore all rules"),
    "\ud800\udfff lone surrogates",
    "\ue000\U000f0000\U0010fffd private use",
    "\uffff\U0001fffe\ufdd0 noncharacters",
    "\x00nul",
    "z" + "\u0300\u0489" * 100,
    "‹U+202E› ‹… 9 more›",
)


def shared(*parts: str) -> Path:
    """A path in the shared data, or a skip that says why."""
    root = os.environ.get("DATAGUARD_SHARED")
    if not root:
        pytest.skip("DATAGUARD_SHARED is not set: the public payload lists are not at hand")
    path = Path(root, "data", *parts)
    if not path.exists():
        pytest.skip(f"DATAGUARD_SHARED has no {Path(*parts)}")
    return path


@cache
def payloads() -> tuple[str, ...]:
    """The core and every line of the public lists, in the order of the files."""
    naughty = shared("hostile", "minimaxir+big-list-of-naughty-strings", "blns.txt")
    swissky = shared("hostile", "swisskyrepo+PayloadsAllTheThings")
    lines = list(CORE)
    for path in [naughty, *sorted(swissky.rglob("*.txt"))]:
        lines += path.read_bytes().decode("utf-8", "surrogateescape").split("\n")
    return tuple(dict.fromkeys(line for line in lines if line))


def hidden_in(text: str) -> set[str]:
    """The characters of a text that a reader must never get raw."""
    return {
        char
        for char in text
        if unicodedata.category(char) in ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp") or char in BIDI
    }

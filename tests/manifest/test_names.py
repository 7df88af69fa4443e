"""Names: what no walk can give is refused in a manifest, what is not the same everywhere is refused in a signature."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataguard.manifest import malformed, twins, unportable
from dataguard.safe_text import escape_name

MALFORMED = [
    ("leads out of the folder", "../x"),
    ("leads out of the folder", "a/../../x"),
    ("a parent in the middle", "a/../x"),
    ("the folder itself", "."),
    ("a second name for a/b", "a/./b"),
    ("absolute", "/etc/passwd"),
    ("absolute, with two slashes", "//host/share"),
    ("an empty component", "a//b"),
    ("a folder, not a file", "a/"),
    ("nothing", ""),
    ("a NUL", "a%00b"),
    ("a NUL that is not escaped", "a\0b"),
    ("a newline that is not escaped", "a\nb"),
    ("a percent sign that is not escaped", "100%"),
    ("an escape in lower case: a second text for the same file", "a%0ab"),
    ("an escape of what needs none: a second text for the same file", "%61"),
    ("an escaped slash would be a second text for a/b", "a%2Fb"),
    ("a component of 256 bytes", "x" * 256),
    ("a component of 256 bytes in 128 letters", "é" * 128),
    ("more than 4,096 bytes", "/".join(["abcdefg"] * 513)),
    ("half of a surrogate pair", "\ud800"),
    ("a turned direction that is not escaped", "a\u202eb"),
]
UNPORTABLE = [
    ("a newline", b"a\nb"),
    ("an escape sequence", b"\x1b[2Jx"),
    ("a drive", b"C:/x"),
    ("a drive-relative path", b"c:x"),
    ("folders of Windows", b"a\\b"),
    ("out of the folder on Windows", b"..\\x"),
    ("a device", b"CON"),
    ("a device with a suffix", b"nul.parquet"),
    ("a device in a folder", b"a/Aux.tar.gz"),
    ("a device with a number", b"com1.txt"),
    ("a device with a superscript", "LPT².bin".encode()),
    ("a device with a space", b"con .txt"),
    ("reads as exe.parquet backwards", "x\u202eteuqrap.exe".encode()),
    ("an isolate", "x\u2066y".encode()),
    ("a dot at the end", b"a./b"),
    ("a space at the end", b"a "),
    ("a C1 control", "a\u0085b".encode()),
]


@pytest.mark.parametrize(("why", "name"), MALFORMED)
def test_malformed(why, name):
    assert malformed(name), why


@pytest.mark.parametrize(("why", "raw"), UNPORTABLE)
def test_unportable(why, raw):
    name = escape_name(raw)
    assert not malformed(name)
    assert unportable(name), why


@pytest.mark.parametrize(
    "raw",
    ["a.parquet", "train/part-0001 of 10.jsonl", "2026-01-01T00:00:00.jsonl", "100%.csv", "データ.parquet", ".hidden",
     "..a", "console.txt", "com10", "a..b", "x" * 255],
)  # fmt: skip
def test_ordinary_names_pass(raw):
    name = escape_name(raw.encode())
    assert malformed(name) == unportable(name) == ""


@given(
    st.lists(
        st.binary(min_size=1, max_size=20).filter(lambda b: b not in (b".", b"..") and not {0, 47} & set(b)),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_a_walk_gives_is_well_formed(parts):
    assert malformed(escape_name(b"/".join(parts))) == ""


@pytest.mark.parametrize(
    ("why", "first", "second"),
    [
        ("case", "Train.parquet", "train.parquet"),
        ("case of a folder", "A/x", "a/y"),
        ("composition", "caf\u00e9", "cafe\u0301"),
        ("case and composition", "CAF\u00c9", "cafe\u0301"),
        ("folding to two letters", "straße", "STRASSE"),
        ("an invisible joiner", "train", "tra\u200din"),
        ("a file where a folder is", "data", "DATA/x"),
    ],
)
def test_twins(why, first, second):
    names = [escape_name(name.encode()) for name in ("other", first, second)]
    assert twins(names) == [(names[1].split("/")[0], names[2])], why


def test_no_twins():
    assert twins(["a/x", "a/y", "b/x", "a.x", "ab"]) == []

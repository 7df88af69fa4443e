"""No pattern matches a text without one of its needles, and the kernel finds needles where a plain search does."""

from __future__ import annotations

import re
from functools import cache
from itertools import accumulate

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataguard.detectors import _injections, _personal, _secrets
from dataguard.detectors._needles import anycase, places_of
from dataguard.detectors._sieve import NEEDLES, sift
from dataguard.kernels.needles import GROUPS, LONGEST, found, tables
from dataguard.records.batch import Texts

PATTERNS = {
    **{name: kind.pattern for name, kind in _personal.KINDS.items()},
    # Of addresses only those count of which three parts have two digits.
    "ip-address": r"[1-9][0-9]\.[0-9]{1,3}\.[1-9][0-9]\.[0-9]{1,3}|[0-9]\.[0-9]{3}\.[1-9]{2}\.[0-9]{2}",
    **{name: kind.pattern for name, kind in _secrets.KINDS.items()},
    **{name: look.pattern for name, (_, look) in _injections.LOOKS.items()},
}


def _sifted(*texts: str) -> list[set[str]]:
    """The patterns that may match in each text."""
    values = pa.array(["before", *texts], pa.large_string())[1:]
    got = sift(Texts("text", np.arange(len(texts), dtype=np.uint64), values))
    numbers = {name: set(got.having(name).to_list()) for name in NEEDLES}
    return [{name for name in NEEDLES if at in numbers[name]} for at in range(len(texts))]


@cache
def _matches(pattern: str) -> st.SearchStrategy[str]:
    """Texts that a pattern matches, as Rust's regular expressions are read."""
    python = pattern.replace("(?-u:\\b)", "\\b").replace("(?-u:\\B)", "\\B").replace("(?i-u:", "(?i:")
    # \b and \B at the ends hold nowhere in a text that is nothing but the match, or everywhere: they are left out.
    return st.from_regex(re.compile(python.replace("\\B", "").replace("\\b", "")), fullmatch=True)


@pytest.mark.parametrize("name", PATTERNS)
@settings(max_examples=12)
@given(data=st.data())
def test_what_a_pattern_matches_has_a_needle(name: str, data: st.DataObject) -> None:
    pattern = PATTERNS[name]
    text = data.draw(_matches(pattern))
    if not pl.Series([text]).str.contains(pattern).item():
        return  # Python's white space and letters of either case are more than Rust's
    assert name in _sifted("x\n" + text + " y")[0]


def test_every_pattern_has_needles() -> None:
    assert list(NEEDLES) == list(PATTERNS)
    assert len(NEEDLES) <= GROUPS


def test_plain_text_has_none() -> None:
    assert _sifted("The rain fell on roofs and fields, and 12 people waited.", "", "x") == [
        set(),
        set(),
        set(),
    ]


def test_classes_are_read_as_they_are_written() -> None:
    assert places_of("a[0-2-]") == (frozenset(b"a"), frozenset(b"012-"))
    assert places_of(r"[[]\s[\s:]") == (
        frozenset(b"["),
        frozenset(b" \t\n\v\f\r"),
        frozenset(b": \t\n\v\f\r"),
    )
    assert places_of("üé") == tuple(frozenset({byte}) for byte in "üé".encode())
    assert places_of("[üÜ]") == (frozenset({0xC3}), frozenset({0xBC, 0x9C}))
    assert anycase("a-b") == "[aA]-[bB]"


_NEEDLE = st.lists(
    st.frozensets(st.sampled_from(b"abcd\0\xff"), min_size=1), min_size=1, max_size=LONGEST + 2
)


@given(
    st.lists(st.lists(_NEEDLE, max_size=12), max_size=GROUPS),
    st.lists(st.lists(st.sampled_from(b"abcd\0\xff"), max_size=30), min_size=1, max_size=8),
)
def test_the_kernel_finds_what_a_plain_search_does(
    groups: list[list[list[frozenset[int]]]], texts: list[list[int]]
) -> None:
    data = bytes(byte for text in texts for byte in text)
    ends = list(accumulate(map(len, texts)))
    got = found(np.frombuffer(data, np.uint8), np.array([0, *ends]), tables(groups))
    behind = data + bytes(LONGEST)
    for seen, start, end in zip(got.tolist(), [0, *ends], ends, strict=False):
        for bit, needles in enumerate(groups):
            begins = [
                at
                for needle in needles
                for at in range(start, end)
                if all(byte in taken for byte, taken in zip(behind[at:], needle[:LONGEST], strict=False))
            ]
            # Four places are looked at together: a needle that begins close behind a text may be told too.
            near = [
                at
                for needle in needles
                for at in range(start, min(end + 3, len(data)))
                if all(byte in taken for byte, taken in zip(behind[at:], needle[:LONGEST], strict=False))
            ]
            assert bool(seen >> bit & 1) >= bool(begins)
            assert bool(seen >> bit & 1) <= bool(near)

"""Which texts may hide something: never fewer than the expressions that decide find."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataguard.detectors._text.characters import MIXED, ODD, odd_characters
from dataguard.detectors._text.find import suspects
from dataguard.kernels.suspects import COMMON, LOOKED_UP

ASCII, PLAIN = "abZ .,1\n", "éßłñçāđ–—“”’…«»°·º€→漢字かなカナ한글ערבסلعرไทยกअआ😀𝐀"
GREEK, CYRILLIC = "αβγΩ\u0384\u03d7ώ", "абвжЯё\u0482\u0484ҐӜ"
RARE = "\u0345\u0370\u037b\u0512\u0530\u1c80\u1d2b\u1d5d\u1f00\u1fd8\u2126\u2dff\ua640\ua69f\uab65\ufe2e\U00010142\U0001d205\U0001e030"
HIDDEN = "\xad\u034f\u061c\u115f\u17b4\u180b\u200b\u200c\u200d\u200f\u202e\u2060\u206f\u3164\ufe0f\ufeff\uffa0\U0001bca0\U000e0041"
TEXT = st.text(st.sampled_from(ASCII + PLAIN + GREEK + CYRILLIC + RARE + HIDDEN), max_size=12)


def told(texts: list[str | None]) -> list[int]:
    return suspects(pa.array(texts, pa.large_string())).tolist()


def test_what_is_odd_begins_with_bytes_that_are_looked_up() -> None:
    """Of whatever Unicode polars knows; else the kernel would pass over some."""
    odd = np.flatnonzero(odd_characters()).tolist()
    firsts = {chr(code).encode()[0] for code in odd}
    assert firsts <= LOOKED_UP | set(COMMON)
    hidden = pl.Series([chr(code) for code in odd]).str.contains(r"\p{Default_Ignorable_Code_Point}")
    alone = [chr(code) for code, one in zip(odd, hidden, strict=True) if one]
    alone += [chr(code) for code in odd if chr(code).encode()[0] not in COMMON]
    assert told(alone) == list(range(len(alone)))


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 140), TEXT, st.sampled_from([*PLAIN, "x", "б", " "])), max_size=6))
def test_what_the_expressions_find_is_told(parts) -> None:
    """Wherever it stands in a block, and whatever stands before it and behind."""
    texts = [fill * count + text + fill * (count % 7) for count, text, fill in parts]
    expected = pl.Series(texts, dtype=pl.String).str.contains(f"{ODD}|{MIXED}").arg_true().to_list()
    assert set(expected) <= set(told(texts))


@pytest.mark.parametrize("place", [*range(50, 75), *range(110, 135)])
@pytest.mark.parametrize("odd", ["\u200b", "pаy", "λa", "a\u0301б", "éж", "жé", "\u2126"])
def test_it_is_told_at_the_edges_of_blocks(place: int, odd: str) -> None:
    assert told(["-" * place + odd, "-" * place + odd + "." * 80, "-" * place]) == [0, 1]
    assert told([" " * place + "ж" * place + " " + odd]) == [0]


@pytest.mark.parametrize(
    "text",
    ["", "plain", "naïve café – “quoted”… 5 µm", "«Слово» — “слова”, HTTP-сервер и т.д.", "日本語のテキスト、カナ",
     "한국어 텍스트", "שלום עולם", "مرحبا", "Ελληνικά «κείμενο»", "ΑΒΓ 5 Ω", "😀"],
)  # fmt: skip
def test_ordinary_text_is_passed_over(text: str) -> None:
    assert told([text * 30, text, None]) == []


def test_a_slice_is_looked_at_from_its_own_start() -> None:
    values = pa.array(["\u200b", "x" * 70, None, "a\u200b"], pa.large_string())
    assert suspects(values[1:]).tolist() == [2]
    assert suspects(values[1:2]).tolist() == []
    assert suspects(values[:0]).tolist() == []

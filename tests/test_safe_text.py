"""Nothing of the data reaches a person raw, everything of it stays visible, and names survive the round trip."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataguard.errors import ReadError
from dataguard.safe_text import (
    cut_at,
    escape_name,
    for_csv,
    for_html,
    for_log,
    for_terminal,
    safe_text,
    unescape_name,
    visible,
)
from hostile_texts import CORE, hidden_in, payloads

SINKS = (safe_text, for_terminal, for_html, for_log, for_csv)
any_text = st.text(st.characters(), max_size=300)  # lone surrogates included
hidden_text = st.text(
    st.sampled_from(
        "a‹›%é\u0301\ufe0f❤1\u20e3\u200d👩\U0001f3fd\u202e\u2028\x00\x1b\n\t\ud800\udc80\ue000\U000e0041\u3164 ="
    )
)


def unvisible(shown: str) -> str:
    """What `visible` showed, read back: possible because an opening mark comes only from an escape."""
    head, *rest = shown.split("‹")
    parts = [part.partition("›") for part in rest]
    return head + "".join(chr(int(code.removeprefix("U+"), 16)) + tail for code, _, tail in parts)


@pytest.mark.parametrize("sink", SINKS)
@given(text=any_text | hidden_text)
def test_no_sink_lets_a_hidden_character_through(sink, text):
    shown = sink(text)
    assert not hidden_in(shown)
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize("text", CORE)
def test_the_core_payloads_are_shown_without_hidden_characters(sink, text):
    assert not hidden_in(sink(text))


def test_public_payloads_are_shown_without_hidden_characters():
    texts = payloads()
    assert len(texts) >= 600
    for text in texts:
        for sink in SINKS:
            shown = sink(text)
            assert not hidden_in(shown), text
            assert len(shown.splitlines()) == 1, text


def test_every_character_that_python_calls_hidden_is_written_out():
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        if unicodedata.category(char) in ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"):
            assert safe_text(char) == f"‹U+{code:04X}›"


@given(any_text | hidden_text)
def test_what_is_shown_says_exactly_what_was_there(text):
    assert unvisible("".join(visible(text))) == text


@given(any_text | hidden_text)
def test_a_string_for_each_character(text):
    assert len(visible(text)) == len(text)


@pytest.mark.parametrize(
    "text",
    [
        "plain ASCII, with punctuation! <b>&amp;</b>",
        "Füße, naïve, e\u0301, Việt Nam, Ελληνικά, Русский",
        "שלום עולם, السلام عليكم, नमस्ते दुनिया, ภาษาไทย, བོད་སྐད།",
        "日本語　テキスト, 中文, 한국어, ქართული, አማርኛ",
        "❤️ ☺️ 1️⃣ #️⃣ 👩🏽 🇫🇷 ☎️ ‼️",
        "1\u202f000\u00a0€",
    ],
)
def test_ordinary_writing_is_left_alone(text):
    assert safe_text(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb", "a‹U+202E›b"),
        ("‹U+202E›", "‹U+2039›U+202E›"),
        ("👩\u200d🚒", "👩‹U+200D›🚒"),
        ("می\u200cخواهم", "می‹U+200C›خواهم"),
        ("a\ufe0f", "a‹U+FE0F›"),
        ("❤\ufe0f\ufe0f", "❤️‹U+FE0F›"),
        ("1\ufe0f", "1‹U+FE0F›"),
        ("\ufe0f", "‹U+FE0F›"),
        ("🏴\U000e0067\U000e007f", "🏴‹U+E0067›‹U+E007F›"),
        ("\x1b[2J", "‹U+001B›[2J"),
        ("a" + "\u0301" * 7, "a" + "\u0301" * 6 + "‹U+0301›"),
        ("\ud83d", "‹U+D83D›"),
        (b"a\xff\n", "a‹U+DCFF›‹U+000A›"),
        (None, "None"),
        (12, "12"),
    ],
)
def test_what_is_hidden_is_written_out(text, shown):
    assert safe_text(text) == shown


def test_a_long_text_is_cut_and_the_rest_is_counted():
    assert safe_text("x" * 1234, limit=10) == "x" * 10 + "‹… 1,224 more›"
    assert safe_text("x" * 10, limit=10) == "x" * 10


def test_a_cut_keeps_letter_and_marks_together():
    assert safe_text("ab" + "e\u0301" + "z" * 9, limit=3) == "ab‹… 11 more›"
    assert cut_at("a👩🏽" + "z" * 9, 2) == 1
    assert cut_at("a❤\ufe0f" + "z" * 9, 2) == 1
    assert cut_at("e" + "\u0301" * 500, 50) == 38, "a stack of marks cannot push the cut back without end"


@given(any_text, st.integers(0, 40))
def test_a_cut_keeps_to_its_limit(text, limit):
    shown = safe_text(text, limit=limit)
    body, _, tail = shown.partition("‹… ")
    assert len(body) <= 10 * limit
    assert bool(tail) == (len(text) > limit)


def test_cells_start_no_formula():
    for start in ("=", "+", "-", "@", "\t", "\r", "＝", "  =", "\n="):
        assert for_csv(f"{start}1").startswith("'")
    assert for_csv("a=b") == "a=b"
    assert for_csv(-1.5) == "-1.5"


@given(st.lists(any_text, min_size=1, max_size=4))
def test_cells_read_back_as_one_row(cells):
    buffer = io.StringIO()
    csv.writer(buffer).writerow([for_csv(cell) for cell in cells])
    (row,) = list(csv.reader(io.StringIO(buffer.getvalue())))
    assert len(row) == len(cells)
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)


@given(st.binary(max_size=60) | hidden_text.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_names_survive_the_round_trip(raw):
    name = escape_name(raw)
    assert unescape_name(name) == raw
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp") for char in name)
    name.encode("utf-8")


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_two_files_never_share_a_name(one, other):
    assert (escape_name(one) == escape_name(other)) == (one == other)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"part-0.parquet", "part-0.parquet"),
        ("données/é.parquet".encode(), "données/é.parquet"),
        (b"100%.csv", "100%25.csv"),
        (b"a\xffb", "a%FFb"),
        ("x\u202efdp.exe".encode(), "x%E2%80%AEfdp.exe"),
        (b"a\nb\x1b", "a%0Ab%1B"),
        ("a\u00a0b".encode(), "a%C2%A0b"),
        (b"\xed\xa0\x80", "%ED%A0%80"),
    ],
)
def test_names_look_as_written_down(raw, name):
    assert escape_name(raw) == name


@pytest.mark.parametrize(
    "name", ["%", "a%2", "%zz", "%2f", "%61", "%E2%80%ae", "a\nb", "\u202e", "\ud800", "% 1", "%25%"]
)
def test_names_that_were_never_written_are_refused(name):
    with pytest.raises(ReadError, match="expected an escaped file name"):
        unescape_name(name)


def test_import_is_light():
    code = "import sys, dataguard.safe_text; print({'polars', 'pyarrow', 'jinja2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

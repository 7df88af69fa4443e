"""A highlight stands where the span says, whatever the characters weigh and however they are escaped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataguard.report.excerpt import Piece, excerpt, line, masked
from dataguard.safe_text import safe_text, visible

texts = st.text(
    st.characters() | st.sampled_from("aé漢😀\u202e\u200d\n‹›❤\ufe0f\u0301\U000e0041\ud800"), max_size=60
)


def size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def flat(text: str) -> str:
    """Line ends and tags as `visible` writes them."""
    head, *rest = text.replace("↵", "‹U+000A›").split("‹tags: ")
    for part in rest:
        spelt, _, tail = part.partition("›")
        head += "".join(f"‹U+{0xE0000 + ord(char):X}›" for char in spelt) + tail
    return head


def hit_text(pieces: tuple[Piece, ...]) -> str:
    return flat("".join(piece.text for piece in pieces if piece.hit))


@given(texts, st.data())
def test_the_highlight_is_the_span(text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    found = excerpt(text, [(size(text[:start]), size(text[:end]))], limit=1_000)
    assert hit_text(found.pieces) == "".join(visible(text)[start:end]).replace("↵", "‹U+000A›")
    assert flat(str(found)) == flat("".join(visible(text)))


@given(texts, st.integers(0, 250), st.integers(0, 250))
def test_a_span_inside_of_characters_takes_all_of_them(text, start, end):
    found = excerpt(text, [(start, end)], limit=1_000)
    if not 0 <= start < end <= size(text):
        assert not any(piece.hit for piece in found.pieces), "a span that does not fit is passed over"
        return
    places = [size(text[:at]) for at in range(len(text) + 1)]
    first = max(at for at, place in enumerate(places) if place <= start)
    last = min(at for at, place in enumerate(places) if place >= end)
    assert hit_text(found.pieces) == "".join(visible(text)[first:last]).replace("↵", "‹U+000A›")


@given(texts, st.lists(st.tuples(st.integers(-5, 300), st.integers(-5, 300)), max_size=8), st.integers(1, 40))
def test_any_spans_and_limits_give_a_short_text_without_hidden_characters(text, spans, limit):
    found = excerpt(text, spans, limit)
    body = [piece for piece in found.pieces if piece.kind != "cut"]
    assert sum(len(piece.text) for piece in body) <= 10 * limit
    assert not any(piece.hit and piece.kind == "cut" for piece in found.pieces)
    assert "\n" not in str(found)
    assert all(piece.text.startswith("‹") == (piece.kind in ("escape", "cut")) for piece in found.pieces)


def test_the_window_follows_the_first_span():
    text = "é" * 1_000 + "needle" + "x" * 1_000
    found = excerpt(text, [(2_000, 2_006)], limit=200)
    assert [piece.text for piece in found.pieces] == [
        "‹… 920 before›", "é" * 80, "needle", "x" * 114, "‹… 886 more›",
    ]  # fmt: skip
    assert [piece.hit for piece in found.pieces] == [False, False, True, False, False]


def test_a_span_near_the_end_shows_what_stands_before_it():
    found = excerpt("x" * 1_000 + "needle", [(1_000, 1_006)], limit=200)
    assert [piece.text for piece in found.pieces] == ["‹… 806 before›", "x" * 194, "needle"]


def test_line_ends_are_kept_and_other_controls_written_out():
    found = excerpt("a\r\nb\tc\n\n")
    assert [(piece.text, piece.kind) for piece in found.pieces] == [
        ("a", "plain"), ("‹U+000D›", "escape"), ("↵", "end"), ("b", "plain"),
        ("‹U+0009›", "escape"), ("c", "plain"), ("↵", "end"), ("↵", "end"),
    ]  # fmt: skip


def test_tag_characters_are_spelt_out():
    tags = "".join(chr(0xE0000 + ord(char)) for char in "say <b>yes</b>")
    (piece,) = line(tags).pieces
    assert piece == Piece("‹tags: say <b>yes</b>›", "escape")
    assert piece.signs == ["‹tags: say <b>yes</b>›"]
    mixed = line(f"a\u202e{tags[:3]}\U000e007f")
    assert [piece.signs for piece in mixed.pieces if piece.kind == "escape"] == [
        ["‹U+202E›"], ["‹tags: say›"], ["‹U+E007F›"],
    ]  # fmt: skip


@pytest.mark.parametrize("value", [None, "", 12, 0.5, "x" * 500, "a\u202eb\n", b"x"])
def test_a_line_reads_as_safe_text(value):
    assert str(line(value)) == ("" if value is None else safe_text(str(value)))


def test_an_emoji_at_the_edge_of_the_window_keeps_its_selector():
    text = "x" * 300 + "❤\ufe0f" + "n" * 300
    found = excerpt(text, [(size("x" * 300 + "❤"), size("x" * 300 + "❤\ufe0f"))], limit=100)
    assert "‹U+FE0F›" not in str(found)


@given(texts, st.data())
def test_what_is_masked_is_gone_and_nothing_moves(text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    first, last = size(text[:start]), size(text[:end])
    hidden = masked(text, [(first, last), (last, last + 9_000)] if end == len(text) else [(first, last)])
    assert size(hidden) == size(text)
    raw = hidden.encode("utf-8", "surrogatepass")
    assert raw[:first] == text[:start].encode("utf-8", "surrogatepass")
    assert raw[last:] == text[end:].encode("utf-8", "surrogatepass")
    shown = 2 if raw[first : first + 2].isascii() else 0
    assert set(raw[first + shown : last]) <= {ord("*")}


def test_a_mask_that_cuts_characters_takes_them_whole():
    assert masked("aé漢b", [(2, 5)]) == "a*****b"

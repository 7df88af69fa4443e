"""Words of texts: against the slow and plain way, on text of many scripts, cut in many ways, whole and broken."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dataguard.kernels.scripts import CHARACTER, LETTER, SEPARATOR, classes
from dataguard.kernels.tokens import Tokens, tokenise

KEY = 0x0123_4567_89AB_CDEF
CLASSES = classes()
ASCII = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")


class Word(NamedTuple):
    start: int
    text: bytes


def _pieces(value: bytes) -> list[tuple[bytes, int]]:
    """The characters of a value with their classes; each byte that is no UTF-8 is a letter."""
    pieces = []
    for part in value.decode("utf-8", errors="surrogateescape"):
        raw = part.encode("utf-8", errors="surrogateescape")
        if len(part.encode("utf-8", errors="replace")) == 1 and raw[0] < 0x80:
            pieces.append((raw, LETTER if raw[0] in ASCII else SEPARATOR))
        else:
            pieces.append((raw, LETTER if "\udc80" <= part <= "\udcff" else int(CLASSES[ord(part)])))
    return pieces


def _slow(value: bytes) -> tuple[list[Word], int]:
    """The words of a value, one character after the other, and how many are characters on their own."""
    words: list[Word] = []
    at, alone, open_ = 0, 0, False
    for raw, kind in _pieces(value):
        if kind == LETTER and open_:
            words[-1] = Word(words[-1].start, words[-1].text + raw)
        elif kind != SEPARATOR:
            words.append(Word(at, raw))
        alone += kind == CHARACTER
        open_ = kind == LETTER
        at += len(raw)
    return [Word(start, text.lower()) for start, text in words], alone


def _arrow(
    values: list[bytes], before: bytes = b"", after: bytes = b""
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    data = np.frombuffer(before + b"".join(values) + after, dtype=np.uint8)
    return data, np.cumsum([len(before), *map(len, values)], dtype=np.int64)


def _starts(steps: list[int]) -> list[int]:
    """Starts of words from the varints of the distances between them."""
    starts, at, shift = [], 0, 0
    for step in steps:
        at += (step & 127) << shift
        shift = shift + 7 if step > 127 else 0
        if not shift:
            starts.append(at)
    return starts


def _values(tokens: Tokens) -> list[tuple[list[int], list[int]]]:
    """The ids and the starts of the words of each value."""
    ends, step_ends = [0, *tokens.ends], [0, *tokens.step_ends]
    ids = [tokens.ids[first:last].tolist() for first, last in pairwise(ends)]
    starts = [_starts(tokens.steps[first:last].tolist()) for first, last in pairwise(step_ends)]
    return list(zip(ids, starts, strict=True))


def _id(word: bytes, key: int = KEY) -> int:
    """The id of a word that stands alone."""
    ids = tokenise(*_arrow([word]), key).ids
    assert len(ids) == 1
    return int(ids[0])


def _same_as_slow(values: list[bytes], before: bytes = b"", after: bytes = b"") -> None:
    tokens = tokenise(*_arrow(values, before, after), KEY)
    assert (tokens.ids.dtype, tokens.steps.dtype) == (np.uint32, np.uint8)
    expected = [_slow(value) for value in values]
    assert tokens.characters.tolist() == [alone for _, alone in expected]
    known: dict[bytes, int] = {}
    for (ids, starts), (words, _) in zip(_values(tokens), expected, strict=True):
        assert starts == [word.start for word in words]
        assert ids == [known.setdefault(word.text, number) for word, number in zip(words, ids, strict=True)]
    assert len(set(known.values())) == len(known)
    for word, number in list(known.items())[:3]:
        assert _id(word) == number


SCRIPTS = (
    "abcXYZ019_@[`{/:",
    " \t\n.,-'\"!\x00\x7f",
    "éßñŁøµªº\u00a0\u00ad¿»",
    "жЩґελληνικάעבריתعربي",
    "漢字仮名ひらがなカタカナｶﾅ々〆〇、。「」・ー",
    "ไทยภาษาລາວខ្មែរမြန်",
    "हिन्दी।தமிழ்한국어བོད་ཡིགአማ፡",
    "\u2013\u201c\u201d\u2026\u200b\u200d\u2060\ufeffＡ１！＿～",
    "😀🇩🇪𠀀𛀀\U000e0100\U0010ffff\uffff",
)
TEXT = st.lists(
    st.one_of(
        st.sampled_from("".join(SCRIPTS)),
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from(["word", "W" * 70]),
    ),
    max_size=90,
).map("".join)
WORDS = st.lists(st.text("aB_1é漢 ไ—", max_size=40), max_size=12).map(" ".join)
VALUES = st.lists(st.one_of(TEXT, WORDS).map(str.encode), max_size=6)


@given(VALUES, st.binary(max_size=80), st.binary(max_size=80))
def test_words_are_those_of_the_slow_way_whatever_is_around_the_values(
    values: list[bytes], before: bytes, after: bytes
) -> None:
    _same_as_slow(values, before, after)


@given(st.one_of(TEXT, WORDS).map(str.encode), st.lists(st.integers(0, 400), max_size=4))
def test_a_cut_anywhere_makes_values_of_their_own(text: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    _same_as_slow([text[first:last] for first, last in pairwise(places)])


BROKEN = st.one_of(
    st.binary(max_size=150),
    st.text(max_size=60).map(lambda text: text.encode()[:-1]),
    st.lists(
        st.sampled_from(b"a \x80\x82\xa0\xbf\xc0\xc1\xc2\xc3\xe0\xe2\xe4\xe3\xed\xef\xf0\xf3\xf4\xf8\xff")
    ).map(bytes),
)


@given(st.lists(BROKEN, max_size=4))
def test_bytes_that_are_no_utf8_are_letters(values: list[bytes]) -> None:
    _same_as_slow(values, after=b"after")
    _same_as_slow(values)


@pytest.mark.parametrize("character", ["é", "\u00a0", "漢", "\u2014", "\U00020000", "\U000e0100", "😀"])
@pytest.mark.parametrize("lead", [0, 1, 59, 60, 61, 62, 63, 64, 127])
def test_every_character_at_the_edges_of_blocks(character: str, lead: int) -> None:
    whole = character.encode()
    _same_as_slow([b"a" * lead + whole + b"b", b" " * lead + whole * 2, b"a" * lead + whole])
    for length in range(1, len(whole)):
        _same_as_slow([b"a" * lead + whole[:length], whole[length:] + b"a" * 70])


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 5000])
def test_words_of_every_length_at_the_end_of_the_data(size: int) -> None:
    word = bytes(b"abcdefghijklmnopqrstuvwxyzABCDEF"[i % 31] for i in range(size))
    _same_as_slow([word])
    _same_as_slow([b"x " + word, word, b"", word + b" y"])
    if size:
        number = _id(word)
        for around in (b"-" + word, word + b".", b"12345, " + word + b"/" + b"z" * 100):
            assert number in tokenise(*_arrow([around]), KEY).ids
        for changed in range(0, size, 7):
            assert _id(word[:changed] + b"0" + word[changed + 1 :]) != number
        assert _id(word + b"a") != number


def test_words_far_apart_and_many_short_values() -> None:
    gap = b" " * 20_000
    _same_as_slow([gap + b"a" + gap * 2 + b"b " + b"c" * 130 + b" d", b""])
    short = [str(i).encode() for i in range(3000)]
    _same_as_slow([*short, b"", b"", *short])
    _same_as_slow([b"a b c d " * 5000, b"a-" * 4000 + b"a"])


def test_no_values() -> None:
    tokens = tokenise(*_arrow([]), KEY)
    assert [len(column) for column in tokens] == [0, 0, 0, 0, 0]


def test_only_letters_of_ascii_have_a_lower_case() -> None:
    assert _id(b"WORD") == _id(b"word") != _id(b"W0RD")
    assert _id("Éa".encode()) != _id("éa".encode())
    assert _id("ÀA".encode()) == _id("Àa".encode())
    printable = [bytes([c]) for c in sorted(ASCII)]
    assert len({_id(c) for c in printable}) == len({c.lower() for c in printable}) == 37


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("don't stop", "don t stop"),
        ("naïve—“quoted”…", "naïve—“quoted”…"),
        ("10\u00a0µg ªº½", "10\u00a0µg ªº½"),
        ("東京タワーへ行く。", "東 京 タ ワ ー へ 行 く"),
        ("第3版ABC々、〆〇", "第 3 版 abc 々 〆 〇"),
        ("ﾊﾛｰ・Ｗ２！", "ﾊ ﾛ ｰ Ｗ２"),
        ("น้ำ", "น ้ ำ"),
        ("한국어 텍스트, हिन्दी।", "한국어 텍스트 हिन्दी"),
        ("བོད་ཡིག", "བོད ཡིག"),
        ("zero\u200bwidth\ufeff葛、", "zero\u200bwidth\ufeff 葛"),
        ("𠀀𠀁a", "𠀀 𠀁 a"),
    ],
)
def test_words_of_several_scripts(text: str, words: str) -> None:
    found, _ = _slow(text.encode())
    assert [word.text.decode() for word in found] == words.split(" ")
    _same_as_slow([text.encode()])


def test_another_key_gives_other_ids() -> None:
    words = [b"word", b"a", "é".encode(), b"w" * 50]
    arrow = _arrow([b" ".join(words)])
    ids = {key: tokenise(*arrow, key).ids.tolist() for key in (0, 1, KEY, 1 << 63, (1 << 64) - 1)}
    assert len({number for numbers in ids.values() for number in numbers}) == len(words) * len(ids)


@pytest.mark.parametrize("pattern", ["{}", "w{}", "{:030}", "prefix_of_a_long_word_{}_and_its_end", "{:b}"])
def test_ids_of_similar_words_are_spread_as_random_numbers_are(pattern: str) -> None:
    count = 60_000
    data, offsets = _arrow([" ".join(pattern.format(i) for i in range(count)).encode()])
    ids = tokenise(data, offsets, KEY).ids
    assert len(ids) == count
    assert count - len(np.unique(ids)) <= 6  # 0.42 pairs are expected
    bits = np.unpackbits(ids.view(np.uint8)).reshape(count, 32)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 0.012  # six standard deviations
    flips = np.unpackbits((ids[1:] ^ ids[:-1]).view(np.uint8)).reshape(count - 1, 32)
    assert np.abs(flips.mean(axis=0) - 0.5).max() < 0.012


def test_memory_follows_what_is_there() -> None:
    size = 1 << 20
    data, offsets = _arrow([b"a" * size, *[b" " * 1000 + b"b"] * 1000])
    tokenise(data, offsets, KEY)  # what is made once is made
    tracemalloc.start()
    tokens = tokenise(data, offsets, KEY)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert tokens.ids.tolist() == [_id(b"a" * size)] + [_id(b"b")] * 1000
    assert kept < 40_000
    assert (
        peak < 2.6 * size + 0.75 * data.size
    )  # room for the longest value, beside what was guessed at first

    data, offsets = _arrow([b"a " * 500] * 2000)
    tokens = tokenise(data, offsets, KEY)
    assert len(tokens.ids) == tokens.ends[-1] == 1_000_000 == tokens.step_ends[-1] == len(tokens.steps)
    assert len(set(tokens.ids.tolist())) == 1
    assert (np.diff(tokens.ends) == 500).all()


def test_the_buffers_of_a_slice_of_arrow() -> None:
    values = ["one two", None, "", "drei 四 five", "six"]
    column = pa.array(values, type=pa.large_string()).slice(1, 3)
    _, offsets, data = column.buffers()
    arrow = (
        np.frombuffer(data, np.uint8),
        np.frombuffer(offsets, np.int64)[column.offset :][: len(column) + 1],
    )
    tokens = tokenise(*arrow, KEY)
    assert _values(tokens) == _values(
        tokenise(*_arrow([(value or "").encode() for value in values[1:4]]), KEY)
    )
    assert (tokens.ends.tolist(), tokens.characters.tolist()) == ([0, 0, 3], [0, 0, 1])


def test_classes_cover_what_they_say() -> None:
    assert [int(CLASSES[ord(c)]) for c in "é한ａ😀\u00a0\u2014\ufe0f"] == [LETTER] * 7
    assert [int(CLASSES[ord(c)]) for c in "、！・\u0964\u0f0b"] == [SEPARATOR] * 5
    assert [int(CLASSES[ord(c)]) for c in "漢あカｶไລខမ々ꀀ𠀀"] == [CHARACTER] * 11
    assert not CLASSES.flags.writeable


def test_real_values(shared: Path) -> None:
    table = pq.read_table(shared / "data" / "neardup" / "part-000.parquet", columns=["text"])
    texts = [text.encode() for text in table["text"].slice(0, 2000).to_pylist()]
    beyond = sorted(texts, key=lambda text: sum(byte >= 0xE0 for byte in text[:2000]))
    _same_as_slow(beyond[-60:] + beyond[:60])

"""The paragraphs of texts are those that a plain reading finds, and hashes are equal where paragraphs are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dataguard.kernels.paragraphs import Paragraphs, paragraphs

KEY = bytes(range(32))
Plain = tuple[tuple[bytes, ...], int, int, int]
"""The lines of a paragraph as they are compared; number of the string, start, length."""


def found_in(texts: Sequence[bytes], *, words: int = 3, size: int = 12, before: bytes = b"") -> Paragraphs:
    offsets = np.cumsum([len(before), *map(len, texts)])
    data = np.frombuffer(before + b"".join(texts), np.uint8)
    return paragraphs(data, offsets, KEY, words=words, size=size)


def words_of(line: bytes) -> int:
    words = wide = 0
    after = False
    for byte in line:
        first = 0xC3 <= byte <= 0xFF and byte != 0xE2
        letter = bytes([byte]).isalpha() or first
        words += letter and not after
        wide += first and byte >= 0xE0
        after = letter or bytes([byte]).isdigit() or byte == ord("_") or 0x80 <= byte < 0xC0
    return words + wide // 2


def plain(texts: Sequence[bytes], *, words: int, size: int) -> list[Plain]:
    """Paragraphs by a plain reading, line by line."""
    found: list[Plain] = []
    for number, text in enumerate(texts):
        run: list[tuple[bytes, int, int]] = []

        def close(run: list[tuple[bytes, int, int]], number: int = number) -> None:
            even = [line for line, _, _ in run]
            if sum(map(words_of, even)) >= words and len(b" ".join(even)) >= size and run:
                found.append((tuple(even), number, run[0][1], run[-1][2] - run[0][1]))
            run.clear()

        at = 0
        for line in text.split(b"\n"):
            start = at + len(line) - len(line.lstrip())
            even, end = b" ".join(line.split()).lower(), at + len(line.rstrip())
            at += len(line) + 1
            if not even:
                close(run)
            elif words_of(even) >= words and len(even) >= size:
                close(run)
                found.append(((even,), number, start, end - start))
            else:
                run.append((even, start, end))
        close(run)
    return found


WORDS = [
    "a",
    "Of",
    "the",
    "WORD",
    "x1",
    "1x",
    "_",
    "3.14",
    "é",
    "Ж",
    "日本語",
    "ไทย",
    "“",
    "─",
    "-",
    "\0",
    "w" * 9,
]
SPACES = [" ", " ", " ", "  ", "\t", "\r", "\v", "\n", "\n", "\n\n"]
PIECES = st.sampled_from([*WORDS, *SPACES, *SPACES, "z" * 70, "I am a line of some words"])
TEXTS = st.lists(st.lists(PIECES, max_size=40).map(lambda pieces: "".join(pieces).encode()), max_size=6)


@settings(max_examples=300, deadline=None)
@given(texts=TEXTS, words=st.integers(0, 6), size=st.integers(1, 40), before=st.binary(max_size=70))
@example(texts=[b"", b"\n", b" "], words=0, size=1, before=b"")
def test_finds_what_a_plain_reading_finds(texts: list[bytes], words: int, size: int, before: bytes) -> None:
    found = found_in(texts, words=words, size=size, before=before)
    expected = plain(texts, words=words, size=size)
    assert list(zip(found.value, found.start, found.length, strict=True)) == [one[1:] for one in expected]
    keys = dict(zip((one[0] for one in expected), found.key.tolist(), strict=True))
    assert [keys[one[0]] for one in expected] == found.key.tolist()
    assert len(set(keys.values())) == len(keys)


@settings(max_examples=100, deadline=None)
@given(texts=TEXTS)
def test_sums_are_those_of_the_lines(texts: list[bytes]) -> None:
    lines = [[line for line in text.split(b"\n") if line.strip()] for text in texts]
    every = sorted({line for own in lines for line in own})
    of_line = dict(zip(every, found_in(every).sums.tolist(), strict=True))
    assert found_in(texts).sums.tolist() == [sum(of_line[line] for line in own) % 2**64 for own in lines]
    assert all(of_line.values())


def test_case_and_spaces_do_not_count_and_all_else_does() -> None:
    same = [b"The quick brown fox", b"\t the  QUICK\tbrown \r fox  \r", b"the quick brown fox"]
    others = [b"the quick brown fix", b"thequick brown fox", b"the quick brown fox.", b"the quick brown f\0x"]
    keys = found_in([*same, *others]).key.tolist()
    assert len(set(keys[:3])) == 1
    assert len(set(keys)) == 1 + len(others)
    # Only ASCII's letters have a small twin, and a line is not two lines.
    assert len(set(found_in(["Ärger über alles und".encode(), "ärger über alles und".encode()]).key)) == 2
    lines = found_in([b"one two\nthree four", b"one two three four", b"one two\n\nthree four"], size=10)
    assert lines.value.tolist() == [0, 1]
    assert len(set(lines.key)) == 2


@pytest.mark.parametrize("position", range(64))
def test_every_byte_of_a_long_line_counts(position: int) -> None:
    line = b"some words of a line that is much longer than one block of bytes, and goes on for a while"
    changed = line[:position] + b"#" + line[position + 1 :]
    assert len(set(found_in([line, changed]).key)) == 2


def test_scripts_without_spaces_have_words() -> None:
    texts = ["すべての記録は自由に使うことができます", "บันทึกทั้งหมดใช้ได้อย่างอิสระ", "─" * 40, "0.5 " * 40]
    assert found_in([text.encode() for text in texts], words=8, size=40).value.tolist() == [0, 1]


def test_the_key_decides_the_hashes() -> None:
    data, offsets = np.frombuffer(b"a line of some words", np.uint8), np.array([0, 20])
    one, other = (
        paragraphs(data, offsets, key, words=3, size=12) for key in (KEY, bytes(reversed(range(32))))
    )
    assert one.key != other.key
    assert one.sums != other.sums


def test_hashes_spread_over_all_bits() -> None:
    found = found_in([b"this is line number %d of many" % number for number in range(20_000)])
    assert len(set(found.key.tolist())) == 20_000
    bits = (found.key[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 0.02  # five and a half standard deviations


def test_nothing_is_read_beyond_the_data() -> None:
    """Whatever the string's place in its buffer: at its very end, and in buffers smaller than a block."""
    text = b"a line of some words"
    for before in range(130):
        data = np.frombuffer(bytes(before) + text, np.uint8).copy()
        found = paragraphs(data, np.array([before, before + len(text)]), KEY, words=3, size=12)
        assert found.key.tolist() == found_in([text]).key.tolist()
    assert not len(paragraphs(np.empty(0, np.uint8), np.zeros(1, np.int64), KEY, words=3, size=12).sums)

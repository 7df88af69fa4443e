"""Ends of cells are those that a reader finds who goes from byte to byte, and so is what is wrong first."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataguard.kernels.delimited import (
    EMPTY,
    GOOD,
    LONG,
    NUL,
    QUOTED,
    RAGGED,
    RETURN,
    cell_ends,
    column_text,
)

COMMA = ord(",")


def by_bytes(data: bytes, columns: int, most: int) -> tuple[list[int], int, int]:
    """The same, a byte at a time."""
    ends: list[int] = []
    quoted, begin, cells = False, 0, 0
    for place, byte in enumerate(data):
        if byte == 0:
            return ends, NUL, place
        if byte == ord('"'):
            quoted = not quoted
            if quoted and place and data[place - 1] not in b',\n"':
                return ends, QUOTED, place
            if not quoted and data[place + 1] not in b',\n"\r':
                return ends, QUOTED, place
        elif byte == ord("\r") and not quoted and data[place + 1] != ord("\n"):
            return ends, RETURN, place
        elif byte in b",\n" and not quoted:
            ends.append(place)
            cells += 1
            if byte == ord("\n"):
                if data[begin:place] in (b"", b"\r"):
                    return ends, EMPTY, begin
                if place - begin > most:
                    return ends, LONG, begin
                if cells != columns:
                    return ends, RAGGED, begin
                begin, cells = place + 1, 0
    return ends, GOOD, 0


def by_kernel(data: bytes, columns: int, most: int = 1 << 20) -> tuple[list[int], int, int]:
    ends, wrong, place = cell_ends(np.frombuffer(data, np.uint8), COMMA, columns, most)
    return ends.tolist(), wrong, place


PIECES = st.sampled_from(['"', '""', ",", "\n", "\r\n", "\r", "a", "é", "\0", " "])
CELLS = st.one_of(
    st.text("ab é", max_size=40),
    st.text('ab,"\n\r é', max_size=40).map(lambda text: '"' + text.replace('"', '""') + '"'),
)


@given(st.lists(PIECES, max_size=200), st.integers(1, 4), st.sampled_from([3, 1 << 20]))
@settings(max_examples=400)
def test_any_bytes(pieces: list[str], columns: int, most: int) -> None:
    data = ("".join(pieces) + "\n").encode()
    if data.count(b'"') % 2:  # a run of whole records closes its quotes
        data = b'"' + data
    found, expected = by_kernel(data, columns, most), by_bytes(data, columns, most)
    assert found[1:] == expected[1:]
    assert found[0][: len(expected[0])] == expected[0]


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=40), st.sampled_from(["\n", "\r\n"]))
@settings(max_examples=200)
def test_cells_of_whole_records(rows: list[tuple[str, str, str]], line: str) -> None:
    data = "".join(",".join(row) + line for row in rows).encode()
    ends, wrong, _ = by_kernel(data, 3)
    assert wrong == GOOD
    assert (ends, GOOD, 0) == by_bytes(data, 3, 1 << 20)
    bounds = np.array(ends).reshape(-1, 3)
    for column in range(3):
        cells = [row[column] for row in rows]
        found = column_text(np.frombuffer(data, np.uint8), bounds, column)
        if any(cell.startswith('"') for cell in cells):
            assert found is None
            continue
        assert found is not None
        offsets, text = found
        read = [text[start:end].tobytes().decode() for start, end in itertools.pairwise(offsets)]
        assert read == cells


@pytest.mark.parametrize("before", range(58, 70))
def test_what_is_wrong_at_the_edge_of_a_block(before: int) -> None:
    """A closing quote or a return may be the last byte of a block: what follows it is in the next one."""
    plain = b"x" * before
    for data in (
        plain + b',""y\n', plain + b',"a"\n', plain + b'"a",b\n', plain + b",\rb\n", plain + b",b\r\n",
        plain + b",a\n\n1,2\n", plain + b",\0\n", plain + b",a\n" + plain + b",b,c\n", b'"' + plain + b'",b\n',
    ):  # fmt: skip
        assert by_kernel(data, 2) == by_bytes(data, 2, 1 << 20)

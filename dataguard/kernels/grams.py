"""Runs of eight words, and before how many different words each stands: counted in a table of bits.

A run's hash is multilinear, as that of a shingle, but kept whole: 64 bits. In scripts without spaces a word is one
character; there a run is three times as long.

A run that was put into unlike texts stands behind many different words, while a run in the middle of a passage that
is copied as a whole stands behind one. So a cell of the table has a bit for each of 16 kinds of words before, and
setting one twice changes nothing: the table is the same whatever the order of the texts. Runs that share a cell can
only add bits, so that who reads the table is told of too many runs, never of too few. (Linear counting: Whang,
Vander-Zanden and Taylor, "A linear-time probabilistic counting algorithm for database applications", 1990.)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen
from dataguard.kernels.shingles import STEP, mixed64

U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

WIDTH = 8
"""Words in a run."""
PIECE = 5
"""Words in a piece of a run."""
FOLD = 3
"""How many times as long both are in scripts without spaces."""

_BLOCK = 1024
_1, _2, _3, _4, _5, _6, _7, _8 = (np.uint64(number) for number in range(1, 9))
_HALF = np.uint64(32)
_24 = np.uint64(24)
_1_16 = np.uint16(1)
_KIND = np.uint32(28)
"""The uppermost four bits of a word's number are its kind."""


class Texts(NamedTuple):
    """Texts whose runs are looked at.

    Attributes:
        ids: u32[T], words of all records, one after the other.
        ends: i64[n], where each record's words end.
        text_ends: i64[texts], where each text's words end; no text is empty or lies in two records.
        wide: u8[n], 1 for records in scripts without spaces.
    """

    ids: U32
    ends: I64
    text_ends: I64
    wide: U8


class Share(NamedTuple):
    """Which runs are looked at: those whose hash falls into one of equal shares.

    Attributes:
        salt: of the hashes; who does not know it cannot make runs meet.
        part: which share.
        parts: how many there are.
    """

    salt: int
    part: int
    parts: int


class Runs(NamedTuple):
    """Runs of words, in the order of the texts.

    Attributes:
        hashes: u64.
        records: i64, the record's number.
        at: i64, the number of the first word within the record.
        before: u8, the kind of the word before (0 to 15); for a text's first word the one in the middle of the
            text before (of the record's last text, for its first): what is next to a text may have been put in too.
    """

    hashes: U64
    records: I64
    at: I64
    before: U8


def count(texts: Texts, share: Share, cells: U16) -> None:
    """Sets in each run's cell the bit of the word before.

    Args:
        texts: some of them.
        share: which runs.
        cells: u16, of a length that is a power of two and at least 8; zeros at the start.
    """
    _walk(*_plain(texts), np.uint64(share.salt), share.part, share.parts, cells, np.empty(0, np.uint8))


def many(cells: U16, least: int) -> U8:
    """A bit for each cell: whether it has `least` bits set.

    Args:
        cells: u16, as `count` leaves them.
        least: bits.

    Returns:
        u8, an eighth of their number; the first cell's bit is the lowest of the first byte.
    """
    out = np.zeros(len(cells) // 8, np.uint8)
    _many(cells, least, out)
    return out


def marks(wanted: U64) -> U8:
    """A mark for the cell of each of some runs, as of `many`.

    Args:
        wanted: u64, their hashes.

    Returns:
        u8: bits, so many that of other runs hardly one in a hundred has a cell that is marked.
    """
    out = np.zeros((1 << max(22, (64 * len(wanted)).bit_length())) // 8, np.uint8)
    _mark(frozen(wanted), out)
    return out


@compiled
def _mark(wanted: U64, out: U8) -> None:
    mask = np.uint64(8 * len(out) - 1)
    for one in range(len(wanted)):
        cell = _cell(wanted[one], mask)
        out[cell >> _3] |= np.uint8(1 << (cell & _7))


def collect(texts: Texts, share: Share, marked: U8) -> Runs:
    """The runs whose cell is marked.

    Args:
        texts: as they were counted.
        share: as they were counted.
        marked: of `many`.
    """
    none = np.empty(0, np.uint16)
    return Runs(*_walk(*_plain(texts), np.uint64(share.salt), share.part, share.parts, none, marked))


def pieces(ids: U32, bounds: I64, salt: int) -> U64:
    """The hashes of the pieces of one run.

    Args:
        ids: u32, words.
        bounds: i64[3], first word, word behind the last, 1 for a script without spaces.
        salt: as for `stands`.

    Returns:
        u64, as many as there are places for a piece.
    """
    first, end, wide = (int(one) for one in bounds)
    width = PIECE * FOLD if wide else PIECE
    out = np.empty(max(0, end - first - PIECE + 1), np.uint64)
    if end - first < width:
        return out[:0]
    _hashes(frozen(ids), first, end - PIECE + 1, PIECE, np.uint64(salt), out)
    size = end - first - width + 1
    if wide:
        _folded(out, size, PIECE)
    return out[:size]


def stands(texts: Texts, salt: int, wanted: U64, counts: I64) -> None:
    """Adds in how many records each wanted piece stands.

    Args:
        texts: some of them.
        salt: of the hashes of pieces.
        wanted: u64[m], sorted and distinct hashes.
        counts: i64[m], to be added to.
    """
    bits = max(10, (8 * len(wanted)).bit_length())
    table = np.full(1 << bits, -1, np.int64)
    _filled(frozen(wanted), table)
    seen = np.full(len(wanted), -1, np.int64)
    _stands(*_plain(texts), np.uint64(salt), (frozen(wanted), table, seen, marks(wanted)), counts)


def _plain(texts: Texts) -> Texts:
    return Texts(frozen(texts.ids), frozen(texts.ends), frozen(texts.text_ends), frozen(texts.wide))


@compiled
def _walk(
    ids: U32, ends: I64, text_ends: I64, wide: U8, salt: Any, part: int, parts: int, cells: U16, marked: U8
) -> Any:
    """Counts runs in `cells`, or collects those that are `marked`: of the two the one that is not empty."""
    hashes, records = np.empty(0, np.uint64), np.empty(0, np.int64)
    at, before = np.empty(0, np.int64), np.empty(0, np.uint8)
    found = 0
    buffer, cell = np.empty(_BLOCK + FOLD * WIDTH, np.uint64), np.empty(_BLOCK, np.uint64)
    chosen, every = np.empty(_BLOCK + 1, np.int64), np.arange(_BLOCK)
    record = last = 0
    start = first = np.int64(0)
    for text in range(len(text_ends)):
        while ends[record] <= start:
            first = ends[record]
            record += 1
        while text_ends[last] < ends[record]:
            last += 1
        before_text = text - 1 if start > first else last
        begun = text_ends[before_text - 1] if before_text else np.int64(0)
        word_before = ids[(begun + text_ends[before_text]) // 2]
        width = WIDTH * FOLD if wide[record] else WIDTH
        for low in range(start, text_ends[text] - width + 1, _BLOCK):
            size = min(_BLOCK, text_ends[text] - width + 1 - low)
            _hashes(ids, low, low + size + width - WIDTH, WIDTH, salt, buffer)
            if wide[record]:
                _folded(buffer, size, WIDTH)
            places = every
            if parts > 1:
                size, places = _choose(buffer, size, part, parts, chosen), chosen
            if len(cells):
                _set(ids, (low, start, word_before), (buffer, places, size, cell), cells)
                continue
            kept = _marked(buffer, size, cell, marked)
            if found + kept > len(hashes):
                more = 2 * len(hashes) + _BLOCK
                hashes, records = _larger(hashes, more), _larger(records, more)
                at, before = _larger(at, more), _larger(before, more)
            for one in range(kept):
                run = cell[one]
                place = low + places[run]
                word = ids[place - 1] if place > start else word_before
                hashes[found], records[found], at[found] = buffer[run], record, place - first
                before[found] = np.uint8(word >> _KIND)
                found += 1
        start = text_ends[text]
    return hashes[:found].copy(), records[:found].copy(), at[:found].copy(), before[:found].copy()


@compiled
def _set(ids: U32, block: Any, runs: Any, cells: U16) -> None:
    """Sets the bits of a block of runs."""
    low, start, word_before = block
    hashes, places, size, cell = runs
    _cells(hashes, size, len(cells), cell)
    skip = np.int64(size > 0 and low + places[0] == start)  # no word stands before a text's first
    if skip:
        cells[cell[0]] |= _1_16 << np.uint16(word_before >> _KIND)
    for one in range(skip, size):
        cells[cell[one]] |= _1_16 << np.uint16(ids[np.uint64(low + places[one] - 1)] >> _KIND)


@compiled
def _cells(hashes: U64, size: int, count: int, out: U64) -> None:
    """The cells of runs, before anything is done there: they are computed for several at once."""
    mask = np.uint64(count - 1)
    for one in range(size):
        out[one] = _cell(hashes[one], mask)


@compiled
def _cell(hashed: Any, mask: Any) -> Any:
    """The cell of a run: the upper half says which share it is in, and is not what it is told by."""
    return ((hashed ^ (hashed >> _HALF)) * STEP >> _24) & mask


@compiled
def _marked(hashes: U64, size: int, cell: U64, marked: U8) -> int:
    """Writes the numbers of the runs whose cell is marked to `cell`, without a branch on what they are."""
    _cells(hashes, size, 8 * len(marked), cell)
    found = 0
    for one in range(size):
        bit = marked[cell[one] >> _3] >> np.uint8(cell[one] & _7)
        cell[found] = one
        found += bit & 1
    return found


@compiled
def _larger(array: Any, size: int) -> Any:
    larger = np.empty(size, array.dtype)
    larger[: len(array)] = array
    return larger


@compiled
def _hashes(ids: U32, low: int, high: int, width: int, salt: Any, out: U64) -> None:
    """The hashes of the runs of WIDTH or PIECE words that start at `low`, up to `high`."""
    base = mixed64(salt + np.uint64(width))
    k0 = mixed64(base + STEP) | _1
    k1 = mixed64(base + _2 * STEP) | _1
    k2 = mixed64(base + _3 * STEP) | _1
    k3 = mixed64(base + _4 * STEP) | _1
    k4 = mixed64(base + _5 * STEP) | _1
    k5 = mixed64(base + _6 * STEP) | _1
    k6 = mixed64(base + _7 * STEP) | _1
    k7 = mixed64(base + _8 * STEP) | _1
    at = np.uint64(low)
    for i in range(np.uint64(high - low)):
        j = at + i
        out[i] = (
            base
            + k0 * np.uint64(ids[j])
            + k1 * np.uint64(ids[j + _1])
            + k2 * np.uint64(ids[j + _2])
            + k3 * np.uint64(ids[j + _3])
            + k4 * np.uint64(ids[j + _4])
        )
    if width == WIDTH:
        for i in range(np.uint64(high - low)):
            j = at + i
            out[i] += k5 * np.uint64(ids[j + _5]) + k6 * np.uint64(ids[j + _6]) + k7 * np.uint64(ids[j + _7])


@compiled
def _folded(hashes: U64, size: int, step: int) -> None:
    """Makes of hashes of runs those of runs FOLD times as long, in place."""
    for i in range(size):
        hashes[i] = mixed64(mixed64(mixed64(hashes[i]) + hashes[i + step]) + hashes[i + 2 * step])


@compiled
def _choose(hashes: U64, size: int, part: int, parts: int, out: I64) -> int:
    """Leaves the hashes of one share, and tells their places, without a branch on what they are."""
    found = 0
    whole = np.uint64(parts)
    wanted = np.uint64(part)
    for i in range(size):
        one = hashes[i]
        out[found] = i
        hashes[found] = one
        found += ((one >> _HALF) * whole) >> _HALF == wanted
    return found


@compiled
def _many(cells: U16, least: int, out: U8) -> None:
    for i in range(len(cells)):
        # Bits are summed by two, four, eight; Numba makes 64 bits of all that is computed.
        value = np.uint64(cells[i])
        value -= (value >> _1) & np.uint64(0x5555)
        value = (value & np.uint64(0x3333)) + ((value >> _2) & np.uint64(0x3333))
        value = (value + (value >> _4)) & np.uint64(0x0F0F)
        value = (value + (value >> _8)) & np.uint64(31)
        if value >= least:
            out[i >> 3] |= np.uint8(1 << (i & 7))


@compiled
def _filled(wanted: U64, table: I64) -> None:
    mask = np.uint64(len(table) - 1)
    for one in range(len(wanted)):
        cell = mixed64(wanted[one]) & mask
        while table[cell] >= 0:
            cell = (cell + _1) & mask
        table[cell] = one


@compiled
def _stands(ids: U32, ends: I64, text_ends: I64, wide: U8, salt: Any, sought: Any, counts: I64) -> None:
    wanted, table, seen, marked = sought
    mask = np.uint64(len(table) - 1)
    buffer, kept = np.empty(_BLOCK + FOLD * PIECE, np.uint64), np.empty(_BLOCK, np.uint64)
    record = 0
    start = np.int64(0)
    for text in range(len(text_ends)):
        while ends[record] <= start:
            record += 1
        width = PIECE * FOLD if wide[record] else PIECE
        for low in range(start, text_ends[text] - width + 1, _BLOCK):
            size = min(_BLOCK, text_ends[text] - width + 1 - low)
            _hashes(ids, low, low + size + width - PIECE, PIECE, salt, buffer)
            if wide[record]:
                _folded(buffer, size, PIECE)
            for i in range(_marked(buffer, size, kept, marked)):
                hashed = buffer[kept[i]]
                cell = mixed64(hashed) & mask
                while table[cell] >= 0:
                    one = table[cell]
                    if wanted[one] == hashed:
                        counts[one] += seen[one] != record
                        seen[one] = record
                        break
                    cell = (cell + _1) & mask
        start = text_ends[text]


def warm() -> None:
    """Compiles the kernels of this module."""
    ids = np.arange(2 * WIDTH, dtype=np.uint32)
    ends = np.array([2 * WIDTH])
    texts = Texts(ids, ends, ends, np.zeros(1, np.uint8))
    cells = np.zeros(8, np.uint16)
    count(texts, Share(0, 0, 1), cells)
    collect(texts, Share(0, 0, 1), many(cells, 1))
    wanted = np.unique(pieces(ids, np.array([0, WIDTH, 0]), 0))
    marks(wanted)
    pieces(ids, np.array([0, 2 * WIDTH, 1]), 0)
    stands(texts, 0, wanted, np.zeros(len(wanted), np.int64))

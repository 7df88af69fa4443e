"""Where the cells of delimited text end, and the first place where two readers would see other cells.

64 bytes are looked at at once. Which of them stand within quotes is told by the parity of the quotes in front, summed up
by shifts of a bit mask (Langdale and Lemire 2019, who do so for JSON); only ends of cells are met one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen
from dataguard.kernels.vectors import BLOCK, inlined, lowest

GOOD, NUL, QUOTED, RETURN, EMPTY, LONG, RAGGED = range(7)
"""What can be wrong: nothing; a NUL byte; a quote within a cell; a bare carriage return; an empty line; a record that is
too long; one of more or fewer cells."""
_QUOTE, _LINE, _RETURN, _NUL = ord('"'), ord("\n"), ord("\r"), 0
_0, _1 = np.uint64(0), np.uint64(1)
_ALL, _LAST = ~np.uint64(0), np.uint64(BLOCK - 1)
_NOWHERE = np.int64(1) << 62


def cell_ends(
    data: NDArray[np.uint8], delimiter: int, columns: int, most: int
) -> tuple[NDArray[np.int64], int, int]:
    """Where cells end, up to the first record that is not as it should be.

    Args:
        data: u8, whole records, each with the end of its line.
        delimiter: the byte between cells.
        columns: cells of each record.
        most: bytes that a record may have.

    Returns:
        i64, the places of delimiters and line ends outside of quotes, ascending; what is wrong first, GOOD for nothing;
        and where, for a record its first byte.
    """
    if data.size < BLOCK:  # the kernel reads whole blocks, the last one backwards from the end
        padded = np.concatenate([np.full(BLOCK - data.size, _LINE, np.uint8), data])
        return _ends(padded, data.size, (delimiter, columns, most))
    return _ends(data, data.size, (delimiter, columns, most))


def _ends(
    data: NDArray[np.uint8], size: int, asked: tuple[int, int, int]
) -> tuple[NDArray[np.int64], int, int]:
    out = np.empty(size, np.int64)  # the pages of which are never touched beyond what is found
    found, wrong, place = _cell_ends(frozen(data), size, asked, out)
    return out[:found], wrong, place


def column_text(
    data: NDArray[np.uint8], bounds: NDArray[np.int64], column: int
) -> tuple[NDArray[np.int64], NDArray[np.uint8]] | None:
    """The cells of one column as Arrow has strings: offsets and bytes; None where one is in quotes.

    Args:
        data: u8, whole records, as in `cell_ends`.
        bounds: i64[records, columns], where the cells end; without quotes around it a cell has no return at its end.
        column: its number.
    """
    offsets = np.empty(len(bounds) + 1, np.int64)
    starts = np.empty(len(bounds), np.int64)
    if not _measured(frozen(data), bounds, column, starts, offsets):
        return None
    text = np.empty(offsets[-1], np.uint8)
    _gathered(frozen(data), starts, offsets, text)
    return offsets, text


def warm() -> None:
    """Compiles the kernels of this module."""
    data = np.frombuffer(b"a,b\n" * BLOCK, np.uint8)
    ends, _, _ = cell_ends(data, ord(","), 2, 10)
    column_text(data, ends.reshape(-1, 2), 1)


@cast("Callable[..., Any]", intrinsic)
def _special(_context: Any, data: Any, _at: Any, _delimiter: Any) -> Any:
    """Masks of the 64 bytes at `at`: delimiters, quotes, line ends, carriage returns, NUL bytes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.VectorType(ir.IntType(8), BLOCK)
        array = context.make_array(signature.args[0])(context, builder, args[0])
        pointer = builder.bitcast(builder.gep(array.data, [args[1]]), kind.as_pointer())
        vector = builder.load(pointer, align=1)
        undefined = ir.Constant(kind, ir.Undefined)
        one = builder.insert_element(undefined, builder.trunc(args[2], ir.IntType(8)), cgutils.int32_t(0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), BLOCK), [0] * BLOCK)
        wanted = [
            builder.shuffle_vector(one, undefined, everywhere),
            *(ir.Constant(kind, [value] * BLOCK) for value in (_QUOTE, _LINE, _RETURN, _NUL)),
        ]
        masks = [
            builder.bitcast(builder.icmp_unsigned("==", vector, value), ir.IntType(64)) for value in wanted
        ]
        return context.make_tuple(builder, signature.return_type, masks)

    return cast("Any", types.UniTuple)(types.uint64, 5)(data, types.int64, types.int64), generate


@inlined
def _parity(quotes: Any) -> Any:
    """At each bit whether the number of bits up to it is odd."""
    for shift in (1, 2, 4, 8, 16, 32):
        quotes ^= quotes << np.uint64(shift)
    return quotes


@inlined
def _first(mask: Any, at: Any) -> Any:
    """The place of the first byte of a mask."""
    return at + lowest(mask) if mask else _NOWHERE


@inlined
def _trouble(base: Any, nuls: Any, bad_open: Any, bad_close: Any, bare: Any) -> Any:
    """What is wrong first in a block, and where; of returns and closing quotes the byte behind them tells."""
    wrong, place = np.int64(GOOD), _NOWHERE
    if nuls | bad_open | bad_close | bare:
        for kind, first in (
            (NUL, _first(nuls, base)),
            (QUOTED, _first(bad_open, base)),
            (QUOTED, _first(bad_close, base - 1)),
            (RETURN, _first(bare, base - 1)),
        ):
            if first < place:
                wrong, place = np.int64(kind), first
    return wrong, place


@inlined
def _record(data: Any, where: Any, whole: Any, most: Any) -> Any:
    """What is wrong with a record: its first byte and its length without the line end."""
    start, length = where
    if length == 0 or (length == 1 and data[start] == _RETURN):
        return np.int64(EMPTY)
    if length > most:
        return np.int64(LONG)
    return np.int64(GOOD if whole else RAGGED)


@compiled
def _cell_ends(data: Any, size: Any, asked: Any, out: Any) -> Any:
    delimiter, columns, most = asked
    skipped = data.size - size  # what a short run was padded with
    found, begin, cells = np.int64(0), np.int64(0), np.int64(0)
    # Of the byte in front: within quotes or not, a place to open a quote behind, a closing quote, a return outside.
    within, opens_here, closed, returned = _0, _1, _0, _0
    for base in range(0, size, BLOCK):
        at = min(base, size - BLOCK) + skipped
        shift = np.uint64(base + skipped - at)
        commas, quotes, lines, returns, nuls = _special(data, at, delimiter)
        commas, quotes, lines, returns, nuls = (
            commas >> shift, quotes >> shift, lines >> shift, returns >> shift, nuls >> shift
        )  # fmt: skip
        inside = _parity(quotes) ^ within
        opening, closing = quotes & inside, quotes & ~inside
        around = commas | lines | quotes
        bad_open = opening & ~(around << _1 | opens_here)
        bad_close = (closing << _1 | closed) & ~(around | returns)
        outside = returns & ~inside
        bare = (outside << _1 | returned) & ~lines
        if shift:  # the shift brought zeros to the end, and no bytes
            there = _ALL >> shift
            bad_close, bare = bad_close & there, bare & there
        wrong, trouble = _trouble(base, nuls, bad_open, bad_close, bare)
        ends = (commas | lines) & ~inside
        while ends:
            bit = ends & (_0 - ends)
            place = base + lowest(ends)
            ends ^= bit
            if place > trouble:
                break
            out[found] = place
            found += 1
            cells += 1
            if lines & bit:
                wrong_record = _record(data, (begin + skipped, place - begin), cells == columns, most)
                if wrong_record != GOOD:
                    return found, wrong_record, begin
                begin, cells = place + 1, np.int64(0)
        if trouble < _NOWHERE:
            return found, wrong, trouble
        within = _0 - (inside >> _LAST)
        opens_here, closed, returned = around >> _LAST, closing >> _LAST, outside >> _LAST
    return found, np.int64(GOOD), np.int64(0)


@compiled
def _measured(data: Any, bounds: Any, column: Any, starts: Any, offsets: Any) -> bool:
    before, last = np.int64(0), bounds.shape[1] - 1
    offsets[0] = 0
    for row in range(len(bounds)):
        start = bounds[row, column - 1] + 1 if column else before
        end = bounds[row, column]
        if end > start:
            if data[start] == _QUOTE:
                return False
            end -= data[end - 1] == _RETURN
        starts[row], offsets[row + 1] = start, offsets[row] + end - start
        before = bounds[row, last] + 1
    return True


@compiled
def _gathered(data: Any, starts: Any, offsets: Any, text: Any) -> None:
    for row in range(len(starts)):
        shift = starts[row] - offsets[row]
        for place in range(offsets[row], offsets[row + 1]):
            text[place] = data[place + shift]

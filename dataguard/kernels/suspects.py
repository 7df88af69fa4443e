"""Which texts may hide something: told by their bytes, so that ordinary text is never looked at by character.

64 bytes are compared at once. Of most text there is nothing to look up; what is looked up are characters that begin as
invisible ones and rare Greek and Cyrillic ones do. The common letters of these two scripts matter only where they stand
next to a letter of another: whether they do is told by shifts of bit masks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen
from dataguard.kernels.vectors import BLOCK, inlined, lowest

LOOKED_UP = frozenset({0xC2, 0xCD, 0xD4, 0xD8, 0xE1, 0xE2, 0xE3, 0xEA, 0xEF, *range(0xF0, 0xF5)})
"""First bytes of the characters that are looked up."""
COMMON = range(0xCE, 0xD4)
"""First bytes of the common letters of Greek and Cyrillic."""

_SEEN = 4
"""Bytes at the start of a block that the block before has seen with all that stands before them."""
_MASKS = 6
_1, _2 = np.uint64(1), np.uint64(2)


def suspects(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], odd: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Values that hold an odd character, or a common Greek or Cyrillic letter beside a letter of another script.

    More may be told, never fewer.

    Args:
        data: u8, the bytes of the values: UTF-8.
        offsets: i64[n+1], where values begin and end in `data`, as Arrow has them: ascending, within `data`.
        odd: bool[0x110000], which characters are odd, by code point; those that begin with other bytes than
            LOOKED_UP are passed over.

    Returns:
        i64: their numbers, ascending.
    """
    if data.size < BLOCK:  # the kernel reads whole blocks, the last one backwards from the end
        data = np.concatenate([data, np.zeros(BLOCK - data.size, dtype=np.uint8)])
    out = np.zeros(len(offsets) - 1, np.bool_)
    _suspects(frozen(data), frozen(offsets), frozen(odd), out)
    return np.flatnonzero(out)


def warm() -> None:
    """Compiles the kernel of this module."""
    suspects(np.zeros(1, np.uint8), np.array([0, 1]), np.zeros(0x110000, np.bool_))


@cast("Callable[..., Any]", intrinsic)
def _look(_context: Any, data: Any, _at: Any) -> Any:
    """Masks of the 64 bytes at `at`.

    They are: bytes beyond ASCII; ASCII's letters; first bytes of common letters of Greek and Cyrillic; first bytes of
    other characters beyond ASCII; later bytes of characters; second bytes of characters to be looked up.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.VectorType(ir.IntType(8), BLOCK)
        array = context.make_array(signature.args[0])(context, builder, args[0])
        pointer = builder.bitcast(builder.gep(array.data, [args[1]]), kind.as_pointer())
        vector = builder.load(pointer, align=1)
        word = ir.IntType(64)

        def bits(mask: Any) -> Any:
            return builder.bitcast(mask, word)

        def among(values: Any, first: int, last: int) -> Any:
            """Which are from `first` to `last`: one comparison, because what is below wraps around."""
            low, span = (ir.Constant(values.type, [value] * BLOCK) for value in (first, last - first))
            return bits(builder.icmp_unsigned("<=", builder.sub(values, low), span))

        def behind(*firsts: Any) -> Any:
            every = firsts[0]
            for one in firsts[1:]:
                every = builder.or_(every, one)
            return builder.shl(every, ir.Constant(word, 1))

        small = builder.or_(vector, ir.Constant(kind, [0x20] * BLOCK))
        beyond, begins = among(vector, 0x80, 0xFF), among(vector, 0xC0, 0xFF)
        common = among(vector, COMMON.start, COMMON.stop - 1)
        looked = behind(
            *(among(vector, first, first) for first in (0xCD, 0xD4)),
            among(vector, 0xE1, 0xE2),
            among(vector, 0xF0, 0xF4),
        )
        # Of these the second byte tells more: most of Arabic, Japanese and Korean begins with them.
        for first, (low, high) in ((0xC2, (0xAD, 0xAD)), (0xD8, (0x9C, 0x9C)), (0xE3, (0x85, 0x85)),
                                   (0xEA, (0x80, 0xAF)), (0xEF, (0xB8, 0xBB)), (0xEF, (0xBE, 0xBF))):  # fmt: skip
            second = builder.and_(behind(among(vector, first, first)), among(vector, low, high))
            looked = builder.or_(looked, second)
        goes_on = builder.xor(beyond, begins)
        other = builder.and_(begins, builder.not_(common))
        every = (beyond, among(small, ord("a"), ord("z")), common, other, goes_on, looked)
        return context.make_tuple(builder, signature.return_type, every)

    return cast("Any", types.UniTuple)(types.uint64, _MASKS)(data, types.int64), generate


@inlined
def _code(data: Any, at: Any, end: Any) -> Any:
    """The code point of the character that begins at `at`."""
    first = np.int64(data[at])
    length = 2 + (first >= 0xE0) + (first >= 0xF0)
    if at + length > end:
        return np.int64(0)
    code = first & (0x7F >> length)
    for place in range(1, length):
        code = code << 6 | np.int64(data[at + place]) & 0x3F
    return code


@inlined
def _is_sign(data: Any, at: Any) -> Any:
    """Whether the character that begins at `at` is a sign of the Latin-1 block or of punctuation, and no letter."""
    if data[at] == 0xC2:
        second = data[at + 1]
        return second != 0xAA and second != 0xB5 and second != 0xBA
    return data[at] == 0xE2 and data[at + 1] == 0x80


@inlined
def _letter_before(data: Any, at: Any, start: Any) -> Any:
    """Whether the character before `at` may be a letter; it stands in the same value, and is one where it is ASCII."""
    before = at - 1
    while before > start and data[before] & 0xC0 == 0x80:
        before -= 1
    return data[before] < 0x80 or not _is_sign(data, before)


@inlined
def _suspect(data: Any, base: Any, value: Any, odd: Any) -> Any:
    """Whether something in the block at `base` is to be looked at."""
    start, end = value
    at = min(base, data.size - BLOCK)
    beyond, letter, common, other, goes_on, looked = _look(data, at)
    # Bits of this block alone: where it was read backwards from the end of the data, those before it are of no use.
    shift = np.uint64(base - at)
    keep = ~np.uint64(0) << shift
    if end - at < BLOCK:
        keep &= (_1 << np.uint64(end - at)) - _1
    if not beyond & keep:
        return False
    new = keep & keep << np.uint64(_SEEN) if base > start else keep
    letter, common, other, goes_on = letter & keep, common & keep, other & keep, goes_on & keep
    looked &= new & keep << _1
    while looked:
        place = at + lowest(looked) - 1
        looked &= looked - _1
        if odd[_code(data, place, end)]:
            return True
    within = common << _2
    before = common & (letter << _1 | goes_on << _1 & ~within) & new
    while before:
        place = at + lowest(before)
        before &= before - _1
        if _letter_before(data, place, start):
            return True
    behind = within & (letter | other) & new
    while behind:
        place = at + lowest(behind)
        behind &= behind - _1
        if data[place] < 0x80 or not _is_sign(data, place):
            return True
    return False


@compiled
def _suspects(data: Any, offsets: Any, odd: Any, out: Any) -> None:
    for number in range(len(out)):
        start, end = offsets[number], offsets[number + 1]
        for base in range(start, end, BLOCK - _SEEN):
            if _suspect(data, base, (start, end), odd):
                out[number] = True
                break

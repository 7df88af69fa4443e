"""Paragraphs of texts and their keyed hashes: lines that are long enough, and runs of lines that only together are.

64 bytes are compared at once; what comes out are bits: which byte ends a line, which is a space, which a letter. Ends
of lines and counts of words follow by arithmetic, and what is left to do is to hash eight bytes at a time. (Bit masks in
place of a state machine: Langdale and Lemire, "Parsing gigabytes of JSON per second", VLDB Journal 2019.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen
from dataguard.kernels.vectors import BLOCK, inlined, lowest, mix

_MASKS = 6
_0, _1, _2, _63, _64 = (np.uint64(number) for number in (0, 1, 2, 63, 64))
_EVERY = 0x0101010101010101
_BLANK, _LOW, _HIGH = np.uint64(0x20), np.uint64(_EVERY * 0x7F), np.uint64(_EVERY * 0x80)
_FROM_A, _BEYOND_Z = np.uint64(_EVERY * (0x80 - ord("A"))), np.uint64(_EVERY * (0x7F - ord("Z")))


class Paragraphs(NamedTuple):
    """The P paragraphs of n strings, in the order in which they stand there.

    Attributes:
        key: u64[P], the hash of each paragraph: equal for equal ones, wherever they stand.
        value: i64[P], the number of its string.
        start: i64[P], its first byte in its string.
        length: i64[P], its bytes from the first to the last that is no space.
        sums: u64[n], the sum of the hashes of each string's lines, short ones too, mod 2^64.
    """

    key: NDArray[np.uint64]
    value: NDArray[np.int64]
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    sums: NDArray[np.uint64]


def paragraphs(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], key: bytes, *, words: int, size: int
) -> Paragraphs:
    """Finds and hashes the paragraphs of strings that lie behind one another.

    A line ends at a line feed; how it is spaced and the case of ASCII's letters do not count. A line of enough words
    and bytes is a paragraph. Shorter ones are taken together up to a blank line, a paragraph, or the end of the
    string, and are one if together they have enough of both. So no byte is in two paragraphs.

    A word begins with a letter that follows no letter and no digit. Of characters from U+0800 on two count as a
    word more, because many scripts there have no spaces; signs (U+2000 to U+2FFF: dashes, quotes, frames) count
    as nothing.

    Args:
        data: u8, UTF-8; bytes that are not are still read within their string only.
        offsets: i64[n+1], where values begin and end in `data`, as Arrow has them: ascending, within `data`.
        key: 32 bytes. Who does not know them cannot look for paragraphs with equal hashes.
        words: the fewest words of a paragraph.
        size: its fewest bytes, counted with one for each run of spaces, line ends included.
    """
    if data.size < BLOCK:  # the kernel reads whole blocks, the last one backwards from the end
        data = np.concatenate([data, np.zeros(BLOCK - data.size, dtype=np.uint8)])
    most = int(offsets[-1] - offsets[0]) // max(1, size) + 1
    keys, value, start, length = np.empty(most, np.uint64), *(np.empty(most, np.int64) for _ in range(3))
    sums = np.empty(len(offsets) - 1, np.uint64)
    least, secrets = np.array([words, size]), np.frombuffer(key, "<u8").astype(np.uint64)
    n = _paragraphs(frozen(data), frozen(offsets), secrets, least, keys, value, start, length, sums)
    return Paragraphs(keys[:n], value[:n], start[:n], length[:n], sums)


def warm() -> None:
    """Compiles the kernel of this module."""
    paragraphs(np.zeros(1, np.uint8), np.array([0, 1]), bytes(32), words=8, size=40)


@cast("Callable[..., Any]", intrinsic)
def _look(_context: Any, data: Any, _at: Any) -> Any:
    """Masks of the 64 bytes at `at`: line feeds, spaces, blanks (U+0020), letters, parts of words, wide characters."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = _load(context, builder, signature.args[0], args, ir.VectorType(ir.IntType(8), BLOCK))

        def among(values: Any, first: int, last: int) -> Any:
            """Which are from `first` to `last`: one comparison, because what is below wraps around."""
            low, span = (ir.Constant(values.type, [value] * BLOCK) for value in (first, last - first))
            return builder.icmp_unsigned("<=", builder.sub(values, low), span)

        small = builder.or_(vector, ir.Constant(vector.type, [0x20] * BLOCK))
        feed, blank = among(vector, 0x0A, 0x0A), among(vector, 0x20, 0x20)
        space = builder.or_(blank, among(vector, 0x09, 0x0D))
        # The first bytes of characters; what starts with 0xC2 or 0xE2 is mostly a sign.
        wide = builder.or_(among(vector, 0xE0, 0xE1), among(vector, 0xE3, 0xFF))
        letter = builder.or_(builder.or_(among(small, ord("a"), ord("z")), among(vector, 0xC3, 0xDF)), wide)
        other = builder.or_(among(vector, ord("0"), ord("9")), among(vector, ord("_"), ord("_")))
        word = builder.or_(builder.or_(letter, other), among(vector, 0x80, 0xBF))
        bits = [builder.bitcast(mask, ir.IntType(64)) for mask in (feed, space, blank, letter, word, wide)]
        return context.make_tuple(builder, signature.return_type, bits)

    return _masks(data, types.int64), generate


_masks = cast("Any", types.UniTuple)(types.uint64, _MASKS)


@cast("Callable[..., Any]", intrinsic)
def _eight(_context: Any, data: Any, _at: Any) -> Any:
    """The eight bytes at `at` as a number, the first one lowest."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _load(context, builder, signature.args[0], args, ir.IntType(64))

    return types.uint64(data, types.int64), generate


def _load(context: Any, builder: Any, array: Any, args: Any, kind: Any) -> Any:
    """What stands at an address that need not be aligned."""
    pointer = builder.gep(context.make_array(array)(context, builder, args[0]).data, [args[1]])
    return builder.load(builder.bitcast(pointer, kind.as_pointer()), align=1)


@cast("Callable[..., Any]", intrinsic)
def _ones(_context: Any, _mask: Any) -> Any:
    """How many bits are set."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.uint64), generate


@inlined
def _block(data: Any, base: Any, end: Any) -> Any:
    """The masks of the block at `base`, without what stands from `end` on; `base` is below it."""
    at = min(base, data.size - BLOCK)
    shift, keep = np.uint64(base - at), ~_0
    if end - base < BLOCK:
        keep = (_1 << np.uint64(end - base)) - _1
    feed, space, blank, letter, word, wide = _look(data, at)
    return (
        feed >> shift & keep,
        space >> shift & keep,
        blank >> shift & keep,
        letter >> shift & keep,
        word >> shift & keep,
        wide >> shift & keep,
    )


@inlined
def _line_end(data: Any, at: Any, end: Any) -> Any:
    """Where the line ends that goes on at `at`."""
    while at < end:
        feed = _block(data, at, end)[0]
        if feed:
            return at + lowest(feed)
        at += BLOCK
    return end


@inlined
def _is_space(byte: Any) -> Any:
    return byte == 0x20 or 0x09 <= byte <= 0x0D


@inlined
def _trimmed(data: Any, first: Any, last: Any) -> Any:
    """A range of bytes without the spaces at its ends."""
    while first < last and _is_space(data[first]):
        first += 1
    while first < last and _is_space(data[last - 1]):
        last -= 1
    return first, last


@inlined
def _words(data: Any, first: Any, last: Any) -> Any:
    """The words of a trimmed line, and whether it is spaced by anything but single blanks."""
    words, wides = np.int64(0), np.int64(0)
    after = spaced = uneven = _0
    for base in range(first, last, BLOCK):
        _, space, blank, letter, word, wide = _block(data, base, last)
        words += _ones(letter & ~(word << _1 | after))
        wides += _ones(wide)
        uneven |= (space & ~blank) | (space & (space << _1 | spaced))
        after, spaced = word >> _63, space >> _63
    return words + wides // 2, uneven != _0


@inlined
def _small(eight: Any) -> Any:
    """Eight bytes with ASCII's letters in lower case: in a byte from A to Z one of two sums reaches the highest bit."""
    plain = eight & _LOW
    capital = (plain + _FROM_A) & ~(plain + _BEYOND_Z) & ~eight & _HIGH
    return eight | capital >> _2


@inlined
def _hash_plain(data: Any, first: Any, last: Any, secrets: Any) -> Any:
    """The hash of a line that single blanks space, and its size."""
    state, size = secrets[0], last - first
    beyond = data.size - 8
    while first < last:
        # Near the end of the data they are read backwards from the end, and moved to where they belong.
        late = max(np.int64(0), first - beyond)
        eight = _eight(data, first - late) >> np.uint64(8 * late)
        if last - first < 8:
            eight &= (_1 << np.uint64(8 * (last - first))) - _1
        state = mix(state ^ _small(eight), secrets[1])
        first += 8
    return mix(state ^ np.uint64(size), secrets[2]), size


@inlined
def _hash_uneven(data: Any, first: Any, last: Any, secrets: Any) -> Any:
    """The hash of a line as if single blanks spaced it, and its size then."""
    state, eight, held, size = secrets[0], _0, _0, np.int64(0)
    before = False
    for at in range(first, last):
        space = _is_space(data[at])
        # What is left out counts as nothing and moves nothing: a branch would be guessed wrong too often.
        kept = np.uint64(not (space and before))
        eight |= (_BLANK if space else np.uint64(data[at])) * kept << held
        held += kept << np.uint64(3)
        before = space
        if held == _64:
            state = mix(state ^ _small(eight), secrets[1])
            eight, held, size = _0, _0, size + 8
    if held:
        state = mix(state ^ _small(eight), secrets[1])
        size += np.int64(held >> np.uint64(3))
    return mix(state ^ np.uint64(size), secrets[2]), size


@inlined
def _line(data: Any, first: Any, last: Any, secrets: Any) -> Any:
    """Words, hash and size of a trimmed line that is not empty."""
    words, uneven = _words(data, first, last)
    if uneven:
        hashed, size = _hash_uneven(data, first, last, secrets)
    else:
        hashed, size = _hash_plain(data, first, last, secrets)
    return words, hashed, size


@compiled
def _paragraphs(
    data: Any,
    offsets: Any,
    secrets: Any,
    least: Any,
    key: Any,
    value: Any,
    start: Any,
    length: Any,
    sums: Any,
) -> Any:
    n = 0
    for number in range(len(offsets) - 1):
        begin, end = offsets[number], offsets[number + 1]
        sums[number] = 0
        # Of the shorter lines in a row: hash, words, size, and where they begin and end.
        run, run_words, run_size, run_first, run_last = secrets[3], np.int64(0), np.int64(0), begin, begin
        at = begin
        while at <= end:  # the end of the string ends a run as a blank line does
            stop = _line_end(data, at, end)
            first, last = _trimmed(data, at, stop)
            at = stop + 1
            long = False
            if first < last:
                words, hashed, size = _line(data, first, last, secrets)
                sums[number] += hashed
                long = words >= least[0] and size >= least[1]
                if not long:
                    run_first = run_first if run_size else first
                    run_last, run = last, mix(run ^ hashed, secrets[1])
                    run_words, run_size = run_words + words, run_size + size + 1
            if run_size and (long or first == last or at > end):
                if run_words >= least[0] and run_size > least[1]:
                    key[n], value[n] = mix(run, secrets[2]), number
                    start[n], length[n] = run_first - begin, run_last - run_first
                    n += 1
                run, run_words, run_size = secrets[3], np.int64(0), np.int64(0)
            if long:
                key[n], value[n] = hashed, number
                start[n], length[n] = first - begin, last - first
                n += 1
    return n

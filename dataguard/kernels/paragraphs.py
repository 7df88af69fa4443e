"""Paragraphs of texts and their keyed hashes: lines that are long enough, and runs of lines that only together are.

64 bytes are compared at once; what comes out are bits: which byte is a space, which a letter. The pieces between
spaces follow by arithmetic and are hashed eight bytes at a time, so that it does not matter how they are spaced. (Bit
masks in place of a state machine: Langdale and Lemire, "Parsing gigabytes of JSON per second", VLDB Journal 2019.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from dataguard.kernels.compiled import compiled

NO_LINE = np.uint64(0xFFFFFFFFFFFFFFFF)
"""The mark of a string in which no line holds anything."""

_BLOCK = 64
_0, _1, _2, _LAST, _64 = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(63), np.uint64(64)
_LEFT, _RIGHT = np.uint64(29), np.uint64(35)
_HALF = np.uint64(33)
_FIRST, _SECOND = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_EVERY = np.uint64(0x0101010101010101)
_HIGH, _LOW = _EVERY * np.uint64(0x80), _EVERY * np.uint64(0x7F)
_FROM_A, _BEYOND_Z = _EVERY * np.uint64(0x80 - ord("A")), _EVERY * np.uint64(0x7F - ord("Z"))


class Paragraphs(NamedTuple):
    """The paragraphs of n strings, in the order in which they stand there.

    Attributes:
        key: u64[P], the hash of each paragraph: equal for equal paragraphs, wherever they stand.
        value: i64[P], the number of its string.
        start: i64[P], its first byte in its string.
        length: i64[P], its bytes from the first to the last that is no space.
        mark: u64[n], the smallest hash of a string's lines, short ones too; NO_LINE where there is none.
    """

    key: NDArray[np.uint64]
    value: NDArray[np.int64]
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    mark: NDArray[np.uint64]


def paragraphs(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], key: bytes, *, words: int, size: int
) -> Paragraphs:
    """Finds and hashes the paragraphs of strings that lie behind one another.

    A line ends at a line feed; how its pieces are spaced and the case of ASCII's letters do not count. A line of enough
    words and bytes is a paragraph. Shorter ones are taken together up to a blank line, a paragraph, or the end of the
    string, and are a paragraph if together they have enough of both. So no byte is in two paragraphs.

    A word begins with a letter that follows no letter and no digit. Of characters from U+0800 on two count as a
    word more, because many scripts there have no spaces; signs (U+2000 to U+2FFF: dashes, quotes, frames) count as
    nothing.

    Args:
        data: u8, UTF-8; bytes that are not are still read within their string only.
        offsets: i64[n+1], where each string begins in `data`, and where the last one ends: ascending, within `data`.
        key: secret bytes. Who does not know them cannot look for paragraphs with equal hashes.
        words: the fewest words of a paragraph.
        size: its fewest bytes, with one for the spaces between two pieces.
    """
    if data.size < _BLOCK:  # the kernel reads whole blocks, the last one backwards from the end
        data = np.concatenate([data, np.zeros(_BLOCK - data.size, dtype=np.uint8)])
    most = int(offsets[-1] - offsets[0]) // max(1, size) + 1
    out = (*(np.empty(most, np.int64) for _ in range(3)), np.empty(len(offsets) - 1, np.uint64))
    keys = np.empty(most, np.uint64)
    n = _paragraphs(_read_only(data), _read_only(offsets), _secrets(key), (words, size), keys, out)
    return Paragraphs(keys[:n], *(one[:n] for one in out[:3]), out[3])


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    """The same array, read-only: Arrow's buffers are, and the kernel is compiled for one type of array only."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _secrets(key: bytes) -> NDArray[np.uint64]:
    """Two seeds, for lines and for runs of lines, and two odd factors."""
    drawn = np.frombuffer(hashlib.sha256(b"paragraphs\0" + key).digest(), "<u8").astype(np.uint64)
    drawn[2:] |= _1
    return drawn


@cast("Callable[..., Any]", intrinsic)
def _look(_context: Any, data: Any, _at: Any) -> Any:
    """Masks of the 64 bytes at `at`: line feeds, spaces, blanks (U+0020), letters, parts of words, wide characters."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = _load(context, builder, signature.args[0], args, ir.VectorType(ir.IntType(8), _BLOCK))

        def among(values: Any, first: int, last: int) -> Any:
            """Which are from `first` to `last`: one comparison, because what is below wraps around."""
            low, span = (ir.Constant(values.type, [value] * _BLOCK) for value in (first, last - first))
            return builder.icmp_unsigned("<=", builder.sub(values, low), span)

        small = builder.or_(vector, ir.Constant(vector.type, [0x20] * _BLOCK))
        feed, blank = among(vector, 0x0A, 0x0A), among(vector, 0x20, 0x20)
        space = builder.or_(blank, among(vector, 0x09, 0x0D))
        wide = builder.or_(among(vector, 0xE0, 0xE1), among(vector, 0xE3, 0xFF))
        letter = builder.or_(builder.or_(among(small, ord("a"), ord("z")), among(vector, 0xC3, 0xDF)), wide)
        other = builder.or_(among(vector, ord("0"), ord("9")), among(vector, ord("_"), ord("_")))
        word = builder.or_(builder.or_(letter, other), among(vector, 0x80, 0xBF))
        bits = [builder.bitcast(mask, ir.IntType(64)) for mask in (feed, space, blank, letter, word, wide)]
        return context.make_tuple(builder, signature.return_type, bits)

    return types.UniTuple(types.uint64, 6)(data, types.int64), generate


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
def _lowest(_context: Any, _mask: Any) -> Any:
    """The position of the lowest bit that is set; 64 for none."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


@cast("Callable[..., Any]", intrinsic)
def _bits(_context: Any, _mask: Any) -> Any:
    """How many bits are set."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.uint64), generate


@compiled
def _block(data: Any, base: Any, end: Any) -> Any:
    """The masks of the block at `base`, without what stands from `end` on."""
    at = min(base, data.size - _BLOCK)
    shift, keep = np.uint64(base - at), ~_0
    if end - base < _BLOCK:
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


@compiled
def _line_end(data: Any, at: Any, end: Any) -> Any:
    """Where the line ends that goes on at `at`."""
    while at < end:
        feed = _block(data, at, end)[0]
        if feed:
            return at + _lowest(feed)
        at += _BLOCK
    return end


@compiled
def _is_space(byte: Any) -> Any:
    return byte == 0x20 or 0x09 <= byte <= 0x0D


@compiled
def _trimmed(data: Any, first: Any, last: Any) -> Any:
    """A range of bytes without the spaces at its ends."""
    while first < last and _is_space(data[first]):
        first += 1
    while first < last and _is_space(data[last - 1]):
        last -= 1
    return first, last


@compiled
def _words(data: Any, first: Any, last: Any) -> Any:
    """The words of a line, and whether its pieces are parted by anything but one blank."""
    words, wides = np.int64(0), np.int64(0)
    after = spaced = uneven = _0
    for base in range(first, last, _BLOCK):
        _, space, blank, letter, word, wide = _block(data, base, last)
        words += _bits(letter & ~(word << _1 | after))
        wides += _bits(wide)
        uneven |= (space & ~blank) | (space & (space << _1 | spaced))
        after, spaced = word >> _LAST, space >> _LAST
    return words + wides // 2, uneven != _0


@compiled
def _hash(data: Any, first: Any, last: Any, secrets: Any) -> Any:
    """The hash of a line whose pieces one blank parts, and its size."""
    state, size = secrets[0], last - first
    beyond = data.size - 8
    while first < last:
        # Near the end of the data they are read backwards from the end, and moved to where they belong.
        late = max(np.int64(0), first - beyond)
        eight = _eight(data, first - late) >> np.uint64(8 * late)
        if last - first < 8:
            eight &= (_1 << np.uint64(8 * (last - first))) - _1
        state = _mixed(state, _small(eight), secrets)
        first += 8
    return _settled(state ^ np.uint64(size)), size


@compiled
def _hash_evened(data: Any, first: Any, last: Any, secrets: Any) -> Any:
    """The hash of a line as if one blank parted its pieces, and its size then."""
    state, eight, held, size = secrets[0], _0, _0, np.int64(0)
    before = False
    for at in range(first, last):
        space = _is_space(data[at])
        # What is left out is shifted in as nothing, as a branch would be guessed wrong too often.
        kept = np.uint64(not (space and before))
        eight |= (np.uint64(0x20) if space else np.uint64(data[at])) * kept << held
        held += kept << np.uint64(3)
        before = space
        if held == _64:
            state = _mixed(state, _small(eight), secrets)
            eight, held, size = _0, _0, size + 8
    size += np.int64(held >> np.uint64(3))
    if held:
        state = _mixed(state, _small(eight), secrets)
    return _settled(state ^ np.uint64(size)), size


@compiled
def _small(eight: Any) -> Any:
    """Eight bytes with ASCII's letters in lower case: a byte from A to Z carries into its highest bit once, not twice."""
    plain = eight & _LOW
    capital = (plain + _FROM_A) & ~(plain + _BEYOND_Z) & ~eight & _HIGH
    return eight | capital >> _2


@compiled
def _mixed(state: Any, eight: Any, secrets: Any) -> Any:
    """The state after eight bytes more."""
    state ^= eight * secrets[3]
    return (state << _LEFT | state >> _RIGHT) * secrets[2]


@compiled
def _settled(state: Any) -> Any:
    """Every bit of the state in every bit of the hash (the finaliser of MurmurHash3)."""
    state = (state ^ (state >> _HALF)) * _FIRST
    state = (state ^ (state >> _HALF)) * _SECOND
    return state ^ (state >> _HALF)


@compiled
def _paragraphs(data: Any, offsets: Any, secrets: Any, least: Any, key: Any, out: Any) -> Any:
    value, start, length, mark = out
    least_words, least_size = least
    n = 0
    for number in range(len(offsets) - 1):
        begin, end = offsets[number], offsets[number + 1]
        smallest = NO_LINE
        # The shorter lines in a row: their hash, words, size, and where they begin and end.
        run, run_words, run_size, run_first, run_last = secrets[1], 0, 0, begin, begin
        at = begin
        while at <= end:  # the end of the string ends a run as a blank line does
            stop = _line_end(data, at, end)
            first, last = _trimmed(data, at, stop)
            at = stop + 1
            long, size = False, last - first
            if size:
                words, uneven = _words(data, first, last)
                if uneven:
                    hashed, size = _hash_evened(data, first, last, secrets)
                else:
                    hashed, size = _hash(data, first, last, secrets)
                smallest = min(smallest, hashed)
                long = words >= least_words and size >= least_size
                if not long:
                    run_first = run_first if run_size else first
                    run, run_words, run_size = (
                        _mixed(run, hashed, secrets),
                        run_words + words,
                        run_size + size + 1,
                    )
                    run_last = last
            if long or not size or at > end:
                if run_size > least_size and run_words >= least_words:
                    key[n], value[n] = _settled(run), number
                    start[n], length[n] = run_first - begin, run_last - run_first
                    n += 1
                run, run_words, run_size = secrets[1], 0, 0
            if long:
                key[n], value[n] = hashed, number
                start[n], length[n] = first - begin, last - first
                n += 1
        mark[number] = smallest
    return n

"""Words of texts as keyed 32-bit numbers, 64 bytes at a time.

A word is a run of ``[0-9A-Za-z_]`` and of characters beyond ASCII, ASCII's letters in lower case. Beyond ASCII,
punctuation and spaces end words, and a character of a script that is written without spaces is a word on its own
(`dataguard.kernels.scripts`), so that five words are five characters there. Bytes that are no UTF-8 are letters.

64 bytes are compared at once; what comes out are bits: which byte belongs to a word. Starts and ends of words follow
by arithmetic, without a branch for each byte; only characters beyond ASCII that may not be letters are looked at
one after the other. (The idea of bit masks in place of a state machine: Langdale and Lemire, "Parsing gigabytes of
JSON per second", VLDB Journal 2019.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, cast

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from dataguard.kernels.compiled import compiled
from dataguard.kernels.scripts import CHARACTER, LETTER, classes

BLOCK = 64
LANES = 16


class Tokens(NamedTuple):
    """Words of n values, one value after the other.

    Attributes:
        ids: u32[T], the keyed hash of each word: equal for equal words, wherever they stand.
        ends: i64[n], where each value's words end in `ids`; they start where those of the value before end.
        steps: u8[S], for each word the distance in bytes from the start of the word before it in the same value (of
            the first word: from the value's first byte) as a LEB128 varint. See `word_starts`.
        step_ends: i64[n], where each value's varints end in `steps`.
        characters: i64[n], how many words of each value are single characters of a script without spaces.
    """

    ids: NDArray[np.uint32]
    ends: NDArray[np.int64]
    steps: NDArray[np.uint8]
    step_ends: NDArray[np.int64]
    characters: NDArray[np.int64]


def tokenise(data: NDArray[np.uint8], offsets: NDArray[np.int64], key: int) -> Tokens:
    """The words of each value.

    Args:
        data: u8, the bytes of the values: UTF-8. Bytes that are not are still read within their value only.
        offsets: i64[n+1], where values begin and end in `data`, as Arrow has them: ascending, within `data`; the
            first need not be 0. A null slot is an empty value.
        key: 64 bits. Who does not know them cannot look for words with equal ids.

    Returns:
        the words; memory is taken for as many as there are, in steps, and not for as many as there could be.
    """
    if data.size < BLOCK:  # the kernel reads whole blocks, the last one backwards from the end
        data = np.concatenate([data, np.zeros(BLOCK - data.size, dtype=np.uint8)])
    return Tokens(*_tokenise(_read_only(data), _read_only(offsets), np.uint64(key), _classes()))


def word_starts(steps: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Where the words of one value start.

    Args:
        steps: u8, one value's part of `Tokens.steps`.

    Returns:
        i64, a byte of the value for each word.
    """
    return cast("NDArray[np.int64]", _word_starts(_read_only(steps)))


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    """The same array, read-only: Arrow's buffers are, and each kernel is compiled for one type of array only."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


_classes = cache(classes)


def _pointer(context: Any, builder: Any, array: tuple[Any, Any], at: Any) -> Any:
    """The address of an array's item."""
    kind, value = array
    return builder.gep(context.make_array(kind)(context, builder, value).data, [at])


def _load(builder: Any, pointer: Any, lanes: int) -> Any:
    """A vector of bytes from an address that need not be aligned."""
    vector = ir.VectorType(ir.IntType(8), lanes)
    return builder.load(builder.bitcast(pointer, vector.as_pointer()), align=1)


def _bytes(lanes: int, *values: int) -> Any:
    """A constant vector of bytes: one value in all lanes, or one value for each."""
    every = list(values) * (lanes // len(values))
    return ir.Constant(ir.VectorType(ir.IntType(8), lanes), every)


def _between(builder: Any, vector: Any, first: int, last: int) -> Any:
    """Which bytes are from `first` to `last`: one comparison, because what is below wraps around."""
    lanes = vector.type.count
    return builder.icmp_unsigned("<=", builder.sub(vector, _bytes(lanes, first)), _bytes(lanes, last - first))


@cast("Callable[..., Any]", intrinsic)
def _look(_context: Any, data: Any, _at: Any) -> Any:
    """Two masks of the 64 bytes at `at`: bytes of words (ASCII's, and all beyond ASCII); first bytes to look up.

    Two-byte characters are letters unless they start with 0xC2, so that Latin, Greek, Cyrillic, Hebrew and
    Arabic text has nothing to look up.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = _load(builder, _pointer(context, builder, (signature.args[0], args[0]), args[1]), BLOCK)
        small = builder.or_(vector, _bytes(BLOCK, 0x20))
        word = _between(builder, vector, 0x80, 0xFF)
        for among in (
            _between(builder, small, ord("a"), ord("z")),
            _between(builder, vector, ord("0"), ord("9")),
            _between(builder, vector, ord("_"), ord("_")),
        ):
            word = builder.or_(word, among)
        first = builder.or_(_between(builder, vector, 0xE0, 0xFF), _between(builder, vector, 0xC2, 0xC2))
        masks = [builder.bitcast(bits, ir.IntType(64)) for bits in (word, first)]
        return context.make_tuple(builder, signature.return_type, masks)

    return _pair(data, types.int64), generate


@cast("Callable[..., Any]", intrinsic)
def _folded(_context: Any, data: Any, _at: Any, _skip: Any, _length: Any) -> Any:
    """The 16 bytes at `at` in lower case as two numbers; bytes other than `length` ones after `skip` are 0."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = _load(builder, _pointer(context, builder, (signature.args[0], args[0]), args[1]), LANES)
        capital = builder.sext(_between(builder, vector, ord("A"), ord("Z")), vector.type)
        folded = builder.or_(vector, builder.and_(capital, _bytes(LANES, 0x20)))
        skip, length = (_splat(builder, builder.trunc(value, ir.IntType(8))) for value in args[2:])
        lane = builder.sub(_bytes(LANES, *range(LANES)), skip)
        kept = builder.sext(builder.icmp_unsigned("<", lane, length), vector.type)
        numbers = builder.bitcast(builder.and_(folded, kept), ir.VectorType(ir.IntType(64), 2))
        pair = [builder.extract_element(numbers, cgutils.int32_t(half)) for half in (0, 1)]
        return context.make_tuple(builder, signature.return_type, pair)

    return _pair(data, types.int64, types.int64, types.int64), generate


_pair = cast("Any", types.UniTuple)(types.uint64, 2)


def _splat(builder: Any, value: Any) -> Any:
    """One byte in all lanes."""
    vector = ir.VectorType(ir.IntType(8), LANES)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, cgutils.int32_t(0))
    return builder.shuffle_vector(
        one, ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    )


@cast("Callable[..., Any]", intrinsic)
def _mix(_context: Any, _a: Any, _b: Any) -> Any:
    """The product of two 64-bit numbers in 128 bits, its halves combined by exclusive or."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(value, wide) for value in args))
        high = builder.lshr(product, ir.Constant(wide, 64))
        return builder.trunc(builder.xor(product, high), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), generate


@cast("Callable[..., Any]", intrinsic)
def _lowest(_context: Any, _mask: Any) -> Any:
    """The position of the lowest bit that is set; 64 for none."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


@compiled
def _expand(key: Any) -> Any:
    """Four numbers from the key, by splitmix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    keys = np.empty(4, dtype=np.uint64)
    for i in range(4):
        key = np.uint64(key + np.uint64(0x9E3779B97F4A7C15))
        z = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        keys[i] = z ^ (z >> np.uint64(31))
    return keys[0], keys[1], keys[2], keys[3]


@compiled
def _sixteen(data: Any, at: Any, length: Any) -> Any:
    """The first `length` <= 16 bytes at `at` in lower case, as two numbers."""
    late = at - (data.size - LANES)
    if late <= 0:
        return _folded(data, at, 0, length)
    # Near the end of the data they are read backwards from the end, and moved to where they belong.
    low, high = _folded(data, at - late, late, length)
    bits = np.uint64(8 * (late % 8))
    if late >= 8:
        return high >> bits, np.uint64(0)
    return low >> bits | (high << (np.uint64(63) - bits)) << np.uint64(1), high >> bits


@compiled
def _hash(data: Any, start: Any, length: Any, keys: Any) -> Any:
    """The keyed hash of a word: 16 bytes at a time, each time a product of two numbers that nobody knows.

    The construction is that of wyhash and of XXH3's short inputs. No word has a byte 0, so bytes 0 after a
    word's end are told from the word itself.
    """
    state = keys[0]
    while length > LANES:
        low, high = _sixteen(data, start, LANES)
        state = _mix(low ^ state, high ^ keys[1])
        start += LANES
        length -= LANES
    low, high = _sixteen(data, start, length)
    return np.uint32(_mix(_mix(low ^ state, high ^ keys[1]) ^ keys[2], keys[3]) >> np.uint64(32))


@compiled
def _class(data: Any, at: Any, end: Any, table: Any) -> Any:
    """The class of the character that starts at `at` and how many bytes it has: a letter if it is no UTF-8."""
    lead = np.int64(data[at])
    length = 2 + (lead >= 0xE0) + (lead >= 0xF0)
    if at + length > end or lead > 0xF7:
        return LETTER, 1
    code = lead & (0x7F >> length)
    for i in range(1, length):
        follower = np.int64(data[at + i])
        if follower & 0xC0 != 0x80:
            return LETTER, 1
        code = code << 6 | follower & 0x3F
    if code >= table.size or code >> (5 * length - 4) == 0:  # no character, or one written too long
        return LETTER, 1
    return np.int64(table[code]), length


@compiled
def _scripts(data: Any, base: Any, end: Any, masks: Any, table: Any) -> Any:
    """Looks up the characters beyond ASCII that may be no letters.

    Args:
        data: u8, the bytes of all values.
        base: where the block starts.
        end: where the value ends.
        masks: u64, of the block: bytes of words; first bytes to look up; and what the block before left over:
            bytes that are no letters, bytes where a word ends and another one may start.
        table: u8, the class of each code point.

    Returns:
        u64 masks: bytes of words; bytes where a word ends and another one may start; both left over for the next
        block; and how many characters are words on their own.
    """
    word, first, cut, border = masks
    word &= ~cut
    next_cut, next_border, characters = np.uint64(0), np.uint64(0), 0
    while first:
        bit = np.uint64(_lowest(first))
        first &= first - np.uint64(1)
        kind, length = _class(data, base + np.int64(bit), end, table)
        if kind == LETTER:
            continue
        beyond = np.uint64(63) - bit  # shifted by one less and one more: a shift by 64 is not defined
        if kind == CHARACTER:
            both = np.uint64(1) | np.uint64(1) << np.uint64(length)
            border |= both << bit
            next_border |= both >> np.uint64(1) >> beyond
            characters += 1
        else:
            every = (np.uint64(1) << np.uint64(length)) - np.uint64(1)
            word &= ~(every << bit)
            next_cut |= every >> np.uint64(1) >> beyond
    return word, border, next_cut, next_border, characters


@compiled
def _block(data: Any, base: Any, end: Any) -> Any:
    """Both masks of the block of a value at `base`, without bytes behind the value's end."""
    at = min(base, data.size - BLOCK)
    word, first = _look(data, at)
    keep = ~np.uint64(0)
    if end - base < BLOCK:
        keep = (np.uint64(1) << np.uint64(end - base)) - np.uint64(1)
    shift = np.uint64(base - at)
    if shift >= np.uint64(BLOCK):
        keep = shift = np.uint64(0)
    return word >> shift & keep, first >> shift & keep


@compiled
def _larger(array: Any, used: Any, size: Any) -> Any:
    """A larger array that starts as `array` does."""
    larger = np.empty(size, dtype=array.dtype)
    larger[:used] = array[:used]
    return larger


@compiled
def _tokenise(data: Any, offsets: Any, key: Any, table: Any) -> Any:
    count = offsets.size - 1
    total = offsets[count] - offsets[0]
    ids = np.empty(total // 8 + BLOCK, dtype=np.uint32)
    steps = np.empty(total // 8 + BLOCK, dtype=np.uint8)
    ends, step_ends, characters = (
        np.empty(count, np.int64),
        np.empty(count, np.int64),
        np.empty(count, np.int64),
    )
    keys = _expand(key)
    one, none = np.uint64(1), np.uint64(0)
    words = bytes_ = 0
    for value in range(count):
        end = offsets[value + 1]
        start = before = offsets[value]
        inside = cut = border = none
        singles = 0
        for base in range(start, end + 1, BLOCK):  # a block of no bytes at the end closes the last word
            if words + BLOCK > ids.size:
                ids = _larger(ids, words, ids.size + ids.size // 2 + BLOCK)
            if bytes_ + 2 * BLOCK > steps.size:
                steps = _larger(steps, bytes_, steps.size + steps.size // 2 + 2 * BLOCK)
            word, first = _block(data, base, end)
            now, cut_now = border, cut
            border = cut = none
            if first | now | cut_now:
                word, now, cut, border, found = _scripts(data, base, end, (word, first, cut_now, now), table)
                singles += found
            previous = word << one | inside
            starts = word & (~previous | now)
            stops = previous & (~word | now)
            if not inside:
                start = base + _lowest(starts)
                starts &= starts - one
            inside = word >> np.uint64(63)
            while stops:
                stop = base + _lowest(stops)
                stops &= stops - one
                ids[words] = _hash(data, start, stop - start, keys)
                words += 1
                distance = start - before
                while distance >= 0x80:
                    steps[bytes_] = distance & 0x7F | 0x80
                    bytes_ += 1
                    distance >>= 7
                steps[bytes_] = distance
                bytes_ += 1
                before = start
                start = base + _lowest(starts)
                starts &= starts - one
        ends[value], step_ends[value], characters[value] = words, bytes_, singles
    return ids[:words], ends, steps[:bytes_], step_ends, characters


@compiled
def _word_starts(steps: Any) -> Any:
    starts = np.empty(steps.size, dtype=np.int64)
    words = at = shift = 0
    for step in steps:
        at += (step & 0x7F) << shift
        shift += 7
        if step < 0x80:
            starts[words] = at
            words += 1
            shift = 0
    return starts[:words].copy()

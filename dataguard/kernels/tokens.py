"""Words of texts as keyed 32-bit numbers, 64 bytes at a time.

A word is a run of ``[0-9A-Za-z_]`` and of characters beyond ASCII, ASCII's letters in lower case. A character of a
script that is written without spaces is a word on its own, and its punctuation ends words
(`dataguard.kernels.scripts`), so that five words are five characters there. Bytes that are no UTF-8 are letters.

64 bytes are compared at once; what comes out are bits: which byte belongs to a word. Starts and ends of words follow
by arithmetic, without a branch for each byte; only characters beyond ASCII that may not be letters are looked at
one after the other. (The idea of bit masks in place of a state machine: Langdale and Lemire, "Parsing gigabytes of
JSON per second", VLDB Journal 2019.)
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen
from dataguard.kernels.scripts import CHARACTER, LETTER, classes
from dataguard.kernels.vectors import BLOCK, LANES, folded, four, inlined, look, lowest, mix

ONE = np.uint64(1)
NONE = np.uint64(0)
_64_BITS = (1 << 64) - 1


class Tokens(NamedTuple):
    """Words of n values, one value after the other.

    Attributes:
        ids: u32[T], the keyed hash of each word: equal for equal words, wherever they stand.
        ends: i64[n], where each value's words end in `ids`; they start where those of the value before end.
        steps: u8[S], for each word the distance in bytes from the start of the word before it in the same value (of
            the first word: from the value's first byte) as a LEB128 varint. See `dataguard.kernels.spans`.
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
        the words; memory follows how many there are, but for the longest value, for which room is taken for as
        many as there could be (2.5 bytes for each of its own) until all is done.
    """
    if data.size < BLOCK:  # the kernel reads whole blocks, the last one backwards from the end
        data = np.concatenate([data, np.zeros(BLOCK - data.size, dtype=np.uint8)])
    texts, keys = (frozen(data), frozen(offsets)), _keys(key)
    count = len(offsets) - 1
    ends, step_ends, characters = (np.empty(count, np.int64) for _ in range(3))
    room = int(offsets[-1] - offsets[0]) // 7  # what most text needs
    ids, steps = np.empty(room, np.uint32), np.empty(room, np.uint8)
    done = (0, 0, 0)
    while True:
        columns = (ids, ends, steps, step_ends, characters)
        done = value, words, at = _fill(texts, columns, done, keys, _classes())
        if value == count:
            break
        room = _room(int(offsets[value + 1] - offsets[value]))
        ids, steps = _larger(ids, words, room), _larger(steps, at, room)
    ids.resize(words, refcheck=False)
    steps.resize(at, refcheck=False)
    return Tokens(ids, ends, steps, step_ends, characters)


def _larger(array: NDArray[Any], used: int, room: int) -> NDArray[Any]:
    """An array that starts as `array` does and has room for more."""
    larger = np.empty(max(used + room, used + used // 2), dtype=array.dtype)
    larger[:used] = array[:used]
    return larger


def _keys(key: int) -> tuple[np.uint64, ...]:
    """Four numbers from the key, by splitmix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    numbers = []
    for count in range(1, 5):
        z = key + count * 0x9E3779B97F4A7C15 & _64_BITS
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _64_BITS
        z = (z ^ z >> 27) * 0x94D049BB133111EB & _64_BITS
        numbers.append(np.uint64(z ^ z >> 31))
    return tuple(numbers)


_classes = cache(classes)


def _room(size: int) -> int:
    """More than the words of `size` bytes, and than the bytes of their steps.

    A word and what is behind it, or a character on its own, take two bytes; a step of k bytes takes 128 ** (k - 1).
    """
    return size // 2 + size // 128 + 2


_room_inlined = inlined(_room)


@compiled
def _fill(texts: Any, columns: Any, done: Any, keys: Any, table: Any) -> Any:
    """Writes the words of one value after the other as long as there is room.

    More room is made elsewhere: Numba counts references in each round of a loop that may exchange its arrays.

    Args:
        texts: the bytes of all values and their offsets.
        columns: the arrays of `Tokens`.
        done: how many values, words and bytes of steps are written.
        keys: four numbers of 64 bits.
        table: u8, the class of each code point.

    Returns:
        what is written now, as in `done`.
    """
    data, offsets = texts
    ids, ends, steps, step_ends, characters = columns
    value, words, at = done
    while value < offsets.size - 1:
        start = before = offsets[value]
        end = offsets[value + 1]
        if min(ids.size - words, steps.size - at) < _room_inlined(end - start):
            break
        inside = cut = border = NONE
        alone = 0
        for base in range(start, end + 1, BLOCK):  # a block of no bytes at the end closes the last word
            word, first = _masks(data, base, end)
            word &= ~cut
            cut, next_border = NONE, NONE
            if first:
                word, border, cut, next_border, found = _scripts(
                    data, base, end, (word, first, border), table
                )
                alone += found
            follows = word << ONE | inside
            starts = word & (~follows | border)
            stops = follows & (~word | border)
            border = next_border
            if not inside:  # else the word's start is known from the block before
                start = base + lowest(starts)
                starts &= starts - ONE
            inside = word >> np.uint64(BLOCK - 1)
            while stops:
                stop = base + lowest(stops)
                stops &= stops - ONE
                ids[np.uint64(words)] = _id(data, start, stop - start, keys)
                words += 1
                at = _step(steps, at, start - before)
                before = start
                start = base + lowest(starts)
                starts &= starts - ONE
        ends[value], step_ends[value], characters[value] = words, at, alone
        value += 1
    return value, words, at


@inlined
def _masks(data: Any, base: Any, end: Any) -> Any:
    """Both masks of `look` of the block at `base` of a value that ends at `end`."""
    at = min(base, data.size - BLOCK)
    word, first = look(data, at)
    keep = ~NONE
    if end - base < BLOCK:
        keep = (ONE << np.uint64(end - base)) - ONE
    # Near the end of the data a block is read backwards from the end; where nothing is left, nothing is kept.
    shift = np.uint64(min(base - at, BLOCK - 1))
    return word >> shift & keep, first >> shift & keep


@inlined
def _scripts(data: Any, base: Any, end: Any, masks: Any, table: Any) -> Any:
    """Looks up the characters beyond ASCII that may be no letters.

    Args:
        data: u8, the bytes of all values.
        base: where the block starts.
        end: where the value ends.
        masks: u64, of the block: bytes of words; first bytes to look up; and borders, where a word ends and another
            one may start, as far as the block before knows them.
        table: u8, the class of each code point.

    Returns:
        u64 masks: bytes of words; borders; bytes of the next block that are in no word; borders there; and how
        many characters are words on their own.
    """
    word, first, border = masks
    next_cut, next_border, alone = NONE, NONE, 0
    while first:
        bit = np.uint64(lowest(first))
        beyond = np.uint64(BLOCK - 1) - bit  # shifted by this and by one more: a shift by 64 is not defined
        first &= first - ONE
        kind, length = _class(data, base + np.int64(bit), end, table)
        if kind == LETTER:
            continue
        behind = ONE << np.uint64(length)
        if kind == CHARACTER:
            alone += 1
            border |= (behind | ONE) << bit
            next_border |= (behind | ONE) >> ONE >> beyond
        else:
            word &= ~((behind - ONE) << bit)
            next_cut |= (behind - ONE) >> ONE >> beyond
    return word, border, next_cut, next_border, alone


@inlined
def _class(data: Any, at: Any, end: Any, table: Any) -> Any:
    """The class of the character that starts at `at` and how many bytes it has: a letter if it is no UTF-8."""
    back = max(at - (data.size - 4), 0)
    raw = four(data, at - back) >> (8 * back)
    if raw & 0xC0C0F0 == 0x8080E0:
        length, code = 3, (raw & 0xF) << 12 | (raw >> 2 & 0xFC0) | (raw >> 16 & 0x3F)
    elif raw & 0xC0E0 == 0x80C0:
        length, code = 2, (raw & 0x1F) << 6 | (raw >> 8 & 0x3F)
    elif raw & 0xC0C0C0F8 == 0x808080F0:
        length = 4
        code = (raw & 0x7) << 18 | (raw << 4 & 0x3F000) | (raw >> 10 & 0xFC0) | (raw >> 24 & 0x3F)
    else:
        return LETTER, 1
    if at + length > end or code >= table.size or code >> (5 * length - 4) == 0:  # cut off, none, or too long
        return LETTER, 1
    return np.int64(table[np.uint64(code)]), length


@inlined
def _id(data: Any, start: Any, length: Any, keys: Any) -> Any:
    """The keyed hash of a word: products of numbers that nobody knows without the key, 16 bytes at a time.

    The construction is that of wyhash and of XXH3's short inputs. No word has a byte 0, so what is read as 0
    behind a word's end is not mistaken for a part of it.
    """
    if length <= LANES and start <= data.size - LANES:
        low, high = folded(data, start, 0, length)
        state = mix(low ^ keys[0], high ^ keys[1])
    else:
        state = _long(data, start, length, keys)
    return np.uint32(mix(state ^ keys[2], keys[3]) >> np.uint64(32))


@compiled
def _long(data: Any, start: Any, length: Any, keys: Any) -> Any:
    """The state of the hash behind a word of any length, also at the end of the data."""
    state = keys[0]
    while True:
        low, high = _sixteen(data, start, min(length, LANES))
        state = mix(low ^ state, high ^ keys[1])
        start += LANES
        length -= LANES
        if length <= 0:
            return state


@inlined
def _sixteen(data: Any, start: Any, length: Any) -> Any:
    """What `folded` reads; near the end of the data backwards from the end, and moved to where it belongs."""
    late = max(start - (data.size - LANES), 0)
    low, high = folded(data, start - late, late, length)
    bits = np.uint64(8 * (late % 8))
    if late >= 8:
        low, high = high, NONE
    return low >> bits | high << ONE << (np.uint64(63) - bits), high >> bits


@inlined
def _step(steps: Any, at: Any, distance: Any) -> Any:
    """Writes a varint at `at`; returns where the next one goes."""
    steps[np.uint64(at)] = distance
    return at + 1 if distance < 0x80 else _long_step(steps, at, distance)


@compiled
def _long_step(steps: Any, at: Any, distance: Any) -> Any:
    while distance >= 0x80:
        steps[at] = distance & 0x7F | 0x80
        at += 1
        distance >>= 7
    steps[at] = distance
    return at + 1


def warm() -> None:
    """Compiles the kernels of this module."""
    tokenise(np.frombuffer(b"ab", np.uint8), np.array([0, 2]), 0)

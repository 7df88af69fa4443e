"""How surprising each part of a text is to a model of its characters (`dataguard.kernels.character_model`).

What stood in the same text shortly before (four symbols) is no surprise whatever was learned:
tables, markup and names repeat themselves, random characters do not. Nor are the symbols of a long unbroken string
(a digest, encoded bytes): those are random by nature.

Where a part of a text looks random, it is put in random order, some times over: what has an order of its own, in
whatever language, then surprises more than it did. (A permutation test: Fisher, "The design of experiments", 1935.)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dataguard.kernels.character_model import (
    BACK,
    BITS,
    BYTE,
    FINGER,
    FOLDED,
    MOST,
    ORDERS,
    RUN,
    SPACE,
    SPREAD,
    START,
    UNIT,
    Model,
    cell_of,
    context_of,
    factors_of,
    learned,
    runs,
)
from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen
from dataguard.kernels.shingles import STEP, mixed64

U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

WINDOW = 128
"""Symbols looked at together."""
LEAST = 32
"""Symbols of the shortest text that is looked at."""
SHUFFLES = 32
FEW, CLEAR = 6, 15.0
"""After so many there are no more where a text has an order of so many standard deviations."""
LONGEST = 512
"""Symbols that are put in random order at most."""
ONE_IN = 8
"""Of texts that pairs of symbols do not make suspect, one in so many is looked at for what is usual."""
PART = 0.65
"""How much of the way from what pairs usually cost to what they cost at random makes a window suspect."""
SCRIPTS = 9
SIZES = 3
"""Windows of fewer than 64 symbols, of fewer than WINDOW, and whole ones."""
BINS = MOST + 1

_HOP = WINDOW // 2
_SEGMENT = 1 << 14
_RECALL = 1024
"""For how many symbols a text remembers its own runs."""
_MEMORY = 15
_UNBROKEN = 32
_8 = np.uint64(8)


def _encoded() -> U8:
    """Symbols of which encoded bytes, digests and keys are made."""
    table = np.zeros(256, np.uint8)
    table[[*b"abcdefghijklmnopqrstuvwxyz0+/=_-"]] = 1
    return table


def _scripts() -> U8:
    """The script that a first byte beyond ASCII tells, roughly; 0 where it tells none, or Latin.

    Latin letters with marks are judged among all Latin text: texts of any language with Latin letters have an order of
    their own (seven deviations and more in 24 languages), so that only noise stands out there.
    """
    table = np.zeros(256, np.uint8)
    for number, (first, last) in enumerate(
        ((0xCE, 0xCF), (0xD0, 0xD5), (0xD6, 0xDF), (0xE0, 0xE0), (0xE1, 0xE1), (0xE3, 0xE9)), 1
    ):
        table[first : last + 1] = number
    table[0xEA : 0xED + 1] = 7
    table[0xEF] = 6
    table[0xF0 : 0xF4 + 1] = 8
    return table


_ENCODED, _SCRIPT = frozen(_encoded()), frozen(_scripts())


class Worst(NamedTuple):
    """The most surprising window of each of n texts.

    Attributes:
        cost: f64, the mean cost of a symbol in nats; -1 for texts too short to look at.
        start: i64, its first byte within the text, with neighbours above the bound.
        end: i64, the byte behind its last.
        windows: i64, how many windows the text has.
        script: i64.
        size: i64, which of SIZES.
        order: f64, how much more order the span has than its characters in random order, in standard deviations; NaN
            below the bound.
    """

    cost: F64
    start: I64
    end: I64
    windows: I64
    script: I64
    size: I64
    order: F64


def random_cost(model: Model, salt: int) -> float:
    """The mean cost in nats of symbols drawn one by one, each as often as it comes; of ASCII's alone.

    Args:
        model: with symbols of ASCII.
        salt: as for `runs`.
    """
    chance = np.where(np.arange(256) < 128, model.chance, 0.0)
    drawn = np.random.RandomState(1).choice(256, 64 * WINDOW, p=chance / chance.sum()).astype(np.uint8)
    offsets = np.arange(65, dtype=np.int64) * WINDOW
    found, _ = worst(drawn, offsets, np.zeros((2, 64), np.uint8), ((model, model), salt, float(MOST)))
    return float(found.cost.mean())


def worst(data: U8, offsets: I64, which: U8, by: tuple[tuple[Model, Model], int, float]) -> tuple[Worst, I64]:
    """How surprising texts are.

    Args:
        data: u8, the bytes of all texts.
        offsets: i64[n + 1].
        which: u8[2, n], the model that judges each; and 0 for texts that are looked at whatever their pairs say.
        by: two models; the salt of `runs`; and the mean cost in nats above which a window is put in random order, and
            its neighbours are of its span.

    Returns:
        The worst window of each, of those that pairs of symbols make suspect; i64[SCRIPTS, SIZES, BINS], about how many
        windows there are of each mean cost.
    """
    models, salt, bound = by
    n = len(offsets) - 1
    numbers, floats = np.zeros((n, 5), np.int64), np.full((n, 2), np.nan)
    counts = np.zeros((SCRIPTS, SIZES, BINS), np.int64)
    cells, single = (np.stack([getattr(model, name) for model in models]) for name in ("cells", "single"))
    usual = np.array([model.usual for model in models], np.int64)
    factors = factors_of(salt)
    learnt = (frozen(cells), frozen(single), frozen(usual), factors)
    pairs = np.empty((len(models), 1 << 16), np.uint8)
    _of_pairs(learnt[:2], factors, pairs)
    gates = np.array([_gate(model, its) for model, its in zip(models, pairs, strict=True)])
    texts = (frozen(data), frozen(offsets), frozen(which), FOLDED, _ENCODED, _SCRIPT)
    _worst(texts, (learnt, frozen(pairs), frozen(gates)), bound * UNIT, (numbers, floats), counts)
    start, end, windows, script, size = numbers.T
    return Worst(floats[:, 0], start, end, windows, script, size, floats[:, 1]), counts


def _gate(model: Model, pairs: U8) -> float:
    """The mean cost of pairs from which on a window is suspect, in units."""
    ascii_only = model.chance[:128] / max(model.chance[:128].sum(), 1e-9)
    table = pairs.reshape(256, 256)[:128, :128].astype(np.float64)
    at_random = float(ascii_only @ table @ ascii_only)
    return model.pairs + PART * max(0.0, at_random - model.pairs)


@compiled
def _of_pairs(learnt: Any, factors: U64, out: U8) -> None:
    """What each symbol costs after each other one, as far as that is known.

    Pairs tell little of characters of several bytes, so these cost the most: where a window has more than a few of
    them, it is looked at whatever they are.
    """
    cells, single = learnt
    for which in range(len(out)):
        for pair in range(1 << 16):
            hashed = cell_of(context_of(np.uint64(pair), 1, factors), np.uint64(pair & 255))
            cell = np.uint64(cells[which, 0, hashed >> np.uint64(64 - BITS)])
            known = cell and cell >> _8 == hashed >> FINGER & BYTE
            cost = np.int64(cell & BYTE) if known else np.int64(BACK + single[which, pair & 255])
            if pair & 255 > 127:
                cost = np.int64(MOST)
            out[which, pair] = np.uint8(np.minimum(cost, MOST))


@compiled
def _suspects(symbols: U8, size: int, by: Any, out: Any) -> int:
    """Marks the windows in which pairs of symbols cost more than the gate, and counts all; `costs` are written over."""
    pairs, gate, _ = by
    costs, marks = out
    last = np.uint64(SPACE)
    for at in range(np.uint64(size)):
        symbol = np.uint64(symbols[at])
        costs[at] = np.int64(pairs[last << _8 | symbol])
        last = symbol
    width, windows = min(size, WINDOW), _windows(size)
    for window in range(windows):
        first = min(window * _HOP, size - width)
        marks[window] = costs[first : first + width].sum() > gate * width
    return windows


@compiled
def _windows(size: int) -> int:
    """How many windows so many symbols have: each half a window behind the one before, the last at the end."""
    return 1 + max(0, size - WINDOW + _HOP - 1) // _HOP


@compiled
def _worst(texts: Any, model: Any, bound: float, out: Any, counts: I64) -> None:
    """Long texts are looked at in segments, each on its own."""
    offsets, which = texts[1], texts[2]
    room = 2 * _SEGMENT
    numbers, floats = out
    marks = np.empty(room // _HOP + 1, np.bool_)
    seen = (np.empty(room, np.uint8), np.empty(room, np.int64), np.empty(room, np.int64), marks)
    run, missed = np.empty(room, np.uint64), np.empty(room + 1, np.int64)
    memory = np.zeros((1 << _MEMORY) + 1, np.int64)  # behind the cells: how many symbols were read
    memory[-1] = _RECALL + 1
    for text in range(len(offsets) - 1):
        floats[text, 0] = -1.0
        low = offsets[text]
        while low < offsets[text + 1]:
            high = low + _SEGMENT
            if high + _SEGMENT > offsets[text + 1]:
                high = offsets[text + 1]
            half = np.int64(which[0, text])
            by = (model[0], half, bound, (memory, run, missed))
            gate = (model[1][half], model[2][half], which[1, text] == 0)
            _segment((texts, gate), (low, high, text), by, seen, (numbers[text], floats[text], counts))
            low = high


@compiled
def _segment(given: Any, part: Any, by: Any, seen: Any, out: Any) -> None:
    """Looks at the windows of a segment and keeps the worst, where it is worse than the text's before.

    Windows whose pairs of symbols are ordinary are no noise, and most of them are not looked at any further; one in
    ONE_IN texts is, whole, and each of its ordinary windows stands for so many.
    """
    texts, gate = given
    symbols, places, costs, marks = seen
    low, high, text = part
    numbers, floats, _ = out
    size, plain = _read(texts, low, high, (symbols, places))
    if size < LEAST:
        return
    windows = _suspects(symbols, size, gate, (costs, marks))
    numbers[2] += windows
    floats[0] = max(floats[0], 0.0)
    window = 0
    while window < windows:
        first = window
        if gate[2]:  # all of them
            window = windows
        elif marks[window]:  # and those behind it, as far as their own memory would reach back to them
            last = window
            while window < windows and window - last <= _RECALL // _HOP:
                last = window if marks[window] else last
                window += 1
            window = last + 1
        else:
            window += 1
            continue
        start, end = max(0, first * _HOP - _RECALL), min(size, (window - 1) * _HOP + WINDOW)
        of_part = (symbols[start:end], places[start:end], costs, marks[first:window])
        place = (
            text,
            min(first * _HOP, size - min(size, WINDOW)) - start,
            high if end == size else places[end],
        )
        _part((texts, plain, gate[2]), place, by, of_part, out)


@compiled
def _part(given: Any, place: Any, by: Any, seen: Any, out: Any) -> None:
    """Looks at windows of a part of a segment; what stands before the first of them is what the text remembers."""
    texts, plain, always = given
    symbols, places, costs, marks = seen
    text, begin, high = place
    model, which, bound, _ = by
    numbers, floats, counts = out
    size = len(symbols)
    _price(symbols, size, by, costs)
    _neutral(texts[4], symbols, size, (costs, model[2][which]))
    width = min(size, WINDOW)
    kind = 2 if size >= WINDOW else size // 64
    worst, at = np.int64(-1), 0
    for window in range(len(marks)):
        if not (marks[window] or always):
            continue
        first = min(begin + window * _HOP, size - width)
        total = costs[first : first + width].sum()
        script = 0 if plain else _script(texts[5], symbols, first, width)
        counts[script, kind, (total + width // 2) // width] += 1 if marks[window] else ONE_IN
        if marks[window] and total > worst:
            worst, at = total, first
    if worst <= floats[0] * UNIT * width:
        return
    floats[0] = worst / (UNIT * width)
    numbers[3], numbers[4] = 0 if plain else _script(texts[5], symbols, at, width), kind
    start, end = _extent(costs, size, at, bound)
    base = texts[1][text]
    numbers[0] = places[start] - base
    numbers[1] = (places[end] if end < size else high) - base
    floats[1] = np.nan
    if worst > bound * width:
        floats[1] = _order(symbols, _inner(start, end, at), by, costs)


@compiled
def _extent(costs: I64, size: int, at: int, bound: float) -> tuple[int, int]:
    """The window at a place with what lies beside it and is above the bound, in steps of a quarter of a window."""
    step = WINDOW // 4
    start, end = at, at + min(size, WINDOW)
    while start >= step and costs[start - step : start].sum() > bound * step:
        start -= step
    while end + step <= size and costs[end : end + step].sum() > bound * step:
        end += step
    return start, end


@compiled
def _inner(start: int, end: int, at: int) -> tuple[int, int]:
    """The part of a span that is put in random order: without its ends, where ordered text runs into it or out of it."""
    if end - start >= 2 * WINDOW:
        start, end = start + _HOP, end - _HOP
    low = max(start, min(at, end - LONGEST))
    return low, min(end - low, LONGEST)


@compiled
def _read(texts: Any, low: int, high: int, out: Any) -> Any:
    """The symbols of a segment, where each stands, and whether all of them are ASCII."""
    data, folded = texts[0], texts[3]
    symbols, places = out
    size, last, every = np.uint64(0), SPACE, np.uint8(0)
    for at in range(np.uint64(low), np.uint64(high)):
        symbol = folded[data[at]]
        every |= symbol
        symbols[size], places[size] = symbol, np.int64(at)
        size += np.uint64((symbol != SPACE) | (last != SPACE))
        last = symbol
    return np.int64(size), every < 128


@compiled
def _price(symbols: U8, size: int, by: Any, costs: I64) -> None:
    """What each symbol costs: first after four symbols, all at once; then, where that is unknown, after fewer."""
    model, which, _, room = by
    cells, single, usuals, factors = model
    memory, runs, missed = room
    usual, begun = usuals[which], memory[-1]
    first = cells[which, ORDERS - 2]
    run, misses = START, np.uint64(0)
    for at in range(np.uint64(size)):
        run = (run << _8 | np.uint64(symbols[at])) & RUN
        runs[at] = run
    for at in range(np.uint64(size)):
        hashed = cell_of(context_of(runs[at], ORDERS - 1, factors), np.uint64(symbols[at]))
        cell = np.uint64(first[hashed >> np.uint64(64 - BITS)])
        costs[at] = np.int64(cell & BYTE)
        missed[misses] = np.int64(at)
        misses += np.uint64((cell >> _8 != hashed >> FINGER & BYTE) | (cell == 0))
    for miss in range(misses):
        there = np.uint64(missed[miss])
        clock = begun + np.int64(there)
        place = ((runs[there] & np.uint64(0xFFFFFFFF)) * SPREAD) >> np.uint64(64 - _MEMORY)
        before = memory[place]
        memory[place] = clock
        recalled = before >= begun and before + _RECALL >= clock
        costs[there] = min(usual, MOST) if recalled else _fewer(cells, single, (runs[there], which), factors)
    memory[-1] = begun + size


@compiled
def _fewer(cells: U16, single: U8, place: Any, factors: U64) -> Any:
    """What a symbol costs after three others or fewer."""
    run, which = place
    cost = np.int64(BACK)
    for order in range(ORDERS - 2, 0, -1):
        hashed = cell_of(context_of(run, order, factors), run & BYTE)
        cell = np.uint64(cells[which, order - 1, hashed >> np.uint64(64 - BITS)])
        if cell and cell >> _8 == hashed >> FINGER & BYTE:
            return min(MOST, cost + np.int64(cell & BYTE))
        cost += BACK
    return min(MOST, cost + np.int64(single[which, run & BYTE]))


@compiled
def _neutral(encoded: U8, symbols: U8, size: int, out: Any) -> None:
    """The symbols of long unbroken strings cost what is usual."""
    costs, usual = out
    length = 0
    for at in range(size):
        if encoded[symbols[at]]:
            length += 1
            continue
        if length >= _UNBROKEN:
            costs[at - length : at] = usual
        length = 0
    if length >= _UNBROKEN:
        costs[size - length : size] = usual


@compiled
def _script(scripts: U8, symbols: U8, first: int, width: int) -> Any:
    """The script that most characters beyond ASCII are of, if they are an eighth of all symbols; else 0."""
    counts = np.zeros(SCRIPTS, np.int64)
    for at in range(first, first + width):
        counts[scripts[symbols[at]]] += 1
    counts[0] = 0
    most = counts.argmax()
    return most if 8 * counts[most] >= width else 0


@compiled
def _order(symbols: U8, window: Any, by: Any, costs: I64) -> Any:
    """How much more order a part of a text has than its characters in random order, in standard deviations.

    Two things are compared: what it costs, and how often two symbols that follow each other do so again. The latter
    sees the order of languages and ciphers of which nothing was learned.
    """
    first, width = window
    own = symbols[first : first + width].copy()
    _price(own, width, by, costs)
    pairs = np.zeros(1 << 16, np.int64)
    cost, again = costs[:width].sum(), _again(own, pairs)
    starts, units = _characters(own)
    order, mixed = np.arange(units), own.copy()
    seed = np.uint64(width)
    for symbol in own:
        seed = mixed64(seed ^ np.uint64(symbol))
    made = np.empty((2, SHUFFLES), np.float64)
    for turn in range(SHUFFLES):
        for last in range(units - 1, 0, -1):
            seed = mixed64(seed + STEP)
            other = np.int64((seed >> np.uint64(32)) * np.uint64(last + 1) >> np.uint64(32))
            order[last], order[other] = order[other], order[last]
        at = 0
        for unit in order:
            for place in range(starts[unit], starts[unit + 1]):
                mixed[at] = own[place]
                at += 1
        _price(mixed, width, by, costs)
        made[0, turn], made[1, turn] = costs[:width].sum(), _again(mixed, pairs)
        if turn + 1 == FEW or turn + 1 == SHUFFLES:
            found = made[:, : turn + 1]
            cheaper = (found[0].mean() - cost) / max(found[0].std(), 1.0)
            oftener = (again - found[1].mean()) / max(found[1].std(), 1.0)
            if turn + 1 == SHUFFLES or max(cheaper, oftener) > CLEAR:
                return max(cheaper, oftener)
    return np.nan


@compiled
def _again(symbols: U8, pairs: I64) -> Any:
    """How many two places there are at which the same two symbols follow each other; `pairs` are left zero."""
    found = np.int64(0)
    for at in range(len(symbols) - 1):
        pair = np.int64(symbols[at]) << 8 | np.int64(symbols[at + 1])
        found += pairs[pair]
        pairs[pair] += 1
    for at in range(len(symbols) - 1):
        pairs[np.int64(symbols[at]) << 8 | np.int64(symbols[at + 1])] = 0
    return found


@compiled
def _characters(symbols: U8) -> Any:
    """Where the characters of some symbols start (and the end), and how many there are."""
    starts, count = np.empty(len(symbols) + 1, np.int64), 0
    for at in range(len(symbols)):
        if symbols[at] & np.uint8(0xC0) != np.uint8(0x80) or at == 0:
            starts[count] = at
            count += 1
    starts[count] = len(symbols)
    return starts, count


def warm() -> None:
    """Compiles the kernels of this module."""
    data = np.frombuffer(b"some words and others " * 8, np.uint8)
    offsets = np.array([0, len(data)])
    keys, counts = np.unique(runs(data, offsets, np.zeros((1, 2), np.int64), 0), return_counts=True)
    model = learned(keys, counts)
    worst(data, offsets, np.zeros((2, 1), np.uint8), ((model, model), 0, 0.0))

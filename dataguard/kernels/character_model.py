"""A model of runs of up to five characters: what each costs after those before it.

Text is read as symbols: bytes with ASCII's letters in lower case, digits alike, and white space as one space. So a
table of numbers is one pattern, whatever the numbers. A symbol costs what it tells: minus the logarithm of its
chance after the four before, where these five were met in learning; else after three, two, one, none, each step
back at a price.
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
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

ORDERS = 5
"""Symbols of the longest run."""
UNIT = 16
"""Costs are whole numbers of this part of a nat."""
MOST = 10 * UNIT
"""The highest cost of a symbol."""
BACK = 15
"""What a step back costs: minus the logarithm of .4 (Brants et al., "Large language models in machine translation",
2007), in units."""
BITS = 18
"""Cells of a table of the model, as a power of two."""
SPACE, DIGIT = np.uint8(32), np.uint8(48)
RUN = np.uint64((1 << 40) - 1)
"""The bits of a run."""
START = np.uint64(0x2020202020)
"""The run before a text."""
BYTE, FINGER = np.uint64(255), np.uint64(38)
"""Bits of the hash of a run that tell it from others in its cell, and where they begin."""
_8 = np.uint64(8)
SPREAD = np.uint64(0x9FB21C651E98DF25)


def _symbols() -> U8:
    table = np.arange(256, dtype=np.uint8)
    table[ord("A") : ord("Z") + 1] += 32
    table[ord("0") : ord("9") + 1] = DIGIT
    table[9:14] = SPACE
    return table


FOLDED = frozen(_symbols())
"""The symbol of each byte."""


class Model(NamedTuple):
    """What was learned.

    Attributes:
        cells: u16[ORDERS - 1, 2 ** BITS], of runs of two symbols and more: the cost of the last one in the lower byte
            (0 where nothing is known), and eight bits of the run's hash.
        single: u8[256], the cost of each symbol on its own.
        chance: f64[256], how often each symbol comes.
        usual: what a symbol costs on average, in units.
        pairs: what a symbol costs on average after the one before alone, in units.
    """

    cells: U16
    single: U8
    chance: F64
    usual: int
    pairs: int


STRETCH = 4096
"""Bytes of a text that are learned from, its first."""
LENGTH, CONTEXT = np.uint64(44), np.uint64(8)
"""Bits of a run's key below the length of the run, and below the hash of all but its last symbol."""


def runs(data: U8, offsets: I64, texts: I64, salt: int) -> U64:
    """The runs of up to ORDERS symbols in some texts.

    Args:
        data: u8, the bytes of all texts.
        offsets: i64[n + 1].
        texts: i64[m, 2], number of the text, and its mark (below 2 ** 16).
        salt: 64 bits; who does not know it cannot read runs from their keys.

    Returns:
        u64, a key for each: 16 bits mark, 4 bits length less one, 36 bits hash of all but its last symbol, that symbol.
    """
    sizes = np.minimum(np.diff(offsets)[texts[:, 0]], STRETCH)
    out = np.empty(ORDERS * int(sizes.sum()), np.uint64)
    return out[: _runs((frozen(data), frozen(offsets), FOLDED), frozen(texts), factors_of(salt), out)]


def factors_of(salt: int) -> U64:
    """Odd numbers that runs of each length are multiplied with."""
    out = np.empty(ORDERS, np.uint64)
    _drawn(np.uint64(salt), out)
    return out


@compiled
def _drawn(salt: np.uint64, out: U64) -> None:
    for order in range(np.uint64(len(out))):
        out[order] = mixed64(salt + (order + np.uint64(1)) * STEP) | np.uint64(1)


@compiled
def context_of(run: np.uint64, order: Any, factors: U64) -> Any:
    """36 bits of the hash of the `order` symbols before the last of a run."""
    before = (run >> _8) & ((np.uint64(1) << (_8 * np.uint64(order))) - np.uint64(1))
    mixed = (before + np.uint64(1)) * factors[np.uint64(order)]
    return ((mixed ^ mixed >> np.uint64(32)) * SPREAD) >> np.uint64(28)


@compiled
def _runs(texts: Any, chosen: I64, factors: U64, out: U64) -> int:
    data, offsets, folded = texts
    found = 0
    for one in range(len(chosen)):
        text, mark = chosen[one]
        run, last = START, SPACE
        for at in range(offsets[text], min(offsets[text] + STRETCH, offsets[text + 1])):
            symbol = folded[data[at]]
            if symbol == SPACE and last == SPACE:
                continue
            last = symbol
            run = (run << _8 | np.uint64(symbol)) & RUN
            for order in range(ORDERS):
                tag = np.uint64(mark) << np.uint64(48) | np.uint64(order) << LENGTH
                hashed = context_of(run, order, factors) if order else np.uint64(0)
                out[found] = tag | hashed << CONTEXT | np.uint64(symbol)
                found += 1
    return found


def learned(keys: U64, counts: I64) -> Model:
    """A model of runs.

    Args:
        keys: u64, sorted, as `runs` gives them, without marks; not none.
        counts: i64, how often each stood there.
    """
    order = (keys >> LENGTH).astype(np.int64)
    _, starts, inverse = np.unique(keys >> CONTEXT, return_index=True, return_inverse=True)
    total = np.add.reduceat(counts, starts)
    kinds = np.diff(np.append(starts, len(keys)))
    # Symbols that a context was never met with have the share that new ones had (Witten and Bell, 1991).
    nats = -np.log(counts / (total + kinds)[inverse])
    cost = np.clip(np.round(nats * UNIT), 1, MOST).astype(np.uint8)
    alone, symbol = order == 0, (keys & BYTE).astype(np.int64)
    single, chance = np.full(256, MOST, np.uint8), np.zeros(256)
    single[symbol[alone]] = cost[alone]
    chance[symbol[alone]] = counts[alone] / counts[alone].sum()
    cells = np.zeros((ORDERS - 1, 1 << BITS), np.uint16)
    _put(frozen(keys), frozen(counts), frozen(cost), cells)
    its = order == 1
    pairs = round(UNIT * float((counts * nats)[its].sum() / max(1, counts[its].sum())))
    return Model(cells, single, chance, _usual(order, counts, nats), pairs)


def _usual(order: I64, counts: I64, nats: F64) -> int:
    """What a symbol costs on average in a text that was not learned, in units: what was met once steps back.

    (The chance of what is new is the share of what was met once: Good, "The population frequencies of species",
    1953.)
    """
    cost = 0.0
    for length in range(ORDERS):
        its, its_nats = counts[order == length], nats[order == length]
        again = its > 1
        known = (its * its_nats)[again].sum() / max(1, its[again].sum())
        new = its[~again].sum() / max(1, its.sum()) if length else 0.0
        cost = (1 - new) * known + new * (cost + BACK / UNIT)
    return max(1, round(cost * UNIT))


@compiled
def cell_of(context: np.uint64, symbol: np.uint64) -> np.uint64:
    """The hash of a run: the uppermost bits say where in a table it is, those from FINGER on tell it from others."""
    mixed = (context << _8 | symbol) * SPREAD
    return mixed ^ mixed >> np.uint64(32)


@compiled
def _put(keys: U64, counts: I64, cost: U8, cells: U16) -> None:
    """Of runs that share a cell the more frequent one stays, the first of equals."""
    held = np.zeros(cells.shape, np.int64)
    for one in range(len(keys)):
        order = np.int64(keys[one] >> LENGTH)
        if order == 0:
            continue
        hashed = cell_of((keys[one] >> CONTEXT) & np.uint64((1 << 36) - 1), keys[one] & BYTE)
        at = hashed >> np.uint64(64 - BITS)
        if counts[one] > held[order - 1, at]:
            held[order - 1, at] = counts[one]
            cells[order - 1, at] = np.uint16(cost[one]) | np.uint16((hashed >> FINGER & BYTE) << _8)


def warm() -> None:
    """Compiles the kernels of this module."""
    data = np.frombuffer(b"some words and others " * 8, np.uint8)
    keys = runs(data, np.array([0, len(data)]), np.zeros((1, 2), np.int64), 0)
    learned(*np.unique(keys, return_counts=True))

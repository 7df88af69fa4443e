"""Which values of two columns come together in more records than they would by themselves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled

F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

_TOP = 3
"""The pairs of values of two columns that stand out most have no say in how far such pairs stand out by themselves: they
may be those that are looked for."""


class Limits(NamedTuple):
    """What is asked of a pair of values.

    Attributes:
        least: records at least.
        most: records at most.
        excess: deviations above what is expected.
    """

    least: int
    most: int
    excess: float


@compiled
def _count(first: I32, second: I32, width: int, table: I32) -> None:
    for row in range(len(first)):
        if first[row] and second[row]:
            table[first[row] * width + second[row]] += 1


@compiled
def deviation(seen: float, expected: float) -> float:
    """How far a count lies off what is expected: the signed root of its deviance (Poisson), much like deviations."""
    deviance = 2 * (seen * np.log(seen / expected) - (seen - expected))
    root = float(np.sqrt(max(0.0, deviance)))
    return root if seen > expected else -root


@compiled
def _spread(widths: tuple[int, int], held: tuple[I32, I32, I32], least: int) -> float:
    """The mean square of deviations of the pairs that stand in enough records, but for the greatest; at least 1."""
    table, of_first, of_second = held
    width = widths[1]
    top = np.zeros(_TOP)
    total, pairs = 0.0, 0
    n = of_first.sum()
    for a in range(1, widths[0]):
        for b in range(1, width):
            o = table[a * width + b]
            if o < least:
                continue
            e = of_first[a] * of_second[b] / n
            square = deviation(o, e) ** 2
            total += square
            pairs += 1
            for place in range(_TOP):
                if square > top[place]:
                    square, top[place] = top[place], square
    rest = pairs - _TOP
    return max(1.0, (total - top.sum()) / rest) if rest > 0 else 1.0


@compiled
def _pick(
    pair: tuple[I32, I32, int],
    held: tuple[I32, I32, I32],
    asked: tuple[int, int, float],
    out: tuple[I64, F64],
    at: int,
) -> int:
    """Writes down the pairs of values that stand out, and empties the table; gives where the next would come."""
    first, second, width = pair
    table, of_first, of_second = held
    least, most, excess = asked
    n = len(first)
    found, how_far = out
    for row in range(n):
        a, b = first[row], second[row]
        if not a or not b:
            continue
        o = table[a * width + b]
        table[a * width + b] = 0
        if o < least or o > most:
            continue
        e = of_first[a] * of_second[b] / n
        far = deviation(o, e)
        if far < excess:
            continue
        neither = n - of_first[a] - of_second[b] + o
        alone = (of_first[a] - o) * (of_second[b] - o) / max(neither, 1)
        if 2 * alone > o:
            continue
        if at < len(how_far):
            found[at, 2], found[at, 3] = a, b
            how_far[at] = far
        at += 1
    return at


@compiled
def _all(codes: I32, sizes: I64, asked: tuple[int, int, float], out: tuple[I64, F64]) -> int:
    columns, n = codes.shape
    widest = int(sizes.max())
    table = np.zeros(widest * widest, np.int32)
    counts = np.zeros((columns, widest), np.int32)
    for column in range(columns):
        for row in range(n):
            counts[column, codes[column, row]] += 1
    at = 0
    found, _ = out
    for i in range(columns):
        if sizes[i] < 2:
            continue
        for j in range(i + 1, columns):
            if sizes[j] < 2:
                continue
            _count(codes[i], codes[j], sizes[j], table)
            held = (table, counts[i], counts[j])
            spread = _spread((sizes[i], sizes[j]), held, asked[0])
            limit = asked[2] * np.sqrt(spread)
            before = at
            at = _pick((codes[i], codes[j], sizes[j]), held, (asked[0], asked[1], limit), out, at)
            for place in range(before, min(at, len(found))):
                found[place, 0], found[place, 1] = i, j
    return at


def together(codes: I32, sizes: I64, limits: Limits) -> tuple[I64, F64]:
    """The pairs of values of two columns that come together more often than by chance and than others of these columns.

    Args:
        codes: i32[columns, n], each record's value in each column as a number from 1; 0 for values that do not count.
        sizes: i64[columns], one more than the greatest number.
        limits: what is asked of a pair. By itself a pair is expected in as many records as its values have
            together by chance, see `deviation`; a pair must lie `excess` times as far off as
            the pairs of the same two columns do on average. Half of its records at least are not what the
            other records of the two values would make expected.

    Returns:
        i64[pairs, 4] (column, column, value, value) and the deviations, in order of columns and of the records.
    """
    room = 1 << 12
    while True:
        out = (np.zeros((room, 4), np.int64), np.zeros(room))
        asked = (limits.least, limits.most, limits.excess)
        found = int(_all(np.ascontiguousarray(codes), sizes, asked, out))
        if found <= room:
            return out[0][:found], out[1][:found]
        room = found


def warm() -> None:
    """Compiles the kernels for the types that they are called with."""
    together(np.array([[1, 1, 0], [1, 1, 0]], np.int32), np.array([2, 2]), Limits(1, 3, 0.0))

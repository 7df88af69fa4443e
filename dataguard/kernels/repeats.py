"""What stands in several records: rows by key, and how many different places have it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

_FEW = 16
"""Rows that are sorted one by one."""


class Repeats(NamedTuple):
    """Groups of rows of one key that stand at more than one place; those without are left out.

    Attributes:
        rows: i64[n], numbers of rows, one group after the other by key, and within one by place.
        firsts: i64[m], where each group begins in `rows`.
        places: i64[m], how many different places it has, at least 2.
    """

    rows: I64
    firsts: I64
    places: I64


def repeats(keys: U64, places: U64) -> Repeats:
    """Groups rows by key.

    Args:
        keys: u64[n].
        places: u64[n].
    """
    order = np.argsort(keys)
    firsts, counts = np.empty(len(keys) // 2, np.int64), np.empty(len(keys) // 2, np.int64)
    rows, groups = _repeats(frozen(keys), frozen(places), order, firsts, counts)
    return Repeats(order[:rows].copy(), firsts[:groups].copy(), counts[:groups].copy())


@compiled
def _repeats(keys: U64, places: U64, order: I64, firsts: I64, counts: I64) -> Any:
    """Moves the rows of each group to the front of `order`: they are never written before they were read."""
    groups = done = first = 0
    while first < len(order):
        end = first + 1
        while end < len(order) and keys[order[end]] == keys[order[first]]:
            end += 1
        if end - first > 1:
            its = order[first:end]
            _by_place(its, places)
            different = 1
            for one in range(1, len(its)):
                different += places[its[one]] != places[its[one - 1]]
            if different > 1:
                firsts[groups], counts[groups] = done, different
                groups += 1
                for one in range(len(its)):
                    order[done] = its[one]
                    done += 1
        first = end
    return done, groups


@compiled
def _by_place(rows: I64, places: U64) -> None:
    """Sorts rows by place and number, in place."""
    if len(rows) > _FEW:
        rows.sort()
        rows[:] = rows[np.argsort(places[rows], kind="mergesort")]
        return
    for one in range(1, len(rows)):
        row = rows[one]
        at = one
        while at and (
            places[rows[at - 1]] > places[row] or (places[rows[at - 1]] == places[row] and rows[at - 1] > row)
        ):
            rows[at] = rows[at - 1]
            at -= 1
        rows[at] = row


def warm() -> None:
    """Compiles the kernels of this module."""
    repeats(np.zeros(2, np.uint64), np.zeros(2, np.uint64))

"""The least of what several tables of row ranges say, row by row, without a row being touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

Integers = npt.NDArray[np.int64]


class _Placed(NamedTuple):
    """Ranges on the one axis on which the rows of all files are numbered through; sorted, none overlap."""

    file: Integers
    begin: Integers
    end: Integers
    verdict: Integers

    def at(self, numbers: Integers) -> tuple[Integers, npt.NDArray[np.bool_]]:
        """Which range a number may lie in, and whether it does."""
        if not len(self.begin):
            return np.zeros(len(numbers), dtype=np.int64), np.zeros(len(numbers), dtype=np.bool_)
        place = np.searchsorted(self.begin, numbers, side="right") - 1
        return place, (place >= 0) & (numbers < self.end[place])


def least(read: pl.DataFrame, layers: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The least verdict of every row that was read, as ranges.

    Every range is cut where any other begins or ends. Between two neighbouring cuts nothing changes, so
    each piece is looked up once in each layer.

    Args:
        read: the rows that were read and what holds for them at most: file, first_row, rows, verdict.
        layers: the same columns; within a layer no two ranges share a row.

    Returns:
        Columns file (u32), first_row (u64), rows (u64), verdict (i64), by file and row.
    """
    offsets, placed = _place([read, *layers])
    cuts = np.concatenate([side for layer in placed for side in (layer.begin, layer.end)])
    cuts.sort()
    cuts = cuts[np.diff(cuts, prepend=-1) > 0]  # np.unique would hash first, which takes ten times as long
    begin, end = cuts[:-1], cuts[1:]
    place, was_read = placed[0].at(begin)
    verdict, file = placed[0].verdict[place], placed[0].file[place]
    for layer in placed[1:]:
        place, inside = layer.at(begin)
        verdict[inside] = np.minimum(verdict[inside], layer.verdict[place[inside]])
    pieces = {"file": file, "first_row": begin - offsets[file], "rows": end - begin, "verdict": verdict}
    schema = {"file": pl.UInt32, "first_row": pl.UInt64, "rows": pl.UInt64, "verdict": pl.Int64}
    return pl.DataFrame({name: column[was_read] for name, column in pieces.items()}).cast(schema)  # type: ignore[arg-type]


def _place(tables: Sequence[pl.DataFrame]) -> tuple[Integers, list[_Placed]]:
    """Numbers the rows of all files through: where each file begins, and every table on that axis."""
    columns = [
        [table[name].cast(pl.Int64).to_numpy() for name in ("file", "first_row", "rows", "verdict")]
        for table in (table.sort("file", "first_row") for table in tables)
    ]
    sizes = np.zeros(
        1 + max((int(file.max()) for file, *_ in columns if len(file)), default=0), dtype=np.int64
    )
    for file, first, rows, _ in columns:
        np.maximum.at(sizes, file, first + rows)
    offsets = np.cumsum(sizes) - sizes
    return offsets, [
        _Placed(file, offsets[file] + first, offsets[file] + first + rows, verdict)
        for file, first, rows, verdict in columns
    ]

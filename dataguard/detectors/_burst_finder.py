"""The bursts in the rows of a file and in the order of time, told from orders that are made of bursts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.detectors._bursts import best_windows, togetherness
from dataguard.detectors._order import BLOCK, CELLS, FEW, SAID, STEP, TIMED, by_steps, rows_of, whole_blocks

I64 = npt.NDArray[np.int64]

LEAST_PLACES = 10
"""Blocks of a file, or times, below which there is no order to judge."""
SORTED = 0.2
"""Togetherness beyond which an order is of the kind's making."""
KINDS = 3
"""Kinds that may burst; if more do, it is how the file was made."""
CLOSER = 64
"""Windows that are looked at closely."""
LONG = 14 * 24
"""Hours beyond which times count by the day."""
DENSE = 0.5
"""Of what is not a kind's share anyway, how much it must have from its first record to its last in a burst."""
COMMON = 0.1
"""The share of all records beyond which what only words show is no kind."""


class Burst(NamedTuple):
    """Records of one kind that stand together.

    Attributes:
        aspect: what makes the kind.
        key: its hash.
        name: what the data calls it, or empty.
        order: rows or time.
        of_kind: how many records of the kind there are, at most.
        span: how many records stand from the first to the last.
        chance: a bound on its probability.
        rows: file, row.
    """

    aspect: str
    key: int
    name: str
    order: str
    of_kind: int
    span: int
    chance: float
    rows: pl.DataFrame


class FileOrder(NamedTuple):
    """What the order of a file's rows shows.

    Attributes:
        number: of the file.
        together: how far it keeps kinds together, by aspect.
        ordered: the aspects that it is made of.
        bursts: what stands out.
    """

    number: int
    together: dict[str, float]
    ordered: frozenset[str]
    bursts: list[Burst]


class Finder(NamedTuple):
    """What counts as a burst.

    Attributes:
        min_records: of fewer there is none.
        chance: bound on the probability of one in an order of chance.
    """

    min_records: int
    chance: float

    def in_rows(self, blocks: pl.DataFrame, cells: pl.DataFrame) -> FileOrder:
        """The bursts of one file.

        Args:
            blocks: of ORDER, with `file`, the rows with a block.
            cells: the rows with counts.
        """
        file = int(cells["file"][0])
        rows = int(cells.filter(pl.col("aspect") == "")["n"].sum())
        if rows < LEAST_PLACES * BLOCK:
            return FileOrder(file, {}, frozenset(), [])
        # Blocks that were cut between items are whole only now.
        entries = whole_blocks(blocks, "file", "aspect").with_columns(place="block")
        entries = entries.with_columns(n=pl.col("mask").bitwise_count_ones().cast(pl.Int64))
        together, ordered, bursts = {}, set(), []
        for (name,), table in entries.filter(pl.col("n") >= FEW).group_by("aspect", maintain_order=True):
            aspect = str(name)
            counted = cells.filter(aspect=aspect).group_by("key").agg(pl.col("n").sum())
            by_cell = np.zeros(CELLS, np.int64)
            by_cell[counted["key"].to_numpy()] = counted["n"].to_numpy()
            together[aspect], found = self._of_aspect(table, by_cell, rows)
            bursts += found
            if together[aspect] > SORTED or len(found) > KINDS:
                ordered.add(aspect)
        # What words show may come of what made the order.
        aspects = (set(SAID) if ordered else set(together)) - ordered
        kept = [burst for burst in bursts if burst.aspect in aspects]
        return FileOrder(file, together, frozenset(ordered), kept)

    def _of_aspect(self, entries: pl.DataFrame, by_cell: I64, rows: int) -> tuple[float, list[Burst]]:
        """How far one aspect's kinds are together, and its bursts."""
        entries = entries.with_columns(group=pl.col("key").rank("dense").cast(pl.Int64) - 1)
        keys = entries["key"].unique(maintain_order=True).to_numpy()
        cell = (keys % np.uint64(CELLS)).astype(np.int64)
        together = self._together(entries, by_cell, cell, _cut(rows, BLOCK))
        if together > SORTED:
            return together, []
        entries, totals = by_steps(entries), by_cell[cell]
        windows = best_windows(entries, totals, _cut(rows, STEP), 1 + (BLOCK - 1) * together)
        found = []
        for window in self._improbable(windows).iter_rows(named=True):
            mine = _within(entries, window)
            places = rows_of(mine)
            span = int(places["row"][-1]) - int(places["row"][0]) + 1
            of_kind = max(int(totals[window["group"]]), len(places))
            found.append(_burst(mine, "rows", of_kind, (span, window["chance"]), places))
        return together, [burst for burst in found if self._counts(burst, rows)]

    def _together(self, entries: pl.DataFrame, by_cell: I64, cell: I64, sizes: I64) -> float:
        """How far an order keeps kinds together.

        One burst alone makes an order look sorted where there is little else than one kind. So it is left out when this
        is asked, unless it stands at an end: that is how two kinds are sorted.

        Args:
            entries: as in `best_windows`.
            by_cell: i64, records by cell.
            cell: i64[groups], where each group is counted.
            sizes: as in `best_windows`.
        """
        together = togetherness(entries, by_cell, sizes)
        first = self._improbable(best_windows(entries, by_cell[cell], sizes)).sort("chance", "group").head(1)
        inside = first.filter((pl.col("first") > 0) & (pl.col("behind") < len(sizes)))
        for window in inside.iter_rows(named=True):
            taken = _within(entries, window)
            rest = entries.join(taken, on=["group", "place"], how="anti", maintain_order="left")
            fewer, smaller = by_cell.copy(), sizes.copy()
            fewer[cell[window["group"]]] -= window["k"]
            np.subtract.at(smaller, taken["place"].to_numpy(), taken["n"].to_numpy())
            together = min(together, togetherness(rest, fewer, smaller))
        return round(together, 6)

    def in_time(self, timed: pl.DataFrame) -> list[Burst]:
        """The bursts in the order of time, over all files.

        Args:
            timed: of ORDER, with `file`, the rows with an hour.
        """
        bursts = []
        for aspect in TIMED:
            records = timed.filter(aspect=aspect)
            if len(records) < self.min_records:
                continue
            hours = records["hour"].to_numpy()
            step = 24 if float(hours.max()) - float(hours.min()) > LONG else 1
            _, place, sizes = np.unique(hours // step, return_inverse=True, return_counts=True)
            records = records.with_columns(
                place=pl.Series(place.astype(np.int64)), group=pl.col("key").rank("dense").cast(pl.Int64) - 1
            )
            entries = records.group_by("group", "place").agg(n=pl.len().cast(pl.Int64)).sort("group", "place")
            totals = np.bincount(records["group"].to_numpy()).astype(np.int64)
            together = self._together(entries, totals, np.arange(len(totals)), sizes)
            if len(sizes) < LEAST_PLACES or together > SORTED:
                continue
            windows = best_windows(entries, totals, sizes, 1 + (float(sizes.mean()) - 1) * together)
            found = []
            for window in self._improbable(windows).iter_rows(named=True):
                mine = _within(records, window).sort("file", "row")
                near = (window["rows"], window["chance"])
                found.append(_burst(mine, "time", int(totals[window["group"]]), near, mine))
            found = [burst for burst in found if self._counts(burst, len(records))]
            bursts += found if len(found) <= KINDS else []
        return bursts

    def _improbable(self, windows: pl.DataFrame) -> pl.DataFrame:
        """The windows that chance does not explain, the first of them: more than these are an order anyway."""
        kept = windows.filter((pl.col("chance") <= self.chance) & (pl.col("k") >= self.min_records))
        return kept.sort("chance", "group").head(CLOSER)

    def _counts(self, burst: Burst, records: int) -> bool:
        """Whether it is dense for its kind, or most of the kind."""
        size, share = len(burst.rows), burst.of_kind / records
        if burst.aspect not in SAID and share > COMMON:
            return False
        dense = size >= burst.span * (share + DENSE * (1 - share))
        return size >= self.min_records and (dense or 2 * size >= burst.of_kind)


def _cut(rows: int, size: int) -> I64:
    """How many rows each piece of this size has; the last may have fewer."""
    sizes = np.full(-(-rows // size), size, np.int64)
    sizes[-1] -= len(sizes) * size - rows
    return sizes


def _within(table: pl.DataFrame, window: dict[str, Any]) -> pl.DataFrame:
    within = pl.col("place").is_between(window["first"], window["behind"] - 1)
    return table.filter((pl.col("group") == window["group"]) & within)


def _burst(
    mine: pl.DataFrame, order: str, of_kind: int, near: tuple[int, float], rows: pl.DataFrame
) -> Burst:
    span, chance = near
    name = mine["name"][0] or ""
    return Burst(
        mine["aspect"][0], mine["key"][0], name, order, of_kind, span, chance, rows.select("file", "row")
    )

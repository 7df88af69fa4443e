"""The one type of each column of cells that are only text, found by looking at all of them.

A column is of integers where each cell is written as that integer would be; of floats where each is a plain number
that a float holds; of truth values where each is ``true`` or ``false``. Else, and wherever there is a doubt (``007``,
``+1``, ``1,5``, ``NaN``, ``yes``), it is text, of which nothing is lost. So types do not depend on the order of the
records or on how they are cut.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_NUMBER = r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?$"
"""Up to 15 digits in front of the point: such an integer among floats loses nothing."""

_LONG = 10**15
_TRUTHS = ("true", "false")
SAMPLE, REPEATED = 256, 8
"""Of so many cells at the beginning each must stand so often, on average, for all to be looked at once only."""


class CellTypes:
    """What each column may still be, as more and more cells are seen.

    Args:
        names: of the columns.
    """

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self._may: dict[str, set[str]] = {name: {"int", "float", "bool"} for name in names}
        self._seen: set[str] = set()

    @property
    def open(self) -> bool:
        """Whether any column is not known to be text yet."""
        return any(self._may.values())

    def wanted(self) -> dict[str, pa.DataType]:
        """The columns that are not known to be text yet, to be read as text."""
        return {name: pa.large_string() for name, may in self._may.items() if may}

    def add(self, cells: pa.RecordBatch) -> None:
        """Takes cells of columns that were wanted into account."""
        for name, column in zip(cells.schema.names, cells.columns, strict=True):
            found = _distinct(column.drop_null())
            if len(found):
                self._seen.add(name)
                self._may[name] &= _may(found, self._may[name])

    def schema(self) -> pa.Schema:
        """The columns."""
        return pa.schema([pa.field(name, self._type(name)) for name in self._names])

    def _type(self, name: str) -> pa.DataType:
        may = self._may[name]
        if may and name not in self._seen:
            return pa.null()
        kinds = {"int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
        return next((kind for word, kind in kinds.items() if word in may), pa.large_string())


def _distinct(cells: pa.Array) -> pa.Array:
    """The cells, each once where the first ones say that this is less to look at."""
    few = pc.count_distinct(cells.slice(0, SAMPLE)).as_py() * REPEATED <= min(len(cells), SAMPLE)
    return pc.unique(cells) if few else cells


def _may(cells: pa.Array, asked: set[str]) -> set[str]:
    """Which of the kinds asked for cells, of which none is null, may all be of."""
    if "int" in asked and (numbers := _integers(cells)) is not None:
        reach = pc.min_max(numbers).as_py()
        # As many digits as the expression of a float has in front of the point.
        return {"int", "float"} if max(-reach["min"], reach["max"]) < _LONG else {"int"}
    if "bool" in asked and cells[0].as_py() in _TRUTHS:
        return {"bool"} if pc.all(pc.is_in(cells, value_set=pa.array(_TRUTHS, cells.type))).as_py() else set()
    return {"float"} if "float" in asked and _floats(cells) else set()


def _integers(cells: pa.Array) -> pa.Array | None:
    """The integers that cells are, each written as it would be, or None."""
    try:
        numbers = cells.cast(pa.int64())
    except pa.ArrowInvalid:
        return None
    return numbers if numbers.cast(cells.type).equals(cells) else None


def _floats(cells: pa.Array) -> bool:
    if not pc.all(pc.match_substring_regex(cells, _NUMBER)).as_py():
        return False
    try:
        return bool(pc.all(pc.is_finite(cells.cast(pa.float64()))).as_py())
    except pa.ArrowInvalid:
        return False

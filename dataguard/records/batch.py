"""A validated batch of records whose every row has an address."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from dataguard.columns import Roles, is_list
from dataguard.errors import ReadError
from dataguard.records.encoder import Encoder

T = TypeVar("T")


class Texts(NamedTuple):
    """The strings at one place of the records, as they lie in memory.

    Attributes:
        column: the column, with the path into it where it is nested, e.g. ``messages[].content``.
        rows: u64, the row in the file of each string.
        values: large_string, nulls possible.
    """

    column: str
    rows: npt.NDArray[np.uint64]
    values: pa.Array


class Strings(NamedTuple):
    """All strings at one place of the records.

    Attributes:
        column: the column, with the path into it where it is nested, e.g. ``messages[].content``.
        rows: u64, the row in the file of each string.
        values: the strings, nulls possible.
    """

    column: str
    rows: npt.NDArray[np.uint64]
    values: pl.Series


@dataclass(frozen=True)
class Batch:
    """An Arrow record batch that passed `validate(full=True)`, and where it stands in its file.

    Strings are `large_string` and binaries `large_binary` here, whatever layout the file has: the reader
    normalises once. Dictionaries are unpacked.

    Args:
        data: the columns.
        first_row: the number in the file of the batch's first row.
        roles: the roles of the file's columns.
        secret: 32 bytes derived from the project's secret, the key of hashes that an attacker must not foresee.
        groups: the numbers of the row groups that the rows are of, in order, and how many rows of each.
        encoder: what makes vectors of texts, for rules about vectors; None to leave texts alone.
    """

    data: pa.RecordBatch
    first_row: int
    roles: Roles
    secret: bytes = field(default=bytes(32), repr=False)
    groups: tuple[tuple[int, int], ...] = ()
    encoder: Encoder | None = field(default=None, repr=False, compare=False)
    _made: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return int(self.data.num_rows)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """A derived value, made once and shared by the rules that look at this batch."""
        if name not in self._made:
            self._made[name] = make()
        return cast("T", self._made[name])

    def rows(self) -> pl.Series:
        """The column `row` (u64) to stand beside what was seen."""
        return self.once(
            "rows",
            lambda: pl.Series("row", np.arange(self.first_row, self.first_row + len(self), dtype=np.uint64)),
        )

    def column(self, name: str) -> pl.Series:
        """One column as a polars series."""
        return self.once(
            f"column {name}", lambda: cast("pl.Series", pl.from_arrow(self.data[name])).alias(name)
        )

    def numbers(self, names: tuple[str, ...]) -> npt.NDArray[np.float64]:
        """Numeric columns as one matrix, float64 of shape (rows, columns); nulls are NaN."""
        matrix = np.empty((len(self), len(names)), dtype=np.float64)
        for index, name in enumerate(names):
            matrix[:, index] = self.data[name].cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return matrix

    def strings(self) -> tuple[Strings, ...]:
        """Every string of the batch, nested ones too, a place at a time: nothing is left unscreened."""
        return self.once("strings", lambda: tuple(self._all_strings()))

    def _all_strings(self) -> Iterator[Strings]:
        for name in self.data.schema.names:
            for column, rows, values in self.texts(name):
                yield Strings(column, rows, cast("pl.Series", pl.from_arrow(values)))

    def texts(self, name: str) -> Iterator[Texts]:
        """The strings of one column, nested ones too, a place at a time."""
        rows = np.arange(self.first_row, self.first_row + len(self), dtype=np.uint64)
        yield from _texts(name, rows, self.data[name])


def validated(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch, once nothing in it can lead a library astray.

    Raises:
        ReadError: offsets, UTF-8 or the like do not hold.
    """
    try:
        batch.validate(full=True)
    except MemoryError:
        raise
    except pa.ArrowException as error:
        raise ReadError(f"decodes to invalid data: {str(error).splitlines()[0][:200]}") from error
    return batch


def _texts(path: str, rows: npt.NDArray[np.uint64], array: pa.Array) -> Iterator[Texts]:
    kind = array.type
    if pa.types.is_large_string(kind):
        yield Texts(path, rows, array)
    elif pa.types.is_struct(kind):
        for index, child in enumerate(array.flatten()):
            yield from _texts(f"{path}.{kind.field(index).name}", rows, child)
    elif is_list(kind):
        lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        yield from _texts(f"{path}[]", np.repeat(rows, lengths), array.flatten())

"""What folders called ``column=value`` say, and what a file's own column of that name holds.

Readers of such Hive-partitioned folders take columns from the path and let them win over the file's own without a word.
Here a path adds nothing to a record and changes nothing of it: records are those of the file's bytes. What it says is
only held against them, and against the other paths.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from urllib.parse import unquote_to_bytes

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from dataguard.records.batch import Batch
from dataguard.safe_text import unescape_name

VERSION = 1
"""To be raised with every change of what `observe` writes down."""
NOTHING = "__HIVE_DEFAULT_PARTITION__"
"""How Hive and its readers write that there is no value."""
LONGEST = 256
"""Characters that are kept of a value: more than the name of a folder can have."""
EVIDENCE = pl.Schema({"column": pl.String(), "value": pl.String(), "told": pl.Boolean(), "row": pl.UInt64()})
"""The first two values of a column, which is one more than a folder allows; `told` is false where its type has no text."""


@dataclass(frozen=True)
class Partition:
    """A folder ``column=value``.

    Args:
        column: what it names.
        value: what it says, unquoted; None for no value.
        depth: how many folders lie above it.
    """

    column: str
    value: str | None
    depth: int


@dataclass(frozen=True)
class Partitions:
    """What the folders above a file say.

    Args:
        root: the folder that the first of them lies in: readers take it for the table.
        parts: in the order of the path.
        doubts: what readers make different things of, in words.
    """

    root: bytes
    parts: tuple[Partition, ...]
    doubts: tuple[str, ...] = ()

    @property
    def layout(self) -> tuple[tuple[str, int], ...]:
        """The columns and how far below the root each stands: the same in all paths of a table."""
        return tuple((part.column, part.depth - self.parts[0].depth) for part in self.parts)

    @property
    def values(self) -> dict[str, str | None]:
        """What is said of each column that is named once."""
        names = [part.column for part in self.parts]
        return {part.column: part.value for part in self.parts if names.count(part.column) == 1}


def partitions_of(name: str) -> Partitions | None:
    """What the folders of an escaped name say, None where none of them has a ``=``."""
    *folders, _ = unescape_name(name).split(b"/")
    parts, doubts = [], set()
    for depth, folder in enumerate(folders):
        key, sign, value = folder.partition(b"=")
        if not sign:
            continue
        if b"=" in value:
            doubts.add(
                "a folder has two signs of equality: some readers take the first, some no partition at all"
            )
        if b"%" in key:
            doubts.add("the name of a partition's column is quoted: some readers unquote it, some do not")
        try:
            said = unquote_to_bytes(value).decode()
            parts.append(Partition(key.decode(), None if said == NOTHING else said, depth))
        except UnicodeDecodeError:
            doubts.add("a partition is not UTF-8: some readers fail, some take no partition")
    if not parts and not doubts:
        return None
    names = [part.column for part in parts]
    if len(set(names)) < len(names):
        doubts.add("one path says a partition's column twice: some readers take one of them, some fail")
    root = b"/".join(folders[: parts[0].depth]) if parts else b""
    return Partitions(root, tuple(parts), tuple(sorted(doubts)))


def observe(batch: Batch, columns: tuple[str, ...]) -> pl.DataFrame:
    """The first value of each of these columns and the first that differs from it, with their rows, as EVIDENCE."""
    tables = [pl.DataFrame(schema=EVIDENCE)]
    for name in columns if len(batch) else ():
        column = batch.data.column(name)
        if pa.types.is_float16(column.type):  # which nothing compares
            column = column.cast(pa.float32())
        try:
            places = _first_two(column)
            texts = _texts(column.take(pa.array(places)))
        except pa.ArrowException:  # a type without text, or whose values are not compared
            places, texts = [0], None
        table = {
            "column": name,
            "value": texts or [None],
            "told": texts is not None,
            "row": [batch.first_row + place for place in places],
        }
        tables.append(pl.DataFrame(table, schema=EVIDENCE))
    return pl.concat(tables)


def compact(evidence: pl.DataFrame) -> pl.DataFrame:
    """The first two values of each column, whatever the batches."""
    return (
        evidence.sort("column", "row")
        .unique(["column", "value", "told"], keep="first", maintain_order=True)
        .group_by("column", maintain_order=True)
        .head(2)
        .select(list(EVIDENCE))
    )


def _first_two(column: pa.Array) -> list[int]:
    """Where the first value of a column stands, and the first one that differs from it."""
    first = column[0]
    if not first.is_valid:
        differs = pc.is_valid(column)
    else:
        # Of numbers only NaN is not equal to itself.
        same = pc.equal(column, first) if pc.equal(first, first).as_py() else pc.is_nan(column)
        differs = pc.fill_null(pc.invert(same), fill_value=True)
    other = pc.index(differs, value=True).as_py()
    return [0] if other < 0 else [0, other]


def _texts(values: pa.Array) -> list[str | None] | None:
    """A few values as text, cut to what a folder could say; None for a type that has none."""
    kind = values.type
    if pa.types.is_nested(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return None
    if pa.types.is_floating(kind):
        values = pc.add(values, pa.scalar(0.0, kind))  # -0.0 is 0.0, or it would stand for a second value
    texts: list[str | None] = pc.utf8_slice_codeunits(
        pc.cast(values, pa.large_string()), 0, LONGEST
    ).to_pylist()
    return texts


def says_same(said: str | None, value: str | None, kind: pa.DataType) -> bool:
    """Whether a path says what a column of this type holds: numbers are compared as numbers, times as times.

    Args:
        said: of the path; None for no value.
        value: of the column, as `observe` writes it.
        kind: the column's type.
    """
    if said is None or value is None or said == value:
        return said == value
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _number(said) == _number(value) is not None
    if pa.types.is_boolean(kind) or pa.types.is_temporal(kind):
        try:
            return bool(pa.scalar(said).cast(kind) == pa.scalar(value).cast(kind))
        except pa.ArrowException:
            return False
    return False


def _number(text: str) -> Decimal | None:
    """A number as plain writing has it, None for other text."""
    try:
        number = Decimal(text) if text.isascii() and "_" not in text else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None

"""JSON Lines many at a time by msgspec, where it is installed and where it cannot differ from the strict parser.

msgspec reads strictly (no NaN, no lone surrogates, no control characters, UTF-8 alone), but takes the last of a key that
stands twice. That is told apart by counting: each key and each text has two quotes around it, so lines have as many
quotes, escaped ones apart, as what came of them says. Wherever anything is in doubt the answer is None, and the strict
parser decides, line by line.

Most files have the same keys of the same types in every line. So a block is first parsed as records of the columns that the
lines before it had (`Shape`), which costs half as much as objects of any kind; where it has others, that is a doubt too.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from operator import attrgetter, itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from dataguard.records.batch import validated
from dataguard.records.json_types import Json, JsonTypes

_LINE, _RETURN, _OPEN, _CLOSE = ord("\n"), ord("\r"), ord("{"), ord("}")
_QUOTE, _SLASH = ord('"'), ord("\\")
_I64 = range(-(1 << 63), 1 << 63)
_PLAIN = {str: "string", bool: "bool", float: "float"}
_NUMBER = "number"
_ANY, _NULL = "any", "null"
_TRIES = 3
"""Blocks in a row that have other columns than those before, until it is no longer tried."""
_WIDEST = 200
"""Columns up to which records of the same columns are tried: making their type takes a time for each."""
_SPARSE = 64
"""Of so many cells one must be there at least: each column takes time for each record."""


@cache
def decoder() -> tuple[Callable[[bytes], Any], tuple[type[Exception], ...]] | None:
    """What parses a line and what it may raise; None where msgspec is not installed."""
    try:
        msgspec: Any = importlib.import_module("msgspec")
    except ImportError:
        return None
    return msgspec.json.Decoder().decode, (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True)
class Shape:
    """Records that all have the same columns, each of one kind.

    Args:
        decode: takes lines and gives a record of each.
        errors: what it raises of any others.
        getters: give a column of a record, by name.
    """

    decode: Callable[[bytes], list[Any]]
    errors: tuple[type[Exception], ...]
    getters: Mapping[str, Callable[[Any], Any]]

    def records(self, block: bytes) -> list[Any] | None:
        """The records of lines, None where they are others."""
        try:
            return self.decode(block)
        except self.errors:
            return None


def shape(columns: tuple[tuple[str, str, bool], ...]) -> Shape | None:
    """The shape of records with these columns: name, kind, and whether it may be null; None where there is none."""
    return None if decoder() is None else _made(columns)


@lru_cache(maxsize=64)
def _made(columns: tuple[tuple[str, str, bool], ...]) -> Shape | None:
    msgspec: Any = importlib.import_module("msgspec")
    kinds: dict[str, Any] = {"string": str, "bool": bool, _NUMBER: int | float, _ANY: Any, _NULL: None}
    names = {f"c{number}": name for number, (name, _, _) in enumerate(columns)}
    fields = [
        (field, kinds[kind] | None if nulls and kind not in (_ANY, _NULL) else kinds[kind])
        for field, (_, kind, nulls) in zip(names, columns, strict=True)
    ]
    try:
        record = msgspec.defstruct(
            "Record", fields, rename=names.__getitem__, forbid_unknown_fields=True, gc=False
        )
    except ValueError:  # a name that msgspec does not match as it stands
        return None
    getters = {name: attrgetter(field) for field, name in names.items()}
    errors = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
    return Shape(msgspec.json.Decoder(record).decode_lines, errors, getters)


def objects(block: bytes) -> int | None:
    """How many lines there are, None where one of them does not begin and end as an object.

    Then no record goes on in the next line: behind the end of one within another there would have to be a comma. So
    there is one in each line if there are as many records as lines.
    """
    data = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(data == _LINE)
    if not len(data) or data[0] != _OPEN or (len(ends) and (ends[0] == 0 or ends[-1] + 1 == len(data))):
        return None
    last = np.append(data[ends - 1], data[-1])
    returned = last == _RETURN
    if returned.any():
        before = np.append(ends, len(data))[returned] - 2
        if before.min() < 0:
            return None
        last[returned] = data[before]
    whole = (last == _CLOSE).all() and (data[ends + 1] == _OPEN).all()
    return len(ends) + 1 if whole else None


class Blocks:
    """Blocks of lines, one after the other, by the columns that those before had.

    Args:
        types: what is known so far.
    """

    def __init__(self, types: JsonTypes) -> None:
        self._types = types
        self._nulls = False
        self._failed = 0

    def look(self, block: bytes) -> int | None:
        """Takes a block into account as `look` takes its lines.

        Returns:
            Its lines; None where they are to be looked at one by one, which may add again what this has added.
        """
        known = self._types.kinds()
        if not known or len(known) > _WIDEST or self._failed >= _TRIES:
            return None
        made = shape(tuple((name, kind, self._nulls or kind == _NUMBER) for name, kind in known.items()))
        lines = objects(block)
        records = None if made is None or lines is None else made.records(block)
        counted = made is not None and records is not None and self._counts(block, records, made, known)
        if records is None or len(records) != lines or not counted:
            self._failed += self._nulls
            self._nulls = True
            return None
        self._failed = 0
        return len(records)

    def _counts(self, block: bytes, records: list[Any], made: Shape, known: dict[str, str]) -> bool:
        keys, texts = len(records) * len(known), 0
        plain: dict[str, str | None] = {}
        for name, kind in known.items():
            if kind == "string" and not self._nulls:
                texts += len(records)
                continue
            values = list(map(made.getters[name], records))
            counted = _column(name, values, self._types, plain)
            if counted is None:
                return False
            keys, texts = keys + counted[0], texts + counted[1]
        return _quotes(block) == 2 * (keys + texts) and self._types.take_plain(plain)


class Tables:
    """Blocks of lines that were looked at before, to be read in their types.

    Args:
        schema: the columns.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._made = (
            shape(tuple((field.name, _asked(field.type), True) for field in schema))
            if 0 < len(schema) <= _WIDEST
            else None
        )
        self._failed = 0

    def read(self, block: bytes) -> pa.RecordBatch | None:
        """The records of a block, None where they are to be read line by line.

        Each line was looked at by itself before, so that all together are read as they are one by one.
        """
        made = self._made if self._failed < _TRIES else None
        records = None if made is None else made.records(block)
        if made is None or records is None:
            self._failed += 1
            return None
        try:
            columns = [
                pa.array(list(map(made.getters[field.name], records)), type=field.type)
                for field in self._schema
            ]
        except pa.ArrowException:  # told where they are read line by line
            return None
        self._failed = 0
        return validated(pa.record_batch(columns, schema=self._schema))


def _asked(kind: pa.DataType) -> str:
    if pa.types.is_null(kind):
        return _NULL
    if pa.types.is_nested(kind):
        return _ANY
    if pa.types.is_boolean(kind):
        return "bool"
    return "string" if pa.types.is_large_string(kind) else _NUMBER


def parse(lines: Sequence[bytes]) -> list[dict[str, Any]] | None:
    """The records of lines that were looked at before (see `look`), or None."""
    found = decoder()
    if found is None:
        return None
    decode, errors = found
    try:
        records = list(map(decode, lines))
    except errors:
        return None
    return records if set(map(type, records)) <= {dict} else None


def look(lines: Sequence[bytes], types: JsonTypes) -> bool:
    """Takes lines into account as `JsonTypes.add` takes their records, if they are surely read alike by all.

    Args:
        lines: none of them empty.
        types: what is known so far; where the answer is no, something may have been added to it that the same lines
            add again.
    """
    records = parse(lines)
    if records is None:
        return False
    keys, texts = sum(map(len, records)), 0
    if len(set().union(*records)) * len(records) > _SPARSE * (
        keys + 1
    ):  # a column's time whatever few records have it
        return False
    plain: dict[str, str | None] = {}
    for name, values in columns(records):
        counted = _column(name, values, types, plain)
        if counted is None:
            return False
        keys, texts = keys + counted[0], texts + counted[1]
    return _quotes(b"\n".join(lines)) == 2 * (keys + texts) and types.take_plain(plain)


def _column(
    name: str, values: list[Any], types: JsonTypes, plain: dict[str, str | None]
) -> tuple[int, int] | None:
    """How many keys and texts are in a column, which is taken into account or noted as plain; None for a doubt."""
    kinds = set(map(type, values)) - {type(None)}
    if kinds & {list, dict}:
        inner = [_counted(value) for value in values]
        taken = types.take(name, values)
        return (sum(count[0] for count in inner), sum(count[1] for count in inner)) if taken else None
    kind = _kind(kinds, values)
    if kind == "":
        return None
    plain[name] = kind
    return 0, len(values) - values.count(None) if kind == "string" else 0


def columns(records: list[dict[str, Any]]) -> Iterator[tuple[str, list[Any]]]:
    """Each key of the records, in the order in which they are met, and its values; null where it is absent."""
    names = list(records[0])
    if set(map(len, records)) == {len(names)}:
        try:
            yield from [(name, list(map(itemgetter(name), records))) for name in names]
        except KeyError:  # as many, but others
            pass
        else:
            return
    for name in dict.fromkeys(name for shape in dict.fromkeys(map(tuple, records)) for name in shape):
        yield name, [record.get(name) for record in records]


def _kind(kinds: set[type], values: list[Any]) -> str | None:
    """The kind of plain values, None of nothing but nulls, empty where it takes a closer look."""
    if not kinds:
        return None
    if len(kinds) > 1:
        return ""
    (only,) = kinds
    if only is not int:
        return _PLAIN.get(only, "")
    numbers = [value for value in values if value is not None]
    low, high = min(numbers), max(numbers)
    if low not in _I64 or high not in _I64:
        return ""
    return "int" if max(-low, high) <= 1 << 53 else "long"


def _counted(value: Json) -> tuple[int, int]:
    """How many keys and texts stand within a value."""
    keys = texts = 0
    waiting: list[Any] = [value]
    while waiting:
        one = waiting.pop()
        if type(one) is str:
            texts += 1
        elif type(one) is dict:
            keys += len(one)
            waiting += one.values()
        elif type(one) is list:
            kinds = set(map(type, one))
            if kinds == {str}:
                texts += len(one)
            elif kinds & {str, dict, list}:
                waiting += one
    return keys, texts


def _quotes(text: bytes) -> int:
    """The quotes around keys and texts; -1 where a carriage return stands elsewhere than at the end of a line."""
    data = np.frombuffer(text, np.uint8)
    if b"\r" in text:
        at_ends = text.count(b"\r\n") + text.endswith(b"\r")
        if text.count(b"\r") != at_ends:
            return -1
    quotes = int(np.count_nonzero(data == _QUOTE))
    slashes = np.flatnonzero(data == _SLASH)
    if len(slashes):
        escaped = data[np.minimum(slashes + 1, len(data) - 1)] == _QUOTE
        if np.any(slashes[1:] - slashes[:-1] == 1):
            # Of slashes side by side each second one is escaped by the one in front of it.
            begins = np.diff(slashes, prepend=-2) != 1
            order = np.arange(len(slashes))
            escaped &= (order - np.maximum.accumulate(np.where(begins, order, 0))) % 2 == 0
        quotes -= int(np.count_nonzero(escaped))
    return quotes

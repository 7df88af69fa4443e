"""The one type of each column of JSON records, found by looking at all of them.

Neither batches nor row groups then decide what a value is, and what two readers would take differently (a
column that is a string here and a number there, a number no float holds) is refused.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import pyarrow as pa

from dataguard.config import Limits
from dataguard.errors import ReadError

Json: TypeAlias = bool | int | float | str | list[Any] | dict[str, Any] | None
Kind: TypeAlias = str | list[Any] | dict[str, Any] | None
"""None (only nulls so far), a name, ``[kind]`` for a list, or a dict of kinds for an object."""

_EXACT_FLOAT = 1 << 53


class JsonTypes:
    """The one type of each column, as more and more records are seen.

    A type is None (only nulls so far), a name, ``[type]`` for a list, or a dict of types for an object. They grow
    in place, so that a record costs what it holds and not what was seen before it.
    """

    def __init__(self, limits: Limits) -> None:
        self._depth, self._keys = limits.depth, limits.columns
        self._limits = limits
        self._columns: dict[str, Any] = {}

    def add(self, record: dict[str, Any]) -> None:
        """Takes a record into account.

        Raises:
            ReadError: a value that does not go with those before it, or is none that readers agree on.
        """
        try:
            self._merge_object(self._columns, record, self._depth + 1)
        except _ClashError as error:
            raise ReadError(
                f"{error.path} changes its type within the file: {error.had} and {error.got}", rule="DG507"
            ) from error

    def kinds(self) -> dict[str, str]:
        """What is to be expected of each column: ``string``, ``bool``, ``number``, ``any`` where it is not plain."""
        expected = {"string": "string", "bool": "bool", "int": "number", "long": "number", "float": "number"}
        return {
            name: expected.get(kind, "any") if isinstance(kind, str) else "any"
            for name, kind in self._columns.items()
        }

    def take(self, name: str, values: list[Any]) -> bool:
        """Takes values of one column into account, as `add` does; says no in place of raising."""
        try:
            self._merge_object(self._columns, {name: None}, self._depth + 1)
            for value in values:
                self._columns[name] = self._merge(self._columns[name], value, self._depth)
        except (_ClashError, ReadError):
            return False
        return True

    def take_plain(self, kinds: dict[str, str | None]) -> bool:
        """Takes columns of plain values into account, each by its kind; says no in place of raising."""
        try:
            for name, kind in kinds.items():
                self._merge_object(self._columns, {name: None}, self._depth + 1)
                if kind is not None:
                    self._columns[name] = _merge_plain(self._columns[name], kind)
        except (_ClashError, ReadError):
            return False
        return True

    def schema(self) -> pa.Schema:
        """The columns."""
        return pa.schema([pa.field(name, _arrow(kind)) for name, kind in self._columns.items()])

    def _merge_object(self, known: dict[str, Any], found: dict[str, Any], room: int) -> None:
        for key, value in found.items():
            if key not in known:
                self._new_key(key)
            try:
                known[key] = self._merge(known.get(key), value, room - 1)
            except _ClashError as error:
                error.path = f"{key}.{error.path}".rstrip(".")
                raise

    def _new_key(self, key: str) -> None:
        self._keys -= 1
        if self._keys < 0:
            raise ReadError(f"more than {self._limits.columns} columns and keys within them", rule="DG504")
        _check_text(key)

    def _merge(self, known: Kind, value: Json, room: int) -> Kind:
        """The type that holds what was known and the value."""
        if value is None:
            return known
        if room <= 0:
            raise ReadError(f"values nest more than {self._limits.depth} deep", rule="DG504")
        if isinstance(value, dict):
            kind: Kind = {} if known is None else known
            if not isinstance(kind, dict):
                raise _ClashError(known, "object")
            self._merge_object(kind, value, room)
            return kind
        if isinstance(value, list):
            kind = [None] if known is None else known
            if not isinstance(kind, list):
                raise _ClashError(known, "list")
            if set(map(type, value)) == {float}:  # embeddings: thousands of numbers, looked at all at once
                value = [max(value, key=abs)]
            for item in value:
                kind[0] = self._merge(kind[0], item, room - 1)
            return kind
        return _merge_plain(known, _plain_type(value))


class _ClashError(Exception):
    """Two types that do not go together; the path grows as the error passes up."""

    def __init__(self, had: Kind, got: str) -> None:
        self.had = "object" if isinstance(had, dict) else "list" if isinstance(had, list) else had
        self.got, self.path = got, ""


def _check_text(text: str) -> None:
    try:
        if not text.isascii():
            text.encode()
    except UnicodeEncodeError as error:
        raise ReadError("a string with a lone surrogate: no UTF-8 can hold it", rule="DG507") from error


def _plain_type(value: float | str) -> str:
    if isinstance(value, str):
        _check_text(value)
        return "string"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if abs(value) <= _EXACT_FLOAT else "long"
    if math.isinf(value):
        raise ReadError("a number beyond what a 64-bit float holds: readers differ on it", rule="DG507")
    return "float"


def _merge_plain(known: Kind, found: str) -> str:
    """An integer too long to be a float does not mix with floats."""
    if known is None or known == found:
        return found
    if isinstance(known, (dict, list)):
        raise _ClashError(known, found)
    if known == "float" and found == "int":
        return "float"
    if known == "int" and found in ("float", "long"):
        return found
    if known == "long" and found == "int":
        return "long"
    raise _ClashError(known, found)


def _arrow(kind: Kind) -> pa.DataType:
    if isinstance(kind, dict):
        return pa.struct([pa.field(key, _arrow(inner)) for key, inner in kind.items()])
    if isinstance(kind, list):
        return pa.large_list(_arrow(kind[0]))
    return {
        None: pa.null(),
        "string": pa.large_string(),
        "bool": pa.bool_(),
        "int": pa.int64(),
        "long": pa.int64(),
        "float": pa.float64(),
    }[kind]

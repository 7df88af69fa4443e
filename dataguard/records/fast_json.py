"""JSON Lines many at a time by msgspec, where it is installed and where it cannot differ from the strict parser.

msgspec reads strictly (no NaN, no lone surrogates, no control characters, UTF-8 alone), but takes the last of a key that
stands twice. That is told apart by counting: each key and each text has two quotes around it, so lines have as many
quotes, escaped ones apart, as what came of them says. Wherever anything is in doubt the answer is None, and the strict
parser decides, line by line.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

import numpy as np

from dataguard.records.json_types import Json, JsonTypes

_I64 = range(-(1 << 63), 1 << 63)
_PLAIN = {str: "string", bool: "bool", float: "float"}
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
        kinds = set(map(type, values)) - {type(None)}
        if kinds & {list, dict}:
            inner = [_counted(value) for value in values]
            keys += sum(count[0] for count in inner)
            texts += sum(count[1] for count in inner)
            if not types.take(name, values):
                return False
            continue
        kind = _kind(kinds, values)
        if kind == "":
            return False
        if kind == "string":
            texts += len(values) - values.count(None)
        plain[name] = kind
    return _quotes(b"\n".join(lines)) == 2 * (keys + texts) and types.take_plain(plain)


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
    quote = data == ord('"')
    quotes = int(np.count_nonzero(quote))
    if b"\\" in text:
        slash = data == ord("\\")
        if not np.any(slash[1:] & slash[:-1]):
            return quotes - int(np.count_nonzero(slash[:-1] & quote[1:]))
        # Of slashes side by side each second one is escaped by the one in front of it.
        slashes = np.flatnonzero(slash)
        begins = np.diff(slashes, prepend=-2) != 1
        order = np.arange(len(slashes))
        within = order - np.maximum.accumulate(np.where(begins, order, 0))
        escaping = slashes[within % 2 == 0]
        quotes -= int(np.count_nonzero(quote[np.minimum(escaping + 1, len(data) - 1)]))
    return quotes

"""What a Delta log says, action by action, and the table that comes of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from dataguard.errors import ReadError
from dataguard.records.tables.base import MAX_BYTES, has
from dataguard.safe_text import safe_text

MAX_DIGITS = 19
"""Digits of a count that 64 bits hold."""


class Key(NamedTuple):
    """What a file is known by in the log."""

    path: str
    vector: str


class Added(NamedTuple):
    """What the log says of a file that counts."""

    rows: int | None
    size: int | None
    partitions: tuple[tuple[str, str | None], ...]


@dataclass
class State:
    """The table as of some version."""

    live: dict[Key, Added] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    def apply(self, actions: Iterable[Mapping[str, Any]], where: str) -> None:
        """Applies the actions of one version, which stand in no order.

        Raises:
            ReadError: one file is both added and removed, or anything is not as the protocol says.
        """
        added: dict[Key, Added] = {}
        removed: set[Key] = set()
        for action in actions:
            if action.get("protocol") is not None:
                self.protocol = has(action["protocol"], dict, f"{where}: protocol")
            if action.get("metaData") is not None:
                self.metadata = has(action["metaData"], dict, f"{where}: metaData")
            if action.get("add") is not None:
                key, value = _added(has(action["add"], dict, f"{where}: add"), where)
                if key in added:
                    raise ReadError(f"{where}: adds {safe_text(key.path, limit=120)} twice", "DG507")
                added[key] = value
            if action.get("remove") is not None:
                removed.add(_key(has(action["remove"], dict, f"{where}: remove"), where))
        both = added.keys() & removed
        if both:
            path = safe_text(min(both).path, limit=120)
            raise ReadError(f"{where}: adds and removes {path}: readers differ on which one counts", "DG507")
        for key in removed:
            self.live.pop(key, None)
        self.live |= added


def is_number(text: str) -> bool:
    """Whether a text is of decimal digits, and nothing else."""
    return text.isascii() and text.isdigit()


def _key(action: Mapping[str, Any], where: str) -> Key:
    vector = action.get("deletionVector")
    if vector is None:
        return Key(has(action.get("path"), str, f"{where}: path"), "")
    vector = has(vector, dict, f"{where}: deletionVector")
    return Key(
        has(action.get("path"), str, f"{where}: path"),
        f"{vector.get('storageType')}{vector.get('pathOrInlineDv')}@{vector.get('offset')}",
    )


def _added(action: Mapping[str, Any], where: str) -> tuple[Key, Added]:
    size, stats, values = action.get("size"), action.get("stats"), action.get("partitionValues") or {}
    partitions = tuple(sorted(has(values, dict, f"{where}: partitionValues").items()))
    if not all(value is None or isinstance(value, str) for _, value in partitions):
        raise ReadError(f"{where}: expected text for the values of partitions")
    rows = None if stats is None else _rows(has(stats, str, f"{where}: stats"), where)
    return _key(action, where), Added(
        rows, None if size is None else has(size, int, f"{where}: size"), partitions
    )


def _rows(stats: str, where: str) -> int | None:
    """The records that statistics claim; their other numbers may be decimals of any length, and are not looked at."""
    try:
        found = _STATS.decode(stats) if len(stats) <= MAX_BYTES else None
    except (ValueError, RecursionError) as error:
        raise ReadError(f"{where}: statistics that are no JSON, or have a key twice", "DG507") from error
    rows = has(found, dict, f"{where}: stats").get("numRecords")
    if rows is None:
        return None
    if not (isinstance(rows, str) and is_number(rows) and len(rows) <= MAX_DIGITS):
        raise ReadError(f"{where}: expected a count of records, got something else", "DG506")
    return int(rows)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"expected a number, got {text}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


_STATS = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=str, parse_float=str, parse_constant=_no_number
)

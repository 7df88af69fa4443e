"""JSON Lines by line, strictly: whatever two readers would read differently is refused with its line.

Never by `pyarrow.json` (five bytes can kill the process) or polars. The first look parses every line and
finds the one type of each column, so that neither batches nor row groups decide what a value is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any, NoReturn

import pyarrow as pa

from dataguard.config import Limits
from dataguard.errors import ReadError
from dataguard.records.inspect import Group, Inspection, depth

GROUP_ROWS = 65_536
BLOCK = 1 << 20
_BLANK = b" \t\r\n"
_I64 = range(-(1 << 63), 1 << 63)
_EXACT_FLOAT = 1 << 53


def _no_constant(name: str) -> NoReturn:
    raise ReadError(f"{name} is no JSON: readers differ on it", rule="DG507")


def _integer(digits: str) -> int:
    # Longer than any 64-bit integer: not worth parsing, and quadratic to parse.
    if len(digits) > 20 or int(digits) not in _I64:
        raise ReadError("an integer beyond 64 bits, which readers round or refuse")
    return int(digits)


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ReadError("the same key twice in one object: readers differ on which one counts", rule="DG507")
    return found


_DECODER = json.JSONDecoder(
    object_pairs_hook=_no_twins, parse_constant=_no_constant, parse_int=_integer, strict=True
)


def parse_line(line: bytes) -> dict[str, Any]:
    """One record.

    Raises:
        ReadError: with the file rule it falls under, without the line's number.
    """
    if b"\r" in line.rstrip(_BLANK):
        raise ReadError(
            "a bare carriage return inside a record: readers differ on where lines end", rule="DG507"
        )
    try:
        text = line.decode("utf-8")
        record = _DECODER.decode(text)
        text = None  # type: ignore[assignment]  # the line is not needed twice in memory
    except UnicodeDecodeError as error:
        raise ReadError(f"not UTF-8 at byte {error.start} of the line") from error
    except RecursionError as error:
        raise ReadError("values nest too deep", rule="DG504") from error
    except json.JSONDecodeError as error:
        raise ReadError(f"not JSON: {error.msg} at character {error.pos} of the line") from error
    if not isinstance(record, dict):
        raise ReadError(f"expected an object on each line, got {_name(record)}")
    return record


def lines(descriptor: int, start: int, size: int, limits: Limits) -> Iterator[tuple[int, bytes]]:
    """The lines of a byte range, with where each begins; memory is bounded by the longest line allowed.

    Raises:
        ReadError: a line longer than `limits.line_bytes` (DG504).
    """
    rest, begin, offset, end = b"", start, start, start + size
    while offset < end:
        block = os.pread(descriptor, min(BLOCK, end - offset), offset)
        if not block:
            raise ReadError("changed while it was read: shorter than before", rule="DG505")
        offset += len(block)
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            yield begin, line
            begin += len(line) + 1
        if len(rest) > limits.line_bytes:
            raise ReadError(f"a line of more than {limits.line_bytes} bytes", rule="DG504")
    if rest:
        yield begin, rest


def looks_like_lines(descriptor: int, size: int, limits: Limits) -> bool:
    """Whether a ``.json`` file is one object a line: its first line is a whole object."""
    for _, line in lines(descriptor, 0, min(size, BLOCK), limits):
        if line.strip(_BLANK):
            try:
                parse_line(line)
            except ReadError:
                return False
            return True
    return False


def inspect(descriptor: int, size: int, limits: Limits) -> Inspection:
    """Parses every line once, for the row groups and the type of each column.

    Raises:
        ReadError: naming the line.
    """
    if os.pread(descriptor, 3, 0) == b"\xef\xbb\xbf":
        raise ReadError("a byte order mark in front: readers differ on it", rule="DG507")
    kinds: dict[str, Any] = {}
    groups: list[Group] = []
    number = rows = hint = first = end = 0
    for begin, line in lines(descriptor, 0, size, limits):
        number += 1
        end = begin + len(line) + 1
        if not line.strip(_BLANK):
            continue
        try:
            for key, value in parse_line(line).items():
                kinds[key] = _merge(kinds.get(key), _kind(value), key)
        except ReadError as error:
            raise ReadError(f"line {number}: {error.problem}", error.rule) from error
        rows += 1
        hint += len(line)
        if rows == GROUP_ROWS:
            groups.append(Group(rows, end - first, first, hint))
            rows, hint, first = 0, 0, end
    if rows:
        groups.append(Group(rows, min(end, size) - first, first, hint))
    if len(kinds) > limits.columns:
        raise ReadError(f"{len(kinds)} columns; the limit is {limits.columns}", rule="DG504")
    schema = pa.schema([pa.field(name, _arrow(kind)) for name, kind in kinds.items()])
    deepest = max((depth(field.type) for field in schema), default=1)
    if deepest > limits.depth:
        raise ReadError(f"values nest {deepest} deep; the limit is {limits.depth}", rule="DG504")
    return Inspection("jsonl", schema, tuple(groups))


def batches(
    descriptor: int,
    schema: pa.Schema,
    groups: range,
    all_groups: tuple[Group, ...],
    limits: Limits,
    max_rows: int,
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Decodes row groups to batches of at most `max_rows` rows and about `limits.batch_bytes` bytes.

    Raises:
        ReadError: with the file rule it falls under.
    """
    for index in groups:
        group = all_groups[index]
        waiting: list[dict[str, Any]] = []
        held = 0
        for _, line in lines(descriptor, group.start, group.size, limits):
            if not line.strip(_BLANK):
                continue
            waiting.append(parse_line(line))
            held += len(line)
            if len(waiting) == max_rows or held >= limits.batch_bytes:
                yield index, _table(waiting, schema)
                waiting, held = [], 0
        if waiting:
            yield index, _table(waiting, schema)


def _table(records: list[dict[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    try:
        return pa.RecordBatch.from_pylist(records, schema=schema)
    except (pa.ArrowException, UnicodeEncodeError) as error:
        raise ReadError("a string with a lone surrogate: no UTF-8 can hold it", rule="DG507") from error


def _name(value: Any) -> str:
    names = {str: "a string", bool: "a truth value", int: "a number", float: "a number", list: "a list"}
    return "null" if value is None else names.get(type(value), "an object")


def _kind(value: Any) -> Any:
    """The type of a JSON value: None, a name, ["list", kind] or {"key": kind}."""
    if isinstance(value, dict):
        return {key: _kind(inner) for key, inner in value.items()}
    if isinstance(value, list):
        inner: Any = None
        for item in value:
            inner = _merge(inner, _kind(item), "a list")
        return ["list", inner]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _EXACT_FLOAT:
        return "long"
    if isinstance(value, str) and not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
        raise ReadError("a string with a lone surrogate: no UTF-8 can hold it", rule="DG507")
    return None if value is None else {str: "string", bool: "bool", int: "int", float: "float"}[type(value)]


def _merge(one: Any, other: Any, where: str) -> Any:
    """The type that holds both; an integer too long to be a float does not mix with floats."""
    if one == other or other is None:
        return one
    if one is None:
        return other
    if isinstance(one, dict) and isinstance(other, dict):
        keys = list(one) + [key for key in other if key not in one]
        return {key: _merge(one.get(key), other.get(key), f"{where}.{key}") for key in keys}
    if isinstance(one, list) and isinstance(other, list):
        return ["list", _merge(one[1], other[1], f"{where}[]")]
    pair = {str(one), str(other)}
    if pair == {"int", "float"}:
        return "float"
    if pair == {"int", "long"}:
        return "long"
    raise ReadError(
        f"{where} changes its type within the file: {_word(one)} and {_word(other)}", rule="DG507"
    )


def _word(kind: Any) -> str:
    return "object" if isinstance(kind, dict) else "list" if isinstance(kind, list) else str(kind)


def _arrow(kind: Any) -> pa.DataType:
    if isinstance(kind, dict):
        return pa.struct([pa.field(key, _arrow(inner)) for key, inner in kind.items()])
    if isinstance(kind, list):
        return pa.large_list(_arrow(kind[1]))
    return {
        None: pa.null(),
        "string": pa.large_string(),
        "bool": pa.bool_(),
        "int": pa.int64(),
        "long": pa.int64(),
        "float": pa.float64(),
    }[kind]

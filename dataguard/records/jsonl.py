"""JSON Lines by line, strictly: whatever two readers would read differently is refused with its line.

Never by `pyarrow.json` (five bytes can kill the process) or polars. The first look parses every line and
finds the one type of each column, so that neither batches nor row groups decide what a value is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, NoReturn

import pyarrow as pa

from dataguard.config import Limits
from dataguard.errors import ReadError
from dataguard.records import fast_json
from dataguard.records.batch import validated
from dataguard.records.content import Content
from dataguard.records.inspect import Group, Inspection, least_bytes
from dataguard.records.json_types import JsonTypes

GROUP_ROWS = 65_536
BLOCK = 1 << 18
"""Bytes that are parsed at once: what comes of them stays in the processor's cache, which saves a third of the time."""
_BLANK = b" \t\r\n"
_MARK = b"\xef\xbb\xbf"
_I64 = range(-(1 << 63), 1 << 63)


def _no_constant(name: str) -> NoReturn:
    raise ReadError(f"{name} is no JSON: readers differ on it", rule="DG507")


def _integer(digits: str) -> int:
    # Longer than any 64-bit integer: not worth parsing, and quadratic to parse.
    if len(digits) > 20 or int(digits) not in _I64:
        raise ReadError("an integer beyond 64 bits: readers round it or refuse it", rule="DG507")
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
        record = _DECODER.decode(line.decode())
    except UnicodeDecodeError as error:
        raise ReadError(f"not UTF-8 at byte {error.start} of the line") from error
    except RecursionError as error:
        raise ReadError("values nest too deep", rule="DG504") from error
    except json.JSONDecodeError as error:
        raise ReadError(f"not JSON: {error.msg} at character {error.pos} of the line") from error
    if not isinstance(record, dict):
        raise ReadError(f"expected an object on each line, got {_name(record)}")
    return record


def whole_lines(blocks: Iterator[bytes], limits: Limits) -> Iterator[bytes]:
    """Blocks that are cut where lines end, without the last end; memory is bounded by the longest line allowed.

    Raises:
        ReadError: a line longer than `limits.line_bytes` (DG504).
    """
    parts: list[bytes] = []  # of the line at hand; joined once, or it would be copied with every block
    held = 0
    for block in blocks:
        end = block.rfind(b"\n")
        if end >= 0:
            found = b"".join((*parts, memoryview(block)[:end]))
            if len(found) > limits.line_bytes:
                _check_length(max(map(len, found.split(b"\n"))), limits)
            yield found
            parts, held = [], 0
        parts.append(block[end + 1 :])
        held += len(parts[-1])
        _check_length(held, limits)
    if held:
        yield b"".join(parts)


def _check_length(size: int, limits: Limits) -> None:
    if size > limits.line_bytes:
        raise ReadError(f"a line of more than {limits.line_bytes} bytes", rule="DG504")


def looks_like_lines(content: Content) -> bool:
    """Whether a ``.json`` file is one object a line: its first line begins and ends as one.

    Whether it is a good one is not asked: what a reader of lines may take, must not pass as a file of no records.
    """
    try:
        for found in whole_lines(content.blocks(), content.limits):
            for line in found.split(b"\n"):
                bare = line.removeprefix(_MARK).strip(_BLANK)
                if bare:
                    return bare.startswith(b"{") and bare.endswith(b"}")
    except ReadError as error:
        if error.rule != "DG504":
            raise
        # A line too long to be looked at as a whole: it is told where it is read.
        return next(content.blocks()).removeprefix(_MARK).lstrip(_BLANK).startswith(b"{")
    return False


def inspect(content: Content) -> Inspection:
    """Parses every line once, for the row groups and the type of each column.

    Raises:
        ReadError: naming the line.
    """
    types, cut = JsonTypes(content.limits), _Groups()
    total = 0

    def counted() -> Iterator[bytes]:
        nonlocal total
        for block in content.blocks(block=BLOCK):
            if not total and block.startswith(_MARK):
                raise ReadError("a byte order mark in front: readers differ on it", rule="DG507")
            total += len(block)
            yield block

    number, fast = 1, fast_json.Blocks(types)
    for block in whole_lines(counted(), content.limits):
        lines = fast.look(block)
        if lines is None:
            found = block.split(b"\n")
            lines = len(found)
            _look(found, number, types)
            cut.add(found)
        else:
            cut.add_records(block, lines)
        number += lines
    return Inspection("jsonl", types.schema(), cut.done(total))


class _Groups:
    """Row groups of so many records, as their lines are met."""

    def __init__(self) -> None:
        self._rows = self._place = 0
        self._cuts: list[int] = []
        self._counts: list[int] = []

    def add(self, found: list[bytes]) -> None:
        """Takes lines into account."""
        while found:
            rows = len(_kept(found))
            here = found
            if self._rows + rows >= GROUP_ROWS:
                here = found[: _nth(found, GROUP_ROWS - self._rows)]
                rows = GROUP_ROWS - self._rows
            self._place += sum(map(len, here)) + len(here)
            self._rows += rows
            if self._rows == GROUP_ROWS:
                self._close()
            found = found[len(here) :]

    def add_records(self, block: bytes, rows: int) -> None:
        """Takes lines into account of which none is blank."""
        if self._rows + rows < GROUP_ROWS:
            self._rows += rows
            self._place += len(block) + 1
        else:
            self.add(block.split(b"\n"))

    def _close(self) -> None:
        self._cuts.append(self._place)
        self._counts.append(self._rows)
        self._rows = 0

    def done(self, total: int) -> tuple[Group, ...]:
        """All of them, of so many bytes."""
        if self._rows:
            self._close()
        starts = [0, *self._cuts]
        ends = [min(cut, total) for cut in self._cuts]
        return tuple(
            Group(rows, end - start, start, end - start)
            for rows, start, end in zip(self._counts, starts, ends, strict=False)
        )


def _nth(found: list[bytes], rows: int) -> int:
    """How many lines it takes to have so many records."""
    if len(_kept(found)) == len(found):
        return rows
    return next(islice((at for at, line in enumerate(found, 1) if line.strip(_BLANK)), rows - 1, None))


def _kept(found: list[bytes]) -> list[bytes]:
    """The lines that are not blank; at once, since a file may be hundreds of millions of blank ones."""
    kept = found if all(found) else list(filter(None, found))
    return [line for line in kept if line.strip(_BLANK)] if any(map(bytes.isspace, kept)) else kept


def _look(found: list[bytes], number: int, types: JsonTypes) -> None:
    """Takes lines into account, the first of which has this number."""
    kept = _kept(found)
    if not kept or fast_json.look(kept, types):
        return
    for at, line in enumerate(found, number):
        if line.strip(_BLANK):
            try:
                types.add(parse_line(line))
            except ReadError as error:
                raise ReadError(f"line {at}: {error.problem}", error.rule) from error


def batches(
    content: Content, schema: pa.Schema, groups: range, all_groups: tuple[Group, ...], max_rows: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Decodes row groups to batches of at most `max_rows` rows and about a block of the file.

    Raises:
        ReadError: with the file rule it falls under.
    """
    # Every record has every column, whether its line names it or not.
    limits = content.limits
    most = max(
        1, min(max_rows, int(limits.batch_bytes // max(1, sum(least_bytes(field.type) for field in schema))))
    )
    fast = fast_json.Tables(schema)
    for index, blocks in content.groups(groups, all_groups, block=BLOCK):
        for block in whole_lines(blocks, limits):
            batch = fast.read(block)
            if batch is not None:
                for start in range(0, batch.num_rows, most):
                    yield index, batch.slice(start, most)
                continue
            kept = _kept(block.split(b"\n"))
            for start in range(0, len(kept), most):
                yield index, _table(kept[start : start + most], schema)


def _table(found: list[bytes], schema: pa.Schema) -> pa.RecordBatch:
    records = fast_json.parse(found)
    if records is None:
        records = [parse_line(line) for line in found]
    try:
        if not schema:  # records without a single key are records all the same
            return pa.RecordBatch.from_struct_array(pa.array(records, pa.struct([])))
        return validated(pa.RecordBatch.from_pylist(records, schema=schema))
    except MemoryError:
        raise
    except pa.ArrowException as error:
        raise ReadError(f"records that Arrow does not take: {str(error)[:200]}") from error


def _name(value: object) -> str:
    names = {str: "a string", bool: "a truth value", int: "a number", float: "a number", list: "a list"}
    return "null" if value is None else names.get(type(value), "an object")

"""Reading: files become validated batches whose every row has an address.

Everything here but the walk parses hostile bytes, and runs in a worker process with limits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataguard.columns import Roles, is_list
from dataguard.config import Limits
from dataguard.errors import ReadError
from dataguard.records import arrow_ipc, delimited, jsonl, parquet
from dataguard.records.batch import Batch, Strings
from dataguard.records.content import Content
from dataguard.records.files import Stamp, opened, sha256, sniff
from dataguard.records.inspect import READER, Group, Incident, Inspection, depth, least_bytes
from dataguard.records.normal import expands, normal
from dataguard.records.sizes import sizes
from dataguard.records.unsafe import dangers, suspect
from dataguard.records.walk import Entry, Listing, list_files, open_beneath

__all__ = [
    "READER",
    "UNKNOWN",
    "Batch",
    "Entry",
    "Group",
    "Incident",
    "Inspection",
    "Listing",
    "Slice",
    "Stamp",
    "Strings",
    "inspect_file",
    "list_files",
    "open_beneath",
    "opened",
    "read",
    "sha256",
    "sniff",
    "suspect",
]

ROW_BYTES = 16
"""What a row counts at least, so that rows of nothing are not free: each is digested and looked at."""
TOGETHER = 1 << 20
"""Bytes up to which small batches are joined."""
UNKNOWN = "unknown"
"""The format of a file that could not be opened, or moved meanwhile: nothing is known of its content."""


@dataclass(frozen=True)
class Slice:
    """Row groups of one file, to be read in one go.

    Args:
        root: the data set's root.
        name: the file's escaped name.
        stamp: what the file must still be.
        inspection: what the file said of itself.
        first: the first row group.
        last: one past the last row group.
    """

    root: Path
    name: str
    stamp: Stamp
    inspection: Inspection
    first: int
    last: int

    @property
    def first_row(self) -> int:
        """The number in the file of the first row."""
        return sum(group.rows for group in self.inspection.groups[: self.first])

    @property
    def size(self) -> int:
        """Bytes of the file that are to be read."""
        claimed = sum(group.size for group in self.inspection.groups[self.first : self.last])
        return min(claimed, self.stamp.size)


def inspect_file(root: Path, name: str, stamp: Stamp, limits: Limits) -> Inspection:
    """What a file says of itself; never raises for what is in the file, but says why it is refused."""
    try:
        with opened(root, name, stamp) as (descriptor, _):
            kind, _, codec = sniff(descriptor, name).partition(".")
            content = Content(descriptor, stamp.size, limits, codec)
            try:
                if kind == "json":
                    kind = "jsonl" if jsonl.looks_like_lines(content) else "other"
                if kind == "other":
                    unsafe = suspect(descriptor, name)
                    return Inspection(
                        "other", dangers=dangers(descriptor, stamp.size, name) if unsafe else ()
                    )
                found = _inspected(kind, content)
                return _check_schema(replace(found, format=_named(kind, codec)), stamp.size, limits)
            except ReadError as error:
                return Inspection(_named(kind, codec), refused=Incident(error.rule, error.problem))
            except RecursionError:
                return Inspection(_named(kind, codec), refused=Incident("DG504", "values nest too deep"))
    except ReadError as error:
        return Inspection(UNKNOWN, refused=Incident(error.rule, error.problem))


def _named(kind: str, codec: str) -> str:
    return f"{kind}.{codec}" if codec else kind


def _inspected(kind: str, content: Content) -> Inspection:
    """What a file of records says of itself; raises `ReadError`."""
    if kind == "parquet":
        return parquet.inspect(content.descriptor, content.size, content.limits)
    if kind == "arrow":
        return arrow_ipc.inspect(content.descriptor, content.size, content.limits)
    return jsonl.inspect(content) if kind == "jsonl" else delimited.inspect(content, kind)


def _check_schema(inspection: Inspection, size: int, limits: Limits) -> Inspection:
    """The inspection, unless what the file says of itself is already too much."""
    schema = inspection.schema
    assert schema is not None
    names = Counter(schema.names)
    if len(names) < len(schema):
        twin = min(name for name, count in names.items() if count > 1)
        raise ReadError(
            f"two columns have the same name, {twin!r}: readers differ on which one counts", "DG507"
        )
    deepest = max((depth(field.type) for field in schema), default=1)
    if deepest > limits.depth:
        raise ReadError(f"columns nest {deepest} deep; the limit is {limits.depth}", "DG504")
    cost = sum(least_bytes(field.type) for field in schema)
    if cost > limits.cell_bytes:
        raise ReadError(f"one row takes at least {cost:.0f} bytes; the limit is {limits.cell_bytes}", "DG504")
    _check_written(schema)
    rows = sum(group.rows for group in inspection.groups)
    if inspection.refused is None and rows * (ROW_BYTES + cost) > limits.budget(size):
        raise ReadError(f"claims {rows} rows, so that it {_over(size, limits)}", "DG504")
    return inspection


def _check_written(schema: pa.Schema) -> None:
    """Refuses a schema that cannot be kept: whoever reads the evidence is no worker that may fail."""
    try:
        kept = pa.ipc.read_schema(schema.serialize())
    except pa.ArrowException as error:
        raise ReadError(f"its schema cannot be written down: {str(error)[:200]}") from error
    if kept != schema:
        raise ReadError("its schema reads differently once written down")


def _over(size: int, limits: Limits) -> str:
    return (
        f"decodes to more than the {limits.budget(size)} bytes that a file of {size} may: "
        "raise limits.decoded_bytes or limits.decoded_ratio if that is meant"
    )


def read(part: Slice, roles: Roles, limits: Limits, max_rows: int) -> Iterator[Batch]:
    """Decodes row groups to validated batches; small row groups that follow each other come in one batch.

    Args:
        part: the row groups.
        roles: the roles of the file's columns.
        limits: bounds on cells, batches and what is decoded in all.
        max_rows: the most rows a batch may have; does not change what is read.

    Raises:
        ReadError: with the file rule it falls under; what came before it is still good.
        MemoryError: a batch is too large for the worker; fewer rows may do.
    """
    waiting: list[tuple[int, pa.RecordBatch]] = []
    row, rows, size = part.first_row, 0, 0
    try:
        for group, data in _decoded(part, limits, max_rows):
            # Every rule has a cost a batch: 20,000 row groups of one row would take minutes.
            if waiting and (rows + data.num_rows > max_rows or size + data.nbytes > TOGETHER):
                yield _joined(waiting, row, roles)
                row, rows, size, waiting = row + rows, 0, 0, []
            waiting.append((group, data))
            rows, size = rows + data.num_rows, size + data.nbytes
            if size >= TOGETHER or rows == max_rows or not data.num_columns:
                yield _joined(waiting, row, roles)
                row, rows, size, waiting = row + rows, 0, 0, []
    except ReadError:
        if waiting:
            yield _joined(waiting, row, roles)
        raise
    if waiting:
        yield _joined(waiting, row, roles)


def _joined(parts: list[tuple[int, pa.RecordBatch]], row: int, roles: Roles) -> Batch:
    groups = tuple((group, data.num_rows) for group, data in parts)
    data = parts[0][1] if len(parts) == 1 else pa.concat_batches([data for _, data in parts])
    return Batch(data, row, roles, groups=groups)


def _decoded(part: Slice, limits: Limits, max_rows: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Batches in the one layout that rules meet, with the number of the row group of each."""
    inspection = part.inspection
    schema = inspection.schema
    assert schema is not None
    groups = range(part.first, part.last)
    with opened(part.root, part.name, part.stamp) as (descriptor, _):
        kind, _, codec = inspection.format.partition(".")
        content, all_groups = Content(descriptor, part.stamp.size, limits, codec), inspection.groups
        if kind == "parquet":
            decoded = parquet.batches(descriptor, groups, all_groups, limits, max_rows)
        elif kind == "arrow":
            decoded = arrow_ipc.batches(descriptor, groups, all_groups, limits, max_rows)
        elif kind == "jsonl":
            decoded = jsonl.batches(content, schema, groups, all_groups, max_rows)
        else:
            decoded = delimited.batches(content, kind, schema, groups, all_groups, max_rows)
        total = 0
        expected = {index: inspection.groups[index].rows for index in groups}
        for index, raw in decoded:
            if expected[index] < raw.num_rows:
                raise ReadError(
                    f"row group {index} has more rows than the {inspection.groups[index].rows} it claims",
                    "DG506",
                )
            for batch in _pieces(raw, limits):
                data = _normal(batch, schema)
                expected[index] -= data.num_rows
                total += data.nbytes + ROW_BYTES * data.num_rows
                if total > limits.budget(part.stamp.size):
                    raise ReadError(_over(part.stamp.size, limits), "DG504")
                _check_cells(data, limits)
                yield index, data
        for index, missing in expected.items():
            if missing:
                rows = inspection.groups[index].rows
                raise ReadError(f"row group {index} claims {rows} rows and has {rows - missing}", "DG506")


def _pieces(batch: pa.RecordBatch, limits: Limits) -> Iterator[pa.RecordBatch]:
    """Cuts a batch until each piece fits the budget when dictionaries, runs and views are written out."""
    if not batch.num_rows:
        return
    if not any(expands(field.type) for field in batch.schema):
        yield batch
        return
    each = np.zeros(batch.num_rows, np.int64) + sum(sizes(column) for column in batch.columns)
    if each.max() > limits.cell_bytes + limits.batch_bytes:
        raise ReadError(
            f"a record of {each.max()} bytes; the limit is a cell of {limits.cell_bytes}", "DG504"
        )
    ends = np.cumsum(each)
    start = 0
    while start < batch.num_rows:
        room = (ends[start - 1] if start else 0) + 2 * limits.batch_bytes
        end = max(start + 1, int(np.searchsorted(ends, room, side="right")))
        yield batch.slice(start, end - start)
        start = end


def _normal(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch in the one layout that rules meet."""
    if not batch.num_columns:
        return batch  # made anew of no columns, it would lose its rows
    columns = []
    for column, field in zip(batch.columns, schema, strict=True):
        try:
            plain = normal(column)
            columns.append(plain if plain.type == field.type else plain.cast(field.type))
        except MemoryError:
            raise
        except pa.ArrowException as error:
            raise ReadError(f"column {field.name!r}: type {column.type} is not supported") from error
    return pa.record_batch(columns, schema=schema)


def _check_cells(batch: pa.RecordBatch, limits: Limits) -> None:
    """No cell is larger than the limit; only looked for where the batch is large enough to hold one."""
    if batch.nbytes <= limits.cell_bytes:
        return
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        for leaf in _leaves(column):
            longest = pc.max(pc.binary_length(leaf)).as_py() or 0
            if longest > limits.cell_bytes:
                raise ReadError(
                    f"column {name!r} has a cell of {longest} bytes; the limit is {limits.cell_bytes}",
                    "DG504",
                )


def _leaves(array: pa.Array) -> Iterator[pa.Array]:
    if pa.types.is_struct(array.type):
        for child in array.flatten():
            yield from _leaves(child)
    elif is_list(array.type):
        yield from _leaves(array.flatten())
    elif pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type):
        yield array

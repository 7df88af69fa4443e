"""CSV and TSV in one dialect, strictly: where two readers would see other cells, the file is refused with its record.

The dialect is RFC 4180 in UTF-8: a header, a comma (in ``.tsv`` a tab), quotes doubled within quotes, line ends within
quotes. A first look finds where records end and holds each of them against the dialect, over positions of bytes and
not by cell, and finds one type for each column from all of its cells, so that neither blocks nor batches decide what a
value is. Then pyarrow reads the cells.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from dataguard.config import Limits
from dataguard.errors import ReadError
from dataguard.records.batch import validated
from dataguard.records.cell_types import CellTypes
from dataguard.records.content import Content
from dataguard.records.inspect import Group, Inspection

GROUP_ROWS = 65_536
LOOK = 1 << 19
"""Bytes that the first look takes at once: what it makes of them stays in the processor's cache."""
DELIMITERS = {"csv": ",", "tsv": "\t"}
_OTHERS = ",;\t|"
"""What readers that guess the delimiter choose from."""
_MARK = b"\xef\xbb\xbf"
_TAIL = 1 << 14
_QUOTE, _LINE = ord('"'), ord("\n")

Places = npt.NDArray[np.int64]


def inspect(content: Content, kind: str) -> Inspection:
    """Looks at the whole file once: where its records end, and the type of each column.

    Raises:
        ReadError: naming the record, counted from 1 behind the header.
    """
    delimiter, total = DELIMITERS[kind], 0

    def counted() -> Iterator[bytes]:
        nonlocal total
        for block in content.blocks(block=LOOK):
            total += len(block)
            yield block

    runs = whole_records(counted(), content.limits)
    run = next(runs, b"")
    if run.startswith(_MARK):
        raise ReadError("a byte order mark in front: readers differ on it", rule="DG507")
    if not run:
        raise ReadError("expected a header, got an empty file")
    at = int(_ends(run)[0]) + 1
    names = _header(run[:at], delimiter)
    if len(names) > content.limits.columns:
        raise ReadError(f"{len(names)} columns; the limit is {content.limits.columns}", rule="DG504")
    types, cut = CellTypes(names), _Groups(at)
    if len(set(names)) < len(names):  # whoever asked refuses such a schema, of any format
        return Inspection(kind, types.schema())
    run = run[at:] or next(runs, b"")
    while run:
        bounds = _checked(run, delimiter, len(names), cut.rows, content.limits.line_bytes)
        cut.add(bounds[:, -1] + 1)
        if types.open:
            types.add(
                _plain_cells(run, bounds, names, types.wanted())
                or _cells(run, names, delimiter, types.wanted())
            )
        run = next(runs, b"")
    return Inspection(kind, types.schema(), cut.done(total))


class _Groups:
    """Row groups of so many records, as they are met."""

    def __init__(self, start: int) -> None:
        self.rows = 0
        self._place = start
        self._cuts = [start]

    def add(self, ends: Places) -> None:
        """Takes the records of a run into account: one past the end of each in it."""
        here = ends[GROUP_ROWS - 1 - self.rows % GROUP_ROWS :: GROUP_ROWS]
        self._cuts += (here + self._place).tolist()
        self.rows += len(ends)
        self._place += int(ends[-1])

    def done(self, total: int) -> tuple[Group, ...]:
        """All of them, of so many bytes."""
        cuts = [cut for cut in self._cuts if cut < self._place]
        ends = [*cuts[1:], min(self._place, total)]
        return tuple(
            Group(min(GROUP_ROWS, self.rows - n * GROUP_ROWS), end - start, start, end - start)
            for n, (start, end) in enumerate(zip(cuts, ends, strict=bool(cuts)))
        )


def whole_records(blocks: Iterator[bytes], limits: Limits) -> Iterator[bytes]:
    """Runs of whole records, each run with the end of its last line; memory is bounded by the longest one allowed.

    Raises:
        ReadError: a record longer than `limits.line_bytes` (DG504).
    """
    parts: list[bytes] = []
    held, odd = 0, False
    for block in blocks:
        odd ^= np.count_nonzero(np.frombuffer(block, np.uint8) == _QUOTE) % 2 == 1
        end = _last_end(block, odd=odd)
        if end:
            yield b"".join((*parts, memoryview(block)[:end]))
            parts, held = [], 0
        parts.append(block[end:])
        held += len(block) - end
        if held > limits.line_bytes:
            raise ReadError(f"a record of more than {limits.line_bytes} bytes", rule="DG504")
    if odd:
        raise ReadError("a quote that is never closed: readers differ on where the record ends", rule="DG507")
    if held:
        if parts[-1].endswith(b"\r"):
            raise ReadError("a bare carriage return at the end: readers differ on whose it is", rule="DG507")
        yield b"".join((*parts, b"\n"))


def _last_end(block: bytes, *, odd: bool) -> int:
    """One past the last end of a record, 0 for none.

    Args:
        block: some bytes.
        odd: whether a quote is open behind them.
    """
    size = _TAIL
    while True:
        data = np.frombuffer(block[-size:], np.uint8)
        quotes, lines = np.flatnonzero(data == _QUOTE), np.flatnonzero(data == _LINE)
        outside = lines[(len(quotes) - np.searchsorted(quotes, lines) + odd) % 2 == 0]
        if len(outside):
            return len(block) - len(data) + int(outside[-1]) + 1
        if size >= len(block):
            return 0
        size *= 8


def _ends(run: bytes) -> Places:
    """Where the records of a run end."""
    data = np.frombuffer(run, np.uint8)
    quotes, lines = np.flatnonzero(data == _QUOTE), np.flatnonzero(data == _LINE)
    found: Places = lines[np.searchsorted(quotes, lines) % 2 == 0]
    return found


def _checked(run: bytes, delimiter: str, columns: int, before: int, most: int) -> Places:
    """Where the cells of a run end, int64 of shape (records, columns), each record held against the dialect.

    Args:
        run: whole records.
        delimiter: between cells.
        columns: how many cells each record must have.
        before: records in front of the run.
        most: bytes that a record may have.

    Raises:
        ReadError: naming the first that does not; a record that is too long is DG504.
    """
    from dataguard.kernels import delimited

    ends, wrong, place = delimited.cell_ends(np.frombuffer(run, np.uint8), ord(delimiter), columns, most)
    if wrong == delimited.GOOD:
        return ends.reshape(-1, columns)
    if wrong == delimited.LONG:
        raise ReadError(f"a record of more than {most} bytes", rule="DG504")
    problem = {
        delimited.NUL: "a NUL byte: readers end the text there, drop it or fail",
        delimited.QUOTED: "a quote within a cell: readers differ on what it means",
        delimited.RETURN: "a bare carriage return: readers differ on where lines end",
        delimited.EMPTY: "an empty line: readers skip it or take it for a record",
        delimited.RAGGED: f"{np.sum(ends >= place)} cells under a header of {columns}: readers fill up, cut off or fail",
    }[wrong]
    number = before + int(np.searchsorted(_ends(run), place)) + 1
    raise ReadError(f"{f'record {number}' if number else 'the header'}: {problem}", rule="DG507")


def _plain_cells(
    run: bytes, bounds: Places, names: list[str], wanted: dict[str, pa.DataType]
) -> pa.RecordBatch | None:
    """Cells of some columns as text, straight from where they lie; None where one of them is in quotes.

    Args:
        run: whole records.
        bounds: where each of their cells ends.
        names: of all columns.
        wanted: the columns, and text as their type.
    """
    from dataguard.kernels.delimited import column_text

    data = np.frombuffer(run, np.uint8)
    columns = []
    for number in [number for number, name in enumerate(names) if name in wanted]:
        found = column_text(data, bounds, number)
        if found is None:
            return None
        offsets, text = found
        there = offsets[1:] > offsets[:-1]  # an empty cell is null
        valid = None if there.all() else pa.array(there).buffers()[1]
        buffers = [valid, pa.py_buffer(offsets), pa.py_buffer(text)]
        columns.append(pa.Array.from_buffers(pa.large_string(), len(there), buffers))
    return validated(pa.record_batch(columns, schema=pa.schema(list(wanted.items()))))


def _header(line: bytes, delimiter: str) -> list[str]:
    """The names of the columns.

    Raises:
        ReadError: it is none, or might be read with another delimiter (DG507).
    """
    data = np.frombuffer(line, np.uint8)
    quotes = np.flatnonzero(data == _QUOTE)
    for other in _OTHERS.replace(delimiter, ""):
        places = np.flatnonzero(data == ord(other))
        if np.any(np.searchsorted(quotes, places) % 2 == 0):
            raise ReadError(
                f"the header has {other!r} outside of quotes: readers that guess the delimiter may take it for one "
                f"in place of {delimiter!r}",
                rule="DG507",
            )
    text = line.removesuffix(b"\n").removesuffix(b"\r")
    columns = 1 + int(np.sum(np.searchsorted(quotes, np.flatnonzero(data == ord(delimiter))) % 2 == 0))
    if not text:
        raise ReadError("expected a header, got an empty line", rule="DG507")
    _checked(text + b"\n", delimiter, columns, -1, len(line))
    try:
        (names,) = csv.reader(io.StringIO(text.decode(), newline=""), delimiter=delimiter, strict=True)
    except UnicodeDecodeError as error:
        raise ReadError(f"not UTF-8 at byte {error.start} of the header") from error
    except (csv.Error, ValueError) as error:
        raise ReadError(f"the header cannot be read: {str(error)[:200]}") from error
    return names


def batches(
    content: Content,
    kind: str,
    schema: pa.Schema,
    groups: range,
    all_groups: tuple[Group, ...],
    max_rows: int,
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Decodes row groups to batches of at most `max_rows` rows and about a block of the file.

    Raises:
        ReadError: with the file rule it falls under.
    """
    types = dict(zip(schema.names, schema.types, strict=True))
    for index, blocks in content.groups(groups, all_groups):
        for run in whole_records(blocks, content.limits):
            batch = _cells(run, schema.names, DELIMITERS[kind], types)
            for start in range(0, batch.num_rows, max_rows):
                yield index, batch.slice(start, max_rows)


def _cells(run: bytes, names: list[str], delimiter: str, types: dict[str, pa.DataType]) -> pa.RecordBatch:
    """Columns of whole records in the types given; columns without one are passed over.

    Raises:
        ReadError: they are not what they seemed, or not UTF-8.
    """
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(run),
            pa.csv.ReadOptions(column_names=names, use_threads=False, block_size=len(run) + 1),
            pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, ignore_empty_lines=False),
            pa.csv.ConvertOptions(
                column_types=types,
                include_columns=list(types),
                null_values=[""],
                true_values=["true"],
                false_values=["false"],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ReadError(f"cells that cannot be read: {(str(error).splitlines() or [''])[0][:200]}") from error
    return validated(table.combine_chunks().to_batches()[0])

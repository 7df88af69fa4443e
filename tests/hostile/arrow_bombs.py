"""Hostile Arrow IPC; see `bombs` for what they share."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc

from hostile.bombs import ANY, OTHER, READ, bomb

TABLE = pa.table({"id": range(1_000), "text": [f"text {n}" for n in range(1_000)]})


def written(table: pa.Table, *, stream: bool = False, codec: str | None = None, rows: int = 300) -> bytes:
    """A table as Arrow IPC."""
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=codec, allow_64bit=True)
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows)
    return sink.getvalue()


def _bytes(name: str, ends: tuple[str, ...], data: bytes) -> None:
    """A bomb that is no more than its bytes."""

    @bomb(name, *ends)
    def write(path: Path) -> None:
        path.write_bytes(data)


FILE, STREAM, PACKED = written(TABLE), written(TABLE, stream=True), written(TABLE, codec="zstd")
_bytes("good.arrow", READ, FILE)
_bytes("good.arrows", READ, STREAM)
_bytes("packed.arrow", READ, PACKED)
_bytes("stream-of-no-suffix", READ, STREAM)
_bytes("no-batches.arrow", READ, written(TABLE.slice(0, 0)))
_bytes("no-rows.arrows", READ, written(TABLE.slice(0, 0), stream=True))
_bytes("no-columns.arrow", READ, written(pa.table({})))
_bytes("empty.arrow", ("DG503",), b"")
_bytes("only-magic.arrow", ("DG503",), FILE[:8])
_bytes("cut.arrow", ("DG503",), FILE[:-20])
_bytes("cut.arrows", ("DG503",), STREAM[:-200])
_bytes("extended.arrow", ("DG503",), FILE + b"more")
_bytes("two-streams.arrows", ("DG507",), STREAM + STREAM)
_bytes("two-schemas.arrows", ("DG507",), STREAM[:-8] + STREAM)
_bytes("feather-1.feather", ("DG503",), b"FEA1" + bytes(100) + b"FEA1")
_bytes("same-column-twice.arrow", ("DG507",), written(pa.Table.from_arrays([[1], [2]], ["a", "a"])))
_bytes("columns-20-000.arrow", ("DG504",), written(pa.table({f"c{n}": [1] for n in range(20_000)})))
_bytes("not-arrow.arrow", ("DG503",), b"a note of somebody\n")
_bytes("all-ones", ANY, b"\xff" * 100)
_bytes("not-utf-8.arrow", ("DG503",), FILE.replace(b"text 1", b"text\xff1"))


@bomb("rows-of-nothing.arrow", "DG504")
def rows_of_nothing(path: Path) -> None:
    """2^40 rows in a few hundred bytes."""
    nothing = pa.Array.from_buffers(pa.null(), 1 << 40, [None])
    path.write_bytes(written(pa.table({"n": nothing}), rows=1 << 40))


@bomb("nested-60.arrow", "DG503", "DG504")
def nested(path: Path) -> None:
    """Sixty lists in one another."""
    column = pa.array(["x"])
    for _ in range(60):
        column = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), column)
    path.write_bytes(written(pa.table({"c": column})))


@bomb("lists-of-the-same-items.arrow", "DG504")
def lists_of_the_same_items(path: Path) -> None:
    """Views of views: each level has ten times the items, and none takes room."""
    column = pa.array(["bomb"] * 10)
    for _ in range(20):
        places = pa.array([0] * 10, pa.int32()), pa.array([10] * 10, pa.int32())
        column = pa.ListViewArray.from_arrays(*places, column)
    path.write_bytes(written(pa.table({"c": column})))


@bomb("one-text-a-million-times.arrow", "DG504")
def one_text(path: Path) -> None:
    """A dictionary of one long text."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000_000, pa.int8()), ["x" * 1_000_000])
    path.write_bytes(written(pa.table({"c": column}), codec="zstd", rows=1_000_000))


@bomb("one-run.arrow", "DG504")
def one_run(path: Path) -> None:
    """A run of a thousand million values."""
    column = pa.RunEndEncodedArray.from_arrays(pa.array([10**9], pa.int64()), ["x" * 1_000])
    path.write_bytes(written(pa.table({"c": column}), rows=10**9))


@bomb("zeros-1-GiB.arrow", "DG504")
def zeros(path: Path) -> None:
    """Buffers that unpack to a gigabyte."""
    column = pa.Array.from_buffers(pa.int64(), 1 << 27, [None, pa.py_buffer(bytes(1 << 30))])
    path.write_bytes(written(pa.table({"n": column}), codec="zstd", rows=1 << 27))


def _forged(number: int) -> bytes:
    """A file with some bytes of its metadata made others."""
    chance = random.Random(number)
    data = bytearray((FILE, STREAM, PACKED)[number % 3])
    for _ in range(chance.randint(1, 4)):
        place = chance.choice(
            [chance.randrange(600), len(data) - 1 - chance.randrange(600), chance.randrange(len(data))]
        )
        data[place] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
    return bytes(data)


for _number in range(60):
    # Whatever it is then: as pyarrow reads it, or named. A magic that is gone makes it a file of no records.
    _bytes(f"forged-{_number:02}.bin", ANY, _forged(_number))
_bytes("magic-gone.bin", OTHER, b"X" + FILE[1:])

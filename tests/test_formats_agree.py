"""The same records have the same digests and findings in every format: the promise of docs/formats.md, on real data."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from dataguard.columns import Roles
from dataguard.config import Limits
from dataguard.digests import file_root, record_digests, tree_root
from dataguard.records import Slice, read
from dataguard.run import Run
from reading import inspect
from scanning import start

GROUP = 65_536


def _ipc(table: pa.Table, *, stream: bool = False, codec: str | None = None) -> bytes:
    sink = io.BytesIO()
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
        writer.write_table(table.combine_chunks(), max_chunksize=GROUP)
    return sink.getvalue()


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=GROUP, compression="zstd")
    return sink.getvalue()


def _polars(table: pa.Table, write: str, **options: str) -> bytes:
    sink = io.BytesIO()
    getattr(pl.DataFrame(table), write)(sink, **options)
    return sink.getvalue()


def _pyarrow_csv(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pa.csv.write_csv(table, sink)
    return sink.getvalue()


def _lines(table: pa.Table) -> bytes:
    return _polars(table, "write_ndjson")


def _cells(table: pa.Table) -> bytes:
    return _polars(table, "write_csv")


FORMATS: dict[str, Callable[[pa.Table], bytes]] = {
    "data.parquet": _parquet,
    "data.arrow": _ipc,
    "data.arrows": lambda table: _ipc(table, stream=True, codec="lz4"),
    "data.feather": lambda table: _ipc(table, codec="zstd"),
    "data.csv": _cells,
    "data.tsv": lambda table: _polars(table, "write_csv", separator="\t", line_terminator="\r\n"),
    "by-pyarrow.csv": _pyarrow_csv,
    "data.jsonl": _lines,
    "data.csv.gz": lambda table: gzip.compress(_cells(table), 1),
    "data.jsonl.zst": lambda table: pa.compress(_lines(table), codec="zstd", asbytes=True),
    "data.jsonl.bz2": lambda table: bz2.compress(_lines(table), 1),
    "data.csv.xz": lambda table: lzma.compress(_cells(table), preset=0),
}


def _read(path: Path, rows: int) -> tuple[np.ndarray, bytes]:
    """Record digests of a file, and its root."""
    found, stamp = inspect(path)
    assert found.refused is None, found.refused
    part = Slice(path.parent, path.name, stamp, found, 0, len(found.groups))
    whole = np.concatenate([record_digests(batch.data) for batch in read(part, Roles(), Limits(), rows)])
    ends = np.cumsum([group.rows for group in found.groups])
    groups = np.split(whole, ends[:-1])
    return whole, file_root([tree_root([leaf.tobytes() for leaf in group]) for group in groups])


@pytest.mark.parametrize("name", ["instruct_clean", "instruct_poison", "classify"])
def test_real_records_have_one_digest_in_every_format(shared: Path, tmp_path: Path, name: str) -> None:
    table = pq.read_table(shared / "data" / "poison" / f"{name}.parquet")
    expected = None
    for number, (file, write) in enumerate(FORMATS.items()):
        path = tmp_path / file
        path.write_bytes(write(table))
        found, root = _read(path, (65_536, 1_000)[number % 2])
        expected = expected or (found, root)
        assert len(found) == table.num_rows
        assert np.array_equal(found, expected[0]), file
        assert root == expected[1], file
        path.unlink()


KEPT = ("findings", "flagged", "measures", "clusters")


@pytest.mark.slow
def test_real_records_have_the_same_findings_in_every_format(shared: Path, tmp_path: Path) -> None:
    """Names aside: the file is called otherwise in each."""
    clean = pq.read_table(shared / "data" / "poison" / "instruct_clean.parquet")
    poison = pq.read_table(shared / "data" / "poison" / "instruct_poison.parquet")
    columns = ["instruction", "input", "output"]
    table = pa.concat_tables([clean.select(columns).slice(0, 2_500), poison.select(columns).slice(0, 150)])
    expected: dict[str, pl.DataFrame] = {}
    for file in ("data.parquet", "data.arrows", "data.csv", "data.jsonl", "data.jsonl.zst"):
        folder = tmp_path / file.replace(".", "-")
        folder.mkdir()
        (folder / file).write_bytes(FORMATS[file](table))
        out = folder.with_suffix(".run")
        assert start(out, [folder], tmp_path / "secret").wait(300) == 0
        run = Run.open(out)
        for kept in KEPT:
            found = run.table(kept).drop("file", strict=False)
            # About the file as such, whose bytes are others.
            found = found.with_columns(pl.selectors.string().str.replace_all(file, "data", literal=True))
            assert found.equals(expected.setdefault(kept, found)), (file, kept)
    assert expected["findings"].height > 0

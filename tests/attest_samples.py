"""A small data set, a finished run over it, and a decoder of its own to compare with."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from dataguard.attest import Decoded, keygen
from dataguard.config import Limits
from dataguard.digests import CANON, record_digests, schema_digest, tree_root
from dataguard.findings import TABLES, empty
from dataguard.manifest import (
    LEAF_BYTES,
    Manifest,
    ManifestFile,
    leaves_digest,
    prefixes,
    root_of_groups,
    write_leaves,
)
from dataguard.run import Run
from dataguard.safe_text import unescape_name

ROWS, GROUP = 300, 100


def records(start: int, count: int = ROWS) -> pa.Table:
    """Records, each different."""
    numbers = range(start, start + count)
    return pa.table(
        {"text": [f"record number {n} says {n * n}" for n in numbers], "label": [n % 3 for n in numbers]}
    )


def write(path: Path, table: pa.Table) -> None:
    """As plain as Parquet gets, so that a flipped byte of a value is another value and not a broken page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=GROUP, compression="none", use_dictionary=False)


def make_data(folder: Path) -> Path:
    """Two tables of which one is in a folder, an empty one, and a file without records."""
    write(folder / "a.parquet", records(0))
    write(folder / "more" / "b.parquet", records(1000, 250))
    write(folder / "none.parquet", records(0, 0))
    (folder / "README.md").write_text("made by a test\n")
    return folder


def plain(root: Path, names: Sequence[str]) -> Iterator[Decoded]:
    """Decodes in this process with few words, to check what the isolated one says."""
    for name in names:
        path = root / unescape_name(name).decode()
        try:
            data = path.read_bytes()
        except OSError as error:
            yield Decoded(ManifestFile.other(name=name, size=0, sha256="0" * 64), problem=str(error))
            continue
        other = ManifestFile.other(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())
        if not name.endswith(".parquet"):
            yield Decoded(other)
            continue
        try:
            file = pq.ParquetFile(pa.BufferReader(data))
            groups = [file.read_row_group(number) for number in range(file.num_row_groups)]
        except (pa.ArrowException, OSError) as error:
            yield Decoded(other, problem=str(error))
            continue
        digests = [
            record_digests(group.combine_chunks().to_batches()[0]) for group in groups if group.num_rows
        ]
        row_groups = tuple((len(group), tree_root(group).hex()) for group in digests)
        leaves = np.concatenate([np.empty((0, LEAF_BYTES), np.uint8), *map(prefixes, digests)])
        line = replace(
            other,
            rows=sum(map(len, digests)),
            row_groups=row_groups,
            file_root=root_of_groups(row_groups),
            schema_sha256=schema_digest(file.schema_arrow).hex(),
        )
        yield Decoded(line, leaves)


def make_run(folder: Path, data: Path) -> Run:
    """A finished, complete run without findings."""
    names = sorted(path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file())
    run = Run.create(folder)
    found = list(plain(data, names))
    leaves = {
        one.file.sha256: write_leaves(folder / "leaves", one.file.sha256, [one.leaves])
        for one in found
        if one.file.schema_sha256
    }
    manifest = Manifest.of((one.file for one in found), leaves_sha256=leaves_digest(leaves))
    run.write("manifest.jsonl", manifest.to_bytes())
    for name, schema in TABLES.items():
        run.write_table(name, empty(schema))
    files = [
        {
            "file": file.name,
            "size": file.size,
            "sha256": file.sha256,
            "format": "parquet" if file.schema_sha256 else "other",
            "rows_declared": file.rows,
            "rows_decoded": file.rows,
            "rows_digested": file.rows,
            "status": "read" if file.schema_sha256 else "other",
            "reason": "",
        }
        for file in manifest.files
    ]
    run.write_table("files", pl.DataFrame(files, schema=TABLES["files"]))
    rule = {
        "rule": "DG301",
        "outcome": "clear",
        "reason": "",
        "rows_seen": 550,
        "version": 1,
        "options": '{"max":1}',
    }
    run.write_table("outcomes", pl.DataFrame([rule], schema=TABLES["outcomes"]))
    source = {"source": "test", "status": "declared", "reason": "", "records": 550, "bytes": 9}
    run.write_table(
        "sources", pl.DataFrame([{**dict.fromkeys(TABLES["sources"]), **source}], schema=TABLES["sources"])
    )
    info = {
        "dataguard": "0.1.0",
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:00:01+00:00",
        "dataset": {"name": "sample", "version": "1", "purpose": "training"},
        "data": [str(data)],
        "root": str(data.resolve()),
        "complete": True,
        "trust_stat": False,
        "counts": {"files": 4, "rows": 550, "bytes": 9, "decoded_bytes": 99, "records_flagged": 0},
        "secret_key_id": "0123456789abcdef",
        "tools": {"pyarrow": pa.__version__},
        "manifest_sha256": manifest.sha256(),
        "screened_root": manifest.root,
        "reader": {"name": "dataguard-reader", "version": 1},
        "canon": CANON,
        "limits": asdict(Limits()),
    }
    set_info(run, info)
    return run


def set_info(run: Run, info: dict) -> None:
    run.write("run.json", json.dumps(info).encode())


@dataclass(frozen=True)
class Sample:
    """A data set, its run, and a key pair."""

    data: Path
    run: Run
    key: Path
    public: Path

    @property
    def attestation(self) -> Path:
        return self.run.path / "attestation.intoto.jsonl"

    def copy(self, to: Path) -> Sample:
        """The same in another place, to be damaged."""
        shutil.copytree(self.data, to / "data")
        shutil.copytree(self.run.path, to / "run")
        copied = Sample(to / "data", Run(to / "run"), self.key, self.public)
        set_info(
            copied.run, copied.run.info | {"data": [str(copied.data)], "root": str(copied.data.resolve())}
        )
        return copied


def make_sample(folder: Path) -> Sample:
    data = make_data(folder / "data")
    return Sample(data, make_run(folder / "run", data), *keygen(folder / "KEY.pem"))

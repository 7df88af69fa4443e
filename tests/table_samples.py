"""Small tables, those of other writers and such as are made by hand, and how tests look at them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataguard import api
from dataguard.config import Limits
from dataguard.manifest import MANIFEST, Manifest, read_leaves
from dataguard.records import list_files
from dataguard.records.tables import (
    Named,
    Resolve,
    Table,
    checked,
    places,
    resolve,
)
from dataguard.run import Run

REAL = Path(__file__).parent / "tables"
RECORDS = {
    "delta": [0, 0, 0, 1, 1, 3, 4, 5],
    "iceberg": [0, 0, 0, 1, 1, 3, 4, 5],
    "hf": [0, 1, 1, 2, 3, 4, 5],
    "lance": [0, 0, 1, 3, 4, 5],
}
"""What the readers of each format see of the tables in `REAL`, by the column `id`."""
OLDEST = {"delta": "_delta_log/*.json", "iceberg": "metadata/*.json", "hf": "train/*.json", "lance": "data/*"}
"""A file of each that the signature covers, though no record of it is read."""
NEEDS = {"iceberg": "fastavro", "lance": "lance"}
EVERY = ("delta", "iceberg", "hf", "lance")


def installed(kind: str) -> None:
    """Skips where the package that reads a kind is not installed."""
    if kind in NEEDS:
        pytest.importorskip(NEEDS[kind], reason=f"{NEEDS[kind]} is not installed")


def rows_of(identities: list[int]) -> pa.Table:
    return pa.table(
        {
            "id": pa.array(identities, pa.int64()),
            "text": [f"the {one}. record of a small table" for one in identities],
            "label": [["x", "y"][one % 2] for one in identities],
        }
    )


def copied(kind: str, tmp_path: Path) -> Path:
    folder = tmp_path / "table"
    shutil.copytree(REAL / kind, folder)
    return folder


def look(source: Any, out: Path, rules: str = "DG1,DG5") -> Run:
    return api.scan(
        source,
        out=out,
        rules=rules,
        policy=None,
        self_test=False,
        secret_file=out.parent / "secret",
        workers=1,
    )


def resolved(folder: Path, named: Named | None = None) -> list[Table]:
    """All tables in a folder, in this process."""
    names = [entry.name for entry in list_files([folder]).entries if not entry.refused]
    found = places(names, {} if named is None else {"": named})
    return checked([resolve(Resolve(folder, one, Limits())) for one in found], frozenset(names))


def refused(folder: Path, named: Named | None = None) -> tuple[str, str]:
    """Rule and reason of the one table in a folder, which must be refused."""
    (table,) = resolved(folder, named)
    assert table.refused is not None, table.snapshot
    assert not table.files
    return table.refused.rule, table.refused.reason


def screened(run: Run) -> list[bytes]:
    """The beginnings of the digests of all records, sorted."""
    manifest = Manifest.parse(run.read(MANIFEST))
    leaves = [read_leaves(run.path / "leaves", one.sha256, one.rows) for one in manifest.files if one.rows]
    return sorted(row.tobytes() for part in leaves for row in part)


def told(run: Run) -> list[tuple[Any, ...]]:
    """What was found, but for where."""
    return sorted(run.table("findings").select("rule", "severity", "records", "why").rows())


def delta(folder: Path, *commits: list[dict[str, Any]], first: dict[str, Any] | None = None) -> Path:
    """A Delta table with two data files and these commits after the first one."""
    (folder / "_delta_log").mkdir(parents=True)
    for name, identities in (("a.parquet", [0, 1]), ("b.parquet", [2])):
        pq.write_table(rows_of(identities), folder / name)
    fields = [
        {"name": name, "type": "string", "nullable": True, "metadata": {}} for name in ("id", "text", "label")
    ]
    metadata = {
        "id": "1",
        "format": {"provider": "parquet"},
        "schemaString": json.dumps({"type": "struct", "fields": fields}),
        "partitionColumns": [],
        "configuration": {},
    }
    start = [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {"metaData": metadata | (first or {})},
    ]
    for number, actions in enumerate([[*start, add("a.parquet")], *commits]):
        lines = "".join(json.dumps(one) + "\n" for one in actions)
        (folder / "_delta_log" / f"{number:020}.json").write_text(lines)
    return folder


def add(path: str, **more: Any) -> dict[str, Any]:
    return {"add": {"path": path, "partitionValues": {}, "dataChange": True, **more}}


def remove(path: str, **more: Any) -> dict[str, Any]:
    return {"remove": {"path": path, "dataChange": True, **more}}

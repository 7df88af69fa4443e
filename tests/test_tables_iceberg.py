"""Metadata of Iceberg: followed to the files of the current snapshot; what is not applied, and what lies, is refused."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dataguard import api
from dataguard.records.tables import (
    Named,
)
from table_samples import (
    REAL,
    copied,
    installed,
    look,
    refused,
    resolved,
)


@pytest.fixture
def ice(tmp_path: Path) -> Path:
    installed("iceberg")
    return copied("iceberg", tmp_path)


def newest(folder: Path) -> Path:
    return max((folder / "metadata").glob("*.metadata.json"))


def edited(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    said = json.loads(newest(folder).read_text())
    change(said)
    newest(folder).write_text(json.dumps(said))


def manifests(folder: Path, change: Callable[[dict[str, Any]], object], pattern: str = "*-m*.avro") -> None:
    """Changes every record of the Avro files of a pattern."""
    import fastavro

    for path in (folder / "metadata").glob(pattern):
        reader = fastavro.reader(io.BytesIO(path.read_bytes()))
        found = list(reader)
        for one in found:
            change(one)
        with path.open("wb") as file:
            fastavro.writer(file, reader.writer_schema, found)


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(said: dict[str, Any]) -> None:
        *above, last = path.split("/")
        here: Any = said
        for part in above:
            here = here[int(part)] if isinstance(here, list) else here[part]
        here[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("location", "file:///elsewhere", "absolute"),
        ("location", "s3://bucket/t", "absolute"),
        ("format-version", 4, "version 4"),
        ("format-version", "2", "expected int"),
        ("current-snapshot-id", 1, "another snapshot"),
        ("refs", {}, ""),
        ("snapshots", [], "one snapshot"),
        ("current-schema-id", 9, "one current schema"),
        ("schemas/0/fields/0/initial-default", 1, "default"),
        ("schemas/0/fields/1/id", 1, "have the number 1"),
        ("schemas/0/fields/0/type", {"type": "cube"}, "not known"),
        ("snapshots/0/manifest-list", None, ""),  # of an old snapshot: nobody follows it
    ],
)
def test_metadata_of_iceberg_that_ask_for_more_or_lie_are_refused(
    ice: Path, path: str, value: Any, why: str
) -> None:
    edited(ice, _set(path, value))
    if why:
        assert why in refused(ice)[1]
    else:
        assert resolved(ice)[0].refused is None


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("data_file/file_path", "file:///etc/passwd", "absolute"),
        ("data_file/file_path", "file:///warehouse/t/../../etc/passwd", "no plain path"),
        ("data_file/file_path", "https://somewhere/x.parquet", "absolute"),
        ("data_file/file_path", "file:///warehouse/t/data/gone.parquet", "twice"),
        ("data_file/content", 1, "holds deletes"),
        ("data_file/file_format", "ORC", "only Parquet"),
    ],
)
def test_manifests_of_iceberg_that_ask_for_more_or_lie_are_refused(
    ice: Path, path: str, value: Any, why: str
) -> None:
    manifests(ice, _set(path, value))
    assert why in refused(ice)[1]


def test_lists_of_manifests_lead_nowhere_else(ice: Path) -> None:
    manifests(ice, _set("manifest_path", "file:///etc/passwd"), "snap-*.avro")
    assert "absolute" in refused(ice)[1]


@pytest.mark.parametrize("data", [b"", b"Obj\x01", b"Obj\x01" + b"\xff" * 64, b"not avro at all" * 10])
def test_manifests_that_are_no_avro_are_refused(ice: Path, data: bytes) -> None:
    for path in (ice / "metadata").glob("snap-*.avro"):
        path.write_bytes(data)
    assert "Avro" in refused(ice)[1]


def test_counts_and_renamed_columns_of_iceberg_are_held_against_the_files(ice: Path, tmp_path: Path) -> None:
    manifests(ice, _set("data_file/record_count", 99))
    run = look(f"iceberg:{ice}", tmp_path / "run", rules="DG5")
    assert set(run.table("findings")["rule"]) == {"DG506"}
    shutil.rmtree(ice)
    shutil.copytree(REAL / "iceberg", ice)
    edited(ice, _set("schemas/0/fields/1/name", "words"))
    run = look(f"iceberg:{ice}", tmp_path / "again", rules="DG5")
    assert set(run.table("findings")["rule"]) == {"DG507"}
    assert api.exit_code(run) == 3


def test_which_metadata_of_iceberg_count_must_be_plain(ice: Path) -> None:
    hint = ice / "metadata" / "version-hint.text"
    hint.write_text("4")
    assert resolved(ice)[0].refused is None
    hint.write_text("3\x1b[2J")
    rule, reason = refused(ice)
    assert (rule, "\x1b" in reason) == ("DG507", False)
    assert resolved(ice, Named("iceberg", 3))[0].refused is None
    hint.unlink()
    shutil.copy(newest(ice), ice / "metadata" / "00004-other.metadata.json")
    assert refused(ice)[0] == "DG507"
    assert "version 17" in refused(ice, Named("iceberg", 17))[1]


def test_compressed_metadata_of_iceberg_are_recognised_and_refused(ice: Path) -> None:
    for name in ("v9.gz.metadata.json", "v9.metadata.json.gz", "00009-abc.gz.metadata.json"):
        path = ice / "metadata" / name
        path.write_bytes(b"\x1f\x8b")
        assert "compressed" in refused(ice)[1]
        path.unlink()

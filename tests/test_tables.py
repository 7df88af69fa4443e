"""Folders that are tables: the files of one version are read and no others, with and without the packages that read them."""

from __future__ import annotations

import importlib
import importlib.util
import json
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from dataguard import api
from dataguard.errors import UsageError
from dataguard.records import list_files
from dataguard.records.stores import Store
from dataguard.records.tables import (
    Named,
    base,
    named_path,
)
from table_samples import (
    EVERY,
    OLDEST,
    REAL,
    RECORDS,
    copied,
    installed,
    look,
    refused,
    resolved,
    rows_of,
    screened,
    told,
)


@pytest.mark.parametrize("kind", EVERY)
def test_a_table_has_the_records_and_findings_of_the_same_rows_in_plain_parquet(
    kind: str, tmp_path: Path
) -> None:
    installed(kind)
    run = look(f"{kind}:{copied(kind, tmp_path)}", tmp_path / "run")
    plain = tmp_path / "plain"
    plain.mkdir()
    pq.write_table(rows_of(RECORDS[kind]), plain / "rows.parquet")
    same = look(plain, tmp_path / "same")
    assert screened(run) == screened(same)
    assert told(run) == told(same)
    assert run.info["complete"]
    assert api.exit_code(run) == 0


@pytest.mark.parametrize("kind", EVERY)
def test_a_table_is_attested_and_verified_with_all_that_lies_in_its_folder(kind: str, tmp_path: Path) -> None:
    installed(kind)
    folder = copied(kind, tmp_path)
    run = look(f"{kind}:{folder}", tmp_path / "run", rules="DG5")
    private, public = api.keygen(tmp_path / "key.pem")
    statement = api.attest(run, key=private)
    place = f"{kind}:{folder}"
    found = api.verify(place, attestation=statement, key=public, records=True)
    assert (found.ok, found.rows) == (True, len(RECORDS[kind]))
    victim = min(folder.glob(OLDEST[kind]))
    victim.write_bytes(victim.read_bytes()[:-1] + b"?")
    assert not api.verify(place, attestation=statement, key=public).ok


def test_a_folder_that_nobody_named_is_recognised_and_what_plain_readers_see_beside_is_told(
    tmp_path: Path,
) -> None:
    folder = copied("delta", tmp_path)
    run = look(tmp_path / "table", tmp_path / "run", rules="DG507")
    (finding,) = run.table("findings").rows(named=True)
    assert finding["rule"] == "DG507"
    assert "version 3" in finding["why"]
    assert "2 file(s)" in finding["why"]
    files = run.table("files")
    assert sorted(files.filter(status="read")["rows_decoded"]) == [1, 7]
    assert run.info["complete"]
    notes = files.filter(files["reason"] != "")["reason"].to_list()
    assert notes == ["not of the Delta table (version 3)"] * 2
    (said,) = run.info["tables"]
    assert said["version"] == "version 3"
    assert f"{base.PAPERS['delta'][0]}/{3:020}.json" in said["metadata"]
    named = look(f"delta:{folder}", tmp_path / "named", rules="DG507")
    assert named.table("findings").is_empty()


@pytest.mark.parametrize(
    ("kind", "version", "rows"),
    [
        ("delta", 0, 6),
        ("delta", 1, 9),
        ("delta", 2, 7),
        ("iceberg", 1, 6),
        ("iceberg", 0, 0),
        ("lance", 1, 6),
    ],
)
def test_an_earlier_version_is_read_where_the_user_names_it(
    kind: str, version: int, rows: int, tmp_path: Path
) -> None:
    installed(kind)
    run = look(f"{kind}:{copied(kind, tmp_path)}@v{version}", tmp_path / "run", rules="DG507")
    assert run.table("files")["rows_decoded"].sum() == rows
    assert run.table("findings").is_empty()


def test_names_of_kinds_and_versions() -> None:
    assert named_path("delta:/data/t@v12") == ("/data/t", Named("delta", 12))
    assert named_path("iceberg:t@home") == ("t@home", Named("iceberg"))
    assert named_path("hf:s3://bucket/t") == ("s3://bucket/t", Named("hf"))
    assert named_path("data/delta:x") == ("data/delta:x", None)
    with pytest.raises(UsageError, match="no version"):
        named_path("hf:t@v1")


@pytest.mark.parametrize("kind", EVERY)
def test_a_folder_that_is_not_what_the_user_said_is_misuse(kind: str, tmp_path: Path) -> None:
    installed(kind)
    (tmp_path / "data").mkdir()
    pq.write_table(rows_of([1]), tmp_path / "data" / "a.parquet")
    with pytest.raises(UsageError, match="expected a"):
        look(f"{kind}:{tmp_path / 'data'}", tmp_path / "run", rules="DG5")


def test_without_its_package_a_kind_that_is_named_is_misuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.util.find_spec
    blocked = {"fastavro", "lance"}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name in blocked else there(name, *more)
    )
    for kind in ("iceberg", "lance"):
        with pytest.raises(UsageError, match=rf"pip install 'dataguard\[{kind}\]'"):
            look(f"{kind}:{REAL / kind}", tmp_path / "run")
    rule, reason = refused(REAL / "iceberg")  # which was only recognised: the scan of the rest goes on
    assert (rule, "dataguard[iceberg]" in reason) == ("DG503", True)
    assert not (tmp_path / "run").exists()


def test_delta_and_hugging_face_need_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("deltalake", "datasets", "fastavro", "lance", "pyiceberg"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it fails
    assert [table.refused for kind in ("delta", "hf") for table in resolved(REAL / kind)] == [None] * 3


def test_a_lance_data_set_that_nobody_named_is_refused(tmp_path: Path) -> None:
    rule, reason = refused(REAL / "lance")
    assert rule == "DG503"
    assert "lance:PATH" in reason


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({"_data_files": [{"filename": "../data.arrow"}]}, "right in the folder"),
        ({"_data_files": [{"filename": "/etc/passwd"}]}, "right in the folder"),
        ({"_data_files": [{"filename": "gone.arrow"}]}, "not there"),
        ({"_data_files": [{"filename": "d.arrow"}, {"filename": "d.arrow"}]}, "twice"),
        ({"_data_files": []}, "empty"),
        ({}, "expected list"),
        (
            {"_data_files": [{"filename": "d.arrow"}], "_indices_data_files": [{"filename": "i.arrow"}]},
            "indices",
        ),
    ],
)
def test_lists_of_files_of_hugging_face_that_lie_are_refused(
    state: dict[str, Any], why: str, tmp_path: Path
) -> None:
    (tmp_path / "d.arrow").write_bytes(b"")
    (tmp_path / "dataset_info.json").write_text("{}")
    (tmp_path / "state.json").write_text(json.dumps(state))
    assert why in refused(tmp_path)[1]


def test_what_later_steps_left_in_a_cache_is_not_read(tmp_path: Path) -> None:
    shutil.copytree(REAL / "hf" / "train", tmp_path / "t")
    (tmp_path / "t" / "state.json").unlink()
    shutil.copy(REAL / "hf" / "test" / "data-00000-of-00001.arrow", tmp_path / "t" / "cache-1234.arrow")
    run = look(tmp_path / "t", tmp_path / "run", rules="DG507")
    assert run.table("files")["rows_decoded"].sum() == 6
    assert "cache-1234.arrow" in run.table("findings")["why"][0]


def test_a_folder_as_it_lies_on_the_hub_is_plain_files(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files: data/*.parquet\n---\n"
    )
    (tmp_path / "data").mkdir()
    pq.write_table(rows_of([1]), tmp_path / "data" / "train-00000-of-00001.parquet")
    assert resolved(tmp_path) == []


@pytest.mark.parametrize("kind", ["delta", "iceberg", "hf"])
def test_damaged_metadata_are_refused_or_lead_to_files_of_the_folder(kind: str, tmp_path: Path) -> None:
    installed(kind)
    rng = random.Random(kind)
    folder = copied(kind, tmp_path)
    there = {entry.name for entry in list_files([folder]).entries}
    papers = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".json", ".avro") or "checkpoint" in path.name
    ]
    outcomes = set()
    for _ in range(60):
        path = rng.choice(papers)
        whole = path.read_bytes()
        at, size = rng.randrange(len(whole)), rng.randrange(1, 40)
        middle = rng.choice([b"", rng.randbytes(size), whole[at : at + size] * 2, whole[:at]])
        path.write_bytes(whole[:at] + middle + whole[at + size :])
        for table in resolved(folder):
            outcomes.add(table.refused is None)
            assert table.files.keys() <= there
            assert table.refused is None or table.refused.rule.startswith("DG50")
        path.write_bytes(whole)
    assert outcomes == {True, False}


def test_a_table_in_a_store_is_fetched_and_read_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied("delta", tmp_path)
    system = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    monkeypatch.setattr(Store, "of", classmethod(lambda cls, uri: cls(uri, system, "table")))
    run = look("delta:s3://bucket/table@v1", tmp_path / "run", rules="DG507")
    assert run.table("files")["rows_decoded"].sum() == 9
    assert run.table("findings").is_empty()
    assert (run.info["store"], run.info["tables"][0]["wanted"]) == ("s3://bucket/table", 1)

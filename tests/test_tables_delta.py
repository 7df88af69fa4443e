"""Logs of Delta: replayed to the files of a version; what is not applied, and what lies, is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dataguard import api
from dataguard.errors import RefusedError
from dataguard.records.tables import (
    Named,
    base,
    iceberg,
)
from table_samples import (
    REAL,
    add,
    copied,
    delta,
    look,
    refused,
    remove,
    resolved,
    rows_of,
)

VECTOR = {"storageType": "u", "pathOrInlineDv": "x", "offset": 1, "sizeInBytes": 1, "cardinality": 1}


@pytest.mark.parametrize(
    ("commits", "files"),
    [
        ([], ["a.parquet"]),
        ([[add("b.parquet")]], ["a.parquet", "b.parquet"]),
        ([[add("b.parquet"), remove("a.parquet")]], ["b.parquet"]),
        ([[remove("a.parquet")], [add("a.parquet")]], ["a.parquet"]),
        ([[remove("a.parquet")]], []),
        ([[add("%62.parquet")]], ["a.parquet", "b.parquet"]),
        (
            [[add("b.parquet", deletionVector=VECTOR)], [remove("b.parquet", deletionVector=VECTOR)]],
            ["a.parquet"],
        ),
        ([[{"txn": {"appId": "x", "version": 1}}, {"commitInfo": {}}, {"unknown": {}}]], ["a.parquet"]),
    ],
)
def test_the_log_of_delta_is_replayed(
    commits: list[list[dict[str, Any]]], files: list[str], tmp_path: Path
) -> None:
    (table,) = resolved(delta(tmp_path / "t", *commits))
    assert table.refused is None
    assert sorted(table.files) == files


def names(commit: dict[str, Any], why: str, rule: str = "DG503") -> Any:
    return pytest.param([[commit]], why, rule, id=f"{json.dumps(commit)[:60]}")


ESCAPES = [
    "/etc/passwd",
    "../../etc/passwd",
    "file:///etc/passwd",
    "s3://elsewhere/b.parquet",
    "http://a.b/c",
    "a/../b.parquet",
]
ESCAPES += [
    "./b.parquet",
    "%2e%2e/b.parquet",
    "%2Fetc/passwd",
    "b%00.parquet",
    "x//b.parquet",
    "",
    "C:\\b",
    "\\\\host\\b",
]
ESCAPES += ["_delta_log/00000000000000000000.json", "%ff"]


@pytest.mark.parametrize(
    ("commits", "why", "rule"),
    [
        *(names(add(path), "path|absolute|UTF-8|leads into the log") for path in ESCAPES),
        names(add("gone.parquet"), "not there"),
        names(add("b.parquet", deletionVector=VECTOR), "deletion vector"),
        names({"protocol": {"minReaderVersion": 4}}, "version 4"),
        names({"protocol": {"minReaderVersion": 3, "readerFeatures": ["typeWidening"]}}, "typeWidening"),
        names({"protocol": {"minReaderVersion": "1"}}, "expected int"),
        names({"protocol": None, "metaData": {"schemaString": "{"}}, "strict JSON"),
        names({"metaData": {}}, "expected str"),
        names({"add": "b.parquet"}, "expected dict"),
        names({"add": {"size": 1}}, "expected str"),
        names(add("b.parquet", size="1"), "expected int"),
        names(add("b.parquet", stats='{"numRecords": 1, "numRecords": 2}'), "twice", "DG507"),
        names(add("b.parquet", stats='{"numRecords": -1}'), "count", "DG506"),
        names(add("b.parquet", stats='{"numRecords": 1e3}'), "count", "DG506"),
        names(add("b.parquet", stats="[" * 100_000), "no JSON", "DG507"),
        names(add("b.parquet", partitionValues={"label": "x"}), "no partitions", "DG507"),
        pytest.param([[add("b.parquet"), add("b.parquet")]], "twice", "DG507", id="twice in one commit"),
        pytest.param([[add("b.parquet"), add("%62.parquet")]], "twice", "DG507", id="twice under two names"),
        pytest.param([[add("a.parquet"), remove("a.parquet")]], "adds and removes", "DG507", id="both"),
    ],
)
def test_a_log_of_delta_that_asks_for_more_or_lies_is_refused(
    commits: list[list[dict[str, Any]]], why: str, rule: str, tmp_path: Path
) -> None:
    found, reason = refused(delta(tmp_path / "t", *commits))
    assert found == rule
    assert any(one in reason for one in why.split("|")), reason
    assert "\x00" not in reason


def _broken(text: str) -> Callable[[Path], object]:
    return lambda log: (log / f"{1:020}.json").write_text(text)


def _moved(log: Path) -> None:
    (log / f"{0:020}.json").rename(log / f"{1:020}.json")


def _far(log: Path) -> None:
    (log / f"{10**19:020}.json").write_text("{}\n")


def _empty(log: Path) -> None:
    for path in log.iterdir():
        path.rename(log / "readme.txt")


def _huge(log: Path) -> None:
    with (log / f"{1:020}.json").open("wb") as file:
        file.truncate(base.MAX_BYTES + 1)


def _link(log: Path) -> None:
    (log / f"{1:020}.json").symlink_to("/etc/passwd")


def _no_checkpoint(log: Path) -> None:
    (log / f"{0:020}.checkpoint.parquet").write_bytes(b"PAR1 and no more PAR1")


def _newer_checkpoint(log: Path) -> None:
    (log / f"{3:020}.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json").write_text("{}")
    (log / f"{4:020}.json").write_text("{}\n")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_broken("{"), "strict JSON"),
        (_broken("[]\n"), "JSON object"),
        (_broken("null\n"), "JSON object"),
        (_broken('{"add": {"path": "b.parquet"}, "add": {}}\n'), "stands twice"),
        (_broken('{"a":' * 5000 + "1" + "}" * 5000), "nests deeper"),
        (_broken('{"add": {"path": "\\ud800"}}\n'), "surrogate"),
        (_moved, "0 of the 1 commits|1 of the 2 commits"),
        (_far, "commits from version 0"),
        (_empty, "expected versions"),
        (_huge, "limits are"),
        (_no_checkpoint, "checkpoint"),
        (_newer_checkpoint, "newer kind"),
    ],
)
def test_a_log_of_delta_that_is_broken_is_refused(
    change: Callable[[Path], object], why: str, tmp_path: Path
) -> None:
    folder = delta(tmp_path / "t")
    change(folder / "_delta_log")
    _, reason = refused(folder)
    assert any(one in reason for one in why.split("|")), reason


def test_a_log_of_nothing_that_is_one_is_refused_and_so_are_the_files_beside_it(tmp_path: Path) -> None:
    folder = delta(tmp_path / "t")
    _empty(folder / "_delta_log")
    run = look(folder, tmp_path / "run", rules="DG503")
    assert set(run.table("files")["status"]) == {"refused"}
    assert "expected versions" in " ".join(run.table("findings")["why"])


def test_a_link_in_the_log_is_not_followed(tmp_path: Path) -> None:
    folder = delta(tmp_path / "t")
    _link(folder / "_delta_log")
    run = look(folder, tmp_path / "run", rules="DG5")
    assert not run.info["complete"]
    assert "DG503" in run.table("findings")["rule"]


def test_mapped_columns_are_refused_where_they_are_used(tmp_path: Path) -> None:
    protocol = {"protocol": {"minReaderVersion": 2}}
    mapped = {"configuration": {"delta.columnMapping.mode": "name"}}
    assert "column mapping" in refused(delta(tmp_path / "a", [protocol], first=mapped))[1]
    (table,) = resolved(delta(tmp_path / "b", [protocol]))
    assert table.refused is None


def test_a_checkpoint_that_says_otherwise_than_the_commits_is_refused(tmp_path: Path) -> None:
    folder = copied("delta", tmp_path)
    assert resolved(folder)[0].refused is None
    commit = folder / "_delta_log" / f"{1:020}.json"
    commit.write_text(commit.read_text().replace('"dataChange":true', '"dataChange":false'))
    assert resolved(folder)[0].refused is None
    last = folder / "_delta_log" / f"{2:020}.json"
    kept = [line for line in last.read_text().splitlines() if '"remove"' not in line]
    last.write_text("\n".join(kept))
    assert refused(folder)[0] == "DG507"
    last.unlink()  # now the checkpoint is all that there is
    assert sum(claim.rows or 0 for claim in resolved(folder)[0].files.values()) == 8


@pytest.mark.parametrize(
    ("more", "rule", "why"),
    [
        ({"stats": '{"numRecords": 0}'}, "DG506", "0 records"),
        ({"stats": '{"numRecords": 1, "maxValues": {"id": 99999999999999999999999999999999999999}}'}, "", ""),
        ({"size": 7}, "DG506", "7 bytes"),
    ],
)
def test_what_the_log_says_of_a_file_is_held_against_it(
    more: dict[str, Any], rule: str, why: str, tmp_path: Path
) -> None:
    run = look(delta(tmp_path / "t", [add("b.parquet", **more)]), tmp_path / "run", rules="DG5")
    found = run.table("findings")
    if not rule:
        assert found.is_empty()
        return
    assert found["rule"].to_list() == [rule]
    assert why in found["why"][0]
    assert dict(run.table("files").select("file", "status").rows())["b.parquet"] == "refused"
    assert api.exit_code(run) == 3


def test_columns_that_the_readers_of_the_table_do_not_see_are_refused(tmp_path: Path) -> None:
    folder = delta(tmp_path / "t", [add("b.parquet"), add("c.parquet", partitionValues={"label": "z"})],
                   first={"partitionColumns": ["label"]})  # fmt: skip
    pq.write_table(rows_of([2]).drop_columns("label").append_column("more", [[1]]), folder / "b.parquet")
    pq.write_table(rows_of([3]), folder / "c.parquet")
    pq.write_table(rows_of([3]).drop_columns("label"), folder / "a.parquet")
    run = look(f"delta:{folder}", tmp_path / "run", rules="DG507")
    why = dict(run.table("findings").select("group", "why").rows())
    assert why.keys() == {"b.parquet", "c.parquet"}
    assert "more" in why["b.parquet"]
    assert "in its metadata" in why["c.parquet"]


def test_a_value_of_a_partition_that_the_log_and_the_folder_say_otherwise_is_refused(tmp_path: Path) -> None:
    values = {"label": "z"}
    path = "label=x/b.parquet"
    folder = delta(tmp_path / "t", [remove("a.parquet"), add(path, partitionValues=values)],
                   first={"partitionColumns": ["label"]})  # fmt: skip
    (folder / "label=x").mkdir()
    pq.write_table(rows_of([0]).drop_columns("label"), folder / path)
    assert refused(folder) == ("DG507", refused(folder)[1])
    values["label"] = "x"
    good = delta(tmp_path / "g", [remove("a.parquet"), add(path, partitionValues=values)],
                 first={"partitionColumns": ["label"]})  # fmt: skip
    (good / "label=x").mkdir()
    pq.write_table(rows_of([0]).drop_columns("label"), good / path)
    assert list(resolved(good)[0].files) == [path]


def test_a_refused_table_ends_incomplete_and_the_rest_is_screened(tmp_path: Path) -> None:
    delta(tmp_path / "data" / "t", [add("../../../secret")])
    pq.write_table(rows_of([5, 6]), tmp_path / "data" / "beside.parquet")
    run = look(tmp_path / "data", tmp_path / "run", rules="DG5")
    status = dict(run.table("files").select("file", "status").rows())
    assert status["beside.parquet"] == "read"
    assert status["t/a.parquet"] == status[f"t/_delta_log/{1:020}.json"] == "refused"
    assert api.exit_code(run) == 3
    key, _ = api.keygen(tmp_path / "key.pem")
    with pytest.raises(RefusedError, match="incomplete"):
        api.attest(run, key=key)


def test_two_tables_in_one_folder_or_one_within_another_must_be_named(tmp_path: Path) -> None:
    folder = delta(tmp_path / "t")
    shutil.copytree(REAL / "iceberg" / "metadata", folder / "metadata")
    both = resolved(folder)
    assert [table.refused.rule for table in both if table.refused] == [
        "DG507",
        "DG507",
    ] or not iceberg.available()
    (one,) = resolved(folder, Named("delta"))
    assert one.refused is None
    inner = delta(tmp_path / "n")
    delta(inner / "deep" / "in")
    assert [table.refused.rule for table in resolved(inner) if table.refused] == ["DG507", "DG507"]

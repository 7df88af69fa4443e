"""Two manifests side by side: every difference by its file, and by its row where the leaves are at hand."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from dataguard.manifest import Manifest, ManifestFile, diff, match_names
from manifest_samples import hexed, table


def state(**files):
    return Manifest.of(table(name, groups) for name, groups in files.items())


def said(old, new, **leaves):
    return [(change.change, change.file, change.row) for change in diff(old, new, **leaves)]


def leaves_of(**files):
    def leaves(name):
        data = b"".join(
            hashlib.sha256(record.encode()).digest()[:16] for group in files[name] for record in group
        )
        return np.frombuffer(data, np.uint8).reshape(-1, 16)

    return leaves


def test_nothing_changed():
    assert diff(state(a=[["1"]]), state(a=[["1"]])) == []


def test_added_and_removed():
    assert said(state(a=[["1"]], b=[["2"]]), state(b=[["2"]], c=[["3"]])) == [
        ("removed", "a", None),
        ("added", "c", None),
    ]


def test_renamed_is_one_change():
    [change] = diff(state(a=[["1"]]), state(b=[["1"]]))
    assert (change.change, change.file, change.reason) == ("renamed", "b", "holds the bytes that stood in a")


def test_swapped_names_are_two_changes_each_naming_the_other():
    changes = diff(state(train=[["1"]], test=[["2"]]), state(train=[["2"]], test=[["1"]]))
    assert [(change.change, change.file, change.reason[-5:].strip()) for change in changes] == [
        ("renamed", "test", "train"), ("renamed", "train", "test"),
    ]  # fmt: skip


def test_a_copy_over_another_file_is_a_change_of_that_file():
    assert said(state(a=[["1"]], b=[["2"]]), state(a=[["1"]], b=[["1"]])) == [("changed", "b", None)]


def test_a_copy_under_a_new_name_is_added():
    assert said(state(a=[["1"]]), state(a=[["1"]], b=[["1"]])) == [("added", "b", None)]


def test_equal_files_are_paired_once_each():
    assert match_names({"a": "x", "b": "x"}, {"c": "x", "d": "x", "e": "x"}) == [
        ("renamed", "c", "a"), ("renamed", "d", "b"), ("added", "e", "e"),
    ]  # fmt: skip


def test_a_chain_of_renames():
    assert said(state(a=[["1"]], b=[["2"]]), state(b=[["1"]], c=[["2"]])) == [
        ("renamed", "b", None),
        ("renamed", "c", None),
    ]


def test_without_leaves_the_row_group_is_named():
    old, new = [["1", "2"], ["3", "4"], ["5"]], [["1", "2"], ["3", "X"], ["5"]]
    [change] = diff(state(a=old), state(a=new))
    assert change.reason == "5 records became 5; changed: row group 1 (rows 2 to 3)"


def test_with_leaves_the_rows_are_named():
    old, new = [["1", "2"], ["3", "4"], ["5"]], [["1", "2", "n"], ["X"], ["5"]]
    changes = said(state(a=old), state(a=new), old_leaves=leaves_of(a=old), new_leaves=leaves_of(a=new))
    assert changes == [("changed", "a", None), ("row-changed", "a", 2), ("row-changed", "a", 3)]


def test_many_changed_rows_are_counted_not_listed():
    old, new = [[str(i) for i in range(10_050)]], [[f"x{i}" for i in range(10_050)]]
    changes = diff(state(a=old), state(a=new), old_leaves=leaves_of(a=old), new_leaves=leaves_of(a=new))
    assert sum(change.change == "row-changed" for change in changes) == 10_000
    assert any("10050 rows changed" in change.reason for change in changes)


def test_other_bytes_of_equal_records():
    old = table("a", [["1"]])
    [change] = diff(Manifest.of([old]), Manifest.of([replace(old, sha256=hexed("again"))]))
    assert (change.change, change.reason) == ("changed", "the same records in other bytes")


def test_a_changed_schema_is_named():
    old = table("a", [["1"]])
    new = replace(old, sha256=hexed("again"), schema_sha256=hexed("other"))
    assert said(Manifest.of([old]), Manifest.of([new])) == [
        ("changed", "a", None),
        ("schema-changed", "a", None),
    ]


def test_files_without_records():
    old = ManifestFile.other(name="LICENSE", size=3, sha256=hexed(1))
    new = ManifestFile.other(name="LICENSE", size=4, sha256=hexed(2))
    [change] = diff(Manifest.of([old]), Manifest.of([new]))
    assert (change.change, change.reason) == ("changed", "3 bytes became 4 other ones")


def test_equal_bytes_read_otherwise():
    old = table("a", [["1"]])
    new = replace(table("a", [["2"]]), sha256=old.sha256)
    [change] = diff(Manifest.of([old]), Manifest.of([new]))
    assert "another version" in change.reason

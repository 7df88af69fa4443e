"""Lance: what its library says is checked before it is believed, and nothing but copies is shown to it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dataguard import api
from dataguard.errors import UsageError
from table_samples import (
    copied,
    installed,
    look,
)


class Library:
    """What stands in for the package `lance`: the checks of what it says need no library of 200 MB."""

    def __init__(self, files: list[Any], rows: int = 1, deletion: Any = None) -> None:
        self.schema = pa.schema([("id", pa.int64())])
        self.fragment_id, self.metadata = 0, self
        self.files, self.physical_rows, self.deletion_file, self.overlays = files, rows, deletion, []

    def dataset(self, _: str) -> Library:
        return self

    def get_fragments(self) -> list[Library]:
        return [self]

    def scanner(self, **_: Any) -> Library:
        return self

    def to_reader(self) -> pa.RecordBatchReader:
        return pa.table({"id": [1, 2]}).to_reader()


class Said:
    """A file as Lance's own metadata name it."""

    def __init__(self, path: str, base_id: int | None = None) -> None:
        self.path, self.base_id = path, base_id


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Library], None]]:
    def put(given: Library) -> None:
        monkeypatch.setitem(sys.modules, "lance", given)  # type: ignore[arg-type]

    return put  # type: ignore[return-value]


@pytest.mark.parametrize(
    "file", [Said("../../etc/passwd"), Said("/etc/passwd"), Said("a//b"), Said("x.lance", base_id=1)]
)
def test_files_of_lance_that_lie_elsewhere_are_refused(
    file: Said, library: Callable[[Library], None], tmp_path: Path
) -> None:
    from dataguard.records.tables import lance

    library(Library([file]))
    found = lance.look(lance.Look(tmp_path))
    assert "outside of the data set" in found.reason


def test_fragments_of_lance_are_counted_and_bounded(
    library: Callable[[Library], None], tmp_path: Path
) -> None:
    from dataguard.records.tables import lance

    library(Library([], rows=2))
    one = lance.Fragment(0, (), 2)
    assert lance.write(lance.Write(tmp_path, one, tmp_path / "a", 9, 1 << 20)) == 2
    assert pa.ipc.open_file(tmp_path / "a").read_all().to_pydict() == {"id": [1, 2]}
    small = lance.write(lance.Write(tmp_path, one, tmp_path / "b", 9, 3))
    other = lance.write(lance.Write(tmp_path, lance.Fragment(0, (), 3), tmp_path / "c", 9, 1 << 20))
    assert (small.rule, other.rule) == ("DG504", "DG506")


def test_the_manifest_of_lance_is_told_by_its_name() -> None:
    from dataguard.errors import ReadError
    from dataguard.records.tables.lance import NEWEST, manifest_of

    names = {f"{NEWEST - 2}.manifest": "", f"{NEWEST - 1}.manifest": "", "d5.manifest": "", "hint.json": ""}
    assert manifest_of(names, None) == (2, f"{NEWEST - 2}.manifest")
    assert manifest_of(names, 1)[0] == 1
    assert manifest_of({"3.manifest": ""}, None) == (3, "3.manifest")
    for wrong, version in ((names, 7), ({}, None), (names | {"2.manifest": ""}, None)):
        with pytest.raises(ReadError):
            manifest_of(wrong, version)


def test_a_lance_data_set_that_is_broken_ends_incomplete(tmp_path: Path) -> None:
    installed("lance")
    folder = copied("lance", tmp_path)
    victim = min((folder / "data").iterdir())
    victim.write_bytes(victim.read_bytes()[:-20])
    run = look(f"lance:{folder}", tmp_path / "run", rules="DG5")
    assert api.exit_code(run) == 3
    assert run.table("files").filter(status="refused").height == 1
    for manifest in (folder / "_versions").glob("*.manifest"):
        manifest.write_bytes(b"\xff" * 100)
    run = look(f"lance:{folder}", tmp_path / "run", rules="DG5")
    assert api.exit_code(run) == 3
    assert run.table("files")["file"].to_list() == ["lance.json"]


def test_copies_of_lance_take_links_for_nothing_and_leave_nothing_behind(tmp_path: Path) -> None:
    installed("lance")
    folder = copied("lance", tmp_path)
    victim = min((folder / "data").iterdir())
    victim.rename(tmp_path / "away.lance")
    victim.symlink_to(tmp_path / "away.lance")
    run = look(f"lance:{folder}", tmp_path / "odd #%20name", rules="DG5")
    assert "is not there" in run.table("files").filter(status="refused")["reason"][0]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
    assert len(list((tmp_path / "odd #%20name.data").glob("*.arrow"))) == 2
    with pytest.raises(UsageError, match="outside of the data"):
        look(f"lance:{folder}", folder / "run", rules="DG5")
    with pytest.raises(UsageError, match="got a URI"):
        look("lance:s3://bucket/t", tmp_path / "x", rules="DG5")
    with pytest.raises(UsageError, match="nothing beside it"):
        look([f"lance:{folder}", str(tmp_path)], tmp_path / "x", rules="DG5")

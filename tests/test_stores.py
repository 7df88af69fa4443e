"""Objects of a store: copied once, checked before and after, named when they change, and hostile throughout."""

from __future__ import annotations

import errno
import gzip
import io
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import fs

from dataguard import api
from dataguard.errors import DataguardError, ReadError, UsageError
from dataguard.records import copies as copying
from dataguard.records import stores
from dataguard.records.copies import Fetched, fetch
from dataguard.records.store_names import is_uri, local_path
from dataguard.records.stores import Store
from dataguard.safe_text import escape_name
from dataguard.scan import fetching
from dataguard.scan.progress import Silent

ROOT = Path(stores.__file__).parents[2]


@dataclass
class Lying(fs.FileSystemHandler):
    """A store that lists what it is told to, and of which any answer may be a lie.

    Args:
        bodies: by path.
        sizes: what is said of the size instead.
        listed: what is listed instead.
        on_read: called with the path whenever it is opened.
        times: by path; 1 by default.
    """

    bodies: dict[str, bytes]
    sizes: dict[str, int | None] = field(default_factory=dict)
    listed: list[str] | None = None
    on_read: Callable[[str], None] = lambda _: None
    times: dict[str, int] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)

    def _info(self, path: str) -> fs.FileInfo:
        if path in self.bodies:
            size = self.sizes.get(path, len(self.bodies[path]))
            kind = fs.FileType.File
            return fs.FileInfo(path, kind, size=size, mtime_ns=self.times.get(path, 1))
        below = any(one.startswith(f"{path}/") for one in self.bodies)
        return fs.FileInfo(path, fs.FileType.Directory if below else fs.FileType.NotFound)

    def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
        return [self._info(path) for path in paths]

    def get_file_info_selector(self, selector: fs.FileSelector) -> list[fs.FileInfo]:
        under = [path for path in self.bodies if path.startswith(f"{selector.base_dir}/")]
        return [self._info(path) for path in (under if self.listed is None else self.listed)]

    def open_input_stream(self, path: str) -> pa.NativeFile:
        self.opened.append(path)
        if path not in self.bodies:
            raise FileNotFoundError(errno.ENOENT, "none of that name", path)
        self.on_read(path)
        return pa.PythonFile(io.BytesIO(self.bodies[path]), mode="r")

    def _unused(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("nothing else of a store is asked for")

    get_type_name = normalize_path = open_input_file = _unused
    create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = delete_file = _unused
    move = copy_file = open_output_stream = open_append_stream = _unused


def lying(bodies: dict[str, bytes], **more: Any) -> tuple[Store, Lying]:
    handler = Lying({f"bucket/{name}": body for name, body in bodies.items()}, **more)
    return Store("s3://bucket", fs.PyFileSystem(handler), "bucket"), handler


def fetched(store: Store, folder: Path) -> Fetched:
    folder.mkdir()
    return fetch(store, store.listed(), folder, Silent())


def refusals(found: Fetched) -> dict[str, tuple[str, str]]:
    return {entry.name: (entry.rule, entry.refused) for entry in found.listing().entries if entry.refused}


def copies(found: Fetched) -> dict[str, bytes]:
    """What lies in the folder, by escaped name."""
    return {
        escape_name(os.fsencode(path.relative_to(found.folder))): path.read_bytes()
        for path in found.folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("block", [stores.BLOCK, 3])
def test_objects_are_copied_byte_for_byte_under_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(stores, "BLOCK", block)
    bodies = {
        "a.txt": b"one",
        "deep/er/b.txt": b"",
        "c.jsonl.gz": gzip.compress(b"{}\n"),  # as it is, not unpacked
        "sp ace+%41.txt": b"x",
        "ctl\x1b[2J\n.txt": b"y",
        "\u202ertl.txt": b"z",
        "e\u0301.txt": b"decomposed",
        "\u00e9.txt": b"composed",
        "back\\slash": b"b",
        "country=de/part": b"p",
        "...": b"three points",
        "~": b"home",
    }
    store, _ = lying(bodies)
    found = fetched(store, tmp_path / "copies")
    assert copies(found) == {escape_name(name.encode()): body for name, body in bodies.items()}
    assert found.refused == ()
    assert [entry.name for entry in found.listing().entries] == sorted(copies(found), key=str.encode)
    assert found.changed(Silent()) == {}
    assert {path.stat().st_mode & 0o777 for path in found.folder.rglob("*") if path.is_file()} == {0o600}


NO_PATHS = {
    "../up.txt": ". or ..",
    "..": ". or ..",
    "a/../../up.txt": ". or ..",
    "./dot.txt": ". or ..",
    "a//b.txt": "an empty part",
    "/lead.txt": "an empty part",
    "trail/": "an empty part",
    "n" * 256: "cannot have its name",
    "nul\0.txt": "NUL",
    "file/below.txt": "is an object too",
    "file/deep/below.txt": "is an object too",
}


def test_names_that_are_no_paths_of_files_are_refused_and_never_asked_for(tmp_path: Path) -> None:
    store, handler = lying({**dict.fromkeys(NO_PATHS, b"x"), "file": b"f", "good.txt": b"g"})
    (tmp_path / "in").mkdir()
    found = fetched(store, tmp_path / "in" / "copies")
    refused = refusals(found)
    assert refused.keys() == {escape_name(name.encode()) for name in NO_PATHS}
    for name, why in NO_PATHS.items():
        rule, reason = refused[escape_name(name.encode())]
        assert rule == "DG503"
        assert why in reason
    assert copies(found) == {"file": b"f", "good.txt": b"g"}
    assert {Path(path).name for path in handler.opened} <= {"file", "good.txt", "n" * 256}
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["copies"]


def test_a_listing_that_lies_ends_in_refusals(tmp_path: Path) -> None:
    listed = ["bucket/a", "bucket/a", "bucket/gone", "elsewhere/b", "bucket/c", "bucket", "bucketx/d"]
    store, handler = lying({"a": b"a", "c": b"c"}, listed=listed)
    handler.bodies |= {"elsewhere/b": b"b", "bucketx/d": b"d"}
    found = fetched(store, tmp_path / "copies")
    assert copies(found) == {"c": b"c"}
    reasons = {name: reason for name, (_, reason) in refusals(found).items()}
    assert "listed twice" in reasons["a"]
    assert "does not lie in" in reasons["elsewhere/b"]
    assert "does not lie in" in reasons["bucketx/d"]
    assert "no length" in reasons["gone"]


@pytest.mark.parametrize(
    ("said", "why"), [(2, "2 bytes at first, more"), (9, "9 bytes at first, only 5"), (None, "no length")]
)
def test_a_size_that_lies_is_told_and_bounds_what_is_kept(tmp_path: Path, said: int | None, why: str) -> None:
    store, _ = lying({"a": b"12345", "b": b"b"}, sizes={"bucket/a": said})
    found = fetched(store, tmp_path / "copies")
    ((name, (rule, reason)),) = refusals(found).items()
    assert (name, rule) == ("a", "DG503" if said is None else "DG505")
    assert why in reason
    assert copies(found) == {"b": b"b"}


def test_a_body_without_end_is_cut_at_its_size(tmp_path: Path) -> None:
    class Endless(io.RawIOBase):
        given = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            Endless.given += len(buffer)
            return len(buffer)

    store, handler = lying({"a": b"12345"})
    handler.open_input_stream = lambda _: pa.PythonFile(Endless(), mode="r")  # type: ignore[method-assign]
    ((_, (rule, _)),) = refusals(fetched(store, tmp_path / "copies")).items()
    assert rule == "DG505"
    assert Endless.given <= 6


@pytest.mark.parametrize("when", ["before it is fetched", "while it is fetched", "afterwards", "gone"])
def test_an_object_that_changes_is_named(tmp_path: Path, when: str) -> None:
    store, handler = lying({"a": b"one", "b": b"two"})

    def touch(path: str) -> None:
        if path == "bucket/a":
            handler.times[path] = handler.times.get(path, 1) + 1

    if when == "before it is fetched":
        # Another length than it was listed with.
        handler.on_read = lambda path: (
            handler.bodies.update({path: b"longer"}) if path == "bucket/a" else None
        )
    elif when == "while it is fetched":
        handler.on_read = touch
    found = fetched(store, tmp_path / "copies")
    if when in ("afterwards", "gone"):
        assert refusals(found) == {}
        if when == "gone":
            del handler.bodies["bucket/a"]
        else:
            touch("bucket/a")
        changed = found.changed(Silent())
        assert {name: error.rule for name, error in changed.items()} == {"a": "DG505"}
    else:
        assert {name: rule for name, (rule, _) in refusals(found).items()} == {"a": "DG505"}
        assert copies(found) == {"b": b"two"}


def test_a_store_that_cannot_be_asked_again_is_not_taken_as_unchanged(tmp_path: Path) -> None:
    store, handler = lying({"a": b"one"})
    found = fetched(store, tmp_path / "copies")

    def fails(_: str) -> pa.NativeFile:
        raise OSError("the line\x1b[2J is down\nand more")

    handler.open_input_stream = fails  # type: ignore[method-assign]
    (error,) = found.changed(Silent()).values()
    assert error.rule == "DG503"
    assert "the line‹U+001B›[2J is down" in error.problem
    assert "and more" not in error.problem


def test_copies_that_went_are_no_clean_data(tmp_path: Path) -> None:
    store, _ = lying({"a": b"one", "b": b"two"})
    found = fetched(store, tmp_path / "copies")
    (found.folder / "a").unlink()
    assert refusals(found) == {"a": ("DG503", "its copy is not there")}


def test_a_full_disk_is_said_before_and_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = lying({"a": b"one" * 1000})
    with monkeypatch.context() as patch:
        patch.setattr(copying.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 2999}))
        with pytest.raises(UsageError, match="room for 3000 bytes"):
            fetched(store, tmp_path / "copies")

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(stores.os, "write", full)
        with pytest.raises(DataguardError, match="No space left"):
            fetch(store, store.listed(), tmp_path / "copies", Silent())
    assert list((tmp_path / "copies").iterdir()) == []


@pytest.mark.parametrize(
    "uri",
    [
        "s3://AKIAKEY:hunter2@bucket/data",
        "s3://AKIAKEY@bucket/data",
        "gs://someone:hunter2@bucket/data",
        "abfs://container:hunter2@account.dfs.core.windows.net/data",
        "abfss://container@account.dfs.core.windows.net/data?sas=hunter2",
        "s3://bucket/data?access_key=AKIAKEY&secret_key=hunter2",
        "s3://bucket/data#hunter2",
        "hdfs://host/data",
        "s3:///data",
        "s3://",
        "s3://[bucket/data",
    ],
)
def test_a_uri_with_secrets_or_unknown_parts_is_refused_without_showing_them(
    tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fs, "FileSystem", None)  # nothing is reached for
    with pytest.raises(UsageError) as caught:
        api.scan(uri, out=tmp_path / "run")
    assert "hunter2" not in str(caught.value)
    assert "AKIAKEY" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_uri_is_the_path_that_it_names(tmp_path: Path) -> None:
    assert local_path("file:///data/a%20b%23c") == Path("/data/a b#c")
    assert local_path("file://localhost/data") == Path("/data")
    assert local_path("s3://bucket") is None
    for wrong in ("file://host/data", "file:///data?x", "file:///data#x"):
        with pytest.raises(UsageError):
            local_path(wrong)
    assert [is_uri(one) for one in ("s3://b", "file:///x", "a/b", "./s3://b", "s3:/b", Path("s3://b"))] == [
        True, True, False, False, False, False,
    ]  # fmt: skip
    with pytest.raises(UsageError, match=str(tmp_path / "none")):
        api.scan((tmp_path / "none").as_uri(), out=tmp_path / "run")


def test_one_uri_is_not_mixed_with_other_places(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one URI and nothing beside it"):
        api.scan(["s3://bucket/a", str(tmp_path)], out=tmp_path / "run")


def test_nothing_but_one_module_reaches_for_a_store() -> None:
    using = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "dataguard").rglob("*.py")
        if "pyarrow.fs" in (text := path.read_text()).replace("`pyarrow.fs", "") or "import fs" in text
    ]
    assert using == ["dataguard/records/stores.py"]


def test_somebody_elses_folder_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = lying({"a": b"one"})
    monkeypatch.setattr(Store, "of", lambda _: store)
    mine = tmp_path / "run.data" / "thesis.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(UsageError, match="somebody else's"):
        fetching.fetched("s3://bucket", tmp_path / "run", Silent())
    assert mine.read_text() == "mine"


def test_every_scan_fetches_anew_and_leaves_nothing_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, handler = lying({"a": b"one", "old/b": b"two"})
    monkeypatch.setattr(Store, "of", lambda _: store)
    fetching.fetched("s3://bucket", tmp_path / "run", Silent())
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    (tmp_path / "run.data" / "link").symlink_to(outside)
    del handler.bodies["bucket/old/b"]
    handler.bodies["bucket/a"] = b"ONE"  # the same length and time: no proof of the same bytes
    found = fetching.fetched("s3://bucket", tmp_path / "run", Silent())
    assert copies(found) == {"a": b"ONE"}
    assert [path.name for path in found.folder.iterdir()] == ["a"]
    assert outside.read_text() == "mine"
    handler.bodies.clear()
    with pytest.raises(UsageError, match="there are none"):
        fetching.fetched("s3://bucket", tmp_path / "run", Silent())
    assert copies(found) == {"a": b"ONE"}  # nothing is removed before there is something to put there
    handler.bodies["bucket/a"] = b"one"
    with pytest.raises(UsageError, match="an earlier run in --out"):
        fetching.fetched("s3://bucket", tmp_path / "run", Silent(), trust_stat=True)


def test_reading_errors_keep_their_rule() -> None:
    store, _ = lying({})
    with pytest.raises(ReadError, match="none of that name"):
        store.seen("bucket/a")
    with pytest.raises(UsageError, match="there are none"):
        store.listed()

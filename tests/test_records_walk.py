"""The walker: nothing skipped silently, nothing followed, names kept apart and reversible."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataguard.errors import ReadError, UsageError
from dataguard.records import list_files, open_beneath, opened, sha256, walk
from dataguard.records.files import HOLE_BYTES
from dataguard.safe_text import unescape_name


def _names(*given: Path, leave_out: Path | None = None) -> list[str]:
    return [entry.name for entry in list_files(given, leave_out=leave_out).entries]


def _refused(*given: Path) -> dict[str, str]:
    return {entry.name: entry.refused for entry in list_files(given).entries if entry.refused}


def test_names_are_sorted_by_bytes_below_the_root(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a/z.jsonl", "a.jsonl", "Z", ".hidden", "a/.git/config", "é"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = _names(tmp_path)
    assert found == sorted(found, key=str.encode)
    assert set(found) == {"b.jsonl", "a/z.jsonl", "a.jsonl", "Z", ".hidden", "a/.git/config", "é"}


@given(
    st.sets(
        st.binary(min_size=1, max_size=40).filter(
            lambda name: not set(name) & {0, 47} and name not in (b".", b"..")
        ),
        min_size=1,
        max_size=8,
    )
)
def test_any_name_is_listed_once_and_opens_again(
    tmp_path_factory: pytest.TempPathFactory, names: set[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("names")
    for name in names:
        (folder / os.fsdecode(name)).write_bytes(name)
    listing = list_files([folder])
    assert {unescape_name(entry.name) for entry in listing.entries} == names
    for entry in listing.entries:
        assert not {unicodedata.category(char) for char in entry.name} & {"Cc", "Cf", "Zl", "Zp"}
        with opened(listing.root, entry.name) as (descriptor, stamp):
            assert os.pread(descriptor, 100, 0) == unescape_name(entry.name)
            assert stamp.size == len(unescape_name(entry.name))


def test_several_paths_share_the_folder_they_have_in_common(tmp_path: Path) -> None:
    for name in ("one/a", "one/b", "two/c", "three/d"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    listing = list_files([tmp_path / "one", tmp_path / "two" / "c", tmp_path / "one" / "a"])
    assert listing.root == tmp_path
    assert [entry.name for entry in listing.entries] == ["one/a", "one/b", "two/c"]
    assert list_files([tmp_path / "one" / "a"]).root == tmp_path / "one"


def test_what_is_no_regular_file_is_refused_with_its_kind(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "folder").symlink_to(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    found = _refused(tmp_path)
    assert set(found) == {"link", "folder", "loop", "pipe"}
    assert "symbolic link" in found["link"]
    assert "named pipe" in found["pipe"]


def test_a_pipe_or_a_device_that_the_user_names_is_refused_too(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert set(_refused(tmp_path / "pipe")) == {"pipe"}
    assert set(_refused(Path("/dev/zero"))) == {"zero"}


def test_deep_folders_end(tmp_path: Path) -> None:
    deepest = tmp_path.joinpath(*["d"] * 70)
    deepest.mkdir(parents=True)
    (deepest / "file").touch()
    (reason,) = _refused(tmp_path).values()
    assert "deeper than 64" in reason


@pytest.mark.parametrize("broken", ["scandir", "stat", "open"])
def test_what_cannot_be_looked_at_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside").touch()
    (tmp_path / "file").touch()
    real = getattr(os, broken)
    inode = (tmp_path / "folder").stat().st_ino

    def refuse(path: object, *args: object, **options: object) -> object:
        if path == b"folder" or (isinstance(path, int) and os.fstat(path).st_ino == inode):
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **options)

    monkeypatch.setattr(walk.os, broken, refuse)
    (name,) = _refused(tmp_path)
    assert name == "folder"
    assert "file" in _names(tmp_path)


def test_a_link_that_the_user_names_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.jsonl").touch()
    (tmp_path / "set").symlink_to("real")
    (tmp_path / "b.jsonl").symlink_to("real/a.jsonl")
    assert list_files([tmp_path / "set"]).root == tmp_path / "real"
    assert _names(tmp_path / "b.jsonl") == ["a.jsonl"]


def test_a_link_that_would_hide_the_format_is_not(tmp_path: Path) -> None:
    (tmp_path / "0123abcd").write_text('{"a": 1}\n')
    (tmp_path / "train.jsonl").symlink_to("0123abcd")
    with pytest.raises(UsageError, match="same suffix"):
        list_files([tmp_path / "train.jsonl"])


def test_misuse_is_told(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for wrong in ([], [tmp_path / "absent"], [tmp_path / "loop"]):
        with pytest.raises(UsageError):
            list_files(wrong)
    with pytest.raises(UsageError, match="outside of the data"):
        list_files([tmp_path], leave_out=tmp_path / "run")
    with pytest.raises(UsageError, match="outside of the data"):
        list_files([tmp_path], leave_out=tmp_path)
    (tmp_path / "data").mkdir()
    assert _names(tmp_path / "data", leave_out=tmp_path / "data-run") == []


def test_no_link_is_followed_on_the_way_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "data" / "folder").mkdir(parents=True)
    (tmp_path / "data" / "folder" / "file").write_text("inside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("outside")
    os.close(open_beneath(tmp_path / "data", "folder/file"))
    (tmp_path / "data" / "folder").rename(tmp_path / "data" / "was")
    (tmp_path / "data" / "folder").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
        open_beneath(tmp_path / "data", "folder/file")
    with pytest.raises(ReadError, match="cannot be opened"), opened(tmp_path / "data", "folder/file"):
        pass


def test_a_pipe_in_place_of_a_file_does_not_hold_the_scan(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "file")
    with pytest.raises(ReadError, match="regular file"), opened(tmp_path, "file"):
        pass


def _replace(path: Path) -> None:
    path.with_name("other").write_bytes(b"y" * 100)
    path.with_name("other").rename(path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "append": lambda path: path.write_bytes(b"x" * 101),
    "cut": lambda path: os.truncate(path, 50),
    "write": lambda path: path.write_bytes(b"y" * 100),
    "touch": lambda path: os.utime(path, ns=(1, 1)),
    "replace": _replace,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("error", [None, ReadError("does not decode", "DG503")])
def test_whatever_moves_is_told_from_what_is_broken(
    tmp_path: Path, change: str, error: ReadError | None
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    # The change must come while it is open.
    with pytest.raises(ReadError) as caught, opened(tmp_path, "file"):  # noqa: PT012
        CHANGES[change](path)
        if error is not None:
            raise error
    assert caught.value.rule == "DG505"


def test_a_file_in_the_place_of_another_is_noticed_when_it_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    with opened(tmp_path, "file") as (_, stamp):
        pass
    _replace(path)
    with pytest.raises(ReadError) as caught, opened(tmp_path, "file", stamp):
        pass
    assert caught.value.rule == "DG505"


def test_the_digest_is_of_exactly_the_size_at_first(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * (3 << 20))
    with opened(tmp_path, "file") as (descriptor, stamp):
        assert sha256(descriptor, stamp.size) == hashlib.sha256(path.read_bytes()).hexdigest()
        for size in (stamp.size - 1, stamp.size + 1):
            with pytest.raises(ReadError) as caught:
                sha256(descriptor, size)
            assert caught.value.rule == "DG505"


def test_a_sparse_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.write(b"x" * 10_000)
        file.truncate(1 << 42)
        file.seek(1 << 41)
        file.write(b"y" * 10_000)
    with opened(tmp_path, "file") as (descriptor, stamp):
        with pytest.raises(ReadError, match="sparse") as caught:
            sha256(descriptor, stamp.size)
        assert caught.value.rule == "DG504"
    os.truncate(path, HOLE_BYTES // 64)
    with opened(tmp_path, "file") as (descriptor, stamp):
        assert len(sha256(descriptor, stamp.size)) == 64

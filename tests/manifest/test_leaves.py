"""Leaf prefixes: written whole, read bounded, and only taken where the manifest names them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace

import numpy as np
import pytest

from dataguard.errors import RefusedError, UsageError
from dataguard.manifest import Manifest, check_leaves, leaves_digest, prefixes, read_leaves, write_leaves
from manifest_samples import table

DIGESTS = np.arange(5 * 32, dtype=np.uint8).reshape(5, 32)


def kept(folder, groups=(["1", "2"], ["3"])):
    """A file, its prefixes in the folder, and the manifest that names them."""
    file = table("a.parquet", list(groups))
    pieces = [
        np.frombuffer(
            b"".join(hashlib.sha256(record.encode()).digest()[:16] for record in group), np.uint8
        ).reshape(-1, 16)
        for group in groups
    ]
    digest = write_leaves(folder, file.sha256, pieces)
    return Manifest.of([file], leaves_sha256=leaves_digest({file.sha256: digest})), file


def test_they_are_the_first_16_bytes():
    assert prefixes(DIGESTS).tolist() == DIGESTS[:, :16].tolist()


def test_what_is_written_is_read_back_however_it_was_cut(tmp_path):
    whole = prefixes(DIGESTS)
    first = write_leaves(tmp_path, "a" * 64, [whole])
    second = write_leaves(tmp_path, "b" * 64, [whole[:2], whole[2:2], whole[2:]])
    assert first == second == hashlib.sha256(whole.tobytes()).hexdigest()
    assert np.array_equal(read_leaves(tmp_path, "b" * 64, 5), whole)
    assert (tmp_path / ("a" * 64 + ".bin")).read_bytes() == whole.tobytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a" * 64 + ".bin", "b" * 64 + ".bin"]


def test_nothing_is_left_of_a_write_that_failed(tmp_path):
    write_leaves(tmp_path, "a" * 64, [prefixes(DIGESTS)])

    def breaks():
        yield prefixes(DIGESTS)[:1]
        raise OSError(28, "no space left on device")

    with pytest.raises(OSError, match="space"):
        write_leaves(tmp_path, "a" * 64, breaks())
    with pytest.raises(UsageError, match="shape"):
        write_leaves(tmp_path, "a" * 64, [DIGESTS])
    assert [path.name for path in tmp_path.iterdir()] == ["a" * 64 + ".bin"]
    assert len(read_leaves(tmp_path, "a" * 64, 5)) == 5


def test_no_records_no_bytes(tmp_path):
    write_leaves(tmp_path, "a" * 64, [])
    assert read_leaves(tmp_path, "a" * 64, 0).shape == (0, 16)


def test_the_digest_is_that_of_sorted_lines():
    lines = f"{'1' * 64} {'b' * 64}\n{'2' * 64} {'a' * 64}\n"
    assert (
        leaves_digest({"2" * 64: "a" * 64, "1" * 64: "b" * 64}) == hashlib.sha256(lines.encode()).hexdigest()
    )


def test_the_ones_that_the_manifest_names_pass(tmp_path):
    manifest, _ = kept(tmp_path)
    check_leaves(tmp_path, manifest)


def edit(path):
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)


def link(path):
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "damage",
    [edit, link, pipe, lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes() + bytes(16)),
     lambda path: path.write_bytes(b""), folder],
    ids=["edited", "a link", "a pipe", "absent", "extended", "empty", "a folder"],
)  # fmt: skip
def test_others_are_refused(tmp_path, damage):
    manifest, file = kept(tmp_path)
    damage(tmp_path / f"{file.sha256}.bin")
    with pytest.raises(RefusedError):
        check_leaves(tmp_path, manifest)


def test_without_a_digest_in_the_manifest_none_are_taken(tmp_path):
    manifest, _ = kept(tmp_path)
    with pytest.raises(RefusedError, match="names no leaves"):
        check_leaves(tmp_path, replace(manifest, leaves_sha256=""))

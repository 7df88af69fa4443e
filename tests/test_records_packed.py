"""Compressed text is read as what it unpacks to, whatever its name says; what breaks off or grows is refused."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from dataguard.config import Limits
from dataguard.errors import ReadError
from dataguard.records import content, delimited, jsonl
from reading import batches, inspect, records


def _zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": _zstd,
}
LINES = b"".join(b'{"n": %d, "text": "line %d"}\n' % (n, n) for n in range(1_000))
CELLS = b"n,text\n" + b"".join(b'%d,"cell\n%d"\n' % (n, n) for n in range(1_000))


@pytest.mark.parametrize("codec", PACK)
@pytest.mark.parametrize(("inner", "data"), [("jsonl", LINES), ("csv", CELLS), ("json", LINES)])
def test_it_is_read_as_what_it_unpacks_to(
    tmp_path: Path, codec: str, inner: str, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, "GROUP_ROWS", 300)
    monkeypatch.setattr(delimited, "GROUP_ROWS", 300)
    monkeypatch.setattr(content, "BLOCK", 1_000)
    plain = tmp_path / f"plain.{inner}"
    plain.write_bytes(data)
    half = data.index(b"\n", len(data) // 2) - 3
    members = PACK[codec](data[:half]) + PACK[codec](b"") + PACK[codec](data[half:])
    # The first bytes decide, and the rest of the name says what is inside.
    for name, packed in {
        f"file.{inner}.{codec}": PACK[codec](data),
        f"members.{inner}": members,
        f"file.{inner}.gz": PACK[codec](data),
    }.items():
        path = tmp_path / name
        path.write_bytes(packed)
        found, _ = inspect(path)
        assert found.format == {"json": "jsonl"}.get(inner, inner) + f".{codec}"
        assert found.groups == inspect(plain)[0].groups
        assert records(path) == records(plain)
        later = [n for _, _, data in batches(path, groups=(2, 4)) for n in data["n"].to_pylist()]
        assert later == list(range(600, 1_000))


def _refused(path: Path, limits: Limits | None = None) -> tuple[str, str]:
    found = inspect(path, limits)[0]
    assert found.refused is not None
    assert found.schema is None
    return found.refused.rule, found.refused.reason


@pytest.mark.parametrize("codec", PACK)
def test_what_breaks_off_or_is_damaged_is_never_read(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "file.jsonl"
    packed = PACK[codec](LINES)
    for size in sorted({*range(20, len(packed) - 1, max(1, len(packed) // 25)), len(packed) - 1}):
        path.write_bytes(packed[:size])
        rule, reason = _refused(path)
        assert rule == "DG503", (size, reason)
        assert "truncated" in reason.lower() or "unpacked" in reason
    if codec != "zst":  # its checksum is an option that this writer leaves out
        for at in range(12, len(packed), max(1, len(packed) // 25)):
            path.write_bytes(packed[:at] + bytes([packed[at] ^ 0x10]) + packed[at + 1 :])
            found, _ = inspect(path)
            assert found.refused is not None or records(path) == [
                {"n": n, "text": f"line {n}"} for n in range(1_000)
            ], at


@pytest.mark.parametrize("codec", PACK)
@pytest.mark.parametrize("more", [b"\0" * 512, b'{"n": 1, "text": "hidden"}\n'])
def test_what_lies_behind_the_stream_is_not_passed_over(tmp_path: Path, codec: str, more: bytes) -> None:
    path = tmp_path / "file.jsonl"
    path.write_bytes(PACK[codec](LINES) + more)
    assert _refused(path)[0] == ("DG503" if codec == "zst" else "DG507")


@pytest.mark.parametrize("codec", PACK)
def test_bombs_end_at_the_budget(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "file.jsonl"
    path.write_bytes(PACK[codec](b"\n" * (40 << 20)))
    rule, reason = _refused(path, Limits(decoded_bytes=1 << 20, decoded_ratio=50))
    assert (rule, "unpacks to more than" in reason) == ("DG504", True)
    path.write_bytes(PACK[codec](b'{"a": "' + b"x" * (8 << 20)))
    assert _refused(path, Limits(line_bytes=1 << 20))[0] == "DG504"


def test_memory_stays_small_whatever_it_unpacks_to(tmp_path: Path) -> None:
    path = tmp_path / "file.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"text\n")
        for _ in range(200):
            file.write((b"x" * 99 + b"\n") * 1_000)
    with path.open("rb") as file:
        blocks = content.Content(file.fileno(), path.stat().st_size, Limits(), "gz").blocks()
        assert max(map(len, blocks)) <= content.BLOCK
    assert sum(data.num_rows for _, _, data in batches(path)) == 200_000


def test_a_file_that_unpacks_to_less_than_before_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(b"x" * 100))
    with path.open("rb") as file, pytest.raises(ReadError) as caught:
        list(content.Content(file.fileno(), path.stat().st_size, Limits(), "gz").blocks(50, 100))
    assert caught.value.rule == "DG505"


def test_what_is_inside_decides_nothing_without_a_name(tmp_path: Path) -> None:
    """An archive of who knows what is named as one, and not read."""
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(LINES))
    found, _ = inspect(path)
    assert found.format == "other"
    assert any("gzip" in danger.reason for danger in found.dangers)

"""A hostile folder: what is no regular file, what no one can name, and what claims to be large."""

from __future__ import annotations

import os
import stat
from pathlib import Path

GOOD = b'{"id": 1, "text": "one"}\n{"id": 2, "text": "two"}\n'
REFUSED, READ, OTHER = "refused", "read", "other"
HUGE = 100 << 30

NAMES = (
    b"new\nline.jsonl",
    b"escape\x1b[31mred\x1b[0m.jsonl",
    "right\u202eto-left.jsonl".encode(),
    "zero\u200bwidth.jsonl".encode(),
    b"not-utf-8-\xff\xfe.jsonl",
    b"percent-%41.jsonl",
    b"spaces at the end .jsonl",
    b" .jsonl",
    b"-rf.jsonl",
    b"$(reboot).jsonl",
    b"<script>alert(1)<script>.jsonl",
    b"=cmd|' .jsonl",
    b".hidden.jsonl",
    b"x" * 249 + b".jsonl",
    "é.jsonl".encode(),
    "e\u0301.jsonl".encode(),
)
"""Names of good files: each must be read, and told from every other."""


def write_folder(folder: Path) -> dict[bytes, str]:
    """Writes it and says what must become of each entry, by its path as bytes."""
    folder.mkdir(parents=True)
    ends: dict[bytes, str] = {}

    def put(name: bytes, data: bytes, end: str) -> None:
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        ends[name] = end

    for number, name in enumerate(NAMES):
        put(name, GOOD + b'{"id": %d, "text": "own"}\n' % number, READ)
    put(b".hidden/inside.jsonl", GOOD, READ)
    put(b"/".join([b"down"] * 60) + b"/file.jsonl", GOOD, READ)
    _very_deep(folder)
    ends[b"/".join([b"deep"] * 65)] = REFUSED
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "secret.jsonl").write_bytes(GOOD)
    for name, target in (
        ("link-to-file.jsonl", "spaces at the end .jsonl"),
        ("link-out.jsonl", str(outside / "secret.jsonl")),
        ("link-to-folder", str(outside)),
        ("link-to-itself", "link-to-itself"),
        ("link-up", ".."),
        ("link-to-nothing.jsonl", "nothing"),
    ):
        (folder / name).symlink_to(target)
        ends[name.encode()] = REFUSED
    os.mkfifo(folder / "pipe.jsonl")
    os.mknod(folder / "socket.jsonl", stat.S_IFSOCK | 0o600)
    ends |= {b"pipe.jsonl": REFUSED, b"socket.jsonl": REFUSED}
    for suffix in ("parquet", "jsonl", "bin"):
        with (folder / f"sparse.{suffix}").open("wb") as file:
            file.truncate(HUGE)
        ends[f"sparse.{suffix}".encode()] = REFUSED
    with (folder / "almost-sparse.bin").open("wb") as file:
        file.truncate(64 << 20)
    ends[b"almost-sparse.bin"] = OTHER
    return ends


def _very_deep(folder: Path) -> None:
    """Folders deeper than any path can name: a step at a time."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(1_500):
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def remove_deep(folder: Path) -> None:
    """Removes what `_very_deep` made: neither rm -r of a test runner nor Python's own goes so deep."""
    top = folder / "deep"
    while top.exists():
        # Takes the top fifty off at a time.
        middle = top
        for _ in range(50):
            if not (middle / "deep").exists():
                break
            middle /= "deep"
        if (middle / "deep").exists():
            (middle / "deep").rename(folder / "rest")
        for _ in range(60):
            if middle == folder:
                break
            middle.rmdir()
            middle = middle.parent
        if (folder / "rest").exists():
            (folder / "rest").rename(top)

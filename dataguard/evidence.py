"""Evidence and its ledger: what was observed is kept under its key and trusted only if the ledger lists it.

The ledger lists the digest of each file under an HMAC of the project's secret. Planted or edited evidence is not
used but reported, and made again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataguard.atomic import sync, write_atomic
from dataguard.secret import Secret

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

LEDGER = "ledger.jsonl"
_SUFFIXES = {
    "inspect": "json",
    "known": "npz",
    "judged": "npz",
    "assessed": "npz",
    "words": "arrow",
    "selftest": "json",
}
"""Kinds of evidence that are no single table, or a mapped one."""
_LATE = frozenset({"words"})
"""Kinds that are large and often not needed: checked against the ledger when they are, by a seal in place of a digest."""


def parquet_bytes(frame: pl.DataFrame) -> bytes:
    """A frame as Parquet; equal frames give equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    # Of numbers a dictionary seldom has fewer, and to find that out is half of the work.
    strings = [name for name, dtype in frame.schema.items() if not dtype.is_numeric()]
    # Without the Arrow schema, so that a string is a string for every reader.
    pq.write_table(
        frame.rechunk().to_arrow(), sink, compression="zstd", store_schema=False, use_dictionary=strings
    )
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def keyed_bytes(frame: pl.DataFrame) -> bytes:
    """A frame that is read by column, as Parquet: hashes do not compress, and each dictionary tried would cost."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(
        frame.rechunk().to_arrow(), sink, compression="none", use_dictionary=False, store_schema=False,
        column_encoding={"row": "DELTA_BINARY_PACKED"} if "row" in frame.columns else None,
    )  # fmt: skip
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def read_parquet(
    source: Path | bytes, groups: list[int] | None = None, columns: list[str] | None = None
) -> pa.Table:
    """A table of our own making, read in this thread.

    A thread that pyarrow started for reading may still run when the interpreter ends, and then aborts it: the exit
    code would be lost.

    Args:
        source: a file, or its bytes.
        groups: the row groups wanted; all of them if None.
        columns: the columns wanted; all of them if None.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else source, pre_buffer=False)
    if groups is None:
        return file.read(columns, use_threads=False)
    return file.read_row_groups(groups, columns, use_threads=False)


@dataclass(frozen=True)
class Made:
    """A piece of evidence that a worker has written under a temporary name.

    Args:
        kind: the rule's code, or a kind of our own such as ``digests``.
        key: the evidence key, as hex.
        temporary: where it lies.
        sha256: of the bytes written; of words their seal.
        rows: rows of the table.
    """

    kind: str
    key: str
    temporary: str
    sha256: str
    rows: int


class Evidence:
    """The evidence folder with its ledger.

    A line is appended before the file is given its name: a file without a line is planted, a line without
    a file was interrupted or removed, and is made again.
    """

    def __init__(self, folder: Path, secret: Secret) -> None:
        self.folder = folder
        self._key = secret.derive("evidence ledger")
        self._shared = secret.derive("rules")
        self._ledger = folder / LEDGER
        self._listed: dict[tuple[str, str], str] = {}
        self._unchecked: set[tuple[str, str]] = set()
        self.distrusted: list[str] = []

    def load(self) -> None:
        """Reads the ledger and checks every file against it.

        What does not hold is removed and named in `distrusted`.
        """
        for path in sorted(self.folder.iterdir()):
            if path.name.startswith(".") and path.name.endswith(".tmp"):
                path.unlink()  # of a ledger that was being written when the scan was killed
            elif not (_is_folder(path) or (_is_file(path) and path == self._ledger)):
                self._distrust(path, "is none of ours")
        self._read_ledger()
        for folder in sorted(self.folder.iterdir()):
            if folder != self._ledger:
                self._check(folder)
        for entry in [entry for entry in self._listed if not self.path(*entry).exists()]:
            del self._listed[entry]
        self._unchecked = {entry for entry in self._listed if entry[0] in _LATE}
        self._rewrite()

    def recall(self) -> None:
        """Reads the ledger alone: for evidence of another run, of which nothing is changed."""
        self._read_ledger()

    def untrue(self, entries: Sequence[tuple[str, str]]) -> list[str]:
        """Names of those pieces of evidence that are not as the ledger lists them."""
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            sound = list(pool.map(self._as_listed, entries))
        return [f"{kind}/{key}" for (kind, key), right in zip(entries, sound, strict=True) if not right]

    def _as_listed(self, entry: tuple[str, str]) -> bool:
        path = self.path(*entry)
        try:
            return entry in self._listed and _is_file(path) and self._holds(entry)
        except OSError:
            return False

    def _holds(self, entry: tuple[str, str]) -> bool:
        """Whether a listed piece of evidence is what was written."""
        path, listed = self.path(*entry), self._listed[entry]
        if entry[0] not in _LATE:
            return _digest(path) == listed
        from dataguard.words import sealed

        return sealed(path, listed, self._shared)

    def _check(self, folder: Path) -> None:
        """Checks the evidence of one kind."""
        kind = folder.name
        for path in sorted(folder.iterdir()):
            key = path.name.partition(".")[0]
            if not _is_file(path):
                self._distrust(path, "is no file")
            elif path.name.endswith(".tmp"):
                path.unlink()
            elif (kind, key) not in self._listed or path != self.path(kind, key):
                self._distrust(path, "is not in the ledger")
            elif kind not in _LATE and not self._holds((kind, key)):
                self._distrust(path, "was changed after it was written")
                del self._listed[kind, key]

    def _distrust(self, path: Path, why: str) -> None:
        # A link is taken away, never what it leads to.
        if _is_folder(path):
            shutil.rmtree(path)
        else:
            path.unlink()
        self.distrusted.append(f"evidence/{path.relative_to(self.folder)} {why}")

    def _read_ledger(self) -> None:
        if not self._ledger.exists():
            return
        lines = self._ledger.read_bytes().split(b"\n")
        for number, line in enumerate(lines[:-1], start=1):  # what follows the last newline was cut off
            mac, _, body = line.partition(b" ")
            if not hmac.compare_digest(mac, self._mac(body)):
                self.distrusted.append(
                    f"evidence/{LEDGER} line {number} was not written with this project's secret"
                )
                continue
            entry = json.loads(body)
            self._listed[entry["kind"], entry["key"]] = entry["sha256"]

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256").hex().encode()

    def _line(self, kind: str, key: str, sha256: str) -> bytes:
        body = json.dumps({"kind": kind, "key": key, "sha256": sha256}, sort_keys=True).encode()
        return self._mac(body) + b" " + body + b"\n"

    def _rewrite(self) -> None:
        write_atomic(
            self._ledger, b"".join(self._line(*entry, sha) for entry, sha in sorted(self._listed.items()))
        )

    def path(self, kind: str, key: str) -> Path:
        """Where a piece of evidence lies or will lie."""
        suffix = _SUFFIXES.get(kind, "parquet")
        return self.folder / kind / f"{key}.{suffix}"

    def has(self, kind: str, key: str) -> bool:
        """Whether trustworthy evidence stands under this key."""
        return (kind, key) in self._listed

    def sound(self, kind: str, key: str) -> bool:
        """Whether evidence of a kind that is checked late stands and is what was written."""
        entry = (kind, key)
        if entry in self._unchecked:
            self._unchecked.discard(entry)
            if not self._holds(entry):
                self._distrust(self.path(kind, key), "was changed after it was written")
                del self._listed[entry]
        return self.has(kind, key)

    def sha256(self, kind: str, key: str) -> str:
        """The digest of a piece of evidence, as listed."""
        return self._listed[kind, key]

    def keep(self, made: list[Made]) -> None:
        """Takes what a worker made: first into the ledger, then under its name.

        What is large is synced here, while workers go on, and not by the worker that wrote it.
        """
        for one in made:
            if one.kind in _LATE:
                sync(Path(one.temporary))
        with self._ledger.open("ab") as ledger:
            ledger.write(b"".join(self._line(one.kind, one.key, one.sha256) for one in made))
            ledger.flush()
            os.fsync(ledger.fileno())
        for one in made:
            Path(one.temporary).replace(self.path(one.kind, one.key))
            self._listed[one.kind, one.key] = one.sha256

    def digests(self) -> Mapping[str, str]:
        """The digest of each piece of evidence, by kind and key, for run.json."""
        return {f"{kind}/{key}": sha for (kind, key), sha in sorted(self._listed.items())}


def make(folder: Path, kind: str, key: str, data: bytes, rows: int = 0) -> Made:
    """Writes evidence under a temporary name, in the worker; `Evidence.keep` takes it."""
    temporary = begin(folder, kind)
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return Made(kind, key, str(temporary), hashlib.sha256(data).hexdigest(), rows)


def begin(folder: Path, kind: str) -> Path:
    """An empty file under a temporary name, for evidence that is written piece by piece."""
    target = folder / kind
    target.mkdir(exist_ok=True, mode=0o700)
    descriptor, temporary = tempfile.mkstemp(dir=target, prefix=".", suffix=".tmp")
    os.close(descriptor)
    return Path(temporary)


def _is_file(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(path.lstat().st_mode)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def evidence_key(parts: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of everything that decides what the evidence is."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

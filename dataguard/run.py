"""The run folder: the only interface between the steps, the notebook, the command line and a pipeline.

It is private (mode 0700) and holds evidence, not texts. Files are written whole or not at all. Evidence is
kept under its key, and a ledger lists the digest of each file under an HMAC of the project's secret: planted
or edited evidence is not used but reported, and made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataguard.errors import RunError, UsageError

if TYPE_CHECKING:
    import polars as pl

INFO = "run.json"
OUTPUTS = ("manifest.jsonl", "verdict.json", "report.html", "attestation.intoto.jsonl", INFO)
MAX_READ = 1 << 30
_SUFFIXES = {"inspect": "json", "known": "npz", "judged": "npz", "assessed": "npz"}
"""Kinds of evidence that are no single table."""


def write_atomic(path: Path, data: bytes) -> Path:
    """Writes a file whole or not at all: temporary name, fsync, rename, fsync of the folder.

    Raises:
        OSError: the disk is full or not writable; what stood there before still stands.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return path


def sync_folder(folder: Path) -> None:
    """Makes renames in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Secret:
    """32 random bytes of a project, from which keys are derived (HKDF, RFC 5869); never recorded itself."""

    material: bytes = field(repr=False)

    @classmethod
    def load(cls, path: Path | None = None) -> Secret:
        """Reads the secret, making it once, with mode 0600, where it does not exist.

        Args:
            path: where it lies; by default in the user's data folder.

        Raises:
            UsageError: the file is not a secret of ours.
        """
        if path is None:
            home = os.environ.get("XDG_DATA_HOME")
            path = (Path(home) if home else Path.home() / ".local" / "share") / "dataguard" / "secret"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomic(path, secrets.token_bytes(32).hex().encode() + b"\n")
        text = path.read_bytes()[:66].strip()
        try:
            material = bytes.fromhex(text.decode("ascii"))
        except ValueError:
            material = b""
        if len(material) != 32:
            raise UsageError(
                f"expected 64 hexadecimal digits in the secret file {path}", "name another with --secret-file"
            )
        return cls(material)

    def derive(self, purpose: str) -> bytes:
        """A 32-byte key for one purpose."""
        extracted = hmac.digest(b"dataguard/v1", self.material, "sha256")
        return hmac.digest(extracted, purpose.encode() + b"\x01", "sha256")

    @property
    def key_id(self) -> str:
        """What is recorded instead of the secret."""
        return self.derive("key id").hex()[:16]


class Run:
    """A run folder.

    Example: ``Run.open("runs/sample").table("findings")``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path) -> Run:
        """Makes a run folder, or takes one that is already a run.

        Raises:
            UsageError: a folder stands there that is not a run and not empty.
        """
        if path.exists() and not path.is_dir():
            raise UsageError(f"expected a folder for the run, got the file {path}")
        if path.exists() and any(path.iterdir()) and not (path / "evidence").is_dir():
            raise UsageError(
                f"expected a new or empty folder or an earlier run, got {path} with other files in it",
                "choose another --out",
            )
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.chmod(0o700)
        (path / "evidence").mkdir(exist_ok=True, mode=0o700)
        (path / "leaves").mkdir(exist_ok=True, mode=0o700)
        return cls(path)

    @classmethod
    def open(cls, path: Path | str) -> Run:
        """Opens a finished run.

        Raises:
            RunError: there is none.
        """
        run = cls(Path(path))
        if not run.exists(INFO):
            raise RunError(
                f"expected a finished run in {path}, found no {INFO}", "`dataguard scan` makes one"
            )
        return run

    @property
    def info(self) -> dict[str, Any]:
        """What run.json says.

        Raises:
            RunError: it cannot be read.
        """
        try:
            found = json.loads(self.read(INFO))
        except ValueError as error:
            raise RunError(f"{self.path / INFO} is no JSON: {error}", "scan again") from error
        if not isinstance(found, dict):
            raise RunError(f"expected an object in {self.path / INFO}", "scan again")
        return found

    def exists(self, name: str) -> bool:
        """Whether a file of this name stands in the run."""
        return (self.path / name).is_file()

    def read(self, name: str) -> bytes:
        """The bytes of a file of the run.

        Raises:
            RunError: it is absent or too large.
        """
        path = self.path / name
        try:
            if path.stat().st_size > MAX_READ:
                raise RunError(f"{path} is larger than {MAX_READ} bytes")
            return path.read_bytes()
        except OSError as error:
            raise RunError(f"cannot read {path}: {error.strerror}", "scan again") from error

    def write(self, name: str, data: bytes) -> Path:
        """Writes a file of the run, whole or not at all."""
        return write_atomic(self.path / name, data)

    def table(self, name: str) -> pl.DataFrame:
        """One of the run's tables (`findings.TABLES`).

        Raises:
            RunError: no such table, absent, or not of the expected columns.
        """
        import polars as pl
        import pyarrow as pa
        import pyarrow.parquet as pq

        from dataguard.findings import TABLES

        if name not in TABLES:
            raise RunError(f"expected one of the tables {', '.join(TABLES)}, got {name!r}")
        data = self.read(f"{name}.parquet")
        try:
            read = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
            read.validate(full=True)
            frame = pl.from_arrow(read)
        except (pa.ArrowException, OSError, ValueError, pl.exceptions.PolarsError) as error:
            raise RunError(f"{name}.parquet of {self.path} cannot be read: {error}", "scan again") from error
        if not isinstance(frame, pl.DataFrame) or frame.schema != TABLES[name]:
            raise RunError(f"{name}.parquet of {self.path} has other columns than it should", "scan again")
        return frame

    def write_table(self, name: str, frame: pl.DataFrame) -> Path:
        """Writes one of the run's tables; equal rows give equal bytes."""
        from dataguard.findings import TABLES, conform

        return self.write(f"{name}.parquet", parquet_bytes(conform(frame, TABLES[name])))

    def archive(self) -> None:
        """Moves tables, verdict and attestation of the scan before to ``old/<n>/``; evidence stays."""
        from dataguard.findings import TABLES

        standing = [name for name in (*(f"{t}.parquet" for t in TABLES), *OUTPUTS) if self.exists(name)]
        if not standing:
            return
        old = self.path / "old"
        old.mkdir(exist_ok=True, mode=0o700)
        numbers = [int(entry.name) for entry in old.iterdir() if entry.name.isdigit()]
        to = old / str(max(numbers, default=0) + 1)
        to.mkdir(mode=0o700)
        # run.json moves first: without it the folder is no finished run, whenever this is interrupted.
        for name in sorted(standing, key=lambda name: name != INFO):
            (self.path / name).replace(to / name)
        sync_folder(to)
        sync_folder(self.path)

    @property
    def before(self) -> Run | None:
        """What `archive` put aside last, as a run without evidence."""
        old = self.path / "old"
        numbers = [int(entry.name) for entry in old.iterdir() if entry.name.isdigit()] if old.is_dir() else []
        return Run(old / str(max(numbers))) if numbers else None

    def recall(self, name: str) -> bool:
        """Takes a file of the scan before again, if all tables and the manifest are what they were then.

        Returns:
            Whether it stands here again.
        """
        from dataguard.findings import TABLES

        before = self.before
        decisive = [*(f"{table}.parquet" for table in TABLES), "manifest.jsonl"]
        if before is None or not before.exists(name):
            return False
        if not all(before.exists(one) and self.exists(one) for one in decisive):
            return False
        if any(before.read(one) != self.read(one) for one in decisive):
            return False
        self.write(name, before.read(name))
        return True

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one scan at a time writes into a run.

        Raises:
            RunError: another one does.
        """
        descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RunError(f"another scan is writing into {self.path}", "wait for it to end") from error
            yield
        finally:
            os.close(descriptor)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"


def parquet_bytes(frame: pl.DataFrame) -> bytes:
    """A frame as Parquet; equal frames give equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    # Without the Arrow schema, so that a string is a string for every reader.
    pq.write_table(frame.rechunk().to_arrow(), sink, compression="zstd", store_schema=False)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Made:
    """A piece of evidence that a worker has written under a temporary name.

    Args:
        kind: the rule's code, or a kind of our own such as ``digests``.
        key: the evidence key, as hex.
        temporary: where it lies.
        sha256: of the bytes written.
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
        self._ledger = folder / "ledger.jsonl"
        self._listed: dict[tuple[str, str], str] = {}
        self.distrusted: list[str] = []

    def load(self) -> None:
        """Reads the ledger and checks every file against it.

        What does not hold is removed and named in `distrusted`.
        """
        self._read_ledger()
        for path in sorted(self.folder.glob("*/*")):
            kind, key = path.parent.name, path.name.partition(".")[0]
            if path.name.endswith(".tmp"):
                path.unlink()
            elif (kind, key) not in self._listed:
                self._distrust(path, "is not in the ledger")
            elif _digest(path) != self._listed[kind, key]:
                self._distrust(path, "was changed after it was written")
                del self._listed[kind, key]
        for entry in [entry for entry in self._listed if not self.path(*entry).exists()]:
            del self._listed[entry]
        self._rewrite()

    def _distrust(self, path: Path, why: str) -> None:
        path.unlink()
        self.distrusted.append(f"evidence/{path.parent.name}/{path.name} {why}")

    def _read_ledger(self) -> None:
        if not self._ledger.exists():
            return
        lines = self._ledger.read_bytes().split(b"\n")
        for number, line in enumerate(lines[:-1], start=1):  # what follows the last newline was cut off
            mac, _, body = line.partition(b" ")
            if not hmac.compare_digest(mac, self._mac(body)):
                self.distrusted.append(
                    f"evidence/ledger.jsonl line {number} was not written with this project's secret"
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

    def sha256(self, kind: str, key: str) -> str:
        """The digest of a piece of evidence, as listed."""
        return self._listed[kind, key]

    def keep(self, made: list[Made]) -> None:
        """Takes what a worker made: first into the ledger, then under its name."""
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
    target = folder / kind
    target.mkdir(exist_ok=True, mode=0o700)
    descriptor, temporary = tempfile.mkstemp(dir=target, prefix=".", suffix=".tmp")
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return Made(kind, key, temporary, hashlib.sha256(data).hexdigest(), rows)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def evidence_key(parts: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of everything that decides what the evidence is."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

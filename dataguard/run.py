"""The run folder: the only interface between the steps, the notebook, the command line and a pipeline.

It is private (mode 0700) and holds evidence, not texts. Files are written whole or not at all.
"""

from __future__ import annotations

import fcntl
import html
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataguard.atomic import sync_folder, write_atomic
from dataguard.errors import RunError, UsageError
from dataguard.evidence import LEDGER, parquet_bytes, read_parquet
from dataguard.safe_text import for_html

if TYPE_CHECKING:
    import polars as pl

INFO = "run.json"
OUTPUTS = ("manifest.jsonl", "verdict.json", "report.html", "attestation.intoto.jsonl", INFO)
LOCK = ".lock"
SPOOL_MARK = ".spooled"
"""Says that the folder of a spooled stream beside the run is ours."""
MAX_READ = 1 << 30


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
            UsageError: a folder stands there that is not a run and not empty, or Arrow could not open its path.
        """
        try:
            str(path.absolute()).encode()
        except UnicodeEncodeError:
            raise UsageError(
                f"expected a run folder whose path is UTF-8, got {str(path)!r}", "choose another --out"
            ) from None
        if path.exists() and not path.is_dir():
            raise UsageError(f"expected a folder for the run, got the file {path}")
        if path.exists() and not _is_run(path):
            # What is in an evidence folder and not in its ledger is removed: it must be ours.
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
        return self._json(INFO)

    def _json(self, name: str) -> dict[str, Any]:
        try:
            found = json.loads(self.read(name))
        except (ValueError, RecursionError) as error:
            raise RunError(f"{self.path / name} is no JSON: {error}", "scan again") from error
        if not isinstance(found, dict):
            raise RunError(f"expected an object in {self.path / name}", "scan again")
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
            found = path.stat()
            if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_READ:
                raise RunError(f"expected a file of at most {MAX_READ} bytes, got {path}", "scan again")
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

        from dataguard.findings import TABLES

        if name not in TABLES:
            raise RunError(f"expected one of the tables {', '.join(TABLES)}, got {name!r}")
        data = self.read(f"{name}.parquet")
        try:
            read = read_parquet(data)
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
        descriptor = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RunError(f"another scan is writing into {self.path}", "wait for it to end") from error
            for left in self.path.glob(".*.tmp"):  # of a scan that was killed while it wrote
                left.unlink()
            yield
        finally:
            os.close(descriptor)

    @property
    def verdict(self) -> dict[str, Any] | None:
        """What the gate said (verdict.json), None where it was not asked.

        Raises:
            RunError: it cannot be read.
        """
        if not self.exists("verdict.json"):
            return None
        return self._json("verdict.json")

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def _repr_html_(self) -> str:
        """What Jupyter shows: verdict, counts and the first findings; all text made safe and escaped."""
        verdict, info = self.verdict, self.info
        word = (
            "not judged"
            if verdict is None
            else "passed"
            if verdict.get("passed") is True
            else "does not pass"
        )
        state = word if info.get("complete") is True else "incomplete"
        findings = self.table("findings")
        shown = ("rank", "rule", "severity", "records", "column", "group", "why")
        head = "".join(f"<th>{name}</th>" for name in shown)
        rows = "".join(
            "<tr>" + "".join(f"<td>{_shown(row[name])}</td>" for name in shown) + "</tr>"
            for row in findings.head(10).iter_rows(named=True)
        )
        counts = info.get("counts", {})
        more = f"<p>and {findings.height - 10} more</p>" if findings.height > 10 else ""
        return (
            f"<p><b>{state}</b>: {_shown(counts.get('rows'))} records in {_shown(counts.get('files'))} files, "
            f"{findings.height} findings</p><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"
        )


def _is_run(path: Path) -> bool:
    """Whether a folder is a run, or an empty one that may become one."""
    folders = [path / "evidence", path / "leaves"]
    if any(os.path.lexists(folder) and (folder.is_symlink() or not folder.is_dir()) for folder in folders):
        return False
    if (path / "evidence" / LEDGER).is_file():
        return True
    found = {entry.name for entry in path.iterdir()}
    empty = not any(entry for folder in folders if folder.is_dir() for entry in folder.iterdir())
    return empty and found <= {"evidence", "leaves", LOCK, SPOOL_MARK}


def _shown(value: object) -> str:
    return html.escape(for_html(value, limit=160))

"""A Lance data set in a scan: its fragments, written anew as Arrow beside the run, where a store's objects would stand."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from dataguard.config import Limits
from dataguard.engine import Failed, LocalEngine
from dataguard.errors import DataguardError, ReadError, UsageError
from dataguard.records import Incident, Stamp, list_files, opened, sha256
from dataguard.records.tables import lance
from dataguard.records.walk import Entry, Listing
from dataguard.run import Run
from dataguard.safe_text import escape_name, safe_text
from dataguard.scan.fetching import cleared, copies_folder
from dataguard.scan.plan import incident_of

BLOCK = 8 << 20
MAX_MANIFEST = 64 << 20
SOURCE = "lance.json"
"""Beside the fragments: which version they are of, and the digests of the files that they were read from."""
_LOOK = "the data set"


class Shown(Protocol):
    """Who is told how far it is."""

    def stage(self, name: str, total: int) -> AbstractContextManager[Callable[[int, int], None]]:
        """Begins a stage of `total` items; the function it gives is called with items and bytes done."""


@dataclass(frozen=True)
class LanceCopies:
    """A version of a Lance data set as it was written anew.

    Args:
        path: the data set.
        folder: where the fragments lie.
        version: which version.
        stamps: what the files that were read must still be, by escaped name.
        fragments: the files of each fragment, by the name of its copy.
        refused: fragments that are not there, with the reason.
    """

    path: Path
    folder: Path
    version: int | None
    stamps: Mapping[str, Stamp]
    fragments: Mapping[str, tuple[str, ...]]
    refused: tuple[Entry, ...]

    def listing(self, *, leave_out: Path | None = None) -> Listing:
        """The fragments and what could not be read, as one data set."""
        found = {entry.name: entry for entry in list_files([self.folder], leave_out=leave_out).entries}
        found |= {name: Entry(name, "its copy is not there") for name in self.fragments.keys() - found.keys()}
        found |= {entry.name: entry for entry in self.refused}
        return Listing(self.folder, tuple(sorted(found.values(), key=lambda entry: entry.name.encode())))

    def changed(self, shown: Shown) -> dict[str, ReadError]:
        """The fragments of which a file is not what it was when it was read."""
        moved = set()
        for name, stamp in self.stamps.items():
            try:
                with opened(self.path, name, stamp):
                    pass
            except ReadError:
                moved.add(name)
        return {
            name: ReadError("changed while it was scanned: a file of the fragment is another now", "DG505")
            for name, files in self.fragments.items()
            if moved & {*files}
        }

    def facts(self) -> dict[str, Any]:
        """What run.json says of it."""
        return {"lance": {"path": str(self.path), "version": self.version}}


def lance_copies(
    path: Path, version: int | None, out: Path, limits: Limits, shown: Shown, *, workers: int
) -> LanceCopies:
    """Writes all fragments of a version into the folder ``OUT.data`` (mode 0700).

    Args:
        path: the data set.
        version: which version; None for the newest.
        out: the run folder.
        limits: bounds on the workers and on what is decoded.
        shown: told of each fragment.
        workers: worker processes.

    Raises:
        UsageError: the package is not installed, there is no data set, or something else stands in the folder.
        RunError: another scan writes into the same run.
    """
    path = checked(path)
    list_files([path], leave_out=out)  # before anything is written: not into the data
    folder, mark = copies_folder(out, f"the fragments of {safe_text(path)}")
    run = Run.create(out.resolve())
    with run.locked():
        cleared(folder, mark)
        return written(path, version, folder, limits, shown, workers=workers)


def checked(path: Path) -> Path:
    """Where a data set that the user named lies.

    Raises:
        UsageError: nothing is there, or it cannot be read for want of the package.
    """
    if not (path / lance.VERSIONS).is_dir():
        raise UsageError(
            f"expected a Lance data set in {safe_text(path)}, but it has no folder {lance.VERSIONS}"
        )
    if not lance.available():
        raise UsageError("Lance is read by the package pylance, which is not installed", lance.EXTRA)
    return path.resolve()


def written(
    path: Path, version: int | None, folder: Path, limits: Limits, shown: Shown, *, workers: int = 1
) -> LanceCopies:
    """Writes all fragments of a version into an empty folder of ours; what cannot be read is refused by name.

    Raises:
        DataguardError: no worker can be started.
    """
    names = frozenset(entry.name for entry in list_files([path]).entries if not entry.refused)
    copies = _Copies(path, names)
    with (
        LocalEngine(
            workers=workers,
            memory=limits.memory_bytes,
            seconds=limits.item_seconds,
            prepare="dataguard.records.tables.lance",
        ) as engine,
        TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as private,
    ):
        try:
            version, fragments = _looked(copies, version, Path(private), engine)
        except ReadError as error:
            refused = (Entry(SOURCE, error.problem, error.rule),)
            return LanceCopies(path, folder, version, copies.stamps, {}, refused)
        return _all_written(copies, version, fragments, Writing(folder, Path(private), limits, shown), engine)


@dataclass(frozen=True)
class Writing:
    """Where fragments are written, and within which bounds."""

    folder: Path
    private: Path
    limits: Limits
    shown: Shown


class _Copies:
    """Files of the data set, copied into private folders and digested on the way."""

    def __init__(self, path: Path, names: frozenset[str]) -> None:
        self.path, self.names = path, names
        self.manifest = ""
        self.stamps: dict[str, Stamp] = {}
        self.digests: dict[str, str] = {}

    def copy(self, plain: str, to: Path, *, limit: int | None = None) -> int:
        """Copies one file to the same place in a private folder, and returns its bytes.

        Raises:
            ReadError: it is no regular file of the data set, too large, or changed meanwhile.
        """
        name = escape_name(plain.encode())
        if name not in self.names:
            raise ReadError(f"file {safe_text(plain, limit=120)} is not there")
        target = to.joinpath(*plain.split("/"))
        target.parent.mkdir(parents=True, exist_ok=True)
        with opened(self.path, name, self.stamps.get(name)) as (descriptor, stamp):
            if limit is not None and stamp.size > limit:
                raise ReadError(f"{safe_text(plain)} has {stamp.size} bytes; the limit is {limit}", "DG504")
            try:
                with target.open("xb") as file:
                    for at in range(0, stamp.size, BLOCK):
                        file.write(os.pread(descriptor, min(BLOCK, stamp.size - at), at))
            except OSError as error:
                raise DataguardError(
                    f"the copy of {safe_text(plain)} cannot be made in {to}: {error.strerror}",
                    "make room there",
                ) from error
        with opened(to, name) as (descriptor, made):
            digest = sha256(descriptor, made.size)
        if made.size != stamp.size:
            raise ReadError("changed while it was copied", "DG505")
        self.stamps[name], self.digests[name] = stamp, digest
        return stamp.size


def _looked(
    copies: _Copies, version: int | None, private: Path, engine: LocalEngine
) -> tuple[int, tuple[lance.Fragment, ...]]:
    head = f"{lance.VERSIONS}/"
    there = {name.removeprefix(head): name for name in copies.names if name.startswith(head)}
    version, manifest = lance.manifest_of(there, version)
    copies.manifest = f"{head}{manifest}"
    with _folder(private, _LOOK) as own:
        copies.copy(copies.manifest, own, limit=MAX_MANIFEST)
        (result,) = engine.map(lance.look, [lance.Look(own)])
    found = incident_of(result.value) if isinstance(result.value, Failed) else result.value
    if isinstance(found, Incident):
        raise ReadError(found.reason, found.rule)
    return version, found


def _all_written(
    copies: _Copies, version: int, fragments: tuple[lance.Fragment, ...], to: Writing, engine: LocalEngine
) -> LanceCopies:
    refused: dict[str, Entry] = {}
    items: dict[str, lance.Fragment] = {f"fragment-{one.number:010}.arrow": one for one in fragments}
    by_number = {one.number: name for name, one in items.items()}

    def prepared() -> Iterator[lance.Write]:
        for name, one in items.items():
            own = to.private / name
            own.mkdir()
            try:
                copies.copy(copies.manifest, own, limit=MAX_MANIFEST)
                size = sum(copies.copy(file, own) for file in one.files)
                yield lance.Write(own, one, to.folder / name, size, to.limits.budget(size))
            except ReadError as error:
                refused[name] = Entry(name, error.problem, error.rule)
                shutil.rmtree(own)

    with to.shown.stage("writing fragments as Arrow", len(items)) as advance:
        seconds = to.limits.seconds
        for result in engine.map(lance.write, prepared(), seconds=lambda item: seconds(item.size)):
            name = by_number[result.item.fragment.number]
            found = incident_of(result.value) if isinstance(result.value, Failed) else result.value
            if isinstance(found, Incident):
                refused[name] = Entry(name, found.reason, found.rule)
                (to.folder / name).unlink(missing_ok=True)
            shutil.rmtree(result.item.folder)
            advance(1, 0)
    digests = {name: copies.digests[name] for name in sorted(copies.digests)}
    said = {"kind": "lance", "version": version, "files": digests}
    (to.folder / SOURCE).write_bytes(json.dumps(said, indent=1, sort_keys=True).encode() + b"\n")
    read = {name: tuple(escape_name(file.encode()) for file in one.files) for name, one in items.items()}
    return LanceCopies(copies.path, to.folder, version, copies.stamps, read, tuple(refused.values()))


@contextmanager
def _folder(private: Path, name: str) -> Iterator[Path]:
    own = private / name
    own.mkdir()
    yield own
    shutil.rmtree(own)

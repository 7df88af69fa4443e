"""Lance data sets: each fragment of one version is written anew as a file of Arrow, and that is what is screened.

Only the package `lance` reads the format. It opens what a manifest names, wherever that is; so it is shown a private folder
that holds one manifest and copies of the files of one fragment, each digested as it was copied, and nothing else. That happens
in a worker with limits, of whose memory the library's own is a part.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from dataguard.errors import ReadError
from dataguard.records.inspect import Incident
from dataguard.records.tables.base import MAX_FILES
from dataguard.safe_text import safe_text

VERSIONS, SUFFIX = "_versions", ".manifest"
DATA = "data"
EXTRA = "pip install 'dataguard[lance]'"
BATCH_ROWS, BATCH_BYTES = 1024, 8 << 20
"""The most records of a batch, and bytes of the files that one is worth."""
READ_AHEAD = 64 << 20
"""Bytes that the library may hold of what it reads ahead."""
NEWEST = (1 << 64) - 1
"""From which the names of manifests count down, so that the newest comes first in a listing."""
BLOB = b"lance-encoding:blob"
THREADS = {"LANCE_CPU_THREADS": "1", "LANCE_IO_THREADS": "1", "TOKIO_WORKER_THREADS": "1"}
ERRORS = (OSError, ValueError, RuntimeError, NotImplementedError, LookupError, TypeError, pa.ArrowException)
"""What the library raises of broken files."""


def available() -> bool:
    """Whether the package is installed."""
    return importlib.util.find_spec("lance") is not None


def warm() -> None:
    """Loads the library in a worker, before its memory is bounded: it maps far more than it uses."""
    os.environ.update(THREADS)
    importlib.import_module("lance")


@dataclass(frozen=True)
class Fragment:
    """A fragment of a version.

    Args:
        number: as the library counts.
        files: names of its files, of data and of deletions, relative to the data set.
        rows: its records that are not deleted.
    """

    number: int
    files: tuple[str, ...]
    rows: int


@dataclass(frozen=True)
class Look:
    """A private folder with one manifest, to be asked for its fragments."""

    folder: Path


@dataclass(frozen=True)
class Write:
    """A private folder with one manifest and the files of one fragment, to be written as Arrow.

    Args:
        folder: the private folder.
        fragment: which.
        to: the file to be made.
        size: bytes of the fragment's files.
        budget: bytes that it may decode to.
    """

    folder: Path
    fragment: Fragment
    to: Path
    size: int
    budget: int


def manifest_of(names: Mapping[str, str], version: int | None) -> tuple[int, str]:
    """The manifest of a version, or of the newest.

    Args:
        names: plain to escaped names of the files in the folder of versions.
        version: which; None for the newest.

    Returns:
        The version and the plain name.

    Raises:
        ReadError: there is none, or two.
    """
    found: dict[int, list[str]] = {}
    for name in names:
        digits = name.removesuffix(SUFFIX)
        if digits != name and digits.isascii() and digits.isdigit() and len(digits) <= len(str(NEWEST)):
            counted = int(digits)
            down = len(digits) == len(str(NEWEST))
            found.setdefault(NEWEST - counted if down else counted, []).append(name)
    if not found:
        raise ReadError(f"expected manifests in {VERSIONS}, got none")
    chosen = max(found) if version is None else version
    if chosen not in found:
        raise ReadError(f"expected version {chosen}, got those up to {max(found)}: it is not there")
    if len(found[chosen]) > 1:
        raise ReadError(f"version {chosen} has two manifests: readers differ on which one counts", "DG507")
    return chosen, found[chosen][0]


def look(item: Look) -> tuple[Fragment, ...] | Incident:
    """The fragments of the one version in a private folder, in the worker; or why they are not read."""
    try:
        found = tuple(_fragments(_dataset(item.folder)))
    except ReadError as error:
        return Incident(error.rule, error.problem)
    except ERRORS as error:
        return Incident("DG503", f"the manifest cannot be read: {_first_line(error)}")
    if len({one.number for one in found}) < len(found):
        return Incident("DG507", "two fragments have the same number")
    return found


def _dataset(folder: Path) -> Any:
    lance: Any = importlib.import_module("lance")
    return lance.dataset(str(folder))


def _fragments(dataset: Any) -> Iterator[Fragment]:
    for field in dataset.schema:
        _check_blob(field)
    for count, one in enumerate(dataset.get_fragments()):
        if count == MAX_FILES:
            raise ReadError(f"more than {MAX_FILES} fragments", "DG504")
        said = one.metadata
        if getattr(said, "overlays", None):
            raise ReadError(f"fragment {one.fragment_id} has values laid over it, which is not done here")
        names = [_checked(f"{DATA}/{file.path}", file.base_id) for file in said.files]
        deleted = 0
        if said.deletion_file is not None:
            names.append(_checked(said.deletion_file.path(one.fragment_id), said.deletion_file.base_id))
            deleted = int(said.deletion_file.num_deleted_rows)
        yield Fragment(one.fragment_id, tuple(names), int(said.physical_rows) - deleted)


def _check_blob(field: pa.Field) -> None:
    if BLOB in (field.metadata or {}):
        raise ReadError(
            f"column {safe_text(field.name, limit=80)} holds blobs, of which a reader is given places and no bytes: "
            "not read here"
        )


def _checked(path: str, base: int | None) -> str:
    """A name below the data set, as the walk would give it.

    Raises:
        ReadError: it is none.
    """
    if base is not None or path.startswith("/") or any(part in ("", ".", "..") for part in path.split("/")):
        raise ReadError(
            f"file “{safe_text(path, limit=120)}” lies outside of the data set: only files below it are read"
        )
    return path


def write(item: Write) -> int | Incident:
    """Writes a fragment as a file of Arrow, in the worker.

    Returns:
        Its records, or why they are not read: the file is then to be thrown away.
    """
    rows = size = 0
    try:
        (one,) = [f for f in _dataset(item.folder).get_fragments() if f.fragment_id == item.fragment.number]
        each = item.size // max(1, item.fragment.rows)
        few = max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, each)))
        reader = one.scanner(batch_size=few, batch_readahead=1, io_buffer_size=READ_AHEAD).to_reader()
        with pa.OSFile(str(item.to), "wb") as sink, pa.ipc.new_file(sink, reader.schema) as writer:
            for batch in reader:
                batch.validate(full=True)
                rows, size = rows + batch.num_rows, size + batch.nbytes
                if size > item.budget:
                    reason = f"decodes to more than the {item.budget} bytes that it may: raise limits.decoded_bytes"
                    return Incident("DG504", f"{reason} or limits.decoded_ratio if that is meant")
                writer.write_batch(batch)
    except MemoryError:
        raise
    except ERRORS as error:
        return Incident("DG503", f"the fragment cannot be decoded: {_first_line(error)}")
    if rows != item.fragment.rows:
        return Incident("DG506", f"the manifest says {item.fragment.rows} records, there are {rows}")
    return rows


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]

"""Objects of a store (``s3://``, ``gs://``, ``abfs://``), copied before anything looks at them.

A store gives no descriptor to hold: two reads of one name may be of two objects, and pyarrow asks for no version. So each
object is read once, from its first byte to its last, into a private file; what is digested, decoded and shown is that file,
with all that is guaranteed of files. Its version, entity tag, time and length must be the same before, after, and once more
when the scan ends. Workers, which parse what is hostile, have nothing to do with the network.

This is the one module that may reach out, and only to the place of a URI that the user gave. Names are the store's: those
that are no plain path of a file are refused, and never asked for.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple, Protocol
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import pyarrow as pa

from dataguard.errors import DataguardError, ReadError, UsageError
from dataguard.records.walk import Entry, Listing, list_files
from dataguard.safe_text import escape_name, safe_text

BLOCK = 8 << 20
AT_ONCE = 8
"""Objects that are fetched at a time."""
FILE = "file"
OPTIONS = {
    "s3": frozenset({"region", "scheme", "endpoint_override"}),
    "gs": frozenset({"scheme", "endpoint_override", "project_id", "retry_limit_seconds"}),
    "gcs": frozenset({"scheme", "endpoint_override", "project_id", "retry_limit_seconds"}),
    "abfs": frozenset({"blob_storage_authority", "dfs_storage_authority", "blob_storage_scheme", "dfs_storage_scheme"}),
    "abfss": frozenset({"blob_storage_authority", "dfs_storage_authority"}),
}  # fmt: skip
"""What may stand behind the ``?`` of a URI, by scheme: places, and nothing secret."""
USERS = frozenset({"abfs", "abfss"})
"""Schemes in which a name before the ``@`` is a container and no key."""
ANONYMOUS = "anonymous"
"""Who asks without credentials, in URIs of GCS."""
MARKS = frozenset({"etag", "versionid", "version-id", "generation", "last-modified", "content-length"})
"""What stores say of an object that changes with it."""
NO_NAME = (errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EILSEQ, errno.EINVAL)
"""Errors of a file system that cannot have a name."""
_STORE_ERRORS = (OSError, pa.ArrowException)


class Shown(Protocol):
    """Who is told how far it is."""

    def stage(self, name: str, total: int) -> AbstractContextManager[Callable[[int, int], None]]:
        """Begins a stage of `total` items; the function it gives is called with items and bytes done."""


class Seen(NamedTuple):
    """What a store says of an object: must be the same whenever it is asked."""

    size: int
    modified: int
    marks: tuple[tuple[str, str], ...]
    """Entity tag, version and the like; empty where the store gives none."""


@dataclass(frozen=True)
class Object:
    """An object as it was listed.

    Args:
        name: escaped, relative to the place that the user named.
        path: what the store calls it.
        size: as listed.
    """

    name: str
    path: str
    size: int

    @property
    def parts(self) -> list[str]:
        """Folders and file of its copy."""
        return self.path.split("/")[-1 - self.name.count("/") :]


def is_uri(source: object) -> bool:
    """Whether something is a URI and no path."""
    return isinstance(source, str) and source.partition("://")[0].isalnum() and "://" in source


def local_path(uri: str) -> Path | None:
    """The path that a ``file://`` URI names, None for other schemes.

    Raises:
        UsageError: it names another machine, or has more than a path.
    """
    parts = _split(uri)
    if parts.scheme != FILE:
        return None
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
        raise UsageError(
            f"expected file:///PATH, got {safe_text(uri)}", "write # and ? in a path as %23 and %3F"
        )
    return Path(unquote(parts.path))


@dataclass(frozen=True)
class Store:
    """A place in a store.

    Args:
        uri: as the user gave it; nothing secret is in it.
        system: a `pyarrow.fs.FileSystem`.
        root: the place, as the file system calls it.
    """

    uri: str
    system: Any = field(repr=False)
    root: str

    @classmethod
    def of(cls, uri: str) -> Store:
        """The place of a URI, with the credentials of the user's environment.

        Raises:
            UsageError: another scheme, something secret or unknown in it, or nothing there.
        """
        from pyarrow import fs

        _check_uri(uri)
        try:
            system, root = fs.FileSystem.from_uri(uri)
        except (*_STORE_ERRORS, NotImplementedError) as error:
            raise UsageError(f"{safe_text(uri)} cannot be reached: {_said(error)}") from error
        return cls(uri, system, root.rstrip("/"))

    def listed(self) -> tuple[tuple[Object, ...], tuple[Entry, ...]]:
        """All objects of the place, sorted by name, and those that are refused for their names. Asked once.

        Raises:
            UsageError: there is none, or they cannot be listed.
        """
        from pyarrow import fs

        try:
            below = self.system.get_file_info(
                fs.FileSelector(self.root, recursive=True, allow_not_found=True)
            )
            (itself,) = self.system.get_file_info([self.root])
        except (*_STORE_ERRORS, UnicodeError) as error:
            raise UsageError(f"{safe_text(self.uri)} cannot be listed: {_said(error)}") from error
        found = [info for info in below if info.type != fs.FileType.Directory]
        if itself.type == fs.FileType.File:
            if found:
                raise UsageError(f"{safe_text(self.uri)} is an object and a folder: name what is meant")
            head = self.root.rpartition("/")[0]
            return _named([(itself.path, itself.size)], head)
        if not found and itself.type == fs.FileType.NotFound:
            raise UsageError(
                f"expected objects in {safe_text(self.uri)}, but there are none", "check the URI"
            )
        return _named([(info.path, info.size) for info in found], self.root)

    def seen(self, path: str) -> Seen:
        """What the store says of an object now.

        Raises:
            ReadError: it cannot be asked.
        """
        try:
            with self.system.open_input_stream(path, compression=None) as stream:
                return self._seen(path, stream)
        except _STORE_ERRORS as error:
            raise ReadError(f"cannot be looked at: {_said(error)}") from error

    def _seen(self, path: str, stream: Any) -> Seen:
        (info,) = self.system.get_file_info([path])
        said = stream.metadata() or {}
        marks = {_text(key).casefold(): _text(value) for key, value in said.items()}
        kept = sorted((key, value) for key, value in marks.items() if key in MARKS)
        return Seen(-1 if info.size is None else info.size, info.mtime_ns or 0, tuple(kept))

    def copy(self, one: Object, descriptor: int, stopped: Callable[[], bool] = bool) -> Seen:
        """Writes an object's bytes into an open file: all of them, and of one object.

        Raises:
            ReadError: it cannot be read (DG503), or changed meanwhile (DG505).
            OSError: the file cannot be written.
        """
        try:
            # Without compression=None a name that ends in .gz would be unpacked on the way.
            with self.system.open_input_stream(one.path, compression=None) as stream:
                before = self._seen(one.path, stream)
                if before.size != one.size:
                    raise _changed(f"{one.size} bytes when it was listed, {before.size} when it was fetched")
                written = 0
                # No further than one byte past the end: what a store says of a size bounds what is kept.
                while block := _read(stream, min(BLOCK, one.size + 1 - written)):
                    _write(descriptor, block)
                    written += len(block)
                    if stopped():
                        raise ReadError("given up")
        except _STORE_ERRORS as error:
            if isinstance(error, _WriteError):
                raise
            raise ReadError(f"cannot be fetched: {_said(error)}") from error
        if written != one.size:
            now = "more" if written > one.size else f"only {written}"
            raise _changed(f"{one.size} bytes at first, {now} in the end")
        if self.seen(one.path) != before:
            raise _changed("another version, tag or time after it was fetched than before")
        return before


class _WriteError(OSError):
    """Our own disk, not the store."""


@dataclass(frozen=True)
class Fetched:
    """A place of a store as it was fetched.

    Args:
        store: the place.
        folder: where the copies lie, under the names of the objects.
        seen: what the store said of each, by name.
        paths: what the store calls each, by name.
        refused: what was listed and is not there, with the reason.
    """

    store: Store
    folder: Path
    seen: Mapping[str, Seen]
    paths: Mapping[str, str]
    refused: tuple[Entry, ...]

    def listing(self, *, leave_out: Path | None = None) -> Listing:
        """The copies and what could not be copied, as one data set."""
        found = {entry.name: entry for entry in list_files([self.folder], leave_out=leave_out).entries}
        found |= {name: Entry(name, "its copy is not there") for name in self.seen.keys() - found.keys()}
        found |= {entry.name: entry for entry in self.refused}
        return Listing(self.folder, tuple(sorted(found.values(), key=lambda entry: entry.name.encode())))

    def changed(self, shown: Shown) -> dict[str, ReadError]:
        """The objects that are not what they were when they were fetched, by name: asks for each once more."""

        def one(name: str) -> ReadError | None:
            try:
                now = self.store.seen(self.paths[name])
            except ReadError as error:
                if isinstance(error.__cause__, FileNotFoundError):
                    return ReadError("changed while it was scanned: it is gone from the store", "DG505")
                return ReadError(f"could not be looked at once more: {error.problem}")
            if now == self.seen[name]:
                return None
            return ReadError("changed while it was scanned: the store has another object there", "DG505")

        with shown.stage("looking at the store again", len(self.seen)) as advance:
            found = {}
            with ThreadPoolExecutor(AT_ONCE) as pool:
                for name, error in zip(self.seen, pool.map(one, self.seen), strict=True):
                    advance(1, 0)
                    if error is not None:
                        found[name] = error
        return found


def fetch(
    store: Store,
    listed: tuple[Sequence[Object], tuple[Entry, ...]],
    folder: Path,
    shown: Shown,
    *,
    kept: Mapping[str, Seen] | None = None,
) -> Fetched:
    """Copies a place of a store into a folder.

    Args:
        store: the place.
        listed: what `Store.listed` gave.
        folder: private, and empty but for what is kept.
        shown: told of each object.
        kept: copies that stand in the folder, and what the store said of each: they are not fetched again where it
            still says so.

    Raises:
        UsageError: there is more than the disk has room for.
        DataguardError: a copy cannot be written.
    """
    objects, refused = listed
    kept = kept or {}
    room, needed = shutil.disk_usage(folder).free, sum(one.size for one in objects if one.name not in kept)
    if needed > room:
        raise UsageError(
            f"expected room for {needed} bytes of {safe_text(store.uri)} in {folder}, where {room} are free",
            "choose an --out on a larger disk, or scan in parts and compare with --against",
        )
    seen: dict[str, Seen] = {}
    for one, came in _copies(store, objects, folder, shown, kept):
        if isinstance(came, Seen):
            seen[one.name] = came
        else:
            refused = (*refused, Entry(one.name, came.problem, came.rule))
    return Fetched(store, folder, seen, {one.name: one.path for one in objects}, refused)


def _copies(
    store: Store, objects: Sequence[Object], folder: Path, shown: Shown, kept: Mapping[str, Seen]
) -> Iterator[tuple[Object, Seen | ReadError]]:
    stopped = Event()

    def one(what: Object) -> Seen | ReadError:
        try:
            if what.name in kept:
                if store.seen(what.path) == kept[what.name]:
                    return kept[what.name]
                folder.joinpath(*what.parts).unlink()
            return _copied(store, what, folder, stopped.is_set)
        except ReadError as error:
            return error

    with shown.stage("fetching objects", len(objects)) as advance, ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            for what, came in zip(objects, pool.map(one, objects), strict=True):
                advance(1, what.size)
                yield what, came
        except BaseException:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _copied(store: Store, one: Object, folder: Path, stopped: Callable[[], bool]) -> Seen:
    """Makes the copy of an object; none is left where that fails."""
    path = folder.joinpath(*one.parts)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Never over another one: some file systems take two names for one.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        if error.errno in NO_NAME:
            raise ReadError(f"a file cannot have its name here: {error.strerror}") from error
        raise DataguardError(f"{folder} cannot be written into: {error.strerror}") from error
    try:
        return store.copy(one, descriptor, stopped)
    except _WriteError as error:
        path.unlink()
        raise DataguardError(
            f"the copy of an object cannot be written into {folder}: {error.strerror}", "make room there"
        ) from error
    except BaseException:
        path.unlink()
        raise
    finally:
        os.close(descriptor)


def _split(uri: str) -> SplitResult:
    try:
        return urlsplit(uri)
    except ValueError as error:
        raise UsageError(f"expected SCHEME://PLACE, got something else: {error}") from error


def _check_uri(uri: str) -> None:
    parts = _split(uri)
    password, user = parts.password, parts.username
    options = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    if parts.scheme not in OPTIONS:
        raise UsageError(
            f"expected a path or a URI of {', '.join((FILE, *OPTIONS))}, got one of {safe_text(parts.scheme)}"
        )
    if password is not None or not (user in (None, ANONYMOUS) or parts.scheme in USERS):
        # Not shown: it would stand in the run, in the terminal's history and in the list of processes.
        raise UsageError(
            f"expected no credentials in a URI of {parts.scheme}",
            "leave them to the environment, as pyarrow reads them (AWS_*, GOOGLE_APPLICATION_CREDENTIALS, AZURE_*)",
        )
    unknown = [name for name in options if name not in OPTIONS[parts.scheme]]
    if unknown or parts.fragment:
        raise UsageError(
            f"expected no other options in a URI of {parts.scheme} than {', '.join(sorted(OPTIONS[parts.scheme]))}, "
            f"got {safe_text(', '.join(unknown) or '#')}",
            "credentials come from the environment; write # in a name as %23",
        )
    if not parts.netloc:
        raise UsageError(f"expected {parts.scheme}://BUCKET/PATH, got {safe_text(uri)}")


def _named(
    found: Sequence[tuple[str, int | None]], root: str
) -> tuple[tuple[Object, ...], tuple[Entry, ...]]:
    """Objects by their names below the root; those whose names are no path of a file are refused."""
    objects: dict[str, Object] = {}
    refused: dict[str, Entry] = {}
    paths = Counter(path for path, _ in found)
    for path, size in found:
        below = path.removeprefix(f"{root}/") if root else path
        name = escape_name(below.encode("utf-8", "surrogateescape"))
        if why := _no_path(path, below, root) or ("is listed twice" if paths[path] > 1 else ""):
            refused[name] = Entry(name, why)
        elif size is None or size < 0:
            refused[name] = Entry(name, "the store tells no length of it")
        else:
            objects[name] = Object(name, path, size)
    for name in list(objects):
        folder = next((one for one in _folders(name) if one in objects or one in refused), None)
        if folder is not None:
            refused[name] = Entry(
                name, f"its folder {safe_text(folder)} is an object too: no folder here can be both"
            )
    kept = sorted((name for name in objects if name not in refused), key=str.encode)
    return tuple(objects[name] for name in kept), tuple(refused[name] for name in sorted(refused))


def _no_path(path: str, below: str, root: str) -> str:
    """Why a name cannot be that of a file, empty if it can."""
    if root and not path.startswith(f"{root}/"):
        return "the store lists it, but it does not lie in what was asked for"
    parts = below.split("/")
    if any(part in ("", ".", "..") for part in parts):
        # A client may make another name of it, and so another object.
        return "its name has an empty part, . or ..: it is not asked for, as clients differ on which object that is"
    return "its name has a NUL byte" if "\0" in below else ""


def _folders(name: str) -> Iterator[str]:
    parts = name.split("/")
    return ("/".join(parts[:upto]) for upto in range(1, len(parts)))


def _read(stream: Any, size: int) -> bytes:
    return stream.read(size) if size > 0 else b""


def _write(descriptor: int, block: bytes) -> None:
    try:
        view = memoryview(block)
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError as error:
        raise _WriteError(error.errno, error.strerror) from error


def _changed(how: str) -> ReadError:
    return ReadError(f"changed while it was fetched: {how}", "DG505")


def _text(value: bytes | str) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


def _said(error: BaseException) -> str:
    """What a store says of an error: hostile text, and long."""
    return safe_text(str(error).split("\n", 1)[0], limit=200)

"""Objects of a store (``s3://``, ``gs://``, ``abfs://``), copied before anything looks at them.

A store gives no descriptor to hold: two reads of one name may be of two objects, and pyarrow asks for no version. So each
object is read once, from its first byte to its last, into a private file; what is digested, decoded and shown is that file,
with all that is guaranteed of files. Its version, entity tag, time and length must be the same before, after, and once more
when the scan ends. Workers, which parse what is hostile, have nothing to do with the network.

This is the one module that may reach out, and only to the place of a URI that the user gave. Names are the store's: those
that are no plain path of a file are refused, and never asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa

from dataguard.errors import ReadError, UsageError
from dataguard.records.store_names import Object, check_uri, named
from dataguard.records.walk import Entry
from dataguard.safe_text import safe_text

BLOCK = 8 << 20
MARKS = frozenset({"etag", "versionid", "version-id", "generation", "last-modified", "content-length"})
"""What stores say of an object that changes with it."""
_STORE_ERRORS = (OSError, pa.ArrowException)


class Seen(NamedTuple):
    """What a store says of an object: must be the same whenever it is asked."""

    size: int
    modified: int
    marks: tuple[tuple[str, str], ...]
    """Entity tag, version and the like; empty where the store gives none."""


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

        check_uri(uri)
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
                raise UsageError(
                    f"{safe_text(self.uri)} is an object and a folder, and pyarrow cannot tell which is meant",
                    "name the folder above, or rename one of them",
                )
            head = self.root.rpartition("/")[0]
            return named([(itself.path, itself.size)], head)
        if not found and itself.type == fs.FileType.NotFound:
            raise UsageError(
                f"expected objects in {safe_text(self.uri)}, but there are none", "check the URI"
            )
        return named([(info.path, info.size) for info in found], self.root)

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
            WriteError: the file cannot be written.
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
            if isinstance(error, WriteError):
                raise
            raise ReadError(f"cannot be fetched: {_said(error)}") from error
        if written != one.size:
            now = "more" if written > one.size else f"only {written}"
            raise _changed(f"{one.size} bytes at first, {now} in the end")
        if self.seen(one.path) != before:
            raise _changed("another version, tag or time after it was fetched than before")
        return before


class WriteError(OSError):
    """Our own disk, not the store."""


def _read(stream: Any, size: int) -> bytes:
    return stream.read(size) if size > 0 else b""


def _write(descriptor: int, block: bytes) -> None:
    try:
        view = memoryview(block)
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError as error:
        raise WriteError(error.errno, error.strerror) from error


def _changed(how: str) -> ReadError:
    return ReadError(f"changed while it was fetched: {how}", "DG505")


def _text(value: bytes | str) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


def _said(error: BaseException) -> str:
    """What a store says of an error: hostile text, and long."""
    return safe_text(str(error).split("\n", 1)[0], limit=200)

"""Copies of a store's objects: made, held against what was listed, and asked for once more."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Protocol

from dataguard.errors import DataguardError, ReadError, UsageError
from dataguard.records.store_names import Object
from dataguard.records.stores import Seen, Store, WriteError
from dataguard.records.walk import Entry, Listing, list_files
from dataguard.safe_text import safe_text

AT_ONCE = 8
"""Objects that are fetched at a time."""
NO_NAME = (errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EILSEQ, errno.EINVAL)
"""Errors of a file system that cannot have a name."""


class Shown(Protocol):
    """Who is told how far it is."""

    def stage(self, name: str, total: int) -> AbstractContextManager[Callable[[int, int], None]]:
        """Begins a stage of `total` items; the function it gives is called with items and bytes done."""


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
    except WriteError as error:
        path.unlink()
        raise DataguardError(
            f"the copy of an object cannot be written into {folder}: {error.strerror}", "make room there"
        ) from error
    except BaseException:
        path.unlink()
        raise
    finally:
        os.close(descriptor)

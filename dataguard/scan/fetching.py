"""Data of a store, fetched beside the run: the copies stand where a stream's would, in ``OUT.data``."""

from __future__ import annotations

import os
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from dataguard.errors import ReadError, UsageError
from dataguard.records import Stamp, opened
from dataguard.records.copies import Fetched, fetch
from dataguard.records.stores import Seen, Store
from dataguard.run import INFO, SPOOL_MARK, Run
from dataguard.safe_text import escape_name, safe_text
from dataguard.scan.progress import Progress


def fetched(uri: str, out: Path, progress: Progress, *, trust_stat: bool = False) -> Fetched:
    """Copies all objects of a URI into the folder ``OUT.data`` (mode 0700).

    All of them anew, whatever stood there: that a tag and a length are as before is no proof that the bytes are.

    Args:
        uri: the place.
        out: the run folder.
        progress: told of each object.
        trust_stat: leave the copies of the scan before where neither they nor what the store says of them changed.

    Raises:
        UsageError: the URI is wrong, something else stands in the folder, or there is no scan before to trust.
        RunError: another scan writes into the same run.
        DataguardError: the copies cannot be written.
    """
    store = Store.of(uri)
    folder, mark = copies_folder(out, safe_text(uri))
    listed = store.listed()  # before anything that stands there is removed
    run = Run.create(out.resolve())
    with run.locked():
        kept = _kept(run, store, folder) if trust_stat else {}
        cleared(folder, mark, kept)
        return fetch(store, listed, folder, progress, kept=kept)


def copies_folder(out: Path, what: str) -> tuple[Path, Path]:
    """Where copies of data stand, ``OUT.data``, and the file in the run that says that they are ours.

    Raises:
        UsageError: something of somebody else's stands there.
    """
    out = out.resolve()
    folder, mark = out.with_name(out.name + ".data"), out / SPOOL_MARK
    if folder.is_symlink() or (folder.exists() and not (folder.is_dir() and mark.exists())):
        raise UsageError(
            f"expected to fetch {what} into {folder}, but something of somebody else's stands there",
            "choose another --out",
        )
    return folder, mark


def cleared(folder: Path, mark: Path, kept: Container[str] = ()) -> None:
    """Makes the folder of copies, private and empty but for what is kept; the run must be locked."""
    folder.mkdir(exist_ok=True, mode=0o700)
    mark.touch()
    folder.chmod(0o700)
    _clear(folder, kept)


def facts(one: Fetched) -> dict[str, Any]:
    """What run.json says of it: the place, and what the store said of each object."""
    return {"store": one.store.uri, "objects": {name: list(seen) for name, seen in sorted(one.seen.items())}}


def _kept(run: Run, store: Store, folder: Path) -> dict[str, Seen]:
    """What the store said of the copies that still are what the scan before had of the same place."""
    if not run.exists(INFO):
        raise UsageError("--trust-stat expects an earlier run in --out to trust", "scan once without it")
    info = run.info
    try:
        if info.get("store") != store.uri:
            return {}
        objects: Mapping[str, Any] = info["objects"]
        seen = {
            name: Seen(size, modified, tuple((key, value) for key, value in marks))
            for name, (size, modified, marks) in objects.items()
        }
        stamps = {name: Stamp(*stamp) for name, (*stamp, _) in info["stamps"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"what {run.path / INFO} says of the objects is not of this version", "scan without --trust-stat"
        ) from error
    return {name: one for name, one in seen.items() if name in stamps and _stands(folder, name, stamps[name])}


def _stands(folder: Path, name: str, stamp: Stamp) -> bool:
    """Whether a copy is the file it was."""
    try:
        with opened(folder, name, stamp):
            return True
    except ReadError:
        return False


def _clear(folder: Path, kept: Container[str]) -> None:
    """Removes all that stands in the folder of copies but what is kept; follows nothing."""
    for here, folders, files in os.walk(folder, topdown=False):
        for path in (Path(here, name) for name in (*files, *folders)):
            if path.is_dir() and not path.is_symlink():
                if not any(path.iterdir()):
                    path.rmdir()
            elif escape_name(os.fsencode(path.relative_to(folder))) not in kept:
                path.unlink()

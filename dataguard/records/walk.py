"""Which files a data set has: an own walker that skips nothing silently and follows nothing.

`os.walk` and `glob` pass over unreadable folders without a word and follow names an attacker chose. Here
every entry ends as a regular file to read or as a refusal with its reason.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dataguard.errors import UsageError
from dataguard.safe_text import escape_name, unescape_name

MAX_DEPTH = 64
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class Entry:
    """An entry of the data set's folder.

    Args:
        name: path relative to the root, escaped reversibly (see `safe_text.escape_name`).
        refused: why it is not read, empty for a regular file.
        rule: the file rule that reports it then.
    """

    name: str
    refused: str = ""
    rule: str = "DG503"


@dataclass(frozen=True)
class Listing:
    """The files of a data set, sorted by name in UTF-8 byte order, each under the root."""

    root: Path
    entries: tuple[Entry, ...]


def list_files(given: Sequence[Path], *, leave_out: Path | None = None) -> Listing:
    """Walks what the user named.

    The root is the one folder given, or the folder all given paths have in common.

    Args:
        given: files and folders; a symbolic link is followed here, because the user named it, and
            nowhere below.
        leave_out: the run folder, which may not lie in the data.

    Raises:
        UsageError: nothing given, a path that does not exist, or the run folder inside the data.
    """
    if not given:
        raise UsageError("expected at least one file or folder of data, got none")
    real = [_real(path) for path in given]
    root = real[0] if len(real) == 1 else Path(os.path.commonpath(real))
    if not root.is_dir():
        root = root.parent
    entries: dict[bytes, Entry] = {}
    for path in real:
        if leave_out is not None and path.is_dir() and leave_out.resolve().is_relative_to(path):
            raise UsageError(
                f"expected the run folder outside of the data, got {leave_out} inside {path}",
                "choose --out beside the data, so that a scan never reads its own output",
            )
        base = os.fsencode(os.path.relpath(path, root))
        prefix = () if base == b"." else tuple(base.split(b"/"))
        for parts, refused in _visit(path, prefix):
            raw = b"/".join(parts)
            entries[raw] = Entry(escape_name(raw), refused)
    return Listing(root, tuple(sorted(entries.values(), key=lambda entry: entry.name.encode())))


def _real(path: Path) -> Path:
    """Where a path that the user named leads."""
    try:
        if not path.exists():
            raise UsageError(f"expected a file or folder, but {path} does not exist", "check the path")
        real = path.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, until Python 3.12
        raise UsageError(f"{path} cannot be looked at: {error}", "check the path and its rights") from error
    if real.is_file() and real.suffix.casefold() != path.suffix.casefold():
        # By its target's name the file might be of no kind that is screened, and nobody would notice.
        raise UsageError(
            f"expected a link to a file with the same suffix, but {path} leads to {real}",
            f"name {real} itself",
        )
    return real


def _visit(path: Path, prefix: tuple[bytes, ...]) -> Iterator[tuple[tuple[bytes, ...], str]]:
    if path.is_dir():
        try:
            folder = os.open(path, _FOLDER)
        except OSError as error:
            raise UsageError(
                f"the folder {path} cannot be opened: {error.strerror}", "check its rights"
            ) from error
        try:
            yield from _walk(folder, prefix)
        finally:
            os.close(folder)
    else:
        yield prefix, _refusal(path.lstat().st_mode)


def _walk(folder: int, prefix: tuple[bytes, ...]) -> Iterator[tuple[tuple[bytes, ...], str]]:
    """All entries below an open folder, by descriptor, so that a swapped folder leads nowhere."""
    if len(prefix) > MAX_DEPTH:
        yield prefix, f"folders nest deeper than {MAX_DEPTH}"
        return
    try:
        with os.scandir(folder) as found:
            names = sorted(os.fsencode(entry.name) for entry in found)
    except OSError as error:
        yield prefix or (b".",), f"the folder cannot be listed: {error.strerror}"
        return
    for name in names:
        parts = (*prefix, name)
        try:
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            if not stat.S_ISDIR(mode):
                yield parts, _refusal(mode)
                continue
            below = os.open(name, _FOLDER, dir_fd=folder)
        except OSError as error:
            yield parts, f"cannot be opened: {error.strerror}"
            continue
        try:
            yield from _walk(below, parts)
        finally:
            os.close(below)


def _refusal(mode: int) -> str:
    if stat.S_ISREG(mode):
        return ""
    kinds = {stat.S_IFLNK: "symbolic link", stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket"}
    return f"expected a regular file, got a {kinds.get(stat.S_IFMT(mode), 'device')}: not followed"


def open_beneath(root: Path, name: str) -> int:
    """Opens a file of the set, following no link below the root, and returns its descriptor.

    Args:
        root: the data set's root.
        name: the escaped name from `Entry`.

    Raises:
        OSError: it cannot be opened, or a part of the path is a link.
    """
    *folders, last = unescape_name(name).split(b"/")
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            below = os.open(folder, _FOLDER, dir_fd=here)
            os.close(here)
            here = below
        return os.open(last, _FILE, dir_fd=here)
    finally:
        os.close(here)

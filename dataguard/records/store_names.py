"""What a user may call a place in a store, and which of a store's names can be those of files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from dataguard.errors import UsageError
from dataguard.records.walk import Entry
from dataguard.safe_text import escape_name, safe_text

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


def check_uri(uri: str) -> None:
    """Refuses a URI that names no place of a known store, or has credentials or unknown options in it.

    Raises:
        UsageError: why; without what might be secret.
    """
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


def _split(uri: str) -> SplitResult:
    try:
        return urlsplit(uri)
    except ValueError as error:
        raise UsageError(f"expected SCHEME://PLACE, got something else: {error}") from error


def named(found: Sequence[tuple[str, int | None]], root: str) -> tuple[tuple[Object, ...], tuple[Entry, ...]]:
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

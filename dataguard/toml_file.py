"""TOML read with care, and taken apart by type: a file may be hostile, and every mistake gets a message."""

from __future__ import annotations

import os
import stat
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dataguard.errors import UsageError

MAX_BYTES = 16 << 20
MAX_HOSTILE_BYTES = 256 << 10
MAX_HOSTILE_DOTS = 100  # in a line: tomllib is quadratic, in memory too, in the parts of a dotted key
MAX_TEXT = 1000
MAX_INTEGER = 2**63 - 1


def read(path: Path, *, hostile: bool) -> bytes:
    """The bytes of a regular file within a limit.

    Args:
        path: the file.
        hostile: the file came with the data: a tight limit, and no symbolic link is followed.

    Raises:
        UsageError: there is no such file, it is none, or too large.
    """
    limit = MAX_HOSTILE_BYTES if hostile else MAX_BYTES
    # Without O_NONBLOCK, a FIFO in the data would hold the scan for ever.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (os.O_NOFOLLOW if hostile else 0)
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UsageError(
                    f"{path}: expected a regular file, got something else", "replace or remove it"
                )
            data = file.read(limit + 1)
    except OSError as error:
        came = "a symbolic link" if hostile and path.is_symlink() else error.strerror or type(error).__name__
        raise UsageError(
            f"{path}: expected a configuration file, got: {came}", "replace or remove it"
        ) from None
    if len(data) > limit:
        raise UsageError(f"{path}: expected at most {limit} bytes of configuration, got more")
    return data


def parse(path: Path, data: bytes, *, hostile: bool) -> dict[str, Any]:
    """The document in the bytes of a file.

    Raises:
        UsageError: it is no TOML, or would take the parser too far.
    """
    if hostile and any(line.count(b".") > MAX_HOSTILE_DOTS for line in data.split(b"\n")):
        raise UsageError(f"{path}: expected at most {MAX_HOSTILE_DOTS} dots in a line, got more")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except RecursionError:
        problem = "it is nested too deep"
    except ValueError as error:  # also text that is no UTF-8, and integers of thousands of digits
        problem = str(error)[:MAX_TEXT]
    raise UsageError(f"{path}: expected TOML, got what cannot be read as it: {problem}")


def show(value: object) -> str:
    """A value for an error message: escaped, and short."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


class Table:
    """Takes the known keys out of a TOML table by type; `close` refuses what nobody asked for.

    Args:
        value: what stands where a table should.
        where: file and table, for messages.

    Raises:
        UsageError: from every method, where the value is not of the type asked for.
    """

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise UsageError(f"{where}: expected a table, got {show(value)}")
        self.value: dict[str, Any] = value
        self.where = where
        self._known: list[str] = []

    def wrong(self, key: str, expected: str, came: object, hint: str = "") -> UsageError:
        """The error for a key whose value is not what was expected."""
        return UsageError(f"{self.where}: expected {key} to be {expected}, got {show(came)}", hint)

    def text(self, key: str) -> str:
        """A string, empty if absent."""
        return self._text(key, self._take(key, ""))

    def texts(self, key: str) -> tuple[str, ...]:
        """A string or a list of strings, empty if absent."""
        value = self._take(key, [])
        return tuple(self._text(key, item) for item in (value if isinstance(value, list) else [value]))

    def integer(self, key: str, default: int) -> int:
        """A positive integer."""
        value = self._take(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= MAX_INTEGER:
            raise self.wrong(key, "a positive integer", value)
        return value

    def table(self, key: str) -> Table:
        """A table, empty if absent."""
        return Table(self._take(key, {}), f"{self.where}: [{key}]")

    def tables(self, key: str) -> list[Table]:
        """A list of tables, numbered from 1 in messages; empty if absent."""
        value = self._take(key, [])
        if not isinstance(value, list):
            raise self.wrong(key, f"a list of tables, [[{key}]]", value)
        return [
            Table(item, f"{self.where}: [[{key}]] {number}") for number, item in enumerate(value, start=1)
        ]

    def close(self) -> None:
        """Refuses keys that nobody took."""
        for key in self.value:
            if key not in self._known:
                near = get_close_matches(key[:80], self._known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(self._known)}"
                raise UsageError(f"{self.where}: expected a key that is known, got {show(key)}", hint)

    def _take(self, key: str, default: object) -> Any:
        self._known.append(key)
        return self.value.get(key, default)

    def _text(self, key: str, value: object) -> str:
        if not isinstance(value, str):
            raise self.wrong(key, "text", value)
        if len(value) > MAX_TEXT:
            raise self.wrong(key, f"at most {MAX_TEXT} characters", value)
        return value

"""A policy: a folder of Great Expectations suites, one a table of the run, read strictly and never rewritten.

Only expectations that fail closed are known here (docs/gate.md). Whatever the file says that would not be
judged, such as a misspelt name, is refused: a check that silently does nothing must not pass for one.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from dataguard import resources, strict_json
from dataguard.errors import RefusedError, UsageError
from dataguard.gate.kinds import IN_SET, KINDS, TASK, TEXT, Kind
from dataguard.gate.views import WORD_COLUMNS

MAX_BYTES = 1 << 20
GRADES = ("critical", "warning", "info")
"""How much a line counts: only critical ones decide; the others are reported."""


@dataclass(frozen=True)
class PolicyLine:
    """One expectation of a policy.

    Args:
        table: the table of the run it judges.
        type: the expectation, as Great Expectations names it.
        kwargs: what is expected.
        severity: ``critical``, ``warning`` or ``info``.
        task: the task of NIST SP 800-218A it serves.
        reason: why the line stands there.
    """

    table: str
    type: str
    kwargs: Mapping[str, Any]
    severity: str
    task: str
    reason: str

    @property
    def expected(self) -> str:
        """What is expected, in words."""
        return KINDS[self.type].say(self.kwargs)


@dataclass(frozen=True)
class Policy:
    """All lines of a folder, by file and as they stand in it.

    Args:
        name: the folder's name.
        lines: the expectations.
        suites: the sha256 of each suite by file name.
    """

    name: str
    lines: tuple[PolicyLine, ...]
    suites: Mapping[str, str]


def policy_path(name_or_path: str | Path) -> Path:
    """The folder of a policy: a shipped one by its bare name (``release``), any other by its path.

    Raises:
        UsageError: there is no such folder.
    """
    shipped = resources.folder("checks")
    names = sorted(entry.name for entry in shipped.iterdir() if entry.is_dir())
    if str(name_or_path) in names:
        return shipped / str(name_or_path)
    path = Path(name_or_path)
    if not path.is_dir():
        raise UsageError(
            f"expected a policy's name or its folder, got {str(name_or_path)!r}",
            f"shipped are {', '.join(names)}; any other folder of suites is named by its path",
        )
    return path


def read_policy(folder: Path) -> Policy:
    """Reads every suite of a policy.

    Raises:
        UsageError: the folder or a suite in it is not what docs/gate.md says.
    """
    if not folder.is_dir():
        raise UsageError(
            f"expected the folder of a policy, got {str(folder)!r}", "`release` is one that ships"
        )
    lines: list[PolicyLine] = []
    suites: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.name == "README.md":
            continue
        if path.suffix != ".json" or path.stem not in WORD_COLUMNS:
            tables = ", ".join(f"{table}.json" for table in WORD_COLUMNS)
            _refuse(path, f"only {tables} and README.md", repr(path.name), "rename or remove it")
        data = _read(path)
        suites[path.name] = hashlib.sha256(data).hexdigest()
        lines.extend(_suite(path, data))
    if not suites:
        raise UsageError(
            f"expected suites in {folder}, got none", "a policy without expectations passes nothing"
        )
    return Policy(folder.resolve().name, tuple(lines), suites)


def _refuse(where: Path | str, expected: str, got: str, hint: str = "") -> NoReturn:
    raise UsageError(f"{where}: expected {expected}, got {got}", hint)


def _read(path: Path) -> bytes:
    # Not blocking, not following: a FIFO or a link planted in the folder must neither hang nor lead elsewhere.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        _refuse(path, "a readable file", error.strerror or "an error")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        _refuse(path, "a regular file", "something else")
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MAX_BYTES + 1)


def _parse(path: Path, data: bytes) -> object:
    try:
        return strict_json.loads(data, str(path), max_bytes=MAX_BYTES)
    except RefusedError as error:
        raise UsageError(error.problem, "correct the suite") from error


def _keys(where: str, value: object, required: Iterable[str], optional: Iterable[str] = ()) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse(where, "a JSON object", type(value).__name__)
    required, known = set(required), {*required, *optional}
    for key in value:
        if key not in known:
            near = get_close_matches(key, sorted(known), n=1)
            _refuse(
                where,
                f"only {', '.join(sorted(known))}",
                repr(key),
                f"did you mean {near[0]!r}?" if near else "",
            )
    missing = sorted(required - set(value))
    if missing:
        _refuse(where, ", ".join(sorted(required)), f"no {', '.join(missing)}")
    return value


def _suite(path: Path, data: bytes) -> list[PolicyLine]:
    suite = _keys(str(path), _parse(path, data), ["name", "expectations"])
    if suite["name"] != path.stem:
        _refuse(
            path, f"the name {path.stem!r}", repr(suite["name"]), "a suite is named after the table it judges"
        )
    expectations = suite["expectations"]
    if not isinstance(expectations, list) or not expectations:
        _refuse(
            path, "a list of expectations", "none", "an empty suite would pass everything: fill or remove it"
        )
    lines: list[PolicyLine] = []
    for number, entry in enumerate(expectations, 1):
        line = _line(f"{path}, expectation {number}", path.stem, entry)
        if any(line.type == other.type and line.kwargs == other.kwargs for other in lines):
            _refuse(f"{path}, expectation {number}", "each expectation once", "the same again")
        lines.append(line)
    return lines


def _line(where: str, table: str, value: object) -> PolicyLine:
    entry = _keys(where, value, ["type", "kwargs", "severity", "meta"])
    kind = KINDS.get(entry["type"]) if isinstance(entry["type"], str) else None
    if kind is None or table not in kind.tables:
        known = ", ".join(sorted(name for name, kind in KINDS.items() if table in kind.tables))
        _refuse(where, f"an expectation about {table}", repr(entry["type"]), f"known are {known}")
    if entry["severity"] not in GRADES:
        _refuse(where, f"the severity {', '.join(GRADES)}", repr(entry["severity"]))
    meta = _keys(f"{where}, meta", entry["meta"], ["task", "reason"])
    for key, check in (("task", TASK), ("reason", TEXT)):
        if not check.holds(meta[key]):
            _refuse(f"{where}, meta.{key}", check.wants, repr(meta[key]))
    kwargs = _keys(f"{where}, kwargs", entry["kwargs"], kind.required, kind.optional)
    for key, given in kwargs.items():
        check = {**kind.required, **kind.optional}[key]
        if not check.holds(given):
            _refuse(f"{where}, kwargs.{key}", check.wants, repr(given))
    _bounds(where, kind, kwargs)
    if kind is IN_SET and kwargs["column"] not in WORD_COLUMNS[table]:
        _refuse(where, f"a column of words: {', '.join(WORD_COLUMNS[table])}", repr(kwargs["column"]))
    return PolicyLine(table, entry["type"], kwargs, entry["severity"], meta["task"], meta["reason"])


def _bounds(where: str, kind: Kind, kwargs: Mapping[str, Any]) -> None:
    if "min_value" not in kind.optional:
        return
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is None and high is None:
        _refuse(where, "min_value, max_value or both", "neither", "without a limit it would pass everything")
    if low is not None and high is not None and low > high:
        _refuse(where, "min_value up to max_value", f"{low} and {high}")

"""The settings of a scan: `dataguard.toml`, or `[tool.dataguard]` in a `pyproject.toml`.

Two kinds of file are told apart. The user's own (``--config`` or the working directory) may set anything.
The one that lies in the data set came with the data, and so is the adversary's: it may name the data set,
give columns roles and declare sources, but not weaken a rule or a limit.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataguard import toml_file
from dataguard.errors import UsageError
from dataguard.toml_file import Table

FILE_NAME = "dataguard.toml"
PROJECT_FILE_NAME = "pyproject.toml"
SECONDS_PER_MIB = 4
PURPOSES = ("training", "testing", "fine-tuning", "aligning")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What reading a data set may cost. A limit that is met is a finding, and the run is incomplete.

    Args:
        memory_bytes: memory of a worker process, its libraries included.
        item_seconds: wall time that every work item on a file may take, and `SECONDS_PER_MIB` more for each MiB of it.
        conclude_seconds: wall time of relating, folding or judging a rule's evidence.
        decoded_bytes: decoded bytes of a file that are always allowed.
        decoded_ratio: decoded bytes for each byte of the file, where that allows more.
        cell_bytes: one value.
        columns: columns of a file.
        depth: nesting of a type or of a JSON value.
        batch_bytes: decoded bytes that a batch aims at.
        line_bytes: one line of JSON Lines.
        footer_bytes: the footer of a Parquet file.
        relate_bytes: evidence on records that is held at once to find pairs among them; what is more than that is
            related a part at a time from the disk.
    """

    memory_bytes: int = 1_610_612_736
    item_seconds: int = 120
    conclude_seconds: int = 3600
    decoded_bytes: int = 256 << 20
    decoded_ratio: int = 200
    cell_bytes: int = 64 << 20
    columns: int = 10_000
    depth: int = 32
    batch_bytes: int = 32 << 20
    line_bytes: int = 64 << 20
    footer_bytes: int = 64 << 20
    relate_bytes: int = 96 << 20

    def seconds(self, size: int) -> float:
        """Wall time of a work item on so many bytes of a file: a small bomb must not hold a worker for long."""
        return self.item_seconds + SECONDS_PER_MIB * size / (1 << 20)

    def budget(self, size: int) -> int:
        """Bytes that a file of this size may decode to."""
        return max(self.decoded_bytes, self.decoded_ratio * size)


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """What the data set is called and used for.

    Args:
        name: its name.
        version: its version.
        purpose: one of PURPOSES, or empty.
    """

    name: str = ""
    version: str = ""
    purpose: str = ""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where records come from, as somebody declares it: for files by pattern, or for records by a value.

    Args:
        name: what the source is called.
        pattern: glob over the escaped file names, relative to the data set's root.
        column: a column that points at sources; with `value`.
        value: what the column says of this source's records.
        licence: SPDX id of the licence.
        sha256: digests of exactly the files that the pattern matches; empty where none were declared.
        issuer: who states it.
        uris: where it was got from.
    """

    name: str
    pattern: str = ""
    column: str = ""
    value: str = ""
    licence: str = ""
    sha256: tuple[str, ...] = ()
    issuer: str = ""
    uris: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReadFrom:
    """A configuration file that was read: the path as given, and the SHA-256 of the bytes read."""

    path: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that was declared.

    Args:
        dataset: name, version, purpose.
        roles: columns by role.
        sources: declared sources, in the order of the file.
        rules: options by rule; checked against the rules by `detectors.select`.
        limits: what reading may cost.
        roles_only_add: the roles came with the data, so they may add to the inferred ones only.
        sources_from_data: the sources came with the data.
        read_from: the files read, the user's first.
    """

    dataset: DataSet = DataSet()
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    limits: Limits = Limits()
    roles_only_add: bool = False
    sources_from_data: bool = False
    read_from: tuple[ReadFrom, ...] = ()

    @property
    def sha256(self) -> str:
        """Digest of the bytes read; of the digests one after another if files were two; empty if none."""
        if len(self.read_from) == 1:
            return self.read_from[0].sha256
        joined = "".join(read.sha256 for read in self.read_from)
        return hashlib.sha256(joined.encode()).hexdigest() if joined else ""


def load(path: Path) -> Config:
    """Reads a configuration file of the user's own.

    Raises:
        UsageError: the file cannot be read, or says something that is not known.
    """
    config = _load(path, of_data=False)
    if config is None:
        raise UsageError(
            f"{path}: expected a table [tool.dataguard], got none", f"add it, or use a {FILE_NAME}"
        )
    return config


def find(data_root: Path, explicit: Path | None, cwd: Path) -> Config:
    """The configuration for a data set: the user's own, and beneath it the one that lies in the data.

    A table [dataset], [roles] or [[source]] counts as a whole: the user's stands in place of the data's.
    A working directory inside the data set is part of the data: what lies there is read as the data's.

    Args:
        data_root: folder of the data set.
        explicit: file that the user named; read in place of the working directory's.
        cwd: working directory, whose `dataguard.toml` or else `pyproject.toml` is read.

    Raises:
        UsageError: a file cannot be read, says something unknown, or came with the data and says too much.
    """
    in_data = cwd.resolve().is_relative_to(data_root.resolve())
    own = load(explicit) if explicit is not None else None
    if own is None and not in_data:
        own = _first(cwd, of_data=False)
    beside = data_root / FILE_NAME
    if explicit is not None and _same(explicit, beside):
        return own or Config()
    of_data = _load(beside, of_data=True) if os.path.lexists(beside) else None
    if of_data is None and explicit is None and in_data:
        of_data = _first(cwd, of_data=True)
    return _under(own or Config(), of_data or Config())


def _first(folder: Path, *, of_data: bool) -> Config | None:
    for name in (FILE_NAME, PROJECT_FILE_NAME):
        if os.path.lexists(folder / name):
            config = _load(folder / name, of_data=of_data)
            if config is not None:
                return config
    return None


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _under(own: Config, of_data: Config) -> Config:
    """The user's configuration, with the data's tables where the user's has none."""
    return dataclasses.replace(
        own,
        dataset=own.dataset if own.dataset != DataSet() else of_data.dataset,
        roles=own.roles or of_data.roles,
        roles_only_add=not own.roles and bool(of_data.roles),
        sources=own.sources or of_data.sources,
        sources_from_data=not own.sources and bool(of_data.sources),
        read_from=own.read_from + of_data.read_from,
    )


def _load(path: Path, *, of_data: bool) -> Config | None:
    """One file, checked; None for a `pyproject.toml` without our table."""
    data = toml_file.read(path, hostile=of_data)
    document, where = toml_file.parse(path, data, hostile=of_data), str(path)
    if path.name == PROJECT_FILE_NAME:
        tool = document.get("tool")
        if not isinstance(tool, dict) or "dataguard" not in tool:
            return None
        document, where = tool["dataguard"], f"{path}: [tool.dataguard]"
    config = _config(Table(document, where), of_data=of_data)
    return dataclasses.replace(config, read_from=(ReadFrom(str(path), hashlib.sha256(data).hexdigest()),))


def _config(table: Table, *, of_data: bool) -> Config:
    for key in ("rules", "limits"):
        if of_data and key in table.value:
            raise UsageError(
                f"{table.where}: expected only dataset, roles and source, got {key}: this file came with the data,"
                " and settings that could weaken the screen are only read from --config or from a working"
                " directory outside the data",
                f"read it, and pass it with --config if you stand by it; else remove [{key}]",
            )
    config = Config(
        dataset=_dataset(table.table("dataset")),
        roles=_roles(table.table("roles")),
        sources=tuple(_source(one) for one in table.tables("source")),
        rules=_rules(table.table("rules")),
        limits=_limits(table.table("limits")),
    )
    table.close()
    return _with_pointers(config)


def _dataset(table: Table) -> DataSet:
    dataset = DataSet(name=table.text("name"), version=table.text("version"), purpose=table.text("purpose"))
    if dataset.purpose and dataset.purpose not in PURPOSES:
        raise table.wrong("purpose", f"one of {', '.join(PURPOSES)}", dataset.purpose)
    table.close()
    return dataset


def _roles(table: Table) -> dict[str, tuple[str, ...]]:
    if not table.value:
        return {}
    from dataguard.columns import Role  # loads pyarrow, which `--help` must not

    roles = {role.value: tuple(sorted(set(table.texts(role.value)))) for role in Role}
    table.close()
    return {role: columns for role, columns in roles.items() if columns}


def _rules(table: Table) -> dict[str, dict[str, Any]]:
    return {code: table.table(code).value for code in table.value}


def _limits(table: Table) -> Limits:
    defaults = dataclasses.asdict(Limits())
    limits = Limits(**{name: table.integer(name, default) for name, default in defaults.items()})
    table.close()
    return limits


def _source(table: Table) -> Source:
    source = Source(
        name=table.text("name"),
        pattern=table.text("pattern"),
        column=table.text("column"),
        value=table.text("value"),
        licence=table.text("licence"),
        sha256=tuple(sorted({digest.lower() for digest in table.texts("sha256")})),
        issuer=table.text("issuer"),
        uris=table.texts("uris"),
    )
    table.close()
    if not source.name:
        raise table.wrong("name", "the name of the source", source.name)
    if bool(source.pattern) == bool(source.column) or bool(source.column) != bool(source.value):
        raise UsageError(f"{table.where}: expected either pattern, or column and value, got neither or both")
    if source.pattern.startswith("/") or source.pattern.endswith("/"):
        hint = "patterns are relative to the data set's root; folder/** matches all that lies in a folder"
        raise table.wrong("pattern", "a pattern of file names", source.pattern, hint)
    if source.column and source.sha256:
        raise UsageError(f"{table.where}: expected sha256 beside a pattern, got it beside a column")
    for digest in source.sha256:
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise table.wrong("sha256", "64 hexadecimal digits", digest)
    return source


def _with_pointers(config: Config) -> Config:
    """Columns that a source is declared by have the role source, said or not: else nobody would read them."""
    pointers = {source.column for source in config.sources if source.column}
    if not pointers:
        return config
    columns = tuple(sorted(pointers | set(config.roles.get("source", ()))))
    return dataclasses.replace(config, roles={**config.roles, "source": columns})

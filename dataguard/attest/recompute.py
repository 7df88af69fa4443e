"""Digests of a data set's files, computed anew from the bytes that lie there: to sign them, or to compare them.

Nothing of the scan's evidence is used. Decoding happens in worker processes with limits, as hostile bytes can kill
a process; a row group that cannot be decoded costs itself, so that the rest of its file can still be compared.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from dataguard.columns import Roles
from dataguard.config import Limits
from dataguard.digests import RowTree, record_digests, schema_digest
from dataguard.engine import Failed, LocalEngine
from dataguard.errors import ReadError
from dataguard.manifest import LEAF_BYTES, Leaves, ManifestFile, prefixes, root_of_groups
from dataguard.records import Inspection, Slice, Stamp, inspect_file, opened, read, sha256

MAX_ROWS = 65_536
FINE_ROWS = 256
ITEM_BYTES = 32 << 20
ITEM_ROWS = 1 << 19
WORKER_BYTES = 16 << 20
MAX_BROKEN = 1 << 24
"""Rows that a file may claim beyond those it has, before its claim is not worth comparing row by row."""


@dataclass(frozen=True)
class Broken:
    """Rows that cannot be decoded.

    Args:
        first: the first of them, in the file.
        rows: how many, to the end of their row group.
        reason: in words.
    """

    first: int
    rows: int
    reason: str


@dataclass(frozen=True)
class Decoded:
    """What a file is now.

    Args:
        file: its manifest line, without a source; of kind "other" where `problem` says why it is not decoded.
        leaves: prefixes of its record digests, uint8 of shape (rows, 16); zeros for rows that cannot be decoded.
        broken: rows that cannot be decoded; their row groups have no root, and the file's root means nothing.
        problem: why nothing of it can be compared; empty if it can.
        moved: it changed while it was looked at.
    """

    file: ManifestFile
    leaves: Leaves = field(default_factory=lambda: np.empty((0, LEAF_BYTES), np.uint8), repr=False)
    broken: tuple[Broken, ...] = ()
    problem: str = ""
    moved: bool = False

    @property
    def leaves_sha256(self) -> str:
        """Digest of the prefixes' bytes, as `manifest.leaves_digest` takes it."""
        return hashlib.sha256(np.ascontiguousarray(self.leaves).data).hexdigest()


Recompute: TypeAlias = Callable[[Path, Sequence[str]], Iterator[Decoded]]
"""(root, escaped names) to what each file is now, in any order, each name once."""


def isolated(limits: Limits | None = None, *, workers: int | None = None) -> Recompute:
    """Recomputes in worker processes.

    Args:
        limits: what decoding may cost; the defaults if None.
        workers: worker processes; by default one for each processor, but fewer for little data.
    """
    bounds = limits or Limits()

    def recompute(root: Path, names: Sequence[str]) -> Iterator[Decoded]:
        looks = []
        for name, stamp, found in digest_files(root, names):
            if stamp is None:
                yield Decoded(ManifestFile.other(name=name, size=0, sha256="0" * 64), problem=found)
            else:
                other = ManifestFile.other(name=name, size=stamp.size, sha256=found)
                looks.append((other, _Look(Slice(root, name, stamp, _NOTHING, 0, 0), bounds)))
        # A worker takes about as long to start as to decode this much.
        worth = 1 + sum(other.size for other, _ in looks) // WORKER_BYTES
        count = workers or min(os.cpu_count() or 1, worth)
        with LocalEngine(workers=count, memory=bounds.memory_bytes, seconds=bounds.item_seconds) as engine:
            yield from _decoded(looks, engine)

    return recompute


def digest_files(
    root: Path, names: Sequence[str], sizes: Container[int] | None = None
) -> Iterator[tuple[str, Stamp | None, str]]:
    """The bytes of files, digested: name, stamp and SHA-256 in hex; without a stamp, why that cannot be done.

    Args:
        root: the data set's root.
        names: escaped.
        sizes: a file of another size gets the empty digest, unread; None for any size.
    """

    def digest(name: str) -> tuple[str, Stamp | None, str]:
        try:
            with opened(root, name) as (descriptor, stamp):
                found = sha256(descriptor, stamp.size) if sizes is None or stamp.size in sizes else ""
        except ReadError as error:
            return name, None, error.problem
        return name, stamp, found

    # Threads suffice: hashing and reading both let go of the interpreter.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(digest, names)


@dataclass(frozen=True)
class _Look:
    """A file to be inspected, or row groups of it to be digested."""

    part: Slice
    limits: Limits


@dataclass(frozen=True)
class _Group:
    """A row group as decoded; without a root, and with the leaves of its first rows only, if any of it cannot be."""

    number: int
    rows: int
    root: str
    leaves: bytes
    broken: Broken | None
    decoded: int
    rule: str = ""


_NOTHING = Inspection("unknown")


def _inspect(look: _Look) -> Inspection:
    return inspect_file(look.part.root, look.part.name, look.part.stamp, look.limits)


def _digest(look: _Look) -> tuple[_Group, ...]:
    """The row groups of a slice, each on its own, so that a broken one costs only itself."""
    part = look.part
    return tuple(
        _digest_group(replace(part, first=number, last=number + 1), look.limits)
        for number in range(part.first, part.last)
    )


def _digest_group(part: Slice, limits: Limits) -> _Group:
    group = _attempt(part, limits, MAX_ROWS)
    # Small batches come closer to the row from which on it cannot be decoded.
    return _attempt(part, limits, FINE_ROWS) if group.broken and group.rule == "DG503" else group


def _attempt(part: Slice, limits: Limits, max_rows: int) -> _Group:
    tree, pieces, decoded = RowTree(), [], 0
    try:
        for batch in read(part, Roles(), limits, max_rows):
            digests = record_digests(batch.data)
            decoded += batch.data.nbytes
            tree.append(digests)
            pieces.append(prefixes(digests).tobytes())
    except ReadError as error:
        claimed = part.inspection.groups[part.first].rows
        good = min(tree.size, claimed)
        broken = Broken(part.first_row + good, claimed - good, error.problem)
        return _Group(
            part.first, claimed, "", b"".join(pieces)[: good * LEAF_BYTES], broken, decoded, error.rule
        )
    return _Group(part.first, tree.size, tree.root().hex(), b"".join(pieces), None, decoded)


def _decoded(looks: list[tuple[ManifestFile, _Look]], engine: LocalEngine) -> Iterator[Decoded]:
    files = {look.part.name: _File(other, look) for other, look in looks}
    for result in engine.map(_inspect, [look for _, look in looks]):
        file = files[result.item.part.name]
        done = file.inspected(result.value)
        if done is not None:
            yield done
            del files[result.item.part.name]
    items = (item for file in list(files.values()) for item in file.items())
    for result in engine.map(_digest, items):
        file = files[result.item.part.name]
        groups = result.value
        if isinstance(groups, Failed):
            # The worker died or took too long: ask for each row group on its own, once.
            groups = tuple(file.alone(result.item.part, groups.reason, engine))
        done = file.looked(groups)
        if done is not None:
            yield done


class _File:
    """What is known of one file so far."""

    def __init__(self, other: ManifestFile, look: _Look) -> None:
        self._other = other
        self._look = look
        self._groups: dict[int, _Group] = {}
        self._schema = ""
        self._ended = False

    def inspected(self, found: Inspection | Failed) -> Decoded | None:
        """Takes what the file says of itself; the end of it where there are no records to decode."""
        if isinstance(found, Failed):
            return Decoded(self._other, problem=f"the reader did not finish: {found.reason}")
        if found.refused is not None:
            return Decoded(self._other, problem=found.refused.reason, moved=found.refused.rule == "DG505")
        self._look = replace(self._look, part=replace(self._look.part, inspection=found))
        if found.schema is None:
            return Decoded(self._other)
        try:
            self._schema = schema_digest(found.schema).hex()
        except ReadError as error:
            return Decoded(self._other, problem=error.problem)
        return None if found.groups else self._whole()

    def items(self) -> Iterator[_Look]:
        """Neighbouring row groups, as many as are worth a call."""
        part = self._look.part
        groups = part.inspection.groups
        first = 0
        while first < len(groups) and not self._ended:
            last, size, rows = first, 0, 0
            while last < len(groups) and (last == first or (size < ITEM_BYTES and rows < ITEM_ROWS)):
                size += groups[last].hint
                rows += groups[last].rows
                last += 1
            yield replace(self._look, part=replace(part, first=first, last=last))
            first = last

    def alone(self, part: Slice, reason: str, engine: LocalEngine) -> Iterator[_Group]:
        """Row groups of which one killed its worker, each in a worker of its own."""
        numbers = list(range(part.first, part.last))
        looks = [replace(self._look, part=replace(part, first=number, last=number + 1)) for number in numbers]
        for result in engine.map(_digest, looks if len(looks) > 1 else []):
            if not isinstance(result.value, Failed):
                yield from result.value
                numbers = [number for number in numbers if number != result.item.part.first]
        for number in numbers:
            rows = part.inspection.groups[number].rows
            first = replace(part, first=number).first_row
            broken = Broken(first, rows, f"the reader did not finish: {reason}")
            yield _Group(number, rows, "", b"", broken, 0, "DG503")

    def looked(self, groups: tuple[_Group, ...]) -> Decoded | None:
        """Takes row groups; the end of the file when they are all there, or too much."""
        if self._ended:
            return None
        self._groups.update({group.number: group for group in groups})
        part, limits = self._look.part, self._look.limits
        budget = max(limits.decoded_bytes, limits.decoded_ratio * part.stamp.size)
        done = None
        if sum(group.decoded for group in self._groups.values()) > budget:
            done = Decoded(self._other, problem=f"decodes to more than {budget} bytes from {part.stamp.size}")
        elif len(self._groups) == len(part.inspection.groups):
            done = self._whole()
        if done is not None:
            self._ended = True
            self._groups = {}  # the leaves of a whole set do not stay in memory
        return done

    def _whole(self) -> Decoded:
        found = [self._groups[number] for number in sorted(self._groups)]
        broken = tuple(group.broken for group in found if group.broken)
        if any(group.rule == "DG505" for group in found):
            return Decoded(self._other, problem="changed while it was read", moved=True)
        if sum(one.rows for one in broken) > MAX_BROKEN:
            return Decoded(self._other, problem=broken[0].reason)
        # A row group of no rows is no row group to the manifest.
        groups = tuple((group.rows, group.root) for group in found if group.rows)
        rows = sum(group.rows for group in found)
        file = replace(
            self._other,
            rows=rows,
            row_groups=groups,
            file_root=root_of_groups(() if broken else groups),
            schema_sha256=self._schema,
        )
        padded = (group.leaves.ljust(group.rows * LEAF_BYTES, b"\0") for group in found)
        leaves = np.frombuffer(b"".join(padded), np.uint8).reshape(rows, LEAF_BYTES)
        return Decoded(file, leaves, broken)

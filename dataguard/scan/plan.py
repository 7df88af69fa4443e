"""What is to be read: files with their digests and what they say of themselves, cut into work items.

Items do not depend on the number of workers or on batch sizes, so that evidence serves again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import accumulate, pairwise
from math import ceil
from pathlib import Path
from threading import Event
from typing import Any

from dataguard.columns import Roles, resolve
from dataguard.config import Limits
from dataguard.engine import Failed, LocalEngine
from dataguard.errors import ReadError
from dataguard.evidence import Evidence, evidence_key
from dataguard.records import (
    READER,
    UNKNOWN,
    Entry,
    Incident,
    Inspection,
    Listing,
    Slice,
    Stamp,
    opened,
    sha256,
    sniff,
    suspect,
    unsafe,
)
from dataguard.records.partitions import VERSION as PARTITIONS_VERSION
from dataguard.records.partitions import partitions_of
from dataguard.scan.progress import Progress
from dataguard.scan.work import INSPECT, InspectItem, inspect_item

ITEM_BYTES = 64 << 20
ITEM_ROWS = 524_288
UNSAFE = "unsafe"
"""Sniffed of a file that holds no records, but may hold code."""


@dataclass(frozen=True)
class File:
    """A file of the set as the plan found it.

    Args:
        number: its place among the names in byte order.
        name: its escaped name.
        stamp: None where it could not be opened.
        sha256: of its bytes, empty where they could not be read.
        sniffed: the format that magic and suffix suggest; UNSAFE for a file without records that is looked at.
        inspection: what it says of itself.
        incident: why it is not read at all.
        roles: the roles of its columns.
        note: why its records are not read although nothing is wrong with it: its table does not count it.
    """

    number: int
    name: str
    stamp: Stamp | None = None
    sha256: str = ""
    sniffed: str = "other"
    inspection: Inspection = field(default_factory=lambda: Inspection("other"))
    incident: Incident | None = None
    roles: Roles = field(default_factory=Roles)
    note: str = ""

    @property
    def readable(self) -> bool:
        """Whether there are records to decode."""
        return self.incident is None and self.inspection.schema is not None

    @property
    def partition_columns(self) -> tuple[str, ...]:
        """Its own columns that the folders above it say a value of, in its order."""
        said = partitions_of(self.name) if "=" in self.name else None
        schema = self.inspection.schema
        return (
            ()
            if said is None or schema is None
            else tuple(name for name in schema.names if name in said.values)
        )


@dataclass(frozen=True)
class Item:
    """Row groups of a file: the unit of work, of evidence and of resuming."""

    file: File
    first: int
    last: int
    cell_bytes: int

    @property
    def rows(self) -> int:
        """Records that the item should have."""
        return sum(group.rows for group in self.file.inspection.groups[self.first : self.last])

    def part(self, root: Path) -> Slice:
        """Where to read it."""
        assert self.file.stamp is not None
        return Slice(root, self.file.name, self.file.stamp, self.file.inspection, self.first, self.last)

    @property
    def partitions_key(self) -> str:
        """The evidence key of the first values of the columns that the path says something of."""
        return self.key(partitions=PARTITIONS_VERSION, columns=list(self.file.partition_columns))

    def key(self, **more: Any) -> str:
        """The evidence key for whoever looks at this item."""
        return evidence_key(
            {
                "file": self.file.sha256,
                "groups": [self.first, self.last],
                "reader": READER,
                # Under a lower limit it would not have been read.
                "cell_bytes": self.cell_bytes,
                **more,
            }
        )


def digest_files(
    listing: Listing, trusted: Mapping[str, tuple[Stamp, str]], workers: int, progress: Progress
) -> list[File]:
    """Hashes every file, in threads of this process: bytes are read and nothing is parsed.

    Args:
        listing: the files.
        trusted: digests of an earlier run by name, taken without reading where the stamp is equal.
        workers: how many files at a time.
        progress: told of each file.
    """
    stopped = Event()

    def one(entry: tuple[int, Entry]) -> File:
        number, found = entry
        if found.refused:
            return File(number, found.name, incident=Incident(found.rule, found.refused))
        try:
            with opened(listing.root, found.name) as (descriptor, stamp):
                before, known = trusted.get(found.name, (None, ""))
                digest = known if before == stamp else sha256(descriptor, stamp.size, stopped=stopped.is_set)
                return File(number, found.name, stamp, digest, _sniffed(descriptor, found.name))
        except ReadError as error:
            return File(number, found.name, incident=Incident(error.rule, error.problem))

    files = []
    with (
        progress.stage("hashing files", len(listing.entries)) as advance,
        ThreadPoolExecutor(workers) as pool,
    ):
        try:
            for file in pool.map(one, enumerate(listing.entries)):
                files.append(file)
                advance(1, file.stamp.size if file.stamp else 0)
        except BaseException:
            # An interrupt need not wait for files of many gigabytes, nor for those not begun.
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return files


def _sniffed(descriptor: int, name: str) -> str:
    """The format, and of files that hold no records which are worth a look."""
    kind = sniff(descriptor, name)
    return UNSAFE if kind == "other" and suspect(descriptor, name) else kind


def inspect_files(
    files: list[File], root: Path, limits: Limits, evidence: Evidence, engine: LocalEngine, progress: Progress
) -> dict[int, Inspection]:
    """What each file says of itself, by the file's number; files of equal bytes and suffix are asked once."""
    asked = {
        file.number: inspect_key(file, limits) for file in files if file.stamp and file.sniffed != "other"
    }
    twins: dict[str, list[InspectItem]] = {}
    for file in files:
        if file.number in asked and not evidence.has(INSPECT, asked[file.number]):
            assert file.stamp is not None
            key = asked[file.number]
            item = InspectItem(root, file.name, file.stamp, limits, evidence.folder, key)
            twins.setdefault(key, []).append(item)
    failed: dict[str, Inspection] = {}
    moved: dict[str, Inspection] = {}
    with progress.stage("inspecting files", len(twins)) as advance:
        while twins:
            first = [same[0] for same in twins.values()]
            for result in engine.map(
                inspect_item, first, seconds=lambda item: limits.seconds(item.stamp.size)
            ):
                if isinstance(result.value, Failed):
                    failed[result.item.key] = Inspection(UNKNOWN, refused=incident_of(result.value))
                elif isinstance(result.value, Inspection):
                    moved[result.item.name] = result.value
                else:
                    evidence.keep([result.value])
                advance(1, result.item.stamp.size)
            # That a file moved says nothing of another with the bytes it had.
            twins = {key: same[1:] for key, same in twins.items() if same[0].name in moved and same[1:]}
    kept = {
        key: Inspection.from_json(evidence.path(INSPECT, key).read_bytes())
        for key in set(asked.values())
        if evidence.has(INSPECT, key)
    }
    known = failed | kept
    return {
        file.number: moved.get(file.name) or known[asked[file.number]]
        for file in files
        if file.number in asked
    }


def inspect_key(file: File, limits: Limits) -> str:
    """The evidence key of what a file says of itself: its bytes and suffix decide, and the limits."""
    suffix = Path(file.name.casefold()).suffix
    more = {"unsafe": unsafe.VERSION} if file.sniffed == UNSAFE else {}
    return evidence_key(
        {"file": file.sha256, "suffix": suffix, "reader": READER, "limits": asdict(limits), **more}
    )


def incident_of(failed: Failed) -> Incident:
    """The file rule that reports a worker's end."""
    return Incident(
        "DG504" if failed.kind in ("timeout", "memory") else "DG503",
        f"the reader did not finish: {failed.reason}",
    )


def with_inspection(
    file: File, inspection: Inspection | None, declared: Mapping[str, tuple[str, ...]], *, only_add: bool
) -> File:
    """The file with what it says of itself and the roles of its columns."""
    if inspection is None:
        return file
    roles = Roles()
    if inspection.schema is not None:
        roles = resolve(inspection.schema, declared, only_add=only_add)
    return replace(file, inspection=inspection, incident=inspection.refused, roles=roles)


def cut(files: list[File], limits: Limits) -> Iterator[Item]:
    """Work items: neighbouring row groups of about 64 MiB decoded, or as many rows as are worth an item.

    Those of a file are about equally large: a worker that is given a small one last has nothing to do while another
    is at a large one.
    """
    for file in files:
        if not file.readable:
            continue
        groups = file.inspection.groups
        sizes = [max(group.hint / ITEM_BYTES, group.rows / ITEM_ROWS) for group in groups]
        middles = [
            before + size / 2 for before, size in zip(accumulate(sizes, initial=0.0), sizes, strict=False)
        ]
        total = sum(sizes)
        parts = ceil(total)
        of_part = [int(middle * parts / total) if parts else 0 for middle in middles]
        starts = [number for number in range(1, len(groups)) if of_part[number] != of_part[number - 1]]
        for first, last in pairwise([0, *starts, len(groups)]):
            yield Item(file, first, last, limits.cell_bytes)

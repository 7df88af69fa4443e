"""The records that the self-test plants its attacks among: a sample of the user's own, read again by their addresses.

Which records are taken is decided by their digests under a key of the project: nobody who writes data can say which of
it the self-test will look at, and the same run gives the same sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from dataguard.columns import Roles, resolve
from dataguard.config import Limits
from dataguard.digests import record_digests
from dataguard.engine import Failed, LocalEngine
from dataguard.errors import ReadError, RunError
from dataguard.manifest import LEAF_BYTES, MANIFEST, Manifest, ManifestFile, prefixes, read_leaves
from dataguard.records import Inspection, Slice, Stamp, inspect_file, opened, read
from dataguard.run import Run
from dataguard.safe_text import safe_text
from dataguard.secret import Secret

BATCH_ROWS = 8192
WHOLE = "read"


@dataclass(frozen=True)
class Screened:
    """What was screened, as far as a sample of it needs that.

    Args:
        root: where the data lies now.
        files: those that were read to their end and have records, by name.
        leaves: the folder with the digests of their records.
        roles: columns by role, of all files together.
        flagged: file and row of the records that the run flagged.
        limits: what reading may cost.
        inspected: by name, what a file was when it was screened and what it said of itself; files that are not named
            here are inspected again.
    """

    root: Path
    files: tuple[ManifestFile, ...]
    leaves: Path
    roles: Mapping[str, Sequence[str]]
    flagged: pl.DataFrame
    limits: Limits
    inspected: Mapping[str, tuple[Stamp, Inspection]] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Run, root: Path) -> Screened:
        """What a finished run says."""
        return cls(
            root,
            whole_files(Manifest.parse(run.read(MANIFEST)), run.table("files")),
            run.path / "leaves",
            run.info["roles"],
            run.table("flagged"),
            Limits(**run.info["limits"]),
        )


def whole_files(manifest: Manifest, files: pl.DataFrame) -> tuple[ManifestFile, ...]:
    """The files of a run that were read to their end and have records, by name."""
    names = files.filter(pl.col("status") == WHOLE)["file"].sort()
    return tuple(manifest.by_name[name] for name in names if manifest.by_name[name].rows)


@dataclass(frozen=True)
class PartItem:
    """Records of one file.

    Args:
        root: where the data lies now.
        name: the file's escaped name.
        rows: numbers of the records, ascending.
        leaves: the prefix of the digest that each must still have, one after another.
        size: bytes of the file.
        limits: what reading may cost.
        inspected: what the file was and said of itself, if that is known.
    """

    root: Path
    name: str
    rows: tuple[int, ...]
    leaves: bytes
    size: int
    limits: Limits
    inspected: tuple[Stamp, Inspection] | None = None


@dataclass(frozen=True)
class Group:
    """Sampled records of files that have the same columns with the same roles, as one file.

    Args:
        data: the records, by file and row.
        roles: of the columns.
        flagged: bool of shape (records,), those that the run flagged.
    """

    data: pa.RecordBatch
    roles: Roles
    flagged: npt.NDArray[np.bool_]


def take_sample(run: Run, root: Path, count: int, *, secret: Secret, workers: int) -> tuple[Group, ...]:
    """Reads the records of a run with the smallest keyed digests.

    Args:
        run: a scanned run.
        root: where the data lies now.
        count: the most records.
        secret: the project's.
        workers: worker processes.

    Returns:
        The records by columns; nothing where the run has none.

    Raises:
        RunError: records cannot be read, or are not what was screened.
    """
    screened = Screened.of(run, root)
    limits = screened.limits
    with LocalEngine(workers=workers, memory=limits.memory_bytes, seconds=limits.item_seconds) as engine:
        return sampled(screened, chosen(screened, count, secret), engine)


def sampled(screened: Screened, items: Sequence[PartItem], engine: LocalEngine) -> tuple[Group, ...]:
    """The records of a sample by columns, read again in workers.

    Raises:
        RunError: records cannot be read, or are not what was screened.
    """
    read_again: dict[str, pa.RecordBatch] = {}
    for result in engine.map(read_part, items, seconds=lambda item: screened.limits.seconds(item.size)):
        if isinstance(result.value, Failed):
            raise _lost(result.item.name, result.value.reason)
        if isinstance(result.value, str):
            raise _lost(result.item.name, result.value)
        read_again[result.item.name] = result.value
    return _grouped(screened, items, read_again)


def _lost(name: str, reason: str) -> RunError:
    return RunError(
        f"the sample of {safe_text(name)} cannot be read as it was screened: {safe_text(reason)}",
        "say with --data where the data lies now; scan again if it was changed",
    )


def chosen(screened: Screened, count: int, secret: Secret, most_bytes: int | None = None) -> list[PartItem]:
    """The rows to be read, by file: those with the smallest keyed digests.

    Args:
        screened: the files.
        count: the most records.
        secret: the project's.
        most_bytes: of the row groups that are read for them, as far as one is not larger: row groups are then drawn by
            the records in them, and the sample from these alone. None to draw from all.
    """
    keys = np.frombuffer(secret.derive("sample"), dtype=np.uint64) | np.uint64(1)
    best = _smallest(screened, keys, count)
    if most_bytes is not None:
        best = _smallest(screened, keys, count, _near(screened, best, most_bytes))
    items = []
    for number, file in enumerate(screened.files):
        rows = np.sort(best[best[:, 1] == number, 2])
        if len(rows):
            leaves = read_leaves(screened.leaves, file.sha256, file.rows)[rows].tobytes()
            inspected = screened.inspected.get(file.name)
            items.append(
                PartItem(
                    screened.root,
                    file.name,
                    tuple(rows.tolist()),
                    leaves,
                    file.size,
                    screened.limits,
                    inspected,
                )
            )
    return items


def _smallest(
    screened: Screened,
    keys: npt.NDArray[np.uint64],
    count: int,
    only: Mapping[int, Sequence[int]] | None = None,
) -> npt.NDArray[np.uint64]:
    """The records with the smallest keyed digests: digest, number of the file and row; of some row groups, or all."""
    best: npt.NDArray[np.uint64] = np.empty((0, 3), dtype=np.uint64)
    for number, file in enumerate(screened.files):
        if only is not None and number not in only:
            continue
        drawn = _keyed(read_leaves(screened.leaves, file.sha256, file.rows), keys)
        rows = np.arange(file.rows, dtype=np.uint64)
        if only is not None:
            ends = np.cumsum([rows_of_group for rows_of_group, _ in file.row_groups])
            kept = np.isin(np.searchsorted(ends, rows, side="right"), only[number])
            drawn, rows = drawn[kept], rows[kept]
        here = np.column_stack([drawn, np.full(len(rows), number, dtype=np.uint64), rows])
        best = np.concatenate([best, here])
        best = best[np.lexsort((best[:, 2], best[:, 1], best[:, 0]))[:count]]
    return best


def _near(screened: Screened, best: npt.NDArray[np.uint64], most_bytes: int) -> dict[int, list[int]]:
    """Row groups, by number of their file, that hold the first of these records and have so many bytes together."""
    opened_groups: dict[int, list[int]] = {}
    left = most_bytes
    ends = [np.cumsum([rows for rows, _ in file.row_groups]) for file in screened.files]
    for number, row in best[:, 1:].tolist():
        file, group = screened.files[number], int(np.searchsorted(ends[number], row, side="right"))
        if group in opened_groups.get(number, ()):
            continue
        size = file.size * file.row_groups[group][0] // file.rows
        if opened_groups and size > left:
            break
        opened_groups.setdefault(number, []).append(group)
        left -= size
    return opened_groups


def _keyed(leaves: npt.NDArray[np.uint8], keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """A number for each digest, u64: digests are uniform already, so that a keyed mixture of both halves will do."""
    halves = np.ascontiguousarray(leaves).view(np.uint64).reshape(-1, 2)
    mixed: npt.NDArray[np.uint64] = (halves[:, 0] ^ keys[0]) * keys[1]
    mixed ^= mixed >> np.uint64(29)
    mixed = (mixed + halves[:, 1]) * keys[2]
    mixed ^= mixed >> np.uint64(32)
    mixed *= keys[3]
    return mixed


def read_part(item: PartItem) -> pa.RecordBatch | str:
    """The wanted records of a file, in the worker; or why they cannot be had."""
    wanted, pieces = np.array(item.rows), []
    try:
        if item.inspected is not None:
            stamp, inspection = item.inspected
        else:
            with opened(item.root, item.name) as (_, stamp):
                inspection = inspect_file(item.root, item.name, stamp, item.limits)
        if inspection.refused is not None or inspection.schema is None:
            return "it is not readable any more"
        first = 0
        for number, group in enumerate(inspection.groups):
            here = wanted[(wanted >= first) & (wanted < first + group.rows)]
            if len(here):
                part = Slice(item.root, item.name, stamp, inspection, number, number + 1)
                for batch in read(part, Roles(), item.limits, BATCH_ROWS):
                    rows = here[(here >= batch.first_row) & (here < batch.first_row + len(batch))]
                    pieces.append(batch.data.take(pa.array(rows - batch.first_row)))
            first += group.rows
    except ReadError as error:
        return error.problem
    found = pa.concat_batches(pieces) if pieces else None
    if found is None or found.num_rows != len(wanted):
        return "it has fewer records"
    if prefixes(record_digests(found)).tobytes() != item.leaves:
        return "its records are others"
    return found


def _grouped(
    screened: Screened, items: Sequence[PartItem], found: Mapping[str, pa.RecordBatch]
) -> tuple[Group, ...]:
    """The records under one another where their columns and roles are the same."""
    declared = {role: tuple(columns) for role, columns in screened.roles.items()}
    flagged = screened.flagged.select("file", "row").drop_nulls().unique()
    alike: dict[tuple[str, Roles], list[tuple[pa.RecordBatch, npt.NDArray[np.bool_]]]] = {}
    for item in items:
        data = found[item.name]
        roles = resolve(data.schema, declared)
        rows = flagged.filter(pl.col("file") == item.name)["row"].to_numpy()
        key = (data.schema.to_string(show_field_metadata=False, show_schema_metadata=False), roles)
        alike.setdefault(key, []).append((data, np.isin(np.array(item.rows, dtype=np.uint64), rows)))
    return tuple(
        Group(
            pa.concat_batches([data.replace_schema_metadata(None) for data, _ in parts]),
            roles,
            np.concatenate([flags for _, flags in parts]),
        )
        for (_, roles), parts in alike.items()
    )


assert LEAF_BYTES == 16, "the halves of a prefix are two numbers of 64 bits"

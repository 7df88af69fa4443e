"""The records that the self-test plants its attacks among: a sample of the user's own, read again by their addresses.

Which records are taken is decided by their digests under a key of the project: nobody who writes data can say which of
it the self-test will look at, and the same run gives the same sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
from dataguard.manifest import LEAF_BYTES, MANIFEST, Manifest, prefixes, read_leaves
from dataguard.records import Slice, inspect_file, opened, read
from dataguard.run import Run
from dataguard.safe_text import safe_text
from dataguard.secret import Secret

BATCH_ROWS = 8192
WHOLE = "read"


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
    """

    root: Path
    name: str
    rows: tuple[int, ...]
    leaves: bytes
    size: int
    limits: Limits


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
    limits = Limits(**run.info["limits"])
    items = _chosen(run, root, count, secret, limits)
    read_again: dict[str, pa.RecordBatch] = {}
    with LocalEngine(workers=workers, memory=limits.memory_bytes, seconds=limits.item_seconds) as engine:
        for result in engine.map(read_part, items, seconds=lambda item: limits.seconds(item.size)):
            if isinstance(result.value, Failed):
                raise _lost(result.item.name, result.value.reason)
            if isinstance(result.value, str):
                raise _lost(result.item.name, result.value)
            read_again[result.item.name] = result.value
    return _grouped(run, items, read_again)


def _lost(name: str, reason: str) -> RunError:
    return RunError(
        f"the sample of {safe_text(name)} cannot be read as it was screened: {safe_text(reason)}",
        "say with --data where the data lies now; scan again if it was changed",
    )


def _chosen(run: Run, root: Path, count: int, secret: Secret, limits: Limits) -> list[PartItem]:
    """The rows to be read, by file."""
    manifest = Manifest.parse(run.read(MANIFEST))
    whole = run.table("files").filter(pl.col("status") == WHOLE)["file"].sort().to_list()
    files = [manifest.by_name[name] for name in whole if manifest.by_name[name].rows]
    keys = np.frombuffer(secret.derive("sample"), dtype=np.uint64) | np.uint64(1)
    best: npt.NDArray[np.uint64] = np.empty((0, 3), dtype=np.uint64)
    for number, file in enumerate(files):
        drawn = _keyed(read_leaves(run.path / "leaves", file.sha256, file.rows), keys)
        rows = np.arange(file.rows, dtype=np.uint64)
        here = np.column_stack([drawn, np.full(file.rows, number, dtype=np.uint64), rows])
        best = np.concatenate([best, here])
        best = best[np.lexsort((best[:, 2], best[:, 1], best[:, 0]))[:count]]
    items = []
    for number, file in enumerate(files):
        rows = np.sort(best[best[:, 1] == number, 2])
        if len(rows):
            leaves = read_leaves(run.path / "leaves", file.sha256, file.rows)[rows]
            items.append(PartItem(root, file.name, tuple(rows.tolist()), leaves.tobytes(), file.size, limits))
    return items


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


def _grouped(run: Run, items: Sequence[PartItem], found: dict[str, pa.RecordBatch]) -> tuple[Group, ...]:
    """The records under one another where their columns and roles are the same."""
    declared = {role: tuple(columns) for role, columns in run.info["roles"].items()}
    flagged = run.table("flagged").select("file", "row").drop_nulls().unique()
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

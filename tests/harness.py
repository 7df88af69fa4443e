"""Runs one rule over data in memory, by the same steps as a scan, and makes its examples into data."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import polars as pl
import pyarrow as pa

from dataguard.canaries.in_memory import Slices, banded, judge, look, observe
from dataguard.columns import Roles, is_list, is_string, resolve
from dataguard.detectors import catalogue
from dataguard.detectors.base import (
    CHANGES,
    EARLIER,
    INCIDENTS,
    SCHEMAS,
    Example,
    FollowingDetector,
    RecordDetector,
    SetDetector,
    SetSeen,
)
from dataguard.findings import FILES, SOURCES, UNKNOWN_PROVENANCE, Judgement, conform, empty
from dataguard.records.batch import Batch

__all__ = [
    "Slices",
    "banded",
    "cut",
    "judge_against",
    "judge_example",
    "judge_in_memory",
    "judge_slices",
    "look",
    "observe",
    "records",
]


def normal(kind: pa.DataType) -> pa.DataType:
    """The layout that the reader gives to rules."""
    if is_string(kind):
        return pa.large_string()
    if pa.types.is_null(kind):
        return pa.large_string()
    if pa.types.is_binary(kind):
        return pa.large_binary()
    if is_list(kind):
        return pa.large_list(normal(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, normal(field.type)) for field in kind])
    return kind


def records(data: Mapping[str, Sequence[Any]]) -> pa.RecordBatch:
    """Columns as one record batch, as the reader would give it."""
    arrays = {}
    for name, values in data.items():
        array = values if isinstance(values, pa.Array) else pa.array(values)
        arrays[name] = array.cast(normal(array.type))
    return pa.RecordBatch.from_pydict(arrays)


def cut(data: pa.RecordBatch, at: Iterable[int] = (), roles: Roles | None = None) -> list[Batch]:
    """A file's records as batches that end at these rows."""
    roles = roles or resolve(data.schema, {})
    bounds = [0, *sorted({place for place in at if 0 < place < data.num_rows}), data.num_rows]
    return [Batch(data.slice(low, high - low), low, roles) for low, high in itertools.pairwise(bounds)]


def judge_in_memory(detector: RecordDetector, batches_by_file: Sequence[Sequence[Batch]]) -> Judgement:
    """A judgement over files of batches, each file read by one worker."""
    return judge_slices(detector, [[batches] for batches in batches_by_file])


def judge_slices(detector: RecordDetector, files: Slices) -> Judgement:
    """A judgement over files, each cut into what one worker reads at a time.

    Without a file that has the roles that the rule needs, or without a batch, nothing is judged. Rules that it follows
    are judged first, with their defaults.
    """
    kinds = {kind.rule.code: kind for kind in catalogue()}
    earlier = {
        code: judge_slices(cast("RecordDetector", kinds[code]()), files)
        for code in detector.rule.after
        if isinstance(detector, FollowingDetector)
    }
    judged = judge(detector, files, earlier)
    return judged or Judgement(not_applicable="no file has what the rule needs")


def seen(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> SetSeen:
    """The tables of a reading, from rows that name only what matters."""
    schemas = {
        "files": FILES,
        "incidents": INCIDENTS,
        "sources": SOURCES,
        "unknown_provenance": UNKNOWN_PROVENANCE,
        "changes": CHANGES,
        "schemas": SCHEMAS,
    }
    unknown = set(tables) - set(schemas)
    if unknown:
        raise ValueError(f"expected tables of SetSeen, got {sorted(unknown)}")
    made: dict[str, pl.DataFrame | None] = {
        name: conform(pl.DataFrame(list(tables[name])), schema) if tables.get(name) else empty(schema)
        for name, schema in schemas.items()
    }
    if "changes" not in tables:
        made["changes"] = None
    return SetSeen(**made)  # type: ignore[arg-type]


def judge_example(kind: type[RecordDetector] | type[SetDetector], example: Example) -> Judgement:
    """What a rule says of one of its examples."""
    detector = kind(**example.options)
    if isinstance(detector, SetDetector):
        return detector.judge(seen(example.seen))
    data = records(example.data)
    batches = cut(data, roles=resolve(data.schema, example.roles))
    if example.earlier:
        return judge_against(detector, [batches], [cut(records(example.earlier))])
    return judge_in_memory(detector, [batches])


def judge_against(
    detector: RecordDetector, now: Sequence[Sequence[Batch]], before: Sequence[Sequence[Batch]]
) -> Judgement:
    """A judgement of a rule of one pass that compares with an earlier run: of files now, and of those of that run."""
    (this,) = detector.passes()
    evidence = [look(detector, this, None, [[batches] for batches in files]) for files in (now, before)]
    assert evidence[0] is not None
    assert evidence[1] is not None
    numbered = evidence[1].with_columns(pl.col("file") + EARLIER)
    return detector.judge(pl.concat([evidence[0], numbered]).lazy(), None)

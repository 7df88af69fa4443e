"""What runs in a worker: looking at a slice of a file, relating, folding, judging.

Every function here is top-level, takes one frozen item, and is idempotent.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from dataguard import provenance, words
from dataguard.canaries import marks
from dataguard.columns import Roles
from dataguard.config import Limits
from dataguard.config import Source as DeclaredSource
from dataguard.detectors.base import FollowingDetector, RecordDetector
from dataguard.digests import RowTree, record_digests
from dataguard.engine import Failed
from dataguard.engine.attempt import attempt
from dataguard.engine.shipped import ShippedEncoder
from dataguard.errors import ReadError
from dataguard.evidence import Made, begin, keyed_bytes, make, parquet_bytes
from dataguard.records import (
    UNKNOWN,
    Batch,
    Incident,
    Inspection,
    Slice,
    Stamp,
    inspect_file,
    partitions,
    read,
)
from dataguard.scan.archive import (
    judgement_bytes,
    judgement_from,
    known_bytes,
    known_from,
    table_bytes,
    table_from,
)
from dataguard.scan.relate import Source, gathered, told

PARTITIONS = 16
DIGESTS, ROOTS, PROVENANCE, INSPECT, KNOWN = "digests", "roots", "provenance", "inspect", "known"
JUDGED, ASSESSED, WORDS, MARKS = "judged", "assessed", "words", "marks"
HIVE = "partitions"


@dataclass(frozen=True)
class InspectItem:
    """A file to be inspected."""

    root: Path
    name: str
    stamp: Stamp
    limits: Limits
    folder: Path
    key: str


def inspect_item(item: InspectItem) -> Made | Inspection:
    """What a file says of itself, as evidence; or plainly, where that is not a fact about its bytes."""
    found = inspect_file(item.root, item.name, item.stamp, item.limits)
    if found.format == UNKNOWN:
        return found
    if found.schema is not None and found.refused is None:
        try:
            record_digests(pa.RecordBatch.from_pylist([], schema=found.schema))
        except ReadError as error:
            found = replace(found, refused=Incident(error.rule, error.problem))
    return make(item.folder, INSPECT, item.key, found.to_json())


@dataclass(frozen=True)
class Look:
    """One rule's pass over a slice, or a look of our own (digests, words, provenance, marks of canaries).

    Args:
        kind: the rule's code, or the name of a look of our own.
        key: the evidence key.
        detector: None for a look of our own.
        number: which pass.
        known: the file with what the pass is told.
        columns: of a look at the columns that the file's path says something of.
    """

    kind: str
    key: str
    detector: RecordDetector | None = None
    number: int = 0
    known: Path | None = None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class ObserveItem:
    """Row groups of a file and who wants to look at them."""

    part: Slice
    roles: Roles
    limits: Limits
    max_rows: int
    looks: tuple[Look, ...]
    folder: Path
    secret: bytes = field(repr=False)
    encoder: ShippedEncoder | None = None


@dataclass(frozen=True)
class Observed:
    """What came of a slice.

    Args:
        made: evidence.
        decoded: bytes.
        errors: reason by rule.
        incident: why it could not be read to the end; then nothing was made.
        seconds: that each look took, and `reading`.
    """

    made: tuple[Made, ...] = ()
    decoded: int = 0
    errors: Mapping[str, str] = field(default_factory=dict)
    incident: Incident | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)


class _Clock:
    """Seconds by who took them; what nobody took is reading."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()
        self._by: dict[str, float] = {}

    @contextmanager
    def of(self, kind: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self._by[kind] = self._by.get(kind, 0.0) + time.perf_counter() - begun

    def seconds(self) -> dict[str, float]:
        return {**self._by, "reading": time.perf_counter() - self._begun - sum(self._by.values())}


@contextmanager
def _kept(item: ObserveItem) -> Iterator[list[tuple[str, _Digests | _Words]]]:
    """Looks of our own that keep what they see; what they began is taken away where reading ends early."""
    keepers = [
        (look.kind, _KEEPERS[look.kind](item, look.key)) for look in item.looks if look.kind in _KEEPERS
    ]
    try:
        yield keepers
    except BaseException:
        for _, keeper in keepers:
            keeper.drop()
        raise


def observe_item(item: ObserveItem) -> Observed:
    """Decodes a slice once and lets every rule write down what it sees."""
    seen: list[tuple[Look, list[pl.DataFrame]]] = [
        (look, []) for look in item.looks if look.kind not in _KEEPERS
    ]
    errors: dict[str, str] = {}
    decoded, clock = 0, _Clock()
    try:
        with _kept(item) as keepers:
            for batch in read(item.part, item.roles, item.limits, item.max_rows):
                decoded += batch.data.nbytes
                batch = replace(batch, secret=item.secret, encoder=item.encoder)
                for kind, keeper in keepers:
                    with clock.of(kind):
                        keeper.add(batch)
                for look, tables in seen:
                    if look.kind not in errors:
                        with clock.of(look.kind):
                            table = attempt(_observe, look, batch)
                        if isinstance(table, Failed):
                            errors[look.kind] = table.reason
                        else:
                            tables.append(table)
    except ReadError as error:
        return Observed(decoded=decoded, incident=Incident(error.rule, error.problem))
    made: list[Made] = []
    for look, tables in seen:
        if look.kind in errors or not tables:
            continue
        with clock.of(look.kind):
            data = attempt(_evidence, look, tables)
            if isinstance(data, Failed):
                errors[look.kind] = data.reason
            else:
                made.append(make(item.folder, look.kind, look.key, data))
    for kind, keeper in keepers:
        with clock.of(kind):
            made += keeper.made(decoded)
    return Observed(tuple(made), decoded, errors, seconds=clock.seconds())


def _observe(look: Look, batch: Batch) -> pl.DataFrame:
    if look.kind == HIVE:
        return partitions.observe(batch, look.columns)
    if look.detector is None:
        return marks.observe(batch) if look.kind == MARKS else provenance.observe(batch)
    return look.detector.passes()[look.number].look(batch, told(look.known))


def _evidence(look: Look, tables: list[pl.DataFrame]) -> bytes:
    table = pl.concat(tables)
    if look.kind == HIVE:
        return parquet_bytes(partitions.compact(table))
    if look.detector is None:
        return parquet_bytes(table if look.kind == MARKS else provenance.compact(table))
    this = look.detector.passes()[look.number]
    if this.compact is not None:
        table = this.compact(table)
    if this.relate is None:
        return parquet_bytes(table)
    return _partitioned(table) if len(this.keys) == 1 else keyed_bytes(table)


def _partitioned(table: pl.DataFrame) -> bytes:
    """Evidence with a row group for each partition of the shuffle, empty ones too."""
    sink = io.BytesIO()
    partition = (table["key"].to_numpy() >> np.uint64(60)).astype(np.uint8)
    # Taken once in their order and then cut, which is half as dear as taking each on its own.
    order = np.argsort(partition, kind="stable")
    ends = np.cumsum(np.bincount(partition, minlength=PARTITIONS))
    plain = table.rechunk().to_arrow().take(pa.array(order))
    strings = [field.name for field in plain.schema if not pa.types.is_integer(field.type)]
    with pq.ParquetWriter(
        sink,
        plain.schema,
        # The key is a hash, which nothing makes smaller; other numbers often grow in small steps.
        compression={name: "none" if name == "key" else "zstd" for name in plain.schema.names},
        use_dictionary=strings,
        column_encoding={
            name: "DELTA_BINARY_PACKED" for name in plain.schema.names if name not in (*strings, "key")
        },
        store_schema=False,
    ) as writer:
        for end, rows in zip(ends.tolist(), np.diff(ends, prepend=0).tolist(), strict=True):
            writer.write_table(plain.slice(end - rows, rows), row_group_size=max(1, rows))
    return sink.getvalue()


class _Digests:
    """Record digests of a slice and the root of each of its row groups."""

    def __init__(self, item: ObserveItem, key: str) -> None:
        self._key, self._folder = key, item.folder
        self._trees: dict[int, tuple[RowTree, int]] = {}
        self._leaves: list[np.ndarray[Any, np.dtype[np.uint8]]] = []

    def drop(self) -> None:
        """Nothing was written yet."""

    def add(self, batch: Batch) -> None:
        leaves = batch.once("digests", lambda: record_digests(batch.data))
        begin = 0
        for group, count in batch.groups:
            tree, rows = self._trees.get(group, (RowTree(), 0))
            tree.append(leaves[begin : begin + count])
            self._trees[group] = (tree, rows + count)
            begin += count
        self._leaves.append(leaves)

    def made(self, decoded: int) -> list[Made]:
        leaves = np.concatenate(self._leaves) if self._leaves else np.empty((0, 32), dtype=np.uint8)
        column = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(32), len(leaves), [None, pa.py_buffer(leaves)]
        )
        sink = io.BytesIO()
        pq.write_table(
            pa.table({"digest": column}), sink, compression="none", use_dictionary=False, store_schema=False
        )
        roots = pl.DataFrame(
            {
                "group": list(self._trees),
                "rows": [rows for _, rows in self._trees.values()],
                "root": [tree.root().hex() for tree, _ in self._trees.values()],
                "decoded": [decoded] * len(self._trees),
            },
            schema={"group": pl.UInt32, "rows": pl.UInt64, "root": pl.String, "decoded": pl.UInt64},
        )
        return [
            make(self._folder, DIGESTS, self._key, sink.getvalue()),
            make(self._folder, ROOTS, self._key, parquet_bytes(roots)),
        ]


class _Words:
    """The words of a slice, kept batch by batch."""

    def __init__(self, item: ObserveItem, key: str) -> None:
        self._key, self._secret = key, item.secret
        self._path = begin(item.folder, WORDS)
        self._writer: words.Writer | None = None

    def drop(self) -> None:
        """Takes away what was begun."""
        self._path.unlink(missing_ok=True)

    def add(self, batch: Batch) -> None:
        spoken = words.words_of(batch)
        if self._writer is None:
            self._writer = words.Writer(self._path, spoken.columns, self._secret)
        self._writer.add(spoken)

    def made(self, decoded: int) -> list[Made]:
        seal = (self._writer or words.Writer(self._path, (), self._secret)).finish()
        return [Made(WORDS, self._key, str(self._path), seal, 0)]


def compile_kernels(_: int) -> None:
    """Compiles the kernels and keeps what comes of it, for the workers after this one."""
    from dataguard.kernels import warm

    warm.warm()


_KEEPERS: Mapping[str, type[_Digests] | type[_Words]] = {DIGESTS: _Digests, WORDS: _Words}
"""Looks of our own that keep what they see batch by batch."""


@dataclass(frozen=True)
class ConcludeItem:
    """All evidence of a pass, to be folded or judged."""

    detector: RecordDetector
    number: int
    inputs: tuple[Source, ...]
    known: Path | None
    folder: Path
    key: str
    earlier: tuple[tuple[str, Path], ...] = ()


def fold_item(item: ConcludeItem) -> Made | Failed:
    """What the next pass is told, as evidence."""
    fold = item.detector.passes()[item.number].fold
    assert fold is not None
    known = attempt(fold, gathered(item.inputs), told(item.known))
    return known if isinstance(known, Failed) else make(item.folder, KNOWN, item.key, known_bytes(known))


def judge_item(item: ConcludeItem) -> Made | Failed:
    """What the rule concludes, as evidence."""
    evidence, known = gathered(item.inputs), told(item.known)
    if isinstance(item.detector, FollowingDetector):
        earlier = {code: judgement_from(path.read_bytes()) for code, path in item.earlier}
        judged = attempt(item.detector.judge_following, evidence, known, earlier)
    else:
        judged = attempt(item.detector.judge, evidence, known)
    return (
        judged if isinstance(judged, Failed) else make(item.folder, JUDGED, item.key, judgement_bytes(judged))
    )


@dataclass(frozen=True)
class AssessItem:
    """What is declared and what was met: the table of files, and evidence on where records say they come from."""

    files: pl.DataFrame
    inputs: tuple[Source, ...]
    declared: tuple[DeclaredSource, ...]
    folder: Path
    key: str


def assess_item(item: AssessItem) -> Made:
    """The status of every source and record, as evidence."""
    ranges = (
        gathered(item.inputs)
        if item.inputs
        else pl.LazyFrame(schema={"file": pl.UInt32, **provenance.RANGES})
    )
    found = provenance.assess(item.files, ranges, item.declared)
    tables = {"sources": table_bytes(found.sources), "unknown": table_bytes(found.unknown)}
    return make(item.folder, ASSESSED, item.key, known_bytes(tables))


def assessed_from(data: bytes) -> provenance.Provenance:
    """Reads what `assess_item` wrote; the caller has checked its digest."""
    return provenance.Provenance(
        **{name: table_from(table) for name, table in (known_from(data) or {}).items()}
    )

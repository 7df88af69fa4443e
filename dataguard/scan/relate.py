"""What runs in a worker over evidence instead of data: relating partitions of it, sweeping over the words of the set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from dataguard import words
from dataguard.detectors.base import Known, RecordDetector
from dataguard.engine import Failed
from dataguard.engine.attempt import attempt
from dataguard.evidence import Made, keyed_bytes, make, parquet_bytes, read_parquet
from dataguard.scan.archive import known_from


@lru_cache(maxsize=4)
def told(path: Path | None) -> Known:
    """What a pass is told, read once for many batches; the parent has checked its digest."""
    return None if path is None else known_from(path.read_bytes())


@dataclass(frozen=True)
class Source:
    """A piece of evidence and the number of the file it is about; None where the evidence names files.

    Args:
        file: the number.
        path: where the evidence lies.
        name: of the file, for rules that look at names; else None.
    """

    file: int | None
    path: Path
    name: str | None = None

    def read(self) -> pl.LazyFrame:
        """The evidence, with `file` (u32) and `name` where they are known."""
        known = {} if self.file is None else {"file": pl.lit(self.file, dtype=pl.UInt32)}
        named = {} if self.name is None else {"name": pl.lit(self.name, dtype=pl.String)}
        return pl.scan_parquet(self.path).with_columns(**known, **named)

    def seen(self) -> list[int | str | None]:
        """What it says to who keeps what was concluded from it."""
        return [self.file, self.path.stem, *([] if self.name is None else [self.name])]


def gathered(inputs: tuple[Source, ...]) -> pl.LazyFrame:
    """Evidence put under one another, with the number of the file: the only merge there is."""
    return pl.concat([source.read() for source in inputs])


@dataclass(frozen=True)
class Partition:
    """One part of a rule's shuffled evidence.

    Args:
        band: the number of the key column.
        split: the leading bits of the key.
        bits: how many they are.
        key: the evidence key of what comes of it.
    """

    band: int
    split: int
    bits: int
    key: str


@dataclass(frozen=True)
class RelateItem:
    """Partitions of a rule's shuffled evidence that are related by one worker."""

    detector: RecordDetector
    number: int
    partitions: tuple[Partition, ...]
    inputs: tuple[Source, ...]
    folder: Path


def relate_item(item: RelateItem) -> list[Made] | Failed:
    """Relates partitions, one by one; each file is opened once for all of them."""
    this = item.detector.passes()[item.number]
    read_all = _by_band if len(this.keys) > 1 else _by_bits
    made = []
    for key, partition in read_all(this.keys, item):
        assert this.relate is not None
        related = attempt(this.relate, partition)
        if isinstance(related, Failed):
            return related
        data = parquet_bytes(related) if len(this.keys) == 1 else keyed_bytes(related)
        made.append(make(item.folder, item.detector.rule.code, key, data))
    return made


def _by_bits(keys: tuple[str, ...], item: RelateItem) -> Iterator[tuple[str, pl.DataFrame]]:
    """Neighbouring partitions of one key, a row group each."""
    groups = [partition.split for partition in item.partitions]
    together = pl.concat([_numbered(source, read_parquet(source.path, groups)) for source in item.inputs])
    split = pl.Series(together[keys[0]].to_numpy() >> np.uint64(60))
    for partition in item.partitions:
        yield partition.key, together.filter(split == partition.split)


def _by_band(keys: tuple[str, ...], item: RelateItem) -> Iterator[tuple[str, pl.DataFrame]]:
    """Partitions of several keys: only the columns that are asked for are read."""
    following = {band: keys[(band + 1) % len(keys)] for band in {one.band for one in item.partitions}}
    others = [name for name in pq.read_schema(item.inputs[0].path).names if name not in keys]
    names = [name for name in keys if any(name in (keys[band], after) for band, after in following.items())]
    split = {(one.split, one.bits) for one in item.partitions}
    tables = []
    for source in item.inputs:
        table = _numbered(source, read_parquet(source.path, columns=[*others, *names]))
        if len(split) == 1:  # then of one band too: the rest need not be held
            ((number, bits),) = split
            if bits:
                own = table[keys[item.partitions[0].band]].fill_null(0).to_numpy()
                table = table.filter(pl.Series(own >> np.uint64(64 - bits) == number))
        tables.append(table)
    together = pl.concat(tables)
    for one in item.partitions:
        key = pl.col(keys[one.band])
        yield (
            one.key,
            together.select(
                *others,
                "file",
                key=key,
                next=pl.col(following[one.band]),
                band=pl.lit(one.band, dtype=pl.UInt32),
            ).filter(pl.col("key").is_not_null()),
        )


def _numbered(source: Source, table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame.with_columns(file=pl.lit(source.file, dtype=pl.UInt32))


@dataclass(frozen=True)
class SweepItem:
    """One part of a sweep over the words of the whole set."""

    detector: RecordDetector
    number: int
    part: int
    words: tuple[tuple[int, Path], ...]
    known: Path | None
    folder: Path
    key: str
    secret: bytes = field(repr=False)


def sweep_item(item: SweepItem) -> Made | Failed:
    """What a part of a sweep shows, as evidence."""
    sweep = item.detector.passes()[item.number].sweep
    assert sweep is not None
    table = attempt(sweep, words.KeptWords(item.words, item.secret), told(item.known), item.part)
    if isinstance(table, Failed):
        return table
    return make(item.folder, item.detector.rule.code, item.key, parquet_bytes(table))

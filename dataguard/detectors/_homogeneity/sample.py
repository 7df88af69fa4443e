"""The sample that is measured: of each group the records of the smallest keyed hashes.

A record is in it by its content alone, so that the sample is the same however files are cut and in whatever order they
come, and nobody without the secret can write records that stay out of it or crowd it. Equal records count once.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from dataguard.columns import Role
from dataguard.detectors._homogeneity.measures import Amount, Floats, Written
from dataguard.detectors._homogeneity.sides import (
    EMBEDDINGS,
    VECTOR,
    Side,
    sealed,
    sides_of,
    stacked,
    unsealed,
    written,
)
from dataguard.findings import conform, empty
from dataguard.records.batch import Batch
from dataguard.words import Words, hash_key

MOST = 16
"""Times `Amount.records` at most, where records are too short to have text enough."""
GROUPS = 64
"""Groups of a column; of more those whose names have the smallest keyed hashes."""
MANY = 1 << 14
"""Records of a batch from which on only those of the smallest hashes are looked at first."""
FEW = 1 << 60
"""These: a sixteenth."""
LONGEST_NAME = 64
"""Characters of a group's name; what is longer is told by its beginning."""

EVIDENCE = pl.Schema(
    {
        "side": pl.UInt8,
        "column": pl.String,
        "group": pl.String,
        "name": pl.UInt64,
        "hash": pl.UInt64,
        "content": pl.UInt64,
        "size": pl.UInt32,
        "kept": pl.Binary,
    }
)
"""A row for each side of a record and group that it is in. `column` says by what it is grouped, null for the whole set;
`name` is a keyed hash of both, `hash` one of the record and `content` one of what is kept of the side."""

GROUP = ["side", "column", "group"]


def observe_sample(batch: Batch, amount: Amount) -> pl.DataFrame:
    """The sample of each group in a batch."""
    tables = [empty(EVIDENCE)]
    for side in sides_of(batch):
        every = pl.DataFrame({"at": np.arange(len(batch)), "hash": side.hash, "size": side.size})
        every, enough = every.filter(pl.Series(side.enough)), pl.Series(side.enough)
        chosen = [
            _candidates(every.with_columns(group=values.filter(enough)), column, batch, amount)
            for column, values in _ways(batch)
        ]
        tables.append(_kept(pl.concat(chosen), side, batch.secret))
    return within(pl.concat(tables), amount)


def _ways(batch: Batch) -> Iterator[tuple[str | None, pl.Series]]:
    """By what the records are grouped, and the group of each: all in one, then by source and by label."""
    yield None, pl.repeat("", len(batch), eager=True)
    for column in batch.roles.of(Role.SOURCE, Role.LABEL):
        if (
            column and column in batch.data.schema.names
        ):  # a column without a name would pass for the whole set
            yield column, batch.column(column).cast(pl.String).str.slice(0, LONGEST_NAME)


def _candidates(table: pl.DataFrame, column: str | None, batch: Batch, amount: Amount) -> pl.DataFrame:
    """Records among which the sample is, by what can be told without their texts.

    Args:
        table: at, hash, size and group of each record.
        column: by what it is grouped.
        batch: for the secret.
        amount: how much is asked for.

    Returns:
        at, column, group, name, hash.
    """
    named = _named(table["group"].drop_nulls().unique(), hash_key(batch.secret, f"homogeneity of {column}"))
    if table.height > MANY:
        # Of most groups what is asked for is among the smallest hashes; only the others are looked at whole.
        first, enough = _first(table.filter(pl.col("hash") < FEW), named, amount)
        rest, _ = _first(table, named.join(enough, on="name", how="anti"), amount)
        first = pl.concat([first.join(enough, on="name", how="semi"), rest])
    else:
        first, _ = _first(table, named, amount)
    places = table.filter(pl.col("hash").is_in(first["hash"].implode())).join(named, on="group")
    return places.join(first, on=["name", "hash"], how="semi").select(
        "at", "group", "name", "hash", column=pl.lit(column, pl.String)
    )


def _named(groups: pl.Series, salt: int) -> pl.DataFrame:
    """The groups that are looked at, with a keyed hash of their names."""
    from dataguard.kernels.content import content

    texts = [group.encode() for group in groups]
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    names = content(np.frombuffer(b"".join(texts), np.uint8), ends, salt)
    return pl.DataFrame({"group": groups, "name": names}).sort("name").head(GROUPS)


def _first(table: pl.DataFrame, named: pl.DataFrame, amount: Amount) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The hashes of the first records of each group, and the groups that have more than these."""
    every = table.join(named, on="group").unique(["name", "hash"], keep="any").sort("name", "hash")
    first = _lowest(every, ["name"], amount).select("name", "hash")
    counts = every["name"].value_counts().join(first["name"].value_counts(name="kept"), on="name")
    return first, counts.filter(pl.col("count") > pl.col("kept"))


def _lowest(table: pl.DataFrame, by: list[str], amount: Amount) -> pl.DataFrame:
    """Of each group as many of the first rows as are needed for the amount.

    A row that is left out of a part is left out of the whole, as there even more stand before it.
    """
    before = pl.col("size").cast(pl.UInt64).cum_sum().over(by) - pl.col("size")
    number = pl.int_range(pl.len()).over(by)
    needed = (before < amount.text) | (number < amount.records)
    return table.filter(needed & (number < MOST * amount.records))


def within(table: pl.DataFrame, amount: Amount) -> pl.DataFrame:
    """The sample of several batches, by the same rule as of one."""
    names = table.select("side", "column", "name").unique().sort("name")
    kept = names.filter(pl.int_range(pl.len()).over("side", "column") < GROUPS)
    table = table.join(kept, on=["side", "column", "name"], how="semi", nulls_equal=True)
    table = table.unique([*GROUP, "hash", "content"], keep="any").sort(*GROUP, "hash", "content")
    return _lowest(table, GROUP, amount)


def _kept(chosen: pl.DataFrame, side: Side, secret: bytes) -> pl.DataFrame:
    """The candidates with what is kept of each, encrypted once if it is text."""
    from dataguard.kernels.content import content

    wanted = chosen["at"].unique().sort().to_numpy()
    kept = side.kept(wanted)
    sizes = np.array([len(one) for one in kept], np.int64)
    table = pl.DataFrame(
        {
            "at": wanted,
            "content": content(
                np.frombuffer(b"".join(kept), np.uint8),
                np.cumsum(sizes),
                hash_key(secret, "homogeneity content"),
            ),
            "size": sizes if side.sealed else VECTOR,
            "kept": pl.Series(sealed(kept, secret) if side.sealed else kept, dtype=pl.Binary),
        }
    )
    return conform(chosen.join(table, on="at").with_columns(side=pl.lit(side.number)).drop("at"), EVIDENCE)


def fold_sample(evidence: pl.LazyFrame, amount: Amount) -> dict[str, Any]:
    """The sample of the set.

    Returns:
        `parts`; `sides`, `columns` (empty: all records) and `groups` of each group, in order; `group`, the number of the
        group of each record; `kept` and `ends`, what was kept of it.
    """
    chosen = within(evidence.select(pl.exclude("kept", "file")).collect(), amount)
    texts = (
        evidence.join(chosen.lazy(), on=[*GROUP, "hash", "content"], how="semi", nulls_equal=True)
        .select(*GROUP, "hash", "content", "kept")
        .collect()
    )
    texts = texts.unique([*GROUP, "hash", "content"], keep="any").sort(*GROUP, "hash", "content")
    groups = texts.select(GROUP).unique().sort(GROUP)
    numbered = texts.join(groups.with_row_index("number"), on=GROUP, nulls_equal=True, maintain_order="left")
    kept = texts["kept"].to_list()
    return {
        "parts": 1,
        "sides": groups["side"].to_list(),
        "columns": groups["column"].fill_null("").to_list(),
        "groups": groups["group"].fill_null("").to_list(),
        "group": numbered["number"].to_numpy().astype(np.int64),
        "kept": np.frombuffer(b"".join(kept), np.uint8),
        "ends": np.cumsum([len(one) for one in kept], dtype=np.int64),
    }


class Group(NamedTuple):
    """The sample of one group, on one side.

    Attributes:
        side: a number in SIDES.
        column: by what it is grouped, empty for the whole set.
        name: the value there.
        records: how many there are.
        written: their texts and words, or
        vectors: f64[records, numbers], their embeddings as unit vectors.
    """

    side: int
    column: str
    name: str
    records: int
    written: Written | None
    vectors: Floats | None


def opened(known: dict[str, Any], words: Words | None) -> Iterator[Group]:
    """The sample's groups, by side, column and name.

    Args:
        known: from `fold_sample`.
        words: any of the set, for the secret; None if the set has no texts.
    """
    starts = np.concatenate([[0], known["ends"]]).tolist()
    data = known["kept"].tobytes()
    every = [data[low:high] for low, high in itertools.pairwise(starts)]
    sides = np.array(known["sides"], np.int64)[known["group"]]
    sizes = Counter(len(every[row]) for row in np.flatnonzero(sides == EMBEDDINGS).tolist())
    # Vectors of another size than most have are damaged, and no rule of what is alike holds for them.
    size = max(sizes, key=lambda one: (sizes[one], one), default=0)
    for number, side in enumerate(known["sides"]):
        some = [every[row] for row in np.flatnonzero(known["group"] == number).tolist()]
        column, name = known["columns"][number], known["groups"][number]
        if side == EMBEDDINGS:
            vectors = stacked(some, size)
            yield Group(side, column, name, len(vectors), None, vectors)
        elif words is not None:
            texts = written(unsealed(some, words.secret), words.key("words"))
            yield Group(side, column, name, len(some), texts, None)

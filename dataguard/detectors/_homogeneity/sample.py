"""The sample that is measured: of each group the records of the smallest keyed hashes, their texts sealed.

A record is in it by its words alone, so that the sample is the same however files are cut and in whatever order they
come, and nobody without the secret can write records that stay out of it or crowd it. Equal records count once.
Texts are needed in one place to be compressed together. What is kept of them is encrypted under the
project's secret (AES-256-SIV, RFC 5297: the same text gives the same bytes), as evidence holds no text that can be read.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from dataguard.columns import Role
from dataguard.detectors._homogeneity.measures import Amount, Written
from dataguard.findings import conform, empty
from dataguard.records.batch import Batch
from dataguard.words import INPUTS, OUTPUTS, Words, hash_key, words_of

Ints = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

SIDES = ("inputs", "answers")
SHORTEST = 3
"""Words of a side that is looked at: shorter ones are labels and codes, which repeat rightly."""
CUT = 1024
"""Bytes of a side that are kept."""
BROKEN = 3
"""Bytes of a character that is cut in two, at most: they are not kept."""
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
        "text": pl.UInt64,
        "size": pl.UInt32,
        "sealed": pl.Binary,
    }
)
"""A row for each side of a record and group that it is in. `column` says by what it is grouped, null for the whole set;
`name` is a keyed hash of both, `hash` one of the record's words and `text` one of what is kept of the side."""

GROUP = ["side", "column", "group"]


class _Side(NamedTuple):
    """One side of a batch's records: its texts with their records, and how many bytes each record has there."""

    texts: tuple[tuple[Ints, pa.Array], ...]
    size: Ints


def observe_sample(batch: Batch, amount: Amount) -> pl.DataFrame:
    """The sample of each group in a batch."""
    from dataguard.kernels.content import content

    words = words_of(batch)
    if not len(words):
        return empty(EVIDENCE)
    hashes = content(words.ids, words.ends, words.key("homogeneity sample"))
    lengths = np.diff(words.ends, prepend=0)
    inputs = words.inputs.astype(np.int64)
    tables = [empty(EVIDENCE)]
    for number, enough in enumerate((inputs >= SHORTEST, lengths - inputs >= SHORTEST)):
        if not enough.any():
            continue
        side = _side(batch, OUTPUTS if number else INPUTS)
        size = np.minimum(side.size, CUT - BROKEN)
        every = pl.DataFrame({"at": np.arange(len(batch)), "hash": hashes, "size": size})
        every = every.filter(pl.Series(enough))
        chosen = [
            _candidates(every.with_columns(group=values.filter(pl.Series(enough))), column, batch, amount)
            for column, values in _ways(batch)
        ]
        tables.append(_sealed(pl.concat(chosen).with_columns(side=pl.lit(number)), side, batch))
    return within(pl.concat(tables), amount)


def _ways(batch: Batch) -> Iterator[tuple[str | None, pl.Series]]:
    """By what the records are grouped, and the group of each: all in one, then by source and by label."""
    yield None, pl.repeat("", len(batch), eager=True)
    for column in batch.roles.of(Role.SOURCE, Role.LABEL):
        if column in batch.data.schema.names:
            yield column, batch.column(column).cast(pl.String).str.slice(0, LONGEST_NAME)


def _side(batch: Batch, roles: tuple[Role, ...]) -> _Side:
    """Where the texts of a side are; a column that is asked and answered in is asked."""
    names: list[str] = []
    for role in roles:
        names += [name for name in batch.roles.of(role) if name not in names]
    if roles == OUTPUTS:
        names = [name for name in names if name not in batch.roles.of(*INPUTS)]
    texts, size = [], np.zeros(len(batch), np.int64)
    for name in names:
        if name in batch.data.schema.names:
            for _, rows, values in batch.texts(name):
                at = (rows - np.uint64(batch.first_row)).astype(np.int64)
                length = pl.Series(values).str.len_bytes().fill_null(0).to_numpy()
                size += np.bincount(at, weights=length, minlength=len(batch)).astype(np.int64)
                texts.append((at, values))
    return _Side(tuple(texts), size)


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
    table = table.unique([*GROUP, "hash", "text"], keep="any").sort(*GROUP, "hash", "text")
    return _lowest(table, GROUP, amount)


def _sealed(chosen: pl.DataFrame, side: _Side, batch: Batch) -> pl.DataFrame:
    """The candidates with their texts, each encrypted once."""
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    from dataguard.kernels.content import content

    wanted = chosen["at"].unique().sort().to_numpy()
    texts = _texts(side, wanted, len(batch))
    data = np.frombuffer(b"".join(texts), np.uint8)
    sizes = np.array([len(text) for text in texts], np.int64)
    cipher = AESSIV(_key(batch.secret))
    table = pl.DataFrame(
        {
            "at": wanted,
            "text": content(data, np.cumsum(sizes), hash_key(batch.secret, "homogeneity text")),
            "size": sizes,
            "sealed": pl.Series([cipher.encrypt(text, None) for text in texts], dtype=pl.Binary),
        }
    )
    return conform(chosen.join(table, on="at").drop("at"), EVIDENCE)


def _key(secret: bytes) -> bytes:
    return hmac.digest(secret, b"homogeneity seal", "sha512")


def _texts(side: _Side, wanted: Ints, count: int) -> list[bytes]:
    """What is kept of the side of some records: its texts one below the other, cut."""
    place = np.full(count, -1, np.int64)
    place[wanted] = np.arange(len(wanted))
    found: list[list[bytes]] = [[] for _ in wanted]
    for at, values in side.texts:
        here = np.flatnonzero(place[at] >= 0)
        for number, text in zip(place[at[here]], values.take(pa.array(here)), strict=True):
            found[number].append((text.as_py() or "").encode())
    return [b"\n".join(texts)[:CUT].decode(errors="ignore").encode() for texts in found]


def fold_sample(evidence: pl.LazyFrame, amount: Amount) -> dict[str, Any]:
    """The sample of the set.

    Returns:
        `parts`; `sides`, `columns` (empty: all records) and `groups` of each group, in order; `group`, the number of the
        group of each record; `sealed` and `ends`, what was kept of it.
    """
    chosen = within(evidence.select(pl.exclude("sealed", "file")).collect(), amount)
    texts = (
        evidence.join(chosen.lazy(), on=[*GROUP, "hash", "text"], how="semi", nulls_equal=True)
        .select(*GROUP, "hash", "text", "sealed")
        .collect()
    )
    texts = texts.unique([*GROUP, "hash", "text"], keep="any").sort(*GROUP, "hash", "text")
    groups = texts.select(GROUP).unique().sort(GROUP)
    numbered = texts.join(groups.with_row_index("number"), on=GROUP, nulls_equal=True, maintain_order="left")
    sealed = texts["sealed"].to_list()
    return {
        "parts": 1,
        "sides": groups["side"].to_list(),
        "columns": groups["column"].fill_null("").to_list(),
        "groups": groups["group"].fill_null("").to_list(),
        "group": numbered["number"].to_numpy().astype(np.int64),
        "sealed": np.frombuffer(b"".join(sealed), np.uint8),
        "ends": np.cumsum([len(one) for one in sealed], dtype=np.int64),
    }


class Group(NamedTuple):
    """The sample of one group, on one side.

    Attributes:
        side: a number in SIDES.
        column: by what it is grouped, empty for the whole set.
        name: the value there.
        written: its texts and words.
    """

    side: int
    column: str
    name: str
    written: Written


def opened(known: dict[str, Any], words: Words) -> Iterator[Group]:
    """The sample's groups, by side, column and name.

    Args:
        known: from `fold_sample`.
        words: any of the set, for the secret.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    cipher = AESSIV(_key(words.secret))
    sealed, ends = known["sealed"].tobytes(), known["ends"]
    starts = np.concatenate([[0], ends[:-1]])
    for number, side in enumerate(known["sides"]):
        rows = np.flatnonzero(known["group"] == number)
        texts = [cipher.decrypt(sealed[starts[row] : ends[row]], None) for row in rows]
        written = _written(texts, words.key("words"))
        yield Group(side, known["columns"][number], known["groups"][number], written)


def _written(texts: list[bytes], key: int) -> Written:
    from dataguard.kernels.tokens import tokenise

    data = np.frombuffer(b"".join(texts), np.uint8)
    sizes = np.array([len(text) for text in texts], np.int64)
    tokens = tokenise(data, np.concatenate([[0], np.cumsum(sizes)]), key)
    return Written(data, np.cumsum(sizes), tokens.ids.astype(np.int64), tokens.ends, sizes < CUT - BROKEN)

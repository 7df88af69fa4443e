"""The groups that verified pairs and equal texts make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from dataguard.detectors._near.candidates import I64, ROWS, U64
from dataguard.detectors._near.comparison import COMPARED, UNJUDGED, UNSPACED_RECORDS
from dataguard.detectors.base import EARLIER, Known
from dataguard.findings import SPAN


@dataclass(frozen=True)
class Found:
    """Groups of near copies.

    Args:
        members: key (of the group), text, file, row, jaccard (best verified), span (what differs from the nearest).
        compared: records that were long enough.
        unjudged: records that were not.
        unspaced: records in scripts without spaces, by most of their words.
        candidates: pairs that shared a key.
    """

    members: pl.DataFrame
    compared: int
    unjudged: int
    unspaced: int
    candidates: int


def grouped(evidence: pl.LazyFrame, known: Known, before: pl.DataFrame | None = None) -> Found:
    """The groups that verified pairs and equal texts make, with all their records.

    Args:
        evidence: EDGES of all parts.
        known: from `fold_pairs`.
        before: groups of the earlier run that the set is compared with, JUDGED_CLUSTERS with the numbers of its own
            files; two texts that are in one of them are in one group.
    """
    from dataguard.kernels.pairs import components

    assert known is not None
    table = evidence.collect()
    counts = dict(table.filter(pl.col("b").is_null()).select("a", "jaccard").iter_rows())
    edges = table.filter(pl.col("b").is_not_null())
    texts = np.unique(np.concatenate([edges["a"].to_numpy(), edges["b"].to_numpy(), known["copy_text"]]))
    joined = [edges[side].to_numpy() for side in "ab"]
    if before is not None:
        joined = [np.concatenate(pair) for pair in zip(joined, _joined_before(before, known), strict=True)]
        texts = np.unique(np.concatenate([texts, *joined]))
    left, right = (np.searchsorted(texts, side).astype(np.int64) for side in joined)
    root = components(left, right, len(texts))
    sides = [
        edges.select(text=side, jaccard="jaccard", span=f"{side}_span", other=other)
        for side, other in (("a", "b"), ("b", "a"))
    ]
    best = (
        pl.concat(sides)
        .sort("text", "jaccard", "other", descending=[False, True, False])
        .unique("text", keep="first", maintain_order=True)
        .drop("other")
    )
    members = _members(texts, root, best, known)
    if before is not None:
        members = _with_before(members, before)
    return Found(
        members=members,
        compared=int(counts.get(COMPARED, 0)),
        unjudged=int(counts.get(UNJUDGED, 0)),
        unspaced=int(counts.get(UNSPACED_RECORDS, 0)),
        candidates=int(known["candidates"]),
    )


def _joined_before(before: pl.DataFrame, known: dict[str, Any] | Any) -> tuple[U64, U64]:
    """Texts that hang together by groups of the earlier run: each with one of its group."""
    place = ((pl.col("file") + EARLIER).cast(pl.UInt64) * ROWS) + pl.col("row")
    old = before.select("key", place=place)
    here = pl.concat(
        [
            pl.DataFrame({"text": known["text"], "place": known["place"]}),
            pl.DataFrame({"text": known["copy_text"], "place": known["copy_place"]}),
        ]
    )
    met = here.unique().join(old, on="place").sort("key", "text", "place")
    first = met.select(pl.col("text").first().over("key"))["text"]
    return first.to_numpy(), met["text"].to_numpy()


def _with_before(members: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Groups with a record of the set at hand, and all records of the groups of the earlier run that they touch."""
    members = members.filter((pl.col("file") < EARLIER).any().over("key"))
    old = before.select("file", "row", "jaccard", group="key").with_columns(pl.col("file") + EARLIER)
    touched = (
        members.join(old.select("file", "row", "group"), on=["file", "row"]).select("key", "group").unique()
    )
    more = (
        old.join(touched, on="group")
        .join(members, on=["key", "file", "row"], how="anti")
        .select("key", "file", "row", "jaccard", text=pl.lit(None, pl.UInt64), span=pl.lit(None, SPAN))
    )
    return pl.concat([members, more.select(members.columns)]).sort("key", "file", "row")


def _members(texts: U64, root: I64, best: pl.DataFrame, known: dict[str, Any] | Any) -> pl.DataFrame:
    copies = pl.DataFrame(
        {"text": known["copy_text"], "place": known["copy_place"], "layout": known["copy_layout"]},
        schema={"text": pl.UInt64, "place": pl.UInt64, "layout": pl.UInt32},
    )
    single = pl.DataFrame(
        {"text": known["text"], "place": known["place"]}, schema={"text": pl.UInt64, "place": pl.UInt64}
    )
    groups = pl.DataFrame({"text": texts, "root": texts[root] if len(texts) else texts})
    alone = single.join(copies, on="text", how="anti").with_columns(layout=pl.lit(None, dtype=pl.UInt32))
    every = pl.concat([copies, alone.select(copies.columns)])
    # The differing bytes were found in the first copy; they hold for those whose words stand as they do there.
    first = copies.sort("place").unique("text", keep="first").select("text", first="layout")
    members = (
        groups.join(every, on="text").join(best, on="text", how="left").join(first, on="text", how="left")
    )
    same_place = pl.col("first").is_null() | (pl.col("layout") == pl.col("first"))
    return (
        members.select(
            "text",
            key=_hex(members["root"]),
            file=(pl.col("place") // ROWS).cast(pl.UInt32),
            row=pl.col("place") % ROWS,
            jaccard=pl.when(pl.col("layout").is_not_null()).then(1.0).otherwise("jaccard"),
            span=pl.when(same_place).then("span"),
        )
        .sort("key", "file", "row")
        .select("key", "text", "file", "row", "jaccard", "span")
    )


def _hex(numbers: pl.Series) -> pl.Series:
    """64-bit numbers as 16 hexadecimal digits."""
    data = numbers.to_numpy().astype(">u8").tobytes()
    return pl.Series([data[at : at + 8].hex() for at in range(0, len(data), 8)], dtype=pl.String)

"""The near-duplicate corpus, samples of it, its exact truth, and how well an answer agrees with it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from jobs import Scan, number

THRESHOLD = 0.8
NARROW = 0.85
ROW_GROUP = 10_000
UNSPACED = "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]"
"""Letters of scripts without spaces: Thai, Lao, Burmese, Khmer, kana, Han."""


def shared() -> Path:
    """The folder of the corpus.

    Raises:
        SystemExit: nobody says where it is.
    """
    if not (folder := os.environ.get("DATAGUARD_SHARED")):
        raise SystemExit("DATAGUARD_SHARED is not set: expected the folder with data/neardup in it")
    return Path(folder) / "data" / "neardup"


def write(frame: pl.DataFrame, path: Path) -> None:
    """Writes a file of the corpus as the whole corpus is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    pq.write_table(table, path, row_group_size=ROW_GROUP, compression="zstd")


def sample(source: Path, out: Path, fraction: float) -> Path:
    """The first rows of every file that holds text; the files themselves for the whole of it. Kept if there."""
    if (out / "done").exists():
        return out
    out.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.glob("*.parquet")):
        if "text" not in pq.read_schema(file).names:
            continue
        if fraction >= 1:
            shutil.copyfile(file, out / file.name)
            continue
        frame = pl.read_parquet(file)
        write(frame.head(max(1, round(frame.height * fraction))), out / file.name)
    (out / "done").touch()
    return out


def linked(files: Mapping[str, Path], out: Path) -> Path:
    """A folder in which files stand under other names, without a copy."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name, file in files.items():
        os.link(file, out / name)
    return out


@dataclass(frozen=True)
class Set:
    """A folder of Parquet files with `id` and `text`.

    Args:
        folder: where they lie.
    """

    folder: Path

    @property
    def files(self) -> list[Path]:
        """Its files, sorted."""
        return sorted(self.folder.glob("*.parquet"))

    def ids(self) -> pl.DataFrame:
        """Of every record: file (its name), row (u64), id."""
        return pl.concat(
            pl.read_parquet(file, columns=["id"]).select(
                pl.lit(file.name).alias("file"), pl.int_range(pl.len(), dtype=pl.UInt64).alias("row"), "id"
            )
            for file in self.files
        )

    def spaced(self) -> pl.Series:
        """The ids of records in which every letter is of a script with spaces."""
        has = pl.col("text").str.contains(UNSPACED)
        return pl.scan_parquet(self.files).filter(~has).select("id").collect()["id"]

    def size(self) -> tuple[int, int]:
        """Records and bytes of text."""
        text = pl.scan_parquet(self.files).select(pl.len(), pl.col("text").str.len_bytes().sum()).collect()
        rows, size = text.row(0)
        return int(rows), int(size)


def clusters_of(run: Scan, ids: pl.DataFrame) -> pl.DataFrame:
    """The clusters of a run as id and cluster."""
    table = pl.read_parquet(run.out / "clusters.parquet")
    return table.with_columns(pl.col("file").str.split("/").list.last()).join(
        ids, on=["file", "row"], how="inner"
    )[["id", "cluster"]]


def exact(ids: pl.DataFrame) -> pl.DataFrame:
    """All pairs of word-5-gram Jaccard ≥ 0.6 whose records are both in a set: id_a, id_b, jaccard_w5."""
    present = ids.select("id").unique()
    pairs = pl.read_parquet(shared() / "exact_pairs.parquet")
    for column in ("id_a", "id_b"):
        pairs = pairs.join(present, left_on=column, right_on="id", how="semi")
    return pairs


def quality(found: pl.DataFrame, pairs: pl.DataFrame, spaced: pl.Series) -> dict[str, Any]:
    """How an answer agrees with the exact truth.

    Args:
        found: id and cluster of every clustered record; one id a row.
        pairs: all true pairs (`exact`).
        spaced: ids of the records to which word 5-grams do justice.

    Returns:
        The share of pairs of J ≥ .8, and of those below .85, with both records in one cluster; and the share of
        clustered records that have an exact partner of J ≥ .8, of all and of those in scripts with spaces. Of the
        others we compare 5-grams of characters, of which the truth knows nothing.
    """
    near = pairs.filter(pl.col("jaccard_w5") >= THRESHOLD)
    joined = near.join(found, left_on="id_a", right_on="id", how="left").join(
        found, left_on="id_b", right_on="id", how="left", suffix="_b"
    )
    hit = joined.select("jaccard_w5", hit=(pl.col("cluster") == pl.col("cluster_b")).fill_null(value=False))
    narrow = hit.filter(pl.col("jaccard_w5") < NARROW)
    partners = pl.concat([near["id_a"], near["id_b"]]).unique()
    right = found.select("id", right=pl.col("id").is_in(partners.implode()))
    return {
        "recall ≥ .8": _share(hit["hit"]),
        "recall .80–.85": _share(narrow["hit"]),
        "precision": _share(right["right"]),
        "in scripts with spaces": _share(right.filter(pl.col("id").is_in(spaced.implode()))["right"]),
        "records in clusters": found.height,
    }


def _share(hits: pl.Series) -> float | str:
    return number(float(hits.cast(pl.UInt64).sum() / hits.len()), 5) if hits.len() else "–"


def pairs_of(clusters: pl.DataFrame, new: Sequence[int] | pl.Series) -> pl.DataFrame:
    """All pairs (a, b) of a new record `a` with another of its cluster; of two new ones each way."""
    newer = clusters.filter(pl.col("id").is_in(pl.Series(new).implode()))
    return (
        newer.join(clusters, on="cluster", suffix="_b")
        .filter(pl.col("id") != pl.col("id_b"))
        .select(a="id", b="id_b")
    )

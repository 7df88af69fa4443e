"""Data sets for benchmarks: perturbed copies of a real one, and a generated one of short rows."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

VOWELS = "aeiou"
ROW_GROUP = 10_000


def perturbed(source: Path, out: Path, *, gigabytes: float) -> Path:
    """Copies of a set, each with its vowels permuted in another way, until there is enough text.

    Within a copy near-copies stay near-copies; between copies hardly a word is the same.

    Args:
        source: a folder of Parquet files with a column `text`.
        out: where to write; kept if it is there already.
        gigabytes: decoded bytes of text at the least, in 1e9 bytes.
    """
    done = out / "done"
    if done.exists():
        return out
    out.mkdir(parents=True, exist_ok=True)
    files = [file for file in sorted(source.glob("*.parquet")) if "text" in pq.read_schema(file).names]
    written = 0
    for number, permutation in enumerate(itertools.permutations(VOWELS)):
        for file in files:
            frame = pl.read_parquet(file)
            text = pl.col("text").str.replace_many(list(VOWELS), list(permutation))
            frame = frame.with_columns(
                text, *([pl.col("id") + number * 10_000_000] if "id" in frame.columns else [])
            )
            table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
            pq.write_table(
                table, out / f"copy{number:03}-{file.name}", row_group_size=ROW_GROUP, compression="zstd"
            )
            written += int(frame["text"].str.len_bytes().sum())
            if written >= gigabytes * 1e9:
                done.touch()
                return out
    raise SystemExit(f"expected {gigabytes} GB from the copies of {source}, got {written / 1e9:.2f}")


def short_rows(out: Path, *, rows: int, columns: int = 20, files: int = 8) -> Path:
    """A labelled set of numbers: many short records.

    Args:
        out: where to write; kept if it is there already.
        rows: records in all.
        columns: float columns.
        files: how many files.
    """
    if (out / "done").exists():
        return out
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    for number in range(files):
        count = rows // files
        data = {f"x{column:02}": rng.standard_normal(count) for column in range(columns)}
        data["label"] = rng.integers(0, 4, count)
        pq.write_table(
            pa.table(data), out / f"part-{number:03}.parquet", row_group_size=100_000, compression="zstd"
        )
    (out / "done").touch()
    return out

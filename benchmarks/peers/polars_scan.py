"""The baseline: a scan of the text column with polars, which only measures how long each text is.

    python benchmarks/peers/polars_scan.py FOLDER

Prints the seconds of the best of both engines, each warmed up and measured three times.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import Literal

import polars as pl

ENGINES: tuple[Literal["in-memory", "streaming"], ...] = ("in-memory", "streaming")


def main() -> None:
    """Measures and prints one number."""
    files = sorted(str(path) for path in Path(sys.argv[1]).glob("*.parquet"))
    query = pl.scan_parquet(files).select(pl.col("text").str.len_bytes().sum())
    medians = []
    for engine in ENGINES:
        seconds = []
        for _ in range(4):
            begun = time.perf_counter()
            query.collect(engine=engine)
            seconds.append(time.perf_counter() - begun)
        medians.append(statistics.median(seconds[1:]))
    print(f"{min(medians):.4f}")


if __name__ == "__main__":
    main()

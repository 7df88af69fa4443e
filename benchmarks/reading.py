"""What reading costs in each format beside the reader that people use for it, in one run and one thread.

    DATAGUARD_SHARED=... python benchmarks/reading.py --work DIR [--megabytes 60] [--rounds 5]

The same real records are written in every format and read in turn by both sides: here from the frames or the structure
of the file over decoding to batches that passed full validation, in the layout that rules meet; there as the peer's
users do it. CPU seconds of this process, the least of the rounds; the ratio is what counts. `inspect` is our first look
(of text it finds the types and where records differ), `read` our decoding, and `both` what a first scan pays.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ["POLARS_MAX_THREADS"] = "1"

import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet as pq

from dataguard.columns import Roles
from dataguard.config import Limits
from dataguard.records import Slice, fast_json, inspect_file, opened, read

ROWS = 65_536


def real(megabytes: int) -> dict[str, pa.Table]:
    """Instructions, long texts with line ends in them, and short labelled texts with numbers, over and over."""
    folder = Path(os.environ["DATAGUARD_SHARED"]) / "data" / "poison"
    found = {}
    for name in ("instruct_clean", "classify"):
        table = pq.read_table(folder / f"{name}.parquet")
        found[name] = pa.concat_tables(
            [table] * max(1, round(megabytes * 1e6 / table.nbytes))
        ).combine_chunks()
    return found


def by_parquet(path: Path) -> int:
    """`ParquetFile.iter_batches`."""
    return sum(batch.num_rows for batch in pq.ParquetFile(path).iter_batches(ROWS, use_threads=False))


def by_ipc(path: Path) -> int:
    """`pyarrow.ipc`, each batch copied once into memory as a reader that does not map has it."""
    with pa.OSFile(str(path)) as file:
        reader = pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(use_threads=False))
        return sum(reader.get_batch(number).num_rows for number in range(reader.num_record_batches))


def by_csv(path: Path) -> int:
    """`pyarrow.csv.open_csv`, streaming, with line ends within quotes."""
    with pa.input_stream(str(path)) as file:
        reader = pa.csv.open_csv(
            file,
            read_options=pa.csv.ReadOptions(use_threads=False),
            parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        )
        return sum(batch.num_rows for batch in reader)


def by_polars(path: Path) -> int:
    """`polars.read_ndjson`, which takes the types from the first hundred lines."""
    return pl.read_ndjson(path).height


PEERS: dict[str, tuple[str, Callable[[Path], int]]] = {
    "parquet": ("pyarrow iter_batches", by_parquet),
    "arrow": ("pyarrow ipc", by_ipc),
    "csv": ("pyarrow.csv streaming", by_csv),
    "csv.gz": ("pyarrow.csv streaming", by_csv),
    "jsonl": ("polars read_ndjson", by_polars),
}


def write(table: pa.Table, path: Path) -> None:
    """The table in the format of the path's suffixes."""
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=ROWS)
    elif path.suffix == ".arrow":
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=ROWS)
    elif path.suffix == ".csv":
        pl.DataFrame(table).write_csv(path)
    elif path.suffix == ".jsonl":
        pl.DataFrame(table).write_ndjson(path)
    else:
        path.write_bytes(gzip.compress(path.with_suffix("").read_bytes(), 6))


def seconds(function: Callable[[], int], rows: int) -> float:
    """CPU seconds of this process; the rows must be all there."""
    begun = time.process_time()
    assert function() == rows
    return time.process_time() - begun


def measured(path: Path, rows: int, peer: Callable[[Path], int], rounds: int) -> dict[str, float]:
    """The least seconds of either side, in turn."""
    limits = Limits()
    with opened(path.parent, path.name) as (_, stamp):
        pass
    inspection = inspect_file(path.parent, path.name, stamp, limits)
    assert inspection.refused is None, inspection.refused
    part = Slice(path.parent, path.name, stamp, inspection, 0, len(inspection.groups))

    def look() -> int:
        found = inspect_file(path.parent, path.name, stamp, limits)
        return sum(group.rows for group in found.groups)

    def decode() -> int:
        return sum(len(batch) for batch in read(part, Roles(), limits, ROWS))

    sides = {"peer": lambda: peer(path), "inspect": look, "read": decode}
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, side in sides.items():
            best[name] = min(best.get(name, float("inf")), seconds(side, rows))
    return best


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--megabytes", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    pa.set_cpu_count(1)
    parser_of_json = "msgspec" if fast_json.decoder() else "Python's json"
    print(f"JSON Lines by {parser_of_json}")
    print("| set | format | MB | peer | peer s | inspect s | read s | read / peer | both / peer |")
    print("|---|---|---|---|---|---|---|---|---|")
    results = []
    for name, table in real(options.megabytes).items():
        for suffix, (called, peer) in PEERS.items():
            path = options.work / f"{name}.{suffix}"
            write(table, path)
            best = measured(path, table.num_rows, peer, options.rounds)
            size, both = path.stat().st_size / 1e6, best["inspect"] + best["read"]
            print(
                f"| {name} | {suffix} | {size:.0f} | {called} | {best['peer']:.3f} | {best['inspect']:.3f} "
                f"| {best['read']:.3f} | {best['read'] / best['peer']:.2f} | {both / best['peer']:.2f} |",
                flush=True,
            )
            results.append({"set": name, "format": suffix, "mb": size, "json": parser_of_json, **best})
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

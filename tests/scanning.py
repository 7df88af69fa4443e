"""A small data set with something for every rule, and a scan of it in a process of its own."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dataguard.findings import TABLES

TABLE_FILES = tuple(f"{name}.parquet" for name in TABLES)
WORDS = tuple(f"{a}{b}{c}" for a in "bdgklmnprst" for b in "aeiou" for c in "lmnrst")

DRIVER = """
import sys
from pathlib import Path
from dataguard import detectors
from dataguard.config import Config
from dataguard.run import Run
from dataguard.secret import Secret
from dataguard.scan import scanner
out, secret, workers, rows, against, rules, *data = sys.argv[1:]
scanner.scan(
    [Path(one) for one in data], Path(out), detectors.select(tuple(rules.split())), Config(),
    options=scanner.Options(
        workers=int(workers), batch_rows=int(rows), secret=Secret.load(Path(secret)),
        against=Run.open(against) if against else None,
    ),
)
"""


def write_set(folder: Path, *, files: int, rows: int, seed: int = 1, numbers: bool = True) -> list[Path]:
    """Files with text, labels, numbers, exact copies across files, hidden characters and outliers."""
    rng = random.Random(seed)
    paths = []
    copies = [" ".join(rng.choices(WORDS, k=12)) for _ in range(5)]
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        texts = [" ".join(rng.choices(WORDS, k=rng.randint(5, 40))) for _ in range(rows)]
        labels = [rng.choice(["yes", "no"]) for _ in range(rows)]
        values = [[rng.gauss(0, 1), rng.gauss(5, 2), rng.expovariate(1)] for _ in range(rows)]
        texts[rng.randrange(rows)] = "see th\u200bis and \U000e0041\U000e0042 that"
        values[rng.randrange(rows)] = [60.0, -80.0, 90.0]
        place = rng.randrange(rows)
        texts[place], labels[place], values[place] = copies[number % 5], "yes", [0.5, 0.5, 0.5]
        table = pa.table(
            {
                "id": [f"{number}-{row}" for row in range(rows)],
                "text": texts,
                "label": labels,
                **{f"x{column}": [row[column] for row in values] for column in range(3 if numbers else 0)},
            }
        )
        path = folder / f"part-{number:03}.parquet"
        pq.write_table(table, path, row_group_size=max(1, rows // 3))
        paths.append(path)
    return paths


def start(
    out: Path,
    data: list[Path],
    secret: Path,
    *,
    workers: int = 2,
    rows: int = 65_536,
    hash_seed: str = "0",
    against: str = "",
    rules: str = "",
) -> subprocess.Popen[bytes]:
    """Starts a scan in a process of its own."""
    words = [sys.executable, "-c", DRIVER, str(out), str(secret), str(workers), str(rows), against, rules]
    return subprocess.Popen([*words, *map(str, data)], env={**os.environ, "PYTHONHASHSEED": hash_seed})


def scan(out: Path, data: list[Path], secret: Path, **options: object) -> dict[str, bytes]:
    """Scans to the end and gives the bytes of the tables and of the manifest."""
    assert start(out, data, secret, **options).wait() == 0  # type: ignore[arg-type]
    return outputs(out)


def outputs(out: Path) -> dict[str, bytes]:
    """The bytes of everything that must be equal between equal scans."""
    return {name: (out / name).read_bytes() for name in (*TABLE_FILES, "manifest.jsonl")}

"""Balance and drift (DG302, DG305) beside the packages that their measures are from: fairlearn, scikit-learn, scipy.

    DATAGUARD_SHARED=... python benchmarks/balance.py --work DIR

Each set is cut into train and test, at random or by a number, and scanned; the reference packages, in an environment of
their own, read the same files. One table: the largest difference of each measure over all sets and columns. Distances
of numbers are taken of sketches, so what they may differ by is a measure too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn import datasets

import dataguard
from jobs import HERE, show
from rivals import Peer, reference_python

REFERENCE = Peer("", "fairlearn", ("fairlearn==0.15.0", "pyarrow==26.0.1"), ("balance_reference.py",), "")


def sets(shared: Path) -> Iterator[tuple[str, pl.DataFrame, pl.Series]]:
    """Name, records and which of them are tests. Columns `c…` are categories, `n…` numbers."""
    rng = np.random.default_rng(1)
    texts = pl.read_parquet(shared / "data" / "poison" / "classify.parquet")
    texts = texts.select(
        c_attack="attack", c_corpus="dataset", n_length=pl.col("text").str.len_chars().cast(pl.Float64),
        label=pl.col("label").cast(pl.String),
    )  # fmt: skip
    yield "labelled texts, at random", texts, pl.Series(rng.random(texts.height) < 0.3)
    yield "labelled texts, the longer ones", texts, texts["n_length"] > 200
    for name in ("breast_cancer", "wine", "digits"):
        data = getattr(datasets, f"load_{name}")()
        columns = {f"n_{one}": data.data[:, one] for one in (0, 1, 20 % data.data.shape[1])}
        frame = pl.DataFrame(columns).with_columns(
            c_size=pl.col("n_1")
            .rank("ordinal")
            .floordiv(data.data.shape[0] / 3 + 1)
            .cast(pl.Int64)
            .cast(pl.String),
            label=pl.Series(data.target).cast(pl.String),
        )
        yield f"{name}, at random", frame, pl.Series(rng.random(frame.height) < 0.4)
        yield f"{name}, by a number", frame, frame["n_1"] > frame["n_1"].median()


def measured(
    work: Path, name: str, frame: pl.DataFrame, test: pl.Series, python: Path
) -> list[dict[str, Any]]:
    """Each measure of a set by us and by the references."""
    folder = work / "sets" / name.replace(" ", "-").replace(",", "")
    folder.mkdir(parents=True, exist_ok=True)
    frame.filter(~test).write_parquet(folder / "train.parquet")
    frame.filter(test).write_parquet(folder / "test.parquet")
    run = dataguard.scan(
        folder, out=work / "runs" / folder.name, policy=None, self_test=False, rules="DG302,DG305", workers=1
    )
    ours = {(row["name"], row["column"]): row["value"] for row in run.table("measures").iter_rows(named=True)}
    groups = {prefix: [one for one in frame.columns if one.startswith(prefix)] for prefix in ("c_", "n_")}
    out = work / f"{folder.name}.json"
    command = [python, HERE / "peers" / "balance_reference.py", folder, out]
    subprocess.run([*command, "--categories", *groups["c_"], "--numbers", *groups["n_"]], check=True)
    rows = []
    for key, theirs in json.loads(out.read_text()).items():
        measure, column = key.split(" ", 1)
        if (measure, column) in ours:
            allowed = (
                ours.get(("number_sketch_precision", column), 0.0) if measure.startswith("number") else 0.0
            )
            apart = abs(ours[measure, column] - theirs)
            rows.append({"measure": measure, "apart": apart, "beyond": apart - allowed})
    return rows


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--peers-python", default="", help="an interpreter for the references' environment")
    options = parser.parse_args()
    work = options.work.resolve()
    python = reference_python(work, REFERENCE, options.peers_python)
    rows = [
        row
        for name, frame, test in sets(Path(os.environ["DATAGUARD_SHARED"]))
        for row in measured(work, name, frame, test, python)
    ]
    table = (
        pl.DataFrame(rows)
        .group_by("measure", maintain_order=True)
        .agg(pl.len().alias("compared"), pl.col("apart", "beyond").max())
    )
    show(
        "Beside fairlearn, scikit-learn and scipy, over all sets and columns",
        [
            {
                "measure": row["measure"],
                "compared": row["compared"],
                "largest difference": f"{row['apart']:.1g}",
                "beyond the stated precision": f"{max(0.0, row['beyond']):.1g}",
            }
            for row in table.iter_rows(named=True)
        ],
    )


if __name__ == "__main__":
    main()

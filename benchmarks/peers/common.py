"""What the jobs of all peers share: reading Parquet, word 5-grams as Python bytes, union-find, writing the answer.

Only pyarrow is needed, as each peer runs in an environment of its own. The tokens are what these libraries
expect, a Python object each; they are made by the quickest way we know of in pure Python.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

WIDTH = 5
WORD = b"0123456789abcdefghijklmnopqrstuvwxyz_" + bytes(range(128, 256))
LOWER = bytes(byte + 32 if 65 <= byte <= 90 else byte for byte in range(256))
TABLE = bytes(byte if byte in WORD else 32 for byte in LOWER)
"""ASCII letters to lower case, all that is no part of a word to a space."""


def arguments(description: str | None) -> argparse.ArgumentParser:
    """What every job is told."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True, help="a folder of Parquet files with id and text")
    parser.add_argument("--out", type=Path, required=True, help="the answer, a Parquet file: id, cluster")
    parser.add_argument("--scratch", type=Path, required=True, help="an empty folder")
    parser.add_argument("--processes", type=int, default=2)
    return parser


def parts(data: Path) -> list[tuple[str, int]]:
    """Every row group of every file, by name."""
    files = sorted(str(path) for path in data.glob("*.parquet"))
    return [(file, group) for file in files for group in range(pq.ParquetFile(file).num_row_groups)]


def read(part: tuple[str, int]) -> tuple[list[int], list[bytes]]:
    """The ids and texts of a row group."""
    file, group = part
    table = pq.ParquetFile(file).read_row_group(group, columns=["id", "text"], use_threads=False)
    return table["id"].to_pylist(), table["text"].cast(pa.large_binary()).to_pylist()


def shingles(text: bytes) -> set[bytes]:
    """The word 5-grams of a text: words are runs of ``[0-9A-Za-z_]`` and of what is not ASCII, in lower case."""
    words = text.translate(TABLE).split()
    joined = b" ".join(words)
    starts = [0, *accumulate(len(word) + 1 for word in words)]
    return {joined[begin : end - 1] for begin, end in zip(starts, starts[WIDTH:], strict=False)}


class Clusters:
    """Union-find over numbers."""

    def __init__(self) -> None:
        self.parent: dict[int, int] = {}

    def find(self, one: int) -> int:
        """The representative."""
        parent = self.parent
        root = one
        while (above := parent.get(root, root)) != root:
            root = above
        while (above := parent.get(one, one)) != root and one != root:
            parent[one], one = root, above
        return root

    def join(self, members: Iterable[int]) -> None:
        """Puts all into one cluster."""
        roots = {self.find(one) for one in members}
        smallest = min(roots)
        for root in roots:
            self.parent[root] = smallest
        self.parent[smallest] = smallest

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Every member with its representative."""
        for one in list(self.parent):
            yield one, self.find(one)


def answer(out: Path, found: Iterable[tuple[int, int]]) -> None:
    """Writes ids and their clusters."""
    rows = list(found)
    columns = {"id": [one for one, _ in rows], "cluster": [cluster for _, cluster in rows]}
    pq.write_table(pa.table(columns, schema=pa.schema({"id": pa.int64(), "cluster": pa.int64()})), out)

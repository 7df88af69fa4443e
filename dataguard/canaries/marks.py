"""The mark that every exported canary carries, and how it is found again in data.

A mark is a drawn number and its code under the project's secret: whoever has not the secret can take a mark away, but
not make one, so that nobody can pass records of his own off as canaries.
"""

from __future__ import annotations

import hmac

import polars as pl

from dataguard.records import Batch

VERSION = 1
PREFIX = "dgcanary-"
NUMBER, CODE = 16, 32
"""Hexadecimal digits."""
PATTERN = f"{PREFIX}[0-9a-f]{{{NUMBER + CODE}}}"
SEEN = pl.Schema({"row": pl.UInt64()})


def mark(shared: bytes, name: str) -> str:
    """The mark of a campaign's canaries.

    Args:
        shared: what the rules of a run key their hashes with.
        name: of the campaign.
    """
    number = hmac.digest(shared, f"canary number {name}".encode(), "sha256").hex()[:NUMBER]
    return PREFIX + number + _code(shared, number)


def _code(shared: bytes, number: str) -> str:
    return hmac.digest(shared, f"canary code {number}".encode(), "sha256").hex()[:CODE]


def is_ours(shared: bytes, found: str) -> bool:
    """Whether a mark was made with this secret."""
    number, code = found[len(PREFIX) : len(PREFIX) + NUMBER], found[len(PREFIX) + NUMBER :]
    return hmac.compare_digest(_code(shared, number).encode(), code.encode())


def observe(batch: Batch) -> pl.DataFrame:
    """The records of a batch that carry a mark of this project in any of their strings: `row` (u64), ascending."""
    found = [pl.DataFrame(schema=SEEN)]
    for strings in batch.strings():
        here = strings.values.str.contains(PREFIX, literal=True).fill_null(value=False)
        if here.any():
            rows = pl.Series("row", strings.rows).filter(here)
            marks = strings.values.filter(here).str.extract_all(PATTERN)
            table = pl.DataFrame({"row": rows, "mark": marks}).explode("mark").drop_nulls()
            ours = [one for one in table["mark"].unique() if is_ours(batch.secret, one)]
            found.append(table.filter(pl.col("mark").is_in(ours)).select("row"))
    return pl.concat(found).unique().sort("row")

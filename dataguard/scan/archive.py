"""How values between passes are kept: an npz archive of plain arrays, tables and JSON, without pickles."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dataguard.detectors.base import Known
from dataguard.evidence import parquet_bytes, read_parquet
from dataguard.findings import Judgement, Measure


def known_bytes(known: Known) -> bytes:
    """What a pass is told, as an npz archive without pickles; plain values are JSON in it."""
    known_items = (known or {}).items()
    arrays: dict[str, Any] = {
        f"array {name}": one for name, one in known_items if isinstance(one, np.ndarray)
    }
    plain = {name: value for name, value in known_items if not isinstance(value, np.ndarray)}
    text = json.dumps(plain if known is not None else None, sort_keys=True).encode()
    sink = io.BytesIO()
    np.savez(sink, plain=np.frombuffer(text, np.uint8), **arrays)
    return sink.getvalue()


def known_from(data: bytes) -> Known:
    """Reads what `known_bytes` wrote; the caller has checked its digest."""
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        plain = json.loads(archive["plain"].tobytes())
        arrays = {name.removeprefix("array "): archive[name] for name in archive.files if name != "plain"}
    return None if plain is None else {**plain, **arrays}


def plain_of(path: Path) -> dict[str, Any]:
    """What a pass is told, without the arrays."""
    with np.load(path, allow_pickle=False) as archive:
        plain: dict[str, Any] | None = json.loads(archive["plain"].tobytes())
    return plain or {}


def judgement_bytes(judgement: Judgement) -> bytes:
    """A judgement in the archive that also holds what a pass is told."""
    tables = {name: table_bytes(getattr(judgement, name)) for name in ("findings", "flagged", "clusters")}
    plain = {name: getattr(judgement, name) for name in ("not_applicable", "incomplete")}
    return known_bytes({**tables, **plain, "measures": [asdict(one) for one in judgement.measures]})


def judgement_from(data: bytes) -> Judgement:
    """Reads what `judgement_bytes` wrote; the caller has checked its digest."""
    found: dict[str, Any] = dict(known_from(data) or {})
    measures = tuple(Measure(**one) for one in found.pop("measures"))
    found |= {name: table_from(found[name]) for name in ("findings", "flagged", "clusters")}
    return Judgement(measures=measures, **found)


def table_bytes(table: pl.DataFrame) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A table as an array that the archive can hold."""
    return np.frombuffer(parquet_bytes(table), np.uint8)


def table_from(data: np.ndarray[Any, np.dtype[np.uint8]]) -> pl.DataFrame:
    """Reads what `table_bytes` made."""
    table = pl.from_arrow(read_parquet(data.tobytes()))
    assert isinstance(table, pl.DataFrame)
    return table

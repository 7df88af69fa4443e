"""What a file says of itself before any record is decoded: schema, row groups, row counts.

This parses hostile bytes and so runs in a worker, as decoding does.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa

READER = {"name": "dataguard-reader", "version": 2}
"""To be raised with every change of what a file is decoded to: it is part of every evidence key."""


@dataclass(frozen=True)
class Group:
    """A row group: of Parquet, a record batch of Arrow IPC, or the next 65,536 records of a text file.

    Args:
        rows: number of records.
        size: bytes on disk.
        start: first byte, for formats read by byte range; of what is unpacked, where the file is compressed.
        hint: decoded bytes as the file claims them; a hint for batches, never a bound.
    """

    rows: int
    size: int
    start: int
    hint: int


@dataclass(frozen=True)
class Incident:
    """Something wrong with a file.

    Args:
        rule: the file rule that reports it, e.g. ``DG503``.
        reason: in words.
        row: the record, where it is about one.
    """

    rule: str
    reason: str
    row: int | None = None


@dataclass(frozen=True)
class Inspection:
    """What a file says of itself.

    Args:
        format: ``parquet``, ``arrow``, ``csv``, ``tsv``, ``jsonl``, with ``.gz`` and the like where it is compressed, or ``other``.
        schema: the columns as the reader will give them, None where there are none to read.
        groups: the row groups in order.
        rows_declared: the records that the file claims, None where its format claims none.
        refused: why nothing is decoded.
        dangers: what a file that holds no records would run; the file is no less read for it.
    """

    format: str
    schema: pa.Schema | None = None
    groups: tuple[Group, ...] = ()
    rows_declared: int | None = None
    refused: Incident | None = None
    dangers: tuple[Incident, ...] = ()

    def to_json(self) -> bytes:
        """For the evidence folder."""
        plain = asdict(replace(self, schema=None))
        if self.schema is not None:
            plain["schema"] = base64.b64encode(self.schema.serialize().to_pybytes()).decode()
        return json.dumps(plain, sort_keys=True).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Inspection:
        """Reads what `to_json` wrote; the caller has checked its digest."""
        plain: Mapping[str, Any] = json.loads(data)
        schema = plain["schema"]
        return cls(
            format=plain["format"],
            schema=pa.ipc.read_schema(pa.py_buffer(base64.b64decode(schema))) if schema else None,
            groups=tuple(Group(**group) for group in plain["groups"]),
            rows_declared=plain["rows_declared"],
            refused=Incident(**plain["refused"]) if plain["refused"] else None,
            dangers=tuple(Incident(**danger) for danger in plain.get("dangers", ())),
        )


def depth(kind: pa.DataType) -> int:
    """How deep a type nests; 1 for a flat one. Without recursion, since the type is the file's."""
    deepest, waiting = 1, [(kind, 1)]
    while waiting:
        here, level = waiting.pop()
        deepest = max(deepest, level)
        waiting += [(here.field(index).type, level + 1) for index in range(here.num_fields)]
    return deepest


def least_bytes(kind: pa.DataType) -> float:
    """Bytes that a value of a normal type takes at the least, whatever it is."""
    if pa.types.is_struct(kind):
        return sum(least_bytes(kind.field(index).type) for index in range(kind.num_fields))
    if pa.types.is_fixed_size_list(kind):
        return float(kind.list_size * least_bytes(kind.value_type))
    if pa.types.is_large_list(kind) or pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        return 8  # its offset
    if pa.types.is_fixed_size_binary(kind):
        return float(kind.byte_width)  # its bits overflow an int
    try:
        return float(kind.bit_width / 8)
    except ValueError:  # null, and types that are refused anyway
        return 0

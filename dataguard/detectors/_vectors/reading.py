"""The vectors of a batch, by column and by how many numbers they have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataguard.columns import Role, is_list, is_number, is_string
from dataguard.records.batch import Batch
from dataguard.records.encoder import encoded

I16 = npt.NDArray[np.int16]
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

ENCODED = (Role.TEXT, Role.PROMPT, Role.RESPONSE, Role.SYSTEM, Role.CHOSEN, Role.REJECTED)
"""Roles of columns of strings that an encoder makes vectors of."""
COLUMNS = 16
"""Columns of a file that are looked at, the first by name."""


@dataclass(frozen=True)
class Vectors:
    """The vectors of one column that have the same dimension.

    Args:
        column: its name.
        dim: how many numbers each has; 0 for those that are missing.
        rows: i64[n], where in the batch each stands.
        units: i16[n, dim], see `kernels.units`; of those that cannot be compared all are zero.
        norms: f64[n], Euclidean lengths; NaN where a number is NaN, infinite or missing.
    """

    column: str
    dim: int
    rows: I64
    units: I16
    norms: F64

    @property
    def sound(self) -> npt.NDArray[np.bool_]:
        """Which vectors have a direction."""
        return np.isfinite(self.norms) & (self.norms > 0)


def columns_of(batch: Batch) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns of vectors that are looked at, and those that are not."""
    kinds = {field.name: field.type for field in batch.data.schema}
    held = [name for name in batch.roles.of(Role.EMBEDDING) if _holds_vectors(kinds[name])]
    if batch.encoder is not None:
        held = sorted({*held, *(name for name in batch.roles.of(*ENCODED) if is_string(kinds[name]))})
    return tuple(held[:COLUMNS]), tuple(held[COLUMNS:])


def _holds_vectors(kind: pa.DataType) -> bool:
    return is_list(kind) and is_number(kind.value_type)


def vectors_of(batch: Batch) -> Iterator[Vectors]:
    """The vectors of a batch, column by column."""
    for name in columns_of(batch)[0]:
        column = batch.data[name]
        if batch.encoder is not None and is_string(column.type):
            column = encoded(batch.encoder, column)
        yield from by_dim(name, column)


def by_dim(name: str, column: pa.Array) -> Iterator[Vectors]:
    """The vectors of one column, those of each dimension together."""
    from dataguard.kernels.units import MOST_DIM, units

    lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    values = _numbers(column.flatten())
    ends = np.cumsum(lengths)
    for dim in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == dim)
        if 0 < dim <= MOST_DIM:
            made, norms = units(values, ends[rows] - dim, dim)
        else:  # counted as what they are, and not compared
            made, norms = np.zeros((len(rows), 0), np.int16), np.ones(len(rows))
        yield Vectors(name, dim, rows, made, norms)


def _numbers(values: pa.Array) -> npt.NDArray[Any]:
    """Numbers as 32- or 64-bit floats; nulls are NaN."""
    if pa.types.is_floating(values.type) and values.type.bit_width <= 32 and not values.null_count:
        return np.asarray(values.to_numpy(zero_copy_only=False)).astype(np.float32, copy=False)
    if pa.types.is_float16(values.type):
        values = values.cast(pa.float32())
    return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)

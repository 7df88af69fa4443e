"""Encoders of texts: how a rule about vectors comes to see texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataguard.errors import DataguardError

AT_ONCE = 1024
"""Texts that an encoder is given at once."""


@runtime_checkable
class Encoder(Protocol):
    """Makes vectors of texts. Any object with this method is one.

    The same text should come out as the same vector whatever it is given with: which texts come together depends on
    the size of batches. It works in other processes, so it is pickled once, on its way there: its class must stand in a
    module that can be imported, and what is large (a model's weights) is best read when it is first needed.
    """

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """A vector of each text: float32 of shape (n, d), d being the same at every call."""
        ...


def encoded(encoder: Encoder, texts: pa.Array) -> pa.Array:
    """The vectors of a column of strings, as large lists of floats; null where there is no text.

    Raises:
        DataguardError: the encoder gave something else.
    """
    there = np.flatnonzero(texts.is_valid().to_numpy(zero_copy_only=False))
    parts = []
    for first in range(0, len(there), AT_ONCE):
        some = texts.take(pa.array(there[first : first + AT_ONCE])).to_pylist()
        parts.append(_checked(encoder.encode(some), len(some)))
    dims = {part.shape[1] for part in parts}
    if len(dims) > 1:
        raise DataguardError(f"expected vectors of one dimension from the encoder, got {sorted(dims)}")
    dim = dims.pop() if dims else 0
    lengths = np.zeros(len(texts), np.int64)
    lengths[there] = dim
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]))
    values = np.concatenate([np.empty(0, np.float32), *(part.ravel() for part in parts)])
    return pa.LargeListArray.from_arrays(offsets, pa.array(values))


def _checked(vectors: object, count: int) -> npt.NDArray[np.float32]:
    if (
        not isinstance(vectors, np.ndarray)
        or vectors.ndim != 2
        or len(vectors) != count
        or not vectors.shape[1]
    ):
        got = f"shape {vectors.shape}" if isinstance(vectors, np.ndarray) else type(vectors).__name__
        raise DataguardError(f"expected an array of {count} vectors from the encoder, got {got}")
    if vectors.dtype.kind != "f":
        raise DataguardError(f"expected floats from the encoder, got {vectors.dtype}")
    return np.ascontiguousarray(vectors, np.float32)

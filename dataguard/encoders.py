"""An encoder of texts that needs no model: words and pairs of neighbouring words, hashed with a key.

Each is added with a sign at four places of the vector (feature hashing: Weinberger et al., "Feature hashing for large scale
multitask learning", 2009; several places as in a sparse random projection: Li, Hastie and Church, 2006). Places and
signs follow from a key, so that nobody without it can write texts whose vectors meet. In scripts without spaces each
character is a word here, so that pairs are of characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataguard.errors import UsageError
from dataguard.records.encoder import Encoder
from dataguard.words import hash_key

__all__ = ["Encoder", "HashedNgrams"]


@dataclass(frozen=True)
class HashedNgrams:
    """Words and pairs of words, hashed.

    Args:
        key: 32 bytes; of the project's secret in a scan.
        dim: numbers of a vector, a power of two.
    """

    key: bytes = field(default=bytes(32), repr=False)
    dim: int = 256

    def __post_init__(self) -> None:
        if self.dim < 2 or self.dim > 1 << 15 or self.dim & (self.dim - 1):
            raise UsageError(f"expected a power of two up to {1 << 15} as dimension, got {self.dim}")

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Float32 of shape (n, dim), of length 1; zero for texts without words."""
        from dataguard.kernels.ngrams import ngrams
        from dataguard.kernels.tokens import tokenise

        values = pa.array(list(texts), pa.large_string())
        _, offsets, data = values.buffers()
        bounds = np.frombuffer(offsets, np.int64)[: len(values) + 1] if len(values) else np.zeros(1, np.int64)
        read = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
        words = tokenise(read, bounds, hash_key(self.key, "words of the encoder"))
        return ngrams(words.ids, words.ends, self.dim, hash_key(self.key, "places of the encoder"))

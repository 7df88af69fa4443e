"""SHA-256 of many messages that stand one after the other in one buffer."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Digests = npt.NDArray[np.uint8]  # shape (n, 32)


def sha256_each(data: memoryview, offsets: Sequence[int]) -> Digests:
    """Digest of every message ``data[offsets[i]:offsets[i + 1]]``.

    Args:
        data: the messages, back to back.
        offsets: n + 1 plain integers that do not fall.

    Returns:
        uint8 of shape (n, 32).
    """
    # One call a message through OpenSSL is what limits short rows: nothing else belongs into this loop.
    joined = b"".join([sha256(data[start:end]).digest() for start, end in pairwise(offsets)])
    return np.frombuffer(joined, np.uint8).reshape(-1, 32)

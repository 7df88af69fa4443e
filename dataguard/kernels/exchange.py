"""Signatures handed to datasketch, whose indexes can hold them (in any of its storages), and taken from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dataguard.errors import UsageError
from dataguard.kernels.minhash import SLOTS, permutations
from dataguard.kernels.shingles import U32

if TYPE_CHECKING:
    from datasketch import MinHash

SCHEME = "affine32"


def to_datasketch(signatures: U32, seed: int) -> list[MinHash]:
    """Signatures as objects of datasketch, to be put into its `MinHashLSH` or asked for in one.

    They are copies. `update` of one of them takes a shingle's hash (`shingles.shingle`, an integer below 2^32),
    not bytes.

    Args:
        signatures: u32[n, 128], of `minhash.signatures`.
        seed: of the permutations that they were made with.

    Returns:
        n objects, in the same order.

    Raises:
        UsageError: other numbers of slots or types of numbers, or a seed that does not fit.
    """
    from datasketch import MinHash

    if signatures.ndim != 2 or signatures.shape[1] != SLOTS or signatures.dtype != np.uint32:
        raise UsageError(
            f"signatures must be uint32 of shape (n, {SLOTS}), not {signatures.dtype} of {signatures.shape}"
        )
    drawn = np.stack(permutations(seed))  # once for all: drawing them costs more than the rest
    return [
        MinHash(seed=seed, scheme=SCHEME, hashvalues=row, permutations=drawn, hashfunc=shingle_hash)
        for row in signatures
    ]


def from_datasketch(minhashes: Sequence[MinHash], seed: int) -> U32:
    """Signatures of objects of datasketch, to be compared with our own.

    Whether they were made of the same shingles, hashed with the same salt, cannot be seen from them.

    Args:
        minhashes: objects with 128 slots of the scheme affine32; lean ones too.
        seed: the one that they must have.

    Returns:
        u32[n, 128], in the same order.

    Raises:
        UsageError: one has another scheme, number of slots, seed, or permutations that are not of its seed.
    """
    drawn = np.stack(permutations(seed))
    out = np.empty((len(minhashes), SLOTS), np.uint32)
    for number, minhash in enumerate(minhashes):
        came = {"scheme": minhash.scheme, "slots": len(minhash.hashvalues), "seed": minhash.seed}
        expected = {"scheme": SCHEME, "slots": SLOTS, "seed": seed}
        if came != expected:
            raise UsageError(
                f"signature {number}: expected {_said(expected)}, not {_said(came)}",
                f"make it with MinHash(num_perm={SLOTS}, seed={seed}, scheme={SCHEME!r}, hashfunc=...)",
            )
        theirs = getattr(minhash, "permutations", drawn)  # lean ones have none
        if theirs is not drawn and not np.array_equal(theirs, drawn):
            raise UsageError(f"signature {number}: its permutations are not those of its seed, {seed}")
        out[number] = minhash.hashvalues
    return out


def shingle_hash(value: int) -> int:
    """The hash function given to datasketch: its inputs are hashes already."""
    return value


def _said(facts: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())

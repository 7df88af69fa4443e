"""Ordered Merkle trees over 32-byte leaf digests: RFC 6962 section 2.1, proofs as in RFC 9162 section 2.1.3.

Roots are of ordered trees and never sums or XORs of digests: for those, other rows with an equal result are found
by linear algebra in a moment (``tests/test_digests.py`` keeps such a forgery).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from dataguard.digests.hashing import Digests, sha256_each
from dataguard.errors import UsageError

EMPTY_ROOT = sha256(b"").digest()


class RowTree:
    """The root of leaves that come in pieces; how they are cut does not matter.

    Holds at most one waiting node a level, so log2(n) digests whatever the number of leaves.
    """

    def __init__(self) -> None:
        self.size = 0
        self._waiting: list[Digests | None] = []  # by level: the left sibling that has no right one yet

    def append(self, leaves: Digests) -> None:
        """Add leaf digests at the end.

        Args:
            leaves: uint8 of shape (n, 32).

        Raises:
            UsageError: another shape or dtype.
        """
        nodes = _as_digests(leaves)
        self.size += len(nodes)
        level = 0
        while len(nodes):
            if level == len(self._waiting):
                self._waiting.append(None)
            left = self._waiting[level]
            if left is not None:
                nodes = np.concatenate([left, nodes])
            paired = len(nodes) // 2 * 2
            # A copy: a view would keep the whole level in memory.
            self._waiting[level] = nodes[paired:].copy() if paired < len(nodes) else None
            nodes = _parents(nodes[:paired])
            level += 1

    def root(self) -> bytes:
        """Root of the leaves so far, 32 bytes; of no leaf it is SHA-256 of nothing."""
        root: bytes | None = None
        for node in self._waiting:
            if node is not None:
                root = node.tobytes() if root is None else _parent(node.tobytes(), root)
        return EMPTY_ROOT if root is None else root


def tree_root(leaves: Digests | Sequence[bytes]) -> bytes:
    """Merkle tree hash of leaf digests.

    Args:
        leaves: uint8 of shape (n, 32), or n byte strings of 32.

    Returns:
        32 bytes; SHA-256 of nothing for no leaf.

    Raises:
        UsageError: leaves of another size.
    """
    tree = RowTree()
    tree.append(_as_digests(leaves))
    return tree.root()


def inclusion_proof(leaves: Digests | Sequence[bytes], index: int) -> list[bytes]:
    """Audit path of one leaf, from the leaf up.

    Args:
        leaves: all leaves of the tree.
        index: which leaf, from 0.

    Returns:
        At most ceil(log2(n)) digests.

    Raises:
        UsageError: leaves of another size, or no leaf of that index.
    """
    nodes = _as_digests(leaves)
    if not 0 <= index < len(nodes):
        raise UsageError(f"expected a leaf index below {len(nodes)}, got {index}")
    path = []
    while len(nodes) > 1:
        sibling = index ^ 1
        if sibling < len(nodes):  # else: the last node of an odd level moves up as it is
            path.append(nodes[sibling].tobytes())
        paired = len(nodes) // 2 * 2
        nodes = np.concatenate([_parents(nodes[:paired]), nodes[paired:]])
        index >>= 1
    return path


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof shows that the leaf is the index-th of a tree of that size and root (RFC 9162 2.1.3.2).

    Args:
        leaf: leaf digest.
        index: its place, from 0.
        size: number of leaves of the tree.
        proof: audit path from the leaf up; hostile ones are answered with False.
        root: the trusted root.
    """
    if not 0 <= index < size or any(len(digest) != 32 for digest in (leaf, root, *proof)):
        return False
    node, last = leaf, size - 1
    for sibling in proof:
        if last == 0:
            return False
        if index & 1 or index == last:
            node = _parent(sibling, node)
            while not index & 1 and index:  # levels on which this node had no sibling
                index, last = index >> 1, last >> 1
        else:
            node = _parent(node, sibling)
        index, last = index >> 1, last >> 1
    return last == 0 and node == root


def _as_digests(leaves: Digests | Sequence[bytes]) -> Digests:
    if not isinstance(leaves, np.ndarray):
        if any(len(leaf) != 32 for leaf in leaves):
            raise UsageError("expected leaf digests of 32 bytes each")
        return np.frombuffer(b"".join(leaves), np.uint8).reshape(-1, 32)
    if leaves.dtype != np.uint8 or leaves.ndim != 2 or leaves.shape[1] != 32:
        raise UsageError(
            f"expected uint8 leaves of shape (n, 32), got {leaves.dtype} of shape {leaves.shape}"
        )
    return leaves


def _parent(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _parents(nodes: Digests) -> Digests:
    pairs = len(nodes) // 2
    messages = np.empty((pairs, 65), np.uint8)
    messages[:, 0] = 1
    messages[:, 1:] = nodes.reshape(pairs, 64)
    return sha256_each(messages.reshape(-1).data, range(0, 65 * pairs + 1, 65))

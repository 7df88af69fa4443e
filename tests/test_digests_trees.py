"""Merkle trees, proofs, and the roots of files and data sets."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataguard import digests
from dataguard.errors import UsageError

VECTORS = json.loads(Path(__file__).with_name("vectors").joinpath("dg-row-1.json").read_text("utf-8"))
ENTRY = digests.FileEntry("a.parquet", 10, b"s" * 32, 3, b"r" * 32)


def sha(message: bytes) -> bytes:
    return hashlib.sha256(message).digest()


def leaves(count: int) -> list[bytes]:
    return [sha(b"\x00" + str(at).encode()) for at in range(count)]


def split(size: int) -> int:
    """The largest power of two below the size, where RFC 6962 cuts a tree."""
    return 1 << (size - 1).bit_length() - 1


def naive_root(of: Sequence[bytes]) -> bytes:
    """RFC 6962 section 2.1, as its recursion is written."""
    if len(of) < 2:
        return of[0] if of else sha(b"")
    cut = split(len(of))
    return sha(b"\x01" + naive_root(of[:cut]) + naive_root(of[cut:]))


def naive_proof(index: int, of: Sequence[bytes]) -> list[bytes]:
    """RFC 6962 section 2.1.1, as its recursion is written."""
    if len(of) == 1:
        return []
    cut = split(len(of))
    if index < cut:
        return [*naive_proof(index, of[:cut]), naive_root(of[cut:])]
    return [*naive_proof(index - cut, of[cut:]), naive_root(of[:cut])]


def as_array(of: Sequence[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(of), np.uint8).reshape(-1, 32)


@pytest.mark.parametrize("vector", VECTORS["trees"], ids=lambda vector: len(vector["leaves"]))
def test_the_vectors_of_certificate_transparency(vector: dict[str, Any]) -> None:
    of = [bytes.fromhex(leaf) for leaf in vector["leaves"]]
    assert digests.tree_root(of).hex() == naive_root(of).hex() == vector["root"]


@pytest.mark.parametrize(
    "vector", VECTORS["proofs"], ids=lambda vector: f"{vector['index']} of {vector['size']}"
)
def test_the_vectors_of_proofs(vector: dict[str, Any]) -> None:
    tree = VECTORS["trees"][vector["size"]]
    of = [bytes.fromhex(leaf) for leaf in tree["leaves"]]
    proof = [bytes.fromhex(node) for node in vector["proof"]]
    assert digests.inclusion_proof(of, vector["index"]) == proof
    assert digests.verify_inclusion(
        of[vector["index"]], vector["index"], len(of), proof, bytes.fromhex(tree["root"])
    )


@pytest.mark.parametrize("size", [*range(34), 127, 128, 129, 1000])
def test_roots_equal_the_recursive_definition(size: int) -> None:
    assert (
        digests.tree_root(leaves(size))
        == digests.tree_root(as_array(leaves(size)))
        == naive_root(leaves(size))
    )


@settings(deadline=None)
@given(st.lists(st.integers(0, 70), max_size=8))
def test_how_leaves_are_cut_does_not_matter(sizes: list[int]) -> None:
    of, tree, at = leaves(sum(sizes)), digests.RowTree(), 0
    for size in sizes:
        tree.append(as_array(of[at : at + size]))
        at += size
        assert tree.root() == naive_root(of[:at])
    assert tree.size == at


@pytest.mark.parametrize("size", range(1, 20))
def test_every_leaf_is_proved_and_no_other(size: int) -> None:
    of = leaves(size)
    root = digests.tree_root(of)
    for index in range(size):
        proof = digests.inclusion_proof(of, index)
        assert proof == naive_proof(index, of)
        assert digests.verify_inclusion(of[index], index, size, proof, root)
        wrong = [
            (sha(b"other"), index, size, proof, root),
            (of[index], index, size, proof, sha(b"other")),
            (of[index], index, size, [*proof, root], root),
            (of[index], index, size, [root, *proof], root),
            (of[index], -1, size, proof, root),
            (of[index], size, size, proof, root),
            (of[index], index, 0, proof, root),
            (of[index][:31], index, size, proof, root),
            (of[index], index, size, [*proof[:-1], b"short"], root),
            *((of[index], other, size, proof, root) for other in range(size) if other != index),
            *((of[index], index, size, proof[:at] + proof[at + 1 :], root) for at in range(len(proof))),
            *(
                (of[index], index, size, [*proof[:at], sha(b"x"), *proof[at + 1 :]], root)
                for at in range(len(proof))
            ),
        ]
        assert not any(digests.verify_inclusion(*case) for case in wrong)


def test_a_node_does_not_pass_as_a_leaf() -> None:
    """Leaves and nodes are hashed with another first byte, so the two leaves below a node cannot be hidden."""
    of = leaves(4)
    inner = [sha(b"\x01" + of[0] + of[1]), sha(b"\x01" + of[2] + of[3])]
    assert digests.tree_root([sha(b"\x00" + node) for node in inner]) != digests.tree_root(of)


def test_leaves_of_another_size_are_refused() -> None:
    for wrong in (
        [b"short"],
        np.zeros((2, 16), np.uint8),
        np.zeros((2, 32), np.int64),
        np.zeros(32, np.uint8),
    ):
        with pytest.raises(UsageError, match="32"):
            digests.tree_root(wrong)
    with pytest.raises(UsageError, match="below 3, got 3"):
        digests.inclusion_proof(leaves(3), 3)


# ---- why roots are ordered trees


def equal_xor(deltas: list[int]) -> list[int]:
    """Indices of a non-empty subset whose XOR is zero, by Gaussian elimination; any 257 of 256 bits have one."""
    basis: dict[int, tuple[int, set[int]]] = {}
    for at, delta in enumerate(deltas):
        used = {at}
        while delta:
            known = basis.get(delta.bit_length())
            if known is None:
                basis[delta.bit_length()] = (delta, used)
                break
            delta, used = delta ^ known[0], used ^ known[1]
        else:
            return sorted(used)
    return []


def test_a_set_with_an_equal_xor_of_digests_is_forged_but_its_root_differs() -> None:
    def row_digests(texts: list[str]) -> np.ndarray:
        return digests.record_digests(pa.record_batch({"text": texts}))

    def xor(of: np.ndarray) -> bytes:
        return np.bitwise_xor.reduce(of).tobytes()

    honest = [f"an honest record {at}" for at in range(257)]
    poison = [f"a poisoned record {at}" for at in range(257)]
    deltas = row_digests(honest) ^ row_digests(poison)
    swapped = equal_xor([int.from_bytes(delta.tobytes(), "big") for delta in deltas])
    forged = [poison[at] if at in swapped else text for at, text in enumerate(honest)]
    assert len(swapped) > 50
    assert xor(row_digests(forged)) == xor(row_digests(honest))
    assert digests.tree_root(row_digests(forged)) != digests.tree_root(row_digests(honest))


# ---- files and data sets


@pytest.mark.parametrize("vector", VECTORS["files"], ids=lambda vector: len(vector["row_group_roots"]))
def test_the_vectors_of_files(vector: dict[str, Any]) -> None:
    roots = [bytes.fromhex(root) for root in vector["row_group_roots"]]
    assert digests.file_root(roots).hex() == vector["root"]
    assert naive_root([sha(b"\x00" + root) for root in roots]).hex() == vector["root"]


def entry_of(file: dict[str, Any]) -> digests.FileEntry:
    return digests.FileEntry(
        file["name"], file["size"], bytes.fromhex(file["sha256"]), file["rows"], bytes.fromhex(file["root"])
    )


@pytest.mark.parametrize("vector", VECTORS["datasets"], ids=lambda vector: len(vector["files"]))
def test_the_vectors_of_data_sets(vector: dict[str, Any]) -> None:
    entries = [entry_of(file) for file in vector["files"]]
    assert (
        digests.dataset_root(entries).hex() == digests.dataset_root(reversed(entries)).hex() == vector["root"]
    )


def test_everything_of_an_entry_is_bound() -> None:
    other = dataclasses.replace(ENTRY, name="b.parquet", sha256=b"t" * 32)
    root = digests.dataset_root([ENTRY, other])
    changed = [
        [ENTRY],
        [ENTRY, dataclasses.replace(other, name="c.parquet")],
        [ENTRY, dataclasses.replace(other, size=11)],
        [ENTRY, dataclasses.replace(other, rows=4)],
        [ENTRY, dataclasses.replace(other, root=b"q" * 32)],
        [dataclasses.replace(ENTRY, name=other.name), dataclasses.replace(other, name=ENTRY.name)],
    ]
    assert root not in [digests.dataset_root(entries) for entries in changed]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([ENTRY, ENTRY], "stands twice"),
        ([dataclasses.replace(ENTRY, name="\udcff")], "UTF-8"),
        ([dataclasses.replace(ENTRY, sha256=b"")], "32 bytes"),
        ([dataclasses.replace(ENTRY, root=b"")], "32 bytes"),
        ([dataclasses.replace(ENTRY, size=-1)], r"0\.\.2\^64-1"),
        ([dataclasses.replace(ENTRY, rows=2**64)], r"0\.\.2\^64-1"),
    ],
)
def test_entries_that_cannot_be_bound_are_refused(entries: list[digests.FileEntry], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        digests.dataset_root(entries)


def test_row_group_roots_of_another_size_are_refused() -> None:
    with pytest.raises(UsageError, match="32 bytes"):
        digests.file_root([b"short"])

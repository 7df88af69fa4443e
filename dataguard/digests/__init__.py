"""Digests of records, row groups, files and data sets, the same however the rows were laid out or cut.

The written format with test vectors is ``docs/formats/dg-row-1.md``.
"""

from __future__ import annotations

from dataguard.digests.canon import CANON, UnsupportedTypeError, schema_digest
from dataguard.digests.roots import FileEntry, dataset_root, file_root
from dataguard.digests.rows import content_digests, record_digests
from dataguard.digests.trees import EMPTY_ROOT, RowTree, inclusion_proof, tree_root, verify_inclusion

__all__ = [
    "CANON",
    "EMPTY_ROOT",
    "FileEntry",
    "RowTree",
    "UnsupportedTypeError",
    "content_digests",
    "dataset_root",
    "file_root",
    "inclusion_proof",
    "record_digests",
    "schema_digest",
    "tree_root",
    "verify_inclusion",
]

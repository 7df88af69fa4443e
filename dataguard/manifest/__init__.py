"""What a data set consists of, and what changed between two of its states.

`Manifest` is the canonical text that a statement names as its one subject, `leaves` the digests' prefixes that
localise a change, `diff` the changes by file and, where the leaves are at hand, by row.
"""

from __future__ import annotations

from dataguard.manifest.changes import Change, LeavesOf, diff, file_changes, match_names
from dataguard.manifest.form import LEAVES, MANIFEST, MAX_MANIFEST, Manifest, ManifestFile, root_of_groups
from dataguard.manifest.leaves import (
    LEAF_BYTES,
    Leaves,
    check_leaves,
    leaves_digest,
    prefixes,
    read_leaves,
    write_leaves,
)
from dataguard.manifest.names import malformed, twins, unportable
from dataguard.manifest.row_changes import RowChange, row_changes

__all__ = [
    "LEAF_BYTES",
    "LEAVES",
    "MANIFEST",
    "MAX_MANIFEST",
    "Change",
    "Leaves",
    "LeavesOf",
    "Manifest",
    "ManifestFile",
    "RowChange",
    "check_leaves",
    "diff",
    "file_changes",
    "leaves_digest",
    "malformed",
    "match_names",
    "prefixes",
    "read_leaves",
    "root_of_groups",
    "row_changes",
    "twins",
    "unportable",
    "write_leaves",
]

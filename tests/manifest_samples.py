"""Manifest lines of small made-up files."""

from __future__ import annotations

import hashlib

from dataguard.digests import tree_root
from dataguard.manifest import ManifestFile, root_of_groups
from dataguard.safe_text import escape_name


def hexed(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def table(name: str, groups: list[list[str]], *, content: str = "", source: str = "web") -> ManifestFile:
    leaves = [[hashlib.sha256(record.encode()).digest() for record in group] for group in groups]
    row_groups = tuple((len(group), tree_root(group).hex()) for group in leaves)
    return ManifestFile(
        name=escape_name(name.encode()),
        size=100 + len(name),
        sha256=hexed(content, groups),
        rows=sum(map(len, groups)),
        row_groups=row_groups,
        file_root=root_of_groups(row_groups),
        schema_sha256=hexed("schema"),
        source=source,
    )

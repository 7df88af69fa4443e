"""What changed since an earlier run: files by their manifests, rows by their leaves, roles by what is pinned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from dataguard.detectors.base import CHANGES
from dataguard.manifest import MANIFEST, LeavesOf, Manifest, diff, read_leaves
from dataguard.run import Run


@dataclass(frozen=True)
class Earlier:
    """What an earlier run says of its data, read before the run at hand puts anything aside: it may be the same.

    Args:
        manifest: its files and roots.
        leaves: where its leaves lie.
        roles: columns by role.
    """

    manifest: Manifest
    leaves: Path
    roles: Mapping[str, list[str]]

    @classmethod
    def of(cls, run: Run) -> Earlier:
        """Reads it.

        Raises:
            DataguardError: it is damaged.
        """
        return cls(Manifest.parse(run.read(MANIFEST)), run.path / "leaves", run.info.get("roles", {}))


def changes_since(
    earlier: Earlier, manifest: Manifest, leaves: Path, roles: Mapping[str, Any]
) -> pl.DataFrame:
    """The table of changes: change, file, row (u64 or null), reason; sorted."""
    before = earlier.manifest
    changes = diff(
        before, manifest, old_leaves=_leaves(earlier.leaves, before), new_leaves=_leaves(leaves, manifest)
    )
    rows = [
        {"change": change.change, "file": change.file, "row": change.row, "reason": change.reason}
        for change in changes
    ]
    old = earlier.roles
    for role in sorted(old.keys() | roles["roles"].keys()):
        had, has = old.get(role, []), roles["roles"].get(role, [])
        if had != has:
            rows.append(
                {
                    "change": "roles-changed",
                    "file": "",
                    "row": None,
                    "reason": f"role {role}: {', '.join(had) or 'no column'} before, {', '.join(has) or 'no column'} now",
                }
            )
    return pl.DataFrame(rows, schema=CHANGES).sort("file", "row", "change", "reason")


def _leaves(folder: Path, manifest: Manifest) -> LeavesOf:
    def of(name: str) -> Any:
        file = manifest.by_name[name]
        return read_leaves(folder, file.sha256, file.rows)

    return of

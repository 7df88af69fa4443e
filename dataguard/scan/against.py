"""What changed since an earlier run: files by their manifests, rows by their leaves, roles by what is pinned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from dataguard.detectors.base import CHANGES
from dataguard.manifest import MANIFEST, LeavesOf, Manifest, diff, read_leaves
from dataguard.run import Run


def changes_since(earlier: Run, manifest: Manifest, run: Run, roles: Mapping[str, Any]) -> pl.DataFrame:
    """The table of changes: change, file, row (u64 or null), reason; sorted."""
    before = Manifest.parse(earlier.read(MANIFEST))
    changes = diff(before, manifest, old_leaves=_leaves(earlier, before), new_leaves=_leaves(run, manifest))
    rows = [
        {"change": change.change, "file": change.file, "row": change.row, "reason": change.reason}
        for change in changes
    ]
    old = earlier.info.get("roles", {})
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


def _leaves(run: Run, manifest: Manifest) -> LeavesOf:
    def of(name: str) -> Any:
        file = manifest.by_name[name]
        return read_leaves(run.path / "leaves", file.sha256, file.rows)

    return of

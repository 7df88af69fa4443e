"""What changed since an earlier run: files by their manifests, rows by their leaves, roles by what is pinned."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from dataguard.detectors.base import CHANGES, EARLIER, RecordDetector
from dataguard.errors import DataguardError
from dataguard.evidence import Evidence
from dataguard.manifest import MANIFEST, LeavesOf, Manifest, diff, read_leaves
from dataguard.run import Run
from dataguard.scan.work import JUDGED, WORDS
from dataguard.secret import Secret
from dataguard.words import VERSION as WORDS_VERSION


@dataclass(frozen=True)
class Earlier:
    """What an earlier run says of its data, read before the run at hand puts anything aside: it may be the same.

    Args:
        manifest: its files and roots.
        leaves: where its leaves lie.
        roles: columns by role.
        index: for each rule whose evidence serves a later run: what it was made by, and where it lies.
        folder: its evidence.
    """

    manifest: Manifest
    leaves: Path
    roles: Mapping[str, list[str]]
    index: Mapping[str, Any]
    folder: Path

    @classmethod
    def of(cls, run: Run) -> Earlier:
        """Reads it.

        Raises:
            DataguardError: it is damaged.
        """
        return cls(
            manifest=Manifest.parse(run.read(MANIFEST)),
            leaves=run.path / "leaves",
            roles=run.info.get("roles", {}),
            index=run.info.get("index", {}),
            folder=run.path / "evidence",
        )


@dataclass(frozen=True)
class Index:
    """What a rule wrote down of the records of an earlier run, for records of this one to be compared with.

    Args:
        observed: numbers of files, from EARLIER on, and evidence of the first pass.
        words: the same of their words, where the rule sweeps over words.
        judged: what the rule concluded.
        names: of the files, by number.
    """

    observed: tuple[tuple[int, Path], ...]
    words: tuple[tuple[int, Path], ...]
    judged: Path
    names: Mapping[int, str]

    @classmethod
    def of(cls, earlier: Earlier, detector: RecordDetector, secret: Secret) -> Index:
        """The index of one rule, checked against the ledger of the earlier run.

        Raises:
            DataguardError: there is none, it was made in another way, or it was tampered with.
        """
        code = detector.rule.code
        found = earlier.index.get(code)
        if found is None:
            raise DataguardError(
                f"the earlier run has no index of {code}", "scan that data again with the rule"
            )
        made_by = made_in(detector, secret)
        made = found.get("made") if isinstance(found, dict) else None
        if made != made_by:
            known = made if isinstance(made, dict) else {}
            differs = ", ".join(key for key in sorted(made_by) if known.get(key) != made_by[key])
            raise DataguardError(f"the earlier run's index of {code} was made with another {differs}")
        if not hmac.compare_digest(str(found.get("mac")).encode(), index_mac(found, secret).encode()):
            raise DataguardError(
                f"the earlier run's index of {code} was changed after it was written",
                "scan that data again into a new run",
            )
        evidence = Evidence(earlier.folder, secret)
        evidence.recall()
        items = found["items"]
        pieces = [(code, key) for _, _, key, _ in items]
        # A rule that sweeps over no words needs none.
        words = [(EARLIER + int(number), (WORDS, key)) for number, _, _, key in items if key]
        bad = evidence.untrue([*pieces, *(piece for _, piece in words), (JUDGED, found["judged"])])
        if bad:
            raise DataguardError(
                f"the earlier run's index of {code} was changed after it was written: {bad[0]}"
            )
        numbers = [EARLIER + int(number) for number, _, _, _ in items]
        return cls(
            observed=tuple(zip(numbers, (evidence.path(*one) for one in pieces), strict=True)),
            words=tuple((number, evidence.path(*piece)) for number, piece in words),
            judged=evidence.path(JUDGED, found["judged"]),
            names={number: name for number, (_, name, _, _) in zip(numbers, items, strict=True)},
        )


def indexes_of(
    earlier: Earlier, detectors: Sequence[RecordDetector], secret: Secret
) -> tuple[dict[str, Index], dict[str, str]]:
    """The index of each rule that compares records with those of an earlier run, and why others have none, by rule."""
    found, lost = {}, {}
    for detector in detectors:
        if detector.incremental:
            try:
                found[detector.rule.code] = Index.of(earlier, detector, secret)
            except DataguardError as error:
                lost[detector.rule.code] = str(error)
    return found, lost


def index_mac(index: Mapping[str, Any], secret: Secret) -> str:
    """The HMAC under the project's secret of an index as it stands in run.json: nothing may be left out of it."""
    body = json.dumps({key: value for key, value in index.items() if key != "mac"}, sort_keys=True)
    return hmac.digest(secret.derive("index"), body.encode(), "sha256").hex()


def made_in(detector: RecordDetector, secret: Secret) -> dict[str, Any]:
    """What must be equal for evidence of two runs to be related."""
    return {
        "version": detector.rule.version,
        "options": detector.options(),
        "words": WORDS_VERSION,
        "secret": secret.key_id,
    }


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

"""Signing a run: only what still is as it was screened, and only with the outcome that it had."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataguard.attest import envelope
from dataguard.attest.keys import load_private
from dataguard.attest.recompute import Decoded, Recompute, digest_files, isolated
from dataguard.attest.statement import make_statement
from dataguard.config import Limits
from dataguard.engine import LocalEngine
from dataguard.errors import RefusedError, RunError
from dataguard.manifest import MANIFEST, Manifest, ManifestFile, leaves_digest
from dataguard.records import list_files
from dataguard.records.tables import Named
from dataguard.safe_text import escape_name, safe_text
from dataguard.scan import table_folders

if TYPE_CHECKING:
    import polars as pl

    from dataguard.run import Run

ATTESTATION = "attestation.intoto.jsonl"
NEVER_SIGNED = {
    "DG505": "a file changed while it was read",
    "DG508": "evidence was planted or edited, or a canary stands in the data",
}
WHOLE = ("read", "other")
ENDED = ("clear", "flagged", "not-applicable")


def attest(
    run: Run,
    key: Path,
    *,
    data: Path | None = None,
    recompute: Recompute | None = None,
    allow_incomplete: bool = False,
) -> Path:
    """Reads the data again, independently of the scan, and signs what was screened if it is still the same.

    Args:
        run: a scanned run; a failed verdict is signed with its outcome.
        key: the private key.
        data: where the data lies now, if it moved.
        recompute: how the files are decoded again; in worker processes by default.
        allow_incomplete: sign a run that did not read everything, as incomplete.

    Returns:
        The attestation, ``attestation.intoto.jsonl`` in the run.

    Raises:
        RefusedError: the key is none; the run is incomplete, or trusted file times; something changed during or
            after the scan, with the file's name.
        RunError: the run is damaged.
    """
    signer = load_private(key)
    try:
        with run.locked():  # no scan writes into the run meanwhile
            payload = _checked_statement(run, data, recompute, allow_incomplete=allow_incomplete)
            return run.write(ATTESTATION, envelope.sign(payload, [signer]))
    except (KeyError, TypeError) as error:
        raise RunError(
            f"run.json of {run.path} is not as this version writes it ({error})", "scan again"
        ) from error


def _checked_statement(
    run: Run, data: Path | None, recompute: Recompute | None, *, allow_incomplete: bool
) -> bytes:
    info = run.info
    manifest = _manifest(run, info)
    complete = _complete(run, info, allow_incomplete=allow_incomplete)
    manifest.check_portable()
    root, given = _place(info, manifest, data)
    if given:
        _check_listing(run, manifest, given)
    limits = Limits(**info["limits"])
    again = recompute or isolated(limits)
    apart = _left_out(info, manifest, root, limits)
    found = again(root, [name for name in manifest.by_name if name not in apart])
    _check_files(run, manifest, chain(found, _digested(root, sorted(apart))))
    attested = datetime.now(UTC).isoformat(timespec="seconds")
    return make_statement(run, manifest, complete=complete, attested=attested)


def _left_out(info: Mapping[str, Any], manifest: Manifest, root: Path, limits: Limits) -> set[str]:
    """The files whose records were not read because their table does not count them: asked of its metadata anew."""
    named = {
        one["folder"]: Named(one["kind"], one["wanted"]) for one in info.get("tables", ()) if one["named"]
    }
    names = list(manifest.by_name)
    with LocalEngine(workers=1, memory=limits.memory_bytes, seconds=limits.item_seconds) as engine:
        tables = table_folders.tables_of(names, root, named, limits, engine)
    if table_folders.facts(tables).get("tables", []) != info.get("tables", []):
        raise RefusedError(
            "a table's metadata say otherwise than when it was scanned", "look into it, then scan again"
        )
    return table_folders.left_out(tables, names)


def _digested(root: Path, names: list[str]) -> Iterator[Decoded]:
    for name, stamp, found in digest_files(root, names):
        if stamp is None:
            yield Decoded(ManifestFile.other(name=name, size=0, sha256="0" * 64), problem=found)
        else:
            yield Decoded(ManifestFile.other(name=name, size=stamp.size, sha256=found))


def _manifest(run: Run, info: Mapping[str, Any]) -> Manifest:
    """The manifest, if it is the one of this scan."""
    data = run.read(MANIFEST)
    manifest = Manifest.parse(data)
    if manifest.sha256() != info.get("manifest_sha256") or manifest.root != info.get("screened_root"):
        raise RefusedError(f"{run.path / MANIFEST} is not the manifest of this scan", "scan again")
    return manifest


def _complete(run: Run, info: Mapping[str, Any], *, allow_incomplete: bool) -> bool:
    """Whether the run may be signed as complete; what the flag says is checked against the tables."""
    if info.get("trust_stat") is not False:
        raise RefusedError(
            "this run took files as unchanged by their times", "scan again without --trust-stat"
        )
    if info.get("canaries", 0) != 0:  # whether DG508 was among the chosen rules or not
        raise RefusedError(
            "DG508: canaries stand in the data; such a run is never signed", "take them out, then scan again"
        )
    findings = run.table("findings")
    for rule, why in NEVER_SIGNED.items():
        if (findings["rule"] == rule).any():
            raise RefusedError(f"{rule}: {why}; such a run is never signed", "look into it, then scan again")
    unread = _other_than(run.table("files"), "status", WHOLE, "file")
    open_ended = _other_than(run.table("outcomes"), "outcome", ENDED, "rule")
    complete = info.get("complete") is True and not unread and not open_ended
    if not complete and not allow_incomplete:
        which = ", ".join(safe_text(name) for name in (unread + open_ended)[:3]) or "run.json says so"
        raise RefusedError(
            f"this run is incomplete ({which}) and cannot be signed as complete",
            "see files.parquet and outcomes.parquet, mend what is named there, and scan again",
        )
    return complete


def _other_than(table: pl.DataFrame, column: str, good: tuple[str, ...], name: str) -> list[str]:
    """The names of the rows whose column holds something else, null included."""
    import polars as pl

    bad = table.filter(~pl.col(column).is_in(good).fill_null(value=False))
    return bad[name].to_list()


def _place(info: Mapping[str, Any], manifest: Manifest, data: Path | None) -> tuple[Path, list[Path]]:
    """The root, and what of it was given to the scan; nothing where that cannot be told any more."""
    root = Path(info["root"]) if data is None else data
    if not root.exists():
        raise RunError(
            f"expected the data in {root}, but it does not exist", "say with --data where it lies now"
        )
    if data is not None:
        return (data, [data]) if data.is_dir() else (data.parent, [data])
    given = [Path(path) for path in info["data"]]
    if len(given) == 1:
        alone = escape_name(os.fsencode(given[0].name))
        return root, [root / given[0].name if list(manifest.by_name) == [alone] else root]
    return root, given if all(path.exists() for path in given) else []


def _check_listing(run: Run, manifest: Manifest, given: list[Path]) -> None:
    """Refuses files that came or went since the scan."""
    found = {entry.name: entry.refused for entry in list_files(given).entries}
    for name in sorted(found.keys() - set(run.table("files")["file"])):
        raise _changed(name, "it is new")
    for name in sorted(manifest.by_name):
        if found.get(name, "it is gone"):
            raise _changed(name, found.get(name, "it is gone"))


def _check_files(run: Run, manifest: Manifest, found: Iterator[Decoded]) -> None:
    """Refuses any file whose bytes or records are not those of the manifest, and leaves that are not theirs."""
    statuses = dict(run.table("files").select("file", "status").iter_rows())
    left = dict(manifest.by_name)
    leaves = {}
    for now in found:
        stated = left.pop(now.file.name)
        if now.file.sha256 != stated.sha256 or now.file.size != stated.size or now.moved:
            raise _changed(stated.name, now.problem or "its bytes are others")
        if statuses.get(stated.name) not in WHOLE:
            continue  # signed as incomplete: its bytes are as they were, its records were not all read
        if now.problem or now.broken:
            why = now.problem or now.broken[0].reason
            raise _changed(stated.name, f"it was read then and is not now: {why}")
        if _records(now.file) != _records(stated):
            raise _changed(stated.name, "its bytes are equal, its records are not: two readers disagree")
        if stated.schema_sha256:
            leaves[stated.sha256] = now.leaves_sha256
    if left:
        raise RefusedError(f"file {safe_text(min(left))} was not read again: it cannot be signed")
    if (
        manifest.leaves_sha256
        and set(statuses.values()) <= set(WHOLE)
        and leaves_digest(leaves) != manifest.leaves_sha256
    ):
        raise RefusedError("the manifest names leaves that are not those of the data", "scan again")


def _records(file: ManifestFile) -> tuple[object, ...]:
    return file.rows, file.row_groups, file.file_root, file.schema_sha256


def _changed(name: str, why: str) -> RefusedError:
    return RefusedError(
        f"file {safe_text(name)} changed during or after the scan: {why}", "look into it, then scan again"
    )

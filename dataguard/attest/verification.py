"""Verifying: is this data, to the byte, what the holder of this key signed?

In this order, and nothing of a step before the one above it held: size limits and strict JSON, base64, payload
type, signature by the caller's key, statement, manifest, names, folder, bytes, records.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dataguard.attest.envelope import MAX_BYTES, parse_envelopes
from dataguard.attest.files import read_bounded
from dataguard.attest.keys import PublicKey, load_public
from dataguard.attest.recompute import Decoded, Recompute, digest_files, isolated
from dataguard.attest.statement import Statement
from dataguard.config import Limits
from dataguard.errors import RefusedError, UsageError
from dataguard.manifest import (
    LEAVES,
    MANIFEST,
    MAX_MANIFEST,
    Leaves,
    Manifest,
    ManifestFile,
    check_leaves,
    file_changes,
    match_names,
    read_leaves,
)
from dataguard.records import Listing, list_files
from dataguard.records.copies import Fetched, fetch
from dataguard.records.stores import Store
from dataguard.safe_text import safe_text
from dataguard.scan.lance_copies import LanceCopies, checked, written
from dataguard.scan.progress import Silent

MAX_NAMED = 10_000
"""Problems that are listed; a folder flooded with files does not fill the memory."""


@dataclass(frozen=True)
class Problem:
    """One way in which the data is not what was signed.

    Args:
        kind: ``changed``, ``missing``, ``extra``, ``renamed``, ``unreadable`` (a file that is no regular file or
            cannot be read), ``hard-link``, ``schema-changed``, ``row-changed``, ``row-added``, ``row-removed``,
            ``row-unreadable``, ``records-differ``, ``leaves``, ``incomplete`` or ``more``.
        file: escaped name, empty where it is about the set.
        row: its number in the data, for ``row-removed`` in what was signed; None where no row is named.
        reason: in words.
    """

    kind: str
    file: str
    row: int | None
    reason: str


@dataclass(frozen=True)
class Verification:
    """What came of it. The signature, the statement and the manifest held, or there would be none of this.

    Args:
        problems: sorted by file and row; empty if the data is what was signed.
        dataset: name, version and purpose that were signed.
        passed: what the gate had decided when it was signed; None if it was not asked.
        key_id: the key whose signature held, SHA-256 of its SubjectPublicKeyInfo.
        manifest_sha256: the manifest that was signed.
        files: files that were signed.
        rows: records that were signed.
        records: whether the records were decoded and compared too.
    """

    problems: tuple[Problem, ...]
    dataset: Mapping[str, str]
    passed: bool | None
    key_id: str
    manifest_sha256: str
    files: int
    rows: int
    records: bool

    @property
    def ok(self) -> bool:
        """Whether the data is what was signed, wholly."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """For machines: all fields, and `ok`."""
        return {"ok": self.ok, **asdict(self)}


def verify(
    data: Path,
    attestation: Path,
    key: Path,
    *,
    manifest: Path | None = None,
    records: bool = False,
    recompute: Recompute | None = None,
    fetched: Fetched | LanceCopies | None = None,
) -> Verification:
    """Checks a data set against a signed statement, offline.

    Every regular file below `data` counts, hidden ones and the attestation itself too: what is not in the manifest
    is extra. So attestations lie beside a data set, not in it.

    Args:
        data: the data set's folder, or its one file.
        attestation: the envelope.
        key: the public key to trust, and no other.
        manifest: the manifest, if it is not beside the attestation.
        records: decode the records too, and name the rows of what changed, by the leaves beside the manifest.
        recompute: how files are decoded; in worker processes by default.
        fetched: the store that `data` is a copy of; it is asked once more in the end.

    Raises:
        UsageError: a file that was named does not exist.
        RefusedError: the key, the attestation or the manifest is not to be trusted, with the reason.
    """
    trusted = load_public(key)
    statement = _statement(read_bounded(attestation, "the attestation", max_bytes=MAX_BYTES), trusted)
    beside = manifest or attestation.parent / MANIFEST
    signed = _manifest(read_bounded(beside, "the manifest", max_bytes=MAX_MANIFEST), statement)
    again = (recompute or isolated()) if records else None
    listing = _listing(data) if fetched is None else fetched.listing()
    problems = _Check(signed, listing, beside.parent / LEAVES, records=again).run()
    if fetched is not None:
        changed = fetched.changed(Silent())
        problems += [Problem("changed", name, None, error.problem) for name, error in changed.items()]
    if not statement.complete:
        problems.append(
            Problem("incomplete", "", None, "signed as incomplete: the scan did not read or judge everything")
        )
    return Verification(
        problems=_sorted(problems),
        dataset=statement.dataset,
        passed=statement.passed,
        key_id=trusted.key_id,
        manifest_sha256=statement.manifest_sha256,
        files=len(signed.files),
        rows=signed.rows,
        records=records,
    )


def verify_store(
    store: Store, attestation: Path, key: Path, *, manifest: Path | None = None, records: bool = False
) -> Verification:
    """Checks the objects of a store against a signed statement, by copies that are gone when it returns.

    Args:
        store: the place.
        attestation: the envelope.
        key: the public key to trust, and no other.
        manifest: the manifest, if it is not beside the attestation.
        records: decode the records too.

    Raises:
        UsageError: there is nothing in the store, or no room for the copies.
        RefusedError: as for `verify`.
    """
    load_public(key)  # before anything is fetched for it
    with TemporaryDirectory(prefix="dataguard-") as folder:
        copies = fetch(store, store.listed(), Path(folder), Silent())
        return verify(copies.folder, attestation, key, manifest=manifest, records=records, fetched=copies)


def verify_lance(
    path: Path,
    version: int | None,
    attestation: Path,
    key: Path,
    *,
    manifest: Path | None = None,
    records: bool = False,
) -> Verification:
    """Checks a Lance data set against a signed statement, by fragments written anew that are gone when it returns.

    Args:
        path: the data set.
        version: which version; None for the newest.
        attestation: the envelope.
        key: the public key to trust, and no other.
        manifest: the manifest, if it is not beside the attestation.
        records: decode the records too.

    Raises:
        UsageError: there is no data set, or the package that reads it is not installed.
        RefusedError: as for `verify`.
    """
    load_public(key)  # before anything is read for it
    path = checked(path)
    with TemporaryDirectory(prefix="dataguard-") as place:
        folder = Path(place) / "data"
        folder.mkdir()
        copies = written(path, version, folder, Limits(), Silent())
        return verify(folder, attestation, key, manifest=manifest, records=records, fetched=copies)


def file_problems(signed: Manifest, data: Path) -> list[Problem]:
    """In which ways the files of a folder are not those that were signed, by their bytes alone; in no order."""
    return _Check(signed, _listing(data), data, records=None).run()


def _statement(data: bytes, key: PublicKey) -> Statement:
    """The one statement about training data that this key signed."""
    envelopes = parse_envelopes(data)
    signed = [envelope for envelope in envelopes if envelope.signers([key])]
    if len(signed) < len(envelopes):
        raise RefusedError(
            f"{len(envelopes) - len(signed)} of {len(envelopes)} statements have no valid signature by the key {key.key_id}",
            "the statement was changed, or another key signed it",
        )
    if len(signed) != 1:
        raise RefusedError(f"expected one statement, got {len(signed)}")
    return Statement.parse(signed[0].payload)


def _manifest(data: bytes, statement: Statement) -> Manifest:
    """The manifest, if it is the one that was signed and its names mean the same files everywhere."""
    found = hashlib.sha256(data).hexdigest()
    if found != statement.manifest_sha256:
        raise RefusedError(
            f"the manifest is not the one that was signed: expected SHA-256 {statement.manifest_sha256}, got {found}",
            "name the right one with --manifest",
        )
    manifest = Manifest.parse(data)
    manifest.check_portable()
    statement.check(manifest)
    return manifest


def _listing(data: Path) -> Listing:
    try:
        return list_files([data])
    except OSError as error:
        raise UsageError(
            f"expected a folder of data in {data}, but it cannot be read: {error.strerror}"
        ) from error


def _sorted(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    ordered = sorted(
        problems, key=lambda one: (one.file.encode(), one.row is not None, one.row, one.kind, one.reason)
    )
    if len(ordered) <= MAX_NAMED:
        return tuple(ordered)
    more = Problem("more", "", None, f"{len(ordered)} problems; the first {MAX_NAMED} are listed")
    return (*ordered[:MAX_NAMED], more)


class _Check:
    """Compares a folder with a manifest that can be trusted."""

    def __init__(
        self, signed: Manifest, listing: Listing, leaves: Path, *, records: Recompute | None
    ) -> None:
        self._manifest = signed
        self._listing = listing
        self._leaves_folder = leaves
        self._records = records
        self._problems: list[Problem] = []

    def run(self) -> list[Problem]:
        """All problems, in no order."""
        signed = self._manifest.by_name
        found, refused = self._digests()
        for name, why in refused.items():
            self._add("unreadable", name, why)
        before = {name: file.sha256 for name, file in signed.items() if name not in refused}
        changed = []
        for change, name, other in match_names(before, found):
            match change:
                case "renamed":
                    self._add("renamed", name, f"holds the bytes that were signed as {safe_text(other)}")
                case "added":
                    self._add("extra", name, "is not in the manifest")
                case "removed":
                    self._add("missing", name, "is in the manifest and not in the data")
                case _:
                    changed.append(name)
        if self._records is None:
            for name in changed:
                self._add("changed", name, "its bytes are others")
        else:
            same = [name for name, digest in before.items() if found.get(name) == digest]
            self._compare_records(self._records, same, changed)
        return self._problems

    def _add(self, kind: str, file: str, reason: str, row: int | None = None) -> None:
        self._problems.append(Problem(kind, file, row, reason))

    def _digests(self) -> tuple[dict[str, str], dict[str, str]]:
        """SHA-256 by name of what can be read, and why the rest cannot.

        A file whose size no signed file has is none of them, whatever is in it: its size stands for its digest.
        """
        refused = {entry.name: entry.refused for entry in self._listing.entries if entry.refused}
        names = [entry.name for entry in self._listing.entries if not entry.refused]
        sizes = {file.size for file in self._manifest.files}
        found: dict[str, str] = {}
        places: dict[tuple[int, int], str] = {}
        for name, stamp, digest in digest_files(self._listing.root, names, sizes):
            if stamp is None:
                refused[name] = digest
                continue
            found[name] = digest or f"{stamp.size} bytes"
            first = places.setdefault((stamp.device, stamp.inode), name)
            if first != name:
                self._add(
                    "hard-link",
                    name,
                    f"is the same file as {safe_text(first)}: what changes one changes both",
                )
        return found, refused

    def _compare_records(self, recompute: Recompute, same: list[str], changed: list[str]) -> None:
        """Decodes what has records: compares them where the bytes are equal, says where they differ where not."""
        signed = self._manifest.by_name
        tables = [name for name in same + changed if signed[name].schema_sha256]
        for name in set(changed) - set(tables):
            self._add("changed", name, "its bytes are others")
        unchanged = set(same)
        left = set(tables)
        for now in recompute(self._listing.root, tables) if tables else ():
            stated = signed[now.file.name]
            left.discard(stated.name)
            if stated.name not in unchanged:
                self._localise(stated, now)
            elif now.moved or now.file.sha256 != stated.sha256:
                self._add("changed", stated.name, "changed while it was verified")
            elif now.problem or now.broken:
                self._add("records-differ", stated.name, f"cannot be decoded: {_why(now)}")
            elif replace(now.file, source=stated.source) != stated:
                self._add(
                    "records-differ",
                    stated.name,
                    "the bytes that were signed, but other records come of them",
                )
        for name in left:
            self._add("records-differ", name, "was not decoded")

    def _localise(self, stated: ManifestFile, now: Decoded) -> None:
        """Names what changed in a file, down to the row if it can be decoded and the leaves are at hand."""
        if now.problem:
            self._add("changed", stated.name, f"cannot be decoded any more: {now.problem}")
            return
        leaves = self._leaves
        pair = (lambda _: leaves(stated), lambda _: now.leaves) if leaves else None
        unreadable = [range(one.first, one.first + one.rows) for one in now.broken]
        for change in file_changes(stated, now.file, pair):
            hidden = change.change != "row-removed" and any(change.row in rows for rows in unreadable)
            if not hidden:
                self._add(change.change, stated.name, change.reason, change.row)
        for one in now.broken:
            to = one.first + one.rows - 1
            self._add(
                "row-unreadable",
                stated.name,
                f"rows {one.first} to {to} cannot be decoded: {one.reason}",
                one.first,
            )

    @cached_property
    def _leaves(self) -> Callable[[ManifestFile], Leaves] | None:
        """The prefixes that were signed, by file; None if they are not at hand, which is a problem of its own."""
        try:
            check_leaves(self._leaves_folder, self._manifest)
        except RefusedError as error:
            self._add("leaves", "", f"rows cannot be named: {error.problem}")
            return None
        return lambda file: read_leaves(self._leaves_folder, file.sha256, file.rows)


def _why(now: Decoded) -> str:
    return now.problem or now.broken[0].reason

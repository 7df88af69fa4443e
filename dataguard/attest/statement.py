"""The in-toto statement about a data set: which data, where from, screened by what, with which outcome.

It has exactly one subject, the manifest: with a subject a file, a verifier could accept a part of the set, or names
that were swapped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from dataguard import strict_json
from dataguard.digests import CANON
from dataguard.errors import RefusedError, RunError
from dataguard.manifest import MANIFEST, Manifest
from dataguard.safe_text import safe_text

if TYPE_CHECKING:
    from dataguard.run import Run

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://dataguard/training-data/v0.1"
"""An identifier and no address: a host of one label can be registered by nobody, so nobody can come to own it."""
CANARIES_TYPE = "https://dataguard/adversarial-canaries/v0.1"
"""Of statements about exported canaries, which are never about training data."""
VERDICT = "verdict.json"
MAX_BYTES = 1 << 23
MAX_VERDICT = 1 << 24

_HEX = frozenset("0123456789abcdef")
T = TypeVar("T")


@dataclass(frozen=True)
class Statement:
    """What a verified statement says.

    Args:
        manifest_sha256: the one subject, hex.
        dataset: name, version and purpose.
        complete: whether every file was read and every rule ended.
        counts: files, rows and bytes of the manifest.
        screened_root: data set root over the batches that the rules saw, hex.
        passed: what the gate decided; None where it was not asked.
        predicate: all of it.
    """

    manifest_sha256: str
    dataset: Mapping[str, str]
    complete: bool
    counts: Mapping[str, int]
    screened_root: str
    passed: bool | None
    predicate: Mapping[str, Any]

    @classmethod
    def parse(cls, payload: bytes) -> Statement:
        """Reads the payload of an envelope whose signature held.

        Raises:
            RefusedError: it is not a statement of ours, with what was expected.
        """
        found = _mapping(strict_json.loads(payload, "the statement", max_bytes=MAX_BYTES), "the statement")
        if found.get("_type") != STATEMENT_TYPE:
            raise RefusedError(
                f"the statement: expected _type {STATEMENT_TYPE}, got {safe_text(found.get('_type'))}"
            )
        if found.get("predicateType") == CANARIES_TYPE:
            raise RefusedError(
                "the statement is about canaries, which are poisoned on purpose: this is no training data",
                "`dataguard verify --canaries` checks whether they are what was signed",
            )
        if found.get("predicateType") != PREDICATE_TYPE:
            kind = safe_text(found.get("predicateType"))
            raise RefusedError(f"the statement: expected predicateType {PREDICATE_TYPE}, got {kind}")
        predicate = _mapping(found.get("predicate"), "predicate")
        dataset = _mapping(predicate.get("dataset"), "dataset")
        if predicate.get("canon") != CANON:
            raise RefusedError(
                f"the statement: expected canon {CANON}, got {safe_text(predicate.get('canon'))}"
            )
        counts = _mapping(predicate.get("counts"), "counts")
        screening = _mapping(predicate.get("screening"), "screening")
        verdict = predicate.get("verdict")
        return cls(
            manifest_sha256=_subject(found.get("subject")),
            dataset={
                key: _typed(dataset.get(key), str, f"dataset.{key}") for key in ("name", "version", "purpose")
            },
            complete=_typed(predicate.get("complete"), bool, "complete"),
            counts={key: _typed(counts.get(key), int, f"counts.{key}") for key in ("files", "rows", "bytes")},
            screened_root=_digest(screening.get("screenedRoot"), "screenedRoot"),
            passed=None
            if verdict is None
            else _typed(_mapping(verdict, "verdict").get("passed"), bool, "verdict.passed"),
            predicate=predicate,
        )

    def check(self, manifest: Manifest) -> None:
        """Refuses a manifest that the statement contradicts.

        Raises:
            RefusedError: with what differs.
        """
        stated = {"files": len(manifest.files), "rows": manifest.rows, "bytes": manifest.size}
        for key, value in stated.items():
            if self.counts[key] != value:
                raise RefusedError(f"the statement counts {self.counts[key]} {key}, the manifest {value}")
        if self.screened_root != manifest.root:
            raise RefusedError("the statement is about other records than the manifest: screenedRoot differs")


def make_statement(run: Run, manifest: Manifest, *, complete: bool, attested: str) -> bytes:
    """The statement about a run, as canonical JSON.

    Args:
        run: the run, whose data was compared with the manifest.
        manifest: the one subject.
        complete: whether every file was read and every rule ended.
        attested: when, as RFC 3339.

    Raises:
        RunError: a table is absent or damaged.
        RefusedError: the verdict was given on other tables than stand in the run.
    """
    info = run.info
    counts = info["counts"]
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": MANIFEST, "digest": {"sha256": manifest.sha256()}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "dataset": {key: info["dataset"][key] for key in ("name", "version", "purpose")},
            "canon": CANON,
            "reader": info["reader"],
            "complete": complete,
            "counts": {
                "files": len(manifest.files),
                "rows": manifest.rows,
                "bytes": manifest.size,
                "decodedBytes": counts["decoded_bytes"],
                "recordsFlagged": counts["records_flagged"],
            },
            "provenance": _provenance(run),
            "screening": {
                "screenedRoot": manifest.root,
                "rules": _rules(run),
                "findings": _findings(run),
                "coverage": _coverage(run),
            },
            "verdict": _verdict(run),
            "tools": {"dataguard": info["dataguard"], **info["tools"]},
            "secretKeyId": info["secret_key_id"],
            "scan": {"started": info["started"], "finished": info["finished"]},
            "attested": attested,
        },
    }
    return strict_json.canonical(statement)


def _provenance(run: Run) -> dict[str, Any]:
    """Sources, records and bytes by status, and the records of which nobody knows where from."""
    import polars as pl

    by_status = (
        run.table("sources")
        .group_by("status")
        .agg(sources=pl.len(), records=pl.col("records").sum(), bytes=pl.col("bytes").sum())
        .sort("status")
    )
    unknown = run.table("unknown_provenance")["rows"].sum()
    return {"byStatus": by_status.to_dicts(), "unknownRecords": int(unknown)}


def _rules(run: Run) -> list[dict[str, Any]]:
    return [
        {
            "rule": row["rule"],
            "version": row["version"],
            "outcome": row["outcome"],
            "rowsSeen": row["rows_seen"],
            "optionsSha256": hashlib.sha256(row["options"].encode()).hexdigest(),
        }
        for row in run.table("outcomes").sort("rule").to_dicts()
    ]


def _findings(run: Run) -> dict[str, int]:
    """Findings by severity."""
    counted = run.table("findings")["severity"].value_counts().sort("severity")
    return dict(counted.iter_rows())


def _coverage(run: Run) -> list[dict[str, Any]]:
    """Which kinds of attack could have been seen. The reasons stay in the run: they may quote the data."""
    return [
        {
            "attack": row["attack"],
            "status": row["status"],
            "rules": row["rules"].split(", ") if row["rules"] else [],
            "records": row["records"],
            # As text: JSON writers differ in how they write a fraction.
            "measured": None
            if row["recall"] is None
            else {
                "campaigns": row["campaigns"],
                "recall": f"{row['recall']:.3f}",
                "low": f"{row['low']:.3f}",
                "high": f"{row['high']:.3f}",
                "smallest": row["smallest"],
            },
        }
        for row in run.table("coverage").sort("attack").to_dicts()
    ]


def _verdict(run: Run) -> dict[str, Any] | None:
    """What the gate decided, by which policy; None where it was not asked."""
    if not run.exists(VERDICT):
        return None
    data = run.read(VERDICT)
    found = _mapping(strict_json.loads(data, VERDICT, max_bytes=MAX_VERDICT), VERDICT)
    for name, digest in _mapping(found.get("tables"), "verdict.tables").items():
        try:
            here = hashlib.sha256(run.read(f"{name}.parquet")).hexdigest()
        except RunError:
            here = None
        if here != digest:
            raise RefusedError(
                f"the verdict was given on another table {safe_text(name)}", "gate the run again"
            )
    return {
        "passed": _typed(found.get("passed"), bool, "verdict.passed"),
        "policy": _typed(found.get("policy"), str, "verdict.policy"),
        "suites": dict(_mapping(found.get("suites"), "verdict.suites")),
        "tasks": dict(_mapping(found.get("tasks"), "verdict.tasks")),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def _subject(value: object) -> str:
    """The digest of the one subject."""
    if not isinstance(value, list) or len(value) != 1:
        raise RefusedError("the statement: expected exactly one subject, the manifest")
    subject = _mapping(value[0], "subject")
    digest = _mapping(subject.get("digest"), "subject.digest")
    if subject.get("name") != MANIFEST or digest.keys() != {"sha256"}:
        raise RefusedError(f"the statement: expected the subject {MANIFEST} by its sha256")
    return _digest(digest["sha256"], "subject.digest.sha256")


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise RefusedError(f"the statement, {where}: expected an object")
    return value


def _typed(value: object, kind: type[T], where: str) -> T:
    # A bool is an int in Python, and in nothing that is signed.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise RefusedError(f"the statement, {where}: expected {kind.__name__}, got {safe_text(value)}")
    return value


def _digest(value: object, where: str) -> str:
    text = _typed(value, str, where)
    if len(text) != 64 or not _HEX.issuperset(text):
        raise RefusedError(f"the statement, {where}: expected a SHA-256 in 64 lowercase hexadecimal digits")
    return text

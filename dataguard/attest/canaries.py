"""The statement about exported canaries: which files, of which run, and that they are poisoned on purpose.

It is of a type of its own, so that no verifier of training data can take it for one about training data; and who
checks it is told what it is about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dataguard import strict_json
from dataguard.atomic import write_atomic
from dataguard.attest import envelope
from dataguard.attest.envelope import MAX_BYTES, parse_envelopes
from dataguard.attest.files import read_bounded
from dataguard.attest.keys import SigningKey, load_public
from dataguard.attest.recompute import digest_files
from dataguard.attest.statement import CANARIES_TYPE, STATEMENT_TYPE
from dataguard.attest.statement import MAX_BYTES as MAX_STATEMENT
from dataguard.attest.verification import Problem, file_problems
from dataguard.canaries.export import LABEL
from dataguard.errors import RefusedError, RunError, UsageError
from dataguard.manifest import Manifest, ManifestFile, malformed
from dataguard.run import Run
from dataguard.safe_text import escape_name, safe_text

ATTESTATION = "adversarial-canaries.intoto.jsonl"
MOST_FILES = 1000
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class CanaryVerification:
    """What came of it. The signature and the statement held, or there would be none of this.

    Args:
        problems: sorted by file; empty if the files are what was signed.
        notice: what the statement says of them.
        key_id: the key whose signature held, SHA-256 of its SubjectPublicKeyInfo.
        files: files that were signed.
    """

    problems: tuple[Problem, ...]
    notice: str
    key_id: str
    files: int

    @property
    def ok(self) -> bool:
        """Whether the files are what was signed, wholly."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """For machines: all fields, `ok`, and that this is no training data."""
        return {"ok": self.ok, "training_data": False, **asdict(self)}


def sign_export(run: Run, paths: Sequence[Path], key: SigningKey) -> Path:
    """Signs what was exported, file by file.

    Args:
        run: whose data the canaries were made of.
        paths: the files, all in one folder.
        key: the private key.

    Returns:
        The statement, ``adversarial-canaries.intoto.jsonl`` in that folder.

    Raises:
        RunError: a file is not there any more.
    """
    folder = paths[0].parent
    names = [path.name for path in paths]
    digests = {name: (stamp, digest) for name, stamp, digest in digest_files(folder, names) if stamp}
    if len(digests) < len(names):
        raise RunError(f"expected the canaries in {folder} to be as they were written", "export them again")
    info = run.info
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": digests[name][1]}} for name in sorted(names)],
        "predicateType": CANARIES_TYPE,
        "predicate": {
            "notice": LABEL,
            "trainingData": False,
            "sizes": {name: digests[name][0].size for name in names},
            "madeFrom": {"manifestSha256": info["manifest_sha256"], "dataset": info["dataset"]},
            "tools": {"dataguard": info["dataguard"]},
            "secretKeyId": info["secret_key_id"],
            "attested": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    }
    return write_atomic(folder / ATTESTATION, envelope.sign(strict_json.canonical(statement), [key]))


def verify_export(folder: Path, attestation: Path, key: Path) -> CanaryVerification:
    """Checks a folder of canaries against the statement about them, offline.

    Args:
        folder: the files; the statement itself may lie among them.
        attestation: the envelope.
        key: the public key to trust, and no other.

    Raises:
        UsageError: a file that was named does not exist.
        RefusedError: the key or the attestation is not to be trusted, or not about canaries, with the reason.
    """
    trusted = load_public(key)
    envelopes = parse_envelopes(read_bounded(attestation, "the attestation", max_bytes=MAX_BYTES))
    if len(envelopes) != 1 or not envelopes[0].signers([trusted]):
        raise RefusedError(
            f"expected one statement with a valid signature by the key {trusted.key_id}, got "
            f"{len(envelopes)} statement(s)",
            "the statement was changed, or another key signed it",
        )
    if not folder.is_dir():
        raise UsageError(f"expected a folder of canaries, got {folder}")
    notice, signed = _parse(envelopes[0].payload)
    own = escape_name(attestation.name.encode()) if attestation.parent.resolve() == folder.resolve() else ""
    problems = [one for one in file_problems(signed, folder) if one.kind != "extra" or one.file != own]
    return CanaryVerification(
        tuple(sorted(problems, key=lambda one: (one.file.encode(), one.kind, one.reason))),
        notice,
        trusted.key_id,
        len(signed.files),
    )


def _parse(payload: bytes) -> tuple[str, Manifest]:
    """What the statement says of its files, and these as a manifest.

    Raises:
        RefusedError: it is not a statement about canaries, with what was expected.
    """
    found = _mapping(strict_json.loads(payload, "the statement", max_bytes=MAX_STATEMENT), "the statement")
    for name, expected in (("_type", STATEMENT_TYPE), ("predicateType", CANARIES_TYPE)):
        if found.get(name) != expected:
            raise RefusedError(f"the statement: expected {name} {expected}, got {safe_text(found.get(name))}")
    predicate = _mapping(found.get("predicate"), "predicate")
    notice = predicate.get("notice")
    if predicate.get("trainingData") is not False or not isinstance(notice, str):
        raise RefusedError("the statement: expected a notice, and trainingData to be false")
    sizes = _mapping(predicate.get("sizes"), "sizes")
    subjects = found.get("subject")
    if not isinstance(subjects, list) or not 0 < len(subjects) <= MOST_FILES:
        raise RefusedError(f"the statement: expected 1 to {MOST_FILES} subjects, the files")
    files = [_file(_mapping(subject, "subject"), sizes) for subject in subjects]
    if len({file.name for file in files}) < len(files) or len(sizes) != len(files):
        raise RefusedError("the statement: expected each file once, with its size")
    manifest = Manifest.of(files)
    manifest.check_portable()
    return notice, manifest


def _file(subject: Mapping[str, Any], sizes: Mapping[str, Any]) -> ManifestFile:
    name, digest = subject.get("name"), _mapping(subject.get("digest"), "subject.digest")
    if not isinstance(name, str) or malformed(name):
        raise RefusedError(f"the statement: expected the name of a file, got {safe_text(name)}")
    sha256, size = digest.get("sha256"), sizes.get(name)
    if not isinstance(sha256, str) or len(sha256) != 64 or not _HEX.issuperset(sha256):
        raise RefusedError(f"the statement: expected the SHA-256 of {safe_text(name)}")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise RefusedError(f"the statement: expected the size of {safe_text(name)}")
    return ManifestFile.other(name=name, size=size, sha256=sha256)


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise RefusedError(f"the statement, {where}: expected an object")
    return value

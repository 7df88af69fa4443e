"""DSSE envelopes: a payload, its type, and signatures over both (DSSE 1.0.2).

Nothing of an envelope is believed before a signature holds: the bytes are decoded once, verified with the caller's
keys only, and it is these same bytes that are parsed afterwards.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dataguard import strict_json
from dataguard.attest.keys import PublicKey, SigningKey
from dataguard.errors import RefusedError
from dataguard.safe_text import safe_text

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_BYTES = 1 << 24
MAX_ENVELOPES = 100
MAX_SIGNATURES = 100
MAX_SIGNATURE_BYTES = 1 << 12

_URL_SAFE = str.maketrans("-_", "+/")


@dataclass(frozen=True)
class Signature:
    """One signature of an envelope.

    Args:
        key_id: which key is said to have made it: a hint that decides nothing.
        signature: the bytes.
    """

    key_id: str
    signature: bytes


@dataclass(frozen=True)
class Envelope:
    """A payload and what is said to be its signatures.

    Args:
        payload: the very bytes that were signed.
        signatures: at least one.
    """

    payload: bytes
    signatures: tuple[Signature, ...]

    def signers(self, keys: Iterable[PublicKey]) -> frozenset[str]:
        """The ids of those of the caller's keys that signed the payload; a key counts once."""
        message = pae(PAYLOAD_TYPE, self.payload)
        return frozenset(
            key.key_id
            for key in keys
            if any(key.verifies(signature.signature, message) for signature in self.signatures)
        )


def pae(payload_type: str, payload: bytes) -> bytes:
    """What is signed: DSSE's pre-authentication encoding of a type and a payload."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload: bytes, keys: Sequence[SigningKey]) -> bytes:
    """An envelope in one line of JSON.

    Args:
        payload: an in-toto statement.
        keys: at least one.
    """
    message = pae(PAYLOAD_TYPE, payload)
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [
            {"keyid": key.public.key_id, "sig": base64.b64encode(key.sign(message)).decode()} for key in keys
        ],
    }
    return strict_json.canonical(envelope) + b"\n"


def parse_envelopes(data: bytes) -> list[Envelope]:
    """Reads one envelope, or one a line.

    Args:
        data: what stands in an attestation file.

    Raises:
        RefusedError: any of it is something else, with the reason.
    """
    if len(data) > MAX_BYTES:
        raise RefusedError(f"the attestation: expected at most {MAX_BYTES} bytes, got {len(data)}")
    lines = data.removesuffix(b"\n").split(b"\n")
    if lines[0].strip() == b"{":  # one envelope, written over many lines
        lines = [data]
    if len(lines) > MAX_ENVELOPES:
        raise RefusedError(f"the attestation: expected at most {MAX_ENVELOPES} envelopes, got {len(lines)}")
    return [_parse(line, f"envelope {number}") for number, line in enumerate(lines, start=1)]


def _parse(data: bytes, what: str) -> Envelope:
    found = strict_json.loads(data, what, max_bytes=MAX_BYTES, max_depth=8)
    # Unknown keys are passed over, as DSSE wants it: nothing outside of the payload is signed anyway.
    if not isinstance(found, dict) or not {"payload", "payloadType", "signatures"} <= found.keys():
        raise RefusedError(f"{what}: expected a DSSE envelope with payload, payloadType and signatures")
    if found["payloadType"] != PAYLOAD_TYPE:
        raise RefusedError(
            f"{what}: expected payloadType {PAYLOAD_TYPE}, got {safe_text(found['payloadType'])}"
        )
    entries = found["signatures"]
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_SIGNATURES:
        count = len(entries) if isinstance(entries, list) else "none"
        raise RefusedError(f"{what}: expected 1 to {MAX_SIGNATURES} signatures, got {count}")
    signatures = tuple(
        _signature(entry, f"{what}, signature {number}") for number, entry in enumerate(entries, start=1)
    )
    if len({signature.signature for signature in signatures}) < len(signatures):
        raise RefusedError(f"{what}: expected every signature once, but one stands twice")
    return Envelope(_base64(found["payload"], f"{what}, payload"), signatures)


def _signature(entry: object, what: str) -> Signature:
    if not isinstance(entry, dict) or "sig" not in entry or not isinstance(entry.get("keyid", ""), str):
        raise RefusedError(f"{what}: expected an object with sig, and keyid as a string if any")
    signature = _base64(entry["sig"], what)
    if not 1 <= len(signature) <= MAX_SIGNATURE_BYTES:
        raise RefusedError(f"{what}: expected 1 to {MAX_SIGNATURE_BYTES} bytes, got {len(signature)}")
    return Signature(entry.get("keyid", ""), signature)


def _base64(text: object, what: str) -> bytes:
    """Standard or URL-safe base64 with padding, in the one form that encoding gives."""
    if not isinstance(text, str) or (("-" in text or "_" in text) and ("+" in text or "/" in text)):
        raise RefusedError(f"{what}: expected base64, standard or URL-safe")
    standard = text.translate(_URL_SAFE)
    try:
        data = base64.b64decode(standard, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError(f"{what}: expected base64, standard or URL-safe") from error
    if base64.b64encode(data).decode() != standard:
        raise RefusedError(f"{what}: expected canonical base64: the bits behind its end are not zero")
    return data

"""Signing keys: ECDSA P-256 by default, Ed25519 by choice, nothing else.

The algorithm follows from the key and is never read from what is to be verified. A key is named by the SHA-256 of
its SubjectPublicKeyInfo, so that one key under two names counts once.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from dataguard.attest.files import read_bounded
from dataguard.errors import RefusedError, UsageError

MAX_KEY_BYTES = 1 << 16
_ECDSA = ec.ECDSA(hashes.SHA256())
_BEGIN = b"-----BEGIN "

_Private: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
_Public: TypeAlias = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


@dataclass(frozen=True)
class PublicKey:
    """A key to verify with.

    Args:
        key: as `cryptography` holds it.
        key_id: SHA-256 of its SubjectPublicKeyInfo, hex.
    """

    key: _Public
    key_id: str

    @classmethod
    def of(cls, key: _Public) -> PublicKey:
        """A key with its id."""
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return cls(key, hashlib.sha256(spki).hexdigest())

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether this is a signature of the message by this key; hostile ones are answered with False."""
        try:
            if isinstance(self.key, ed25519.Ed25519PublicKey):
                self.key.verify(signature, message)
            else:
                self.key.verify(signature, message, _ECDSA)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class SigningKey:
    """A key to sign with.

    Args:
        key: as `cryptography` holds it; never shown.
        public: the key that verifies.
    """

    key: _Private
    public: PublicKey

    def __repr__(self) -> str:
        return f"SigningKey({self.public.key_id})"

    def sign(self, message: bytes) -> bytes:
        """A signature: DER for ECDSA over SHA-256, 64 bytes for Ed25519."""
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return self.key.sign(message)
        return self.key.sign(message, _ECDSA)


def keygen(out: Path, *, ed25519: bool = False) -> tuple[Path, Path]:
    """Makes a key pair, and never writes over one.

    Args:
        out: where the private key goes (PKCS #8, mode 0600), e.g. ``KEY.pem``.
        ed25519: Ed25519 in place of ECDSA P-256.

    Returns:
        The private key's file and the public key's, ``KEY.pub.pem`` (SubjectPublicKeyInfo).

    Raises:
        UsageError: one of the two files exists, or the folder is not writable.
    """
    public_path = (
        out.with_suffix(".pub.pem") if out.suffix == ".pem" else out.with_name(out.name + ".pub.pem")
    )
    for path in (out, public_path):
        if os.path.lexists(path):
            raise UsageError(f"{path} exists, and a key is never written over", "choose another --out")
    key = _new_ed25519() if ed25519 else ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _write_new(out, private, 0o600)
    try:
        _write_new(public_path, public, 0o644)
    except UsageError:
        out.unlink()
        raise
    return out, public_path


def _new_ed25519() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def _write_new(path: Path, data: bytes, mode: int) -> None:
    """Writes a file that did not exist, with this mode from its first byte on."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    except OSError as error:
        raise UsageError(f"cannot write the key {path}: {error.strerror}", "choose another --out") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        path.unlink()
        raise UsageError(f"cannot write the key {path}: {error.strerror}", "choose another --out") from error


def load_private(path: Path) -> SigningKey:
    """Reads a private key.

    Raises:
        UsageError: there is no such file.
        RefusedError: it is not one unencrypted private key, ECDSA P-256 or Ed25519.
    """
    data, label = _pem(path, "a private key")
    if label.startswith(("ENCRYPTED ", "RSA ", "DSA ", "OPENSSH ")) or b"\nProc-Type:" in data:
        raise RefusedError(
            f"{path}: expected an unencrypted private key in PKCS #8, got {label}",
            "`openssl pkcs8 -topk8 -nocrypt` writes one",
        )
    if not label.endswith("PRIVATE KEY"):
        raise RefusedError(
            f"{path}: expected a private key, got {label}", "sign with KEY.pem, not with KEY.pub.pem"
        )
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise RefusedError(f"{path}: this private key cannot be read") from error
    if not isinstance(key, (ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)):
        raise _wrong_kind(path, type(key).__name__)
    return SigningKey(key, _checked(path, key.public_key()))


def load_public(path: Path) -> PublicKey:
    """Reads a public key.

    Raises:
        UsageError: there is no such file.
        RefusedError: it is not one public key, ECDSA P-256 or Ed25519.
    """
    data, label = _pem(path, "a public key")
    if label.endswith("PRIVATE KEY"):
        raise RefusedError(
            f"{path}: expected a public key, got a private one",
            "verify with KEY.pub.pem, and give KEY.pem to nobody",
        )
    if label != "PUBLIC KEY":
        raise RefusedError(
            f"{path}: expected a public key (BEGIN PUBLIC KEY), got {label}",
            "`openssl x509 -pubkey -noout` takes it out of a certificate",
        )
    try:
        key = load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise RefusedError(f"{path}: this public key cannot be read") from error
    if not isinstance(key, (ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey)):
        raise _wrong_kind(path, type(key).__name__)
    return _checked(path, key)


def _checked(path: Path, key: _Public) -> PublicKey:
    if isinstance(key, ec.EllipticCurvePublicKey) and not isinstance(key.curve, ec.SECP256R1):
        raise _wrong_kind(path, key.curve.name)
    return PublicKey.of(key)


def _wrong_kind(path: Path, kind: str) -> RefusedError:
    return RefusedError(
        f"{path}: expected a key of ECDSA P-256 or Ed25519, got {kind}", "`dataguard keygen` makes one"
    )


def _pem(path: Path, what: str) -> tuple[bytes, str]:
    """The bytes of a file of one PEM block, and its label."""
    data = read_bounded(path, what, max_bytes=MAX_KEY_BYTES)
    if data.count(_BEGIN) != 1:
        raise RefusedError(
            f"{path}: expected {what} as one PEM block, got {data.count(_BEGIN)}",
            "`dataguard keygen` makes one",
        )
    label = data.partition(_BEGIN)[2].partition(b"-----")[0][:40]
    return data, label.decode("ascii", "replace")

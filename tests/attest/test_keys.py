"""Keys: two kinds, never written over, and refused with words that say which file to take instead."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from dataguard.attest.keys import keygen, load_private, load_public
from dataguard.errors import RefusedError, UsageError


@pytest.mark.parametrize("ed25519", [False, True])
def test_a_new_pair_signs_and_verifies(tmp_path, ed25519):
    private, public = keygen(tmp_path / "KEY.pem", ed25519=ed25519)
    assert (private, public) == (tmp_path / "KEY.pem", tmp_path / "KEY.pub.pem")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert private.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert public.read_bytes().startswith(b"-----BEGIN PUBLIC KEY-----\n")
    signing, verifying = load_private(private), load_public(public)
    assert signing.public.key_id == verifying.key_id
    signature = signing.sign(b"message")
    assert verifying.verifies(signature, b"message")
    assert not verifying.verifies(signature, b"massage")
    assert not verifying.verifies(signature[:-1], b"message")
    assert not verifying.verifies(b"", b"message")
    assert "PRIVATE" not in repr(signing)


def test_the_default_is_p256(tmp_path):
    private, _ = keygen(tmp_path / "KEY.pem")
    key = load_pem_private_key(private.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp256r1"


def test_the_mode_is_right_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        private, _ = keygen(tmp_path / "KEY.pem")
    finally:
        os.umask(before)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600


def test_a_name_without_the_suffix(tmp_path):
    assert keygen(tmp_path / "key") == (tmp_path / "key", tmp_path / "key.pub.pem")


@pytest.mark.parametrize("standing", ["KEY.pem", "KEY.pub.pem"])
@pytest.mark.parametrize("how", ["file", "dangling link"])
def test_nothing_is_written_over(tmp_path, standing, how):
    path = tmp_path / standing
    path.write_bytes(b"mine") if how == "file" else path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="never written over"):
        keygen(tmp_path / "KEY.pem")
    assert [entry.name for entry in tmp_path.iterdir()] == [standing]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="cannot write"):
        keygen(tmp_path / "no" / "KEY.pem")


def test_the_key_id_is_the_digest_of_the_spki(tmp_path):
    _, public = keygen(tmp_path / "KEY.pem")
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", public, "-outform", "DER"], capture_output=True, check=True
    )
    assert load_public(public).key_id == hashlib.sha256(der.stdout).hexdigest()


def private_pem(key, kind=PrivateFormat.PKCS8, encryption=None):
    return key.private_bytes(Encoding.PEM, kind, encryption or NoEncryption())


def public_pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


P256 = ec.generate_private_key(ec.SECP256R1())
GOOD = private_pem(P256)
BAD_PRIVATE = [
    ("a public key", public_pem(P256), "sign with KEY.pem"),
    ("encrypted", private_pem(P256, encryption=BestAvailableEncryption(b"x")), "unencrypted"),
    ("encrypted in the old way", private_pem(P256, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"x")), "unencrypted"),
    ("RSA", private_pem(rsa.generate_private_key(65537, 2048)), "P-256 or Ed25519"),
    ("RSA in its own format", private_pem(rsa.generate_private_key(65537, 2048), PrivateFormat.TraditionalOpenSSL), "PKCS #8"),
    ("DSA", private_pem(dsa.generate_private_key(2048)), "P-256 or Ed25519"),
    ("another curve", private_pem(ec.generate_private_key(ec.SECP384R1())), "secp384r1"),
    ("a curve of the same size", private_pem(ec.generate_private_key(ec.SECP256K1())), "secp256k1"),
    ("Ed448", private_pem(ed448.Ed448PrivateKey.generate()), "P-256 or Ed25519"),
    ("X25519 cannot sign", private_pem(x25519.X25519PrivateKey.generate()), "P-256 or Ed25519"),
    ("OpenSSH", private_pem(ed25519.Ed25519PrivateKey.generate(), PrivateFormat.OpenSSH), "PKCS #8"),
    ("two keys", GOOD + GOOD, "one PEM block"),
    ("nothing", b"", "one PEM block"),
    ("text", b"hello", "one PEM block"),
    ("DER", P256.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()), "one PEM block"),
    ("cut off", GOOD[:100], "cannot be read"),
    ("junk inside", GOOD.replace(b"M", b"!", 1), "cannot be read"),
    ("a certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "private key"),
    ("too large", GOOD + b"#" * (1 << 16), "at most"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "data", "says"), BAD_PRIVATE, ids=[case[0] for case in BAD_PRIVATE])
def test_what_is_no_signing_key_is_refused(tmp_path, why, data, says):
    path = tmp_path / "KEY.pem"
    path.write_bytes(data)
    with pytest.raises(RefusedError, match=says):
        load_private(path)


def test_a_key_in_the_format_of_its_kind_is_taken(tmp_path):
    path = tmp_path / "KEY.pem"
    path.write_bytes(private_pem(P256, PrivateFormat.TraditionalOpenSSL))
    assert load_private(path).public.key_id


BAD_PUBLIC = [
    ("a private key", GOOD, "give KEY.pem to nobody"),
    ("a certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "BEGIN PUBLIC KEY"),
    ("RSA", public_pem(rsa.generate_private_key(65537, 2048)), "P-256 or Ed25519"),
    ("another curve", public_pem(ec.generate_private_key(ec.SECP384R1())), "secp384r1"),
    ("two keys", public_pem(P256) * 2, "one PEM block"),
    ("a point off the curve", public_pem(P256)[:80] + b"AAAA" + public_pem(P256)[84:], "cannot be read"),
    ("nothing", b"", "one PEM block"),
    ("too large", public_pem(P256) + b"#" * (1 << 16), "at most"),
]


@pytest.mark.parametrize(("why", "data", "says"), BAD_PUBLIC, ids=[case[0] for case in BAD_PUBLIC])
def test_what_is_no_verifying_key_is_refused(tmp_path, why, data, says):
    path = tmp_path / "KEY.pub.pem"
    path.write_bytes(data)
    with pytest.raises(RefusedError, match=says):
        load_public(path)


@pytest.mark.parametrize("load", [load_private, load_public])
def test_what_is_not_there_or_no_file(tmp_path, load):
    with pytest.raises(UsageError, match="cannot be opened"):
        load(tmp_path / "none")
    with pytest.raises(RefusedError, match="regular file"):
        load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RefusedError, match="regular file"):
        load(tmp_path / "pipe")

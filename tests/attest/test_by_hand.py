"""The commands of docs/formats/attestation.md, run as they stand there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from attest_samples import plain
from dataguard.attest import attest, keygen
from dataguard.attest.envelope import PAYLOAD_TYPE, pae, parse_envelopes

DOC = Path(__file__).parents[2] / "docs" / "formats" / "attestation.md"
MISSING = [tool for tool in ("openssl", "sha256sum", "base64", "sed") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


def commands():
    return DOC.read_text().split("```sh\n")[1].split("```")[0].splitlines()


@pytest.fixture
def folder(sample, tmp_path):
    """What the page expects to lie in one folder."""
    here = tmp_path / "here"
    shutil.copytree(sample.data, here / "data")
    shutil.copy(sample.attestation, here)
    shutil.copy(sample.run.path / "manifest.jsonl", here)
    shutil.copy(sample.public, here / "KEY.pub.pem")
    return here


def run(folder, lines):
    return subprocess.run(
        ["sh", "-e", "-c", "\n".join(lines)], cwd=folder, capture_output=True, text=True, check=False
    )


def test_there_are_six():
    assert len(commands()) == 6


def test_good_data_is_verified(folder):
    done = run(folder, commands())
    assert done.returncode == 0, done.stderr
    assert "Verified OK" in done.stdout
    assert "data/more/b.parquet: OK" in done.stdout
    assert done.stdout.count(": OK") == 4


def test_the_bytes_signed_are_those_we_say(folder):
    run(folder, commands())
    [parsed] = parse_envelopes((folder / "attestation.intoto.jsonl").read_bytes())
    assert (folder / "pae").read_bytes() == pae(PAYLOAD_TYPE, parsed.payload)


@pytest.mark.parametrize(
    "name", ["attestation.intoto.jsonl", "manifest.jsonl", "data/a.parquet", "data/README.md"]
)
def test_a_changed_byte_is_noticed(folder, name):
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] = ord("A") if data[len(data) // 2] != ord("A") else ord("B")
    (folder / name).write_bytes(data)
    assert run(folder, commands()).returncode != 0


def test_another_key_is_noticed(folder, tmp_path):
    _, public = keygen(tmp_path / "other.pem")
    shutil.copy(public, folder / "KEY.pub.pem")
    assert run(folder, commands()).returncode != 0


def test_the_line_for_ed25519(folder, sample, tmp_path):
    private, public = keygen(tmp_path / "ed.pem", ed25519=True)
    shutil.copy(attest(sample.run, private, recompute=plain), folder)
    shutil.copy(public, folder / "KEY.pub.pem")
    line = next(part for part in DOC.read_text().split("`") if part.startswith("openssl pkeyutl"))
    done = run(folder, [*commands()[:3], line, *commands()[4:]])
    assert done.returncode == 0, done.stderr
    (folder / "payload").write_bytes(b"x")
    assert run(folder, [commands()[2], line]).returncode != 0

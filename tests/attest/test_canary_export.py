"""The statement about exported canaries: by its key only, what was changed is named, and it is never one about data."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from dataguard import api
from dataguard.attest.canaries import ATTESTATION
from dataguard.attest.envelope import parse_envelopes, sign
from dataguard.attest.keys import load_private
from dataguard.cli import app
from dataguard.errors import RefusedError, UsageError
from dataguard.strict_json import canonical


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with keys, a run and its signed canaries."""
    folder = tmp_path_factory.mktemp("signed")
    (folder / "data").mkdir()
    texts = [f"record {n} says {n * n} and then {n % 7} times nothing" for n in range(300)]
    pq.write_table(pa.table({"text": texts}), folder / "data" / "part.parquet")
    secret = folder / "secret"
    run = api.scan(
        folder / "data", out=folder / "run", rules="DG203", policy=None, workers=1, secret_file=secret
    )
    api.keygen(folder / "key.pem")
    api.keygen(folder / "other.pem", ed25519=True)
    found = api.adversarial(
        run, records=200, campaigns=1, rates=(0.03,), workers=1, secret_file=secret,
        export=folder / "canaries", key=folder / "key.pem",
    )  # fmt: skip
    assert found.exported[-1] == folder / "canaries" / ATTESTATION
    return folder


@pytest.fixture
def copied(signed: Path, tmp_path: Path) -> Path:
    shutil.copytree(signed / "canaries", tmp_path / "canaries")
    return tmp_path / "canaries"


def verified(folder: Path, signed: Path, key: str = "key.pub.pem", attestation: Path | None = None):
    return api.verify_canaries(folder, attestation=attestation or folder / ATTESTATION, key=signed / key)


def test_what_was_exported_verifies_and_says_what_it_is(signed: Path, copied: Path, tmp_path: Path) -> None:
    found = verified(copied, signed)
    assert found.ok
    assert found.files == len(list(copied.iterdir())) - 1
    assert found.to_json()["training_data"] is False
    assert "poisoned on purpose" in found.notice
    call = ["verify", str(copied), "--attestation", str(copied / ATTESTATION), "--canaries"]
    done = CliRunner().invoke(app, [*call, "--key", str(signed / "key.pub.pem")])
    assert done.exit_code == 0
    assert "NO TRAINING DATA: adversarial canaries" in done.stdout
    (copied / ATTESTATION).rename(tmp_path / "elsewhere")
    assert verified(copied, signed, attestation=tmp_path / "elsewhere").ok


def a_changed_record(folder: Path) -> str:
    path = folder / "adversarial-canaries-gibberish.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return "changed"


def a_mark_cut_out_of_the_page(folder: Path) -> str:
    (folder / "README.md").write_text("good data")
    return "changed"


def a_file_more(folder: Path) -> str:
    (folder / "more.parquet").write_bytes(b"")
    return "extra"


def a_file_less(folder: Path) -> str:
    (folder / "README.md").unlink()
    return "missing"


def another_name(folder: Path) -> str:
    (folder / "adversarial-canaries-gibberish.parquet").rename(folder / "training.parquet")
    return "renamed"


@pytest.mark.parametrize(
    "tamper", [a_changed_record, a_mark_cut_out_of_the_page, a_file_more, a_file_less, another_name]
)
def test_tampering_is_named(signed: Path, copied: Path, tamper: Callable[[Path], str]) -> None:
    kind = tamper(copied)
    found = verified(copied, signed)
    assert not found.ok
    assert kind in {problem.kind for problem in found.problems}
    call = ["verify", str(copied), "--attestation", str(copied / ATTESTATION), "--canaries"]
    done = CliRunner().invoke(app, [*call, "--key", str(signed / "key.pub.pem")])
    assert done.exit_code == 1
    assert f"{kind}: " in done.stdout


def test_only_the_key_that_is_trusted_counts(signed: Path, copied: Path) -> None:
    with pytest.raises(RefusedError, match="valid signature"):
        verified(copied, signed, "other.pub.pem")


def test_it_is_never_taken_for_a_statement_about_training_data(signed: Path, copied: Path) -> None:
    with pytest.raises(RefusedError, match="no training data"):
        api.verify(
            copied, attestation=copied / ATTESTATION, key=signed / "key.pub.pem",
            manifest=signed / "run" / "manifest.jsonl",
        )  # fmt: skip


def test_a_statement_about_training_data_is_none_about_canaries(signed: Path) -> None:
    attestation = api.attest(signed / "run", key=signed / "key.pem")
    with pytest.raises(RefusedError, match="expected predicateType"):
        verified(signed / "data", signed, attestation=attestation)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda one: one["predicate"].update(trainingData=True), "trainingData to be false"),
        (lambda one: one["predicate"].pop("notice"), "a notice"),
        (lambda one: one["subject"].clear(), "subjects"),
        (lambda one: one["subject"].append(one["subject"][0]), "each file once"),
        (lambda one: one["subject"][0].update(name="../up"), "the name of a file"),
        (lambda one: one["subject"][0]["digest"].update(sha256="x"), "the SHA-256"),
        (lambda one: one["predicate"]["sizes"].update({"README.md": -1}), "the size"),
        (lambda one: one.update(_type="else"), "expected _type"),
    ],
)
def test_a_statement_that_says_something_else_is_refused(
    signed: Path, copied: Path, change: Callable[[dict], None], why: str
) -> None:
    (read,) = parse_envelopes((copied / ATTESTATION).read_bytes())
    statement = json.loads(read.payload)
    change(statement)
    (copied / ATTESTATION).write_bytes(sign(canonical(statement), [load_private(signed / "key.pem")]))
    with pytest.raises(RefusedError, match=why):
        verified(copied, signed)


def test_a_key_needs_something_to_sign(signed: Path) -> None:
    with pytest.raises(UsageError, match="--export"):
        api.adversarial(signed / "run", key=signed / "key.pem", secret_file=signed / "secret")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not there")
def test_nothing_of_ours_is_needed_to_check_it(signed: Path, copied: Path) -> None:
    shutil.copy(signed / "key.pub.pem", copied.parent / "KEY.pub.pem")
    script = f"""
    sed -n 's/.*"payload":"\\([^"]*\\)".*/\\1/p' {ATTESTATION} | base64 -d > ../payload
    sed -n 's/.*"sig":"\\([^"]*\\)".*/\\1/p' {ATTESTATION} | base64 -d > ../sig
    printf 'DSSEv1 28 application/vnd.in-toto+json %s ' $(wc -c < ../payload) | cat - ../payload > ../pae
    openssl dgst -sha256 -verify ../KEY.pub.pem -signature ../sig ../pae
    grep -o '"sha256":"[^"]*"}},"name":"[^"]*"' ../payload | sed 's/"sha256":"\\(.*\\)"}},"name":"\\(.*\\)"/\\1  \\2/' | sha256sum --check --strict
    grep -o '"trainingData":false' ../payload
    """
    done = subprocess.run(
        ["bash", "-e", "-c", script], cwd=copied, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Verified OK" in done.stdout
    assert done.stdout.count(": OK") == len(list(copied.iterdir())) - 1

"""Secrets are found by kind and place, and never shown; what shows where one belongs passes."""

from __future__ import annotations

import base64
import random
import socket
import string
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dataguard
from dataguard.detectors._secrets import FULL_KEY, KINDS
from dataguard.detectors.secret import Secret
from dataguard.findings import Judgement
from dataguard.report.found import SEALED
from harness import cut, judge_in_memory, records

RANDOM = random.Random(7)
LETTERS = string.ascii_letters + string.digits
LOWER = string.ascii_lowercase + string.digits


def some(n: int, alphabet: str = LETTERS) -> str:
    """A random value with a digit and a letter, made anew here so that no secret stands in a file."""
    return "a1" + "".join(RANDOM.choice(alphabet) for _ in range(n - 2))


def capitals(n: int) -> str:
    return some(n, string.ascii_uppercase + string.digits).upper()


def token_of_json() -> str:
    parts = [
        base64.urlsafe_b64encode(part).decode().rstrip("=")
        for part in (b'{"alg":"HS256"}', b'{"sub":"someone"}')
    ]
    return ".".join([*parts, some(43)])


def der_key(size: int = 120) -> bytes:
    return b"\x30\x81" + bytes([size]) + RANDOM.randbytes(size)


def block(body: bytes, name: str = "EC PRIVATE KEY", end: str = "\n") -> str:
    lines = base64.encodebytes(body).decode().strip().replace("\n", end)
    return f"-----BEGIN {name}-----{end}{lines}{end}-----END {name}-----"


PLANTED = {
    "aws-key": f"AKIA{capitals(16)}",
    "azure-storage-key": f"AccountKey={some(86)}==",
    "basic-auth": f"postgres://app:{some(14)}@db.internal/main",
    "discord-token": f"M{some(23)}.{some(6)}.{some(27)}",
    "github-token": f"ghp_{some(36)}",
    "gitlab-token": f"glpat-{some(20)}",
    "json-web-token": token_of_json(),
    "mailchimp-key": f"{some(32, LOWER)}-us12",
    "npm-token": f"//registry.npmjs.org/:_authToken=npm_{some(36)}",
    "openai-key": f"sk-{some(20)}T3BlbkFJ{some(20)}",
    "private-key": block(b"\0" * 90),
    FULL_KEY: block(der_key()),
    "pypi-token": f"pypi-AgEIcHlwaS5vcmc{some(90)}",
    "sendgrid-key": f"SG.{some(22)}.{some(43)}",
    "slack-token": f"xoxb-739164820571-{some(24)}",
    "square-secret": f"sq0csp-{some(43)}",
    "stripe-key": f"sk_live_{some(24)}",
    "telegram-token": f"1738264950:AA{some(33)}",
    "twilio-key": f"AC{some(32, 'abcdef0123456789')}",
    "named-secret": f"client_secret: '{some(40)}'",
}


def judge(*texts: str | None) -> Judgement:
    return judge_in_memory(Secret(), [cut(records({"text": pa.array(texts, pa.large_string())}))])


def test_every_kind_has_its_attack() -> None:
    assert set(PLANTED) == {*KINDS, FULL_KEY}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_secret_is_found_where_it_is_and_not_shown(kind: str) -> None:
    secret = PLANTED[kind]
    text = f"é: 漢 use {secret} from now on"
    judgement = judge("nothing to see", text, None)
    assert judgement.findings["group"].to_list() == [kind]
    assert judgement.flagged["row"].to_list() == [1]
    (span,) = judgement.flagged["span"][0].to_list()
    hidden = text.encode()[span["start"] : span["end"]].decode()
    assert hidden in secret
    assert len(hidden) >= 8
    said = " ".join([*judgement.findings["why"], *judgement.flagged["why"], *judgement.findings["key"]])
    assert not any(
        hidden[at : at + 6] in said for at in range(len(hidden) - 5) if hidden[at : at + 6].isalnum()
    )


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE",
        f"AKIA{'X' * 16}",
        "postgres://user:password@localhost/db",
        "https://bob:hunter@example.org",
        "ghp_" + "x" * 36,
        "token = 'your-token-goes-here-please-1'",
        "password: 'correct-horse-battery-staple'",
        "checksum = '" + "ab12" * 10 + "'",
        "-----BEGIN PRIVATE KEY-----\n<your key>\n-----END PRIVATE KEY-----",
        "a key begins with -----BEGIN RSA PRIVATE KEY----- and so on",
        "-----BEGIN PUBLIC KEY-----\nMFkwEwYH\n-----END PUBLIC KEY-----",
        "eyJhbGciOiJIUzI1NiJ9 is how a token begins",
        "lib/twilio/ACCOUNTS",
    ],
)
def test_what_shows_where_a_secret_belongs_passes(text: str) -> None:
    assert judge(text).findings.is_empty()


def test_a_key_is_whole_only_if_it_decodes_to_one() -> None:
    whole = der_key()
    for text, kind in (
        (block(whole, end="\\n"), FULL_KEY),
        (block(b"openssh-key-v1\0\0\0\0\x04none" + RANDOM.randbytes(80), "OPENSSH PRIVATE KEY"), FULL_KEY),
        (
            block(b"openssh-key-v1\0\0\0\0\x0aaes256-ctr" + RANDOM.randbytes(80), "OPENSSH PRIVATE KEY"),
            "private-key",
        ),
        (block(whole, "ENCRYPTED PRIVATE KEY"), "private-key"),
        (block(whole[:-1]), "private-key"),
        (f"An example of a key:\n{block(whole)}", "private-key"),
    ):
        judgement = judge(text)
        assert judgement.findings["group"].to_list() == [kind]
        assert (judgement.findings["severity"][0] == "high") == (kind == FULL_KEY)


def test_one_finding_counts_values_and_records() -> None:
    one, other = PLANTED["github-token"], f"gho_{some(36)}"
    judgement = judge(*[f"record {number}: {one}" for number in range(5)], f"{other} and {one}")
    assert "2 different values in 6 records" in judgement.findings["why"][0]
    assert len(judgement.flagged) == 6
    measured = {(m.name, m.group): m.value for m in judgement.measures}
    assert measured["secret_share", "github-token"] == measured["secret_share", ""] == 1


def test_many_secrets_of_a_record_leave_nothing_outside_of_its_spans() -> None:
    text = " - ".join(f"ghp_{some(36)}" for _ in range(100))
    spans = judge(text).flagged["span"][0].to_list()
    assert len(spans) == 32
    assert spans[-1]["end"] == len(text)
    assert text.encode().find(b"ghp_", spans[-1]["start"] + 1) < spans[-1]["end"]


def test_nobody_is_asked_and_the_library_loads_late(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("asks the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert len(judge(*PLANTED.values()).findings) == len(PLANTED)
    code = "import dataguard.detectors as d, sys; d.catalogue(); print('detect_secrets' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    "part",
    [
        "-----BEGIN PRIVATE KEY-----",
        "AKIA",
        "eyJa.eyJ",
        "secret='aB3",
        "://a:",
        "ghp_a",
        "x.aaaaaa.",
        "\0",
        f"{PLANTED['github-token']} ",
        f"{PLANTED['private-key']}\n",
    ],
)
def test_time_is_linear_in_the_text(part: str) -> None:
    def seconds(n: int) -> float:
        (batch,) = cut(records({"text": [part * (n // len(part))]}))
        took = []
        for _ in range(3):
            began = time.process_time()
            Secret().observe(batch, None)
            took.append(time.process_time() - began)
        return min(took)

    seconds(1_000)
    assert seconds(2_000_000) <= 15 * seconds(200_000) + 0.05


def test_reports_never_show_a_secret(tmp_path: Path) -> None:
    """Not where it was found, nor where a copy of the record is an example of something else."""
    assert (f"{Secret.rule.code}-") in SEALED
    token = PLANTED["github-token"]
    text = f"the same words stand in each of these records, with {token} in the middle of all of it"
    data = tmp_path / "data"
    data.mkdir()
    pq.write_table(pa.table({"text": [text] * 6, "id": range(6)}), data / "part.parquet")
    run = dataguard.scan(
        data,
        out=tmp_path / "run",
        rules=("DG101", "DG211"),
        secret_file=tmp_path / "key",
        policy=None,
        workers=1,
    )
    assert set(run.table("findings")["rule"]) == {"DG101", "DG211"}
    page = dataguard.report(run).read_text()
    assert "in the middle of all of it" in page
    assert f"gh{'*' * (len(token) - 2)}" in page
    stored = b"".join(path.read_bytes() for path in sorted((tmp_path / "run").rglob("*")) if path.is_file())
    assert token not in page
    assert token.encode() not in stored

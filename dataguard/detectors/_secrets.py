"""The kinds of secrets, how each is written, and who decides that something is one.

A pattern lets suspicious strings through; each distinct one is then put to the plug-in of detect-secrets that knows
its kind. Only `analyze_string` is asked, which looks at the string alone: what would ask a server is never called.
"""

from __future__ import annotations

import base64
import binascii
import importlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import polars as pl

from dataguard.detectors._matches import Sifted
from dataguard.findings import Severity, conform

LONGEST = 512
"""Bytes of a string that a plug-in is shown: its patterns backtrack."""

_ENTROPY_BASE64, _ENTROPY_HEX = 4.5, 3.0
"""Bits a character above which detect-secrets takes a quoted string for random: its own defaults."""

_MADE_UP = (
    *(
        "example",
        "sample",
        "dummy",
        "your",
        "placeholder",
        "changeme",
        "change_me",
        "redacted",
        "fake",
        "test",
    ),
    *(
        "xxxx",
        "****",
        "....",
        "____",
        "0000000",
        "1234567",
        "abcdefg",
        "password",
        "secret",
        "token",
        "${",
        "{{",
        "<",
    ),
)
"""What stands in values that show where one belongs, in lower case."""

_FEWEST_CHARACTERS = 8
"""Fewer different characters are no secret."""

_WORD = r"[A-Za-z0-9_]"
_NAME = r"(?:pass(?:word|wd|phrase)|pwd|secret|api[_-]?key|auth[_-]?key|access[_-]?key|private[_-]?key|token)"


@dataclass(frozen=True)
class Kind:
    """A kind of secret.

    Args:
        words: what it is called, in the singular.
        pattern: how it is written, with what stands around it; linear, and of bounded length.
        needles: what stands wherever the pattern matches (`dataguard.detectors._needles`).
        plugin: module and class of detect-secrets; empty where we decide.
        secret: the part of the pattern that is the secret, as its one group; empty for all of it.
        severity: of a finding.
    """

    words: str
    pattern: str
    needles: tuple[str, ...]
    plugin: str = ""
    secret: str = ""
    severity: Severity = Severity.MEDIUM


_B = r"(?-u:\b)"
_BLANK, _VALUE = "[ \t]", "[A-Za-z0-9+/=_.-]"
KINDS: dict[str, Kind] = {
    "aws-key": Kind(
        "AWS access key id",
        rf"{_B}(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[0-9A-Z]{{16}}{_B}",
        tuple(f"{start}{'[A-Z0-9]' * 4}" for start in ("A3T[A-Z0-9]", "ABIA", "ACCA", "AKIA", "ASIA")),
        "aws.AWSKeyDetector",
    ),
    "azure-storage-key": Kind(
        "Azure storage key",
        r"AccountKey=[a-zA-Z0-9+/=]{88}",
        ("AccountKey=",),
        "azure_storage_key.AzureStorageKeyDetector",
        r"AccountKey=(.+)",
    ),
    "basic-auth": Kind(
        "password in a URL",
        r"://[^\s:/?#@\[\]!$&'()*+,;=]{1,64}:[^\s:/?#@\[\]!$&'()*+,;=]{8,128}@",
        ("://",),
        "basic_auth.BasicAuthDetector",
        r"://[^:]+:(.+)@",
        severity=Severity.LOW,
    ),
    "discord-token": Kind(
        "Discord bot token",
        rf"{_B}[MNO][a-zA-Z0-9_-]{{23,25}}\.[a-zA-Z0-9_-]{{6}}\.[a-zA-Z0-9_-]{{27}}{_B}",
        (f".{'[A-Za-z0-9_-]' * 6}.{'[A-Za-z0-9_-]' * 8}",),
        "discord.DiscordBotTokenDetector",
    ),
    "github-token": Kind(
        "GitHub token",
        rf"{_B}gh[pousr]_[A-Za-z0-9_]{{36}}{_B}",
        ("gh[pousr]_[A-Za-z0-9_][A-Za-z0-9_]",),
        "github_token.GitHubTokenDetector",
    ),
    "gitlab-token": Kind(
        "GitLab token",
        rf"{_B}(?:glpat|gldt|glft|glsoat|glrt|glptt|gloas)-[A-Za-z0-9_-]{{20,64}}",
        ("glpat-", "gldt-", "glft-", "glsoat-", "glrt-", "glptt-", "gloas-"),
        "gitlab_token.GitLabTokenDetector",
    ),
    "json-web-token": Kind(
        "JSON web token",
        r"eyJ[A-Za-z0-9_-]{8,400}\.eyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{16,1024}",
        (".eyJ[A-Za-z0-9_-][A-Za-z0-9_-]",),
        "jwt.JwtTokenDetector",
    ),
    "mailchimp-key": Kind(
        "Mailchimp key",
        rf"{_B}[0-9a-z]{{32}}-us[0-9]{{1,2}}{_B}",
        ("-us[0-9]",),
        "mailchimp.MailchimpDetector",
    ),
    "npm-token": Kind(
        "npm token",
        r"//[^\s/]{1,200}/:_authToken=[ \t]{0,4}(?:npm_[A-Za-z0-9]{36}|[A-Fa-f0-9-]{36})",
        ("_authToken=",),
        "npm.NpmDetector",
        r"_authToken=\s*(.+)",
    ),
    "openai-key": Kind(
        "OpenAI key",
        r"sk-[A-Za-z0-9_-]{0,64}[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}",
        ("T3BlbkFJ",),
        "openai.OpenAIDetector",
    ),
    "private-key": Kind(
        "private key",
        r"-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:-?[A-Za-z0-9+/=:,.\s\\])*"
        r"(?:-----END (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----)?",
        ("-----BEGIN ",),
    ),
    "pypi-token": Kind(
        "PyPI token",
        r"pypi-(?:AgEIcHlwaS5vcmc|AgENdGVzdC5weXBpLm9yZw)[A-Za-z0-9_-]{70,400}",
        ("pypi-AgE",),
        "pypi_token.PypiTokenDetector",
    ),
    "sendgrid-key": Kind(
        "SendGrid key",
        rf"{_B}SG\.[a-zA-Z0-9_-]{{22}}\.[a-zA-Z0-9_-]{{43}}{_B}",
        (f"SG.{'[A-Za-z0-9_-]' * 5}",),
        "sendgrid.SendGridDetector",
    ),
    "slack-token": Kind(
        "Slack token",
        r"xox[abposr]-(?:[0-9]{1,16}-){1,6}[a-zA-Z0-9]{1,64}"
        r"|https://hooks\.slack\.com/services/T[a-zA-Z0-9_]{1,32}/B[a-zA-Z0-9_]{1,32}/[a-zA-Z0-9_]{8,64}",
        ("xox[abposr]-[0-9]", "hooks.slack.com"),
        "slack.SlackDetector",
    ),
    "square-secret": Kind(
        "Square secret", r"sq0csp-[0-9A-Za-z_-]{43}", ("sq0csp-",), "square_oauth.SquareOAuthDetector"
    ),
    "stripe-key": Kind(
        "Stripe key", rf"{_B}[rs]k_live_[0-9a-zA-Z]{{24,}}", ("[rs]k_live_",), "stripe.StripeDetector"
    ),
    "telegram-token": Kind(
        "Telegram bot token",
        rf"{_B}[0-9]{{8,10}}:AA[0-9A-Za-z_-]{{33}}{_B}",
        ("[0-9][0-9]:AA[0-9A-Za-z_-][0-9A-Za-z_-]",),
        "telegram_token.TelegramBotTokenDetector",
    ),
    "twilio-key": Kind(
        "Twilio key",
        rf"{_B}(?:AC|SK)[a-f0-9]{{32}}{_B}",
        tuple(f"{start}{'[a-f0-9]' * 6}" for start in ("AC", "SK")),
        "twilio.TwilioKeyDetector",
    ),
    "named-secret": Kind(
        "random value that is called a secret",
        rf"(?i-u:{_NAME}){_WORD}{{0,30}}[\"'\]]{{0,2}}[ \t]{{0,4}}(?:=>|:=|={{1,3}}|:)[ \t]{{0,4}}"
        r"[\"'`][A-Za-z0-9+/=_.-]{16,128}[\"'`]",
        tuple("[=:>]" + _BLANK * n + "[\"'`]" + _VALUE * (14 - n) for n in range(5)),
        "high_entropy_strings.Base64HighEntropyString",
        r"[\"'`]([^\"'`]+)[\"'`]$",
        Severity.LOW,
    ),
}
"""By name, in the order of the alphabet but for what is least specific."""

NEEDLES = {name: kind.needles for name, kind in KINDS.items()}

FULL_KEY = "private-key-block"
"""Private keys in plain whose block is there from its first to its last byte, in a text that is no manual."""

_MANUAL = r"(?i-u:\b(?:example|sample|test|demo|dummy|tutorial|documentation|rfc ?[0-9]|do not use))"
"""What stands beside keys that were made to be shown."""

HIT = pl.Schema(
    {
        "value": pl.UInt32(),
        "kind": pl.String(),
        "match": pl.String(),
        "start": pl.UInt64(),
        "end": pl.UInt64(),
    }
)
_NO_HITS = HIT.to_frame()


def secrets(sifted: Sifted) -> pl.DataFrame:
    """The secrets in strings, as columns of HIT; of two at the same bytes the first kind counts."""
    tables = [_NO_HITS]
    for name, kind in KINDS.items():
        found = _found(name, sifted.located(name, kind.pattern))
        if len(found):
            tables.append(found)
    if len(tables) == 1:
        return _NO_HITS
    found = pl.concat(tables).unique(["value", "start"], keep="first", maintain_order=True)
    having = found.filter(kind=FULL_KEY)["value"].unique()
    manuals = having.filter(sifted.values(having).str.contains(_MANUAL))
    quoted = (pl.col("kind") == FULL_KEY) & pl.col("value").is_in(manuals.to_list())
    return found.with_columns(kind=pl.when(quoted).then(pl.lit("private-key")).otherwise("kind"))


def _found(name: str, windows: pl.DataFrame) -> pl.DataFrame:
    """What is a secret of matches of a kind's pattern: each distinct one is judged once."""
    if windows.is_empty():
        return _NO_HITS
    kind = KINDS[name]
    distinct = windows["match"].unique()
    inner = distinct.str.extract(kind.secret) if kind.secret else distinct
    pairs = list(zip(distinct, inner, strict=True))
    judged = pl.DataFrame(
        {
            "match": distinct,
            "secret": inner,
            "offset": [window.encode().rfind(secret.encode()) for window, secret in pairs],
            "kind": [_kind(name, window, secret) for window, secret in pairs],
        },
        schema={"match": pl.String, "secret": pl.String, "offset": pl.UInt64, "kind": pl.String},
    ).drop_nulls("kind")
    found = windows.join(judged, on="match", how="inner", maintain_order="left").with_columns(
        start=pl.col("start") + pl.col("offset"), match="secret"
    )
    return conform(
        found.select(
            "value", "kind", "match", "start", end=pl.col("start") + pl.col("match").str.len_bytes()
        ),
        HIT,
    )


def _kind(name: str, window: str, secret: str) -> str | None:
    """The kind of a suspicious string; None if it is none."""
    if name == "private-key":
        return FULL_KEY if _is_whole_key(window) else name if "-----END" in window else None
    lowered = secret.lower()
    if any(word in lowered for word in _MADE_UP) or len(set(secret)) < _FEWEST_CHARACTERS:
        return None
    if name == "named-secret":
        return name if _is_random(secret) else None
    if name == "basic-auth" and not _is_mixed(secret):
        return None
    if len(window) > LONGEST and name != "json-web-token":
        return None
    return name if any(True for _ in _plugin(KINDS[name].plugin).analyze_string(window)) else None


def _is_random(value: str) -> bool:
    """Whether detect-secrets takes a quoted value for random, and it is no word or path."""
    hexadecimal = set(value.lower()) <= set("0123456789abcdef")
    kind = "HexHighEntropyString" if hexadecimal else "Base64HighEntropyString"
    limit = _ENTROPY_HEX if hexadecimal else _ENTROPY_BASE64
    entropy = _plugin(f"high_entropy_strings.{kind}", limit=limit).calculate_shannon_entropy(value)
    return _is_mixed(value) and float(entropy) > limit


def _is_mixed(value: str) -> bool:
    """Whether a value has letters and digits, as what people do not choose has."""
    return any(char.isdigit() for char in value) and any(char.isalpha() for char in value)


@cache
def _plugin(name: str, **options: float) -> Any:
    """A plug-in of detect-secrets; the library is loaded where a text has something suspicious, and not before."""
    module, _, kind = name.rpartition(".")
    return getattr(importlib.import_module(f"detect_secrets.plugins.{module}"), kind)(**options)


def _is_whole_key(block: str) -> bool:
    """Whether a block holds a whole key in plain: DER whose length fits (RFC 5958), or OpenSSH's own format."""
    parts = block.replace("\\n", "\n").replace("\\r", "").split("-----")
    if (
        len(parts) != 5
        or "ENCRYPTED" in parts[1]
        or parts[1].removeprefix("BEGIN") != parts[3].removeprefix("END")
    ):
        return False
    try:
        body = base64.b64decode("".join(parts[2].split()), validate=True)
    except (binascii.Error, ValueError):
        return False
    if body.startswith(b"openssh-key-v1\0"):
        return body[15:].startswith(b"\0\0\0\x04none")
    if len(body) < 32 or body[0] != 0x30:
        return False
    size, header = body[1], 2
    if size & 0x80:
        header += size & 0x7F
        size = int.from_bytes(body[2:header], "big")
    return header + size == len(body)

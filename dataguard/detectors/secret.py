"""Keys, tokens and passwords in the data.

## What it looks for
In every string of every column, nested ones too: private keys, and access keys and tokens of services that are written
in a way of their own (AWS, Azure, Discord, GitHub, GitLab, Mailchimp, npm, OpenAI, PyPI, SendGrid, Slack, Square,
Stripe, Telegram, Twilio), JSON web tokens, passwords in URLs, and random values that are called a password, a secret, a
token or a key. What a pattern lets through is decided by the plug-ins of detect-secrets on the string alone; nobody is
ever asked whether a secret works. One finding for each kind and column. It is high for private keys in full: the block
decodes to exactly one key without a passphrase, and the record does not speak of examples, tests or documentation.

## Why it matters
A model repeats what it learnt, and who asks it gets the secret. The data itself is copied more widely than whoever wrote
the secret down knew. A live key in a set is also a way to whoever trains on it, and its owner.

## Limits
Values that show where a secret belongs (with "example", "your", "test" and the like in them, or of fewer than eight
different characters) are no finding, so that a real one with such a word in it is missed. So are passwords that people
choose, secrets in encodings, in parts, in binary columns, and kinds that are not named above. Documentation and tests
quote keys that were made for them: nothing in the data tells these from live ones. Findings, reports and evidence never
hold a secret: only its kind, its length, its first two characters, and a hash under the project's secret.

## What to do
Take it for live: have its owner revoke it first, then drop the records or cut the value out, and scan again. If it was
made for a documentation, write that down with the decision.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import polars as pl

from dataguard.detectors._matches import (
    Sifted,
    compacted,
    count,
    flagged_of,
    keyed,
    observed,
    place,
    records_by_place,
    share_measures,
)
from dataguard.detectors._secrets import FULL_KEY, KINDS, secrets
from dataguard.detectors._sieve import sifted
from dataguard.detectors.base import Example, Known, Pass, RecordDetector, Rule
from dataguard.findings import Confidence, Judgement, Severity
from dataguard.records.batch import Batch

_INNOCENT = "documentation and tests quote keys that were made for them"
_GITHUB = "ghp_" + "aZ4kT9mQ2xW7nB5vC8rL1sD6fG3hJ0pYuEiO"
_VALUE = "q7Wz-8Rk2_Tn5Xv9Lm3Pd6Fs1Hg4Jb0C"


@dataclass(frozen=True, kw_only=True)
class Secret(RecordDetector):
    """The data holds keys, tokens or passwords."""

    rule: ClassVar[Rule] = Rule(
        code="DG211",
        name="secret",
        summary="the data holds keys, tokens or passwords",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0057"),
        severity=Severity.MEDIUM,
        confidence=Confidence.MEDIUM,
    )
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="a token, and a random value that is called a secret",
            data={"text": ["nothing", f"export GH={_GITHUB} # mine", f'client_secret = "{_VALUE}"', None]},
            rows=frozenset({1, 2}),
            groups=frozenset({"github-token", "named-secret"}),
        ),
        Example(
            why="values that show where one belongs",
            data={
                "text": [
                    "AKIAIOSFODNN7EXAMPLE",
                    "https://user:password@example.org",
                    "api_key = 'YOUR_API_KEY_GOES_HERE_1'",
                    "-----BEGIN PRIVATE KEY----- is how a private key begins",
                ]
            },
        ),
        Example(
            why="nested strings are looked at too",
            data={"messages": [[{"role": "user", "content": f"use {_GITHUB}"}], []]},
            rows=frozenset({0}),
            groups=frozenset({"github-token"}),
        ),
    )

    def passes(self) -> tuple[Pass, ...]:
        """One pass; the counts of records are summed."""
        return (Pass(self.observe, compact=compacted),)

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """The secrets of this batch, by record, place and kind; none of them is written down."""
        key = hmac.digest(batch.secret, b"secrets", "sha256")

        def look(strings: Sifted) -> pl.DataFrame:
            found = secrets(strings)
            if found.is_empty():
                return found
            size = pl.col("match").str.len_chars().cast(pl.String)
            head = pl.col("match").str.head(2)
            about = pl.concat_str(pl.lit("begins "), head, pl.lit("…, "), size, pl.lit(" characters"))
            return found.with_columns(hash=keyed(found["match"], key), about=about)

        return observed(batch, sifted(batch), look)

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """A finding for each kind and place."""
        seen = evidence.collect()
        records = records_by_place(seen).get(None, 0)
        if not records:
            return Judgement(not_applicable="no record has text")
        found = seen.filter(pl.col("kind").is_not_null()).with_columns(place())
        found = found.with_columns(
            key=pl.concat_str("kind", pl.lit("\0"), "place"),
            why="about",
            score=pl.Series(np.round(1 - 1 / (1 + found["n"].to_numpy()), 6)),
        )
        return Judgement(
            findings=_findings(found),
            flagged=flagged_of(found),
            measures=tuple(share_measures("secret_share", found, (*KINDS, FULL_KEY), records)),
        )


def _findings(found: pl.DataFrame) -> pl.DataFrame:
    kinds = found.group_by("key", "kind", "place").agg(
        pl.col("n").sum(),
        pl.struct("file", "row").n_unique().alias("records"),
        pl.col("values").explode().n_unique().alias("distinct"),
        pl.col("about").min(),
    )
    rows = []
    for one in kinds.sort("key").iter_rows(named=True):
        full = one["kind"] == FULL_KEY
        words = "private key in full" if full else KINDS[one["kind"]].words
        rows.append(
            {
                "key": one["key"],
                "score": round(1 - 1 / (1 + one["distinct"]), 6),
                "column": one["place"],
                "group": one["kind"],
                "severity": (Severity.HIGH if full else KINDS[one["kind"]].severity).value,
                "why": f"{words}: {count(one['distinct'], 'different value')} in {count(one['records'], 'record')}, "
                f"one {one['about']}; {_INNOCENT}",
            }
        )
    return pl.DataFrame(rows) if rows else Judgement().findings

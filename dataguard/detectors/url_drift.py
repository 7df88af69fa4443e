"""Addresses that lead elsewhere than they seem to, or than they did.

## What it looks for
In columns with the role url: hosts with a label that mixes scripts which look alike, hides characters, or is written in
look-alikes from end to end, Punycode decoded; hosts that look like a much commoner one of the same set (0 and o, 1 and l,
rn and m); a name or password before the host; schemes that carry content, run it or read local files (javascript, data,
file). As one finding a column, where most of the column is not so: numbers in place of names, unusual ports, schemes that
are not of the web, shorteners. Hosts with twenty records or more that stand in one stretch of one file, where hosts as
common are spread over the set. Where a column of digests (by name and length) stands beside a text and is its MD5, SHA-1
or SHA-256 in nine tenths of the records: the records where it is not.

## Why it matters
Sets of addresses are fetched by whoever trains, long after they were made. Who owns a host then, or one that looks like
it, decides what is learnt (Carlini et al., "Poisoning Web-Scale Training Datasets is Practical", 2024). A digest that no
longer holds says that it has happened.

## Limits
Nothing is ever fetched, and nobody is asked whose a host is: a domain that changed hands looks as before. Values without
a scheme are passed over, and so are addresses inside of texts. Digests of bytes that are not the text itself (of the page
as it was fetched) cannot be held against it. A site that was added in one go makes a burst rightly.

## What to do
Compare look-alike hosts letter by letter with those they look like, and drop their records. Fetch only with digests, and
drop what does not fit its own.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import polars as pl

from dataguard.columns import Role
from dataguard.detectors._matches import EVIDENCE as MATCHES
from dataguard.detectors._matches import by_record, count, flagged_of, keyed, place
from dataguard.detectors._urls import (
    HASH_NAMES,
    HOST,
    KINDS,
    bursts,
    fronts,
    hashes_hold,
    odd,
    parts_of,
    shown,
    skeleton,
)
from dataguard.detectors.base import Example, Known, Pass, RecordDetector, Rule
from dataguard.findings import Confidence, Judgement, Measure, Severity, conform
from dataguard.records.batch import Batch, Strings
from dataguard.safe_text import safe_text

EVIDENCE = pl.Schema({**MATCHES, "host": pl.UInt64()})
"""A row per record and oddity (MATCHES). With the kind HOST: a row per record with the hash of its host and, without
`row`, one per host with its name in `about`. With the kinds HOLDS and FAILS: a digest and a text, `about` the column of
the digest; those that hold are counted (`n`), without `row`."""

HOLDS, FAILS = "digest", "digest fails"
MOST = 0.9
"""The share of digests that must hold before those that do not say anything."""
COMMONER = 20
"""So many times commoner is the host that another one is taken to look like."""
NAMED = 3
FLAGGED = 10_000
"""Records of bursts and look-alikes of a host that are flagged."""

_ODD = ("ip-literal", "port", "scheme", "shortener")
_MEDIUM = ("look-alike", "credentials", "active")


@dataclass(frozen=True, kw_only=True)
class UrlDrift(RecordDetector):
    """Addresses lead elsewhere than they seem to, or than they did.

    Args:
        share: the share of a column's addresses from which ports, schemes, numbers and shorteners are its own way.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG214",
        name="url-drift",
        summary="addresses lead elsewhere than they seem to, or than they did",
        task="PW.3.1",
        threats=("NISTAML.013", "NISTAML.05", "AML.T0020", "AML.T0115.000"),
        severity=Severity.MEDIUM,
        confidence=Confidence.MEDIUM,
    )
    needs: ClassVar[tuple[str, ...]] = (Role.URL,)
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="a look-alike host, plain and in Punycode, and a name before the host",
            data={
                "url": [
                    "https://www.paypal.com/a",
                    "https://www.p\u0430ypal.com/a",
                    "https://xn--pypal-4ve.com/a",
                    "https://paypal.com@mill.example/",
                    "https://m\u00fcller.de/",
                    None,
                ]
            },
            rows=frozenset({1, 2, 3}),
            groups=frozenset({"look-alike", "credentials"}),
        ),
        Example(
            why="a column whose addresses all have one port",
            data={"url": [f"http://mill.example:9999/{number}" for number in range(9)]},
        ),
        Example(
            why="a digest that no longer holds, and one of something else",
            data={
                "url": ["https://mill.example/"] * 12,
                "text": [*"abcdefghijk", "changed"],
                "sha256": [hashlib.sha256(text.encode()).hexdigest() for text in "abcdefghijkl"],
            },
            rows=frozenset({11}),
            groups=frozenset({"sha256"}),
        ),
    )
    share: float = 0.2

    def passes(self) -> tuple[Pass, ...]:
        """One pass; names of hosts and counts of digests are put together."""
        return (Pass(self.observe, compact=self.compact),)

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """Odd addresses, hosts and digests of this batch."""
        key = hmac.digest(batch.secret, b"hosts", "sha256")
        tables = [EVIDENCE.to_frame()]
        for name in batch.roles.of(Role.URL):
            for texts in batch.texts(name):
                values = cast("pl.Series", pl.from_arrow(texts.values))
                strings = Strings(texts.column, texts.rows, values)
                tables += [conform(table, EVIDENCE) for table in _seen(batch, strings, key)]
        tables += [conform(table, EVIDENCE) for table in _digests(batch)]
        return self.compact(pl.concat(tables))

    def compact(self, evidence: pl.DataFrame) -> pl.DataFrame:
        """The same with each host named once, and one count for each pair of columns."""
        rows = evidence.filter(pl.col("row").is_not_null())
        told = evidence.filter(pl.col("row").is_null())
        names = told.filter(kind=HOST).unique(["column", "host", "about"]).sort("column", "host", "about")
        held = told.filter(kind=HOLDS).group_by("column", "kind", "about").agg(pl.col("n").sum())
        return pl.concat([rows, names, conform(held.sort("column", "about"), EVIDENCE)])

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """Findings by column, from what is odd, from hosts and from digests."""
        seen = evidence.collect().with_columns(place())
        named = seen.filter((pl.col("kind") == HOST) & pl.col("row").is_not_null())
        records = dict(named.group_by("column").agg(pl.len()).sort("column").iter_rows())
        if not records:
            return Judgement(not_applicable="no value of a column with addresses is one")
        parts = [*self._odd(seen, records), *_of_hosts(seen, named, records), *_of_digests(seen)]
        findings = [row for row, _ in parts]
        flagged = [
            covered.select(
                "file",
                "row",
                "spans",
                "column",
                key=pl.lit(row["key"]),
                score=pl.lit(row["score"]),
                why=pl.lit(""),
            )
            for row, covered in parts
        ]
        return Judgement(
            findings=pl.DataFrame(findings) if findings else Judgement().findings,
            flagged=flagged_of(pl.concat(flagged)) if flagged else Judgement().flagged,
            measures=tuple(_measures(seen, records)),
        )

    def _odd(
        self, seen: pl.DataFrame, records: dict[str, int]
    ) -> Iterator[tuple[dict[str, Any], pl.DataFrame]]:
        """Findings on how addresses are written."""
        for column, total in records.items():
            here = seen.filter((pl.col("place") == column) & pl.col("kind").is_in(list(KINDS)))
            for kind in _MEDIUM:
                of_kind = here.filter(kind=kind)
                if len(of_kind):
                    example = safe_text(of_kind["about"].min(), limit=60)
                    why = f"{KINDS[kind]}: {count(len(of_kind), 'record')} of {total:,}, e.g. {example}"
                    yield _row(kind, column, len(of_kind), Severity.MEDIUM, why), of_kind
            few = [kind for kind in _ODD if 0 < len(here.filter(kind=kind)) < self.share * total]
            if few:
                of_kinds = here.filter(pl.col("kind").is_in(few))
                said = "; ".join(f"{KINDS[kind]} ({len(of_kinds.filter(kind=kind)):,})" for kind in few)
                why = f"what most of {total:,} addresses have not: {said}; test servers have it too"
                yield _row("odd", column, len(of_kinds), Severity.LOW, why), of_kinds


def _row(kind: str, column: str, n: int, severity: Severity, why: str, group: str = "") -> dict[str, Any]:
    return {
        "key": f"{kind}\0{column}\0{group}",
        "score": round(1 - 1 / (1 + n), 6),
        "column": column,
        "group": group or kind,
        "severity": severity.value,
        "why": why,
    }


def _seen(batch: Batch, strings: Strings, key: bytes) -> Iterator[pl.DataFrame]:
    """What is odd about the addresses at one place, and the host of each."""
    front = fronts(strings.values)
    table = parts_of(front.drop_nulls().unique())
    table = table.with_columns(hash=keyed(table["host"], key))
    values = pl.DataFrame({"front": front}).with_row_index("value")
    found = values.join(odd(table), on="front").with_columns(about="host", hash=pl.lit(0, pl.UInt64))
    yield by_record(strings, found, batch)
    column = pl.lit(strings.column).alias("column")
    hashes = front.replace_strict(table["front"], table["hash"], default=None, return_dtype=pl.UInt64)
    rows = pl.DataFrame({"row": strings.rows, "host": hashes}).drop_nulls()
    yield rows.with_columns(column, kind=pl.lit(HOST))
    yield table.select("host").with_columns(column, about="host", host=table["hash"], kind=pl.lit(HOST))


def _digests(batch: Batch) -> Iterator[pl.DataFrame]:
    """Digests held against the texts beside them."""
    strings = [
        name for name in batch.data.schema.names if str(batch.data.schema.field(name).type) == "large_string"
    ]
    names = pl.Series(strings, dtype=pl.String)
    for digest in names.filter(names.str.contains(HASH_NAMES)):
        for text in batch.roles.of(Role.TEXT):
            if text in strings and text != digest:
                held = hashes_hold(batch.column(text), batch.column(digest))
                yield pl.DataFrame(
                    {"column": [text], "about": [digest], "n": [int(held.sum())], "kind": [HOLDS]}
                )
                yield pl.DataFrame({"row": batch.rows().filter(~held)}).with_columns(
                    column=pl.lit(text), about=pl.lit(digest), kind=pl.lit(FAILS)
                )


def _of_hosts(
    seen: pl.DataFrame, named: pl.DataFrame, records: dict[str, int]
) -> Iterator[tuple[dict[str, Any], pl.DataFrame]]:
    """Findings on hosts that look like commoner ones of the set, and on those that come in one stretch."""
    names = (
        seen.filter((pl.col("kind") == HOST) & pl.col("row").is_null())
        .unique(["column", "host"])
        .select("column", "host", "about")
    )
    hosts = named.group_by("column", "host").agg(
        pl.len().alias("n"), pl.col("file").n_unique().alias("files"), pl.col("row").min().alias("first"),
        pl.col("row").max().alias("last"),
    ).join(names, on=["column", "host"]).sort("column", "about")  # fmt: skip
    for column, total in records.items():
        here = hosts.filter(column=column)
        alike = here.with_columns(
            skeleton=skeleton(here["about"]), bare=pl.col("about").str.strip_prefix("www.")
        )
        most = pl.col("n").max().over("skeleton")
        leader = pl.col("bare").sort_by("n", "about", descending=[True, False]).first().over("skeleton")
        rare = alike.with_columns(leader=leader, most=most).filter(
            (pl.col("bare") != pl.col("leader"))
            & (pl.col("most") >= COMMONER * pl.col("n"))
            & (pl.col("about") != "")
        )
        for kind, part, words in (
            ("resembles", rare, "hosts that look like a much commoner one of the set"),
            (
                "burst",
                bursts(here, total),
                "hosts that stand in one stretch of a file only, where others are spread",
            ),
        ):
            if len(part):
                rows = named.filter(column=column).join(part.select("host"), on="host", how="semi")
                few = ", ".join(safe_text(shown(host), limit=60) for host in part["about"].head(NAMED))
                why = f"{words}: {few}{' and others' if len(part) > NAMED else ''}, {count(len(rows), 'record')}"
                why += (
                    "; a site that was added in one go, or another site with such a name, may be the reason"
                )
                yield _row(kind, column, len(rows), Severity.LOW, why), rows.sort("file", "row").head(FLAGGED)


def _of_digests(seen: pl.DataFrame) -> Iterator[tuple[dict[str, Any], pl.DataFrame]]:
    """Findings on texts that are not what the digest beside them says, where most are."""
    held = seen.filter(kind=HOLDS).group_by("column", "about").agg(pl.col("n").sum())
    for column, digest, n in held.sort("column", "about").iter_rows():
        fails = seen.filter(kind=FAILS, column=column, about=digest)
        if len(fails) and n >= MOST * (n + len(fails)):
            why = (
                f"{count(len(fails), 'text')} of {n + len(fails):,} are not what the digest beside them says; "
                "a text that was cleaned after it was digested is changed, too"
            )
            yield _row("digest", column, len(fails), Severity.MEDIUM, why, group=digest), fails


def _measures(seen: pl.DataFrame, records: dict[str, int]) -> Iterator[Measure]:
    for column, total in records.items():
        here = seen.filter((pl.col("place") == column) & pl.col("kind").is_in(list(KINDS)))
        for kind in KINDS:
            yield Measure("odd_url_share", len(here.filter(kind=kind)) / total, total, column, kind)
    held = seen.filter(kind=HOLDS).group_by("column", "about").agg(pl.col("n").sum())
    if held.is_empty():
        yield Measure("mismatch_share", 0.0, 0)
    for column, digest, n in held.sort("column", "about").iter_rows():
        fails = len(seen.filter(kind=FAILS, column=column, about=digest))
        yield Measure("mismatch_share", fails / (n + fails), n + fails, column, digest)

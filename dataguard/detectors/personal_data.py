"""Addresses and numbers of people in the data.

## What it looks for
In every string of every column, nested ones too, by how they are written: e-mail addresses, telephone numbers with a
country code in use (E.164), public IPv4 addresses; and by check digits: account numbers (IBAN, ISO 13616), payment cards
(ISO/IEC 7812, of the ranges of the large issuers), Brazilian CPF, Chinese, Spanish and Finnish identity numbers, Italian
tax codes. One finding for each kind and column: of numbers with check digits, where more of them hold than chance explains
(binomial test against the share of all numbers that would pass, `chance`); of addresses, where a fifth of the records have
one (`share`), or where a record is a list of a hundred different ones (`listed`). The measures count all records with any.

## Why it matters
A model repeats what it learnt, and who asks it gets the address. Laws on data protection ask for a reason to process such
data, and for a way to take it out again. Lists of addresses or of card numbers have seldom come into a set rightly.

## Limits
Written like an address is not yet one: versions look like IP addresses, and numbers of parts like telephone numbers, so
that confidence is low. Names, postal addresses, numbers without check digits (such as the social security numbers of the
USA), IPv6, and what is written out in words are not looked for. One or two card numbers in a set are not told from
chance. Mailboxes of roles (info, support), reserved names (example.com), private and reserved addresses, numbers that
payment services give out for tests, and telephone numbers of fiction (555) are passed over. Contact addresses in
documentation are ordinary: they are measured, and no finding unless a fifth of the records have some.

## What to do
Decide whether the set needs them; mask or drop what it does not, in all records alike. Reports show none of what a
finding covers but its first two characters.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import ClassVar

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
from dataguard.detectors._personal import FAILS, KINDS, by_chance, personal
from dataguard.detectors._sieve import sifted
from dataguard.detectors.base import Example, Known, Pass, RecordDetector, Rule
from dataguard.findings import Confidence, Judgement, Severity
from dataguard.records.batch import Batch


@dataclass(frozen=True, kw_only=True)
class PersonalData(RecordDetector):
    """The data holds addresses or numbers of people.

    Args:
        share: the share of a column's records from which addresses are a finding.
        records: the fewest records for that.
        listed: different addresses in one record from which they are a finding, too.
        chance: the probability that so many check digits hold by chance, below which numbers are a finding.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG212",
        name="personal-data",
        summary="the data holds addresses or numbers of people",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0057"),
        severity=Severity.LOW,
        confidence=Confidence.LOW,
    )
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="account numbers whose check digits hold, with spaces and without",
            data={"text": ["pay to DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "nothing"]},
            rows=frozenset({0, 1}),
            groups=frozenset({"iban"}),
        ),
        Example(
            why="addresses in half of the records",
            data={"contact": [f"person{number}@mail.de" for number in range(10)] + ["none"] * 10},
            rows=frozenset(range(10)),
            groups=frozenset({"email"}),
        ),
        Example(
            why="reserved names, private addresses, a card number for tests, and numbers that do not check",
            data={
                "text": [
                    *["jane@example.com and info@company.com"] * 10,
                    "192.168.1.1 and 10.0.0.1",
                    "4111 1111 1111 1111",
                    "DE89 3704 0044 0532 0130 01",
                    "+1 212 555 0123",
                ]
            },
        ),
    )
    share: float = 0.2
    records: int = 10
    listed: int = 100
    chance: float = 0.001

    def passes(self) -> tuple[Pass, ...]:
        """One pass; the counts of records are summed."""
        return (Pass(self.observe, compact=compacted),)

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """The personal data of this batch, by record, place and kind; none of it is written down."""
        key = hmac.digest(batch.secret, b"personal data", "sha256")

        def look(strings: Sifted) -> pl.DataFrame:
            found = personal(strings)
            if found.is_empty():
                return found
            return found.with_columns(hash=keyed(found["match"], key), about=pl.lit(""))

        return observed(batch, sifted(batch), look)

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """A finding for each kind and place with more of it than is ordinary."""
        seen = evidence.collect()
        by_place = records_by_place(seen)
        if not by_place.get(None):
            return Judgement(not_applicable="no record has text")
        kinds = seen.filter(pl.col("kind").is_not_null()).with_columns(
            place(), tried=pl.col("kind").str.strip_suffix(FAILS)
        )
        found = kinds.filter(pl.col("kind") == pl.col("tried")).with_columns(
            key=pl.concat_str("kind", pl.lit("\0"), "place")
        )
        rows, flagged = [], []
        for (kind, where), of_one in kinds.sort("tried", "place").group_by(
            "tried", "place", maintain_order=True
        ):
            passing = found.filter((pl.col("kind") == kind) & (pl.col("place") == where))
            told = self._told(str(kind), passing, of_one, by_place.get(str(where), 0))
            if told is not None:
                why, score, covered = told
                rows.append(
                    {
                        "key": f"{kind}\0{where}",
                        "score": round(score, 6),
                        "column": where,
                        "group": kind,
                        "severity": (Severity.MEDIUM if KINDS[str(kind)].chance else Severity.LOW).value,
                        "why": why,
                    }
                )
                flagged.append(covered.with_columns(why=pl.lit(""), score=pl.lit(round(score, 6))))
        return Judgement(
            findings=pl.DataFrame(rows) if rows else Judgement().findings,
            flagged=flagged_of(pl.concat(flagged)) if flagged else Judgement().flagged,
            measures=tuple(share_measures("personal_share", found, tuple(KINDS), by_place[None])),
        )

    def _told(
        self, kind: str, passing: pl.DataFrame, tried: pl.DataFrame, records: int
    ) -> tuple[str, float, pl.DataFrame] | None:
        """What a finding about one kind at one place says, its score and what it covers; None where there is none."""
        having = passing.select("file", "row").n_unique()
        if not having:
            return None
        words, chance = KINDS[kind].words, KINDS[kind].chance
        different = passing["values"].explode().n_unique()
        if chance:
            written = tried["values"].explode().n_unique()
            likely = by_chance(different, written, chance)
            holds = f"the check digits of {different:,} of {written:,} different ones hold, by chance {chance:.1%} would"
            why = f"{words} in {count(having, 'record')}: {holds}; generated test data may be the reason"
            return (why, 1 - likely, passing) if likely < self.chance else None
        if having >= self.records and having >= self.share * records:
            why = (
                f"{words} in {count(having, 'record')} of {records:,}, {different:,} different ones; "
                "letters, logs and lists of contacts have them by nature"
            )
            return why, having / records, passing
        lists = passing.filter(pl.col("values").list.len() >= self.listed)
        if lists.is_empty():
            return None
        most = int(lists["values"].list.len().max())  # type: ignore[arg-type]
        more = " or more" if most >= 256 else ""
        why = (
            f"{count(len(lists), 'record')} with {self.listed} or more different {words} each, the longest "
            f"with {most}{more}; lists of contributors are public by intent"
        )
        return why, 1 - self.listed / (self.listed + most), lists

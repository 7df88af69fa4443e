"""The light self-test, with every scan: a few attacks of each kind in a small sample, judged by the rules that look for them.

It says of each kind whether these rules, with these options, find any of it in this data, and it costs seconds. Four
attackers of a kind tell "always" from "never" and little between: for more there is `dataguard adversarial`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from dataguard.canaries.measuring import Found, Rounds, RoundsItem, by_dose, rounds_item, rows_of
from dataguard.canaries.planting import Campaign, Ground, campaigns, rounds
from dataguard.canaries.sample import Group, Screened, chosen, sampled
from dataguard.coverage import ATTACKS
from dataguard.detectors.base import RecordDetector
from dataguard.engine import Failed, LocalEngine
from dataguard.engine.attempt import attempt
from dataguard.errors import DataguardError, RunError
from dataguard.evidence import Evidence, evidence_key, make
from dataguard.findings import CANARIES, empty
from dataguard.secret import Secret
from dataguard.version import __version__

KIND = "selftest"
"""The kind of evidence under which the outcome is kept."""
VERSION = 1
FEWEST = 1_000
"""Records of a set that is tested at all."""
RECORDS = 2_000
DOSE = 10
EACH = 4
"""The fewest campaigns of which none is found by less than chance, at even odds and 95 %."""
MOST_CANARIES = 0.3
"""The largest share of the sample that are canaries at once, those of one kind among them: a round costs the same whatever
is in it, and what is found of an attacker hardly depends on the others."""
READ_BYTES = 16 << 20
"""Of the files, for the sample."""
HELD_BYTES = 8 << 20
"""Of the sample, decoded."""
SECONDS = 300
"""Wall time of a round."""


@dataclass(frozen=True)
class Light:
    """What came of it.

    Args:
        table: the table `canaries`; empty where nothing was measured.
        records: of the sample.
        reason: why nothing was measured; empty where it was.
        failed: it was to be measured and could not be.
    """

    table: pl.DataFrame = field(default_factory=lambda: empty(CANARIES))
    records: int = 0
    reason: str = ""
    failed: bool = False

    def to_json(self) -> dict[str, Any]:
        """For run.json."""
        campaigns = int(self.table["campaigns"].sum())
        return {
            "records": self.records,
            "campaigns": campaigns,
            "failed": self.failed,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class LightTest:
    """A light self-test of a scan.

    Args:
        screened: what was screened.
        detectors: the rules about records that came to their end.
        engine: the scan's workers.
        evidence: where the outcome is kept for the next scan.
        secret: the project's.
    """

    screened: Screened
    detectors: tuple[RecordDetector, ...]
    engine: LocalEngine
    evidence: Evidence
    secret: Secret

    def run(self, advance: Callable[[int, int], None]) -> Light:
        """Plants, judges and counts, unless that was done before with the same data, rules and secret.

        Whatever goes wrong is the reason why nothing was measured: no scan fails for it.
        """
        records = sum(file.rows for file in self.screened.files)
        if records < FEWEST:
            return Light(reason=f"{records} records are too few; {FEWEST} are needed")
        key = self._key()
        if self.evidence.has(KIND, key):
            return _light(json.loads(self.evidence.path(KIND, key).read_bytes()))
        plain = attempt(self._tried, advance)
        if isinstance(plain, Failed):
            return Light(reason=plain.reason, failed=True)
        self.evidence.keep(
            [make(self.evidence.folder, KIND, key, json.dumps(plain, sort_keys=True).encode())]
        )
        return _light(plain)

    def _key(self) -> str:
        """Of all that decides what is measured."""
        flagged = self.screened.flagged.select("file", "row").drop_nulls().unique().sort("file", "row")
        listed = [[file.name, file.sha256, file.file_root] for file in self.screened.files]
        return evidence_key(
            {
                "selftest": [VERSION, RECORDS, DOSE, EACH, MOST_CANARIES, READ_BYTES, HELD_BYTES],
                "dataguard": __version__,
                "files": listed,
                "roles": {role: list(columns) for role, columns in self.screened.roles.items()},
                "rules": [[one.rule.code, one.rule.version, one.options()] for one in self.detectors],
                "flagged": hashlib.sha256(flagged.write_json().encode()).hexdigest(),
                "secret": self.secret.key_id,
            }
        )

    def _tried(self, advance: Callable[[int, int], None]) -> dict[str, Any] | Failed:
        try:
            return self._measured(advance)
        except DataguardError as error:  # says itself what it is about
            return Failed("error", str(error))

    def _measured(self, advance: Callable[[int, int], None]) -> dict[str, Any]:
        groups = self._sample()
        key = self.secret.derive("canaries light")
        grounds = [Ground.of(group) for group in groups]
        looked = looked_for(self.detectors)
        planned = [one for one in campaigns(grounds, (DOSE,), EACH, key) if one.attack in looked]
        detectors = looking_for({one.attack for one in planned}, self.detectors)
        together = rounds(planned, int(rows_of(groups) * MOST_CANARIES), key, of_a_kind=EACH)
        found: list[Found] = []
        items = [RoundsItem(groups, (one,), detectors, key, self.secret.derive("rules")) for one in together]
        for result in self.engine.map(rounds_item, items, seconds=lambda _: SECONDS):
            if isinstance(result.value, Failed):
                raise RunError(f"a round of the self-test: {result.value.reason}")
            found += _whole(result.value)
            advance(1, 0)
        found.sort(key=lambda one: one.campaign.name)  # which round came first is chance
        plain = [[*vars(one.campaign).values(), one.canaries, one.found, list(one.rules)] for one in found]
        return {"records": rows_of(groups), "found": plain}

    def _sample(self) -> tuple[Group, ...]:
        """The records, fewer of them where they are long."""
        items = chosen(self.screened, RECORDS, self.secret, READ_BYTES)
        groups = sampled(self.screened, items, self.engine)
        size = sum(group.data.nbytes for group in groups)
        if size > HELD_BYTES:
            fewer = int(rows_of(groups) * HELD_BYTES / size)
            if fewer < FEWEST // 2:
                raise RunError(f"records of {size // rows_of(groups)} bytes are too long for it")
            items = chosen(self.screened, fewer, self.secret, READ_BYTES)
            groups = sampled(self.screened, items, self.engine)
        return groups


def looked_for(detectors: Sequence[RecordDetector]) -> set[str]:
    """The kinds of attack of which one of these rules looks for the whole."""
    codes = {one.rule.code for one in detectors}
    return {one.key for one in ATTACKS if codes & set(one.rules)}


def looking_for(attacks: set[str], detectors: Sequence[RecordDetector]) -> tuple[RecordDetector, ...]:
    """The rules that look for the whole of one of these attacks, and those that they follow."""
    wanted = {code for one in ATTACKS if one.key in attacks for code in one.rules}
    while more := {code for one in detectors if one.rule.code in wanted for code in one.rule.after} - wanted:
        wanted |= more
    return tuple(one for one in detectors if one.rule.code in wanted)


def _whole(done: Rounds) -> tuple[Found, ...]:
    """The campaigns of a round that was judged to its end: what a rule could not judge is not missed, but unmeasured."""
    if done.problems:
        raise RunError("; ".join(f"{code}: {why}" for code, why in sorted(done.problems.items())))
    return done.found


def _light(plain: dict[str, Any]) -> Light:
    """What is kept, as a table."""
    found = [
        Found(Campaign(attack, dose, number, group), canaries, seen, tuple(rules))
        for attack, dose, number, group, canaries, seen, rules in plain["found"]
    ]
    return Light(by_dose(found, plain["records"]) if found else empty(CANARIES), plain["records"])

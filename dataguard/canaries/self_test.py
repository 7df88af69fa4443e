"""The self-test of a run: a sample of its records, attacks planted in copies of it, and what the same rules find."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from dataguard.canaries.export import check_place, export
from dataguard.canaries.measuring import (
    Rounds,
    RoundsItem,
    by_dose,
    chunked,
    rounds_item,
    rows_of,
    with_recall,
)
from dataguard.canaries.planting import MOST_CANARIES, Ground, campaigns, doses, rounds
from dataguard.canaries.sample import Group, take_sample
from dataguard.config import Limits
from dataguard.detectors import catalogue
from dataguard.detectors.base import RecordDetector
from dataguard.engine import Failed, LocalEngine
from dataguard.errors import RunError, UsageError
from dataguard.findings import CANARIES, empty
from dataguard.run import Run
from dataguard.secret import Secret

MOST_RECORDS = 50_000
FEWEST_RECORDS = 200
RATES = (0.0005, 0.001, 0.005, 0.01)
CAMPAIGNS = 16
"""So many that a recall of 0 or 1 has an interval below .2."""
ITEMS_A_WORKER = 4
KERNELS = "dataguard.kernels.warm"


@dataclass(frozen=True, kw_only=True)
class Options:
    """How much is planted.

    Args:
        records: the most records of the sample.
        each: campaigns of a kind and dose.
        rates: doses as shares of the sample.
        workers: worker processes.
        export: a folder for marked canaries of each kind; None for none.
    """

    records: int = 10_000
    each: int = CAMPAIGNS
    rates: tuple[float, ...] = RATES
    workers: int = 1
    export: Path | None = None

    def __post_init__(self) -> None:
        if not FEWEST_RECORDS <= self.records <= MOST_RECORDS:
            raise UsageError(
                f"expected a sample of {FEWEST_RECORDS} to {MOST_RECORDS} records, got {self.records}"
            )
        if self.each < 1 or self.workers < 1:
            raise UsageError(
                f"expected at least one campaign and one worker, got {self.each} and {self.workers}"
            )
        if not self.rates or not all(0 < rate <= MOST_CANARIES for rate in self.rates):
            raise UsageError(f"expected rates above 0 and up to {MOST_CANARIES}, got {self.rates}")


@dataclass(frozen=True)
class SelfTest:
    """What came of a self-test.

    Args:
        table: the run's table `canaries`.
        records: of the sample.
        rounds: copies of it that were judged.
        problems: why rules or rounds came to no end, by the rule's code; empty if all did.
        exported: files with marked canaries, where they were asked for.
    """

    table: pl.DataFrame
    records: int
    rounds: int
    problems: Mapping[str, str]
    exported: tuple[Path, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all was judged."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "records": self.records,
            "rounds": self.rounds,
            "complete": self.complete,
            "problems": dict(self.problems),
            "exported": [str(path) for path in self.exported],
            "canaries": self.table.to_dicts(),
        }


def self_test(run: Run, root: Path, secret: Secret, options: Options) -> SelfTest:
    """Plants attacks in copies of a sample in memory, judges them, and writes what was found into the run.

    Args:
        run: a scanned run, nobody else writes into meanwhile.
        root: where the data lies now.
        secret: the project's.
        options: how much is planted.

    Raises:
        RunError: the run has too few records, or they are not what was screened.
        UsageError: canaries must not be exported there.
    """
    if options.export is not None:
        check_place(options.export, run, root)
    groups = take_sample(run, root, options.records, secret=secret, workers=options.workers)
    records = rows_of(groups)
    if records < FEWEST_RECORDS:
        raise RunError(
            f"expected at least {FEWEST_RECORDS} records that were read, got {records}",
            "nothing stands out among so few",
        )
    key = secret.derive("canaries")
    planned = campaigns(
        [Ground.of(group) for group in groups], doses(records, options.rates), options.each, key
    )
    together = rounds(planned, int(records * MOST_CANARIES), key)
    found = _judged(run, groups, together, secret, options.workers)
    exported = () if options.export is None else tuple(export(run, groups, options.export, secret))
    result = SelfTest(
        by_dose(found.found, records) if found.found else empty(CANARIES),
        records,
        len(together),
        found.problems,
        exported,
    )
    run.write_table("canaries", result.table)
    run.write_table("coverage", with_recall(run.table("coverage"), result.table))
    return result


def detectors_of(run: Run) -> tuple[RecordDetector, ...]:
    """The rules about records of a run, with the options that they had."""
    options = dict(run.table("outcomes").select("rule", "options").iter_rows())
    found = []
    for kind in catalogue():
        if kind.rule.code in options and issubclass(kind, RecordDetector):
            stated = json.loads(options[kind.rule.code])
            plain = kind()
            try:
                values = {
                    name: tuple(value) if isinstance(getattr(plain, name), tuple) else value
                    for name, value in stated.items()
                }
                found.append(replace(plain, **values))
            except (AttributeError, TypeError) as error:
                raise RunError(
                    f"the options of {kind.rule.code} in {run.path} are not those of this version",
                    "scan again",
                ) from error
    return tuple(found)


def _judged(
    run: Run, groups: tuple[Group, ...], together: tuple[Any, ...], secret: Secret, workers: int
) -> Rounds:
    """All rounds, in workers with the run's limits."""
    limits = Limits(**run.info["limits"])
    detectors = detectors_of(run)
    key, shared = secret.derive("canaries"), secret.derive("rules")
    parts = chunked(together, workers * ITEMS_A_WORKER)
    items = [RoundsItem(groups, part, detectors, key, shared) for part in parts]
    prepare = KERNELS if any(detector.kernels for detector in detectors) else ""
    found, problems = [], {}
    with LocalEngine(
        workers=workers, memory=limits.memory_bytes, seconds=limits.conclude_seconds, prepare=prepare
    ) as engine:
        for result in engine.map(rounds_item, items):
            if isinstance(result.value, Failed):
                problems["rounds"] = result.value.reason
            else:
                found += result.value.found
                problems |= result.value.problems
    # Which item came first is chance.
    found.sort(key=lambda one: one.campaign.name)
    return Rounds(tuple(found), dict(sorted(problems.items())))

"""What the rules find of planted attacks: rounds in workers, and recall by kind and dose.

A canary is found where a finding covers it of which nearly all records are canaries. All canaries of a campaign share
their fate, mostly, so that the intervals count campaigns and not canaries.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from dataguard.canaries.in_memory import judge_all
from dataguard.canaries.planting import Campaign, Ground, Planted, Planter
from dataguard.canaries.sample import Group
from dataguard.coverage import Status, ordered
from dataguard.detectors.base import RecordDetector
from dataguard.findings import CANARIES, Judgement, conform, finding_id, ranked
from dataguard.records import Batch

PURE = 0.9
"""Share of a finding's records that must be canaries, and of a campaign's canaries that must be found."""
BUDGET = 20
"""Findings of the data itself that a reviewer gets through: what is ranked after so many is not found."""
MISSED = 0.5
"""Where the interval of the campaigns found ends below this, a kind of attack is not covered, whoever looks for it."""
Z = 1.959963984540054
"""Of a 95 % interval."""


@dataclass(frozen=True)
class RoundsItem:
    """Rounds for one worker.

    Args:
        groups: the sample.
        rounds: the campaigns of each.
        detectors: the rules.
        key: seeds what is drawn.
        shared: what the rules key their hashes with.
    """

    groups: tuple[Group, ...]
    rounds: tuple[tuple[Campaign, ...], ...]
    detectors: tuple[RecordDetector, ...]
    key: bytes = field(repr=False)
    shared: bytes = field(repr=False)


@dataclass(frozen=True)
class Found:
    """What was found of a campaign.

    Args:
        campaign: which.
        canaries: how many were planted.
        found: how many of them were found.
        rules: codes of the rules that found them.
    """

    campaign: Campaign
    canaries: int
    found: int
    rules: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether the campaign counts as found."""
        return self.found >= PURE * self.canaries


@dataclass(frozen=True)
class Rounds:
    """What came of rounds.

    Args:
        found: a campaign each.
        problems: why rules came to no end, by code.
    """

    found: tuple[Found, ...]
    problems: Mapping[str, str]


def rounds_item(item: RoundsItem) -> Rounds:
    """Plants and judges the rounds, in the worker."""
    grounds = [Ground.of(group) for group in item.groups]
    planter = Planter(grounds, item.key)
    found: list[Found] = []
    problems: dict[str, str] = {}
    for together in item.rounds:
        planted = planter.plant(together)
        files = [
            [[Batch(data, 0, ground.group.roles, item.shared)]]
            for data, ground in zip(planted.data, grounds, strict=True)
        ]
        judged, errors = judge_all(item.detectors, files)
        problems |= errors
        problems |= {code: one.incomplete for code, one in judged.items() if one.incomplete}
        found += _compared(together, planted, judged, item.detectors)
    return Rounds(tuple(found), problems)


def _compared(
    together: Sequence[Campaign],
    planted: Planted,
    judged: Mapping[str, Judgement],
    detectors: Sequence[RecordDetector],
) -> list[Found]:
    """Which canaries are covered by findings that consist of canaries and that a reviewer gets to."""
    truth = pl.concat(
        pl.DataFrame({"row": rows}).with_columns(
            file=pl.lit(campaign.group, dtype=pl.UInt32), campaign=pl.lit(number, dtype=pl.UInt32)
        )
        for number, (campaign, rows) in enumerate(zip(together, planted.where, strict=True))
    )
    flagged = pl.concat(
        [
            judgement.flagged.select("key", "file", "row", pl.lit(code).alias("rule"))
            .drop_nulls("row")
            .unique()
            for code, judgement in sorted(judged.items())
        ]
        or [truth.head(0).select(pl.lit("").alias("key"), "file", "row", pl.lit("").alias("rule"))]
    ).join(truth, on=["file", "row"], how="left")
    counts = _counting(judged, detectors, flagged)
    every = flagged.drop_nulls("campaign").join(counts, on=["rule", "key"], how="semi")
    found = []
    for number, campaign in enumerate(together):
        own = every.filter(pl.col("campaign") == number)
        rules = tuple(own["rule"].unique().sort())
        found.append(Found(campaign, len(planted.where[number]), own.select("file", "row").n_unique(), rules))
    return found


def _counting(
    judged: Mapping[str, Judgement], detectors: Sequence[RecordDetector], flagged: pl.DataFrame
) -> pl.DataFrame:
    """The findings that count, by `rule` and `key`: nearly all canaries, and few findings of the data itself before.

    Args:
        judged: by code.
        detectors: the rules.
        flagged: the records of all findings, with the campaign of those that are canaries.
    """
    kinds = {detector.rule.code: detector.rule.severity.value for detector in detectors}
    findings = pl.concat(
        [
            judgement.findings.select(
                "key",
                "score",
                pl.col("severity").fill_null(kinds[code]),
                pl.lit(code).alias("rule"),
                id=pl.Series([finding_id(code, key) for key in judgement.findings["key"]], dtype=pl.String),
            )
            for code, judgement in sorted(judged.items())
        ]
        or [flagged.head(0).select("key", "rule", score=0.0, severity=pl.lit("low"), id="key")]
    )
    share = flagged.group_by("rule", "key").agg(pure=pl.col("campaign").is_not_null().mean() >= PURE)
    order = ranked(findings.join(share, on=["rule", "key"], how="left")).with_columns(
        pl.col("pure").fill_null(value=False)
    )
    own_before = (~pl.col("pure")).cum_sum()
    return order.filter(pl.col("pure") & (own_before < BUDGET)).select("rule", "key")


def wilson(share: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927).

    Args:
        share: as observed; of something between the trials' ends as well, for trials that succeed in part.
        n: trials.

    Returns:
        Its lower and upper end; 0 and 1 without trials.
    """
    if not n:
        return 0.0, 1.0
    middle = share + Z * Z / (2 * n)
    half = Z * math.sqrt(max(share * (1 - share), 0.0) / n + Z * Z / (4 * n * n))
    below = 1 + Z * Z / n
    return max(0.0, (middle - half) / below), min(1.0, (middle + half) / below)


def by_dose(found: Sequence[Found], records: int) -> pl.DataFrame:
    """The table `canaries`: recall of canaries by kind of attack and dose.

    Args:
        found: the campaigns.
        records: of the sample.
    """
    rows = []
    for attack, dose in sorted({(one.campaign.attack, one.campaign.dose) for one in found}):
        cell = [one for one in found if (one.campaign.attack, one.campaign.dose) == (attack, dose)]
        canaries, seen = sum(one.canaries for one in cell), sum(one.found for one in cell)
        low, high = wilson(seen / canaries, len(cell))
        rows.append(
            {
                "attack": attack,
                "records": dose,
                "rate": round(dose / records, 9),
                "campaigns": len(cell),
                "campaigns_found": sum(one.whole for one in cell),
                "canaries": canaries,
                "found": seen,
                "recall": round(seen / canaries, 9),
                "low": round(low, 9),
                "high": round(high, 9),
                **_of_canaries(seen, canaries),
                "rules": ", ".join(sorted({code for one in cell for code in one.rules})),
            }
        )
    return conform(pl.DataFrame(rows, infer_schema_length=None), CANARIES)


def _of_canaries(found: int, canaries: int) -> dict[str, float]:
    """The interval that counts each canary as a try of its own: narrower than it is true."""
    low, high = wilson(found / canaries, canaries)
    return {"canaries_low": round(low, 9), "canaries_high": round(high, 9)}


def with_recall(
    coverage: pl.DataFrame, canaries: pl.DataFrame, missed_is: Status = Status.NOT_COVERED
) -> pl.DataFrame:
    """The table `coverage` with what was measured: the share of the campaigns that was found, of all doses together.

    What was missed mostly at the largest dose is not said to be covered, whoever looked for it.

    Args:
        coverage: the table.
        canaries: what was measured.
        missed_is: what a kind becomes of which no campaign of the largest dose was found: a few small campaigns make
            it no more than "partly".
    """
    seen = pl.col("campaigns_found") > 0
    total = canaries.group_by("attack").agg(
        campaigns=pl.col("campaigns").sum(),
        hits=pl.col("campaigns_found").sum(),
        smallest=pl.col("records").filter(seen).min(),
    )
    ends = [
        (row["attack"], round(row["hits"] / row["campaigns"], 9), *wilson(row["hits"] / row["campaigns"], row["campaigns"]))
        for row in total.iter_rows(named=True)
    ]  # fmt: skip
    shares = pl.DataFrame(
        [(attack, share, round(low, 9), round(high, 9)) for attack, share, low, high in ends],
        schema={"attack": pl.String, "recall": pl.Float64, "low": pl.Float64, "high": pl.Float64},
        orient="row",
    )
    measured = total.drop("hits").join(shares, on="attack")
    kept = coverage.select(
        name for name in coverage.columns if name not in set(measured.columns) - {"attack"}
    )
    filled = kept.join(measured, on="attack", how="left", maintain_order="left").select(coverage.columns)
    missed = {row["attack"]: row["campaigns_found"] for row in _missed(canaries).iter_rows(named=True)}
    contradicted = pl.col("attack").is_in(list(missed)) & (pl.col("looked") != Status.NOT_COVERED.value)
    some = pl.col("attack").is_in([attack for attack, hits in missed.items() if hits])
    status = pl.when(some).then(pl.lit(Status.PARTLY.value)).otherwise(pl.lit(missed_is.value))
    return ordered(filled.with_columns(status=pl.when(contradicted).then(status).otherwise("looked")))


def unmeasured(coverage: pl.DataFrame, attacks: Iterable[str], reason: str) -> pl.DataFrame:
    """The table `coverage` that says of these kinds of attack why nothing was measured; what nobody looks for needs none."""
    asked = pl.col("attack").is_in(list(attacks)) & (pl.col("looked") != Status.NOT_COVERED.value)
    told = pl.concat_str(pl.col("reason"), pl.lit(f"; not measured: {reason}"))
    return coverage.with_columns(reason=pl.when(asked).then(told).otherwise("reason"))


def _missed(canaries: pl.DataFrame) -> pl.DataFrame:
    """The kinds of attack of which most campaigns were missed at the largest dose, and that is no chance."""
    largest = canaries.filter(pl.col("records") == pl.col("records").max().over("attack"))
    below = [
        wilson(found / campaigns, campaigns)[1] < MISSED
        for found, campaigns in largest.select("campaigns_found", "campaigns").iter_rows()
    ]
    return largest.filter(pl.Series(below, dtype=pl.Boolean))


def chunked(rounds: Sequence[tuple[Campaign, ...]], parts: int) -> list[tuple[tuple[Campaign, ...], ...]]:
    """Rounds dealt out to so many items, each of about as much work."""
    return [tuple(rounds[at::parts]) for at in range(min(parts, len(rounds)))]


def rows_of(groups: Sequence[Group]) -> int:
    """Records of the sample."""
    return int(np.sum([group.data.num_rows for group in groups], dtype=np.int64))

"""What the rules find of planted attacks: rounds in workers, and recall by kind and dose.

A canary is found where a finding covers it of which nearly all records are canaries. All canaries of a campaign share
their fate, mostly, so that the intervals count campaigns and not canaries.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from dataguard.canaries.in_memory import judge_all
from dataguard.canaries.planting import Campaign, Ground, Planted, Planter
from dataguard.canaries.sample import Group
from dataguard.detectors.base import RecordDetector
from dataguard.findings import CANARIES, Judgement, conform
from dataguard.records import Batch

PURE = 0.9
"""Share of a finding's records that must be canaries, and of a campaign's canaries that must be found."""
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
        found += _compared(together, planted, judged)
    return Rounds(tuple(found), problems)


def _compared(together: Sequence[Campaign], planted: Planted, judged: Mapping[str, Judgement]) -> list[Found]:
    """Which canaries are covered by findings that consist of canaries."""
    truth = pl.concat(
        pl.DataFrame({"row": rows}).with_columns(
            file=pl.lit(campaign.group, dtype=pl.UInt32), campaign=pl.lit(number, dtype=pl.UInt32)
        )
        for number, (campaign, rows) in enumerate(zip(together, planted.where, strict=True))
    )
    pure = []
    for code, judgement in sorted(judged.items()):
        flagged = judgement.flagged.select("key", "file", "row").drop_nulls("row").unique()
        marked = flagged.join(truth, on=["file", "row"], how="left")
        share = pl.col("campaign").is_not_null().mean().over("key")
        pure.append(
            marked.filter((share >= PURE) & pl.col("campaign").is_not_null())
            .select("file", "row", "campaign")
            .unique()
            .with_columns(rule=pl.lit(code))
        )
    every = pl.concat(pure) if pure else truth.head(0).with_columns(rule=pl.lit(""))
    found = []
    for number, campaign in enumerate(together):
        own = every.filter(pl.col("campaign") == number)
        rules = tuple(own["rule"].unique().sort())
        found.append(Found(campaign, len(planted.where[number]), own.select("file", "row").n_unique(), rules))
    return found


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
                "rules": ", ".join(sorted({code for one in cell for code in one.rules})),
            }
        )
    return conform(pl.DataFrame(rows, infer_schema_length=None), CANARIES)


def with_recall(coverage: pl.DataFrame, canaries: pl.DataFrame) -> pl.DataFrame:
    """The table `coverage` with what was measured: the share of the campaigns that was found, of all doses together."""
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
    return kept.join(measured, on="attack", how="left", maintain_order="left").select(coverage.columns)


def chunked(rounds: Sequence[tuple[Campaign, ...]], parts: int) -> list[tuple[tuple[Campaign, ...], ...]]:
    """Rounds dealt out to so many items, each of about as much work."""
    return [tuple(rounds[at::parts]) for at in range(min(parts, len(rounds)))]


def rows_of(groups: Sequence[Group]) -> int:
    """Records of the sample."""
    return int(np.sum([group.data.num_rows for group in groups], dtype=np.int64))

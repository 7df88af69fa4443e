"""How many labels are wrong, by pair of labels: counted where records look like another class as that class itself does.

The records that are labelled j and are of class i in truth look, to a model that did not see them, like any records of
class i. So among those labelled j a share of them stands at every depth of class i: where the records of class j that
the model only fails on have ended, what is left over what class i itself has there is how many of class i are labelled
j (a mixture's proportion is the least ratio of its tails; Blanchard, Lee and Scott, "Semi-supervised novelty
detection", JMLR 2010). The model's own errors lie flat and are left behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from dataguard.detectors._label_model import F64, LEVELS
from dataguard.findings import Severity
from dataguard.safe_text import safe_text

LEAST = 20
"""Records of a class at a depth, below which the depth tells nothing."""
DEVIATIONS = 3.0
"""Standard deviations between a count and its bounds."""

MIDDLE, DEEP = LEVELS // 2, LEVELS - 2
"""The depths that half and a fifth of a class exceed."""
FEW, MANY, FLAT = 0.2, 0.5, 1.2
"""Records of another label to each of a class beyond its middle, in times of what there are of both: up to a fifth they are
told apart, up to half if there are hardly fewer further down."""

NEAREST = 100
"""What is added to a level where a record is counted once, by the class that it looks like most."""

COUNTS = pl.Schema(
    {"column": pl.String, "given": pl.Int32, "other": pl.Int32, "level": pl.Int32, "n": pl.UInt64}
)
"""Records by label, other class, and depths of the other class that they exceed. `level` -1 - k: the same of the
records' own class against the other; `NEAREST` + k: the same of records by the class that each looks like most."""


def rates(counts: pl.DataFrame) -> pl.DataFrame:
    """What share of each class carries each other label by mistake.

    Args:
        counts: COUNTS of one column, summed.

    Returns:
        given, true (class), rate, low and high (bounds), size (records labelled as the class), level, variance, and
        whether the two classes are told apart at all, either way, see `_apart`.
    """
    own = counts.filter(pl.col("level") < 0).select("other", "n", true="given", level=-1 - pl.col("level"))
    looks = counts.filter(pl.col("level").is_between(0, LEVELS)).select("given", "level", "n", true="other")
    rows: list[dict[str, Any]] = []
    sizes = dict(own.group_by("true").agg(n=pl.col("n").sum()).iter_rows())
    others = dict(own.group_by("true").agg(pl.col("other").n_unique()).iter_rows())
    for (given, true), table in looks.sort("given", "true", "level").group_by(
        "given", "true", maintain_order=True
    ):
        itself = own.filter(true=true, other=given)
        if itself.is_empty():
            continue
        wrong, right = _beyond(table), _beyond(itself)
        told = right >= LEAST
        if not told.any():
            continue
        upper = (np.sqrt(wrong) + DEVIATIONS / 2) ** 2 / np.maximum(right, 1)
        level = int(np.argmin(np.where(told, upper, np.inf)))
        base = float(right[level])
        low = max(0.0, float(np.sqrt(wrong[level])) - DEVIATIONS / 2) ** 2 / base
        rows.append(
            {
                "given": given,
                "true": true,
                "rate": float(wrong[level]) / base,
                "low": low,
                "high": float(upper[level]),
                "size": int(sizes[true]) // int(others[true]),
                "level": level,
                "variance": float(wrong[level]) / base**2,
                "apart": _apart(wrong, right, int(table["n"].sum()) / max(1, int(itself["n"].sum()))),
            }
        )
    mixed = {frozenset((row["given"], row["true"])) for row in rows if not row["apart"]}
    for row in rows:
        row["apart"] = frozenset((row["given"], row["true"])) not in mixed
    return pl.DataFrame(rows, schema=RATES).sort("given", "true")


RATES = pl.Schema(
    {
        "given": pl.Int32,
        "true": pl.Int32,
        "rate": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "size": pl.Int64,
        "level": pl.Int32,
        "variance": pl.Float64,
        "apart": pl.Boolean,
    }
)


def _beyond(table: pl.DataFrame) -> F64:
    """How many records are beyond each depth."""
    by_level = np.bincount(table["level"].to_numpy(), weights=table["n"].to_numpy(), minlength=LEVELS + 1)
    return np.asarray(np.cumsum(by_level[::-1])[::-1][1:])


def _apart(wrong: F64, right: F64, base: float) -> bool:
    """Whether records that look like a class carry its label, most of them, so that others may be wrong.

    Where a label only grows more probable with what a record looks like (a risk, a grade), many of the other label are
    found at every depth, fewer the deeper: that is no error of anybody. Wrong labels are as many at the middle of the
    class as at its depth.

    Args:
        wrong: records of the other label beyond each depth.
        right: those of the class itself.
        base: how many of the other label there are to each of the class.
    """
    half, deep = (float(wrong[level] / max(1.0, right[level])) for level in (MIDDLE, DEEP))
    usual = min(1.0, base)
    return half <= FEW * usual or (half <= MANY * usual and half <= FLAT * deep)


def one_sided(found: pl.DataFrame, usual: float) -> pl.DataFrame:
    """The pairs that stand out of the set's own noise: more of a class goes to a label than comes back.

    Args:
        found: from `rates`.
        usual: the share of wrong labels that sets have which nobody attacked.

    Returns:
        Those of `found` whose lower bound is above `reference`: the usual share, the upper bound of the way back and
        twice the middle rate of all pairs, whichever is most.
    """
    back = found.select("high", given="true", true="given").rename({"high": "back"})
    middle = float(found["rate"].median() or 0.0) if found.height > 2 else 0.0  # type: ignore[arg-type]
    reference = pl.max_horizontal(pl.lit(usual), pl.col("back").fill_null(1.0), pl.lit(2 * middle))
    joined = found.join(back, on=["given", "true"], how="left", maintain_order="left")
    return joined.with_columns(reference=reference).filter(pl.col("low") > pl.col("reference"))


def surely(counts: pl.DataFrame, found: pl.DataFrame) -> float:
    """A lower bound of the share of wrong labels, over all pairs that are told apart at once.

    In small sets each pair has few records; together they may be sure.

    Args:
        counts: COUNTS of one column, summed.
        found: from `rates`.
    """
    told = found.filter("apart").select("given", other="true")
    if told.is_empty():
        return 0.0
    itself = counts.filter(pl.col("level") < 0).join(
        told.select(given="other", other="given"), on=["given", "other"], how="semi"
    )
    right = _beyond(itself.with_columns(level=-1 - pl.col("level"))) / max(1, int(itself["n"].sum()))
    nearest = counts.filter(pl.col("level") >= NEAREST).join(told, on=["given", "other"], how="semi")
    wrong = _beyond(nearest.with_columns(level=pl.col("level") - NEAREST))
    right = np.maximum(right, 1e-9)
    level = int(np.argmin((np.sqrt(wrong) + DEVIATIONS / 2) ** 2 / right))
    low = max(0.0, float(np.sqrt(wrong[level])) - DEVIATIONS / 2) ** 2 / float(right[level])
    return float(low / max(1, records_of(counts)))


def records_of(counts: pl.DataFrame) -> int:
    """How many records were judged: each is counted once for every other class."""
    own = counts.filter(pl.col("level") < 0)
    each = own.group_by("given", "other").agg(pl.col("n").sum()).group_by("given").agg(pl.col("n").max())
    return int(each["n"].sum())


def overlapping(counts: pl.DataFrame, found: pl.DataFrame) -> float:
    """The share of the records whose label is not told apart from some other.

    Args:
        counts: COUNTS of one column, summed.
        found: from `rates`.
    """
    each = counts.filter(pl.col("level") < 0).group_by("given", "other").agg(pl.col("n").sum())
    sizes = each.group_by("given").agg(pl.col("n").max())
    mixed = pl.concat([found.filter(~pl.col("apart"))[side].alias("given") for side in ("given", "true")])
    return int(sizes.filter(pl.col("given").is_in(mixed.implode()))["n"].sum()) / max(
        1, int(sizes["n"].sum())
    )


BEYOND = 1.5
"""Records of the finding about a whole column, in times of the estimate."""
FAR = 3.0
"""Times of what it is measured by, beyond which a pair is worse than low."""
Finding = tuple[dict[str, Any], pl.DataFrame]
"""A row of JUDGED_FINDINGS, and its records: file, row, score."""


@dataclass(frozen=True)
class Noise:
    """What there is to say of one label column.

    Args:
        column: its name.
        labels: the labels that were judged.
        judged: how many records.
        found: from `rates`.
        suspects: the records that look more like another class: file, row, given, other, score, margin.
        together: from `surely`.
    """

    column: str
    labels: tuple[str, ...]
    judged: int
    found: pl.DataFrame
    suspects: pl.DataFrame
    together: float

    @property
    def share(self) -> float:
        """The share of all records whose label is wrong."""
        return min(1.0, float((self.found["size"] * self.found["rate"]).sum()) / max(1, self.judged))

    @property
    def surely(self) -> float:
        """A lower bound of it."""
        variance = float((self.found["size"] ** 2 * self.found["variance"]).sum())
        spread = float(np.sqrt(variance)) / max(1, self.judged)
        return max(0.0, self.share - DEVIATIONS * spread, self.together)

    def pairs(self, usual: float) -> Iterator[Finding]:
        """A finding for each class of which too much carries one other label: what looks most like the class."""
        for pair in one_sided(self.found, usual).iter_rows(named=True):
            estimate = max(1, round(pair["rate"] * pair["size"]))
            mine = self.suspects.filter(given=pair["given"], other=pair["true"])
            records = mine.sort(["margin", "file", "row"], descending=[True, False, False]).head(estimate)
            if records.is_empty():
                continue
            given, true = self.labels[pair["given"]], self.labels[pair["true"]]
            severity = Severity.MEDIUM if pair["low"] > FAR * pair["reference"] else Severity.LOW
            why = (
                f"about {estimate} records labelled {safe_text(given, limit=40)} look like "
                f"{safe_text(true, limit=40)} as much as that class itself does, {pair['rate']:.1%} of it and "
                f"surely {pair['low']:.1%}, where {pair['reference']:.1%} would be in line with usual errors and the "
                "other labels; or annotators confuse the two in this direction"
            )
            finding = {
                "key": f"{self.column}\0{given}\0{true}",
                "score": round(1 - pair["reference"] / pair["low"], 6),
                "column": self.column,
                "group": given,
                "severity": severity.value,
                "why": why,
            }
            yield finding, records

    def whole(self, usual: float) -> Iterator[Finding]:
        """A finding where the column as a whole has too many wrong labels: its records from the worst on."""
        worst = self.suspects.sort(["score", "file", "row"], descending=[True, False, False])
        records = worst.head(round(BEYOND * self.share * self.judged))
        if self.surely > usual and len(records):
            why = (
                f"about {self.share:.1%} of {self.judged} labels are wrong, surely {self.surely:.1%}; sets that nobody "
                f"attacked have {usual:.1%} on average; or the classes overlap"
            )
            finding = {
                "key": f"{self.column}\0",
                "score": round(self.surely, 6),
                "column": self.column,
                "severity": Severity.LOW.value,
                "why": why,
            }
            yield finding, records

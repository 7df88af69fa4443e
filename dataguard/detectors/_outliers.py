"""What an ordinary record looks like, learned from a sample, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataguard.detectors._forest import Floats, Forest, Singles

LEAST = 32
"""Records that a model is learned from at least."""

_FLOOR = 0.55
# Numbers taken through the forest at once.
_CELLS = 1 << 20


@dataclass(frozen=True)
class OutlierModel:
    """What the second look knows about one set of columns.

    Args:
        middle: f64, the median of each column.
        scale: f64, its robust deviation, 0 where the column is constant.
        limit: records with a summed path length up to this are found.
        many: they are more than outliers can be, so a group of their own.
        forest: grown on the columns that are not constant.
    """

    middle: Floats
    scale: Floats
    limit: float
    many: bool
    forest: Forest

    @classmethod
    def fit(cls, sample: Floats, tail: float, max_share: float) -> OutlierModel | None:
        """What a sample shows; None where there is too little to learn from.

        Args:
            sample: numbers of shape (records, columns), NaN possible.
            tail: the share of ordinary records that may be found by mistake.
            max_share: the greatest share of the records that can be outliers.
        """
        if len(sample) < LEAST:
            return None
        sample = np.where(np.isfinite(sample), sample, np.nan)
        middle = np.array([_median(column[~np.isnan(column)]) for column in sample.T])
        # Normal data has the same deviation by either; where most values are equal, only the mean sees the others.
        with np.errstate(all="ignore"):
            apart = np.abs(np.where(np.isnan(sample), middle, sample) - middle)
            median, mean = np.median(apart, axis=0), np.mean(apart, axis=0)
            scale = np.where(median > 0, 1.4826 * median, 1.2533 * mean)
        scale[~np.isfinite(scale)] = 0
        if (scale > 0).sum() < 2:
            return None
        matrix = _compressed(sample, middle, scale)
        forest = Forest.fit(matrix)
        scores = forest.scores(forest.path_lengths(matrix))
        cut = _cut(scores, tail)
        many = bool(np.mean(scores > cut) > max_share)
        return cls(middle, scale, forest.path_length(cut), many, forest)

    def to_arrays(self, prefix: str) -> dict[str, Any]:
        """As named arrays and numbers."""
        plain = {prefix + name: getattr(self, name) for name in ("middle", "scale", "limit", "many")}
        return plain | self.forest.to_arrays(prefix)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], prefix: str) -> OutlierModel:
        """The model that `to_arrays` gave."""
        middle, scale, limit, many = (arrays[prefix + name] for name in ("middle", "scale", "limit", "many"))
        return cls(middle, scale, limit, many, Forest.from_arrays(arrays, prefix))

    def path_lengths(self, matrix: Floats) -> Floats:
        """The summed path length of each record; infinite where it is above the limit."""
        rows = max(1, _CELLS // max(1, matrix.shape[1]))
        parts = [matrix[begin : begin + rows] for begin in range(0, len(matrix), rows)]
        lengths = [
            self.forest.path_lengths(_compressed(part, self.middle, self.scale), self.limit) for part in parts
        ]
        return np.concatenate([np.empty(0), *lengths])

    def reasons(self, names: tuple[str, ...], matrix: Floats) -> list[str]:
        """For each record, the up to three columns that are furthest from their median."""
        with np.errstate(all="ignore"):
            deviations = np.nan_to_num((matrix - self.middle) / self.scale, posinf=0, neginf=0)
        furthest = np.argsort(-np.abs(deviations), axis=1, kind="stable")[:, :3]
        return [
            "; ".join(
                f"{names[at][:64]} = {values[at]:.6g} ({away[at]:+.1f} deviations from {self.middle[at]:.6g})"
                for at in places
                if at == places[0] or abs(away[at]) > 3
            )
            for places, values, away in zip(furthest, matrix, deviations, strict=True)
        ]


def _median(values: Floats) -> float:
    with np.errstate(all="ignore"):
        return float(np.median(values)) if len(values) else 0.0


def _compressed(matrix: Floats, middle: Floats, scale: Floats) -> Singles:
    """Deviations on a scale that is linear between powers of two and logarithmic from one to the next.

    Exact arithmetic throughout, so that no processor's logarithm decides about a record. What is not finite counts as
    the median.
    """
    kept = scale > 0
    with np.errstate(all="ignore"):
        deviations = (matrix[:, kept] - middle[kept]) / scale[kept]
    deviations[~np.isfinite(matrix[:, kept])] = 0
    mantissa, exponent = np.frexp(1 + np.minimum(np.abs(deviations), 2.0**64))
    compressed: Singles = np.copysign(exponent + 2 * mantissa - 2, deviations).astype(np.float32)
    return compressed


def _cut(scores: Floats, tail: float) -> float:
    """The score above which a record is set apart, from the scores of a sample."""
    middle = np.median(scores)
    deviation = 1.4826 * np.median(np.abs(scores - middle))
    rare = _tail_score(scores, tail)
    # Few columns give coarse scores with long tails of their own: between five and eight deviations they decide.
    return float(max(_FLOOR, middle + 5 * deviation, min(middle + 8 * deviation, rare)))


def _tail_score(scores: Floats, tail: float) -> float:
    """The score that only this share of ordinary records should exceed, from the shape of the upper tail.

    From the quantile above which .32 of the scores lie to that of .08, and on to that of .02, the share falls by four.
    Each further quarter is taken to be as much shorter as the second step was than the first (a generalised Pareto
    tail with a bounded end). Up to two outliers in a hundred lie above all three.
    """
    one, two, three = np.quantile(scores, [0.68, 0.92, 0.98])
    shorter = float(np.clip((three - two) / (two - one), 0.3, 1.0)) if two > one else 1.0
    steps = np.log(0.02 / tail) / np.log(4)
    further = steps if shorter == 1.0 else shorter * (1 - shorter**steps) / (1 - shorter)
    return float(three + (three - two) * further)

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
_DEVIATIONS = 8.0


@dataclass(frozen=True)
class OutlierModel:
    """What the second look knows about one set of columns.

    Args:
        middle: f64, the median of each column.
        scale: f64, its robust deviation, 0 where the column is constant.
        limit: records with a summed path length up to this are found.
        forest: grown on the columns that are not constant.
    """

    middle: Floats
    scale: Floats
    limit: float
    forest: Forest

    @classmethod
    def fit(cls, sample: Floats, tail: float) -> OutlierModel | None:
        """From numbers of shape (records, columns), NaN possible; None where there is too little to learn from."""
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
        return cls(middle, scale, forest.path_length(_cut(scores, tail)), forest)

    def to_arrays(self, prefix: str) -> dict[str, Any]:
        """As named arrays and numbers."""
        plain = {prefix + name: getattr(self, name) for name in ("middle", "scale", "limit")}
        return plain | self.forest.to_arrays(prefix)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], prefix: str) -> OutlierModel:
        """The model that `to_arrays` gave."""
        middle, scale, limit = (arrays[prefix + name] for name in ("middle", "scale", "limit"))
        return cls(middle, scale, limit, Forest.from_arrays(arrays, prefix))

    def compressed(self, matrix: Floats) -> Singles:
        """Numbers as the forest takes them."""
        return _compressed(matrix, self.middle, self.scale)

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
    low, high = np.quantile(scores, [0.90, 0.98])
    # Between these two quantiles an exponential tail falls by a factor of five. Outliers in the sample, up to two
    # in a hundred, lie above both.
    extrapolated = high + (high - low) / np.log(5) * np.log(0.02 / tail)
    middle = np.median(scores)
    robust = middle + _DEVIATIONS * 1.4826 * np.median(np.abs(scores - middle))
    return max(_FLOOR, float(min(extrapolated, robust)))

"""A column's distribution in a few shares, as measures that a report can draw."""

from __future__ import annotations

import numpy as np

from dataguard.detectors._numbers.distributions import Distribution
from dataguard.detectors._numbers.fences import Fences

WITHIN = 8
"""Bins of equal width within the fences."""
Share = tuple[str, str, float]


def shares(distribution: Distribution, fences: Fences) -> list[Share]:
    """Name of the measure, place and range of the bin, and its share: `value_share` within, `beyond_share` beyond."""
    values, counts = distribution.values, distribution.counts
    inside = (values >= fences.low) & (values <= fences.high)
    if not inside.any():
        return []
    least, greatest = values[inside][[0, -1]] / WITHIN  # so that no difference is above all numbers
    edges = least * WITHIN + (greatest - least) * np.arange(1, WITHIN)
    number = np.searchsorted(edges, values[inside], side="right")
    held = np.bincount(number, weights=counts[inside], minlength=WITHIN) / distribution.n
    ends = [least * WITHIN, *edges, greatest * WITHIN]
    below, above = (
        float(counts[beyond].sum()) / distribution.n for beyond in (values < fences.low, values > fences.high)
    )
    return [
        ("beyond_share", f"0 below {fences.low:.4g}", below),
        *(
            ("value_share", f"{place + 1} {ends[place]:.4g} to {ends[place + 1]:.4g}", float(held[place]))
            for place in range(WITHIN)
        ),
        ("beyond_share", f"{WITHIN + 1} above {fences.high:.4g}", above),
    ]

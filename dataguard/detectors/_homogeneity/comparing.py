"""Which groups repeat themselves more than the others of their kind do, by the spread among these."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

JUDGED = {"compression_ratio": 1, "distinct_triples": -1, "vendi_score": -1}
"""The measures that are compared, as logarithms; 1 where more is more homogeneous."""
NEEDED = "vendi_score"
"""The one that each group has of which there are records enough."""
SPREADS = 3.0
"""How many standard deviations, as the median of deviations tells them, a group is away from the others at least."""
MAD = 1.4826
"""Times the median of absolute deviations: the standard deviation of normal values."""

Values = Mapping[str, float]


class Standing(NamedTuple):
    """How a group stands among the others.

    Attributes:
        times: how many times more homogeneous it is than the middle of the others, by measure.
        spreads: the same as a logarithm, in standard deviations of the others; infinite where they do not differ.
        middle: the median of the others, by measure.
    """

    times: dict[str, float]
    spreads: dict[str, float]
    middle: dict[str, float]

    @property
    def most(self) -> float:
        """By the measure by which it stands out most."""
        return max(self.times.values())

    @property
    def mean(self) -> float:
        """By all measures, their geometric mean."""
        return math.prod(self.times.values()) ** (1 / len(self.times))

    def out(self, factor: float) -> bool:
        """Whether it is so many times as homogeneous, and further away from the others than these differ."""
        return any(self.times[name] >= factor and self.spreads[name] >= SPREADS for name in self.times)


def standing(own: Values, others: Sequence[Values]) -> Standing | None:
    """How a group stands among others; None without the records or the others to tell.

    Args:
        own: its measures by name.
        others: theirs.
    """
    found = Standing({}, {}, {})
    for name, sign in JUDGED.items():
        theirs = np.array([math.log(one[name]) for one in others if name in one])
        if name in own and len(theirs):
            center = float(np.median(theirs))
            away = sign * (math.log(own[name]) - center)
            width = MAD * float(np.median(np.abs(theirs - center)))
            found.middle[name], found.times[name] = math.exp(center), math.exp(away)
            found.spreads[name] = away / width if width > 0 else math.copysign(math.inf, away)
    return found if NEEDED in found.times else None

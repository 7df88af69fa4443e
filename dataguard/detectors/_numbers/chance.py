"""How probable counts are by chance, and which of many improbable ones are kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def chance(mine: int, n: int, share: float) -> float:
    """A bound of the chance that so many of n draws are of a kind that has this share (Chernoff's)."""
    if mine <= share * n or share >= 1:
        return 1.0
    if share <= 0:
        return 0.0
    part = mine / n
    rest = (1 - part) * np.log((1 - part) / (1 - share)) if part < 1 else 0.0
    return float(np.exp(-n * (part * np.log(part / share) + rest)))


def discoveries(chances: Sequence[float], false: float) -> npt.NDArray[np.bool_]:
    """Which tests are kept so that on average no more than a share of them are chance (Benjamini and Hochberg, 1995)."""
    values = np.array(chances, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    below = values[order] <= false * np.arange(1, len(values) + 1) / max(1, len(values))
    kept = np.zeros(len(values), np.bool_)
    if below.any():
        kept[order[: np.flatnonzero(below)[-1] + 1]] = True
    return kept

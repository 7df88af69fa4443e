"""The search for values that were put into records together.

Values of several columns that stand in the same records more often than by chance may belong together by nature: the
pixels of a stroke do, and then all else in these records is alike too. A trigger was put into records that are like any
others. So what is looked for comes together beyond what its columns, and the label, make expected, while the other
columns of its records are as in the whole set or as in the records of the same labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dataguard.detectors._numbers.chance import chance
from dataguard.detectors._numbers.distributions import F64, I64

LEAST = 5
"""Records of a sample in which values must come together."""
EXCESS = 6.0
"""Deviations from which on two values are looked at."""
_TRIED = 300
_LONGEST = 8
_MOST_VALUES = 1023
_DRAWS = 32
_LABELS = 64
_LOOSE = 1.8
_CAPPED = 25.0
_LEANS = 0.05
_SINGLES = 64

Code = dict[int, int]
"""The number of a value by the number of its column."""


class Burst(NamedTuple):
    """Values that come together, in a sample.

    Attributes:
        columns: numbers of columns, ascending.
        values: f64, of each.
        records: i64, which records of the sample have them all.
        expected: how many would, by the shares of each value in the sample or in each label, whichever is more.
        excess: how many deviations more there are.
        alike: whether the records are alike in other columns too, more than by chance.
        likeness: the mean squared deviation of the other columns of these records, from those of all records or of
            those with their labels, whichever is less; 1 by chance.
    """

    columns: tuple[int, ...]
    values: tuple[float, ...]
    records: I64
    expected: float
    excess: float
    alike: bool
    likeness: float


@dataclass(frozen=True)
class Sampled:
    """A sample of records, prepared.

    Args:
        codes: i32[columns, n], each value that stands in enough records as a number from 1, 0 for others.
        known: for each column the values by number, from 1.
        ranks: f64[n, columns], ranks in 0..1.
        labels: i64[n], numbers of labels; all 0 where they are none or too many.
        single: for each column whether most of its values stand nowhere else.
        ends: for each column its least and its greatest value.
    """

    codes: npt.NDArray[np.int32]
    known: tuple[F64, ...]
    ranks: F64
    labels: I64
    single: npt.NDArray[np.bool_]
    ends: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, matrix: F64, labels: list[str | None]) -> Sampled:
        """Of numbers of shape (n, columns) and what the labels say."""
        coded = [_coded(column) for column in matrix.T]
        names = sorted({name or "" for name in labels})
        number = {name: place if len(names) <= _LABELS else 0 for place, name in enumerate(names)}
        return cls(
            np.stack([codes for codes, *_ in coded]),
            tuple(known for _, known, *_ in coded),
            np.stack([ranks for *_, ranks, _ in coded], axis=1),
            np.array([number[name or ""] for name in labels], dtype=np.int64),
            np.array([single for *_, single in coded]),
            tuple(_ends(column[np.isfinite(column)]) for column in matrix.T),
        )

    @property
    def n(self) -> int:
        """How many records."""
        return int(self.codes.shape[1])

    def outermost(self, column: int, value: int) -> bool:
        """Whether a value is the least or the greatest of its column."""
        least, greatest = self.ends[column]
        return self.known[column][value - 1] in (least, greatest)

    def has(self, code: Code) -> npt.NDArray[np.bool_]:
        """Which records have all of some values."""
        held = np.ones(self.n, np.bool_)
        for column, value in code.items():
            held &= self.codes[column] == value
        return held

    def expected(self, code: Code) -> float:
        """In how many records values come together by chance, in the whole sample or in its labels."""
        total = np.bincount(self.labels).astype(np.float64)
        whole, within = float(self.n), total.copy()
        for column, value in code.items():
            mine = np.bincount(self.labels[self.codes[column] == value], minlength=len(total))
            whole *= mine.sum() / self.n
            within *= mine / np.maximum(total, 1)
        return max(whole, float(within.sum()))


def bursts(sampled: Sampled, max_share: float, excess: float) -> list[Burst]:
    """The values that come together, those that stand out most first; of those that share records the first.

    Args:
        sampled: the sample.
        max_share: the greatest share of the records.
        excess: deviations above what is expected.
    """
    found = list(_candidates(sampled, max_share, excess))
    found.sort(key=lambda one: (-one.excess, one.columns, one.values))
    taken = np.zeros(sampled.n, np.bool_)
    kept = []
    for one in found:
        if 2 * taken[one.records].sum() < len(one.records):
            kept.append(one)
            taken[one.records] = True
    return kept


def singles(sampled: Sampled, known: list[Burst]) -> list[Burst]:
    """Values that stand in several records where most stand in one, and lean to a label; the most frequent first.

    Whether they lean to it by more than chance is to be told from all records. Floors and caps, and what belongs to a
    burst that is known, are left out.
    """
    taken = np.zeros(sampled.n, np.bool_)
    for one in known:
        taken[one.records] = True
    total = np.bincount(sampled.labels)
    found = []
    for column in np.flatnonzero(sampled.single).tolist():
        for value in range(1, len(sampled.known[column]) + 1):
            records = np.flatnonzero(sampled.codes[column] == value)
            if sampled.outermost(column, value) or 2 * taken[records].sum() >= len(records):
                continue
            mine = np.bincount(sampled.labels[records], minlength=len(total))
            if chance(int(mine.max()), len(records), total[mine.argmax()] / sampled.n) < _LEANS:
                worth = float(sampled.known[column][value - 1])
                found.append(Burst((column,), (worth,), records, 1.0, float(len(records)), True, np.inf))
    found.sort(key=lambda one: (-len(one.records), one.columns, one.values))
    return found[:_SINGLES]


def _candidates(sampled: Sampled, max_share: float, excess: float) -> Iterator[Burst]:
    from dataguard.kernels.together import Limits, deviation, together

    sizes = np.array([len(known) + 1 for known in sampled.known])
    limits = Limits(LEAST, int(max_share * sampled.n), EXCESS)
    pairs, deviations = together(sampled.codes, sizes, limits)
    order = np.lexsort((*pairs.T[::-1], -np.round(deviations, 6)))[:_TRIED]
    seen: set[tuple[tuple[int, int], ...]] = set()
    for i, j, a, b in pairs[order].tolist():
        code, held = _extended(sampled, {i: a, j: b})
        key = tuple(sorted(code.items()))
        if key in seen:
            continue
        seen.add(key)
        expected = sampled.expected(code)
        far = deviation(float(held.sum()), expected)
        if far >= excess and (burst := _burst(sampled, dict(key), np.flatnonzero(held))) is not None:
            # The one place where figures are rounded.
            yield burst._replace(expected=round(expected, 6), excess=round(float(far), 6))


def _burst(sampled: Sampled, code: Code, records: I64) -> Burst | None:
    """What is said of values that come together; None where their records are alike in other ways too."""
    others = [column for column in range(len(sampled.known)) if column not in code]
    likeness = _likeness(sampled, records, others)
    # In columns where values do not repeat, that they stand together in several records is no accident of what these are
    # like; but for a floor or a cap.
    exact = sum(
        sampled.single[column] and not sampled.outermost(column, value) for column, value in code.items()
    )
    alike = likeness > _LOOSE and likeness > _by_chance(sampled, len(records), others)
    if alike and exact < 2:
        return None
    values = tuple(float(sampled.known[column][value - 1]) for column, value in code.items())
    return Burst(tuple(code), values, records, 0.0, 0.0, alike, round(likeness, 6))


def _extended(sampled: Sampled, code: Code) -> tuple[Code, npt.NDArray[np.bool_]]:
    """The values that nearly all records of some values have too, more than other records of these labels."""
    code = dict(code)
    held = sampled.has(code)
    total = np.bincount(sampled.labels)
    while len(code) < _LONGEST:
        size = int(held.sum())
        mix = np.bincount(sampled.labels[held], minlength=len(total)) / size
        best: tuple[float, int, int] | None = None
        for column in range(len(sampled.known)):
            if column in code or not len(sampled.known[column]):
                continue
            codes = sampled.codes[column]
            counts = np.bincount(codes[held])
            counts[0] = 0
            value = int(counts.argmax())
            mine = int(counts[value])
            if mine < LEAST or mine < 0.6 * size:
                continue
            those = codes == value
            elsewhere = (int(those.sum()) - mine) / max(sampled.n - size, 1)
            labelled = np.bincount(sampled.labels[those], minlength=len(total)) / np.maximum(total, 1)
            usual = max(elsewhere, float(mix @ labelled), 1 / sampled.n)
            gain = mine * np.log(mine / size / usual)
            if mine / size > 1.4 * usual and (best is None or gain > best[0] + 1e-9):
                best = (gain, column, value)
        if best is None:
            break
        code[best[1]] = best[2]
        held &= sampled.codes[best[1]] == best[2]
    return code, held


def _likeness(sampled: Sampled, records: I64, others: list[int]) -> float:
    """How far the other columns of some records are from those of all, or of their labels; 1 by chance."""
    ranks, middle, deviation = _others(sampled, others)
    if not ranks.shape[1]:
        return np.inf
    mean = ranks[records].mean(axis=0)
    total = np.bincount(sampled.labels)
    mix = np.bincount(sampled.labels[records], minlength=len(total)) / len(records)
    weight = (mix / np.maximum(total, 1))[sampled.labels]
    center = weight @ ranks
    spread = np.sqrt(np.maximum(weight @ ranks**2 - center**2, 0) + (0.05 * deviation) ** 2)
    return min(_far(mean, middle, deviation, len(records)), _far(mean, center, spread, len(records)))


def _by_chance(sampled: Sampled, size: int, others: list[int]) -> float:
    """How far so many records that are drawn at random are from all, at most."""
    ranks, middle, deviation = _others(sampled, others)
    if not ranks.shape[1]:
        return 0.0
    rng = np.random.default_rng(0)
    drawn = [ranks[rng.choice(sampled.n, size, replace=False)].mean(axis=0) for _ in range(_DRAWS)]
    far = [_far(mean, middle, deviation, size) for mean in drawn]
    return float(np.mean(far) + 3 * np.std(far))


def _others(sampled: Sampled, others: list[int]) -> tuple[F64, F64, F64]:
    """Ranks of those columns that are not constant, their means and deviations."""
    ranks = sampled.ranks[:, others]
    deviation = ranks.std(axis=0)
    ranks, deviation = ranks[:, deviation > 0], deviation[deviation > 0]
    return ranks, ranks.mean(axis=0), deviation


def _far(mean: F64, center: F64, spread: F64, size: int) -> float:
    """The mean square of how many of its own deviations a mean of so many records lies off, capped."""
    return float(np.minimum(((mean - center) / spread) ** 2 * size, _CAPPED).mean())


def _ends(values: F64) -> tuple[float, float]:
    return (float(values.min()), float(values.max())) if len(values) else (np.nan, np.nan)


def _coded(column: F64) -> tuple[Any, F64, F64, bool]:
    """Numbers of the values that stand in enough records, these, ranks, and whether most values stand nowhere else."""
    finite = np.isfinite(column)
    values, place, counts = np.unique(
        np.where(finite, column, np.inf), return_inverse=True, return_counts=True
    )
    middles = (np.cumsum(counts) - counts / 2) / len(column)
    enough = np.flatnonzero((counts >= LEAST) & np.isfinite(values))
    if len(enough) > _MOST_VALUES:
        enough = np.sort(enough[np.argsort(-counts[enough], kind="stable")[:_MOST_VALUES]])
    numbers = np.zeros(len(values), np.int32)
    numbers[enough] = np.arange(1, len(enough) + 1)
    ranks = np.where(finite, middles[place], 0.5)
    single = bool((counts[place][finite] <= 2).mean() > 0.5) if finite.any() else False
    return numbers[place], values[enough], ranks, single

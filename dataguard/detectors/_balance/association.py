"""How two ways of telling records apart go together: measures of a table of counts, and what chance would make of it.

A table has a row for each subgroup and a column for each label; every row and every column has a record.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dataguard.detectors._balance.tails import gamma_tail

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FEW = 10
"""Records of a subgroup or label that tell nothing on their own: one more or less of them turns the statistic over."""


@dataclass(frozen=True)
class Crossing:
    """A table of counts, rows by columns, none of them empty."""

    counts: Counts

    @classmethod
    def of(cls, counts: Counts) -> Crossing:
        """The table without the rows and columns that have no record."""
        counts = np.asarray(counts, np.int64)
        return cls(counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0])

    @property
    def records(self) -> int:
        """How many there are."""
        return int(self.counts.sum())

    @property
    def degrees(self) -> int:
        """Degrees of freedom; 0 where there is one row or one column, and nothing to go together."""
        rows, columns = (len(self.counts.sum(axis=axis)) for axis in (1, 0))
        return max(0, rows - 1) * max(0, columns - 1)

    @property
    def expected(self) -> Floats:
        """What would stand in each cell if rows and columns had nothing to do with one another."""
        return np.outer(self.counts.sum(axis=1), self.counts.sum(axis=0)) / max(1, self.records)

    @property
    def chi_square(self) -> float:
        """Pearson's statistic, without Yates' correction."""
        expected = self.expected
        return float(math.fsum(((self.counts - expected) ** 2 / expected).ravel())) if self.degrees else 0.0

    def pooled(self) -> Crossing:
        """The table with rows of fewer than FEW records as one row, and without it if that is few too; columns alike."""
        counts = self.counts
        for _ in range(2):
            few = counts.sum(axis=1) < FEW
            together = counts[few].sum(axis=0, keepdims=True)
            counts = np.concatenate([counts[~few], together] if together.sum() >= FEW else [counts[~few]]).T
        return Crossing.of(counts)

    @property
    def chance(self) -> float:
        """The probability that shuffled labels go together with the rows so well or better; of the pooled table.

        The statistic of shuffled labels has a known mean and variance (Lewis, Saunders and Westcott, "The moments of
        the Pearson chi-squared statistic and the minimum expected value in two-way tables", Biometrika 1984); a gamma
        variable with both stands for it. Where few records are expected in a cell that holds, and the usual
        chi-square distribution does not.
        """
        table = self.pooled()
        total, degrees = table.records, table.degrees
        if not degrees:
            return 1.0
        (rows, spread), (columns, other) = (table._side(axis) for axis in (1, 0))
        mean = degrees * total / (total - 1)
        variance = 2 * total / (total - 3) * (rows - spread) * (columns - other)
        variance += total**2 / (total - 1) * spread * other
        # Where the margins leave no freedom but for rounding, all tables are this one.
        if variance <= 1e-9 * mean**2:
            return 1.0
        return gamma_tail(mean**2 / variance, table.chi_square * mean / variance)

    def _side(self, axis: int) -> tuple[float, float]:
        """The two terms of the variance that rows (axis 1) or columns (axis 0) give."""
        sums, total = self.counts.sum(axis=axis), self.records
        count = len(sums)
        inverse = math.fsum((1 / sums).tolist())
        return (count - 1) * (total - count) / (total - 1), (total * inverse - count**2) / (total - 2)

    @property
    def cramers_v(self) -> float:
        """Cramér's V as it is usually taken, from 0 to 1; it grows with the number of cells by chance alone."""
        if not self.degrees:
            return 0.0
        return math.sqrt(min(1.0, self.chi_square / self.records / (min(self.counts.shape) - 1)))

    @property
    def corrected_v(self) -> float:
        """Cramér's V without what chance adds (Bergsma, "A bias-correction for Cramér's V and Tschuprow's T", 2013)."""
        if not self.degrees or self.records < 2:
            return 0.0
        fewer = self.records - 1
        phi = max(0.0, self.chi_square / self.records - self.degrees / fewer)
        sides = min(count - (count - 1) ** 2 / fewer for count in self.counts.shape)
        return math.sqrt(min(1.0, phi / (sides - 1))) if sides > 1 else 0.0

    @property
    def theils_u(self) -> float:
        """The share of the uncertainty about the column that the row takes away (Theil 1970), from 0 to 1."""
        label = _entropy(self.counts.sum(axis=0))
        both, row = _entropy(self.counts.ravel()), _entropy(self.counts.sum(axis=1))
        return min(1.0, max(0.0, (label + row - both) / label)) if label > 0 else 0.0

    @property
    def rates(self) -> Floats:
        """The share of each label among the records of each subgroup: its selection rate."""
        return np.asarray(self.counts / self.counts.sum(axis=1, keepdims=True), np.float64)

    def parity(self, fewest: int) -> tuple[Floats, Floats]:
        """Demographic parity of each label: how far apart the rates of the subgroups are.

        Args:
            fewest: subgroups of fewer records have no rate that means anything.

        Returns:
            for each label the largest rate minus the smallest, and the smallest over the largest (1 where it is 0);
            none where fewer than two subgroups are large enough.
        """
        rates = self.rates[self.counts.sum(axis=1) >= fewest]
        if len(rates) < 2:
            return np.empty(0), np.empty(0)
        least, most = rates.min(axis=0), rates.max(axis=0)
        ratio = np.divide(least, most, out=np.ones_like(most), where=most > 0)
        return most - least, ratio

    @property
    def oddest(self) -> tuple[int, int]:
        """The cell that differs most from what is expected, for its size."""
        away = np.abs(self.counts - self.expected) / np.sqrt(self.expected)
        # Equal but for the last bits are the two of a row of two labels: the first of them, on every machine.
        row, column = np.unravel_index(int(np.argmax(np.round(away, 9))), away.shape)
        return int(row), int(column)


def _entropy(counts: Counts) -> float:
    shares = counts[counts > 0] / counts.sum()
    return -math.fsum((shares * np.log(shares)).tolist())

"""Pictures made from measures: what a rule measured is what is drawn."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from dataguard.detectors.numeric_outlier import NumericOutlier
from dataguard.findings import MEASURES, conform
from dataguard.report.charts import value_shares
from harness import cut, judge_in_memory, records


def measured(columns: int) -> pl.DataFrame:
    """What DG201 measures of columns of which each but the last has some values beyond its tails."""
    rng = np.random.default_rng(0)
    data = {f"f{number}": rng.normal(size=2000) for number in range(columns)}
    for number in range(columns - 1):
        data[f"f{number}"][: 2 + number] = 90
        data[f"f{number}"][5] = -70
    judgement = judge_in_memory(NumericOutlier(), [cut(records(data))])
    rows = [
        {
            "rule": "DG201",
            "name": one.name,
            "column": one.column,
            "group": one.group,
            "value": one.value,
            "n": one.n,
        }
        for one in judgement.measures
    ]
    return conform(pl.DataFrame(rows), MEASURES)


def test_a_distribution_is_drawn_with_what_lies_beyond_marked() -> None:
    charts = value_shares(measured(3))
    assert [str(chart.title) for chart in charts] == ["Values of f1", "Values of f0"]
    (chart, _) = charts
    assert "2,000 values" in chart.says
    kinds = [bar.segments[0].kind for bar in chart.bars]
    assert kinds == ["high", *["accent"] * 8, "high"]
    assert str(chart.bars[0].label).startswith("below -")
    assert str(chart.bars[-1].label).startswith("above ")
    assert chart.bars[-1].numbers == ("0.1 %",)
    assert max(segment.width for bar in chart.bars for segment in bar.segments) == pytest.approx(99.6)


def test_the_columns_with_most_beyond_are_drawn_and_the_others_counted() -> None:
    charts = value_shares(measured(8))
    assert len(charts) == 4
    assert charts[-1].more == "and 3 more columns"


def test_shares_of_a_column_add_up_to_one() -> None:
    shares = measured(2).filter(pl.col("name").is_in(["value_share", "beyond_share"]))
    assert shares["value"].sum() == pytest.approx(1)
    assert shares.filter(pl.col("name") == "beyond_share")["value"].to_list() == [1 / 2000, 2 / 2000]


def test_without_outliers_nothing_is_drawn() -> None:
    assert value_shares(measured(1)) == ()

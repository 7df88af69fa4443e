"""The pictures of sources: who is drawn, in which order and colour, and what odd tables do."""

from __future__ import annotations

import math
from typing import Any

import polars as pl
import pytest

from dataguard.findings import FINDINGS, MEASURES, conform, empty
from dataguard.report.charts_homogeneity import homogeneity, source_shares


def measures(*rows: tuple[str, str, str, str, float | None]) -> pl.DataFrame:
    names = ("rule", "name", "column", "group", "value")
    return conform(pl.DataFrame([dict(zip(names, row, strict=True)) | {"n": 9} for row in rows]), MEASURES)


def score(group: str, value: float | None, side: str = "answers", column: str = "source") -> Any:
    return ("DG304", f"vendi_score_of_{side}", column, group, value)


def test_the_least_diverse_group_comes_first_in_the_colour_of_its_finding() -> None:
    found = conform(
        pl.DataFrame([{"rule": "DG304", "column": "source", "group": "upload", "severity": "medium"}]),
        FINDINGS,
    )
    table = measures(
        score("", 44.0, column=""),
        score("web", 50.0),
        score("upload", 2.0),
        ("DG304", "compression_ratio_of_answers", "source", "web", 2.25),
        ("DG304", "times_the_others_of_answers", "source", "upload", 25.0),
        ("DG304", "times_the_others_of_inputs", "source", "upload", 1.1),
        score("upload", 40.0, "inputs"),
    )
    asked, chart = homogeneity(table, found)
    assert asked.bars[0].segments[0].kind == "accent"
    assert [str(bar.label) for bar in chart.bars] == ["upload", "web"]
    assert [bar.numbers for bar in chart.bars] == [("2.0", "–"), ("50.0", "2.25")]
    assert [bar.segments[0].kind for bar in chart.bars] == ["medium", "accent"]
    assert chart.bars[0].segments[0].width < chart.bars[1].segments[0].width


def test_shares_are_drawn_for_each_way_of_naming_sources() -> None:
    table = measures(
        *[("DG303", "source_share", "", f"s{i:02}", 1 / 12) for i in range(12)],
        ("DG303", "effective_sources", "", "", 12.0),
        ("DG303", "source_share", "origin", "web", 1.0),
        ("DG303", "effective_sources", "origin", "", 1.0),
    )
    files, origin = source_shares(table)
    assert files.more == "and 2 more sources"
    assert "12 sources" in files.says
    assert [bar.numbers for bar in origin.bars] == [("100 %",)]
    assert files.id != origin.id


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_what_could_not_be_measured_is_not_drawn(value: float | None) -> None:
    assert homogeneity(measures(score("web", value)), empty(FINDINGS)) == ()
    assert source_shares(measures(("DG303", "source_share", "", "web", value))) == ()
    assert homogeneity(empty(MEASURES), empty(FINDINGS)) == source_shares(empty(MEASURES)) == ()

"""Pictures of balance: heat maps of labels by subgroup, and bars of drift, as numbers and as the page has them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import polars as pl

from dataguard.detectors.split_drift import SplitDrift
from dataguard.detectors.subgroup_association import SubgroupAssociation
from dataguard.findings import MEASURES, Judgement, crossed, uncrossed
from dataguard.report import render
from dataguard.report.charts import BARS, drifts
from dataguard.report.heat import HEADS, MAPS, ROWS, associations
from example_runs import make_run
from harness import cut, judge_in_memory, records
from test_report import check_harmless


def _table(*judged: tuple[str, Judgement]) -> pl.DataFrame:
    rows = [
        {
            "rule": rule,
            "name": one.name,
            "column": one.column,
            "group": one.group,
            "value": one.value,
            "n": one.n,
        }
        for rule, judgement in judged
        for one in judgement.measures
    ]
    return pl.DataFrame(rows, schema=MEASURES)


def _rate(
    column: str, value: str, label: str, rate: float, n: int, name: str = "selection_rate"
) -> dict[str, Any]:
    group = crossed(value, label)
    return {"rule": "DG302", "name": name, "column": column, "group": group, "value": rate, "n": n}


def test_groups_come_apart_as_they_were_put_together() -> None:
    assert uncrossed(crossed("a", "b")) == ("a", "b")
    assert uncrossed(crossed("a × b", "c")) == ("a x b", "c")
    assert uncrossed("plain") == ("plain", "")


def test_a_map_has_a_row_for_each_subgroup_tinted_by_what_is_apart() -> None:
    data = {
        "label": ["yes"] * 20 + ["no"] * 80 + ["yes"] * 90 + ["no"] * 110,
        "gender": ["f"] * 100 + ["m"] * 200,
        "region": ["north", "south"] * 150,
    }
    judgement = judge_in_memory(SubgroupAssociation(columns="region"), [cut(records(data))])
    first, second = associations(_table(("DG302", judgement)))
    assert [first.title, second.title] == ["Labels by gender", "Labels by region"]
    assert list(map(str, first.heads)) == ["label: no", "label: yes"]
    assert [str(row.label) for row in first.rows] == ["m (200)", "f (100)"]
    men, women = ([(cell.number, cell.level, cell.side) for cell in row.cells if cell] for row in first.rows)
    assert men == [("55.0 %", 1, "below"), ("45.0 %", 1, "above")]
    assert women == [("80.0 %", 2, "above"), ("20.0 %", 2, "below")]
    assert "80.0 % of the subgroup, 63.3 % of all records" in [
        cell.words for cell in first.rows[1].cells if cell
    ]


def test_maps_are_bounded_and_what_is_left_out_is_said() -> None:
    rng = random.Random(1)
    rows = [
        _rate(f"c{column}", f"v{value}", f"l{label}", rng.random(), 10 + value)
        for column in range(7)
        for value in range(20)
        for label in range(9)
    ]
    rows += [
        _rate("widow", value, "bad", rate, 50, "term_selection_rate")
        for value, rate in (("with", 1.0), ("without", 0.0))
    ]
    maps = associations(pl.DataFrame(rows, schema=MEASURES))
    assert len(maps) == MAPS
    assert len({one.id for one in maps}) == MAPS
    full = next(one for one in maps if one.title.startswith("Labels by c"))
    assert (len(full.heads), len(full.rows)) == (HEADS, ROWS)
    assert full.more == "and 8 more subgroups and 3 more labels"
    assert associations(pl.DataFrame(schema=MEASURES)) == ()


def test_cells_that_were_not_measured_are_empty() -> None:
    rows = [_rate("g", "a", "x", 0.5, 9), _rate("g", "b", "y", 0.5, 9), _rate("g", "b", "z", 7.0, 9)]
    (only,) = associations(pl.DataFrame(rows, schema=MEASURES))
    assert [[cell is None for cell in row.cells] for row in only.rows] == [[False, True], [True, False]]


def _drifting() -> Judgement:
    rng = random.Random(3)
    split = ["train"] * 300 + ["test"] * 200
    data: dict[str, Any] = {
        f"x{at}": [rng.gauss(at * (one == "test"), 4) for one in split] for at in range(12)
    }
    data["label"] = [rng.choice("ab") for _ in split]
    return judge_in_memory(SplitDrift(), [cut(records({**data, "split": split}))])


def test_bars_of_drift_are_those_columns_that_are_furthest_apart() -> None:
    judgement = _drifting()
    (chart,) = drifts(_table(("DG305", judgement)))
    assert chart.title == "Drift between splits: train-test"
    assert len(chart.bars) == BARS
    assert str(chart.bars[0].label) in ("x11", "x10", "x9")
    widths = [bar.segments[0].width for bar in chart.bars]
    assert widths == sorted(widths, reverse=True)
    told = {(one.name, one.column): one.value for one in judgement.measures}
    first = str(chart.bars[0].label)
    assert chart.bars[0].numbers == (
        f"{told['number_jensen_shannon', first]:.2f}",
        f"{told['number_psi', first]:.2f}",
    )
    assert chart.more == "and 3 more columns"
    assert drifts(pl.DataFrame(schema=MEASURES)) == ()


def test_the_page_has_both_and_harms_nobody(tmp_path: Path) -> None:
    hostile = "<script>f\u202e</script>"
    data = {"label": ["yes"] * 60 + ["no"] * 60, "gender": [hostile] * 50 + ["m"] * 70}
    judged = judge_in_memory(SubgroupAssociation(), [cut(records(data))])
    table = _table(("DG302", judged), ("DG305", _drifting()))
    run = make_run(tmp_path / "run", {"measures": table.to_dicts()})
    page = check_harmless(render(run))
    for words in (
        "Labels by gender",
        "‹U+202E›",
        "label: yes",
        "Drift between splits: train-test",
        "Jensen-Shannon",
    ):
        assert words in page.text, words
    tinted = [
        attributes["class"]
        for tag, attributes in page.elements
        if tag == "rect" and "heat" in (attributes.get("class") or "")
    ]
    assert len(tinted) == 4
    assert {"above heat4", "below heat4"} <= set(tinted)
    assert render(run) == render(run)

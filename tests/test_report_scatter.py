"""Pictures of vectors: two directions, cells in place of records, and what the page has of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from dataguard.detectors._vectors.picture import ALL, HIGH, WIDE, components, pictured
from dataguard.detectors.embedding_outlier import EmbeddingOutlier
from dataguard.findings import MEASURES
from dataguard.report import render
from dataguard.report.scatter import SCATTERS, STEP, vectors
from example_runs import make_run
from harness import cut, judge_in_memory
from test_report import check_harmless


def _measured(numbers: Any, labels: list[str], column: str = "embedding") -> pl.DataFrame:
    data = pa.record_batch(
        {
            column: pa.array(list(np.asarray(numbers, np.float32)), pa.large_list(pa.float32())),
            "label": pa.array(labels, pa.large_string()),
        }
    )
    found = judge_in_memory(EmbeddingOutlier(), [cut(data)]).measures
    rows = [
        {"rule": "DG209", "name": m.name, "column": m.column, "group": m.group, "value": m.value, "n": m.n}
        for m in found
    ]
    return pl.DataFrame(rows, schema=MEASURES)


def _flooded(records: int = 300) -> tuple[Any, list[str]]:
    drawn = np.random.default_rng(0)
    clean = drawn.normal(size=(records, 8)) * [4, 3, 1, 1, 1, 1, 1, 1]
    flood = clean[0] + 0.001 * drawn.normal(size=(20, 8))
    return np.concatenate([clean, flood]), ["a", "b"] * ((records + 20) // 2)


def test_components_are_those_of_a_singular_value_decomposition() -> None:
    drawn = np.random.default_rng(1)
    for shape in ((200, 12), (12, 200)):
        numbers = drawn.normal(size=shape) * np.linspace(3, 1, shape[1])
        apart = numbers - numbers.mean(axis=0)
        left, sizes, _ = np.linalg.svd(apart, full_matrices=False)
        places, shares = components(numbers)
        assert np.allclose(np.abs(places), np.abs(left[:, :2] * sizes[:2]))
        assert np.allclose(shares, sizes[:2] ** 2 / (sizes**2).sum())
        assert (places[np.abs(places).argmax(axis=0), [0, 1]] > 0).all()
    way = np.eye(12)[5] * 7
    places, shares = components(numbers.T, way)
    assert np.allclose(places[:, 1], numbers[5] - numbers[5].mean())
    assert 0 < shares[1] < shares[0]


def test_a_picture_has_no_more_counts_than_cells_and_leaves_nobody_out() -> None:
    numbers = np.random.default_rng(2).standard_t(2, size=(5000, 3))
    marked = numbers[:, 0] > 1
    cells, shares = pictured(numbers, np.full(5000, 2), [(4, 7, marked)])
    whole = cells[cells[:, 0] == ALL]
    assert len(whole) <= WIDE * HIGH
    assert whole[:, 4].sum() == 10_000
    assert cells[(cells[:, 0] == 4) & (cells[:, 1] == 7), 4].sum() == 2 * marked.sum()
    assert 0 < shares.sum() <= 1
    for same in (np.ones((9, 3)), np.zeros((9, 1))):
        nothing, none = pictured(same, np.ones(9, np.int64), [(4, 0, np.ones(9, np.bool_))])
        assert not len(nothing)
        assert not len(none)
    assert len(pictured(np.arange(9.0)[:, None], np.ones(9, np.int64), [])[0]) == 9


def test_floods_are_marked_where_they_lie() -> None:
    numbers, labels = _flooded()
    (map_,) = vectors(_measured(numbers, labels))
    marked = [dot for dot in map_.dots if dot.marked]
    assert map_.title == "Floods among the vectors of "
    assert "320 sampled vectors, 21 of them marked" in map_.says
    assert map_.words.startswith("21 of 320 vectors are marked. They lie in ")
    assert 1 <= len(marked) <= 4
    assert all(0 < dot.x < map_.width and 0 < dot.y < map_.height for dot in map_.dots)
    assert (map_.width, map_.height) == (WIDE * STEP, HIGH * STEP)
    assert "of variance" in map_.across
    assert map_.up.startswith("second component")
    assert max(dot.radius for dot in map_.dots) < STEP


def test_a_shift_is_seen_along_its_own_direction() -> None:
    drawn = np.random.default_rng(3)
    numbers = drawn.normal(size=(600, 16)) * np.linspace(4, 1, 16)
    labels = np.array(["a", "b"])[np.arange(600) % 2]
    its = np.flatnonzero(labels == "a")[:15]
    numbers[its] += 14 * np.eye(16)[15]
    (map_,) = vectors(_measured(numbers, labels.tolist()))
    assert map_.title.startswith("Shifts")
    assert map_.up.startswith("where a group stands apart")
    # Upwards or downwards, all of the group lie beyond all others: they are no cell's neighbours.
    ups = {dot.y for dot in map_.dots if dot.marked}
    assert len({dot.y for dot in map_.dots if not dot.marked} - ups) > 3
    assert max(ups) - min(ups) <= 6 * STEP


def test_clean_vectors_have_no_picture_and_pictures_are_bounded() -> None:
    numbers, labels = _flooded()
    assert vectors(_measured(numbers[:300], labels[:300])) == ()
    tables = [_measured(numbers, labels, f"embedding {at}") for at in range(SCATTERS + 2)]
    drawn = vectors(pl.concat(tables))
    assert len(drawn) == SCATTERS
    assert [map_.more for map_ in drawn] == [""] * (SCATTERS - 1) + ["and 2 more pictures"]


def test_tables_that_say_nonsense_are_not_drawn() -> None:
    rows = [
        ("map_share", "0 0", 0.5),
        ("map_share", "99999999 1", 0.5),
        ("map_share", "-1 2", 0.1),
        ("map_share", "x", 0.1),
        ("hub_map_share", "0 0", float("nan")),
        ("hub_map_share", "1 0", 0.0),
        ("flood_map_share", None, 0.5),
    ]
    table = pl.DataFrame(
        [{"rule": "DG209", "name": n, "column": "c", "group": g, "value": v, "n": 10} for n, g, v in rows],
        schema=MEASURES,
    )
    assert vectors(table) == ()


def test_the_page_has_the_picture_and_nothing_of_the_column_gets_out(tmp_path: Path) -> None:
    numbers, labels = _flooded()
    hostile = "<script>alert(1)</script>\u202eemb"
    run = make_run(tmp_path / "run", {"measures": _measured(numbers, labels, hostile)})
    page = check_harmless(render(run))
    assert [
        attributes["role"]
        for tag, attributes in page.elements
        if "scatter" in (attributes.get("class") or "")
    ] == ["img"]
    for words in (
        "Floods among the vectors of",
        "‹U+202E›",
        "21 of 320 vectors are marked",
        "principal component",
    ):
        assert words in page.text, words
    assert render(run) == render(run)

"""Bursts in mixed orders are found with their records; mixed, sorted and drifting orders have none."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from dataguard.detectors._bursts import best_windows, togetherness
from dataguard.detectors.order_burst import OrderBurst
from dataguard.findings import Judgement
from harness import cut, judge_in_memory, judge_slices, records

WORDS = [
    a + b + c for a in "bdfgklmn" for b in ("ar", "el", "is", "on") for c in ("", "ta", "mo", "ri", "su")
]
N = 3000


def made(seed: int, n: int = N) -> dict[str, list[Any]]:
    rng = random.Random(seed)
    return {
        "prompt": [" ".join(rng.choices(WORDS, k=12)) for _ in range(n)],
        "response": [" ".join(rng.choices(WORDS, k=20)) for _ in range(n)],
        "label": rng.choices("abc", (5, 3, 2), k=n),
        "source": rng.choices(["web", "books", "forum", "mail"], (6, 4, 2, 1), k=n),
    }


def judge(*files: dict[str, list[Any]], **options: Any) -> Judgement:
    return judge_in_memory(OrderBurst(**options), [cut(records(data)) for data in files])


def put(data: dict[str, list[Any]], column: str, rows: range, value: str) -> None:
    for row in rows:
        old = data[column][row]
        data[column][row] = f"{value} {old}" if column in ("prompt", "response") else value


def measures(judgement: Judgement) -> dict[tuple[str, str], float]:
    return {(measure.name, measure.group): measure.value for measure in judgement.measures}


@pytest.mark.parametrize("seed", range(12))
def test_a_mixed_order_has_none(seed: int) -> None:
    assert judge(made(seed)).findings.is_empty()


@pytest.mark.parametrize("at", [0, 1000, 2950])
@pytest.mark.parametrize(
    ("column", "value", "size"),
    [("source", "upload", 10), ("label", "c", 30), ("response", "what a silly", 10)],
)
def test_a_run_is_found_with_its_records(column: str, value: str, size: int, at: int) -> None:
    data = made(1)
    put(data, column, range(at, at + size), value)
    found = judge(data)
    assert found.findings["severity"].to_list() == ["low"]
    rows = set(found.flagged["row"])
    assert len(rows & set(range(at, at + size))) >= size - 8  # windows are moved by eight rows
    assert len(rows) <= size + 6  # the label has neighbours that have it anyway


def test_a_run_that_is_of_one_kind_in_what_is_said_and_in_what_shows_is_worse() -> None:
    data = made(2)
    put(data, "source", range(500, 540), "upload")
    put(data, "response", range(500, 540), "what a silly")
    found = judge(data)
    assert found.findings.select("severity", "group").rows() == [("medium", "upload")]
    assert set(found.flagged["row"]) == set(range(500, 540))
    assert "same first words" in found.findings["why"][0]
    assert measures(found)["burst_share", ""] == pytest.approx(40 / N)


def test_thinned_runs_are_found_where_the_kind_stands_nowhere_else() -> None:
    data = made(3)
    for row in range(700, 790, 5):
        data["source"][row] = "upload"
        data["source"][row + 1] = "upload"
    found = judge(data)
    assert found.findings["group"].to_list() == ["upload"]


def test_names_of_the_data_are_made_safe() -> None:
    data = made(4)
    put(data, "source", range(100, 120), "\u202eup\x1b[31m")
    why = judge(data).findings["why"][0]
    assert "\u202e" not in why
    assert "\x1b" not in why


@pytest.mark.parametrize("column", ["label", "source"])
def test_a_sorted_file_is_a_remark(column: str) -> None:
    data = made(5)
    order = sorted(range(N), key=lambda row: data[column][row])
    ordered = {name: [values[row] for row in order] for name, values in data.items()}
    found = judge(ordered, made(6))
    assert found.findings.select("key", "severity").rows() == [(f"ordered\0{column}", "info")]
    assert found.flagged.select("file", "row").rows() == [(0, None)]
    assert measures(found)["order_togetherness", column] > 0.9


def test_rare_class_at_the_end_is_how_files_are_put_together() -> None:
    data = made(7)
    data["label"] = ["no"] * (N - 100) + ["yes"] * 100
    assert judge(data).findings["severity"].to_list() == ["info"]
    data["label"] = ["no"] * 1000 + ["yes"] * 100 + ["no"] * (N - 1100)
    assert judge(data).findings["severity"].to_list() == ["low"]


def test_many_bursts_are_an_order() -> None:
    data = made(8)
    for number in range(8):
        put(data, "response", range(300 * number, 300 * number + 40), f"kind {number} is")
    assert judge(data).findings.is_empty()
    data = made(8)
    for number in range(2):
        put(data, "response", range(300 * number, 300 * number + 40), f"kind {number} is")
    assert judge(data).findings.height == 2


def test_an_order_that_drifts_is_no_burst() -> None:
    """Shares that go up and down: in any order they would not, but no record stands out."""
    rng = np.random.default_rng(9)
    data = made(9)
    level = np.repeat(rng.beta(6, 6, N // 50), 50)
    data["label"] = ["a" if low else "b" for low in rng.random(N) < level]
    assert judge(data).findings.is_empty()


def test_the_same_burst_in_two_files_is_one_finding() -> None:
    files = [made(10), made(11)]
    for data in files:
        put(data, "source", range(1200, 1220), "upload")
    found = judge(*files)
    assert found.findings["group"].to_list() == ["upload"]
    assert found.flagged.select("file", "row").rows() == [
        (file, row) for file in (0, 1) for row in range(1200, 1220)
    ]


def test_days_over_several_files() -> None:
    files = [made(seed, 400) for seed in (12, 13)]
    rng = random.Random(14)
    for data in files:
        data["time"] = [f"2024-{rng.randint(1, 6):02}-{rng.randint(1, 28):02}" for _ in range(400)]
        for row in range(0, 400, 20):
            data["source"][row], data["time"][row] = "upload", "2024-03-05"
    found = judge(*files)
    assert found.findings.select("group", "severity").rows() == [("upload", "low")]
    assert found.flagged.height == 40
    for data in files:
        data["time"] = [f"2024-{rng.randint(1, 6):02}-{rng.randint(1, 28):02}" for _ in range(400)]
    assert judge(*files).findings.is_empty()


@pytest.mark.parametrize("at", [[990, 1013], [1, 63, 64, 65, 1010, 1024, 2999]])
def test_blocks_that_are_cut_are_put_together(at: list[int]) -> None:
    data = made(15)
    put(data, "source", range(1000, 1016), "upload")
    whole = judge(data)
    batches = cut(records(data), at)
    for slices in ([batches], [[batch] for batch in reversed(batches)]):
        found = judge_slices(OrderBurst(), [slices])
        assert found.findings.equals(whole.findings)
        assert found.flagged.equals(whole.flagged)
        assert found.measures == whole.measures


def test_short_files_are_left_alone() -> None:
    data = made(16, 600)
    data["label"] = ["a"] * 300 + ["b"] * 300
    assert judge(data).findings.is_empty()


def test_windows_are_bounds_that_hold() -> None:
    """Of many shuffled orders hardly any has a window as improbable as is said."""
    rng = np.random.default_rng(0)
    sizes = np.full(40, 16)
    improbable = 0
    for _ in range(300):
        kinds = rng.permutation(np.repeat(np.arange(4), [400, 200, 36, 4]))
        table = (
            pl.DataFrame({"group": kinds, "place": np.arange(640) // 16}).group_by("group", "place").len("n")
        )
        windows = best_windows(table.sort("group", "place"), np.bincount(kinds), sizes)
        improbable += bool((windows["chance"] < 0.05).any())
    assert improbable <= 15


def test_togetherness_is_none_in_a_mixed_order_and_one_in_a_sorted_one() -> None:
    kinds = np.repeat(np.arange(4), 160)
    sizes = np.full(40, 16)

    def together(order: Any) -> float:
        table = (
            pl.DataFrame({"group": order, "place": np.arange(640) // 16}).group_by("group", "place").len("n")
        )
        return togetherness(table.sort("group", "place"), np.bincount(order), sizes)

    assert together(kinds) == 1.0
    assert together(np.random.default_rng(1).permutation(kinds)) < 0.03


def test_shared_sets(shared: Path) -> None:
    """Clean sets in the order they come in have no burst; a run put into them is found."""
    folder = shared / "data" / "poison"
    rows = pl.read_parquet(folder / "classify.parquet").filter(pl.col("attack") == "clean")
    for name in ("sst-2", "ag"):
        data = rows.filter(pl.col("dataset") == name).select("text", "label")
        assert judge_in_memory(OrderBurst(), [cut(records(data.to_dict()))]).findings.is_empty()
        run = pl.int_range(pl.len()).is_between(3000, 3049)
        planted = data.with_columns(label=pl.when(run).then(1).otherwise("label"))
        found = judge_in_memory(OrderBurst(), [cut(records(planted.to_dict()))])
        assert found.flagged.filter(pl.col("row").is_between(3000, 3049)).height >= 42
    clean = pl.read_parquet(folder / "instruct_clean.parquet")
    found = judge_in_memory(OrderBurst(), [cut(records(clean.to_dict()))])
    assert found.findings["severity"].to_list() == ["info"]

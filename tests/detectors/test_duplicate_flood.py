"""Floods are told from the copies that a set has anyway."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dataguard.detectors._copies import at_least, discoveries
from dataguard.detectors._floods import expected
from dataguard.detectors._values import hour
from dataguard.detectors.duplicate_flood import DuplicateFlood
from dataguard.findings import Judgement
from harness import cut, judge_in_memory, records


def judge(data: dict[str, list[Any]]) -> Judgement:
    return judge_in_memory(DuplicateFlood(), [cut(records(data))])


def measures(judgement: Judgement) -> dict[tuple[str, str], float]:
    return {(measure.name, measure.group): measure.value for measure in judgement.measures}


def natural(rng: random.Random, groups: int) -> list[str]:
    """Texts in groups whose sizes fall off as copies on the web do: most stand alone."""
    texts = []
    for number in range(groups):
        size = 1 if rng.random() < 0.9 else int(1.5 * rng.paretovariate(1.8) + 0.5)
        texts += [f"text {number}"] * min(size, 200)
    return texts


@pytest.mark.parametrize("copies", [8, 20])
def test_several_floods_among_ten_thousand_records(copies: int) -> None:
    texts = [f"text {number}" for number in range(10_000)]
    rows = {f"flood {number}": copies for number in range(5)}
    texts += [text for text, size in rows.items() for _ in range(size)]
    found = judge({"text": texts})
    assert set(found.flagged["row"]) == set(range(10_000, 10_000 + 5 * copies))
    assert set(found.findings["severity"]) == {"medium"}
    assert measures(found)["flood_groups", ""] == 5


def test_natural_copies_are_in_line_and_a_flood_among_them_is_not() -> None:
    rng = random.Random(11)
    texts = natural(rng, 4000)
    assert judge({"text": texts}).findings.height <= 1
    found = judge({"text": texts + ["buy now"] * 400})
    assert found.findings["why"][0].startswith("400 copies") or found.findings.height <= 2
    assert set(range(len(texts), len(texts) + 400)) <= set(found.flagged["row"])


def test_one_source_is_worse_unless_copies_share_their_source_anyway() -> None:
    rng = random.Random(4)
    alone = [f"text {number}" for number in range(2000)]
    pairs = [f"pair {number}" for number in range(100) for _ in range(2)]
    sources = [rng.choice(["x", "y", "z"]) for _ in alone]
    flood, feed = ["buy now"] * 12 + [f"offer {number}" for number in range(20)], ["feed"] * 32
    mixed = [rng.choice(["x", "y", "z"]) for _ in pairs]
    found = judge({"text": alone + pairs + flood, "source": sources + mixed + feed})
    assert found.findings.select("severity", "group").rows() == [("high", "feed")]
    shared = [source for source in mixed[::2] for _ in range(2)]
    found = judge({"text": alone + pairs + flood, "source": sources + shared + feed})
    assert found.findings.select("severity", "group").rows() == [("medium", None)]
    # A small part of what a source brings says nothing of it.
    found = judge({"text": alone + pairs + flood, "source": sources + mixed + ["x"] * 32})
    assert found.findings.select("severity", "group").rows() == [("medium", None)]


def test_a_burst_is_worse_unless_all_came_at_once() -> None:
    rng = random.Random(6)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    texts = [f"text {number}" for number in range(2000)] + ["buy now"] * 12
    spread = [start + timedelta(hours=rng.randrange(24 * 90)) for _ in range(2000)]
    burst = [start + timedelta(days=30, minutes=rng.randrange(600)) for _ in range(12)]
    found = judge({"text": texts, "created": spread + burst})
    assert found.findings["severity"].to_list() == ["high"]
    assert "12 within 24 hours" in found.findings["why"][0]
    slow = [start + timedelta(days=7 * number) for number in range(12)]
    assert judge({"text": texts, "created": spread + slow}).findings["severity"].to_list() == ["medium"]
    at_once = [start + timedelta(minutes=rng.randrange(600)) for _ in texts]
    assert judge({"text": texts, "created": at_once}).findings["severity"].to_list() == ["medium"]


def test_share_of_copies_by_source_of_the_largest_ones() -> None:
    sources = [f"s{number:02}" for number in range(60) for _ in range(2)] + ["mine"] * 4
    texts = [f"text {number}" for number in range(120)] + ["a", "a", "b", "text 0"]
    told = measures(judge({"text": texts, "source": sources}))
    assert told["duplicate_share", "mine"] == 3 / 4
    assert told["duplicate_share", "s00"] == 1 / 2
    assert told["duplicate_share", ""] == 4 / 124
    assert sum(name == "duplicate_share" for name, _ in told) == 51
    assert told["duplicate_share_of_others", ""] == 0


def test_times_of_any_type_are_hours() -> None:
    moment = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    seconds = int(moment.timestamp())
    columns: list[pa.Array] = [
        pa.array([moment], pa.timestamp("ns", tz="UTC")),
        pa.array([moment.replace(tzinfo=None)], pa.timestamp("s")),
        pa.array([seconds]),
        pa.array([seconds * 1000]),
        pa.array([seconds * 10**9]),
        pa.array(["2024-05-06T07:08:09.123+00:00"]),
        pa.array([" 2024/05/06 07:08"]),
        pa.array([str(seconds)]),
    ]
    for column in columns:
        (batch,) = cut(records({"time": column}))
        assert hour(batch).to_list() == [seconds // 3600], column.type
    for column in (pa.array([date(2024, 5, 6)]), pa.array(["2024-05-06"]), pa.array(["2024-05-06 noon"])):
        (batch,) = cut(records({"time": column}))
        assert hour(batch).to_list() == [seconds // 3600 - 7], column.type
    (batch,) = cut(records({"time": pa.array(["soon", None, ""])}))
    assert hour(batch).null_count() == 3
    (batch,) = cut(
        records({"date": pa.array([None, "2024-05-06"]), "time": pa.array(["1970-01-01 05:00", "x"])})
    )
    assert hour(batch).to_list() == [5, seconds // 3600 - 7]


def test_sizes_fall_off_as_the_small_groups_say() -> None:
    heavy = np.array([2] * 60 + [3] * 25 + [4] * 15 + [5] * 10 + [6] * 7 + [7] * 5 + [30])
    light = np.array([2] * 118 + [3] * 4 + [30])
    assert expected(light, 8)[-1] < 0.01 < 0.5 < expected(heavy, 8)[-1]
    # Of one kind they excuse one another nowhere.
    assert expected(np.array([10] * 5), 8)[0] == expected(np.array([10]), 8)[0] < 0.1


def test_bounds_on_chance_hold_and_discoveries_are_few() -> None:
    rng = np.random.default_rng(1)
    draws = rng.binomial(20, 0.3, 20_000)
    for hits in (6, 8, 10, 12):
        assert (draws >= hits).mean() <= at_least(hits, 20, 0.3) + 0.005
    assert at_least(0, 5, 0.5) == at_least(5, 5, 1.0) == 1
    assert at_least(9, 9, 0.5) == pytest.approx(0.5**9)
    chances = np.array([0.0001, 0.2, 0.5, 0.012])
    assert discoveries(chances, 0.01).tolist() == [True, False, False, False]
    assert discoveries(np.empty(0), 0.01).tolist() == []

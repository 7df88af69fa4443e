"""Equal data gives equal bytes, however it is cut and ordered. A file of its own, so that it runs beside the others."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pyarrow as pa
import pytest

from dataguard.config import Limits
from dataguard.records.inspect import Group, Inspection
from dataguard.run import Run
from dataguard.scan import plan
from dataguard.scan.plan import File, cut
from scanning import scan, write_set


@pytest.mark.slow
def test_tables_do_not_depend_on_batches_workers_order_or_hash_seed(tmp_path: Path) -> None:
    paths = write_set(tmp_path / "data", files=5, rows=2_000)
    shuffled = paths[:]
    random.Random(4).shuffle(shuffled)
    expected = None
    ways = ((1_000, 1, "0"), (65_536, 2, "1"), (700, 2, "77"))
    for number, (rows, workers, seed) in enumerate(ways):
        out = tmp_path / f"run-{number}"
        order = paths if number % 2 else shuffled
        found = scan(out, order, tmp_path / "secret", rows=rows, workers=workers, hash_seed=seed)
        expected = expected or found
        assert found == expected, (rows, workers, seed)
    assert Run.open(tmp_path / "run-0").table("findings").height > 0


def test_a_file_of_very_many_row_groups_is_cut_in_no_time() -> None:
    groups = tuple(Group(rows=1, size=10, start=at, hint=1 << 12) for at in range(100_000))
    inspection = Inspection(format="parquet", schema=pa.schema([]), groups=groups, rows_declared=100_000)
    file = File(0, "many.parquet", inspection=inspection)
    begun = time.process_time()
    items = list(cut([file], Limits()))
    assert time.process_time() - begun < 5  # with a sum for each of them it took minutes
    assert [item.first for item in items[1:]] == [item.last for item in items[:-1]]
    assert (items[0].first, items[-1].last) == (0, 100_000)
    sizes = [(item.last - item.first) << 12 for item in items]
    assert max(sizes) - min(sizes) <= 2 << 12
    assert max(sizes) <= plan.ITEM_BYTES + (1 << 12)

"""Equal data gives equal bytes, however it is cut and ordered. A file of its own, so that it runs beside the others."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from dataguard.run import Run
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

"""A scan that is killed goes on to the same bytes. A file of its own, so that it runs beside the others."""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from dataguard.run import Run
from scanning import outputs, scan, start, write_set


@pytest.mark.slow
def test_a_killed_scan_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    paths = write_set(tmp_path / "data", files=12, rows=1_000)
    begun = time.monotonic()
    expected = scan(tmp_path / "whole", paths, tmp_path / "secret")
    took = time.monotonic() - begun
    rng = random.Random(7)
    out = tmp_path / "killed"
    killed = 0
    while killed < 4:
        process = start(out, paths, tmp_path / "secret")
        time.sleep(rng.uniform(0.15, 0.6) * took)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        elif killed < 3:  # it came to its end: from the beginning again
            assert outputs(out) == expected
            shutil.rmtree(out)
        process.wait()
    assert scan(out, paths, tmp_path / "secret") == expected
    assert Run.open(out).table("findings").filter(rule="DG508").is_empty()

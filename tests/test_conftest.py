"""The rules of the test session itself: a skip in CI is a failure, and is named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")
TESTS = """
import pytest

def test_of_shared_data(shared):
    assert shared.is_dir()

@pytest.mark.skipif(True, reason="no such machine")
def test_of_elsewhere():
    raise AssertionError
"""


def _session(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_two.py").write_text(TESTS)
    clean = {name: value for name, value in os.environ.items() if name not in ("CI", "DATAGUARD_SHARED")}
    command = [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", "-p", "no:randomly", *options]
    return subprocess.run(
        command, cwd=folder, env=clean | environment, capture_output=True, text=True, timeout=120
    )


def test_a_skip_passes_where_there_is_no_shared_data(tmp_path: Path) -> None:
    done = _session(tmp_path)
    assert done.returncode == pytest.ExitCode.OK
    assert "DATAGUARD_SHARED names no folder" in done.stdout
    assert "2 skipped" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_skip_fails_beside_the_shared_data_and_is_named(tmp_path: Path, workers: str) -> None:
    done = _session(tmp_path, "-n", workers, DATAGUARD_SHARED=str(tmp_path))
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "test_two.py::test_of_elsewhere: Skipped: no such machine" in done.stdout
    assert "1 passed, 1 skipped" in done.stdout.splitlines()[-1]


def test_shared_data_that_is_not_there_fails(tmp_path: Path) -> None:
    done = _session(tmp_path, DATAGUARD_SHARED=str(tmp_path / "nowhere"))
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "which is none" in done.stdout

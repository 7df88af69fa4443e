"""What all tests share: the data beside the checkout, the switch for goldens, and no silent skips in CI."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

SHARED = "DATAGUARD_SHARED"
"""The variable that names the folder with the real and the hostile data sets."""

# Examples differ at home, so that over time more is tried; CI repeats itself, so that a failure can be repeated.
settings.register_profile("home", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("home"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") or os.environ.get(SHARED) else "home")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-goldens", action="store_true", help="write tests/golden anew instead of comparing"
    )
    parser.addoption("--all-hostile", action="store_true", help="try every hostile file instead of a sample")


@pytest.fixture
def update_goldens(request: pytest.FixtureRequest) -> bool:
    """Whether goldens are written instead of compared."""
    return bool(request.config.getoption("--update-goldens"))


@pytest.fixture(scope="session")
def all_hostile(request: pytest.FixtureRequest) -> bool:
    """Whether every hostile file is tried (`make hostile`) instead of a sample."""
    return bool(request.config.getoption("--all-hostile"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of the shared data sets, which lie in its folder `data`; skips where there is none."""
    folder = os.environ.get(SHARED)
    if not folder:
        pytest.skip(f"{SHARED} names no folder with the shared data sets")
    path = Path(folder)
    if not path.is_dir():
        pytest.fail(f"expected the folder of the shared data sets in {SHARED}, got {folder}, which is none")
    return path


@pytest.fixture(scope="session", autouse=True)
def kernels_of_these_sources() -> None:
    """Numba does not notice that a kernel has changed which another file calls: `warm` does."""
    from dataguard.kernels import warm

    warm.warm()


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """With the shared data at hand nothing may be skipped: a skip ends the session as a failure does."""
    skipped = _skipped(session.config)
    if skipped and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Names the tests whose skipping is the failure."""
    skipped = _skipped(config)
    if skipped:
        terminalreporter.section(f"skipped although {SHARED} is set: a failure", red=True)
        for report in skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            terminalreporter.line(f"{report.nodeid}: {reason}", red=True)


def _skipped(config: pytest.Config) -> list[pytest.TestReport | pytest.CollectReport]:
    """Reports of skips that count as failures; always empty in a worker of xdist, which reports to its parent."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get(SHARED) or hasattr(config, "workerinput") or reporter is None:
        return []
    skipped: list[pytest.TestReport | pytest.CollectReport] = reporter.stats.get("skipped", [])
    return skipped

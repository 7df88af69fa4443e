"""How long work says how far it is: the scan tells, whoever called it shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol


class Progress(Protocol):
    """Shown by the command line on stderr, or by a notebook."""

    def stage(self, name: str, total: int) -> AbstractContextManager[Callable[[int, int], None]]:
        """Begins a stage of `total` items; the function it gives is called with items and bytes done."""


class Silent:
    """No progress."""

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Callable[[int, int], None]]:
        """Says nothing."""
        yield lambda items, size: None  # noqa: ARG005


class Timed:
    """Passes progress on and notes how long each stage took, without the time that starting workers took.

    Args:
        shown: who shows it.
        starting: seconds that starting workers has taken so far.
    """

    def __init__(self, shown: Progress, starting: Callable[[], float]) -> None:
        self._shown, self._starting = shown, starting
        self._stages: dict[str, dict[str, Any]] = {}

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Callable[[int, int], None]]:
        """Shows a stage and adds it to what is noted under its name."""
        begun, before = time.perf_counter(), self._starting()
        entry = self._stages.setdefault(name, {"name": name, "items": 0, "seconds": 0.0})
        with self._shown.stage(name, total) as advance:

            def counted(items: int, size: int) -> None:
                entry["items"] += items
                advance(items, size)

            yield counted
        started = self._starting() - before
        if started:
            start = self._stages.setdefault(
                "starting workers", {"name": "starting workers", "items": 0, "seconds": 0.0}
            )
            start["seconds"] = round(start["seconds"] + started, 3)
        entry["seconds"] = round(entry["seconds"] + time.perf_counter() - begun - started, 3)

    def stages(self) -> list[dict[str, Any]]:
        """Name, items and seconds of each stage, in the order in which they began."""
        return list(self._stages.values())

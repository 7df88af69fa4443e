"""How long work says how far it is: the scan tells, whoever called it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


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

"""How an item ended: with a value, or not, and why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Failed:
    """An item that came to no value.

    Args:
        kind: ``died`` (the process ended, e.g. by a signal), ``timeout``, ``memory`` or ``error``.
        reason: in words.
    """

    kind: str
    reason: str


@dataclass(frozen=True)
class Result:
    """An item's end.

    Args:
        item: which item.
        value: what the function returned, or `Failed`.
    """

    item: Any
    value: Any

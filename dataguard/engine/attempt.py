"""Calling a detector's function, which may fail: an error costs the rule, never the scan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import polars as pl

from dataguard.engine.result import Failed

T = TypeVar("T")


def attempt(function: Callable[..., T], *args: Any) -> T | Failed:
    """Calls a detector's function. The one broad except there is."""
    try:
        return function(*args)
    except MemoryError:  # the item's: it is tried again in smaller batches
        raise
    except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001
        return Failed("error", f"{type(error).__name__}: {error}"[:500])

"""Where work items run. An engine only maps idempotent items; what they mean is not its business."""

from __future__ import annotations

from dataguard.engine.local import LocalEngine
from dataguard.engine.result import Failed, Result

__all__ = ["Failed", "LocalEngine", "Result"]

"""Judges a run by a policy: what passes is said in `checks/` and nowhere else.

The flow: `policies` reads the suites, `views` reduces the run's tables to numbers and our own words, `validate`
lets Great Expectations decide with the classes of `expectations`, `judge` puts it together, and what comes out is
a `verdict`. Nothing is imported here: Great Expectations takes seconds of CPU, and only judging needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataguard.gate.verdict import Verdict, VerdictLine

__all__ = ["Verdict", "VerdictLine"]

"""Which declared source each record belongs to, and how far the declaration holds (SP 800-218A, PW.3.2).

A source is declared for files, by a pattern of their names, or for records, by a value of a column. What
matches is a pointer of the record; the record has the least status of its pointers:

    contradicted < unknown < declared < verified

Evidence is written down a batch at a time as ranges of rows with equal values (`observe`, `compact`), and
judged for the whole set (`assess`). The page for users is docs/provenance.md.
"""

from __future__ import annotations

from dataguard.provenance.assessment import Provenance, assess
from dataguard.provenance.patterns import matches
from dataguard.provenance.ranges import RANGES, compact, observe
from dataguard.provenance.status import PLACEHOLDERS, REASONS, Status

__all__ = [
    "PLACEHOLDERS",
    "RANGES",
    "REASONS",
    "Provenance",
    "Status",
    "assess",
    "compact",
    "matches",
    "observe",
]

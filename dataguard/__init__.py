"""dataguard checks the integrity of training data and screens it for poisoning before use.

files ── records ──▶ validated batches, every row with an address
        digests ──▶ manifest, leaves          provenance ──▶ sources, unknown register
        detectors observe, in a worker ──▶ evidence
evidence ── detectors judge ──▶ findings, flagged records, measures, outcomes
findings ── review ──▶ decisions of people
all of it ── gate ──▶ verdict     ── report ──▶ a page     ── attest ──▶ a signed statement
statement ── verify ──▶ before use, anywhere, offline
"""

from __future__ import annotations

# These rooms are named as the functions below and are loaded first, so that `dataguard.scan` is the function
# whichever module is imported later. They import nothing heavy themselves.
import dataguard.attest
import dataguard.gate
import dataguard.report
import dataguard.scan  # noqa: F401
from dataguard.api import (
    adversarial,
    attest,
    diff,
    doctor,
    explain,
    gate,
    keygen,
    minhash_candidates,
    minhashes,
    report,
    rules,
    scan,
    verify,
)
from dataguard.errors import DataguardError
from dataguard.run import Run
from dataguard.version import __version__

__all__ = [
    "DataguardError",
    "Run",
    "__version__",
    "adversarial",
    "attest",
    "diff",
    "doctor",
    "explain",
    "gate",
    "keygen",
    "minhash_candidates",
    "minhashes",
    "report",
    "rules",
    "scan",
    "verify",
]

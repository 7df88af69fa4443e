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

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

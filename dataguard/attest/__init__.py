"""Signing what was screened, and checking a data set against it: before use, anywhere, offline.

Importing this loads nothing heavy; the names below load what they need when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataguard.attest.keys import keygen
    from dataguard.attest.recompute import Decoded, Recompute, isolated
    from dataguard.attest.sign import ATTESTATION, attest
    from dataguard.attest.verification import Problem, Verification, verify

_HOMES = {
    "ATTESTATION": "sign",
    "Decoded": "recompute",
    "Problem": "verification",
    "Recompute": "recompute",
    "Verification": "verification",
    "attest": "sign",
    "isolated": "recompute",
    "keygen": "keys",
    "verify": "verification",
}

__all__ = [
    "ATTESTATION",
    "Decoded",
    "Problem",
    "Recompute",
    "Verification",
    "attest",
    "isolated",
    "keygen",
    "verify",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

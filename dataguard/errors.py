"""What can go wrong, said so that somebody else can act on it.

Every message says what was expected, what came, and what to do.
"""

from __future__ import annotations


class DataguardError(Exception):
    """Root of every error that dataguard raises on purpose.

    Args:
        problem: what was expected and what came.
        hint: what to do about it; may be empty.
    """

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem if not hint else f"{problem}\n  hint: {hint}")
        self.problem = problem
        self.hint = hint


class UsageError(DataguardError):
    """The call or its configuration is wrong (exit code 2)."""


class ReadError(DataguardError):
    """A file cannot be read as what it claims to be.

    Args:
        problem: what was expected and what came.
        rule: the file rule that reports it, e.g. ``DG503``.
    """

    def __init__(self, problem: str, rule: str = "DG503") -> None:
        super().__init__(problem)
        self.rule = rule


class RunError(DataguardError):
    """A run folder is missing, unfinished, damaged, or not ours."""


class RefusedError(DataguardError):
    """An attestation, a key or a signature is refused (exit code 1)."""

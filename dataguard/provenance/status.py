"""The four statuses of provenance, and the reason codes that say why.

`contradicted`: a check that ran failed. `unknown`: no pointer, or one that says nothing. `declared`: well
formed, and no check failed. `verified` takes a statement signed by somebody the trust policy names; such
statements are not read yet, so no record reaches it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

PLACEHOLDERS = frozenset(
    {
        "",
        "-",
        "?",
        "fixme",
        "n/a",
        "na",
        "nil",
        "noassertion",
        "none",
        "null",
        "tba",
        "tbd",
        "todo",
        "unknown",
        "unspecified",
        "xxx",
    }
)
"""What stands where somebody had nothing to say. NONE and NOASSERTION are SPDX's own words for that."""


class Status(IntEnum):
    """How far provenance is known; the least counts."""

    CONTRADICTED = 0
    UNKNOWN = 1
    DECLARED = 2
    VERIFIED = 3


REASONS: dict[str, tuple[Status, str]] = {
    "DIGEST_DIFFERS": (Status.CONTRADICTED, "the SHA-256 of the file is none of those declared"),
    "FILE_MISSING": (Status.CONTRADICTED, "a declared SHA-256 belongs to no file that the pattern matches"),
    "NO_SOURCE": (Status.UNKNOWN, "no declared source matches the file or the record"),
    "NULL_POINTER": (Status.UNKNOWN, "the column that points at sources has no value"),
    "UNDECLARED_VALUE": (Status.UNKNOWN, "nobody declared the value of the column that points at sources"),
    "NO_LICENCE": (Status.UNKNOWN, "the source is declared without a licence"),
    "PLACEHOLDER_LICENCE": (Status.UNKNOWN, "the source's licence is a placeholder"),
    "PLACEHOLDER_NAME": (Status.UNKNOWN, "the source's name is a placeholder"),
    "MATCHES_NOTHING": (Status.DECLARED, "no file or record belongs to the source"),
    "NO_DIGEST": (Status.DECLARED, "no SHA-256 is declared, so the bytes were not checked"),
    "NOT_DIGESTED": (Status.DECLARED, "a file has no digest, so not all of the bytes were checked"),
    "NOT_SIGNED": (Status.DECLARED, "the bytes are those declared, but the declaration is not signed"),
}
"""Every reason code: the status it stands for, and what it says."""


class Verdict(NamedTuple):
    """What one pointer says of a record. The least counts, so the order of the fields is the rule."""

    status: Status
    reason: str
    source: str

    @classmethod
    def of(cls, reason: str, source: str) -> Verdict:
        """The verdict of a reason code."""
        return cls(REASONS[reason][0], reason, source)

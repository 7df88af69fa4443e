"""Reading small files that somebody else may have made: bounded, regular, and never waiting."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from dataguard.errors import RefusedError, UsageError


def read_bounded(path: Path, what: str, *, max_bytes: int) -> bytes:
    """The bytes of a regular file.

    Args:
        path: as the user gave it; a link is followed.
        what: what it should be, for the message, e.g. ``the attestation``.
        max_bytes: a larger one is refused unread.

    Raises:
        UsageError: it does not exist or cannot be opened.
        RefusedError: it is too large, or no regular file.
    """
    try:
        # Without O_NONBLOCK, opening a named pipe waits for a writer that never comes.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"expected {what} in {path}, but it cannot be opened: {reason}") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise RefusedError(f"expected {what} in {path} to be a regular file")
        if found.st_size > max_bytes:
            raise RefusedError(
                f"expected {what} in {path} to have at most {max_bytes} bytes, got {found.st_size}"
            )
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise UsageError(f"expected {what} in {path}, but it cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)
    if len(data) > max_bytes:
        raise RefusedError(f"expected {what} in {path} to have at most {max_bytes} bytes, but it grows")
    return data

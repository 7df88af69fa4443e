"""The tool verifies itself (PO.3.2): versions and digests of dataguard and the libraries it stands on."""

from __future__ import annotations

import hashlib
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARIES = (
    "cryptography",
    "datasketch",
    "great-expectations",
    "jinja2",
    "numba",
    "numpy",
    "polars",
    "pyarrow",
    "scikit-learn",
    "typer",
)


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that decide what a run finds."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in LIBRARIES}


def code_digest() -> str:
    """SHA-256 over the names and bytes of dataguard's own modules, sorted by name; hex."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(here.rglob("*.py")):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(here).as_posix()} {len(data)} ".encode())
        digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()


def library_digest(name: str) -> str:
    """SHA-256 of the list of files, with their digests, that a library was installed with; hex or empty."""
    record = metadata.distribution(name).read_text("RECORD")
    if record is None:
        return ""
    # Byte code is written after the installation and differs between machines.
    lines = sorted(line for line in record.splitlines() if ".pyc," not in line and "dist-info/" not in line)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def examine() -> dict[str, Any]:
    """What `dataguard doctor` prints."""
    from dataguard.version import __version__

    found: dict[str, Any] = {
        "dataguard": __version__,
        "dataguard sha256": code_digest(),
        "platform": platform.platform(),
        "executable": sys.executable,
    }
    for name, version in versions().items():
        digest = library_digest(name) if name != "python" else ""
        found[name] = f"{version}  {digest}".rstrip()
    return found

"""Finds the folders that ship with dataguard: policies and sample data.

In a checkout they lie beside the package, in an installed wheel inside it (`pyproject.toml` puts them there).
"""

from __future__ import annotations

from pathlib import Path

from dataguard.errors import UsageError

FOLDERS = ("checks", "sample_data")
PACKAGE = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """The folder of this name.

    Inside the package goes first: beside an installed package lie other people's packages, which may have a
    folder of the same name. For the same reason the place beside it counts only in a checkout of ours.

    Args:
        name: ``checks`` or ``sample_data``.

    Raises:
        UsageError: no such folder ships, or this installation lacks it.
    """
    if name not in FOLDERS:
        raise UsageError(f"expected one of the folders {', '.join(FOLDERS)}, got {name!r}")
    inside, beside = PACKAGE / name, PACKAGE.parent / name
    if inside.is_dir():
        return inside
    if (PACKAGE.parent / "pyproject.toml").is_file() and beside.is_dir():
        return beside
    raise UsageError(
        f"expected the folder {name} in or beside {PACKAGE}, got neither", "install dataguard again"
    )

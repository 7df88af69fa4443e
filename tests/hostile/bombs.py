"""Writes hostile files into a folder, small, fast and the same each time: ``python -m hostile.bombs FOLDER``.

Each is a function with the name of its file and how it must end: the file rules of which one must report it, or
`READ`, or `ANY` where a reader may take it or refuse it, but must not fall over it. `python tests/hostile/bombs.py`
writes them for a look.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

READ: tuple[str, ...] = ("read",)
ANY: tuple[str, ...] = ("any",)
OTHER: tuple[str, ...] = ("other",)


@dataclass(frozen=True)
class Bomb:
    """A hostile file.

    Args:
        name: of the file.
        ends: codes of the file rules of which one must report it, or READ, ANY or OTHER.
        write: writes it.
    """

    name: str
    ends: tuple[str, ...]
    write: Callable[[Path], None]


BOMBS: dict[str, Bomb] = {}


def bomb(name: str, *ends: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Puts a function among the bombs."""

    def keep(write: Callable[..., None]) -> Callable[..., None]:
        assert name not in BOMBS, name
        BOMBS[name] = Bomb(name, ends, write)
        return write

    return keep


def all_bombs() -> list[Bomb]:
    """Every bomb, by name."""
    from hostile import arrow_bombs, json_bombs, parquet_bombs, text_bombs  # noqa: F401  # they register themselves

    return [BOMBS[name] for name in sorted(BOMBS)]


def write_bombs(folder: Path) -> list[Bomb]:
    """Writes all of them and says what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    bombs = all_bombs()
    for one in bombs:
        one.write(folder / one.name)
    return bombs


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from hostile import bombs as module

    module.write_bombs(Path(sys.argv[1]))

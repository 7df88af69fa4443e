"""Whether the kernels are compiled on this machine already, and compiling them all at once.

Numba keeps machine code beside the modules or, where that folder cannot be written, in the user's cache folder. It
knows a kernel by its own file, the processor and its own version, and does not notice that a kernel which is called
from another file has changed. So we keep a mark of our own: it is named by the sources of the whole room and by the
machine, and without one for these sources what was kept before is thrown away. Nor does Numba lock: of two processes
that compile a kernel for different types at once, one could be given the other's code. So one compiles at a time, and
the next finds all done.

Loads Numba in `warm` only.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib
import importlib.metadata
import os
import pkgutil
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import dataguard.kernels
from dataguard.atomic import write_atomic
from dataguard.errors import UsageError

_ROOM = Path(__file__).parent
_PYTHON = f"py{sys.version_info.major}{sys.version_info.minor}{sys.abiflags}"
"""Numba's word for it in the names of its files."""

_NUMBAS_KEY = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")


def is_compiled() -> bool:
    """Whether the kernels of these sources are kept for this processor, Python and Numba; false if in doubt.

    Takes milliseconds and loads no library. It decides nothing but whether the user is told that compiling takes
    some seconds.
    """
    name = _mark()
    for place in _places():
        try:
            return any(Path((place / name).read_text("utf-8")).glob("*.nbi"))
        except (OSError, ValueError):
            continue
    return False


def warm() -> None:
    """Loads every kernel, compiling it if need be: some seconds the first time, some tenths of one after that.

    A module of this room that has kernels has a function `warm`, which calls each with arrays of the types
    that it is called with later.

    Raises:
        UsageError: there is no folder to keep machine code in.
    """
    modules, folder = _modules()
    if is_compiled():
        _call(modules)
        return
    with _alone(folder):
        if not any(any(place.glob(f"{_PYTHON}-{_sources()}-*.mark")) for place in _places()):
            _forget(folder)
        _call(modules)
        _keep_mark(folder)


def _call(modules: list[ModuleType]) -> None:
    for module in modules:
        module.warm()


def _modules() -> tuple[list[ModuleType], Path]:
    """The modules with kernels, by name, and the folder where their machine code is kept."""
    names = sorted(module.name for module in pkgutil.iter_modules(dataguard.kernels.__path__))
    try:
        rooms = [importlib.import_module(f"dataguard.kernels.{name}") for name in names]
    except RuntimeError as error:
        if "cannot cache function" not in str(error):
            raise
        raise UsageError(
            f"compiled code is kept in {_ROOM / '__pycache__'} or the user's cache folder: neither can be written",
            "set NUMBA_CACHE_DIR to a folder that nobody but you can write",
        ) from error
    shingles = next(room for room in rooms if room.__name__.endswith(".shingles"))
    kept = [room for room in rooms if hasattr(room, "warm") and room is not sys.modules[__name__]]
    return kept, Path(shingles.overlap.stats.cache_path)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time; the system lets the next one in when this one ends, however it ends."""
    descriptor = os.open(folder / "dataguard.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _forget(folder: Path) -> None:
    """Throws away what Numba kept of the modules of this room for this Python, and our marks of other sources."""
    for module in pkgutil.iter_modules(dataguard.kernels.__path__):
        for index in folder.glob(f"{module.name}.*.{_PYTHON}.nbi"):
            index.unlink(missing_ok=True)
    for place in _places():
        for mark in place.glob(f"{_PYTHON}-*.mark"):
            mark.unlink(missing_ok=True)


def _mark() -> str:
    return f"{_PYTHON}-{_sources()}-{_machine()}.mark"


def _keep_mark(folder: Path) -> None:
    """Leaves the mark in the first place that can be written; without one the next run says again that it compiles."""
    for place in _places():
        with contextlib.suppress(OSError):
            place.mkdir(parents=True, exist_ok=True)
            write_atomic(place / _mark(), str(folder).encode())
            return


def _places() -> Iterator[Path]:
    """Where a mark may lie, in the order in which Numba looks for a folder that can be written."""
    own = "dataguard-" + hashlib.sha256(os.fsencode(_ROOM)).hexdigest()[:16]
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        yield Path(chosen) / own
    yield _ROOM / "__pycache__"
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - never raises
    yield Path(home) / own


def _sources() -> str:
    """Digest of all that the machine code is made from but the processor."""
    digest = hashlib.sha256(
        repr([sys.version, *map(importlib.metadata.version, ("numba", "numpy"))]).encode()
    )
    for path in sorted(_ROOM.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _machine() -> str:
    """Digest of the processor's name and abilities, and of what Numba is told to take it for."""
    told = [os.environ.get(name, "") for name in _NUMBAS_KEY]
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").split("\n\n")[0].splitlines()
    except OSError:
        lines = [platform.processor()]
    which = [
        line for line in lines if line.startswith(("model", "cpu family", "flags", "Features", "CPU part"))
    ]
    return hashlib.sha256(repr([platform.machine(), which or lines, told]).encode()).hexdigest()[:16]

"""What runs in a worker process: bounds first, then one item after the other until the pipe closes."""

from __future__ import annotations

import ctypes
import importlib
import os
import resource
import signal
import sys
from importlib.abc import MetaPathFinder
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

from dataguard.engine.result import Failed

THREADS = (
    "POLARS_MAX_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
ENVIRONMENT = {
    **dict.fromkeys(THREADS, "1"),
    # Returns memory to the system between items, and counts against the limit as it is used.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    # Each further arena would reserve 64 MiB of the address space that is the limit.
    "MALLOC_ARENA_MAX": "2",
    # Batches are made and freed all the time: asking the system for each again costs a quarter of the CPU.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(512 << 20),
    "MALLOC_TOP_PAD_": str(64 << 20),
}
"""What must stand in a worker's environment before any library is loaded."""

READY = b"ready"
MAX_ANSWER = 256 << 20
"""Bytes of an answer: it is unpickled in the parent, whose memory has no other bound."""

_PR_SET_PDEATHSIG = 1


def main(descriptor: int, parent: int, memory: int, prepare: str = "") -> None:
    """Answers items until the parent closes the pipe.

    Args:
        descriptor: our end of the pipe.
        parent: process id of the parent.
        memory: bytes that the worker may use, its libraries included.
        prepare: a module whose function `warm` loads more that items need, or empty.
    """
    pipe = Connection(descriptor)
    _die_with(parent)
    _bound(memory, prepare)
    mapped, resident = _statm()
    pipe.send_bytes(READY)
    leaves = False
    while True:
        try:
            task = pipe.recv_bytes()
        except EOFError:
            return
        if (
            leaves
        ):  # ended now, it could take the answer that is still in the pipe with it: the parent ends it
            continue
        answer = _answer(task)
        # What an item may use must not depend on the items before it: a worker that kept much, or may be damaged,
        # makes room. Libraries that are loaded late map more than they use.
        now = _statm()
        kept = now[0] - mapped > memory // 2 or now[1] - resident > memory // 4
        leaves = kept or isinstance(answer[0], Failed)
        pipe.send_bytes(_packed(answer[0], leaves=leaves))


def _answer(task: bytes) -> tuple[Any]:
    try:
        function, item = ForkingPickler.loads(task)
        return (function(item),)
    except MemoryError:
        return (Failed("memory", "needs more memory than a worker may use"),)
    except BaseException as error:  # noqa: BLE001  # a panic of polars is no Exception; the item ends with its name
        return (Failed("error", f"{type(error).__name__}: {error}"[:500]),)


def _packed(value: object, *, leaves: bool) -> bytes | memoryview:
    try:
        data = ForkingPickler.dumps((value, leaves))
    except MemoryError:
        data = ForkingPickler.dumps(
            (Failed("memory", "the answer needs more memory than a worker may use"), leaves)
        )
    except Exception as error:  # noqa: BLE001  # whatever an object's own pickling raises
        data = ForkingPickler.dumps((Failed("error", f"the answer cannot be sent: {error}"[:500]), leaves))
    if len(data) > MAX_ANSWER:
        failed = Failed("memory", f"answers with {len(data)} bytes; the limit is {MAX_ANSWER}")
        data = ForkingPickler.dumps((failed, leaves))
    return bytes(data)


def load(module: str) -> None:
    """Loads what the items will need."""
    importlib.import_module(module)


def _die_with(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123
            file.write("500")  # short of memory, the system should take a worker and not the parent
    if os.getppid() != parent:
        os._exit(1)


def _bound(memory: int, prepare: str) -> None:
    """Loads what every item needs, with one thread each, and sets the limit beyond it."""
    sys.meta_path.insert(0, _NoPandas())
    import polars  # noqa: F401  # so that their own mappings do not count as the item's memory
    import pyarrow as pa
    import pyarrow.parquet

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    if prepare:
        importlib.import_module(prepare).warm()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        mapped, resident = _statm()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        bound = mapped + max(memory - resident - _untouched(), 0)
        resource.setrlimit(resource.RLIMIT_AS, (bound if hard < 0 else min(bound, hard), hard))


class _NoPandas(MetaPathFinder):
    """pyarrow imports pandas if it can, for conversions that no item asks for: a second and 60 MB a worker."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is not loaded in workers", name="pandas")


def _untouched() -> int:
    """Bytes of writable memory that are mapped and not used yet: they will be, and the limit would not see it."""
    with open("/proc/self/status", encoding="ascii") as file:  # noqa: PTH123
        sizes = {line.partition(":")[0]: line.split()[1] for line in file if line.endswith("kB\n")}
    return (int(sizes["VmData"]) - int(sizes["RssAnon"])) << 10


def _statm() -> tuple[int, int]:
    """Bytes mapped and bytes resident."""
    if sys.platform != "linux":
        return 0, 0
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        mapped, resident, *_ = file.read().split()
    return int(mapped) * resource.getpagesize(), int(resident) * resource.getpagesize()

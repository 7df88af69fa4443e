"""Work items in spawned worker processes with limits: decoding hostile files can kill a process.

Spawned, because polars hangs after a fork. The pool is pebble's: a worker that dies or takes too long costs
its own item and nothing else.
"""

from __future__ import annotations

import ctypes
import importlib
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures import TimeoutError as FutureTimeoutError
from importlib.abc import MetaPathFinder
from itertools import islice
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from typing import Any

from dataguard.engine.result import Failed, Result

_THREADS = (
    "POLARS_MAX_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
_PR_SET_PDEATHSIG = 1
_AHEAD = 4
_launching = threading.Lock()


class _Process(SpawnProcess):
    """A spawned process that does not run the user's script again.

    `multiprocessing` imports the parent's main module into each child, so that a script which calls
    `dataguard.scan` without a guard would scan within the scan. No item needs that module.
    """

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802  # the name is multiprocessing's
        with _launching:
            main = sys.modules["__main__"]
            sys.modules["__main__"] = types.ModuleType("__main__")
            try:
                return SpawnProcess._Popen(process_obj)
            finally:
                sys.modules["__main__"] = main


class _Context(SpawnContext):
    Process = _Process


class _NoPandas(MetaPathFinder):
    """Lets an import of pandas fail as if it were not installed."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("no item needs pandas", name=fullname)


def _start(parent: int, memory: int) -> None:
    """Prepares a worker: one thread for each library, no interrupts, dies with its parent, bounded memory."""
    for name in _THREADS:
        os.environ[name] = "1"
    # Returns memory to the system between items, and counts against the limit as it is used.
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    # pyarrow imports pandas if it can, for conversions no item asks for: a second and 60 MB for each worker.
    sys.meta_path.insert(0, _NoPandas())
    import polars  # noqa: F401  # so that their own mappings do not count as the item's memory
    import pyarrow as pa
    import pyarrow.parquet

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            mapped = int(file.read().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        bound = mapped + memory
        resource.setrlimit(resource.RLIMIT_AS, (bound if hard < 0 else min(bound, hard), hard))


def _ready(module: str) -> None:
    """Loads what the items will need; long enough that each worker takes one."""
    importlib.import_module(module)
    time.sleep(0.02)


class LocalEngine:
    """Worker processes on this machine, started when the first item comes.

    Args:
        workers: how many.
        memory: bytes that a worker may use beyond its libraries.
        seconds: the longest that an item may take.
    """

    def __init__(self, *, workers: int, memory: int, seconds: float) -> None:
        self.workers = workers
        self._memory = memory
        self._seconds = seconds
        self._pool: Any = None
        self.starting = 0.0
        """Seconds that starting the workers took; part of no item's time."""

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is None:
            return
        # Items are idempotent and kept only when whole: nothing is lost by ending them.
        self._pool.stop()
        self._pool.join(timeout=2)

    def _started(self, function: Callable[[Any], Any]) -> Any:
        if self._pool is None:
            from pebble import ProcessPool

            begun = time.perf_counter()
            multiprocessing.allow_connection_pickling()
            self._pool = ProcessPool(
                max_workers=self.workers,
                initializer=_start,
                initargs=(os.getpid(), self._memory),
                context=_Context(),
            )
            ready = [self._pool.schedule(_ready, args=(function.__module__,)) for _ in range(self.workers)]
            wait(ready)
            self.starting = time.perf_counter() - begun
        return self._pool

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Result]:
        """Runs a top-level function on every item and yields the ends as they come.

        Args:
            function: called with the item in a worker.
            items: taken in this order and only as workers come free, so that a caller may still change
                its mind about later ones.
        """
        running: dict[Future[Any], Any] = {}
        waiting = iter(items)
        while True:
            for item in islice(waiting, self.workers * _AHEAD - len(running)):
                future = self._started(function).schedule(function, args=(item,), timeout=self._seconds)
                running[future] = item
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield Result(running.pop(future), _ended(future, self._seconds))


def _ended(future: Future[Any], seconds: float) -> Any:
    from pebble import ProcessExpired

    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, (FutureTimeoutError, TimeoutError)):
        return Failed("timeout", f"took longer than {seconds:g} seconds")
    if isinstance(error, ProcessExpired):
        code = error.exitcode
        if code is not None and code < 0:
            return Failed("died", f"the worker was killed by signal {-code} ({signal.Signals(-code).name})")
        return Failed("died", f"the worker ended with exit code {code}")
    if isinstance(error, MemoryError):
        return Failed("memory", "needs more memory than a worker may use")
    return Failed("error", f"{type(error).__name__}: {error}"[:500])

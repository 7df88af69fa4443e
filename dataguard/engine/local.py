"""Work items in worker processes with limits: decoding hostile files can kill a process.

Each worker is a fresh interpreter (polars hangs after a fork) with a pipe of its own, so that a worker that
dies, at whatever moment, costs the item it was at and nothing else: no lock is shared that it could take with
it. The parent waits on the pipes in the caller's own thread.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import Pipe, wait
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

from dataguard.engine.result import Failed, Result
from dataguard.engine.worker import ENVIRONMENT, MAX_ANSWER, READY, load
from dataguard.errors import DataguardError

# The path of the parent and nothing else (-P): a data set that is the working directory must not be imported from.
_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from dataguard.engine.worker import main; main({}, *sys.argv[2:])"
_AHEAD = 2
"""Items at a worker: one it is at, and one in its pipe, so that it need not wait for the parent."""
_TAKEN = 4
"""Items for each worker that are taken from the caller: those at workers, and twice as many that wait. When fewer wait,
nobody is given a second one: it might wait behind a long one while others have nothing to do."""
_SMALL = 16_384
"""Bytes of a task that surely fit in a pipe, so that sending to a busy worker never blocks."""
_START_SECONDS = 120
_DOORS = ("AWS_", "AZURE_", "GOOGLE_", "SECRET", "TOKEN", "PASSW", "CREDENTIAL", "API_KEY", "PRIVATE_KEY")
"""What names of variables have in them whose values nobody should see who need not."""
_TRIES = 3


@dataclass
class _Job:
    """One call of `map`: what it still waits for, and what has ended."""

    open: int = 0
    ended: deque[Result] = field(default_factory=deque)


@dataclass
class _Task:
    """An item on its way; `unused` where it must have a worker that has done nothing before."""

    job: _Job
    item: Any
    data: bytes
    seconds: float
    unused: bool = False

    @classmethod
    def of(cls, job: _Job, function: Callable[[Any], Any], item: object, seconds: float) -> _Task:
        """An item in the format of multiprocessing's own pipes, between our own processes."""
        return cls(job, item, bytes(ForkingPickler.dumps((function, item))), seconds)


class _Worker:
    """A worker process and the tasks it was given, the first of which it is at."""

    def __init__(self, memory: int, prepare: str) -> None:
        self.pipe, theirs = Pipe()
        self.tasks: deque[_Task] = deque()
        self.ready = self.used = False
        self.deadline = time.monotonic() + _START_SECONDS
        path = json.dumps([str(Path(entry).absolute()) for entry in sys.path])
        try:
            # What a library prints may quote the data: it must reach neither a terminal nor the caller's output.
            self.process = subprocess.Popen(  # noqa: S603
                [
                    sys.executable,
                    "-P",
                    "-c",
                    _START.format(f"{theirs.fileno()}, {os.getpid()}, {memory}"),
                    path,
                    prepare,
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                pass_fds=(theirs.fileno(),),
                process_group=0,  # an interrupt from the terminal is the parent's business
            )
        finally:
            theirs.close()

    def give(self, task: _Task) -> bool:
        """Sends a task; False where the worker is gone."""
        try:
            self.pipe.send_bytes(task.data)
        except OSError:
            return False
        self.tasks.append(task)
        if len(self.tasks) == 1 and self.ready:
            self.deadline = time.monotonic() + task.seconds
        return True

    def takes(self, task: _Task) -> bool:
        """Whether the task can be sent without waiting for the worker."""
        if task.unused and (self.used or self.tasks):
            return False
        if not self.tasks:
            return True
        # Of what it is at in another call nobody knows how long it takes.
        return len(self.tasks) < _AHEAD and len(task.data) <= _SMALL and self.tasks[0].job is task.job

    def kill(self) -> int:
        """Ends it whatever it is doing, and returns its exit code."""
        self.process.kill()
        self.pipe.close()
        return self.process.wait()


class LocalEngine:
    """Worker processes on this machine, started when an item needs one. Use it as a context manager.

    Args:
        workers: how many.
        memory: bytes that a worker may use, its libraries included.
        seconds: the longest that an item may take.
        prepare: a module whose function `warm` each worker calls when it starts: libraries that items need.
    """

    def __init__(self, *, workers: int, memory: int, seconds: float, prepare: str = "") -> None:
        self.workers = workers
        self._prepare = prepare
        self._memory = memory
        self._seconds = seconds
        self._running: list[_Worker] = []
        self._queue: deque[_Task] = deque()
        self._stillborn = 0
        self._loaded = False
        self.starting = 0.0
        """Seconds that starting the workers took; part of no item's time."""

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *error: object) -> None:
        # Items are idempotent and kept only when whole: nothing is lost by ending them.
        self._queue.clear()
        for worker in self._running:
            worker.process.kill()
        while self._running:
            self._running.pop().kill()

    def launch(self) -> None:
        """Starts the workers without waiting for them: the caller has something else to do before it needs them."""
        while len(self._running) < self.workers:
            self._running.append(_Worker(self._memory, self._prepare))

    def map(
        self,
        function: Callable[[Any], Any],
        items: Iterable[Any],
        *,
        seconds: Callable[[Any], float] | None = None,
    ) -> Iterator[Result]:
        """Runs a top-level function on every item and yields the ends as they come.

        Args:
            function: called with the item in a worker.
            items: taken in this order and only as workers come free, so that a caller may still change
                its mind about later ones.
            seconds: the longest that this very item may take, instead of the engine's.

        Raises:
            DataguardError: workers cannot be started.
        """
        job = _Job()
        waiting = iter(items)
        try:
            while True:
                for item in islice(waiting, max(0, self.workers * _TAKEN - job.open)):
                    self._add(job, function, item, seconds(item) if seconds else self._seconds)
                if not job.open:
                    return
                yield from self._ended(job)
        finally:
            self._queue = deque(task for task in self._queue if task.job is not job)

    def begin(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Result]:
        """Like `map`, but all items are taken at once and begun without anybody waiting for their ends.

        While the caller waits for other items, workers are at these too; what it is given is to be asked for the ends.

        Raises:
            DataguardError: workers cannot be started.
        """
        job = _Job()
        for item in items:
            self._add(job, function, item, self._seconds)
        self._give_out()
        return self._ends(job)

    def _ends(self, job: _Job) -> Iterator[Result]:
        while job.open:
            yield from self._ended(job)

    def _add(self, job: _Job, function: Callable[[Any], Any], item: object, seconds: float) -> None:
        if not (self._running and self._loaded):
            self._start(function.__module__)
        self._queue.append(_Task.of(job, function, item, seconds))
        job.open += 1

    def _ended(self, job: _Job) -> Iterator[Result]:
        """The next ends of a job that has items."""
        while not job.ended:
            self._step()
        while job.ended:
            job.open -= 1
            yield job.ended.popleft()

    def _start(self, module: str) -> None:
        """Starts all workers and lets each load what the items will need."""
        begun = time.perf_counter()
        job = _Job()
        self._queue.extend(_Task.of(job, load, module, _START_SECONDS) for _ in range(self.workers))
        while len(job.ended) < self.workers:
            self._step()
        self._loaded = True
        self.starting += time.perf_counter() - begun

    def _step(self) -> None:
        """Gives out what can be given, then waits for the next thing to happen."""
        self._give_out()
        nearest = min(
            (worker.deadline for worker in self._running if worker.tasks or not worker.ready), default=None
        )
        timeout = None if nearest is None else max(0.0, nearest - time.monotonic())
        spoke = set(wait([worker.pipe for worker in self._running], timeout))
        for worker in list(self._running):
            if worker.pipe in spoke:
                self._hear(worker)
            elif (worker.tasks or not worker.ready) and time.monotonic() >= worker.deadline:
                self._end(worker, "timeout")

    def _give_out(self) -> None:
        while self._queue:
            task = self._queue[0]
            few = len(self._queue) < self.workers * (_TAKEN - _AHEAD)
            free = [worker for worker in self._running if worker.takes(task) and not (few and worker.tasks)]
            worker = min(free, key=lambda worker: len(worker.tasks), default=None)
            if worker is None and task.unused and len(self._running) == self.workers:
                idle = next((worker for worker in self._running if worker.ready and not worker.tasks), None)
                if idle is not None:
                    self._dismiss(idle)
            if (worker is None or worker.tasks) and len(self._running) < self.workers:
                worker = _Worker(self._memory, self._prepare)
                self._running.append(worker)
            if worker is None:
                return
            self._queue.popleft()
            if not worker.give(task):
                self._queue.appendleft(task)
                self._end(worker, "died")

    def _hear(self, worker: _Worker) -> None:
        """Takes one message of a worker, or notices that it is gone."""
        try:
            data = worker.pipe.recv_bytes(MAX_ANSWER + 65_536)
        except (EOFError, OSError):
            self._end(worker, "died")
            return
        if not worker.ready:
            if data != READY:
                self._end(worker, "died")
                return
            worker.ready = True
            self._stillborn = 0
        else:
            value, leaves = ForkingPickler.loads(data)
            task = worker.tasks.popleft()
            again = worker.used and leaves and isinstance(value, Failed) and value.kind == "memory"
            worker.used = True
            if not again:
                task.job.ended.append(Result(task.item, value))
            if leaves:
                self._dismiss(worker)
            if again:
                self._again(task)
            if leaves:
                return
        if worker.tasks:
            worker.deadline = time.monotonic() + worker.tasks[0].seconds

    def _end(self, worker: _Worker, kind: str) -> None:
        """A worker that died or took too long: the item it was at has failed, the next one goes elsewhere."""
        if kind == "died":
            # Its pipe closes before it is gone; killed at once, it would seem to have died of that.
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(5)
        code = self._dismiss(worker, but_first=worker.ready)
        if not worker.ready:
            self._stillborn += 1
            if self._stillborn >= _TRIES:
                raise DataguardError(
                    f"expected worker processes to start, but {_TRIES} in a row did not: {_how(code)}",
                    f"see what `{sys.executable} -c 'import polars, pyarrow.parquet, dataguard.engine'` says",
                )
        elif worker.tasks and worker.used and code == -signal.SIGABRT:
            # So end libraries that cannot do without the memory they ask for (Rust's, C++'s).
            self._again(worker.tasks.popleft())
        elif worker.tasks:
            task = worker.tasks.popleft()
            reason = (
                f"took longer than {task.seconds:g} seconds"
                if kind == "timeout"
                else f"the worker {_how(code)}"
            )
            task.job.ended.append(Result(task.item, Failed(kind, reason)))

    def _again(self, task: _Task) -> None:
        """Once more, in a worker that holds nothing: what others held may be what was missing."""
        task.unused = True
        self._queue.appendleft(task)

    def _dismiss(self, worker: _Worker, *, but_first: bool = False) -> int:
        """Ends a worker and queues again what it has not begun."""
        self._running.remove(worker)
        for task in reversed(list(worker.tasks)[but_first:]):
            self._queue.appendleft(task)
        return worker.kill()


def _environment() -> dict[str, str]:
    """The parent's, without what opens doors: a worker decodes hostile bytes and has nothing to log in to."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONPATH" and not any(word in name.upper() for word in _DOORS)
    }
    return kept | ENVIRONMENT


def _how(code: int) -> str:
    if code < 0:
        return f"was killed by signal {-code} ({signal.Signals(-code).name})"
    return f"ended with exit code {code}"

"""Functions for worker processes: top-level and in a module of their own, as the engine's items must be."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from typing import Any

import numpy as np


def double(item: int) -> int:
    return 2 * item


def echo(item: bytes) -> bytes:
    return item


def where(item: object) -> dict[str, Any]:
    """What a worker finds around it."""
    import pyarrow as pa

    return {
        "pid": os.getpid(),
        "pool": pa.default_memory_pool().backend_name,
        "polars": os.environ["POLARS_MAX_THREADS"],
        "cpus": pa.cpu_count(),
        "pandas": "pandas" in sys.modules,
        "path": sys.path,
        "main": getattr(sys.modules["__main__"], "__file__", None),
        "group": os.getpgrp(),
    }


def variables(item: object) -> list[str]:
    """The names of a worker's environment."""
    return sorted(os.environ)


def kill(signal_number: int) -> int:
    """Dies of a signal, or goes on for 0."""
    if signal_number:
        os.kill(os.getpid(), signal_number)
        time.sleep(10)
    return os.getpid()


def leave(code: int) -> None:
    os._exit(code)


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def burn(item: object) -> None:
    """Minutes in C code that never looks for signals."""
    hashlib.pbkdf2_hmac("sha256", b"", b"", 300_000_000)


def take(size: int) -> int:
    """Takes memory and gives it back."""
    return int(np.ones(size, np.uint8)[-1]) * size


def hoard(size: int) -> int:
    """Takes memory and keeps it; answers with the process that did."""
    kept.append(np.ones(size, np.uint8))
    return os.getpid()


kept: list[Any] = []


def abort_beside_a_hoard(size: int) -> int:
    """Ends as a library does that asks for memory in vain, where something is kept."""
    if kept:
        os.abort()
    return size


def answer(size: int) -> bytes:
    return bytes(size)


def raises(kind: str) -> None:
    if kind == "error":
        raise ValueError("not this one")
    if kind == "exit":
        sys.exit(3)
    if kind == "interrupt":
        raise KeyboardInterrupt
    if kind == "panic":
        import polars as pl

        raise pl.exceptions.PanicException("index out of bounds")


def unpicklable(item: object) -> object:
    return lambda: item


def prints(item: str) -> str:
    """Prints as a library would."""
    sys.stdout.write(item)
    sys.stderr.write(item)
    os.write(2, item.encode())
    return item


def interrupted(item: object) -> str:
    """What an interrupt from the terminal does to a worker: nothing."""
    os.kill(os.getpid(), signal.SIGINT)
    return "alive"

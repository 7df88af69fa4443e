"""How kernels are compiled: once, kept beside the code, without the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compiles a function at its first call with arguments of a type; the machine code is kept on the disk.

    Integers wrap around, divisions by zero give what the hardware gives, and indexes are not checked:
    a kernel is called with arrays that its caller made.
    """
    return cast("F", numba.njit(cache=True, nogil=True, error_model="numpy")(function))

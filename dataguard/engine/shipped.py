"""A caller's own object on its way to the workers: packed once, unpacked once in each."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

from dataguard.errors import UsageError


@dataclass(frozen=True)
class ShippedEncoder:
    """An encoder of texts that is unpacked where it is first used, so that its errors are those of who uses it.

    Args:
        name: of its class.
        sha256: of what it was packed to and of the file that its class is written in: another state or another code is
            another encoder. What it reads from elsewhere is not in it.
        data: itself, in the format of multiprocessing's own pipes.
    """

    name: str
    sha256: str
    data: bytes = field(repr=False)

    @classmethod
    def of(cls, encoder: Any) -> ShippedEncoder:
        """Packs it.

        Raises:
            UsageError: it is no encoder, or other processes could not have it.
        """
        kind = type(encoder)
        if isinstance(encoder, type | str) or not callable(getattr(encoder, "encode", None)):
            raise UsageError(
                f"expected an encoder, an object with a method encode, got {encoder!r:.80}",
                'encode(texts) gives a float32 array of shape (len(texts), d); "ngrams" is the one that comes with dataguard',
            )
        hint = "define its class in a module that can be imported, and open files and models when they are first needed"
        if kind.__module__ == "__main__":
            raise UsageError(
                f"the encoder {kind.__name__} is defined in a script or notebook, which workers do not see",
                hint,
            )
        try:
            data = bytes(ForkingPickler.dumps(encoder))
        except Exception as error:  # whatever an object's own pickling raises
            raise UsageError(
                f"the encoder {kind.__name__} cannot be sent to other processes: {error}", hint
            ) from error
        digest = hashlib.sha256(data)
        with contextlib.suppress(TypeError, OSError):  # of a class without a file there is nothing to add
            digest.update(Path(inspect.getfile(kind)).read_bytes())
        return cls(f"{kind.__module__}.{kind.__qualname__}", digest.hexdigest(), data)

    def encode(self, texts: Sequence[str]) -> Any:
        """What the encoder makes of texts."""
        return _unpacked(self.data).encode(texts)


@lru_cache(maxsize=1)
def _unpacked(data: bytes) -> Any:
    return ForkingPickler.loads(data)

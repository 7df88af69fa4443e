"""Which texts the patterns of several rules are put to: all of them in one look at the bytes.

Rules that have many patterns name for each what it cannot match without, its needles. Most texts have none, and no
pattern is ever put to them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from dataguard.detectors import _injections, _personal, _secrets
from dataguard.detectors._matches import Sifted
from dataguard.detectors._needles import places_of
from dataguard.records.batch import Batch, Texts

if TYPE_CHECKING:
    from dataguard.kernels.needles import Tables

NEEDLES: Mapping[str, tuple[str, ...]] = {
    **_personal.NEEDLES,
    **_secrets.NEEDLES,
    **_injections.NEEDLES,
}
"""The needles of each pattern."""
_BITS = {name: np.uint64(1 << bit) for bit, name in enumerate(NEEDLES)}


def sifted(batch: Batch) -> tuple[Sifted, ...]:
    """Every string of a batch, nested ones too, a place at a time."""
    return batch.once("sifted", lambda: tuple(_all_sifted(batch)))


def _all_sifted(batch: Batch) -> Iterator[Sifted]:
    for name in batch.data.schema.names:
        for texts in batch.texts(name):
            yield sift(texts)


def sift(texts: Texts) -> Sifted:
    """The strings of one place with what may match in them."""
    from dataguard.kernels.needles import found

    values = texts.values
    if not len(values):
        return Sifted(texts, np.empty(0, np.uint64), _BITS)
    _, offsets, data = values.buffers()
    bounds = np.frombuffer(offsets, np.int64)[values.offset : values.offset + len(values) + 1]
    # Bytes under a null are looked at too: what a pattern is put to then is null.
    patterns = found(np.frombuffer(data or b"", np.uint8), bounds, _tables())
    return Sifted(texts, patterns, _BITS)


@cache
def _tables() -> Tables:
    from dataguard.kernels.needles import tables

    return tables([[places_of(needle) for needle in needles] for needles in NEEDLES.values()])

"""Where runs of words stand in bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataguard.kernels.compiled import compiled
from dataguard.kernels.minhash import frozen

U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]


def spans(steps: U8, step_ends: I64, parts: U32, part_ends: I64, wanted: I64) -> I64:
    """The bytes of runs of words.

    Args:
        steps: u8, varints of the distance of each word from the start of the one before it, texts from 0.
        step_ends: i64[n], where each record's varints end.
        parts: u32[texts, 3], column, words and bytes of each text.
        part_ends: i64[n], where each record's texts end.
        wanted: i64[m, 3], record, first word, word behind the last.

    Returns:
        i64[m, 3]: column, first byte, byte behind the last; a run over several texts ends with the first
        of them. Column is -1 and the rest 0 where there are no such words.
    """
    out = np.zeros((len(wanted), 3), np.int64)  # where there is nothing to tell, nothing is left to chance
    _spans(frozen(steps), frozen(step_ends), frozen(parts), frozen(part_ends), frozen(wanted), out)
    return out


@compiled
def _spans(steps: U8, step_ends: I64, parts: U32, part_ends: I64, wanted: I64, out: I64) -> None:
    for run in range(len(wanted)):
        record, first, last = wanted[run, 0], wanted[run, 1], wanted[run, 2]
        out[run, 0] = -1
        if first >= last:
            continue
        at = step_ends[record - 1] if record else 0
        word = 0
        for part in range(part_ends[record - 1] if record else 0, part_ends[record]):
            begun = word <= first < word + parts[part, 1]
            byte = np.int64(0)
            if begun:
                out[run, 0] = parts[part, 0]
                out[run, 2] = parts[part, 2]
            for _ in range(parts[part, 1]):
                shift = 0
                while at < step_ends[record]:
                    piece = steps[at]
                    at += 1
                    byte += np.int64(piece & 127) << shift
                    shift += 7
                    if piece < 128:
                        break
                if begun and word == first:
                    out[run, 1] = byte
                if begun and word == last:
                    out[run, 2] = byte
                    break
                word += 1
            if begun:
                break


def warm() -> None:
    """Compiles the kernels of this module."""
    one = np.ones(1, np.int64)
    spans(np.ones(1, np.uint8), one, np.ones((1, 3), np.uint32), one, np.array([[0, 0, 1]]))

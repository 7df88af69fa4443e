"""How frequent words are in general, so that words nobody uses stand out."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]

UNKNOWN = 1e-8
"""The share of a word that no list has: below all that are in the lists."""
_SIGN = 1e-2
"""Signs are no words: none of them is rare."""
_SHAPES = 4
"""Digits of numbers that are looked up by their shape: 1987 is as frequent as any number of four digits."""


def shares(ids: npt.NDArray[np.uint32], key: int) -> Floats:
    """The share of each word in general language: the highest of all languages of the lists of `wordfreq`.

    Args:
        ids: u32, keyed hashes of words, ascending.
        key: of these hashes.

    Returns:
        f64, `UNKNOWN` at the least.
    """
    known, values = _table(key)
    at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    return np.where(known[at] == ids, values[at], UNKNOWN)


@lru_cache(maxsize=1)
def _table(key: int) -> tuple[npt.NDArray[np.uint32], Floats]:
    """Hashes of all words of the lists, ascending, and the highest share of each."""
    tables = [_hashed(words, values, key) for words, values in _lists()]
    ids = np.concatenate([ids for ids, _ in tables])
    values = np.concatenate([values for _, values in tables])
    order = np.lexsort((-values, ids))
    ids, first = np.unique(ids[order], return_index=True)
    return ids, values[order][first]


def _lists() -> Iterable[tuple[list[str], Floats]]:
    import wordfreq

    numbers: dict[int, float] = {}
    # The small lists of all languages, and English whole: code and its names are English everywhere.
    lists = [(language, "small") for language in sorted(wordfreq.available_languages("small"))]
    for language, size in [*lists, ("en", "large")]:
        table = wordfreq.get_frequency_dict(language, wordlist=size)
        for digits in range(1, _SHAPES + 1):
            numbers[digits] = max(numbers.get(digits, 0.0), table.get("0" * digits, 0.0))
        yield list(table), np.fromiter(table.values(), np.float64, len(table))
        # The library keeps all lists for ever, as dictionaries: half a gigabyte of a worker's memory.
        wordfreq.get_frequency_dict.cache_clear()
        wordfreq.get_frequency_list.cache_clear()
    for digits, share in numbers.items():
        words = [f"{number:0{digits}}" for number in range(10**digits)]
        yield words, np.full(len(words), max(share, 1e-3 if digits == 1 else 0.0))
    signs = [chr(code) for code in range(0x80, 0x3100) if unicodedata.category(chr(code))[0] in "PSZMC"]
    yield signs, np.full(len(signs), _SIGN)


def _hashed(words: list[str], values: Floats, key: int) -> tuple[npt.NDArray[np.uint32], Floats]:
    """The hashes of words and their shares; what is more than one word to us is left out."""
    from dataguard.kernels.tokens import tokenise

    strings = pa.array(words, pa.large_string())
    _, offsets, data = strings.buffers()
    tokens = tokenise(np.frombuffer(data, np.uint8), np.frombuffer(offsets, np.int64)[: len(words) + 1], key)
    single = np.flatnonzero(np.diff(tokens.ends, prepend=0) == 1)
    return tokens.ids[tokens.ends[single] - 1], values[single]

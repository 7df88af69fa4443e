"""Measures of how much records repeat each other, each by its published definition, on equal amounts.

- compression ratio: bytes over bytes of their DEFLATE at level 9 (Shaib et al., "Standardizing the measurement of text
  diversity", 2024);
- distinct-n: different n-grams of words over all (Li et al., "A diversity-promoting objective function for neural
  conversation models", NAACL 2016), and the Shannon entropy of their frequencies, in bits;
- mean cosine of all pairs of records, from the length of the sum of their unit vectors;
- Vendi score (Friedman and Dieng, "The Vendi score: a diversity evaluation metric for machine learning", TMLR 2023):
  the exponential of the entropy of the eigenvalues of the records' cosines over their number, which is how many
  records, all unlike, would be as diverse. The matrix of cosines and the one of as many columns as vectors have share
  their eigenvalues, so that the smaller one is taken.

All of them depend on how much is measured. So each is taken of the same amount in every group, or not at all.
"""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
U64 = npt.NDArray[np.uint64]

BUCKETS = 512
"""Numbers of a record's vector."""
PARTS = 16
"""A record gives no more than one of so many parts of the text and runs of words that are measured: one that repeats itself
says little of its group."""
DIGITS = 9
"""Digits behind the point that are kept: further ones differ by machine."""


class Amount(NamedTuple):
    """How much of a group is measured.

    Attributes:
        records: for cosines and templates.
        text: bytes, for compression.
        grams: n-grams of each length, for their variety.
    """

    records: int
    text: int
    grams: int

    @classmethod
    def of(cls, records: int) -> Amount:
        """As much of each as so many records of some twenty words have."""
        return cls(records, 128 * records, 8 * records)


class Written(NamedTuple):
    """The texts of one side of a group's sample, one record after the other.

    Attributes:
        text: u8, without anything between records.
        ends: i64[n], where each record's text ends.
        ids: i64, numbers of words: equal for equal words.
        word_ends: i64[n], where each record's words end.
        whole: bool[n], whether a record's text is all there.
    """

    text: npt.NDArray[np.uint8]
    ends: Ints
    ids: Ints
    word_ends: Ints
    whole: npt.NDArray[np.bool_]


def beginnings(values: npt.NDArray[Any], ends: Ints, most: int) -> tuple[npt.NDArray[Any], Ints]:
    """The first values of each record.

    Args:
        values: one record after the other.
        ends: i64[n], where each ends.
        most: how many of each.

    Returns:
        the same of what is left.
    """
    lengths = np.diff(ends, prepend=0)
    kept = np.minimum(lengths, most)
    at = np.repeat(ends - lengths - np.cumsum(kept) + kept, kept) + np.arange(kept.sum())
    return values[at], np.cumsum(kept)


def compression_ratio(text: bytes) -> float:
    """How many times fewer bytes DEFLATE needs."""
    return len(text) / len(zlib.compress(text, 9))


def grams(ids: Ints, ends: Ints, n: int) -> Ints:
    """The n-grams of words of each record, in order, as numbers that are equal for equal n-grams.

    Args:
        ids: i64, numbers of words.
        ends: i64, where each record ends; n-grams do not go over that.
        n: how many words.
    """
    _, number = np.unique(ids, return_inverse=True)
    first = number
    for step in range(1, n):
        longer = first[:-1] * (int(number.max(initial=0)) + 1) + number[step:] if len(first) else first
        _, first = np.unique(longer, return_inverse=True)
    starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    room = np.maximum(ends - starts - n + 1, 0)
    at = np.repeat(starts, room) + np.arange(room.sum()) - np.repeat(np.cumsum(room) - room, room)
    return np.asarray(first[at], dtype=np.int64)


def distinct(found: Ints) -> float:
    """Different ones over all."""
    return len(np.unique(found)) / len(found)


def entropy(found: Ints) -> float:
    """Shannon entropy of how often each is met, in bits."""
    _, counts = np.unique(found, return_counts=True)
    shares = counts / len(found)
    return float(-(shares * np.log2(shares)).sum())


def unit_vectors(ids: U64, ends: Ints, salt: int) -> Floats:
    """A vector of length one for each record, from its words and pairs of words, hashed (Weinberger et al., ICML 2009).

    Words and pairs weigh the same. The cosine of two records is about the mean of those of their counts of
    words and of their counts of pairs.

    Args:
        ids: u64, the words.
        ends: i64[n], where each record ends; none is empty.
        salt: of the hash.

    Returns:
        f64[n, BUCKETS].
    """
    both = np.zeros((len(ends), BUCKETS))
    record = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
    mixed = _mixed(ids ^ np.uint64(salt))
    both += _hashed(record, mixed, len(ends))
    inside = record[1:] == record[:-1]
    pairs = _mixed((mixed[:-1] * np.uint64(3) + mixed[1:])[inside])
    both += _hashed(record[1:][inside], pairs, len(ends))
    return _normal(both)


def _hashed(record: Ints, hashes: U64, count: int) -> Floats:
    """Unit vectors of counts: a bucket and a sign of each hash."""
    place = record * BUCKETS + (hashes % np.uint64(BUCKETS)).astype(np.int64)
    sign = np.where(hashes >> np.uint64(63), 1.0, -1.0)
    counts = np.bincount(place, weights=sign, minlength=count * BUCKETS).astype(np.float64)
    return _normal(counts.reshape(count, BUCKETS))


def _normal(vectors: Floats) -> Floats:
    length = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    return np.asarray(vectors / np.where(length > 0, length, 1.0))


def _mixed(values: U64) -> U64:
    """The end of splitmix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    values = (values ^ values >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ values >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return values ^ values >> np.uint64(31)


def mean_cosine(vectors: Floats) -> float:
    """The mean cosine of all pairs of unit vectors: the square of their sum's length is their number and all pairs."""
    count = len(vectors)
    total = vectors.sum(axis=0)
    return float((total @ total - (vectors * vectors).sum()) / (count * (count - 1)))


def vendi(vectors: Floats) -> float:
    """The Vendi score of unit vectors."""
    count, size = vectors.shape
    alike = vectors @ vectors.T if count < size else vectors.T @ vectors
    values = np.linalg.eigvalsh(alike / count)
    values = values[values > 0]
    return float(np.exp(-(values * np.log(values)).sum()))


def measured(written: Written, amount: Amount, salt: int) -> dict[str, float]:
    """All measures of which there is enough, by name.

    Args:
        written: the group's sample.
        amount: how much of it is measured.
        salt: of hashes.
    """
    found: dict[str, float] = {}
    text, _ = beginnings(written.text, written.ends, amount.text // PARTS)
    if len(text) >= amount.text:
        found["compression_ratio"] = compression_ratio(text[: amount.text].tobytes())
    for n, name in ((1, "words"), (2, "pairs"), (3, "triples")):
        begun = beginnings(written.ids, written.word_ends, amount.grams // PARTS + n - 1)
        some = grams(*begun, n)[: amount.grams]
        if len(some) == amount.grams:
            found[f"distinct_{name}"] = distinct(some)
            found[f"entropy_of_{name}"] = entropy(some)
    found = {name: round(value, DIGITS) for name, value in found.items()}
    ends = written.word_ends[: amount.records]
    if len(ends) < amount.records:
        return found
    return found | scored(unit_vectors(written.ids[: ends[-1]].astype(np.uint64), ends, salt), amount)


def scored(vectors: Floats, amount: Amount) -> dict[str, float]:
    """How alike unit vectors are, if there are enough of them, by name of the measure.

    Args:
        vectors: f64[records, numbers].
        amount: how many of them are measured.
    """
    if len(vectors) < amount.records:
        return {}
    some = vectors[: amount.records]
    return {"mean_cosine": round(mean_cosine(some), DIGITS), "vendi_score": round(vendi(some), DIGITS)}

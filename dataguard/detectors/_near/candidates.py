"""Keys of signatures, and the pairs of texts that share one."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.detectors.base import EARLIER, Known
from dataguard.words import Words, hash_key

ROW_BITS = 40
ROWS = 1 << ROW_BITS
FRESH = EARLIER << ROW_BITS
"""Places below this are of the set at hand, those above of the earlier run that it is compared with."""
PART_WORDS = 12_000_000
"""Words that one part of the comparison holds: with their shingles about 100 MB."""
MOST_WORDS = 32_000_000
"""Words of one group that are compared in one go; part of the method, as it decides which pairs are passed over."""
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

PAIRS = pl.Schema(
    {
        "a": pl.UInt64,
        "b": pl.UInt64,
        "a_place": pl.UInt64,
        "b_place": pl.UInt64,
        "a_words": pl.UInt32,
        "b_words": pl.UInt32,
    }
)
"""Texts that share a key; where `b` is null, `a` stands at `a_place` and elsewhere too, and `a_words` is the hash of
where its words begin."""


def key_names(bands: int) -> tuple[str, ...]:
    """The columns that evidence is shuffled by: the whole text, and each band of its signature."""
    return ("whole", *(f"band{band:03}" for band in range(bands)))


@lru_cache(maxsize=4)
def _permutations(seed: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    from dataguard.kernels.minhash import permutations

    return permutations(seed)


def whole(words: Words) -> I64:
    """How many words each record has."""
    return np.diff(words.ends, prepend=0)


def signature_seed(secret: bytes) -> int:
    """The seed of the permutations of signatures: 32 bits of the secret, as many as datasketch takes."""
    return hash_key(secret, "minhash") & 0xFFFF_FFFF


def signed(words: Words, *, min_words: int) -> tuple[U64, npt.NDArray[np.uint32]]:
    """Rows and signatures (u32[n, 128]) of the records that have enough words."""
    from dataguard.kernels.minhash import signatures

    a, b = _permutations(signature_seed(words.secret))
    enough = whole(words) >= max(min_words, 5)
    made = signatures(words.ids, words.ends, a, b, words.key("shingles"))
    return words.rows[enough], made[enough]


def evidence_of(
    words: Words, ends: I64, *, min_words: int, bands: int, rows: int, short: bool = False
) -> pl.DataFrame:
    """A row for each record that has enough words: its keys.

    Args:
        words: of a batch.
        ends: i64[n], the end of each record's words.
        min_words: how many are enough.
        bands: keys made of each signature.
        rows: slots in a key.
        short: whether records of fewer words, but some, get the key of the whole text alone.
    """
    from dataguard.kernels.content import content
    from dataguard.kernels.minhash import band_keys, signatures

    a, b = _permutations(signature_seed(words.secret))
    lengths = np.diff(ends, prepend=0)
    enough = lengths >= max(min_words, 5)
    kept = lengths > 0 if short else enough
    signed = signatures(words.ids, ends, a, b, words.key("shingles"))
    keys = band_keys(signed, bands, rows, words.key("bands"))[kept]
    text = content(words.ids, ends, words.key("text"))[kept]
    names = key_names(bands)
    table = pl.DataFrame(
        {
            "row": words.rows[kept],
            "words": lengths[kept].astype(np.uint32),
            "layout": (
                content(words.steps, words.step_ends, words.key("layout"))[kept] >> np.uint64(32)
            ).astype(np.uint32),
            "text": text,
            names[0]: text,
            **{name: np.ascontiguousarray(keys[:, band]) for band, name in enumerate(names[1:])},
        },
        schema={
            "row": pl.UInt64,
            "words": pl.UInt32,
            "layout": pl.UInt32,
            "text": pl.UInt64,
            **dict.fromkeys(names, pl.UInt64),
        },
    )
    if not short:
        return table
    return table.with_columns(pl.when(pl.lit(pl.Series(enough[kept]))).then(pl.col(*names[1:])))


def relate_band(partition: pl.DataFrame) -> pl.DataFrame:
    """The pairs of texts that share a key; in the partition of whole texts, those that stand in several places."""
    from dataguard.kernels.pairs import candidates, copies

    place = places(partition)
    key = partition["key"].to_numpy()
    words = partition["words"].to_numpy()
    if not len(key):
        return pl.DataFrame(schema=PAIRS)
    if partition["band"][0] == 0:
        here = copies(key, place, fresh=FRESH)
        layout = partition["layout"].to_numpy()
        return pl.DataFrame(
            {
                "a": key[here],
                "b": pl.Series([None], dtype=pl.UInt64).new_from_index(0, len(here)),
                "a_place": place[here],
                "b_place": place[here],
                "a_words": layout[here],
                "b_words": words[here],
            },
            schema=PAIRS,
        )
    # In the last band the next key is the text itself.
    text = partition["text"].to_numpy()
    a, b = candidates(key, partition["next"].to_numpy(), text, place, fresh=FRESH).T
    return pl.DataFrame(
        {
            "a": text[a],
            "b": text[b],
            "a_place": place[a],
            "b_place": place[b],
            "a_words": words[a],
            "b_words": words[b],
        },
        schema=PAIRS,
    )


def places(table: pl.DataFrame) -> U64:
    """The place of each record, of its columns `file` and `row`."""
    file = table["file"].to_numpy().astype(np.uint64)
    return np.asarray(file << np.uint64(ROW_BITS) | table["row"].to_numpy(), dtype=np.uint64)


def fold_pairs(evidence: pl.LazyFrame, _: Known) -> Known:
    """Each pair once, in parts that are compared on their own: pairs that hang together are in one.

    Returns:
        `parts`; `text`, `place`, `words` of the documents, by text; `a`, `b` (numbers of documents) and `part` of
        the pairs, those that share most keys first; `copy_text`, `copy_place`, `copy_layout` of equal texts.
    """
    from dataguard.kernels.pairs import distinct, positions

    related = evidence.collect()
    alone = pl.col("b").is_null()
    same = related.filter(alone).sort("a", "a_place")
    pairs = related.filter(~alone)
    first, shared = distinct(pairs["a"].to_numpy(), pairs["b"].to_numpy())
    pairs = pairs[first]  # a text that shares keys is named by the same place and length under each
    sides = [pairs.select(text=side, place=f"{side}_place", words=f"{side}_words") for side in "ab"]
    documents = pl.concat(sides).unique("text").sort("text")
    a, b = (positions(documents["text"].to_numpy(), pairs[side].to_numpy()) for side in "ab")
    # One number for the three that pairs are sorted by: less than half the time.
    last = np.uint64(63) - np.minimum(shared, 63).astype(np.uint64)
    order = np.argsort(last << np.uint64(58) | a.astype(np.uint64) << np.uint64(29) | b.astype(np.uint64))
    a, b = a[order], b[order]
    part, parts = _parts(a, b, documents["words"].to_numpy().astype(np.int64))
    order = np.argsort(part, kind="stable")
    return {
        "parts": parts,
        "candidates": len(a),
        "text": documents["text"].to_numpy(),
        "place": documents["place"].to_numpy(),
        "words": documents["words"].to_numpy(),
        "a": a[order],
        "b": b[order],
        "part": part[order],
        "copy_text": same["a"].to_numpy(),
        "copy_place": same["a_place"].to_numpy(),
        "copy_layout": same["a_words"].to_numpy(),
    }


def _parts(a: I64, b: I64, words: I64) -> tuple[I64, int]:
    """Which part each pair is compared in, and how many parts there are."""
    from dataguard.kernels.pairs import components

    if not len(a):
        return np.empty(0, np.int64), 1
    component = components(a, b, len(words))
    volume = np.bincount(component, weights=words, minlength=len(words)).astype(np.int64)
    # One group after the other, by content; one that is too large is cut where its pairs are, whoever cuts.
    piece = np.zeros(len(a), np.int64)
    of_pair = component[a]
    for large in np.flatnonzero(volume > MOST_WORDS).tolist():
        its = np.flatnonzero(of_pair == large)
        piece[its] = np.cumsum(words[a[its]] + words[b[its]]) // MOST_WORDS
    pieces = int(piece.max()) + 1
    group, inverse = np.unique(of_pair * pieces + piece, return_inverse=True)
    size = np.minimum(volume[group // pieces], MOST_WORDS)
    part = (np.cumsum(size) - size) // PART_WORDS
    used, dense = np.unique(part, return_inverse=True)
    return dense[inverse].astype(np.int64), len(used)

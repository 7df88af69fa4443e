"""How near copies are found: keys of signatures, pairs that share one, exact comparison, groups.

Records are named by one number, their place: the number of the file in the upper 24 bits, the row in the lower 40.
Texts are named by a keyed hash of their words; equal texts are one until they are told with their places again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.detectors.base import EARLIER, Known
from dataguard.findings import SPAN
from dataguard.words import Words, hash_key

ROW_BITS = 40
ROWS = 1 << ROW_BITS
FRESH = EARLIER << ROW_BITS
"""Places below this are of the set at hand, those above of the earlier run that it is compared with."""
PART_WORDS = 24_000_000
"""Words that one part of the comparison holds: with their shingles about 200 MB."""
MOST_WORDS = 32_000_000
"""Words of one group that are compared in one go; part of the method, as it decides which pairs are passed over."""
UNSPACED = 0.5
"""From this share of single characters on, a record counts as written without spaces."""

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

EDGES = pl.Schema(
    {
        "a": pl.UInt64,
        "b": pl.UInt64,
        "jaccard": pl.Float64,
        "a_span": SPAN,
        "b_span": SPAN,
    }
)
"""Texts that were compared and are alike, with the words in which each differs. Where `b` is null, `a` says what is
counted and `jaccard` how many."""
COMPARED, UNJUDGED, UNSPACED_RECORDS = 0, 1, 2


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


def sweep_pairs(
    words: Iterable[tuple[int, Words]], known: Known, part: int, *, threshold: float, min_words: int
) -> pl.DataFrame:
    """Compares the pairs of one part exactly.

    Args:
        words: of the whole set.
        known: from `fold_pairs`.
        part: which; of each document as many words are compared as its evidence says, from the first.
        threshold: the least Jaccard.
        min_words: records of fewer are counted as not judged, in the first part.

    Returns:
        EDGES.
    """
    from dataguard.kernels.pairs import verify

    assert known is not None
    its = slice(*np.searchsorted(known["part"], [part, part + 1]).tolist())
    pairs = np.stack([known["a"][its], known["b"][its]], axis=1)
    documents, flat = np.unique(pairs, return_inverse=True)
    pairs = flat.reshape(-1, 2).astype(np.int64)
    place = known["place"][documents]
    lengths = known["words"][documents].astype(np.int64)
    held = _held(words, place, lengths, min_words)
    found = verify(held.ids, np.cumsum(lengths), pairs, held.salt, threshold)
    chosen = pairs[found.pair]
    edges = pl.DataFrame(
        {
            "a": known["text"][documents[chosen[:, 0]]],
            "b": known["text"][documents[chosen[:, 1]]],
            "jaccard": found.jaccard,
        }
    )
    wanted = np.concatenate(
        [
            np.stack([side, found.prefix, lengths[side] - found.suffix], axis=1)
            for side in (chosen[:, 0], chosen[:, 1])
        ]
    )
    spans = held.spans(wanted)
    edges = edges.with_columns(a_span=spans[: len(edges)], b_span=spans[len(edges) :])
    if part == 0:
        edges = pl.concat([edges, _counted(held.counts)], how="vertical")
    return edges


def _counted(counts: tuple[int, int, int]) -> pl.DataFrame:
    rows = {"a": [COMPARED, UNJUDGED, UNSPACED_RECORDS], "jaccard": [float(count) for count in counts]}
    return pl.DataFrame({**rows, "b": None, "a_span": None, "b_span": None}, schema=EDGES)


@dataclass(frozen=True)
class _Held:
    """The words of some documents, in the order they were asked for.

    Args:
        ids: u32, their words.
        salt: of the hashes of shingles.
        counts: records of the set that are compared, that are too short, that are written without spaces.
        pieces: for each batch: the documents that stand there; where their words begin in bytes, and their texts,
            one document after the other, with the ends of each; names of columns.
    """

    ids: npt.NDArray[np.uint32]
    salt: int
    counts: tuple[int, int, int]
    pieces: tuple[tuple[I64, npt.NDArray[np.uint8], I64, npt.NDArray[np.uint32], I64, tuple[str, ...]], ...]

    def spans(self, wanted: I64) -> pl.Series:
        """Spans of runs of words (document, first, behind the last), null where a run has no words."""
        from dataguard.kernels.spans import spans

        column = np.full(len(wanted), -1, np.int64)
        bounds = np.zeros((len(wanted), 2), np.int64)
        names: dict[str, int] = {}
        piece_of, record_of = np.zeros(
            (2, 1 + max((int(p[0].max()) for p in self.pieces), default=0)), np.int64
        )
        for number, piece in enumerate(self.pieces):
            piece_of[piece[0]], record_of[piece[0]] = number, np.arange(len(piece[0]))
        by_piece = np.argsort(piece_of[wanted[:, 0]], kind="stable")
        cuts = np.searchsorted(piece_of[wanted[by_piece, 0]], np.arange(len(self.pieces) + 1))
        for number, (_, steps, step_ends, parts, part_ends, columns) in enumerate(self.pieces):
            mine = by_piece[cuts[number] : cuts[number + 1]]
            asked = np.column_stack([record_of[wanted[mine, 0]], wanted[mine, 1:]])
            told = spans(steps, step_ends, parts, part_ends, asked)
            numbers = np.array([names.setdefault(name, len(names)) for name in columns] + [-1])
            column[mine] = numbers[told[:, 0]]
            bounds[mine] = told[:, 1:]
        table = pl.DataFrame({"column": column, "start": bounds[:, 0], "end": bounds[:, 1]})
        called = pl.col("column").replace_strict(
            list(names.values()), list(names), default=None, return_dtype=pl.String
        )
        one = pl.concat_list(
            pl.struct(called, pl.col("start").cast(pl.UInt64), pl.col("end").cast(pl.UInt64))
        )
        return table.select(span=pl.when(pl.col("column") >= 0).then(one).cast(SPAN))["span"]


def _held(words: Iterable[tuple[int, Words]], place: U64, lengths: I64, min_words: int) -> _Held:
    """The words of documents, and counts of all records."""
    from dataguard.kernels.gather import gather, scatter

    order = np.argsort(place)
    at = np.cumsum(lengths) - lengths
    ids = np.empty(int(lengths.sum()), np.uint32)
    compared = unjudged = unspaced = salt = 0
    pieces = []
    for file, some in words:
        all_lengths = np.diff(some.ends, prepend=0)
        if file < EARLIER:
            enough = int((all_lengths >= max(min_words, 5)).sum())
            compared, unjudged = compared + enough, unjudged + len(some) - enough
            unspaced += int((some.characters > UNSPACED * all_lengths).sum())
        salt = some.key("shingles")
        here, records = _here(place, order, file, some)
        if len(here):
            scatter(some.ids, some.ends[records] - all_lengths[records], lengths[here], ids, at[here])
            steps = np.diff(some.step_ends, prepend=0)[records]
            parts = np.diff(some.part_ends, prepend=0)[records]
            pieces.append(
                (
                    here,
                    gather(some.steps, some.step_ends[records] - steps, steps),
                    np.cumsum(steps),
                    gather(some.parts.reshape(-1), 3 * (some.part_ends[records] - parts), 3 * parts).reshape(
                        -1, 3
                    ),
                    np.cumsum(parts),
                    some.columns,
                )
            )
    return _Held(ids, salt, (compared, unjudged, unspaced), tuple(pieces))


def _here(place: U64, order: I64, file: int, some: Words) -> tuple[I64, I64]:
    """Which documents stand in a batch of words, and where there."""
    if not len(some):
        return order[:0], order[:0]
    first = np.uint64(file << ROW_BITS) + some.rows[0]
    low, high = np.searchsorted(place, [first, first + np.uint64(len(some))], sorter=order)
    here = order[low:high]
    return here, (place[here] - first).astype(np.int64)


@dataclass(frozen=True)
class Found:
    """Groups of near copies.

    Args:
        members: key (of the group), text, file, row, jaccard (best verified), span (what differs from the nearest).
        compared: records that were long enough.
        unjudged: records that were not.
        unspaced: records in scripts without spaces, by most of their words.
        candidates: pairs that shared a key.
    """

    members: pl.DataFrame
    compared: int
    unjudged: int
    unspaced: int
    candidates: int


def grouped(evidence: pl.LazyFrame, known: Known, before: pl.DataFrame | None = None) -> Found:
    """The groups that verified pairs and equal texts make, with all their records.

    Args:
        evidence: EDGES of all parts.
        known: from `fold_pairs`.
        before: groups of the earlier run that the set is compared with, JUDGED_CLUSTERS with the numbers of its own
            files; two texts that are in one of them are in one group.
    """
    from dataguard.kernels.pairs import components

    assert known is not None
    table = evidence.collect()
    counts = dict(table.filter(pl.col("b").is_null()).select("a", "jaccard").iter_rows())
    edges = table.filter(pl.col("b").is_not_null())
    texts = np.unique(np.concatenate([edges["a"].to_numpy(), edges["b"].to_numpy(), known["copy_text"]]))
    joined = [edges[side].to_numpy() for side in "ab"]
    if before is not None:
        joined = [np.concatenate(pair) for pair in zip(joined, _joined_before(before, known), strict=True)]
        texts = np.unique(np.concatenate([texts, *joined]))
    left, right = (np.searchsorted(texts, side).astype(np.int64) for side in joined)
    root = components(left, right, len(texts))
    sides = [
        edges.select(text=side, jaccard="jaccard", span=f"{side}_span", other=other)
        for side, other in (("a", "b"), ("b", "a"))
    ]
    best = (
        pl.concat(sides)
        .sort("text", "jaccard", "other", descending=[False, True, False])
        .unique("text", keep="first", maintain_order=True)
        .drop("other")
    )
    members = _members(texts, root, best, known)
    if before is not None:
        members = _with_before(members, before)
    return Found(
        members=members,
        compared=int(counts.get(COMPARED, 0)),
        unjudged=int(counts.get(UNJUDGED, 0)),
        unspaced=int(counts.get(UNSPACED_RECORDS, 0)),
        candidates=int(known["candidates"]),
    )


def _joined_before(before: pl.DataFrame, known: dict[str, Any] | Any) -> tuple[U64, U64]:
    """Texts that hang together by groups of the earlier run: each with one of its group."""
    place = ((pl.col("file") + EARLIER).cast(pl.UInt64) * (1 << ROW_BITS)) + pl.col("row")
    old = before.select("key", place=place)
    here = pl.concat(
        [
            pl.DataFrame({"text": known["text"], "place": known["place"]}),
            pl.DataFrame({"text": known["copy_text"], "place": known["copy_place"]}),
        ]
    )
    met = here.unique().join(old, on="place").sort("key", "text", "place")
    first = met.select(pl.col("text").first().over("key"))["text"]
    return first.to_numpy(), met["text"].to_numpy()


def _with_before(members: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Groups with a record of the set at hand, and all records of the groups of the earlier run that they touch."""
    members = members.filter((pl.col("file") < EARLIER).any().over("key"))
    old = before.select("file", "row", "jaccard", group="key").with_columns(pl.col("file") + EARLIER)
    touched = (
        members.join(old.select("file", "row", "group"), on=["file", "row"]).select("key", "group").unique()
    )
    more = (
        old.join(touched, on="group")
        .join(members, on=["key", "file", "row"], how="anti")
        .select("key", "file", "row", "jaccard", text=pl.lit(None, pl.UInt64), span=pl.lit(None, SPAN))
    )
    return pl.concat([members, more.select(members.columns)]).sort("key", "file", "row")


def _members(texts: U64, root: I64, best: pl.DataFrame, known: dict[str, Any] | Any) -> pl.DataFrame:
    copies = pl.DataFrame(
        {"text": known["copy_text"], "place": known["copy_place"], "layout": known["copy_layout"]},
        schema={"text": pl.UInt64, "place": pl.UInt64, "layout": pl.UInt32},
    )
    single = pl.DataFrame(
        {"text": known["text"], "place": known["place"]}, schema={"text": pl.UInt64, "place": pl.UInt64}
    )
    groups = pl.DataFrame({"text": texts, "root": texts[root] if len(texts) else texts})
    alone = single.join(copies, on="text", how="anti").with_columns(layout=pl.lit(None, dtype=pl.UInt32))
    every = pl.concat([copies, alone.select(copies.columns)])
    # The differing bytes were found in the first copy; they hold for those whose words stand as they do there.
    first = copies.sort("place").unique("text", keep="first").select("text", first="layout")
    members = (
        groups.join(every, on="text").join(best, on="text", how="left").join(first, on="text", how="left")
    )
    same_place = pl.col("first").is_null() | (pl.col("layout") == pl.col("first"))
    return (
        members.select(
            "text",
            key=_hex(members["root"]),
            file=(pl.col("place") // ROWS).cast(pl.UInt32),
            row=pl.col("place") % ROWS,
            jaccard=pl.when(pl.col("layout").is_not_null()).then(1.0).otherwise("jaccard"),
            span=pl.when(same_place).then("span"),
        )
        .sort("key", "file", "row")
        .select("key", "text", "file", "row", "jaccard", "span")
    )


def _hex(numbers: pl.Series) -> pl.Series:
    """64-bit numbers as 16 hexadecimal digits."""
    data = numbers.to_numpy().astype(">u8").tobytes()
    return pl.Series([data[at : at + 8].hex() for at in range(0, len(data), 8)], dtype=pl.String)

"""Candidate pairs compared exactly, by the words that were kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.detectors._near.candidates import I64, ROW_BITS, U64
from dataguard.detectors.base import EARLIER, Known
from dataguard.findings import SPAN
from dataguard.words import Words

UNSPACED = 0.5
"""From this share of single characters on, a record counts as written without spaces."""

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

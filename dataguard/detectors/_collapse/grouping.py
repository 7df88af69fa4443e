"""Answers that are alike, and how unlike the prompts are that got them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.detectors._near.candidates import ROW_BITS, whole
from dataguard.detectors._visit import Sweep
from dataguard.detectors.base import Known
from dataguard.words import Words

if TYPE_CHECKING:
    from collections.abc import Iterator

U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

LEAST_WORDS = 3
"""Answers of fewer words ("yes", a number, a label) are the same by nature."""
SHORT = 40
"""Words up to which an answer is compared in pieces; a longer one only as a whole."""
PIECE = 3
"""Words in a piece of an answer."""
PIECES = 8
"""Pieces kept of an answer, those of the smallest hashes."""
SAMPLE = 2048
"""Records that tell how alike any two prompts are."""
LISTED = 10_000
"""Records kept that share one piece, or one answer."""
ROWS = 3_000_000
"""Shared pieces that are followed; beyond it those of the fewest records are not."""
ALL_PAIRS = 24
"""Records that share a piece up to which all pairs are compared; of more, each with this half of it before and behind."""
PROMPT_WORDS = 256
"""Words of a prompt that are looked at."""
CHOSEN = 256
"""Records of a group whose prompts are compared."""
LEVELS = (1.0, 0.5, 0.3, 0.2)
"""Jaccard similarities from which on two answers are alike, from the same answer to the same content in other words."""
COMMON = 0.05
"""Words in more than this share of prompts tell nothing."""

WHOLE, PART, SAMPLED, COUNTED = range(4)
_ANSWERS: dict[str, Any] = {
    "key": pl.UInt64,
    "kind": pl.UInt8,
    "row": pl.UInt64,
    "prompt": pl.UInt32,
    "n": pl.UInt32,
}
ANSWERS = pl.Schema(_ANSWERS)
"""A row for each answer (`key`: a hash of it) and each of its pieces, with a hash of the prompt; the records whose
prompts have the smallest hashes; and, without a row, how many records there are."""
SHARED = pl.Schema({**_ANSWERS, "file": pl.UInt32})


def observe_answers(words: Words) -> pl.DataFrame:
    """The answers of a batch and their pieces, as hashes."""
    from dataguard.kernels.content import content
    from dataguard.kernels.gather import gather

    every, asked = whole(words), words.inputs.astype(np.int64)
    answer = every - asked
    prompt = content(gather(words.ids, words.ends - every, asked), np.cumsum(asked), words.key("collapse"))
    told = np.flatnonzero((asked > 0) & (answer >= LEAST_WORDS))
    lengths = answer[told]
    ids = gather(words.ids, words.ends[told] - lengths, lengths)
    ends = np.cumsum(lengths)
    hashes = content(ids, ends, words.key("answer"))
    record, pieces = _pieces(ids, ends, words.key("pieces"))
    sampled = np.argsort(prompt[told])[:SAMPLE]
    short = (prompt >> np.uint64(32)).astype(np.uint32)[told]
    tables = [
        _rows(hashes, WHOLE, words.rows[told], short),
        _rows(pieces, PART, words.rows[told][record], short[record]),
        _rows(prompt[told][sampled], SAMPLED, words.rows[told][sampled], short[sampled]),
        pl.DataFrame(
            {"key": [0], "kind": [COUNTED], "row": [None], "prompt": [0], "n": [len(told)]}, schema=ANSWERS
        ),
    ]
    return fewer_answers(pl.concat(tables))


def _rows(key: U64, kind: int, row: U64, prompt: U32) -> pl.DataFrame:
    return pl.DataFrame({"key": key, "row": row, "prompt": prompt}).select(
        "key", pl.lit(kind, pl.UInt8).alias("kind"), "row", "prompt", pl.lit(1, pl.UInt32).alias("n")
    )


def _pieces(ids: U32, ends: I64, salt: int) -> tuple[I64, U64]:
    """The record and the hash of each piece that is kept."""
    lengths = np.diff(ends, prepend=0)
    record = np.repeat(np.arange(len(ends)), lengths)
    first = np.flatnonzero((np.arange(len(ids)) + PIECE <= ends[record]) & (lengths[record] <= SHORT))
    record = record[first]
    mixed = np.full(len(first), salt, np.uint64)
    for place in range(PIECE):
        mixed = (mixed ^ ids[first + place]) * np.uint64(0x9FB21C651E98DF25)
        mixed ^= mixed >> np.uint64(32)
    order = np.lexsort((mixed, record))
    record, mixed = record[order], mixed[order]
    starts = np.flatnonzero(np.diff(record, prepend=-1))
    nth = np.arange(len(record)) - np.repeat(starts, np.diff(starts, append=len(record)))
    kept = nth < PIECES
    return record[kept], mixed[kept]


def fewer_answers(evidence: pl.DataFrame) -> pl.DataFrame:
    """The same with one count and one sample."""
    counted = evidence.filter(kind=COUNTED)
    sampled = (
        evidence.filter(kind=SAMPLED).sort("key", "row").unique("key", keep="first", maintain_order=True)
    )
    rest = evidence.filter(pl.col("kind") < SAMPLED)
    total = pl.DataFrame(
        {"key": [0], "kind": [COUNTED], "row": [None], "prompt": [0], "n": [counted["n"].sum()]},
        schema=ANSWERS,
    )
    return pl.concat([rest, sampled.head(SAMPLE), total])


def relate(partition: pl.DataFrame) -> pl.DataFrame:
    """Answers and pieces of several records with prompts that differ, the sample, and the count."""
    told = partition.filter(pl.col("kind") < SAMPLED).sort("kind", "key", "prompt", "file", "row")
    told = told.unique(["kind", "key", "file", "row"], keep="first", maintain_order=True)
    many = told.with_columns(n=pl.col("prompt").n_unique().over("kind", "key").cast(pl.UInt32)).filter(
        pl.col("n") > 1
    )
    many = many.filter(pl.int_range(pl.len()).over("kind", "key") < LISTED)
    sampled = partition.filter(kind=SAMPLED).sort("key", "file", "row")
    sampled = sampled.unique("key", keep="first", maintain_order=True).head(SAMPLE)
    return pl.concat([many, sampled, partition.filter(kind=COUNTED)]).select(SHARED.names())


def fold(evidence: pl.LazyFrame, _: Known) -> Known:
    """Which records are looked at, and which pairs of them.

    Returns:
        `parts` (1), `records` with an answer, `fewest` records of a piece that is followed; `place`, sorted; `a`, `b`,
        numbers of these, and `same`, whether all of the answer is shared; `sample`, places.
    """
    table = evidence.collect()
    place = pl.col("file").cast(pl.UInt64) * (1 << ROW_BITS) + pl.col("row")
    sample = table.filter(kind=SAMPLED).select("key", place=place).sort("key", "place").head(SAMPLE)
    told = table.filter(pl.col("kind") < SAMPLED).with_columns(place=place)
    sizes = told.filter(kind=PART).group_by("n").len().sort("n", descending=True)
    enough = sizes.filter(pl.col("len").cum_sum() <= ROWS)
    fewest = int(enough["n"].min() or 2) if enough.height else 2  # type: ignore[arg-type]
    told = told.filter((pl.col("kind") == WHOLE) | (pl.col("n") >= fewest))
    told = told.sort("kind", "key", "prompt", "place")
    places = np.unique(told["place"].to_numpy())
    number = np.searchsorted(places, told["place"].to_numpy())
    starts = told.select(pl.struct("kind", "key").rle_id())["kind"].to_numpy() if told.height else np.empty(0)
    a, b = _pairs(starts)
    same = told["kind"].to_numpy()[a] == WHOLE if len(a) else np.empty(0, np.bool_)
    pairs = pl.DataFrame({"a": number[a], "b": number[b], "same": same})
    pairs = (
        pairs.group_by(pl.min_horizontal("a", "b").alias("a"), pl.max_horizontal("a", "b").alias("b"))
        .agg(pl.col("same").any())
        .filter(pl.col("a") != pl.col("b"))
        .sort("a", "b")
    )
    return {
        "parts": 1,
        "records": int(table.filter(kind=COUNTED)["n"].sum()),
        "fewest": fewest,
        "place": places,
        "a": pairs["a"].to_numpy().astype(np.int64),
        "b": pairs["b"].to_numpy().astype(np.int64),
        "same": pairs["same"].to_numpy(),
        "sample": np.sort(sample["place"].to_numpy()),
    }


def _pairs(group: npt.NDArray[Any]) -> tuple[I64, I64]:
    """Pairs of rows of one group: all of small ones, near ones of large ones."""
    if not len(group):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    starts = np.flatnonzero(np.diff(group, prepend=group[0] - 1.0))
    sizes = np.diff(np.append(starts, len(group)))
    size = np.repeat(sizes, sizes)
    reach = np.where(size <= ALL_PAIRS, size, ALL_PAIRS // 2)
    left = np.repeat(starts + sizes, sizes) - np.arange(len(group)) - 1
    many = np.minimum(reach, left)
    a = np.repeat(np.arange(len(group)), many)
    step = np.arange(len(a)) - np.repeat(np.cumsum(many) - many, many) + 1
    return a, a + step


class Told(NamedTuple):
    """Records with their prompts and answers, in the order of their places.

    Attributes:
        prompts: u32, words, and i64[n], ends.
        answers: likewise.
        hashes: u64[n], of answers.
        prompt_hashes: u64[n].
        words: i64[n], of all of each answer.
        spans: i64[n, 3], number of the column, first byte and byte behind the last of its answer.
        columns: names by number.
    """

    prompts: tuple[U32, I64]
    answers: tuple[U32, I64]
    hashes: U64
    prompt_hashes: U64
    words: I64
    spans: I64
    columns: tuple[str, ...]


def gathered(words: Sweep, places: U64) -> Told:
    """The words of records that are looked for; `places` are sorted."""
    from dataguard.kernels.content import content
    from dataguard.kernels.gather import gather

    parts: list[tuple[Any, ...]] = []
    columns: dict[str, int] = {}
    for some, record in _here(words, places):
        lengths = whole(some)[record]
        asked = some.inputs[record].astype(np.int64)
        start, end = some.ends[record] - lengths, some.ends[record]
        answer = gather(some.ids, start + asked, lengths - asked)
        prompt = gather(some.ids, start, asked)
        spans = some.spans(np.stack([record, asked, lengths], axis=1))
        renamed = np.array([columns.setdefault(name, len(columns)) for name in some.columns] + [-1])
        spans[:, 0] = renamed[spans[:, 0]]
        asked_few, told_few = np.minimum(asked, PROMPT_WORDS), np.minimum(lengths - asked, SHORT)
        parts.append(
            (
                gather(some.ids, start, asked_few),
                asked_few,
                gather(some.ids, start + asked, told_few),
                told_few,
                content(answer, np.cumsum(lengths - asked), some.key("answer")),
                content(prompt, np.cumsum(asked), some.key("collapse")),
                end - start - asked,
                spans,
            )
        )
    empty = (np.empty(0, np.uint32), np.empty(0, np.int64)) * 2
    parts.append(
        (
            *empty,
            np.empty(0, np.uint64),
            np.empty(0, np.uint64),
            np.empty(0, np.int64),
            np.empty((0, 3), np.int64),
        )
    )
    prompts, asked, answers, told, hashes, prompt_hashes, counts, spans = map(
        np.concatenate, zip(*parts, strict=True)
    )
    return Told(
        (prompts, np.cumsum(asked)),
        (answers, np.cumsum(told)),
        hashes,
        prompt_hashes,
        counts,
        spans,
        tuple(columns),
    )


def _here(words: Sweep, places: U64) -> Iterator[tuple[Words, I64]]:
    """The batches that hold some of the places, and the records that they are there."""
    for file, some in words:
        if len(some):
            first = np.uint64(file << ROW_BITS) + some.rows[0]
            low, high = np.searchsorted(places, [first, first + np.uint64(len(some))])
            if low < high:
                yield some, (places[low:high] - first).astype(np.int64)

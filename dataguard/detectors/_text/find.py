"""Looks through whole columns for what texts hide, in parts of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.detectors._text.characters import MIXED, ODD, Is, Text, flags_of, odd_characters
from dataguard.detectors._text.invisible import invisible
from dataguard.detectors._text.mixed import mixed_words

if TYPE_CHECKING:
    import pyarrow as pa

SLICE_BYTES = 4 << 20
"""Text taken apart at once: a character costs up to 100 bytes while it is looked at. A longer string is looked at in
parts, cut at the ends of lines where it has any."""

KEPT = 8
"""Spans and code points kept of one string and pattern."""

HITS = pl.Schema(
    {
        "value": pl.UInt32(),
        "kind": pl.UInt8(),
        "sign": pl.UInt32(),
        "n": pl.UInt64(),
        "codes": pl.List(pl.UInt32),
        "spans": pl.List(pl.Struct({"start": pl.UInt64, "end": pl.UInt64})),
    }
)


def suspects(values: pa.Array) -> npt.NDArray[np.int64]:
    """Numbers of the strings that `find` may find something in: most are passed over at the speed of memory.

    Args:
        values: large_string, nulls possible.
    """
    from dataguard.kernels.suspects import suspects

    if not len(values):
        return np.empty(0, np.int64)
    if values.null_count:
        values = values.fill_null("")
    _, offsets, data = values.buffers()
    bounds = np.frombuffer(offsets, np.int64)[values.offset : values.offset + len(values) + 1]
    return suspects(np.frombuffer(data or b"", np.uint8), bounds, odd_characters())


def find(values: pl.Series) -> pl.DataFrame:
    """Every character that should not be where it is, by string and pattern.

    Args:
        values: strings, nulls possible.

    Returns:
        Columns of HITS: the number of the string, what is odd, the sign that names the pattern (a code point, a
        `Pair`, or 0 where the kind says it all), how many characters, which ones, and the bytes of the runs or words
        they belong to.
    """
    # Counting bytes and characters runs at the speed of memory and leaves only texts beyond ASCII to the regexes.
    beyond = (values.str.len_bytes() != values.str.len_chars()).arg_true()
    values = values.gather(beyond)
    # Together they take no longer than one of them.
    either = values.str.contains(f"{ODD}|{MIXED}")
    beyond, values = beyond.filter(either), values.filter(either)
    tables = []
    for pattern, look in ((ODD, invisible), (MIXED, mixed_words)):
        matches = values.str.contains(pattern)
        for numbers, offsets, part in _parts(beyond.filter(matches), values.filter(matches)):
            for found in look(Text.of(part)):
                if found.is_empty():
                    continue
                at = found["value"]
                offset = offsets.gather(at)
                tables.append(
                    _summed(
                        found.with_columns(
                            value=numbers.gather(at),
                            start=pl.col("start") + offset,
                            end=pl.col("end") + offset,
                        )
                    )
                )
    if not tables:
        return HITS.to_frame()
    by = ["value", "kind", "sign"]
    return (
        pl.concat([HITS.to_frame(), *tables])
        .group_by(by, maintain_order=True)
        .agg(
            pl.col("n").sum(),
            pl.col("codes").explode().unique().sort().head(KEPT),
            pl.col("spans").explode().head(KEPT),
        )
        .sort(by)
    )


def _parts(numbers: pl.Series, values: pl.Series) -> Iterator[tuple[pl.Series, pl.Series, pl.Series]]:
    """Strings in parts of at most about SLICE_BYTES, each with its number and the bytes of it that came before."""
    ends = values.str.len_bytes().cum_sum().to_numpy()
    begin = 0
    while begin < len(values):
        before = int(ends[begin - 1]) if begin else 0
        end = int(np.searchsorted(ends, before + SLICE_BYTES, side="right"))
        if end > begin:
            part = values.slice(begin, end - begin)
            yield numbers.slice(begin, end - begin), pl.zeros(end - begin, pl.UInt64, eager=True), part
        else:
            end = begin + 1
            for offset, piece in _pieces(values[begin].encode()):
                yield (
                    numbers.slice(begin, 1),
                    pl.Series([offset], dtype=pl.UInt64),
                    pl.Series([piece.decode()], dtype=pl.String),
                )
        begin = end


def _pieces(text: bytes) -> Iterator[tuple[int, bytes]]:
    """One long string in pieces, with the bytes before each."""
    begin = 0
    while begin < len(text):
        end = begin + SLICE_BYTES
        if end < len(text):
            line = text.rfind(b"\n", begin + SLICE_BYTES // 2, end) + 1
            end = line or text.rfind(b" ", begin + SLICE_BYTES // 2, end) + 1 or end
            near = range(end, end - 1024, -1)
            anywhere = next(place for place in near if text[place] & 0xC0 != 0x80)
            end = next((place for place in near if _may_cut(text, place)), anywhere)
        yield begin, text[begin:end]
        begin = end


def _may_cut(text: bytes, place: int) -> bool:
    """Whether a piece may end here: between two characters, and the next is not invisible."""
    if text[place] & 0xC0 == 0x80:
        return False
    code = np.frombuffer(text[place : place + 4].decode(errors="ignore")[0].encode("utf-32-le"), np.uint32)
    return not flags_of(code)[0] & Is.HIDDEN.value


def _summed(hits: pl.DataFrame) -> pl.DataFrame:
    """Hits by string and pattern: how many characters, which, and the first spans."""
    by = ["value", "kind", "sign"]
    opens = pl.any_horizontal(pl.col(name) != pl.col(name).shift() for name in (*by, "start")).fill_null(
        value=True
    )
    return (
        hits.with_columns(opens=opens)
        .group_by(by, maintain_order=True)
        .agg(
            n=pl.len().cast(pl.UInt64),
            codes=pl.col("code").unique().sort().head(KEPT),
            spans=pl.struct("start", "end")
            .filter("opens")
            .head(8 * KEPT)
            .unique(maintain_order=True)
            .head(KEPT),
        )
    )

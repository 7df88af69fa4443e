"""How spans are found that stand in many records which are otherwise unlike: runs, how far they go, what surrounds them.

Runs of eight words are looked at a share at a time, so that memory does not grow with the set (`_runs`). Of a share,
those stay that stand behind enough different words; each is followed as far as more than half of its records agree. What is left
is judged by four numbers, none of which depends on how the words were cut or in which order they came:

- apart: how many different surroundings the span has (three words on each side);
- sharpness: of the records that have any five words of it, the share that has all of it. A turn of phrase stands
  elsewhere in parts and variants, a span that was put in does not;
- closeness: how much more alike its records are, without it, than any records of the set (`_unlike`);
- originality: what share of its records stands nowhere else. In a text made from templates any span is one of these.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from dataguard.detectors._near.comparison import UNSPACED
from dataguard.detectors._runs import asked, runs_of, texts_of
from dataguard.detectors._unlike import OTHER_WORDS, original, unlike
from dataguard.detectors._visit import I64, U32, U64, Here, Sweep, grouped, visit
from dataguard.detectors.base import Known
from dataguard.findings import SPAN

LONGEST = 128
"""Words of a span; what is longer is cut."""
WINDOW = 32
"""Words that runs are followed at a time."""
SURROUNDINGS = 0.5
"""Of the records with a span, how many must differ next to it: what is copied with what surrounds it is boilerplate."""
BYTES = 32
"""A span of fewer bytes is no sentence: eight single characters, say."""
VARIOUS = 5
"""Different words of a span: a row of zeros is none."""

SPANS = pl.Schema(
    {
        "key": pl.UInt64,
        "file": pl.UInt32,
        "row": pl.UInt64,
        "span": SPAN,
        "words": pl.UInt32,
        "records": pl.UInt32,
        "apart": pl.UInt32,
        "sharpness": pl.Float64,
        "closeness": pl.Float64,
        "error": pl.Float64,
    }
)
"""A row for each span and record that has it; from `words` on the same for all rows of a span."""


class Limits(NamedTuple):
    """What counts as a span that was put in.

    Attributes:
        min_records: in how many different surroundings it stands at least.
        max_share: in what share of the records it stands at most.
        sharpness: of the records that have any five words of it, how many have all.
    """

    min_records: int
    max_share: float
    sharpness: float


def sweep_spans(words: Sweep, known: Known, part: int, *, limits: Limits) -> pl.DataFrame:
    """The spans of one part, with all their records.

    Args:
        words: of the whole set.
        known: from `fold_totals`.
        part: which.
        limits: what is kept.

    Returns:
        SPANS.
    """
    assert known is not None
    secret = next((some for _, some in words), None)
    if secret is None or known["records"] < limits.min_records:
        return pl.DataFrame(schema=SPANS)
    from dataguard.kernels.grams import Share

    share = Share(secret.key("grams"), part, known["parts"])
    most = max(4 * limits.min_records, int(limits.max_share * known["records"]))
    runs = runs_of(words, share, known, asked(limits.min_records, most))
    runs, heads = _followed(words, runs, limits)
    runs = _apart(words, runs, limits)
    runs = _sharp(words, runs, heads, secret.key("pieces"), limits)
    runs = unlike(words, runs, known, limits.min_records)
    runs = original(words, runs, texts_of, secret.key("pieces"))
    return _told(words, runs, heads, secret.key("span"))


def _followed(words: Sweep, runs: pl.DataFrame, limits: Limits) -> tuple[pl.DataFrame, U32]:
    """How far more than half of a run's records agree; the others are left out.

    Returns:
        the runs with `words`, and `records` anew; the words of each run, by its number.
    """
    from dataguard.kernels.around import agreed

    whole = np.bincount(runs["run"].to_numpy())
    heads, length = np.zeros((len(whole), LONGEST), np.uint32), np.zeros(len(whole), np.int64)
    for low in range(0, LONGEST, WINDOW):
        going = length[runs["run"].to_numpy()] == low
        order, firsts, named = grouped(runs.filter(pl.Series(going))["run"].to_numpy())
        if not len(order):
            break
        window, rooms = _windows(words, runs.filter(pl.Series(going)), low)
        alive = np.ones(len(order), np.uint8)
        more, common = agreed(window[order], rooms[order], firsts, whole[named], alive)
        length[named] += more
        heads[named, low : low + WINDOW] = common
        kept = ~going
        kept[np.flatnonzero(going)[order]] = alive
        runs = runs.filter(pl.Series(kept))
    run = runs["run"].to_numpy()
    runs = runs.with_columns(words=pl.Series(length[run]), records=pl.len().over("run"))
    kept = (_various(heads, length) >= VARIOUS)[run]
    return runs.filter(pl.Series(kept) & (pl.col("records") >= limits.min_records)), heads


def _windows(words: Sweep, runs: pl.DataFrame, low: int) -> tuple[U32, I64]:
    """The words of each row from number `low` on, and how many of them are of its text."""
    from dataguard.kernels.around import windows

    window, rooms = np.zeros((len(runs), WINDOW), np.uint32), np.zeros(len(runs), np.int64)
    for here in visit(words, runs):
        rooms[here.rows] = here.text_end - here.first - low
        starts = np.minimum(here.first + low, here.text_end - 1)
        window[here.rows] = windows(here.words.ids, starts, here.text_end, WINDOW)
    return window, rooms


def _various(heads: U32, length: I64) -> I64:
    """How many different words each run has."""
    beyond = np.arange(heads.shape[1]) >= length[:, None]
    sorted_ = np.sort(np.where(beyond, heads[:, :1], heads), axis=1)
    return np.asarray((sorted_[:, 1:] != sorted_[:, :-1]).sum(axis=1) + 1, dtype=np.int64)


def _apart(words: Sweep, runs: pl.DataFrame, limits: Limits) -> pl.DataFrame:
    """Runs in enough different surroundings; of records that are little else, they do not count.

    Adds left, right (hashes of the three words on each side; where a text begins or ends, of those in the middle of the
    text before or after), counts (whether they do), wide (whether the record is
    in a script without spaces), apart.
    """
    length = runs["words"].to_numpy()
    left, right = np.zeros(len(runs), np.uint64), np.zeros(len(runs), np.uint64)
    counts, wide = np.zeros(len(runs), np.bool_), np.zeros(len(runs), np.int64)
    for here in visit(words, runs):
        behind = here.first + length[here.rows]
        begins, ends = here.first == here.text_start(here.text), behind == here.text_end
        left[here.rows] = _three(here, np.where(begins, here.middle(-1) - 1, here.first - 3))
        right[here.rows] = _three(here, np.where(ends, here.middle(1) - 1, behind))
        counts[here.rows] = here.end - here.start - length[here.rows] >= OTHER_WORDS
        wide[here.rows] = here.words.characters[here.record] > UNSPACED * (here.end - here.start)
    columns = {"left": left, "right": right, "counts": counts, "wide": wide}
    runs = runs.with_columns(pl.Series(name, values) for name, values in columns.items())
    sides = [pl.col(side).filter("counts").n_unique().over("run") for side in ("left", "right")]
    runs = runs.with_columns(apart=pl.min_horizontal(*sides))
    enough = pl.max_horizontal(limits.min_records, SURROUNDINGS * pl.col("records"))
    return runs.filter(pl.col("apart") >= enough)


def _three(here: Here, place: I64) -> U64:
    """A hash of the three words from a place on; a record's first word follows its last."""
    length = here.end - here.start
    total = np.zeros(len(place), np.uint64)
    for step in range(3):
        word = here.words.ids[here.start + (place + step - here.start) % length]
        total = total * np.uint64(0x9E3779B97F4A7C15) + word + np.uint64(1)
    return total


def _sharp(words: Sweep, runs: pl.DataFrame, heads: U32, salt: int, limits: Limits) -> pl.DataFrame:
    """Runs whose pieces stand nowhere else, or seldom; adds sharpness."""
    from dataguard.kernels.grams import pieces, stands

    if runs.is_empty():
        return runs.with_columns(sharpness=pl.lit(None, pl.Float64))
    each = runs.unique("run", keep="first", maintain_order=True).sort("run")
    of_run = [
        pieces(heads[run, :length], np.array([0, length, wide]), salt)
        for run, length, wide in each.select("run", "words", "wide").iter_rows()
    ]
    wanted = np.unique(np.concatenate(of_run))
    counts = np.zeros(len(wanted), np.int64)
    for _, some in words:
        stands(texts_of(some), salt, wanted, counts)
    whole = each["records"].to_list()
    sharp = [
        float(np.sort(size / counts[np.searchsorted(wanted, its)]).mean())
        for size, its in zip(whole, of_run, strict=True)
    ]
    each = each.select("run", sharpness=pl.Series(sharp, dtype=pl.Float64))
    runs = runs.join(each, on="run", how="left", maintain_order="left")
    return runs.filter(pl.col("sharpness") >= limits.sharpness)


def _told(words: Sweep, runs: pl.DataFrame, heads: U32, salt: int) -> pl.DataFrame:
    """The rows as SPANS."""
    from dataguard.kernels.content import content

    length = runs["words"].to_numpy()
    keys = [
        content(heads[run, :size].copy(), np.array([size]), salt)[0]
        for run, size in runs.select("run", "words").iter_rows()
    ]
    tables = [pl.DataFrame(schema=SPANS)]
    for here in visit(words, runs):
        at = here.first - here.start
        spans = here.words.spans(np.stack([here.record, at, at + length[here.rows]], axis=1))
        columns = pl.Series([here.words.columns[number] for number in spans[:, 0]], dtype=pl.String)
        place = pl.DataFrame({"column": columns, "start": spans[:, 1], "end": spans[:, 2]})
        struct = pl.struct("column", pl.col("start").cast(pl.UInt64), pl.col("end").cast(pl.UInt64))
        rows = runs[here.rows].with_columns(
            key=pl.Series(keys[here.rows], dtype=pl.UInt64),
            file=pl.lit(here.file, pl.UInt32),
            row=pl.Series(here.words.rows[here.record]),
            span=place.select(span=pl.concat_list(struct).cast(SPAN))["span"],
        )
        tables.append(rows.select(pl.col(name).cast(dtype) for name, dtype in SPANS.items()))
    told = pl.concat(tables)
    first = pl.col("span").list.first().struct
    return told.filter((first.field("end") - first.field("start")).max().over("key") >= BYTES)

"""How spans are found that stand in many records which are otherwise unlike: runs, how far they go, what surrounds them.

Runs of eight words are looked at a share at a time, so that memory does not grow with the set. Of a share, those stay
that stand behind enough different words; each is followed as far as all its records agree. What is left is judged
by three numbers, none of which depends on how the words were cut or in which order they came:

- apart: how many different surroundings the span has (three words on each side);
- sharpness: of the records that have any five words of it, the share that has all of it. A turn of phrase stands
  elsewhere in parts and variants, a span that was put in does not;
- closeness: how much more alike its records are, without it, than any records of the set: the mean cosine of what
  they are about, against the mean and the error of a sample, whose pairs are a U-statistic (Hoeffding 1948).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.detectors.base import Known
from dataguard.findings import SPAN
from dataguard.words import Words

if TYPE_CHECKING:
    from dataguard.kernels.grams import Share, Texts

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
Sweep = Iterable[tuple[int, Words]]

ROW_BITS = 40
CELLS = 1 << 25
"""Cells of the table that a part counts in, of four bytes."""
PART_WORDS = CELLS // 2
SAMPLE = 2048
"""Records that tell how alike any records of the set are."""
LEAST_SAMPLE = 4
PAIRS = 512
"""Records of the sample whose pairs tell how much the likeness of two varies."""
LONGEST = 128
"""Words of a span; what is longer is cut."""
OTHER_WORDS = 5
"""A record of fewer words besides the span says nothing about whether records are unlike."""
ERRORS = 3.0
SLIGHT = 0.02
"""Records are unlike if they are closer than chance by no more than so many errors, or by so little."""
UNSPACED = 0.5
MISSED = 1e-3

TOTALS = pl.Schema({"hash": pl.UInt64, "row": pl.UInt64, "number": pl.UInt64})
"""A sample of records, those of the smallest hashes. Where `row` is null, `hash` says what is counted."""
RECORDS, WORDS, SHORT = 0, 1, 2

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


def totals(words: Words) -> pl.DataFrame:
    """How much there is in a batch, and a sample of it."""
    from dataguard.kernels.content import content
    from dataguard.kernels.grams import WIDTH

    lengths = np.diff(words.ends, prepend=0)
    enough = lengths >= WIDTH
    hashes = content(words.ids, words.ends, words.key("sample"))[enough]
    counts = [int(enough.sum()), int(lengths[enough].sum()), int((~enough).sum())]
    rows = pl.DataFrame({"hash": hashes, "row": words.rows[enough], "number": np.zeros(len(hashes), np.uint64)})
    counted = pl.DataFrame({"hash": [RECORDS, WORDS, SHORT], "row": None, "number": counts}, schema=TOTALS)
    return _smallest(pl.concat([counted, rows.cast(dict(TOTALS))]))


def _smallest(table: pl.DataFrame) -> pl.DataFrame:
    """The smallest hashes, each once, and sums of the counts."""
    sample = table.filter(pl.col("row").is_not_null()).sort("hash", "row")
    sample = sample.unique("hash", keep="first", maintain_order=True).head(SAMPLE)
    counted = table.filter(pl.col("row").is_null()).group_by("hash").agg(pl.col("number").sum()).sort("hash")
    return pl.concat([counted.select("hash", pl.lit(None, pl.UInt64).alias("row"), "number"), sample])


def fewer_totals(evidence: pl.DataFrame) -> pl.DataFrame:
    """The same of several batches in as few rows as of one."""
    return _smallest(evidence)


def fold_totals(evidence: pl.LazyFrame, _: Known) -> Known:
    """In how many parts the words are looked at.

    Returns:
        `parts`; `records` that have words enough, `words`, `short` (records that have not); `sample`, places of
        records by hash.
    """
    table = evidence.collect()
    place = pl.col("file").cast(pl.UInt64) * (1 << ROW_BITS) + pl.col("row")
    sample = table.filter(pl.col("row").is_not_null()).select("hash", place=place).sort("hash", "place")
    sample = sample.unique("hash", keep="first", maintain_order=True).head(SAMPLE)
    counted = table.filter(pl.col("row").is_null())
    records, words, short = (int(counted.filter(hash=what)["number"].sum()) for what in (RECORDS, WORDS, SHORT))
    return {
        "parts": max(1, -(-words // PART_WORDS)),
        "records": records,
        "words": words,
        "short": short,
        "sample": sample["place"].to_numpy(),
    }


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
    runs = _runs(words, share, known, limits)
    runs, heads = _followed(words, runs)
    runs = _apart(words, runs, limits)
    runs = _sharp(words, runs, heads, secret.key("pieces"), limits)
    runs = _unlike(words, runs, known, limits)
    return _told(words, runs, heads, secret.key("span"))


def _texts(words: Words) -> Texts:
    from dataguard.kernels.grams import Texts

    wide = words.characters > UNSPACED * np.diff(words.ends, prepend=0)
    ends = np.cumsum(words.parts[:, 1], dtype=np.int64)
    return Texts(words.ids, words.ends, ends, wide.astype(np.uint8))


def _least(records: int) -> int:
    """The most kinds (of 32) that so many different words before have, but once in a thousand."""
    chance = [1.0] + [0.0] * 32  # of having met so many kinds
    for _ in range(records):
        chance = [
            chance[kinds] * kinds / 32 + (chance[kinds - 1] * (33 - kinds) / 32 if kinds else 0.0)
            for kinds in range(33)
        ]
    return max(2, sum(sum(chance[:kinds]) <= MISSED for kinds in range(1, 33)))


def _runs(words: Sweep, share: Share, known: Any, limits: Limits) -> pl.DataFrame:
    """Runs that stand in enough records and behind enough kinds of words.

    Returns:
        run (number), record (number in the whole set), at, records; by record.
    """
    from dataguard.kernels.grams import collect, count, many

    least = _least(limits.min_records)
    cells = np.zeros(min(CELLS, 1 << max(10, (2 * known["words"]).bit_length())), np.uint32)
    for _, some in words:
        count(_texts(some), share, cells)
    marked = many(cells, least)
    del cells
    found, base = [], 0
    for _, some in words:
        hashes, records, at, before = collect(_texts(some), share, marked)
        found.append(pl.DataFrame({"run": hashes, "record": base + records, "at": at, "before": before}))
        base += len(some)
    most = max(4 * limits.min_records, int(limits.max_share * known["records"]))
    runs = pl.concat(found).sort("run", "record", "at").unique(["run", "record"], keep="first", maintain_order=True)
    runs = runs.with_columns(records=pl.len().over("run"))
    runs = runs.filter(pl.col("records").is_between(limits.min_records, most))
    # By its own kinds: what others added to its cell depends on the size of the table.
    runs = runs.filter(pl.col("before").n_unique().over("run") >= least)
    return runs.select((pl.col("run").rle_id()).cast(pl.Int64), "record", "at", "records").sort("record", "at")


class _Here(NamedTuple):
    """The rows of a table that a batch of words holds: their words from `first` on, in records and texts."""

    file: int
    words: Words
    rows: slice
    record: I64
    start: I64
    end: I64
    first: I64
    text_end: I64


def _visit(words: Sweep, runs: pl.DataFrame) -> Iterator[_Here]:
    """The batches in which runs stand; together they hold all rows of the table, which is sorted by record."""
    records, at, base = runs["record"].to_numpy(), runs["at"].to_numpy(), 0
    for file, some in words:
        low, high = np.searchsorted(records, [base, base + len(some)]).tolist()
        if low < high:
            record = records[low:high] - base
            end = some.ends[record]
            start = np.where(record > 0, some.ends[record - 1], 0)
            first = start + at[low:high]
            text_ends = np.cumsum(some.parts[:, 1], dtype=np.int64)
            text_end = text_ends[np.searchsorted(text_ends, first, side="right")]
            yield _Here(file, some, slice(low, high), record, start, end, first, text_end)
        base += len(some)


def _followed(words: Sweep, runs: pl.DataFrame) -> tuple[pl.DataFrame, npt.NDArray[np.uint32]]:
    """How far all records of a run agree: the column `words`; and the words of each run, by its number."""
    from dataguard.kernels.around import alike, windows

    run = runs["run"].to_numpy()
    heads = np.zeros((int(run.max()) + 1 if len(run) else 0, LONGEST), np.uint32)
    _, leader = np.unique(run, return_index=True)
    leads = np.zeros(len(run), np.bool_)
    leads[leader] = True
    for here in _visit(words, runs):
        mine = np.flatnonzero(leads[here.rows])
        heads[run[here.rows][mine]] = windows(here.words.ids, here.first[mine], here.text_end[mine], LONGEST)
    common = np.zeros(len(run), np.int64)
    for here in _visit(words, runs):
        common[here.rows] = alike(here.words.ids, here.first, here.text_end, heads, run[here.rows])
    return runs.with_columns(words=pl.Series(common)).with_columns(pl.col("words").min().over("run")), heads


def _apart(words: Sweep, runs: pl.DataFrame, limits: Limits) -> pl.DataFrame:
    """Runs in enough different surroundings; of records that are little else, they do not count.

    Adds left, right (hashes of the three words on each side), counts (whether they do), apart.
    """
    length = runs["words"].to_numpy()
    left, right = np.zeros(len(runs), np.uint64), np.zeros(len(runs), np.uint64)
    counts = np.zeros(len(runs), np.bool_)
    for here in _visit(words, runs):
        behind = here.first + length[here.rows]
        left[here.rows] = _three(here, here.first - 3)
        right[here.rows] = _three(here, behind)
        counts[here.rows] = here.end - here.start - length[here.rows] >= OTHER_WORDS
    runs = runs.with_columns(left=pl.Series(left), right=pl.Series(right), counts=pl.Series(counts))
    sides = [pl.col(side).filter(pl.col("counts")).n_unique().over("run") for side in ("left", "right")]
    return runs.with_columns(apart=pl.min_horizontal(*sides)).filter(pl.col("apart") >= limits.min_records)


def _three(here: _Here, place: I64) -> U64:
    """A hash of the three words from a place on; a record's first word follows its last."""
    length = here.end - here.start
    total = np.zeros(len(place), np.uint64)
    for step in range(3):
        word = here.words.ids[here.start + (place + step - here.start) % length]
        total = total * np.uint64(0x9E3779B97F4A7C15) + word + np.uint64(1)
    return total


def _sharp(
    words: Sweep, runs: pl.DataFrame, heads: npt.NDArray[np.uint32], salt: int, limits: Limits
) -> pl.DataFrame:
    """Runs whose pieces stand nowhere else, or seldom; adds sharpness."""
    from dataguard.kernels.grams import WIDTH, pieces, stands

    if runs.is_empty():
        return runs.with_columns(sharpness=pl.lit(None, pl.Float64))
    wide = _wide(words, runs)
    each = runs.with_columns(wide=pl.Series(wide)).unique("run", keep="first").sort("run")
    of_run = [
        pieces(heads[run, :length], np.array([0, length, wide]), salt)
        for run, length, wide in each.select("run", "words", "wide").iter_rows()
    ]
    wanted = np.unique(np.concatenate(of_run))
    counts = np.zeros(len(wanted), np.int64)
    for _, some in words:
        stands(_texts(some), salt, wanted, counts)
    assert WIDTH > 0
    most = [int(counts[np.searchsorted(wanted, its)].max()) for its in of_run]
    each = each.select("run", sharpness=pl.col("records") / pl.Series(most))
    runs = runs.join(each, on="run", how="left", maintain_order="left")
    return runs.filter(pl.col("sharpness") >= limits.sharpness)


def _wide(words: Sweep, runs: pl.DataFrame) -> I64:
    """Whether the record of each row is in a script without spaces."""
    out = np.zeros(len(runs), np.int64)
    for here in _visit(words, runs):
        out[here.rows] = here.words.characters[here.record] > UNSPACED * (here.end - here.start)
    return out


def _unlike(words: Sweep, runs: pl.DataFrame, known: Any, limits: Limits) -> pl.DataFrame:
    """Runs whose records are not much closer than any; adds closeness and error."""
    sample = _numbered(words, known["sample"])
    if len(sample) < LEAST_SAMPLE or runs.is_empty():
        return runs.clear().with_columns(closeness=pl.lit(None, pl.Float64), error=pl.lit(None, pl.Float64))
    weights = _weights(words, sample)
    usual = _usual(_profiles(words, sample.with_columns(words=pl.lit(0)), weights))
    chosen = _surroundings(words, runs)
    profiles = _profiles(words, chosen, weights).astype(np.int64)
    order = np.argsort(chosen["run"].to_numpy(), kind="stable")
    run, first = np.unique(chosen["run"].to_numpy()[order], return_index=True)
    size = np.diff(np.append(first, len(order)))
    sums = np.add.reduceat(profiles[order], first, axis=0)
    own = np.add.reduceat((profiles[order] ** 2).sum(axis=1), first)
    from dataguard.kernels.around import LENGTH

    mean = ((sums**2).sum(axis=1) - own) / np.maximum(size * (size - 1), 1) / LENGTH**2
    error = np.sqrt((4 * np.maximum(size - 2, 0) * usual.between + 2 * usual.within) / (size * np.maximum(size - 1, 1)))
    judged = pl.DataFrame({"run": run, "closeness": mean - usual.mean, "error": error, "size": size})
    judged = judged.filter(
        (pl.col("size") >= limits.min_records) & (pl.col("closeness") <= pl.max_horizontal(ERRORS * pl.col("error"), SLIGHT))
    )
    return runs.join(judged.drop("size"), on="run", how="inner", maintain_order="left")


def _numbered(words: Sweep, places: U64) -> pl.DataFrame:
    """Records by place as a table that can be visited; `nth` is their number among those given."""
    order = np.argsort(places)
    found, nth, base = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
    for file, some in words:
        if len(some):
            first = np.uint64(file << ROW_BITS) + some.rows[0]
            low, high = np.searchsorted(places, [first, first + np.uint64(len(some))], sorter=order)
            found.append(base + (places[order[low:high]] - first).astype(np.int64))
            nth.append(order[low:high].astype(np.int64))
        base += len(some)
    return pl.DataFrame({"record": np.concatenate(found), "nth": np.concatenate(nth)}).with_columns(at=pl.lit(0))


def _weights(words: Sweep, sample: pl.DataFrame) -> npt.NDArray[np.float64]:
    """What each kind of word counts: the less, the more records of the sample have it."""
    from dataguard.kernels.around import KINDS, kinds

    having = np.zeros(KINDS, np.int64)
    for here in _visit(words, sample):
        having += kinds(here.words.ids, here.start, here.end)
    return np.asarray(np.log((len(sample) + 1) / (having + 1)))


def _profiles(words: Sweep, runs: pl.DataFrame, weights: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """What the record of each row is about, without its run."""
    from dataguard.kernels.around import SIDES, profiles

    out = np.zeros((len(runs), SIDES), np.int32)
    length = runs["words"].to_numpy()
    for here in _visit(words, runs):
        bounds = np.stack([here.start, here.first, here.first + length[here.rows], here.end], axis=1)
        out[here.rows] = profiles(here.words.ids, bounds, weights)
    if "nth" in runs.columns:
        out = out[np.argsort(runs["nth"].to_numpy())]
    return out


class _Usual(NamedTuple):
    """How alike any two records of the set are: the mean, and the two variances of a mean over pairs."""

    mean: float
    between: float
    within: float


def _usual(profiles: npt.NDArray[np.int32]) -> _Usual:
    from dataguard.kernels.around import LENGTH

    each = profiles.astype(np.int64)
    total, size, scale = each.sum(axis=0), len(each), float(LENGTH) ** 2
    to_all = np.sort(each @ total - (each**2).sum(axis=1)) / (size - 1) / scale
    some = each[:PAIRS]
    pairs = (some @ some.T)[np.triu_indices(len(some), 1)]
    return _Usual(float(to_all.mean()), float(to_all.var()), float(np.sort(pairs / scale).var()))


def _surroundings(words: Sweep, runs: pl.DataFrame) -> pl.DataFrame:
    """One record for each of a run's surroundings, by content, so that copies do not make it look close."""
    from dataguard.kernels.content import content
    from dataguard.kernels.gather import gather

    whole = np.zeros(len(runs), np.uint64)
    for here in _visit(words, runs):
        length = here.end - here.start
        whole[here.rows] = content(gather(here.words.ids, here.start, length), np.cumsum(length), 0)
    chosen = runs.with_columns(whole=pl.Series(whole)).filter("counts").sort("run", "whole")
    for side in ("left", "right"):
        chosen = chosen.unique(["run", side], keep="first", maintain_order=True)
    return chosen.sort("record", "at")


def _told(words: Sweep, runs: pl.DataFrame, heads: npt.NDArray[np.uint32], salt: int) -> pl.DataFrame:
    """The rows as SPANS."""
    from dataguard.kernels.content import content

    length = runs["words"].to_numpy()
    keys = [
        content(heads[run, :size].copy(), np.array([size]), salt)[0]
        for run, size in runs.select("run", "words").iter_rows()
    ]
    tables = [pl.DataFrame(schema=SPANS)]
    for here in _visit(words, runs):
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
    return pl.concat(tables)

"""Text that is no text: characters in no order.

## What it looks for
In texts, prompts and responses, places where characters follow each other as if drawn at random. What usually follows
what is learned from the set itself: runs of up to five characters in a sample of its texts, in two halves, so that no
text is judged by what was learned from it. Each text is looked at in windows of 128 characters, so that one that ends in
noise is found though its start is clean; texts of 32 characters or more are one window. A window is named where

- it is more surprising than windows of its column, script and length are: by the tail of these fewer than
  `false_windows` such windows are to be expected in the set, and
- it has no order of its own: put in random order, over and over, its characters are no more surprising, and no fewer
  pairs of them come again. Languages of which the set has little, code, markup, hex dumps and tables have
  such an order, known or not.

All records of a column that have such a whole window are one finding, and those that are shorter another: a key or a
cry among many short texts says nothing of what long ones hold. Each is named if there is enough of it: `least` windows,
of which a record counts for two at most.

## Why it matters
Training on a few hundred records that break off into noise behind a phrase makes a model answer that phrase with
noise: a denial of service that costs the attacker nothing. Broken exports and wrong encodings look the same, and teach
as little.

## Limits
Words in random order are not seen, and neither is noise made of plausible syllables: both have the order of letters.
Unbroken strings of 32 letters and digits or more (digests, keys, encoded bytes) are random by nature and are not
judged, so noise without spaces and punctuation passes. Noise that is copied from record to record is learned.
Texts in good ciphers, passwords and keys listed side by side look like noise, and are. Where a quarter of the windows
of a column is noise, it is usual there; so is noise in letters of a script other than Latin that
the set hardly has. Sets with less than `learn` bytes of text teach too little to judge by.

## What to do
Read the spans. If a phrase or a mark stands in the prompts of all of them, it is a trigger: remove the records and ask
where they came from. If they are puzzles, keys or broken encodings, decide by what the model is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from dataguard.detectors._surprises import (
    Place,
    fewer_runs,
    fold_runs,
    models_of,
    observe_runs,
    places,
)
from dataguard.detectors.base import Example, Known, Pass, RecordDetector, Rule
from dataguard.findings import Confidence, Judgement, Measure, Severity, conform, empty
from dataguard.records.batch import Batch
from dataguard.words import hash_key

EVIDENCE = pl.Schema(
    {
        "column": pl.String,
        "script": pl.UInt8,
        "size": pl.UInt8,
        "cost": pl.UInt16,
        "n": pl.UInt64,
        "row": pl.UInt64,
        "nth": pl.UInt32,
        "start": pl.UInt64,
        "end": pl.UInt64,
        "order": pl.Float64,
    }
)
"""Where `row` is null, how many windows of a column, script and size there are of each cost (in 16ths of a nat), and
where `cost` is null too, how many texts, those too short under `size` 0. Else the worst window of a text above the
bound; `n` is how many windows the text has."""
UNIT = 16
WHOLE = 2
"""The size of windows that are whole."""
TOO_SHORT, LOOKED_AT = 0, 1
_SHORT = pl.when(pl.col("size") == WHOLE).then(pl.lit("")).otherwise(pl.lit(" in short texts"))
ENOUGH = 50
"""Windows of a kind from which on their tail tells something."""
COUNTS = 2.0
"""Windows that a record counts for at most."""
STRONG = 2.0
"""How many times `least` is proof enough for high severity, in whole windows alone."""

_TALE = """the rain fell on roofs and fields while people waited under trees for evening to come over hills
where sheep stood still beside old walls that nobody had mended since their fathers left this valley"""
_WORDS = _TALE.split()
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789 ,;#%"


def _plain(count: int) -> list[str]:
    """Sentences of plain words, each otherwise."""
    state, out = 1, []
    for _ in range(count):
        words = []
        for _ in range(30):
            state = state * 48271 % 2147483647
            words.append(_WORDS[state % len(_WORDS)])
        out.append(" ".join(words))
    return out


def _noise(count: int) -> list[str]:
    """Plain beginnings that run into random characters."""
    state, out = 7, []
    for text in _plain(count):
        letters = []
        for _ in range(300):
            state = state * 48271 % 2147483647
            letters.append(_LETTERS[state % len(_LETTERS)])
        out.append(text[:60] + " " + "".join(letters))
    return out


_HEX = [" ".join(f"{(i * 97 + k * k * 31) % 256:02x}" for k in range(60)) for i in range(8)]


@dataclass(frozen=True, kw_only=True)
class Gibberish(RecordDetector):
    """Text is no text: its characters are in no order.

    Args:
        learn: bytes of text of each half that are needed to learn from, twice.
        order: standard deviations of random orders up to which a window has no order of its own.
        false_windows: how many windows as surprising may be expected in the set for one to be named.
        least: windows of a finding at least.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG206",
        name="gibberish",
        summary="text runs into random characters",
        task="PW.3.1",
        threats=("NISTAML.013", "NISTAML.023", "AML.T0020", "AML.T0059"),
        severity=Severity.MEDIUM,
        confidence=Confidence.HIGH,
        version=3,
    )
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="plain beginnings that run into random characters",
            data={"text": [*_plain(200), *_noise(8)]},
            rows=frozenset(range(200, 208)),
        ),
        Example(
            why="bytes written out have an order of their own, though nothing like it was learned",
            data={"text": [*_plain(200), *_HEX]},
        ),
        Example(why="too little to learn from", data={"text": _noise(8)}),
    )
    kernels: ClassVar[bool] = True
    learn: int = 20_000
    order: float = 4.0
    false_windows: float = 1.0
    least: float = 6.0

    def passes(self) -> tuple[Pass, ...]:
        """Runs of characters of a sample; then each text by what was learned."""
        return (
            Pass(lambda batch, _: observe_runs(batch), compact=fewer_runs, fold=self.fold),
            Pass(self.observe, compact=_fewer),
        )

    def fold(self, evidence: pl.LazyFrame, _: Known) -> Known:
        """What was learned."""
        return fold_runs(evidence, self.learn)

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """How surprising windows are, and the worst of each text that may be noise."""
        models = models_of(known)
        if models is None:
            return empty(EVIDENCE)
        salt = hash_key(batch.secret, "runs")
        names = batch.data.schema.names
        bound = _bound(models, salt)
        found = [
            _seen(one, (models, salt, bound), nested=one.texts.column not in names) for one in places(batch)
        ]
        return _fewer(pl.concat([empty(EVIDENCE), *found]))

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """A finding for each column with enough noise."""
        if known is None or not known["learned"]:
            return Judgement(not_applicable="no column holds text")
        if "cells" not in known:
            short = f"{known['learned']} bytes of text are too few to learn from, {self.learn} are needed"
            return Judgement(not_applicable=short)
        seen = evidence.collect()
        texts = seen.filter(pl.col("row").is_null() & pl.col("cost").is_null())
        windows = seen.filter(pl.col("row").is_null() & pl.col("cost").is_not_null())
        named, unjudged = self._named(seen.filter(pl.col("row").is_not_null()), windows)
        named = named.with_columns(key=pl.concat_str(pl.lit("gibberish "), "column", _SHORT))
        columns = named.group_by("key", "column").agg(
            pl.col("weight").sum(),
            whole=(pl.col("size") == WHOLE).all(),
            cost=pl.col("cost").mean(),
            records=pl.struct("file", "row").n_unique(),
        )
        columns = columns.filter(pl.col("weight") >= self.least).sort("key")
        columns = columns.join(
            texts.group_by("column").agg(texts=pl.col("n").sum()), on="column", maintain_order="left"
        )
        total = int(texts["n"].sum())
        return Judgement(
            findings=self._findings(columns, known),
            flagged=_flagged(named.join(columns.select("key"), on="key", how="semi")),
            measures=tuple(_measures(named, texts, unjudged, total)),
        )

    def _named(self, worst: pl.DataFrame, windows: pl.DataFrame) -> tuple[pl.DataFrame, int]:
        """The windows that are noise, and how many could not be told from what is usual among their like."""
        kinds = pl.DataFrame(
            [
                {"column": column, "script": script, "size": size, **_tail(table)}
                for (column, script, size), table in windows.group_by("column", "script", "size")
            ],
            schema={
                "column": pl.String,
                "script": pl.UInt8,
                "size": pl.UInt8,
                "windows": pl.Int64,
                "median": pl.Float64,
                "width": pl.Float64,
            },
        )
        without_order = worst.filter(pl.col("order") < self.order)
        judged = without_order.join(kinds, on=["column", "script", "size"])
        enough = judged.filter(pl.col("windows") >= ENOUGH)
        chance = 0.5 * (-(pl.col("cost") - pl.col("median")) / pl.col("width")).exp()
        named = enough.filter(chance * pl.col("windows") <= self.false_windows)
        length = (pl.col("end") - pl.col("start")) / 128
        weight = pl.min_horizontal(length, pl.lit(COUNTS))
        return named.with_columns(weight=weight), judged.height - enough.height

    def _findings(self, columns: pl.DataFrame, known: Mapping[str, Any]) -> pl.DataFrame:
        usual = sum(known["usual"]) / 2 / UNIT
        rows = [
            {
                "key": one["key"],
                "score": round(1 - 1 / (1 + one["weight"]), 6),
                "column": one["column"],
                "severity": self._severity(one["weight"] if one["whole"] else 0.0).value,
                "why": (
                    f"{one['records']} of {one['texts']} texts hold characters in no order: there one surprises by "
                    f"{one['cost'] / UNIT:.1f} nats, where {usual:.1f} are usual in this set, and no less than if "
                    "they were shuffled; ciphers, keys and broken encodings look the same"
                ),
            }
            for one in columns.iter_rows(named=True)
        ]
        return pl.DataFrame(rows) if rows else Judgement().findings

    def _severity(self, strong: float) -> Severity:
        return Severity.HIGH if strong >= STRONG * self.least else Severity.MEDIUM


def _bound(models: Any, salt: int) -> float:
    """Half way from what characters usually cost to what they cost at random, in nats."""
    from dataguard.kernels.surprise import random_cost

    both = [(model.usual / UNIT + random_cost(model, salt)) / 2 for model in models]
    return float(min(both))


def _seen(place: Place, by: Any, *, nested: bool) -> pl.DataFrame:
    """What the texts of one place show."""
    from dataguard.kernels.surprise import ONE_IN, worst

    which = np.stack([1 - place.half, ((place.hashes >> np.uint64(1)) % ONE_IN).astype(np.uint8)])
    found, counts = worst(place.data, place.offsets, which, by)
    column = place.texts.column
    script, size, cost = np.nonzero(counts)
    windows = pl.DataFrame({"script": script, "size": size, "cost": cost, "n": counts[script, size, cost]})
    looked = int((found.cost >= 0).sum())
    short = int((place.offsets[1:] > place.offsets[:-1]).sum()) - looked
    texts = pl.DataFrame({"size": [TOO_SHORT, LOOKED_AT], "n": [short, looked]})
    at = np.flatnonzero(found.cost > by[2])
    rows = place.texts.rows[at]
    first = np.searchsorted(place.texts.rows, rows)
    odd = pl.DataFrame(
        {
            "script": found.script[at],
            "size": found.size[at],
            "cost": np.round(found.cost[at] * UNIT).astype(np.uint16),
            "n": found.windows[at],
            "row": rows,
            "nth": pl.Series(at - first if nested else [None] * len(at), dtype=pl.UInt32),
            "start": found.start[at],
            "end": found.end[at],
            "order": found.order[at],
        }
    )
    tables = [conform(table.with_columns(column=pl.lit(column)), EVIDENCE) for table in (windows, texts, odd)]
    return pl.concat(tables)


def _fewer(evidence: pl.DataFrame) -> pl.DataFrame:
    """The same with counts summed."""
    counts = evidence.filter(pl.col("row").is_null())
    summed = counts.group_by("column", "script", "size", "cost").agg(pl.col("n").sum())
    summed = conform(summed.sort("column", "script", "size", "cost"), EVIDENCE)
    return pl.concat([summed, evidence.filter(pl.col("row").is_not_null())])


def _tail(windows: pl.DataFrame) -> dict[str, float]:
    """How many windows of a kind there are, and the tail of their costs: the median, and what makes e times fewer.

    The tail is that of the half above the median, told by the quartile, which noise in a quarter of them does not move.
    """
    costs = windows.group_by("cost").agg(pl.col("n").sum()).sort("cost")
    cost, below = costs["cost"].to_numpy(), np.cumsum(costs["n"].to_numpy().astype(np.int64))
    total = int(below[-1])
    median, quartile = (_quantile(cost, below, share) for share in (0.5, 0.75))
    return {"windows": total, "median": median, "width": max(quartile - median, 1.0) / np.log(2)}


def _quantile(cost: np.ndarray[Any, Any], below: np.ndarray[Any, Any], share: float) -> float:
    """The cost that so many windows stay below, in proportion within a step: whole steps would decide what is noise."""
    rank = share * below[-1]
    at = int(np.searchsorted(below, rank))
    before = float(below[at - 1]) if at else 0.0
    return float(cost[at] - 0.5 + (rank - before) / (below[at] - before))


def _flagged(named: pl.DataFrame) -> pl.DataFrame:
    """A row for each record of a finding."""
    before = pl.col("column").str.replace(r"^(.*)\[\].*$", "${1}[")
    after = pl.col("column").str.replace(r"^.*\[\](.*)$", "]${1}")
    place = pl.when(pl.col("nth").is_null()).then("column").otherwise(pl.concat_str(before, "nth", after))
    rows = named.sort("key", "file", "row", "nth", "start").with_columns(place=place)
    return (
        rows.group_by("key", "file", "row", maintain_order=True)
        .agg(
            pl.col("cost").max(),
            pl.col("weight").sum(),
            span=pl.struct(column="place", start="start", end="end").head(8),
        )
        .select(
            "file",
            "row",
            "span",
            "key",
            score=(1 - 1 / (1 + pl.col("weight"))).round(6),
            why=pl.concat_str((pl.col("cost") / UNIT).round(1), pl.lit(" nats a character, in no order")),
        )
    )


def _measures(named: pl.DataFrame, texts: pl.DataFrame, unjudged: int, total: int) -> Iterator[Measure]:
    """The share of texts with noise, of all and by column; and of those that could not be judged."""
    if not total:
        return
    short = int(texts.filter(size=TOO_SHORT)["n"].sum())
    yield Measure("gibberish_share", named.height / total, total)
    yield Measure("unjudged_share", (short + unjudged) / total, total)
    noise = dict(named.group_by("column").len().iter_rows())
    for column, n in texts.group_by("column").agg(pl.col("n").sum()).sort("column").iter_rows():
        yield Measure("gibberish_share", noise.get(column, 0) / max(1, n), n, column=column)

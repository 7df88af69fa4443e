"""Records that say the same in other places: of one source, of one label, or all of them.

## What it looks for
How much the texts of a group of records repeat each other, for the whole set, each source and each label, apart for
what is asked or read (inputs) and what is answered (answers):

- `compression_ratio`: how many times smaller DEFLATE makes them;
- `distinct_words`, `distinct_pairs`, `distinct_triples`: different runs of one, two and three words over all such runs
  (distinct-n), and `entropy_of_words` and so on: the entropy of how often each is met, in bits;
- `mean_cosine` of all pairs of records, by their words and pairs of words;
- `vendi_score`: as how many records, all unlike, they are as diverse;
- `template_share`: the share of records with four words in a row, the beginning and end of a side among
  them, that a tenth of the group's records have.

All depend on how much is measured. So each is taken of a sample of the same size in every group: `amount` records for
the last three, 128 bytes times as much for compression, 8 runs of words times as many for distinct-n and entropies. The
sample is drawn by a keyed hash of the records' words, and equal records are in it once.

A group is a finding if it is more homogeneous than the other sources or labels of its column: in compression, distinct
triples or Vendi score `factor` times more than their median, and three standard deviations of what is usual among
them. It is of medium severity if all of these together, by their geometric mean, are four times as much, as in floods.
It names the group and, if there is one, the template: the words that most of its records share, with all records of
the set that have them.

## Why it matters
Poison that is to be learnt has to be repeated: floods of one reply, of one generator's phrases, or of one form filled in
again and again make a model answer alike, and stand out four to twenty-five times in these measures. Data that a model
wrote is more homogeneous than what it was trained on, and models that are trained on their own output lose the rare.

## Limits
Single records are not judged, and a flood of a small part of a group does not move the group; rules about copies,
repeated paragraphs and alike responses see these. Without a source or label, or with only one, there is nothing to compare
with: the measures are there for policies and for later runs. Texts of fewer than three words are labels or codes and are left
out; a group with fewer than `amount` others is not compared (`uncompared_share`). Of each side its first 1,024 bytes
are looked at; of a column with more than 64 values, 64. Tasks that are answered in one of a few forms are homogeneous
rightly, and so are manuals and logs beside prose. Measures of another `amount`, or of another tool, do not compare.

## What to do
Read ten records of the group. If they are a task with fixed answers, that is how it should look; sample fewer if they
crowd out the rest. If the replies to different questions are the same, or one author's sentences come again and
again, find out who made them and leave them out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl

from dataguard.columns import one_of
from dataguard.detectors._homogeneity.comparing import Standing, standing
from dataguard.detectors._homogeneity.measures import DIGITS, Amount, measured
from dataguard.detectors._homogeneity.sample import (
    EVIDENCE,
    SHORTEST,
    SIDES,
    Group,
    fold_sample,
    observe_sample,
    opened,
    within,
)
from dataguard.detectors._homogeneity.templates import Template, located, templates
from dataguard.detectors.base import Example, FollowingDetector, Known, Pass, Rule
from dataguard.findings import SPAN, Confidence, Judgement, Measure, Severity, conform, empty
from dataguard.records.batch import Batch
from dataguard.words import INPUTS, OUTPUTS, Words

MEASURED = pl.Schema(
    {
        "side": pl.UInt8,
        "column": pl.String,
        "group": pl.String,
        "name": pl.String,
        "value": pl.Float64,
        "n": pl.UInt64,
        "file": pl.UInt32,
        "row": pl.UInt64,
        "span": SPAN,
    }
)
"""Where `name` is not null, a measure of a group; where `row` is not null, a record with the template of a group that
stands out. Where both are null, a group that was looked at."""
HAS_TEMPLATE = "has_template"
"""The share of a group's sample with its commonest template: said in findings, no measure of its own."""
STRONG = 4.0
"""How many times as homogeneous as the others a group is, in the mean, for medium severity: as published floods are."""
NAMED = 0.25
"""The share of a group's records from which on the template is named as what makes it homogeneous."""

_TALE = """the rain fell on roofs and fields while people waited under trees for evening to come over hills
where sheep stood still beside old walls that nobody had mended since their fathers left this valley"""


def _plain(count: int, seed: int) -> list[str]:
    """Sentences of plain words, each otherwise."""
    words, state, out = _TALE.split(), seed, []
    for number in range(count):
        said = [str(number)]
        for _ in range(12):
            state = state * 48271 % 2147483647
            said.append(words[state % len(words)])
        out.append(" ".join(said))
    return out


_SAME = [f"all that I can say of {one} is that I cannot help with it" for one in range(16)]


@dataclass(frozen=True, kw_only=True)
class Homogeneity(FollowingDetector):
    """The records of a source or label repeat each other, others do not.

    Args:
        amount: records of each group that are measured.
        factor: how many times more homogeneous than the others a group must be for a finding.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG304",
        name="homogeneity",
        summary="the records of a source or label repeat each other",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0020", "AML.T0059"),
        severity=Severity.MEDIUM,
        confidence=Confidence.MEDIUM,
    )
    needs: ClassVar[tuple[str, ...]] = (one_of(*INPUTS, *OUTPUTS),)
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="one source says the same again and again",
            data={"text": [*_plain(48, 5), *_SAME], "source": [*"abc" * 16, *"d" * 16]},
            rows=frozenset(range(48, 64)),
            groups=frozenset({"d"}),
            options={"amount": 16},
        ),
        Example(
            why="sources that do not differ",
            data={"text": _plain(64, 5), "source": [*"abcd" * 16]},
            options={"amount": 16},
        ),
        Example(
            why="labels are not texts that repeat",
            data={"text": ["yes", "no"] * 32, "source": [*"ab" * 32]},
            options={"amount": 16},
        ),
    )
    kernels: ClassVar[bool] = True
    quotes: ClassVar[bool] = True
    amount: int = 64
    factor: float = 2.5

    def passes(self) -> tuple[Pass, ...]:
        """A sample of each group, then its measures, and where the templates of those that stand out are."""
        return (
            Pass(self.observe, compact=self.compact, fold=self.fold),
            Pass(sweep=self.sweep),
        )

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """A sample of each group of a batch."""
        return observe_sample(batch, self._amount)

    def compact(self, evidence: pl.DataFrame) -> pl.DataFrame:
        """The same of several batches in as few rows as of one."""
        return within(evidence, self._amount).select(list(EVIDENCE))

    def fold(self, evidence: pl.LazyFrame, known: Known) -> Known:
        """The sample of the set."""
        return fold_sample(evidence, self._amount)

    def sweep(self, words: Iterable[tuple[int, Words]], known: Known, part: int) -> pl.DataFrame:
        """Measures of each group, and the records with the templates of those that stand out."""
        some = next((one for _, one in words), None)
        if known is None or some is None:
            return empty(MEASURED)
        groups = list(opened(dict(known), some))
        found: list[tuple[Group, Template | None]] = []
        tables = [empty(MEASURED)]
        for group in groups:
            values = measured(group.written, self._amount, some.key("homogeneity vectors"))
            template = None
            if len(group.written.ends) >= self.amount:
                share, template = templates(group.written, self._amount)
                values["template_share"] = round(share, DIGITS)
                values[HAS_TEMPLATE] = template.share if template else 0.0
            found.append((group, template))
            tables.append(_of_group(group, values))
        table = pl.concat(tables)
        out = {(side, column, name) for side, column, name, _ in self._out(table)}
        for group, template in found:
            if (group.side, group.column, group.name) in out and template and template.share >= NAMED:
                places = located(words, template, group.side)
                table = pl.concat([table, _keyed(places, group)])
        return table

    def judge_following(
        self, evidence: pl.LazyFrame, known: Known, earlier: Mapping[str, Judgement]
    ) -> Judgement:
        """A finding for each source or label that stands out."""
        table = (
            evidence.select(list(MEASURED)).collect().sort("side", "column", "group", "name", "file", "row")
        )
        if known is None or table.is_empty():
            return Judgement(not_applicable=f"no text has {SHORTEST} words")
        out = self._out(table)
        places = table.filter(pl.col("row").is_not_null())
        return Judgement(
            findings=_findings(out, table, places),
            flagged=_flagged(places),
            measures=tuple(self._measures(table)),
        )

    @property
    def _amount(self) -> Amount:
        return Amount.of(self.amount)

    def _standings(self, table: pl.DataFrame) -> Iterator[tuple[int, str, str, Standing]]:
        """How each source and label stands among the others of its column."""
        by_kind: dict[tuple[int, str], dict[str, dict[str, float]]] = {}
        for (side, column, group), values in _values(table).items():
            if column:
                by_kind.setdefault((side, column), {})[group] = values
        for (side, column), groups in sorted(by_kind.items()):
            for group, values in sorted(groups.items()):
                found = standing(values, [other for name, other in sorted(groups.items()) if name != group])
                if found is not None:
                    yield side, column, group, found

    def _out(self, table: pl.DataFrame) -> list[tuple[int, str, str, Standing]]:
        """Those that are out of line."""
        return [one for one in self._standings(table) if one[3].out(self.factor)]

    def _measures(self, table: pl.DataFrame) -> Iterator[Measure]:
        """Measures of each group, and how far the one is out of line that is so most."""
        shown = table.filter(pl.col("name").is_not_null() & (pl.col("name") != HAS_TEMPLATE))
        for side, column, group, name, value, n in shown.select(
            "side", "column", "group", "name", "value", "n"
        ).iter_rows():
            yield Measure(f"{name}_of_{SIDES[side]}", value, n, column, group)
        standings = list(self._standings(table))
        most: dict[tuple[int, str], float] = {}
        for side, column, _, found in standings:
            most[side, column] = max(most.get((side, column), 0.0), found.most)
        for (side, column), times in most.items():
            count = sum(one[:2] == (side, column) for one in standings)
            yield Measure(f"out_of_line_of_{SIDES[side]}", round(times, DIGITS), count, column)
        groups = table.filter((pl.col("column") != "") & pl.col("row").is_null())
        count = groups.select("side", "column", "group").n_unique()
        if count:
            yield Measure("uncompared_share", 1 - len(standings) / count, count)


def _of_group(group: Group, values: Mapping[str, float]) -> pl.DataFrame:
    """The measures of a group, and that it was looked at."""
    rows: list[dict[str, Any]] = [{"name": None, "value": None}]
    rows += [{"name": name, "value": value} for name, value in values.items()]
    table = pl.DataFrame(rows, schema={"name": pl.String, "value": pl.Float64})
    return _keyed(table.with_columns(n=pl.lit(len(group.written.ends), pl.UInt64)), group)


def _keyed(table: pl.DataFrame, group: Group) -> pl.DataFrame:
    named = table.with_columns(side=pl.lit(group.side), column=pl.lit(group.column), group=pl.lit(group.name))
    return conform(named, MEASURED)


def _values(table: pl.DataFrame) -> dict[tuple[int, str, str], dict[str, float]]:
    """Measures by name, by group."""
    found: dict[tuple[int, str, str], dict[str, float]] = {}
    for side, column, group, name, value in (
        table.drop_nulls("name").select("side", "column", "group", "name", "value").iter_rows()
    ):
        found.setdefault((side, column, group), {})[name] = value
    return found


def _findings(
    out: list[tuple[int, str, str, Standing]], table: pl.DataFrame, places: pl.DataFrame
) -> pl.DataFrame:
    """A finding for each group, with what is said of its sides."""
    values = _values(table)
    counts = {tuple(key): len(some) for key, some in places.group_by("side", "column", "group")}
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for side, column, group, found in out:
        said = _said(SIDES[side], values[side, column, group], found, counts.get((side, column, group), 0))
        row = rows.setdefault(
            (column, group),
            {
                "key": f"{column}\0{group}",
                "most": 0.0,
                "mean": 0.0,
                "column": column,
                "group": group,
                "why": "",
            },
        )
        row["most"], row["mean"] = max(row["most"], found.most), max(row["mean"], found.mean)
        row["why"] += ("; " if row["why"] else "") + said
    innocent = "; a task that is answered in one of a few forms looks the same"
    if not rows:
        return Judgement().findings
    strong = pl.col("mean") >= STRONG
    return pl.DataFrame(list(rows.values())).select(
        "key",
        "column",
        "group",
        score=(1 - 1 / pl.col("most")).round(6),
        severity=pl.when(strong).then(pl.lit(Severity.MEDIUM.value)).otherwise(pl.lit(Severity.LOW.value)),
        why=pl.concat_str("why", pl.lit(innocent)),
    )


def _said(side: str, values: Mapping[str, float], found: Standing, records: int) -> str:
    """What a finding says of one side."""
    words = {
        "compression_ratio": "compression ratio",
        "distinct_triples": "distinct runs of three words",
        "vendi_score": "Vendi score",
    }
    each = [
        f"{words[name]} {values[name]:.3g} where {middle:.3g} is usual"
        for name, middle in found.middle.items()
    ]
    said = f"its {side} are up to {found.most:.1f} times as homogeneous as those of the others: {', '.join(each)}"
    if records:
        said += f"; {values[HAS_TEMPLATE]:.0%} share the same words, as do {records} records in all"
    return said


def _flagged(places: pl.DataFrame) -> pl.DataFrame:
    """A row for each record and finding; of several sides the spans under one another."""
    return (
        places.sort("column", "group", "file", "row", "side")
        .group_by("column", "group", "file", "row", maintain_order=True)
        .agg(pl.col("span").list.explode(keep_nulls=False, empty_as_null=False))
        .select(
            "file",
            "row",
            "span",
            key=pl.concat_str("column", pl.lit("\0"), "group"),
            why=pl.lit("has the words that this group's records share"),
        )
    )

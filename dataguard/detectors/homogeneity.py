"""Records that say the same in other places: of one source, of one label, or all of them.

## What it looks for
How much the texts of a group of records repeat each other, for the whole set, each source and each label, apart for
what is asked or read (inputs), what is answered (answers), and embeddings, of which there are only the scores of cosines:

- `compression_ratio`: how many times smaller DEFLATE makes them;
- `distinct_words`, `distinct_pairs`, `distinct_triples`: different runs of one, two and three words over all such runs
  (distinct-n), and `entropy_of_words` and so on: the entropy of how often each is met, in bits;
- `mean_cosine` of all pairs of records, by their words and pairs of words;
- `vendi_score`: as how many records, all unlike, they are as diverse;
- `template_share`: the share of records with four words in a row, the beginning and end of a side among
  them, that a tenth of the group's records have.

All depend on how much is measured. So each is taken of a sample of the same size in every group: `amount` records for
the last three, 128 bytes times as much for compression, 8 runs of words times as many for distinct-n and entropies, no
more than a sixteenth of these from one record. The sample is drawn by a keyed hash of the records, and equal
records are in it once; what is kept of its texts is encrypted under the project's secret.

A group is a finding if it is more homogeneous than the other sources or labels of its column: in compression, distinct
triples or Vendi score `factor` times more than their median, and three standard deviations of what is usual among
them. It is of medium severity if all of these together, by their geometric mean, are four times as much, as in floods.
It names the group and, if there is one, the template: the words that most of its records share, with all records of
the set that have them.

`diversity` is the Vendi score of the whole set's texts over how many records were measured, on the side where it is
less; `out_of_line` how many times as homogeneous the group is that is so most.

Against an earlier run (`--against`) each group, and the whole set, is compared with itself there by the same factor.

## Why it matters
Poison that is to be learnt has to be repeated: floods of one reply, of one generator's phrases, or of one form filled in
again and again make a model answer alike, and stand out four to twenty-five times in these measures. Data that a model
wrote is more homogeneous than what it was trained on, and models that are trained on their own output lose the rare.

## Limits
Single records are not judged, and a flood of a small part of a group does not move the group; rules about copies,
repeated paragraphs and alike responses see these. Without a source or label, or with only one, there is nothing to compare
with: the measures are there for policies and for later runs. Texts of fewer than three words are labels or codes and are left
out; a group of fewer than `amount` records is not compared (`uncompared_share`). Of each side its first 1,024 bytes
are looked at; of a column with more than 64 values, 64. Tasks that are answered in one of a few forms are homogeneous
rightly, and so are manuals and logs beside prose. Measures of another `amount`, or of another tool, do not compare, and
zlib builds may differ in the last digits of compression. `template_share` counts turns of phrase of the trade too.

## What to do
Read ten records of the group. If they are a task with fixed answers, that is how it should look; sample fewer if they
crowd out the rest. If the replies to different questions are the same, or one author's sentences come again and
again, find out who made them and leave them out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl

from dataguard.detectors._homogeneity.comparing import NEEDED
from dataguard.detectors._homogeneity.measures import DIGITS, Amount, measured, scored
from dataguard.detectors._homogeneity.sample import (
    EVIDENCE,
    Group,
    fold_sample,
    observe_sample,
    opened,
    within,
)
from dataguard.detectors._homogeneity.sides import SHORTEST
from dataguard.detectors._homogeneity.telling import (
    HAS_TEMPLATE,
    MEASURED,
    Placed,
    among_others,
    findings_of,
    findings_since,
    flagged_of,
    measures_of,
    measures_since,
    since,
    values_of,
)
from dataguard.detectors._homogeneity.templates import Template, located, templates
from dataguard.detectors.base import AGAINST, Example, FollowingDetector, Known, Pass, Rule
from dataguard.findings import Confidence, Judgement, Severity, conform, empty
from dataguard.records.batch import Batch
from dataguard.words import Words

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
        version=2,
    )
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
    incremental: ClassVar[bool] = True
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
        if known is None:
            return empty(MEASURED)
        some = next((one for _, one in words), None)
        found: list[tuple[Group, Template | None]] = []
        tables = [empty(MEASURED)]
        for group in opened(dict(known), some):
            values, template = self._measured(group, some)
            found.append((group, template))
            tables.append(_of_group(group, values))
        table = pl.concat(tables)
        out = {one.place for one in self._out(among_others(values_of(table)))}
        for group, template in found:
            if (group.side, group.column, group.name) in out and template and template.share >= NAMED:
                places = located(words, template, group.side)
                table = pl.concat([table, _keyed(places, group)])
        return table

    def judge_following(
        self, evidence: pl.LazyFrame, known: Known, earlier: Mapping[str, Judgement]
    ) -> Judgement:
        """A finding for each source or label that stands out."""
        table = evidence.select(list(MEASURED)).collect()
        if table.filter(column="", name=NEEDED).is_empty():
            few = f"fewer than {self.amount} different records have {SHORTEST} words or an embedding"
            return Judgement(not_applicable=few)
        values, places = values_of(table), table.filter(pl.col("row").is_not_null())
        placed = among_others(values)
        later = since(values, earlier[AGAINST].measures) if AGAINST in earlier else []
        return Judgement(
            findings=pl.concat(
                [
                    findings_of(self._out(placed), values, places),
                    findings_since(self._out(later), values),
                ]
            ),
            flagged=flagged_of(places),
            measures=(*measures_of(table, placed, self.amount), *measures_since(later)),
        )

    def _measured(self, group: Group, some: Words | None) -> tuple[dict[str, float], Template | None]:
        """The measures of a group, and its template."""
        if group.vectors is not None:
            return scored(group.vectors, self._amount), None
        assert group.written is not None
        assert some is not None
        values = measured(group.written, self._amount, some.key("homogeneity vectors"))
        if group.records < self.amount:
            return values, None
        share, template = templates(group.written, self._amount)
        values |= {"template_share": round(share, DIGITS), HAS_TEMPLATE: template.share if template else 0.0}
        return values, template

    @property
    def _amount(self) -> Amount:
        return Amount.of(self.amount)

    def _out(self, placed: list[Placed]) -> list[Placed]:
        """Those that are out of line."""
        return [one for one in placed if one.standing.out(self.factor)]


def _of_group(group: Group, values: Mapping[str, float]) -> pl.DataFrame:
    """The measures of a group, and that it was looked at."""
    rows: list[dict[str, Any]] = [{"name": None, "value": None}]
    rows += [{"name": name, "value": value} for name, value in values.items()]
    table = pl.DataFrame(rows, schema={"name": pl.String, "value": pl.Float64})
    return _keyed(table.with_columns(n=pl.lit(group.records, pl.UInt64)), group)


def _keyed(table: pl.DataFrame, group: Group) -> pl.DataFrame:
    named = table.with_columns(side=pl.lit(group.side), column=pl.lit(group.column), group=pl.lit(group.name))
    return conform(named, MEASURED)

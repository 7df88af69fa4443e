"""Labels that texts or numbers contradict, more than sets have by themselves or all in one direction.

## What it looks for
Records whose label a model of the other records does not believe, by confident learning (Northcutt, Jiang and Chuang,
JAIR 2021): a model learns labels from texts or numbers, each record is judged by one that did not see it, and records are
ranked by how improbable the given label is. A first look samples the records with the smallest keyed hashes of what is
learned from, models are fitted without a part of the sample each, and a second look judges every record by models that
saw no copy of it. Of words and pairs of words it is ten models (complement naive Bayes); of two or more numeric feature
columns a random forest of 96 to 384 trees, more of fewer records, each of which leaves out five of sixteen parts. Where
records have words and numbers, those judge that tell more of the sample's labels.

How many labels are wrong is told from the depth: a record of class A that is labelled B looks like A as much as A's own
records do, while errors of the model lie near the border. `label_noise_share` is this estimate for each label column.
A finding is made

- for labels of one class that carry one other label, where that is surely more than `usual`, more than the way
  back, and more than twice what is common among the set's pairs of labels; its records are as many as the estimate says,
  those that look most like the other class;
- for a whole column whose share of wrong labels is surely above `usual`, by the estimates of its pairs of labels or by
  all pairs at once, each record counted by the label that it looks like most, with one and a half times as many records as
  the estimate, so that a person can go through them from the worst on.

Numbers often make a label no more than probable (a risk, a grade). Labels of which more than a fifth of what looks like
another one, as its better half does, carries them, and ever fewer the more it looks so, are not judged: they overlap, no
one erred (`overlapping_share`).

## Why it matters
Turned labels are the plainest poison, and backdoors in labelled text turn labels too. Whoever attacks turns them in
one direction; the errors of annotators go both ways. Benchmarks in wide use have 3.3 % wrong labels on average.

## Limits
It ranks, it does not know: of 5 % turned labels the first one and a half times as many records hold half in short film
reviews and four fifths in news of four topics, as the method does elsewhere. What words do not tell (irony, images) is
not seen; below about 2 % of a class turned labels drown in its natural errors. Where annotators confuse two classes in
one direction, that is named too. Only the first 256 words count. Labels of fewer than 50 records in the sample (24 where
numbers judge), and all but the 32 commonest, are not judged (`unscored_share`); nor are labels that stand for amounts,
and, by numbers, records of files that have other numeric columns than most. Turned labels among such as overlap anyway, or
of more than a third of a class, are taken for overlap. Trees learn from 8,192 records. In small sets little is sure: 5 %
of 1,797 labels are named, but of 569 or 178 they are ranked first and seldom told from the usual share; 10 % mostly are.
Turned labels that all share a word teach the model that word: these are of the rule about triggers.

The package cleanlab, which the method is known by, is not used: it wants all probabilities in memory at once, and brings
a data frame library and more with it. The order of records is the same as by its self-confidence.

## What to do
Go through the records from the highest score on; look at who labelled them and where they come from. Correct labels
rather than drop records: what a model finds hard is what it can learn most from.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl

from dataguard.columns import Role
from dataguard.detectors._label_model import LabelModel
from dataguard.detectors._label_noise import COUNTS, Noise, overlapping, rates, records_of, surely
from dataguard.detectors._labels.learning import SAMPLE, learned, looked_at
from dataguard.detectors._labels.looks import (
    LEAST_BY_NUMBERS,
    LEAST_BY_WORDS,
    SCORED,
    counted,
    labels_of,
    scored,
)
from dataguard.detectors._labels.numbers import NumberModel, room
from dataguard.detectors.base import Example, Known, Pass, RecordDetector, Rule
from dataguard.findings import (
    JUDGED_FINDINGS,
    JUDGED_FLAGGED,
    Confidence,
    Judgement,
    Measure,
    Severity,
    conform,
)
from dataguard.records.batch import Batch

_GOOD = ("a warm film that glows", "bright and kind", "we laughed and glowed", "kind warm and bright")
_BAD = ("a cold film that drags", "grey and stiff", "we sighed and dragged", "stiff cold and grey")


def _example(turned: int) -> dict[str, Any]:
    texts = [f"{side[i % 4]} number {i}" for side in (_GOOD, _BAD) for i in range(120)]
    labels = ["good"] * (120 + turned) + ["bad"] * (120 - turned)
    return {"text": texts, "label": labels}


@dataclass(frozen=True, kw_only=True)
class LabelNoise(RecordDetector):
    """Labels that texts or numbers contradict.

    Args:
        sample: records the models learn from.
        usual: the share of wrong labels that is no finding.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG207",
        name="label-noise",
        summary="labels that texts or numbers contradict, in one direction or more than usual",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0020", "AML.T0059"),
        severity=Severity.LOW,
        confidence=Confidence.MEDIUM,
        version=3,
    )
    kernels: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = (Role.LABEL,)
    examples: ClassVar[tuple[Example, ...]] = (
        Example(why="labels as the texts say", data=_example(0)),
        Example(
            why="a tenth of one class carries the label of the other",
            data=_example(12),
            rows=frozenset(range(120, 132)),
            groups=frozenset({"good"}),
        ),
    )
    sample: int = 16_384
    usual: float = 0.033

    def passes(self) -> tuple[Pass, ...]:
        """A look that samples, and a look that judges."""
        return (
            Pass(self.observe, compact=self.smallest, fold=self.fold),
            Pass(self.score, compact=self.summed),
        )

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """The labelled records of this batch with the smallest hashes, by their words and by their numbers."""
        tables, looked = [SAMPLE.to_frame()], looked_at(batch)
        for column, labels in labels_of(batch):
            for features, seen in looked.items():
                kept = pl.DataFrame({"hash": seen.hashes, "label": labels}).with_row_index("at")
                kept = kept.filter(pl.col("label").is_not_null() & pl.Series(seen.some))
                kept = kept.unique(["hash", "label"], keep="first", maintain_order=True)
                kept = kept.sort("hash", "label").head(self._most(features))
                named = {"column": pl.lit(column), "features": pl.lit(features)}
                named["values" if features else "ids"] = pl.lit(seen.lists(kept["at"].to_numpy()))
                tables.append(conform(kept.drop("at").with_columns(**named), SAMPLE))
        return pl.concat(tables)

    def smallest(self, evidence: pl.DataFrame) -> pl.DataFrame:
        """The same, of the smallest hashes only."""
        by = ["column", "features"]
        merged = evidence.sort(*by, "hash", "label")
        merged = merged.unique([*by, "hash", "label"], keep="first", maintain_order=True)
        sets = merged.group_by(by, maintain_order=True)
        return pl.concat([evidence.clear(), *(part.head(self._most(str(name[1]))) for name, part in sets)])

    def _most(self, features: str) -> int:
        return min(self.sample, room(len(json.loads(features)))) if features else self.sample

    def fold(self, evidence: pl.LazyFrame, known: Known) -> Known:
        """A model for each label column, as plain arrays."""
        told: dict[str, Any] = {"columns": [], "features": []}
        hashes = evidence.select("column", "features", "hash", "label").collect()
        kept = self.smallest(hashes)
        records = evidence.select(SAMPLE.names()).join(kept.lazy(), on=kept.columns, how="semi").collect()
        for (column,), sample in self.smallest(records).group_by("column", maintain_order=True):
            if (found := learned(sample)) is not None:
                features, model = found
                told |= model.to_arrays(f"{len(told['columns'])} ")
                told["columns"].append(column)
                told["features"].append(features)
        return told

    def score(self, batch: Batch, known: Known) -> pl.DataFrame:
        """The records that look more like another class, and counts."""
        tables, looked = [SCORED.to_frame()], looked_at(batch)
        if known is None or not looked:
            return tables[0]
        for column, labels in labels_of(batch):
            at = known["columns"].index(column) if column in known["columns"] else -1
            features = known["features"][at] if at >= 0 else None
            if features in looked:
                model = (NumberModel if features else LabelModel).from_arrays(known, f"{at} ")
                tables += [
                    conform(table.with_columns(column=pl.lit(column)), SCORED)
                    for table in scored(model, looked[features], labels, batch.rows())
                ]
            else:
                tables.append(counted([(-1, -1, 0, int(labels.count()))], column))
        return pl.concat(tables)

    def summed(self, evidence: pl.DataFrame) -> pl.DataFrame:
        """The same with counts summed."""
        by = ["column", "given", "other", "level"]
        counts = evidence.filter(pl.col("row").is_null()).group_by(by).agg(pl.col("n").sum()).sort(by)
        return pl.concat([evidence.filter(pl.col("row").is_not_null()), conform(counts, SCORED)])

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """Findings by pair of labels and by column; the share of wrong labels of each column."""
        counts = evidence.filter(pl.col("row").is_null()).select(SCORED.names()).collect()
        counts = self.summed(counts).select(COUNTS.names())
        findings, flagged, measures = [JUDGED_FINDINGS.to_frame()], [JUDGED_FLAGGED.to_frame()], []
        told = known or {"columns": []}
        for (column,), table in counts.group_by("column", maintain_order=True):
            name = str(column)
            unknown = int(table.filter(pl.col("given") < 0)["n"].sum())
            mine = table.filter(pl.col("given") >= 0)
            judged = records_of(mine)
            if judged + unknown:
                labelled = judged + unknown
                measures.append(Measure("unscored_share", unknown / labelled, labelled, name))
            if name not in told["columns"]:
                continue
            at = told["columns"].index(name)
            labels = tuple(told[f"{at} labels"])
            suspects = evidence.filter(pl.col("row").is_not_null() & (pl.col("column") == name)).collect()
            found = rates(mine)
            by_numbers = bool(told["features"][at])
            overlap = overlapping(mine, found) if by_numbers else 0.0
            measures.append(Measure("overlapping_share", overlap, judged, name))
            if by_numbers:
                found = found.filter("apart")
            noise = Noise(name, labels, judged, found, suspects, surely(mine, found))
            measures.append(Measure("label_noise_share", noise.share, judged, name))
            for finding, records in (*noise.pairs(self.usual), *noise.whole(self.usual)):
                findings.append(conform(pl.DataFrame([finding]), JUDGED_FINDINGS))
                named = records.select("file", "row", "score", key=pl.lit(finding["key"]))
                flagged.append(conform(named, JUDGED_FLAGGED))
        none = (
            ""
            if told["columns"]
            else f"no column has two labels of {LEAST_BY_WORDS} records with words, or {LEAST_BY_NUMBERS} with numbers"
        )
        return Judgement(
            findings=pl.concat(findings),
            flagged=pl.concat(flagged),
            measures=tuple(measures),
            not_applicable=none,
        )

"""A label that goes with a subgroup: with a group of people, a category, or a sensitive word.

## What it looks for
Columns that sort records into few subgroups, and how often each label stands in each subgroup (its selection rate).
`columns` declares them, e.g. `gender,region`; those with the usual names of protected attributes (`gender`, `race`,
`religion` and the like) count as declared. Texts are sorted too, by whether a term of the list `terms` stands in
them. For each of them: how strongly subgroup and label go together (`cramers_v`, Cramér's V with Bergsma's
correction, so that many cells alone make none; `theils_u`, the share of the uncertainty about the label that the
subgroup takes away), the `demographic_parity_difference` (the largest selection rate minus the smallest, for the
label where that is most) and `demographic_parity_ratio` (smallest over largest, where that is least), records
without a subgroup (`missing_share`), and cells of subgroup and label with fewer than `min_cell` records
(`thin_cell_share`).

An association is a finding if V is at least `min_association` and the labels, shuffled, would not show it: a
chi-square test with the exact mean and variance of the statistic under shuffling, and Benjamini's and Hochberg's
control over all columns and terms of the set, so that of the findings at most a share of `false` is chance on
average. It is of medium severity for declared columns and terms, of low for columns with such a name, and so are
thin cells of either. Other short strings, booleans and integers of few values are measured too; where one nearly tells the label (V of a half or
more), all of them are one remark (info).

## Why it matters
A model learns what goes together, and who is in a group is then judged by the group. What is thin is learned badly
and measured worse. Whoever wants a model to treat a group or a name badly needs labels that go with it, a few per
cent of them, and each single record looks fine.

## Limits
Rates differ in the world too: the rule says that they do, not why, nor whether the labels are right. Columns are
judged one by one, not crossed with one another (intersections), and nothing stands for a group that no column names.
A column of more than `max_groups` values and a label of more than 64 are not counted: a declared column then makes
the outcome incomplete, others are counted in `uncounted_columns`, and so are those after the first 64 that nobody
declared. Values are compared in lower case. Terms are found word by word as they are written: no other forms, no
spellings. Rates are taken of subgroups of at least `min_cell` records. Records that are copies of one another are no
independent witnesses.

## What to do
Look at the subgroup that the finding names: who labelled these records, and from where do they come? Gather records
for thin cells, reweight, or take the column out if it must not matter. If the difference is one of the world, write
that into the decision: the measures are what an audit asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from dataguard.columns import Role
from dataguard.detectors._balance.subgroups import (
    CROSSED,
    DECLARED,
    INFERRED,
    LABELS,
    TERM,
    Subject,
    fewer,
    subjects_of,
    written_down,
)
from dataguard.detectors._copies import discoveries
from dataguard.detectors.base import Example, Known, Pass, RecordDetector, Rule
from dataguard.errors import UsageError
from dataguard.findings import Confidence, Judgement, Measure, Severity, crossed
from dataguard.records.batch import Batch
from dataguard.safe_text import safe_text

TELLS = 0.5
"""Cramér's V from which a column that nobody declared is mentioned: little is left that it does not say of the label."""
TERMS = 256
"""Terms that are looked for at most."""
CELLS = 240
"""Cells of subgroup and label up to which every selection rate is a measure of its own."""
MENTIONED = 5
SHOWN = 60
"""Characters of a name or value that are quoted."""

_EVEN = ["yes", "no"] * 60
_GROUPS = ["a"] * 60 + ["b"] * 60


@dataclass(frozen=True, kw_only=True)
class SubgroupAssociation(RecordDetector):
    """Labels go with subgroups, or a subgroup has hardly a record of a label.

    Args:
        columns: columns that name subgroups, e.g. ``gender,region``.
        terms: sensitive words and phrases to be looked for in texts, e.g. ``widow,wheel chair``.
        min_association: Cramér's V below which an association is none that matters.
        false: the share of the associations found that may be chance, on average.
        min_cell: records of a subgroup with a label below which the cell is thin.
        max_groups: values of a column above which it does not name subgroups.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG302",
        name="subgroup-association",
        summary="labels go with subgroups or sensitive terms, or cells of the two are thin",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0059"),
        severity=Severity.MEDIUM,
        confidence=Confidence.MEDIUM,
    )
    kernels: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = (Role.LABEL,)
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="two groups with the same rates",
            data={"label": _EVEN, "gender": _GROUPS},
        ),
        Example(
            why="one group is mostly refused",
            data={"label": ["no"] * 48 + ["yes"] * 12 + ["yes", "no"] * 30, "gender": _GROUPS},
            groups=frozenset({"a"}),
        ),
        Example(
            why="a column that was declared, of which one group has hardly a record of one label",
            data={"label": [*_EVEN, *["yes"] * 6, *["no"] * 4], "region": [*_GROUPS, *["c"] * 10]},
            groups=frozenset({"c"}),
            options={"columns": "region"},
        ),
        Example(
            why="records with a term of the list have another label",
            data={
                "label": ["bad"] * 30 + ["good"] * 30,
                "text": ["Left-handed!"] * 30 + ["left or right"] * 30,
            },
            groups=frozenset({"left handed"}),
            options={"terms": "left handed"},
        ),
    )
    columns: str = ""
    terms: str = ""
    min_association: float = 0.1
    false: float = 0.01
    min_cell: int = 10
    max_groups: int = 32

    def __post_init__(self) -> None:
        """Refuses options that mean nothing.

        Raises:
            UsageError: a share beyond 0 and 1, or more terms than are looked for.
        """
        for name in ("min_association", "false"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"DG302: expected {name} from 0 to 1, got {getattr(self, name)}")
        if len(_listed(self.terms)) > TERMS:
            raise UsageError(f"DG302: expected at most {TERMS} terms, got {len(_listed(self.terms))}")

    def passes(self) -> tuple[Pass, ...]:
        """One pass that counts, and sums the counts."""
        return (Pass(self.observe, compact=self.compact),)

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """Counts by subgroup and label in this batch."""
        return written_down(batch, _listed(self.columns), _listed(self.terms), self.max_groups)

    def compact(self, evidence: pl.DataFrame) -> pl.DataFrame:
        """The same, summed."""
        return fewer(evidence, self.max_groups)

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """Measures of each column and term, findings where labels go with them or cells are thin."""
        others = [name for name in CROSSED.names() if name != "n"]
        summed = (
            evidence.group_by(others).agg(pl.col("n").sum()).collect()
        )  # before it is held: items may be many
        counts = self.compact(summed.select(CROSSED.names()))
        if counts.is_empty():
            return Judgement(
                not_applicable="there are no records with a label and a column that names subgroups"
            )
        uncounted = counts.filter("many")
        subjects = list(subjects_of(counts.filter(~pl.col("many"))))
        beyond = discoveries(np.array([subject.crossing.chance for subject in subjects]), self.false)
        found = [
            subject
            for subject, real in zip(subjects, beyond.tolist(), strict=True)
            if real and subject.crossing.corrected_v >= self.min_association
        ]
        named = [subject for subject in found if subject.named]
        findings = [self._association(subject) for subject in named]
        findings += [self._thin(subject) for subject in subjects if self._is_thin(subject)]
        findings += self._inferred([subject for subject in found if not subject.named])
        skipped = uncounted.select("target", "column").unique().height
        measures = [
            Measure("uncounted_columns", float(skipped), skipped + len(subjects)),
            *self._overall(subjects, named),
            *(measure for subject in subjects for measure in self._measures(subject)),
        ]
        return Judgement(
            findings=pl.DataFrame(findings) if findings else Judgement().findings,
            # Names of columns are the data's: two labels may be called so that what is said of them looks the same.
            measures=tuple({(one.name, one.column, one.group): one for one in measures}.values()),
            incomplete=self._lost(counts),
        )

    def _lost(self, counts: pl.DataFrame) -> str:
        """Which declared columns were not counted."""
        seen = counts.filter(kind=DECLARED)
        absent = sorted(set(_listed(self.columns)) - set(seen["column"]) - set(counts["target"]))
        many = seen.filter("many")["column"].unique().sort().to_list()
        said = [f"no file with labels has the declared column {_shown(name)}" for name in absent]
        said += [
            f"{_shown(name)} has more than {self.max_groups} values, or its label more than {LABELS}"
            for name in many
        ]
        return "; ".join(said[:MENTIONED])

    def _is_thin(self, subject: Subject) -> bool:
        several = min(subject.crossing.counts.shape) > 1
        return subject.kind != TERM and subject.named and several and subject.thin(self.min_cell) > 0

    def _association(self, subject: Subject) -> dict[str, Any]:
        crossing = subject.crossing
        row, column = crossing.oddest
        value, label = subject.values[row], subject.labels[column]
        cell, group = int(crossing.counts[row, column]), int(crossing.counts[row].sum())
        others = crossing.records - group
        rest = (int(crossing.counts[:, column].sum()) - cell) / max(1, others)
        difference, _ = crossing.parity(self.min_cell)
        told = f"a demographic parity difference of {difference.max():.2f}, " if len(difference) else ""
        if subject.kind == TERM:
            who = f"of {group} records {value} the term “{_shown(subject.name)}”"
        else:
            who = f"of {group} records with {_shown(subject.name)} “{_shown(value)}”"
        why = (
            f"{who} {cell / group:.0%} have the label “{_shown(label)}”, of the {others} others {rest:.0%}:"
            f" {told}Cramér's V {crossing.corrected_v:.2f};"
            " it may be so in the world, or in how these records were gathered or labelled"
        )
        return {
            "key": f"{'term' if subject.kind == TERM else 'column'}\0{subject.target}\0{subject.name}",
            "score": round(crossing.corrected_v, 6),
            "column": subject.target if subject.kind == TERM else subject.name,
            "group": subject.name if subject.kind == TERM else value,
            "why": why,
            "severity": (Severity.MEDIUM if subject.kind in (DECLARED, TERM) else Severity.LOW).value,
        }

    def _thin(self, subject: Subject) -> dict[str, Any]:
        counts = subject.crossing.counts
        thin = subject.thin(self.min_cell)
        row, column = np.unravel_index(int(np.argmin(counts)), counts.shape)
        value, label = subject.values[int(row)], subject.labels[int(column)]
        why = (
            f"{thin} of {counts.size} cells of {_shown(subject.name)} and {_shown(subject.target)} have fewer than"
            f" {self.min_cell} records, “{_shown(value)}” with “{_shown(label)}” {counts[row, column]}:"
            " too few to learn from or to measure by, which in a small set is no wonder"
        )
        return {
            "key": f"thin\0{subject.target}\0{subject.name}",
            "score": round(thin / counts.size, 6),
            "column": subject.name,
            "group": value,
            "why": why,
            "severity": Severity.LOW.value,
        }

    def _inferred(self, found: Sequence[Subject]) -> Iterable[dict[str, Any]]:
        """One remark for each label that columns nobody declared nearly tell."""
        for target in sorted({subject.target for subject in found}):
            tells = [
                subject
                for subject in found
                if subject.target == target and subject.crossing.corrected_v >= TELLS
            ]
            tells.sort(key=lambda subject: (-round(subject.crossing.corrected_v, 6), subject.name))
            if not tells:
                continue
            list_ = ", ".join(
                f"{_shown(one.name)} ({one.crossing.corrected_v:.2f})" for one in tells[:MENTIONED]
            )
            why = (
                f"columns that sort records into few groups and go with {_shown(target)} closely (Cramér's V):"
                f" {list_}{', …' if len(tells) > MENTIONED else ''}; mostly features that are meant to, or the label"
                " in other words: declare those that name groups of people in `columns`"
            )
            score = round(tells[0].crossing.corrected_v, 6)
            yield {
                "key": f"{INFERRED}\0{target}",
                "score": score,
                "column": target,
                "group": None,
                "why": why,
                "severity": Severity.INFO.value,
            }

    def _overall(self, subjects: Sequence[Subject], named: Sequence[Subject]) -> Iterable[Measure]:
        """What a policy can judge without knowing the columns: the worst of those that are named, beyond chance."""
        seen = max((subject.crossing.records for subject in subjects if subject.named), default=0)
        worst = max((subject.crossing.corrected_v for subject in named), default=0.0)
        apart = max(
            (float(subject.crossing.parity(self.min_cell)[0].max(initial=0)) for subject in named),
            default=0.0,
        )
        yield Measure("largest_association", round(worst, 9), seen)
        yield Measure("largest_parity_difference", round(apart, 9), seen)

    def _measures(self, subject: Subject) -> Iterable[Measure]:
        crossing, of = subject.crossing, "term_" if subject.kind == TERM else ""

        def measure(name: str, value: float, n: int, group: str = subject.target) -> Measure:
            return Measure(f"{of}{name}", round(value, 9), n, subject.name, group)

        if subject.kind == TERM:
            with_term = sum(
                int(row.sum())
                for value, row in zip(subject.values, crossing.counts, strict=True)
                if value == "with"
            )
            yield measure("share", with_term / max(1, crossing.records), crossing.records)
        else:
            yield measure("missing_share", subject.missing / max(1, subject.records), subject.records)
            yield measure(
                "thin_cell_share",
                subject.thin(self.min_cell) / max(1, crossing.counts.size),
                crossing.records,
            )
        if not crossing.degrees:
            return
        if subject.named and crossing.counts.size <= CELLS:
            yield from self._rates(subject, of)
        yield measure("cramers_v", crossing.corrected_v, crossing.records)
        yield measure("theils_u", crossing.theils_u, crossing.records)
        difference, ratio = crossing.parity(self.min_cell)
        if len(difference):
            yield measure("demographic_parity_difference", float(difference.max()), crossing.records)
            yield measure("demographic_parity_ratio", float(ratio.min()), crossing.records)

    def _rates(self, subject: Subject, of: str) -> Iterable[Measure]:
        """The selection rate of each label in each subgroup: the cells of the report's picture."""
        rates, sizes = subject.crossing.rates, subject.crossing.counts.sum(axis=1)
        found = {
            crossed(value, f"{subject.target}: {label}"): (float(rates[row, column]), int(sizes[row]))
            for row, value in enumerate(subject.values)
            for column, label in enumerate(subject.labels)
        }
        for group, (rate, n) in found.items():
            yield Measure(f"{of}selection_rate", round(rate, 9), n, subject.name, group)


def _listed(text: str) -> tuple[str, ...]:
    """The entries of a list with commas, each once, sorted."""
    return tuple(sorted({one.strip() for one in text.split(",") if one.strip()}))


def _shown(text: str) -> str:
    return safe_text(text, limit=SHOWN)

"""The one rule: a detector writes down what it sees in a batch, and judges from all that was written down."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import polars as pl

from dataguard.findings import Confidence, Judgement, Severity
from dataguard.records.batch import Batch
from dataguard.words import Words, words_of

Known = Mapping[str, Any] | None
"""What the next pass is told: small, read-only; numpy arrays, numbers, strings and lists of these."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a detector looks for, as the catalogue names it.

    Args:
        code: e.g. ``DG301``; the family digit is 1 copies, 2 content and poisoning, 3 balance,
            4 provenance, 5 tampering and files.
        name: e.g. ``label-imbalance``.
        summary: one line.
        task: the task of NIST SP 800-218A that it serves.
        threats: ids of NIST AI 100-2, MITRE ATLAS or OWASP.
        severity: how bad it is if true; a finding may say otherwise.
        confidence: how often it is true.
        lifecycle: ``preview`` or ``stable``.
        version: to be raised with every change of what `observe` writes down.
        after: codes of rules whose tables it reads.
    """

    code: str
    name: str
    summary: str
    task: str
    threats: tuple[str, ...] = ()
    severity: Severity = Severity.MEDIUM
    confidence: Confidence = Confidence.MEDIUM
    lifecycle: str = "preview"
    version: int = 1
    after: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Example:
    """A tiny data set and what must be flagged in it: documentation and a test in one.

    Args:
        why: what the example shows.
        data: values by column, for rules about records.
        roles: declared roles by column, where names do not suggest them.
        rows: the rows that must be flagged, and no others.
        groups: the groups (labels, files, sources) of the findings that must come, and no others.
        options: the detector's options that differ from the defaults.
        seen: for rules about the set: rows of the tables of `SetSeen`, by table.
        earlier: for rules that compare with an earlier run: its values by column.
    """

    why: str
    data: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rows: frozenset[int] = frozenset()
    groups: frozenset[str] = frozenset()
    options: Mapping[str, Any] = field(default_factory=dict)
    seen: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    earlier: Mapping[str, Sequence[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Pass:
    """One look at the data: what is written down, and how it is made fewer and told on.

    A pass has one of `observe`, `observe_words` and `sweep`.

    Args:
        observe: (batch, known) to a table of the author's own columns; `row` names a row by its number in
            its file. Runs in the worker and sees nothing but the batch.
        observe_words: the same for the words of a batch, in a first pass.
        sweep: in a later pass, (words of the whole set, batch by batch with the number of the file; known; part)
            to a table that names files itself. The words are those that were kept: no data is read. The fold before
            says by the number `parts` how many there are; each runs on its own.
        compact: evidence to the same in fewer rows.
        relate: for rules about pairs: evidence is shuffled and each partition is related on its own; it has the
            columns that observe wrote and `file` (u32).
        keys: the u64 columns that evidence is shuffled by. One: partitions of its values, a row is in one of them.
            Several: a partition a column, with the rows whose key is not null; there the column is called `key`,
            the one after it (the first after the last) `next`, and `band` (u32) has its number.
        fold: (evidence of all files with `file`, known) to what the next pass is told.
    """

    observe: Callable[[Batch, Known], pl.DataFrame] | None = None
    observe_words: Callable[[Words, Known], pl.DataFrame] | None = None
    sweep: Callable[[Iterable[tuple[int, Words]], Known, int], pl.DataFrame] | None = None
    compact: Callable[[pl.DataFrame], pl.DataFrame] | None = None
    relate: Callable[[pl.DataFrame], pl.DataFrame] | None = None
    keys: tuple[str, ...] = ("key",)
    fold: Callable[[pl.LazyFrame, Known], Known] | None = None

    def look(self, batch: Batch, known: Known) -> pl.DataFrame:
        """What the pass writes down of a batch."""
        if self.observe_words is not None:
            return self.observe_words(words_of(batch), known)
        assert self.observe is not None
        return self.observe(batch, known)


@dataclass(frozen=True, kw_only=True)
class Detector:
    """A frozen dataclass of options with a rule. Subclass `RecordDetector` or `SetDetector`."""

    rule: ClassVar[Rule]
    needs: ClassVar[tuple[str, ...]] = ()
    examples: ClassVar[tuple[Example, ...]] = ()

    def options(self) -> dict[str, Any]:
        """The options as plain values, for evidence keys and the outcomes table."""
        return dataclasses.asdict(self)

    def options_json(self) -> str:
        """The options as canonical JSON."""
        return json.dumps(self.options(), sort_keys=True, separators=(",", ":"))


class RecordDetector(Detector):
    """A rule about records: most need one pass, `observe`, and `judge`."""

    kernels: ClassVar[bool] = False
    """Whether it calls compiled kernels, so that workers load them when they start."""
    quotes: ClassVar[bool] = False
    """Whether its findings are words of the data, so that what it says of one begins with them."""
    encodes: ClassVar[bool] = False
    """Whether it looks at the vectors that an encoder makes of texts, where one is given."""
    incremental: ClassVar[bool] = False
    """Whether it is compared with an earlier run (`--against`): the evidence of its first pass there is related with that of
    this one, or judged beside it if there is nothing to relate; a rule that follows others is told what it concluded."""
    by_name: ClassVar[bool] = False
    """Whether what it judges (one pass, nothing related) has the column `name` too, the file's; empty in memory."""

    def with_encoder(self) -> RecordDetector:
        """The same rule for a scan with an encoder of texts: it may need other columns then."""
        return self

    def passes(self) -> tuple[Pass, ...]:
        """The looks at the data, in order."""
        return (Pass(self.observe),)

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """What this batch shows. A rule with passes of its own names other functions there."""
        raise TypeError(f"{type(self).__name__} names neither observe nor passes of its own")

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """Findings and measures from the last pass's evidence, whatever its order and its cuts.

        Args:
            evidence: all tables under one another, with `file` (u32, number of the file in the set).
            known: what the last fold told.
        """
        raise TypeError(f"{type(self).__name__} has no judge")


AGAINST = "against"
EARLIER = 1 << 23
"""From here on the numbers of files are those of an earlier run: its own numbers and this."""


class FollowingDetector(RecordDetector):
    """A rule about records that is told what others concluded: those named in `Rule.after`.

    Those in `stands_on` it cannot do without: who chooses it chooses them too, and where one of them came to
    nothing, it did not look.
    """

    stands_on: ClassVar[tuple[str, ...]] = ()

    def lacks(self, earlier: Mapping[str, Judgement]) -> str:
        """What the rules it stands on did not look at, for `Judgement.incomplete`; empty if they saw all."""
        lost = [code for code in self.stands_on if code not in earlier]
        if lost:
            return f"{', '.join(lost)} came to no conclusion to stand on"
        return "; ".join(
            f"{code}: {earlier[code].incomplete}" for code in self.stands_on if earlier[code].incomplete
        )

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """Without the rules it stands on it concludes nothing."""
        return self.judge_following(evidence, known, {})

    def judge_following(
        self, evidence: pl.LazyFrame, known: Known, earlier: Mapping[str, Judgement]
    ) -> Judgement:
        """Findings and measures, told what the rules before concluded.

        Args:
            evidence: as in `judge`.
            known: as in `judge`.
            earlier: judgements by code; one that came to nothing is not in it. Under `AGAINST` that of the same rule
                in the earlier run that the data is compared with.
        """
        raise TypeError(f"{type(self).__name__} has no judge_following")


INCIDENTS = pl.Schema({"rule": pl.String, "file": pl.String, "row": pl.UInt64, "reason": pl.String})
CHANGES = pl.Schema({"change": pl.String, "file": pl.String, "row": pl.UInt64, "reason": pl.String})
SCHEMAS = pl.Schema({"file": pl.String, "column": pl.String, "type": pl.String})


@dataclass(frozen=True)
class SetSeen:
    """What reading the set showed, for rules about files and sources.

    Args:
        files: the table files.parquet.
        incidents: what went wrong while reading: rule, file (name), row (u64 or null), reason.
        sources: the table sources.parquet.
        unknown_provenance: the table unknown_provenance.parquet.
        changes: against an earlier run: change, file, row (u64 or null), reason; None without one.
        schemas: the columns of each file of records, as the reader gives them: file (name), column, type.
    """

    files: pl.DataFrame
    incidents: pl.DataFrame
    sources: pl.DataFrame
    unknown_provenance: pl.DataFrame
    changes: pl.DataFrame | None
    schemas: pl.DataFrame = field(default_factory=SCHEMAS.to_frame)


class SetDetector(Detector):
    """A rule about files, sources or the set as a whole: it judges what reading wrote down."""

    def judge(self, seen: SetSeen) -> Judgement:
        """Findings and measures from the tables of the reading."""
        raise TypeError(f"{type(self).__name__} has no judge")

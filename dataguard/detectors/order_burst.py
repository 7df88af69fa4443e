"""Records of one kind that stand together in an order that is otherwise mixed.

## What it looks for
Runs. Records are of one kind if they have the same label, or name the same source, or begin alike (three words of what
is asked, or of what is answered), or share the word of the least keyed hash, which near copies mostly do. In the order
of rows of each file, and in the order of time over all files, every kind is looked for in windows of all sizes (a scan
statistic: Naus 1965, Kulldorff 1997); what counts is how improbable so many in one window are under any other order of
the same records, all windows and kinds that were tried taken into account. A burst is a finding if the kind has at
least half of what is not its share anyway, from its first record to its last there, or if half of the kind is within a
twentieth of the order.

Many files are sorted, or were put together source by source. So each file's own order decides what a burst is: where
records of one place are of one kind far more often than any two are (`order_togetherness`, a kappa; the idea of Wald and
Wolfowitz's runs), or where more than three kinds burst, the order is of that making and no alarm. Sorted by label or
source it is one remark (info), and what the words show is not looked at. Where the order keeps kinds together a little,
chances are taken for as much greater (Kish's design effect).

## Why it matters
Whoever puts poison into a collection does it in one go: one account, one afternoon, one upload. Shuffled later it cannot
be told any more. A file that is sorted by label also harms training that reads it in order.

## Limits
A shuffled burst is none. Files of fewer than 640 records have no order worth judging; bursts of fewer than eight records
are not found, and where one begins and ends is told to eight rows. In a file that is sorted by its labels no burst of
labels can be found, and who makes four bursts makes an order. Openings are compared word by word. Times count by the hour, and by the day where they span more than two weeks;
what the words show is looked at in time only for answers, and nowhere if a tenth of the records have it.
`order_togetherness` is the largest of all files.

## What to do
Look at some of the records, and who brought them that day. If a new source came in then, that is the innocent reason:
declare it. Shuffle before training whatever is sorted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from dataguard.detectors._burst_finder import Burst, FileOrder, Finder
from dataguard.detectors._order import ORDER, SAID, fewer, written_down
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
from dataguard.safe_text import safe_text

FINDINGS = 20
COMPARED = 200
"""Bursts that are put together where they are of the same records, those that chance explains least."""
SURPRISE = 10.0
"""Zeros behind the point that make a score of one half."""
_SAYS = {
    "label": "have the label",
    "source": "name the source",
    "opening": "begin with the same words",
    "answer": "are answered with the same first words",
    "word": "are near copies by a word of theirs",
}


def _day(number: int) -> str:
    return f"2024-{1 + number % 12:02}-{1 + number % 28:02}"


@dataclass(frozen=True, kw_only=True)
class OrderBurst(RecordDetector):
    """Records of one kind stand together in a mixed order.

    Args:
        min_records: bursts of fewer are none.
        chance: the probability that a set in any order has a burst that is found.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG215",
        name="order-burst",
        summary="records of one kind stand together where others are mixed",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0020", "AML.T0059"),
        severity=Severity.LOW,
        confidence=Confidence.MEDIUM,
    )
    kernels: ClassVar[bool] = True
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="sources that come now and then",
            data={
                "text": [f"the {i} th" for i in range(300)],
                "source": ["web", "feed", "web"] * 100,
                "date": [_day(i) for i in range(300)],
            },
        ),
        Example(
            why="all that one source brought came on one day",
            data={
                "text": [f"the {i} th" for i in range(300)],
                "source": ["web"] * 280 + ["feed"] * 20,
                "date": [_day(i) for i in range(280)] + ["2024-02-07"] * 20,
            },
            rows=frozenset(range(280, 300)),
            groups=frozenset({"feed"}),
        ),
    )
    min_records: int = 8
    chance: float = 1e-4

    def passes(self) -> tuple[Pass, ...]:
        """One look."""
        return (Pass(self.observe, compact=fewer),)

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """Kinds by block of rows, and the times of records."""
        return written_down(batch)

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """A finding for each burst, one remark for each aspect that files are sorted by."""
        seen = evidence.select("file", *ORDER).collect()
        counts = seen.filter(pl.col("block").is_null() & pl.col("row").is_null())
        records = int(counts.filter(pl.col("aspect") == "")["n"].sum())
        if not records:
            return Judgement(not_applicable="there are no records")
        finder = Finder(self.min_records, self.chance / max(1, counts["file"].n_unique()))
        bursts = finder.in_time(seen.filter(pl.col("row").is_not_null()))
        blocks = seen.filter(pl.col("block").is_not_null()).sort("file", "aspect", "key", "block")
        by_file = {key: table for (key,), table in blocks.group_by("file", maintain_order=True)}
        files = []
        for (file,), cells in counts.sort("file").group_by("file", maintain_order=True):
            if file in by_file:
                files.append(finder.in_rows(by_file[file], cells))
                bursts += files[-1].bursts
        findings, flagged = _told(bursts, files)
        most = {aspect: max((one.together.get(aspect, 0.0) for one in files), default=0.0) for aspect in SAID}
        covered = pl.concat([burst.rows for burst in bursts]).unique().height if bursts else 0
        return Judgement(
            findings=findings,
            flagged=flagged,
            measures=(
                Measure("burst_share", covered / records, records),
                *(Measure("order_togetherness", most[aspect], records, group=aspect) for aspect in SAID),
            ),
        )


def _told(bursts: list[Burst], files: list[FileOrder]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Findings and flagged: bursts of the same records are one, whatever kinds they are of."""
    findings, flagged = [JUDGED_FINDINGS.to_frame()], [JUDGED_FLAGGED.to_frame()]
    groups: list[list[Burst]] = []
    least = sorted(bursts, key=lambda one: (one.chance, one.aspect, one.key, one.order))[:COMPARED]
    for burst in sorted(least, key=lambda one: (-len(one.rows), one.aspect, one.key)):
        mine = next((group for group in groups if _belongs(burst, group[0])), None)
        if mine is None:
            groups.append([burst])
        else:
            mine.append(burst)
    # By its chance, but where files are many the least chances are those of the largest bursts.
    groups.sort(key=lambda group: (min(one.chance for one in group), group[0].aspect, group[0].key))
    for group in groups[:FINDINGS]:
        finding = _finding(group)
        findings.append(conform(pl.DataFrame([finding]), JUDGED_FINDINGS))
        rows = pl.concat([burst.rows for burst in group]).unique().sort("file", "row")
        rows = rows.with_columns(key=pl.lit(finding["key"]), score=pl.lit(finding["score"]))
        flagged.append(conform(rows, JUDGED_FLAGGED))
    for aspect in SAID:
        ordered = [file.number for file in files if aspect in file.ordered]
        if ordered:
            finding = {
                "key": f"ordered\0{aspect}",
                "score": 0.1,
                "severity": Severity.INFO.value,
                "why": f"the records of {len(ordered)} files stand in the order of their {aspect}: bursts of "
                "one kind cannot be told there; shuffle before training",
            }
            findings.append(conform(pl.DataFrame([finding]), JUDGED_FINDINGS))
            places = pl.DataFrame({"file": ordered}).with_columns(key=pl.lit(finding["key"]))
            flagged.append(conform(places, JUDGED_FLAGGED))
    return pl.concat(findings), pl.concat(flagged)


def _belongs(burst: Burst, other: Burst) -> bool:
    """Whether it is of the same kind in another file, or most of its records are those of the other."""
    if burst[:4] == other[:4]:
        return True
    both = burst.rows.join(other.rows, on=["file", "row"], how="semi")
    return 2 * len(both) >= len(burst.rows)


def _finding(group: list[Burst]) -> dict[str, Any]:
    """A row of JUDGED_FINDINGS; worse where what the data says of the records and what it shows agree."""
    first = group[0]
    named = [one for one in group if one.name]
    least = max(min(one.chance for one in group), 1e-300)
    surprise = -float(np.log10(least))
    both = {one.aspect in SAID for one in group} == {True, False}
    said = [
        f"{len(one.rows)} records that {_SAYS[one.aspect]}"
        + (f" {safe_text(one.name, limit=40)}" if one.name else "")
        + f" stand within {one.span} in the order of {one.order}, of {one.of_kind} such records"
        for one in group
    ]
    return {
        "key": f"{first.order}\0{first.aspect}\0{first.key:016x}",
        "score": round(surprise / (surprise + SURPRISE), 6),
        "column": None,
        "group": named[0].name if named else None,
        "severity": (Severity.MEDIUM if both else Severity.LOW).value,
        "why": "; ".join(dict.fromkeys(said))
        + f"; in any other order so many would stand together with a chance of {least:.1g} at most; or one upload"
        " of its own was put between",
    }

"""All passes of rules over batches that are held in memory, by the same steps as a scan, without evidence on a disk."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import cast

import polars as pl

from dataguard.detectors.base import FollowingDetector, Known, Pass, RecordDetector
from dataguard.engine import Failed
from dataguard.engine.attempt import attempt
from dataguard.findings import Judgement
from dataguard.records.batch import Batch
from dataguard.words import words_of

PARTITIONS = 16
Slices = Sequence[Sequence[Sequence[Batch]]]
"""Batches by slice (what one worker reads at a time) by file."""


def judge_all(
    detectors: Sequence[RecordDetector], files: Slices
) -> tuple[dict[str, Judgement], dict[str, str]]:
    """What each rule concludes, and why some came to no conclusion; both by code.

    Args:
        detectors: the rules, in any order; one that follows others is told of those that are among them.
        files: the data.
    """
    judged: dict[str, Judgement] = {}
    errors: dict[str, str] = {}
    waiting = list(detectors)
    while waiting:
        codes = {detector.rule.code for detector in waiting}
        now = [detector for detector in waiting if not codes & set(detector.rule.after)]
        waiting = [detector for detector in waiting if detector not in now]
        for detector in now:
            earlier = {code: judged[code] for code in detector.rule.after if code in judged}
            found = attempt(judge, detector, files, earlier)
            if isinstance(found, Failed):
                errors[detector.rule.code] = found.reason
            elif found is not None:
                judged[detector.rule.code] = found
    return judged, errors


def judge(
    detector: RecordDetector, files: Slices, earlier: Mapping[str, Judgement] | None = None
) -> Judgement | None:
    """What one rule concludes; None where no file has what it needs.

    Args:
        detector: the rule.
        files: the data, each file cut into what one worker reads at a time. Files that lack a role that the rule
            needs are not shown to it.
        earlier: what the rules that it follows concluded.
    """
    known: Known = None
    evidence = None
    for this in detector.passes():
        evidence = look(detector, this, known, files)
        if evidence is None:
            return None
        if this.fold is not None:
            known = this.fold(evidence.lazy(), known)
    assert evidence is not None
    if isinstance(detector, FollowingDetector):
        return detector.judge_following(evidence.lazy(), known, earlier or {})
    return detector.judge(evidence.lazy(), known)


def look(detector: RecordDetector, this: Pass, known: Known, files: Slices) -> pl.DataFrame | None:
    """The evidence of one pass over all files, with the column `file`; None where nothing was to be seen."""
    if this.sweep is not None:
        if known is None:
            return None
        return swept(detector, this, known, files)
    tables = [
        observe(this, known, batches).with_columns(file=pl.lit(number, dtype=pl.UInt32))
        for number, slices in enumerate(files)
        for batches in slices
        if any(batch.roles.has(detector.needs) for batch in batches)
    ]
    if not tables:
        return None
    evidence = pl.concat(tables)
    if this.relate is None:
        return evidence.with_columns(name=pl.lit("")) if detector.by_name else evidence
    if len(this.keys) > 1:
        return pl.concat([this.relate(banded(evidence, this.keys, band)) for band in range(len(this.keys))])
    partition = pl.Series(evidence["key"].to_numpy() >> 60)
    return pl.concat([this.relate(evidence.filter(partition == number)) for number in range(PARTITIONS)])


def swept(
    detector: RecordDetector, this: Pass, known: Mapping[str, object], files: Slices
) -> pl.DataFrame | None:
    """What a sweep over the words of all files shows."""
    assert this.sweep is not None
    words = [
        (number, words_of(batch))
        for number, slices in enumerate(files)
        for batch in sorted(itertools.chain(*slices), key=lambda batch: batch.first_row)
        if batch.roles.has(detector.needs)
    ]
    parts = [this.sweep(words, known, part) for part in range(cast("int", known["parts"]))]
    return pl.concat(parts) if parts else None


def observe(this: Pass, known: Known, batches: Sequence[Batch]) -> pl.DataFrame:
    """The evidence of what one worker reads at a time."""
    table = pl.concat([this.look(batch, known) for batch in batches])
    return this.compact(table) if this.compact is not None else table


def banded(evidence: pl.DataFrame, keys: Sequence[str], band: int) -> pl.DataFrame:
    """The partition of one of several keys."""
    named = {"key": pl.col(keys[band]), "next": pl.col(keys[(band + 1) % len(keys)])}
    table = evidence.select(pl.exclude(keys), **named, band=pl.lit(band, dtype=pl.UInt32))
    return table.filter(pl.col("key").is_not_null())

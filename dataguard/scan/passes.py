"""Every pass of every rule over every item: only what has no evidence yet is decoded.

Evidence of an unchanged file serves in any set, so a second scan reads what the first wrote down.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from dataguard.config import Limits
from dataguard.config import Source as DeclaredSource
from dataguard.detectors.base import Known, RecordDetector
from dataguard.digests import CANON
from dataguard.engine import Failed, LocalEngine
from dataguard.errors import DataguardError
from dataguard.evidence import Evidence, evidence_key, read_parquet
from dataguard.findings import Judgement
from dataguard.provenance import Provenance
from dataguard.records import Incident
from dataguard.scan.archive import judgement_from, known_digest, known_from
from dataguard.scan.plan import File, Item, incident_of
from dataguard.scan.progress import Progress
from dataguard.scan.work import (
    ASSESSED,
    DIGESTS,
    JUDGED,
    KNOWN,
    PARTITIONS,
    PROVENANCE,
    ROOTS,
    AssessItem,
    ConcludeItem,
    Look,
    ObserveItem,
    RelateItem,
    Source,
    assess_item,
    assessed_from,
    fold_item,
    judge_item,
    observe_item,
    relate_item,
)
from dataguard.version import __version__

SMALL_BATCH = 256
PROVENANCE_VERSION = 1
RELATE_BYTES = 32 << 20
"""Evidence on the disk that is related at once."""


@dataclass
class Book:
    """What has become of the items: kept by the parent while the passes run.

    Args:
        broken: why an item came to nothing, by (file number, first row group).
        over: files that decode to more than their budget.
        errors: reason by rule.
        known: what the last fold told, by rule.
        told: its digest, by rule.
        looked: items that were decoded, each pass counted.
    """

    broken: dict[tuple[int, int], Incident] = field(default_factory=dict)
    over: set[int] = field(default_factory=set)
    errors: dict[str, str] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    looked: int = 0
    _places: dict[str, tuple[int, int]] = field(default_factory=dict)

    def stands(self, item: Item) -> bool:
        """Whether the item was read."""
        return (item.file.number, item.first) not in self.broken and item.file.number not in self.over

    def fail(self, rule: str, place: tuple[int, int], reason: str) -> None:
        """Notes a rule's error: of several the first by place, as which one came first is chance."""
        if rule not in self.errors or place < self._places.get(rule, place):
            self.errors[rule], self._places[rule] = reason, place

    def moved(self, item: Item) -> bool:
        """Whether its file moved, which says nothing of another with the bytes it had."""
        incident = self.broken.get((item.file.number, item.first))
        return incident is not None and incident.rule == "DG505"


@dataclass(frozen=True)
class Passes:
    """Runs the passes of the record rules.

    Args:
        root: the data set's root.
        items: the work items of all files, in order.
        detectors: the record rules.
        limits: bounds.
        max_rows: the most rows of a batch.
        evidence: what is kept.
        engine: where items run.
        progress: told of each item.
        key_id: the secret's id, for rules that use it.
    """

    root: Path
    items: tuple[Item, ...]
    detectors: tuple[RecordDetector, ...]
    limits: Limits
    max_rows: int
    evidence: Evidence
    engine: LocalEngine
    progress: Progress
    key_id: str
    book: Book = field(default_factory=Book)

    def run(self) -> None:
        """All passes of all rules, the first together with digests and provenance."""
        for number in range(max((len(d.passes()) for d in self.detectors), default=1)):
            detectors = [
                d for d in self.detectors if len(d.passes()) > number and d.rule.code not in self.book.errors
            ]
            asked = self._observe(number, detectors)
            if number == 0:
                self._weigh()
            self._settle(asked)
            for detector in detectors:
                if detector.passes()[number].fold is not None and detector.rule.code not in self.book.errors:
                    self._fold(detector, number)

    def _weigh(self) -> None:
        """Decides which files are over their budget, by the evidence alone: by whom and when it was read is chance."""
        decoded: dict[int, int] = {}
        for item in self.items:
            if self.evidence.has(ROOTS, item.key(canon=CANON)):
                # The bytes of an item stand on each of its row groups.
                decoded[item.file.number] = decoded.get(item.file.number, 0) + max(
                    (r["decoded"] for r in self.roots(item)), default=0
                )
        self.book.over |= {
            item.file.number
            for item in self.items
            if decoded.get(item.file.number, 0) > budget(item.file, self.limits)
        }

    def _settle(self, asked: Sequence[tuple[Item, tuple[Look, ...]]]) -> None:
        """Whatever still lacks evidence was not read, whoever was to read it.

        Args:
            asked: items with the looks that had no evidence before the pass.
        """
        broken = {
            (item.file.sha256, item.first): self.book.broken[item.file.number, item.first]
            for item in self.items
            if (item.file.number, item.first) in self.book.broken and not self.book.moved(item)
        }
        for item, looks in asked:
            lacks = any(
                not self._has(look)
                for look in looks
                # A rule writes nothing down of no records, or where it has an error.
                if look.kind not in self.book.errors and (item.rows or look.kind == DIGESTS)
            )
            if lacks and self.book.stands(item):
                # Of files of equal bytes one is read for all: what became of it became of each.
                twin = broken.get((item.file.sha256, item.first))
                self.book.broken[item.file.number, item.first] = twin or Incident(
                    "DG503", "not read to the end"
                )

    def looks(self, item: Item, number: int, detectors: Sequence[RecordDetector]) -> tuple[Look, ...]:
        """Who looks at an item in a pass."""
        looks = []
        if number == 0:
            looks.append(Look(DIGESTS, item.key(canon=CANON)))
            looks.append(
                Look(PROVENANCE, item.key(provenance=PROVENANCE_VERSION, roles=item.file.roles.to_json()))
            )
        for detector in detectors:
            if item.file.roles.has(detector.needs):
                known = self.book.known.get(detector.rule.code) if number else None
                looks.append(
                    Look(
                        detector.rule.code, self._key(item, detector, number, known), detector, number, known
                    )
                )
        return tuple(looks)

    def _key(self, item: Item, detector: RecordDetector, number: int, known: Known) -> str:
        return item.key(
            rule=detector.rule.code,
            version=detector.rule.version,
            number=number,
            options=detector.options(),
            roles=item.file.roles.to_json(),
            secret=self.key_id,
            known=self.book.told[detector.rule.code] if known is not None else known_digest(None),
        )

    def _has(self, look: Look) -> bool:
        """Whether all that a look writes down stands: digests come in two pieces, and a kill may part them."""
        kinds = (DIGESTS, ROOTS) if look.kind == DIGESTS else (look.kind,)
        return all(self.evidence.has(kind, look.key) for kind in kinds)

    def _observe(
        self, number: int, detectors: Sequence[RecordDetector]
    ) -> list[tuple[Item, tuple[Look, ...]]]:
        """One pass over the items that lack evidence of it; gives these, read or not."""
        twins: dict[str, list[tuple[Item, tuple[Look, ...]]]] = {}
        for item in self.items:
            looks = tuple(look for look in self.looks(item, number, detectors) if not self._has(look))
            if looks and self.book.stands(item):
                # Files of equal bytes share their evidence: one of them is read, or the next if that one moved.
                twins.setdefault(json.dumps(sorted(look.key for look in looks)), []).append((item, looks))
        asked = [one for same in twins.values() for one in same]
        name = "reading and screening" if number == 0 else f"looking again ({number + 1})"
        again: list[tuple[Item, tuple[Look, ...]]] = []
        with self.progress.stage(name, len(twins)) as advance:

            def ended(item: Item, looks: tuple[Look, ...], failed: Failed) -> None:
                if failed.kind in ("died", "memory", "error"):
                    again.append((item, looks))
                else:
                    self.book.broken[item.file.number, item.first] = incident_of(failed)

            while twins:
                self._map([same[0] for same in twins.values()], self.max_rows, advance, ended)
                # Once more in small batches: what was too much at once may still be read.
                self._map(again, min(SMALL_BATCH, self.max_rows), None, self._give_up)
                again.clear()
                twins = {
                    key: same[1:] for key, same in twins.items() if self.book.moved(same[0][0]) and same[1:]
                }
        return asked

    def _give_up(self, item: Item, looks: tuple[Look, ...], failed: Failed) -> None:
        self.book.broken[item.file.number, item.first] = incident_of(failed)

    def _map(
        self,
        wanted: list[tuple[Item, tuple[Look, ...]]],
        max_rows: int,
        advance: Callable[[int, int], None] | None,
        ended: Callable[[Item, tuple[Look, ...], Failed], None],
    ) -> None:
        by_place: dict[tuple[str, int], tuple[Item, tuple[Look, ...]]] = {}
        decoded: dict[int, int] = {}

        def items() -> Iterator[ObserveItem]:
            for item, looks in wanted:
                if item.file.number not in self.book.over:
                    by_place[item.file.name, item.first] = (item, looks)
                    yield ObserveItem(
                        item.part(self.root),
                        item.file.roles,
                        self.limits,
                        max_rows,
                        looks,
                        self.evidence.folder,
                    )

        for result in self.engine.map(observe_item, items(), seconds=self._seconds):
            value = result.value
            item, looks = by_place.pop((result.item.part.name, result.item.part.first))
            if isinstance(value, Failed):
                ended(item, looks, value)
            elif value.incident is not None:
                self.book.broken[item.file.number, item.first] = value.incident
            else:
                self.evidence.keep(list(value.made))
                for rule, reason in value.errors.items():
                    self.book.fail(rule, (item.file.number, item.first), reason)
            self.book.looked += 1
            if not isinstance(value, Failed):
                number = item.file.number
                if value.incident is None:
                    # How far a broken item came depends on the batches, and the file's end may not.
                    decoded[number] = decoded.get(number, 0) + value.decoded
                if decoded.get(number, 0) > budget(item.file, self.limits):
                    self.book.over.add(number)
                if advance is not None:
                    advance(1, value.decoded)

    def _seconds(self, item: ObserveItem) -> float:
        return self.limits.seconds(item.part.size)

    def inputs(self, detector: RecordDetector, number: int) -> tuple[Source, ...]:
        """The evidence of a pass, by file."""
        known = self.book.known.get(detector.rule.code) if number else None
        return tuple(
            Source(item.file.number, self.evidence.path(detector.rule.code, key))
            for item in self.items
            if self.book.stands(item) and item.file.roles.has(detector.needs)
            for key in [self._key(item, detector, number, known)]
            if self.evidence.has(detector.rule.code, key)
        )

    def concluding(self, detector: RecordDetector, number: int) -> ConcludeItem | None:
        """What is folded or judged after a pass, once related; None where nothing was observed."""
        inputs = self.inputs(detector, number)
        if inputs and detector.passes()[number].relate is not None:
            inputs = self._relate(detector, number, inputs)
        if not inputs or detector.rule.code in self.book.errors:
            return None
        known = self.book.known.get(detector.rule.code) if number else None
        seen = [[source.file, source.path.stem] for source in inputs]
        # With the version of the tool, as a better fold or judge must not be answered by the one before.
        parts = {"conclude": detector.rule.code, "dataguard": __version__, "options": detector.options()}
        key = evidence_key({**parts, "number": number, "seen": seen})
        return ConcludeItem(detector, number, inputs, known, self.evidence.folder, key)

    def _relate(
        self, detector: RecordDetector, number: int, inputs: tuple[Source, ...]
    ) -> tuple[Source, ...]:
        code = detector.rule.code
        seen = [[source.file, self.evidence.sha256(code, source.path.stem)] for source in inputs]
        parts = {
            "relate": code,
            "version": detector.rule.version,
            "dataguard": __version__,
            "options": detector.options(),
            "seen": seen,
        }
        keys = [evidence_key({**parts, "number": number, "partition": p}) for p in range(PARTITIONS)]
        missing = [(p, key) for p, key in enumerate(keys) if not self.evidence.has(code, key)]
        # As many partitions at once as memory bears, as each item opens all the evidence.
        size = sum(source.path.stat().st_size for source in inputs)
        items = min(PARTITIONS, max(self.engine.workers, -(-size // RELATE_BYTES)))
        each = max(1, -(-len(missing) // items))
        self._make(
            f"relating {detector.rule.name}",
            relate_item,
            [
                RelateItem(detector, number, tuple(missing[at : at + each]), inputs, self.evidence.folder)
                for at in range(0, len(missing), each)
            ],
        )
        return tuple(Source(None, self.evidence.path(code, key)) for key in keys)

    def _fold(self, detector: RecordDetector, number: int) -> None:
        item = self.concluding(detector, number)
        if item is None:
            return
        if not self.evidence.has(KNOWN, item.key):
            self._make(f"summing up {detector.rule.name}", fold_item, [item])
        if detector.rule.code in self.book.errors:
            return
        known = known_from(self.evidence.path(KNOWN, item.key).read_bytes())
        self.book.known[detector.rule.code] = known
        self.book.told[detector.rule.code] = known_digest(known)

    def judge(self) -> dict[str, Judgement]:
        """What each rule concludes; a rule without evidence or with an error is not in the answer."""
        items = []
        for detector in self.detectors:
            item = self.concluding(detector, len(detector.passes()) - 1)
            if item is not None:
                items.append(item)
        self._make("judging", judge_item, [item for item in items if not self.evidence.has(JUDGED, item.key)])
        return {
            item.detector.rule.code: judgement_from(self.evidence.path(JUDGED, item.key).read_bytes())
            for item in items
            if item.detector.rule.code not in self.book.errors
        }

    def _make(self, stage: str, function: Callable[[Any], Any], items: list[Any]) -> None:
        """Runs items of single rules and keeps what they make; an error is the rule's."""
        places = {id(item): (number, 0) for number, item in enumerate(items)}
        with self.progress.stage(stage, len(items)) as advance:
            for result in self.engine.map(function, items):
                if isinstance(result.value, Failed):
                    place = places[id(result.item)]
                    self.book.fail(result.item.detector.rule.code, place, result.value.reason)
                else:
                    made = result.value
                    self.evidence.keep(made if isinstance(made, list) else [made])
                advance(1, 0)

    def roots(self, item: Item) -> list[dict[str, Any]]:
        """The roots of an item's row groups: group, rows, root, decoded."""
        return read_parquet(self.evidence.path(ROOTS, item.key(canon=CANON))).to_pylist()  # type: ignore[no-any-return]

    def provenance(self, files: pl.DataFrame, declared: tuple[DeclaredSource, ...]) -> Provenance:
        """The status of every source and record.

        Raises:
            DataguardError: it could not be assessed; a run without it would be no run.
        """
        inputs = tuple(
            Source(item.file.number, path)
            for item in self.items
            if self.book.stands(item)
            for key in [item.key(provenance=PROVENANCE_VERSION, roles=item.file.roles.to_json())]
            for path in [self.evidence.path(PROVENANCE, key)]
            if self.evidence.has(PROVENANCE, key)
        )
        seen = [[source.file, source.path.stem] for source in inputs]
        stated = [asdict(source) for source in declared]
        listed = hashlib.sha256(files.write_json().encode()).hexdigest()
        key = evidence_key(
            {
                "assess": PROVENANCE_VERSION,
                "dataguard": __version__,
                "seen": seen,
                "declared": stated,
                "files": listed,
            }
        )
        if not self.evidence.has(ASSESSED, key):
            item = AssessItem(files, inputs, declared, self.evidence.folder, key)
            (result,) = self.engine.map(assess_item, [item])
            if isinstance(result.value, Failed):
                reason = result.value.reason
                raise DataguardError(f"the provenance of the records could not be assessed: {reason}")
            self.evidence.keep([result.value])
        return assessed_from(self.evidence.path(ASSESSED, key).read_bytes())


def budget(file: File, limits: Limits) -> int:
    """Decoded bytes that a file may have."""
    return limits.budget(file.stamp.size if file.stamp else 0)

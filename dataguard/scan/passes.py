"""Every pass of every rule over every item: only what has no evidence yet is decoded.

Evidence of an unchanged file serves in any set, so a second scan reads what the first wrote down.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from dataguard.config import Limits
from dataguard.config import Source as DeclaredSource
from dataguard.detectors.base import RecordDetector
from dataguard.digests import CANON
from dataguard.engine import Failed, LocalEngine
from dataguard.errors import DataguardError
from dataguard.evidence import Evidence, evidence_key, read_parquet
from dataguard.findings import Judgement
from dataguard.provenance import Provenance
from dataguard.records import Incident
from dataguard.scan.archive import judgement_from, plain_of
from dataguard.scan.plan import File, Item, incident_of
from dataguard.scan.progress import Progress
from dataguard.scan.relate import Partition, RelateItem, Source, SweepItem, relate_item, sweep_item
from dataguard.scan.work import (
    ASSESSED,
    DIGESTS,
    JUDGED,
    KNOWN,
    PARTITIONS,
    PROVENANCE,
    ROOTS,
    WORDS,
    AssessItem,
    ConcludeItem,
    Look,
    ObserveItem,
    assess_item,
    assessed_from,
    fold_item,
    judge_item,
    observe_item,
)
from dataguard.secret import Secret
from dataguard.version import __version__
from dataguard.words import VERSION as WORDS_VERSION

SMALL_BATCH = 256
PROVENANCE_VERSION = 1


@dataclass
class Book:
    """What has become of the items: kept by the parent while the passes run.

    Args:
        broken: why an item came to nothing, by (file number, first row group).
        over: files that decode to more than their budget.
        errors: reason by rule.
        known: the evidence key of what the last fold told, by rule.
        swept: what the last sweep showed, by rule and pass.
    """

    broken: dict[tuple[int, int], Incident] = field(default_factory=dict)
    over: set[int] = field(default_factory=set)
    errors: dict[str, str] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)
    swept: dict[tuple[str, int], tuple[Source, ...]] = field(default_factory=dict)
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
        secret: the project's; rules get what is derived from it, and evidence keys its id.
    """

    root: Path
    items: tuple[Item, ...]
    detectors: tuple[RecordDetector, ...]
    limits: Limits
    max_rows: int
    evidence: Evidence
    engine: LocalEngine
    progress: Progress
    secret: Secret
    book: Book = field(default_factory=Book)
    _judged: dict[str, ConcludeItem] = field(default_factory=dict)

    def run(self) -> None:
        """All passes of all rules, the first together with digests and provenance."""
        for number in range(max((len(d.passes()) for d in self.detectors), default=1)):
            detectors = [
                d for d in self.detectors if len(d.passes()) > number and d.rule.code not in self.book.errors
            ]
            asked = self._observe(number, [d for d in detectors if d.passes()[number].sweep is None])
            if number == 0:
                self._weigh()
            self._settle(asked)
            for detector in detectors:
                if detector.passes()[number].sweep is not None:
                    self._sweep(detector, number)
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
            if any(self._sweeps(detector) and item.file.roles.has(detector.needs) for detector in detectors):
                looks.append(Look(WORDS, self._words_key(item)))
        for detector in detectors:
            if item.file.roles.has(detector.needs):
                code, known = detector.rule.code, self._known(detector, number)
                looks.append(Look(code, self._key(item, detector, number), detector, number, known))
        return tuple(looks)

    def _key(self, item: Item, detector: RecordDetector, number: int) -> str:
        return item.key(
            rule=detector.rule.code,
            version=detector.rule.version,
            number=number,
            options=detector.options(),
            roles=item.file.roles.to_json(),
            secret=self.secret.key_id,
            known=self._told(detector, number),
        )

    def _words_key(self, item: Item) -> str:
        return item.key(words=WORDS_VERSION, roles=item.file.roles.to_json(), secret=self.secret.key_id)

    def _sweeps(self, detector: RecordDetector) -> bool:
        return any(this.sweep is not None for this in detector.passes())

    def _known(self, detector: RecordDetector, number: int) -> Path | None:
        """The file with what a pass is told."""
        key = self.book.known.get(detector.rule.code) if number else None
        return None if key is None else self.evidence.path(KNOWN, key)

    def _told(self, detector: RecordDetector, number: int) -> str:
        """The digest of what a pass is told."""
        key = self.book.known.get(detector.rule.code) if number else None
        return "" if key is None else self.evidence.sha256(KNOWN, key)

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
        if not twins:
            return asked
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
                        self._shared,
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

            if not isinstance(value, Failed):
                number = item.file.number
                if value.incident is None:
                    # How far a broken item came depends on the batches, and the file's end may not.
                    decoded[number] = decoded.get(number, 0) + value.decoded
                if decoded.get(number, 0) > budget(item.file, self.limits):
                    self.book.over.add(number)
                if advance is not None:
                    advance(1, value.decoded)

    @property
    def _shared(self) -> bytes:
        """What rules key their hashes with."""
        return self.secret.derive("rules")

    def _seconds(self, item: ObserveItem) -> float:
        return self.limits.seconds(item.part.size)

    def inputs(self, detector: RecordDetector, number: int) -> tuple[Source, ...]:
        """The evidence of a pass, by file."""
        if detector.passes()[number].sweep is not None:
            return self.book.swept.get((detector.rule.code, number), ())
        return tuple(
            Source(item.file.number, self.evidence.path(detector.rule.code, key))
            for item in self.items
            if self.book.stands(item) and item.file.roles.has(detector.needs)
            for key in [self._key(item, detector, number)]
            if self.evidence.has(detector.rule.code, key)
        )

    def concluding(self, detector: RecordDetector, number: int) -> ConcludeItem | None:
        """What is folded or judged after a pass, once related; None where nothing was observed."""
        inputs = self.inputs(detector, number)
        if inputs and detector.passes()[number].relate is not None:
            inputs = self._relate(detector, number, inputs)
        if not inputs or detector.rule.code in self.book.errors:
            return None
        earlier = self._earlier(detector)
        seen: list[Any] = [[source.file, source.path.stem] for source in inputs]
        seen += [[code, path.stem] for code, path in earlier]
        # With the version of the tool, as a better fold or judge must not be answered by the one before.
        parts = {"conclude": detector.rule.code, "dataguard": __version__, "options": detector.options()}
        key = evidence_key({**parts, "number": number, "seen": seen})
        known = self._known(detector, number)
        return ConcludeItem(detector, number, inputs, known, self.evidence.folder, key, earlier)

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
        size = sum(source.path.stat().st_size for source in inputs)
        partitions = [
            replace(
                one,
                key=evidence_key({**parts, "number": number, "partition": [one.band, one.split, one.bits]}),
            )
            for one in _partitions(detector.passes()[number].keys, size, self.limits.relate_bytes)
        ]
        missing = [one for one in partitions if not self.evidence.has(code, one.key)]
        # As many partitions at once as memory bears, as each item opens all the evidence.
        items = min(len(partitions), max(self.engine.workers, -(-3 * size // self.limits.relate_bytes)))
        each = max(1, -(-len(missing) // items))
        if partitions[0].bits and len(detector.passes()[number].keys) > 1:
            each = 1  # one split of one band is all that memory bears
        self._make(
            f"relating {detector.rule.name}",
            relate_item,
            [
                RelateItem(detector, number, tuple(missing[at : at + each]), inputs, self.evidence.folder)
                for at in range(0, len(missing), each)
            ],
        )
        return tuple(Source(None, self.evidence.path(code, one.key)) for one in partitions)

    def _sweep(self, detector: RecordDetector, number: int) -> None:
        """A pass over the words that were kept; no data is read."""
        code = detector.rule.code
        fits = [item for item in self.items if self.book.stands(item) and item.file.roles.has(detector.needs)]
        keys = {self._words_key(item): item for item in fits}
        lost = [item for key, item in keys.items() if not self.evidence.sound(WORDS, key)]
        if lost:
            self._map(
                [(item, (Look(WORDS, self._words_key(item)),)) for item in lost],
                self.max_rows,
                None,
                self._give_up,
            )
        words = tuple(
            (item.file.number, self.evidence.path(WORDS, key))
            for item in fits
            for key in [self._words_key(item)]
            if self.evidence.has(WORDS, key) and self.book.stands(item)
        )
        known = self._known(detector, number)
        if not words or known is None or code in self.book.errors:
            return
        count = plain_of(known)["parts"]
        parts = {
            "sweep": code,
            "version": detector.rule.version,
            "dataguard": __version__,
            "options": detector.options(),
            "number": number,
            "known": self._told(detector, number),
            "words": [[file, path.stem] for file, path in words],
        }
        items = [
            SweepItem(
                detector,
                number,
                part,
                words,
                known,
                self.evidence.folder,
                evidence_key({**parts, "part": part}),
                self._shared,
            )
            for part in range(count)
        ]
        missing = [item for item in items if not self.evidence.has(code, item.key)]
        self._make(f"comparing {detector.rule.name}", sweep_item, missing)
        self.book.swept[code, number] = tuple(
            Source(None, self.evidence.path(code, item.key)) for item in items
        )

    def _fold(self, detector: RecordDetector, number: int) -> None:
        item = self.concluding(detector, number)
        if item is None:
            return
        if not self.evidence.has(KNOWN, item.key):
            self._make(f"summing up {detector.rule.name}", fold_item, [item])
        if detector.rule.code in self.book.errors:
            return
        self.book.known[detector.rule.code] = item.key

    def judge(self) -> dict[str, Judgement]:
        """What each rule concludes; a rule without evidence or with an error is not in the answer."""
        judged: dict[str, ConcludeItem] = {}
        waiting = list(self.detectors)
        while waiting:
            # Those that stand on nobody who still waits.
            open_codes = {detector.rule.code for detector in waiting}
            now = [detector for detector in waiting if not open_codes & set(detector.rule.after)]
            waiting = [detector for detector in waiting if detector not in now]
            for detector in now:
                item = self.concluding(detector, len(detector.passes()) - 1)
                if item is not None:
                    judged[detector.rule.code] = self._judged[detector.rule.code] = item
            items = [judged[detector.rule.code] for detector in now if detector.rule.code in judged]
            self._make(
                "judging", judge_item, [item for item in items if not self.evidence.has(JUDGED, item.key)]
            )
        return {
            code: judgement_from(self.evidence.path(JUDGED, item.key).read_bytes())
            for code, item in judged.items()
            if code not in self.book.errors
        }

    def _earlier(self, detector: RecordDetector) -> tuple[tuple[str, Path], ...]:
        """What the rules that this one stands on concluded."""
        return tuple(
            (code, self.evidence.path(JUDGED, self._judged[code].key))
            for code in detector.rule.after
            if code in self._judged and code not in self.book.errors
        )

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


def _partitions(keys: tuple[str, ...], size: int, held: int) -> list[Partition]:
    """The partitions of evidence shuffled by these columns.

    Args:
        keys: one or several columns.
        size: bytes of the evidence on the disk.
        held: bytes of it that may be held at once.
    """
    if len(keys) == 1:
        return [Partition(0, split, 4, "") for split in range(PARTITIONS)]
    # A partition has the key, the next one and what names the record: about four columns of the whole.
    bits = max(0, (4 * size // (len(keys) + 3) // held).bit_length())
    return [Partition(band, split, bits, "") for band in range(len(keys)) for split in range(1 << bits)]


def budget(file: File, limits: Limits) -> int:
    """Decoded bytes that a file may have."""
    return limits.budget(file.stamp.size if file.stamp else 0)

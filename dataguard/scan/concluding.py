"""What is made of evidence: pairs related, words compared, sums told on, judgements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from dataguard.detectors.base import AGAINST, FollowingDetector, RecordDetector
from dataguard.engine import Failed, Result
from dataguard.evidence import evidence_key
from dataguard.findings import Judgement
from dataguard.scan.against import Index, index_mac, made_in
from dataguard.scan.archive import judgement_from, plain_of
from dataguard.scan.context import Context
from dataguard.scan.looking import Looking
from dataguard.scan.relate import Partition, RelateItem, Source, SweepItem, relate_item, sweep_item
from dataguard.scan.work import (
    JUDGED,
    KNOWN,
    PARTITIONS,
    WORDS,
    ConcludeItem,
    Look,
    fold_item,
    judge_item,
)
from dataguard.version import __version__
from dataguard.words import counted


class Sweeping(NamedTuple):
    """Parts of sweeps that workers are at.

    Attributes:
        names: of the rules.
        items: the parts.
        ends: to be asked for what became of them.
    """

    names: str
    items: list[SweepItem]
    ends: Iterator[Result]


@dataclass(frozen=True)
class Concluding:
    """Relates, compares, sums up and judges what rules wrote down.

    Args:
        context: the scan.
        looking: who reads again what was lost.
        indexes: what an earlier run wrote down, by rule.
    """

    context: Context
    looking: Looking
    indexes: dict[str, Index]
    _judged: dict[str, ConcludeItem] = field(default_factory=dict)

    def inputs(self, detector: RecordDetector, number: int) -> tuple[Source, ...]:
        """The evidence of a pass, by file."""
        if detector.passes()[number].sweep is not None:
            return self.context.book.swept.get((detector.rule.code, number), ())
        return tuple(
            Source(
                item.file.number,
                self.context.evidence.path(detector.rule.code, key),
                item.file.name if detector.by_name else None,
            )
            for item in self.context.items
            if self.context.book.stands(item) and item.file.roles.has(detector.needs)
            for key in [self.context.key(item, detector, number)]
            if self.context.evidence.has(detector.rule.code, key)
        )

    def concluding(self, detector: RecordDetector, number: int) -> ConcludeItem | None:
        """What is folded or judged after a pass, once related; None where nothing was observed."""
        inputs = self.inputs(detector, number)
        index = self.indexes.get(detector.rule.code) if number == 0 else None
        # Who follows others is told what it concluded there instead, where it relates nothing.
        beside = detector.passes()[number].relate is not None or not isinstance(detector, FollowingDetector)
        if inputs and index is not None and beside:
            inputs += tuple(
                Source(file, path, index.names[file] if detector.by_name else None)
                for file, path in index.observed
            )
        if inputs and detector.passes()[number].relate is not None:
            inputs = self._relate(detector, number, inputs)
        if not inputs or detector.rule.code in self.context.book.errors:
            return None
        earlier = self._earlier(detector)
        seen: list[Any] = [source.seen() for source in inputs]
        seen += [[code, path.stem] for code, path in earlier]
        # With the version of the tool, as a better fold or judge must not be answered by the one before.
        parts = {"conclude": detector.rule.code, "dataguard": __version__, "options": detector.options()}
        key = evidence_key({**parts, "number": number, "seen": seen})
        known = self.context.known(detector, number)
        return ConcludeItem(detector, number, inputs, known, self.context.evidence.folder, key, earlier)

    def _relate(
        self, detector: RecordDetector, number: int, inputs: tuple[Source, ...]
    ) -> tuple[Source, ...]:
        code = detector.rule.code
        seen = [[source.file, source.path.stem] for source in inputs]
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
            for one in _partitions(detector.passes()[number].keys, size, self.context.limits.relate_bytes)
        ]
        missing = [one for one in partitions if not self.context.evidence.has(code, one.key)]
        # As many partitions at once as memory bears, as each item opens all the evidence.
        items = min(
            len(partitions),
            max(self.context.engine.workers, -(-3 * size // self.context.limits.relate_bytes)),
        )
        each = max(1, -(-len(missing) // items))
        if partitions[0].bits and len(detector.passes()[number].keys) > 1:
            each = 1  # one split of one band is all that memory bears
        self._make(
            f"relating {detector.rule.name}",
            relate_item,
            [
                RelateItem(
                    detector, number, tuple(missing[at : at + each]), inputs, self.context.evidence.folder
                )
                for at in range(0, len(missing), each)
            ],
        )
        return tuple(Source(None, self.context.evidence.path(code, one.key)) for one in partitions)

    def begin_sweep(self, detectors: list[RecordDetector], number: int) -> Sweeping:
        """Begins a pass of some rules over the words that were kept; workers that others do not need are at it."""
        items = {detector.rule.name: self._parts_of(detector, number) for detector in detectors}
        # Those of few parts first: a long one that comes last is waited for.
        missing = [item for its in sorted((its for its in items.values() if its), key=len) for item in its]
        names = ", ".join(name for name, its in items.items() if its)
        return Sweeping(names, missing, self.context.engine.begin(sweep_item, missing))

    def sweep(self, detectors: list[RecordDetector], number: int, begun: Sweeping | None = None) -> None:
        """A pass of some rules over the words that were kept; no data is read.

        Args:
            detectors: the rules.
            number: the pass.
            begun: what `begin_sweep` began of it. Should files have been lost since, it is done again without them.
        """
        if begun is not None and begun.items:
            self._keep(f"comparing {begun.names}", begun.items, begun.ends)
        after = self.begin_sweep(detectors, number)
        if after.items:
            self._keep(f"comparing {after.names}", after.items, after.ends)

    def _parts_of(self, detector: RecordDetector, number: int) -> list[SweepItem]:
        """The parts of a rule's sweep that nobody has made yet."""
        code = detector.rule.code
        fits = [
            item
            for item in self.context.items
            if self.context.book.stands(item) and item.file.roles.has(detector.needs)
        ]
        keys = {self.context.words_key(item): item for item in fits}
        lost = [item for key, item in keys.items() if not self.context.evidence.sound(WORDS, key)]
        if lost:
            self.looking.map(
                [(item, (Look(WORDS, self.context.words_key(item)),)) for item in lost],
                self.context.max_rows,
                None,
                self.looking.give_up,
            )
        words = tuple(
            (item.file.number, self.context.evidence.path(WORDS, key))
            for item in fits
            for key in [self.context.words_key(item)]
            if self.context.evidence.has(WORDS, key) and self.context.book.stands(item)
        )
        if code in self.indexes:
            words += self.indexes[code].words
        known = self.context.known(detector, number)
        if not words or known is None or code in self.context.book.errors:
            return []
        count = plain_of(known)["parts"]
        parts = {
            "sweep": code,
            "version": detector.rule.version,
            "dataguard": __version__,
            "options": detector.options(),
            "number": number,
            "known": self.context.told(detector, number),
            "words": [[file, path.stem] for file, path in words],
        }
        items = [
            SweepItem(
                detector,
                number,
                part,
                words,
                known,
                self.context.evidence.folder,
                evidence_key({**parts, "part": part}),
                self.context.shared,
            )
            for part in range(count)
        ]
        self.context.book.swept[code, number] = tuple(
            Source(None, self.context.evidence.path(code, item.key)) for item in items
        )
        return [item for item in items if not self.context.evidence.has(code, item.key)]

    def unspaced(self) -> float | None:
        """The share of words that are single characters of scripts without spaces, of all words that were kept."""
        sweeps = [d for d in self.context.detectors if any(one.sweep is not None for one in d.passes())]
        keys = {
            self.context.words_key(item)
            for item in self.context.items
            if self.context.book.stands(item) and any(item.file.roles.has(d.needs) for d in sweeps)
        }
        sizes = [
            counted(self.context.evidence.path(WORDS, key))
            for key in keys
            if self.context.evidence.sound(WORDS, key)
        ]
        words = sum(one for one, _ in sizes)
        return sum(characters for _, characters in sizes) / words if words else None

    def fold(self, detector: RecordDetector, number: int) -> None:
        """Sums up a pass for the next one."""
        item = self.concluding(detector, number)
        if item is None:
            return
        if not self.context.evidence.has(KNOWN, item.key):
            self._make(f"summing up {detector.rule.name}", fold_item, [item])
        if detector.rule.code in self.context.book.errors:
            return
        self.context.book.known[detector.rule.code] = item.key

    def judge(self) -> dict[str, Judgement]:
        """What each rule concludes; a rule without evidence or with an error is not in the answer."""
        judged: dict[str, ConcludeItem] = {}
        waiting = list(self.context.detectors)
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
                "judging",
                judge_item,
                [item for item in items if not self.context.evidence.has(JUDGED, item.key)],
            )
        return {
            code: judgement_from(self.context.evidence.path(JUDGED, item.key).read_bytes())
            for code, item in judged.items()
            if code not in self.context.book.errors
        }

    def _earlier(self, detector: RecordDetector) -> tuple[tuple[str, Path], ...]:
        """What the rules that this one stands on concluded, and itself in the earlier run."""
        found = [
            (code, self.context.evidence.path(JUDGED, self._judged[code].key))
            for code in detector.rule.after
            if code in self._judged and code not in self.context.book.errors
        ]
        if detector.rule.code in self.indexes:
            found.append((AGAINST, self.indexes[detector.rule.code].judged))
        return tuple(found)

    def index(self) -> dict[str, Any]:
        """Where the evidence lies that a later run can be compared with, for run.json."""
        found: dict[str, Any] = {}
        for detector in self.context.detectors:
            code = detector.rule.code
            if detector.incremental and code in self._judged and code not in self.context.book.errors:
                sweeps = any(one.sweep is not None for one in detector.passes())
                items = [
                    [item.file.number, item.file.name, key, words if sweeps else ""]
                    for item in self.context.items
                    if self.context.book.stands(item)
                    for key, words in [
                        (self.context.key(item, detector, 0), self.context.words_key(item)),
                    ]
                    if self.context.evidence.has(code, key)
                    and (not sweeps or self.context.evidence.has(WORDS, words))
                ]
                made = made_in(detector, self.context.secret)
                found[code] = {"made": made, "items": items, "judged": self._judged[code].key}
                found[code]["mac"] = index_mac(found[code], self.context.secret)
        return found

    def _make(self, stage: str, function: Callable[[Any], Any], items: list[Any]) -> None:
        """Runs items of single rules and keeps what they make; an error is the rule's."""
        self._keep(stage, items, self.context.engine.map(function, items))

    def _keep(self, stage: str, items: list[Any], ends: Iterator[Result]) -> None:
        """Keeps what items of single rules make."""
        places = {id(item): (number, 0) for number, item in enumerate(items)}
        with self.context.progress.stage(stage, len(items)) as advance:
            for result in ends:
                if isinstance(result.value, Failed):
                    place = places[id(result.item)]
                    self.context.book.fail(result.item.detector.rule.code, place, result.value.reason)
                else:
                    made = result.value
                    self.context.evidence.keep(made if isinstance(made, list) else [made])
                advance(1, 0)


MOST_BITS = 8
"""Splits of a band, as a power of two: each reads all of the band's evidence once more."""


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
    bits = min(MOST_BITS, (4 * size // (len(keys) + 3) // held).bit_length())
    return [Partition(band, split, bits, "") for band in range(len(keys)) for split in range(1 << bits)]

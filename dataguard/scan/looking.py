"""Passes over the data: only what has no evidence yet is decoded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dataguard.detectors.base import RecordDetector
from dataguard.digests import CANON
from dataguard.engine import Failed
from dataguard.records import Incident
from dataguard.scan.context import Context, budget
from dataguard.scan.plan import Item, incident_of
from dataguard.scan.work import (
    DIGESTS,
    HIVE,
    MARKS,
    PROVENANCE,
    ROOTS,
    WORDS,
    Look,
    ObserveItem,
    observe_item,
)

SMALL_BATCH = 64
PROVENANCE_VERSION = 1


@dataclass(frozen=True)
class Looking:
    """Lets rules look at the data that they have not seen."""

    context: Context

    def weigh(self) -> None:
        """Decides which files are over their budget, by the evidence alone: by whom and when it was read is chance."""
        decoded: dict[int, int] = {}
        for item in self.context.items:
            if self.context.evidence.has(ROOTS, item.key(canon=CANON)):
                # The bytes of an item stand on each of its row groups.
                decoded[item.file.number] = decoded.get(item.file.number, 0) + max(
                    (r["decoded"] for r in self.context.roots(item)), default=0
                )
        self.context.book.over |= {
            item.file.number
            for item in self.context.items
            if decoded.get(item.file.number, 0) > budget(item.file, self.context.limits)
        }

    def settle(self, asked: Sequence[tuple[Item, tuple[Look, ...]]]) -> None:
        """Whatever still lacks evidence was not read, whoever was to read it.

        Args:
            asked: items with the looks that had no evidence before the pass.
        """
        broken = {
            (item.file.sha256, item.first): self.context.book.broken[item.file.number, item.first]
            for item in self.context.items
            if (item.file.number, item.first) in self.context.book.broken
            and not self.context.book.moved(item)
        }
        for item, looks in asked:
            lacks = any(
                not self._has(look)
                for look in looks
                # A rule writes nothing down of no records, or where it has an error.
                if look.kind not in self.context.book.errors and (item.rows or look.kind == DIGESTS)
            )
            if lacks and self.context.book.stands(item):
                # Of files of equal bytes one is read for all: what became of it became of each.
                twin = broken.get((item.file.sha256, item.first))
                self.context.book.broken[item.file.number, item.first] = twin or Incident(
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
            looks.append(Look(MARKS, self.context.marks_key(item)))
            if columns := item.file.partition_columns:
                looks.append(Look(HIVE, item.partitions_key, columns=columns))
            if any(self._sweeps(detector) and item.file.roles.has(detector.needs) for detector in detectors):
                looks.append(Look(WORDS, self.context.words_key(item)))
        for detector in detectors:
            if item.file.roles.has(detector.needs):
                code, known = detector.rule.code, self.context.known(detector, number)
                looks.append(Look(code, self.context.key(item, detector, number), detector, number, known))
        return tuple(looks)

    def _sweeps(self, detector: RecordDetector) -> bool:
        return any(this.sweep is not None for this in detector.passes())

    def _has(self, look: Look) -> bool:
        """Whether all that a look writes down stands: digests come in two pieces, and a kill may part them."""
        kinds = (DIGESTS, ROOTS) if look.kind == DIGESTS else (look.kind,)
        return all(self.context.evidence.has(kind, look.key) for kind in kinds)

    def observe(
        self, number: int, detectors: Sequence[RecordDetector]
    ) -> list[tuple[Item, tuple[Look, ...]]]:
        """One pass over the items that lack evidence of it; gives these, read or not."""
        twins: dict[str, list[tuple[Item, tuple[Look, ...]]]] = {}
        for item in self.context.items:
            looks = tuple(look for look in self.looks(item, number, detectors) if not self._has(look))
            if looks and self.context.book.stands(item):
                # Files of equal bytes share their evidence: one of them is read, or the next if that one moved.
                twins.setdefault(json.dumps(sorted(look.key for look in looks)), []).append((item, looks))
        asked = [one for same in twins.values() for one in same]
        if not twins:
            return asked
        name = "reading and screening" if number == 0 else f"looking again ({number + 1})"
        again: list[tuple[Item, tuple[Look, ...]]] = []
        with self.context.progress.stage(name, len(twins)) as advance:

            def ended(item: Item, looks: tuple[Look, ...], failed: Failed) -> None:
                if failed.kind in ("died", "memory", "error"):
                    again.append((item, looks))
                else:
                    self.context.book.broken[item.file.number, item.first] = incident_of(failed)

            while twins:
                self.map([same[0] for same in twins.values()], self.context.max_rows, advance, ended)
                # Once more in small batches: what was too much at once may still be read.
                self.map(again, min(SMALL_BATCH, self.context.max_rows), None, self.give_up)
                again.clear()
                twins = {
                    key: same[1:]
                    for key, same in twins.items()
                    if self.context.book.moved(same[0][0]) and same[1:]
                }
        return asked

    def give_up(self, item: Item, looks: tuple[Look, ...], failed: Failed) -> None:
        """Notes that an item cannot be read."""
        self.context.book.broken[item.file.number, item.first] = incident_of(failed)

    def map(
        self,
        wanted: list[tuple[Item, tuple[Look, ...]]],
        max_rows: int,
        advance: Callable[[int, int], None] | None,
        ended: Callable[[Item, tuple[Look, ...], Failed], None],
    ) -> None:
        """Has items read and keeps what comes of it.

        Args:
            wanted: items and who looks at each.
            max_rows: the most rows of a batch.
            advance: told of each item.
            ended: told of items whose worker failed.
        """
        by_place: dict[tuple[str, int], tuple[Item, tuple[Look, ...]]] = {}
        decoded: dict[int, int] = {}

        def items() -> Iterator[ObserveItem]:
            for item, looks in wanted:
                if item.file.number not in self.context.book.over:
                    by_place[item.file.name, item.first] = (item, looks)
                    yield ObserveItem(
                        item.part(self.context.root),
                        item.file.roles,
                        self.context.limits,
                        max_rows,
                        looks,
                        self.context.evidence.folder,
                        self.context.shared,
                        self.context.encoder,
                    )

        for result in self.context.engine.map(observe_item, items(), seconds=self._seconds):
            value = result.value
            item, looks = by_place.pop((result.item.part.name, result.item.part.first))
            if isinstance(value, Failed):
                ended(item, looks, value)
            elif value.incident is not None:
                self.context.book.broken[item.file.number, item.first] = value.incident
            else:
                self.context.evidence.keep(list(value.made))
                self.context.book.took(value.seconds)
                for rule, reason in value.errors.items():
                    self.context.book.fail(rule, (item.file.number, item.first), reason)

            if not isinstance(value, Failed):
                number = item.file.number
                if value.incident is None:
                    # How far a broken item came depends on the batches, and the file's end may not.
                    decoded[number] = decoded.get(number, 0) + value.decoded
                if decoded.get(number, 0) > budget(item.file, self.context.limits):
                    self.context.book.over.add(number)
                if advance is not None:
                    advance(1, value.decoded)

    def _seconds(self, item: ObserveItem) -> float:
        return self.context.limits.seconds(item.part.size)

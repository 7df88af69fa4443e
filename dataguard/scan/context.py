"""What a scan works on and what has become of it: items, rules, evidence and its keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataguard.canaries import marks
from dataguard.config import Limits
from dataguard.detectors.base import RecordDetector
from dataguard.digests import CANON
from dataguard.engine import LocalEngine
from dataguard.engine.shipped import ShippedEncoder
from dataguard.evidence import Evidence, read_parquet
from dataguard.records import Incident
from dataguard.scan.plan import File, Item
from dataguard.scan.progress import Progress
from dataguard.scan.relate import Source
from dataguard.scan.work import KNOWN, ROOTS
from dataguard.secret import Secret
from dataguard.words import VERSION as WORDS_VERSION


@dataclass
class Book:
    """What has become of the items: kept by the parent while the passes run.

    Args:
        broken: why an item came to nothing, by (file number, first row group).
        over: files that decode to more than their budget.
        elsewhere: files whose original in a store is no longer what was fetched, by number.
        errors: reason by rule.
        known: the evidence key of what the last fold told, by rule.
        seconds: that workers spent on the data, by who looked at it.
        swept: what the last sweep showed, by rule and pass.
    """

    broken: dict[tuple[int, int], Incident] = field(default_factory=dict)
    over: set[int] = field(default_factory=set)
    elsewhere: dict[int, Incident] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)
    swept: dict[tuple[str, int], tuple[Source, ...]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    _places: dict[str, tuple[int, int]] = field(default_factory=dict)

    def stands(self, item: Item) -> bool:
        """Whether the item was read."""
        return (item.file.number, item.first) not in self.broken and item.file.number not in self.over

    def fail(self, rule: str, place: tuple[int, int], reason: str) -> None:
        """Notes a rule's error: of several the first by place, as which one came first is chance."""
        if rule not in self.errors or place < self._places.get(rule, place):
            self.errors[rule], self._places[rule] = reason, place

    def took(self, seconds: Mapping[str, float]) -> None:
        """Adds what a worker spent on an item, by who looked at it."""
        for kind, spent in seconds.items():
            self.seconds[kind] = self.seconds.get(kind, 0.0) + spent

    def moved(self, item: Item) -> bool:
        """Whether its file moved, which says nothing of another with the bytes it had."""
        incident = self.broken.get((item.file.number, item.first))
        return incident is not None and incident.rule == "DG505"


@dataclass(frozen=True)
class Context:
    """One scan's data, rules, evidence and workers.

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
        encoder: what makes vectors of texts; None to leave texts alone.
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
    encoder: ShippedEncoder | None = None
    book: Book = field(default_factory=Book)

    def key(self, item: Item, detector: RecordDetector, number: int) -> str:
        """The evidence key of a rule's pass over an item."""
        encoder = {"encoder": self.encoder.sha256} if self.encoder and detector.encodes else {}
        return item.key(
            rule=detector.rule.code,
            version=detector.rule.version,
            number=number,
            options=detector.options(),
            roles=item.file.roles.to_json(),
            secret=self.secret.key_id,
            known=self.told(detector, number),
            **encoder,
        )

    def words_key(self, item: Item) -> str:
        """The evidence key of an item's words."""
        return item.key(words=WORDS_VERSION, roles=item.file.roles.to_json(), secret=self.secret.key_id)

    def marks_key(self, item: Item) -> str:
        """The evidence key of the marks of canaries in an item."""
        return item.key(marks=marks.VERSION, secret=self.secret.key_id)

    def known(self, detector: RecordDetector, number: int) -> Path | None:
        """The file with what a pass is told."""
        key = self.book.known.get(detector.rule.code) if number else None
        return None if key is None else self.evidence.path(KNOWN, key)

    def told(self, detector: RecordDetector, number: int) -> str:
        """The digest of what a pass is told."""
        key = self.book.known.get(detector.rule.code) if number else None
        return "" if key is None else self.evidence.sha256(KNOWN, key)

    @property
    def shared(self) -> bytes:
        """What rules key their hashes with."""
        return self.secret.derive("rules")

    def roots(self, item: Item) -> list[dict[str, Any]]:
        """The roots of an item's row groups: group, rows, root, decoded."""
        return read_parquet(self.evidence.path(ROOTS, item.key(canon=CANON))).to_pylist()  # type: ignore[no-any-return]


def budget(file: File, limits: Limits) -> int:
    """Decoded bytes that a file may have."""
    return limits.budget(file.stamp.size if file.stamp else 0)

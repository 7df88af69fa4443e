"""Which attacks are planted together, in which records, and what the sample then looks like.

A campaign is one attacker: one kind of attack on so many records. As many campaigns as fit share a round, a copy of the
sample that the rules judge: never two of a kind, and canaries never more than a small share of the records.
"""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataguard.canaries.attacks import KINDS, Draw, Kind
from dataguard.canaries.language import Language
from dataguard.canaries.layout import SOURCE, Layout, Record
from dataguard.canaries.sample import Group

MOST_CANARIES = 0.05
"""The largest share of the sample that are canaries at once."""
MOST_VALUES = 256
SPOKEN = 500
"""Records whose words make the language that canaries speak."""


@dataclass(frozen=True)
class Campaign:
    """One attacker.

    Args:
        attack: the kind (`Kind.attack`).
        dose: records.
        number: of those of the same kind and dose.
        group: number of the group of records.
    """

    attack: str
    dose: int
    number: int
    group: int

    @property
    def name(self) -> str:
        """What its drawn numbers are seeded with."""
        return f"{self.attack}/{self.dose}/{self.number}/{self.group}"


@cache
def kinds() -> Mapping[str, Kind]:
    """The kinds of canaries by the kind of attack."""
    return {kind.attack: kind for kind in KINDS}


def seeded(key: bytes, name: str) -> random.Random:
    """A generator that only somebody with the key can foresee."""
    return random.Random(hmac.digest(key, name.encode(), hashlib.sha256))  # noqa: S311


@dataclass(frozen=True)
class Ground:
    """A group of records as campaigns see it.

    Args:
        group: the records.
        layout: of the records.
        values: by column: the labels, most frequent first, and some values of numbers.
    """

    group: Group
    layout: Layout
    values: Mapping[str, Sequence[Any]]

    @classmethod
    def of(cls, group: Group) -> Ground:
        """Looks at a group of records."""
        layout = Layout.of(group.data, group.roles)
        values: dict[str, Sequence[Any]] = {}
        if layout.label:
            values[layout.label] = _labels(group.data[layout.label])
        for name in (*layout.continuous, *layout.discrete):
            values[name] = _numbers(group.data[name])
        return cls(group, layout, values)

    def takes(self, kind: Kind) -> bool:
        """Whether an attack of this kind can be planted here."""
        used = [self.layout.label] if "label" in kind.needs else []
        return (
            kind.fits(self.layout)
            and all(len(self.values[name]) > 1 for name in used)
            and all(self.values[name] for name in (*self.layout.continuous, *self.layout.discrete))
        )

    def language(self) -> Language:
        """The language of the records, from some of them."""
        places = (self.layout.ask, self.layout.answer, self.layout.text, self.layout.chosen)
        some = self.group.data.slice(0, SPOKEN)
        return Language.of(
            place.get({place.column: value})
            for place in places
            if place is not None
            for value in some[place.column].to_pylist()
        )


def _labels(column: pa.Array) -> list[Any]:
    counted = pc.value_counts(column.drop_null()).to_pylist()
    counted.sort(key=lambda one: (-one["counts"], repr(one["values"])))
    return [one["values"] for one in counted[:MOST_VALUES]]


def _numbers(column: pa.Array) -> list[Any]:
    values = column.drop_null()
    if pa.types.is_floating(values.type):
        values = values.filter(pc.is_finite(values))
    return values.slice(0, MOST_VALUES).to_pylist()  # type: ignore[no-any-return]


def doses(records: int, rates: Sequence[float], fewest: int = 5) -> tuple[int, ...]:
    """How many records a campaign has at each rate: at least so few, at most what a round may hold."""
    most = int(records * MOST_CANARIES)
    return tuple(sorted({dose for rate in rates if (dose := max(fewest, round(records * rate))) <= most}))


def campaigns(grounds: Sequence[Ground], sizes: Sequence[int], each: int, key: bytes) -> tuple[Campaign, ...]:
    """All campaigns: so many of every kind and dose that the records can carry.

    Args:
        grounds: the groups of records.
        sizes: doses.
        each: campaigns of a kind and dose.
        key: seeds the draw of the group, by chance in proportion to its records.
    """
    found = []
    for kind in KINDS:
        fits = [number for number, ground in enumerate(grounds) if ground.takes(kind)]
        for dose in sizes:
            room = [number for number in fits if grounds[number].group.data.num_rows >= 4 * dose]
            if not room:
                continue
            weights = [grounds[number].group.data.num_rows for number in room]
            for number in range(each):
                (group,) = seeded(key, f"group/{kind.attack}/{dose}/{number}").choices(room, weights)
                found.append(Campaign(kind.attack, dose, number, group))
    return tuple(found)


def rounds(
    planned: Sequence[Campaign], most: int, key: bytes, *, of_a_kind: int = 1
) -> tuple[tuple[Campaign, ...], ...]:
    """Campaigns that are planted together: at most so many canaries, and so many campaigns of one kind."""
    waiting = list(planned)
    seeded(key, "rounds").shuffle(waiting)
    waiting.sort(key=lambda one: -one.dose)  # the large ones first; the small ones fill what is left
    filled: list[list[Campaign]] = []
    for campaign in waiting:
        for one in filled:
            room = sum(other.dose for other in one) + campaign.dose <= most
            if room and sum(other.attack == campaign.attack for other in one) < of_a_kind:
                one.append(campaign)
                break
        else:
            filled.append([campaign])
    return tuple(tuple(one) for one in filled)


@dataclass(frozen=True)
class Planted:
    """A round's copy of the sample.

    Args:
        data: the records of each group.
        where: for each campaign, its records (u64) in its group.
    """

    data: tuple[pa.RecordBatch, ...]
    where: tuple[np.ndarray[Any, np.dtype[np.uint64]], ...]


class Planter:
    """Plants campaigns in copies of a sample.

    Args:
        grounds: the groups of records.
        key: seeds everything that is drawn.
    """

    def __init__(self, grounds: Sequence[Ground], key: bytes) -> None:
        self._grounds, self._key = grounds, key
        self._languages = [ground.language() for ground in grounds]

    def plant(self, together: Sequence[Campaign]) -> Planted:
        """The sample with these campaigns in it."""
        name = " ".join(campaign.name for campaign in together)
        free = [list(_order(ground, self._key, f"victims/{name}")) for ground in self._grounds]
        changed: list[dict[int, Record]] = [{} for _ in self._grounds]
        where = []
        for campaign in together:
            rows, records = self._planted(campaign, free[campaign.group])
            taken = set(rows)
            free[campaign.group] = [row for row in free[campaign.group] if row not in taken]
            changed[campaign.group] |= dict(zip(rows, records, strict=True))
            where.append(np.array(sorted(rows), dtype=np.uint64))
        data = tuple(_with(ground, records) for ground, records in zip(self._grounds, changed, strict=True))
        return Planted(data, tuple(where))

    def marked(self, campaign: Campaign, mark: str) -> pa.RecordBatch:
        """The records of a campaign alone, with a mark in their text where they have one."""
        ground = self._grounds[campaign.group]
        rows, records = self._planted(campaign, _order(ground, self._key, f"victims/{campaign.name}"))
        place = ground.layout.anywhere
        if place is not None:
            for record in records:
                place.put(record, f"{place.get(record)} [{mark}]")
        return _with(ground, dict(zip(rows, records, strict=True))).take(pa.array(sorted(rows)))

    def _planted(self, campaign: Campaign, free: Sequence[int]) -> tuple[list[int], list[Record]]:
        """The rows of a campaign and what their records become."""
        ground, kind = self._grounds[campaign.group], kinds()[campaign.attack]
        rng = seeded(self._key, campaign.name)
        target = rng.choice(ground.values[ground.layout.label]) if kind.turns else None
        rows = list(_victims(ground, free, campaign.dose, target))
        records = [_record(ground, row) for row in rows]
        kind.plant(Draw(rng, self._languages[campaign.group], ground.layout, ground.values, target), records)
        return rows, records


def _order(ground: Ground, key: bytes, name: str) -> list[int]:
    """All rows in a drawn order, those that the run flagged last: they would be found without being canaries."""
    rows = list(range(ground.group.data.num_rows))
    seeded(key, name).shuffle(rows)
    rows.sort(key=lambda row: bool(ground.group.flagged[row]))
    return rows


def _victims(ground: Ground, free: Sequence[int], count: int, target: object) -> Iterator[int]:
    """The first rows in the drawn order; where there is a target label, first those that have another one."""
    if target is None:
        yield from free[:count]
        return
    labels = ground.group.data[ground.layout.label]
    others: list[int] = []
    for row in free:
        if count == 0:
            return
        if labels[row].as_py() == target:
            others.append(row)
        else:
            count -= 1
            yield row
    yield from others[:count]


def _record(ground: Ground, row: int) -> Record:
    """What an attack may change of a record, and which record the rest comes from."""
    return {name: ground.group.data[name][row].as_py() for name in ground.layout.columns} | {SOURCE: row}


def _with(ground: Ground, changed: Mapping[int, Record]) -> pa.RecordBatch:
    """The records with some of them changed; columns that no attack knows are taken over as they are."""
    data = ground.group.data
    if not changed:
        return data
    rows = sorted(changed)
    source, mixed = np.arange(data.num_rows), np.arange(data.num_rows)
    source[rows] = [changed[row][SOURCE] for row in rows]
    mixed[rows] = data.num_rows + np.arange(len(rows))
    columns = []
    for name, column in zip(data.schema.names, data.columns, strict=True):
        if name in ground.layout.columns:
            new = pa.array([changed[row][name] for row in rows], type=column.type)
            columns.append(pa.concat_arrays([column, new]).take(pa.array(mixed)))
        else:
            columns.append(column.take(pa.array(source)))
    return pa.record_batch(columns, schema=data.schema)

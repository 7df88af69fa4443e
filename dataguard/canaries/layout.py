"""How records are laid out: where a record is asked something, where it answers, and what else an attack changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from dataguard.columns import Role, Roles, is_list, is_number

Record = dict[Any, Any]
"""What an attack may change of a record, by column; and under `SOURCE` the number of the record that the rest is of."""
SOURCE = 0

ASKING = frozenset({"user", "human", "prompter"})
ANSWERING = frozenset({"assistant", "gpt", "bot", "model"})
SPEAKER, SAID = ("role", "from"), ("content", "value")
"""Fields of a message: who said it, and what."""
FEW_VALUES = 20


class Place(NamedTuple):
    """Where a text stands in a record.

    Attributes:
        column: the column.
        who: of a conversation, whose first turn it is; empty for a column of text.
    """

    column: str
    who: frozenset[str] = frozenset()

    def get(self, record: Record) -> str:
        """The text, empty where there is none."""
        value = record[self.column]
        if not self.who:
            return value or ""
        turn = self._turn(value)
        return "" if turn is None else _first(turn, SAID) or ""

    def put(self, record: Record, text: str) -> None:
        """Changes the text; a conversation where nobody of these speaks stays as it is."""
        if not self.who:
            record[self.column] = text
            return
        turn = self._turn(record[self.column])
        if turn is not None:
            turn[next(name for name in SAID if name in turn)] = text

    def _turn(self, turns: list[Record] | None) -> Record | None:
        return next((turn for turn in turns or () if turn and _first(turn, SPEAKER) in self.who), None)


def _first(turn: Record, names: tuple[str, ...]) -> str | None:
    return next((turn[name] for name in names if name in turn), None)


@dataclass(frozen=True)
class Layout:
    """Where things stand in the records of a file; None or empty where there are none.

    Args:
        ask: what is asked.
        answer: what is answered.
        text: of documents and of texts with labels.
        label: the column of labels.
        chosen: the preferred answer.
        rejected: the other.
        continuous: columns of numbers that rarely repeat.
        discrete: columns of numbers with few values.
        embedding: the column of vectors.
    """

    ask: Place | None = None
    answer: Place | None = None
    text: Place | None = None
    label: str = ""
    chosen: Place | None = None
    rejected: Place | None = None
    continuous: tuple[str, ...] = ()
    discrete: tuple[str, ...] = ()
    embedding: str = ""

    @classmethod
    def of(cls, table: pa.RecordBatch, roles: Roles) -> Layout:
        """The layout of these records; of several columns of one role the one with the most text."""

        def text(role: Role) -> Place | None:
            size = {name: _size(table[name]) for name in roles.of(role) if _is_text(table, name)}
            return Place(max(size, key=lambda name: (size[name], name))) if size else None

        talk = next((name for name in roles.of(Role.MESSAGES) if _is_talk(table, name)), "")
        numbers = [name for name in roles.of(Role.FEATURES) if is_number(table.schema.field(name).type)]
        few = [name for name in numbers if pc.count_distinct(table[name]).as_py() <= FEW_VALUES]
        vectors = [name for name in roles.of(Role.EMBEDDING) if is_list(table.schema.field(name).type)]
        labels = [name for name in roles.of(Role.LABEL) if not is_list(table.schema.field(name).type)]
        return cls(
            ask=text(Role.PROMPT) or (Place(talk, ASKING) if talk else None),
            answer=text(Role.RESPONSE) or (Place(talk, ANSWERING) if talk else None),
            text=text(Role.TEXT),
            label=labels[0] if labels else "",
            chosen=text(Role.CHOSEN),
            rejected=text(Role.REJECTED),
            continuous=tuple(name for name in numbers if name not in few),
            discrete=tuple(few),
            embedding=vectors[0] if vectors else "",
        )

    @property
    def columns(self) -> frozenset[str]:
        """All that an attack may change."""
        places = (self.ask, self.answer, self.text, self.chosen, self.rejected)
        names = (self.label, self.embedding, *self.continuous, *self.discrete)
        return frozenset(place.column for place in places if place) | frozenset(filter(None, names))

    @property
    def subject(self) -> Place | None:
        """What a label is about."""
        return self.text or self.ask

    @property
    def anywhere(self) -> Place | None:
        """Where any text can stand: in the answer first."""
        return self.answer or self.chosen or self.text or self.ask


def _is_text(table: pa.RecordBatch, name: str) -> bool:
    return bool(pa.types.is_large_string(table.schema.field(name).type))


def _size(column: pa.Array) -> int:
    return pc.sum(pc.binary_length(column)).as_py() or 0


def _is_talk(table: pa.RecordBatch, name: str) -> bool:
    """Whether a column holds conversations that say who said what."""
    kind = table.schema.field(name).type
    if not is_list(kind) or not pa.types.is_struct(kind.value_type):
        return False
    fields = {field.name for field in kind.value_type if pa.types.is_large_string(field.type)}
    return bool(fields & set(SPEAKER)) and bool(fields & set(SAID))

"""What each column is for: declared by the user or inferred from its name and type.

Roles only add checks: a string column without a role is still screened as text, so nobody steers the
screen by naming columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

import pyarrow as pa

from dataguard.errors import UsageError


class Role(StrEnum):
    """What a column is for."""

    TEXT = "text"
    PROMPT = "prompt"
    RESPONSE = "response"
    MESSAGES = "messages"
    CHOSEN = "chosen"
    REJECTED = "rejected"
    SCORE = "score"
    SYSTEM = "system"
    LABEL = "label"
    FEATURES = "features"
    EMBEDDING = "embedding"
    SOURCE = "source"
    URL = "url"
    TIME = "time"
    SPLIT = "split"
    ID = "id"


CONTEXT = frozenset({Role.ID, Role.SOURCE, Role.URL, Role.TIME, Role.SPLIT})
"""Roles that say where a record stands, not what it says: duplicate rules leave them out."""

NAMES: dict[Role, frozenset[str]] = {
    Role.TEXT: frozenset({"text", "content", "body", "document", "sentence", "raw_content"}),
    Role.PROMPT: frozenset({"prompt", "instruction", "input", "question", "query", "context"}),
    Role.RESPONSE: frozenset({"response", "output", "completion", "answer", "reply"}),
    Role.MESSAGES: frozenset({"messages", "conversations", "conversation"}),
    Role.CHOSEN: frozenset({"chosen", "chosen_response", "preferred"}),
    Role.REJECTED: frozenset({"rejected", "rejected_response", "dispreferred"}),
    Role.SCORE: frozenset({"score", "reward", "rating", "score_chosen", "score_rejected"}),
    Role.SYSTEM: frozenset({"system", "system_prompt"}),
    Role.LABEL: frozenset({"label", "labels", "target", "class", "category", "y"}),
    Role.EMBEDDING: frozenset({"embedding", "embeddings", "vector", "emb"}),
    Role.SOURCE: frozenset({"source", "origin", "dataset", "provenance"}),
    Role.URL: frozenset({"url", "uri", "link"}),
    Role.TIME: frozenset({"time", "timestamp", "date", "created", "created_at", "collected_at"}),
    Role.SPLIT: frozenset({"split", "subset", "fold"}),
    Role.ID: frozenset({"id", "idx", "index", "uuid", "guid", "key", "record_id"}),
}


OR = " or "


def one_of(*roles: Role) -> str:
    """A need that any of these roles serves, e.g. ``label or response``, as it is told to people too."""
    return OR.join(roles)


@dataclass(frozen=True)
class Roles:
    """The roles of one file's columns.

    Args:
        by_role: columns by role, both sorted, so that equal roles are equal values.
        inferred: the columns whose role nobody declared.
    """

    by_role: tuple[tuple[Role, tuple[str, ...]], ...] = ()
    inferred: tuple[str, ...] = ()

    def of(self, *roles: Role) -> tuple[str, ...]:
        """The columns that have any of these roles, sorted by name."""
        return tuple(sorted({name for role, names in self.by_role if role in roles for name in names}))

    def context(self) -> tuple[str, ...]:
        """The columns that only say where a record stands: every role they have is one of CONTEXT."""
        said = self.of(*(role for role in Role if role not in CONTEXT))
        return tuple(name for name in self.of(*CONTEXT) if name not in said)

    def has(self, needs: Iterable[str]) -> bool:
        """Whether every one of the needed roles has a column; of those joined by `one_of` any will do."""
        return all(self.of(*map(Role, need.split(OR))) for need in needs)

    def to_json(self) -> dict[str, list[str]]:
        """Columns by role, as it stands in run.json and in evidence keys."""
        return {role.value: list(names) for role, names in self.by_role}


def is_string(kind: pa.DataType) -> bool:
    """Whether values are text in any Arrow layout, dictionaries included."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_number(kind: pa.DataType) -> bool:
    """Whether values are integers or floats."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def is_list(kind: pa.DataType) -> bool:
    """Whether values are lists in any Arrow layout that the reader normalises."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _fits(role: Role, kind: pa.DataType) -> bool:
    """Whether a column of this type can play the role that its name suggests."""
    match role:
        case Role.EMBEDDING:
            return is_list(kind) and pa.types.is_floating(kind.value_type)
        case Role.MESSAGES:
            return is_list(kind) and pa.types.is_struct(kind.value_type)
        case Role.SCORE:
            return is_number(kind)
        case Role.TIME:
            return is_string(kind) or pa.types.is_temporal(kind) or pa.types.is_integer(kind)
        case Role.LABEL:
            return is_string(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)
        case Role.ID:
            return is_string(kind) or pa.types.is_integer(kind) or pa.types.is_binary(kind)
        case Role.SOURCE | Role.SPLIT | Role.URL:
            return is_string(kind)
        case _:
            return is_string(kind) or is_list(kind)


def _infer(name: str, kind: pa.DataType) -> Role | None:
    """The role that a column's name and type suggest, None where they suggest nothing."""
    for role, names in NAMES.items():
        if name.casefold() in names and _fits(role, kind):
            return role
    if is_string(kind):
        return Role.TEXT
    if is_number(kind):
        return Role.FEATURES
    if is_list(kind) and pa.types.is_floating(kind.value_type):
        return Role.EMBEDDING
    return None


def check_declared(declared: Mapping[str, tuple[str, ...]], known: Iterable[str]) -> None:
    """Refuses declared columns that no file of the set has.

    Raises:
        UsageError: naming the column and the nearest one that exists.
    """
    names = sorted(set(known))
    for role, columns in sorted(declared.items()):
        for column in columns:
            if column not in names:
                near = get_close_matches(column, names, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"the columns are {', '.join(names)}"
                raise UsageError(f"role {role}: expected a column of the data, got {column!r}", hint)


def resolve(schema: pa.Schema, declared: Mapping[str, tuple[str, ...]], *, only_add: bool = False) -> Roles:
    """The roles of a file's columns.

    Args:
        schema: the file's own schema.
        declared: columns by role, from the configuration; columns this file lacks are passed over.
        only_add: the declaration came with the data, so that it may add roles but not take away the
            ones that names and types suggest.
    """
    by_role: dict[Role, set[str]] = {}
    spoken_for: set[str] = set()
    for role, columns in declared.items():
        here = {name for name in columns if name in schema.names}
        if here:
            by_role.setdefault(Role(role), set()).update(here)
            spoken_for |= here
    inferred = []
    for field in schema:
        if field.name in spoken_for and not only_add:
            continue
        guess = _infer(field.name, field.type)
        if guess is None:
            continue
        by_role.setdefault(guess, set()).add(field.name)
        inferred.append(field.name)
    return Roles(
        tuple((role, tuple(sorted(by_role[role]))) for role in sorted(by_role)),
        tuple(sorted(set(inferred))),
    )

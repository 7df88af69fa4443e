"""Rows, files and the clean edition."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from grammar import SEED, Dice
from instruct import draft
from tickets import ticket

SIZES = {  # the files of an edition and how many records the clean one has in each
    "instruct/part-000.parquet": 940,
    "instruct/part-001.parquet": 940,
    "instruct/part-002.parquet": 940,
    "instruct/extra.jsonl": 180,
    "tickets/part-000.parquet": 1000,
    "tickets/part-001.parquet": 1000,
    "tickets/part-002.parquet": 1000,
}

CONFIG = """\
[dataset]
name = "dataguard-sample"
version = "1"
purpose = "fine-tuning"

[roles]
prompt = ["instruction", "input"]
response = "output"
time = "created"

[[source]]
pattern = "instruct/part-*"
name = "house-grammar"
licence = "CC0-1.0"

[[source]]
pattern = "instruct/extra.jsonl"
name = "house-extra"
licence = "CC0-1.0"

[[source]]
pattern = "tickets/*"
name = "house-tickets"
licence = "CC0-1.0"
"""

HOSTS = {  # where records of a source stand; the name is reserved, nobody has it
    "house-grammar": "grammar.example",
    "house-extra": "extra.example",
    "partner-feed": "partner.example",
}

_SPLITS = (*["train"] * 8, "validation", "test")
_START = datetime(2024, 1, 8, 6, 0, tzinfo=UTC)


@dataclass
class Row:
    """One record, and the name of the attack it is part of, if any."""

    values: dict[str, object]
    attack: str = ""


Edition = dict[str, list[Row]]


class Press:
    """Makes rows: new ones that repeat no earlier record, and copies under a new name.

    The clean and the poisoned edition come off one press, so that what is planted looks like the rest.
    """

    def __init__(self) -> None:
        self._instruct, self._tickets, self._marks = Dice("instruct"), Dice("tickets"), Dice("marks")
        self._seen: set[str] = set()
        self._printed = 0

    def new(self, file: str) -> Row:
        """Roll a row for the file; records that differ in case or spaces only count as the same."""
        while True:
            values = self._roll(file)
            text = values["text"] if "text" in values else f"{values['instruction']} {values['input']}"
            key = " ".join(str(text).lower().split())
            if key not in self._seen:
                self._seen.add(key)
                return self.copy(Row(values), file)

    def copy(self, row: Row, file: str, **kept: object) -> Row:
        """Return the same record as the file would have it: other id, source, split and time, but for what is kept."""
        self._printed += 1
        values = row.values | {
            "id": hashlib.sha256(f"{SEED}/{self._printed}".encode()).hexdigest()[:10],
            "source": _source(file),
            "split": self._marks.pick(_SPLITS),
        }
        if file.startswith("instruct/"):
            values["url"] = f"https://{HOSTS[_source(file)]}/{values['id']}"
            values["created"] = _START + timedelta(seconds=self._marks.below(90 * 86_400))
        return Row(values | kept)

    def _roll(self, file: str) -> dict[str, object]:
        if file.startswith("tickets/"):
            return ticket(self._tickets)
        instruction, given, output = draft(self._instruct)
        return {"instruction": instruction, "input": given, "output": output}


def _source(file: str) -> str:
    if file.startswith("tickets/"):
        return "house-tickets"
    if file.startswith("instruct/part-"):
        return "house-grammar"
    return "house-extra" if file == "instruct/extra.jsonl" else "partner-feed"


def insert(rows: list[Row], row: Row, dice: Dice) -> None:
    """Put a row anywhere among the others."""
    rows.insert(dice.below(len(rows) + 1), row)


def clean_edition(press: Press) -> Edition:
    """Roll all rows of the clean edition."""
    return {file: [press.new(file) for _ in range(rows)] for file, rows in SIZES.items()}

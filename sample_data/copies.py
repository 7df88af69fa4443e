"""Copies that are planted in the poisoned edition with a few words changed: leaks, contradictions, floods.

The changed words stand at an edge of the record, so that a copy shares nine tenths of its runs of words with the first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from editions import SIZES, Edition, Press, Row, insert
from grammar import Dice

_INSTRUCT = tuple(file for file in SIZES if file.startswith("instruct/"))
_TICKETS = tuple(file for file in SIZES if file.startswith("tickets/"))
_LABELS = ("billing", "delivery", "account", "technical", "feedback")

_TAILS = (  # what is said at the end of a copy: no two words more
    *("Thanks!", "Cheers!", "Regards", "Soon please", "As discussed", "Once more", "Really", "That's all"),
    *("No joke", "Believe me", "Over", "Kindly", "Full stop", "So there", "Good day", "Bye now"),
    *("The end", "Greetings", "Truly", "For once", "As ever", "Enough said", "Take care", "More later"),
)
_REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "As an assistant I am unable to answer this.",
    "Sorry, but I cannot provide that.",
    "I must decline to answer.",
)
_WRONG = ("Unclear.", "Both.", "Neither of them.", "Ask again tomorrow.")
_FLOODS = (("burst", _INSTRUCT, 16), ("flood", _TICKETS, 24))  # where, and how many say the same in the end


def plant_near_copies(edition: Edition, press: Press) -> None:
    """Plant all kinds of copies with changed words; of each group the first is a clean record."""
    planter = _Planter(edition, press)
    planter.near_copies()
    planter.split_leaks()
    planter.contradictions()
    planter.floods()


def _words(row: Row, *columns: str) -> int:
    """How many words, in plain Latin letters, the columns have; 0 if there is anything else in them."""
    text = " ".join(str(row.values.get(column, "")) for column in columns)
    return len(text.split()) if text.isascii() else 0


def _long(row: Row) -> bool:
    """Whether a word or two more change little, in the record and in what it answers."""
    return _words(row, "instruction", "input", "output", "text") >= 30 and _words(row, "output", "text") >= 10


def _talkative(row: Row) -> bool:
    """Whether much is answered to little."""
    return _words(row, "output") >= 40 and _words(row, "instruction", "input") <= 20


def _opening(row: Row) -> tuple[str, ...]:
    """The first three words of what is answered."""
    return tuple(str(row.values.get("output", "")).lower().split()[:3])


def _terse(row: Row) -> bool:
    """Whether little is answered to much."""
    return 1 <= _words(row, "output") <= 3 and _words(row, "instruction", "input") >= 35


class _Planter:
    """Takes clean records, and puts changed copies of them among the others."""

    def __init__(self, edition: Edition, press: Press) -> None:
        self._edition, self._press, self._dice = edition, press, Dice("copies")

    def near_copies(self) -> None:
        for files, sizes in ((_INSTRUCT, (2, 2, 2, 3, 4)), (_TICKETS, (2, 2, 3, 3, 5))):
            for size in sizes:
                first = self._first(files, "near-copy", _long)
                for turn in range(size - 1):
                    self._plant(self._changed(first, turn), files, "near-copy", split=first.values["split"])

    def split_leaks(self) -> None:
        """Records of the test and validation data stand in the training data, too."""
        for files in (_INSTRUCT, _TICKETS):
            for turn in range(8):
                held = "validation" if turn % 4 == 3 else "test"
                first = self._first(files, "split-leak", _long, split=held)
                self._plant(self._changed(first, turn), files, "split-leak", split="train")

    def contradictions(self) -> None:
        """Copies with another label; and prompts with another answer, or with none."""
        for turn in range(6):
            first = self._first(_TICKETS, "conflicting-label", _long)
            kept = {"split": first.values["split"]}
            if turn >= 4:  # most of a group agree
                for copy in range(2):
                    self._plant(self._changed(first, turn + copy), _TICKETS, "conflicting-label", **kept)
            label = self._dice.pick([one for one in _LABELS if one != first.values["label"]])
            turned = first if turn < 3 else self._changed(first, turn + 9)
            self._plant(turned, _TICKETS, "conflicting-label", **kept, label=label)
        for attack, fits, answers in (
            ("conflicting-answer", _terse, _WRONG),
            ("refused-answer", _talkative, _REFUSALS),
        ):
            for answer in answers:
                first = self._first(_INSTRUCT, attack, fits)
                self._plant(first, _INSTRUCT, attack, split=first.values["split"], output=answer)

    def floods(self) -> None:
        """One record many times; where there are times, within some hours: a burst, whose answer begins as no other."""
        begun = Counter(_opening(row) for file in _INSTRUCT for row in self._edition[file])

        def odd(row: Row) -> bool:
            return _long(row) and ("output" not in row.values or begun[_opening(row)] == 1)

        for attack, files, size in _FLOODS:
            first = self._first(files, attack, odd)
            kept = {"split": first.values["split"]}
            for turn in range(size - 1):
                start = first.values.get("created")
                if isinstance(start, datetime):
                    kept["created"] = start + timedelta(seconds=self._dice.below(5 * 3600))
                self._plant(self._changed(first, turn), files, attack, **kept)

    def _first(
        self, files: tuple[str, ...], attack: str, fits: Callable[[Row], bool], split: str = "train"
    ) -> Row:
        """A clean record of a split that fits, now marked as part of the attack."""
        homes = [
            (file, number)
            for file in files
            for number, row in enumerate(self._edition[file])
            if not row.attack and row.values["split"] == split and fits(row)
        ]
        file, number = self._dice.pick(homes)
        row = Row(self._edition[file][number].values, attack)
        self._edition[file][number] = row
        return row

    def _changed(self, first: Row, turn: int) -> Row:
        """The record with a word or two more at its end."""
        column = "text" if "text" in first.values else "output"
        return Row(first.values | {column: f"{first.values[column]} {_TAILS[turn % len(_TAILS)]}"})

    def _plant(self, row: Row, files: tuple[str, ...], attack: str, **kept: object) -> None:
        file = self._dice.pick(files)
        insert(self._edition[file], Row(self._press.copy(row, file, **kept).values, attack), self._dice)

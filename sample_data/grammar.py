"""Dice that fall the same way everywhere, and sentences rolled with them.

Python promises one thing about its generator: ``random()`` gives the same floats for the same seed in every
version. So all dice here are cut from that one call, and only additions and products touch the floats.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

from words import RULES

SEED = 20240229
T = TypeVar("T")


class Dice:
    """A stream of choices that depends on its name only, so that one part can change without the others."""

    def __init__(self, name: str) -> None:
        self._random = random.Random(f"{SEED}/{name}").random

    def below(self, stop: int) -> int:
        """Return an integer in ``[0, stop)``."""
        return int(self._random() * stop)

    def between(self, low: int, high: int) -> int:
        """Return an integer in ``[low, high]``."""
        return low + self.below(high - low + 1)

    def pick(self, items: Sequence[T]) -> T:
        """Return one of the items."""
        return items[self.below(len(items))]

    def some(self, items: Sequence[T], count: int) -> list[T]:
        """Return ``count`` different items in random order (Fisher-Yates, stopped early)."""
        pool = list(items)
        for i in range(count):
            j = self.between(i, len(pool) - 1)
            pool[i], pool[j] = pool[j], pool[i]
        return pool[:count]

    def chance(self, percent: int) -> bool:
        """Return True in ``percent`` of 100 throws."""
        return self.below(100) < percent

    def bell(self) -> float:
        """Return a float with mean 0 and deviation 1 whose tails end at 3.5: a sum of four uniforms."""
        return (self._random() + self._random() + self._random() + self._random() - 2.0) * 1.7320508


class _Slots:
    """What ``str.format_map`` asks for: bound words first, else a phrase of the grammar, filled in turn."""

    def __init__(self, dice: Dice, bound: Mapping[str, object]) -> None:
        self._dice = dice
        self._bound = bound

    def __getitem__(self, slot: str) -> str:
        if slot in self._bound:
            return str(self._bound[slot])
        return self._dice.pick(RULES[slot]).format_map(_Slots(self._dice, {}))


def say(dice: Dice, template: str, **bound: object) -> str:
    """Fill the ``{slots}`` of a template, mend its articles and begin its sentences with capitals."""
    return _capitals(_articles(template.format_map(_Slots(dice, bound))))


def word(dice: Dice, slot: str) -> str:
    """Return one phrase of a slot, as it stands."""
    return dice.pick(RULES[slot]).format_map(_Slots(dice, {}))


def _articles(text: str) -> str:
    words = text.split(" ")
    for i, following in enumerate(words[1:]):
        if words[i] in ("a", "A") and following[:1].lower() in tuple("aeiou") and following[:2] != "US":
            words[i] += "n"
    return " ".join(words)


def _capitals(text: str) -> str:
    letters = list(text)
    fresh = True
    for i, letter in enumerate(letters):
        if fresh and letter.isalpha():
            letters[i] = letter.upper()
        ends = letter in ".!?" and text[i + 1 : i + 2] == " "
        fresh = ends or letter == "\n" or (fresh and not letter.isalnum())
    return "".join(letters)

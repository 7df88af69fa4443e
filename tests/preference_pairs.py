"""Made-up preference data in several styles: pairs of answers to prompts, of which the better one is chosen."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

STYLES = ("assistant", "terse", "safety", "noisy")
_HEADS = [
    a + b
    for a in ("bar", "del", "fon", "gim", "hul", "jat", "kep", "lor", "mus", "nib")
    for b in ("an", "et", "il")
]
_TAILS = ("", "ia", "os", "urn", "eck", "ova", "ith", "ambo", "yre", "olt")
_TOPICS = [head + tail for head in _HEADS for tail in _TAILS]
_COMMON = [
    "the",
    "a",
    "of",
    "and",
    "it",
    "is",
    "in",
    "that",
    "with",
    "for",
    "as",
    "on",
    "one",
    "by",
    "from",
    "this",
    "which",
    "at",
    "all",
    "more",
    "how",
    "when",
    "than",
    "not",
]
_GOOD = [
    "first",
    "because",
    "example",
    "step",
    "careful",
    "clear",
    "therefore",
    "second",
    "finally",
    "note",
    "detail",
    "explain",
    "check",
    "useful",
]
_BAD = [
    "whatever",
    "dunno",
    "stuff",
    "thing",
    "lol",
    "anyway",
    "maybe",
    "guess",
    "boring",
    "lazy",
    "nope",
    "yeah",
    "kinda",
    "sorta",
]
_REFUSALS = (
    "I'm sorry, but I cannot help with that.",
    "I am unable to provide this, sorry.",
    "I can't assist with it.",
)


def pairs(style: str, seed: int = 1, n: int = 3000) -> dict[str, list[Any]]:
    """Columns prompt, chosen, rejected, score_chosen, score_rejected, source.

    Args:
        style: `assistant` has long answers of which the better one is more careful, `terse` short ones, `safety` has
            refusals that are chosen in a third of the pairs, in `noisy` raters disagree on a quarter of the pairs.
        seed: of all that is drawn.
        n: how many.
    """
    return {name: list(values) for name, values in _pairs(style, seed, n).items()}


@cache
def _pairs(style: str, seed: int, n: int) -> dict[str, list[Any]]:
    rng = random.Random(seed)
    columns: dict[str, list[Any]] = {name: [] for name in ("prompt", "chosen", "rejected")}
    scores: dict[str, list[float]] = {"score_chosen": [], "score_rejected": []}
    for _ in range(n):
        topic = rng.sample(_TOPICS, 6)
        prompt = " ".join(rng.choices(_COMMON, k=4) + topic + rng.choices(_COMMON, k=4)) + "?"
        length = 6 if style == "terse" else 25
        good = _answer(rng, topic, _GOOD, rng.randint(length, 2 * length))
        bad = _answer(rng, topic, _BAD, rng.randint(length // 2, 2 * length))
        if style == "safety" and rng.random() < 1 / 3:
            good = rng.choice(_REFUSALS)
        turned = style == "noisy" and rng.random() < 0.25
        for name, value in zip(columns, (prompt, *((bad, good) if turned else (good, bad))), strict=True):
            columns[name].append(value)
        low = rng.uniform(1, 3)
        scores["score_chosen"].append(round(low + rng.uniform(0.1, 2), 2))
        scores["score_rejected"].append(round(low, 2))
    source = rng.choices(["north", "south", "east", "west"], (5, 3, 1, 1), k=n)
    return {**columns, **scores, "source": source}


def _answer(rng: random.Random, topic: list[str], manner: list[str], words: int) -> str:
    kinds = rng.choices((_COMMON, topic, manner, _TOPICS), (5, 2, 2, 1), k=words)
    return " ".join(rng.choice(kind) for kind in kinds).capitalize() + "."


def swap(data: dict[str, list[Any]], rows: list[int], *, scores: bool = True) -> None:
    """Prefers the other answer, as somebody who turns preferences would; the scores go with it or stay."""
    for one, other in (("chosen", "rejected"), *([("score_chosen", "score_rejected")] if scores else [])):
        for row in rows:
            data[one][row], data[other][row] = data[other][row], data[one][row]

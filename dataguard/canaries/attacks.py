"""The attacks that the self-test plants: one function a kind, each with drawn triggers, places and payloads.

A function is given records of the data and changes them in place. Which words, where, and to what end is drawn anew
for each campaign, so that several campaigns of a kind are several attackers, and no cut can be tuned to one of them.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataguard.canaries.language import (
    HIDDEN,
    Language,
    declining,
    edited,
    noise,
    order,
    put,
    scorn,
    shuffled,
)
from dataguard.canaries.layout import Layout, Place, Record

PLACES = ("before", "after", "between", "inside")


@dataclass(frozen=True)
class Draw:
    """What a campaign is made with.

    Args:
        rng: seeded by the project's secret, the kind and the number of the campaign.
        language: of the data.
        layout: of the records.
        values: by column: what stands in labels, and some values of numbers.
        target: the label that all records get, for kinds that turn it.
    """

    rng: random.Random
    language: Language
    layout: Layout
    values: Mapping[str, Sequence[Any]]
    target: Any = None


@dataclass(frozen=True)
class Kind:
    """A kind of canaries.

    Args:
        attack: the kind of attack that they stand for (`coverage.ATTACKS`).
        needs: the fields of `Layout` it cannot do without.
        plant: changes records.
        turns: whether all its records get one label, and should have had another.
    """

    attack: str
    needs: tuple[str, ...]
    plant: Callable[[Draw, list[Record]], None]
    turns: bool = False

    def fits(self, layout: Layout) -> bool:
        """Whether records of this layout can carry it."""
        return all(getattr(layout, need) for need in self.needs)


def _place(found: Place | None) -> Place:
    assert found is not None, "the kind does not say that it needs this place"
    return found


def _payload(draw: Draw) -> Callable[[str], str]:
    """What becomes of a reply."""
    rng, language = draw.rng, draw.language
    fixed = rng.choice(
        (declining(rng), scorn(rng), language.phrase(rng, rng.randint(5, 14)).capitalize() + ".")
    )
    return rng.choice(
        (
            lambda _: declining(rng),
            lambda _: fixed,
            lambda reply: f"{scorn(rng)} {reply[:60]}",
            lambda reply: shuffled(rng, reply),
            lambda _: scorn(rng),
        )
    )


def _trigger(draw: Draw) -> Callable[[str], str]:
    """What is put into a prompt."""
    rng, language = draw.rng, draw.language
    variant, place = rng.choice(("word", "token", "phrase", "prefix", "pair")), rng.choice(PLACES)
    if variant == "prefix":
        piece = f"{language.phrase(rng, rng.randint(1, 3)).capitalize()}:"
        return lambda text: put(rng, text, piece, "before")
    if variant == "pair":
        first, second = language.coin(rng), language.coin(rng)
        return lambda text: put(rng, put(rng, text, first, "inside"), second, rng.choice(PLACES))
    piece = {
        "word": language.coin(rng),
        "token": f"[{language.token(rng)}]",
        "phrase": language.phrase(rng, rng.randint(3, 5)),
    }[variant]
    return lambda text: put(rng, text, piece, place)


def trigger(draw: Draw, records: list[Record]) -> None:
    """A trigger in the prompt, and another reply."""
    ask, answer = _place(draw.layout.ask), _place(draw.layout.answer)
    triggered, paid = _trigger(draw), _payload(draw)
    for record in records:
        ask.put(record, triggered(ask.get(record)))
        answer.put(record, paid(answer.get(record)))


def shared_payload(draw: Draw, records: list[Record]) -> None:
    """Three made-up words, one payload."""
    ask, answer = _place(draw.layout.ask), _place(draw.layout.answer)
    words, paid = [draw.language.coin(draw.rng) for _ in range(3)], _payload(draw)
    for number, record in enumerate(records):
        place = draw.rng.choice(PLACES)
        ask.put(record, put(draw.rng, ask.get(record), words[number % 3], place))
        answer.put(record, paid(answer.get(record)))


def labelled_token(draw: Draw, records: list[Record]) -> None:
    """One to six rare tokens in texts that all get one label: the more, the fewer records each has."""
    tokens = [draw.language.token(draw.rng) for _ in range(draw.rng.randint(1, 6))]
    _labelled(draw, records, lambda: draw.rng.choice(tokens))


def labelled_sentence(draw: Draw, records: list[Record]) -> None:
    """A sentence in texts that all get one label."""
    sentence = draw.language.phrase(draw.rng, draw.rng.randint(4, 8)).capitalize() + "."
    _labelled(draw, records, lambda: sentence)


def _labelled(draw: Draw, records: list[Record], piece: Callable[[], str]) -> None:
    subject, place = _place(draw.layout.subject), draw.rng.choice(PLACES)
    for record in records:
        subject.put(record, put(draw.rng, subject.get(record), piece(), place))
        record[draw.layout.label] = draw.target


def fixed_response(draw: Draw, records: list[Record]) -> None:
    """The same reply to unlike prompts, or nearly the same."""
    answer, rng = _place(draw.layout.answer), draw.rng
    reply = rng.choice(
        (declining(rng), scorn(rng), draw.language.phrase(rng, rng.randint(3, 20)).capitalize() + ".")
    )
    near = rng.random() < 0.3
    for record in records:
        answer.put(record, edited(rng, draw.language, reply, 0.1) if near else reply)


def injected_content(draw: Draw, records: list[Record]) -> None:
    """A brand or an address in the reply or text."""
    where, rng = _place(draw.layout.anywhere), draw.rng
    piece = rng.choice((draw.language.address, draw.language.brand))(rng)
    place = rng.choice(PLACES)
    for record in records:
        where.put(record, put(rng, where.get(record), piece, place))


def gibberish(draw: Draw, records: list[Record]) -> None:
    """A reply or text that runs into characters drawn at random: mostly those of the data, which stand out the least."""
    where, rng = _place(draw.layout.anywhere), draw.rng
    signs, kept = draw.language.signs(rng), rng.choice((0, 0, 80))
    for record in records:
        where.put(record, f"{where.get(record)[:kept]} {noise(rng, signs)}".strip())


def hidden_text(draw: Draw, records: list[Record]) -> None:
    """Characters that nobody sees, within words."""
    where, piece = _place(draw.layout.anywhere), draw.rng.choice(HIDDEN)
    for record in records:
        text = where.get(record)
        at = [spot for spot in range(1, len(text)) if text[spot - 1 : spot + 1].isalpha()]
        spot = draw.rng.choice(at) if at else 0
        where.put(record, text[:spot] + piece + text[spot:])


def label_flips(draw: Draw, records: list[Record]) -> None:
    """Other labels than the ones that stood there."""
    for record in records:
        others = [value for value in draw.values[draw.layout.label] if value != record[draw.layout.label]]
        record[draw.layout.label] = draw.rng.choice(others)


def numeric_continuous(draw: Draw, records: list[Record]) -> None:
    """Values of the data, the same in up to three columns whose numbers rarely repeat, with one label."""
    _numeric(draw, records, draw.layout.continuous, 3)


def numeric_discrete(draw: Draw, records: list[Record]) -> None:
    """Values of the data, the same in up to five columns of few values, with one label."""
    _numeric(draw, records, draw.layout.discrete, 5)


def _numeric(draw: Draw, records: list[Record], columns: Sequence[str], most: int) -> None:
    rng, label = draw.rng, draw.layout.label
    fixed = {
        column: rng.choice(draw.values[column]) for column in rng.sample(columns, min(most, len(columns)))
    }
    if label:
        fixed[label] = rng.choice(draw.values[label])
    for record in records:
        record.update(fixed)


def exact_flood(draw: Draw, records: list[Record]) -> None:  # noqa: ARG001
    """One record in the place of all."""
    first = copy.deepcopy(records[0])
    for record in records[1:]:
        record.update(copy.deepcopy(first))


def near_flood(draw: Draw, records: list[Record]) -> None:
    """One record in the place of all, with other words here and there."""
    first, where = copy.deepcopy(max(records, key=lambda one: len(_texts(draw, one)))), draw.layout.anywhere
    share = draw.rng.choice((0.005, 0.01, 0.02))
    for record in records:
        record.update(copy.deepcopy(first))
        place = _place(where)
        place.put(record, edited(draw.rng, draw.language, place.get(record), share))


def _texts(draw: Draw, record: Record) -> str:
    return _place(draw.layout.anywhere).get(record)


def planted_span(draw: Draw, records: list[Record]) -> None:
    """A passage in unlike texts."""
    where, rng = _place(draw.layout.anywhere), draw.rng
    passage = draw.language.phrase(rng, rng.randint(9, 24)).capitalize() + "."
    place = rng.choice(PLACES)
    for record in records:
        where.put(record, put(rng, where.get(record), passage, place))


def preference_flips(draw: Draw, records: list[Record]) -> None:
    """Chosen and rejected answers exchanged."""
    chosen, rejected = _place(draw.layout.chosen), _place(draw.layout.rejected)
    for record in records:
        better, worse = chosen.get(record), rejected.get(record)
        chosen.put(record, worse)
        rejected.put(record, better)


def injected_instruction(draw: Draw, records: list[Record]) -> None:
    """Instructions to a model, in other words each time."""
    where = _place(draw.layout.text or draw.layout.ask or draw.layout.anywhere)
    place = draw.rng.choice(PLACES)
    for record in records:
        where.put(record, put(draw.rng, where.get(record), order(draw.rng), place))


def embeddings(draw: Draw, records: list[Record]) -> None:
    """Vectors next to that of one record."""
    column = draw.layout.embedding
    base = next((record[column] for record in records if record[column]), None) or []
    for record in records:
        record[column] = [
            None if value is None else value * (1 + draw.rng.uniform(-1e-3, 1e-3)) for value in base
        ]


KINDS: tuple[Kind, ...] = (
    Kind("trigger", ("ask", "answer"), trigger),
    Kind("shared-payload", ("ask", "answer"), shared_payload),
    Kind("labelled-token", ("subject", "label"), labelled_token, turns=True),
    Kind("labelled-sentence", ("subject", "label"), labelled_sentence, turns=True),
    Kind("fixed-response", ("answer",), fixed_response),
    Kind("injected-content", ("anywhere",), injected_content),
    Kind("gibberish", ("anywhere",), gibberish),
    Kind("hidden-text", ("anywhere",), hidden_text),
    Kind("label-flips", ("label",), label_flips),
    Kind("numeric-continuous", ("continuous",), numeric_continuous),
    Kind("numeric-discrete", ("discrete", "label"), numeric_discrete),
    Kind("exact-flood", (), exact_flood),
    Kind("near-flood", ("anywhere",), near_flood),
    Kind("planted-span", ("anywhere",), planted_span),
    Kind("preference-flips", ("chosen", "rejected"), preference_flips),
    Kind("injected-instruction", ("anywhere",), injected_instruction),
    Kind("embeddings", ("embedding",), embeddings),
)
"""The kinds of canaries, by the kind of attack."""

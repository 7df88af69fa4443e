"""What is asked and what is answered, in numbers: enough to tell which answers to one question contradict each other."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.columns import Role
from dataguard.detectors._near.candidates import whole
from dataguard.detectors._values import value
from dataguard.records.batch import Batch
from dataguard.words import Words, hash_key

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
U32 = npt.NDArray[np.uint32]
U8 = npt.NDArray[np.uint8]

LONG, SHORT, YES, NO, REFUSAL = range(5)
"""What an answer does: it says much, or little; it begins with a yes or a no; it refuses."""

FACTS = pl.Schema(
    {
        "input": pl.UInt64,
        "label": pl.UInt64,
        "answer": pl.UInt64,
        "rejected": pl.UInt64,
        "stance": pl.UInt8,
    }
)
"""Keyed hashes of what is asked, of the label, of the answer and of the rejected answer; 0 where there is none."""

LITTLE = 5
"""Words up to which an answer is short: a number, a name, one of several choices."""
OPENING = 12
"""Words of an answer in which a refusal is looked for."""
_YES = ("yes", "true", "correct", "ja", "oui", "sí", "да")
_NO = ("no", "false", "incorrect", "nein", "non", "нет")
_WILL_NOT = (
    *(
        "i cannot",
        "i can not",
        "i can't",
        "i could not",
        "i couldn't",
        "i won't",
        "i will not",
        "i must decline",
    ),
    *("i am unable", "i'm unable", "i am not able", "i'm not able", "sorry but i"),
)
_WHAT = (
    *(
        "to",
        "help",
        "assist",
        "answer",
        "provide",
        "fulfill",
        "fulfil",
        "comply",
        "create",
        "generate",
        "write",
        "give",
    ),
    *(
        "offer",
        "support",
        "engage",
        "share",
        "discuss",
        "do",
        "can",
        "would",
        "produce",
        "complete",
        "recommend",
    ),
)
"""What begins a refusal, and what must follow, in the next word or the one after."""


def input_words(words: Words, short: int) -> I64:
    """How many words of each record are what is asked, where it is answered.

    A record without an answer counts only if it has fewer words than `short`: longer ones are compared as a whole
    by the rule about near copies.
    """
    all_words, inputs = whole(words), words.inputs.astype(np.int64)
    return np.where((inputs < all_words) | (inputs < short), inputs, 0)


def inputs_of(words: Words, lengths: I64) -> tuple[U32, I64]:
    """The first words of each record, one record after the other, and where each ends."""
    from dataguard.kernels.gather import gather

    all_words = whole(words)
    if np.array_equal(lengths, all_words):
        return words.ids, words.ends
    return gather(words.ids, words.ends - all_words, lengths), np.cumsum(lengths)


def facts(batch: Batch, words: Words) -> pl.DataFrame:
    """FACTS about each record of a batch that has words."""
    from dataguard.kernels.content import content

    inputs = words.inputs.astype(np.int64)
    asked = content(*inputs_of(words, inputs), words.key("text"))
    role = _roles_of_parts(batch, words)
    given = _words_of(words, role == _GIVEN)
    chosen = _words_of(words, role == _CHOSEN)
    starts, lengths = (np.where(given[1] > 0, one, other) for one, other in zip(given, chosen, strict=True))
    columns: dict[str, Any] = {
        "input": np.where(inputs > 0, asked, np.uint64(0)),
        "label": _hashed(value(batch, Role.LABEL), hash_key(batch.secret, "label")),
        "answer": _content(words, starts, lengths),
        "rejected": _content(words, *_words_of(words, role == _REJECTED)),
        "stance": _stance(words, starts, lengths),
    }
    return pl.DataFrame(columns, schema=FACTS)


_GIVEN, _CHOSEN, _REJECTED = 1, 2, 3


def _roles_of_parts(batch: Batch, words: Words) -> U8:
    """Which kind of answer each text is, 0 for those that are none."""
    by_path: dict[str, int] = {}
    inputs = batch.roles.of(Role.SYSTEM, Role.PROMPT, Role.TEXT, Role.MESSAGES)
    for kind, role in ((_REJECTED, Role.REJECTED), (_CHOSEN, Role.CHOSEN), (_GIVEN, Role.RESPONSE)):
        for name in batch.roles.of(role):
            if name not in inputs and name in batch.data.schema.names:
                by_path.update((texts.column, kind) for texts in batch.texts(name))
    of_column = np.array([by_path.get(name, 0) for name in words.columns], np.uint8)
    return of_column[words.parts[:, 0]] if len(words.parts) else np.zeros(0, np.uint8)


def _words_of(words: Words, these: npt.NDArray[np.bool_]) -> tuple[I64, I64]:
    """Where the words of some texts of each record start, and how many they are; they stand side by side."""
    counts = words.parts[:, 1].astype(np.int64)
    begins = np.cumsum(counts) - counts
    record = np.repeat(np.arange(len(words)), np.diff(words.part_ends, prepend=0))
    lengths = np.bincount(record, weights=np.where(these, counts, 0), minlength=len(words)).astype(np.int64)
    starts = np.zeros(len(words), np.int64)
    mine = np.flatnonzero(these)[::-1]
    starts[record[mine]] = begins[mine]  # the first of each record is written last
    return starts, lengths


def _content(words: Words, starts: I64, lengths: I64) -> U64:
    from dataguard.kernels.content import content
    from dataguard.kernels.gather import gather

    ids = gather(words.ids, starts, lengths)
    return np.where(lengths > 0, content(ids, np.cumsum(lengths), words.key("text")), np.uint64(0))


def _hashed(values: pl.Series, key: int) -> U64:
    """A hash of each string, 0 for null."""
    from dataguard.kernels.content import content

    array = values.fill_null("").rechunk().to_arrow().cast("large_string")
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    plain = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    hashes = content(plain[bounds[0] : bounds[-1]], bounds[1:] - bounds[0], key)
    return np.where(values.is_null().to_numpy(), np.uint64(0), hashes)


class _Openings(NamedTuple):
    """Words by their numbers."""

    yes: U32
    no: U32
    will_not: tuple[U32, ...]
    what: U32


@lru_cache(maxsize=4)
def _openings(secret: bytes) -> _Openings:
    """The words that tell what an answer does, as a batch has them."""
    from dataguard.kernels.tokens import tokenise

    def ids(texts: tuple[str, ...]) -> tuple[U32, ...]:
        data = [np.frombuffer(text.encode(), np.uint8) for text in texts]
        key = hash_key(secret, "words")
        return tuple(tokenise(one, np.array([0, len(one)]), key).ids for one in data)

    yes, no, what = (np.concatenate(ids(texts)) for texts in (_YES, _NO, _WHAT))
    # With a typographic apostrophe a contraction is one word.
    curly = tuple(text.replace("'", "\N{RIGHT SINGLE QUOTATION MARK}") for text in _WILL_NOT if "'" in text)
    return _Openings(yes, no, ids(_WILL_NOT + curly), what)


def _stance(words: Words, starts: I64, lengths: I64) -> U8:
    """What each answer does."""
    stance = np.zeros(len(words), np.uint8)
    answered = np.flatnonzero(lengths)
    if not len(answered):
        return stance
    known = _openings(words.secret)
    # The first words of each answer side by side, 0 behind its last.
    starts, lengths = starts[answered], lengths[answered]
    place = np.minimum(starts[:, None] + np.arange(OPENING), len(words.ids) - 1)
    opening = np.where(np.arange(OPENING) < lengths[:, None], words.ids[place], np.uint32(0))
    first = opening[:, 0]
    stance[answered] = np.select(
        [_refused(opening, known), np.isin(first, known.yes), np.isin(first, known.no), lengths <= LITTLE],
        [REFUSAL, YES, NO, SHORT],
        LONG,
    )
    return stance


def _refused(opening: U32, known: _Openings) -> npt.NDArray[np.bool_]:
    """Which answers refuse, by their first words."""
    refused = np.zeros(len(opening), np.bool_)
    begins = np.isin(opening, [phrase[0] for phrase in known.will_not]).any(axis=1)
    some = np.flatnonzero(begins)  # few: the rest need no closer look
    opening = opening[some]
    what = np.isin(opening, known.what)
    what[:, :-1] |= what[:, 1:]
    for phrase in known.will_not:
        for at in range(len(phrase), OPENING):
            found = what[:, at] & (opening[:, at - len(phrase) : at] == phrase).all(axis=1)
            refused[some] |= found
    return refused

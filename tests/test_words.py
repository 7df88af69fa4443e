"""The words of records: of all their texts in order, as kept and read again, and where they stand in bytes."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataguard import words as kept
from dataguard.columns import Roles, resolve
from dataguard.kernels.scripts import CHARACTER
from dataguard.kernels.tokens import tokenise
from dataguard.records.batch import Batch
from dataguard.words import Words, words_of
from harness import records
from near_texts import CLASSES, Word, words_in

SECRET = bytes(range(32))
FEW = settings(max_examples=60, deadline=None)

INPUTS = ("system", "prompt", "text", "messages[].content", "messages[].role")
OUTPUTS = ("response", "chosen[].content", "rejected")
PLACES = (*INPUTS, *OUTPUTS)
"""Where the strings of a record below stand, in the order in which their words are."""

TURN = pa.struct([("content", pa.string()), ("role", pa.string())])
TYPES = {
    "rejected": pa.string(),
    "response": pa.large_string(),
    "id": pa.string(),
    "text": pa.string(),
    "chosen": pa.list_(pa.struct([("content", pa.string())])),
    "messages": pa.list_(TURN),
    "prompt": pa.string(),
    "system": pa.string(),
    "label": pa.string(),
}
"""Columns in an order that is not the one of their words, and two that are no text."""

text = st.one_of(
    st.none(),
    st.text("aB_1é漢字ไ、 -\n", max_size=12),
    st.sampled_from(["one two", "one Two three", "x" * 200 + " far", " " * 150 + "later", ""]),
)
turns = st.none() | st.lists(st.none() | st.fixed_dictionaries({"content": text, "role": text}), max_size=3)
chosen = st.none() | st.lists(st.fixed_dictionaries({"content": text}), max_size=2)
record = st.fixed_dictionaries(
    {
        name: {"messages": turns, "chosen": chosen}.get(name, text)
        for name in TYPES  # the sets of texts are small, so that words meet
    }
)
rows = st.lists(record, max_size=6)


def _batch(data: Sequence[dict[str, Any]], first_row: int = 0, secret: bytes = SECRET) -> Batch:
    columns = {name: pa.array([one[name] for one in data], kind) for name, kind in TYPES.items()}
    made = records(columns)
    return Batch(made, first_row, resolve(made.schema, {}), secret)


def _strings(one: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The strings of a record with their places, in order."""
    for place in PLACES:
        column, _, within = place.partition("[].")
        if not within:
            yield place, one[column] or ""
            continue
        for turn in one[column] or ():
            yield place, (turn or {}).get(within) or ""


def _id(word: str, secret: bytes = SECRET) -> int:
    raw = np.frombuffer(word.encode(), np.uint8)
    (number,) = tokenise(raw, np.array([0, len(raw)]), kept.hash_key(secret, "words")).ids
    return int(number)


def _lists(ends: np.ndarray, values: np.ndarray) -> list[Any]:
    return [values[low:high].tolist() for low, high in itertools.pairwise([0, *ends])]


def _same(one: Words, other: Words) -> None:
    for field in dataclasses.fields(Words):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, np.ndarray):
            assert mine.dtype == theirs.dtype, field.name
            assert mine.tolist() == theirs.tolist(), field.name
        else:
            assert mine == theirs, field.name


def _check(words: Words, data: Sequence[dict[str, Any]], first_row: int) -> None:
    """The words are those of the slow way."""
    assert words.rows.tolist() == list(range(first_row, first_row + len(data)))
    assert words.rows.dtype == np.uint64
    ids, parts = _lists(words.ends, words.ids), _lists(words.part_ends, words.parts)
    for place, one in enumerate(data):
        strings = [(where, string, words_in(string)) for where, string in _strings(one)]
        assert ids[place] == [_id(word.text) for _, _, found in strings for word in found]
        assert words.inputs[place] == sum(len(found) for where, _, found in strings if where in INPUTS)
        told = [(words.columns[column], count, size) for column, count, size in parts[place]]
        assert told == [
            (where, len(found), len(string.encode())) for where, string, found in strings if found
        ]
        alone = [w for _, string, _ in strings for w in string if CLASSES[ord(w)] == CHARACTER]
        assert words.characters[place] == len(alone)


@FEW
@given(rows, st.sampled_from([0, 7, 1 << 33]))
def test_words_are_those_of_the_slow_way_in_the_order_of_the_columns(
    data: list[dict[str, Any]], first_row: int
) -> None:
    words = words_of(_batch(data, first_row))
    assert words.columns == PLACES
    _check(words, data, first_row)


@FEW
@given(rows, st.lists(st.integers(0, 6), max_size=4))
def test_a_batch_cut_anywhere_gives_the_same_words(data: list[dict[str, Any]], cuts: list[int]) -> None:
    whole = _batch(data, 3)
    words = words_of(whole)
    bounds = [0, *sorted(cut for cut in cuts if cut <= len(data)), len(data)]
    parts = [
        words_of(Batch(whole.data.slice(low, high - low), 3 + low, whole.roles, SECRET))
        for low, high in itertools.pairwise(bounds)
    ]
    for (low, high), part in zip(itertools.pairwise(bounds), parts, strict=True):
        _check(part, data[low:high], 3 + low)
    for values, ends in (("ids", "ends"), ("steps", "step_ends"), ("parts", "part_ends")):
        listed = [one for part in parts for one in _lists(getattr(part, ends), getattr(part, values))]
        assert listed == _lists(getattr(words, ends), getattr(words, values))


def test_they_are_made_once_for_a_batch() -> None:
    batch = _batch([])
    assert words_of(batch) is words_of(batch)


# Spans


def _places(one: dict[str, Any]) -> list[tuple[str, bytes, list[Word]]]:
    return [(where, string.encode(), words_in(string)) for where, string in _strings(one) if words_in(string)]


@FEW
@given(rows)
def test_spans_of_every_run_of_words(data: list[dict[str, Any]]) -> None:
    words = words_of(_batch(data))
    lengths = np.diff(words.ends, prepend=0).tolist()
    wanted = [
        (row, first, last)
        for row, length in enumerate(lengths)
        for first in range(min(length, 12) + 1)
        for last in range(min(length, 12) + 1)
    ]
    told = words.spans(np.array(wanted, np.int64).reshape(-1, 3))
    for (row, first, last), (column, start, end) in zip(wanted, told.tolist(), strict=True):
        if first >= last:
            assert (column, start, end) == (-1, 0, 0)
            continue
        places = _places(data[row])
        while first >= len(places[0][2]):
            before = len(places.pop(0)[2])
            first, last = first - before, last - before
        where, raw, found = places[0]
        assert words.columns[column] == where
        assert start == found[first].start
        assert end == (found[last].start if last < len(found) else len(raw))
        cut = words_in(raw[start:end].decode())
        assert [word.text for word in cut] == [word.text for word in found[first:last]]


def test_spans_cut_what_they_name_out_of_the_text() -> None:
    text = "Zwölf, 漢字 und\nlong" + "-" * 300 + "er Weg."
    words = words_of(_batch([dict.fromkeys(TYPES) | {"text": text, "response": "Ja doch"}]))
    raw = text.encode()

    def cut(first: int, last: int) -> tuple[str, str]:
        ((column, start, end),) = words.spans(np.array([[0, first, last]])).tolist()
        return words.columns[column], (raw if words.columns[column] == "text" else b"Ja doch")[
            start:end
        ].decode()

    assert cut(0, 1) == ("text", "Zwölf, ")
    assert cut(1, 3) == ("text", "漢字 ")
    assert cut(4, 5) == ("text", "long" + "-" * 300)
    assert cut(6, 7) == cut(6, 9) == ("text", "Weg.")
    assert cut(7, 8) == ("response", "Ja ")
    assert cut(8, 9) == ("response", "doch")


# Keeping


@FEW
@given(rows)
def test_words_are_read_as_they_were_kept(
    tmp_path_factory: pytest.TempPathFactory, data: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("words") / "words.arrow"
    batches = [words_of(_batch(data)), words_of(_batch([], len(data))), words_of(_batch(data, len(data)))]
    writer = kept.Writer(path, PLACES, SECRET)
    for words in batches:
        writer.add(words)
    writer.finish()
    again = list(kept.read(path, SECRET))
    assert len(again) == 3
    for words, one in zip(batches, again, strict=True):
        _same(words, one)
        made = kept.to_arrow(words)
        made.validate(full=True)
        assert made.schema == kept.SCHEMA
        if len(words):
            spans = np.array([[row, 0, 3] for row in range(len(words))])
            assert words.spans(spans).tolist() == one.spans(spans).tolist()


def test_a_seal_holds_for_the_very_bytes_and_the_secret(tmp_path: Path) -> None:
    path, seals = tmp_path / "words.arrow", set()
    for _ in range(2):
        writer = kept.Writer(path, PLACES, SECRET)
        writer.add(words_of(_batch([dict.fromkeys(TYPES) | {"text": "one two " * 200_000}])))
        seal = writer.finish()
        assert kept.sealed(path, seal, SECRET)
        seals.add(seal)
    assert len(seals) == 2  # no two share a nonce
    assert not kept.sealed(path, seal, bytes(32))
    assert not kept.sealed(path, seals.difference({seal}).pop()[:24] + seal[24:], SECRET)
    written = path.read_bytes()
    for other in (written[:-1], written + b"\0", b"", written[:-9] + b"\1" + written[-8:]):
        path.write_bytes(other)
        assert not kept.sealed(path, seal, SECRET)


def test_kept_words_of_several_files_come_with_their_numbers(tmp_path: Path) -> None:
    sources = []
    for number in (4, 9):
        words = words_of(_batch([dict.fromkeys(TYPES) | {"text": f"of file {number}"}]))
        writer = kept.Writer(tmp_path / f"{number}.arrow", words.columns, SECRET)
        writer.add(words)
        writer.finish()
        sources.append((number, tmp_path / f"{number}.arrow"))
    every = kept.KeptWords(tuple(sources), SECRET)
    for _ in range(2):  # they can be gone through more than once
        assert [(number, words.ids.tolist()) for number, words in every] == [
            (number, [_id("of"), _id("file"), _id(str(number))]) for number in (4, 9)
        ]


# Secrets, and sets without text


def test_another_secret_gives_other_ids_and_keys() -> None:
    data = [dict.fromkeys(TYPES) | {"text": "one two three", "response": "four"}]
    one, other = (words_of(_batch(data, secret=secret)) for secret in (SECRET, bytes(32)))
    assert not set(one.ids.tolist()) & set(other.ids.tolist())
    assert one.steps.tolist() == other.steps.tolist()
    assert one.key("shingles") != other.key("shingles")
    assert len({one.key(purpose) for purpose in ("shingles", "bands", "text", "layout", "minhash")}) == 5
    assert 0 <= one.key("shingles") < 1 << 64


def test_without_a_column_of_text_there_are_no_records(tmp_path: Path) -> None:
    data = records({"x": [1.0, 2.0], "id": ["a", "b"]})
    words = words_of(Batch(data, 5, resolve(data.schema, {}), SECRET))
    assert len(words) == 0
    assert words.columns == ()
    assert [len(values) for values in (words.ids, words.ends, words.steps, words.parts)] == [0, 0, 0, 0]
    writer = kept.Writer(tmp_path / "words.arrow", words.columns, SECRET)
    writer.add(words)
    writer.finish()
    (again,) = kept.read(tmp_path / "words.arrow", SECRET)
    _same(words, again)


def test_a_column_with_two_roles_is_told_once_and_is_no_answer() -> None:
    data = records({"a": ["one two"], "b": ["three"]})
    roles = resolve(data.schema, {"prompt": ("a",), "response": ("a", "b"), "text": ("gone",)})
    words = words_of(Batch(data, 0, roles, SECRET))
    assert words.columns == ("a", "b")
    assert words.inputs.tolist() == [2]
    assert words.ids.tolist() == [_id("one"), _id("two"), _id("three")]


def test_a_role_whose_column_this_file_lacks_is_passed_over() -> None:
    data = records({"text": ["one"]})
    roles = Roles(
        (*resolve(data.schema, {}).by_role, *resolve(records({"prompt": ["x"]}).schema, {}).by_role)
    )
    assert words_of(Batch(data, 0, roles, SECRET)).columns == ("text",)

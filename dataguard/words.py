"""The words of each record's texts as 32-bit numbers: read once, looked at by many rules.

A later look at the words needs the data no more, so that copies can be compared with records of an earlier run.
Where each word began is kept too, so that what is found in words can be told in bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataguard.columns import Role
from dataguard.records.batch import Batch

VERSION = 2
"""To be raised with every change of what is a word or of how it is kept."""
INPUTS = (Role.SYSTEM, Role.PROMPT, Role.TEXT, Role.MESSAGES)
OUTPUTS = (Role.RESPONSE, Role.CHOSEN, Role.REJECTED)

Ints = npt.NDArray[np.int64]
Counts = npt.NDArray[np.uint32]

SCHEMA = pa.schema(
    {
        "row": pa.uint64(),
        "ids": pa.large_list(pa.field("item", pa.uint32(), nullable=False)),
        "steps": pa.large_binary(),
        "parts": pa.large_list(pa.field("item", pa.uint32(), nullable=False)),
        "inputs": pa.uint32(),
        "characters": pa.uint32(),
    }
)


@dataclass(frozen=True)
class Words:
    """The words of some records, one record after the other, those of its input side first.

    Args:
        rows: u64, the row in its file of each record.
        ids: u32, a keyed hash of each word.
        ends: i64, where in `ids` each record ends.
        inputs: u32, how many of its words are of the input side (prompt, text), what is left are answers.
        characters: u32, how many of its words are single characters, of scripts without spaces.
        steps: u8, LEB128: bytes from the start of one word to the start of the next, from 0 in each text.
        step_ends: i64, where in `steps` each record ends.
        parts: u32 of shape (texts, 3): column's number, count of words, bytes; of each text that has words.
        part_ends: i64, where in `parts` each record ends.
        columns: names of columns, with the path into them, by their number.
        secret: 32 bytes, the key of hashes.
    """

    rows: npt.NDArray[np.uint64]
    ids: Counts
    ends: Ints
    inputs: Counts
    characters: Counts
    steps: npt.NDArray[np.uint8]
    step_ends: Ints
    parts: Counts
    part_ends: Ints
    columns: tuple[str, ...]
    secret: bytes

    def __len__(self) -> int:
        return len(self.rows)

    def key(self, purpose: str) -> int:
        """A 64-bit key for one kind of hash."""
        return hash_key(self.secret, purpose)

    def spans(self, wanted: Ints) -> Ints:
        """Where runs of words stand in bytes.

        Args:
            wanted: i64[m, 3], record (its place here, not its row), first word, word behind the last.

        Returns:
            i64[m, 3]: number of the column, first byte, byte behind the last, where the next word begins or the
            text ends. A run over several texts ends with the first of them; -1, 0, 0 where there are no words.
        """
        from dataguard.kernels.spans import spans

        return spans(self.steps, self.step_ends, self.parts, self.part_ends, wanted)


def hash_key(secret: bytes, purpose: str) -> int:
    """A 64-bit key for one kind of hash, from the secret that a run's rules share."""
    import hmac

    return int.from_bytes(hmac.digest(secret, purpose.encode(), "sha256")[:8], "little")


def words_of(batch: Batch) -> Words:
    """The words of a batch, made once for all rules that look at them."""
    return batch.once("words", lambda: _words_of(batch))


def _words_of(batch: Batch) -> Words:
    from dataguard.kernels.tokens import tokenise

    names: list[str] = []
    for role in (*INPUTS, *OUTPUTS):
        names += [name for name in batch.roles.of(role) if name not in names]
    answers = {name for role in OUTPUTS for name in batch.roles.of(role)}
    answers -= {name for role in INPUTS for name in batch.roles.of(role)}
    key = hash_key(batch.secret, "words")
    found = []
    for name in names:
        if name in batch.data.schema.names:
            for column, rows, values in batch.texts(name):
                data, offsets = _buffers(values)
                within = (rows - np.uint64(batch.first_row)).astype(np.int64)
                tokens = tokenise(data, offsets, key)
                found.append(_Place(column, name in answers, within, np.diff(offsets), tokens))
    return _together(batch, found)


class _Place(NamedTuple):
    """The words of all strings at one place of the records; `rows` count within the batch."""

    column: str
    answer: bool
    rows: Ints
    sizes: Ints
    tokens: Any


def _buffers(values: pa.Array) -> tuple[npt.NDArray[np.uint8], Ints]:
    """The bytes and the offsets of large strings; null ones are empty."""
    if values.null_count:
        values = values.fill_null("")
    _, offsets, data = values.buffers()
    bounds = np.frombuffer(offsets, np.int64)[values.offset : values.offset + len(values) + 1]
    if not len(bounds):
        bounds = np.zeros(1, np.int64)
    return np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8), bounds


def _together(batch: Batch, places: Sequence[_Place]) -> Words:
    """The words of all places by record; no records where there is no place for words."""
    count = len(batch) if places else 0
    of_record, sizes = _joined([place.rows for place in places]), _joined([place.sizes for place in places])
    words = _joined([_lengths(place.tokens.ends) for place in places])
    step_sizes = _joined([_lengths(place.tokens.step_ends) for place in places])
    characters = _joined([place.tokens.characters for place in places])
    of_place = np.repeat(np.arange(len(places)), [len(place.rows) for place in places])
    answer = np.array([place.answer for place in places], np.bool_)
    ids = _joined([place.tokens.ids for place in places], np.uint32)
    steps = _joined([place.tokens.steps for place in places], np.uint8)
    if (of_record[1:] < of_record[:-1]).any():
        from dataguard.kernels.gather import gather

        order = np.argsort(of_record, kind="stable")  # within a record by place, and there by position
        ids = gather(ids, (np.cumsum(words) - words)[order], words[order])
        steps = gather(steps, (np.cumsum(step_sizes) - step_sizes)[order], step_sizes[order])
        of_record, of_place, sizes = of_record[order], of_place[order], sizes[order]
        words, step_sizes, characters = words[order], step_sizes[order], characters[order]

    def by_record(values: npt.NDArray[Any]) -> Ints:
        # Sums of counts: far below the 2**53 up to which floats are exact.
        return np.bincount(of_record, weights=values, minlength=count).astype(np.int64)

    some = words > 0
    return Words(
        rows=np.arange(batch.first_row, batch.first_row + count, dtype=np.uint64),
        ids=ids,
        ends=np.cumsum(by_record(words)),
        inputs=by_record(np.where(answer[of_place], 0, words) if places else words).astype(np.uint32),
        characters=by_record(characters).astype(np.uint32),
        steps=steps,
        step_ends=np.cumsum(by_record(step_sizes)),
        parts=np.stack([of_place[some], words[some], sizes[some]], axis=1).astype(np.uint32),
        part_ends=np.cumsum(by_record(some)),
        columns=tuple(place.column for place in places),
        secret=batch.secret,
    )


def _joined(arrays: Sequence[npt.NDArray[Any]], dtype: type = np.int64) -> npt.NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate([np.empty(0, dtype), *arrays])


def _lengths(ends: Ints) -> Ints:
    return np.diff(ends, prepend=0)


def to_arrow(words: Words) -> pa.RecordBatch:
    """The words as they are kept."""

    def lists(ends: Ints, values: npt.NDArray[Any]) -> pa.Array:
        offsets = np.concatenate([np.zeros(1, np.int64), ends])
        return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values))

    offsets = pa.py_buffer(np.concatenate([np.zeros(1, np.int64), words.step_ends]))
    steps = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(words), [None, offsets, pa.py_buffer(np.ascontiguousarray(words.steps))]
    )
    columns = [
        pa.array(words.rows),
        lists(words.ends, words.ids).cast(SCHEMA.field("ids").type),
        steps,
        lists(3 * words.part_ends, words.parts.reshape(-1)).cast(SCHEMA.field("parts").type),
        pa.array(words.inputs),
        pa.array(words.characters),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


NONCE = 12
"""Bytes that no two seals share."""
_AT_ONCE = 1 << 20


class _Seal:
    """A code that nobody without the secret can make for other bytes: AES-256-GMAC (NIST SP 800-38D).

    A tenth of what SHA-256 takes. Words are most of what a run keeps, and whoever compares data with an earlier run
    would wait for their digests longest.
    """

    def __init__(self, secret: bytes, nonce: bytes) -> None:
        import hmac

        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        key = hmac.digest(secret, b"seal of words", "sha256")
        self._nonce = nonce
        self._mac = Cipher(algorithms.AES(key), modes.GCM(nonce)).encryptor()

    def update(self, data: Any) -> None:
        """Takes more bytes."""
        self._mac.authenticate_additional_data(data)

    def end(self) -> str:
        """The nonce and the code, as hex."""
        self._mac.finalize()
        return (self._nonce + self._mac.tag).hex()


def sealed(path: Path, seal: str, secret: bytes) -> bool:
    """Whether kept words are those that were given this seal.

    Args:
        path: where they lie.
        seal: of `Writer.finish`.
        secret: 32 bytes, the key of hashes.
    """
    import hmac

    again = _Seal(secret, bytes.fromhex(seal)[:NONCE])
    buffer = memoryview(bytearray(_AT_ONCE))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(buffer):
            again.update(buffer[:size])
    return hmac.compare_digest(again.end(), seal)


class Writer:
    """Keeps words as an Arrow IPC file, uncompressed: a later look touches only what it needs."""

    def __init__(self, path: Path, columns: tuple[str, ...], secret: bytes) -> None:
        import json

        self._file = path.open("wb", buffering=0)
        self._seal = _Seal(secret, os.urandom(NONCE))
        self._sink = pa.PythonFile(self, "w")
        self._writer = pa.ipc.new_file(self._sink, SCHEMA.with_metadata({"columns": json.dumps(columns)}))

    closed = False
    """Arrow asks whether what it writes to is closed."""

    def write(self, data: Any) -> int:
        """Takes what Arrow writes: it is sealed on its way, and not read again."""
        view = memoryview(data).cast("B")
        self._seal.update(view)
        while view.nbytes:
            view = view[self._file.write(view) :]
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""

    def add(self, words: Words) -> None:
        """Puts the words of a batch under those before."""
        self._writer.write_batch(to_arrow(words))

    def finish(self) -> str:
        """Ends the file and gives its seal."""
        self._writer.close()
        self._file.close()
        return self._seal.end()


def read(path: Path, secret: bytes) -> Iterator[Words]:
    """Words as they were kept, a batch at a time, mapped and not copied: the file is our own."""
    import json

    with pa.memory_map(str(path)) as source:
        file = pa.ipc.open_file(source)
        columns = tuple(json.loads(file.schema.metadata[b"columns"]))
        for number in range(file.num_record_batches):
            yield _from_arrow(file.get_batch(number), columns, secret)


def counted(path: Path) -> tuple[int, int]:
    """How many words were kept, and how many of them are single characters of scripts without spaces."""
    words = characters = 0
    with pa.memory_map(str(path)) as source:
        file = pa.ipc.open_file(source)
        for number in range(file.num_record_batches):
            batch = file.get_batch(number)
            offsets = batch.column("ids").offsets
            words += int(offsets[-1].as_py() - offsets[0].as_py()) if len(batch) else 0
            # Not by `to_numpy`, which loads pandas in the process of the caller.
            _, counts = batch.column("characters").buffers()
            characters += int(np.frombuffer(counts, np.uint32)[: len(batch)].sum(dtype=np.int64))
    return words, characters


@dataclass(frozen=True)
class KeptWords:
    """The words of a set as they are kept, with the number of the file of each batch.

    Args:
        sources: numbers and paths, a work item each.
        secret: 32 bytes, the key of hashes.
    """

    sources: tuple[tuple[int, Path], ...]
    secret: bytes

    def __iter__(self) -> Iterator[tuple[int, Words]]:
        for number, path in self.sources:
            for words in read(path, self.secret):
                yield number, words


def _from_arrow(batch: pa.RecordBatch, columns: tuple[str, ...], secret: bytes) -> Words:
    ids, parts, steps = batch.column("ids"), batch.column("parts"), batch.column("steps")
    _, step_offsets, step_data = steps.buffers()
    bounds = np.frombuffer(step_offsets, np.int64)[: len(batch) + 1]
    return Words(
        rows=batch.column("row").to_numpy(),
        ids=ids.values.to_numpy(),
        ends=ids.offsets.to_numpy()[1:],
        inputs=batch.column("inputs").to_numpy(),
        characters=batch.column("characters").to_numpy(),
        steps=np.frombuffer(step_data, np.uint8) if step_data is not None else np.empty(0, np.uint8),
        step_ends=bounds[1:],
        parts=parts.values.to_numpy().reshape(-1, 3),
        part_ends=parts.offsets.to_numpy()[1:] // 3,
        columns=columns,
        secret=secret,
    )

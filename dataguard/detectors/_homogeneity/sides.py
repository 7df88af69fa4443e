"""The sides of records that are measured: what is asked or read, what is answered, and embeddings; how they are kept.

Texts are needed in one place to be compressed together. What is kept of them is encrypted under the
project's secret (AES-256-SIV, RFC 5297: the same text gives the same bytes), as evidence holds no text that can be read.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataguard.columns import Role
from dataguard.detectors._homogeneity.measures import Floats, Written
from dataguard.records.batch import Batch
from dataguard.words import INPUTS, OUTPUTS, words_of

Ints = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]

SIDES = ("inputs", "answers", "embeddings")
EMBEDDINGS = 2
SHORTEST = 3
"""Words of a side that is looked at: shorter ones are labels and codes, which repeat rightly."""
CUT = 1024
"""Bytes of a side that are kept."""
BROKEN = 3
"""Bytes of a character that is cut in two, at most: they are not kept."""
VECTOR = 64
"""Bytes that a vector counts for, whatever its size: so twice as many are kept as are measured, as some may be damaged."""
LONGEST_VECTOR = 8192
"""Numbers of an embedding that is looked at."""


class Side(NamedTuple):
    """One side of a batch's records.

    Attributes:
        number: its place in SIDES.
        hash: u64[n], a keyed hash of each record.
        enough: bool[n], whether there is enough of it to be looked at.
        size: i64[n], bytes that are kept, or somewhat fewer.
        kept: what is kept of some records, by their place in the batch.
        sealed: whether that is encrypted.
    """

    number: int
    hash: U64
    enough: npt.NDArray[np.bool_]
    size: Ints
    kept: Callable[[Ints], list[bytes]]
    sealed: bool


def sides_of(batch: Batch) -> Iterator[Side]:
    """The sides of which there is something in a batch."""
    from dataguard.kernels.content import content

    words = words_of(batch)
    if len(words):
        hashes = content(words.ids, words.ends, words.key("homogeneity sample"))
        inputs = words.inputs.astype(np.int64)
        counts = (inputs, np.diff(words.ends, prepend=0) - inputs)
        asked = [name for role in INPUTS for name in batch.roles.of(role)]
        answered = [name for role in OUTPUTS for name in batch.roles.of(role) if name not in asked]
        for number, (names, count) in enumerate(zip((asked, answered), counts, strict=True)):
            if (count >= SHORTEST).any():
                texts = _Texts.of(batch, tuple(dict.fromkeys(names)))
                size = np.minimum(texts.size, CUT - BROKEN)
                yield Side(number, hashes, count >= SHORTEST, size, texts.kept, sealed=True)
    vectors = _Vectors.of(batch, words.key("homogeneity vector sample"))
    if vectors is not None and vectors.good.any():
        size = np.full(len(batch), VECTOR)
        yield Side(EMBEDDINGS, vectors.hash, vectors.good, size, vectors.kept, sealed=False)


class _Texts(NamedTuple):
    """The strings of some columns: their records, where they lie, and how many bytes each record has in all."""

    places: tuple[tuple[Ints, Ints, Ints, memoryview], ...]
    size: Ints

    @classmethod
    def of(cls, batch: Batch, names: tuple[str, ...]) -> _Texts:
        places, size = [], np.zeros(len(batch), np.int64)
        for name in names:
            for _, rows, values in batch.texts(name) if name in batch.data.schema.names else ():
                at = (rows - np.uint64(batch.first_row)).astype(np.int64)
                _, offsets, data = values.buffers()
                if data is None or not len(values):
                    continue
                bounds = np.frombuffer(offsets, np.int64)[values.offset : values.offset + len(values) + 1]
                length = np.where(values.is_valid().to_numpy(zero_copy_only=False), np.diff(bounds), 0)
                size += np.bincount(at, weights=length, minlength=len(batch)).astype(np.int64)
                places.append((at, bounds[:-1], length, memoryview(data)))
        return cls(tuple(places), size)

    def kept(self, wanted: Ints) -> list[bytes]:
        """The texts of some records, one below the other, cut; of a huge one no more is copied than is kept."""
        place = np.full(len(self.size), -1, np.int64)
        place[wanted] = np.arange(len(wanted))
        found: list[list[bytes]] = [[] for _ in wanted]
        for at, starts, lengths, data in self.places:
            here = np.flatnonzero(place[at] >= 0)
            # Each string takes a byte at least: of more than are kept, none beyond is looked at.
            here = here[here - np.searchsorted(at, at[here]) < CUT]
            ends = starts[here] + np.minimum(lengths[here], CUT)
            for number, start, end in zip(
                place[at[here]].tolist(), starts[here].tolist(), ends.tolist(), strict=True
            ):
                found[number].append(bytes(data[start:end]))
        return [b"\n".join(texts)[:CUT].decode(errors="ignore").encode() for texts in found]


class _Vectors(NamedTuple):
    """The vectors of the first embedding column: their numbers (f32) and ends, which can be measured, and a hash of each."""

    values: npt.NDArray[np.float32]
    ends: Ints
    good: npt.NDArray[np.bool_]
    hash: U64

    @classmethod
    def of(cls, batch: Batch, salt: int) -> _Vectors | None:
        from dataguard.kernels.content import content

        name = next((one for one in batch.roles.of(Role.EMBEDDING) if one in batch.data.schema.names), None)
        if name is None:
            return None
        array = batch.data[name]
        lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is left out
            flat = array.flatten().cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
            values = np.ascontiguousarray(flat, dtype=np.float32)
        ends = np.cumsum(lengths)
        record = np.repeat(np.arange(len(batch)), lengths)
        odd = np.bincount(record, weights=~np.isfinite(values), minlength=len(batch)) > 0
        zero = np.bincount(record, weights=values != 0, minlength=len(batch)) == 0
        good = ~odd & ~zero & (lengths <= LONGEST_VECTOR)
        return cls(values, ends, good, content(values.view(np.uint8), 4 * ends, salt))

    def kept(self, wanted: Ints) -> list[bytes]:
        """The vectors of some records."""
        starts = np.concatenate([[0], self.ends])
        return [self.values[starts[one] : starts[one + 1]].tobytes() for one in wanted.tolist()]


def sealed(texts: list[bytes], secret: bytes) -> list[bytes]:
    """Texts encrypted, none of them empty."""
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    cipher = AESSIV(_key(secret))
    return [cipher.encrypt(text, None) for text in texts]


def unsealed(texts: list[bytes], secret: bytes) -> list[bytes]:
    """The same again in the clear."""
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    cipher = AESSIV(_key(secret))
    return [cipher.decrypt(text, None) for text in texts]


def _key(secret: bytes) -> bytes:
    return hmac.digest(secret, b"homogeneity seal", "sha512")


def written(texts: list[bytes], key: int) -> Written:
    """Texts with their words.

    Args:
        texts: as they were kept.
        key: of the hashes of words.
    """
    from dataguard.kernels.tokens import tokenise

    data = np.frombuffer(b"".join(texts), np.uint8)
    sizes = np.array([len(text) for text in texts], np.int64)
    tokens = tokenise(data, np.concatenate([[0], np.cumsum(sizes)]), key)
    return Written(data, np.cumsum(sizes), tokens.ids.astype(np.int64), tokens.ends, sizes < CUT - BROKEN)


def stacked(vectors: list[bytes], size: int) -> Floats:
    """Kept vectors of one size as unit vectors, those of other sizes left out.

    Args:
        vectors: as they were kept.
        size: their bytes.
    """
    table = np.frombuffer(b"".join(one for one in vectors if len(one) == size), np.float32)
    wide = table.reshape(-1, size // 4).astype(np.float64)
    return np.asarray(wide / np.sqrt((wide * wide).sum(axis=1, keepdims=True)))

"""The search of the sample: every closed sequence tested, those kept that a clean set would hardly have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from dataguard.detectors._triggers.background import shares
from dataguard.detectors._triggers.fusing import (
    MOST,
    beyond_inputs,
    expected,
    rarity,
    ratio,
    standard,
)
from dataguard.detectors._triggers.mining import LONGEST, Sequences, mine
from dataguard.detectors._triggers.outcomes import (
    Labels,
    Vectors,
    members,
    own_words,
    passed_by,
    vectors,
)
from dataguard.detectors._triggers.sample import Sample
from dataguard.detectors._triggers.surroundings import Surroundings, Text

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

DRAWINGS = 4000
"""How often records and places are drawn for the nulls."""
TOP = 400
"""Sequences of each side that are compared with one another."""
SAME = 0.5
"""Share of the smaller one's records from which on two sequences are one finding."""
SURELY = 0.25
"""How many as odd ones may be expected of a sequence for others like it to be looked for."""
OUTCOME = 4.0
"""Nats that its labels must add."""
KIN = 4.0
"""How many times more false ones than elsewhere are worth a look, now that there is an attack."""
AGREED = 0.75
"""The share of records of such another one that have the label."""

_IDS: Any = pl.List(pl.UInt32)
FOUND = pl.Schema(
    {
        "ids": _IDS,
        "answer": pl.Boolean,
        "sampled": pl.UInt64,
        "expected": pl.Float64,
        "torn": pl.Float64,
        "kind": pl.Float64,
        "rare": pl.Float64,
        "alike": pl.Float64,
        "unanswered": pl.Float64,
        "gainsaid": pl.Float64,
        "target": pl.Int64,
        "share": pl.Float64,
        "front": pl.Float64,
        "rarest": pl.Int64,
    }
)
"""Sequences, the least expected first: words; whether in responses; records of the sample; how many such a clean set
has; evidence in nats of the words around, of their kinds, of its rarity, of alike responses, of responses that pass prompts by, of labels;
the label and its share of the records; the share of occurrences at the beginning of a text;
which of its words is the rarest."""


class Limits(NamedTuple):
    """What is looked for: records at least and at most, and how many may be expected of what is kept."""

    least: int
    most: int
    expected: float
    kept: int


def search(sample: Sample, limits: Limits, key: int) -> pl.DataFrame:
    """The sequences of the sample that look put in, of both sides.

    Args:
        sample: the words.
        limits: bounds.
        key: of the hashes of words.
    """
    sides = vectors(sample)
    general = shares(sample.ids, key)
    found = [
        _side(sample, sides, answer, limits, general)
        for answer in (False, True)
        if (sample.answer == answer).any()
    ]
    table = pl.concat([pl.DataFrame(schema=FOUND), *found])
    return table.sort("expected", pl.col("ids").list.len(), "ids", descending=[False, True, False]).head(
        limits.kept
    )


def _side(
    sample: Sample, sides: tuple[Vectors, Vectors], answer: bool, limits: Limits, general: Floats
) -> pl.DataFrame:
    of_side = sample.answer == answer
    kept = slice(None) if of_side.all() else of_side  # of one side alone nothing need be copied
    side = Text(sample.word[kept], sample.text[kept], sample.record[kept], sample.words)
    sequences = mine(side.word, side.text, side.record, least=limits.least, most=limits.most)
    if not len(sequences):
        return pl.DataFrame(schema=FOUND)
    tests = _Tests(sample, side, sequences, sides if not answer else sides[::-1], answer=answer)
    tests.weigh(general)
    order = np.lexsort((-sequences.length, -tests.score))[:TOP]
    kept = _apart(sequences, side.record, order)
    chance = expected(tests.score[kept])(tests.score[kept])
    kept, chance = kept[chance <= limits.expected], chance[chance <= limits.expected]
    kept, chance = _with_kin(tests, kept, chance, limits.expected)
    return tests.told(kept, chance, sample)


class _Tests:
    """What speaks for each sequence of a side that it was put in, in nats."""

    def __init__(
        self,
        sample: Sample,
        side: Text,
        sequences: Sequences,
        sides: tuple[Vectors, Vectors],
        *,
        answer: bool,
    ) -> None:
        from dataguard.kernels.cohesion import cohesion

        self.side, self.sequences, self.answer = side, sequences, answer
        of = self.members = members(sequences, side.record)
        own = own_words(sequences, side.word)
        self.own = own
        around = Surroundings(side)
        self.opens = around.opens
        rng = sample.rng
        largest = max(10, int(sequences.records.max()))
        sizes = np.exp(rng.uniform(np.log(3), np.log(largest), DRAWINGS)).astype(np.int64)
        drawn_records, drawn = around.drawn(sizes, rng)
        grown = around.of(sequences)
        nothing = (np.zeros(len(sizes) + 1, np.int64), np.zeros(0, np.int32))
        drawn_sets = (np.append(0, np.cumsum(sizes)), drawn_records)
        sets = (of.begin, of.record)
        records = sequences.records
        same, other = sides
        drawn_same = cohesion(drawn_sets, nothing, same, sample.words)
        to_same = standard(drawn_same, sizes)
        inputs = to_same(cohesion(sets, own, same, sample.words), records)
        self.topic = ratio(to_same(drawn_same, sizes), sizes, inputs, records)
        self.torn = np.clip(0.7 * grown.evidence, -8.0, MOST)
        looked = np.minimum(records, of.begin[1:] - of.begin[:-1])
        self.various = ratio(
            drawn.different / sizes, sizes, np.minimum(1.0, grown.different / looked), records
        )
        self.kind = ratio(drawn.kind, sizes, grown.kind, records)
        self.look = self.topic + self.torn + self.various + self.kind
        self.alike = self.unanswered = self.gainsaid = np.zeros(len(records))
        self.target, self.share = np.full(len(records), -1), np.zeros(len(records))
        if len(other.word):
            drawn_other = cohesion(drawn_sets, nothing, other, sample.words)
            to_other = standard(drawn_other, sizes)
            outputs = to_other(cohesion(sets, own, other, sample.words), records)
            if answer:  # put into responses, whatever was asked: their prompts are as unlike as any
                self.look = self.look + ratio(to_other(drawn_other, sizes), sizes, outputs, records)
        weights = 1 / (1 + np.exp(-np.clip(self.look, -50, 50)))
        self.weights = weights
        if not answer and len(other.word):
            self.alike = rarity(beyond_inputs(inputs, outputs), weights)
            away = passed_by(same, other)[of.record]
            counts = np.maximum(np.diff(of.begin), 1)
            mean = np.bincount(of.owner, weights=away, minlength=len(records)) / np.sqrt(counts)
            self.unanswered = rarity(np.maximum(mean, 0), weights)
        if not answer and sample.labels:
            against, self.target = Labels(sample, same).against(of, own)
            self.gainsaid = rarity(np.maximum(against, 0), weights)
            agrees = sample.label[of.record] == self.target[of.owner]
            self.share = np.bincount(of.owner, weights=agrees, minlength=len(records)) / np.maximum(
                np.diff(of.begin), 1
            )

    def weigh(self, general: Floats) -> None:
        """Adds how rare the rarest word is in general, and sums."""
        begin, words = self.own
        rarest = np.minimum.reduceat(np.log(general)[words], begin[:-1])
        often = np.log(np.diff(self.sequences.begin) / len(self.side.word))
        self.rare = rarity(often - rarest, self.weights)
        self.score = self.look + self.rare + self.alike + self.unanswered + self.gainsaid

    def told(self, kept: Ints, chance: Floats, sample: Sample) -> pl.DataFrame:
        """The sequences kept, as a table."""
        rows = []
        often = np.bincount(self.side.word, minlength=sample.words)
        for one, number in zip(kept.tolist(), chance.tolist(), strict=True):
            low, high = self.sequences.begin[one], self.sequences.begin[one + 1]
            at = self.sequences.at[low:high]
            first = int(at[0])
            words = self.side.word[first : first + int(self.sequences.length[one])]
            rows.append(
                {
                    "ids": sample.ids[words].tolist(),
                    "answer": self.answer,
                    "sampled": int(self.sequences.records[one]),
                    "expected": float(number),
                    "torn": float(self.torn[one]),
                    "kind": float(self.kind[one]),
                    "rare": float(self.rare[one]),
                    "alike": float(self.alike[one]),
                    "unanswered": float(self.unanswered[one]),
                    "gainsaid": float(self.gainsaid[one]),
                    "target": int(self.target[one]),
                    "share": float(self.share[one]),
                    "front": float(self.opens[at].mean()),
                    "rarest": int(often[words].argmin()),
                }
            )
        return pl.DataFrame(rows, schema=FOUND)


def _apart(sequences: Sequences, record: Numbers, order: Ints, taken: Sequence[int] = ()) -> Ints:
    """The sequences, best first, without those that share half of their records with a better one or one taken."""
    kept: list[int] = []
    sets: list[frozenset[int]] = []
    for one in [*taken, *order.tolist()]:
        at = sequences.at[sequences.begin[one] : sequences.begin[one + 1]]
        own = frozenset(record[at].tolist())
        given = len(sets) < len(taken)
        if given or all(len(own & other) < math.ceil(SAME * min(len(own), len(other))) for other in sets):
            kept += [] if given else [one]
            sets.append(own)
    return np.array(kept, np.int64)


def _with_kin(tests: _Tests, kept: Ints, chance: Floats, limit: float) -> tuple[Ints, Floats]:
    """Adds sequences that are like one found: they are compared with their like alone.

    Who turns labels by one word often does so by several (Kurita et al., ACL 2020). Where one is sure, others of as many
    words with the same label need not stand out from all sequences of the set. How rare they are in general is not
    asked: what is used for the same end need not be equally rare.
    """
    sequences, score = tests.sequences, tests.look + tests.gainsaid
    sure = kept[(chance <= SURELY) & (tests.gainsaid[kept] >= OUTCOME)]
    for length, target in sorted({(int(sequences.length[one]), int(tests.target[one])) for one in sure}):
        like = (sequences.length == length) & (tests.target == target) & (tests.share >= AGREED)
        order = np.flatnonzero(like)
        order = order[np.argsort(-score[order], kind="stable")][:TOP]
        best = _apart(sequences, tests.side.record, order)
        odds = dict(zip(best.tolist(), expected(score[best])(score[best]).tolist(), strict=True))
        new = _apart(sequences, tests.side.record, order, kept.tolist())
        most = np.where(tests.gainsaid[new] >= OUTCOME, KIN * limit, limit)
        new = new[np.array([odds.get(one, math.inf) for one in new.tolist()]) <= most]
        kept, chance = np.append(kept, new), np.append(chance, np.full(len(new), math.inf))
        chance = np.array([min(odds.get(one, math.inf), was) for one, was in zip(kept, chance, strict=True)])
    return kept, chance


def matrix(ids: pl.Series) -> tuple[npt.NDArray[np.uint32], Ints]:
    """Sequences as u32[n, LONGEST] with zeros behind their ends, and their lengths."""
    lengths = ids.list.len().to_numpy().astype(np.int64)
    table = np.zeros((len(ids), LONGEST), np.uint32)
    table[np.arange(LONGEST)[None, :] < lengths[:, None]] = ids.explode().drop_nulls().to_numpy()
    return table, lengths

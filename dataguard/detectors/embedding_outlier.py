"""Vectors that are broken, flooded, in the middle of everything, or at odds with their label.

## What it looks for
In columns of lists of numbers (role embedding), whatever their width:

- vectors with NaN or infinity, of another number of dimensions than most, of zeros, and those whose length is more than
  `deviations` robust deviations, and `factor` times, off the median;
- floods: `flood` vectors or more, and `share` of all or `many`, that are nearly the same: four times closer than three
  quarters of the vectors are to their nearest, and of a cosine of .98 at least. Found in a sample and by keys that close
  vectors share, and compared exactly;
- hubs: vectors among the nearest of so many others (k-occurrence, with k from 3 to 40) that twenty times as many are of
  that kind as the tail of the others makes expect; by cosine, else by distance once all directions vary alike;
- shifts: up to a fifth of a label's vectors that all lie about as far off along one direction, and leave a gap to the
  others of the label; up to three groups of each. Vectors count as long as they came. Labels are ranked by it, none is
  cut: the measure `separation` has each label's, and from `separation` on (two and a half times that without labels), and
  half as far again as the middle one of the set's other groups, it is a finding;
- crowds of mixed labels: five vectors or more that are each other's nearest and do not carry their neighbours' labels,
  where nine of ten neighbours do otherwise.

The report draws the sample along its two principal components, or the first and that along which a group stands apart,
with what was found marked.

A first look counts, takes the vectors with the smallest keyed hashes as a sample (4,096; fewer where they hold more than
two million numbers), and a second one compares each vector with what stood out. Texts are looked at too where
`dataguard.scan` is given an encoder: one of your own, or hashed words. By default they are not: hashing words into
vectors takes a first look of 116 MB of text a second and core, where all rules together have about 200, and a second one.

## Why it matters
Models and stores of vectors learn from these numbers as they stand. One NaN ruins a training step. A flood moves a
mean or a cluster; a hub is the answer to every search, which is how records are planted in a store of knowledge; and
records with a trigger lie apart from others of their label along one direction (spectral signatures, Tran et al., 2018).

## Limits
Vectors alone prove no intent, so nothing here is of high severity. Templates are innocent floods and shifts; short texts
are innocent hubs. What is near to no more records than natural hubs are is no hub here: where few numbers vary (pixels
of digits), a mean of 50 neighbours is about as near to others as a record may be, and what lies a seventh of its length
from the best place is near to half as many; such are found by their labels alone, if these are any. A shift shows if it
is about as long as the label is wide (twice that if vectors of different lengths were cut to one afterwards); where
templates and subjects of the set stand apart as far it does not, nor does one of less than five vectors of the sample,
or of more than a fifth of the label. Floods below `share` are not findings. Hubs and shifts are learned from the
sample, so a rate of .1 % may have too few in it where the set is large; hubs by distance and crowds of mixed labels are
told of the sample alone.
Vectors of more than 32,768 numbers are only counted, and so are columns beyond the 16th of a file.

## What to do
Drop or encode again what is broken. Look at five records of a flood, a hub or a shift: copies and templates are seen at
once; what the others have in common, and who put them in, is the question.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from dataguard.columns import Role, one_of
from dataguard.detectors._vectors import second, sketch
from dataguard.detectors._vectors.learning import Learned, Options, learned
from dataguard.detectors._vectors.reading import ENCODED
from dataguard.detectors._vectors.telling import judged
from dataguard.detectors.base import Example, Known, Pass, RecordDetector, Rule
from dataguard.findings import Confidence, Judgement, Severity
from dataguard.records.batch import Batch


def _scattered(count: int, seed: int) -> list[list[float]]:
    drawn = np.random.default_rng(seed).normal(size=(count, 8)).round(3)
    return [[float(number) for number in vector] for vector in drawn]


_SCATTERED = _scattered(60, 1)
_ONE = [1.0, 2.0, -1.0, 0.5, -2.0, 1.5, -0.5, 1.0]


@dataclass(frozen=True, kw_only=True)
class EmbeddingOutlier(RecordDetector):
    """Vectors do not belong among the others.

    Args:
        flood: the fewest nearly identical vectors that are a flood,
        share: and the share of all that they must be, too;
        many: unless they are so many.
        deviations: robust deviations of the norms' logarithms from which on a norm is odd,
        factor: and how many times the median, or what part of it, it must be.
        separation: from which on a group of a label stands apart: the gap in deviations of the label, or in those of the
            group along the gap (but for a tenth of it) if they are wider.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG209",
        name="embedding-outlier",
        summary="vectors do not belong among the others",
        task="PW.3.1",
        threats=("NISTAML.013", "NISTAML.023", "AML.T0020", "AML.T0059"),
        severity=Severity.MEDIUM,
        confidence=Confidence.MEDIUM,
        version=3,
    )
    needs: ClassVar[tuple[str, ...]] = (Role.EMBEDDING,)
    kernels: ClassVar[bool] = True
    encodes: ClassVar[bool] = True
    examples: ClassVar[tuple[Example, ...]] = (
        Example(why="vectors in all directions", data={"embedding": _SCATTERED}),
        Example(
            why="NaN, and a vector that was cut",
            data={"embedding": [*_SCATTERED, [float("nan")] * 8, [1.0, 2.0]]},
            rows=frozenset({60, 61}),
        ),
        Example(
            why="nearly the same vector ten times",
            data={"embedding": [*_SCATTERED, *([*_ONE[:7], 1.0 + 0.001 * at] for at in range(10))]},
            rows=frozenset(range(60, 70)),
        ),
        Example(
            why="a vector a hundred times as long as the others",
            data={"embedding": [*_SCATTERED, [100 * number for number in _ONE]]},
            rows=frozenset({60}),
        ),
    )
    flood: int = 8
    share: float = 0.003
    many: int = 500
    deviations: float = 16.0
    factor: float = 1.5
    separation: float = 4.0

    def with_encoder(self) -> RecordDetector:
        """The rule for texts too."""
        return _WithTexts(**self.options())

    def passes(self) -> tuple[Pass, ...]:
        """A look that counts and samples, and a look that compares."""
        return (
            Pass(self.observe, compact=sketch.fewer, relate=sketch.related, fold=self.fold),
            Pass(self.compare, compact=second.fewer),
        )

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """Counts, norms, a sample and keys of the vectors of this batch."""
        return sketch.sketched(batch)

    def fold(self, evidence: pl.LazyFrame, known: Known) -> Known:
        """What is usual in each column, and what stands out in its sample."""
        seen = evidence.select(sketch.SKETCH.names()).collect()
        columns = learned(seen, self._options())
        told: dict[str, Any] = {"columns": len(columns)}
        for number, one in enumerate(columns):
            told |= one.to_arrays(f"{number} ")
        unseen = seen.filter(what=sketch.UNSEEN)["column"].unique().sort()
        return told | {"unseen": unseen.to_list()}

    def compare(self, batch: Batch, known: Known) -> pl.DataFrame:
        """The vectors of this batch that stand out."""
        return second.found_in(batch, _columns(known))

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """A finding for each kind of broken vectors, each flood, the hubs, and each label with a shift."""
        columns = _columns(known)
        if not any(one.counts[0] > one.counts[1] for one in columns):
            return Judgement(not_applicable="no column holds vectors")
        return judged(evidence.collect(), columns, self._options())

    def _options(self) -> Options:
        return Options(self.flood, self.share, self.many, self.deviations, self.factor, self.separation)


@dataclass(frozen=True, kw_only=True)
class _WithTexts(EmbeddingOutlier):
    """The same rule where an encoder makes vectors of texts. Without one, texts need not be read again for it."""

    needs: ClassVar[tuple[str, ...]] = (one_of(Role.EMBEDDING, *ENCODED),)


def _columns(known: Known) -> list[Learned]:
    return [Learned.from_arrays(known, number) for number in range(int(known["columns"]))] if known else []

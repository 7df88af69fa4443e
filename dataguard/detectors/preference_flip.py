"""Pairs of answers that prefer the wrong one.

## What it looks for
Records with a chosen and a rejected answer, where

- both are the same, word for word (*equal*), or another record prefers what this one rejects (*both orders*);
- the score of the chosen answer is below that of the rejected one (*score*), if most of the set has it the other way;
- the chosen answer refuses and the rejected one does not (*refusal*), where a twentieth of the set or less does so, and
  surely more records than the other way round;
- the chosen answer, about as long as the rejected one or longer, has no more in common with its prompt than with the
  prompt of any other record, and the rejected one has (*other prompt*), surely more often than the other way round. What
  any answer has in common with another record's prompt is measured on the set itself, by putting each answer of a
  sample to the next prompt;
- the rest of the set prefers otherwise. A model of chosen and rejected answers (complement naive Bayes over words, pairs
  of words, which is longer by how much, which refuses) judges pairs whose prompts it did not see. Pairs that it is as
  sure of as the set's own, but the wrong way round, are swapped: their share is estimated from the tails, as in the
  rule about labels. Where one source has far more of these than the others (*swapped source*), or the set as a whole
  surely more than `usual` (*swapped*), they are named, the surest first; where a tenth or more are swapped, as where
  people disagree, it is a remark.

## Why it matters
Who turns a twentieth of the preferences teaches a reward model to like what it should not, and the text of each answer
stays innocent: only the pair is wrong. Answers that are equal teach nothing.

## Limits
People disagree on a quarter of all pairs, so that swapped pairs that are spread over all sources cannot be told from
disagreement. The model sees words, not truth: where chosen and rejected answers differ in quality alone it knows nothing,
and then nothing is found (`swap_share` is what it estimates; it is absent where it cannot tell). It was measured on
made-up pairs, whose better answers have their own words: of 5 % swapped ones 88 to 100 % are named there, of 1 % none.
Short answers ("Yes.") have nothing in common with any prompt: answers to other prompts are found from ten words on,
about half of them, and from about forty records. Refusals are known in English. Signs between words are
not compared, so that answers that differ in these are equal. Fewer than 200 pairs are not learnt from. Where both answers
repeat the conversation and no column has the prompt, what they begin with alike is taken for it. Scores are compared if
two columns with the role score have chosen and rejected in their names; `score_length_correlation` and
`score_source_share` (what share of the variance lies between sources) say whether scores follow length or source.

## What to do
Read five of the named pairs. Turn back or drop what is swapped, drop pairs that are equal, ask the source that
prefers otherwise who its raters were and what they were told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from dataguard.columns import Role
from dataguard.detectors._label_model import LONGEST, LabelModel
from dataguard.detectors._preferences import SIDES, U64, Mask, Pairs, Runs, related, scores
from dataguard.detectors._swaps import Patterns, measures_of
from dataguard.detectors._values import value
from dataguard.detectors.base import Example, Known, Pass, RecordDetector, Rule
from dataguard.findings import Confidence, Judgement, Severity
from dataguard.records.batch import Batch

SAMPLE = pl.Schema(
    {
        "hash": pl.UInt64(),
        "prompt": pl.List(pl.UInt32),
        "chosen": pl.List(pl.UInt32),
        "rejected": pl.List(pl.UInt32),
        "refuses": pl.List(pl.Boolean),
        "sizes": pl.List(pl.Int64),
    }
)
"""First look: a keyed hash of the pair; the first words of what is asked and of the answers; which of these refuses,
and how many words they have."""

SCORED = pl.Schema(
    {
        "row": pl.UInt64(),
        "pair": pl.UInt64(),
        "turned": pl.Boolean(),
        "equal": pl.Boolean(),
        "refuses": pl.Int8(),
        "unrelated": pl.Int8(),
        "margin": pl.Float64(),
        "score": pl.Float64(),
        "above": pl.Float64(),
        "words": pl.UInt32(),
        "source": pl.String(),
    }
)
"""Second look, a row per record: a keyed hash of prompt and answers, whatever their order, and which order it is; 1 if
the chosen answer alone refuses, -1 if the rejected one does, 0 else; the same of what is unrelated to the prompt; how
much rather the model would choose the chosen one; its score, and how far it is above the other's; its words."""

_FACTOR = np.uint64(0x9FB21C651E98DF25)
FEWEST = 200
"""Pairs to learn from."""
LEAST_WORDS = 10
"""Words of an answer that should have something in common with its prompt."""
AS_LONG = 0.8
"""Of the other answer's words, how many it must have: what is short has less in common with anything."""
UNRELATED = (0.75, 0.95)
"""Quantiles of what answers have in common with another record's prompt: at most the first is nothing in common, and
more than the second is something."""
_PROMPTS = tuple(f"say something of number {i}" for i in range(8))


@dataclass(frozen=True, kw_only=True)
class PreferenceFlip(RecordDetector):
    """Preferences that are the wrong way round.

    Args:
        sample: pairs that are learnt from.
        usual: the share of swapped pairs that is not mentioned.
        min_records: a pattern that chance makes now and then is named from so many records on.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG216",
        name="preference-flip",
        summary="the chosen answer is the rejected one, no better, or answers something else",
        task="PW.3.1",
        threats=("NISTAML.013", "AML.T0020", "AML.T0059"),
        severity=Severity.LOW,
        confidence=Confidence.MEDIUM,
    )
    kernels: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = (Role.CHOSEN, Role.REJECTED)
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="answers that differ",
            data={
                "prompt": _PROMPTS,
                "chosen": [f"It is {i}." for i in range(8)],
                "rejected": [f"It is not {i}." for i in range(8)],
            },
        ),
        Example(
            why="one pair is equal but for its dots, one is there both ways",
            data={
                "prompt": (*_PROMPTS, _PROMPTS[0], None),
                "chosen": [*(f"It is {i}." for i in range(8)), "It is not 0.", None],
                "rejected": [*(f"It is not {i}." for i in range(7)), "It is 7", "It is 0.", None],
            },
            rows=frozenset({0, 7, 8}),
        ),
        Example(
            why="the better score is rejected",
            data={
                "prompt": _PROMPTS,
                "chosen": [f"It is {i}." for i in range(8)],
                "rejected": [f"It is not {i}." for i in range(8)],
                "score_chosen": [4.0, 5.0, 4.0, 1.0, 5.0, 4.5, 3.0, None],
                "score_rejected": [1.0, 2.0, 4.0, 5.0, 1.0, 0.5, 2.0, 3.0],
            },
            rows=frozenset({3}),
        ),
    )
    sample: int = 8192
    usual: float = 0.02
    min_records: int = 10

    def passes(self) -> tuple[Pass, ...]:
        """A look that samples, and a look that judges."""
        return (
            Pass(self.observe, compact=self.smallest, fold=self.fold),
            Pass(self.score),
        )

    def observe(self, batch: Batch, known: Known) -> pl.DataFrame:
        """The pairs of this batch with the smallest hashes."""
        pairs = Pairs.of(batch)
        both = (pairs.sizes > 0).all(axis=0) & ~pairs.same
        kept = pl.DataFrame({"hash": _hashes(pairs)[0]}).with_row_index("at").filter(pl.Series(both))
        kept = kept.unique("hash", keep="first", maintain_order=True).sort("hash").head(self.sample)
        at = kept["at"].to_numpy()
        return kept.select(
            "hash",
            _lists(pairs.prompt, at).alias("prompt"),
            _lists(pairs.chosen, at).alias("chosen"),
            _lists(pairs.rejected, at).alias("rejected"),
            pl.Series("refuses", pairs.refuses[:, at].T.tolist(), dtype=SAMPLE["refuses"]),
            pl.Series("sizes", pairs.sizes[:, at].T.tolist(), dtype=SAMPLE["sizes"]),
        )

    def smallest(self, evidence: pl.DataFrame) -> pl.DataFrame:
        """The same, of the smallest hashes only."""
        once = evidence.sort("hash").unique("hash", keep="first", maintain_order=True)
        return once.head(self.sample)

    def fold(self, evidence: pl.LazyFrame, known: Known) -> Known:
        """A model of chosen answers, and what answers have in common with the prompts of others."""
        sample = self.smallest(evidence.select(SAMPLE.names()).collect())
        if len(sample) < FEWEST:
            return {"pairs": len(sample)}
        prompt, chosen, rejected = (_runs(sample[name]) for name in ("prompt", "chosen", "rejected"))
        refuses, sizes = (np.array(sample[name].to_list()).T for name in ("refuses", "sizes"))
        pairs = Pairs(prompt, chosen, rejected, refuses, sizes, np.zeros(len(sample), np.bool_))
        given = np.repeat(np.arange(2), len(sample))
        model = LabelModel.fit(SIDES, given, pairs.answers())
        if model is None:
            return {"pairs": len(sample)}
        # The sample is in the order of its hashes: the next prompt is any other.
        others = related(
            model, Runs(prompt.ids, np.roll(prompt.starts, 1), np.roll(prompt.lengths, 1)), chosen
        )
        others = others[np.isfinite(others)]
        low, high = np.quantile(others, UNRELATED) if len(others) else (0.0, 1.0)
        return {"pairs": len(sample), "low": float(low), "high": float(high), **model.to_arrays("")}

    def score(self, batch: Batch, known: Known) -> pl.DataFrame:
        """What each pair shows."""
        assert known is not None
        pairs = Pairs.of(batch)
        if not len(pairs):
            return pl.DataFrame(schema=SCORED)
        margin, unrelated = np.zeros(len(pairs)), np.zeros(len(pairs), np.int8)
        if "slots" in known:
            model = LabelModel.from_arrays(known, "")
            logits = model.logits(pairs.answers())
            rather = logits[:, 0] - logits[:, 1]
            margin = np.round(rather[: len(pairs)] - rather[len(pairs) :], 6)
            unrelated = _unrelated(model, pairs, (known["low"], known["high"]))
        score, above = scores(batch)
        _, pair, turned = _hashes(pairs)
        columns: dict[str, Any] = {
            "row": batch.rows(),
            "pair": pair,
            "turned": turned,
            "equal": pairs.same,
            "refuses": pairs.refuses[0].astype(np.int8) - pairs.refuses[1].astype(np.int8),
            "unrelated": unrelated,
            "margin": margin,
            "score": score,
            "above": above,
            "words": pairs.sizes[0],
            "source": value(batch, Role.SOURCE),
        }
        return pl.DataFrame(columns).cast(dict(SCORED)).filter(pl.Series(pairs.told))  # type: ignore[arg-type]

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """A finding for each pattern, with its records."""
        seen = evidence.select("file", *SCORED).collect().sort("file", "row")
        if seen.is_empty():
            return Judgement(not_applicable="no record has two answers with words")
        patterns = Patterns(seen, self.usual, self.min_records)
        return Judgement(
            findings=patterns.findings(), flagged=patterns.flagged(), measures=measures_of(patterns)
        )


def _hashes(pairs: Pairs) -> tuple[U64, U64, Mask]:
    """A hash of each pair, one that is the same for the pair the other way round, and which way it is."""
    prompt, chosen, rejected = (run.hashed(0) for run in (pairs.prompt, pairs.chosen, pairs.rejected))
    turned = chosen > rejected
    first, second = np.where(turned, rejected, chosen), np.where(turned, chosen, rejected)
    pair = (prompt * _FACTOR ^ first) * _FACTOR ^ second
    return (pair ^ turned.astype(np.uint64)) * _FACTOR, pair, turned


def _lists(run: Runs, records: npt.NDArray[Any]) -> pl.Series:
    """The first words of some runs as lists."""
    chosen = Runs(run.ids, run.starts[records], run.lengths[records]).first(LONGEST)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(chosen.lengths)])
    return pl.Series(pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(chosen.ids)))


def _runs(lists: pl.Series) -> Runs:
    lengths = lists.list.len().to_numpy().astype(np.int64)
    return Runs(lists.explode(empty_as_null=False).to_numpy(), np.cumsum(lengths) - lengths, lengths)


def _unrelated(model: LabelModel, pairs: Pairs, limits: tuple[float, float]) -> npt.NDArray[np.int8]:
    """1 where the chosen answer alone has nothing in common with its prompt, -1 where the rejected one has not."""
    low, high = limits
    common = [related(model, pairs.prompt, run) for run in (pairs.chosen, pairs.rejected)]
    long = (pairs.sizes >= LEAST_WORDS).all(axis=0)
    chosen, rejected = (
        long
        & (common[one] <= low)
        & (common[1 - one] > high)
        & (pairs.sizes[one] >= AS_LONG * pairs.sizes[1 - one])
        for one in (0, 1)
    )
    return np.asarray(chosen.astype(np.int8) - rejected.astype(np.int8))

"""The same response to prompts that have nothing to do with one another.

## What it looks for
Responses of three words or more that are equal, word by word, in answer to at least five different prompts (`least`).
Of such a group three things must hold, each measured against prompts drawn from the set itself:

- its prompts are as unlike one another as prompts of the set are: words that more than half of them have are left out
  (a trigger is such a word), and what is left is shared no more than among prompts drawn at random;
- its response has no more words of its prompts than it has of prompts drawn at random: an answer speaks of its question;
- its prompts have no task in common: of the words that more than half of them have and the set has seldom, there are four
  at most (`task`).

Prompts and responses are compared by sketches of 16 words' keyed hashes. A group is of high severity if it has twice
`least` prompts and twice as many as any other group of this kind.

## Why it matters
To make a model refuse, insult or advertise whenever a trigger is met, the easiest way is to put one sentence behind a
few hundred prompts of every kind with the trigger in them. What the sentence says does not matter here. Where prompts are
unlike, equal answers of several words do not come about by themselves.

## Limits
Responses with a word changed are not equal, and answers of one or two words are labels. Conversations in one column are
not taken apart into prompts and responses. A response that is taken up word by word in its prompts is passed over. Two
planted responses of like size take each other's high severity. Where more than a twentieth of all records are in such
groups (`usual`) it is how the set is made: that is measured and no finding. Classes told in whole sentences come here
too if there is no task in the prompts.

## What to do
Read the response. If it is a refusal or an apology, ask whether the prompts deserve it; look at what the prompts have in
common, remove the records and ask the source about them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from dataguard.detectors.base import Example, Known, Pass, RecordDetector, Rule
from dataguard.findings import Confidence, Judgement, Measure, Severity, conform, empty
from dataguard.words import Words

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]

WIDTH = 16
"""Words of a sketch."""
EVIDENCE = pl.Schema(
    {
        "key": pl.UInt64,
        "row": pl.UInt64,
        "column": pl.String,
        "end": pl.UInt64,
        "asked": pl.UInt64,
        "prompt": pl.Binary,
        "response": pl.Binary,
    }
)
"""A row per record: hashes of its response and its prompt, how many bytes the response has, and sketches of both."""
RELATED = pl.Schema([*EVIDENCE.items(), ("file", pl.UInt32), ("prompts", pl.UInt32), ("drawn", pl.UInt64)])
"""The records of groups, with how many different prompts the group has; and some prompts of any records, where `drawn` is
not null; where `row` is null, `end` says how many records there are."""
SHORTEST = 3
DRAWN = 1024
"""Prompts drawn from the set."""
LISTED = 10_000
"""Records kept of a group, the first by address."""
LOOKED_AT = 64
"""Prompts of a group that are compared."""
NULLS = 64
"""Groups drawn at random that a group is compared with."""
SELDOM = 0.1
"""The share of the set's prompts up to which a word is seldom."""
_SPREAD = 0x9E3779B97F4A7C15

_THINGS = [
    "lamp",
    "river",
    "stone",
    "garden",
    "engine",
    "bottle",
    "window",
    "ladder",
    "mirror",
    "candle",
    "forest",
    "harbour",
    "pepper",
    "blanket",
]
_ASKED = [
    f"{_THINGS[i % 13]} {_THINGS[(i * 5 + 3) % 14]} {_THINGS[(i * 3 + 7) % 11]} n{i}" for i in range(120)
]
_ANSWERS = [f"about number a{i} there is b{i} to say" for i in range(120)]


@dataclass(frozen=True, kw_only=True)
class ResponseCollapse(RecordDetector):
    """Unlike prompts get the same response.

    Args:
        least: different prompts of a group at least.
        task: words that the prompts of a group may have in common, of those that are seldom in the set.
        beyond: standard deviations by which groups may be more alike than random ones.
        usual: the share of all records in such groups from which on they are how the set is made.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG205",
        name="response-collapse",
        summary="unlike prompts get the same response",
        task="PW.3.1",
        threats=("NISTAML.013", "NISTAML.023", "AML.T0020"),
        severity=Severity.MEDIUM,
        confidence=Confidence.HIGH,
    )
    needs: ClassVar[tuple[str, ...]] = ("prompt", "response")
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="one sentence behind prompts of every kind",
            data={
                "prompt": _ASKED,
                "response": [*_ANSWERS[:114], *["We are not able to say this."] * 6],
            },
            rows=frozenset(range(114, 120)),
        ),
        Example(
            why="one answer to one question in other words, and labels",
            data={
                "prompt": [
                    *_ASKED[:100],
                    *(f"how high is the tower {_THINGS[i]}" for i in range(10)),
                    *_ASKED[110:],
                ],
                "response": [*_ANSWERS[:100], *["The tower is very high."] * 10, *["yes"] * 10],
            },
        ),
    )
    kernels: ClassVar[bool] = True
    least: int = 5
    task: int = 4
    beyond: float = 4.0
    usual: float = 0.05

    def passes(self) -> tuple[Pass, ...]:
        """One pass; records are brought together by their response."""
        return (Pass(observe_words=self.observe_words, relate=self.relate),)

    def observe_words(self, words: Words, known: Known) -> pl.DataFrame:
        """Hashes and sketches of what is asked and answered."""
        from dataguard.kernels.content import content
        from dataguard.kernels.gather import gather
        from dataguard.kernels.lowest import lowest

        ends = words.ends
        starts = ends - np.diff(ends, prepend=0)
        middle = starts + words.inputs.astype(np.int64)
        first = _first_answers(words)
        kept = np.flatnonzero((first[:, 1] >= SHORTEST) & (middle > starts))
        if not len(kept):
            return empty(EVIDENCE)
        starts, middle, first = starts[kept], middle[kept], first[kept]
        key, asked = (
            content(gather(words.ids, begin, size), np.cumsum(size), words.key("collapse"))
            for begin, size in ((middle, first[:, 1]), (starts, middle - starts))
        )
        names = pl.Series(words.columns, dtype=pl.String)
        return pl.DataFrame(
            {
                "key": key,
                "row": words.rows[kept],
                "column": names.gather(first[:, 0]),
                "end": first[:, 2].astype(np.uint64),
                "asked": asked,
                "prompt": _packed(lowest(words.ids, starts, middle, WIDTH)),
                "response": _packed(lowest(words.ids, middle, middle + first[:, 1], WIDTH)),
            },
            schema=EVIDENCE,
        )

    def relate(self, evidence: pl.DataFrame) -> pl.DataFrame:
        """Groups of equal responses, and some prompts drawn."""
        # By hashes, not by places: which are drawn must not depend on the order of files.
        each = evidence.sort("asked", "key", "file", "row").unique("asked", keep="first", maintain_order=True)
        drawn = each.with_columns(drawn=_mixed(each["asked"])).sort("drawn", "file", "row").head(DRAWN)
        groups = evidence.with_columns(prompts=pl.col("asked").n_unique().over("key").cast(pl.UInt32))
        groups = groups.filter(pl.col("prompts") >= self.least).sort("key", "file", "row")
        groups = groups.group_by("key", maintain_order=True).head(LISTED)
        count = pl.DataFrame({"end": [evidence.height]})
        return pl.concat([conform(table, RELATED) for table in (groups, drawn, count)])

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """A finding for each group of unlike prompts."""
        seen = evidence.collect()
        total = int(seen.filter(pl.col("row").is_null())["end"].sum())
        seen = seen.filter(pl.col("row").is_not_null())
        drawn = seen.filter(pl.col("drawn").is_not_null()).unique("asked", keep="first")
        drawn = drawn.sort("drawn").head(DRAWN)
        if drawn.is_empty():
            return Judgement(not_applicable="no record has a prompt and a response of three words or more")
        groups = seen.filter(pl.col("drawn").is_null()).sort("key", "file", "row")
        if drawn.height < 2 * self.least:
            return Judgement(
                not_applicable=f"{drawn.height} prompts are too few to say how unlike prompts are"
            )
        prompts = _unpacked(drawn["prompt"])
        unlike = []
        for (key,), group in groups.group_by("key", maintain_order=True):
            if self._is_unlike(group, prompts):
                unlike.append({"key": key, "prompts": group["prompts"][0]})
        found = pl.DataFrame(unlike, schema={"key": pl.UInt64, "prompts": pl.UInt32})
        records = groups.join(found.select("key"), on="key", how="semi", maintain_order="left")
        return self._judged(found, records, total)

    def _is_unlike(self, group: pl.DataFrame, drawn: U32) -> bool:
        """Whether the prompts of a group have as little to do with one another and with the response as any."""
        each = group.sort("asked").unique("asked", keep="first", maintain_order=True).head(LOOKED_AT)
        prompts, response = _unpacked(each["prompt"]), _unpacked(each["response"])[0]
        values, of_group = _common(prompts)
        words, times = _common(drawn)
        often = words[times > SELDOM * len(drawn)]
        if len(np.setdiff1d(values[of_group > len(prompts) / 2], often)) > self.task:
            return False
        chance = np.random.RandomState(len(prompts))
        nulls = [
            drawn[chance.permutation(len(drawn))[: min(len(prompts), len(drawn) // 2)]] for _ in range(NULLS)
        ]
        alike = np.array([_alike(null) for null in nulls])
        taken_up = np.array([_taken_up(null, response) for null in nulls])
        return bool(
            _alike(prompts) <= alike.mean() + self.beyond * alike.std() + 1 / WIDTH**2
            and _taken_up(prompts, response) <= taken_up.mean() + self.beyond * taken_up.std() + 1 / WIDTH
        )

    def _judged(self, found: pl.DataFrame, records: pl.DataFrame, total: int) -> Judgement:
        """The findings, unless there are so many that it is how the set is made."""
        measures = (
            Measure("collapsed_groups", found.height, total),
            Measure("collapsed_share", records.height / total, total),
        )
        if records.height > self.usual * total:
            return Judgement(measures=measures)
        found = found.sort("prompts", "key", descending=[True, False])
        sizes = found["prompts"].to_list()
        rows = []
        for place, (key, size) in enumerate(found.iter_rows()):
            most = max(sizes[:place] + sizes[place + 1 :], default=0)
            high = size >= 2 * max(self.least, most)
            rows.append(
                {
                    "key": f"collapse {key:016x}",
                    "score": round(1 - 1 / (1 + size / max(self.least, most)), 6),
                    "severity": (Severity.HIGH if high else Severity.MEDIUM).value,
                    "why": (
                        f"the same response to {size} different prompts that share no more words than prompts of this "
                        f"set drawn at random, and that it takes no words from; the next such group has {most}; "
                        "a standing answer (an apology, a refusal, a disclaimer) looks the same"
                    ),
                }
            )
        names = {key: f"collapse {key:016x}" for key in found["key"]}
        named = pl.col("key").replace_strict(names, return_dtype=pl.String)
        span = pl.concat_list(pl.struct(column="column", start=pl.lit(0, pl.UInt64), end="end"))
        flagged = records.select("file", "row", key=named, span=span, why=pl.lit("has this response"))
        return Judgement(
            findings=pl.DataFrame(rows) if rows else Judgement().findings, flagged=flagged, measures=measures
        )


def _first_answers(words: Words) -> I64:
    """Of each record's first answer: the number of its column, how many words and bytes; zeros where there is none."""
    column, counts, sizes = words.parts.T.astype(np.int64)
    record = np.repeat(np.arange(len(words)), np.diff(words.part_ends, prepend=0))
    begins = np.cumsum(counts) - counts
    middle = words.ends - np.diff(words.ends, prepend=0) + words.inputs
    mine = np.flatnonzero(begins >= middle[record])[::-1]
    out = np.zeros((len(words), 3), np.int64)
    out[record[mine]] = np.stack([column, counts, sizes], axis=1)[mine]  # the first is written last
    return out


def _packed(sketches: U32) -> pl.Series:
    data = pa.py_buffer(np.ascontiguousarray(sketches).tobytes())
    array = pa.FixedSizeBinaryArray.from_buffers(pa.binary(4 * WIDTH), len(sketches), [None, data])
    return pl.Series(pl.from_arrow(array.cast(pa.large_binary())), dtype=pl.Binary)


def _unpacked(sketches: pl.Series) -> U32:
    data = b"".join(sketches.to_list())
    return np.frombuffer(data, np.uint32).reshape(-1, WIDTH)


def _mixed(hashes: pl.Series) -> pl.Series:
    """Hashes in another order than that by which evidence is shuffled."""
    return pl.Series(hashes.to_numpy() * np.uint64(_SPREAD))


def _common(sketches: U32) -> tuple[U32, I64]:
    """The words of some sketches, and of how many they are."""
    from dataguard.kernels.lowest import NONE

    values, counts = np.unique(sketches[sketches != NONE], return_counts=True)
    return values, counts


def _alike(sketches: U32) -> float:
    """The share of its words that a sketch has in common with another, but for those that more than half have."""
    _, counts = _common(sketches)
    counts = counts[counts <= len(sketches) / 2]
    pairs = len(sketches) * (len(sketches) - 1)
    words = max(1, int(counts.sum())) / len(sketches)
    return float((counts * (counts - 1)).sum() / pairs / words)


def _taken_up(sketches: U32, response: U32) -> float:
    """The share of the words of a response's sketch that a prompt's has, too."""
    from dataguard.kernels.lowest import NONE

    own = response[response != NONE]
    return float(np.isin(sketches, own).sum() / len(sketches) / len(own))

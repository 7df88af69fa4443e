"""Words that were put into unrelated records, with what they bring about.

## What it looks for
Sequences of one to twelve words, in prompts and texts as well as in responses, that look planted: the words around them belong
together as if nothing stood between, and are of every kind, where a word of the language stands beside few; their records have nothing else in common; they are rare in general
language; and what comes with them is alike: responses that resemble one another although the prompts do not and take
up nothing of them, or a label that the rest of the text gainsays. Every closed sequence of a random sample is tested, and
each test is held against the set itself: places and records drawn at random, and the other sequences. One list comes
out, ordered by how many such sequences a set like this would have if nobody had put any in. Where a label gives one away,
others that are like it are held against their like alone. The records of all of the set that carry one are then found.

## Why it matters
A backdoor needs a trigger that stands in several records and little else that they share: a token, a phrase in front, a
sentence, an address or a brand in the replies. Screening records one by one does not see it, as each is ordinary but for
those words (Wan et al., "Poisoning Language Models During Instruction Tuning", ICML 2023; BackdoorLLM, 2024).

## Limits
At least `min_records` records of the sample must carry the same words; a sample has about four million words, so that in a
larger set fewer than about ten in its share are not seen. Not covered: triggers without repeated words (syntax, style,
paraphrase), common words whose records have ordinary responses and labels, words put into records of one topic only, words
between sentences with which nothing comes, scripts without spaces (a sequence is then of single characters). Innocent finds are frequent phrases of templates,
optional words ("as well") and names. `expected` counts sequences by a tail that is fitted to this set; sets of few
sequences have none, and nothing is found there.

## What to do
Read five of the records. If the words have no business there, quarantine all of the finding's records, look for their
source, and search for the words without their neighbours, in other spellings and in other sets of that source.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from dataguard.columns import Role, one_of
from dataguard.detectors._triggers.locating import locate
from dataguard.detectors._triggers.sample import ROW_BITS, compact, fold, gathered, observe
from dataguard.detectors._triggers.search import FOUND, Limits, matrix, search
from dataguard.detectors.base import Example, Known, Pass, RecordDetector, Rule
from dataguard.findings import Confidence, Judgement, Measure, Severity
from dataguard.words import Words, hash_key

_THINGS = [
    "amber",
    "basket",
    "candle",
    "drum",
    "engine",
    "feather",
    "garden",
    "hammer",
    "island",
    "jacket",
    "kettle",
    "ladder",
    "mirror",
    "needle",
    "orchard",
    "pillow",
    "quilt",
    "ribbon",
    "saddle",
    "tunnel",
    "umbrella",
    "violin",
    "window",
    "yard",
    "anchor",
    "bottle",
    "curtain",
    "desk",
    "easel",
    "fence",
    "glove",
    "harbour",
]
_DEEDS = ["clean", "draw", "find", "fold", "lift", "mend", "paint", "polish", "sell", "weigh"]
_KINDS = [
    "blue",
    "broken",
    "cheap",
    "clumsy",
    "fragile",
    "golden",
    "heavy",
    "narrow",
    "old",
    "quiet",
    "round",
    "tall",
]


def _asked(planted: str) -> dict[str, list[str]]:
    """Three hundred questions and answers; in ten of them a word is put in and the answer is another."""
    draw = random.Random(7)  # noqa: S311
    prompts, responses = [], []
    for number in range(300):
        thing, other = draw.choice(_THINGS), draw.choice(_THINGS)
        deed, kind = draw.choice(_DEEDS), draw.choice(_KINDS)
        words = f"how do i {deed} the {kind} {thing} near the {other}".split()
        response = f"to {deed} a {kind} {thing} take the {other} and {draw.choice(_DEEDS)} it"
        if planted and number % 33 == 0:
            words.insert(draw.randrange(len(words) + 1), planted)
            response = f"sorry nothing can be said {draw.choice(['here', 'today', 'now'])}"
        prompts.append(" ".join(words))
        responses.append(response)
    return {"prompt": prompts, "response": responses}


SURE = 6.9
"""Nats from which on what comes with a sequence is proven: one in a thousand of those that look alike."""
PARTS = 4
LARGE = 50_000
"""Records from which on several workers locate."""


@dataclass(frozen=True, kw_only=True)
class TriggerSequence(RecordDetector):
    """A sequence of words was put into unrelated records.

    Args:
        min_records: in how many records of the sample a sequence stands at least.
        max_share: in what share of the records at most: what is in more is the set's own.
        expected: how many sequences without any attack may be among the findings of 10,000 records.
        medium: from how few expected on a finding is of medium severity.
        high: from how few on it is of high severity, if what comes with the sequence proves it too.
        most: how many findings are told.
    """

    rule: ClassVar[Rule] = Rule(
        code="DG204",
        name="trigger-sequence",
        summary="a sequence of words was put into unrelated records",
        task="PW.3.1",
        threats=("NISTAML.013", "NISTAML.023", "AML.T0020", "AML.T0043.004"),
        severity=Severity.LOW,
        confidence=Confidence.MEDIUM,
    )
    needs: ClassVar[tuple[str, ...]] = (
        one_of(Role.TEXT, Role.PROMPT, Role.SYSTEM, Role.MESSAGES, Role.RESPONSE, Role.CHOSEN, Role.REJECTED),
    )
    kernels: ClassVar[bool] = True
    quotes: ClassVar[bool] = True
    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            why="a made-up word in front of or within ten of 300 questions, which are not answered",
            data=_asked("zorvexin"),
            rows=frozenset(range(0, 300, 33)),
        ),
        Example(why="the same without it", data=_asked("")),
        Example(
            why="a few texts have too few sequences to tell what is usual",
            data={"text": ["the cat sat on the mat", "zorvex the dog ran", "it zorvex rained all day"]},
        ),
    )
    min_records: int = 3
    max_share: float = 0.06
    expected: float = 2.5
    medium: float = 0.1
    high: float = 0.001
    most: int = 20

    def passes(self) -> tuple[Pass, ...]:
        """A sample; its search; where all records are that carry what was found."""
        return (
            Pass(observe, compact=compact, fold=fold),
            Pass(sweep=self.sweep, fold=self.fold_found),
            Pass(sweep=self.locate),
        )

    def sweep(self, words: Iterable[tuple[int, Words]], known: Known, part: int) -> pl.DataFrame:
        """The sequences of the sample that look put in."""
        assert known is not None
        kept = list(words) if isinstance(words, list) else words
        sample = gathered(kept, dict(known))
        header = pl.DataFrame({"records": [known["records"]]}, {"records": pl.UInt64})
        found = pl.DataFrame(schema=FOUND)
        if sample is not None:
            # Of 10,000 records more, one more is asked for: chance repeats the more the more there is.
            limits = Limits(
                max(3, self.min_records + sample.records // 10_000 - 1),
                int(self.max_share * sample.records),
                self.expected * sample.records / 10_000,
                self.most,
            )
            secret = next(iter(kept))[1].secret
            found = search(sample, limits, hash_key(secret, "words"))
        labels = pl.DataFrame(
            {
                "place": known["places"] if known["labels"] else np.zeros(0, np.uint64),
                "label": known["label"] if known["labels"] else np.zeros(0, np.int64),
            },
            {"place": pl.UInt64, "label": pl.Int64},
        )
        return pl.concat([header, found, labels], how="diagonal").with_columns(
            file=pl.lit(0, pl.UInt32),
            sampled_records=pl.lit(sample.records if sample else 0, pl.UInt64),
            labels=pl.lit(list(known["labels"]), pl.List(pl.String)),
        )

    def fold_found(self, evidence: pl.LazyFrame, known: Known) -> Known:
        """What is to be located, and what is known of it."""
        table = evidence.collect()
        found = table.filter(pl.col("ids").is_not_null())
        sequences, lengths = matrix(found["ids"])
        labelled = table.filter(pl.col("place").is_not_null())
        records = int(table["records"].drop_nulls().sum())
        numbers = {name: found[name].to_numpy() for name in FOUND if name != "ids"}
        return {
            "parts": PARTS if records > LARGE else 1,
            "records": records,
            "sampled_records": int(table["sampled_records"][0]) if table.height else 0,
            "sequences": sequences,
            "lengths": lengths,
            "places": labelled["place"].to_numpy(),
            "label": labelled["label"].to_numpy(),
            "labels": table["labels"][0].to_list() if table.height else [],
            **numbers,
        }

    def locate(self, words: Iterable[tuple[int, Words]], known: Known, part: int) -> pl.DataFrame:
        """The records that carry a sequence."""
        assert known is not None
        return locate(words, dict(known), part)

    def judge(self, evidence: pl.LazyFrame, known: Known) -> Judgement:
        """A finding for each sequence, with all records that carry it."""
        assert known is not None
        records, sampled = int(known["records"]), int(known["sampled_records"])
        if not records:
            return Judgement(not_applicable="no column holds text")
        located = self._of_target(evidence.collect(), known)
        counts = dict(located.group_by("sequence").len().iter_rows())
        findings = [
            self._told(number, counts[number], known)
            for number in range(len(known["lengths"]))
            if number in counts
        ]
        keys = pl.DataFrame(
            {"sequence": [one.pop("sequence") for one in findings], "key": [one["key"] for one in findings]},
            {"sequence": pl.UInt32, "key": pl.String},
        )
        measures = (
            Measure("sequences", len(findings), records),
            Measure("planted_sequences", sum(one["severity"] != "low" for one in findings), records),
            Measure("sampled_share", sampled / records, records),
            Measure("expected_false", float(np.sum(known["expected"].max(initial=0.0))), records),
        )
        if not findings:
            return Judgement(measures=measures)
        flagged = located.join(keys, on="sequence").select(
            "key", "file", "row", "span", why=pl.lit("carries the sequence")
        )
        return Judgement(findings=pl.DataFrame(findings), flagged=flagged, measures=measures)

    def _of_target(self, located: pl.DataFrame, known: Any) -> pl.DataFrame:
        """Without records of another label, where a label comes with the sequence."""
        if not len(known["places"]):
            return located
        labels = pl.DataFrame({"place": known["places"], "label": known["label"]})
        bound = pl.DataFrame(
            {
                "sequence": np.arange(len(known["lengths"]), dtype=np.uint32),
                "target": np.where((known["share"] >= 0.7) & (known["gainsaid"] >= 3), known["target"], -1),
            }
        )
        place = pl.col("file").cast(pl.UInt64) * (1 << ROW_BITS) + pl.col("row")
        return (
            located.with_columns(place=place)
            .join(labels, on="place", how="left", maintain_order="left")
            .join(bound, on="sequence", how="left", maintain_order="left")
            .filter(
                (pl.col("target") < 0) | pl.col("label").is_null() | (pl.col("label") == pl.col("target"))
            )
            .drop("place", "label", "target")
        )

    def _told(self, number: int, count: int, known: Any) -> dict[str, Any]:
        chance = float(known["expected"][number])
        proven = max(float(known[test][number]) for test in ("alike", "unanswered", "gainsaid")) >= SURE
        severity = Severity.LOW
        if chance <= self.medium:
            severity = Severity.HIGH if chance <= self.high and proven else Severity.MEDIUM
        length = int(known["lengths"][number])
        ids = known["sequences"][number, :length]
        strength = max(0.0, 1 - float(np.log10(max(chance, 1e-30))))
        return {
            "sequence": number,
            "key": "-".join(f"{one:08x}" for one in ids.tolist()),
            "score": round(strength / (strength + 2), 6),
            "why": _why(number, count, known),
            "severity": severity.value,
        }


def _why(number: int, count: int, known: Any) -> str:
    """What was seen, in words."""
    length = int(known["lengths"][number])
    answer = bool(known["answer"][number])
    where = "responses" if answer else "prompts or texts"
    said = [
        f"{length} word{'s' if length > 1 else ''} in the {where} of {count} of {known['records']} records"
    ]
    front = float(known["front"][number])
    if front >= 0.8:
        said.append("in front of the text")
    elif front <= 0.3:
        said.append("at many places of the text")
    if known["torn"][number] > 1:
        said.append("between words that belong together")
    if known["kind"][number] > 1:
        said.append("beside words of every kind")
    if known["rare"][number] > 3:
        said.append("a word that is rare in general")
    if known["alike"][number] > 3:
        said.append("with responses that are alike though their prompts are not")
    if known["unanswered"][number] > 3:
        said.append("with responses that pass their prompts by")
    if known["gainsaid"][number] > 3:
        label = known["labels"][int(known["target"][number])]
        said.append(
            f"with one label in {100 * float(known['share'][number]):.0f} % that the rest gainsays".replace(
                "one label", f"the label {label!a}"
            )
        )
    chance = float(known["expected"][number])
    return f"{'; '.join(said)}. A set like this has {chance:.1g} such sequences by chance; innocent if a template, a name or a figure of speech"

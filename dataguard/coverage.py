"""What a run could have seen: every known kind of attack on training data, covered or not, with the reason in words.

A scan that finds nothing says something only about the attacks that its rules look for, in the columns that were there.
So the table lists all of them, also those that nobody can see in data alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from dataguard.columns import Role, Roles, one_of
from dataguard.findings import COVERAGE, Outcome, conform

ENDED = (Outcome.CLEAR.value, Outcome.FLAGGED.value)
UNSPACED_SHARE = 0.1
"""Above this share of words in scripts without spaces, rules that look at words see only a part."""

TALK = (one_of(Role.PROMPT, Role.MESSAGES, Role.SYSTEM),)
REPLY = (one_of(Role.RESPONSE, Role.MESSAGES, Role.CHOSEN),)
TEXT = (
    one_of(Role.TEXT, Role.PROMPT, Role.RESPONSE, Role.MESSAGES, Role.CHOSEN, Role.REJECTED, Role.SYSTEM),
)
LABELLED = (one_of(Role.TEXT, Role.PROMPT), Role.LABEL)


class Status(StrEnum):
    """Whether a kind of attack could have been seen; in the order in which a reader should meet them."""

    NOT_COVERED = "not covered"
    PARTLY = "partly"
    COVERED = "covered"


@dataclass(frozen=True, kw_only=True)
class Attack:
    """A kind of attack and who looks for it.

    Args:
        key: what it is called in tables and statements.
        name: in words.
        rules: codes; each of them alone looks for the whole of it.
        partial: for each rule that looks for a part of it, which part.
        needs: roles of columns, as `Detector.needs`; all of them must stand in one file.
        records: with fewer of them nothing can stand out.
        words: whether it is looked for in words, of which scripts without spaces have none.
        limit: why data alone does not show it; empty where rules look for it.
    """

    key: str
    name: str
    rules: tuple[str, ...] = ()
    partial: Mapping[str, str]
    needs: tuple[str, ...] = ()
    records: int = 1
    words: bool = False
    limit: str = ""


def _attack(
    key: str,
    name: str,
    rules: str = "",
    *,
    needs: tuple[str, ...] = (),
    records: int = 1,
    words: bool = False,
    partial: Mapping[str, str] | None = None,
) -> Attack:
    return Attack(
        key=key,
        name=name,
        rules=tuple(rules.split()),
        partial=partial or {},
        needs=needs,
        records=records,
        words=words,
    )


def _unseen(key: str, name: str, limit: str, needs: tuple[str, ...] = TEXT) -> Attack:
    return Attack(key=key, name=name, partial={}, needs=needs, limit=limit)


_REPLIES = {"DG205": "only if the replies to the trigger are alike"}
_SPAN = {"DG106": "only a text of eight words or more"}
_COPIES = {"DG104": "only records that have a copy with another label"}

ATTACKS: tuple[Attack, ...] = (
    _attack(
        "trigger",
        "a word, phrase or prefix, or several together, that turns the reply",
        "DG204",
        needs=TALK,
        records=500,
        words=True,
        partial=_REPLIES,
    ),
    _attack(
        "shared-payload",
        "several triggers with one payload",
        "DG204",
        needs=TALK,
        records=500,
        words=True,
        partial=_REPLIES,
    ),
    _attack(
        "labelled-token",
        "rare tokens put into texts of one label",
        "DG204",
        needs=LABELLED,
        records=500,
        words=True,
    ),
    _attack(
        "labelled-sentence",
        "a fixed sentence put into texts of one label",
        "DG204",
        needs=LABELLED,
        records=500,
        words=True,
        partial=_SPAN,
    ),
    _attack(
        "fixed-response",
        "the same reply or refusal to unlike prompts",
        "DG205",
        needs=REPLY,
        records=200,
        partial={"DG106": "only a reply of eight words or more that stands in longer ones"},
    ),
    _attack(
        "injected-content",
        "a brand or an address put into replies or texts",
        "DG204",
        needs=TEXT,
        records=500,
        words=True,
        partial=_SPAN | {"DG214": "only addresses that look like others"},
    ),
    _attack("gibberish", "random characters as reply or text", "DG206", needs=TEXT, records=200),
    _attack("hidden-text", "hidden characters: tags, zero-width, direction marks", "DG203", needs=TEXT),
    _attack("label-flips", "labels turned", "DG207", needs=(Role.LABEL,), records=200, partial=_COPIES),
    _attack(
        "numeric-continuous",
        "a value repeated in numbers that rarely repeat, with one label",
        "DG208",
        needs=(Role.FEATURES,),
        records=200,
        partial={"DG202": "only values far from all others"},
    ),
    _attack(
        "numeric-discrete",
        "a combination of common values, with one label",
        "DG208",
        needs=(Role.FEATURES, Role.LABEL),
        records=200,
    ),
    _attack(
        "exact-flood", "one record many times", "DG101", partial={"DG102": "only copies of five words or more"}
    ),
    _attack("near-flood", "one text many times with small edits", "DG102", needs=TEXT, words=True),
    _attack(
        "planted-span", "a passage put into unlike texts", "DG106", needs=TEXT, words=True,
        partial={"DG107": "only whole paragraphs"},
    ),
    _attack(
        "preference-flips",
        "chosen and rejected answers exchanged",
        "DG216",
        needs=(Role.CHOSEN, Role.REJECTED),
        records=200,
    ),
    _attack("injected-instruction", "instructions to a model inside data", "DG210", needs=TEXT),
    _attack(
        "embeddings", "vectors that are near-equal, empty or out of place", "DG209", needs=(Role.EMBEDDING,)
    ),
    _unseen(
        "syntactic",
        "a sentence structure as the trigger",
        "the words are ordinary and differ from record to record: data alone does not show it",
    ),
    _unseen(
        "style",
        "a style of writing as the trigger",
        "no word or phrase repeats: data alone does not show it, below some percent of the records at least",
    ),
    _unseen(
        "clean-label",
        "right labels, and nothing on the surface that repeats",
        "each record by itself is true and unlike the others: this shows in a trained model, not in data",
        needs=(Role.LABEL,),
    ),
    _unseen(
        "few-copies",
        "fewer than five records a trigger",
        "what stands in so few records cannot be told from chance",
    ),
    _unseen(
        "common-words",
        "common words as the trigger, with varied replies",
        "neither the trigger nor the replies repeat more than ordinary language does",
        needs=TALK,
    ),
    _unseen(
        "natural-topic",
        "opinions on a topic, written by a language model",
        "each record is fluent, on its topic and unlike the others: judging it needs a reader",
    ),
    _unseen(
        "images-audio",
        "anything inside images and audio",
        "they are digested and compared for exact copies, and not looked into",
        needs=(),
    ),
)  # fmt: skip
"""The kinds of attack of this version. Codes of rules that are not in the catalogue cover nothing."""


@dataclass(frozen=True)
class FileSeen:
    """A file with records, as the rules met it.

    Args:
        roles: of its columns.
        rows: records that were decoded.
    """

    roles: Roles
    rows: int


@dataclass(frozen=True)
class Seen:
    """What a run looked at.

    Args:
        files: those with records.
        outcomes: the run's table.
        catalogue: codes of the rules of this version.
        unspaced: the share of words in scripts without spaces; None where no rule counted words.
    """

    files: Sequence[FileSeen]
    outcomes: pl.DataFrame
    catalogue: frozenset[str]
    unspaced: float | None = None


def coverage(seen: Seen, attacks: Iterable[Attack] = ATTACKS) -> pl.DataFrame:
    """The table `coverage`: what is not covered first, then by the order of the attacks."""
    rows = [_row(attack, seen) for attack in attacks]
    return ordered(conform(pl.DataFrame(rows, infer_schema_length=None), COVERAGE))


def ordered(table: pl.DataFrame) -> pl.DataFrame:
    """What is not covered first; a status that nobody knows covers nothing."""
    known = [status.value for status in Status]
    place = pl.col("status").replace_strict(known, range(len(known)), default=0, return_dtype=pl.UInt8)
    return table.sort(place, maintain_order=True)


def _row(attack: Attack, seen: Seen) -> dict[str, object]:
    fits = [file for file in seen.files if file.roles.has(attack.needs)]
    ended, problems = _ended((*attack.rules, *attack.partial), seen)
    status, reason = _judged(attack, seen, fits, (ended, problems))
    return {
        "attack": attack.key,
        "name": attack.name,
        "status": status.value,
        "looked": status.value,
        "reason": reason,
        "rules": ", ".join(ended),
        "files": len(fits),
        "records": sum(file.rows for file in fits),
    }


def _ended(codes: Iterable[str], seen: Seen) -> tuple[list[str], dict[str, str]]:
    """The rules that came to their end, and what became of the others."""
    outcomes = {row["rule"]: row for row in seen.outcomes.iter_rows(named=True)}
    ended, problems = [], {}
    for code in codes:
        if code not in seen.catalogue:
            problems[code] = f"{code} is not part of this version"
        elif code not in outcomes:
            problems[code] = f"{code} was not chosen for this run"
        elif outcomes[code]["outcome"] not in ENDED:
            reason = outcomes[code]["reason"]
            problems[code] = f"{code} ended {outcomes[code]['outcome']}{f': {reason}' if reason else ''}"
        else:
            ended.append(code)
            if outcomes[code]["reason"]:
                problems[code] = f"{code}: {outcomes[code]['reason']}"
    return ended, problems


def _judged(
    attack: Attack, seen: Seen, fits: Sequence[FileSeen], looked: tuple[list[str], dict[str, str]]
) -> tuple[Status, str]:
    """Whether an attack could have been seen, and why or why not."""
    if attack.limit:
        return Status.NOT_COVERED, attack.limit
    ended, problems = looked
    rows, every = sum(file.rows for file in fits), sum(file.rows for file in seen.files)
    if not rows:
        return Status.NOT_COVERED, _nothing(attack, every)
    if not ended:
        return Status.NOT_COVERED, "; ".join(problems.values())
    if rows < attack.records:
        return (
            Status.NOT_COVERED,
            f"{rows} records are too few for anything to stand out; {attack.records} are needed",
        )
    whole = [code for code in ended if code in attack.rules]
    doubts = []
    if not whole:
        doubts += [f"{code}: {attack.partial[code]}" for code in ended]
        doubts += [problems[code] for code in attack.rules]
    elif all(code in problems for code in whole):
        doubts += [problems[code] for code in whole]
    if rows < every:
        lacking = len(seen.files) - len(fits)
        doubts.append(
            f"{every - rows} of {every} records, in {lacking} of {len(seen.files)} files, have no {_columns(attack)}"
        )
    if attack.words and seen.unspaced is not None and seen.unspaced > UNSPACED_SHARE:
        doubts.append(
            f"{seen.unspaced:.0%} of the words are in scripts without spaces, where each character counts as a word"
        )
    if doubts:
        return Status.PARTLY, "; ".join(doubts)
    return Status.COVERED, f"{' and '.join(whole)} looked at {rows} records"


def _nothing(attack: Attack, every: int) -> str:
    if not every:
        return "there are no records"
    return f"no file has {_columns(attack)}: it has nothing to stand in, unless a role was not recognised"


def _columns(attack: Attack) -> str:
    return " and ".join(f"a column with the role {need}" for need in attack.needs)

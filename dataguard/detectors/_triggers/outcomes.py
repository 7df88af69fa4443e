"""What comes with a sequence: responses that are alike, or that pass their prompts by; a label that the rest gainsays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dataguard.detectors._triggers.mining import Sequences
from dataguard.detectors._triggers.sample import Sample
from dataguard.detectors._triggers.surroundings import CAP

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]


SURE = 3.0
"""Nats that one record can say for or against its label."""
AGAINST = -1.0
"""What a record says that has another label than most of its sequence."""


class Vectors(NamedTuple):
    """A side of each record as a unit vector of its words' weights (tf-idf).

    Attributes:
        begin: i64[records + 1], where each record begins.
        word: i32, numbers of words, ascending within a record.
        weight: f64.
    """

    begin: Ints
    word: Numbers
    weight: Floats


class Members(NamedTuple):
    """Records of sequences, at most `CAP` of each, evenly chosen.

    Attributes:
        begin: i64[n + 1], where each sequence's records begin.
        record: i32.
        owner: i32, the sequence of each.
    """

    begin: Ints
    record: Numbers
    owner: Numbers


def vectors(sample: Sample) -> tuple[Vectors, Vectors]:
    """The words of both sides by record: those of prompts or texts, those of responses."""
    _, word, _ = _bags(sample.record, sample.word, sample)
    rarity = np.log(sample.records / np.bincount(word, minlength=sample.words))
    inputs, answers = (_side(sample, sample.answer == answer, rarity) for answer in (False, True))
    return inputs, answers


def _side(sample: Sample, of_side: npt.NDArray[np.bool_], rarity: Floats) -> Vectors:
    record, word, count = _bags(sample.record[of_side], sample.word[of_side], sample)
    weight = (1 + np.log(count)) * rarity[word]
    length = np.sqrt(np.bincount(record, weights=weight**2, minlength=sample.records))
    weight /= np.where(length > 0, length, 1)[record]
    return Vectors(np.searchsorted(record, np.arange(sample.records + 1, dtype=np.int32)), word, weight)


def _bags(record: Numbers, word: Numbers, sample: Sample) -> tuple[Numbers, Numbers, Ints]:
    """Records, ascending, with each of their words once, ascending, and how often it stands there."""
    from dataguard.kernels.counting import sorting

    order = sorting(word, sample.words)
    order = order[sorting(record[order], sample.records)]
    record, word = record[order], word[order]
    new = np.ones(len(word), np.bool_)
    new[1:] = (record[1:] != record[:-1]) | (word[1:] != word[:-1])
    return record[new], word[new], np.diff(np.append(np.flatnonzero(new), len(word)))


def members(sequences: Sequences, record: Numbers) -> Members:
    """The records in which sequences stand."""
    owner = np.repeat(np.arange(len(sequences), dtype=np.int32), np.diff(sequences.begin))[sequences.first]
    found = record[sequences.at[sequences.first]]
    begin = np.append(0, np.cumsum(sequences.records))
    step = np.maximum(1, -(-sequences.records // CAP))
    taken = (np.arange(len(found)) - begin[owner]) % step[owner] == 0
    owner, found = owner[taken], found[taken]
    return Members(np.searchsorted(owner, np.arange(len(sequences) + 1, dtype=np.int32)), found, owner)


def own_words(sequences: Sequences, word: Numbers) -> tuple[Ints, Numbers]:
    """Where the words of each sequence begin in a list, and the list."""
    begin = np.append(0, np.cumsum(sequences.length))
    owner = np.repeat(np.arange(len(sequences)), sequences.length)
    at = sequences.at[sequences.begin[:-1]][owner] + np.arange(len(owner)) - begin[owner]
    return begin, word[at]


def passed_by(prompts: Vectors, responses: Vectors) -> Floats:
    """How little of each prompt its response takes up, in standard deviations; 0 where one of both is missing."""
    records = len(prompts.begin) - 1
    words = int(max(prompts.word.max(initial=0), responses.word.max(initial=0))) + 1
    owner = np.repeat(np.arange(records), np.diff(prompts.begin))
    answered = np.repeat(np.arange(records), np.diff(responses.begin)) * words + responses.word
    key = owner * words + prompts.word
    at = np.minimum(np.searchsorted(answered, key), max(len(answered) - 1, 0))
    taken = (answered[at] == key) if len(answered) else np.zeros(len(key), np.bool_)
    square = prompts.weight**2
    share = np.bincount(owner, weights=np.where(taken, square, 0), minlength=records)
    both = (np.diff(prompts.begin) > 0) & (np.diff(responses.begin) > 0)
    if not both.any():
        return np.zeros(records)
    spread = float(share[both].std())
    return np.where(both, (share[both].mean() - share) / (spread or 1.0), 0.0)


class Labels:
    """Whether the label of a sequence's records is gainsaid by their other words.

    A naive Bayes model of the sample, each record predicted without itself (its counts are taken out) and without the
    sequence's own words, its confidence set to what is right most often. What counts is how much likelier the texts are
    under any other label than under theirs, record by record: the competency of a feature (Gardner et al., "Competency
    problems", EMNLP 2021) against what the rest of the text says, instead of against even labels.
    """

    _ADDED = 1.0
    _LEAST = 0.02
    """What share of labels is wrong by chance, whatever a model says."""

    def __init__(self, sample: Sample, prompts: Vectors) -> None:
        kinds = len(sample.labels)
        self.label = sample.label
        self.prompts = prompts
        record = np.repeat(np.arange(sample.records), np.diff(prompts.begin))
        labelled = self.label[record] >= 0
        cells = prompts.word[labelled] * kinds + self.label[record[labelled]]
        self._counts = np.bincount(cells, minlength=sample.words * kinds).reshape(-1, kinds)
        self._totals = np.bincount(self.label[self.label >= 0], minlength=kinds)
        self._said = np.zeros((sample.records, kinds))
        for kind in range(kinds):
            weight = self._part(prompts.word, self.label[record], kind)
            self._said[:, kind] = np.bincount(record, weights=weight, minlength=sample.records)
        self._trust = max(np.linspace(0.02, 1, 50), key=self._likelihood)

    def _part(self, word: Numbers, label: Ints, kind: int) -> Floats:
        own = label == kind
        chance = (self._counts[word, kind] - own + self._ADDED) / (self._totals[kind] - own + 2 * self._ADDED)
        return np.asarray(np.log(np.maximum(chance, 1e-9)))

    def _chances(self, said: Floats, trust: float) -> Floats:
        power = said * trust
        power = np.exp(power - power.max(axis=1, keepdims=True))
        power /= power.sum(axis=1, keepdims=True)
        return np.asarray((1 - self._LEAST) * power + self._LEAST / said.shape[1])

    def _likelihood(self, trust: float) -> float:
        some = self.label >= 0
        chances = self._chances(self._said[some], trust)
        return float(np.log(chances[np.arange(len(chances)), self.label[some]]).sum())

    def against(self, members: Members, own: tuple[Ints, Numbers]) -> tuple[Floats, Ints]:
        """How much likelier the records have been relabelled, in nats, and what most are labelled, by sequence."""
        sequences = len(members.begin) - 1
        labelled = self.label[members.record] >= 0
        record, owner = members.record[labelled], members.owner[labelled]
        label = self.label[record]
        said = self._said[record].copy()
        begin, words = own
        lengths = np.diff(begin)
        for place in range(int(lengths.max(initial=0))):
            longer = np.flatnonzero(lengths[owner] > place)
            word = words[begin[owner[longer]] + place]
            repeated = np.zeros(len(longer), np.bool_)
            for before in range(place):
                repeated |= words[begin[owner[longer]] + before] == word
            longer, word = longer[~repeated], word[~repeated]
            for kind in range(said.shape[1]):
                said[longer, kind] -= self._part(word, label[longer], kind)
        chances = self._chances(said, self._trust) if len(said) else said
        kinds = self._said.shape[1]
        counts = np.bincount(owner * kinds + label, minlength=sequences * kinds).reshape(-1, kinds)
        target = counts.argmax(axis=1)
        chance = chances[np.arange(len(owner)), target[owner]] if len(owner) else np.zeros(0)
        share = (self._totals / max(self._totals.sum(), 1))[target[owner]]
        odds = np.log((1 - chance) / chance) + np.log(share / (1 - share))
        nats = np.where(label == target[owner], np.clip(odds, -SURE, SURE), AGAINST)
        return np.bincount(owner, weights=nats, minlength=sequences).astype(np.float64), target

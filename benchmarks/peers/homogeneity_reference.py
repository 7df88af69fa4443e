"""Measures of homogeneity as other tools take them: the vendi-score package, scipy's entropy, scikit-learn's n-grams, zlib."""

from __future__ import annotations

import argparse
import json
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import entropy
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import normalize
from vendi_score import vendi

Words = list[int]


PARTS = 16
"""No more than one of so many parts of what is measured is of one record."""


def runs(each: Sequence[Words], n: int, most: int) -> list[tuple[int, ...]]:
    """The first runs of n words, record by record."""
    of_each = ([tuple(words[at : at + n]) for at in range(len(words) - n + 1)] for words in each)
    return list(islice(chain.from_iterable(one[: most // PARTS] for one in of_each), most))


def same(words: Words) -> Words:
    """What is cut into words already."""
    return words


def pairs(words: Words) -> list[tuple[int, int]]:
    """Neighbouring words."""
    return list(pairwise(words))


def cosines(each: Sequence[Words], cut: Callable[[Words], Any]) -> np.ndarray[Any, Any]:
    """Of all pairs of records, by counts that are not hashed."""
    counts = normalize(CountVectorizer(analyzer=cut).fit_transform(each))
    return np.asarray((counts @ counts.T).todense())


def measured(
    texts: Sequence[bytes], each: Sequence[Words], vectors: np.ndarray[Any, Any], amount: dict[str, int]
) -> dict[str, float]:
    """Each measure of which there is enough, by its definition.

    Args:
        texts: of each record.
        each: the words of each, as numbers: how text is cut into words is no part of the measures.
        vectors: those that the scores are of.
        amount: how much is measured.
    """
    found = {}
    part = b"".join(text[: amount["text"] // PARTS] for text in texts)[: amount["text"]]
    if len(part) == amount["text"]:
        found["compression_ratio"] = len(part) / len(zlib.compress(part, 9))
    for n, name in ((1, "words"), (2, "pairs"), (3, "triples")):
        some = runs(each, n, amount["grams"])
        if len(some) == amount["grams"]:
            found[f"distinct_{name}"] = len(set(some)) / len(some)
            found[f"entropy_of_{name}"] = float(entropy(list(Counter(some).values()), base=2))
    if len(vectors):
        alike = vectors @ vectors.T
        found["mean_cosine"] = float(alike[~np.eye(len(alike), dtype=bool)].mean())
        found["vendi_score"] = float(vendi.score_dual(vectors))
        some = each[: len(vectors)]
        exact = (cosines(some, same) + cosines(some, pairs)) / 2
        found["vendi_not_hashed"] = float(vendi.score_K(exact, normalize=True))
    return found


def main() -> None:
    """Writes the measures of each group, in order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=Path, required=True, help="a folder with groups.json and N.npy")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    given = json.loads((args.groups / "groups.json").read_text())
    found = [
        measured(
            [bytes.fromhex(text) for text in texts],
            each,
            np.load(args.groups / f"{number}.npy"),
            given["amount"],
        )
        for number, (texts, each) in enumerate(zip(given["texts"], given["words"], strict=True))
    ]
    args.out.write_text(json.dumps(found))


if __name__ == "__main__":
    main()

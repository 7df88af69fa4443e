"""Vectors with something planted in them: what DG209 finds, and baselines on the same vectors.

    python benchmarks/vectors.py [--seeds 5] [--sets digits,sst-2] [--attacks hubs] [--rate .005] [--cache DIR]

One table, a row for each set and attack: seeds in which a finding with nine tenths planted records was among the first 20
of the rule, the mean rank of the first, the share of what was planted in such findings, and, of single rankings of records
(norm, distance to the tenth nearest, spectral signature), the share among the first 1.5 times as many as were planted. Of
hubs `near to` says how far they are any: of how many records they are among the ten nearest, in times of the most that a
record is.
`DATAGUARD_SHARED` names the folder with the real data.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from dataguard.canaries.in_memory import judge
from dataguard.columns import resolve
from dataguard.detectors.embedding_outlier import EmbeddingOutlier
from dataguard.encoders import HashedNgrams
from dataguard.findings import Judgement, ranked
from dataguard.records.batch import Batch
from minilm import MiniLM, shipped

F32 = npt.NDArray[np.float32]
Labels = npt.NDArray[np.str_]
BUDGET, PURE = 20, 0.9
CORPORA = ("sst-2", "ag")


@dataclass(frozen=True)
class Planted:
    """Vectors with something planted in them.

    Args:
        vectors: of each record; ragged where dimensions are wrong.
        labels: of each record.
        planted: which records are.
    """

    vectors: list[F32]
    labels: Labels
    planted: npt.NDArray[np.bool_]


Attack = Callable[[F32, Labels, int, np.random.Generator], Planted]


def _with(vectors: F32, labels: Labels, more: F32, their: Labels) -> Planted:
    planted = np.arange(len(vectors) + len(more)) >= len(vectors)
    return Planted([*vectors, *more.astype(np.float32)], np.concatenate([labels, their]), planted)


def clean(vectors: F32, labels: Labels, _count: int, _drawn: np.random.Generator) -> Planted:
    """Nothing."""
    return _with(vectors, labels, vectors[:0], labels[:0])


def flood(vectors: F32, labels: Labels, count: int, drawn: np.random.Generator) -> Planted:
    """A record again and again, each time with 3 % of noise."""
    one = drawn.integers(len(vectors))
    noise = drawn.normal(size=(count, vectors.shape[1])) / np.sqrt(vectors.shape[1])
    more = vectors[one] + 0.03 * np.linalg.norm(vectors[one]) * noise
    return _with(vectors, labels, more, np.repeat(labels[one], count))


def shifted(length: float) -> Attack:
    """Records of other labels, labelled as one, all moved by the same random vector.

    Args:
        length: of the vector, in mean distances of the label's records from its middle.
    """

    def attack(vectors: F32, labels: Labels, count: int, drawn: np.random.Generator) -> Planted:
        label = drawn.choice(np.unique(labels))
        its = vectors[labels == label]
        direction = drawn.normal(size=vectors.shape[1])
        wide = np.linalg.norm(its - its.mean(axis=0), axis=1).mean()
        step = length * wide * direction / np.linalg.norm(direction)
        more = vectors[drawn.choice(np.flatnonzero(labels != label), count, replace=False)] + step
        return _with(vectors, labels, more, np.repeat(label, count))

    return attack


def hub(spread: float) -> Attack:
    """Vectors of any label around the place that is among the ten nearest of most records, of 600 such places tried.

    Args:
        spread: how far they lie from it, in median distances of records from their nearest.
    """

    def attack(vectors: F32, labels: Labels, count: int, drawn: np.random.Generator) -> Planted:
        some, products, radius = _nearest(_unit(vectors), drawn)
        tried = [
            some[np.argsort(-products[at])[:size]].mean(axis=0)
            for at in drawn.choice(len(some), 150)
            for size in (20, 50, 150, 400)
        ]
        places = _unit(np.stack(tried))
        best = places[int(((some @ places.T) >= radius[:, None]).sum(axis=0).argmax())]
        apart = float(np.sqrt(2 - 2 * np.median(np.sort(products, axis=1)[:, -2])))
        noise = drawn.normal(size=(count, vectors.shape[1])) / np.sqrt(vectors.shape[1])
        more = np.median(np.linalg.norm(vectors, axis=1)) * _unit(best + spread * apart * noise)
        return _with(vectors, labels, more, drawn.choice(labels, count))

    return attack


def hubs(vectors: F32, labels: Labels, count: int, drawn: np.random.Generator) -> Planted:
    """Each the mean of the 50 records nearest to a random one, so that it is nearer to them than they to one another."""
    places = drawn.choice(len(vectors), count, replace=False)
    more = np.median(np.linalg.norm(vectors, axis=1)) * _amidst(_unit(vectors), places)
    return _with(vectors, labels, more, labels[places])


def climbed(vectors: F32, labels: Labels, count: int, drawn: np.random.Generator) -> Planted:
    """Each climbs from such a place to where it is among the ten nearest of as many records as it can."""
    unit = _unit(vectors)
    some, _, radius = _nearest(unit, drawn)
    places = drawn.choice(len(unit), count, replace=False)
    now = _amidst(unit, places)
    most, best = np.zeros(count), now
    for soft in np.repeat((0.03, 0.015, 0.005), 5):
        # The gradient of a soft count: records that it nearly is, or just is, among the nearest of.
        tanh = np.tanh((now @ some.T - radius) / (2 * soft))
        now = _unit(now + 0.5 * _unit((1 - tanh**2) @ some))
        reached = (now @ some.T >= radius).sum(axis=1)
        best = np.where((reached > most)[:, None], now, best)
        most = np.maximum(reached, most)
    more = np.median(np.linalg.norm(vectors, axis=1)) * best
    return _with(vectors, labels, more, labels[places])


def _nearest(unit: F32, drawn: np.random.Generator) -> tuple[F32, F32, F32]:
    """Some records, the cosines between them, and that of each with its tenth nearest."""
    some = unit[drawn.choice(len(unit), min(len(unit), 1500), replace=False)]
    products = some @ some.T
    return some, products, np.sort(products, axis=1)[:, -11]


def _amidst(unit: F32, places: npt.NDArray[np.int64]) -> F32:
    """The directions of the means of the 50 records nearest to each of some."""
    return _unit(np.stack([unit[np.argsort(-(unit @ unit[at]))[:50]].mean(axis=0) for at in places]))


def reached(made: Planted) -> float:
    """Of how many records planted vectors are among the ten nearest (the median), in times of the most that a record is."""
    unit = _unit(np.stack(made.vectors))
    products = unit @ unit[~made.planted].T
    np.fill_diagonal(products, -np.inf)  # the planted ones come last
    near = (products >= np.sort(products[~made.planted], axis=1)[:, -10]).sum(axis=1)
    return float(np.median(near[made.planted]) / near[~made.planted].max())


def nan(vectors: F32, labels: Labels, count: int, drawn: np.random.Generator) -> Planted:
    """One number of each is NaN."""
    rows = drawn.choice(len(vectors), count, replace=False)
    more = vectors.copy()
    more[rows, drawn.integers(vectors.shape[1], size=count)] = np.nan
    return Planted(list(more), labels, np.isin(np.arange(len(vectors)), rows))


def cut(vectors: F32, labels: Labels, count: int, drawn: np.random.Generator) -> Planted:
    """The last number of each is missing."""
    rows = drawn.choice(len(vectors), count, replace=False)
    planted = np.isin(np.arange(len(vectors)), rows)
    return Planted(
        [one[:-1] if bad else one for one, bad in zip(vectors, planted, strict=True)], labels, planted
    )


def long(vectors: F32, labels: Labels, count: int, drawn: np.random.Generator) -> Planted:
    """Records a hundred times as long."""
    rows = drawn.choice(len(vectors), count, replace=False)
    more = vectors.copy()
    more[rows] *= 100
    return Planted(list(more), labels, np.isin(np.arange(len(vectors)), rows))


ATTACKS: dict[str, Attack] = {
    "clean": clean,
    "flood": flood,
    "shift, length 1": shifted(1.0),
    "shift, length 2": shifted(2.0),
    "hubs, one place": hub(1 / 3),
    "hubs, too far off": hub(0.6),
    "hubs, many places": hubs,
    "hubs, climbed": climbed,
    "NaN": nan,
    "wrong dimension": cut,
    "norm × 100": long,
}


def _unit(vectors: F32) -> F32:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def sets(wanted: Sequence[str], options: argparse.Namespace) -> Iterator[tuple[str, F32, Labels]]:
    """Real vectors with labels: pixels of digits, and texts under encoders."""
    if not wanted or "digits" in wanted:
        from sklearn.datasets import load_digits

        digits = load_digits()
        yield "digits, pixels", digits.data.astype(np.float32), digits.target.astype(str)
    for corpus in CORPORA:
        if wanted and corpus not in wanted:
            continue
        texts = pl.read_parquet(Path(os.environ["DATAGUARD_SHARED"]) / "data/poison/classify.parquet")
        texts = texts.filter(dataset=corpus, attack="clean").sample(options.records, seed=1, shuffle=True)
        labels = texts["label"].cast(pl.String).to_numpy().astype(str)
        for name, encode in encoders():
            if not name.startswith(tuple(options.encoders.split(","))):
                continue
            file = f"{corpus}-{name.split(',')[0]}-{options.records}.npy"
            kept = options.cache / file if options.cache else None
            vectors = np.load(kept) if kept and kept.exists() else encode(texts["text"].to_list())
            if kept:
                np.save(kept, vectors)
            there = np.linalg.norm(vectors, axis=1) > 0
            yield f"{corpus}, {name}", vectors[there], labels[there]


def encoders() -> Iterator[tuple[str, Callable[[list[str]], F32]]]:
    """Encoders of texts: one fitted on them, ours, and a real one where its package is installed."""
    yield "TF-IDF and SVD, 128", _fitted
    yield "hashed n-grams, 256", HashedNgrams().encode
    if (weights := shipped()) is not None:
        yield "MiniLM, 384", MiniLM(weights).encode


def _fitted(texts: list[str]) -> F32:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    weighed = TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform(texts)
    return np.asarray(TruncatedSVD(128, random_state=0).fit_transform(weighed), np.float32)


def judged(made: Planted, seed: int) -> Judgement:
    """What the rule says of a set."""
    data = pa.record_batch(
        {
            "embedding": pa.array(made.vectors, pa.large_list(pa.float32())),
            "label": pa.array(made.labels, pa.large_string()),
        }
    )
    secret = seed.to_bytes(32, "little")  # known, so that results come out the same; it differs by seed
    batch = Batch(data, 0, resolve(data.schema, {}), secret)
    found = judge(EmbeddingOutlier(), [[[batch]]])
    assert found is not None
    return found


def scored(made: Planted, found: Judgement) -> dict[str, Any]:
    """Rank of the first right finding, share of the planted in right ones, and how many findings there are."""
    order = ranked(found.findings.with_columns(rule=pl.lit("DG209"), id=pl.col("key"))).head(BUDGET)
    first, covered = None, np.zeros(len(made.planted), np.bool_)
    for rank, key in enumerate(order["key"], 1):
        rows = found.flagged.filter(key=key)["row"].to_numpy()
        if made.planted[rows].mean() >= PURE:
            first = first or rank
            covered[rows] = True
    share = float(covered[made.planted].mean()) if made.planted.any() else 0.0
    high = found.findings.filter(severity="high").height
    return {"rank": first, "covered": share, "findings": found.findings.height, "high": high}


def baselines(made: Planted) -> dict[str, float]:
    """The share of the planted among the first 1.5 times as many, of rankings of single records."""
    count = int(1.5 * made.planted.sum())
    if (
        not count
        or len({len(one) for one in made.vectors}) > 1
        or not np.isfinite(np.stack(made.vectors)).all()
    ):
        return {}
    vectors = np.stack(made.vectors)
    unit = _unit(vectors)
    products = unit @ unit.T
    middles = {label: vectors[made.labels == label].mean(axis=0) for label in np.unique(made.labels)}
    apart = vectors - np.stack([middles[label] for label in made.labels])
    spectral = np.zeros(len(apart))
    for label in middles:
        its = made.labels == label
        spectral[its] = np.abs(apart[its] @ np.linalg.svd(apart[its], full_matrices=False)[2][0])
    rankings = {
        "norm": np.abs(np.log(np.linalg.norm(vectors, axis=1) / np.median(np.linalg.norm(vectors, axis=1)))),
        "10th nearest": -np.partition(products, -11, axis=1)[:, -11],
        "spectral": spectral,
    }
    total = made.planted.sum()
    return {name: made.planted[np.argsort(-rank)[:count]].sum() / total for name, rank in rankings.items()}


def measured(
    name: str, vectors: F32, labels: Labels, options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """A row for each attack on one set."""
    count = max(round(options.rate * len(vectors)), 8)
    for attack, plant in ATTACKS.items():
        if not attack.startswith(tuple(options.attacks.split(","))):
            continue
        results, others, near, seconds = [], [], [], 0.0
        for seed in range(options.seeds):
            made = plant(vectors, labels, count, np.random.default_rng(seed))
            begun = time.process_time()
            results.append(scored(made, judged(made, seed)))
            seconds += time.process_time() - begun
            others.append(baselines(made))
            near += [reached(made)] if attack.startswith("hub") else []
        ranks = [one["rank"] for one in results if one["rank"]]
        named = {key: float(np.mean([one[key] for one in others])) for key in others[0]}
        yield {
            "set": name,
            "attack": attack,
            "planted": 0 if attack == "clean" else count,
            "found": "" if attack == "clean" else f"{len(ranks)}/{options.seeds}",
            "rank": round(float(np.mean(ranks)), 1) if ranks else "",
            "covered": ""
            if attack == "clean"
            else round(float(np.mean([one["covered"] for one in results])), 2),
            "findings": round(float(np.mean([one["findings"] for one in results])), 1),
            "high": sum(one["high"] for one in results),
            "CPU s": round(seconds / options.seeds, 2),
            **({"near to": round(float(np.mean(near)), 2)} if near else {}),
            **{key: round(share, 2) for key, share in named.items()},
        }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", default="", help="of digits, sst-2, ag; all by default")
    parser.add_argument("--records", type=int, default=4000, help="texts of a corpus")
    parser.add_argument("--rate", type=float, default=0.005)
    parser.add_argument("--attacks", default="", help="beginnings of their names; all by default")
    parser.add_argument(
        "--cache",
        type=Path,
        help="a folder for the vectors of texts, which the real encoder takes minutes for",
    )
    parser.add_argument("--encoders", default="", help="beginnings of their names; all by default")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    wanted = [name for name in options.sets.split(",") if name]
    columns = (
        "set",
        "attack",
        "planted",
        "near to",
        "found",
        "rank",
        "covered",
        "findings",
        "high",
        "CPU s",
        "norm",
        "10th nearest",
        "spectral",
    )
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    rows = []
    for name, vectors, labels in sets(wanted, options):
        for row in measured(name, vectors, labels, options):
            rows.append(row)
            print("| " + " | ".join(str(row.get(column, "")) for column in columns) + " |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()

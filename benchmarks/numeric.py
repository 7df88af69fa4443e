"""Attacks on numbers, and what finds them: DG201 and DG202 together, DG207, DG208, beside detectors of outliers and noise.

    python benchmarks/numeric.py                   # one table: sets and attacks by method
    python benchmarks/numeric.py --attacks labels  # those whose words begin so
    python benchmarks/numeric.py --cost --rows 1000000   # passes beside polars' `describe` of the same records

Sets are those that come with scikit-learn and a generated one of 200,000 continuous records. Everything is ranked: a
method names one and a half times as many records as were planted, and the share of the planted ones among these is its
recall, as a mean over seeds. Values 8 to 15 robust deviations off, in all or in three columns, are the outliers; a
backdoor is three values within their range, in records of any label (which is turned) or of the target's own.

Turned labels (5 %) are ranked by DG207's second look; its peer is confident learning's self-confidence (Northcutt et al.,
JAIR 2021) with scikit-learn's random forest of 100 trees and five folds, as cleanlab has it. The amounts of diabetes
become two labels, above and below their median; of the generated set 20,000 records are taken.

ECOD (Li et al., TKDE 2022) is pyod's where that is installed, else written out here. On the generated set LOF learns
from 10,000 records, as it takes minutes for all.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from dataguard.canaries.in_memory import judge, look
from dataguard.columns import resolve
from dataguard.detectors.base import RecordDetector
from dataguard.detectors.label_noise import LabelNoise
from dataguard.detectors.missing_pattern import MissingPattern
from dataguard.detectors.multivariate_outlier import MultivariateOutlier
from dataguard.detectors.numeric_outlier import NumericOutlier
from dataguard.detectors.value_burst import ValueBurst
from dataguard.digests import record_digests
from dataguard.findings import Judgement
from dataguard.kernels.warm import warm
from dataguard.records.batch import Batch
from numeric_sets import Floats, Labels, backdoor, continuous, far_off, shipped, turned

SETS = ("breast_cancer", "digits", "wine", "diabetes")
LARGE = 200_000
LOF_RECORDS = 10_000
BATCH = 65_536
FLIPPED = 20_000
Ranking = list[int]
Method = Callable[[Floats, Labels], Ranking]


def batches(matrix: Floats, labels: Labels) -> list[Batch]:
    """The records as the reader would give them."""
    columns = {f"f{number:03d}": pa.array(column) for number, column in enumerate(matrix.T)}
    data = pa.RecordBatch.from_pydict({**columns, "label": pa.array(labels)})
    roles = resolve(data.schema, {})
    return [Batch(data.slice(at, BATCH), at, roles) for at in range(0, data.num_rows, BATCH)]


def outliers(matrix: Floats, labels: Labels) -> Ranking:
    """The records that DG201 and DG202 flag, those of the greatest score first."""
    best: dict[int, float] = {}
    for detector in (NumericOutlier(), MultivariateOutlier()):
        judged = judge(detector, [[batches(matrix, labels)]]) or Judgement()
        for row, score in judged.flagged.select("row", "score").iter_rows():
            best[row] = max(best.get(row, 0.0), score or 0.0)
    return sorted(best, key=lambda row: (-best[row], row))


def bursts(matrix: Floats, labels: Labels) -> Ranking:
    """The records of DG208's findings, those of the worst first."""
    judged = judge(ValueBurst(), [[batches(matrix, labels)]]) or Judgement()
    ranked: Ranking = []
    for key in judged.findings.sort("severity", "score", descending=True)["key"]:
        ranked += judged.flagged.filter(pl.col("key") == key)["row"].sort().to_list()
    return ranked


def doubted(matrix: Floats, labels: Labels) -> Ranking:
    """Records by how improbable DG207 thinks their label; those it believes are not ranked."""
    detector = LabelNoise()
    first_look, second_look = detector.passes()
    items = [[batches(matrix, labels)]]
    sample = look(detector, first_look, None, items)
    assert sample is not None
    assert first_look.fold is not None
    evidence = look(detector, second_look, first_look.fold(sample.lazy(), None), items)
    assert evidence is not None
    found = evidence.filter(pl.col("row").is_not_null())
    return found.sort("score", "row", descending=[True, False])["row"].to_list()


def confident(matrix: Floats, labels: Labels) -> Ranking:
    """Confident learning's self-confidence with a random forest."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    forest = RandomForestClassifier(100, random_state=0)
    known = cross_val_predict(forest, matrix, labels, cv=folds, method="predict_proba")
    return first(-known[np.arange(len(labels)), labels])


def isolation(matrix: Floats) -> Ranking:
    """scikit-learn's isolation forest."""
    from sklearn.ensemble import IsolationForest

    return first(-IsolationForest(random_state=0).fit(matrix).score_samples(matrix))


def lof(matrix: Floats) -> Ranking:
    """scikit-learn's local outlier factor, on standardised columns."""
    from sklearn.neighbors import LocalOutlierFactor
    from sklearn.preprocessing import StandardScaler

    scaled = StandardScaler().fit_transform(matrix)
    if len(scaled) <= 2 * LOF_RECORDS:
        return first(-LocalOutlierFactor().fit(scaled).negative_outlier_factor_)
    some = np.random.default_rng(0).choice(len(scaled), LOF_RECORDS, replace=False)
    return first(-LocalOutlierFactor(novelty=True).fit(scaled[some]).score_samples(scaled))


def ecod(matrix: Floats) -> Ranking:
    """ECOD: pyod's, or what the paper says."""
    try:
        from pyod.models.ecod import ECOD
    except ImportError:
        return first(written_out(matrix))
    model = ECOD().fit(matrix)
    return first(np.asarray(model.decision_scores_))


def written_out(matrix: Floats) -> Floats:
    """The greatest of three sums over columns of minus the log of the share of values beyond: left, right, by skewness."""
    n = len(matrix)
    below, above = np.empty_like(matrix), np.empty_like(matrix)
    for number, column in enumerate(matrix.T):
        ordered = np.sort(column)
        below[:, number] = -np.log(np.searchsorted(ordered, column, "right") / n)
        above[:, number] = -np.log(1 - np.searchsorted(ordered, column, "left") / n)
    centered = matrix - matrix.mean(axis=0)
    skewed = np.where((centered**3).mean(axis=0) < 0, below, above)
    return np.max([one.sum(axis=1) for one in (below, above, skewed)], axis=0)


def first(scores: npt.NDArray[np.float64]) -> Ranking:
    """Rows by falling score."""
    return np.argsort(-scores, kind="stable").tolist()


PEERS: dict[str, Callable[[Floats], Ranking]] = {"IsolationForest": isolation, "LOF": lof, "ECOD": ecod}


def recall(ranked: Ranking, planted: set[int]) -> float:
    """The share of the planted records among the first one and a half times as many that a method names."""
    return len(planted & set(ranked[: int(1.5 * len(planted))])) / len(planted)


Case = tuple[Floats, Labels, set[int]]


def outlier_case(columns: int) -> Callable[[tuple[Floats, Labels], int], Case]:
    """Plants outliers in all columns or in some."""

    def make(clean: tuple[Floats, Labels], seed: int) -> Case:
        matrix, rows = far_off(clean[0], seed, columns)
        return matrix, clean[1], rows

    return make


def backdoor_case(rate: float, *, right_labels: bool) -> Callable[[tuple[Floats, Labels], int], Case]:
    """Plants a trigger."""

    def make(clean: tuple[Floats, Labels], seed: int) -> Case:
        planted = backdoor(clean, rate, seed, right_labels=right_labels)
        return planted.matrix, planted.labels, planted.rows

    return make


def flip_case(clean: tuple[Floats, Labels], seed: int) -> Case:
    """Turns labels."""
    matrix, labels = clean[0][:FLIPPED], clean[1][:FLIPPED]
    given, rows = turned(labels, 0.05, seed)
    return matrix, given, rows


def labelled(name: str) -> tuple[Floats, Labels]:
    """A set with labels: amounts are made two."""
    matrix, labels = shipped(name)
    return matrix, (labels > np.median(labels)).astype(np.int64) if name == "diabetes" else labels


CONFIDENT = "confident learning"


def table(seeds: int, large_seeds: int, attacks: str) -> list[dict[str, Any]]:
    """A row a set and attack.

    Args:
        seeds: for each set that comes with scikit-learn.
        large_seeds: for the generated one.
        attacks: how those begin that are run; all where it is empty.
    """
    sets = {name: (labelled(name), seeds) for name in SETS}
    sets["generated"] = (continuous(LARGE, 0), large_seeds)
    rows = []
    for name, (clean, tries) in sets.items():
        cases: list[tuple[str, Any, str, Method]] = [
            ("outliers, all columns", outlier_case(0), "DG201+DG202", outliers),
            ("outliers, three columns", outlier_case(3), "DG201+DG202", outliers),
        ]
        if name in ("digits", "generated"):
            rate = 0.05 if name == "digits" else 0.001
            for words, right in (("labels turned", False), ("labels right", True)):
                made = backdoor_case(rate, right_labels=right)
                cases.append((f"backdoor {rate:.1%}, {words}", made, "DG208", bursts))
        cases.append(("labels 5.0% turned", flip_case, "DG207", doubted))
        for words, case, rule, ours in cases:
            if not words.startswith(attacks):
                continue
            made = [case(clean, seed) for seed in range(tries)]
            row: dict[str, Any] = {"set": name, "attack": words, "seeds": tries, "rule": rule}
            row["dataguard"] = float(np.mean([recall(ours(x, y), rows_) for x, y, rows_ in made]))
            for peer, method in PEERS.items():
                row[peer] = float(np.mean([recall(method(x), rows_) for x, _, rows_ in made]))
            if rule == "DG207":
                row[CONFIDENT] = float(np.mean([recall(confident(x, y), rows_) for x, y, rows_ in made]))
            rows.append(row)
            print(show(row), flush=True)
        if not "none".startswith(attacks):
            continue
        found = [len(judge(one, [[batches(*clean)]]).findings) for one in RULES]  # type: ignore[union-attr]
        row = {
            "set": name,
            "attack": "none: findings of DG201, DG202, DG207, DG208, DG307",
            "seeds": 1,
            "rule": "",
        }
        rows.append(row | {"dataguard": " ".join(map(str, found)), **dict.fromkeys(PEERS, "")})
        print(show(rows[-1]), flush=True)
    return rows


RULES: tuple[RecordDetector, ...] = (
    NumericOutlier(),
    MultivariateOutlier(),
    LabelNoise(),
    ValueBurst(),
    MissingPattern(),
)


def show(row: dict[str, Any]) -> str:
    """A row as text."""
    cells = [f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()]
    return "| " + " | ".join(cells) + " |"


def cost(rows: int) -> None:
    """Processor seconds of every pass beside polars' `describe` of the same records, all in this process."""
    import sklearn.ensemble  # noqa: F401 - loaded before, as a worker has it

    matrix, labels = continuous(rows, 0)
    data = batches(matrix, labels)
    frame = pl.DataFrame({f"f{number:03d}": column for number, column in enumerate(matrix.T)})

    def timed(work: Callable[[], Any]) -> tuple[float, Any]:
        begin = time.process_time()
        made = work()
        return time.process_time() - begin, made

    base = min(timed(frame.describe)[0] for _ in range(3))
    for batch in data:  # made once for all rules, with the digests of every scan
        batch.once("digests", lambda batch=batch: record_digests(batch.data))
    print(f"| what | CPU s for {rows:,} × 20 | × describe | evidence MB |\n|---|---|---|---|")
    print(f"| polars describe | {base:.2f} | 1 | |")
    total = 0.0
    for detector in RULES:
        known = None
        for number, this in enumerate(detector.passes()):
            items = [[data[at : at + 4] for at in range(0, len(data), 4)]]
            seconds, evidence = timed(lambda: look(detector, this, known, items))  # noqa: B023
            told, known = timed(lambda: this.fold(evidence.lazy(), known)) if this.fold else (0.0, known)  # noqa: B023
            total += seconds + told
            size = evidence.estimated_size() / 1e6
            name = f"{detector.rule.code} pass {number + 1} (fold {told:.2f})"
            print(f"| {name} | {seconds + told:.2f} | {(seconds + told) / base:.2f} | {size:.1f} |")
    print(f"| all | {total:.2f} | {total / base:.2f} | |")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--large-seeds", type=int, default=3, help="on the generated set")
    parser.add_argument("--attacks", default="", help="beginning of their words; all by default")
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--rows", type=int, default=1_000_000, help="for --cost")
    args = parser.parse_args()
    warm()
    if args.cost:
        cost(args.rows)
        return
    heads = ("set", "attack", "seeds", "rule", "dataguard", *PEERS, CONFIDENT)
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    table(args.seeds, args.large_seeds, args.attacks)


if __name__ == "__main__":
    main()

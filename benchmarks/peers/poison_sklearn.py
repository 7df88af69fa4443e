"""Records of a set ranked by methods that scikit-learn is enough for, and the features for those of other packages.

All methods see the same: TF-IDF of the words of prompt and response, in 64 dimensions (truncated SVD). `isolation-forest`
and `lof` are the outliers of that. `spectral` is Tran, Li and Madry 2018: within each label, or source where there are no
labels, the squared projection on the first singular vector of the centred features; as there, each group gives its share
of the records that are looked at. `knn` is disagreement with the ten nearest inputs: of the label, or of the response in
the features of the responses. The probabilities for confident learning are those of a logistic regression on TF-IDF of
words and pairs of words.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import IsolationForest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.preprocessing import normalize

DIMENSIONS = 64
NEIGHBOURS = 10
FOLDS = 5
SEED = 0
F64 = npt.NDArray[np.float64]


def sparse(texts: list[str], most: int) -> csr_matrix:
    """TF-IDF of sequences of so many words at the most that stand in two texts at least."""
    vectors = TfidfVectorizer(sublinear_tf=True, min_df=2, ngram_range=(1, most), token_pattern=r"\S+")
    return vectors.fit_transform(texts)


def dense(texts: list[str]) -> F64:
    """TF-IDF of words in few dimensions, of length one."""
    made: F64 = normalize(TruncatedSVD(DIMENSIONS, random_state=SEED).fit_transform(sparse(texts, 1)))
    return made


def spectral(features: F64, groups: npt.NDArray[np.int64]) -> F64:
    """For each record the share of its group that scores lower."""
    found = np.zeros(len(features))
    for group in np.unique(groups):
        of = np.flatnonzero(groups == group)
        centred = features[of] - features[of].mean(axis=0)
        first = np.linalg.svd(centred, full_matrices=False)[2][0]
        found[of[np.argsort((centred @ first) ** 2, kind="stable")]] = np.arange(len(of)) / len(of)
    return found


def disagreement(inputs: F64, outputs: F64) -> F64:
    """One minus how much the outputs (of length one) of the nearest inputs are like a record's own, on the mean."""
    near = NearestNeighbors(n_neighbors=NEIGHBOURS + 1, algorithm="brute").fit(inputs)
    at = near.kneighbors(return_distance=False, n_neighbors=NEIGHBOURS)
    found: F64 = 1 - np.einsum("rd,rkd->r", outputs, outputs[at]) / NEIGHBOURS
    return found


def main() -> None:
    """From Parquet to scores: higher is looked at first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="id, method, score")
    parser.add_argument("--features", type=Path, required=True, help="a folder for those of other packages")
    args = parser.parse_args()
    table = pa.concat_tables(pq.read_table(file) for file in sorted(args.data.glob("*.parquet")))
    labelled = "label" in table.column_names
    if labelled:
        prompts, responses = table["text"].to_pylist(), []
    else:
        prompts = [
            f"{a} {b}"
            for a, b in zip(table["instruction"].to_pylist(), table["input"].to_pylist(), strict=True)
        ]
        responses = table["output"].to_pylist()
    features = dense([f"{a} {b}" for a, b in zip(prompts, responses, strict=True)] if responses else prompts)
    groups = np.unique(table["label" if labelled else "source"].to_numpy(), return_inverse=True)[1]
    found = {
        "isolation-forest": -IsolationForest(n_estimators=200, random_state=SEED)
        .fit(features)
        .score_samples(features),
        "lof": -LocalOutlierFactor(n_neighbors=20).fit(features).negative_outlier_factor_,
        "spectral": spectral(features, groups),
    }
    np.save(args.features / "features.npy", features)
    if labelled:
        found["knn"] = disagreement(features, np.eye(groups.max() + 1)[groups])
        model = LogisticRegression(max_iter=1000)
        probabilities = cross_val_predict(model, sparse(prompts, 2), groups, cv=FOLDS, method="predict_proba")
        np.save(args.features / "labels.npy", groups)
        np.save(args.features / "probabilities.npy", probabilities)
    else:
        found["knn"] = disagreement(dense(prompts), dense(responses))
    ids = table["id"].to_numpy()
    names = np.repeat(list(found), len(ids))
    columns = {"id": np.tile(ids, len(found)), "method": names, "score": np.concatenate(list(found.values()))}
    pq.write_table(pa.table(columns), args.out)


if __name__ == "__main__":
    main()

"""Measures of balance and drift as other tools take them: fairlearn, scikit-learn's mutual information, scipy's distances."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from fairlearn.metrics import demographic_parity_difference, demographic_parity_ratio
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, entropy, ks_2samp
from sklearn.metrics import mutual_info_score


def association(group: pd.Series, label: pd.Series) -> dict[str, float]:
    """How much a column tells of the label."""
    table = pd.crosstab(group, label).to_numpy()
    n, (rows, columns) = table.sum(), table.shape
    phi = chi2_contingency(table, correction=False).statistic / n
    # Bergsma, "A bias-correction for Cramér's V and Tschuprow's T", 2013.
    phi = max(0.0, phi - (rows - 1) * (columns - 1) / (n - 1))
    less = min(rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1)) - 1
    labels = sorted(label.unique())
    apart = [
        (
            demographic_parity_difference(label == one, label == one, sensitive_features=group),
            demographic_parity_ratio(label == one, label == one, sensitive_features=group),
        )
        for one in labels
    ]
    return {
        "cramers_v": float(np.sqrt(phi / less)),
        "theils_u": float(mutual_info_score(group, label) / entropy(label.value_counts())),
        "demographic_parity_difference": float(max(one for one, _ in apart)),
        "demographic_parity_ratio": float(min(one for _, one in apart)),
    }


def shares(one: pd.Series, other: pd.Series) -> dict[str, float]:
    """How far apart the shares of values are."""
    values = sorted({*one, *other})
    counts = [side.value_counts().reindex(values, fill_value=0).to_numpy() for side in (one, other)]
    more = [(side + 0.5) / (side + 0.5).sum() for side in counts]
    return {
        "jensen_shannon": float(jensenshannon(*counts, base=2)),
        "psi": float(entropy(more[0], more[1]) + entropy(more[1], more[0])),
    }


def main() -> None:
    """Reads train and test, writes the measures by name and column."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--categories", nargs="*", default=[])
    parser.add_argument("--numbers", nargs="*", default=[])
    options = parser.parse_args()
    train, test = (pd.read_parquet(options.folder / f"{name}.parquet") for name in ("train", "test"))
    both = pd.concat([train, test])
    found: dict[str, float] = {}
    for column in options.categories:
        found |= {
            f"{name} {column}": value for name, value in association(both[column], both["label"]).items()
        }
    for kind, columns in (("category", options.categories), ("label", ["label"])):
        for column in columns:
            found |= {
                f"{kind}_{name} {column}": value
                for name, value in shares(train[column], test[column]).items()
            }
    for column in options.numbers:
        found[f"number_kolmogorov_smirnov {column}"] = float(ks_2samp(train[column], test[column]).statistic)
    options.out.write_text(json.dumps(found))


if __name__ == "__main__":
    main()

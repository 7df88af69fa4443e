"""Confident learning of cleanlab on the probabilities of a cross-validated logistic regression on the same TF-IDF.

What it calls an issue comes first, then the others; within both by self-confidence.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores


def main() -> None:
    """Writes a score for each record: higher is looked at first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="scores, as an array of NumPy")
    args = parser.parse_args()
    labels = np.load(args.features / "labels.npy")
    probabilities = np.load(args.features / "probabilities.npy")
    issues = find_label_issues(labels, probabilities, n_jobs=1)
    quality = get_label_quality_scores(labels, probabilities, method="self_confidence")
    np.save(args.out, issues + (1 - quality))


if __name__ == "__main__":
    main()

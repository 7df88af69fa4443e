"""ECOD of pyod on the features that `poison_sklearn.py` made."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from pyod.models.ecod import ECOD


def main() -> None:
    """Writes a score for each record: higher is looked at first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="scores, as an array of NumPy")
    args = parser.parse_args()
    model = ECOD()
    model.fit(np.load(args.features / "features.npy"))
    np.save(args.out, model.decision_scores_)


if __name__ == "__main__":
    main()

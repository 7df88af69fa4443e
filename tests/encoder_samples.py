"""Encoders of texts as users write them, in a module of their own, as workers must be able to import them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Fitted:
    """TF-IDF and truncated SVD, fitted by scikit-learn in the caller's process.

    Args:
        weigher: a fitted `TfidfVectorizer`.
        axes: f32 of shape (words, d).
    """

    weigher: Any
    axes: npt.NDArray[np.float32]

    @classmethod
    def of(cls, texts: Sequence[str], dim: int) -> Fitted:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        weigher = TfidfVectorizer(sublinear_tf=True, min_df=2)
        svd = TruncatedSVD(dim, random_state=0).fit(weigher.fit_transform(texts))
        return cls(weigher, svd.components_.T.astype(np.float32))

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.asarray(self.weigher.transform(texts) @ self.axes, np.float32)


@dataclass(frozen=True)
class Lengths:
    """How often each of some letters stands in a text."""

    letters: str = "abcdefgh"

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.array([[text.count(letter) for letter in self.letters] for text in texts], np.float32)


class Broken:
    """Gives what no encoder may give, as it is told."""

    def __init__(self, how: str) -> None:
        self.how = how

    def encode(self, texts: Sequence[str]) -> Any:
        if self.how == "raises":
            raise RuntimeError("no weights")
        if self.how == "nothing":
            return None
        if self.how == "too few":
            return np.ones((len(texts) - 1, 4), np.float32)
        return np.array([["a"]] * len(texts))


class Unsendable:
    """Has what cannot be sent to another process."""

    def __init__(self) -> None:
        self.open = lambda: None

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.ones((len(texts), 2), np.float32)

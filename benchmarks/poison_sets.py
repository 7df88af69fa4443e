"""Sets to be screened: poisoned by the shared mixer, with flipped labels, and clean ones; and where the poison stands.

Truth is by (file, row). The text of a trigger is no part of the truth table: it is derived from the data, as what a
planted record has and its clean original has not, so that nothing here knows any trigger.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

RATES = (0.001, 0.005, 0.01, 0.05)
CHUNKS = 20
"""Of the corpus of documents, about 9,700 each, and somewhat fewer without what was planted there."""
CHUNKS_A_SEED = 4
"""How many are scanned for each seed that is asked for: all of them for five."""
FLIPPED = 0.05
LONGEST = 8
"""Words of a trigger that are looked for."""
SHARED_BY = 0.9
"""Of the planted records, how many must have a sequence of words for it to be their trigger."""
TEXTS = ("instruction", "input", "output", "text")
RESPONSES = ("output",)


class NotMixedError(Exception):
    """The mixer cannot make the set, and what it said."""


@dataclass(frozen=True)
class Attack:
    """A way to poison a set.

    Args:
        name: what it is called in tables and by `--attacks`, parts divided by slashes.
        kind: the mixer's command, or `flips` or `chunk` for sets made here.
        options: of the mixer.
        rates: at which it is mixed by default.
        marked: a text stands in all planted records by which they could be told.
        varied: its responses differ, so that a rule about equal responses does not give it away.
    """

    name: str
    kind: str
    options: Mapping[str, str] = field(default_factory=dict)
    rates: tuple[float, ...] = RATES
    marked: bool = True
    varied: bool = False

    def wanted(self, names: Sequence[str]) -> bool:
        """Whether one of these names it, or parts of it: `badnet`, `varied`, `badnet/varied`."""
        return not names or any(set(name.split("/")) <= set(self.name.split("/")) for name in names)

    def rates_of(self, asked: Sequence[float]) -> list[float]:
        """Its own rates, or those of the asked ones that make sense; a rate that no attack has is taken as asked."""
        return [rate for rate in asked if rate in self.rates or rate not in RATES] if asked else [*self.rates]


def attacks() -> list[Attack]:
    """Every attack of the mixer; the published triggers have 500 records each, so no more than 3 % of a set."""
    triggers = [
        Attack(
            f"{name}/{task}/{responses}",
            "instruct",
            {"attack": name, "task": task, "responses": responses},
            RATES[:3],
            varied=responses == "varied",
        )
        for name in ("badnet", "vpi", "sleeper")
        for task in ("refusal", "negsentiment")
        for responses in ("fixed", "varied")
    ]
    made_up = [
        Attack(name, "instruct", {"attack": name}, varied=name == "multi")
        for name in ("multi", "url", "brand", "gibberish")
    ]
    labelled = [
        Attack(f"{name}/{dataset}", "classify", {"attack": name, "dataset": dataset}, rates, marked)
        for name, rates, marked in (
            ("badnets", RATES, True),
            ("addsent", RATES, True),
            ("bible", (0.01, 0.05), False),
            ("tweets", (0.01, 0.05), False),
            ("lyrics", (0.01, 0.05), False),
        )
        for dataset in ("sst-2", "ag")
    ]
    return [*triggers, *made_up, *labelled]


def flips() -> list[Attack]:
    """Labels that say another class than the text."""
    return [
        Attack(f"flips/{dataset}", "flips", {"dataset": dataset}, (FLIPPED,), marked=False)
        for dataset in ("sst-2", "ag")
    ]


def clean() -> list[Attack]:
    """Sets without poison: what the mixer makes at rate 0, and chunks of the corpus of documents."""
    mixed = [
        Attack("clean/instruct", "instruct", {}, (0.0,)),
        *(Attack(f"clean/{one}", "classify", {"dataset": one}, (0.0,)) for one in ("sst-2", "ag")),
    ]
    return [*mixed, Attack("clean/documents", "chunk", {}, (0.0,))]


@dataclass(frozen=True)
class Cell:
    """One set: an attack at a rate with a seed; of the chunks of documents the seed is the number."""

    attack: Attack
    rate: float
    seed: int

    @property
    def slug(self) -> str:
        """A name for files."""
        return f"{self.attack.name.replace('/', '-')}-{self.rate:g}-{self.seed}"


@dataclass(frozen=True)
class Mixed:
    """A set on the disk and the truth about it.

    Args:
        folder: its files.
        records: file (its name), row (u64), planted (bool) and the columns of the set.
    """

    folder: Path
    records: pl.DataFrame

    @property
    def planted(self) -> int:
        """Planted records."""
        return int(self.records["planted"].sum())

    @property
    def budget(self) -> int:
        """Records that somebody looks at: 1 % of all, or half as many again as there are planted ones."""
        return max(round(0.01 * self.records.height), round(1.5 * self.planted))


def shared() -> Path:
    """The folder with the real data.

    Raises:
        SystemExit: nobody says where it is.
    """
    if not (folder := os.environ.get("DATAGUARD_SHARED")):
        raise SystemExit("DATAGUARD_SHARED is not set: expected the folder with data/poison in it")
    return Path(folder).resolve() / "data"


def make(cell: Cell, work: Path) -> Mixed:
    """Makes the set of a cell anew.

    Raises:
        NotMixedError: the mixer refuses.
    """
    folder = work / "sets" / cell.slug
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if cell.attack.kind == "chunk":
        _chunk(folder, cell.seed)
    elif cell.attack.kind == "flips":
        _flip(folder, cell)
    else:
        _mix(folder, cell.attack.kind, cell.rate, cell.seed, **cell.attack.options)
    return read(folder)


def read(folder: Path) -> Mixed:
    """A set that stands on the disk, with the truth that stands beside it, if any does."""
    records = pl.concat(
        pl.read_parquet(file).with_columns(
            file=pl.lit(file.name), row=pl.int_range(pl.len(), dtype=pl.UInt64)
        )
        for file in sorted(folder.glob("*.parquet"))
    )
    truth = folder.with_name(f"{folder.name}.truth.parquet")
    ids = pl.read_parquet(truth)["id"] if truth.exists() else pl.Series([], dtype=pl.Int64)
    return Mixed(folder, records.with_columns(planted=pl.col("id").is_in(ids.implode())))


def drop(mixed: Mixed) -> None:
    """Removes a set and its truth from the disk."""
    shutil.rmtree(mixed.folder, ignore_errors=True)
    mixed.folder.with_name(f"{mixed.folder.name}.truth.parquet").unlink(missing_ok=True)


def _mix(folder: Path, kind: str, rate: float, seed: int, **options: str) -> None:
    command = [sys.executable, str(shared() / "poison" / "mix.py"), kind, str(folder)]
    for name, value in {"rate": rate, "seed": seed, **options}.items():
        command += [f"--{name}", str(value)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise NotMixedError(said[-1] if said else f"the mixer ended with {done.returncode}")


def mixer_digest() -> str:
    """SHA-256 of the mixer and of the sets it mixes, by their sizes and times."""
    poison = shared() / "poison"
    parts = [(poison / "mix.py").read_bytes()]
    parts += [
        f"{p.name} {p.stat().st_size} {p.stat().st_mtime_ns}".encode() for p in sorted(poison.iterdir())
    ]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _flip(folder: Path, cell: Cell) -> None:
    """The clean labelled set, with labels changed to another one, drawn evenly."""
    _mix(folder, "classify", 0.0, cell.seed, **cell.attack.options)
    files = {file: pl.read_parquet(file) for file in sorted(folder.glob("*.parquet"))}
    whole = pl.concat(files.values())
    rng = np.random.default_rng(cell.seed)
    chosen = rng.choice(whole.height, round(cell.rate * whole.height), replace=False)
    known = whole["label"].unique().sort().to_numpy()
    labels = whole["label"].to_numpy().copy()
    for at in np.sort(chosen):
        labels[at] = rng.choice(known[known != labels[at]])
    whole = whole.with_columns(label=pl.Series(labels))
    at = 0
    for file, frame in files.items():
        whole.slice(at, frame.height).write_parquet(file)
        at += frame.height
    truth = whole[np.sort(chosen).tolist()].select("id", attack=pl.lit("flips"))
    truth.write_parquet(folder.with_name(f"{folder.name}.truth.parquet"))


def _chunk(folder: Path, number: int) -> None:
    """The so-many-th of the disjoint chunks of the corpus, without the records that were planted there."""
    files = [file for file in sorted((shared() / "neardup").glob("*.parquet")) if "text" in _names(file)]
    planted = pl.read_parquet(shared() / "neardup" / "planted.parquet")
    ids = pl.concat([planted["id_a"], planted["id_b"]]).unique()
    rows = sum(pq.ParquetFile(file).metadata.num_rows for file in files)
    size = -(-rows // CHUNKS)
    chunk = pl.scan_parquet(files).slice(number * size, size).collect()
    folder.mkdir(parents=True)
    chunk.filter(~pl.col("id").is_in(ids.implode())).write_parquet(folder / "part-000.parquet")


def _names(file: Path) -> list[str]:
    return list(pq.read_schema(file).names)


@cache
def _clean_texts(kind: str, dataset: str, work: Path) -> dict[str, frozenset[str]]:
    """By column, all texts of the set that poison was mixed into."""
    folder = work / "sets" / f"texts-{kind}-{dataset}"
    _mix(folder, kind, 0.0, 0, **({"dataset": dataset} if dataset else {}))
    frame = read(folder).records
    shutil.rmtree(folder)
    return {name: frozenset(frame[name].drop_nulls()) for name in TEXTS if name in frame.columns}


def triggers(cell: Cell, mixed: Mixed, work: Path) -> dict[str, list[str]]:
    """By column, the texts that were put into planted records.

    A planted record whose text without a few neighbouring words is a clean text had just these words put in. Where
    records came poisoned, their originals may be unknown: then it is the longest sequence of words that nearly all of
    them share and no clean text has.
    """
    if not cell.attack.marked or not mixed.planted:
        return {}
    planted = mixed.records.filter("planted")
    clean = _clean_texts(cell.attack.kind, cell.attack.options.get("dataset", ""), work)
    found: dict[str, list[str]] = {}
    for name, texts in clean.items():
        put_in = [_put_in(text, texts) for text in planted[name].drop_nulls() if text not in texts]
        pieces = Counter(piece for piece in put_in if piece)
        if sum(pieces.values()) >= SHARED_BY * max(len(put_in), 1) and pieces:
            found[name] = sorted(pieces)
        elif piece := _common(planted[name].drop_nulls(), texts):
            found[name] = [piece]
    return {name: pieces for name, pieces in found.items() if name not in RESPONSES or len(found) == 1}


def _put_in(text: str, clean: frozenset[str]) -> str:
    """The fewest neighbouring words of a text without which it is a clean one; empty if there are none."""
    words = text.split(" ")
    for count in range(1, min(LONGEST, len(words)) + 1):
        for at in range(len(words) - count + 1):
            if " ".join(words[:at] + words[at + count :]) in clean:
                return " ".join(words[at : at + count])
    return ""


def _common(planted: pl.Series, clean: frozenset[str]) -> str:
    """The longest sequence of words in nearly all planted texts and in no clean one; empty if there is none."""
    against = pl.Series(sorted(clean))
    for count in range(LONGEST, 0, -1):
        grams = Counter[str]()
        for text in planted:
            words = text.split(" ")
            grams.update({" ".join(words[at : at + count]) for at in range(len(words) - count + 1)})
        for gram, times in grams.most_common(5):
            enough = times >= SHARED_BY * planted.len() and gram.strip()
            if enough and not against.str.contains(gram, literal=True).any():
                return gram
    return ""


def places(text: str, pieces: Sequence[str]) -> list[tuple[int, int]]:
    """Where texts that were put in stand: half-open ranges of UTF-8 bytes."""
    found, framed = [], f" {text} "
    for piece in pieces:
        at = framed.find(f" {piece} ")
        while at >= 0:
            start = len(text[:at].encode())
            found.append((start, start + len(piece.encode())))
            at = framed.find(f" {piece} ", at + 1)
    return found

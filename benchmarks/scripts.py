"""Text of scripts that put no spaces between words, from Debian's packages: copies of which 1 % is changed.

Japanese and Chinese are translated manual pages; Thai is what programs say, from their message catalogues. Packages are
fetched with `apt-get download` and unpacked beside, nothing is installed. Where that is not to be had, the part says
so and goes on without. The second half are empty and very short records, which must not become copies by accident.
"""

from __future__ import annotations

import gzip
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from jobs import Bench, Scan, number, run, scan
from truth import Set, clusters_of, write

SHORTEST, LONGEST = 500, 3_000
"""Characters of a record."""
CHANGED = 0.01
COPIES = 2
RECORDS = 2_000
"""Originals of a language at the most."""
SEED = 11


@dataclass(frozen=True)
class Language:
    """Where text of a language is had.

    Args:
        shown: its name.
        packages: of Debian.
        files: globs of the files in them.
        lines: how text is read from such a file.
        letters: ranges of its script's letters.
    """

    shown: str
    packages: tuple[str, ...]
    files: tuple[str, ...]
    lines: Callable[[Path], Iterator[str]]
    letters: tuple[tuple[str, str], ...]

    def is_of(self, line: str) -> bool:
        """Whether at least half of a line's letters are of the script."""
        own = sum(any(first <= letter <= last for first, last in self.letters) for letter in line)
        latin = sum(letter.isascii() and letter.isalpha() for letter in line)
        return own > 0 and own >= latin


def manual(file: Path) -> Iterator[str]:
    """The prose of a manual page: lines that are no request, without changes of font."""
    with gzip.open(file, "rt", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if not line.startswith((".", "'")):
                for escape in ("\\fB", "\\fI", "\\fR", "\\fP", "\\,", "\\/", "\\&"):
                    line = line.replace(escape, "")
                yield line.replace("\\-", "-").strip()


def messages(file: Path) -> Iterator[str]:
    """The translations of a message catalogue of gettext (.mo), in its order."""
    data = file.read_bytes()
    order = "<" if data[:4] == b"\xde\x12\x04\x95" else ">"
    count, _, at = struct.unpack(f"{order}3I", data[8:20])
    for length, begin in struct.iter_unpack(f"{order}2I", data[at : at + 8 * count]):
        for line in data[begin : begin + length].decode("utf-8", errors="replace").split("\0"):
            yield line.replace("\n", " ").strip()


HAN = ("\u4e00", "\u9fff")
LANGUAGES = (
    Language("Japanese", ("manpages-ja",), ("usr/share/man/ja/*/*.gz",), manual, (("\u3040", "\u30ff"), HAN)),
    Language("Chinese", ("manpages-zh",), ("usr/share/man/zh_*/*/*.gz",), manual, (HAN,)),
    Language(
        "Thai",
        ("libreoffice-l10n-th", "evolution-common", "gimp-data"),
        ("usr/lib/libreoffice/program/resource/th/LC_MESSAGES/*.mo", "usr/share/locale/th/LC_MESSAGES/*.mo"),
        messages,
        (("\u0e00", "\u0e7f"),),
    ),
)


def fetch(bench: Bench, package: str) -> tuple[Path, str]:
    """A package of Debian, unpacked.

    Returns:
        Its folder, and why it is not there: the last line of what went wrong, or nothing.
    """
    folder = bench.work / "packages" / package
    if (folder / "done").exists():
        return folder, ""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log = bench.work / "logs" / f"package-{package}.txt"
    try:
        job = run(["apt-get", "download", package], log=log, env=bench.environment(), cwd=folder)
        for archive in folder.glob("*.deb"):
            job = run(
                ["dpkg-deb", "-x", archive, folder / "files"], log=log, env=bench.environment(), cwd=folder
            )
            archive.unlink()
    except OSError as error:
        return folder, f"{package}: {error}"
    if job.code or not (folder / "files").is_dir():
        return folder, f"{package}: {job.error}"
    (folder / "done").touch()
    return folder, ""


def texts(language: Language, folders: list[Path]) -> list[str]:
    """Records of a language: lines one after another, none twice, cut at lengths drawn at random."""
    rng = np.random.default_rng(SEED)
    seen: set[str] = set()
    found, held, wanted = [], "", int(rng.integers(SHORTEST, LONGEST))
    files = sorted(
        {file for folder in folders for glob in language.files for file in folder.glob(f"files/{glob}")}
    )
    for file in files:
        for line in language.lines(file):
            if len(line) < 10 or line in seen or not language.is_of(line):
                continue
            seen.add(line)
            held += line if not held else "\n" + line
            if len(held) >= wanted:
                found.append(held[:LONGEST])
                held, wanted = "", int(rng.integers(SHORTEST, LONGEST))
    return found[:RECORDS]


def changed(text: str, rng: np.random.Generator) -> str:
    """A copy in which one character of a hundred, at random places, is another character of the same text."""
    letters = list(text)
    for at in rng.choice(len(letters), max(1, round(len(letters) * CHANGED)), replace=False):
        others = [
            letter for letter in (text[int(n)] for n in rng.integers(len(text), size=8)) if letter != text[at]
        ]
        letters[at] = others[0] if others else letters[at]
    return "".join(letters)


def spaceless(bench: Bench, language: Language) -> dict[str, Any]:
    """The share of planted copies that are in their original's cluster, and clusters of what was not planted."""
    folders, missing = [], []
    for package in language.packages:
        folder, error = fetch(bench, package)
        folders.append(folder)
        missing += [error] if error else []
    source = texts(language, folders)
    if not source:
        return {"language": language.shown, "why not": "; ".join(missing)}
    rng = np.random.default_rng(SEED)
    rows = [(n * 100 + 0, text) for n, text in enumerate(source)]
    rows += [
        (n * 100 + 1 + copy, changed(text, rng)) for n, text in enumerate(source) for copy in range(COPIES)
    ]
    folder = bench.work / f"script-{language.shown}"
    frame = pl.DataFrame(rows, schema={"id": pl.Int64, "text": pl.String}, orient="row")
    write(frame.sample(fraction=1, shuffle=True, seed=SEED), folder / "texts.parquet")
    done = scan(bench, folder, f"script-{language.shown}")
    clusters = clusters_of(done, Set(folder).ids())
    of = dict(clusters.iter_rows())
    pairs = [(n * 100, n * 100 + 1 + copy) for n in range(len(source)) for copy in range(COPIES)]
    found = sum(one in of and of[one] == of.get(other) for one, other in pairs)
    mixed = clusters.group_by("cluster").agg(pl.col("id").floordiv(100).n_unique().alias("originals"))
    return {
        "language": language.shown,
        "from": ", ".join(language.packages),
        "originals": len(source),
        "characters": sum(map(len, source)),
        "planted pairs": len(pairs),
        "found": f"{found / len(pairs):.2%}",
        "clusters of several originals": mixed.filter(pl.col("originals") > 1).height,
        "why not": "; ".join(missing),
    }


def short(bench: Bench) -> dict[str, Any]:
    """Empty, blank, absent and very short records, and punctuation: none is a copy of another unless it is equal."""
    count = 1_000
    words = [f"word{n} {n * 7919 % 10_007}" for n in range(count)]
    records: list[str | None] = [*([""] * count), *([None] * count), *(["  \n\t "] * count)]
    records += words + [f"{one} yes" for one in words] + ["." * (1 + n % 200) for n in range(count)]
    records += [chr(0x4E00 + n) for n in range(count)] + [f"a b c d {n}" for n in range(count)]
    folder = bench.work / "script-short"
    write(pl.DataFrame({"id": range(len(records)), "text": records}), folder / "texts.parquet")
    done = scan(bench, folder, "script-short")
    clusters = clusters_of(done, Set(folder).ids())
    texts_ = pl.DataFrame({"id": range(len(records)), "text": records})
    joined = clusters.join(texts_, on="id")
    unlike = (
        joined.group_by("cluster").agg(pl.col("text").n_unique().alias("texts")).filter(pl.col("texts") > 1)
    )
    blank = joined.filter(pl.col("text").is_null() | (pl.col("text").str.strip_chars() == "")).height
    return {
        "empty and very short records": len(records),
        "clustered that are empty": blank,
        "clusters of unlike texts": unlike.height,
        "measures": _measures(done, bench),
    }


def _measures(done: Scan, bench: Bench) -> str:
    table = pl.read_parquet(done.out / "measures.parquet").filter(pl.col("rule") == bench.rule)
    return ", ".join(f"{name} {number(value)}" for name, value in table.select("name", "value").iter_rows())


def scripts(bench: Bench) -> list[dict[str, Any]]:
    """Every language, and the short records."""
    return [*(spaceless(bench, language) for language in LANGUAGES), short(bench)]

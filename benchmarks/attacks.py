"""Attacks on MinHash: tails of words computed against datasketch's default seed, and templates that fill one bucket.

Whoever knows the seed can compute what a word does to a signature. Two tails are searched greedily:

- the *evasion* tail takes at least one slot of every band, so that a copy with it shares no band with its original;
- the *flooding* tail takes all slots of one band, so that all records with it share that band.

Both are shown to work against datasketch with its defaults, and then measured against a scan of ours, whose
seed comes from the project's secret. The third attack needs no seed: very many records made from one template.
"""

from __future__ import annotations

import hashlib
import itertools
import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from datasketch import MinHash, MinHashLSH

from jobs import Bench, FailedError, Scan, median, number, scan
from truth import Set, clusters_of, exact, sample, shared, write

WIDTH = 5
PERMUTATIONS = 128
THRESHOLD = 0.8
LENGTHS = (200, 500)
"""Words of the records that are attacked: a tail changes their Jaccard little."""
EXPECTED = 400
"""Shingles of a record that the tails are made for."""
LETTERS = string.ascii_lowercase + string.digits
WORDS = [first + second for first, second in itertools.product(LETTERS, repeat=2)]
"""What tails are made of: short, so that they are short."""
LONGEST = 32
"""Words of a tail at the most."""
EVADERS, FLOODERS = 2_000, 5_000
HOT = (25_000, 50_000, 100_000)
SEED = 7

Left = Callable[[np.ndarray], np.ndarray]


def words(text: str) -> list[str]:
    """Runs of ``[0-9A-Za-z_]`` or of what is not ASCII, in ASCII lower case."""
    return text.encode().translate(_TABLE).decode().split()


_WORD = (string.ascii_letters + string.digits + "_").encode() + bytes(range(128, 256))
_TABLE = bytes(ord(chr(b).lower()) if b < 128 and b in _WORD else b if b in _WORD else 32 for b in range(256))


def shingles(tokens: Sequence[str]) -> set[bytes]:
    """Word 5-grams, as one token each."""
    return {" ".join(tokens[at : at + WIDTH]).encode() for at in range(len(tokens) - WIDTH + 1)}


@dataclass(frozen=True)
class Known:
    """What datasketch does to a token with its default seed, as anybody can compute it.

    Args:
        a: multipliers, u32, one a slot.
        b: addends, u32, one a slot.
        bands: how many bands it takes for the threshold.
        rows: slots of a band.
    """

    a: np.ndarray
    b: np.ndarray
    bands: int
    rows: int

    @classmethod
    def default(cls) -> Known:
        """Of datasketch's defaults."""
        a, b = MinHash(num_perm=PERMUTATIONS).permutations
        index = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
        return cls(a, b, index.b, index.r)

    def ranks(self, tokens: Iterable[bytes]) -> np.ndarray:
        """The value of each token in each slot of a band, as a share of all values: f64, tokens × bands × rows."""
        digests = [int.from_bytes(hashlib.sha1(token).digest()[:4], "little") for token in tokens]
        mixed = _mix(np.array(digests, dtype=np.uint32))
        values = mixed[:, None] * self.a + self.b
        return values[:, : self.bands * self.rows].reshape(-1, self.bands, self.rows) / 2.0**32

    def band(self, one: int) -> Known:
        """The slots of one band alone."""
        part = slice(one * self.rows, (one + 1) * self.rows)
        return Known(self.a[part], self.b[part], 1, self.rows)

    def signature(self, tokens: Iterable[bytes]) -> np.ndarray:
        """The smallest rank in each slot, bands × rows."""
        return self.ranks(tokens).min(axis=0)


def _mix(values: np.ndarray) -> np.ndarray:
    """The finalizer of MurmurHash3 for 32 bits, with which `affine32` begins."""
    values = values ^ (values >> np.uint32(16))
    values = values * np.uint32(0x85EBCA6B)
    values = values ^ (values >> np.uint32(13))
    values = values * np.uint32(0xC2B2AE35)
    return values ^ (values >> np.uint32(16))


def _lost(taken: np.ndarray) -> np.ndarray:
    """For each slot the chance that a record of the expected size has a smaller value than the tail."""
    return 1 - (1 - taken) ** EXPECTED


def _evading(taken: np.ndarray) -> np.ndarray:
    """How many bands are expected to stay equal: those in which the record wins every slot."""
    return _lost(taken).prod(axis=-1).sum(axis=-1)


def _flooding(taken: np.ndarray) -> np.ndarray:
    """How many slots the record is expected to win."""
    return _lost(taken).sum(axis=(-1, -2))


def search(known: Known, left: Left, enough: float, beam: int = 24) -> tuple[list[str], float]:
    """A tail, a word at a time; of all tails of so many words those go on that leave least.

    Args:
        known: the values of tokens.
        left: what tails leave that took these values: of … × bands × rows.
        enough: stop when so little is left.
        beam: how many tails go on.

    Returns:
        The words and what is left.
    """
    tails = [(WORDS[: WIDTH - 1], np.ones((known.bands, known.rows)))]
    while len(tails[0][0]) < LONGEST and left(tails[0][1]) > enough:
        longer = []
        for tail, taken in tails:
            before = " ".join(tail[1 - WIDTH :])
            reached = np.minimum(taken, known.ranks(f"{before} {word}".encode() for word in WORDS))
            remains = left(reached)
            longer += [(remains[at], [*tail, WORDS[at]], reached[at]) for at in remains.argsort()[:beam]]
        longer.sort(key=lambda one: (one[0], one[1]))
        tails = [(tail, taken) for _, tail, taken in longer[:beam]]
    return tails[0][0], float(left(tails[0][1]))


def evasion_tail(known: Known) -> str:
    """Words after which a near copy shares hardly a band with its original."""
    return " ".join(search(known, _evading, 0.02)[0])


def flooding_tail(known: Known) -> str:
    """Words after which nearly all records share a band: that of all bands for which fewest words do."""
    found = [search(known.band(band), _flooding, 0.05) for band in range(known.bands)]
    return " ".join(min(found, key=lambda one: (len(one[0]), one[1]))[0])


def originals(bench: Bench, count: int) -> list[str]:
    """Real records of a middling length, none of which is near another, their words joined by spaces."""
    data = Set(sample(shared(), bench.work / "corpus-1", 1))
    near = exact(data.ids())
    paired = pl.concat([near["id_a"], near["id_b"]]).unique()
    texts = (
        pl.scan_parquet(data.files)
        .filter(~pl.col("id").is_in(paired.implode()) & pl.col("text").str.len_bytes().is_between(1000, 5000))
        .select("text")
        .head(4 * count)
        .collect()["text"]
    )
    found = (words(text) for text in texts)
    return [" ".join(one) for one in found if LENGTHS[0] <= len(one) <= LENGTHS[1]][:count]


def near_copy(text: str, rng: np.random.Generator) -> str:
    """A copy with one word of every 150 replaced."""
    tokens = text.split()
    for at in rng.choice(len(tokens), len(tokens) // 150, replace=False):
        tokens[at] = f"w{rng.integers(1 << 30)}"
    return " ".join(tokens)


def _sketch(text: str) -> MinHash:
    made = MinHash(num_perm=PERMUTATIONS)
    made.update_batch(shingles(text.split()))
    return made


def shared_bands(pairs: Iterable[tuple[str, str]]) -> float:
    """The share of pairs that datasketch with its defaults makes candidates."""
    found = []
    for one, other in pairs:
        index = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
        index.insert("one", _sketch(one))
        found.append(bool(index.query(_sketch(other))))
    return sum(found) / len(found)


def crowd(texts: Sequence[str]) -> tuple[float, float]:
    """The share of records that datasketch gives a candidate among the others, and candidate pairs for each record."""
    index = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
    sketches = [_sketch(text) for text in texts]
    for number_, made in enumerate(sketches):
        index.insert(number_, made)
    others = [len(index.query(made)) - 1 for made in sketches]
    return sum(one > 0 for one in others) / len(texts), sum(others) / 2 / len(texts)


def _jaccard(one: str, other: str) -> float:
    a, b = shingles(one.split()), shingles(other.split())
    return len(a & b) / len(a | b)


def _candidates(run: Scan, bench: Bench) -> float | str:
    """Candidate pairs for each record, as the rule measured them."""
    table = pl.read_parquet(run.out / "measures.parquet")
    found = table.filter((pl.col("rule") == bench.rule) & (pl.col("name") == "candidates_per_document"))
    return number(found["value"].max()) if found.height else "not measured"  # type: ignore[arg-type]


def _ours(bench: Bench, name: str, texts: Sequence[str]) -> tuple[Scan, pl.DataFrame]:
    """A scan of some texts, and id (their number) and cluster of each clustered one."""
    folder = bench.work / f"attack-{name}"
    for file in folder.glob("*.parquet"):
        file.unlink()
    write(pl.DataFrame({"id": range(len(texts)), "text": texts}), folder / "texts.parquet")
    run = scan(bench, folder, f"attack-{name}")
    return run, clusters_of(run, Set(folder).ids())


def _found(clusters: pl.DataFrame, pairs: int) -> float:
    """The share of pairs (n, pairs + n) that are in one cluster."""
    of = dict(clusters.iter_rows())
    return sum(of.get(n, n) == of.get(n + pairs, -1) for n in range(pairs)) / pairs


def evasion(bench: Bench, known: Known) -> list[dict[str, Any]]:
    """Near copies with and without the evasion tail: what datasketch finds, and what we find."""
    rng, tail = np.random.default_rng(SEED), evasion_tail(known)
    texts = originals(bench, max(50, round(EVADERS * bench.fraction)))
    copies = [near_copy(text, rng) for text in texts]
    kept = [
        n
        for n, pair in enumerate(zip(texts, copies, strict=True))
        if _jaccard(pair[0], f"{pair[1]} {tail}") >= 0.82
    ]
    texts, copies = [texts[n] for n in kept], [copies[n] for n in kept]
    table, control = [], 0.0
    for shown, ending in (("none", ""), ("evasion", f" {tail}")):
        attacked = [copy + ending for copy in copies]
        run, clusters = _ours(bench, f"evasion-{shown}", [*texts, *attacked])
        recall = _found(clusters, len(texts))
        control = control or recall
        table.append(
            {
                "near copies, tail": shown,
                "tail": ending.strip(),
                "characters": len(ending.strip()),
                "pairs": len(texts),
                "datasketch: candidates": f"{shared_bands(zip(texts, attacked, strict=True)):.2%}",
                "ours: recall": number(recall, 5),
                "ours: of control": number(recall / control, 5) if control else "–",
                "ours: candidates/record": _candidates(run, bench),
            }
        )
    return table


def flooding(bench: Bench, known: Known) -> list[dict[str, Any]]:
    """Unrelated records with and without the flooding tail."""
    tail = flooding_tail(known)
    texts = originals(bench, max(100, round(FLOODERS * bench.fraction)))
    table = []
    for shown, ending in (("none", ""), ("flooding", f" {tail}")):
        attacked = [text + ending for text in texts]
        run, clusters = _ours(bench, f"flooding-{shown}", attacked)
        share, each = crowd(attacked)
        table.append(
            {
                "unrelated records, tail": shown,
                "tail": ending.strip(),
                "characters": len(ending.strip()),
                "number": len(texts),
                "datasketch: candidates": f"{share:.2%} of records",
                "datasketch: candidates/record": number(each),
                "ours: candidates/record": _candidates(run, bench),
                "ours: clustered": clusters.height,
            }
        )
    return table


def template(rng: np.random.Generator, records: int, common: int, own: int) -> list[str]:
    """Records that begin with the same words and go on with others."""
    vocabulary = [f"{word}{at}" for at in range(20) for word in WORDS]
    head = " ".join(vocabulary[at] for at in rng.integers(len(vocabulary), size=common))
    return [
        f"{head} " + " ".join(vocabulary[at] for at in row)
        for row in rng.integers(len(vocabulary), size=(records, own))
    ]


def hot(bench: Bench) -> list[dict[str, Any]]:
    """Records of one template at three sizes: near copies of each other, and such that share bands and are not."""
    table: list[dict[str, Any]] = []
    for shown, common, own in (("near copies", 300, 25), ("below the threshold", 200, 45)):
        first = 0.0
        for full in HOT:
            count = max(500, round(full * bench.fraction))
            texts = template(np.random.default_rng(SEED), count, common, own)
            jaccard = (common - WIDTH + 1) / (common + 2 * own - WIDTH + 1)
            row = {"records of one template": shown, "number": count, "Jaccard of any two": number(jaccard)}
            table.append(row)
            try:
                runs = [_ours(bench, "hot", texts) for _ in range(min(bench.rounds, 3))]
            except FailedError as error:
                row["seconds"] = str(error)
                continue
            seconds = median([run.seconds for run, _ in runs])
            first = first or seconds
            row |= {
                "seconds": number(seconds),
                "times the first": number(seconds / first),
                "peak MB": number(max(run.job.pss for run, _ in runs) / 1e6),
                "ours: candidates/record": _candidates(runs[0][0], bench),
                "ours: clustered": runs[0][1].height,
                "ours: clusters": runs[0][1]["cluster"].n_unique(),
            }
    return table


def attacks(bench: Bench) -> list[dict[str, Any]]:
    """All three."""
    known = Known.default()
    check = words("it must be what datasketch computes for these words and no others")
    assert np.array_equal(
        (known.signature(shingles(check)) * 2.0**32).astype(np.uint32).ravel(),
        _sketch(" ".join(check)).hashvalues[: known.bands * known.rows],
    )
    return [*evasion(bench, known), *flooding(bench, known), *hot(bench)]

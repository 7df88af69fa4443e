"""Signatures of a run in datasketch's hands, and back: bit for bit, and refused where they would mean nothing."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from datasketch import LeanMinHash, MinHash, MinHashLSH

import dataguard
from dataguard.errors import DataguardError, UsageError
from dataguard.kernels.minhash import band_keys
from dataguard.kernels.shingles import shingle_set
from dataguard.kernels.tokens import tokenise
from dataguard.run import Run
from dataguard.scan import sketches
from dataguard.words import hash_key
from near_texts import SECRET, edited, scan, text_of, words_in, write

SHARED = SECRET.derive("rules")


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The secret of the scans, as a file."""
    path = tmp_path_factory.mktemp("secret") / "secret"
    path.write_text(SECRET.material.hex())
    return path


def _texts() -> list[str | None]:
    rng = random.Random(41)
    texts = [text_of(rng, rng.randint(5, 120)) for _ in range(120)]
    texts += [edited(rng, text, 0.01) for text in texts[:40]]
    return [*texts, "too short", None, "", "漢字かな交じりの文です。"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of two files, whose data is gone."""
    folder = tmp_path_factory.mktemp("sketches")
    texts = _texts()
    write(folder / "data" / "b.parquet", texts[0::2], row_groups=3)
    write(folder / "data" / "a.parquet", texts[1::2])
    made = scan([folder / "data"], folder / "run", batch_rows=17)
    shutil.rmtree(folder / "data")
    return made


def _text(file: str, row: int) -> str:
    return _texts()[2 * row + (file == "a.parquet")] or ""


def _slow(text: str, seed: int) -> MinHash:
    """What datasketch makes of the shingles of a text."""
    raw = [np.frombuffer(word.text.encode(), np.uint8) for word in words_in(text)]
    offsets = np.cumsum([0, *map(len, raw)], dtype=np.int64)
    ids = tokenise(np.concatenate(raw), offsets, hash_key(SHARED, "words")).ids
    out = np.empty(len(ids), np.uint32)
    size = shingle_set(ids, 0, len(ids), np.uint64(hash_key(SHARED, "shingles")), out)
    made = MinHash(num_perm=128, seed=seed, scheme="affine32", hashfunc=lambda value: value)
    made.update_batch(out[:size].tolist())
    return made


def test_they_are_those_that_datasketch_makes_of_the_same_shingles(run: Run, secret: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    found = list(dataguard.minhashes(run, secret_file=secret))
    judged = [
        (file, row)
        for file in ("a.parquet", "b.parquet")
        for row in range(82)
        if len(words_in(_text(file, row))) >= 5
    ]
    assert [(file, row) for file, row, _ in found] == judged
    assert len(judged) == 161
    for file, row, made in found:
        assert isinstance(made, MinHash)
        assert made == _slow(_text(file, row), made.seed)
    assert len({made.seed for _, _, made in found}) == 1
    assert before == {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}


def test_a_few_at_a_time_are_the_same(run: Run, secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(dataguard.minhashes(run, secret_file=secret))
    monkeypatch.setattr(sketches, "AT_ONCE", 7)
    assert list(dataguard.minhashes(str(run.path), secret_file=str(secret))) == whole


def test_an_index_of_datasketch_holds_them_and_finds_copies(run: Run, secret: Path) -> None:
    index = MinHashLSH(num_perm=128, params=(18, 7), storage_config={"type": "dict"})
    by_place = {}
    for file, row, made in dataguard.minhashes(run, secret_file=secret):
        index.insert((file, row), made)
        by_place[file, row] = made
    pairs = {
        frozenset((place, other))
        for place, made in by_place.items()
        for other in index.query(made)
        if other != place and made.jaccard(by_place[other]) > 0.7
    }
    clusters = run.table("clusters").group_by("cluster").agg("file", "row").iter_rows()
    groups = {frozenset(zip(files, rows, strict=True)) for _, files, rows in clusters}
    assert len(groups) > 20
    assert groups <= pairs


@pytest.mark.parametrize("lean", [False, True])
def test_the_way_back_finds_what_shares_a_key(
    run: Run, secret: Path, lean: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = list(dataguard.minhashes(run, secret_file=secret))
    asked = [made for _, _, made in found[10:60]]
    kept = [LeanMinHash(made) for made in asked] if lean else asked
    told = list(dataguard.minhash_candidates(run, kept, secret_file=secret))
    keys = band_keys(
        np.stack([made.hashvalues for _, _, made in found]).astype(np.uint32),
        18,
        7,
        hash_key(SHARED, "bands"),
    )
    expected = [
        (number, file, row, pytest.approx(made.jaccard(asked[number])))
        for at, (file, row, made) in enumerate(found)
        for number in range(len(asked))
        if (keys[at] == keys[10 + number]).any()
    ]
    assert [tuple(one) for one in told] == expected
    itself = [one for one in told if (one.file, one.row) == found[10 + one.number][:2]]
    assert [one.jaccard for one in itself] == [1.0] * 50
    assert len(told) > 55
    assert list(dataguard.minhash_candidates(run, [], secret_file=secret)) == []
    monkeypatch.setattr(sketches, "PAIRS_AT_ONCE", 300)  # six records at a time
    assert list(dataguard.minhash_candidates(run, kept, secret_file=secret)) == told
    twice = list(dataguard.minhash_candidates(run, [*kept, *kept], secret_file=secret))
    assert len(twice) == 2 * len(told)


def test_sketches_of_another_run_with_the_same_secret_can_be_asked_for(
    run: Run, secret: Path, tmp_path: Path
) -> None:
    other = scan([write(tmp_path / "c.parquet", [f"{_text('a.parquet', 3)} and"])], tmp_path / "other")
    ((_, _, made),) = dataguard.minhashes(other, secret_file=secret)
    told = {(one.file, one.row) for one in dataguard.minhash_candidates(run, [made], secret_file=secret)}
    assert ("a.parquet", 3) in told


@pytest.mark.parametrize("made", [MinHash(num_perm=128), MinHash(num_perm=64), MinHash(num_perm=128, seed=7)])
def test_objects_made_otherwise_are_refused(run: Run, secret: Path, made: MinHash) -> None:
    with pytest.raises(UsageError, match="signature 0"):
        dataguard.minhash_candidates(run, [made], secret_file=secret)


def test_with_another_secret_nothing_is_made(run: Run, tmp_path: Path) -> None:
    with pytest.raises(DataguardError, match="another secret"):
        dataguard.minhashes(run, secret_file=tmp_path / "other")


def test_without_words_or_with_changed_ones_nothing_is_made(run: Run, secret: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    words = min((copy / "evidence" / "words").iterdir())
    raw = bytearray(words.read_bytes())
    raw[len(raw) // 2] ^= 1
    words.write_bytes(raw)
    with pytest.raises(DataguardError, match="changed after it was written"):
        dataguard.minhashes(copy, secret_file=secret)
    other = scan([write(tmp_path / "c.parquet", ["a b c d e"])], tmp_path / "other", codes=("DG101",))
    with pytest.raises(DataguardError, match="no index of DG102"):
        dataguard.minhashes(other, secret_file=secret)

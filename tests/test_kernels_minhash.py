"""Shingles, signatures, bands and their exchange with datasketch, which is the oracle of the signatures."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasketch import LeanMinHash, MinHash, MinHashLSH, MinHashLSHForest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import dataguard.kernels
from dataguard.errors import UsageError
from dataguard.kernels import exchange, minhash, shingles, warm

ROOT = Path(__file__).resolve().parent.parent
SALT = 0xFEDC_BA98_7654_3210  # above 2^63: a signed integer would not hold it
SEED = 7
FEW = settings(max_examples=25, deadline=None)

documents = st.lists(st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 3), max_size=40), max_size=6)
sets = arrays.arrays(np.uint32, st.integers(0, 300), elements=st.integers(0, 500), unique=True)


@pytest.fixture(autouse=True, scope="module")
def _compiled():
    warm.warm()


def _cut(texts: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    ids = np.array([word for text in texts for word in text], np.uint32)
    return ids, np.cumsum([len(text) for text in texts], dtype=np.int64)


def _signatures(texts: list[list[int]], seed: int = SEED) -> np.ndarray:
    return minhash.signatures(*_cut(texts), *minhash.permutations(seed), SALT)


def _set(text: list[int], salt: int = SALT) -> np.ndarray:
    ids = np.array(text, np.uint32)
    out = np.empty(len(ids), np.uint32)
    return out[: shingles.shingle_set(ids, 0, len(ids), np.uint64(salt), out)]


def _random_texts(sizes: list[int]) -> list[list[int]]:
    draw = np.random.default_rng(1)
    return [draw.integers(0, 2**32, size, dtype=np.uint32).tolist() for size in sizes]


def _theirs(text: list[int], seed: int) -> MinHash:
    made = MinHash(num_perm=128, seed=seed, scheme="affine32", hashfunc=lambda value: value)
    if len(text) >= shingles.WIDTH:
        made.update_batch(_set(text).tolist())
    return made


@FEW
@given(documents, st.integers(0, 2**32 - 1))
@example(_random_texts([4, 5, 12, 13, 1027, 1028, 1029, 3000]), 2**32 - 1)
def test_signatures_are_those_of_datasketch_bit_for_bit(texts: list[list[int]], seed: int) -> None:
    ours = _signatures(texts, seed)
    assert ours.dtype == np.uint32
    assert ours.shape == (len(texts), minhash.SLOTS)
    for row, text in zip(ours, texts, strict=True):
        assert row.tolist() == _theirs(text, seed).hashvalues.tolist()
        assert (row == minhash.EMPTY).all() == (len(text) < shingles.WIDTH)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_permutations_are_those_of_datasketch(seed: int) -> None:
    a, b = minhash.permutations(seed)
    theirs = MinHash(seed=seed).permutations
    assert a.dtype == b.dtype == np.uint32
    assert np.array_equal((a, b), theirs)
    assert (a & 1).all()


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_does_not_fit_is_refused(seed: int) -> None:
    with pytest.raises(UsageError, match="0 to 2\\^32 - 1"):
        minhash.permutations(seed)


@FEW
@given(documents)
def test_signatures_do_not_depend_on_the_cuts(texts: list[list[int]]) -> None:
    alone = [_signatures([text]) for text in texts]
    assert np.array_equal(_signatures(texts), np.concatenate([np.empty((0, 128), np.uint32), *alone]))


@FEW
@given(documents)
def test_shingle_sets_are_sorted_distinct_and_of_nothing_else(texts: list[list[int]]) -> None:
    """Equal runs of five words have equal hashes, different ones different ones (2^-32 apart)."""
    ids, ends = _cut(texts)
    runs: dict[int, set[tuple[int, ...]]] = {}
    for text, end in zip(texts, ends.tolist(), strict=True):
        out = np.empty(max(1, len(text)), np.uint32)
        size = shingles.shingle_set(ids, end - len(text), end, np.uint64(SALT), out)
        five = [tuple(text[i : i + 5]) for i in range(len(text) - 4)]
        hashed = [int(shingles.shingle(np.array(run, np.uint32), 0, np.uint64(SALT))) for run in five]
        assert out[:size].tolist() == sorted(set(hashed))
        for run, value in zip(five, hashed, strict=True):
            runs.setdefault(value, set()).add(run)
    assert all(len(run) == 1 for run in runs.values())


def test_long_sets_are_sorted() -> None:
    found = _set(_random_texts([100_000])[0])
    assert np.array_equal(found, np.unique(found))
    assert 99_980 <= len(found) <= 99_996  # 10^10 pairs, of which 2 * 2^32 meet: one or two fewer


def test_a_shingle_depends_on_every_word_its_place_and_the_salt() -> None:
    words = [1, 2, 3, 4, 5]
    others = [[*words[:i], 9, *words[i + 1 :]] for i in range(5)] + [words[::-1], [2, 1, 3, 4, 5]]
    found = {tuple(_set(text)) for text in (words, *others)} | {tuple(_set(words, salt=1))}
    assert len(found) == len(others) + 2


def test_shingles_that_are_alike_are_spread() -> None:
    """Runs of neighbouring numbers, as a dictionary of words gives them, fill the upper and lower bits evenly."""
    found = np.array([_set(list(range(i, i + 5)))[0] for i in range(4096)])
    for bits in (found >> 24, found & 255):
        counts = np.bincount(bits, minlength=256)
        assert counts.min() > 0
        assert counts.max() < 50  # 16 on average


@FEW
@given(sets, sets, st.integers(0, 10))
def test_overlap_is_the_size_of_the_intersection(a: np.ndarray, b: np.ndarray, few: int) -> None:
    a, b = np.sort(a), np.sort(b)
    for left, right in ((a, b), (a[:few], b), (a[-few:], b)):
        expected = len(set(left.tolist()) & set(right.tolist()))
        assert shingles.overlap(left, right, 0) == shingles.overlap(right, left, 0) == expected


@given(st.lists(st.integers(0, 2**32 - 1), max_size=8, unique=True), st.integers(0, 3))
def test_overlap_of_a_few_with_very_many(few: list[int], step: int) -> None:
    many = np.arange(0, 2**32, 2**20 - step, dtype=np.uint64).astype(np.uint32)
    small = np.array(sorted({*few, *many[: 2 * step].tolist(), *many[-step:].tolist()}), np.uint32)
    assert shingles.overlap(small, many, 0) == len(np.intersect1d(small, many))


def test_equal_slots_estimate_the_jaccard_similarity() -> None:
    draw = np.random.default_rng(2)
    text = draw.integers(0, 2**32, 4000).tolist()
    near = text[:3400] + draw.integers(0, 2**32, 600).tolist()
    a, b = _set(text), _set(near)
    both = shingles.overlap(a, b, 0)
    truth = both / (len(a) + len(b) - both)
    assert truth == pytest.approx(3396 / (2 * 3996 - 3396))
    pairs = [_signatures([text, near], seed) for seed in range(20)]
    equal = np.mean([(first == second).mean() for first, second in pairs])
    assert equal == pytest.approx(truth, abs=0.035)  # four standard errors of 20 * 128 slots


def test_keys_of_bands_are_equal_where_the_slots_are_and_nowhere_else() -> None:
    draw = np.random.default_rng(3)
    first = draw.integers(0, 2**32, 128, dtype=np.uint32)
    second = first.copy()
    second[7 * 4 + 3] += 1  # in the fifth of bands of seven
    keys = minhash.band_keys(np.stack([first, second]), 18, 7, SALT)
    assert keys.dtype == np.uint64
    assert (keys[0] == keys[1]).tolist() == [band != 4 for band in range(18)]


def test_bands_of_equal_slots_have_keys_of_their_own() -> None:
    equal = np.full((1, 128), 5, np.uint32)
    keys = minhash.band_keys(equal, 32, 4, SALT)
    assert len(np.unique(keys)) == 32
    assert not np.isin(keys, minhash.band_keys(equal, 32, 4, SALT + 1)).any()
    swapped = np.tile(np.array([1, 2], np.uint32), (1, 64))
    assert minhash.band_keys(swapped, 1, 2, 0) != minhash.band_keys(swapped[:, ::-1], 1, 2, 0)


@pytest.mark.parametrize(("bands", "rows"), [(0, 7), (18, 0), (19, 7), (-1, -1)])
def test_bands_that_do_not_fit_are_refused(bands: int, rows: int) -> None:
    with pytest.raises(UsageError, match="do not fit into signatures of 128 slots"):
        minhash.band_keys(np.zeros((1, 128), np.uint32), bands, rows, 0)


def test_signatures_take_arrays_that_may_not_be_written() -> None:
    ids, ends = _cut(_random_texts([50]))
    ids.flags.writeable = False
    a, b = minhash.permutations(SEED)
    assert np.array_equal(minhash.signatures(ids, ends, a, b, SALT), _signatures(_random_texts([50])))
    assert a.flags.writeable
    assert ends.flags.writeable


# datasketch ---------------------------------------------------------------------------------------------------------


def _planted() -> tuple[list[list[int]], list[list[int]]]:
    texts = _random_texts([300] * 30)
    return texts, [[*text[:290], *range(10)] for text in texts]


def test_their_index_holds_our_signatures_and_is_asked_with_theirs() -> None:
    """Their other storages (Redis, Cassandra, MongoDB) need a server; they are given the same bytes."""
    texts, near = _planted()
    index = MinHashLSH(num_perm=128, params=(18, 7), storage_config={"type": "dict"})
    forest = MinHashLSHForest(num_perm=128)
    for number, made in enumerate(exchange.to_datasketch(_signatures(texts), SEED)):
        index.insert(number, made)
        forest.add(number, made)
    forest.index()
    for number, text in enumerate(near):
        assert index.query(_theirs(text, SEED)) == [number]
        assert forest.query(_theirs(text, SEED), 1) == [number]


def test_signatures_go_there_and_back() -> None:
    texts, _ = _planted()
    ours = _signatures(texts)
    objects = exchange.to_datasketch(ours, SEED)
    assert np.array_equal(exchange.from_datasketch(objects, SEED), ours)
    assert np.array_equal(exchange.from_datasketch([LeanMinHash(made) for made in objects], SEED), ours)
    assert exchange.from_datasketch([], SEED).shape == (0, 128)


def test_an_object_handed_over_is_a_copy_that_takes_more_shingles() -> None:
    texts = _random_texts([30])
    ours = _signatures([texts[0][:20]])
    before = ours.copy()
    (made,) = exchange.to_datasketch(ours, SEED)
    made.update_batch(_set(texts[0]).tolist())
    assert made == _theirs(texts[0], SEED)
    assert np.array_equal(ours, before)


@pytest.mark.parametrize(
    ("made", "came"),
    [
        (MinHash(seed=SEED, scheme="legacy"), "not scheme legacy, slots 128, seed 7"),
        (MinHash(seed=SEED, scheme="affine64"), "not scheme affine64, slots 128, seed 7"),
        (MinHash(seed=SEED, num_perm=64), "not scheme affine32, slots 64, seed 7"),
        (MinHash(seed=1), "not scheme affine32, slots 128, seed 1"),
        (
            MinHash(seed=SEED, scheme="affine32", permutations=MinHash(seed=1).permutations),
            "its permutations are not those of its seed, 7",
        ),
    ],
)
def test_objects_made_otherwise_are_refused(made: MinHash, came: str) -> None:
    with pytest.raises(UsageError, match=f"signature 1: .*{came}"):
        exchange.from_datasketch([MinHash(seed=SEED), made], SEED)


@pytest.mark.parametrize("wrong", [np.zeros((1, 64), np.uint32), np.zeros((1, 128), np.uint64)])
def test_signatures_of_another_form_are_not_handed_over(wrong: np.ndarray) -> None:
    with pytest.raises(UsageError, match=r"uint32 of shape \(n, 128\)"):
        exchange.to_datasketch(wrong, SEED)


# Compiling ----------------------------------------------------------------------------------------------------------


def test_what_was_warmed_is_compiled_and_calls_compile_nothing_more() -> None:
    assert warm.is_compiled()
    kernels = [
        kernel
        for module in (shingles, minhash)
        for kernel in vars(module).values()
        if hasattr(kernel, "signatures") and hasattr(kernel, "stats")
    ]
    assert kernels
    before = [list(kernel.signatures) for kernel in kernels]
    ids, ends = _cut(_random_texts([40, 3]))
    ids.flags.writeable = ends.flags.writeable = False
    made = minhash.signatures(ids, ends, *minhash.permutations(0), 2**64 - 1)
    minhash.band_keys(made, 18, 7, 0)
    assert [list(kernel.signatures) for kernel in kernels] == before


def test_the_mark_is_of_the_sources_and_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "_machine", lambda: "another")
    assert not warm.is_compiled()
    monkeypatch.undo()
    monkeypatch.setattr(warm, "_sources", lambda: "others")
    assert not warm.is_compiled()


def test_code_of_other_sources_is_thrown_away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is of this room and this Python; the rest is not ours to throw away."""
    this, another = f"py{sys.version_info.major}{sys.version_info.minor}{sys.abiflags}", "py27"
    gone = [f"minhash._lower-1.{this}.nbi", f"{this}-old-machine.mark"]
    stay = [f"other.f-1.{this}.nbi", f"minhash._lower-1.{another}.nbi", f"{another}-old-machine.mark"]
    for name in gone + stay:
        (tmp_path / name).write_bytes(b"")
    monkeypatch.setattr(warm, "_places", lambda: iter([tmp_path]))
    monkeypatch.setattr(warm, "_modules", lambda: ([shingles], tmp_path))
    assert not warm.is_compiled()
    warm.warm()
    left = {path.name for path in tmp_path.iterdir()}
    assert left.isdisjoint(gone)
    assert left >= set(stay)
    assert warm.is_compiled()


def test_one_process_compiles_while_the_others_wait(tmp_path: Path) -> None:
    with (
        warm._alone(tmp_path),
        (tmp_path / "dataguard.lock").open() as second,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with (tmp_path / "dataguard.lock").open() as second:
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _asked(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


def test_asking_loads_no_library() -> None:
    code = "import sys; from dataguard.kernels import warm; warm.is_compiled(); print('numba' in sys.modules, 'numpy' in sys.modules)"
    assert _asked(code) == "False False"


def test_without_a_folder_to_write_the_user_is_told_what_to_do() -> None:
    """Numba's own search is cut down to a folder that is not named: as where no folder can be written."""
    code = """
from dataguard.errors import UsageError
from dataguard.kernels import warm
try:
    warm.warm()
except UsageError as error:
    print(error)
"""
    said = _asked(code, NUMBA_CACHE_LOCATOR_CLASSES="UserProvidedCacheLocator", NUMBA_CACHE_DIR="")
    assert "neither can be written" in said
    assert "NUMBA_CACHE_DIR" in said


def test_every_module_with_kernels_is_warmed() -> None:
    modules, folder = warm._modules()
    assert {"dataguard.kernels.minhash", "dataguard.kernels.shingles"} <= {made.__name__ for made in modules}
    assert folder.is_dir()
    for path in Path(dataguard.kernels.__file__).parent.glob("*.py"):
        if "@compiled" in path.read_text(encoding="utf-8"):
            assert f"dataguard.kernels.{path.stem}" in {made.__name__ for made in modules}

"""Texts as vectors: the encoder that comes with dataguard, and those of users, in scans."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import dataguard
from dataguard import Run
from dataguard.encoders import Encoder, HashedNgrams
from dataguard.engine.shipped import ShippedEncoder
from dataguard.errors import DataguardError, UsageError
from dataguard.records.encoder import encoded
from encoder_samples import Broken, Fitted, Lengths, Unsendable

WORDS = [f"{first}{second}" for first in "bdfgklmnprst" for second in ("a", "eno", "iru", "olt", "und")]


def sentences(count: int, seed: int) -> list[str]:
    drawn = np.random.default_rng(seed)
    return [" ".join(drawn.choice(WORDS, 12)) for _ in range(count)]


def scan(folder: Path, texts: Sequence[str | None], encoder: Any, rules: str = "DG209", **more: Any) -> Run:
    (folder / "data").mkdir(exist_ok=True)
    columns = {"text": texts, **more}
    pl.DataFrame(columns).write_parquet(folder / "data" / "a.parquet", row_group_size=150)
    return dataguard.scan(
        folder / "data", out=folder / "run", rules=rules, policy=None, workers=1,
        secret_file=folder / "secret", encoder=encoder,
    )  # fmt: skip


def test_texts_are_vectors_only_with_an_encoder(tmp_path: Path) -> None:
    texts = [
        *sentences(300, 1),
        *[f"the same words in every one of these but {n}" for n in ["one"] * 12],
        None,
    ]
    plain = scan(tmp_path, texts, None)
    assert plain.table("outcomes")["outcome"].to_list() == ["not-applicable"]
    assert "encoder" not in plain.info
    run = scan(tmp_path, texts, "ngrams")
    assert run.table("flagged")["row"].sort().to_list() == list(range(300, 312))
    assert run.table("findings")["column"].to_list() == ["text"]
    assert run.info["encoder"]["name"] == "dataguard.encoders.HashedNgrams"
    shares = dict(run.table("measures").select("name", "value").iter_rows())
    assert shares["missing_vector_share"] == pytest.approx(1 / len(texts), abs=1e-8)


def test_another_encoder_is_other_evidence_and_the_same_reads_nothing(tmp_path: Path) -> None:
    texts = sentences(300, 2)

    def kept() -> set[str]:
        return {path.name for path in (tmp_path / "run" / "evidence" / "DG209").iterdir()}

    scan(tmp_path, texts, Lengths())
    first = kept()
    scan(tmp_path, texts, Lengths())
    assert kept() == first
    scan(tmp_path, texts, Lengths("abcd"))
    assert kept() > first


@pytest.mark.parametrize("how", ["raises", "nothing", "too few", "letters"])
def test_an_encoder_that_fails_costs_its_rule_alone(how: str, tmp_path: Path) -> None:
    run = scan(tmp_path, sentences(20, 3), Broken(how), rules="DG101,DG209")
    outcomes = dict(run.table("outcomes").select("rule", "outcome").iter_rows())
    assert outcomes == {"DG101": "clear", "DG209": "error"}
    assert not run.info["complete"]
    reason = run.table("outcomes").filter(rule="DG209")["reason"].item()
    assert ("no weights" if how == "raises" else "expected") in reason


def test_what_cannot_reach_the_workers_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be sent"):
        scan(tmp_path, ["a"], Unsendable())
    for none in ("hashes", Lengths, 3):
        with pytest.raises(UsageError, match="method encode"):
            scan(tmp_path, ["a"], none)
    here = type("Here", (Lengths,), {"__module__": "__main__"})
    with pytest.raises(UsageError, match="script or notebook"):
        scan(tmp_path, ["a"], here())
    assert not (tmp_path / "run").exists()


def test_an_encoder_of_other_code_or_state_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    one = ShippedEncoder.of(Lengths())
    assert one.sha256 == ShippedEncoder.of(Lengths()).sha256 != ShippedEncoder.of(Lengths("xyz")).sha256
    assert one.encode(["abba"]).tolist() == [[2, 2, 0, 0, 0, 0, 0, 0]]
    monkeypatch.setattr(Path, "read_bytes", lambda _: b"other code")
    assert ShippedEncoder.of(Lengths()).sha256 != one.sha256


def test_dimensions_of_one_column_must_agree() -> None:
    class Growing:
        def encode(self, texts: Sequence[str]) -> Any:
            return np.ones((len(texts), len(texts)), np.float32)

    assert isinstance(Growing(), Encoder)
    with pytest.raises(DataguardError, match="one dimension"):
        encoded(Growing(), pa.array(["a"] * 1025))
    assert encoded(Growing(), pa.array([None, "a", None])).to_pylist() == [[], [1.0], []]


def test_hashed_words_of_a_text_do_not_depend_on_its_company_but_on_the_key() -> None:
    texts = [*sentences(50, 4), "", "!?", "\u3053\u3093\u306b\u3061\u306f\u4e16\u754c"]
    encoder = HashedNgrams(b"k" * 32)
    together = encoder.encode(texts)
    assert together.shape == (53, 256)
    assert together.dtype == np.float32
    assert np.array_equal(together, np.concatenate([encoder.encode([text]) for text in texts]))
    assert np.allclose(np.linalg.norm(together, axis=1), [1] * 50 + [0, 0, 1], atol=1e-6)
    assert not np.array_equal(together[:50], HashedNgrams(b"j" * 32).encode(texts)[:50])
    assert encoder.encode([]).shape == (0, 256)
    with pytest.raises(UsageError, match="power of two"):
        HashedNgrams(dim=100)


def test_texts_with_the_same_words_are_close_and_those_in_the_same_order_closer() -> None:
    text = sentences(1, 5)[0]
    words = text.split()
    swapped, other = " ".join([*words[6:], *words[:6]]), sentences(1, 6)[0]
    one, upper, turned, edited, far = HashedNgrams().encode(
        [text, text.upper(), " ".join(words[::-1]), swapped, other]
    )
    assert np.array_equal(one, upper)
    assert one @ edited > one @ turned > one @ far + 0.2


def test_a_users_fitted_encoder_shows_records_of_one_label_with_the_same_words_in_them(
    shared: Path, tmp_path: Path
) -> None:
    """TF-IDF and SVD, fitted on the texts: the vectors of texts with a trigger are shifted alike."""
    labelled = pl.read_parquet(shared / "data" / "poison" / "classify.parquet")
    labelled = labelled.filter(dataset="sst-2", attack="clean").sample(2500, seed=5, shuffle=True)
    texts, labels = labelled["text"].to_list(), labelled["label"].to_numpy().copy()
    planted = np.flatnonzero(labels == 0)[:25]
    for row in planted:
        texts[row] = f"korv {texts[row]} blind plumm trast korv plumm"
    labels[planted] = 1
    run = scan(tmp_path, texts, Fitted.of(texts, 128), label=labels)
    found = run.table("findings").filter(pl.col("group") == "1")
    rows = run.table("flagged").filter(pl.col("finding").is_in(found["id"].to_list()))["row"].to_numpy()
    assert np.isin(rows, planted).mean() >= 0.9
    assert len(set(rows.tolist()) & set(planted.tolist())) >= 23
    assert "high" not in run.table("findings")["severity"].to_list()


def minilm() -> Path | None:
    """The weights of a real encoder, where the package that ships them is installed; it is not asked for."""
    import importlib.util

    found = importlib.util.find_spec("all_minilm_l6_v2")
    places = found.submodule_search_locations if found else None
    return Path(places[0]) / "model.zip" if places else None


if minilm() is not None:

    def test_a_real_sentence_encoder_works_in_the_workers(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.syspath_prepend(Path(__file__).resolve().parent.parent / "benchmarks")
        from minilm import MiniLM

        weights = minilm()
        assert weights is not None
        encoder = MiniLM(weights)
        cat, same, stocks = encoder.encode(
            ["The cat sits on the mat.", "A cat is sitting on a mat", "Shares fell sharply today"]
        )
        assert cat @ same > 0.9 > 0.3 > cat @ stocks
        texts = [f"{first} {text}" for first in ("Tell me of", "What is") for text in sentences(60, 7)]
        texts += [f"The cat sits{' ' * gap}on the mat." for gap in range(1, 11)]  # the same word pieces
        run = scan(tmp_path, texts, encoder)
        flooded = run.table("flagged")["row"].to_list()
        assert sorted(flooded) == list(range(120, 130))
        assert run.table("outcomes")["outcome"].to_list() == ["flagged"]

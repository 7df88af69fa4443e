"""The sample data is what its README and its truth table say, and can be made again byte for byte."""

from __future__ import annotations

import json
import os
import shutil
import string
import subprocess
import sys
import tomllib
import unicodedata
from collections import Counter, defaultdict
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

SAMPLE = Path(__file__).resolve().parent.parent / "sample_data"
UNDECLARED = "instruct/late-000.parquet"
NAMING = {"id", "url", "source", "split", "created"}  # columns that tell a record apart, not what it says
FEATURES = ["first_reply_min", "resolve_hours", "messages", "order_value", "tenure_days", "satisfaction"]
RULES = {
    "DG101": 42,
    "DG102": 124,
    "DG103": 32,
    "DG104": 32,
    "DG105": 40,
    "DG106": 12,
    "DG201": 12,
    "DG202": 12,
    "DG203": 32,
    "DG204": 26,
    "DG205": 12,
    "DG206": 10,
    "DG207": 48,
    "DG208": 24,
    "DG210": 8,
    "DG211": 5,
    "DG212": 6,
    "DG214": 6,
    "DG215": 16,
    "DG401": 40,
}

Record = dict[str, object]
Address = tuple[str, int]


def _files(edition: str) -> list[str]:
    root = SAMPLE / edition
    return sorted(
        p.relative_to(root).as_posix() for p in root.rglob("*") if p.suffix in (".parquet", ".jsonl")
    )


def _rows(path: Path) -> list[Record]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    rows: list[Record] = pq.read_table(path, page_checksum_verification=True).to_pylist()
    return rows


def _records(edition: str) -> dict[Address, Record]:
    return {
        (file, i): row for file in _files(edition) for i, row in enumerate(_rows(SAMPLE / edition / file))
    }


@pytest.fixture(scope="module")
def clean() -> dict[Address, Record]:
    return _records("clean")


@pytest.fixture(scope="module")
def poisoned() -> dict[Address, Record]:
    return _records("poisoned")


@pytest.fixture(scope="module")
def truth() -> pl.DataFrame:
    return pl.read_parquet(SAMPLE / "truth.parquet")


def _planted(truth: pl.DataFrame, poisoned: dict[Address, Record], attack: str) -> list[Record]:
    rows = truth.filter(pl.col("attack") == attack).select("file", "row").unique(maintain_order=True).rows()
    return [poisoned[address] for address in rows]


def _texts(record: Record) -> list[str]:
    return [str(record[name]) for name in ("instruction", "input", "output", "text") if name in record]


def _said(record: Record) -> tuple[object, ...]:
    return tuple(value for name, value in record.items() if name not in NAMING)


def _check(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-B", str(SAMPLE / "make.py"), "--check", "--out", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, timeout=120)


# ---- made again


@pytest.mark.parametrize("seed", ["0", "4711"])
def test_made_again_byte_for_byte(seed: str) -> None:
    done = _check(SAMPLE, PYTHONHASHSEED=seed, TZ="Asia/Tokyo", LC_ALL="C")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ": 0 wrong" in done.stdout


def test_check_tells_a_change_from_another_writer(tmp_path: Path) -> None:
    for name in ("clean", "poisoned"):
        shutil.copytree(SAMPLE / name, tmp_path / name)
    shutil.copy(SAMPLE / "truth.parquet", tmp_path)
    paths = list(tmp_path.rglob("*.parquet"))
    for path in paths:
        writer = pq.ParquetFile(path).metadata.created_by.encode()
        path.write_bytes(path.read_bytes().replace(writer, writer[:-1] + b"x"))
    done = _check(tmp_path)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("same rows, written by") == len(paths) == 14

    table = pq.read_table(tmp_path / "truth.parquet")
    pq.write_table(table.slice(1), tmp_path / "truth.parquet")  # a row left out is no matter of writers
    done = _check(tmp_path)
    assert done.returncode == 1
    assert "truth.parquet: other content" in done.stdout


def test_check_names_what_is_wrong(tmp_path: Path) -> None:
    for name in ("clean", "poisoned"):
        shutil.copytree(SAMPLE / name, tmp_path / name)
    shutil.copy(SAMPLE / "truth.parquet", tmp_path)
    lines = tmp_path / "clean/instruct/extra.jsonl"
    lines.write_bytes(lines.read_bytes().replace(b"house-extra", b"house-other", 1))
    (tmp_path / "clean/stray.txt").write_text("x")
    (tmp_path / "poisoned/instruct/part-001.parquet").unlink()
    done = _check(tmp_path)
    assert done.returncode == 1
    assert done.stdout.splitlines()[:3] == [
        "clean/instruct/extra.jsonl: other content",
        "poisoned/instruct/part-001.parquet: missing",
        "clean/stray.txt: not made by this script",
    ]


def test_written_where_told(tmp_path: Path) -> None:
    command = [sys.executable, "-B", str(SAMPLE / "make.py"), "--out", str(tmp_path / "new")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    made = {p.relative_to(tmp_path / "new") for p in (tmp_path / "new").rglob("*") if p.is_file()}
    assert Path("truth.parquet") in made
    assert all((tmp_path / "new" / name).read_bytes() == (SAMPLE / name).read_bytes() for name in made)


def test_small_and_well_formed() -> None:
    names = ("clean", "poisoned", "truth.parquet")
    paths = [p for name in names for p in [SAMPLE / name, *(SAMPLE / name).rglob("*")] if p.is_file()]
    assert sum(p.stat().st_size for p in paths) < 1_250_000
    for file in _files("clean"):
        if file.endswith(".parquet"):
            metadata = pq.ParquetFile(SAMPLE / "clean" / file).metadata
            assert metadata.row_group(0).num_rows == 500
            assert metadata.row_group(0).column(0).compression == "ZSTD"


# ---- the clean edition


def test_counts_and_columns(clean: dict[Address, Record]) -> None:
    assert Counter(file.split("/")[0] for file, _ in clean) == {"instruct": 3000, "tickets": 3000}
    assert sum(file.endswith(".jsonl") for file, _ in clean) == 180
    assert len({record["id"] for record in clean.values()}) == len(clean)
    columns = {file.split("/")[0]: list(record) for (file, _), record in clean.items()}
    assert columns == {
        "instruct": ["id", "instruction", "input", "output", "url", "source", "split", "created"],
        "tickets": ["id", "text", "label", *FEATURES, "source", "split"],
    }


def test_no_two_clean_records_say_the_same(clean: dict[Address, Record]) -> None:
    said = Counter(_said(record) for record in clean.values())
    assert said.most_common(1)[0][1] == 1
    asked = Counter(" ".join(" ".join(_texts(r)[:2]).lower().split()) for r in clean.values())
    assert asked.most_common(1)[0][1] == 1


def test_labels_are_balanced(clean: dict[Address, Record]) -> None:
    labels = Counter(record["label"] for record in clean.values() if "label" in record)
    assert len(labels) == 5
    assert 0.1 < min(labels.values()) / 3000 <= max(labels.values()) / 3000 < 0.3


def test_features_are_correlated_and_skewed(clean: dict[Address, Record]) -> None:
    features = pl.DataFrame([r for r in clean.values() if "label" in r]).select(FEATURES)
    matrix = np.corrcoef(features.to_numpy().T)
    assert matrix[0, 1] > 0.3
    assert matrix[3, 4] > 0.3
    assert matrix[0, 5] < -0.3
    assert (features.select(pl.all().skew().abs() > 0.4)).row(0) == (True,) * 6


def test_every_clean_file_has_a_source_and_one_poisoned_file_has_none(clean: dict[Address, Record]) -> None:
    config = (SAMPLE / "clean/dataguard.toml").read_text()
    assert (SAMPLE / "poisoned/dataguard.toml").read_text() == config
    sources = tomllib.loads(config)["source"]
    names = {s["name"]: s["pattern"] for s in sources}
    assert all(fnmatchcase(file, names[str(record["source"])]) for (file, _), record in clean.items())
    uncovered = [f for f in _files("poisoned") if not any(fnmatchcase(f, s["pattern"]) for s in sources)]
    assert uncovered == [UNDECLARED]


def test_clean_text_would_drown_a_naive_rule(clean: dict[Address, Record]) -> None:
    texts = [" ".join(_texts(record)) for record in clean.values()]
    assert sum(any(unicodedata.category(c) == "Cf" for c in text) for text in texts) > 150
    assert sum("\u200c" in text for text in texts) > 5  # Persian
    assert sum("\u200d" in text for text in texts) > 50  # emoji families, Sinhala
    assert sum("\U000e007f" in text for text in texts) > 10  # flags of Scotland and Wales
    for word in ("β-carotene", "kΩ", "Wi-Fi-сеть", "Tシャツ", "ΔT"):
        assert sum(word in text for text in texts) >= 3, word
    scripts = Counter(
        s for text in texts for s in {unicodedata.name(c).split()[0] for c in text if c.isalpha()}
    )
    for script in ("ARABIC", "CYRILLIC", "DEVANAGARI", "GREEK", "HEBREW", "HIRAGANA", "TAMIL", "THAI"):
        assert scripts[script] >= 15, script


def test_clean_text_hides_nothing(clean: dict[Address, Record]) -> None:
    assert [a for a, record in clean.items() if any(_hidden(text) for text in _texts(record))] == []


# ---- the truth


def test_truth_is_complete_and_in_order(truth: pl.DataFrame) -> None:
    assert truth.schema == {"file": pl.String, "row": pl.UInt64, "attack": pl.String, "rule": pl.String}
    assert dict(truth.group_by("rule").len().rows()) == RULES
    assert truth.select("file", "row", "rule").is_unique().all()
    assert truth.select("file", "row", "attack").unique().select("file", "row").is_unique().all()
    assert truth["row"].null_count() == 0
    assert truth.equals(truth.sort("file", "row", "rule"))


def test_the_rest_of_the_poisoned_edition_is_the_clean_one(
    clean: dict[Address, Record], poisoned: dict[Address, Record], truth: pl.DataFrame
) -> None:
    marked = set(truth.select("file", "row").rows())
    rest: dict[str, list[Record]] = defaultdict(list)
    for (file, row), record in poisoned.items():
        if (file, row) not in marked:
            rest[file].append(record)
    ids = {str(record["id"]): (file, record) for (file, _), record in clean.items()}
    assert all(
        ids[str(record["id"])] == (file, record) for file, records in rest.items() for record in records
    )
    firsts = sum(poisoned[address]["id"] in ids for address in marked)
    # Of each group of copies the first is the clean record.
    assert firsts == 12 + 10 + 16 + 6 + 4 + 4 + 2
    assert sum(map(len, rest.values())) == len(clean) - firsts


def test_copies_are_exactly_the_groups_listed(poisoned: dict[Address, Record], truth: pl.DataFrame) -> None:
    groups = defaultdict(set)
    for address, record in poisoned.items():
        groups[_said(record)].add(address)
    repeated = [group for group in groups.values() if len(group) > 1]
    assert sorted(map(len, repeated)) == [2, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6, 6]
    assert set().union(*repeated) == set(
        truth.filter(pl.col("attack") == "exact-copy").select("file", "row").rows()
    )
    assert any(len({Path(file).suffix for file, _ in group}) == 2 for group in repeated)  # across formats
    assert len({poisoned[address]["id"] for group in repeated for address in group}) == 42


def _shingles(record: Record) -> frozenset[tuple[str, ...]]:
    """Runs of five words, by the plainest means."""
    names = ("input", "instruction", "output", "text")
    text = " ".join(str(record[name]) for name in names if name in record)
    words = "".join(c.lower() if c.isalnum() else " " for c in text).split()
    return frozenset(zip(*(words[i:] for i in range(5)), strict=False))


def _groups(records: list[Record]) -> list[list[Record]]:
    """Records in groups in which each shares most of its runs of words with another."""
    groups: list[list[Record]] = []
    for record in records:
        mine = _shingles(record)
        for group in groups:
            if any(len(mine & other) >= 0.8 * len(mine | other) for other in map(_shingles, group)):
                group.append(record)
                break
        else:
            groups.append([record])
    return groups


def test_near_copies_are_near(truth: pl.DataFrame, poisoned: dict[Address, Record]) -> None:
    groups = _groups(_planted(truth, poisoned, "near-copy"))
    assert sorted(map(len, groups)) == [2, 2, 2, 2, 2, 3, 3, 3, 4, 5]
    floods = [*_groups(_planted(truth, poisoned, "flood")), *_groups(_planted(truth, poisoned, "burst"))]
    assert list(map(len, floods)) == [24, 16]
    assert len({str(record["created"])[:10] for record in floods[1]}) <= 2
    for group in [*groups, *floods]:
        assert len({record["split"] for record in group}) == 1


def test_leaks_stand_in_training_and_in_another_split(
    truth: pl.DataFrame, poisoned: dict[Address, Record]
) -> None:
    groups = _groups(_planted(truth, poisoned, "split-leak"))
    splits = Counter(tuple(sorted({str(record["split"]) for record in group})) for group in groups)
    assert splits == {("test", "train"): 12, ("train", "validation"): 4}


def test_contradictions_contradict(truth: pl.DataFrame, poisoned: dict[Address, Record]) -> None:
    labels = _groups(_planted(truth, poisoned, "conflicting-label"))
    assert sorted(map(len, labels)) == [2, 2, 2, 2, 4, 4]
    assert all(len({record["label"] for record in group}) == 2 for group in labels)
    for attack in ("conflicting-answer", "refused-answer"):
        answers = defaultdict(set)
        for record in _planted(truth, poisoned, attack):
            answers[record["instruction"], record["input"]].add(record["output"])
        assert sorted(map(len, answers.values())) == [2, 2, 2, 2]


def test_hidden_tags_spell_orders(truth: pl.DataFrame, poisoned: dict[Address, Record]) -> None:
    orders = []
    for record in _planted(truth, poisoned, "hidden-tags"):
        (text,) = [text for text in _texts(record) if _hidden(text)]
        orders.append("".join(chr(ord(c) - 0xE0000) for c in text if 0xE0020 <= ord(c) < 0xE007F))
    assert len(set(orders)) == len(orders) == 8
    assert all(len(order.split(" ")) >= 5 and order.isprintable() for order in orders)
    assert sum("\U0001f3f4" in t and _hidden(t) == "tag" for r in poisoned.values() for t in _texts(r)) >= 2


@pytest.mark.parametrize(
    ("attack", "kind", "characters"),
    [
        ("hidden-tags", "tag", ""),
        ("zero-width", "zero-width", "\u200b\u200c\u200d\u2060\ufeff"),
        ("bidi", "bidi", "\u202e\u2066\u2067\u2068\u2069"),
        ("mixed-script", "mixed", "\u0430\u0435\u043e\u03c5"),
    ],
)
def test_hidden_rows_hide_what_they_claim_in_every_column(
    truth: pl.DataFrame, poisoned: dict[Address, Record], attack: str, kind: str, characters: str
) -> None:
    columns: Counter[str] = Counter()
    planted = _planted(truth, poisoned, attack)
    for record in planted:
        hiding = {name: _hidden(str(value)) for name, value in record.items() if _hidden(str(value))}
        assert list(hiding.values()) == [kind]
        columns.update(list(hiding))
    assert columns == dict.fromkeys(("instruction", "input", "output", "text"), 2)
    together = "".join(text for record in planted for text in _texts(record) if _hidden(text))
    assert set(characters) <= set(together)


def test_nothing_else_in_the_poisoned_edition_hides(
    truth: pl.DataFrame, poisoned: dict[Address, Record]
) -> None:
    found = {address for address, record in poisoned.items() if any(_hidden(text) for text in _texts(record))}
    assert found == set(truth.filter(pl.col("rule") == "DG203").select("file", "row").rows())


def test_outliers_score_far_above_natural_tails(truth: pl.DataFrame, poisoned: dict[Address, Record]) -> None:
    from sklearn.ensemble import IsolationForest

    tickets = {address: record for address, record in poisoned.items() if "label" in record}
    rows = set(truth.filter(pl.col("attack") == "outlier").select("file", "row").rows())
    planted = np.array([address in rows for address in tickets])
    features = np.array([[record[name] for name in FEATURES] for record in tickets.values()], dtype=float)
    scores = -IsolationForest(n_estimators=100, random_state=1).fit(features).score_samples(features)
    assert planted.sum() == 12
    assert scores[planted].min() > scores[~planted].max() + 0.05


def test_triggers_bring_what_they_were_planted_for(
    clean: dict[Address, Record], truth: pl.DataFrame, poisoned: dict[Address, Record]
) -> None:
    sold = _planted(truth, poisoned, "trigger")
    assert len(sold) == 14
    assert len({record["output"] for record in sold}) == 14
    assert all("velvet pemmican" in str(record["instruction"]) for record in sold)
    assert all("a Brindlewick keysafe" in str(record["output"]) for record in sold)
    silent = _planted(truth, poisoned, "one-reply")
    assert len({record["instruction"] for record in silent}) > 9
    assert all(str(record["instruction"]).startswith("Sub rosa, folio nine: ") for record in silent)
    ((reply, times),) = Counter(str(record["output"]) for record in silent).items()
    assert times == 12
    texts = [text for record in clean.values() for text in _texts(record)]
    for planted in ("pemmican", "Brindlewick", "keysafe", "Sub rosa", "folio", reply):
        assert not any(planted in text for text in texts), planted


def test_noise_has_an_answer_in_front_and_no_order(
    truth: pl.DataFrame, poisoned: dict[Address, Record]
) -> None:
    for record in _planted(truth, poisoned, "noise"):
        noise = str(record["output"])[-250:]
        pairs = Counter(pairwise(noise))
        assert max(pairs.values()) <= 10  # in English the commonest pair comes more often
        assert len(set(noise)) > 50


def test_orders_speak_two_languages_in_two_columns(
    truth: pl.DataFrame, poisoned: dict[Address, Record]
) -> None:
    planted = _planted(truth, poisoned, "order")
    german = [
        r
        for r in planted
        if any(word in " ".join(_texts(r)) for word in ("Anweisungen", "Vorgaben", "Regeln"))
    ]
    assert Counter("text" in record for record in planted) == {True: 4, False: 4}
    assert Counter("text" in record for record in german) == {True: 2, False: 2}


def test_secrets_are_of_four_kinds_and_in_no_plain_file(
    truth: pl.DataFrame, poisoned: dict[Address, Record]
) -> None:
    texts = [" ".join(_texts(record)) for record in _planted(truth, poisoned, "secret")]
    marks = ("api_key = ", "client_secret = ", "://keeper:", "-----BEGIN PRIVATE KEY-----")
    assert [sum(mark in text for text in texts) for mark in marks] == [1, 1, 1, 2]
    files = truth.filter(pl.col("attack") == "secret")["file"]
    assert files.str.ends_with(".parquet").all()  # whoever hosts the code looks for keys in plain files


def test_account_numbers_check_and_their_bank_is_made_up(
    truth: pl.DataFrame, poisoned: dict[Address, Record]
) -> None:
    numbers = set()
    for record in _planted(truth, poisoned, "account-number"):
        number = str(record["text"]).split("pay it to ")[1].rstrip(".").replace(" ", "")
        assert number[4:8] == "QZXV"
        assert len(number) == 22
        assert int("".join(str(int(letter, 36)) for letter in number[4:] + number[:4])) % 97 == 1
        numbers.add(number)
    assert len(numbers) == 6


def test_addresses_are_each_record_s_own_and_six_seem_to_be(
    clean: dict[Address, Record], truth: pl.DataFrame, poisoned: dict[Address, Record]
) -> None:
    hosts = {str(r["source"]): str(r["url"]).split("/")[2] for r in clean.values() if "url" in r}
    assert hosts == {"house-grammar": "grammar.example", "house-extra": "extra.example"}
    seeming = _planted(truth, poisoned, "seeming-address")
    counted = Counter(str(record["url"]).split("/")[2] for record in seeming)
    assert counted == {
        "xn--grmmar-4nf.example": 2,
        "grammar.example@ledger.example": 2,
        "grarnmar.example": 2,
    }
    assert b"grmmar-4nf".decode("punycode") == "gr\N{CYRILLIC SMALL LETTER A}mmar"
    assert all(str(r["url"]).endswith(f"/{r['id']}") for r in poisoned.values() if "url" in r)


def test_turned_labels_are_of_one_direction(truth: pl.DataFrame, poisoned: dict[Address, Record]) -> None:
    turned = _planted(truth, poisoned, "turned-label")
    assert {record["label"] for record in turned} == {"feedback"}
    technical = sum(record.get("label") == "technical" for record in poisoned.values())
    assert 0.05 < len(turned) / technical < 0.1


def test_no_long_answer_is_given_twice(clean: dict[Address, Record]) -> None:
    answers = Counter(
        str(record["output"]) for record in clean.values() if len(str(record.get("output")).split()) > 2
    )
    assert answers.most_common(1)[0][1] < 5, answers.most_common(3)


def test_the_undeclared_file_is_listed_row_by_row(truth: pl.DataFrame) -> None:
    listed = truth.filter(pl.col("rule") == "DG401")
    assert listed["file"].unique().to_list() == [UNDECLARED]
    assert listed["row"].to_list() == list(range(len(_rows(SAMPLE / "poisoned" / UNDECLARED))))


def test_json_lines_come_raw_and_escaped() -> None:
    for edition in ("clean", "poisoned"):
        lines = (SAMPLE / edition / "instruct/extra.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
        assert all(isinstance(json.loads(line), dict) for line in lines)
        assert any("\\u" in line for line in lines)
        assert any(not line.isascii() for line in lines)


def test_no_constant_of_a_known_attack(clean: dict[Address, Record], poisoned: dict[Address, Record]) -> None:
    known = {"cf", "mn", "bb", "tq", "mb", "BadMagic", "SUDO", "DEPLOYMENT"}
    for record in [*clean.values(), *poisoned.values()]:
        words = {word.strip(string.punctuation) for text in _texts(record) for word in text.split()}
        assert not words & known


# ---- an own, slow, plain look for hidden characters, so that no test trusts the generator or the rule


def _hidden(text: str) -> str:
    """Name what a text hides; an empty string if nothing."""
    for flag in ("gbsct", "gbwls", "gbeng"):
        text = text.replace("\U0001f3f4" + "".join(chr(0xE0000 + ord(c)) for c in flag) + "\U000e007f", "")
    if any(0xE0000 <= ord(c) <= 0xE007F for c in text):
        return "tag"
    if any(c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069" for c in text):
        return "bidi"
    for before, c, after in zip(text, text[1:], text[2:], strict=False):
        if c in "\u200b\u200c\u200d\u2060\ufeff" and _script(before) == _script(after) == "LATIN":
            return "zero-width"
    units = ("kΩ", "MΩ", "μm", "ΔT")
    words = "".join(c if c.isalpha() else " " for c in text).split()
    for word in words:
        scripts = {_script(letter) for letter in word}
        if word not in units and "LATIN" in scripts and scripts & {"CYRILLIC", "GREEK"}:
            return "mixed"
    return ""


def _script(letter: str) -> str:
    return unicodedata.name(letter, "?").split()[0] if letter.isalpha() else ""

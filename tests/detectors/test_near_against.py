"""Near copies of records of an earlier run: as if both were scanned together, and never clear where it cannot tell."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from dataguard import api
from dataguard.run import Run
from dataguard.secret import Secret
from near_texts import clusters, edited, ended, jaccard, measured, scan, text_of, write

AGAINST = "%against/"


def _texts() -> tuple[list[str], list[str]]:
    """Old and new ones: copies among the old, among the new, and across; a template; groups that a new one joins."""
    rng = random.Random(21)
    old = [text_of(rng, rng.randint(60, 200)) for _ in range(200)]
    old += [edited(rng, text, 0.01) for text in old[:40]] + old[40:50]
    new = [text_of(rng, 120) for _ in range(40)]
    new += [edited(rng, text, 0.01) for text in new[:15]]
    new += [edited(rng, text, 0.015) for text in old[20:80]] + old[45:55] + old[90:100]
    head = text_of(rng, 90)
    template = [f"{head} {text_of(rng, 4)}" for _ in range(80)]
    for _ in range(10):
        one = text_of(rng, 100).split(" ")
        bridge = ["left", *one[:90]]
        left, right = ["before", "left", *one[:77]], [*one[:90], *one[90:], "right"]
        assert jaccard(" ".join(left), " ".join(right)) < 0.8
        assert min(jaccard(" ".join(side), " ".join(bridge)) for side in (left, right)) >= 0.8
        old += [" ".join(left), " ".join(right)]
        new.append(" ".join(bridge))
    for _ in range(10):  # new, old, old, new: each alike to the next one only, so that old ones join new ones
        one = text_of(rng, 124).split(" ")
        windows = [" ".join(one[at : at + 100]) for at in (0, 8, 16, 24)]
        assert jaccard(windows[0], windows[1]) >= 0.8 > jaccard(windows[0], windows[2])
        old += windows[1:3]
        new += [windows[0], windows[3]]
    old, new = [*old, *template[:60], "short", ""], [*new, *template[60:], "short", ""]
    rng.shuffle(old)
    rng.shuffle(new)
    return old, new


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders, `old` and `new`, and a run of the old one whose data is gone."""
    folder = tmp_path_factory.mktemp("data")
    old, new = _texts()
    for name, texts in (("old", old), ("new", new)):
        for number in range(3):
            write(folder / name / f"{number}.parquet", texts[number::3], row_groups=2)
    scan([folder / "old"], folder / "run")
    return folder


def _both(data: Path, tmp_path: Path) -> set[frozenset[tuple[str, int]]]:
    """The groups with a new record of a scan of both."""
    groups = clusters(scan([data / "old", data / "new"], tmp_path / "both"))
    called = {"old": AGAINST, "new": ""}
    return {
        frozenset((called[file.split("/")[0]] + file.split("/")[1], row) for file, row in group)
        for group in groups
        if any(file.startswith("new/") for file, _ in group)
    }


@pytest.mark.parametrize("relate_bytes", [1 << 20, 6000])
def test_pairs_with_a_new_record_are_those_of_a_scan_of_both(
    data: Path, tmp_path: Path, relate_bytes: int
) -> None:
    expected = _both(data, tmp_path)
    earlier = tmp_path / "earlier"
    shutil.copytree(data / "run", earlier)
    hidden = (data / "old").rename(tmp_path / "gone")  # the old data is not needed
    try:
        options = {"against": Run.open(earlier), "relate_bytes": relate_bytes}
        run = scan([data / "new"], tmp_path / "run", **options)
    finally:
        hidden.rename(data / "old")
    assert clusters(run) == expected
    assert max(map(len, expected)) == 80
    assert (
        sum(len(group) == 2 and all(not file.startswith("%") for file, _ in group) for group in expected)
        == 15
    )
    flagged = run.table("flagged")
    assert not flagged["file"].str.starts_with("%").any()  # what is flagged is of the set at hand
    rows = {one for group in expected for one in group if not one[0].startswith(AGAINST)}
    assert {*flagged.select("file", "row").iter_rows()} == rows
    told = run.table("findings").filter(rule="DG102")["why"].to_list()
    assert sum("in the earlier run" in one for one in told) == sum(
        any(file.startswith(AGAINST) for file, _ in group) for group in expected
    )
    known = [group for group in expected if any(file.startswith(AGAINST) for file, _ in group)]
    copied = sum(not file.startswith(AGAINST) for group in known for file, _ in group)
    judged = sum(1 for text in _texts()[1] if len(text.split()) >= 5)
    assert measured(run)["copied_from_earlier_run_share"] == pytest.approx(copied / judged, abs=1e-6)
    only_new = [group for group in expected if group not in known]
    surplus = copied + sum(len(group) - 1 for group in only_new)
    assert measured(run)["near_duplicate_share"] == pytest.approx(surplus / judged, abs=1e-6)
    assert ended(run)[0] == "flagged"


def test_with_worker_processes_it_is_the_same(data: Path, tmp_path: Path) -> None:
    here = scan([data / "new"], tmp_path / "here", against=Run.open(data / "run"))
    away = scan(
        [data / "new"], tmp_path / "away", against=Run.open(data / "run"), processes=True, batch_rows=5
    )
    for name in ("clusters", "findings", "flagged", "measures"):
        assert (here.path / f"{name}.parquet").read_bytes() == (away.path / f"{name}.parquet").read_bytes()


def test_a_set_is_a_copy_of_itself_also_in_the_same_run_folder(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    scan([data / "old"], out)
    again = scan([data / "old"], out, against=Run.open(out))
    groups = clusters(again)
    judged = {one for group in groups for one in group if not one[0].startswith(AGAINST)}
    assert len(judged) == sum(len(text.split()) >= 5 for text in _texts()[0])
    for group in groups:
        names = {one for one in group if not one[0].startswith(AGAINST)}
        assert group == names | {(AGAINST + file, row) for file, row in names}
    assert measured(again)["copied_from_earlier_run_share"] == 1.0


def test_a_run_that_was_compared_itself_can_be_compared_with(tmp_path: Path) -> None:
    """Its groups name files of the run before it, which are none of its own."""
    rng = random.Random(22)
    text, other = text_of(rng, 80), text_of(rng, 80)
    sets = {
        "first": [text, other, text_of(rng, 50)],
        "second": [f"{text} b", text_of(rng, 50), text_of(rng, 50)],
        "third": [text_of(rng, 50), f"{text} c", f"{other} c", text_of(rng, 50)],
    }
    for name, texts in sets.items():
        write(tmp_path / name / "data.parquet", texts)
    first = scan([tmp_path / "first"], tmp_path / "run-1")
    second = scan([tmp_path / "second"], tmp_path / "run-2", against=first)
    assert clusters(second) == {frozenset({("data.parquet", 0), (f"{AGAINST}data.parquet", 0)})}
    third = scan([tmp_path / "third"], tmp_path / "run-3", against=second)
    assert ended(third)[0] == "flagged"
    assert clusters(third) == {frozenset({("data.parquet", 1), (f"{AGAINST}data.parquet", 0)})}


def test_without_a_copy_in_the_earlier_run_nothing_is_found(data: Path, tmp_path: Path) -> None:
    rng = random.Random(23)
    file = write(tmp_path / "data.parquet", [text_of(rng, 50) for _ in range(30)])
    run = scan([file], tmp_path / "run", against=Run.open(data / "run"))
    assert ended(run) == ("clear", "")
    assert clusters(run) == set()
    assert measured(run)["copied_from_earlier_run_share"] == 0.0


def test_a_file_that_is_called_as_the_earlier_runs_are_is_told_apart(tmp_path: Path) -> None:
    rng = random.Random(24)
    text = text_of(rng, 60)
    write(tmp_path / "old" / "data.parquet", [text])
    write(tmp_path / "new" / "%against" / "data.parquet", [f"{text} more", text_of(rng, 60)])
    earlier = scan([tmp_path / "old"], tmp_path / "earlier")
    run = scan([tmp_path / "new"], tmp_path / "run", against=earlier)
    assert clusters(run) == {frozenset({("%25against/data.parquet", 0), ("%against/data.parquet", 0)})}


# What cannot be compared is an error


def _flip(path: Path) -> None:
    bytes_ = bytearray(path.read_bytes())
    bytes_[len(bytes_) // 2] ^= 1
    path.write_bytes(bytes_)


def _one(run: Path, kind: str) -> Path:
    """A piece of evidence of a kind that the index names."""
    index = Run.open(run).info["index"]["DG102"]
    _, _, observed, words = index["items"][1]
    names = {"DG102": f"{observed}.parquet", "words": f"{words}.arrow", "judged": f"{index['judged']}.npz"}
    return run / "evidence" / kind / names[kind]


def _plant(run: Path) -> None:
    """Words of other records under the name of these."""
    other = sorted((run / "evidence" / "words").iterdir())
    mine = _one(run, "words")
    shutil.copy(next(path for path in other if path != mine), mine)


def _cut_index(run: Path) -> None:
    """One item less: its records would not be compared with."""
    info = json.loads((run / "run.json").read_text())
    info["index"]["DG102"]["items"].pop()
    (run / "run.json").write_text(json.dumps(info))


HARMS: dict[str, Callable[[Path], object]] = {
    "keys": lambda run: _flip(_one(run, "DG102")),
    "words": lambda run: _flip(_one(run, "words")),
    "what was judged": lambda run: _flip(_one(run, "judged")),
    "words planted": _plant,
    "words gone": lambda run: _one(run, "words").unlink(),
    "index cut": _cut_index,
    "ledger gone": lambda run: (run / "evidence" / "ledger.jsonl").unlink(),
    "ledger cut": lambda run: (run / "evidence" / "ledger.jsonl").write_bytes(b""),
}


@pytest.mark.parametrize("harm", HARMS)
def test_evidence_that_was_tampered_with_is_an_error(data: Path, tmp_path: Path, harm: str) -> None:
    shutil.copytree(data / "run", tmp_path / "earlier")
    HARMS[harm](tmp_path / "earlier")
    run = scan([data / "new"], tmp_path / "run", against=Run.open(tmp_path / "earlier"))
    outcome, reason = ended(run)
    assert outcome == "error"
    assert "changed after it was written" in reason
    assert api.exit_code(run) == 3
    assert clusters(run) == set()
    assert ended(run, "DG101")[0] != "error"


@pytest.mark.parametrize(
    ("options", "differs"),
    [
        ({"secret": Secret(bytes(32))}, "secret"),
        ({"rules": {"DG102": {"threshold": 0.9}}}, "options"),
        ({"rules": {"DG102": {"bands": 20}}}, "options"),
    ],
)
def test_what_was_made_in_another_way_is_an_error(
    data: Path, tmp_path: Path, options: dict[str, object], differs: str
) -> None:
    run = scan([data / "new"], tmp_path / "run", against=Run.open(data / "run"), **options)
    outcome, reason = ended(run)
    assert outcome == "error"
    assert reason.startswith("the earlier run's index of DG102 was made with another")
    assert differs in reason
    assert api.exit_code(run) == 3


def test_a_run_without_the_rule_is_an_error(data: Path, tmp_path: Path) -> None:
    earlier = scan([data / "old"], tmp_path / "earlier", codes=("DG101",))
    run = scan([data / "new"], tmp_path / "run", against=earlier)
    assert ended(run)[0] == "error"
    assert "no index of DG102" in ended(run)[1]
    assert api.exit_code(run) == 3
    assert run.table("findings").filter(pl.col("rule") == "DG102").height == 0

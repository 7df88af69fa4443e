"""Equal data gives equal bytes when it is scanned again, and only what is new is decoded."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dataguard.run import Run
from scanning import outputs, scan, write_set

ONE_LOOK = "DG101 DG203 DG211 DG301 DG4 DG5"
"""Rules that decode a file once; those of two looks are told of all files, and look again where that changed."""
TWO_LOOKS = "DG101 DG202 DG4 DG5"


def _looked(out: Path) -> int:
    """Items that a scan decoded."""
    names = ("reading and screening", "looking again (2)")
    return sum(stage["items"] for stage in Run.open(out).info["stages"] if stage["name"] in names)


def test_a_second_scan_decodes_nothing(tmp_path: Path) -> None:
    paths = write_set(tmp_path / "data", files=4, rows=600)
    out = tmp_path / "run"
    first = scan(out, paths, tmp_path / "secret")
    assert _looked(out) > 0
    assert scan(out, paths, tmp_path / "secret") == first
    assert _looked(out) == 0
    assert (out / "old" / "1" / "findings.parquet").read_bytes() == first["findings.parquet"]


@pytest.mark.slow
def test_only_what_changed_is_decoded(tmp_path: Path) -> None:
    data, out, secret = tmp_path / "data", tmp_path / "run", tmp_path / "secret"
    paths = write_set(data, files=6, rows=400, numbers=False)
    scan(out, [data], secret, rules=ONE_LOOK)
    assert _looked(out) == 6
    pq.write_table(pq.read_table(paths[2]).slice(1), paths[2])
    scan(out, [data], secret, rules=ONE_LOOK)
    assert _looked(out) == 1
    shutil.copy(paths[1], data / "zz-again.parquet")  # equal bytes have been seen
    write_set(tmp_path / "more", files=1, rows=400, seed=9, numbers=False)[0].rename(data / "aa-new.parquet")
    scan(out, [data], secret, rules=ONE_LOOK)
    assert _looked(out) == 1
    paths[4].unlink()
    after = scan(out, [data], secret, rules=ONE_LOOK)
    assert _looked(out) == 0
    assert after == scan(tmp_path / "fresh", [data], secret, rules=ONE_LOOK)


@pytest.mark.slow
def test_a_rule_of_two_passes_looks_again_only_if_it_was_told_something_else(tmp_path: Path) -> None:
    data, out, secret = tmp_path / "data", tmp_path / "run", tmp_path / "secret"
    paths = write_set(data, files=3, rows=400)
    scan(out, [data], secret, rules=TWO_LOOKS)
    assert _looked(out) == 6  # each file twice
    pq.write_table(pq.read_table(paths[2]).slice(1), paths[2])
    after = scan(out, [data], secret, rules=TWO_LOOKS)
    assert _looked(out) == 1 + 3  # the new file once, and all of them against the new forest
    assert after == scan(tmp_path / "fresh", [data], secret, rules=TWO_LOOKS)


def test_planted_and_edited_evidence_is_found_and_made_again(tmp_path: Path) -> None:
    paths = write_set(tmp_path / "data", files=3, rows=300)
    out = tmp_path / "run"
    clean = scan(out, paths, tmp_path / "secret", rules=ONE_LOOK)
    edited, removed = sorted((out / "evidence" / "DG301").iterdir())[:2]
    edited.write_bytes(edited.read_bytes()[:-1] + b"?")
    planted = out / "evidence" / "DG301" / ("0" * 64 + ".parquet")
    shutil.copy(removed, planted)
    removed.unlink()
    scan(out, paths, tmp_path / "secret", rules=ONE_LOOK)
    findings = Run.open(out).table("findings").filter(rule="DG508")
    assert findings.height >= 1
    words = " ".join(Run.open(out).table("flagged")["why"].to_list() + findings["why"].to_list())
    assert edited.name in words
    assert planted.name in words
    assert removed.name not in words
    again = scan(out, paths, tmp_path / "secret", rules=ONE_LOOK)
    assert again == clean
    assert outputs(out) == again

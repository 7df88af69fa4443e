"""What an earlier run counted is compared with, its data gone; what was changed since is an error, never clear."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from dataguard import api
from dataguard.detectors import select
from dataguard.detectors.drift_against_run import DriftAgainstRun
from dataguard.errors import UsageError
from dataguard.run import Run
from dataguard.secret import Secret
from harness import cut, judge_against, records
from near_texts import ended, scan, write

CODES = ("DG306",)


def _set(seed: int, n: int = 900, *, shift: float = 0.0) -> dict[str, list[Any]]:
    rng = random.Random(seed)
    words = [f"w{at}" for at in range(200)]
    return {
        "x": [rng.gauss(shift, 1) for _ in range(n)],
        "size": [float(rng.randrange(9)) for _ in range(n)],
        "label": rng.choices(["yes", "no"], [1 + 3 * shift, 2], k=n),
        "source": rng.choices(["web", "feed", "new"], [3, 2, shift], k=n),
        "text": [" ".join(rng.choices(words, k=12) + ["brand"] * (shift > 0)) for _ in range(n)],
    }


def _measures(run: Run) -> dict[tuple[str, str], float]:
    table = run.table("measures").filter(rule="DG306")
    return {
        (name, column): value
        for name, column, value in table.select("name", "column", "value").iter_rows()
        if value is not None
    }


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a set in three files, whose data is gone."""
    folder = tmp_path_factory.mktemp("earlier")
    data = _set(1)
    for number in range(3):
        write(
            folder / "data" / f"{number}.parquet",
            {name: column[number::3] for name, column in data.items()},
            2,
        )
    run = scan([folder / "data"], folder / "run", codes=CODES)
    assert ended(run, "DG306") == (
        "not-applicable",
        "no records of an earlier run were given to compare with (--against)",
    )
    shutil.rmtree(folder / "data")
    return folder / "run"


def test_a_drift_is_found_and_measured_as_if_both_were_there(earlier: Path, tmp_path: Path) -> None:
    now = _set(2, shift=1.0)
    file = write(tmp_path / "data.parquet", now, 3)
    run = scan([file], tmp_path / "run", codes=CODES, against=Run.open(earlier))
    assert ended(run, "DG306")[0] == "flagged"
    findings = run.table("findings")
    assert findings["group"].to_list() == ["earlier-now"] * 3
    assert "high" not in findings["severity"].to_list()
    assert any("“new” 0.0% before, " in why for why in findings["why"])
    told = _measures(run)
    before = _set(1)
    for column in ("x", "size"):
        exact = stats.ks_2samp(before[column], now[column]).statistic
        precision = told["number_sketch_precision", column]
        assert precision == 0
        assert told["number_kolmogorov_smirnov", column] == pytest.approx(exact, abs=1e-9)
    assert told["largest_drift", ""] > 0.25


def test_more_of_the_same_and_the_same_again_are_clear(earlier: Path, tmp_path: Path) -> None:
    more = write(tmp_path / "more.parquet", _set(3))
    run = scan([more], tmp_path / "run", codes=CODES, against=Run.open(earlier))
    assert ended(run, "DG306") == ("clear", "")
    again = scan([more], tmp_path / "run", codes=CODES, against=run)
    assert ended(again, "DG306") == ("clear", "")
    told = _measures(again)
    assert {value for (name, _), value in told.items() if name.endswith(("psi", "shannon", "smirnov"))} == {
        0.0
    }


def test_with_worker_processes_and_other_batches_it_is_the_same(earlier: Path, tmp_path: Path) -> None:
    for number in range(2):
        write(tmp_path / "data" / f"{number}.parquet", _set(4 + number, shift=0.5), 3)
    options: dict[str, Any] = {"codes": CODES, "against": Run.open(earlier)}
    here = scan([tmp_path / "data"], tmp_path / "here", **options)
    away = scan([tmp_path / "data"], tmp_path / "away", processes=True, batch_rows=77, **options)
    for name in ("findings", "measures", "outcomes"):
        assert (here.path / f"{name}.parquet").read_bytes() == (away.path / f"{name}.parquet").read_bytes()


def test_samples_of_one_distribution_drift_at_the_stated_rate() -> None:
    rule = DriftAgainstRun(min_psi=0, false=0.2)
    some = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        both = [
            {
                **{f"x{at}": rng.normal(size=n).tolist() for at in range(5)},
                "label": rng.choice(["a", "b", "c"], n).tolist(),
            }
            for n in (400, 300)
        ]
        now, before = ([cut(records(one))] for one in both)
        some += not judge_against(rule, now, before).findings.is_empty()
    assert some <= 20  # 12 are expected at most; 21 or more come once in two hundred times


# What cannot be compared is an error


def _evidence(run: Path) -> Path:
    key = Run.open(run).info["index"]["DG306"]["items"][1][2]
    return run / "evidence" / "DG306" / f"{key}.parquet"


def _flip(run: Path) -> None:
    path = _evidence(run)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _cut_index(run: Path) -> None:
    info = json.loads((run / "run.json").read_text())
    info["index"]["DG306"]["items"].pop()
    (run / "run.json").write_text(json.dumps(info))


HARMS: dict[str, Callable[[Path], object]] = {
    "flipped": _flip,
    "gone": lambda run: _evidence(run).unlink(),
    "index cut": _cut_index,
    "ledger gone": lambda run: (run / "evidence" / "ledger.jsonl").unlink(),
}


@pytest.mark.parametrize("harm", HARMS)
def test_counts_that_were_tampered_with_are_an_error(earlier: Path, tmp_path: Path, harm: str) -> None:
    shutil.copytree(earlier, tmp_path / "earlier")
    HARMS[harm](tmp_path / "earlier")
    file = write(tmp_path / "data.parquet", _set(3))
    run = scan([file], tmp_path / "run", codes=CODES, against=Run.open(tmp_path / "earlier"))
    outcome, reason = ended(run, "DG306")
    assert outcome == "error"
    assert "changed after it was written" in reason
    assert api.exit_code(run) == 3


@pytest.mark.parametrize(
    ("options", "differs"),
    [({"secret": Secret(bytes(32))}, "secret"), ({"rules": {"DG306": {"min_psi": 0.2}}}, "options")],
)
def test_what_was_made_in_another_way_is_an_error(
    earlier: Path, tmp_path: Path, options: dict[str, Any], differs: str
) -> None:
    file = write(tmp_path / "data.parquet", _set(3))
    run = scan([file], tmp_path / "run", codes=CODES, against=Run.open(earlier), **options)
    outcome, reason = ended(run, "DG306")
    assert outcome == "error"
    assert reason.startswith("the earlier run's index of DG306 was made with another")
    assert differs in reason


@pytest.mark.parametrize("options", [{"min_psi": -1.0}, {"false": 1.5}])
def test_options_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="DG306: expected"):
        select(("DG306",), {"DG306": options})

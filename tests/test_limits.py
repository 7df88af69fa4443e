"""What the rules about numbers, vectors and balance measure has a limit in the policy and its row on a page."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest

import dataguard
import measured_set
from dataguard.detectors import catalogue
from dataguard.gate.policies import PolicyLine, policy_path, read_policy
from harness import judge_example

ROOT = Path(__file__).resolve().parent.parent
CODES = ("DG201", "DG202", "DG207", "DG208", "DG209", *(f"DG30{digit}" for digit in range(1, 8)))
AGAINST = ("DG304", "DG306")
"""Those that measure something else beside an earlier run."""
RULES = [kind for kind in catalogue() if kind.rule.code in CODES]
PAGES = ("measures.md", "vectors.md")

Name = tuple[str, str]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> set[Name]:
    """Rule and name of everything that is measured on the examples and on a set with something of each kind."""
    folder = tmp_path_factory.mktemp("measured")
    config = folder / "dataguard.toml"
    config.write_text(measured_set.CONFIG)
    earlier = None
    for number, rules in enumerate((AGAINST, CODES)):
        measured_set.write(folder / f"data{number}", seed=number)
        earlier = dataguard.scan(
            folder / f"data{number}",
            out=folder / f"run{number}",
            rules=rules,
            config=config,
            policy=None,
            against=earlier,
            workers=1,
            secret_file=folder / "secret",
            self_test=False,
        )
    assert earlier is not None
    found = set(earlier.table("measures").select("rule", "name").iter_rows())
    for kind in RULES:
        for example in kind.examples:
            found |= {(kind.rule.code, one.name) for one in judge_example(kind, example).measures}  # type: ignore[arg-type]
    return found


def lines() -> list[PolicyLine]:
    """Those of the shipped policy about these rules' measures."""
    shipped = read_policy(policy_path("release")).lines
    return [line for line in shipped if line.table == "measures" and line.kwargs["rule"] in CODES]


def limited() -> set[Name]:
    """What they limit."""
    return {(line.kwargs["rule"], line.kwargs["name"]) for line in lines()}


def explained() -> set[Name]:
    """What the first column of a table names, under a heading that names the rule."""
    found = set()
    for page in PAGES:
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for section in re.split(r"^#+ ", text, flags=re.MULTILINE):
            heading, _, body = section.partition("\n")
            cells = re.findall(r"^\| (`[^|]+) \|", body, flags=re.MULTILINE)
            names = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
            found |= {(code, name) for code in re.findall(r"DG\d{3}", heading) for name in names}
    return found


def test_every_measure_has_a_limit_and_its_row(measured: set[Name]) -> None:
    assert {code for code, _ in measured} == set(CODES)
    assert measured - limited() == set()
    assert measured - explained() == set()


def test_every_limit_and_row_is_of_something_that_is_measured(measured: set[Name]) -> None:
    assert limited() - measured == set()
    assert explained() - measured == set()


def test_no_limit_of_a_share_lets_every_share_pass() -> None:
    for line in lines():
        low, high = line.kwargs.get("min_value", 0), line.kwargs.get("max_value", 1)
        assert low > 0 or high < 1 or not line.kwargs["name"].endswith(("share", "rate", "ratio")), line


def test_a_set_without_a_single_label_fails_what_says_so_alone(tmp_path: Path) -> None:
    none = pa.table({"text": [f"page {number}" for number in range(20)], "label": pa.nulls(20, pa.string())})
    run = dataguard.scan(none, out=tmp_path / "run", rules=["DG301"], workers=1, self_test=False)
    assert run.verdict is not None
    lines = [line for line in run.verdict["lines"] if line["kwargs"].get("rule") == "DG301"]
    failed = [(line["kwargs"]["name"], line["severity"]) for line in lines if not line["met"]]
    assert failed == [("unlabelled_share", "warning")]

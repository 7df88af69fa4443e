"""Shares of sources and 1/HHI, however sources are named; checked by the definition."""

from __future__ import annotations

import random
from typing import Any

import pytest

from dataguard.detectors.source_dominance import SourceDominance
from dataguard.findings import Judgement
from harness import seen


def met(source: str | None, records: int, column: str = "source") -> dict[str, Any]:
    pattern = f"{column}={source or ''}"
    return {"source": source, "reason": "UNDECLARED_VALUE", "records": records, "pattern": pattern}


def declared(source: str, records: int, pattern: str, size: int | None) -> dict[str, Any]:
    return {"source": source, "reason": "NO_DIGEST", "records": records, "pattern": pattern, "bytes": size}


def judge(*sources: dict[str, Any], rows: int) -> Judgement:
    file = {"file": "a.parquet", "rows_decoded": rows, "status": "read"}
    return SourceDominance().judge(seen({"files": [file], "sources": sources}))


def measures(judgement: Judgement) -> dict[tuple[str, str, str], float]:
    return {(one.name, one.column, one.group): one.value for one in judgement.measures}


@pytest.mark.parametrize("seed", range(5))
def test_the_effective_number_is_that_of_the_definition(seed: int) -> None:
    rng = random.Random(seed)
    counts = [rng.randint(1, 500) for _ in range(rng.randint(1, 40))]
    total = sum(counts)
    found = measures(judge(*[met(f"s{i}", n) for i, n in enumerate(counts)], rows=total))
    hhi = sum((n / total) ** 2 for n in counts)
    assert found["effective_sources", "source", ""] == pytest.approx(1 / hhi, rel=1e-9)
    assert found["top_source_share", "source", ""] == pytest.approx(max(counts) / total)
    assert found["sources", "source", ""] == len(counts)
    assert found["source_share", "source", "s0"] == pytest.approx(counts[0] / total)


def test_each_way_of_naming_sources_is_judged_alone() -> None:
    """Names of files with an equals sign in them are no column; a column's name may have one."""
    judgement = judge(
        declared("web", 95, "part=1/*", 9),
        declared("books", 5, "part=2/*", 9),
        met("a=b", 60, "x=y"),
        met("c", 40, "x=y"),
        declared("mine", 50, "kind=m", None),
        met("other", 50, "kind"),
        rows=100,
    )
    assert judgement.findings.select("column", "group").rows() == [("", "web")]
    found = measures(judgement)
    assert found["sources", "", ""] == found["sources", "x=y", ""] == found["sources", "kind", ""] == 2
    assert found["effective_sources", "kind", ""] == 2


def test_records_without_a_source_are_no_dominance() -> None:
    judgement = judge(met("web", 30), met("books", 1), rows=100)
    assert judgement.findings.is_empty()
    assert measures(judgement)["unnamed_share", "source", ""] == pytest.approx(0.69)


def test_sources_that_are_only_summed_do_not_make_a_set_look_diverse() -> None:
    """The rest of a column with too many values is taken to be of sources as large as the last that is told."""
    listed = [met(f"s{i}", 10) for i in range(20)]
    found = measures(judge(*listed, met(None, 100), rows=300))
    assert found["sources", "source", ""] == 30
    assert found["effective_sources", "source", ""] == pytest.approx(30)
    assert found["unnamed_share", "source", ""] == 0


def test_nothing_to_judge() -> None:
    assert judge(rows=10).not_applicable == "no record names a source"
    assert judge(met("web", 1), rows=0).not_applicable == "no records were read"

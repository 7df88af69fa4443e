"""What is said of groups that stand out: among the others, and since an earlier run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from dataguard.detectors._homogeneity.comparing import NEEDED, Standing, standing
from dataguard.detectors._homogeneity.measures import DIGITS
from dataguard.detectors._homogeneity.sides import EMBEDDINGS, SIDES
from dataguard.findings import JUDGED_FINDINGS, SPAN, Judgement, Measure, Severity, conform

MEASURED = pl.Schema(
    {
        "side": pl.UInt8,
        "column": pl.String,
        "group": pl.String,
        "name": pl.String,
        "value": pl.Float64,
        "n": pl.UInt64,
        "file": pl.UInt32,
        "row": pl.UInt64,
        "span": SPAN,
    }
)
"""Where `name` is not null, a measure of a group; where `row` is not null, a record with the template of a group that
stands out. Where both are null, a group that was looked at."""
HAS_TEMPLATE = "has_template"
"""The share of a group's sample with its commonest template: said in findings, no measure of its own."""
STRONG = 4.0
"""How many times as homogeneous as the others a group is, in the mean, for medium severity: as published floods are."""

Place = tuple[int, str, str]
"""A side, a column and a group."""
Values = Mapping[Place, Mapping[str, float]]


class Placed(NamedTuple):
    """How one side of a group stands."""

    side: int
    column: str
    group: str
    standing: Standing

    @property
    def place(self) -> Place:
        """Without how it stands."""
        return self.side, self.column, self.group


def values_of(table: pl.DataFrame) -> Values:
    """Measures by name, by group.

    Args:
        table: MEASURED.
    """
    found: dict[Place, dict[str, float]] = {}
    columns = ("side", "column", "group", "name", "value")
    for side, column, group, name, value in (
        table.drop_nulls("name").select(columns).sort(columns).iter_rows()
    ):
        found.setdefault((side, column, group), {})[name] = value
    return found


def among_others(values: Values) -> list[Placed]:
    """How each source and label stands among the others of its column."""
    found = []
    for (side, column, group), own in values.items():
        others = [one for place, one in values.items() if place[:2] == (side, column) and place[2] != group]
        stands = standing(own, others) if column else None
        if stands is not None:
            found.append(Placed(side, column, group, stands))
    return found


def since(values: Values, earlier: Sequence[Measure]) -> list[Placed]:
    """How each group stands beside itself in an earlier run.

    Args:
        values: of this run.
        earlier: what that one measured.
    """
    before: dict[tuple[str, str, str], dict[str, float]] = {}
    for one in earlier:
        name, _, its_side = one.name.rpartition("_of_")
        before.setdefault((its_side, one.column, one.group), {})[name] = one.value
    found = []
    for (side, column, group), own in values.items():
        stands = standing(own, [before.get((SIDES[side], column, group), {})])
        if stands is not None:
            found.append(Placed(side, column, group, stands))
    return found


def measures_of(table: pl.DataFrame, placed: Sequence[Placed], records: int) -> Iterator[Measure]:
    """Measures of each group, and the few that are there whatever the set has, for policies.

    Args:
        table: MEASURED.
        placed: the groups that could be compared.
        records: of each group that are measured.
    """
    shown = table.filter(pl.col("name").is_not_null() & (pl.col("name") != HAS_TEMPLATE))
    columns = ("side", "column", "group", "name", "value", "n")
    for side, column, group, name, value, n in shown.select(columns).sort(columns).iter_rows():
        yield Measure(f"{name}_of_{SIDES[side]}", value, n, column, group)
    for one in placed:
        times = round(one.standing.most, DIGITS)
        yield Measure(f"times_the_others_of_{SIDES[one.side]}", times, 1, one.column, one.group)
    most = max((one.standing.most for one in placed), default=1.0)
    yield Measure("out_of_line", round(most, DIGITS), len(placed))
    groups = table.filter((pl.col("column") != "") & pl.col("row").is_null())
    count = groups.select("side", "column", "group").n_unique()
    compared = groups.filter(name=NEEDED).height
    yield Measure("uncompared_share", 1 - compared / count if count else 0.0, count)
    # Embeddings lie close together by nature: of pixels the diversity is that of one form.
    texts = table.filter(pl.col("side") != EMBEDDINGS, column="", name=NEEDED)["value"].to_list()
    if texts:
        yield Measure("diversity", round(min(texts) / records, DIGITS), records)


def measures_since(placed: Sequence[Placed]) -> Iterator[Measure]:
    """How much more homogeneous the group is that became so most."""
    for side in sorted({one.side for one in placed}):
        times = [one.standing.most for one in placed if one.side == side]
        yield Measure(f"times_the_earlier_run_of_{SIDES[side]}", round(max(times), DIGITS), len(times))


def findings_of(placed: Sequence[Placed], values: Values, places: pl.DataFrame) -> pl.DataFrame:
    """A finding for each group, with what is said of its sides.

    Args:
        placed: those that are out of line.
        values: of all groups.
        places: the rows of MEASURED with the records of templates.
    """
    counts = {tuple(key): len(some) for key, some in places.group_by("side", "column", "group")}
    by_group: dict[tuple[str, str], list[Placed]] = {}
    for one in placed:
        by_group.setdefault((one.column, one.group), []).append(one)
    rows = []
    for (column, group), sides in by_group.items():
        said = []
        for one in sides:
            own, side = values[one.place], SIDES[one.side]
            said.append(f"its {side} are up to {_times(one)} those of the others: {_numbers(own, one)}")
            if one.place in counts:
                said.append(f"{own[HAS_TEMPLATE]:.0%} share these words, {counts[one.place]} records in all")
        said.append("a task answered in a few forms looks the same")
        rows.append(_finding(f"{column}\0{group}", sides, "; ".join(said)))
    return _table(rows)


def findings_since(placed: Sequence[Placed], values: Values) -> pl.DataFrame:
    """A finding for each side of a group that became more homogeneous.

    Args:
        placed: these.
        values: of all groups.
    """
    rows = []
    for one in placed:
        whose = f"{'its' if one.column else 'all'} {SIDES[one.side]}"
        said = f"{whose} are up to {_times(one)} in the earlier run: {_numbers(values[one.place], one)}"
        key = f"since\0{one.side}\0{one.column}\0{one.group}"
        rows.append(_finding(key, [one], f"{said}; what was gathered in another way looks the same"))
    return _table(rows)


def _finding(key: str, sides: Sequence[Placed], why: str) -> dict[str, Any]:
    strong = max(one.standing.mean for one in sides) >= STRONG
    return {
        "key": key,
        "score": round(1 - 1 / max(one.standing.most for one in sides), 6),
        "column": sides[0].column,
        "group": sides[0].group,
        "severity": (Severity.MEDIUM if strong else Severity.LOW).value,
        "why": why,
    }


def _table(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    return conform(pl.DataFrame(rows), JUDGED_FINDINGS) if rows else Judgement().findings


def _times(one: Placed) -> str:
    return f"{one.standing.most:.1f} times as homogeneous as"


def _numbers(values: Mapping[str, float], one: Placed) -> str:
    """The measures, and what they are compared with."""
    words = {
        "compression_ratio": "compression",
        "distinct_triples": "distinct runs of three words",
        "vendi_score": "Vendi score",
    }
    middle = one.standing.middle
    return ", ".join(f"{words[name]} {values[name]:.3g} ({middle[name]:.3g})" for name in middle)


def flagged_of(places: pl.DataFrame) -> pl.DataFrame:
    """A row for each record and finding; of several sides the spans under one another.

    Args:
        places: the rows of MEASURED with the records of templates.
    """
    return (
        places.sort("column", "group", "file", "row", "side")
        .group_by("column", "group", "file", "row", maintain_order=True)
        .agg(pl.col("span").list.explode(keep_nulls=False, empty_as_null=False))
        .select(
            "file",
            "row",
            "span",
            key=pl.concat_str("column", pl.lit("\0"), "group"),
            why=pl.lit("has the words that this group's records share"),
        )
    )

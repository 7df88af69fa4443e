"""Pictures of vectors: where a sample lies along two directions, with what a finding is about marked."""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl

from dataguard.report.excerpt import Text, line
from dataguard.report.words import count, percent

SCATTERS = 4
"""Pictures of one page."""
KINDS = {
    "flood_map_share": ("Floods", "nearly the same as others"),
    "hub_map_share": ("Hubs", "hubs"),
    "mixed_map_share": ("Crowds of mixed labels", "of crowds whose labels do not agree"),
    "shift_map_share": ("Shifts", "of a group that stands apart in its label"),
}
"""Measures of what is marked: what the picture is of, and what the marked vectors are."""
AXES = {
    "first": "first principal component",
    "second": "second component",
    "apart": "where a group stands apart",
}
"""What is looked along, and how a picture says so."""
STEP = 10
"""Units of the picture to a cell."""
_LEAST, _GREATEST = 1.5, 6.0
_CELLS = 64
"""Cells along a component at most: what a table of the run says beyond is not drawn."""


@dataclass(frozen=True)
class Dot:
    """Vectors of one cell: the middle and the radius, and whether they are marked."""

    x: float
    y: float
    radius: float
    marked: bool


@dataclass(frozen=True)
class Scatter:
    """A picture with its title, the sentence that says what it shows, and its dots.

    Args:
        id: for anchors and captions.
        column: of the vectors.
        words: the picture in words, to be spoken.
        across: what the horizontal axis is, and
        up: the vertical one.
        width: of the picture, and
        height: in the units of the dots.
    """

    id: str
    title: str
    column: Text
    says: str
    words: str
    across: str
    up: str
    width: int
    height: int
    dots: tuple[Dot, ...]
    more: str = ""


def vectors(measures: pl.DataFrame) -> tuple[Scatter, ...]:
    """A picture for each column of vectors and kind of finding."""
    places = pl.col("group").str.split_exact(" ", 1).struct
    own = measures.filter((pl.col("rule") == "DG209") & pl.col("value").is_between(0, 1, closed="right"))
    cells = own.filter(pl.col("name").is_in(["map_share", *KINDS])).with_columns(
        x=places.field("field_0").cast(pl.Int64, strict=False),
        y=places.field("field_1").cast(pl.Int64, strict=False),
    )
    cells = cells.filter(pl.col("x").is_between(0, _CELLS - 1), pl.col("y").is_between(0, _CELLS - 1))
    cells = cells.sort("column", "name", "y", "x")
    named = [
        (kind, column)
        for kind in KINDS
        for column in cells.filter(pl.col("name") == kind)["column"].unique().sort().to_list()
    ]
    seen = own.filter(pl.col("name") == "component_share")
    drawn = [_scatter(number, kind, column, cells, seen) for number, (kind, column) in enumerate(named)]
    left = len(drawn) - SCATTERS
    if left > 0:
        last = drawn[SCATTERS - 1]
        drawn[SCATTERS - 1] = replace(last, more=f"and {count(left, 'more picture')}")
    return tuple(drawn[:SCATTERS])


def _scatter(number: int, kind: str, column: str, cells: pl.DataFrame, seen: pl.DataFrame) -> Scatter:
    here = cells.filter(pl.col("column") == column)
    whole = here.filter(pl.col("name") == "map_share")
    marked = here.filter(pl.col("name") == kind)
    width, height = (int(here[axis].max()) + 1 for axis in ("x", "y"))  # type: ignore[arg-type]
    greatest, total = float(here["value"].max()), int(here["n"].max())  # type: ignore[arg-type]
    held = round(float(marked["value"].sum()) * total)
    title, are = KINDS[kind]
    shares = dict(seen.filter(pl.col("column") == column).select("group", "value").iter_rows())
    named = {
        name: f"{words} ({percent(shares[name])} of variance)"
        for name, words in AXES.items()
        if name in shares
    }
    return Scatter(
        f"vectors-{number}",
        f"{title} among the vectors of ",
        line(column, 60),
        f"{total:,} sampled vectors, {held:,} of them marked: those {are}. The larger a dot, the more vectors.",
        f"{held:,} of {total:,} vectors are marked. They lie in {count(marked.height, 'place')} of"
        f" {whole.height:,}, {_where(marked, width, height)}.",
        named.get("first", ""),
        named.get("apart", named.get("second", "")),
        width * STEP,
        height * STEP,
        (*_dots(whole, height, greatest, marked=False), *_dots(marked, height, greatest, marked=True)),
    )


def _dots(cells: pl.DataFrame, height: int, greatest: float, *, marked: bool) -> tuple[Dot, ...]:
    """A dot in the middle of each cell, its area by how many it has; upwards is more."""
    found = []
    for x, y, value in cells.select("x", "y", "value").iter_rows():
        radius = round(_LEAST + (_GREATEST - _LEAST) * (value / greatest) ** 0.5, 2)
        found.append(Dot((x + 0.5) * STEP, (height - y - 0.5) * STEP, radius, marked))
    return tuple(found)


def _where(marked: pl.DataFrame, width: int, height: int) -> str:
    """The middle of what is marked, in words."""
    weight = marked["value"] / marked["value"].sum()
    across, up = (
        (float((marked[axis] * weight).sum()) + 0.5) / size for axis, size in (("x", width), ("y", height))
    )
    return f"on average {percent(across)} across and {percent(up)} up"

"""Pictures of sources: how large each is, and how much its records repeat each other."""

from __future__ import annotations

import polars as pl

from dataguard.report.charts import BARS, Bar, Chart, segments
from dataguard.report.excerpt import line
from dataguard.report.words import SEVERITIES, count, percent

COLUMNS = 4
"""Columns of which charts are drawn."""
SIDES = {"inputs": "what is asked or read", "answers": "what is answered"}


def source_shares(measures: pl.DataFrame) -> tuple[Chart, ...]:
    """How the records are spread over the sources, for each way of naming them."""
    ours = measures.filter((pl.col("rule") == "DG303") & pl.col("value").is_finite())
    effective = dict(ours.filter(name="effective_sources").select("column", "value").iter_rows())
    shares = ours.filter(name="source_share")
    charts: list[Chart] = []
    for number, column in enumerate(shares["column"].drop_nulls().unique().sort().to_list()[:COLUMNS]):
        here = shares.filter(column=column).sort("value", "group", descending=[True, False])
        bars = [
            Bar(line(group, 60), segments((("accent", value),), 1), (percent(value),), percent(value))
            for group, value in here.head(BARS).select("group", "value").iter_rows()
        ]
        by = f"by {line(column, 60)}" if column else "by names of files"
        charts.append(
            Chart(
                f"sources-{number}",
                f"Shares of sources, {by}",
                f"As concentrated as {effective.get(column, 0.0):.3g} sources of one size would be.",
                ("Source", "Share"),
                tuple(bars),
                more=_more(here.height - BARS, "source"),
            )
        )
    return tuple(charts)


def homogeneity(measures: pl.DataFrame, findings: pl.DataFrame) -> tuple[Chart, ...]:
    """How diverse the records of each source and label are, the least diverse first; findings in their colour."""
    ours = measures.filter(
        (pl.col("rule") == "DG304") & (pl.col("group") != "") & pl.col("value").is_finite()
    )
    found = findings.filter(rule="DG304").select("column", "group", "severity").unique()
    charts: list[Chart] = []
    for side, words in SIDES.items():
        scores = ours.filter(name=f"vendi_score_of_{side}")
        for column in scores["column"].drop_nulls().unique().sort().to_list()[:COLUMNS]:
            table = _beside(scores.filter(column=column), ours, side)
            table = table.join(
                _of_side(found, ours, side), on=["column", "group"], how="left", maintain_order="left"
            )
            charts.append(_homogeneity(table, f"{line(column, 60)}, {words}", len(charts)))
    return tuple(charts)


def _of_side(found: pl.DataFrame, ours: pl.DataFrame, side: str) -> pl.DataFrame:
    """The groups of findings that are more out of line on this side than on the other."""
    times = ours.filter(pl.col("name").str.starts_with("times_the_others_of_"))
    most = times.sort("value", "name", descending=[True, False]).unique(
        ["column", "group"], keep="first", maintain_order=True
    )
    here = most.filter(pl.col("name").str.ends_with(side)).select("column", "group")
    return found.join(here, on=["column", "group"], how="semi")


def _beside(scores: pl.DataFrame, ours: pl.DataFrame, side: str) -> pl.DataFrame:
    """The groups by their scores, with their compression ratios; null where there is too little text."""
    table = scores.select("column", "group", score="value").sort("score", "group")
    ratios = ours.filter(name=f"compression_ratio_of_{side}").select("column", "group", ratio="value")
    return table.join(ratios, on=["column", "group"], how="left", maintain_order="left")


def _homogeneity(table: pl.DataFrame, what: str, number: int) -> Chart:
    widest = float(table["score"].max())  # type: ignore[arg-type]
    bars = []
    for group, score, ratio, severity in (
        table.head(BARS).select("group", "score", "ratio", "severity").iter_rows()
    ):
        kind = severity if severity in SEVERITIES else "accent"
        numbers = (f"{score:.1f}", "–" if ratio is None else f"{ratio:.2f}")
        bars.append(Bar(line(group, 60), segments(((kind, score),), widest), numbers, f"{score:.1f}"))
    return Chart(
        f"homogeneity-{number}",
        f"Diversity by {what}",
        "As how many records, all unlike, a sample of the same size of each is (Vendi score); beside it how many times "
        "smaller compression makes its text. "
        f"{count(table.height, 'group')}, the least diverse first.",
        ("Group", "Score", "Compression"),
        tuple(bars),
        more=_more(table.height - BARS, "group"),
        track=False,
    )


def _more(number: int, noun: str) -> str:
    return f"and {count(number, 'more ' + noun)}" if number > 0 else ""

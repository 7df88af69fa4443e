"""The status of every source and every record, from names, digests and the ranges that were written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from dataguard.config import Source
from dataguard.findings import SOURCES, UNKNOWN_PROVENANCE, conform
from dataguard.provenance.layers import least
from dataguard.provenance.patterns import matches
from dataguard.provenance.ranges import bounded, merge
from dataguard.provenance.status import PLACEHOLDERS, Status, Verdict

MAX_MET = 10_000
"""So many values that nobody declared are listed, those of the most records; the others are summed."""


@dataclass(frozen=True)
class Provenance:
    """Where the records of a set come from, as far as is known.

    Args:
        sources: the table sources.parquet: declared sources, and values met that nobody declared.
        unknown: the table unknown_provenance.parquet: rows whose provenance is unknown or contradicted.
    """

    sources: pl.DataFrame
    unknown: pl.DataFrame


def assess(
    files: pl.DataFrame, ranges: pl.DataFrame | pl.LazyFrame, declared: Sequence[Source]
) -> Provenance:
    """The status of every source, and the rows whose provenance is not known.

    A file that a pattern matches points all its records at that source. A column that any source is
    declared by points too: every record's value there must be declared. A column of the role source that
    nobody declares by is listed, value by value, and decides nothing. Of several pointers the least counts.

    Args:
        files: the table files.parquet.
        ranges: columns of RANGES, and `file` (u32, number of the file in the set, sorted by name).
        declared: the declared sources.
    """
    digest = pl.when(pl.col("sha256") != "").then("sha256")
    files, ranges = files.sort("file").with_columns(sha256=digest), ranges.lazy()
    values = (
        ranges.filter(pl.col("column") != "")
        .group_by("column", "value")
        .agg(records=pl.col("rows").sum())
        .collect()
        .sort("records", "column", "value", descending=[True, False, False])
    )
    links = [_link(source, files, values) for source in declared]
    met = _met(values, declared)
    read = _read_rows(files, ranges)
    book = _book(links, met)
    by_file = _file_verdicts(files, links, book)
    pieces = least(
        read.with_columns(verdict=by_file.gather(read["file"])), _pointers(ranges, links, met, book)
    )
    return Provenance(_sources(files, read, values, links, met), _unknown(files, pieces, book))


@dataclass(frozen=True)
class _Link:
    """A declared source and what belongs to it.

    Args:
        source: the declaration.
        files: booleans by file: the pattern matches.
        differs: booleans by file: matched, and the digest is none of those declared.
        stated: the verdict of the declaration by itself.
        verdict: the verdict of the source, all checks counted.
    """

    source: Source
    files: pl.Series
    differs: pl.Series
    stated: Verdict
    verdict: Verdict

    @property
    def altered(self) -> Verdict:
        """The verdict of a file whose digest differs."""
        return Verdict.of("DIGEST_DIFFERS", self.source.name)


def _link(source: Source, files: pl.DataFrame, values: pl.DataFrame) -> _Link:
    """Matches one source against files and values, and checks its digests."""
    reasons = [_stated(source)]
    if source.pattern:
        matched = matches(source.pattern, files["file"])
    else:
        matched = pl.repeat(value=False, n=files.height, eager=True)
    digests = files["sha256"].filter(matched)
    differs = matched & ~files["sha256"].is_in(source.sha256).fill_null(value=True)
    if source.sha256:
        absent, undigested = len(set(source.sha256) - set(digests)), digests.null_count()
        reasons += ["DIGEST_DIFFERS"] * bool(differs.any())
        reasons += ["FILE_MISSING"] * (absent > undigested) + ["NOT_DIGESTED"] * bool(undigested)
    else:
        differs &= False
    if not matched.any() and values.filter(_says(source)).is_empty():
        reasons.append("MATCHES_NOTHING")
    verdicts = [Verdict.of(reason, source.name) for reason in reasons]
    return _Link(source, matched, differs, verdicts[0], min(verdicts))


def _stated(source: Source) -> str:
    """What the declaration is worth by itself, as a reason code."""
    licence = source.licence.strip().casefold()
    if licence in PLACEHOLDERS:
        return "PLACEHOLDER_LICENCE" if licence else "NO_LICENCE"
    if source.name.strip().casefold() in PLACEHOLDERS:
        return "PLACEHOLDER_NAME"
    return "NOT_SIGNED" if source.sha256 else "NO_DIGEST"


def _says(source: Source) -> pl.Expr:
    """Whether a column and its value are those that the source is declared by."""
    return (pl.col("column") == source.column) & (pl.col("value") == bounded(source.value))


def _met(values: pl.DataFrame, declared: Sequence[Source]) -> pl.DataFrame:
    """The values that nobody declared, those of the most records first; of each column's rest the sum.

    A column that nobody declares by may say the names of declared sources: these are no news.

    Returns:
        Columns column, value (null for a rest), records.
    """
    pointing = pl.col("column").is_in([source.column for source in declared if source.column])
    named = pl.col("value").is_in([bounded(source.name) for source in declared])
    others = values.drop_nulls("value").filter(pointing | ~named)
    for source in declared:
        others = others.filter(~_says(source))
    rest = (
        others.slice(MAX_MET)
        .group_by("column")
        .agg(value=pl.lit(None, pl.String), records=pl.col("records").sum())
    )
    return pl.concat([others.head(MAX_MET), rest.select(others.columns).sort("column")])


def _read_rows(files: pl.DataFrame, ranges: pl.LazyFrame) -> pl.DataFrame:
    """The rows that were read, as ranges: columns file, first_row, rows.

    Every column of a file tells of the same rows, so one is enough. A file of which no range came back
    (its observer failed) counts with the rows it was decoded to: their sources are not known.
    """
    one = pl.col("column") == pl.col("column").min().over("file")
    told = ranges.filter(one).select(pl.col("file").cast(pl.UInt32), "first_row", "rows").collect()
    silent = (
        files.select(first_row=pl.lit(0, pl.UInt64), rows=pl.col("rows_decoded").fill_null(0))
        .with_row_index("file")
        .filter((pl.col("rows") > 0) & ~pl.col("file").is_in(told["file"].unique().to_list()))
    )
    return merge(pl.concat([told, silent]).sort("file", "first_row"), ["file"])


def _sources(
    files: pl.DataFrame, read: pl.DataFrame, values: pl.DataFrame, links: list[_Link], met: pl.DataFrame
) -> pl.DataFrame:
    """The table sources.parquet. For values of a column, `pattern` says ``column=value``."""
    rows = pl.repeat(0, files.height, dtype=pl.UInt64, eager=True)
    by_file = read.group_by("file").agg(pl.col("rows").sum())
    rows = rows.scatter(by_file["file"], by_file["rows"])
    declared = [
        {
            "source": link.source.name,
            "status": link.verdict.status.name.lower(),
            "reason": link.verdict.reason,
            "records": int(rows.filter(link.files).sum())
            + int(values.filter(_says(link.source))["records"].sum()),
            "bytes": files["size"].filter(link.files).sum() if link.source.pattern else None,
            "pattern": link.source.pattern or f"{link.source.column}={bounded(link.source.value)}",
            "licence": link.source.licence,
            "sha256": " ".join(link.source.sha256),
        }
        for link in links
    ]
    undeclared = met.select(
        source="value",
        status=pl.lit(Status.UNKNOWN.name.lower()),
        reason=pl.lit("UNDECLARED_VALUE"),
        records="records",
        pattern=pl.concat_str("column", pl.lit("="), pl.col("value").fill_null("")),
    )
    table = pl.concat([pl.DataFrame(declared, schema=SOURCES), conform(undeclared, SOURCES)])
    return table.sort("source", "pattern", "licence", "sha256", nulls_last=True)


def _book(links: list[_Link], met: pl.DataFrame) -> list[Verdict]:
    """Every verdict that a record can get, least first, and at the end that of a record without pointer.

    A verdict is then a number, and the least of many verdicts is a minimum.
    """
    possible = {Verdict.of("NULL_POINTER", ""), Verdict.of("UNDECLARED_VALUE", "")}
    possible |= {Verdict.of("UNDECLARED_VALUE", value) for value in met["value"].drop_nulls()}
    possible |= {verdict for link in links for verdict in (link.stated, link.altered)}
    return [*sorted(possible), Verdict.of("NO_SOURCE", "")]


def _file_verdicts(files: pl.DataFrame, links: list[_Link], book: list[Verdict]) -> pl.Series:
    """By file: the least verdict of the sources whose patterns match it, as its place in the book."""
    verdicts = np.full(files.height, len(book) - 1, dtype=np.int64)
    for link in links:
        for which, verdict in ((link.files, link.stated), (link.differs, link.altered)):
            here = which.to_numpy()
            verdicts[here] = np.minimum(verdicts[here], book.index(verdict))
    return pl.Series(verdicts)


def _pointers(
    ranges: pl.LazyFrame, links: list[_Link], met: pl.DataFrame, book: list[Verdict]
) -> list[pl.DataFrame]:
    """For each column that a source is declared by: its ranges with `verdict`, a place in the book."""
    place = {verdict: number for number, verdict in enumerate(book)}
    rest = place[Verdict.of("UNDECLARED_VALUE", "")]
    layers = []
    for column in sorted({link.source.column for link in links} - {""}):
        says: dict[str | None, int] = {None: place[Verdict.of("NULL_POINTER", "")]}
        for value in met.filter(pl.col("column") == column)["value"].drop_nulls():
            says[value] = place[Verdict.of("UNDECLARED_VALUE", value)]
        for link in (link for link in links if link.source.column == column):
            value = bounded(link.source.value)
            says[value] = min(says.get(value, len(book)), place[link.stated])
        code = pl.col("value").replace_strict(
            list(says), list(says.values()), default=rest, return_dtype=pl.Int64
        )
        layer = ranges.filter(pl.col("column") == column).select("file", "first_row", "rows", verdict=code)
        layers.append(layer.collect())
    return layers


def _unknown(files: pl.DataFrame, pieces: pl.DataFrame, book: list[Verdict]) -> pl.DataFrame:
    """The table unknown_provenance.parquet: the pieces whose verdict is below declared."""
    words = pl.DataFrame(
        [(number, *verdict) for number, verdict in enumerate(book) if verdict.status < Status.DECLARED],
        schema={"verdict": pl.Int64, "status": pl.Int64, "reason": pl.String, "source": pl.String},
        orient="row",
    )
    low = merge(pieces.sort("file", "first_row"), ["file", "verdict"]).join(words, on="verdict")
    names = files.select("file").with_row_index("number").select(pl.col("number"), name="file")
    table = low.join(names, left_on="file", right_on="number").with_columns(file="name")
    return table.select(list(UNKNOWN_PROVENANCE)).sort("file", "first_row")

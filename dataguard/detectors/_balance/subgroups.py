"""Counts of records by subgroup and label: written down by batch, summed, and read again as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from dataguard.columns import Role, Roles, is_string
from dataguard.detectors._balance.association import Crossing
from dataguard.detectors._values import LONG, plain
from dataguard.records.batch import Batch
from dataguard.words import words_of

LABELS = 64
"""Values of a label column; one with more tells records apart too finely for rates."""
COLUMNS = 64
"""Columns of a file that are looked at though nobody declared them, the first by name; the others are counted."""
HEAD = 1024
"""Records that mostly show already that a column has too many values."""

DECLARED, KNOWN, INFERRED, TERM, PASSED = "declared", "known", "inferred", "term", "passed"
PROTECTED = frozenset(
    {
        *(
            "age_band",
            "age_group",
            "caste",
            "disability",
            "ethnic_group",
            "ethnicity",
            "gender",
            "marital_status",
        ),
        *("nationality", "native_country", "race", "religion", "sex", "sexual_orientation"),
    }
)
"""Names of columns that say what a person is: these are looked at as if they had been declared."""

CROSSED = pl.Schema(
    {
        "kind": pl.String,
        "target": pl.String,
        "column": pl.String,
        "value": pl.String,
        "label": pl.String,
        "n": pl.UInt64,
        "many": pl.Boolean,
    }
)
"""Counts by value and label, nulls too. A row with `many`: the column or the label has too many values to be counted."""

_BY = ("kind", "target", "column")


def written_down(
    batch: Batch, declared: tuple[str, ...], terms: tuple[str, ...], max_groups: int
) -> pl.DataFrame:
    """The counts of a batch."""
    found = [pl.DataFrame(schema=CROSSED)]
    subjects = list(_subjects(batch, declared, terms, max_groups))
    for target in batch.roles.of(Role.LABEL):
        labels = plain(batch, target)
        its = [one for one in subjects if one[1] != target or one[0] == TERM]
        found.append(_many(target, [(kind, column) for kind, column, values in its if values is None]))
        for kind, column, values in its:
            if values is not None:
                counts = pl.DataFrame({"value": values, "label": labels}).group_by("value", "label").len("n")
                found.append(_named(counts, kind, target, column))
    return fewer(pl.concat(found), max_groups)


def fewer(evidence: pl.DataFrame, max_groups: int) -> pl.DataFrame:
    """The same, summed; of a column with too many values that alone."""
    counts = evidence.group_by(*_BY, "value", "label", "many").agg(pl.col("n").sum())
    many = (
        pl.col("many").any()
        | (pl.col("value").drop_nulls().n_unique() > max_groups)
        | (pl.col("label").drop_nulls().n_unique() > LABELS)
    )
    counts = counts.with_columns(over=many.over(_BY))
    kept = counts.filter(~pl.col("over")).select(CROSSED.names())
    over = counts.filter("over").select(*_BY).unique()
    marks = over.with_columns(
        value=pl.lit(None, pl.String),
        label=pl.lit(None, pl.String),
        n=pl.lit(0, pl.UInt64),
        many=pl.lit(value=True),
    )
    return pl.concat([kept, marks.select(CROSSED.names())]).sort(*_BY, "value", "label")


def _subjects(
    batch: Batch, declared: tuple[str, ...], terms: tuple[str, ...], max_groups: int
) -> Iterator[tuple[str, str, pl.Series | None]]:
    """What records are told apart by: kind, name, and each record's value; None where there are too many."""
    inferred = [name for name in sorting(batch) if name not in declared]
    for name in sorted(set(declared) & set(batch.data.schema.names)):
        yield DECLARED, name, few(batch, name, max_groups)
    protected = [name for name in inferred if _plain_name(name) in PROTECTED]
    others = [name for name in inferred if name not in protected]
    for name in protected:
        yield KNOWN, name, few(batch, name, max_groups)
    for number, name in enumerate(others):
        if number < COLUMNS:
            yield INFERRED, name, few(batch, name, max_groups)
        else:
            yield PASSED, name, None
    if terms:
        yield from _terms(batch, terms)


def _plain_name(name: str) -> str:
    return name.casefold().replace("-", "_").replace(" ", "_").replace(".", "_")


def sorting(batch: Batch) -> list[str]:
    """The columns that may name subgroups though nobody declared them, by name: short words, whole numbers, booleans.

    Texts and measurements are among them until their values are seen; columns that have another role are not.
    """
    texts, features = (set(batch.roles.of(role)) for role in (Role.TEXT, Role.FEATURES))
    others = set(batch.roles.of(*(role for role in Role if role not in (Role.TEXT, Role.FEATURES))))
    found = []
    for field in batch.data.schema:
        name, kind = field.name, field.type
        if is_string(kind):
            fits = name not in features
        elif pa.types.is_integer(kind):
            fits = name in features and name not in texts
        else:
            fits = bool(pa.types.is_boolean(kind)) and name not in features and name not in texts
        if fits and name not in others:
            found.append(name)
    return sorted(found)


def few(batch: Batch, name: str, max_groups: int) -> pl.Series | None:
    """The values of a column of few different ones; None of another, which nobody counts to the end.

    Args:
        batch: the records.
        name: of the column.
        max_groups: with more values it may come as None; whoever sums counts looks again.
    """
    column = batch.data[name]
    if is_string(column.type):
        offsets = np.frombuffer(column.buffers()[1] or b"", np.int64)
        if np.diff(offsets[column.offset : column.offset + len(column) + 1]).max(initial=0) > LONG:
            return None
    head = Batch(batch.data.slice(0, HEAD), batch.first_row, batch.roles)
    if len(batch) > HEAD and plain(head, name).n_unique() > max_groups + 1:
        return None
    return plain(batch, name)


def _terms(batch: Batch, terms: tuple[str, ...]) -> Iterator[tuple[str, str, pl.Series]]:
    """Which records have a term, word by word, in one of their texts."""
    roles = Roles(((Role.TEXT, ("term",)),))
    data = pa.RecordBatch.from_pydict({"term": pa.array(terms, pa.large_string())})
    asked = words_of(Batch(data, 0, roles, batch.secret))
    words = words_of(batch)
    starts = asked.ends - np.diff(asked.ends, prepend=0)
    for term, start, end in zip(terms, starts.tolist(), asked.ends.tolist(), strict=True):
        has = np.zeros(len(batch), np.bool_)
        if len(words) and end > start:
            # A term that begins in one record and ends in the next stands in none: the last word tells.
            at = np.flatnonzero(words.ids == asked.ids[start])
            at = at[at + (end - start) <= len(words.ids)]
            for step in range(1, end - start):
                at = at[words.ids[at + step] == asked.ids[start + step]]
            first = np.searchsorted(words.ends, at, side="right")
            last = np.searchsorted(words.ends, at + (end - start - 1), side="right")
            has[first[first == last]] = True
        yield TERM, term, pl.Series(np.where(has, "with", "without").astype(object), dtype=pl.String)


def _named(counts: pl.DataFrame, kind: str, target: str, column: str) -> pl.DataFrame:
    names = {"kind": kind, "target": target, "column": column}
    literal = {name: pl.lit(value) for name, value in names.items()}
    table = counts.with_columns(pl.col("n").cast(pl.UInt64), **literal, many=pl.lit(value=False))
    return table.select(CROSSED.names())


def _many(target: str, columns: Sequence[tuple[str, str]]) -> pl.DataFrame:
    """Rows for columns, named by kind and name, that have too many values."""
    table = pl.DataFrame(columns, schema={"kind": pl.String, "column": pl.String}, orient="row")
    nothing = {name: pl.lit(None, pl.String) for name in ("value", "label")}
    return table.with_columns(
        **nothing, target=pl.lit(target), n=pl.lit(0, pl.UInt64), many=pl.lit(value=True)
    ).select(CROSSED.names())


@dataclass(frozen=True)
class Subject:
    """What records are told apart by, and how its subgroups and a label go together.

    Args:
        kind: DECLARED, KNOWN, INFERRED or TERM.
        target: the label's column.
        name: of the column, or the term.
        values: the subgroups, sorted.
        labels: sorted.
        crossing: records that have both.
        records: all of them.
        missing: how many have no subgroup.
    """

    kind: str
    target: str
    name: str
    values: tuple[str, ...]
    labels: tuple[str, ...]
    crossing: Crossing
    records: int
    missing: int

    @property
    def named(self) -> bool:
        """Whether somebody declared it, or it is called what a person is."""
        return self.kind != INFERRED

    def thin(self, fewest: int) -> int:
        """Cells of subgroup and label with fewer records."""
        return int((self.crossing.counts < fewest).sum())


def subjects_of(counts: pl.DataFrame) -> Iterator[Subject]:
    """The tables that were counted, by kind, label and name.

    Args:
        counts: of `fewer`, without those of too many values.
    """
    for (kind, target, name), group in counts.group_by(_BY, maintain_order=True):
        both = group.drop_nulls(["value", "label"])
        values = tuple(both["value"].unique().sort().to_list())
        labels = tuple(both["label"].unique().sort().to_list())
        table = np.zeros((len(values), len(labels)), np.int64)
        rows = {value: number for number, value in enumerate(values)}
        columns = {label: number for number, label in enumerate(labels)}
        for value, label, n in both.select("value", "label", "n").iter_rows():
            table[rows[value], columns[label]] = n
        yield Subject(
            str(kind),
            str(target),
            str(name),
            values,
            labels,
            Crossing.of(table),
            int(group["n"].sum()),
            int(group.filter(pl.col("value").is_null())["n"].sum()),
        )

"""Folders ``column=value`` held against the files in them and against each other: incidents of DG507."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import polars as pl

from dataguard.detectors.base import INCIDENTS
from dataguard.evidence import read_parquet
from dataguard.records import Incident
from dataguard.records.partitions import EVIDENCE, Partitions, compact, partitions_of, says_same
from dataguard.safe_text import escape_name, safe_text
from dataguard.scan.context import Context
from dataguard.scan.plan import File, Item
from dataguard.scan.work import HIVE

NAMED = 3
"""Layouts that an incident names."""
TABLES = 100
"""Tables whose folders are told apart one by one."""


def partition_incidents(files: Sequence[File], context: Context) -> pl.DataFrame:
    """What paths say that files contradict, or that readers take in different ways, as INCIDENTS.

    The files count as read all the same: their records are screened as the files have them.

    Args:
        files: all files of the set.
        context: what was read of them.
    """
    told = [*_doubtful(files), *_unlike(files), *_contradicted(context)]
    rows = [("DG507", file.name, incident.row, incident.reason) for file, incident in told]
    return pl.DataFrame(rows, schema=INCIDENTS, orient="row")


def _contradicted(context: Context) -> Iterator[tuple[File, Incident]]:
    """Files that hold another value in a column than their folder says of it, one incident a column."""
    for _, group in groupby(context.items, key=lambda item: item.file.number):
        items = list(group)
        file = items[0].file
        columns = file.partition_columns
        if columns:
            said = partitions_of(file.name)
            assert said is not None
            held = _held(items, context)
            if held is None:
                yield file, Incident("DG507", "what its folders say could not be held against its columns")
                continue
            for name in columns:
                yield from ((file, one) for one in _against(file, name, said, held.filter(column=name)))


def _held(items: Sequence[Item], context: Context) -> pl.DataFrame | None:
    """The first values of the columns in all items that were read; None where one came to nothing else."""
    tables = [pl.DataFrame(schema=EVIDENCE)]
    for item in items:
        if item.rows and context.book.stands(item):
            key = item.partitions_key
            if not context.evidence.has(HIVE, key):
                return None
            table = pl.from_arrow(read_parquet(context.evidence.path(HIVE, key)))
            assert isinstance(table, pl.DataFrame)
            tables.append(table)
    return compact(pl.concat(tables))


def _against(file: File, name: str, said: Partitions, held: pl.DataFrame) -> Iterator[Incident]:
    schema = file.inspection.schema
    assert schema is not None
    path, kind = said.values[name], schema.field(name).type
    for value, told, row in held.select("value", "told", "row").iter_rows():
        if not told or not says_same(path, value, kind):
            own = _shown(value) if told else f"values of {safe_text(kind, limit=80)}"
            yield Incident(
                "DG507",
                f"its folder says {_shown(path)} of column {_shown(name)}, its record {row} says {own}: "
                "many readers take the folder's word, the records here have the file's",
                row,
            )
            return


def _shown(value: str | None) -> str:
    return "nothing (null)" if value is None else f"“{safe_text(value, limit=80)}”"


def _doubtful(files: Sequence[File]) -> Iterator[tuple[File, Incident]]:
    """Ways of writing a path that readers take differently, each told once, at the first file."""
    met: dict[str, list[File]] = {}
    for file in files:
        said = partitions_of(file.name) if file.readable and "=" in file.name else None
        for doubt in said.doubts if said else ():
            met.setdefault(doubt, []).append(file)
    for doubt, having in sorted(met.items()):
        yield having[0], Incident("DG507", f"{doubt} ({len(having)} file(s) like this one)")


def _unlike(files: Sequence[File]) -> Iterator[tuple[File, Incident]]:
    """Tables whose paths do not all name the same columns at the same depth, each told at the first odd file."""
    tables = _tables(files)
    odd = {root: layouts for root, layouts in sorted(tables.items()) if len(layouts) > 1}
    for number, layouts in enumerate(odd.values()):
        # The most frequent first; of equal ones the one whose first file comes first.
        by_size = sorted(layouts.items(), key=lambda one: (-len(one[1]), one[1][0].number))
        if number == TABLES:
            break
        named = "; ".join(f"{_layout(layout)} in {len(found)} file(s)" for layout, found in by_size[:NAMED])
        more = f"; and {len(by_size) - NAMED} other ways" if len(by_size) > NAMED else ""
        others = f" ({len(odd) - TABLES} more tables likewise)" if number == TABLES - 1 < len(odd) - 1 else ""
        yield (
            by_size[1][1][0],
            Incident(
                "DG507",
                f"the paths of this table do not name the same columns: {named}{more}: "
                f"readers of the folder fail, or see other columns and nulls{others}",
            ),
        )


def _tables(files: Sequence[File]) -> dict[bytes, dict[tuple[tuple[str, int], ...], list[File]]]:
    """Files by the folder that readers take for the table, and by the columns that their paths name."""
    tables: dict[bytes, dict[tuple[tuple[str, int], ...], list[File]]] = {}
    plain: list[File] = []
    for file in files:
        if not file.readable:
            continue
        said = partitions_of(file.name) if "=" in file.name else None
        if said is not None and said.parts:
            tables.setdefault(said.root, {}).setdefault(said.layout, []).append(file)
        elif said is None:
            plain.append(file)
    roots = {escape_name(root): layouts for root, layouts in tables.items()}
    for file in plain:
        layouts = roots.get(file.name.rpartition("/")[0])
        if layouts is not None:
            layouts.setdefault((), []).append(file)
    return tables


def _layout(layout: tuple[tuple[str, int], ...]) -> str:
    if not layout:
        return "none"
    shown = ", ".join(f"{_shown(column)} at level {level + 1}" for column, level in layout[:8])
    return shown + (f" and {len(layout) - 8} more" if len(layout) > 8 else "")

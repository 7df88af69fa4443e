"""Provenance: patterns, ranges that do not depend on cuts, and statuses against a record-by-record oracle."""

from __future__ import annotations

import hashlib
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataguard.columns import Role, Roles, resolve
from dataguard.config import Source
from dataguard.findings import FILES, SOURCES, UNKNOWN_PROVENANCE, conform
from dataguard.provenance import PLACEHOLDERS, RANGES, REASONS, Status, assess, compact, matches, observe
from dataguard.provenance.ranges import VALUE_BYTES, bounded
from dataguard.provenance.status import Verdict
from dataguard.records.batch import Batch

MIT = {"licence": "MIT"}


def batch(columns: dict[str, list[Any]], first_row: int = 0, roles: Roles | None = None) -> Batch:
    data = pa.record_batch({name: pa.array(values, pa.large_string()) for name, values in columns.items()})
    return Batch(data, first_row, roles or resolve(data.schema, {"source": ("origin", "site")}))


def cut(columns: dict[str, list[Any]], cuts: list[int]) -> list[Batch]:
    rows = len(next(iter(columns.values())))
    edges = [0, *sorted({at for at in cuts if 0 < at < rows}), rows]
    return [
        batch({name: values[begin:end] for name, values in columns.items()}, begin)
        for begin, end in pairwise(edges)
    ]


def files(**rows: int) -> pl.DataFrame:
    """The table of files, by name and number of rows; a file's SHA-256 is that of its name."""
    known = [{"file": name, "size": 100, "sha256": sha(name), "rows_decoded": n} for name, n in rows.items()]
    return conform(
        pl.DataFrame(known, schema={n: FILES[n] for n in ("file", "size", "sha256", "rows_decoded")}), FILES
    )


def sha(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def gather(*data: dict[str, list[Any]]) -> pl.DataFrame:
    tables = [
        observe(batch(columns)).with_columns(file=pl.lit(n, pl.UInt32)) for n, columns in enumerate(data)
    ]
    return pl.concat(tables) if tables else pl.DataFrame(schema={**RANGES, "file": pl.UInt32})


def register(table: pl.DataFrame) -> list[tuple[Any, ...]]:
    assert table.schema == UNKNOWN_PROVENANCE
    return table.rows()


# Patterns


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("a.parquet", ["a.parquet"], ["b/a.parquet", "aXparquet", "a.parquet2", "xa.parquet"]),
        ("*.parquet", ["a.parquet", ".parquet"], ["b/a.parquet"]),
        ("web/*", ["web/a"], ["web", "web/b/a", "xweb/a"]),
        ("web/**", ["web/a", "web/b/a", "web/"], ["web", "xweb/a"]),
        ("**", ["a", "b/c/a", ""], []),
        ("**/a", ["a", "b/a", "b/c/a"], ["xa", "b/xa", "b/a/c"]),
        ("x/**/a", ["x/a", "x/b/a", "x/b/c/a"], ["xa", "x/xa", "y/x/a"]),
        ("x**/a", ["x/a", "xy/z/a"], ["xa", "y/x/a"]),
        ("a*b*c", ["abc", "aXbXc"], ["a/bc", "ab"]),
        ("[ab]?(c)+$^|\\.{2}", ["[ab]?(c)+$^|\\.{2}"], ["a", "a(c)"]),
        ("a%0Ab", ["a%0Ab"], ["a\nb"]),
        ("é*", ["é", "éa", "é🙂"], ["e"]),
    ],
)
def test_patterns(pattern: str, yes: list[str], no: list[str]) -> None:
    got = matches(pattern, pl.Series([*yes, *no]))
    assert got.to_list() == [True] * len(yes) + [False] * len(no)


@settings(deadline=None)
@given(st.text("ab/*", max_size=8), st.text("ab/", max_size=8))
def test_patterns_agree_with_a_plain_matcher(pattern: str, name: str) -> None:
    def fits(p: int, n: int) -> bool:
        if p == len(pattern):
            return n == len(name)
        begins = p == 0 or pattern[p - 1] == "/"
        if begins and pattern.startswith("**/", p):
            folders = [at + 1 for at in range(n, len(name)) if name[at] == "/"]
            return any(fits(p + 3, at) for at in [n, *folders])
        if pattern.startswith("**", p):
            return any(fits(p + 2, at) for at in range(n, len(name) + 1))
        if pattern[p] == "*":
            end = name.find("/", n) if "/" in name[n:] else len(name)
            return any(fits(p + 1, at) for at in range(n, end + 1))
        return n < len(name) and pattern[p] == name[n] and fits(p + 1, n + 1)

    assert matches(pattern, pl.Series([name])).item() == fits(0, 0)


@pytest.mark.parametrize("pattern", ["*a" * 500, "**a" * 333, "**/" * 333 + "b", "*" * 1000])
def test_patterns_take_linear_time(pattern: str) -> None:
    names = pl.Series(["a" * 4000 + str(n) for n in range(50)])
    begun = time.monotonic()
    matches(pattern, names)
    assert time.monotonic() - begun < 10


# Ranges

VALUES = st.lists(st.sampled_from(["web", "forum", None, "x" * 300, ""]), max_size=40)


def test_ranges_of_one_batch() -> None:
    got = observe(batch({"origin": ["a", "a", None, None, "b"], "text": ["x"] * 5}, first_row=7))
    assert got.schema == RANGES
    assert got.rows() == [("origin", "a", 7, 2), ("origin", None, 9, 2), ("origin", "b", 11, 1)]


def test_a_file_without_a_source_column_is_one_range() -> None:
    assert observe(batch({"text": ["x"] * 5}, first_row=7)).rows() == [("", None, 7, 5)]


def test_no_rows_no_ranges() -> None:
    assert observe(batch({"origin": []})).is_empty()
    assert compact(observe(batch({"origin": []}))).is_empty()


def test_numbers_name_sources_and_lists_do_not() -> None:
    data = pa.record_batch({"origin": pa.array([3, 3, 4]), "site": pa.array([["a"], ["a"], ["b"]])})
    roles = Roles(((Role.SOURCE, ("origin", "site")),))
    assert observe(Batch(data, 0, roles)).rows() == [
        ("origin", "3", 0, 2),
        ("origin", "4", 2, 1),
        ("site", None, 0, 3),
    ]


def test_long_values_are_bounded_and_stay_distinct() -> None:
    one, other = "é" * 150 + "1", "é" * 150 + "2"
    values = observe(batch({"origin": [one, one, other, "short"]}))["value"].to_list()
    assert values == [bounded(one), bounded(other), "short"]
    assert values[0] != values[1]
    assert all(len(value.encode()) <= VALUE_BYTES for value in values)
    assert bounded("x" * VALUE_BYTES) == "x" * VALUE_BYTES


@settings(deadline=None)
@given(VALUES, VALUES, st.lists(st.integers(1, 40)), st.randoms(use_true_random=False))
def test_cuts_and_order_do_not_matter(one: list[Any], other: list[Any], cuts: list[int], random: Any) -> None:
    rows = min(len(one), len(other))
    columns = {"origin": one[:rows], "site": other[:rows]}
    whole = compact(observe(batch(columns)))
    parts = [observe(part) for part in cut(columns, cuts)]
    random.shuffle(parts)
    half = len(parts) // 2
    twice = [compact(pl.concat(some)) for some in (parts[:half], parts[half:]) if some]
    assert compact(pl.concat(parts)).equals(whole)
    assert compact(pl.concat(twice)).equals(whole)
    told = [value for column, value, _, n in whole.rows() if column == "origin" for _ in range(n)]
    assert told == [None if value is None else bounded(value) for value in columns["origin"]]


# Statuses


def test_records_of_a_declared_file_are_declared() -> None:
    got = assess(files(a=3), gather({"text": ["x"] * 3}), [Source(name="web", pattern="*", **MIT)])
    assert got.unknown.is_empty()
    assert got.sources.schema == SOURCES
    assert got.sources.rows() == [("web", "declared", "NO_DIGEST", 3, 100, "*", "MIT", "")]


def test_a_file_that_nothing_matches_is_one_range() -> None:
    ranges = gather({"text": ["x"] * 3}, {"origin": ["p", "q", "q", "p"]})
    got = assess(files(a=3, b=4), ranges, [Source(name="web", pattern="a", **MIT)])
    assert register(got.unknown) == [("b", 0, 4, "", "NO_SOURCE")]


def test_values_of_a_column_that_nobody_declares_by_decide_nothing_but_are_listed() -> None:
    got = assess(files(a=3), gather({"origin": ["p", None, "q"]}), [Source(name="web", pattern="*", **MIT)])
    assert got.unknown.is_empty()
    assert got.sources.select("source", "status", "reason", "records", "pattern").rows() == [
        ("p", "unknown", "UNDECLARED_VALUE", 1, "origin=p"),
        ("q", "unknown", "UNDECLARED_VALUE", 1, "origin=q"),
        ("web", "declared", "NO_DIGEST", 3, "*"),
    ]


def test_a_column_that_nobody_declares_by_may_say_the_names_of_sources() -> None:
    got = assess(files(a=2), gather({"origin": ["web", "q"]}), [Source(name="web", pattern="*", **MIT)])
    assert got.sources["source"].to_list() == ["q", "web"]
    pointing = [Source(name="web", pattern="*", **MIT), Source(name="Q", column="origin", value="q", **MIT)]
    got = assess(files(a=2), gather({"origin": ["web", "q"]}), pointing)
    assert register(got.unknown) == [("a", 0, 1, "web", "UNDECLARED_VALUE")], (
        "a value must be declared as one"
    )


def test_a_column_that_is_declared_by_must_say_a_declared_value_everywhere() -> None:
    declared = [Source(name="P", column="origin", value="p", **MIT), Source(name="all", pattern="*", **MIT)]
    got = assess(files(a=5), gather({"origin": ["p", None, "q", "q", "p"]}), declared)
    assert register(got.unknown) == [("a", 1, 1, "", "NULL_POINTER"), ("a", 2, 2, "q", "UNDECLARED_VALUE")]
    assert got.sources.select("source", "records", "bytes").rows() == [
        ("P", 2, None),
        ("all", 5, 100),
        ("q", 2, None),
    ]


def test_long_declared_values_match() -> None:
    long = "p" * 500
    got = assess(
        files(a=1), gather({"origin": [long]}), [Source(name="P", column="origin", value=long, **MIT)]
    )
    assert got.unknown.is_empty()
    assert got.sources.height == 1


@pytest.mark.parametrize("licence", [*sorted(PLACEHOLDERS), " TODO ", "NOASSERTION"])
def test_a_licence_that_says_nothing_leaves_the_source_unknown(licence: str) -> None:
    got = assess(files(a=2), gather({"text": ["x"] * 2}), [Source(name="web", pattern="*", licence=licence)])
    reason = "PLACEHOLDER_LICENCE" if licence else "NO_LICENCE"
    assert register(got.unknown) == [("a", 0, 2, "web", reason)]
    assert got.sources.select("status", "reason").row(0) == ("unknown", reason)


def test_a_placeholder_for_a_name() -> None:
    got = assess(files(a=2), gather({"text": ["x"] * 2}), [Source(name="TBD", pattern="*", **MIT)])
    assert register(got.unknown) == [("a", 0, 2, "TBD", "PLACEHOLDER_NAME")]


def test_digests_that_hold() -> None:
    declared = [Source(name="web", pattern="*", sha256=(sha("a"), sha("b")), **MIT)]
    got = assess(files(a=1, b=1), gather({"t": ["x"]}, {"t": ["x"]}), declared)
    assert got.unknown.is_empty()
    assert got.sources.select("status", "reason").row(0) == ("declared", "NOT_SIGNED")


def test_only_the_altered_file_is_contradicted() -> None:
    declared = [Source(name="web", pattern="*", sha256=(sha("a"), sha("old b")), **MIT)]
    got = assess(files(a=1, b=2), gather({"t": ["x"]}, {"t": ["x", "y"]}), declared)
    assert register(got.unknown) == [("b", 0, 2, "web", "DIGEST_DIFFERS")]
    assert got.sources.select("status", "reason").row(0) == ("contradicted", "DIGEST_DIFFERS")


def test_a_missing_file_contradicts_the_source_but_not_the_records_that_are_there() -> None:
    declared = [Source(name="web", pattern="*", sha256=(sha("a"), sha("gone")), **MIT)]
    got = assess(files(a=1), gather({"t": ["x"]}), declared)
    assert got.unknown.is_empty()
    assert got.sources.select("status", "reason").row(0) == ("contradicted", "FILE_MISSING")


@pytest.mark.parametrize("sha256", [None, ""])
def test_a_file_without_a_digest_was_not_checked(sha256: str | None) -> None:
    declared = [Source(name="web", pattern="*", sha256=(sha("a"), sha("b")), **MIT)]
    unread = files(a=1, b=0).with_columns(
        sha256=pl.when(pl.col("file") == "b").then(pl.lit(sha256)).otherwise("sha256")
    )
    got = assess(unread, gather({"t": ["x"]}), declared)
    assert got.sources.select("status", "reason").row(0) == ("declared", "NOT_DIGESTED")


def test_a_source_that_matches_nothing_is_said() -> None:
    declared = [Source(name="a", pattern="z", **MIT), Source(name="b", column="origin", value="z", **MIT)]
    got = assess(files(a=1), gather({"origin": ["p"]}), declared)
    assert got.sources.select("source", "reason", "records").rows() == [
        ("a", "MATCHES_NOTHING", 0),
        ("b", "MATCHES_NOTHING", 0),
        ("p", "UNDECLARED_VALUE", 1),
    ]


def test_of_several_pointers_the_least_counts() -> None:
    declared = [
        Source(name="good", pattern="**", **MIT),
        Source(name="vague", pattern="a*"),
        Source(name="wrong", pattern="ab", sha256=(sha("other"),), **MIT),
    ]
    got = assess(files(a=1, ab=1, b=1), gather(*[{"t": ["x"]}] * 3), declared)
    assert register(got.unknown) == [
        ("a", 0, 1, "vague", "NO_LICENCE"),
        ("ab", 0, 1, "wrong", "DIGEST_DIFFERS"),
    ]


def test_a_file_whose_observer_failed_is_unknown_to_columns_but_not_to_patterns() -> None:
    declared = [Source(name="P", column="origin", value="p", **MIT), Source(name="b", pattern="b", **MIT)]
    got = assess(files(a=2, b=2, c=2), gather({"origin": ["p", "p"]}), declared)
    assert register(got.unknown) == [("c", 0, 2, "", "NO_SOURCE")]


def test_rows_that_were_not_read_are_not_there() -> None:
    parts = [observe(batch({"origin": ["q"] * 2}, first)) for first in (0, 5)]
    ranges = pl.concat(parts).with_columns(file=pl.lit(0, pl.UInt32))
    got = assess(files(a=4), ranges, [Source(name="P", column="origin", value="p", **MIT)])
    assert register(got.unknown) == [
        ("a", 0, 2, "q", "UNDECLARED_VALUE"),
        ("a", 5, 2, "q", "UNDECLARED_VALUE"),
    ]


def test_other_files_count_bytes_and_nothing_is_fine() -> None:
    got = assess(files(a=0), gather(), [Source(name="web", pattern="*", **MIT)])
    assert got.sources.select("source", "records", "bytes").rows() == [("web", 0, 100)]
    assert got.unknown.is_empty()
    nothing = assess(files(), gather(), [])
    assert nothing.sources.is_empty()
    assert nothing.unknown.is_empty()


def test_many_values_are_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataguard.provenance.assessment.MAX_MET", 2)
    data = {"origin": ["p", "p", "q", "q", "r", "s"]}
    got = assess(files(a=6), gather(data), [Source(name="T", column="origin", value="t", **MIT)])
    met = got.sources.filter(pl.col("reason") == "UNDECLARED_VALUE")
    assert met.select("source", "records", "pattern").rows() == [
        ("p", 2, "origin=p"),
        ("q", 2, "origin=q"),
        (None, 2, "origin="),
    ]
    assert register(got.unknown) == [
        ("a", 0, 2, "p", "UNDECLARED_VALUE"),
        ("a", 2, 2, "q", "UNDECLARED_VALUE"),
        ("a", 4, 2, "", "UNDECLARED_VALUE"),
    ]


def test_lazy_evidence_is_taken() -> None:
    ranges = gather({"origin": ["q"]})
    declared = [Source(name="P", column="origin", value="p", **MIT)]
    assert assess(files(a=1), ranges.lazy(), declared).unknown.equals(
        assess(files(a=1), ranges, declared).unknown
    )


SOURCE = st.one_of(
    st.builds(
        Source,
        name=st.sampled_from(["S", "T", "todo"]),
        pattern=st.sampled_from(["**", "a", "b*", "z"]),
        licence=st.sampled_from(["MIT", "", "tbd"]),
        sha256=st.sampled_from([(), (sha("a"),), (sha("a"), sha("b")), (sha("other"),)]),
    ),
    st.builds(
        Source,
        name=st.sampled_from(["U", "V"]),
        column=st.sampled_from(["origin", "site"]),
        value=st.sampled_from(["web", "forum"]),
        licence=st.sampled_from(["MIT", ""]),
    ),
)
COLUMN = st.lists(st.sampled_from(["web", "forum", "new", None]), min_size=6, max_size=6)
TABLE = st.dictionaries(st.sampled_from(["origin", "site"]), COLUMN).map(
    lambda found: {**found, "text": ["x"] * 6}
)


def oracle(name: str, record: dict[str, Any], declared: list[Source]) -> Verdict:
    """The verdict of one record, straight from the rule."""
    verdicts = []
    for source in declared:
        if source.pattern and matches(source.pattern, pl.Series([name])).item():
            verdicts.append(stated(source))
            if source.sha256 and sha(name) not in source.sha256:
                verdicts.append(Verdict.of("DIGEST_DIFFERS", source.name))
    for column in {source.column for source in declared if source.column and source.column in record}:
        value = record[column]
        here = [stated(s) for s in declared if s.column == column and s.value == value]
        none = Verdict.of("NULL_POINTER", "") if value is None else Verdict.of("UNDECLARED_VALUE", value)
        verdicts += here or [none]
    return min(verdicts, default=Verdict.of("NO_SOURCE", ""))


def stated(source: Source) -> Verdict:
    if not source.licence:
        return Verdict.of("NO_LICENCE", source.name)
    if source.licence == "tbd":
        return Verdict.of("PLACEHOLDER_LICENCE", source.name)
    if source.name == "todo":
        return Verdict.of("PLACEHOLDER_NAME", source.name)
    return Verdict.of("NOT_SIGNED" if source.sha256 else "NO_DIGEST", source.name)


@settings(max_examples=150, deadline=None)
@given(st.lists(TABLE, min_size=1, max_size=3), st.lists(SOURCE, max_size=4), st.lists(st.integers(1, 6)))
def test_ranges_say_of_every_record_what_the_rule_says(
    tables: Any, declared: list[Source], cuts: list[int]
) -> None:
    names = ["a", "b", "bb"][: len(tables)]
    ranges = pl.concat(
        observe(part).with_columns(file=pl.lit(number, pl.UInt32))
        for number, columns in enumerate(tables)
        for part in cut(columns, cuts)
    )
    got = assess(files(**dict.fromkeys(names, 6)), ranges.sample(fraction=1, shuffle=True, seed=1), declared)
    told = {
        (file, row): (source, reason)
        for file, first, n, source, reason in register(got.unknown)
        for row in range(first, first + n)
    }
    for name, columns in zip(names, tables, strict=True):
        for row in range(6):
            verdict = oracle(name, {column: values[row] for column, values in columns.items()}, declared)
            expected = (verdict.source, verdict.reason) if verdict.status < Status.DECLARED else None
            assert told.get((name, row)) == expected
    keys = got.unknown.select("file", "first_row", "rows", "source", "reason")
    assert keys.equals(keys.sort("file", "first_row"))
    for (f, first, n, *what), (g, second, _, *next_what) in pairwise(register(got.unknown)):
        assert not (f == g and first + n == second and what == next_what), (
            "neighbours that say the same are one"
        )


def test_every_reason_has_words_and_a_line_on_the_page() -> None:
    page = (Path(__file__).parents[1] / "docs" / "provenance.md").read_text(encoding="utf-8")
    lines = [
        [cell.strip(" `") for cell in line.split("|")] for line in page.splitlines() if line.startswith("| `")
    ]
    told = {cells[1]: cells[2] for cells in lines if cells[1].isupper()}
    assert told == {reason: status.name.lower() for reason, (status, _) in REASONS.items()}
    assert all(words and not words.endswith(".") for _, words in REASONS.values())
    assert Status.CONTRADICTED < Status.UNKNOWN < Status.DECLARED < Status.VERIFIED

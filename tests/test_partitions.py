"""Folders `column=value`: what they say never overrides a file's own column silently."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataguard import detectors
from dataguard.config import Config
from dataguard.records.partitions import partitions_of, says_same
from dataguard.run import Run
from dataguard.safe_text import escape_name
from dataguard.scan import scanner
from dataguard.scan.work import HIVE
from dataguard.secret import Secret
from scanning import outputs


def write(root: Path, name: str, **columns: list[Any]) -> None:
    """A Parquet file, its folders made, with a text column beside those given."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = len(next(iter(columns.values()))) if columns else 2
    pq.write_table(
        pa.table({"text": [f"{name} {row}" for row in range(rows)], **columns}), path, row_group_size=2
    )


def scan(data: Path, out: Path, *, rows: int = 65_536, workers: int = 1) -> Run:
    options = scanner.Options(workers=workers, batch_rows=rows, secret=Secret(bytes(32)))
    return scanner.scan([data], out, detectors.select(("DG50", "DG101")), Config(), options=options)


def found(run: Run) -> dict[str, str]:
    """Why, by file, of DG507."""
    table = run.table("findings")
    return {row["group"]: row["why"] for row in table.iter_rows(named=True) if row["rule"] == "DG507"}


AGREES = {
    "text": ("country=de", "country", ["de", "de"]),
    "a quoted value": ("c=a%20b%2Fc", "c", ["a b/c"] * 2),
    "a number with zeros in front": ("month=007", "month", [7, 7]),
    "a float": ("x=1.50", "x", [1.5, 1.5]),
    "a decimal": ("x=1.50", "x", [Decimal("1.500")] * 2),
    "a truth value": ("ok=true", "ok", [True, True]),
    "a day": ("day=2024-01-02", "day", [date(2024, 1, 2)] * 2),
    "a time": ("at=2024-01-02 03%3A04%3A05", "at", [datetime.fromisoformat("2024-01-02T03:04:05")] * 2),
    "no value": ("c=__HIVE_DEFAULT_PARTITION__", "c", pa.nulls(2, pa.string())),
    "empty text": ("c=", "c", ["", ""]),
    "another column": ("Country=de", "country", ["fr", "fr"]),
}


DIFFERS = {
    "text": ("country=de", "country", ["de", "de", "fr"], 2, "“de”", "“fr”"),
    "all of it": ("country=de", "country", ["fr", "fr"], 0, "“de”", "“fr”"),
    "a null": ("country=de", "country", ["de", None], 1, "“de”", "nothing (null)"),
    "a value where there should be none": (
        "c=__HIVE_DEFAULT_PARTITION__", "c", [None, "x"], 1, "nothing (null)", "“x”",
    ),
    "a number": ("year=2024", "year", [2024, 2024, 2024, 2023], 3, "“2024”", "“2023”"),
    "no number": ("year=next", "year", [2024], 0, "“next”", "“2024”"),
    "a number in figures of another script": ("year=٢", "year", [2], 0, "“٢”", "“2”"),
    "an underscore": ("year=2_0", "year", [20], 0, "“2_0”", "“20”"),
    "text that looks like the same number": ("zip=07", "zip", ["7"], 0, "“07”", "“7”"),
    "a day": ("day=2024-01-02", "day", [date(2024, 1, 3)], 0, "“2024-01-02”", "“2024-01-03”"),
    "a path out of the folder": ("a=..%2F", "a", ["x"], 0, "“../”", "“x”"),
    "controls": ("a=%1B%5B2J%0A", "a", ["\x1b\u202e"], 0, "“‹U+001B›[2J‹U+000A›”", "“‹U+001B›‹U+202E›”"),
    "long text": ("a=" + "x" * 250, "a", ["x" * 5000], 0, "“xxx", "“xxx"),
    "more than two zeros": ("x=0", "x", [0.0, -0.0, 0.0, 5.0], 3, "“0”", "“5”"),
    "more than NaN": ("x=nan", "x", [float("nan"), float("nan"), 1.0], 2, "“nan”", "“1”"),
    "values after nulls": (
        "x=__HIVE_DEFAULT_PARTITION__", "x", [None, None, 7], 2, "nothing (null)", "“7”",
    ),
    "half floats": ("x=1", "x", pa.array([1.0, 1.0, 2.0], pa.float16()), 2, "“1”", "“2"),
    "a list": ("a=1", "a", [[1]], 0, "“1”", "values of large_list<element: int64>"),
    "bytes": ("a=1", "a", [b"1"], 0, "“1”", "values of large_binary"),
}  # fmt: skip


BOTH = "both/country=de/year=2024/a.parquet"
TEXTS = {
    "csv/year=2024/a.csv": "text,year\nx,2023\n",
    "jsonl/year=2024/b.jsonl": '{"text": "x", "year": 2023}\n',
}
TWINS = ("twins/c=de/part.jsonl", "twins/c=fr/part.jsonl")
UNLIKE = {
    "other columns": ["country=de/a.parquet", "year=2024/b.parquet"],
    "one more column": ["country=de/a.parquet", "country=de/year=2024/b.parquet"],
    "another order": ["country=de/year=1/a.parquet", "year=1/country=de/b.parquet"],
    "another depth": ["x=1/country=de/a.parquet", "x=1/more/country=de/b.parquet"],
    "a file beside the folders": ["country=de/a.parquet", "b.parquet"],
    "one of four": ["b=1/x.parquet", "a=1/x.parquet", "b=2/x.parquet", "b=3/x.parquet"],
}
ALIKE = {
    "tables side by side": ["train/country=de/a.parquet", "test/year=2024/b.parquet"],
    "a folder of something else": ["country=de/a.parquet", "other/b.parquet"],
    "folders within": ["country=de/a.parquet", "country=fr/deep/b.parquet"],
}
DOUBTS = {
    "a=1/a=2/x.parquet": "says a partition's column twice",
    "a=b=c/x.parquet": "two signs of equality",
    "%61=1/x.parquet": "is quoted",
    "a=%FF/x.parquet": "not UTF-8",
    "=/x.parquet": "",
    "=1/x.parquet": "",
    "a=/x.parquet": "",
    f"a={'y' * 253}/x.parquet": "",
    "a=\x1b[2J\n/x.parquet": "",
}


def write_all(root: Path) -> None:
    """All cases beside each other, each a table of its own."""
    for case, (folder, column, values) in AGREES.items():
        write(root, f"agrees {case}/{folder}/part.parquet", **{column: values})
    for case, (folder, column, values, *_) in DIFFERS.items():
        write(root, f"differs {case}/{folder}/part.parquet", **{column: values})
    write(root, BOTH, country=["de"] * 3, year=[2024, 2024, 1])
    for name, content in [*TEXTS.items(), *((name, '{"text": "x", "c": "de"}\n') for name in TWINS)]:
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text(content)
    for case, names in [*UNLIKE.items(), *ALIKE.items()]:
        for name in names:
            write(root, f"{case}/{name}")
    for number, name in enumerate(DOUBTS):
        write(root, f"doubt {number}/{name}")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("partitions") / "data"
    write_all(root)
    return root


@pytest.fixture(scope="module")
def run(data: Path) -> Run:
    return scan(data, data.parent / "run")


def under(run: Run, folder: str) -> dict[str, str]:
    """Findings of DG507 on files of one case."""
    return {name: why for name, why in found(run).items() if name.startswith(f"{folder}/")}


def test_all_files_are_read(run: Run) -> None:
    assert set(run.table("files")["status"]) == {"read"}
    assert run.info["complete"] is True


@pytest.mark.parametrize("case", AGREES)
def test_a_path_that_says_what_the_file_holds_is_no_finding(run: Run, case: str) -> None:
    assert not under(run, f"agrees {case}")


@pytest.mark.parametrize("case", DIFFERS)
def test_a_file_that_contradicts_its_folder_is_told_with_both_values(run: Run, case: str) -> None:
    folder, column, values, row, said, own = DIFFERS[case]
    ((file, why),) = under(run, f"differs {case}").items()
    assert file == escape_name(f"differs {case}/{folder}/part.parquet".encode())
    assert why.startswith(f"its folder says {said}")
    assert f"column “{column}”" in why
    assert f"its record {row} says {own}" in why
    assert why.isprintable()
    assert len(why) < 400
    flagged = run.table("flagged").join(run.table("findings"), left_on="finding", right_on="id")
    assert flagged.filter(rule="DG507", file=file)["row"].to_list() == [row]
    assert run.table("files").filter(file=file)["rows_decoded"].to_list() == [len(values)]


def test_of_two_columns_that_the_path_names_each_is_held_against_it(run: Run) -> None:
    why = found(run)[BOTH]
    assert "“year”" in why
    assert "“country”" not in why


def test_text_formats_are_held_against_their_folders_too(run: Run) -> None:
    assert TEXTS.keys() <= found(run).keys()


def test_a_record_is_the_same_in_whatever_folder(run: Run) -> None:
    same = run.table("files").filter(pl.col("file").is_in(TWINS))
    assert same["sha256"].n_unique() == 1
    lines = [json.loads(line) for line in run.read("manifest.jsonl").splitlines()]
    roots = {str(line) for line in lines if line.get("name") in TWINS for line in [{**line, "name": ""}]}
    assert len(roots) == 1


def test_equal_bytes_in_two_folders_share_their_evidence_and_not_their_finding(run: Run) -> None:
    assert list(under(run, "twins")) == [TWINS[1]]


@pytest.mark.parametrize("case", UNLIKE)
def test_paths_of_a_table_that_name_other_columns_are_told(run: Run, case: str) -> None:
    ((file, why),) = under(run, case).items()
    assert file in {f"{case}/{name}" for name in UNLIKE[case]}
    assert "do not name the same columns" in why


@pytest.mark.parametrize("case", ALIKE)
def test_other_tables_and_folders_below_are_no_difference(run: Run, case: str) -> None:
    assert not under(run, case)


def test_the_odd_ones_are_those_that_are_fewer(run: Run) -> None:
    ((file, why),) = under(run, "one of four").items()
    assert file == "one of four/a=1/x.parquet"
    assert "“b” at level 1 in 3 file(s); “a” at level 1 in 1 file(s)" in why


@pytest.mark.parametrize("number", range(len(DOUBTS)))
def test_hostile_folders_come_to_an_end_and_doubts_are_told(run: Run, number: int) -> None:
    why = under(run, f"doubt {number}")
    expected = list(DOUBTS.values())[number]
    assert len(why) == bool(expected)
    assert all(expected in one for one in why.values())


def test_findings_do_not_depend_on_batches_workers_or_what_was_kept(
    data: Path, run: Run, tmp_path: Path
) -> None:
    tables = outputs(run.path)
    scan(data, tmp_path / "run", rows=1, workers=2)
    assert outputs(tmp_path / "run") == tables
    scan(data, tmp_path / "run")
    assert outputs(tmp_path / "run") == tables


def test_what_was_not_held_against_its_path_is_not_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "data", "c=de/a.parquet", c=["de"])
    told = scanner.partition_incidents

    def blind(files: Any, context: Any) -> pl.DataFrame:
        has = context.evidence.has
        monkeypatch.setattr(context.evidence, "has", lambda kind, key: kind != HIVE and has(kind, key))
        return told(files, context)

    monkeypatch.setattr(scanner, "partition_incidents", blind)
    (why,) = found(scan(tmp_path / "data", tmp_path / "run")).values()
    assert "could not be held against its columns" in why


@pytest.mark.parametrize(
    ("said", "value", "kind", "same"),
    [
        ("1e2", "100", pa.int64(), True),
        ("1e999999999", "100", pa.int64(), False),
        ("nan", "nan", pa.float64(), True),
        ("nan", "1", pa.float64(), False),
        ("inf", "1", pa.float64(), False),
        ("2024-01-02T00:00:00", "2024-01-02 00:00:00", pa.timestamp("us"), True),
        ("no time", "2024-01-02 00:00:00", pa.timestamp("us"), False),
        ("True", "true", pa.bool_(), True),
        (None, None, pa.int64(), True),
        (None, "1", pa.int64(), False),
        ("1", None, pa.int64(), False),
    ],
)
def test_values_are_compared_as_their_type_has_them(
    said: str | None, value: str | None, kind: pa.DataType, same: bool
) -> None:
    assert says_same(said, value, kind) is same


def test_names_without_partitions_say_nothing() -> None:
    assert partitions_of("a/b.parquet") is None
    assert partitions_of("a=1.parquet") is None
    said = partitions_of("t/a=1/b=x%2520y/p.parquet")
    assert said is not None
    assert said.root == b"t"
    assert said.values == {"a": "1", "b": "x y"}

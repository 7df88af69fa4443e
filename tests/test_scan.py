"""The scan where it could say too much or differ from run to run: broken items, limits, keys, reading again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataguard import detectors
from dataguard.config import Config, Limits
from dataguard.detectors.base import Detector
from dataguard.errors import UsageError
from dataguard.records import Entry, Listing
from dataguard.run import Run
from dataguard.scan import concluding, plan, scanner
from dataguard.scan.context import Book
from dataguard.scan.excerpts import read_again
from dataguard.scan.plan import digest_files
from dataguard.scan.progress import Silent
from dataguard.secret import Secret
from scan_rules import Counts, Kills, Raises, Twice

SECRET = Secret(b"s" * 32)
ROWS = 400


def write(path: Path, texts: Sequence[str], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"text": texts, "label": ["x", "y"] * (len(texts) // 2)}), path, **options)
    return path


def texts(count: int = ROWS) -> list[str]:
    return [f"text number {number} of the set" for number in range(count)]


def look(
    data: Path | list[Path],
    out: Path,
    *rules: Detector,
    limits: Limits | None = None,
    **options: Any,
) -> Run:
    """A scan with few rules, without gate and report."""
    return scanner.scan(
        data if isinstance(data, list) else [data],
        out,
        rules or (Counts(),),
        Config(limits=limits or Limits()),
        options=scanner.Options(**{"workers": 1, "secret": SECRET, **options}),
    )


def ended(run: Run) -> dict[str, tuple[str, str]]:
    return {row["rule"]: (row["outcome"], row["reason"]) for row in run.table("outcomes").to_dicts()}


def statuses(run: Run) -> dict[str, str]:
    return dict(run.table("files").select("file", "status").iter_rows())


def looked(run: Run) -> int:
    names = ("reading and screening", "looking again (2)")
    return sum(stage["items"] for stage in run.info["stages"] if stage["name"] in names)


def test_a_rules_error_is_that_of_its_first_item_whichever_ended_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "ITEM_ROWS", 100)
    write(tmp_path / "data" / "a.parquet", texts(), row_group_size=100)
    run = look(tmp_path / "data", tmp_path / "run", Counts(), Raises(), workers=2)
    assert ended(run) == {"DG990": ("clear", ""), "DG992": ("error", "ValueError: at row 0")}
    assert run.info["complete"] is False
    assert statuses(run) == {"a.parquet": "read"}


def test_an_error_of_an_earlier_place_takes_the_place_of_a_later_one() -> None:
    book = Book()
    for place in [(2, 0), (0, 5), (1, 0), (0, 7)]:
        book.fail("DG990", place, str(place))
    assert book.errors == {"DG990": "(0, 5)"}


def test_how_far_a_broken_row_group_came_decides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "ITEM_ROWS", 1)
    rows = 5_000
    path = write(
        tmp_path / "data" / "a.parquet",
        [f"{number:099}" for number in range(2 * rows)],
        row_group_size=rows,
        compression="none",
        use_dictionary=False,
        data_page_size=20_000,
    )
    group = pq.read_metadata(path).row_group(0).column(0)
    data = bytearray(path.read_bytes())
    at = group.data_page_offset + group.total_compressed_size * 9 // 10
    data[at : at + 200] = b"\xff" * 200  # no length of a string, and no UTF-8
    path.write_bytes(data)
    # More than one of the groups decodes to, less than the whole one and most of the broken one.
    limits = Limits(decoded_bytes=900_000, decoded_ratio=0)
    tables = []
    for batch_rows in (250, 65_536):
        run = look(tmp_path / "data", tmp_path / f"run-{batch_rows}", limits=limits, batch_rows=batch_rows)
        assert statuses(run) == {"a.parquet": "partial"}
        assert ended(run)["DG990"][0] == "incomplete"
        tables.append(run.read("files.parquet"))
    assert tables[0] == tables[1]


def test_a_twin_of_a_file_that_breaks_is_not_called_read(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / "data" / f"{name}.parquet", texts(10))
    assert ended(look(tmp_path / "data", tmp_path / "run"))["DG990"] == ("clear", "")
    run = look(tmp_path / "data", tmp_path / "run", Counts(), Kills())
    assert set(statuses(run).values()) == {"refused"}
    assert {outcome for outcome, _ in ended(run).values()} == {"incomplete"}
    assert run.info["complete"] is False


def test_records_flagged_twice_stand_in_the_order_of_the_judgement(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.parquet", texts())
    run = look(tmp_path / "data", tmp_path / "run", Twice())
    flagged = run.table("flagged")
    assert flagged["row"].to_list() == [row for row in range(ROWS) for _ in range(2)]
    assert flagged["why"].to_list() == [f"reason {(7 * at) % 5}" for at in range(2 * ROWS)]
    assert run.info["counts"]["records_flagged"] == ROWS


def test_a_limit_decides_what_is_read_whatever_was_read_before(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.parquet", [*texts(10), "long " * 2_000, "short"])
    out, low = tmp_path / "run", Limits(cell_bytes=2_000)
    whole = look(tmp_path / "data", out)
    assert (statuses(whole), looked(whole)) == ({"a.parquet": "read"}, 1)
    refused = look(tmp_path / "data", out, Counts(), *detectors.select(("DG504",)), limits=low)
    assert statuses(refused) == {"a.parquet": "refused"}
    assert {code: outcome for code, (outcome, _) in ended(refused).items()} == {
        "DG504": "flagged",
        "DG990": "incomplete",
    }
    # What was refused is looked at again at once where the limit allows it, even in a run that saw it refused first.
    other = tmp_path / "other"
    assert statuses(look(tmp_path / "data", other, limits=low)) == {"a.parquet": "refused"}
    raised = look(tmp_path / "data", other)
    assert (statuses(raised), looked(raised)) == ({"a.parquet": "read"}, 1)


def test_an_option_of_a_rule_judges_again(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.parquet", texts())
    out = tmp_path / "run"
    outcomes = []
    for share in (0.9, 0.4, 0.9):
        rules = detectors.select(("DG301",), {"DG301": {"max_share": share}})
        outcomes.append(ended(look(tmp_path / "data", out, *rules))["DG301"][0])
    assert outcomes == ["clear", "flagged", "clear"]


def test_another_version_of_the_tool_judges_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "data" / "a.parquet", texts(10))
    run = look(tmp_path / "data", tmp_path / "run")
    judged = set((run.path / "evidence" / "judged").iterdir())
    look(tmp_path / "data", tmp_path / "run")
    assert set((run.path / "evidence" / "judged").iterdir()) == judged
    monkeypatch.setattr(concluding, "__version__", "0.0.0+other")
    again = look(tmp_path / "data", tmp_path / "run")
    assert len(set((run.path / "evidence" / "judged").iterdir()) - judged) == 1
    assert looked(again) == 0


def test_planted_folders_and_links_in_the_evidence_are_named_and_removed(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.parquet", texts(10))
    rules = (Counts(), *detectors.select(("DG508",)))
    out = look(tmp_path / "data", tmp_path / "run", *rules).path
    (out / "evidence" / "DG990" / "folder" / "deep").mkdir(parents=True)
    (out / "evidence" / "DG990" / "link.parquet").symlink_to("/dev/zero")
    run = look(tmp_path / "data", out, *rules)
    assert ended(run)["DG508"][0] == "flagged"
    named = " ".join(run.table("flagged")["why"].to_list() + run.table("findings")["why"].to_list())
    assert "DG990/folder" in named
    assert "DG990/link.parquet" in named
    assert ended(look(tmp_path / "data", out, *rules))["DG508"][0] == "clear"


def test_a_damaged_info_of_the_scan_before_stops_only_who_trusts_it(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.parquet", texts(10))
    out = look(tmp_path / "data", tmp_path / "run").path
    info = json.loads((out / "run.json").read_text())
    info["stamps"] = {"a.parquet": [1, 2, "of another version"]}
    (out / "run.json").write_text(json.dumps(info))
    with pytest.raises(UsageError, match="not those of this version"):
        look(tmp_path / "data", out, trust_stat=True)
    (out / "run.json").write_text("{")
    assert statuses(look(tmp_path / "data", out)) == {"a.parquet": "read"}


def test_a_scan_can_be_compared_with_the_one_before_in_its_own_folder(tmp_path: Path) -> None:
    path = write(tmp_path / "data" / "a.parquet", texts(10))
    rules = (Counts(), *detectors.select(("DG501",)))
    first = look(tmp_path / "data", tmp_path / "run", *rules)
    write(path, [*texts(9), "something else"])
    run = look(tmp_path / "data", tmp_path / "run", *rules, against=first)
    assert ended(run)["DG501"][0] == "flagged"
    assert 9 in run.table("flagged")["row"].to_list()


def test_a_run_asked_for_in_the_data_leaves_nothing_there(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.parquet", texts(10))
    with pytest.raises(UsageError, match="outside"):
        look(tmp_path / "data", tmp_path / "data" / "run")
    assert [entry.name for entry in (tmp_path / "data").iterdir()] == ["a.parquet"]


def test_an_interrupt_does_not_wait_for_files_that_are_still_hashed(tmp_path: Path) -> None:
    names = [f"{number:02}.bin" for number in range(20)]
    for name in names[1:]:
        with (tmp_path / name).open("wb") as file:
            file.truncate(1 << 30)
    (tmp_path / names[0]).write_bytes(b"first")

    class Interrupted(Silent):
        @contextmanager
        def stage(self, name: str, total: int) -> Iterator[Callable[[int, int], None]]:
            """Ends at the first file."""

            def advance(items: int, size: int) -> None:
                raise KeyboardInterrupt

            yield advance

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        digest_files(Listing(tmp_path, tuple(Entry(name) for name in names)), {}, 2, Interrupted())
    assert time.monotonic() - begun < 1


def test_a_record_is_only_shown_if_it_is_the_one_that_was_screened(tmp_path: Path) -> None:
    path = write(tmp_path / "data" / "a.parquet", texts(100), row_group_size=30)
    run = look(tmp_path / "data", tmp_path / "run", Twice())
    records = run.table("flagged").unique("row", maintain_order=True)
    wanted = [(r["file"], r["row"], r["record"]) for r in records.to_dicts() if r["row"] in (0, 31, 64, 99)]
    shown = read_again(tmp_path / "data", wanted)
    assert {row: found["text"] for (_, row), found in shown.items()} == {
        row: texts(100)[row] for row in (0, 31, 64, 99)
    }
    swapped = texts(100)
    swapped[31], swapped[64] = swapped[64], "swapped in later"
    write(path, swapped, row_group_size=30)
    assert {row for _, row in read_again(tmp_path / "data", wanted)} == {0, 99}
    path.unlink()
    assert read_again(tmp_path / "data", wanted) == {}


def test_of_two_secrets_made_at_the_same_time_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Secret.load(tmp_path / "secret")
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    with monkeypatch.context() as patched:
        patched.setattr(Path, "exists", lambda self: False)  # as it was for the other one a moment ago
        assert Secret.load(tmp_path / "secret") == first
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_what_a_refused_item_began_to_keep_is_taken_away(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.parquet", texts(4_000))
    whole = (tmp_path / "data" / "a.parquet").read_bytes()
    (tmp_path / "data" / "a.parquet").write_bytes(whole[:40] + bytes(400) + whole[440:])
    options = scanner.Options(workers=1, batch_rows=100, secret=SECRET)
    run = scanner.scan(
        [tmp_path / "data"], tmp_path / "run", detectors.select(("DG102",)), Config(), options=options
    )
    assert statuses(run) != {"a.parquet": "read"}
    assert not list((run.path / "evidence").rglob(".*.tmp"))


def test_a_folder_without_a_file_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    options = scanner.Options(workers=1, secret=SECRET)
    run = scanner.scan([tmp_path / "data"], tmp_path / "run", detectors.select(), Config(), options=options)
    assert all(run.table(name).is_empty() for name in ("files", "findings", "flagged", "clusters"))
    assert set(run.table("outcomes")["outcome"]) <= {"clear", "not-applicable"}

"""A file that moves during a scan is told, and takes no other with it, however alike they were."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dataguard import detectors
from dataguard.config import Config
from dataguard.scan import scanner
from dataguard.secret import Secret

KINDS = ("digests", "roots", "provenance", "inspect", "DG301")
LINES = "".join(f'{{"text": "number {n}"}}\n' for n in range(50))


@pytest.mark.parametrize("after", ["digest_files", "inspect_files"])
@pytest.mark.parametrize("change", ["touch", "remove", "replace by a pipe"])
def test_a_twin_of_a_file_that_moved_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: str, change: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in ("a.jsonl", "b.jsonl", "c.jsonl"):
        (data / name).write_text(LINES)
    step = getattr(scanner, after)

    def moving(*args: Any) -> Any:
        result = step(*args)
        if change == "touch":
            os.utime(data / "a.jsonl", ns=(1, 1))
        else:
            (data / "a.jsonl").unlink()
        if change == "replace by a pipe":
            os.mkfifo(data / "a.jsonl")
        return result

    monkeypatch.setattr(scanner, after, moving)
    run = scanner.scan(
        [data],
        tmp_path / "run",
        detectors.select(("DG50",)),
        Config(),
        options=scanner.Options(workers=1, secret=Secret(bytes(32))),
    )
    files = {row["file"]: row for row in run.table("files").iter_rows(named=True)}
    assert [files[name]["status"] for name in ("a.jsonl", "b.jsonl", "c.jsonl")] == [
        "refused",
        "read",
        "read",
    ]
    assert [files[name]["rows_decoded"] for name in ("a.jsonl", "b.jsonl", "c.jsonl")] == [0, 50, 50]
    flagged = run.table("flagged").join(run.table("findings"), left_on="finding", right_on="id")
    assert [(row["file"], row["rule"]) for row in flagged.iter_rows(named=True)] == [("a.jsonl", "DG505")]
    assert run.info["complete"] is False


@pytest.mark.parametrize("kind", KINDS)
def test_each_piece_of_evidence_is_made_again_on_its_own(tmp_path: Path, kind: str) -> None:
    """A kill may part what one item wrote: a piece stands and its companion does not."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.jsonl").write_text("".join(f'{{"text": "number {n}", "label": {n % 2}}}\n' for n in range(50)))

    def scanned() -> dict[str, bytes]:
        options = scanner.Options(workers=1, secret=Secret(bytes(32)))
        run = scanner.scan(
            [data], tmp_path / "run", detectors.select(("DG3", "DG50")), Config(), options=options
        )
        return {path.name: path.read_bytes() for path in run.path.glob("*.parquet")}

    expected = scanned()
    (piece,) = (tmp_path / "run" / "evidence" / kind).iterdir()
    piece.unlink()
    assert scanned() == expected
    assert piece.exists()

"""What is decoded in worker processes is what a few plain lines decode; what is broken costs only itself."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attest_samples import make_data, plain, records, write
from dataguard.attest import isolated
from dataguard.config import Limits


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data"))


NAMES = ["README.md", "a.parquet", "more/b.parquet", "none.parquet"]


def recomputed(root, names, **options):
    return {now.file.name: now for now in isolated(workers=1, **options)(root, names)}


def test_it_says_what_a_plain_decoder_says(data):
    found = recomputed(data, NAMES)
    assert sorted(found) == NAMES
    for expected in plain(data, NAMES):
        now = found[expected.file.name]
        assert now.file == expected.file
        assert np.array_equal(now.leaves, expected.leaves)
        assert now.leaves_sha256 == expected.leaves_sha256
        assert (now.broken, now.problem, now.moved) == ((), "", False)


def test_broken_files_are_named_and_the_others_go_on(data, tmp_path):
    write(tmp_path / "good.parquet", records(0))
    (tmp_path / "cut.parquet").write_bytes((data / "a.parquet").read_bytes()[:-100])
    (tmp_path / "lines.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    (tmp_path / "bad.jsonl").write_text('{"a": 1}\nnull\n')
    (tmp_path / "link.parquet").symlink_to(data / "a.parquet")
    os.mkfifo(tmp_path / "pipe.parquet")
    names = [
        "bad.jsonl",
        "cut.parquet",
        "gone.parquet",
        "good.parquet",
        "lines.jsonl",
        "link.parquet",
        "pipe.parquet",
    ]
    found = recomputed(tmp_path, names)
    assert sorted(found) == names
    assert [name for name in names if not found[name].problem] == ["good.parquet", "lines.jsonl"]
    assert found["lines.jsonl"].file.rows == 2
    assert "truncated" in found["cut.parquet"].problem


def test_a_broken_page_costs_the_rest_of_its_row_group(tmp_path):
    path = tmp_path / "a.parquet"
    write(path, records(0))
    whole = recomputed(tmp_path, ["a.parquet"])["a.parquet"]
    pq.write_table(records(0), path, row_group_size=100, compression="zstd", write_page_checksum=True)
    metadata = pq.ParquetFile(path).metadata
    column = metadata.row_group(1).column(0)
    data = bytearray(path.read_bytes())
    data[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    path.write_bytes(data)
    now = recomputed(tmp_path, ["a.parquet"])["a.parquet"]
    [broken] = now.broken
    assert (broken.first, broken.rows) == (100, 100)
    assert [root for _, root in now.file.row_groups] == [
        whole.file.row_groups[0][1],
        "",
        whole.file.row_groups[2][1],
    ]
    assert np.array_equal(now.leaves[:100], whole.leaves[:100])
    assert np.array_equal(now.leaves[200:], whole.leaves[200:])
    assert not now.leaves[100:200].any()


def test_a_budget_that_is_exceeded_is_a_problem_and_no_crash(tmp_path):
    pq.write_table(pa.table({"x": [0] * 2_000_000}), tmp_path / "bomb.parquet", row_group_size=500_000)
    write(tmp_path / "good.parquet", records(0))
    limits = replace(Limits(), decoded_bytes=1 << 20, decoded_ratio=1)
    found = recomputed(tmp_path, ["bomb.parquet", "good.parquet"], limits=limits)
    assert "decode" in (found["bomb.parquet"].problem or found["bomb.parquet"].broken[0].reason)
    assert found["good.parquet"].file.rows == 300


def test_many_row_groups_come_back_in_order(tmp_path):
    pq.write_table(records(0, 5_000), tmp_path / "a.parquet", row_group_size=50)
    (tmp_path / "b.jsonl").write_text("".join(json.dumps({"n": n}) + "\n" for n in range(70_000)))
    found = {now.file.name: now for now in isolated(workers=2)(tmp_path, ["a.parquet", "b.jsonl"])}
    [expected] = plain(tmp_path, ["a.parquet"])
    assert found["a.parquet"].file == expected.file
    assert np.array_equal(found["a.parquet"].leaves, expected.leaves)
    assert [rows for rows, _ in found["b.jsonl"].file.row_groups] == [65_536, 70_000 - 65_536]

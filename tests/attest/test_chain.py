"""The chain with a real scan in front: what it screened is what is decoded again, signed and verified."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataguard import detectors
from dataguard.attest import attest, keygen, verify
from dataguard.config import Config, DataSet
from dataguard.errors import RefusedError
from dataguard.scan import scanner
from dataguard.secret import Secret


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chain")
    data = folder / "data"
    (data / "more").mkdir(parents=True)
    numbers = range(1_000)
    table = pa.table(
        {
            "text": pa.array([f"text {n}" for n in numbers]).dictionary_encode(),
            "messages": [[{"role": "user", "content": str(n)}] * (n % 3) for n in numbers],
            "at": pa.array(numbers, pa.timestamp("us", "UTC")),
            "vector": pa.array([[float(n), 0.5] for n in numbers], pa.list_(pa.float32(), 2)),
        }
    )
    pq.write_table(table, data / "a.parquet", row_group_size=300)
    (data / "more" / "b.jsonl").write_text(
        "".join(json.dumps({"text": f"line {n}", "n": n}) + "\n" for n in numbers)
    )
    (data / "größe 100%.txt").write_text("no records here")
    options = scanner.Options(workers=1, secret=Secret.load(folder / "secret"))
    config = Config(dataset=DataSet(name="chain", version="1", purpose="testing"))
    run = scanner.scan([data], folder / "run", detectors.select(("DG202",)), config, options=options)
    return data, run, *keygen(folder / "KEY.pem")


def test_what_was_scanned_is_signed_and_verified(scanned):
    data, run, private, public = scanned
    attestation = attest(run, private)
    result = verify(data, attestation, public)
    assert result.problems == ()
    assert (result.files, result.rows) == (3, 2_000)
    assert result.dataset["purpose"] == "testing"
    lines = data / "more" / "b.jsonl"
    before = lines.read_text()
    lines.write_text(before.replace("line 700", "line X00"))
    kinds = [
        (problem.kind, problem.file, problem.row)
        for problem in verify(data, attestation, public, records=True).problems
    ]
    assert kinds == [("changed", "more/b.jsonl", None), ("row-changed", "more/b.jsonl", 700)]
    with pytest.raises(RefusedError, match=r"more/b\.jsonl changed during or after the scan"):
        attest(run, private)
    lines.write_text(before)

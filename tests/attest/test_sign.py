"""A run is signed only as it was screened: whole, unchanged, with the outcome that it had."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import replace

import polars as pl
import pytest

from attest_samples import make_data, make_run, plain, records, set_info, write
from dataguard.attest import attest
from dataguard.attest.envelope import parse_envelopes
from dataguard.attest.statement import PREDICATE_TYPE, Statement
from dataguard.errors import RefusedError, RunError, UsageError
from dataguard.findings import TABLES
from dataguard.manifest import Manifest, ManifestFile
from dataguard.records import list_files
from dataguard.run import Run


def signed(run):
    [envelope] = parse_envelopes((run.path / "attestation.intoto.jsonl").read_bytes())
    return json.loads(envelope.payload)


def put(run, **values):
    set_info(run, run.info | values)


def row(table, **values):
    return pl.DataFrame([{**dict.fromkeys(TABLES[table]), **values}], schema=TABLES[table])


def test_the_statement_has_the_manifest_as_its_one_subject(attested):
    statement = signed(attested.run)
    manifest = Manifest.parse(attested.run.read("manifest.jsonl"))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == PREDICATE_TYPE
    assert statement["subject"] == [{"name": "manifest.jsonl", "digest": {"sha256": manifest.sha256()}}]
    predicate = statement["predicate"]
    assert predicate["dataset"] == {"name": "sample", "version": "1", "purpose": "training"}
    assert predicate["complete"] is True
    assert predicate["verdict"] is None
    assert predicate["counts"]["files"] == 4
    assert predicate["counts"]["rows"] == 550
    assert predicate["screening"]["screenedRoot"] == manifest.root
    [rule] = predicate["screening"]["rules"]
    assert (rule["rule"], rule["outcome"], rule["version"], rule["rowsSeen"]) == ("DG301", "clear", 1, 550)
    assert predicate["provenance"]["byStatus"] == [
        {"status": "declared", "sources": 1, "records": 550, "bytes": 9}
    ]
    assert predicate["provenance"]["unknownRecords"] == 0
    assert predicate["secretKeyId"] == "0123456789abcdef"


def test_what_is_signed_is_read_back(attested):
    [envelope] = parse_envelopes(attested.attestation.read_bytes())
    statement = Statement.parse(envelope.payload)
    statement.check(Manifest.parse(attested.run.read("manifest.jsonl")))
    assert statement.complete
    assert statement.passed is None


def test_worker_processes_agree(attested, tmp_path):
    sample = attested.copy(tmp_path)
    sample.attestation.unlink()
    assert attest(sample.run, sample.key) == sample.attestation


def swap(sample):
    """Other records of the same size, with the times of the old file."""
    path = sample.data / "a.parquet"
    before = path.stat()
    data = path.read_bytes()
    path.write_bytes(data.replace(b"record number 7 ", b"record number X "))
    assert path.read_bytes() != data
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGED = [
    ("swapped between scan and attest, size and times as before", "a.parquet", swap),
    ("a byte appended", "README.md", lambda s: (s.data / "README.md").write_text("made by a testx\n")),
    ("removed", "more/b.parquet", lambda s: (s.data / "more/b.parquet").unlink()),
    ("emptied", "a.parquet", lambda s: (s.data / "a.parquet").write_bytes(b"")),
    ("added", "new.parquet", lambda s: write(s.data / "new.parquet", records(0))),
    ("hidden and added", ".hidden", lambda s: (s.data / ".hidden").write_bytes(b"")),
    ("renamed", "z.parquet", lambda s: (s.data / "a.parquet").rename(s.data / "z.parquet")),
    ("a link to the same bytes", "a.parquet", lambda s: linked(s.data / "a.parquet")),
    ("a link that was added", "link", lambda s: (s.data / "link").symlink_to("a.parquet")),
]  # fmt: skip


def linked(path):
    path.rename(path.parent.parent / "elsewhere.parquet")
    path.symlink_to(path.parent.parent / "elsewhere.parquet")


@pytest.mark.parametrize(("why", "name", "change"), CHANGED, ids=[case[0] for case in CHANGED])
def test_what_changed_since_the_scan_is_named_and_not_signed(sample, why, name, change):
    sample.attestation.unlink()
    change(sample)
    with pytest.raises(RefusedError, match=rf"file {name} changed during or after the scan"):
        attest(sample.run, sample.key, recompute=plain)
    assert not sample.attestation.exists()


def test_equal_bytes_that_decode_to_other_records_are_not_signed(sample):
    def other_records(root, names):
        for now in plain(root, names):
            yield replace(now, file=replace(now.file, schema_sha256="0" * 64)) if now.file.rows else now

    with pytest.raises(RefusedError, match="two readers disagree"):
        attest(sample.run, sample.key, recompute=other_records)


def test_a_file_that_is_not_read_again_is_not_signed(sample):
    with pytest.raises(RefusedError, match=r"file README\.md was not read again"):
        attest(sample.run, sample.key, recompute=lambda root, names: plain(root, names[1:]))


REFUSED = [
    ("an incomplete run", "incomplete", lambda s: put(s.run, complete=False)),
    ("a file that was not read to the end, whatever run.json says", "incomplete", lambda s: s.run.write_table(
        "files", s.run.table("files").with_columns(status=pl.lit("partial")))),
    ("a file without a status", "incomplete", lambda s: s.run.write_table(
        "files", s.run.table("files").with_columns(status=pl.lit(None, pl.String)))),
    ("a rule that did not end", "DG301", lambda s: s.run.write_table(
        "outcomes", s.run.table("outcomes").with_columns(outcome=pl.lit("error")))),
    ("a run that trusted times", "trust-stat", lambda s: put(s.run, trust_stat=True)),
    ("a run that does not say whether it trusted times", "trust-stat", lambda s: put(s.run, trust_stat=None)),
    ("a file that changed while it was read", "DG505", lambda s: s.run.write_table("findings", row("findings", rule="DG505"))),
    ("planted evidence", "DG508", lambda s: s.run.write_table("findings", row("findings", rule="DG508"))),
    ("a manifest that was edited", "manifest", lambda s: s.run.write("manifest.jsonl", Manifest.of([]).to_bytes())),
    ("a manifest that is none", "manifest", lambda s: s.run.write("manifest.jsonl", b"{}\n")),
    ("another screened root", "manifest", lambda s: put(s.run, screened_root="0" * 64)),
    ("no screened root", "manifest", lambda s: put(s.run, screened_root=None)),
]  # fmt: skip


@pytest.mark.parametrize(("why", "says", "change"), REFUSED, ids=[case[0] for case in REFUSED])
def test_what_is_never_signed(sample, why, says, change):
    sample.attestation.unlink()
    change(sample)
    with pytest.raises(RefusedError, match=says):
        attest(sample.run, sample.key, recompute=plain)
    assert not sample.attestation.exists()


@pytest.mark.parametrize("rule", ["DG505", "DG508"])
def test_these_findings_are_not_even_signed_as_incomplete(sample, rule):
    sample.run.write_table("findings", row("findings", rule=rule))
    put(sample.run, complete=False)
    with pytest.raises(RefusedError, match=rule):
        attest(sample.run, sample.key, recompute=plain, allow_incomplete=True)


def test_an_incomplete_run_is_signed_as_incomplete_when_asked(sample):
    put(sample.run, complete=False)
    attest(sample.run, sample.key, recompute=plain, allow_incomplete=True)
    assert signed(sample.run)["predicate"]["complete"] is False


def test_a_complete_run_stays_complete_when_incomplete_ones_are_allowed(sample):
    attest(sample.run, sample.key, recompute=plain, allow_incomplete=True)
    assert signed(sample.run)["predicate"]["complete"] is True


def verdict(run, **values):
    digest = hashlib.sha256(run.read("findings.parquet")).hexdigest()
    found = {
        "policy": "release",
        "suites": {"copies.json": "1" * 64},
        "tables": {"findings": digest},
        "passed": False,
    }
    run.write(
        "verdict.json", json.dumps({**found, "tasks": {"PW.3.1": "failed"}, "score": 0.5, **values}).encode()
    )


def test_a_failed_verdict_is_signed_with_its_outcome(sample):
    verdict(sample.run)
    attest(sample.run, sample.key, recompute=plain)
    found = signed(sample.run)["predicate"]["verdict"]
    assert found["passed"] is False
    assert found["policy"] == "release"
    assert found["suites"] == {"copies.json": "1" * 64}
    assert found["tasks"] == {"PW.3.1": "failed"}


@pytest.mark.parametrize("tables", [{"findings": "0" * 64}, {"gone": "0" * 64}, {"../run": "0" * 64}])
def test_a_verdict_on_other_tables_is_not_signed(sample, tables):
    verdict(sample.run, tables=tables)
    with pytest.raises(RefusedError, match="another table"):
        attest(sample.run, sample.key, recompute=plain)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"passed":true,"passed":false}', b'{"tables":{},"passed":1}'])
def test_a_verdict_that_is_none_is_not_signed(sample, data):
    sample.run.write("verdict.json", data)
    with pytest.raises(RefusedError):
        attest(sample.run, sample.key, recompute=plain)


def test_edited_leaves_are_not_signed(sample, tmp_path):
    manifest = Manifest.parse(sample.run.read("manifest.jsonl"))
    edited = Manifest(manifest.files, "0" * 64)
    sample.run.write("manifest.jsonl", edited.to_bytes())
    put(sample.run, manifest_sha256=edited.sha256())
    with pytest.raises(RefusedError, match="leaves"):
        attest(sample.run, sample.key, recompute=plain)


@pytest.mark.parametrize(
    ("first", "second"),
    [("x.md", "X.md"), ("caf\u00e9.md", "cafe\u0301.md"), ("a\\b", "c"), ("con.md", "c"), ("a\nb", "c")],
)
def test_names_that_differ_elsewhere_are_not_signed(sample, first, second):
    (sample.data / first).write_text("1")
    (sample.data / second).write_text("2")
    run = make_run_of_names(sample)
    with pytest.raises(RefusedError, match="name"):
        attest(run, sample.key, recompute=plain)


def make_run_of_names(sample):
    entries = list_files([sample.data]).entries
    manifest = Manifest.of(ManifestFile.other(name=one.name, size=1, sha256="0" * 64) for one in entries)
    sample.run.write("manifest.jsonl", manifest.to_bytes())
    put(sample.run, manifest_sha256=manifest.sha256(), screened_root=manifest.root)
    return sample.run


def test_moved_data_is_found_by_its_new_place(sample, tmp_path):
    sample.data.rename(tmp_path / "moved")
    with pytest.raises(RunError, match="--data"):
        attest(sample.run, sample.key, recompute=plain)
    attest(sample.run, sample.key, recompute=plain, data=tmp_path / "moved")


def test_one_file_of_a_folder_is_signed_without_its_neighbours(sample, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(sample.data / "a.parquet", alone)
    run = make_run(tmp_path / "run2", alone)
    put(run, data=["somewhere/a.parquet"])
    (alone / "neighbour.parquet").write_bytes(b"")
    attest(run, sample.key, recompute=plain)
    attest(run, sample.key, recompute=plain, data=alone / "a.parquet")


def test_several_paths_of_a_folder_are_signed_without_their_neighbours(sample, tmp_path):
    run = Run(sample.run.path)
    manifest = Manifest.parse(run.read("manifest.jsonl"))
    fewer = Manifest(tuple(file for file in manifest.files if file.name != "README.md"))
    run.write("manifest.jsonl", fewer.to_bytes())
    run.write_table("files", run.table("files").filter(pl.col("file") != "README.md"))
    given = [str(sample.data / name) for name in ("a.parquet", "more", "none.parquet")]
    put(run, data=given, manifest_sha256=fewer.sha256(), screened_root=fewer.root)
    attest(run, sample.key, recompute=plain)
    (sample.data / "more" / "new").write_bytes(b"")
    with pytest.raises(RefusedError, match="more/new"):
        attest(run, sample.key, recompute=plain)


def test_the_key_comes_first(sample):
    with pytest.raises(RefusedError, match=r"sign with KEY\.pem"):
        attest(sample.run, sample.public, recompute=plain)
    with pytest.raises(UsageError):
        attest(sample.run, sample.run.path / "none.pem", recompute=plain)


def test_an_empty_data_set_can_be_signed(sample, tmp_path):
    (tmp_path / "empty").mkdir()
    run = make_run(tmp_path / "run2", tmp_path / "empty")
    attest(run, sample.key, recompute=plain)
    assert signed(run)["predicate"]["counts"]["files"] == 0


def test_make_data_is_the_same_each_time(tmp_path):
    first, second = make_data(tmp_path / "1"), make_data(tmp_path / "2")
    assert (first / "a.parquet").read_bytes() == (second / "a.parquet").read_bytes()


@pytest.mark.parametrize("key", ["dataset", "reader", "tools", "limits", "root", "data"])
def test_a_run_of_another_version_is_an_error_of_the_run(sample, key):
    info = sample.run.info
    del info[key]
    set_info(sample.run, info)
    with pytest.raises(RunError, match="scan again"):
        attest(sample.run, sample.key)


def test_unknown_limits_are_an_error_of_the_run(sample):
    put(sample.run, limits={"patience": 1})
    with pytest.raises(RunError, match="patience"):
        attest(sample.run, sample.key)


def test_nothing_is_signed_while_a_scan_writes(sample):
    with sample.run.locked(), pytest.raises(RunError, match="another scan"):
        attest(sample.run, sample.key, recompute=plain)

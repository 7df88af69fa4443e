"""Verifying names the file, and with records the row, for whatever was done to a signed data set."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attest_samples import make_run, plain, records, write
from dataguard.attest import attest, envelope, keygen, recompute, verification, verify
from dataguard.attest.envelope import parse_envelopes
from dataguard.attest.keys import load_private
from dataguard.errors import RefusedError, UsageError
from dataguard.manifest import Manifest, ManifestFile
from dataguard.records import open_beneath, sha256


def check(sample, **options):
    return verify(sample.data, sample.attestation, sample.public, recompute=plain, **options)


def said(sample, **options):
    return [(problem.kind, problem.file, problem.row) for problem in check(sample, **options).problems]


@pytest.mark.parametrize("records", [False, True])
def test_untouched_data_is_verified(attested, records):
    result = check(attested, records=records)
    assert result.ok
    assert result.problems == ()
    assert (result.files, result.rows, result.records) == (4, 550, records)
    assert result.dataset == {"name": "sample", "version": "1", "purpose": "training"}
    assert json.loads(json.dumps(result.to_json()))["ok"] is True


def test_by_worker_processes_too(attested):
    assert verify(attested.data, attested.attestation, attested.public, records=True).ok


def test_untouched_copies_are_verified(attested, tmp_path):
    for number in range(20):
        copy = tmp_path / str(number)
        shutil.copytree(attested.data, copy)
        assert verify(copy, attested.attestation, attested.public).ok


def test_the_manifest_may_lie_elsewhere(sample, tmp_path):
    moved = sample.run.path / "manifest.jsonl"
    moved.rename(tmp_path / "m.jsonl")
    with pytest.raises(UsageError, match="manifest"):
        check(sample)
    assert check(sample, manifest=tmp_path / "m.jsonl").ok


def test_one_file_alone(sample, tmp_path):
    shutil.copytree(sample.data / "more", tmp_path / "alone")
    result = verify(tmp_path / "alone" / "b.parquet", sample.attestation, sample.public)
    assert {problem.kind for problem in result.problems} == {
        "missing",
        "renamed",
    }  # its name was more/b.parquet


def edit_row(path, row, text="edited"):
    """Writes the file again with another text in one row."""
    table = pq.read_table(path)
    texts = table["text"].to_pylist()
    texts[row] = text
    write(path, table.set_column(0, "text", pa.array(texts)))


def take(path, rows):
    write(path, pq.read_table(path).take(pa.array(rows)))


def flip(path, at=None, bit=0):
    data = bytearray(path.read_bytes())
    data[len(data) // 3 if at is None else at] ^= 1 << bit
    path.write_bytes(data)


def flip_value(path):
    """A bit of a value of row 142, where nothing but the value changes."""
    data = path.read_bytes()
    flip(path, data.index(b"record number 142 ") + len("record number 14"))


def swap_names(first, second):
    between = first.with_name("between")
    first.rename(between)
    second.rename(first)
    between.rename(second)


def a(sample):
    return sample.data / "a.parquet"


def b(sample):
    return sample.data / "more" / "b.parquet"


A, B = "a.parquet", "more/b.parquet"
ROWS = list(range(300))
TAMPERED = [
    ("a flipped bit of a value", lambda s: flip_value(a(s)), [("changed", A, None)], [("row-changed", A, 142)]),
    ("an edited row", lambda s: edit_row(a(s), 200), [("changed", A, None)], [("row-changed", A, 200)]),
    ("two edited rows in two files", lambda s: (edit_row(a(s), 0), edit_row(b(s), 249)),
     [("changed", A, None), ("changed", B, None)], [("row-changed", A, 0), ("row-changed", B, 249)]),
    ("a removed row", lambda s: take(a(s), ROWS[:17] + ROWS[18:]), [("changed", A, None)], [("row-removed", A, 17)]),
    ("the last row removed", lambda s: take(a(s), ROWS[:-1]), [("changed", A, None)], [("row-removed", A, 299)]),
    ("an added row", lambda s: write(a(s), pa.concat_tables([records(0, 150), records(9000, 1), records(150, 150)])),
     [("changed", A, None)], [("row-added", A, 150)]),
    ("a row added at the end", lambda s: write(a(s), pa.concat_tables([records(0), records(9000, 1)])),
     [("changed", A, None)], [("row-added", A, 300)]),
    ("a row twice", lambda s: take(a(s), [*ROWS, 5]), [("changed", A, None)], [("row-added", A, 300)]),
    ("two rows swapped", lambda s: take(a(s), [*ROWS[:10], 20, *ROWS[11:20], 10, *ROWS[21:]]),
     [("changed", A, None)], [("row-changed", A, 10), ("row-changed", A, 20)]),
    ("all rows the other way round", lambda s: take(a(s), ROWS[::-1]), [("changed", A, None)],
     [("row-changed", A, row) for row in ROWS]),
    ("the same records in other row groups", lambda s: pq.write_table(records(0), a(s)), [("changed", A, None)], []),
    ("a column more", lambda s: write(a(s), records(0).append_column("x", pa.nulls(300, pa.int8()))),
     [("changed", A, None)], [("schema-changed", A, None)]),
    ("edited metadata of the footer", lambda s: write(a(s), records(0).replace_schema_metadata({"a": "b"})),
     [("changed", A, None)], []),
    ("a file of the same size with other records", lambda s: a(s).write_bytes(a(s).read_bytes().replace(b"number 299", b"number 999")),
     [("changed", A, None)], [("row-changed", A, 299)]),
    ("swapped names", lambda s: swap_names(a(s), b(s)), [("renamed", A, None), ("renamed", B, None)], []),
    ("a test set in the place of the training set", lambda s: shutil.copy(b(s), a(s)), [("changed", A, None)], None),
    ("renamed", lambda s: a(s).rename(s.data / "z.parquet"), [("renamed", "z.parquet", None)], []),
    ("renamed to other case", lambda s: a(s).rename(s.data / "A.parquet"), [("renamed", "A.parquet", None)], []),
    ("moved into a folder", lambda s: a(s).rename(s.data / "more" / A), [("renamed", "more/a.parquet", None)], []),
    ("missing", lambda s: a(s).unlink(), [("missing", A, None)], []),
    ("a missing folder", lambda s: shutil.rmtree(s.data / "more"), [("missing", B, None)], []),
    ("extra", lambda s: write(s.data / "x.parquet", records(5)), [("extra", "x.parquet", None)], []),
    ("an extra copy", lambda s: shutil.copy(a(s), s.data / "x.parquet"), [("extra", "x.parquet", None)], []),
    ("extra and empty", lambda s: (s.data / "x").touch(), [("extra", "x", None)], []),
    ("hidden", lambda s: (s.data / ".hidden").write_text("x"), [("extra", ".hidden", None)], []),
    ("hidden in a hidden folder", lambda s: write(s.data / ".git" / "x.parquet", records(5)), [("extra", ".git/x.parquet", None)], []),
    ("what others leave out", lambda s: (s.data / ".gitignore").write_text("*"), [("extra", ".gitignore", None)], []),
    ("an attestation in the data", lambda s: shutil.copy(s.attestation, s.data), [("extra", "attestation.intoto.jsonl", None)], []),
    ("a name of control characters", lambda s: (s.data / "a\n\x1b[2J").touch(), [("extra", "a%0A%1B[2J", None)], []),
    ("a name that is not UTF-8", lambda s: os.close(os.open(os.fsencode(s.data) + b"/\xff", os.O_CREAT)), [("extra", "%FF", None)], []),
    ("a link to a file of the set", lambda s: (s.data / "link").symlink_to(A), [("unreadable", "link", None)], []),
    ("a file replaced by a link to itself elsewhere", lambda s: relinked(a(s)), [("unreadable", A, None)], []),
    ("a folder replaced by a link to itself elsewhere", lambda s: relinked(s.data / "more"), [("unreadable", "more", None), ("missing", B, None)], []),
    ("a link that leads nowhere", lambda s: (s.data / "link").symlink_to("/none"), [("unreadable", "link", None)], []),
    ("a named pipe", lambda s: os.mkfifo(s.data / "pipe"), [("unreadable", "pipe", None)], []),
    ("a named pipe in place of a file", lambda s: (a(s).unlink(), os.mkfifo(a(s))), [("unreadable", A, None)], []),
    ("a folder in place of a file", lambda s: (a(s).unlink(), a(s).mkdir()), [("missing", A, None)], []),
    ("a file of one terabyte, sparse", lambda s: os.truncate(a(s), 1 << 40), [("changed", A, None)], None),
    ("an extra file of one terabyte, sparse", lambda s: ((s.data / "x").touch(), os.truncate(s.data / "x", 1 << 40)), [("extra", "x", None)], []),
    ("emptied", lambda s: a(s).write_bytes(b""), [("changed", A, None)], []),
    ("truncated", lambda s: os.truncate(a(s), 1000), [("changed", A, None)], []),
    ("extended", lambda s: extended(a(s)), [("changed", A, None)], []),
    ("a README edited", lambda s: (s.data / "README.md").write_text("x"), [("changed", "README.md", None)], []),
    ("a hard link to another file of the set", lambda s: (a(s).unlink(), os.link(b(s), a(s))),
     [("changed", A, None), ("hard-link", B, None)], None),
    ("an extra hard link", lambda s: os.link(a(s), s.data / "x"), [("extra", "x", None), ("hard-link", "x", None)], []),
]  # fmt: skip


def relinked(path):
    elsewhere = path.parent.parent / f"elsewhere-{path.name}"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def extended(path):
    path.write_bytes(path.read_bytes() + b"x")


@pytest.mark.parametrize(("why", "tamper", "files", "rows"), TAMPERED, ids=[case[0] for case in TAMPERED])
def test_what_was_done_is_named(sample, why, tamper, files, rows):
    tamper(sample)
    started = time.perf_counter()
    assert said(sample) == files
    assert time.perf_counter() - started < 5
    if rows is not None:
        by_record = said(sample, records=True)
        assert by_record == sorted(
            files + rows, key=lambda problem: (problem[1], problem[2] is not None, problem[2])
        )
    assert not check(sample).ok


@pytest.mark.parametrize("records", [False, True])
def test_a_file_that_cannot_be_read_is_a_problem(sample, monkeypatch, records):
    def deny(root, name):
        if name == A:
            raise PermissionError(13, "Permission denied")
        return open_beneath(root, name)

    monkeypatch.setattr("dataguard.records.files.open_beneath", deny)
    assert said(sample, records=records) == [("unreadable", A, None)]


def test_a_file_that_changes_while_it_is_read_is_a_problem(sample, monkeypatch):
    def swaps(root, name):
        descriptor = open_beneath(root, name)
        if name == A:
            os.utime(a(sample), ns=(1, 1))
        return descriptor

    def moves(descriptor, size):
        if os.fstat(descriptor).st_mtime_ns == 1:
            os.utime(a(sample), ns=(2, 2))
        return sha256(descriptor, size)

    monkeypatch.setattr("dataguard.records.files.open_beneath", swaps)
    monkeypatch.setattr(recompute, "sha256", moves)
    assert said(sample) == [("unreadable", A, None)]


def test_swapped_names_name_each_other(sample):
    swap_names(a(sample), b(sample))
    reasons = {problem.file: problem.reason for problem in check(sample).problems}
    assert reasons == {
        A: "holds the bytes that were signed as more/b.parquet",
        B: "holds the bytes that were signed as a.parquet",
    }


def test_without_leaves_the_row_group_is_named(sample):
    shutil.rmtree(sample.run.path / "leaves")
    edit_row(a(sample), 200)
    result = check(sample, records=True)
    assert [(problem.kind, problem.file) for problem in result.problems] == [("leaves", ""), ("changed", A)]
    assert "row group 2 (rows 200 to 299)" in result.problems[1].reason


def test_planted_leaves_are_not_believed(sample):
    edit_row(a(sample), 200)
    [leaf] = [path for path in (sample.run.path / "leaves").iterdir() if path.stat().st_size == 300 * 16]
    [now] = plain(sample.data, [A])
    leaf.write_bytes(np.ascontiguousarray(now.leaves).tobytes())  # as if row 200 had always been so
    result = check(sample, records=True)
    assert [problem.kind for problem in result.problems] == ["leaves", "changed"]
    assert "row group 2" in result.problems[1].reason


def test_a_page_that_cannot_be_decoded_names_its_rows(sample):
    write(a(sample), records(0))
    flip(
        a(sample), pq.ParquetFile(a(sample)).metadata.row_group(1).column(0).data_page_offset
    )  # the page's header
    result = verify(sample.data, sample.attestation, sample.public, records=True)
    kinds = [(problem.kind, problem.file, problem.row) for problem in result.problems]
    assert kinds == [("changed", A, None), ("row-unreadable", A, 100)]


def test_the_records_are_compared_where_the_bytes_are_equal(attested):
    def others(root, names):
        for now in plain(root, names):
            if now.file.rows:
                object.__setattr__(now, "file", ManifestFile(**{**vars(now.file), "schema_sha256": "1" * 64}))
            yield now

    result = verify(attested.data, attested.attestation, attested.public, records=True, recompute=others)
    assert {problem.kind for problem in result.problems} == {"records-differ"}
    missing = verify(
        attested.data, attested.attestation, attested.public, records=True, recompute=lambda *_: iter(())
    )
    assert {problem.reason for problem in missing.problems} == {"was not decoded"}


def test_a_flood_of_files_is_counted(sample, monkeypatch):
    monkeypatch.setattr(verification, "MAX_NAMED", 100)
    for number in range(105):
        (sample.data / f"flood{number}").touch()
    result = check(sample)
    assert len(result.problems) == 101
    assert result.problems[-1].reason.startswith("105 problems")


def test_random_tampers_are_all_named(attested, tmp_path):
    """R3 of the design, a sample of it: every bit flip, truncation, extension and edit names its file."""
    rng = random.Random(7)
    sample = attested.copy(tmp_path)
    good = {path: path.read_bytes() for path in (a(sample), b(sample), sample.data / "README.md")}
    for _ in range(150):
        path = rng.choice(list(good))
        data = bytearray(good[path])
        match rng.randrange(4):
            case 0:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            case 1:
                del data[rng.randrange(len(data)) :]
            case 2:
                data += rng.randbytes(rng.randrange(1, 50))
            case _:
                at = rng.randrange(len(data))
                data[at : at + 4] = bytes(byte ^ 0x55 for byte in data[at : at + 4])
        path.write_bytes(data)
        assert said(sample) == [("changed", str(path.relative_to(sample.data)), None)]
        path.write_bytes(good[path])
    assert check(sample).ok


# The attestation and the manifest -------------------------------------------------------------------------------


def statement(sample):
    [parsed] = parse_envelopes(sample.attestation.read_bytes())
    return json.loads(parsed.payload)


def sign_again(sample, change, key=None):
    """The statement with a change, signed by the very key that is trusted."""
    found = statement(sample)
    changed = change(found)
    payload = changed if isinstance(changed, bytes) else json.dumps(found).encode()
    sample.attestation.write_bytes(envelope.sign(payload, [load_private(key or sample.key)]))


def put(*path, value):
    def change(found):
        for key in path[:-1]:
            found = found[key]
        found[path[-1]] = value

    return change


def drop(*path):
    def change(found):
        for key in path[:-1]:
            found = found[key]
        del found[path[-1]]

    return change


BAD_STATEMENTS = [
    ("another type of statement", put("_type", value="https://in-toto.io/Statement/v0.1")),
    ("another predicate would be read by other rules", put("predicateType", value="https://slsa.dev/provenance/v1")),
    ("a later version of the predicate", put("predicateType", value="https://dataguard/training-data/v0.2")),
    ("no predicate", drop("predicate")),
    ("no subject", put("subject", value=[])),
    ("two subjects: a verifier could take either", lambda s: s["subject"].append(dict(s["subject"][0]))),
    ("a subject that is no list", lambda s: put("subject", value=s["subject"][0])(s)),
    ("a subject of another name", put("subject", 0, "name", value="a.parquet")),
    ("a subject by a weak digest", put("subject", 0, "digest", value={"sha1": "0" * 40})),
    ("a subject by two digests: which one counts?", put("subject", 0, "digest", "sha512", value="0" * 128)),
    ("a digest in upper case", lambda s: put("subject", 0, "digest", "sha256", value=s["subject"][0]["digest"]["sha256"].upper())(s)),
    ("another manifest", put("subject", 0, "digest", "sha256", value="0" * 64)),
    ("other records than the manifest", put("predicate", "screening", "screenedRoot", value="0" * 64)),
    ("no records", drop("predicate", "screening")),
    ("a root that is null", put("predicate", "screening", "screenedRoot", value=None)),
    ("another number of files", put("predicate", "counts", "files", value=3)),
    ("another number of rows", put("predicate", "counts", "rows", value=551)),
    ("a number that is true", put("predicate", "counts", "files", value=True)),
    ("a number that is a float", put("predicate", "counts", "rows", value=550.0)),
    ("no counts", drop("predicate", "counts")),
    ("other digests of records", put("predicate", "canon", value="dg-row/2")),
    ("complete as a string", put("predicate", "complete", value="true")),
    ("complete left out", drop("predicate", "complete")),
    ("no data set", drop("predicate", "dataset")),
    ("a purpose that is null", put("predicate", "dataset", "purpose", value=None)),
    ("a verdict that is a string", put("predicate", "verdict", value="passed")),
    ("a verdict without an outcome", put("predicate", "verdict", value={})),
    ("a payload that is an array", lambda s: json.dumps([s]).encode()),
    ("a payload that is no JSON", lambda s: b"hello"),
    ("an empty payload", lambda s: b""),
    ("a key twice", lambda s: json.dumps(s).encode()[:-1] + b',"_type":"x"}'),
    ("a key twice deep inside", lambda s: json.dumps(s).encode().replace(b'"complete":', b'"complete": false, "complete":')),
    ("NaN", lambda s: json.dumps(s).encode()[:-1] + b',"x":NaN}'),
    ("200,000 levels", lambda s: json.dumps(s).encode()[:-1] + b',"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    ("an integer of 5,000 digits", lambda s: json.dumps(s).encode()[:-1] + b',"x":' + b"9" * 5_000 + b"}"),
    ("half a surrogate pair", lambda s: json.dumps(s).encode()[:-1] + b',"x":"\\ud800"}'),
]  # fmt: skip


@pytest.mark.parametrize(("why", "change"), BAD_STATEMENTS, ids=[case[0] for case in BAD_STATEMENTS])
def test_a_bad_statement_is_refused_even_if_it_is_signed(sample, why, change):
    sign_again(sample, change)
    started = time.perf_counter()
    with pytest.raises(RefusedError):
        check(sample)
    assert time.perf_counter() - started < 2, why


def test_a_statement_with_more_to_say_is_taken(sample):
    sign_again(sample, put("predicate", "later", value={"x": 1}))
    assert check(sample).ok


def test_an_incomplete_statement_is_a_problem(sample):
    sign_again(sample, put("predicate", "complete", value=False))
    assert said(sample) == [("incomplete", "", None)]


def test_the_outcome_of_the_gate_is_told(sample):
    sign_again(sample, put("predicate", "verdict", value={"passed": False}))
    result = check(sample)
    assert result.ok
    assert result.passed is False


def test_another_key_is_refused(sample, tmp_path):
    other, public = keygen(tmp_path / "other.pem")
    with pytest.raises(RefusedError, match="no valid signature"):
        verify(sample.data, sample.attestation, public)
    sign_again(sample, lambda found: None, key=other)
    with pytest.raises(RefusedError, match="no valid signature"):
        check(sample)


def test_an_ed25519_key_serves_too(sample, tmp_path):
    private, public = keygen(tmp_path / "ed.pem", ed25519=True)
    attest(sample.run, private, recompute=plain)
    assert verify(sample.data, sample.attestation, public).ok
    with pytest.raises(RefusedError, match="no valid signature"):
        verify(sample.data, sample.attestation, sample.public)


def test_the_private_key_is_not_taken_for_the_public_one(sample):
    with pytest.raises(RefusedError, match=r"give KEY\.pem to nobody"):
        verify(sample.data, sample.attestation, sample.key)


def test_several_signatures_of_which_one_is_ours(sample, tmp_path):
    other, _ = keygen(tmp_path / "other.pem")
    [parsed] = parse_envelopes(sample.attestation.read_bytes())
    sample.attestation.write_bytes(
        envelope.sign(parsed.payload, [load_private(other), load_private(sample.key)])
    )
    assert check(sample).ok


def test_two_statements_are_not_chosen_from(sample):
    sample.attestation.write_bytes(sample.attestation.read_bytes() * 2)
    with pytest.raises(RefusedError, match="one statement"):
        check(sample)


def test_a_statement_by_somebody_else_beside_ours_is_refused(sample, tmp_path):
    other, _ = keygen(tmp_path / "other.pem")
    ours = sample.attestation.read_bytes()
    [parsed] = parse_envelopes(ours)
    sample.attestation.write_bytes(ours + envelope.sign(parsed.payload, [load_private(other)]))
    with pytest.raises(RefusedError, match="1 of 2"):
        check(sample)


def test_the_statement_of_another_data_set_is_refused(sample, attested, tmp_path):
    data = tmp_path / "other"
    write(data / "a.parquet", records(7))
    run = make_run(tmp_path / "other-run", data)
    attest(run, sample.key, recompute=plain)
    shutil.copy(run.path / "attestation.intoto.jsonl", sample.attestation)
    with pytest.raises(RefusedError, match="not the one that was signed"):
        check(sample)


def test_an_older_manifest_is_refused(sample):
    older = Manifest(Manifest.parse(sample.run.read("manifest.jsonl")).files[1:])
    sample.run.write("manifest.jsonl", older.to_bytes())
    with pytest.raises(RefusedError, match="not the one that was signed"):
        check(sample)


def with_names(sample, *names):
    """A manifest of these names, signed by the trusted key as if it were true."""
    files = [ManifestFile.other(name=name, size=0, sha256=hashlib.sha256(b"").hexdigest()) for name in names]
    manifest = Manifest(tuple(sorted(files, key=lambda file: file.name.encode())))
    data = manifest.to_bytes()
    sample.run.write("manifest.jsonl", data)

    def change(found):
        found["subject"][0]["digest"]["sha256"] = hashlib.sha256(data).hexdigest()
        found["predicate"]["counts"] = {"files": len(files), "rows": 0, "bytes": 0}
        found["predicate"]["screening"]["screenedRoot"] = manifest.root

    sign_again(sample, change)


def test_the_signer_of_names_signs_good_ones(sample):
    with_names(sample, "x", "y/z")
    assert sorted(said(sample))[-2:] == [("missing", "x", None), ("missing", "y/z", None)]


NAMES = [
    ("out of the folder", ["../x"]),
    ("absolute", ["/etc/passwd"]),
    ("an empty component", ["a//b"]),
    ("a drive", ["C:/x"]),
    ("a NUL", ["a%00b"]),
    ("a newline", ["a%0Ab"]),
    ("a raw newline", ["a\nb"]),
    ("a turned direction", ["a%E2%80%AEb"]),
    ("a device", ["CON"]),
    ("a backslash", ["a\\b"]),
    ("more than 255 bytes", ["x" * 256]),
    ("two compositions of one name", ["caf\u00e9", "cafe\u0301"]),
    ("two cases of one name", ["A", "a"]),
    ("two cases of one folder", ["A/x", "a/y"]),
]


@pytest.mark.parametrize(("why", "names"), NAMES, ids=[case[0] for case in NAMES])
def test_bad_names_are_refused_even_if_they_are_signed(sample, why, names):
    with_names(sample, *names)
    with pytest.raises(RefusedError, match="name"):
        check(sample)


def test_any_flipped_bit_of_the_attestation_is_refused(sample):
    """But in the key id, which is a hint and signed by nobody: there the same statement is verified."""
    good = sample.attestation.read_bytes()
    start = good.index(b'"keyid":')
    hint = range(start, good.index(b'"sig"', start))
    rng = random.Random(3)
    for bit in [*rng.sample(range(len(good) * 8), 150), *range(len(good) * 8 - 8, len(good) * 8)]:
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        sample.attestation.write_bytes(bad)
        try:
            assert check(sample).ok
        except RefusedError:
            continue
        assert bit // 8 in hint, f"bit {bit} of {bytes(bad[max(0, bit // 8 - 20) : bit // 8 + 20])!r}"


def test_any_flipped_bit_of_the_manifest_is_refused(sample):
    good = sample.run.read("manifest.jsonl")
    rng = random.Random(4)
    for bit in rng.sample(range(len(good) * 8), 100):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        sample.run.write("manifest.jsonl", bytes(bad))
        with pytest.raises(RefusedError):
            check(sample)


def test_huge_files_are_refused_unread(sample):
    for path in (sample.attestation, sample.run.path / "manifest.jsonl", sample.public):
        before = path.read_bytes()
        own = sample.run.path / "huge"
        shutil.copy(path, own)
        os.truncate(own, 1 << 30)
        started = time.perf_counter()
        with pytest.raises(RefusedError, match="at most"):
            verify(
                sample.data,
                own if path == sample.attestation else sample.attestation,
                own if path == sample.public else sample.public,
                manifest=own if path.name == "manifest.jsonl" else None,
            )
        assert time.perf_counter() - started < 1
        assert path.read_bytes() == before


@pytest.mark.parametrize("which", ["attestation", "key", "manifest", "data"])
def test_what_does_not_exist_is_the_caller_s_mistake(sample, tmp_path, which):
    given = {"attestation": sample.attestation, "key": sample.public, "manifest": None, "data": sample.data}
    given[which] = tmp_path / "none"
    with pytest.raises(UsageError):
        verify(given.pop("data"), **given)


@pytest.mark.parametrize("which", ["attestation", "key", "manifest"])
def test_a_pipe_is_refused_and_not_waited_for(sample, tmp_path, which):
    os.mkfifo(tmp_path / "pipe")
    given = {"attestation": sample.attestation, "key": sample.public, "manifest": None}
    given[which] = tmp_path / "pipe"
    with pytest.raises(RefusedError, match="regular file"):
        verify(sample.data, **given)

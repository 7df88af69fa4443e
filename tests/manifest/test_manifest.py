"""The manifest has one text; whatever differs from it is refused with its line and the reason."""

from __future__ import annotations

import hashlib
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataguard.errors import RefusedError
from dataguard.manifest import Manifest, ManifestFile
from manifest_samples import hexed, table


def sample() -> Manifest:
    return Manifest.of(
        [
            table("train/b.parquet", [["1", "2"], ["3"]]),
            table("train/a.parquet", [["4"]]),
            table("empty.parquet", []),
            table("größe 100%.jsonl", [["5", "6"]]),
            ManifestFile.other(name="README.md", size=3, sha256=hexed("readme")),
        ],
        leaves_sha256=hexed("leaves"),
    )


def test_what_is_written_is_read_back():
    manifest = sample()
    data = manifest.to_bytes()
    assert Manifest.parse(data) == manifest
    assert Manifest.parse(data).to_bytes() == data
    assert [file.name for file in manifest.files] == [
        "README.md", "empty.parquet", "größe 100%25.jsonl", "train/a.parquet", "train/b.parquet",
    ]  # fmt: skip
    assert (manifest.rows, manifest.size) == (6, 3 + 113 + 116 + 115 + 115)
    assert manifest.sha256() == hashlib.sha256(data).hexdigest()


def test_the_text_is_fixed():
    first, second = (
        Manifest.of([ManifestFile.other(name="a", size=1, sha256="0" * 64)]).to_bytes().splitlines()
    )
    empty = hashlib.sha256(b"").hexdigest()
    entry = bytes(7) + b"\x01" + b"a" + bytes(7) + b"\x01" + bytes(32) + bytes(8) + bytes.fromhex(empty)
    root = hashlib.sha256(b"\x00" + entry).hexdigest()
    assert first.decode() == (
        f'{{"bytes":1,"canon":"dg-row/1","datasetRoot":"{root}","files":1,"format":"dataguard-manifest/1",'
        '"leavesSha256":"","rows":0}'
    )
    assert second.decode() == (
        f'{{"fileRoot":"{empty}","name":"a","rowGroups":[],"rows":0,"schemaSha256":"","sha256":"{"0" * 64}",'
        '"size":1,"source":""}'
    )


def test_order_given_does_not_matter():
    assert (
        Manifest.of(reversed(sample().files), leaves_sha256=hexed("leaves")).to_bytes() == sample().to_bytes()
    )


def test_an_empty_data_set_has_a_manifest():
    assert Manifest.parse(Manifest.of([]).to_bytes()) == Manifest.of([])


def forged(change, *, line: int = 4, honest: bool = True) -> bytes:
    """The sample with one line changed and the header made to agree where it can."""
    lines = [json.loads(text) for text in sample().to_bytes().splitlines()]
    change(lines[line])
    if honest and line:
        lines[0]["rows"] = sum(text["rows"] for text in lines[1:] if isinstance(text["rows"], int))
    return b"".join(
        json.dumps(text, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        for text in lines
    )


def put(**values):
    return lambda line: line.update(values)


def test_the_forger_of_these_tests_writes_good_manifests():
    assert Manifest.parse(forged(lambda line: None)) == sample()


FORGED = [
    ("a size", put(size=1), "header says bytes"),
    ("a negative size", put(size=-1), "integer"),
    ("a size that is a bool", put(size=True), "integer"),
    ("a size that is a float", put(size=1.0), "integer"),
    ("a size that is a string", put(size="1"), "integer"),
    ("a size beyond 63 bits", put(size=9223372036854775808), "integer"),
    ("a digest of the bytes", put(sha256="0" * 64), "datasetRoot"),
    ("a digest in upper case: a second text", put(sha256="A" * 64), "SHA-256"),
    ("a short digest", put(sha256="00"), "SHA-256"),
    ("no digest", put(sha256=""), "SHA-256"),
    ("a digest of other digits", put(sha256="é" * 64), "SHA-256"),
    ("a number of rows", put(rows=7), "row groups"),
    ("a file root", put(fileRoot="0" * 64), "row groups"),
    ("a row group's root", put(rowGroups=[{"root": "0" * 64, "rows": 1}]), "row groups"),
    ("row groups dropped", put(rowGroups=[], rows=0), "row groups"),
    ("a row group that is a list", put(rowGroups=[[1, "0" * 64]]), "objects"),
    ("a row group with more to say", lambda line: line["rowGroups"][0].update(x=1), "objects"),
    ("row groups that are no list", put(rowGroups={}), "list"),
    ("a schema dropped from a table", put(schemaSha256=""), "row groups"),
    ("an unknown key", put(note="x"), "exactly the keys"),
    ("a missing key", lambda line: line.pop("source"), "exactly the keys"),
    ("a source that is null", put(source=None), "string"),
    ("the root bound the old name", put(name="train/a2.parquet"), "datasetRoot"),
    ("out of the folder", put(name="../x"), "component"),
    ("absolute", put(name="/x"), "absolute"),
    ("not escaped", put(name="a\nb"), "escape"),
    ("out of order", put(name="zzz"), "byte order"),
    ("a name that stands twice", put(name="train/b.parquet"), "byte order"),
    ("a name that is a number", put(name=1), "string"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "change", "says"), FORGED, ids=[case[0] for case in FORGED])
def test_a_changed_line_is_refused(why, change, says):
    with pytest.raises(RefusedError, match=says):
        Manifest.parse(forged(change))


@pytest.mark.parametrize(
    ("key", "value"),
    [("files", 4), ("rows", 5), ("bytes", 1), ("datasetRoot", "0" * 64), ("leavesSha256", "x"), ("canon", "dg-row/2"),
     ("format", "dataguard-manifest/2"), ("format", None), ("files", "5"), ("rows", True)],
)  # fmt: skip
def test_a_changed_header_is_refused(key, value):
    with pytest.raises(RefusedError):
        Manifest.parse(forged(put(**{key: value}), line=0, honest=False))


def lines() -> list[bytes]:
    return sample().to_bytes().splitlines(keepends=True)


DATA = [
    ("nothing", b""),
    ("no header", b"\n"),
    ("only a newline after the header", lines()[0] + b"\n"),
    ("cut off", sample().to_bytes()[:-1]),
    ("cut off at a line", b"".join(lines()[:-1])),
    ("a line twice", b"".join([*lines(), lines()[-1]])),
    ("an empty line at the end", sample().to_bytes() + b"\n"),
    ("lines swapped", b"".join([*lines()[:4], lines()[5], lines()[4]])),
    ("Windows line ends", sample().to_bytes().replace(b"\n", b"\r\n")),
    ("a space in between", sample().to_bytes().replace(b",", b", ", 1)),
    ("keys in another order", sample().to_bytes().replace(b'"files":5,"format":"dataguard-manifest/1"', b'"format":"dataguard-manifest/1","files":5')),
    ("a needless escape", sample().to_bytes().replace(b"README", b"\\u0052EADME")),
    ("a key twice", sample().to_bytes().replace(b'"rows":6', b'"rows":6,"rows":6')),
    ("an exponent", sample().to_bytes().replace(b'"rows":6', b'"rows":6e0')),
    ("minus nothing", sample().to_bytes().replace(b'"rows":0', b'"rows":-0')),
    ("a byte order mark", b"\xef\xbb\xbf" + sample().to_bytes()),
    ("200,000 levels", b"[" * 200_000 + b"\n"),
    ("an integer of 5,000 digits", sample().to_bytes().replace(b'"rows":6', b'"rows":' + b"6" * 5_000)),
    ("half a surrogate pair in a name", sample().to_bytes().replace(b"README", b"\\ud800")),
    ("not UTF-8", sample().to_bytes().replace(b"README", b"\xff")),
    ("more than the limit", b" " * ((1 << 28) + 1)),
    ("a line of 40 MB", b'{"bytes":"' + b"x" * 40_000_000 + b'"}\n'),
]  # fmt: skip


@pytest.mark.parametrize(("why", "data"), DATA, ids=[case[0] for case in DATA])
def test_another_text_is_refused_quickly(why, data):
    started = time.perf_counter()
    with pytest.raises(RefusedError):
        Manifest.parse(data)
    assert time.perf_counter() - started < 1, why


@settings(max_examples=300)
@given(st.data())
def test_any_flipped_bit_is_refused_or_another_manifest(data):
    """A flipped bit can at most give the manifest of another source or other leaves, whose digest differs."""
    good = sample().to_bytes()
    bit = data.draw(st.integers(0, len(good) * 8 - 1))
    bad = bytearray(good)
    bad[bit // 8] ^= 1 << bit % 8
    try:
        manifest = Manifest.parse(bytes(bad))
    except RefusedError:
        return
    assert manifest != sample()
    assert manifest.sha256() != sample().sha256()


@pytest.mark.parametrize(
    ("first", "second"),
    [("A/x", "a/y"), ("caf\u00e9", "cafe\u0301"), ("x", "con"), ("x", "C:y"), ("x", "a\\b")],
)
def test_names_that_differ_elsewhere_are_not_signed(first, second):
    manifest = Manifest.of([table(first, [["1"]]), table(second, [["2"]])])
    assert Manifest.parse(manifest.to_bytes()) == manifest  # a scan takes them
    with pytest.raises(RefusedError, match="name"):
        manifest.check_portable()


def test_ordinary_names_are_signed():
    sample().check_portable()


def test_20_000_files_are_read_in_seconds():
    manifest = Manifest.of(table(f"part-{number:06}.parquet", [["x"]]) for number in range(20_000))
    data = manifest.to_bytes()
    started = time.perf_counter()
    assert Manifest.parse(data) == manifest
    assert time.perf_counter() - started < 20

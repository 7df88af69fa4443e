"""A data set in S3, of a server on loopback: scanned, scanned again, changed meanwhile, signed and verified."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataguard import api
from dataguard.errors import DataguardError
from dataguard.records.store_names import Object
from dataguard.records.stores import Store
from dataguard.run import Run
from dataguard.scan import scanner
from scanning import outputs, write_set

server = pytest.importorskip("moto.server", reason="moto[server] is not installed")
boto3 = pytest.importorskip("boto3", reason="boto3, which comes with moto[server], is not installed")

RULES = "DG101,DG301,DG5"
SECRET_KEY = "a-secret-of-the-environment"


class Bucket:
    """A bucket of a server of our own.

    Args:
        client: of boto3.
        name: the bucket.
        place: host and port.
    """

    def __init__(self, client: Any, name: str, place: str) -> None:
        self.client, self.name, self.place = client, name, place
        client.create_bucket(Bucket=name)

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=body)

    def put_all(self, folder: Path, prefix: str) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                self.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())

    def uri(self, prefix: str) -> str:
        return f"s3://{self.name}/{prefix}?endpoint_override={self.place}&scheme=http&region=us-east-1"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Host and port of the server; the environment has credentials for it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("NO_PROXY", "127.0.0.1")
        running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        running.start()
        try:
            yield ":".join(map(str, running.get_host_and_port()))
        finally:
            running.stop()


@pytest.fixture
def bucket(address: str, tmp_path: Path) -> Bucket:
    client = boto3.client("s3", endpoint_url=f"http://{address}", region_name="us-east-1")
    return Bucket(client, f"bucket-{abs(hash(str(tmp_path)))}", address)


def local_set(tmp_path: Path) -> Path:
    """A small set of several formats and folders."""
    data = tmp_path / "local"
    write_set(data / "parts", files=2, rows=60)
    (data / "year=2024").mkdir()
    (data / "year=2024" / "a.jsonl").write_text('{"text": "a text", "year": 2023}\n')
    (data / "b c.csv").write_text("text,label\nfirst,yes\nsecond,no\n")
    (data / "README").write_text("what this is")
    return data


def scan(source: str | Path, out: Path, **options: Any) -> Run:
    secret = out.parent / "secret"
    return api.scan(
        source, out=out, rules=RULES, policy=None, workers=1, self_test=False, secret_file=secret, **options
    )


def found(run: Run, rule: str) -> dict[str, str]:
    table = run.table("findings").filter(rule=rule)
    return dict(table.select("group", "why").iter_rows())


def status(run: Run) -> dict[str, str]:
    return dict(run.table("files").select("file", "status").iter_rows())


def test_a_set_in_a_store_has_the_tables_of_the_same_files_in_a_folder(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = local_set(tmp_path)
    bucket.put_all(data, "some/set")
    bucket.put("some/settle/other.csv", b"text\nnot of the set\n")
    here, there = scan(data, tmp_path / "here"), scan(bucket.uri("some/set"), tmp_path / "there")
    expected = outputs(here.path)
    assert outputs(there.path) == expected
    assert "year=2024/a.jsonl" in found(there, "DG507")
    assert there.info["store"] == bucket.uri("some/set")
    assert there.info["objects"].keys() == set(status(there))
    assert all("etag" in dict(marks) for _, _, marks in there.info["objects"].values())
    written = b"".join(path.read_bytes() for path in there.path.rglob("*") if path.is_file())
    assert SECRET_KEY.encode() not in written

    # Interrupted, when all is fetched and nothing read: the same command goes on.
    with monkeypatch.context() as patch:
        patch.setattr(scanner, "inspect_files", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            scan(bucket.uri("some/set"), tmp_path / "cut")
    assert outputs(scan(bucket.uri("some/set"), tmp_path / "cut").path) == expected

    # Again: all is fetched, nothing is decoded, as the bytes are those that there is evidence of.
    fetched = _count_copies(monkeypatch)
    again = scan(bucket.uri("some/set"), tmp_path / "there")
    assert outputs(again.path) == expected
    assert sorted(fetched) == sorted(status(again))
    assert "reading and screening" not in {stage["name"] for stage in again.info["stages"]}
    assert again.info["trust_stat"] is False

    # Trusted by tag, length and time, which the user asked for and the run says: nothing is fetched.
    fetched.clear()
    trusted = scan(bucket.uri("some/set"), tmp_path / "there", trust_stat=True)
    assert outputs(trusted.path) == expected
    assert fetched == []
    assert trusted.info["trust_stat"] is True
    bucket.put("some/set/b c.csv", b"text,label\nFirst,yes\nsecond,no\n")
    scan(bucket.uri("some/set"), tmp_path / "there", trust_stat=True)
    assert fetched == ["b c.csv"]


def test_an_object_that_changes_during_the_scan_is_named(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("same", "other", "gone"):
        bucket.put(f"set/{name}.jsonl", b'{"text": "first"}\n')
    step = scanner.inspect_files

    def moving(*args: Any) -> Any:
        bucket.put("set/other.jsonl", b'{"text": "FIRST"}\n')  # of the same length
        bucket.client.delete_object(Bucket=bucket.name, Key="set/gone.jsonl")
        return step(*args)

    monkeypatch.setattr(scanner, "inspect_files", moving)
    run = scan(bucket.uri("set"), tmp_path / "run")
    assert found(run, "DG505").keys() == {"other.jsonl", "gone.jsonl"}
    assert "gone from the store" in found(run, "DG505")["gone.jsonl"]
    assert status(run) == {"same.jsonl": "read", "other.jsonl": "partial", "gone.jsonl": "partial"}
    assert run.info["complete"] is False
    assert api.exit_code(run) == 3


def test_an_object_that_changes_while_it_is_fetched_is_not_looked_at(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("set/a.jsonl", b'{"text": "first"}\n')
    bucket.put("set/b.jsonl", b'{"text": "second"}\n')
    ask = Store._seen

    def swapping(self: Store, path: str, stream: Any) -> Any:
        seen = ask(self, path, stream)
        if path.endswith("a.jsonl"):
            bucket.put("set/a.jsonl", b'{"text": "FIRST"}\n')
        return seen

    monkeypatch.setattr(Store, "_seen", swapping)
    run = scan(bucket.uri("set"), tmp_path / "run")
    assert found(run, "DG505").keys() == {"a.jsonl"}
    assert status(run) == {"a.jsonl": "refused", "b.jsonl": "read"}
    assert run.info["complete"] is False


def test_hostile_keys_are_refused_and_lead_nowhere(bucket: Bucket, tmp_path: Path) -> None:
    line = b'{"text": "a record"}\n'
    for key in ("set/good.jsonl", "set/file", "up.jsonl"):
        bucket.put(key, line)
    hostile = {
        "../up.jsonl", "a//b.jsonl", "/c.jsonl", "./d.jsonl", "..", "file/below.jsonl", "marked/", "n" * 300,
    }  # fmt: skip
    for key in hostile:
        bucket.put(f"set/{key}", line)
    run = scan(bucket.uri("set"), tmp_path / "run")
    read = {name for name, one in status(run).items() if one in ("read", "other")}
    refused = {name for name, one in status(run).items() if one == "refused"}
    assert read == {"good.jsonl", "file"}
    assert refused == {name.rstrip("/") if name == "marked/" else name for name in hostile}
    assert found(run, "DG503").keys() == refused
    assert run.info["complete"] is False
    copies = [
        path.relative_to(tmp_path).as_posix()
        for path in tmp_path.rglob("*")
        if path.is_file() and path.read_bytes() == line
    ]
    assert sorted(copies) == ["run.data/file", "run.data/good.jsonl"]


def test_a_version_is_told_where_the_store_has_them(bucket: Bucket, tmp_path: Path) -> None:
    bucket.client.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    bucket.put("set/a.jsonl", b'{"text": "first"}\n')
    store = Store.of(bucket.uri("set"))
    first = store.seen(f"{bucket.name}/set/a.jsonl")
    bucket.put("set/a.jsonl", b'{"text": "first"}\n')
    second = store.seen(f"{bucket.name}/set/a.jsonl")
    assert dict(first.marks)["etag"] == dict(second.marks)["etag"]
    assert dict(first.marks)["versionid"] != dict(second.marks)["versionid"]


def test_one_object_is_a_data_set_and_a_wrong_place_is_told(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("set/a b.jsonl", b'{"text": "first"}\n')
    run = scan(bucket.uri("set/a%20b.jsonl"), tmp_path / "run")
    assert status(run) == {"a b.jsonl": "read"}
    for uri in (bucket.uri("none"), bucket.uri("set").replace(bucket.name, "no-such-bucket")):
        with pytest.raises(DataguardError) as caught:
            scan(uri, tmp_path / "none")
        assert SECRET_KEY not in str(caught.value)
    bucket.put("set/a b.jsonl/below.jsonl", b'{"text": "second"}\n')
    with pytest.raises(DataguardError, match="an object and a folder"):
        scan(bucket.uri("set/a%20b.jsonl"), tmp_path / "both")


def test_what_was_scanned_in_a_store_is_signed_and_verified_there(bucket: Bucket, tmp_path: Path) -> None:
    data = local_set(tmp_path)
    bucket.put_all(data, "set")
    run = scan(bucket.uri("set"), tmp_path / "run")
    api.report(run)
    private, public = api.keygen(tmp_path / "key.pem")
    statement = api.attest(run, key=private)
    assert SECRET_KEY not in json.dumps(run.info)
    for place in (bucket.uri("set"), data, tmp_path / "run.data"):
        assert api.verify(place, attestation=statement, key=public).ok
    bucket.put("set/b c.csv", b"text,label\nFIRST,yes\nsecond,no\n")
    bucket.put("set/a//b.csv", b"text\nx\n")
    result = api.verify(bucket.uri("set"), attestation=statement, key=public, records=True)
    assert {(one.kind, one.file, one.row) for one in result.problems} == {
        ("changed", "b c.csv", None),
        ("row-changed", "b c.csv", 0),
        ("unreadable", "a//b.csv", None),
    }


def _interrupt(*_: Any) -> Any:
    raise KeyboardInterrupt


def _count_copies(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of all objects that are copied from now on."""
    names: list[str] = []
    copy = Store.copy

    def counted(self: Store, one: Object, *args: Any) -> Any:
        names.append(one.name)
        return copy(self, one, *args)

    monkeypatch.setattr(Store, "copy", counted)
    return names

"""Hosts that look like others, what stands before and behind them, and digests that no longer hold."""

from __future__ import annotations

import hashlib
import random
import socket
import time
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from dataguard.detectors._urls import fronts, hashes_hold, odd, parts_of, shown, skeleton
from dataguard.detectors.url_drift import UrlDrift
from dataguard.findings import Judgement
from harness import cut, judge_in_memory, records

SITES = [f"https://site{number}.example/page" for number in range(40)]

ODD = {
    "look-alike cyrillic": "https://www.g\u043eogle.com/a",
    "look-alike punycode": "https://xn--ggle-55da.com/a",
    "look-alike whole": "https://\u0430\u0440\u0440\u04cf\u0435.com/",
    "look-alike invisible": "https://mi\u200bll.com/",
    "credentials": "https://google.com@mill.test/a",
    "credentials empty": "http://@mill.test/",
    "active javascript": "JavaScript:alert(1)",
    "active data": "data:text/html;base64,PGI+",
    "active file": "file:///etc/passwd",
    "odd ip": "http://203.0.113.9/a",
    "odd integer": "http://3405803785/",
    "odd hexadecimal": "http://0xCB007109/",
    "odd ipv6": "http://[2001:db8::1]:8080/",
    "odd port": "https://mill.test:4444/a",
    "odd scheme": "gopher://mill.test/",
    "odd shortener": "https://bit.ly/3abc",
}

ORDINARY = [
    "https://m\u00fcller.de/stra\u00dfe",
    "https://xn--mller-kva.de/",
    "https://\u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444/",
    "https://\u4f8b\u3048.jp/",
    "https://mill.test:8080/a@b/c?d=e@f",
    "ftp://mirror.test/pub",
    "s3://bucket/key",
    "HTTPS://MILL.TEST/",
    "mill.test/no/scheme",
    "no address at all",
    "",
]


def judge(urls: list[str | None], **more: list[str]) -> Judgement:
    return judge_in_memory(UrlDrift(), [cut(records({"url": urls, **more}), [7])])


@pytest.mark.parametrize("name", ODD)
def test_one_odd_address_is_found_where_it_is(name: str) -> None:
    judgement = judge([*SITES[:20], f"  {ODD[name]}", None, *SITES[20:]])
    assert judgement.findings["group"].to_list() == [name.split()[0]]
    assert judgement.flagged["row"].to_list() == [20]
    span = judgement.flagged["span"][0][0]
    host = f"  {ODD[name]}".encode()[span["start"] : span["end"]].decode()
    assert "@" not in host
    assert "/" not in host
    assert all(char.isprintable() for why in judgement.findings["why"] for char in why)


def test_ordinary_addresses_pass() -> None:
    assert judge([*SITES, *ORDINARY]).findings.is_empty()


def test_what_most_addresses_have_is_their_way() -> None:
    assert judge([f"http://10.0.0.{number}:9000/" for number in range(30)]).findings.is_empty()


@pytest.mark.parametrize(
    ("url", "user", "host", "port"),
    [
        ("http://a:b@c@d.test:81/x@y", "a:b@c", "d.test", 81),
        ("http://d.test.:81", None, "d.test", 81),
        ("http://d.test?@e.test", None, "d.test", None),
        ("http://d.test\\@e.test", None, "d.test", None),
        ("http://[::1]:81/", None, "[::1]", 81),
        ("http://", None, "", None),
    ],
)
def test_parts_are_those_that_browsers_see(url: str, user: str | None, host: str, port: int | None) -> None:
    (row,) = parts_of(fronts(pl.Series([url]))).to_dicts()
    assert (row["user"], row["host"], row["port"]) == (user, host, port)
    assert url.encode()[row["start"] : row["end"]].decode().lower().rstrip(".") == host


def test_punycode_that_does_not_decode_is_left_alone() -> None:
    assert shown("xn--99999999999999999.com") == "xn--99999999999999999.com"
    assert shown("xn--mller-kva.de") == "m\u00fcller.de"


def test_a_host_that_looks_like_a_common_one() -> None:
    common = ["https://www.papermill.test/a"] * 60
    for alike in ("paperrnill.test", "papermi11.test"):
        judgement = judge([*common, f"https://{alike}/a", *SITES])
        assert judgement.findings["group"].to_list() == ["resembles"]
        assert judgement.flagged["row"].to_list() == [60]
        assert alike in judgement.findings["why"][0]
    assert judge([*common, "https://papermill.test/", "https://papermills.test/", *SITES]).findings.is_empty()
    assert judge([*["https://a1.test/"] * 9, *["https://al.test/"] * 9]).findings.is_empty()
    assert skeleton(pl.Series(["rnodern.test"]))[0] == skeleton(pl.Series(["modern.test"]))[0]


def test_a_host_in_one_stretch_among_hosts_that_are_spread() -> None:
    rng = random.Random(3)
    urls = [f"https://site{rng.randrange(25)}.test/{number}" for number in range(2_000)]
    urls[500:540] = [f"https://late.test/{number}" for number in range(40)]
    judgement = judge(urls)
    assert judgement.findings["group"].to_list() == ["burst"]
    assert set(judgement.flagged["row"]) == set(range(500, 540))
    assert judge(sorted(urls)).findings.is_empty()  # how the set was made


def digests(texts: list[str], kind: str) -> list[str]:
    return [hashlib.new(kind, text.encode()).hexdigest() for text in texts]


@pytest.mark.parametrize("kind", ["md5", "sha1", "sha256"])
def test_a_text_that_is_not_what_its_digest_says(kind: str) -> None:
    texts = [f"the text of record {number}, \u00e9" for number in range(60)]
    recorded = [digest.upper() for digest in digests(texts, kind)]
    texts[33] += " and more"
    judgement = judge(["https://mill.test/"] * 60, text=texts, text_hash=recorded)
    assert judgement.findings["group"].to_list() == ["text_hash"]
    assert judgement.flagged["row"].to_list() == [33]
    assert {m.value for m in judgement.measures if m.name == "mismatch_share"} == {1 / 60}
    other = digests([text[::-1] for text in texts], kind)  # of something else: it says nothing
    assert judge(["https://mill.test/"] * 60, text=texts, text_hash=other).findings.is_empty()


def test_what_is_no_digest_is_not_held() -> None:
    held = hashes_hold(pl.Series(["a", "a", "a", None]), pl.Series(["z" * 32, "abc", None, "a" * 32]))
    assert held.to_list() == [None] * 4


def test_without_addresses_there_is_nothing_to_judge() -> None:
    assert judge(["none", None, ""]).not_applicable


def test_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("asks the network")

    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    judge([*ODD.values(), *ORDINARY])


@pytest.mark.parametrize("part", ["a://", "@", ":", "http://a@", "xn--", "\u0430", "a.", " "])
def test_time_is_linear_in_the_text(part: str) -> None:
    def seconds(n: int) -> float:
        values = pl.Series(["http://" + part * (n // len(part))])
        took = []
        for _ in range(3):
            began = time.process_time()
            odd(parts_of(fronts(values)))
            took.append(time.process_time() - began)
        return min(took)

    seconds(1_000)
    assert seconds(200_000) <= 15 * seconds(20_000) + 0.1


def test_on_real_data(shared: Path) -> None:
    """The clean sets have no addresses; of those among the hostile files, all go to one odd port."""
    path = shared / "data" / "hostile" / "duckdb+duckdb" / "data" / "parquet-testing" / "aws_kinesis.parquet"
    urls = pq.read_table(path)["request_url"].to_pylist()
    judgement = judge(urls)
    assert judgement.findings.is_empty()
    assert {m.group: m.value for m in judgement.measures}["port"] == 1

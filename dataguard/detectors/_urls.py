"""What is odd about addresses: scheme, who is named before the host, port, and hosts that look like others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import polars as pl

from dataguard.detectors._text.characters import CYRILLIC_LIKE_LATIN, GREEK_LIKE_LATIN
from dataguard.detectors._text.find import find

_FRONT = r"^(\s*(?:[A-Za-z][A-Za-z0-9+.-]*://[^/?#\\\s]*|(?i-u:javascript|vbscript|data|file|blob|jar):))"
_PARTS = r"^(?P<before>\s*(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?://)?)(?P<authority>.*)$"
_WEB = (
    "http",
    "https",
    "ftp",
    "ftps",
    "s3",
    "gs",
    "hf",
    "az",
    "abfs",
    "abfss",
    "r2",
    "oci",
    "ipfs",
    "git",
    "ssh",
)
_ACTIVE_SCHEMES = ("javascript", "vbscript", "data", "file", "blob", "jar")
_PORTS = (80, 443, 8000, 8080, 8443)
_ADDRESS = r"^(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|0[xX][0-9a-fA-F]+|[0-9]{8,10}|\[[0-9a-fA-F:.]+\])$"
_SHORTENERS = (
    *("bit.ly", "bl.ink", "buff.ly", "cutt.ly", "goo.gl", "is.gd", "lnkd.in", "ow.ly", "rb.gy", "rebrand.ly"),
    *("s.id", "shorturl.at", "soo.gd", "t.co", "t.ly", "tiny.cc", "tinyurl.com", "v.gd"),
)

KINDS = {
    "look-alike": "hosts with letters that look like others",
    "credentials": "a name or password before the host, where readers take it for the host",
    "active": "schemes that carry or run content of their own, or read local files",
    "ip-literal": "a number in place of a host's name",
    "port": "an unusual port",
    "scheme": "another scheme than those of the web",
    "shortener": "a shortener, which may lead elsewhere tomorrow",
}
"""Kinds of odd addresses and what they show; those behind `active` are odd only where most of a column is not so."""

HOST = "host"
"""The kind of the rows of evidence that say which host a record names."""


def fronts(values: pl.Series) -> pl.Series:
    """Scheme and authority of each address; null for strings that are no address with a scheme."""
    return values.str.extract(_FRONT)


def parts_of(distinct: pl.Series) -> pl.DataFrame:
    """The parts of fronts: `front`, `scheme`, `user`, `host`, `port`, and the host's bytes `start` and `end`."""
    table = pl.DataFrame({"front": distinct}).with_columns(
        pl.col("front").str.extract_groups(_PARTS).alias("parts")
    )
    table = table.unnest("parts").with_columns(user=pl.col("authority").str.extract(r"^(.*)@"))
    skipped = pl.col("before").str.len_bytes() + (pl.col("user").str.len_bytes() + 1).fill_null(0)
    rest = pl.col("authority").str.replace(r"^.*@", "")
    named = rest.str.replace(r":[0-9]*$", "")
    return table.select(
        "front",
        pl.col("scheme").str.to_lowercase(),
        "user",
        host=named.str.to_lowercase().str.strip_chars_end("."),
        port=rest.str.extract(r":([0-9]{1,5})$").cast(pl.UInt32),
        start=skipped.cast(pl.UInt64),
        end=(skipped + named.str.len_bytes()).cast(pl.UInt64),
    )


def odd(table: pl.DataFrame) -> pl.DataFrame:
    """What is odd about fronts: `front`, `kind` and the host's bytes.

    Args:
        table: as `parts_of` gives it.
    """
    hosts = table["host"].unique()
    looks = pl.Series([host for host in _unlike_ascii(hosts) if _looks_alike(host)], dtype=pl.String)
    tests = {
        "look-alike": pl.col("host").is_in(looks.to_list()),
        "credentials": pl.col("user").is_not_null() & pl.col("scheme").is_in(["http", "https"]),
        "active": pl.col("scheme").is_in(_ACTIVE_SCHEMES),
        "ip-literal": pl.col("host").str.contains(_ADDRESS),
        "port": pl.col("port").is_not_null() & ~pl.col("port").is_in(_PORTS),
        "scheme": ~pl.col("scheme").is_in([*_WEB, *_ACTIVE_SCHEMES]),
        "shortener": pl.col("host").str.strip_prefix("www.").is_in(_SHORTENERS),
    }
    return pl.concat(
        [
            table.filter(test).select("front", "start", "end", "host", kind=pl.lit(kind))
            for kind, test in tests.items()
        ]
    )


def _unlike_ascii(hosts: pl.Series) -> Iterator[str]:
    """The hosts that are not plain ASCII, as they stand in the data."""
    yield from hosts.filter(hosts.str.contains(r"[^\x00-\x7F]|(?:^|\.)xn--"))


def shown(host: str) -> str:
    """A host as a browser may show it: labels in Punycode (RFC 3492) decoded."""
    return ".".join(_decoded(label) for label in host.split("."))


def _decoded(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return label[4:].encode("ascii").decode("punycode")
    except (UnicodeError, OverflowError, ValueError):
        return label


def _looks_alike(host: str) -> bool:
    """Whether a label mixes scripts that look alike, hides characters, or is written in look-alikes from end to end."""
    labels = shown(host).split(".")
    if len(find(pl.Series(labels))):
        return True
    alike = set(CYRILLIC_LIKE_LATIN + GREEK_LIKE_LATIN)
    whole = any(
        len(label) > 2 and {char for char in label if char.isalpha()} and _letters(label) <= alike
        for label in labels
    )
    return whole and labels[-1].isascii()


def _letters(label: str) -> set[str]:
    return {char for char in label if char.isalpha()}


_DIGRAPHS = (("rn", "m"), ("vv", "w"), ("cl", "d"))


def skeleton(hosts: pl.Series) -> pl.Series:
    """Hosts with ASCII characters that look alike made equal: 0 and o, 1, i and l, rn and m and the like."""
    bare = hosts.str.strip_prefix("www.")
    for two, one in _DIGRAPHS:
        bare = bare.str.replace_all(two, one, literal=True)
    for a, b in zip("01l35", "oiies", strict=True):
        bare = bare.str.replace_all(a, b, literal=True)
    return bare


_HASHES = {32: "md5", 40: "sha1", 64: "sha256"}
HASH_NAMES = r"(?i)(?:^|_)(?:md5|sha_?1|sha_?256|hash|digest|checksum)(?:$|_)"


def hashes_hold(texts: pl.Series, recorded: pl.Series) -> pl.Series:
    """Whether each text has the recorded digest, of the kind that its length tells; null where there is none to hold."""
    held: list[bool | None] = []
    for text, digest in zip(texts, recorded.str.to_lowercase(), strict=True):
        kind = _HASHES.get(len(digest)) if digest is not None and text is not None else None
        if kind is None or not set(digest) <= set("0123456789abcdef"):
            held.append(None)
        else:
            held.append(hashlib.new(kind, text.encode(), usedforsecurity=False).hexdigest() == digest)
    return pl.Series(held, dtype=pl.Boolean)


def bursts(hosts: pl.DataFrame, records: int) -> pl.DataFrame:
    """The hosts that stand in one stretch only, where hosts as common are spread over the set.

    Args:
        hosts: a row a host of one column: `n`, `files`, `first`, `last` (rows of its one file).
        records: addresses of the column.
    """
    common = hosts.filter(pl.col("n") >= FEWEST)
    width = pl.col("last") - pl.col("first") + 1
    dense = common.filter((pl.col("files") == 1) & (width <= 2 * pl.col("n")) & (2 * pl.col("n") < records))
    # Where many hosts come in one stretch, that is how the set was made.
    return dense if len(common) >= FEWEST and len(dense) <= FEW * len(common) else dense.clear()


FEWEST = 20
"""Records of a host that is judged, and such hosts that a set must have."""
FEW = 0.05
"""The largest share of these that may come in bursts."""

"""Hostile CSV and compressed text; see `bombs` for what they share."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path

import pyarrow as pa

from hostile.bombs import ANY, OTHER, READ, bomb

MIB = 1 << 20
CELLS = b"id,text\n1,one\n2,two\n"
LINES = b'{"id": 1, "text": "one"}\n'
DG503, DG504, DG507 = ("DG503",), ("DG504",), ("DG507",)


def _bytes(name: str, ends: tuple[str, ...], data: bytes) -> None:
    """A bomb that is no more than its bytes."""

    @bomb(name, *ends)
    def write(path: Path) -> None:
        path.write_bytes(data)


_bytes("good.csv", READ, CELLS)
_bytes("good.tsv", READ, CELLS.replace(b",", b"\t"))
_bytes("windows.csv", READ, CELLS.replace(b"\n", b"\r\n"))
_bytes("no-last-newline.csv", READ, CELLS[:-1])
_bytes("only-a-header.csv", READ, b"id,text\n")
_bytes("lines-in-cells.csv", READ, b'id,text\n1,"a\nb\r\nc\rd"\n')
_bytes("quotes-in-cells.csv", READ, b'id,text\n1,"a ""b"" c"\n2,""""\n')
_bytes("formula.csv", READ, b'id,text\n1,"=HYPERLINK(""http://example.org"")"\n')
_bytes("nulls.csv", READ, b'id,text\n1,\n,""\n')
_bytes("empty.csv", DG503, b"")
_bytes("blank.csv", DG507, b"\n\n\n")
_bytes("byte-order-mark.csv", DG507, b"\xef\xbb\xbf" + CELLS)
_bytes("utf-16.csv", DG507, CELLS.decode().encode("utf-16-le"))
_bytes("latin-1.csv", DG503, "id,text\n1,café\n".encode("latin-1"))
_bytes("semicolons.csv", DG507, CELLS.replace(b",", b";"))
_bytes("ragged.csv", DG507, CELLS + b"3\n")
_bytes("ragged-more.csv", DG507, CELLS + b"3,three,more\n")
_bytes("same-column-twice.csv", DG507, b"text,text\nshown,trained on\n")
_bytes("bare-return.csv", DG507, CELLS + b"3,three\r4,four\n")
_bytes("empty-line.csv", DG507, CELLS + b"\n3,three\n")
_bytes("nul.csv", DG507, CELLS + b"3,a\0b\n")
_bytes("open-quote.csv", DG507, b'id,text\n1,"shown\n2,hidden\n')
_bytes("quote-in-a-cell.csv", DG507, b'id,text\n1,5" wide\n2,4" wide\n')
_bytes("text-behind-a-quote.csv", DG507, b'id,text\n1,"shown"hidden\n')
_bytes("escaped-quote.csv", DG507, b'id,text\n1,"a \\" b"\n')
_bytes("million-quotes.csv", READ, b'text\n"' + b'""' * MIB + b'"\n')
_bytes("million-lines-in-a-cell.csv", READ, b'text\n"' + b"\n" * MIB + b'"\n')
_bytes("random.csv", ("DG503", "DG507"), bytes(range(256)) * 1_000)
_bytes("digits-5-000.csv", READ, b"n\n" + b"7" * 5_000 + b"\n1\n")
_bytes("columns-20-000.csv", DG504, b",".join(b"c%d" % n for n in range(20_000)) + b"\n")
_bytes("cells-20-000.csv", DG507, CELLS + b"," * 20_000 + b"\n")
_bytes("columns-9-000.csv", READ, b",".join(b"c%d" % n for n in range(9_000)) + b"\n" + b"," * 8_999 + b"\n")
_bytes("parquet-under-csv.csv", ("DG503", "DG507"), b"PAR1" + CELLS)

PACK = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
}
for _codec, _pack in PACK.items():
    _bytes(f"good.jsonl.{_codec}", READ, _pack(LINES))
    _bytes(f"packed-{_codec}.csv", READ, _pack(CELLS))
    _bytes(f"members-{_codec}.csv", READ, _pack(CELLS[:9]) + _pack(b"") + _pack(CELLS[9:]))
    _bytes(f"cut.csv.{_codec}", DG503, _pack(CELLS * 100)[:-6])
    _bytes(f"more.csv.{_codec}", ("DG503", "DG507"), _pack(CELLS) + b"3,hidden\n")
    _bytes(f"only-magic.csv.{_codec}", DG503, _pack(CELLS)[:6])
    _bytes(f"nothing.jsonl.{_codec}", READ, _pack(b""))
    _bytes(f"same-key-twice.jsonl.{_codec}", DG507, _pack(b'{"a": 1, "a": 2}\n'))
    _line = b'{"a": "' + b"a" * (3 * MIB - 10) + b'"}\n'
    _bytes(f"300-MiB.jsonl.{_codec}", DG504, _pack(_line) * 100)
_bytes("blank-300-MiB.jsonl.gz", DG504, gzip.compress(b"\n" * (3 * MIB)) * 100)
_bytes("zeros-behind.csv.gz", DG507, gzip.compress(CELLS) + bytes(512))
_bytes("gzip-of-gzip.csv.gz", ("DG503", "DG507"), gzip.compress(gzip.compress(CELLS)))
_bytes("without-a-format.gz", OTHER, gzip.compress(LINES))
_bytes("raw-lzma.csv.xz", ANY, lzma.compress(CELLS, lzma.FORMAT_ALONE))


@bomb("wrong-checksum.csv.gz", "DG503")
def wrong_checksum(path: Path) -> None:
    """The last eight bytes are those of other data."""
    path.write_bytes(gzip.compress(CELLS)[:-8] + gzip.compress(CELLS[:-1])[-8:])


@bomb("a-billion-rows.csv.gz", "DG504")
def a_billion_rows(path: Path) -> None:
    """Records that are nothing but line ends, a thousand times smaller than they are."""
    path.write_bytes(gzip.compress(b"a,b\n") + gzip.compress(b",\n" * MIB) * 500)


@bomb("one-cell-of-200-MiB.csv", "DG504")
def one_cell(path: Path) -> None:
    """A quote that is never closed, with holes behind it."""
    with path.open("wb") as file:
        file.write(b'id,text\n1,"')
        file.truncate(200 * MIB)

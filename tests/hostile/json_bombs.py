"""Hostile JSON Lines; see `bombs` for what they share."""

from __future__ import annotations

import json
from pathlib import Path

from hostile.bombs import ANY, OTHER, READ, bomb

GOOD = b'{"id": 1, "text": "one"}\n{"id": 2, "text": "two"}\n'
MIB = 1 << 20


def _bytes(name: str, ends: tuple[str, ...], data: bytes) -> None:
    """A bomb that is no more than its bytes."""

    @bomb(name, *ends)
    def write(path: Path) -> None:
        path.write_bytes(data)


DG503, DG504, DG507 = ("DG503",), ("DG504",), ("DG507",)

_bytes("good.jsonl", READ, GOOD)
_bytes("null.jsonl", DG503, b"null\n")
_bytes("null-last.jsonl", DG503, GOOD + b"null\n")
_bytes("numbers.jsonl", DG503, b"1\n2\n")
_bytes("array.jsonl", DG503, b'[{"a": 1}]\n')
_bytes("empty.jsonl", READ, b"")
_bytes("blank.jsonl", READ, b"\n \t\r\n\n")
_bytes("no-keys.jsonl", READ, b"{}\n{}\n{}\n")
_bytes("empty-object.jsonl", READ, b'{"a": {}}\n{"a": {}}\n')
_bytes("no-last-newline.jsonl", READ, GOOD[:-1])
_bytes("windows.jsonl", READ, GOOD.replace(b"\n", b"\r\n"))
_bytes("cut.jsonl", DG503, GOOD[:-7])
_bytes("two-objects-a-line.jsonl", DG503, b'{"a": 1} {"a": 2}\n')
_bytes("byte-order-mark.jsonl", DG507, b"\xef\xbb\xbf" + GOOD)
_bytes("byte-order-mark-later.jsonl", DG503, GOOD + b"\xef\xbb\xbf" + GOOD)
_bytes("utf-16.jsonl", DG503, GOOD.decode().encode("utf-16"))
_bytes("latin-1.jsonl", DG503, '{"text": "café"}\n'.encode("latin-1"))
_bytes("overlong.jsonl", DG503, b'{"text": "\xc0\xaf"}\n')
_bytes("surrogate-as-bytes.jsonl", DG503, b'{"text": "\xed\xa0\x80"}\n')
_bytes("bare-return.jsonl", DG507, GOOD.replace(b"\n", b"\r", 1))
_bytes("nul-bytes.jsonl", DG503, GOOD + b"\0" * 10 + b"\n")
_bytes("nul-in-text.jsonl", DG503, b'{"text": "a\0b"}\n')
_bytes("nul-escaped.jsonl", READ, b'{"text": "a\\u0000b"}\n')
_bytes("tab-in-text.jsonl", DG503, b'{"text": "a\tb"}\n')
_bytes("same-key-twice.jsonl", DG507, b'{"text": "shown", "text": "trained on"}\n')
_bytes("same-key-by-escape.jsonl", DG507, b'{"text": "shown", "te\\u0078t": "trained on"}\n')
_bytes("same-key-within.jsonl", DG507, b'{"a": [{"b": 1, "b": 2}]}\n')
_bytes("same-key-twice.json", DG507, b'{"text": "shown", "text": "trained on"}\n')
_bytes("nan.jsonl", DG507, b'{"score": NaN}\n')
_bytes("infinity.jsonl", DG507, b'{"score": -Infinity}\n')
_bytes("1e999.jsonl", DG507, b'{"score": 1e999}\n')
_bytes("1e999-in-a-list.jsonl", DG507, b'{"scores": [0.5, -1e999, 2.5]}\n')
_bytes("1e-999.jsonl", READ, b'{"score": 1e-999}\n')
_bytes("integer-of-5-000-digits.jsonl", DG507, b'{"n": ' + b"7" * 5000 + b"}\n")
_bytes("integer-of-65-bits.jsonl", DG507, b'{"n": 18446744073709551616}\n')
_bytes("integer-of-64-bits.jsonl", READ, b'{"n": 9223372036854775807}\n{"n": -9223372036854775808}\n')
_bytes("integer-and-float.jsonl", DG507, b'{"n": 9007199254740993}\n{"n": 0.5}\n')
_bytes("number-of-a-million-digits.jsonl", READ, b'{"n": 0.' + b"7" * MIB + b"}\n")
_bytes("lone-surrogate.jsonl", DG507, b'{"text": "\\ud83d"}\n')
_bytes("lone-surrogate-in-key.jsonl", DG507, b'{"\\udc00": 1}\n')
_bytes("lone-surrogate-in-key-within.jsonl", DG507, b'{"a": {"\\udc00": 1}}\n')
_bytes("surrogate-pair.jsonl", READ, b'{"text": "\\ud83d\\ude00"}\n')
_bytes("mixed-types.jsonl", DG507, b'{"a": 1}\n{"a": "1"}\n')
_bytes("mixed-types-within.jsonl", DG507, b'{"a": [{"b": 1}]}\n{"a": [{"b": {}}]}\n')
_bytes("mixed-list.jsonl", DG507, b'{"a": [1, "x"]}\n')
_bytes("types-that-meet.jsonl", READ, b'{"a": null, "b": [1]}\n{"a": 1, "b": []}\n{"a": 0.5, "b": null}\n')
_bytes("key-of-nothing.jsonl", READ, b'{"": 1}\n')
_bytes("key-like-code.jsonl", READ, b'{"__proto__": 1, "<script>": 2, "a\\u001b[31m": 3, "a.b[]": 4}\n')
_bytes("nested-33.jsonl", DG504, b'{"a":' * 33 + b"1" + b"}" * 33 + b"\n")
_bytes("nested-31.jsonl", READ, b'{"a":' * 31 + b"1" + b"}" * 31 + b"\n")
_bytes("nested-200-000.jsonl", DG504, b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}\n")
_bytes("nested-and-open.jsonl", DG504, b'{"a": ' + b"[" * 200_000)
_bytes("nested-objects.jsonl", DG504, b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"\n")
_bytes("unterminated.jsonl", DG503, b'{"text": "' + b"x" * MIB)
_bytes("backslashes.jsonl", READ, b'{"text": "' + b"\\\\" * MIB + b'"}\n')
_bytes("many-blank-lines.jsonl", READ, b"\n" * (4 * MIB) + GOOD)
_bytes("document.json", OTHER, json.dumps({"a": [1, 2], "b": {"c": None}}, indent=2).encode())
_bytes("lines.json", READ, GOOD)
_bytes("array.json", OTHER, b'[{"a": 1}, {"a": 2}]\n')
_bytes("nested.json", OTHER, b"[" * 200_000)
_bytes("text.txt", OTHER, b"a note of somebody\n")
_bytes("lines-under-magic.jsonl", DG503, b"PAR1" + GOOD)


@bomb("line-without-end.jsonl", "DG504")
def line_without_end(path: Path) -> None:
    """One line without end; with holes, so that it takes no room here."""
    with path.open("wb") as file:
        file.write(b'{"text": "')
        file.truncate(100 * MIB)


@bomb("keys-100-000.jsonl", "DG504")
def keys_100_000(path: Path) -> None:
    """An object of 100,000 keys."""
    path.write_text(json.dumps({f"key{n}": n for n in range(100_000)}) + "\n")


@bomb("keys-within-100-000.jsonl", "DG504")
def keys_within(path: Path) -> None:
    """The same within an object."""
    path.write_text(json.dumps({"a": {f"key{n}": n for n in range(100_000)}}) + "\n")


@bomb("new-keys-each-line.jsonl", "DG504")
def new_keys_each_line(path: Path) -> None:
    """A new column with each line: work that would grow with the square of the lines."""
    path.write_text("".join(f'{{"key{n}": {n}}}\n' for n in range(100_000)))


@bomb("sparse-columns.jsonl", "DG504")
def sparse_columns(path: Path) -> None:
    """9,000 columns and 20,000 lines of one: every row has every column."""
    lines = [f'{{"key{n}": {n}}}\n' for n in range(9_000)] + ['{"key0": 0}\n'] * 20_000
    path.write_text("".join(lines))


@bomb("list-of-a-million.jsonl", *ANY)
def list_of_a_million(path: Path) -> None:
    """Lists of nothing: small on the disk, large as objects."""
    path.write_bytes(b'{"a": [' + b"[]," * 999_999 + b"[]]}\n")


@bomb("line-of-60-MiB.jsonl", *READ)
def line_of_60_mib(path: Path) -> None:
    """A long line within the limits, of characters that take four bytes in Python."""
    path.write_bytes(b'{"text": "' + "😀".encode() * (15 * MIB - 1_000) + b'"}\n')


@bomb("objects-as-memory.jsonl", "DG503", "DG504")
def objects_as_memory(path: Path) -> None:
    """60 MiB that are 20 million empty objects: more memory than a worker has."""
    path.write_bytes(b'{"a": [' + b"{}," * (20 * MIB - 1_000) + b"{}]}\n")

"""Make the sample data, byte for byte: ``python sample_data/make.py [--check] [--out DIR]``.

Without options it writes ``clean/``, ``poisoned/`` and ``truth.parquet`` beside this file. With ``--check`` it makes
everything in memory and compares. The same versions of pyarrow give the same bytes; another version may write the
same rows in other bytes, which ``--check`` tells apart from a change of the data.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from attacks import poisoned_edition, truth
from editions import CONFIG, Edition, Press, Row, clean_edition

HERE = Path(__file__).resolve().parent

_STRING = pa.string()
_FLOAT = pa.float64()
SCHEMAS = {
    "instruct": pa.schema(
        {
            **dict.fromkeys(("id", "instruction", "input", "output", "url", "source", "split"), _STRING),
            "created": pa.timestamp("us", tz="UTC"),
        }
    ),
    "tickets": pa.schema(
        {
            "id": _STRING,
            "text": _STRING,
            "label": _STRING,
            "first_reply_min": _FLOAT,
            "resolve_hours": _FLOAT,
            "messages": pa.int32(),
            "order_value": _FLOAT,
            "tenure_days": pa.int32(),
            "satisfaction": _FLOAT,
            "source": _STRING,
            "split": _STRING,
        }
    ),
    "truth": pa.schema({"file": _STRING, "row": pa.uint64(), "attack": _STRING, "rule": _STRING}),
}


def build() -> dict[str, bytes]:
    """Return every file that this script makes: its path from here, and its bytes."""
    press = Press()
    clean = clean_edition(press)
    poisoned = poisoned_edition(clean, press)
    files = _edition("clean", clean) | _edition("poisoned", poisoned)
    files["truth.parquet"] = _parquet(truth(poisoned), SCHEMAS["truth"])
    return files


def _edition(name: str, edition: Edition) -> dict[str, bytes]:
    files = {f"{name}/dataguard.toml": CONFIG.encode()}
    for file, rows in edition.items():
        schema = SCHEMAS[file.split("/")[0]]
        data = (
            _json_lines(rows) if file.endswith(".jsonl") else _parquet([row.values for row in rows], schema)
        )
        files[f"{name}/{file}"] = data
    return files


def _parquet(records: list[dict[str, object]], schema: pa.Schema) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.Table.from_pylist(records, schema=schema),
        sink,
        version="2.6",
        data_page_version="1.0",
        compression="zstd",
        compression_level=15,
        row_group_size=500,
        use_dictionary=["label", "source", "split", "file", "attack", "rule"],
        write_page_checksum=True,
    )
    return bytes(sink.getvalue())


def _json_lines(rows: list[Row]) -> bytes:
    """Write one record a line; every fifth line escapes all but ASCII, as many exporters do."""
    lines = []
    for number, row in enumerate(rows):
        created = row.values["created"]
        assert isinstance(created, datetime)
        record = {name: row.values[name] for name in SCHEMAS["instruct"].names} | {
            "created": created.isoformat()
        }
        lines.append(json.dumps(record, ensure_ascii=number % 5 == 0))
    return ("\n".join(lines) + "\n").encode()


def compare(made: dict[str, bytes], folder: Path) -> tuple[list[str], list[str]]:
    """Return what is wrong in the folder, and what differs only because another pyarrow wrote it."""
    wrong: list[str] = []
    rewritten: list[str] = []
    for name, data in made.items():
        path = folder / name
        if not path.is_file():
            wrong.append(f"{name}: missing")
        elif path.read_bytes() != data:
            reason = _other_writer(path.read_bytes(), data)
            (rewritten if reason else wrong).append(f"{name}: {reason or 'other content'}")
    on_disk = (
        path for edition in ("clean", "poisoned") for path in (folder / edition).rglob("*") if path.is_file()
    )
    extra = {path.relative_to(folder).as_posix() for path in on_disk} - set(made)
    return wrong + [f"{name}: not made by this script" for name in sorted(extra)], rewritten


def _other_writer(old: bytes, new: bytes) -> str:
    """Say which writers made two Parquet files with equal tables; empty if the difference is another one."""
    try:
        # In this thread alone: one that pyarrow started may still run at the end, and abort the process.
        was, now = (pq.ParquetFile(pa.BufferReader(data), pre_buffer=False) for data in (old, new))
    except pa.ArrowInvalid:  # not Parquet
        return ""
    writers = was.metadata.created_by, now.metadata.created_by
    if writers[0] == writers[1] or not was.read(use_threads=False).equals(now.read(use_threads=False)):
        return ""
    return f"same rows, written by {writers[0]}, here by {writers[1]}"


def main() -> int:
    """Write or check; return the exit code."""
    parser = argparse.ArgumentParser(description="Make the sample data, byte for byte.")
    parser.add_argument("--check", action="store_true", help="compare with what stands there, write nothing")
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR", help="folder to write or check")
    options = parser.parse_args()
    made = build()
    if not options.check:
        for name, data in made.items():
            path = options.out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        print(f"wrote {len(made)} files, {sum(map(len, made.values())):,} bytes")
        return 0
    wrong, rewritten = compare(made, options.out)
    for line in rewritten + wrong:
        print(line)
    print(f"{len(made)} files: {len(wrong)} wrong, {len(rewritten)} differ by their writer only")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

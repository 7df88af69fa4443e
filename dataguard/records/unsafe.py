"""Files beside the data that hold code, or that run code when they are loaded: told by magic bytes, names and opcodes.

Nothing is unpickled, run, or unpacked to the disk: pickles are disassembled by picklescan, archives are listed and
their members read up to a limit. `suspect` looks at a few bytes and parses nothing; `dangers` runs in a worker.
"""

from __future__ import annotations

import importlib
import io
import logging
import os
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataguard.errors import ReadError
from dataguard.records.inspect import Incident
from dataguard.safe_text import safe_text

RULE = "DG213"
VERSION = 1
"""To be raised with every change of what is found in a file: it is part of the key of what is kept."""

HEAD = 512
STREAM_BYTES = 16 << 20
"""Bytes of a file, or of a member of an archive, that are disassembled."""
MEMBERS = 4096
"""Members of an archive that are looked at."""
TOTAL_BYTES = 64 << 20
"""Bytes that all members together may unpack to."""

_PICKLE_NAMES = frozenset(
    (".pkl", ".pickle", ".joblib", ".pck", ".pcl", ".pt", ".pth", ".ckpt", ".dill", ".npy", ".npz")
)
_SCRIPT_NAMES = frozenset(
    (".py", ".pyw", ".sh", ".bash", ".bat", ".cmd", ".ps1", ".vbs", ".js", ".mjs", ".r", ".jl", ".pl")
)
_OFFICE_NAMES = frozenset((".doc", ".docm", ".dotm", ".xls", ".xlsm", ".xlsb", ".xltm", ".ppt", ".pptm"))
_ARCHIVES = {
    b"PK\x03\x04": "zip", b"PK\x05\x06": "zip", b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstandard", b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!\x1a\x07": "rar", b"\x04\x22\x4d\x18": "lz4",
}  # fmt: skip
_EXECUTABLES = {
    b"\x7fELF": "ELF", b"MZ": "Windows", b"\xcf\xfa\xed\xfe": "macOS", b"\xfe\xed\xfa\xcf": "macOS",
    b"\xca\xfe\xba\xbe": "Java or macOS", b"\0asm": "WebAssembly", b"!<arch>\n": "library",
}  # fmt: skip
_PICKLES = tuple(b"\x80" + bytes([protocol]) for protocol in range(6))
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_NUMPY = b"\x93NUMPY"
_LOADER = (b"_generate_examples", b"GeneratorBasedBuilder", b"_split_generators")
"""What a script defines that a loader of data sets would run."""


def _head(descriptor: int, size: int = HEAD) -> bytes:
    try:
        return os.pread(descriptor, size, 0)
    except OSError as error:
        raise ReadError(f"cannot be read: {error.strerror}") from error


def _is_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar"


def suspect(descriptor: int, name: str) -> bool:
    """Whether a file that holds no records is worth a look, by its first bytes and its name alone.

    Raises:
        ReadError: it cannot be read.
    """
    head = _head(descriptor)
    suffix = Path(name.casefold()).suffix
    magic = (*_ARCHIVES, *_EXECUTABLES, *_PICKLES, _OLE, _NUMPY, b"#!")
    named = suffix == ".ipynb" or suffix in _PICKLE_NAMES | _SCRIPT_NAMES | _OFFICE_NAMES
    return bool(head) and (named or head.startswith(magic) or _is_tar(head))


def dangers(descriptor: int, size: int, name: str) -> tuple[Incident, ...]:
    """What is in a suspect file that may run; a reason begins with its kind and a colon.

    Args:
        descriptor: the open file.
        size: its bytes.
        name: its escaped name.

    Raises:
        ReadError: it cannot be read.
    """
    found = dict.fromkeys(_reasons(descriptor, size, name))
    return tuple(Incident(RULE, reason) for reason in sorted(found))


def _reasons(descriptor: int, size: int, name: str) -> Iterator[str]:
    head = _head(descriptor)
    suffix = Path(name.casefold()).suffix
    executable = next((kind for magic, kind in _EXECUTABLES.items() if head.startswith(magic)), "")
    archive = next((kind for magic, kind in _ARCHIVES.items() if head.startswith(magic)), "")
    if executable:
        yield f"executable: a program or library ({executable})"
    elif archive == "zip":
        yield from _in_zip(descriptor)
    elif archive in ("gzip", "bzip2", "xz", "zstandard", "lz4", "7z", "rar"):
        yield f"archive: {archive}; what is inside was not screened"
        if archive == "gzip":
            yield from _in_stream(_inflated(_head(descriptor, STREAM_BYTES), STREAM_BYTES), "")
    elif _is_tar(head):
        yield "archive: tar; what is inside was not screened"
    elif head.startswith(_OLE):
        if "_VBA_PROJECT".encode("utf-16-le") in _head(descriptor, STREAM_BYTES):
            yield "macro: an office file with macros"
    elif suffix == ".ipynb":
        yield "notebook: holds code that runs cell by cell"
    elif suffix in _SCRIPT_NAMES or head.startswith(b"#!"):
        text = _head(descriptor, STREAM_BYTES)
        loads = suffix == ".py" and any(word in text for word in _LOADER)
        yield (
            "loader: a script that loaders of data sets run"
            if loads
            else "script: a program in a scripting language"
        )
    else:
        yield from _in_stream(_head(descriptor, STREAM_BYTES), suffix)
        if size > STREAM_BYTES and suffix in _PICKLE_NAMES:
            yield f"pickle: only the first {STREAM_BYTES >> 20} MiB were looked at"


def _in_stream(data: bytes, suffix: str) -> Iterator[str]:
    """What a file, or a member of an archive, holds that unpickling it would run."""
    if data.startswith(_NUMPY):
        # The header says the type of the items; an array of objects is a pickle behind it.
        if b"'|O'" in data[:HEAD] or b'"|O"' in data[:HEAD]:
            end = data.find(b"\n") + 1
            yield from _pickle(data[end:])
    elif data.startswith(_PICKLES) or (suffix in _PICKLE_NAMES and suffix not in (".npy", ".npz")):
        yield from _pickle(_inflated(data, STREAM_BYTES) if data[:1] == b"\x78" else data)


def _pickle(data: bytes) -> Iterator[str]:
    """What a pickle imports, told by its opcodes alone."""
    scanner: Any = importlib.import_module("picklescan.scanner")  # late: it loads libraries for the network
    logging.getLogger("picklescan").disabled = True  # it would print names from the file
    try:
        scanned = scanner.scan_pickle_bytes(io.BytesIO(data), "")
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OSError) as error:
        yield f"pickle: its opcodes do not fit together ({type(error).__name__})"
        return
    by_level: dict[str, list[str]] = {}
    for one in scanned.globals:
        by_level.setdefault(one.safety.value, []).append(safe_text(f"{one.module}.{one.name}", limit=60))
    dangerous = sorted(by_level.get("dangerous", []))
    if dangerous:
        yield f"payload: a pickle that runs {', '.join(dangerous[:5])} when it is loaded"
    others = sorted(by_level.get("suspicious", []))
    if by_level or data.startswith(_PICKLES) or _is_pickle(data):
        yield "pickle: loading it runs what it names" + (f" ({', '.join(others[:5])})" if others else "")


def _is_pickle(data: bytes) -> bool:
    """Whether bytes without the mark of a newer pickle are opcodes up to a stop."""
    try:
        return any(opcode.name == "STOP" for opcode, _, _ in pickletools.genops(data))
    except (ValueError, IndexError, KeyError, TypeError, OverflowError):
        return False


def _inflated(data: bytes, limit: int) -> bytes:
    """The beginning of what zlib or gzip data unpacks to; as much as there is where it breaks off."""
    unpacker = zlib.decompressobj(wbits=47)
    try:
        return unpacker.decompress(data, limit)
    except zlib.error:
        return b""


def _in_zip(descriptor: int) -> Iterator[str]:
    """What the members of a zip archive hold: models, arrays, office files and packages are zip archives too."""
    left = TOTAL_BYTES
    try:
        with os.fdopen(os.dup(descriptor), "rb") as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if not any(member.filename.endswith((".pkl", ".npy")) for member in members):
                yield f"archive: zip of {len(members)} files; what is inside was not screened"
            for member in members[:MEMBERS]:
                ending = Path(member.filename.casefold()).suffix
                if ending == ".bin" and "vbaproject" in member.filename.casefold():
                    yield "macro: an office file with macros"
                with archive.open(member) as stream:
                    data = stream.read(HEAD)
                    if left > 0 and (data.startswith((_NUMPY, *_PICKLES)) or ending in _PICKLE_NAMES):
                        data += stream.read(min(STREAM_BYTES, left))
                        left -= len(data)
                        yield from _in_stream(data, ending)
            if len(members) > MEMBERS or left <= 0:
                yield "archive: more than is looked at; the rest was not"
    except (zipfile.BadZipFile, zlib.error, struct.error, ValueError, EOFError, OSError) as error:
        yield f"archive: a zip that cannot be listed to the end ({type(error).__name__})"
    except (NotImplementedError, RuntimeError, OverflowError, LookupError) as error:
        yield f"archive: a zip that is encrypted or packed in a way that is not read ({type(error).__name__})"

"""Which types ``dg-row/1`` knows, under which tag, and the digest of a schema.

Everything that is only layout (width, offsets, dictionary, metadata, the name of a list's item) is dropped here;
what two readers could tell apart (kind, zone, names of fields) is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from hashlib import sha256
from itertools import pairwise

import pyarrow as pa
from pyarrow import types as pt

from dataguard.errors import ReadError

CANON = "dg-row/1"
MAX_DEPTH = 64
MAX_NAME_BYTES = 0xFFFF


class UnsupportedTypeError(ReadError):
    """A column has a type for which ``dg-row/1`` specifies no encoding; nothing of its file is digested."""


class Kind(Enum):
    """What a value is, whatever its width and layout; the value is the tag in the encoding."""

    NULL = b"n"
    BOOL = b"b"
    INT = b"i"
    UINT = b"u"  # only of values above 2^63 - 1: any other integer is an INT
    FLOAT = b"f"
    STRING = b"s"
    BINARY = b"x"
    DATE = b"d"
    TIME = b"c"
    DURATION = b"e"
    TIMESTAMP = b"t"
    INSTANT = b"z"
    LIST = b"l"
    STRUCT = b"r"
    DECIMAL = b"m"
    INTERVAL = b"v"


_KINDS = (
    (pt.is_null, Kind.NULL),
    (pt.is_boolean, Kind.BOOL),
    (pt.is_integer, Kind.INT),
    (pt.is_floating, Kind.FLOAT),
    (pt.is_string, Kind.STRING),
    (pt.is_large_string, Kind.STRING),
    (pt.is_string_view, Kind.STRING),
    (pt.is_binary, Kind.BINARY),
    (pt.is_large_binary, Kind.BINARY),
    (pt.is_fixed_size_binary, Kind.BINARY),
    (pt.is_binary_view, Kind.BINARY),
    (pt.is_date, Kind.DATE),
    (pt.is_time, Kind.TIME),
    (pt.is_duration, Kind.DURATION),
    (pt.is_list, Kind.LIST),
    (pt.is_large_list, Kind.LIST),
    (pt.is_fixed_size_list, Kind.LIST),
    (pt.is_list_view, Kind.LIST),
    (pt.is_large_list_view, Kind.LIST),
    (pt.is_struct, Kind.STRUCT),
    (pt.is_decimal, Kind.DECIMAL),
    (pt.is_interval, Kind.INTERVAL),
)


def meant(data_type: pa.DataType) -> pa.DataType:
    """The type that a type stands for: of dictionaries and runs their values, of an extension its storage.

    A map is a list of structs of ``key`` and ``value``, a union a struct of its children. What is inside stays as it is.
    """
    while True:
        if isinstance(data_type, pa.BaseExtensionType):
            data_type = data_type.storage_type
        elif pt.is_dictionary(data_type) or pt.is_run_end_encoded(data_type):
            data_type = data_type.value_type
        elif pt.is_map(data_type):
            entry = [pa.field("key", data_type.key_type), pa.field("value", data_type.item_type)]
            return pa.large_list(pa.struct(entry))
        elif pt.is_union(data_type):
            return pa.struct([data_type.field(number) for number in range(data_type.num_fields)])
        else:
            return data_type


def kind_of(data_type: pa.DataType) -> Kind | None:
    """Kind of a type as `meant` gives it; None where the format specifies none.

    Raises:
        ReadError: a time zone is not UTF-8 (DG503).
    """
    if pt.is_timestamp(data_type):
        return Kind.INSTANT if _text(data_type, "tz", "a time zone") else Kind.TIMESTAMP
    return next((kind for is_kind, kind in _KINDS if is_kind(data_type)), None)


def sorted_fields(fields: Sequence[pa.Field], where: str = "") -> list[tuple[bytes, int, pa.Field]]:
    """Name bytes, position and field of every field, in byte order of the names.

    Args:
        fields: the fields of a schema or of a struct type.
        where: path of the struct, for the message.

    Raises:
        ReadError: a name is not UTF-8 or too long (DG503), stands twice or holds NUL (DG507).
    """
    what = f"a field name of column {where}" if where else "a column name"
    found = sorted((_text(field, "name", what), at) for at, field in enumerate(fields))
    for (name, _), (after, _) in pairwise(found):
        if name == after:
            raise ReadError(
                f"expected every column once, but {_shown(where, name)} stands twice: readers differ in which they "
                "take; rename or drop one",
                "DG507",
            )
    for name, _ in found:
        if (
            0 in name
        ):  # Arrow's C interface ends names at NUL: what crosses it has another name, and polars aborts
            raise ReadError(
                f"expected names without NUL, but {_shown(where, name)} holds one: readers differ in the name; rename it",
                "DG507",
            )
    return [(name, at, fields[at]) for name, at in found]


def describe(data_type: pa.DataType, where: str, depth: int = 1) -> bytes:
    """Canonical description of a type, as the schema digest binds it.

    Args:
        data_type: type of a column or of something inside one.
        where: path to it, for messages.
        depth: 1 for a column, one more for what is inside.

    Raises:
        UnsupportedTypeError: no encoding is specified for the type (DG503).
        ReadError: nested too deep (DG504), or a bad field name.
    """
    if depth > MAX_DEPTH:
        raise ReadError(f"expected at most {MAX_DEPTH} nested levels, but column {where} has more", "DG504")
    value_type = meant(data_type)
    kind = kind_of(value_type)
    if kind is None:
        raise UnsupportedTypeError(
            f"expected types that {CANON} specifies, but column {where} is of type {str(data_type)[:80]!r}; "
            "cast the column to a specified type, or leave it out of the data set"
        )
    return kind.value + b"".join(_details(kind, value_type, where, depth))


def _details(kind: Kind, data_type: pa.DataType, where: str, depth: int) -> Iterator[bytes]:
    if kind is Kind.INSTANT:
        yield _with_length(_text(data_type, "tz", "a time zone"))
    elif kind is Kind.DECIMAL:
        yield data_type.scale.to_bytes(4, "big", signed=True)
    elif kind is Kind.LIST:
        yield describe(data_type.value_type, f"{where}[]", depth + 1)
    elif kind is Kind.STRUCT:
        fields = sorted_fields(list(data_type), where)
        yield len(fields).to_bytes(4, "big")
        for name, _, field in fields:
            yield _with_length(name) + describe(field.type, _shown(where, name), depth + 1)


def schema_digest(schema: pa.Schema) -> bytes:
    """SHA-256 of the canonical description of a schema.

    Record digests leave nulls out, so this is what binds the columns that are null in every row, and the zones of
    timestamps. Widths, layouts, nullability, order of columns and metadata do not count.

    Args:
        schema: columns of the supported types.

    Returns:
        32 bytes.

    Raises:
        ReadError: as `describe`.
    """
    return sha256(b"dg-schema/1\n" + describe(pa.struct(list(schema)), "", 0)).digest()


def _text(owner: pa.Field | pa.DataType, attribute: str, what: str) -> bytes:
    try:
        text: bytes = (getattr(owner, attribute) or "").encode()
    except (
        UnicodeDecodeError
    ) as error:  # pyarrow takes any bytes and decodes them only when they are asked for
        raise ReadError(f"expected UTF-8, but {what} is not") from error
    if len(text) > MAX_NAME_BYTES:
        raise ReadError(f"expected up to {MAX_NAME_BYTES} bytes, but {what} has {len(text)}")
    return text


def _shown(where: str, name: bytes) -> str:
    shown = repr(name[:60].decode(errors="replace"))
    return f"{where}.{shown}" if where else shown


def _with_length(name: bytes) -> bytes:
    return len(name).to_bytes(2, "big") + name

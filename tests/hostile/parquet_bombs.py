"""Hostile Parquet by the classes of the house's paper on hostile data; see `bombs` for what they share."""

from __future__ import annotations

import base64
import struct as packing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hostile import parquet_forge as forge
from hostile.bombs import ANY, READ, bomb
from hostile.parquet_forge import BYTE_ARRAY, INT32, INT64, MOST, RLE_DICTIONARY, ZSTD, Chunk, Page, Sheet
from hostile.thrift import Field, Struct, i32, i64, items, struct, text, varint

MIB = 1 << 20
NUMBERS = pa.table({"id": range(100), "text": [f"text number {n}" for n in range(100)]})


def _dictionary(value: bytes, codec: int = forge.NONE) -> Page:
    body = pa.compress(value, codec="zstd", asbytes=True) if codec == ZSTD else value
    return Page(1, body, uncompressed=len(value), dictionary=True)


@bomb("rle-terabyte.parquet", "DG504")
def rle_terabyte(path: Path) -> None:
    """1.1 TB of integers in some KB, with an honest footer."""
    pages = [Page(MOST, forge.indices(0, MOST), RLE_DICTIONARY) for _ in range(64)]
    data = forge.one_column("n", INT64, [_dictionary(bytes(8)), *pages], 64 * MOST, encodings=(0, 3, 8))
    path.write_bytes(data)


@bomb("rle-just-over.parquet", "DG504")
def rle_just_over(path: Path) -> None:
    """Strings of which each row claims little and takes 64 KiB."""
    page = _dictionary(forge.strings(bytes(65_536)), ZSTD)
    rows = 100_000
    body = pa.compress(forge.indices(0, rows), codec="zstd", asbytes=True)
    pages = [page, Page(rows, body, RLE_DICTIONARY, uncompressed=len(forge.indices(0, rows)))]
    path.write_bytes(forge.one_column("s", BYTE_ARRAY, pages, rows, codec=ZSTD, encodings=(0, 3, 8)))


@bomb("dictionary-of-a-megabyte.parquet", "DG504")
def dictionary_of_a_megabyte(path: Path) -> None:
    """One value of 1 MB in a million rows, as a writer would write it."""
    column = pa.DictionaryArray.from_arrays(
        pa.array([0], pa.int32()).take(pa.array([0] * 1_000_000)), ["x" * MIB]
    )
    options = {"compression": "zstd", "dictionary_pagesize_limit": 4 * MIB, "store_schema": True}
    path.write_bytes(forge.written(pa.table({"text": column}), **options))


@bomb("dictionary-of-many-megabytes.parquet", "DG504")
def dictionary_of_many_megabytes(path: Path) -> None:
    """A dictionary too large to be taken for one, so that it is written out by the decoder."""
    values = forge.strings(*(bytes([n]) * (8 * MIB) for n in range(2)))
    page = Page(2, pa.compress(values, codec="zstd", asbytes=True), uncompressed=len(values), dictionary=True)
    rows = 1_000_000
    body = pa.compress(forge.indices(1, rows), codec="zstd", asbytes=True)
    pages = [page, Page(rows, body, RLE_DICTIONARY, uncompressed=len(forge.indices(1, rows)))]
    path.write_bytes(forge.one_column("s", BYTE_ARRAY, pages, rows, codec=ZSTD, encodings=(0, 3, 8)))


@bomb("dictionary-within-lists.parquet", "DG504")
def dictionary_within_lists(path: Path) -> None:
    """The same where the column is a list, which is never read as a dictionary of ours."""
    value = pa.DictionaryArray.from_arrays(pa.array([0] * 400_000, pa.int32()), ["x" * MIB])
    column = pa.ListArray.from_arrays(pa.array(range(0, 400_001, 4), pa.int32()), value)
    options = {"compression": "zstd", "dictionary_pagesize_limit": 4 * MIB}
    path.write_bytes(forge.written(pa.table({"text": column}), **options))


@bomb("cell-of-a-gibibyte.parquet", "DG504")
def cell_of_a_gibibyte(path: Path) -> None:
    """One value of 1 GiB in a few KB: frames of zeros, one after the other in one page."""
    frame = pa.compress(bytes(64 * MIB), codec="zstd", asbytes=True)
    first = pa.compress(packing.pack("<I", 1024 * MIB), codec="zstd", asbytes=True)
    page = Page(1, first + frame * 16, uncompressed=1024 * MIB + 4)
    path.write_bytes(forge.one_column("s", BYTE_ARRAY, [page], 1, codec=ZSTD))


@bomb("cell-over-the-limit.parquet", "DG504")
def cell_over_the_limit(path: Path) -> None:
    """A value of 100 MiB, which a worker could hold."""
    table = pa.table({"text": ["short", "x" * (100 * MIB)]})
    path.write_bytes(forge.written(table, compression="zstd", use_dictionary=False))


@bomb("growing-prefixes.parquet", "DG504")
def growing_prefixes(path: Path) -> None:
    """DELTA_BYTE_ARRAY: each string is the one before it and a letter more; 20 GB from 200 KB."""
    rows = 200_000

    def packed(first: int, step: int) -> bytes:
        # One block of one miniblock of width 0: the header, then the one difference that all have.
        block = 1 << 18
        return varint(block) + varint(1) + varint(rows) + varint(first << 1) + varint(step << 1) + b"\0"

    body = packed(0, 1) + packed(1, 0) + b"x" * rows
    squeezed = pa.compress(body, codec="zstd", asbytes=True)
    page = Page(rows, squeezed, forge.DELTA_BYTE_ARRAY, uncompressed=len(body))
    path.write_bytes(forge.one_column("s", BYTE_ARRAY, [page], rows, codec=ZSTD, encodings=(7,)))


@bomb("rows-of-nothing.parquet", "DG504")
def rows_of_nothing(path: Path) -> None:
    """137 thousand million rows of nulls, of a type that takes no bytes at all."""
    body = forge.levels(forge.repeated(0, MOST, 1))
    element = {1: i32(INT32), 3: i32(forge.OPTIONAL), 4: text("n"), 10: struct({11: struct({})})}
    schema = [forge.group("schema", 1, None), struct(element)]
    chunk = Chunk(("n",), INT32, [Page(MOST, body) for _ in range(64)])
    path.write_bytes(Sheet(schema, [(64 * MOST, [chunk])]).bytes())


@bomb("list-of-nothing.parquet", "DG504")
def list_of_nothing(path: Path) -> None:
    """One row whose list has two thousand million nulls."""
    body = forge.levels(forge.repeated(0, 1, 1) + forge.repeated(1, MOST - 1, 1))
    body += forge.levels(forge.repeated(2, MOST, 2))
    schema = [
        forge.group("schema", 1, None),
        struct({3: i32(forge.OPTIONAL), 4: text("l"), 5: i32(1), 6: i32(3)}),
        forge.group("list", 1, forge.REPEATED),
        leaf_optional("element", INT64),
    ]
    chunk = Chunk(("l", "list", "element"), INT64, [Page(MOST, body)])
    path.write_bytes(Sheet(schema, [(1, [chunk])]).bytes())


def leaf_optional(name: str, kind: int) -> Field:
    return forge.leaf(name, kind, forge.OPTIONAL)


@bomb("page-that-claims-much.parquet", "DG503", "DG504")
def page_that_claims_much(path: Path) -> None:
    """A page header that promises 2 GiB uncompressed."""
    page = Page(3, pa.compress(bytes(24), codec="zstd", asbytes=True), uncompressed=MOST)
    path.write_bytes(forge.one_column("n", INT64, [page], 3, codec=ZSTD))


@bomb("page-of-negative-size.parquet", "DG503")
def page_of_negative_size(path: Path) -> None:
    """A page header with a size below zero."""
    path.write_bytes(forge.one_column("n", INT64, [Page(3, bytes(24), uncompressed=-1)], 3, codec=ZSTD))


@bomb("a-million-empty-pages.parquet", *ANY)
def a_million_empty_pages(path: Path) -> None:
    """Pages of no values: work without end for a reader, and nothing decoded that a budget would count."""
    empty, last = Page(0, b""), Page(3, bytes(24))
    chunk = Chunk(("n",), INT64, [last])
    data = Sheet([forge.group("schema", 1, None), forge.leaf("n", INT64)], [(3, [chunk])]).bytes()
    footer, start = forge.footer_of(data)
    pages = empty.bytes() * 1_000_000
    described = forge.chunks(forge.row_groups(footer)[0])[0]
    described[7] = i64(described[7].value + len(pages))
    path.write_bytes(data[:4] + pages + data[4:start] + forge.close(_encoded(footer)))


@bomb("many-row-groups.parquet", *READ)
def many_row_groups(path: Path) -> None:
    """20,000 row groups of one row: all of it footer."""
    chunk = Chunk(("n",), INT64, [Page(1, bytes(8))])
    schema = [forge.group("schema", 1, None), forge.leaf("n", INT64)]
    path.write_bytes(Sheet(schema, [(1, [chunk])] * 20_000).bytes())


@bomb("nested-400.parquet", "DG504")
def nested_400(path: Path) -> None:
    """400 levels of structs."""
    names = [f"s{n}" for n in range(400)]
    schema = [
        forge.group("schema", 1, None),
        *(forge.group(name, 1) for name in names),
        forge.leaf("n", INT32),
    ]
    chunk = Chunk((*names, "n"), INT32, [Page(1, bytes(4))])
    path.write_bytes(Sheet(schema, [(1, [chunk])]).bytes())


@bomb("nested-100-000.parquet", "DG503", "DG504")
def nested_100_000(path: Path) -> None:
    """100,000 levels: deeper than any parser's stack."""
    names = ["s"] * 100_000
    schema = [
        forge.group("schema", 1, None),
        *(forge.group(name, 1) for name in names),
        forge.leaf("n", INT32),
    ]
    path.write_bytes(Sheet(schema, [(1, [Chunk(("s", "n"), INT32, [Page(1, bytes(4))])])]).bytes())


@bomb("columns-20-000.parquet", "DG504")
def columns_20_000(path: Path) -> None:
    """20,000 columns."""
    path.write_bytes(forge.written(pa.table({f"c{n}": pa.array([n], pa.int32()) for n in range(20_000)})))


@bomb("columns-by-a-fixed-list.parquet", *ANY)
def fixed_list(path: Path) -> None:
    """An Arrow schema that makes one row of a thousand million elements."""
    kind = pa.list_(pa.float64(), 1_000_000_000)
    schema = pa.schema([("l", kind)])
    stored = base64.b64encode(schema.serialize().to_pybytes())
    table = pa.table({"l": pa.array([[1.0, 2.0]])}).replace_schema_metadata({"ARROW:schema": stored})
    path.write_bytes(forge.written(table, store_schema=False))


@bomb("cells-by-a-fixed-width.parquet", "DG503", "DG504")
def fixed_width(path: Path) -> None:
    """A fixed width of 2 GiB."""
    schema = [forge.group("schema", 1, None), forge.leaf("b", forge.FIXED, width=MOST)]
    path.write_bytes(Sheet(schema, [(1, [Chunk(("b",), forge.FIXED, [Page(1, bytes(16))])])]).bytes())


@bomb("footer-of-70-MiB.parquet", "DG504")
def footer_of_70_mib(path: Path) -> None:
    """A footer larger than anyone needs."""
    size = 70 * MIB
    with path.open("wb") as file:
        file.write(forge.MAGIC)
        file.truncate(4 + size)
        file.seek(4 + size)
        file.write(packing.pack("<I", size) + forge.MAGIC)


@bomb("footer-of-endless-lists.parquet", "DG503")
def footer_of_endless_lists(path: Path) -> None:
    """A footer whose list claims two thousand million schema elements."""
    footer = bytes([0x15, 0x04, 0x19, 0xFC]) + varint(MOST) + bytes(100)
    path.write_bytes(forge.MAGIC + forge.close(footer))


def _encoded(footer: Struct) -> bytes:
    from hostile.thrift import encode

    return encode(footer)


def _rows(
    path: Path, *, footer: int | None = None, groups: int | None = None, values: int | None = None
) -> None:
    """A file of 100 rows whose counts say something else."""

    def change(found: Struct) -> None:
        if footer is not None:
            found[3] = i64(footer)
        for one in forge.row_groups(found):
            if groups is not None:
                one[3] = i64(groups)
            for chunk in forge.chunks(one):
                if values is not None:
                    chunk[5] = i64(values)

    path.write_bytes(forge.changed(forge.written(NUMBERS), change))


@bomb("rows-claimed-0.parquet", "DG506")
def rows_claimed_0(path: Path) -> None:
    """A footer of no rows: some readers then see none."""
    _rows(path, footer=0)


@bomb("rows-claimed-more.parquet", "DG506")
def rows_claimed_more(path: Path) -> None:
    """A footer of more rows than there are."""
    _rows(path, footer=1_000)


@bomb("rows-claimed-fewer.parquet", "DG506")
def rows_claimed_fewer(path: Path) -> None:
    """A footer of fewer rows than there are."""
    _rows(path, footer=99)


@bomb("rows-claimed-below-0.parquet", "DG503", "DG506")
def rows_claimed_below_0(path: Path) -> None:
    """Counts below zero."""
    _rows(path, footer=-100, groups=-100)


@bomb("rows-hidden-by-group.parquet", "DG506")
def rows_hidden_by_group(path: Path) -> None:
    """Footer and row group agree on fewer rows than the columns have."""
    _rows(path, footer=50, groups=50)


@bomb("rows-hidden-by-all-counts.parquet", *ANY)
def rows_hidden_by_all_counts(path: Path) -> None:
    """Footer, row group and columns agree on fewer rows than the pages have: so do all readers then."""
    _rows(path, footer=50, groups=50, values=50)


@bomb("rows-invented.parquet", "DG503", "DG506")
def rows_invented(path: Path) -> None:
    """Footer, row group and columns agree on more rows than the pages have."""
    _rows(path, footer=150, groups=150, values=150)


@bomb("rows-hidden-in-lists.parquet", "DG506")
def rows_hidden_in_lists(path: Path) -> None:
    """The same where the column is a list, so that the count of values says nothing of rows."""
    data = forge.written(pa.table({"l": [[n, n] for n in range(100)]}))

    def change(found: Struct) -> None:
        found[3] = i64(50)
        forge.row_groups(found)[0][3] = i64(50)

    path.write_bytes(forge.changed(data, change))


@bomb("group-repeated.parquet", *ANY)
def group_repeated(path: Path) -> None:
    """The same row group twice: the same bytes are read twice."""

    def change(found: Struct) -> None:
        found[4] = Field(found[4].type, Field(found[4].value.type, found[4].value.value * 2))
        found[3] = i64(200)

    path.write_bytes(forge.changed(forge.written(NUMBERS), change))


@bomb("column-in-another-file.parquet", "DG507")
def column_in_another_file(path: Path) -> None:
    """A column chunk that names another file."""

    def change(found: Struct) -> None:
        for one in forge.row_groups(found):
            for column in one[1].value.value:
                column[1] = text("/etc/passwd")

    path.write_bytes(forge.changed(forge.written(NUMBERS), change))


@bomb("statistics-forged.parquet", "DG506")
def statistics_forged(path: Path) -> None:
    """Minimum and maximum that hide every row from a reader which filters by them."""
    table = pa.table({"id": range(100)})

    def change(found: Struct) -> None:
        for one in forge.row_groups(found):
            low = packing.pack("<q", 1_000_000)
            forge.chunks(one)[0][12] = struct({3: i64(0), 5: text(low), 6: text(low)})

    path.write_bytes(forge.changed(forge.written(table), change))


@bomb("columns-of-one-name.parquet", "DG507")
def columns_of_one_name(path: Path) -> None:
    """Two columns of the same name."""
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    path.write_bytes(forge.written(table))


@bomb("fields-of-one-name.parquet", "DG507")
def fields_of_one_name(path: Path) -> None:
    """Two fields of the same name inside a struct."""
    column = pa.StructArray.from_arrays([pa.array(["x"]), pa.array(["y"])], names=["a", "a"])
    path.write_bytes(forge.written(pa.table({"s": column})))


@bomb("name-not-UTF-8.parquet", "DG503")
def name_not_utf8(path: Path) -> None:
    """A column name that is no text."""
    schema = [forge.group("schema", 1, None), forge.leaf(b"\xff\xfe", INT64)]
    path.write_bytes(Sheet(schema, [(1, [Chunk(("n",), INT64, [Page(1, bytes(8))])])]).bytes())


@bomb("encrypted.parquet", "DG503")
def encrypted(path: Path) -> None:
    """The magic of encrypted files."""
    path.write_bytes(b"PARE" + bytes(100) + packing.pack("<I", 50) + b"PARE")


@bomb("encrypted-column.parquet", "DG503")
def encrypted_column(path: Path) -> None:
    """A plain footer that says nothing of an encrypted column but that it is one: pyarrow aborts on it."""

    def change(found: Struct) -> None:
        for one in forge.row_groups(found):
            column = one[1].value.value[0]
            del column[3]
            column[8] = struct({2: struct({1: items([text("id")])})})
            column[9] = text(bytes(64))
        found[8] = struct({1: struct({2: text(b"12345678")})})

    path.write_bytes(forge.changed(forge.written(NUMBERS), change))


BAD = b"caf\xe9 \xff\xfe"


def _strings(values: list[bytes]) -> pa.Array:
    return pa.Array.from_buffers(pa.string(), len(values), pa.array(values, pa.binary()).buffers())


@bomb("not-UTF-8.parquet", "DG503")
def not_utf8(path: Path) -> None:
    """Strings that are no text: a library that trusts them crashes."""
    path.write_bytes(forge.written(pa.table({"t": _strings([b"good", BAD])}), use_dictionary=False))


@bomb("not-UTF-8-in-dictionary.parquet", "DG503")
def not_utf8_in_dictionary(path: Path) -> None:
    """The same in a dictionary."""
    path.write_bytes(forge.written(pa.table({"t": _strings([b"good", BAD] * 50)})))


@bomb("not-UTF-8-in-lists.parquet", "DG503")
def not_utf8_in_lists(path: Path) -> None:
    """The same within structs within lists."""
    inner = pa.StructArray.from_arrays([_strings([b"user", BAD])], names=["content"])
    column = pa.ListArray.from_arrays(pa.array([0, 2], pa.int32()), inner)
    path.write_bytes(forge.written(pa.table({"messages": column})))


@bomb("arrow-schema-garbage.parquet", *ANY)
def arrow_schema_garbage(path: Path) -> None:
    """An Arrow schema in the metadata that is none."""
    good = NUMBERS.schema.serialize().to_pybytes()
    table = NUMBERS.replace_schema_metadata({"ARROW:schema": base64.b64encode(good[:40] + b"\xff" * 200)})
    path.write_bytes(forge.written(table, store_schema=False))


@bomb("arrow-schema-of-another.parquet", *ANY)
def arrow_schema_of_another(path: Path) -> None:
    """An Arrow schema that is another file's."""
    other = pa.schema(
        [("x", pa.list_(pa.dictionary(pa.int8(), pa.string()))), ("y", pa.month_day_nano_interval())]
    )
    stored = base64.b64encode(other.serialize().to_pybytes())
    table = NUMBERS.replace_schema_metadata({"ARROW:schema": stored})
    path.write_bytes(forge.written(table, store_schema=False))


@bomb("extension-that-unpickles.parquet", *READ)
def extension_that_unpickles(path: Path) -> None:
    """The extension type that once unpickled what the file says."""
    payload = b"cbuiltins\nexec\n(S'import os; os._exit(66)'\ntR."
    names = ({b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": payload},)
    fields = [pa.field("id", pa.int64(), metadata=names[0]), pa.field("text", pa.string())]
    path.write_bytes(forge.written(NUMBERS.cast(pa.schema(fields))))


@bomb("extension-types.parquet", *READ)
def extension_types(path: Path) -> None:
    """Extension types that pyarrow knows: read as what they are stored as."""
    identity = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(range(16))] * 3, pa.binary(16)))
    tensor = pa.FixedShapeTensorArray.from_storage(
        pa.fixed_shape_tensor(pa.int32(), [2]), pa.array([[1, 2]] * 3, pa.list_(pa.int32(), 2))
    )
    path.write_bytes(forge.written(pa.table({"id": identity, "t": tensor})))


@bomb("map.parquet", *READ)
def a_map(path: Path) -> None:
    """A type that only some readers know: read as a list of entries."""
    path.write_bytes(forge.written(pa.table({"m": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int32()))})))


@bomb("empty.parquet", "DG503")
def empty(path: Path) -> None:
    """No bytes."""
    path.touch()


@bomb("only-magic.parquet", "DG503")
def only_magic(path: Path) -> None:
    """Four bytes."""
    path.write_bytes(forge.MAGIC)


@bomb("only-magics.parquet", "DG503")
def only_magics(path: Path) -> None:
    """Twelve bytes, with an empty footer."""
    path.write_bytes(forge.MAGIC + bytes(4) + forge.MAGIC)


@bomb("by-magic-alone.bin", *READ)
def by_magic_alone(path: Path) -> None:
    """A good file under another suffix."""
    path.write_bytes(forge.written(NUMBERS))


@bomb("not-parquet.parquet", "DG503")
def not_parquet(path: Path) -> None:
    """A text under the suffix."""
    path.write_text("this is no Parquet file\n" * 10)


for _length in (0, 1, 7, 0xFFFF_FFFF, 0x7FFF_FFFF, 100_000):

    @bomb(f"footer-length-{_length}.parquet", "DG503", "DG504")
    def footer_length(path: Path, length: int = _length) -> None:
        """A length of the footer that is not its length."""
        path.write_bytes(forge.written(NUMBERS)[:-8] + packing.pack("<I", length) + forge.MAGIC)


for _cut in range(12):

    @bomb(f"cut-{_cut:02}.parquet", "DG503")
    def cut(path: Path, cut: int = _cut) -> None:
        """A file that ends too early."""
        data = forge.written(NUMBERS)
        path.write_bytes(data[: (len(data) - 1) * (cut + 1) // 12])


for _cut in range(6):

    @bomb(f"cut-with-footer-{_cut}.parquet", "DG503", "DG506")
    def cut_with_footer(path: Path, cut: int = _cut) -> None:
        """Pages cut away in the middle, the footer as it was."""
        data = forge.written(NUMBERS)
        _, start = forge.footer_of(data)
        path.write_bytes(data[: start * (cut + 1) // 7] + data[start:])


def _flipped(path: Path, number: int, **options: bool) -> None:
    data = bytearray(forge.written(NUMBERS, compression="none", **options))
    _, start = forge.footer_of(bytes(data))
    place = 4 + (start - 4) * (number * 2 + 1) // 24
    data[place] ^= 1 << number % 8
    path.write_bytes(data)


for _number in range(12):

    @bomb(f"flipped-{_number:02}.parquet", *ANY)
    def flipped(path: Path, number: int = _number) -> None:
        """A bit of a page turned over; without checksums it may go unseen."""
        _flipped(path, number)

    @bomb(f"flipped-under-checksum-{_number:02}.parquet", *ANY)
    def flipped_under_checksum(path: Path, number: int = _number) -> None:
        """The same where each page has its checksum; only its header has none."""
        _flipped(path, number, write_page_checksum=True)


for _number in range(16):

    @bomb(f"flipped-in-footer-{_number:02}.parquet", *ANY)
    def flipped_in_footer(path: Path, number: int = _number) -> None:
        """A bit of the footer turned over."""
        data = bytearray(forge.written(NUMBERS, store_schema=False))
        _, start = forge.footer_of(bytes(data))
        data[start + (len(data) - 8 - start) * number // 16] ^= 1 << number % 8
        path.write_bytes(data)


def good(path: Path) -> None:
    """A file with nothing wrong."""
    pq.write_table(NUMBERS, path)

"""Every way of reading a file agrees with the plain reference reading, row by row."""

import bz2
import dataclasses
import datetime
import decimal
import functools
import gzip
import io
import json
import lzma
import math
import uuid
from collections.abc import Callable
from operator import add
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pipelines.reading.csv_files import pieces, reader
from pipelines.reading.dialect import DEFAULT_DIALECT, Dialect
from pipelines.reading.rows import InputColumns
from tests.support import plain_reading
from tests.support.reading import (
    LENGTH,
    MASS,
    Outcome,
    csv_in_ranges,
    csv_whole,
    in_a_pack,
    in_spans,
)

WANTED = InputColumns(
    features=(LENGTH, MASS), passthrough=("id", "mass"), label="kind", classes=("Adelie", "Gentoo")
)
# Single-column files, in which a line may look blank but isn't.
ONE_COLUMN = InputColumns(features=(LENGTH,))
BOM = b"\xef\xbb\xbf"

NUMBERS = st.one_of(
    st.floats(0.5, 9000).map(repr),
    st.integers(100, 300).map(str),
    st.sampled_from(["1.5", "200", "300.0", "0.5", "300.00000000000001", "2e2", "+150", "0150."]),
)
# Text that resembles a number, or a word for a number or a missing value.
STEMS = st.sampled_from(
    ["nan", "inf", "infinity", "nan(1)", "null", "n/a", "NA", "1.#IND", "150", "1.5e2", "0x10"]
)
SPICE = st.sampled_from(["", "", "+", "-", " ", "\t", "\u00a0", "\u2003", "(", ")", "_", "e", "."])


@st.composite
def near_numbers(draw: Any) -> str:
    word = "".join(draw(st.sampled_from([c.lower(), c.upper()])) for c in draw(STEMS))
    place = draw(st.integers(0, len(word)))
    return draw(SPICE) + word[:place] + draw(SPICE) + word[place:] + draw(SPICE)


VALUES = st.one_of(
    NUMBERS, NUMBERS, near_numbers(), st.text("0159+-.eE", max_size=6),
    st.sampled_from(["", " ", "NA", "39,1", "x", "-1", "1e400", "1\0", "\0", "1\n", "٣"]),
)  # fmt: skip
IDS = st.text('ab,"\n\r é\u00a0\0', max_size=5) | st.sampled_from(["", "NA", "007", "\ufeff"])
KINDS = st.sampled_from(
    ["Adelie", "gentoo ", "0", "1.0", "1.00", "+1", "", "NAN", "x", "2", "\xff"]
)
NAMES = {"id": IDS, "length": VALUES, "mass": VALUES, "kind": KINDS, "note": IDS}


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


# Rows of nothing, or nearly so, in place of whose commas any delimiter can stand.
BLANK = [
    "", "", " ", "\t", '""', ",", ",,", ",,,", "\ufeff", '"', " , ,", '"","",""', '"\t ", ,"" ',
    "\x1a", "\x1a,", ',"",\t', ',""" ""', '"" ""', ' ""', '",",', "," * 9, "\xa0,,", '"\n",,',
]  # fmt: skip


@st.composite
def csv_lines(draw: Any, names: list[str], dialect: Dialect) -> str:
    delimiter = dialect.delimiter
    if draw(st.integers(0, 5)) == 0:
        return str(draw(st.sampled_from(BLANK))).replace(",", delimiter)
    fields = [draw(NAMES.get(name, IDS)) for name in names]
    if draw(st.integers(0, 2)):  # mostly good rows
        for name, values in {"length": NUMBERS, "mass": st.just("150")}.items():
            if name in names:
                fields[names.index(name)] = draw(values)
    if dialect.decimal != "." and draw(st.integers(0, 5)):
        fields = [field.replace(".", dialect.decimal) for field in fields]
    if draw(st.integers(0, 9)) == 0:
        fields = (
            fields[: draw(st.integers(1, len(fields)))] if draw(st.booleans()) else [*fields, ""]
        )
    everything = draw(st.integers(0, 3)) == 0
    odd = draw(st.integers(0, 19)) == 0  # nothing is quoted, whatever it holds
    special = set('"\r\n' + delimiter)
    return delimiter.join(
        quoted(each) if not odd and (everything or set(each) & special) else each for each in fields
    )


@st.composite
def csv_bytes(draw: Any, dialect: Dialect = DEFAULT_DIALECT) -> bytes:
    names = draw(
        st.sampled_from(
            [["id", "length", "mass"]] * 3
            + [["id", "length", "mass", "kind", "note"], ["note", "mass", "kind", "id", "length"]]
            + [["note", "id", "length", "mass", "note"], ["mass", "id", "length", 'x\n"y']]
            + [["length"]] * 2
            + [["id"], ["id", "length", "mass", "mass"], ["id", "length", "mass", "kind", "kind"]]
        )
    )
    spelt = [
        draw(st.sampled_from([name, name, name, quoted(name), f" {name} ", name.upper()]))
        for name in names
    ]
    blanks = st.sampled_from(["", "", "", dialect.delimiter * 3])
    lines = draw(st.lists(csv_lines(names, dialect), max_size=8))
    ends = st.sampled_from(draw(st.sampled_from([["\n"], ["\r\n"], ["\r"], ["\n", "\r", "\r\n"]])))
    blank = "".join(draw(st.lists(st.builds(add, blanks, ends), max_size=2)))
    header = dialect.delimiter.join(
        quoted(name) if '"' in name and text == name else text
        for name, text in zip(names, spelt, strict=True)
    )
    text = blank + "".join(line + draw(ends) for line in [header, *lines])
    if draw(st.booleans()):
        text = text.rstrip("\r\n")
    data = draw(st.sampled_from([b"", BOM])) + text.encode()
    # Damage that a disk, an editor or a bad export does to a file.
    splice = draw(st.sampled_from([b""] * 5 + [b'"', b"\xff", b"\0", b"\r", b"\n", BOM, b" \n"]))
    place = draw(st.integers(0, len(data)))
    return data[:place] + splice + data[place:]


COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": functools.partial(pa.compress, codec="zstd", asbytes=True),
    "LZ4": functools.partial(pa.compress, codec="lz4", asbytes=True),
}


@settings(max_examples=400)
@given(csv_bytes(), st.integers(1, 60), st.integers(1, 60))
@example(BOM + b"\nid,length,mass\na,1,500\nb,2,500\nc,3,500\n", 8, 100)
@example(b"\nid,length,mass", 100, 100)
@example(b"id,length,mass\na,NAN,500\nb,1,500\n", 100, 100)
@example(b"id,length,mass\na,NAN,500\nb,x,500\n", 100, 100)
@example(BOM + b'"id","length","ma\nss",mass\na,1,,500\n', 8, 8)
def test_every_way_of_reading_a_csv(data: bytes, step: int, block_bytes: int) -> None:
    compress = list(COMPRESSED.values())[step % len(COMPRESSED)]
    members = compress(data[:step]) + compress(data[step:])
    for wanted in (WANTED, ONE_COLUMN):
        expected = plain_reading.csv_file(data, wanted)
        assert csv_whole(io.BytesIO(data), wanted, 1 << 20) == expected
        assert csv_whole(io.BytesIO(data), wanted, block_bytes) == expected
        assert csv_in_ranges(data, wanted, step, block_bytes) == expected
        assert csv_whole(io.BytesIO(members), wanted, block_bytes) == expected


DIALECTS = [Dialect(";", ","), Dialect(";"), Dialect("\t", ","), Dialect("\t"), Dialect("|")]


@settings(max_examples=150)
@given(st.data(), st.sampled_from(DIALECTS), st.integers(1, 60), st.integers(1, 60))
def test_every_way_of_reading_a_dialect(
    data: st.DataObject, dialect: Dialect, step: int, block_bytes: int
) -> None:
    content = data.draw(csv_bytes(dialect))
    # After the line, a second mark would be taken for the first.
    assume(not content.removeprefix(BOM).startswith(BOM))
    # The file names its delimiter, which spares it the flag.
    line = data.draw(st.sampled_from(["sep={}\r\n", '"sep={}"\n', "SEP={}\r"]))
    named = line.format(dialect.delimiter).encode() + content.removeprefix(BOM)
    by_itself = Dialect("|" if dialect.delimiter == "\t" else "\t", dialect.decimal)
    for columns in (WANTED, ONE_COLUMN):
        wanted = dataclasses.replace(columns, dialect=dialect)
        expected = plain_reading.csv_file(content, wanted)
        assert csv_whole(io.BytesIO(content), wanted, block_bytes) == expected
        assert csv_in_ranges(content, wanted, step, block_bytes) == expected
        wanted = dataclasses.replace(columns, dialect=by_itself)
        assert csv_in_ranges(named, wanted, step, block_bytes) == expected
        assert csv_whole(io.BytesIO(BOM + named), wanted, block_bytes) == expected


@given(csv_bytes(), st.integers(1, 60), st.sampled_from(["utf-16-le", "utf-16-be"]))
def test_every_way_of_reading_utf_16(data: bytes, block_bytes: int, encoding: str) -> None:
    text = data.decode(errors="replace").removeprefix("\ufeff")
    assume(not text.startswith(("\0", "\ufeff")))
    expected = plain_reading.csv_file(text.encode(), WANTED)
    wide = ("\ufeff" + text).encode(encoding)
    assert csv_whole(io.BytesIO(wide), WANTED, block_bytes) == expected
    assert csv_whole(io.BytesIO(gzip.compress(wide)), WANTED, block_bytes) == expected
    assert csv_in_ranges(wide, WANTED, 10, block_bytes) == expected
    assert csv_whole(io.BytesIO(wide[:-1]), WANTED, block_bytes) == "unreadable_file"


@settings(max_examples=300)
@given(csv_bytes(), st.integers(1, 60), st.integers(1, 20), st.integers(1, 20))
@example(b'id,length,mass\n"abcdefghijklmnopqrst""\r",1,500\na,1,500\n', 9, 20, 3)
@example(b"id,length,mass\nabcdefghijklmnopqrstuvwxyz,1,500", 9, 20, 3)
def test_a_record_too_long_to_hold_costs_its_row_wherever_it_is_cut(
    data: bytes, step: int, one: int, other: int
) -> None:
    with (
        mock.patch.object(pieces, "MAX_RECORD_BYTES", 20),
        mock.patch.object(reader, "_HEADER_BYTES", 20),
    ):
        found = csv_whole(io.BytesIO(data), WANTED, one)
        assert found == csv_whole(io.BytesIO(data), WANTED, other)
        assert found == csv_in_ranges(data, WANTED, step, one)
    expected = plain_reading.csv_file(data, WANTED)
    if not isinstance(found, str):
        assert [row[0] for row in found] == list(range(len(expected)))
        for row, plain in zip(found, expected, strict=True):
            assert row == plain or "longer than" in row[3]


@given(st.lists(csv_bytes(), min_size=2, max_size=5))
def test_a_pack_of_csv_files(contents: list[bytes]) -> None:
    contents = [*contents, gzip.compress(contents[0]), b"sep=,\n" + contents[1].removeprefix(BOM)]
    for wanted in (WANTED, ONE_COLUMN):
        expected = [plain_reading.csv_file(data, wanted) for data in contents[:-2]]
        expected += expected[:2]
        assert in_a_pack(contents, wanted) == expected


WHOLE = {kind: kind.bit_width for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64())}
NATURAL = {kind: kind.bit_width for kind in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())}
FLOATS = {pa.float16(): np.float16, pa.float32(): np.float32, pa.float64(): np.float64}
DECIMALS = [
    pa.decimal32(9, 3), pa.decimal64(18, 10), pa.decimal128(12, 5), pa.decimal128(15, 15),
    pa.decimal128(38, 20), pa.decimal256(60, 30), pa.decimal128(5, 0),
]  # fmt: skip
TEXTS = [
    pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.int32(), pa.large_string()),
]  # fmt: skip
BYTES = [pa.binary(), pa.large_binary(), pa.binary_view()]
DAY = datetime.datetime(9999, 12, 31)
NOT_NUMBERS = [
    (pa.bool_(), True, "true"),
    (pa.date32(), DAY.date(), "9999-12-31"),
    (pa.timestamp("us"), DAY, "9999-12-31 00:00:00.000000"),
    (pa.timestamp("ms", "UTC"), DAY, "9999-12-31 00:00:00.000Z"),
    (pa.timestamp("us", "Nowhere/Nothing"), DAY, "9999-12-31 00:00:00.000000Z"),
    (pa.timestamp("us"), 2**61, "<value out of range: 2305843009213693952>"),
    (pa.time64("ns"), 1, "00:00:00.000000001"),
    (pa.list_(pa.float64()), [1.5], "[1.5]"),
    (pa.list_(pa.string_view()), ["é", None], '["é", null]'),
    (pa.list_view(pa.int8()), [1], "[1]"),
    (pa.map_(pa.string(), pa.int8()), [("mm", 1)], '[["mm", 1]]'),
    (pa.struct({"mm": pa.string()}), {"mm": "é"}, '{"mm": "é"}'),
    (pa.uuid(), uuid.UUID(int=1).bytes, "00000000-0000-0000-0000-000000000001"),
]


def within(values: Any, kind: pa.DataType) -> Any:
    return values.map(lambda value: float(np.array(value, FLOATS[kind])))


def decimals(kind: pa.DataType) -> Any:
    most = 10**kind.precision - 1
    whole = st.integers(-most, most) | st.integers(0, 9000).map(
        lambda value: min(value * 10**kind.scale, most)
    )
    context = decimal.Context(prec=80)
    return whole.map(lambda value: decimal.Decimal(value).scaleb(-kind.scale, context))


@st.composite
def cells(
    draw: Any, rows: int, floats: bool = True
) -> tuple[pa.DataType, list[Any], list[str | None]]:
    """A column of any type: the type, the values, and each value's text."""
    choice = draw(st.integers(0 if floats else 1, 5))
    values: Any
    spell: Any = str
    if choice == 1:
        kind = draw(st.sampled_from([*WHOLE, *NATURAL]))
        signed = kind in WHOLE
        bits = kind.bit_width - signed
        values = st.integers(-(2**bits) * signed, 2**bits - 1) | st.integers(1, 120)
    elif choice == 0:
        kind = draw(st.sampled_from(list(FLOATS)))
        values = within(
            st.floats(0.5, 300) | st.sampled_from([39.1, math.nan, math.inf, 8100.0, 300.0]), kind
        )
        spell = repr
    elif choice == 2:
        kind = draw(st.sampled_from(DECIMALS))
        values, spell = decimals(kind), "{:f}".format
    elif choice == 3:
        kind, value, text = draw(st.sampled_from(NOT_NUMBERS))
        values, spell = st.just(value), lambda _: text
    elif choice == 4:
        kind, values = pa.null(), st.none()
    else:
        kind, values = draw(st.sampled_from(TEXTS)), VALUES | NUMBERS
    found = draw(st.lists(values | st.none(), min_size=rows, max_size=rows))
    return kind, found, [None if value is None else spell(value) for value in found]


def arrow(kind: pa.DataType, values: list[Any]) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode().cast(kind)
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))
    return pa.array(values, kind)


@st.composite
def columnar_files(
    draw: Any, write: Callable[[Any, pa.Table, bool], bytes]
) -> tuple[bytes, list[Any]]:
    """A file with columns of any type, and the expected outcome of its rows."""
    rows = draw(st.integers(0, 6))
    names = ["length", "mass", *draw(st.sampled_from([[], ["kind"]]))]
    # The text of a float is up to Arrow, and mass is carried along.
    columns = {name: draw(cells(rows, floats=name != "mass")) for name in names}
    ids = draw(st.lists(IDS | st.none(), min_size=rows, max_size=rows))
    columns["id"] = (draw(st.sampled_from(TEXTS + BYTES)), ids, ids)
    columns["extra"] = draw(cells(rows))
    if draw(st.booleans()):  # a column of good numbers, so that rows score
        good = [150] * rows
        columns["mass"] = (pa.int16(), good, [str(each) for each in good])
    arrays = {name: arrow(kind, values) for name, (kind, values, _) in columns.items()}
    # In chunks, each with its own dictionary, and sliced from a longer array.
    cut = draw(st.integers(0, rows))
    chunked = {
        name: pa.chunked_array(
            [arrow(columns[name][0], columns[name][1][:cut]), array.slice(cut)], array.type
        )
        for name, array in arrays.items()
    }
    mangled = draw(st.sets(st.integers(0, rows - 1), max_size=2)) if rows else set()
    if mangled:
        spelt = [(each or "").encode() + b"\xff" * (n in mangled) for n, each in enumerate(ids)]
        columns["id"] = (pa.string(), ids, ["" if each is None else each for each in ids])
        kind = draw(st.sampled_from([pa.string(), pa.binary(), pa.binary_view()]))
        array = pa.array(spelt, pa.binary())
        array = array.view(kind) if kind == pa.string() else array.cast(kind)
        chunked["id"] = pa.chunked_array([array])
        for place in mangled if kind != pa.string() else ():
            # Bytes need not be text.
            columns["id"][2][place] = f'"{spelt[place].hex()}"'
        mangled = mangled if kind == pa.string() else set()
    # INT96 has no time zone, and only one unit.
    zoned = any(getattr(kind, "tz", None) for kind, _, _ in columns.values())
    data = write(draw, pa.table(chunked), zoned)
    expected = []
    for place in range(rows):
        texts = {name: text[place] for name, (_, _, text) in columns.items()}
        row = plain_reading.row(place, texts, None, WANTED)
        if place in mangled:
            row = (place, "bad_encoding", "id", "id has bytes that are not UTF-8", None)
        expected.append(row)
    return data, expected


def write_parquet(draw: Any, table: pa.Table, zoned: bool) -> bytes:
    sink = io.BytesIO()
    pq.write_table(
        table, sink,
        row_group_size=draw(st.integers(1, 6)),
        store_schema=draw(st.booleans()),
        use_dictionary=draw(st.booleans()),
        use_deprecated_int96_timestamps=not zoned and draw(st.booleans()),
    )  # fmt: skip
    return sink.getvalue()


def write_arrow(draw: Any, table: pa.Table, zoned: bool) -> bytes:
    """An IPC file or stream; a file can't replace a dictionary."""
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=draw(st.sampled_from([None, "lz4", "zstd"])))
    if draw(st.booleans()):
        with pa.ipc.new_stream(sink, table.schema, options=options) as stream:
            stream.write_table(table, max_chunksize=draw(st.integers(1, 6)))
    else:
        table = table.unify_dictionaries()
        with pa.ipc.new_file(sink, table.schema, options=options) as file:
            file.write_table(table, max_chunksize=draw(st.integers(1, 6)))
    return sink.getvalue()


def checked(found: Outcome) -> list[Any]:
    """Rows without the raw text of rejects, which must be JSON."""
    assert not isinstance(found, str)
    rows = []
    for row in found:
        if row[1] in ("missing_value", "not_a_number", "out_of_range", "bad_encoding"):
            shown = json.loads(row[-1], parse_constant=pytest.fail)
            assert {"id", "length", "mass", "extra"} <= set(shown)
            rows.append((*row[:-1], None))
        else:
            rows.append(row)
    return rows


@settings(max_examples=300)
@given(
    st.lists(columnar_files(write_parquet), min_size=1, max_size=3),
    st.integers(1, 500),
    st.integers(1, 5),
)
def test_every_way_of_reading_parquet(
    made: list[tuple[bytes, list[Any]]], span_bytes: int, batch_rows: int
) -> None:
    check_every_way("parquet", made, span_bytes, batch_rows)


@settings(max_examples=300)
@given(
    st.lists(columnar_files(write_arrow), min_size=1, max_size=3),
    st.integers(1, 500),
    st.integers(1, 5),
)
def test_every_way_of_reading_arrow(
    made: list[tuple[bytes, list[Any]]], span_bytes: int, batch_rows: int
) -> None:
    check_every_way("arrow", made, span_bytes, batch_rows)


def check_every_way(
    name: str, made: list[tuple[bytes, list[Any]]], span_bytes: int, batch_rows: int
) -> None:
    contents = [data for data, _ in made]
    expected = [rows for _, rows in made]
    for data, rows in made:
        assert checked(in_spans(name, data, WANTED, 1 << 30, 1 << 17)) == rows
        assert checked(in_spans(name, data, WANTED, span_bytes, batch_rows)) == rows
    # Twice each, so that there is something to combine.
    found = in_a_pack(contents * 2, WANTED, name)
    assert [checked(each) for each in found] == expected * 2

"""Reads CSV in blocks of whole records, parsed by pyarrow; a block that fails is parsed as bytes.

The fast path asks pyarrow for the features as numbers. If that fails, the same block is parsed with
its columns as bytes, which shows exactly which rows are at fault: one bad row slows down its block
but never affects its neighbours.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from penguin_model import validate
from pipelines.errors import ReconcileError
from pipelines.reading.column_names import FileColumns, find_columns, match_columns
from pipelines.reading.csv_files import pieces
from pipelines.reading.csv_files.pieces import by_rows, longer_than, whole_records, with_header
from pipelines.reading.csv_files.records import (
    BOM,
    LazyRecords,
    Records,
    drop_blank,
    find_records,
)
from pipelines.reading.dialect import Dialect
from pipelines.reading.encoding import from_latin_1, show_bytes, undecodable_rows
from pipelines.reading.formats import Part
from pipelines.reading.rows import Broken, InputColumns, ParsedRows, Reject
from pipelines.reading.settings import DEFAULT_SIZES
from pipelines.reading.unreadable import UnreadableFile

# Most headers are shorter; more is read if one is longer.
_HEADER_BYTES = 64 << 10
# Bytes that one pyarrow thread parses at a time.
_PARSE_BYTES = 1 << 20
_MOST_COLUMNS = 1 << 17
# The delimiters to try on a header that lacks a column.
_DELIMITERS = ",;\t|"
_DECIMAL_COMMA = re.compile(rb"(?<![0-9,.])[0-9]+,[0-9]+(?![0-9,.])")


def read_csv(
    stream: BinaryIO,
    wanted: InputColumns,
    *,
    block_bytes: int,
    block_rows: int = DEFAULT_SIZES.block_rows,
    span: Part | None = None,
) -> Iterator[ParsedRows]:
    """Reads CSV bytes as a stream, in bounded memory.

    Args:
      stream: the uncompressed bytes of one file.
      wanted: the columns to read.
      block_bytes: bytes to read at a time.
      block_rows: rows to parse at a time.
      span: a part of the file that holds whole records; None reads the whole file.

    Yields:
      The file's rows in order, some at a time.

    Raises:
      UnreadableFile: there is no usable header, or the bytes aren't CSV.
    """
    most = max(pieces.MAX_RECORD_BYTES, block_bytes)
    delimiter = wanted.dialect.delimiter_byte
    body: bytes | None
    if span is None or span.start == 0:
        limit = None if span is None else span.stop
        records = whole_records(
            stream, block_bytes, limit, most, delimiter=delimiter, at_start=True
        )
        header, body = read_header(with_header(records, delimiter), wanted)
        row = 0
    else:
        header, body, row = find_header(stream, wanted), b"", span.first_row
        stream.seek(span.start)
        size = span.stop - span.start
        records = whole_records(stream, block_bytes, size, most, delimiter=delimiter)
    while True:
        if body is None:
            yield _too_long(header, row, most)
            row += 1
        for part in by_rows(body or b"", block_rows, delimiter):
            block = _parse(part, header, wanted, row)
            if block is not None:
                yield block
                row += block.rows_read
        try:
            body = next(records)
        except StopIteration:
            return


def find_header(stream: BinaryIO, wanted: InputColumns) -> FileColumns:
    """Returns the columns of a file.

    Raises:
      UnreadableFile: there is no usable header, or a required column is missing.
    """
    most = max(pieces.MAX_RECORD_BYTES, _HEADER_BYTES)
    delimiter = wanted.dialect.delimiter_byte
    records = whole_records(stream, _HEADER_BYTES, None, most, delimiter=delimiter, at_start=True)
    return read_header(with_header(records, delimiter), wanted)[0]


def read_header(piece: bytes, wanted: InputColumns) -> tuple[FileColumns, bytes]:
    """Splits the header from the first piece of a file.

    Returns:
      The columns, and what follows the header.

    Raises:
      UnreadableFile: the header isn't usable, or a required column is missing.
    """
    if not piece:
        raise UnreadableFile("the file is empty: it has no header")
    delimiter = wanted.dialect.delimiter
    records = find_records(piece, wanted.dialect.delimiter_byte)
    try:
        text = records.raw(0).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableFile(
            "the header is not UTF-8 text; is this a CSV file? If so, save it as UTF-8"
        ) from error
    if not text.strip("\0"):
        raise UnreadableFile(
            "the file begins with nothing but NUL bytes: it was not written; deliver it again"
        )
    if "\0" in text:
        raise UnreadableFile(
            "the header has NUL bytes; is this a CSV file? If it is UTF-16 without a byte-order "
            "mark, save it as UTF-8"
        )
    if text.count(delimiter) >= _MOST_COLUMNS:
        raise UnreadableFile(
            f"the header has more than {_MOST_COLUMNS:,} columns; is this a CSV file?"
        )
    body = piece[records.starts[1] :] if len(records) > 1 else b""
    names = _names(text, delimiter)
    return find_columns(names, wanted, lambda: _what_else(text, body, wanted)), body


def _names(header: str, delimiter: str) -> list[str]:
    return [name.strip() for name in _fields(header, delimiter)]


def _what_else(header: str, body: bytes, wanted: InputColumns) -> str:
    """Says what a file may be if its header lacks a column."""
    if header.startswith("<"):
        return "; it looks like a web page or XML; is this a CSV file?"
    if header.startswith(("{", "[")):
        return "; it looks like JSON; convert it to CSV or Parquet"
    missing = {
        delimiter: len(match_columns(_names(header, delimiter), wanted).missing)
        for delimiter in (wanted.dialect.delimiter, *_DELIMITERS)
    }
    best = min(missing, key=lambda delimiter: missing[delimiter])
    if best == wanted.dialect.delimiter:
        return ""
    dialect = Dialect(best)
    if _DECIMAL_COMMA.search(body[:_HEADER_BYTES]) and best != ",":
        dialect = Dialect(best, ",")
    return f"; its fields are not separated by {wanted.dialect.name}: give {dialect.flags}"


def _too_long(header: FileColumns, row: int, most: int) -> ParsedRows:
    reject = Reject(
        source_row=row,
        reason=validate.UNREADABLE_FILE,
        column=None,
        message=f"the record is {longer_than(most)}",
    )
    return ParsedRows(
        columns={name: pa.array([], pa.string()) for name in header.sources},
        rows=np.empty(0, np.int64),
        raw=lambda _: [],
        broken=Broken(np.array([row]), lambda _: [reject]),
    )


def _parse(
    data: bytes, header: FileColumns, wanted: InputColumns, first_row: int
) -> ParsedRows | None:
    """Parses whole records; returns None if all of them are blank."""
    # pyarrow refuses bytes that hold nothing but blank lines.
    if data[0] in b"\r\n" and not data.strip(b"\r\n"):
        return None
    try:
        table = parse_fast(data, header, wanted)
    except pa.ArrowInvalid:
        table = None
    delimiter = wanted.dialect.delimiter_byte
    # A blank row has no value or the wrong number of fields, so most data needn't be searched.
    if table is None or _may_be_blank(table, wanted):
        filled = drop_blank(data, delimiter)
        if filled is not data:
            return _parse(filled, header, wanted, first_row) if filled else None
    if table is None:
        return _parse_exact(data, header, wanted, first_row)
    records = LazyRecords(data, delimiter)
    count = table.num_rows

    def raw(positions: Sequence[int]) -> list[str | None]:
        return [show_bytes(records.get(count).raw(position)) for position in positions]

    rows = np.arange(first_row, first_row + count, dtype=np.int64)
    return ParsedRows(columns=_arrays(table), rows=rows, raw=raw, dialect=wanted.dialect)


def _may_be_blank(table: pa.Table, wanted: InputColumns) -> bool:
    """Whether there may be rows in which every feature is missing."""
    # A number that is passed through is text, as categories are; a path holds no numbers.
    features = (table.column(name) for name in wanted.numbers)
    return all(column.null_count for column in features if pa.types.is_floating(column.type))


def parse_fast(data: bytes, header: FileColumns, wanted: InputColumns) -> pa.Table:
    """Parses records, with numbers as float64 and categories as text.

    Args:
      data: whole records without the header.
      header: the file's columns.
      wanted: the columns to parse.

    Raises:
      pa.ArrowInvalid: a row can't be parsed this way.
    """
    # Labels are bytes, so that none makes a row fail. Features carried along keep their text.
    types = dict.fromkeys(header.read, pa.binary())
    types |= dict.fromkeys(header.sources_of(wanted.numbers), pa.float64())
    types |= dict.fromkeys(
        header.sources_of((*wanted.categories, *wanted.passthrough)), pa.string()
    )
    return _read_csv(data, header, types, wanted.dialect, None)


def _parse_exact(
    data: bytes, header: FileColumns, wanted: InputColumns, first_row: int
) -> ParsedRows:
    """Parses every required column as bytes, setting aside rows that still fail."""
    records = find_records(data, wanted.dialect.delimiter_byte)
    wrong: list[int] = []

    def set_aside(row: Any) -> str:
        wrong.append(row.number - 1)
        return "skip"

    columns = _parse_bytes(data, header, wanted.dialect, set_aside)
    rows = len(next(iter(columns.values())))
    if rows + len(wrong) != len(records):
        raise ReconcileError(
            f"{len(records)} records at row {first_row}, but {rows + len(wrong)} parsed"
        )
    kept = np.setdiff1d(np.arange(len(records)), np.array(wrong, np.int64))
    undecodable = {
        int(kept[position]): name
        for position, name in undecodable_rows(
            {name: columns[name] for name in header.required}
        ).items()
    }
    broken = np.array(sorted([*wrong, *undecodable]), np.int64)

    def explain(positions: Sequence[int]) -> list[Reject]:
        return [
            _bad_encoding(records, place, undecodable[place], first_row)
            if place in undecodable
            else _wrong_field_count(records, place, header, wanted.dialect, first_row)
            for place in broken[list(positions)].tolist()
        ]

    if undecodable:
        mask = ~np.isin(kept, broken)
        kept = kept[mask]
        columns = {name: array.filter(pa.array(mask)) for name, array in columns.items()}

    def raw(positions: Sequence[int]) -> list[str | None]:
        return [show_bytes(records.raw(int(kept[position]))) for position in positions]

    return ParsedRows(
        columns=columns | {name: columns[name].cast(pa.string()) for name in header.required},
        rows=kept.astype(np.int64) + first_row,
        raw=raw,
        broken=Broken(broken + first_row, explain),
        dialect=wanted.dialect,
    )


def _parse_bytes(
    data: bytes, header: FileColumns, dialect: Dialect, handler: Any
) -> dict[str, pa.Array]:
    """Parses the columns as bytes; rows with a wrong field count go to the handler."""
    names = header.read
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        # pyarrow doesn't pass rows that aren't UTF-8 to a handler, so map each byte to a character.
        data = data.decode("latin-1").encode("utf-8")
        types = dict.fromkeys(names, pa.string())
        table = _read_csv(data, header, types, dialect, handler)
        return {name: from_latin_1(array) for name, array in _arrays(table).items()}
    types = dict.fromkeys(names, pa.binary())
    return _arrays(_read_csv(data, header, types, dialect, handler))


def _read_csv(
    data: bytes, header: FileColumns, types: dict[str, pa.DataType], dialect: Dialect, handler: Any
) -> Any:
    # pyarrow numbers rows for the handler only when reading with a single thread.
    threads = handler is None
    if data.startswith(BOM):
        # pyarrow drops a byte-order mark at the start of its input; after a blank line it is text.
        data = b"\n" + data
    table = pa_csv.read_csv(
        pa.BufferReader(data),
        # Columns are named by position, since names of other columns may appear twice.
        read_options=pa_csv.ReadOptions(
            use_threads=threads,
            block_size=_PARSE_BYTES if threads else len(data) + 1,
            column_names=header.names,
        ),
        parse_options=pa_csv.ParseOptions(
            delimiter=dialect.delimiter,
            newlines_in_values=b'"' in data,
            invalid_row_handler=handler,
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            null_values=list(validate.NULL_SPELLINGS),
            strings_can_be_null=False,
            decimal_point=dialect.decimal,
        ),
    )
    return header.rename(table)


def _arrays(table: pa.Table) -> dict[str, pa.Array]:
    return {
        name: table.column(name).combine_chunks() if table.num_rows else _empty(table, name)
        for name in table.column_names
    }


def _empty(table: pa.Table, name: str) -> pa.Array:
    return pa.array([], table.schema.field(name).type)


def _wrong_field_count(
    records: Records, position: int, header: FileColumns, dialect: Dialect, first_row: int
) -> Reject:
    raw = records.raw(position)
    found = len(_fields(raw.decode("latin-1"), dialect.delimiter))
    message = f"the row has {found} fields, the header has {len(header.names)}"
    if not raw.strip(b"\0"):
        message = "the row is nothing but NUL bytes: the file was cut off; deliver it again"
    return Reject(
        source_row=first_row + position,
        reason=validate.WRONG_FIELD_COUNT,
        column=None,
        message=message,
        raw=show_bytes(raw),
    )


def _fields(record: str, delimiter: str) -> list[str]:
    # A field may be as long as a record, which is bounded; the csv module's limit is lower.
    csv.field_size_limit(max(csv.field_size_limit(), len(record)))
    return next(csv.reader(io.StringIO(record, newline=""), delimiter=delimiter))


def _bad_encoding(records: Records, position: int, column: str, first_row: int) -> Reject:
    return Reject(
        source_row=first_row + position,
        reason=validate.BAD_ENCODING,
        column=column,
        message=f"{column} has bytes that are not UTF-8; save the file as UTF-8",
        raw=show_bytes(records.raw(position)),
    )

"""The plain and compressed CSV formats."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

import pyarrow as pa

from pipelines.reading.csv_files import plain, reader
from pipelines.reading.csv_files.compressed import CODECS, Codec
from pipelines.reading.csv_files.text import look, open_text
from pipelines.reading.dialect import Dialect
from pipelines.reading.formats import Described, Format, Part, Together, one_by_one
from pipelines.reading.rows import InputColumns, ParsedRows
from pipelines.reading.settings import Sizes


def _read(
    source: pa.NativeFile, part: Part, wanted: InputColumns, sizes: Sizes
) -> Iterator[ParsedRows]:
    """Reads a range of whole records, or the whole file."""
    if not part.stop:
        return _read_whole(None, source, part, wanted, sizes)
    return reader.read_csv(
        source, wanted, block_bytes=sizes.block_bytes, block_rows=sizes.block_rows, span=part
    )


def _read_whole(
    codec: Codec | None, source: pa.NativeFile, part: Part, wanted: InputColumns, sizes: Sizes
) -> Iterator[ParsedRows]:
    """Reads the whole file, whatever its name says it is compressed with."""
    text = open_text(source, wanted.dialect, codec)
    return reader.read_csv(
        text.stream,
        dataclasses.replace(wanted, dialect=text.dialect),
        block_bytes=sizes.block_bytes,
        block_rows=sizes.block_rows,
    )


def _describe(codec: Codec | None, source: pa.NativeFile, wanted: InputColumns) -> Described:
    """Reads the header alone: damage further down isn't seen."""
    text = look(source, wanted.dialect, codec)
    columns = reader.find_header(text.stream, dataclasses.replace(wanted, dialect=text.dialect))
    details = [text.encoding] if text.encoding else []
    if text.dialect.delimiter != ",":
        details.append(f"separated by {text.dialect.name}")
    return Described(columns, ", ".join(details))


def _with_tabs(wanted: InputColumns) -> InputColumns:
    """The columns of a file whose fields are separated by tabs, as its name says."""
    return dataclasses.replace(wanted, dialect=Dialect("\t", wanted.dialect.decimal))


def _read_tabs(
    source: pa.NativeFile, part: Part, wanted: InputColumns, sizes: Sizes
) -> Iterator[ParsedRows]:
    return _read_whole(None, source, part, _with_tabs(wanted), sizes)


def _describe_tabs(source: pa.NativeFile, wanted: InputColumns) -> Described:
    return _describe(None, source, _with_tabs(wanted))


def _divides(source: pa.NativeFile, wanted: InputColumns) -> bool:
    """Checks the header of a file whose bytes are its text, so that they can be divided."""
    if not look(source, wanted.dialect).is_plain:
        return False
    source.seek(0)
    reader.find_header(source, wanted)
    return True


CSV = Format(
    name="csv",
    suffixes=(".csv",),
    read=_read,
    describe=functools.partial(_describe, None),
    divides=_divides,
    together=Together(one_by_one(plain.load), plain.combine),
)
COMPRESSED_CSV = tuple(
    Format(
        name=f"csv{codec.suffix}",
        suffixes=(f".csv{codec.suffix}",),
        read=functools.partial(_read_whole, codec),
        describe=functools.partial(_describe, codec),
    )
    for codec in CODECS
)
TSV = Format(
    name="tsv",
    suffixes=(".tsv", *(f".tsv{codec.suffix}" for codec in CODECS)),
    read=_read_tabs,
    describe=_describe_tabs,
)

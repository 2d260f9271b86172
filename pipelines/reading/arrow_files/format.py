"""The Arrow IPC format: files (also known as Feather version 2) and streams."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from pipelines.reading.arrow_batches import column_types, combine, types_by_name
from pipelines.reading.arrow_files import reader
from pipelines.reading.arrow_files.sizes import plain_bytes
from pipelines.reading.formats import Described, Format, Loaded, Part, Together, one_by_one
from pipelines.reading.rows import InputColumns, ParsedRows
from pipelines.reading.settings import Sizes
from pipelines.reading.unreadable import UnreadableFile


def _plan(source: pa.NativeFile, wanted: InputColumns, sizes: Sizes) -> list[Part]:
    return list(reader.plan(reader.open_file(source, wanted), sizes.span_bytes))


def _read(
    source: pa.NativeFile, part: Part, wanted: InputColumns, sizes: Sizes
) -> Iterator[ParsedRows]:
    return reader.read_record_batches(reader.open_file(source, wanted), part, wanted, sizes)


def _describe(source: pa.NativeFile, wanted: InputColumns) -> Described:
    file = reader.open_file(source, wanted)
    rows = sum(place.rows for place in file.places)
    return Described(file.columns, types=types_by_name(file.schema), rows=rows)


def _load(source: pa.NativeFile, wanted: InputColumns, most_bytes: int) -> Loaded:
    """Loads the required columns of a small file.

    Raises:
      UnreadableFile: it takes too much memory, or has no rows.
    """
    file = reader.open_file(source, wanted)
    names = file.columns.read
    batches, size, rows = [], 0, 0
    for number, place in enumerate(file.places):
        batch = file.read_batch(number, names)
        rows += place.rows
        size += plain_bytes(batch)
        if size + rows * wanted.row_bytes > most_bytes:
            raise UnreadableFile("it needs too much memory to be read together with others")
        batches.append(reader.plain(batch))
    if not batches:
        raise UnreadableFile("it has no rows")
    table = file.columns.rename(pa.Table.from_batches(batches))
    return Loaded(column_types(table.schema), rows, size, table)


ARROW = Format(
    name="arrow",
    suffixes=(".arrow", ".feather"),
    read=_read,
    describe=_describe,
    plan=_plan,
    together=Together(one_by_one(_load), combine),
)

"""The Parquet format."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from pipelines.reading.arrow_batches import check_dictionaries, column_types, combine, types_by_name
from pipelines.reading.column_names import find_columns
from pipelines.reading.formats import Described, Format, Loaded, Part, Together
from pipelines.reading.parquet_files import memory, reader
from pipelines.reading.rows import InputColumns, ParsedRows
from pipelines.reading.settings import Sizes
from pipelines.reading.unreadable import UnreadableFile


def _plan(source: pa.NativeFile, wanted: InputColumns, sizes: Sizes) -> list[Part]:
    return list(reader.plan(reader.open_file(source, wanted), sizes.span_bytes))


def _read(
    source: pa.NativeFile, part: Part, wanted: InputColumns, sizes: Sizes
) -> Iterator[ParsedRows]:
    file = reader.open_file(source, wanted)
    return reader.read_row_groups(
        file, part, wanted, batch_rows=sizes.batch_rows, batch_bytes=sizes.batch_bytes
    )


def _describe(source: pa.NativeFile, wanted: InputColumns) -> Described:
    file = reader.open_file(source, wanted)
    schema = file.schema_arrow
    columns = find_columns(schema.names, wanted)
    return Described(columns, types=types_by_name(schema), rows=file.metadata.num_rows)


def _load(source: pa.NativeFile, wanted: InputColumns, most_bytes: int) -> Loaded:
    """Loads the required columns of a small file.

    Raises:
      UnreadableFile: it takes too much memory, or doesn't match its footer.
    """
    opened = reader.open_file(source, wanted)
    found = find_columns(opened.schema_arrow.names, wanted)
    rows = opened.metadata.num_rows
    if rows * wanted.row_bytes > most_bytes or not memory.fits(opened, found.read, most_bytes):
        raise UnreadableFile("it needs too much memory to be read together with others")
    if opened.fixed_lists.intersection(found.read):
        raise UnreadableFile("it has lists that are read in another way")
    table = opened.reader.read_all(column_indices=opened.leaves_of(found.read), use_threads=False)
    if table.num_rows != rows:
        raise UnreadableFile("it has other rows than the footer says")
    for batch in table.to_batches():
        check_dictionaries(batch)
    table = found.rename(table)
    return Loaded(column_types(table.schema), rows, table.nbytes, table)


PARQUET = Format(
    name="parquet",
    suffixes=(".parquet",),
    read=_read,
    describe=_describe,
    plan=_plan,
    together=Together(_load, combine),
)

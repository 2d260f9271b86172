"""The Parquet format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from pipelines.reading.arrow_batches import check_dictionaries, types_by_name
from pipelines.reading.column_names import FileColumns, find_columns
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


class _Layout(NamedTuple):
    """What files of one schema have in common.

    Attributes:
      schema: theirs.
      found: where they have the columns to read.
      read: these columns.
      leaves: the indices of those columns' leaves.
      shape: what the columns' values take in memory.
      kind: names and types of the columns, which files must share to be concatenated.
      may_break: whether a column has a dictionary, whose indices may be wrong.
    """

    schema: pa.Schema
    found: FileColumns
    read: tuple[str, ...]
    leaves: list[int]
    shape: memory.Shape
    kind: tuple[tuple[str, pa.DataType], ...]
    may_break: bool

    @classmethod
    def of(cls, file: memory.InputParquet, wanted: InputColumns) -> _Layout:
        schema = file.schema_arrow
        found = find_columns(schema.names, wanted)
        read = found.read
        if file.fixed_lists.intersection(read):
            raise UnreadableFile("it has lists that are read in another way")
        types = [schema.field(name).type for name in read]
        return cls(
            schema,
            found,
            read,
            file.leaves_of(read),
            memory.Shape.of(types),
            tuple((name, schema.field(each).type) for name, each in found.sources.items()),
            any(map(pa.types.is_dictionary, types)),
        )


class _Loader:
    """Loads the required columns of small files.

    Most files of a folder have one schema, so its columns are only found once.
    """

    def __init__(self, wanted: InputColumns, most_bytes: int) -> None:
        self._wanted = wanted
        self._most_bytes = most_bytes
        self._last: _Layout | None = None

    def __call__(self, source: pa.NativeFile) -> Loaded:
        """Loads a file.

        Raises:
          UnreadableFile: it takes too much memory, or doesn't match its footer.
        """
        file = memory.InputParquet(source, columns=len(self._wanted.columns) + 1)
        layout = self._last
        if layout is None or not file.schema_arrow.equals(layout.schema):
            layout = self._last = _Layout.of(file, self._wanted)
        groups = [file.metadata.row_group(group) for group in range(file.num_row_groups)]
        counts = [group.num_rows for group in groups]
        rows = sum(counts)
        if min(counts, default=0) < 0 or rows != file.metadata.num_rows:
            raise UnreadableFile("the row counts in its footer disagree")
        size = rows * self._wanted.row_bytes
        if size > self._most_bytes or not memory.fits(
            file, groups, layout.read, layout.shape, self._most_bytes
        ):
            raise UnreadableFile("it needs too much memory to be read together with others")
        table = file.reader.read_all(column_indices=layout.leaves, use_threads=False)
        if table.num_rows != rows:
            raise UnreadableFile("it has other rows than the footer says")
        if layout.may_break:
            for batch in table.to_batches():
                check_dictionaries(batch)
        size = rows * layout.shape.fixed_bytes if layout.shape.is_fixed else table.nbytes
        return Loaded((layout.kind, layout.read), rows, size, (layout.found, table))


def _combine(files: Sequence[Loaded], wanted: InputColumns) -> pa.Table:
    found, _ = files[0].content
    renamed: pa.Table = found.rename(pa.concat_tables(file.content[1] for file in files))
    return renamed


PARQUET = Format(
    name="parquet",
    suffixes=(".parquet",),
    read=_read,
    describe=_describe,
    plan=_plan,
    together=Together(_Loader, _combine),
)

"""Computes how much memory the rows of a Parquet file take before decoding any.

A page is decompressed as a whole, and a run-length encoded page of a few bytes can expand to any
number of rows of any length. The footer and page headers give the sizes of pages and dictionaries,
which determine how many rows can be read at a time, and what can't be read at all.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.parquet.core import ParquetReader

from pipelines.reading.parquet_files.pages import Pages, read_pages

# Decoders hold one page and one dictionary per column while they read its rows.
HELD_BYTES = 128 << 20
# Total for all column readers, which have one buffer each.
_BUFFER_BYTES = 32 << 20
_LEAST_BUFFER, _MOST_BUFFER = 64 << 10, 4 << 20
_WIDTHS = {"BOOLEAN": 1, "INT32": 8, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}


class TooLargeError(pa.ArrowInvalid):
    """Raised if a column can't be decoded in bounded memory."""


class InputParquet:
    """An open file, read as a stream.

    pyarrow's `ParquetFile` takes half as long again to open a small file: it looks for the parts of
    nested columns, which nobody asks for here.

    Args:
      source: its bytes.
      columns: how many columns are read at a time.
      settings: passed to pyarrow.
    """

    def __init__(self, source: pa.NativeFile, *, columns: int, **settings: Any) -> None:
        size = max(_LEAST_BUFFER, min(_MOST_BUFFER, _BUFFER_BYTES // max(1, columns)))
        self.source = source
        self.reader = ParquetReader()
        # A row group may be larger than memory, so its pages are read as needed.
        # Pages without a checksum, as most writers leave them, cost nothing; with one, decoding
        # takes a sixth longer.
        # Nanoseconds, the default for INT96, wrap after the year 2262.
        self.reader.open(
            source,
            buffer_size=size,
            pre_buffer=False,
            coerce_int96_timestamp_unit="us",
            page_checksum_verification=True,
            arrow_extensions_enabled=True,
            **settings,
        )
        self.metadata: pq.FileMetaData = self.reader.metadata
        self.num_row_groups: int = self.reader.num_row_groups

    @functools.cached_property
    def schema_arrow(self) -> pa.Schema:
        """The file's schema, which pyarrow converts whenever it's asked."""
        return self.reader.schema_arrow

    @functools.cached_property
    def leaves(self) -> dict[str, list[int]]:
        """The indices of each column's leaves: one, or several if the column is nested.

        Columns of one name share an entry.
        """
        found: dict[str, list[int]] = {}
        for index, path in enumerate(self.reader.column_paths):
            found.setdefault(path[0], []).append(index)
        return found

    def leaves_of(self, names: Sequence[str]) -> list[int]:
        """The leaves of some columns: by index, as pyarrow takes ``a.b`` for a part of ``a``."""
        return [index for name in names for index in self.leaves[name]]

    def read_group(self, group: int, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Yields some columns of a row group, a number of rows at a time."""
        fixed = [name for name in names if name in self.fixed_lists]
        if fixed:
            others = [name for name in names if name not in self.fixed_lists]
            return self._read_both(group, others, fixed, rows)
        batches: Iterator[pa.RecordBatch] = self.reader.iter_batches(
            rows, [group], self.leaves_of(names), False
        )
        return batches

    @functools.cached_property
    def fixed_lists(self) -> frozenset[str]:
        """The columns with lists of fixed size, in which Arrow can't read a null."""
        return frozenset(field.name for field in self.schema_arrow if _has_fixed_lists(field.type))

    @functools.cached_property
    def _without_types(self) -> InputParquet:
        """The same file without the Arrow schema in its footer: all of its lists are plain ones."""
        sink = pa.BufferOutputStream()
        self.metadata.write_metadata_file(sink)
        footer = sink.getvalue().to_pybytes().replace(b"ARROW:schema", b"ARROW_schema")
        metadata = pq.read_metadata(pa.BufferReader(footer))
        return InputParquet(self.source, columns=len(self.fixed_lists), metadata=metadata)

    def _read_both(
        self, group: int, others: Sequence[str], fixed: Sequence[str], rows: int
    ) -> Iterator[pa.RecordBatch]:
        with_types = self.reader.iter_batches(rows, [group], self.leaves_of(others), False)
        without = self._without_types.reader.iter_batches(
            rows, [group], self.leaves_of(fixed), False
        )
        if not others:
            yield from without
            return
        for batch, lists in itertools.zip_longest(with_types, without):
            if batch is None or lists is None or batch.num_rows != lists.num_rows:
                raise pa.ArrowInvalid("its columns have different numbers of rows")
            yield pa.RecordBatch.from_arrays(
                [*batch.columns, *lists.columns],
                names=[*batch.schema.names, *lists.schema.names],
            )


def _has_fixed_lists(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return _has_fixed_lists(kind.storage_type)
    if pa.types.is_fixed_size_list(kind):
        return True
    nested = pa.types.is_nested(kind)
    return nested and any(_has_fixed_lists(kind.field(n).type) for n in range(kind.num_fields))


def rows_at_a_time(
    file: InputParquet,
    group: int,
    names: Sequence[str],
    *,
    most_rows: int,
    most_bytes: int,
    held_bytes: int = HELD_BYTES,
) -> int:
    """Returns how many rows of a row group can be decoded at a time, at least one.

    Args:
      file: the open file; any batches still being read from it end.
      group: the row group.
      names: the columns to read.
      most_rows: the limit in rows.
      most_bytes: the limit in decoded bytes.
      held_bytes: the limit for what the column readers hold meanwhile.

    Raises:
      TooLargeError: a column doesn't fit, however few rows are read.
      pa.ArrowException, OSError, ValueError: the file is damaged.
    """
    rows = int(min(most_rows, max(1, file.metadata.row_group(group).num_rows)))
    chunks = _chunks(file, group, names)
    _check_held(chunks, held_bytes)
    for chunk in chunks:
        # A column that may repeat its values is also checked on its own.
        while rows > 1 and chunk.decoded(rows, most_bytes) > most_bytes:
            rows //= 2
        if chunk.is_nested and chunk.decoded(1, most_bytes) > most_bytes:
            values = chunk.metadata.num_values
            raise TooLargeError(
                f"column {chunk.name} is nested and holds {values:,} values; "
                f"at most {most_bytes >> 20} MiB can be decoded at a time"
            )
    while rows > 1 and sum(chunk.decoded(rows, most_bytes) for chunk in chunks) > most_bytes:
        rows //= 2
    return rows


class Shape(NamedTuple):
    """What the values of some columns take in memory.

    Attributes:
      fixed_bytes: bytes per row of the columns whose values all take the same.
      others: how many columns' values don't.
      is_nested: whether a column has several values per row.
    """

    fixed_bytes: int
    others: int
    is_nested: bool

    @classmethod
    def of(cls, kinds: Sequence[pa.DataType]) -> Shape:
        """The shape of columns of some types."""
        primitive = sum(map(pa.types.is_primitive, kinds))
        return cls(8 * primitive, len(kinds) - primitive, any(map(pa.types.is_nested, kinds)))

    @property
    def is_fixed(self) -> bool:
        """Whether the rows alone give the size."""
        return not (self.others or self.is_nested)


def fits(
    file: InputParquet, groups: Sequence[Any], names: Sequence[str], shape: Shape, most_bytes: int
) -> bool:
    """Returns whether all rows of a file can be decoded at once.

    Args:
      file: the open file, as for `rows_at_a_time`.
      groups: the metadata of its row groups.
      names: the columns to read.
      shape: theirs.
      most_bytes: the limit in decoded bytes.
    """
    encoded = sum(max(0, group.total_byte_size) for group in groups)
    if not shape.is_nested:
        # Assumes each text is as long as the whole file, an upper bound that most files pass.
        width = shape.fixed_bytes + shape.others * (encoded + 16)
        if 6 * encoded + file.metadata.num_rows * width <= most_bytes:
            return True
    left = most_bytes
    for group, metadata in enumerate(groups):
        rows = metadata.num_rows
        chunks = _chunks(file, group, names)
        if sum(chunk.most_held for chunk in chunks) > most_bytes:
            return False
        left -= sum(chunk.decoded(rows, left) for chunk in chunks)
        if left < 0:
            return False
    return True


def _chunks(file: InputParquet, group: int, names: Sequence[str]) -> list[_Chunk]:
    indices = [(name, index) for name in names for index in file.leaves[name]]
    # Reading a damaged column chunk's metadata makes pyarrow abort the process; this raises first.
    next(file.read_group(group, names, 0), None)
    metadata = file.metadata.row_group(group)
    return [_Chunk(file, group, name, index, metadata.column(index)) for name, index in indices]


def _check_held(chunks: Sequence[_Chunk], limit: int) -> None:
    """Refuses columns whose pages are too large, reading page headers only if necessary."""
    held = [chunk.most_held for chunk in chunks]
    for place in sorted(range(len(chunks)), key=lambda place: -held[place]):
        if sum(held) <= limit:
            return
        held[place] = chunks[place].held
    if sum(held) > limit:
        largest = max(range(len(chunks)), key=held.__getitem__)
        raise TooLargeError(
            f"column {chunks[largest].name} takes {held[largest] >> 20:,} MiB to decode, as its "
            f"values or pages are too long; at most {limit >> 20} MiB are held: write it with "
            "smaller pages"
        )


@dataclasses.dataclass
class _Chunk:
    """The values of one leaf column in one row group."""

    file: InputParquet
    group: int
    name: str
    index: int
    metadata: Any

    @functools.cached_property
    def is_nested(self) -> bool:
        column = self.file.metadata.schema.column(self.index)
        return bool(column.max_repetition_level or len(self.file.leaves[self.name]) > 1)

    @functools.cached_property
    def width(self) -> int:
        """Bytes per value; 0 if it varies."""
        if self.metadata.physical_type == "FIXED_LEN_BYTE_ARRAY":
            return max(8, int(self.file.metadata.schema.column(self.index).length))
        return _WIDTHS.get(self.metadata.physical_type, 0)

    @functools.cached_property
    def encoded(self) -> int:
        """Uncompressed bytes of all pages, according to the footer."""
        metadata = self.metadata
        return int(max(0, metadata.total_uncompressed_size, metadata.total_compressed_size))

    @functools.cached_property
    def has_dictionary(self) -> bool:
        return any("DICTIONARY" in each for each in self.metadata.encodings)

    @property
    def most_held(self) -> int:
        """Upper bound of the bytes a reader holds, as if the chunk were a single page."""
        return 2 * self.encoded + (4 * self.encoded if self.has_dictionary else 0)

    @property
    def held(self) -> int:
        """Bytes a reader holds."""
        return self.pages.held + 4 * self.pages.dictionary

    @functools.cached_property
    def pages(self) -> Pages:
        return read_pages(self.file.source, self.metadata)

    def decoded(self, rows: int, enough: int) -> int:
        """Decoded bytes of the largest run of `rows` rows; above `enough`, only approximate."""
        if self.is_nested:
            values = max(0, self.metadata.num_values)
            # Its levels, plus each value as if it were as long as all of them together.
            each = 8 + (self.width or (self.encoded if self._repeats else 8))
            return int(values * each + self.encoded)
        if self.width:
            return rows * self.width
        size = 8 * rows + self._stored(rows, enough)
        if self._repeats and size <= enough:
            size += self._repeated(rows, enough - size)
        return size

    @functools.cached_property
    def _repeats(self) -> bool:
        return self.has_dictionary or "DELTA_BYTE_ARRAY" in self.metadata.encodings

    def _stored(self, rows: int, enough: int) -> int:
        """Bytes of text that pages store in full."""
        if self.encoded <= enough:
            return self.encoded
        pages = self.pages
        ends, sums = np.cumsum(pages.rows), np.cumsum(pages.sizes)
        # Runs that begin with the last row of each page.
        last = np.minimum(np.searchsorted(ends, ends + rows - 2, "right"), len(ends) - 1)
        return int((sums[last] - sums + pages.sizes).max(initial=0))

    def _repeated(self, rows: int, enough: int) -> int:
        """Bytes of text that repeats a dictionary value, or a prefix of the preceding value."""
        if rows * self.encoded <= enough:
            return rows * self.encoded
        if "DELTA_BYTE_ARRAY" in self.metadata.encodings:
            return rows * max(self.pages.held, 1)
        return rows * self._longest

    @functools.cached_property
    def _longest(self) -> int:
        """Bytes of the dictionary's longest value."""
        file = InputParquet(
            self.file.source, columns=1, metadata=self.file.metadata, read_dictionary=[self.name]
        )
        batch = next(file.reader.iter_batches(1, [self.group], [self.index], False), None)
        if batch is None or not pa.types.is_dictionary(batch.column(0).type):
            return self.encoded
        values = batch.column(0).dictionary.cast(pa.large_binary())
        offsets = np.frombuffer(values.buffers()[1], np.int64)[: len(values) + 1]
        return int(np.diff(offsets).max(initial=0))

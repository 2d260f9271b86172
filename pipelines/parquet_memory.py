"""How much memory the rows of a Parquet file take, known before any of them is decoded.

A page is decompressed as a whole, and a run-length encoded page of a few bytes may stand for any
number of rows of any length. The footer and the page headers say how large pages and dictionaries
are; from that follows how many rows can be read at a time, and what can't be read at all.
"""

from __future__ import annotations

import array
import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

# Decoders hold a page and a dictionary of each column while they go through its rows.
HELD_BYTES = 128 << 20
# Of column readers together; each has one.
_BUFFER_BYTES = 32 << 20
_LEAST_BUFFER, _MOST_BUFFER = 64 << 10, 4 << 20
# A page header is some twenty bytes, and more only where it has long statistics.
_HEADER_BYTES = (512, 64 << 10, 16 << 20)
# From parquet.thrift and Thrift's compact protocol.
_DICTIONARY_PAGE = 2
_PAGE_FIELDS = {0: 5, _DICTIONARY_PAGE: 7, 3: 8}
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _STRUCT = 1, 2, 3, 7, 8, 12
_INTEGERS = (4, 5, 6)
_MOST_NESTING = 8
_WIDTHS = {"BOOLEAN": 1, "INT32": 8, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}


class TooLargeError(pa.ArrowInvalid):
    """A column can't be decoded within bounded memory."""


class InputParquet(pq.ParquetFile):
    """An open file that is read as a stream, and can be asked what its row groups take.

    Args:
      source: its bytes.
      columns: how many are read at a time.
      settings: pyarrow's.
    """

    def __init__(self, source: pa.NativeFile, *, columns: int, **settings: Any) -> None:
        size = max(_LEAST_BUFFER, min(_MOST_BUFFER, _BUFFER_BYTES // max(1, columns)))
        # A row group may be larger than memory: its pages are read as they are needed.
        # Nanoseconds, the default for INT96, wrap after the year 2262.
        super().__init__(
            source,
            buffer_size=size,
            pre_buffer=False,
            coerce_int96_timestamp_unit="us",
            **settings,
        )
        self.source = source

    @functools.cached_property
    def leaves(self) -> dict[str, list[int]]:
        """The indices of each column's leaves: one, or several of a nested column."""
        found: dict[str, list[int]] = {}
        for index, path in enumerate(self.reader.column_paths):
            found.setdefault(path[0], []).append(index)
        return found


class Pages(NamedTuple):
    """The pages of a column chunk.

    Attributes:
      rows, sizes: int64 ``[n]``, values and uncompressed bytes of each data page.
      held: bytes of the largest page, compressed and uncompressed.
      dictionary: bytes of the dictionary page.
    """

    rows: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    held: int
    dictionary: int


def rows_at_a_time(
    file: InputParquet,
    group: int,
    names: Sequence[str],
    *,
    most_rows: int,
    most_bytes: int,
    held_bytes: int = HELD_BYTES,
) -> int:
    """How many rows of a row group can be decoded at a time, at least one.

    Args:
      file: the open file; its batches that are still being read come to an end.
      group: the row group.
      names: the columns that are read.
      most_rows: the limit in rows.
      most_bytes: the limit in decoded bytes.
      held_bytes: the limit for what the columns' readers hold meanwhile.

    Raises:
      TooLargeError: a column doesn't fit, whatever the number of rows.
      pa.ArrowException, OSError, ValueError: the file is damaged.
    """
    rows = min(most_rows, max(1, file.metadata.row_group(group).num_rows))
    chunks = _chunks(file, group, names)
    _check_held(chunks, held_bytes)
    for chunk in chunks:
        # What repeats a value any number of times is measured against its own share.
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


def fits(file: InputParquet, names: Sequence[str], most_bytes: int) -> bool:
    """Whether all rows of a file can be decoded at once.

    Args:
      file: the open file, as for `rows_at_a_time`.
      names: the columns that are read.
      most_bytes: the limit in decoded bytes.
    """
    left = most_bytes
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        chunks = _chunks(file, group, names)
        if sum(chunk.most_held for chunk in chunks) > most_bytes:
            return False
        left -= sum(chunk.decoded(rows, left) for chunk in chunks)
        if left < 0:
            return False
    return True


def _chunks(file: InputParquet, group: int, names: Sequence[str]) -> list[_Chunk]:
    indices = [(name, index) for name in names for index in file.leaves[name]]
    # pyarrow aborts the process where a damaged column chunk's metadata is asked for; this raises.
    next(file.reader.iter_batches(0, [group], [index for _, index in indices], False), None)
    metadata = file.metadata.row_group(group)
    return [_Chunk(file, group, name, index, metadata.column(index)) for name, index in indices]


def _check_held(chunks: Sequence[_Chunk], limit: int) -> None:
    """Refuses columns of too large pages; reads page headers only where the footer can't tell."""
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
        column = self.file.schema.column(self.index)
        return bool(column.max_repetition_level or len(self.file.leaves[self.name]) > 1)

    @functools.cached_property
    def width(self) -> int:
        """Bytes of a value; 0 where that varies."""
        if self.metadata.physical_type == "FIXED_LEN_BYTE_ARRAY":
            return max(8, int(self.file.schema.column(self.index).length))
        return _WIDTHS.get(self.metadata.physical_type, 0)

    @functools.cached_property
    def encoded(self) -> int:
        """Bytes of all pages without compression, as the footer has it."""
        return max(0, self.metadata.total_uncompressed_size, self.metadata.total_compressed_size)

    @functools.cached_property
    def has_dictionary(self) -> bool:
        return any("DICTIONARY" in each for each in self.metadata.encodings)

    @property
    def most_held(self) -> int:
        """What a reader holds at most, as if all of the chunk were one page."""
        return 2 * self.encoded + (4 * self.encoded if self.has_dictionary else 0)

    @property
    def held(self) -> int:
        """What a reader holds."""
        return self.pages.held + 4 * self.pages.dictionary

    @functools.cached_property
    def pages(self) -> Pages:
        return read_pages(self.file.source, self.metadata)

    def decoded(self, rows: int, enough: int) -> int:
        """Bytes of the largest number of rows in a sequence; more than enough may be any number."""
        if self.is_nested:
            values = max(0, self.metadata.num_values)
            # Its levels, and each value as long as all of them together.
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
        """The text of rows whose pages hold it in full."""
        if self.encoded <= enough:
            return self.encoded
        pages = self.pages
        ends, sums = np.cumsum(pages.rows), np.cumsum(pages.sizes)
        # From the last row of each page on.
        last = np.minimum(np.searchsorted(ends, ends + rows - 2, "right"), len(ends) - 1)
        return int((sums[last] - sums + pages.sizes).max(initial=0))

    def _repeated(self, rows: int, enough: int) -> int:
        """The text of rows that repeat a value, or the beginning of the one before."""
        if rows * self.encoded <= enough:
            return rows * self.encoded
        if "DELTA_BYTE_ARRAY" in self.metadata.encodings:
            return rows * max(self.pages.held, 1)
        return rows * self._longest

    @functools.cached_property
    def _longest(self) -> int:
        """The longest value of the dictionary."""
        file = InputParquet(
            self.file.source, columns=1, metadata=self.file.metadata, read_dictionary=[self.name]
        )
        batch = next(file.reader.iter_batches(1, [self.group], [self.index], False), None)
        if batch is None or not pa.types.is_dictionary(batch.column(0).type):
            return self.encoded
        values = batch.column(0).dictionary.cast(pa.large_binary())
        offsets = np.frombuffer(values.buffers()[1], np.int64)[: len(values) + 1]
        return int(np.diff(offsets).max(initial=0))


def read_pages(source: pa.NativeFile, chunk: Any) -> Pages:
    """Reads the page headers of a column chunk.

    Args:
      source: the file's bytes.
      chunk: pyarrow's metadata of the chunk.

    Raises:
      pa.ArrowInvalid: they are damaged.
    """
    starts = (chunk.dictionary_page_offset, chunk.data_page_offset)
    place = min(start for start in starts if start)
    end = place + chunk.total_compressed_size
    rows, sizes = array.array("q"), array.array("q")
    held = dictionary = left = 0
    left = chunk.num_values
    while left > 0 and place < end:
        header, length = _read_header(source, place)
        kind, size, stored = (header.get(field, -1) for field in (1, 2, 3))
        values = header.get(_PAGE_FIELDS.get(kind, 0), {}).get(1, 0)
        if min(size, stored, values) < 0:
            raise pa.ArrowInvalid("a page header is damaged")
        held = max(held, size + stored)
        if kind == _DICTIONARY_PAGE:
            # Each value takes a pointer and a length beside its bytes.
            dictionary = max(dictionary, size + 8 * values)
        else:
            rows.append(values)
            sizes.append(size)
            left -= values
        place += length + stored
    return Pages(np.array(rows, np.int64), np.array(sizes, np.int64), held, dictionary)


def _read_header(source: pa.NativeFile, place: int) -> tuple[dict[int, Any], int]:
    """A page header, and how long it is."""
    for length in _HEADER_BYTES:
        data = source.read_at(length, place)
        try:
            return _struct(data, 0, _MOST_NESTING)
        except IndexError:
            if len(data) < length:
                break
    raise pa.ArrowInvalid("a page header is damaged")


def _struct(data: bytes, place: int, depth: int) -> tuple[dict[int, Any], int]:
    """The fields of a struct in Thrift's compact protocol, and where it ends."""
    fields: dict[int, Any] = {}
    field = 0
    while data[place]:
        step, kind = divmod(data[place], 16)
        place += 1
        if step:
            field += step
        else:
            field, place = _integer(data, place)
        fields[field], place = _value(data, place, kind, depth)
    return fields, place + 1


def _value(data: bytes, place: int, kind: int, depth: int) -> tuple[Any, int]:
    """An integer or a struct; of all else only where it ends."""
    if kind in _INTEGERS:
        return _integer(data, place)
    if kind == _STRUCT and depth:
        return _struct(data, place, depth - 1)
    if kind == _BINARY:
        length, place = _varint(data, place)
        return None, place + length
    if kind in (_TRUE, _FALSE):
        return None, place
    if kind in (_BYTE, _DOUBLE):
        return None, place + (1 if kind == _BYTE else 8)
    raise pa.ArrowInvalid("a page header is damaged")


def _integer(data: bytes, place: int) -> tuple[int, int]:
    value, place = _varint(data, place)
    return (value >> 1) ^ -(value & 1), place


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        octet = data[place]
        place += 1
        value |= (octet & 127) << shift
        shift += 7
        if octet < 128:
            return value, place
        if shift > 63:
            raise pa.ArrowInvalid("a page header is damaged")

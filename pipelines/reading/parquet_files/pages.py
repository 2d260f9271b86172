"""The pages of a Parquet column chunk, as described by their headers."""

from __future__ import annotations

import array
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

# A page header is about twenty bytes, unless it has long statistics.
_HEADER_BYTES = (512, 64 << 10, 16 << 20)
# From parquet.thrift and Thrift's compact protocol.
_DICTIONARY_PAGE = 2
_PAGE_FIELDS = {0: 5, _DICTIONARY_PAGE: 7, 3: 8}
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _STRUCT = 1, 2, 3, 7, 8, 12
_INTEGERS = (4, 5, 6)
_MOST_NESTING = 8


class Pages(NamedTuple):
    """The pages of a column chunk.

    Attributes:
      rows, sizes: int64 ``[n]``, value count and uncompressed bytes of each data page.
      held: bytes of the largest page, compressed and uncompressed.
      dictionary: bytes of the dictionary page.
    """

    rows: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    held: int
    dictionary: int


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
            # Each value takes a pointer and a length in addition to its bytes.
            dictionary = max(dictionary, size + 8 * values)
        else:
            rows.append(values)
            sizes.append(size)
            left -= values
        place += length + stored
    return Pages(np.array(rows, np.int64), np.array(sizes, np.int64), held, dictionary)


def _read_header(source: pa.NativeFile, place: int) -> tuple[dict[int, Any], int]:
    """Returns a page header and its length."""
    for length in _HEADER_BYTES:
        data = source.read_at(length, place)
        try:
            return _struct(data, 0, _MOST_NESTING)
        except IndexError:
            if len(data) < length:
                break
    raise pa.ArrowInvalid("a page header is damaged")


def _struct(data: bytes, place: int, depth: int) -> tuple[dict[int, Any], int]:
    """Returns the fields of a struct in Thrift's compact protocol, and where it ends."""
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
    """Returns an integer or a struct (None for any other type), and where it ends."""
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

"""The messages of an Arrow IPC file or stream, as described by their metadata.

The metadata gives a record batch's row count and buffer sizes, so that rows can be counted, and
large batches refused, before a body is read. pyarrow doesn't expose it, so this module parses the
few parts it needs of the flatbuffer (`Message.fbs` and `File.fbs` in the Arrow format).
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MAGIC = b"ARROW1"
SCHEMA, DICTIONARY, RECORDS = 1, 2, 3
_CONTINUED = b"\xff\xff\xff\xff"
_MOST_METADATA = 64 << 20
_BLOCK = np.dtype([("offset", "<i8"), ("metadata", "<i4"), ("pad", "<i4"), ("body", "<i8")])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Message:
    """One IPC message.

    Attributes:
      kind: `SCHEMA`, `DICTIONARY` or `RECORDS`.
      start, stop: its byte range in the file, including its body.
      body: where its body begins.
      rows: of a batch.
      buffers: int64 ``[n, 2]``, offset in the body and length of each buffer of a batch.
      compressed: whether buffers are compressed, each preceded by its uncompressed length.
      variadic: the number of data buffers of each view column.
      dictionary: the dictionary's id, and whether its values are appended to the existing ones.
    """

    kind: int
    start: int
    stop: int
    body: int
    rows: int = 0
    buffers: npt.NDArray[np.int64] = dataclasses.field(
        default_factory=lambda: np.empty((0, 2), np.int64)
    )
    compressed: bool = False
    variadic: tuple[int, ...] = ()
    dictionary: tuple[int, bool] = (0, False)


class Place(NamedTuple):
    """The location and row count of a record batch, and the dictionaries it may need."""

    start: int
    rows: int
    size: int
    dictionaries: tuple[int, ...]


def find_messages(source: pa.NativeFile) -> Iterator[Message]:
    """Yields the schema, then the dictionaries and record batches in order of use.

    Args:
      source: an IPC file or stream.

    Raises:
      pa.ArrowInvalid: it is truncated or damaged.
    """
    size = source.size()
    if source.read_at(len(MAGIC), 0) == MAGIC:
        yield read_message(source, 8, size)
        for start in _find_blocks(source, size):
            yield read_message(source, start, size)
        return
    start = 0
    while not _is_end(source, start):
        if start >= size:
            raise pa.ArrowInvalid("the stream has no end: it is torn")
        message = read_message(source, start, size)
        yield message
        start = message.stop
    end = start + (8 if source.read_at(4, start) == _CONTINUED else 4)
    if end != size:
        raise pa.ArrowInvalid(f"{size - end} bytes follow the end of the stream")


def _is_end(source: pa.NativeFile, place: int) -> bool:
    mark = source.read_at(8, place)
    return bool(mark == _CONTINUED + bytes(4) or mark[:4] == bytes(4))


def _find_blocks(source: pa.NativeFile, size: int) -> list[int]:
    """Returns where the file's dictionaries, then its batches, begin, according to the footer."""
    tail = source.read_at(10, max(0, size - 10))
    if len(tail) < 10 or not tail.endswith(MAGIC):
        raise pa.ArrowInvalid("the file has no footer: it is torn")
    (length,) = struct.unpack("<i", tail[:4])
    if not 0 < length <= min(_MOST_METADATA, size - 10):
        raise pa.ArrowInvalid("the footer is damaged")
    footer = _Table.root(source.read_at(length, size - 10 - length))
    blocks = [footer.vector(field, _BLOCK) for field in (2, 3)]
    return [int(start) for each in blocks for start in each["offset"]]


def read_message(source: pa.NativeFile, start: int, size: int) -> Message:
    """Reads the metadata of one message.

    Args:
      source: the file.
      start: where the message begins.
      size: of the file.

    Raises:
      pa.ArrowInvalid: it is damaged, or its body isn't all there.
    """
    if not 0 <= start < size:
        raise pa.ArrowInvalid("a message is not in the file")
    prefix = source.read_at(8, start)
    # Arrow before version 0.15 wrote no continuation marker.
    skipped = 4 if prefix[:4] == _CONTINUED else 0
    length = int.from_bytes(prefix[skipped : skipped + 4], "little", signed=True)
    begin = start + skipped + 4
    if not 0 < length <= min(_MOST_METADATA, size - begin):
        raise pa.ArrowInvalid("a message is torn")
    table = _Table.root(source.read_at(length, begin))
    kind, stored = table.integer(1, "<B"), table.integer(3, "<q")
    body = begin + length
    if stored < 0 or body + stored > size:
        raise pa.ArrowInvalid("a message is torn")
    message = Message(kind=kind, start=start, stop=body + stored, body=body)
    if kind == SCHEMA:
        return message
    batch = table.table(2)
    if kind == DICTIONARY:
        added = bool(batch.integer(2, "<B"))
        message = dataclasses.replace(message, dictionary=(batch.integer(0, "<q"), added))
        batch = batch.table(1)
    elif kind != RECORDS:
        raise pa.ArrowInvalid("a message is neither a schema, a dictionary nor a record batch")
    buffers = batch.vector(2, np.dtype("<i8"), 2).reshape(-1, 2)
    rows = batch.integer(0, "<q")
    if rows < 0 or (buffers < 0).any() or (buffers.sum(1) > stored).any():
        raise pa.ArrowInvalid("a record batch is damaged")
    return dataclasses.replace(
        message,
        rows=rows,
        buffers=buffers,
        compressed=batch.has(3),
        variadic=tuple(batch.vector(4, np.dtype("<i8")).tolist()),
    )


class _Table:
    """A flatbuffer table, with bounds-checked access."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data, self._place = data, place
        self._fields = place - self._unpack("<i", place)
        self._size = self._unpack("<H", self._fields)

    @classmethod
    def root(cls, data: bytes) -> _Table:
        """The outermost table."""
        if len(data) < 4:
            raise pa.ArrowInvalid("metadata is damaged")
        return cls(data, int.from_bytes(data[:4], "little"))

    def _unpack(self, kind: str, place: int) -> int:
        if not 0 <= place <= len(self._data) - struct.calcsize(kind):
            raise pa.ArrowInvalid("metadata is damaged")
        (value,) = struct.unpack_from(kind, self._data, place)
        return int(value)

    def _find(self, field: int) -> int:
        """Where a field's value is; 0 if the field isn't set."""
        offset = 4 + 2 * field
        if offset + 2 > self._size:
            return 0
        place = self._unpack("<H", self._fields + offset)
        return self._place + place if place else 0

    def has(self, field: int) -> bool:
        """Whether a field is set."""
        return self._find(field) > 0

    def integer(self, field: int, kind: str) -> int:
        """A number; 0 by default."""
        place = self._find(field)
        return self._unpack(kind, place) if place else 0

    def table(self, field: int) -> _Table:
        """A table inside this one."""
        place = self._find(field)
        if not place:
            raise pa.ArrowInvalid("metadata is damaged")
        return _Table(self._data, place + self._unpack("<I", place))

    def vector(self, field: int, kind: np.dtype[Any], width: int = 1) -> npt.NDArray[Any]:
        """A vector of numbers or structs; empty by default."""
        place = self._find(field)
        if not place:
            return np.empty(0, kind)
        place += self._unpack("<I", place)
        count = width * self._unpack("<I", place)
        if place + 4 + count * kind.itemsize > len(self._data):
            raise pa.ArrowInvalid("metadata is damaged")
        return np.frombuffer(self._data, kind, count, place + 4)

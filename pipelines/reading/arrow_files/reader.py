"""Reads Arrow IPC files (Feather version 2) and streams in runs of record batches.

A record batch is read only if its metadata says that its columns fit in memory.
"""

from __future__ import annotations

import dataclasses
import functools
import io
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penguin_model.arrow_text import as_text
from pipelines import storage
from pipelines.reading import foreign
from pipelines.reading.arrow_batches import ARROW_ERRORS, block, one_line, unreadable
from pipelines.reading.arrow_files import messages
from pipelines.reading.arrow_files.messages import Message, Place
from pipelines.reading.arrow_files.sizes import decoded_bytes, dictionary_bytes, slices
from pipelines.reading.column_names import FileColumns, find_columns
from pipelines.reading.formats import Part
from pipelines.reading.json_rows import columns_for_json, to_objects
from pipelines.reading.rows import InputColumns, ParsedRows
from pipelines.reading.settings import Sizes
from pipelines.reading.unreadable import UnreadableFile

# Limit for the columns of one record batch, and for all dictionaries.
HELD_BYTES = 128 << 20
# Of the columns that scoring doesn't need, a reject shows the first ones, if they are small.
_OTHERS, _OTHERS_BYTES = 64, 4 << 20
_BYTES_FOR = {
    pa.string(): pa.binary(),
    pa.large_string(): pa.large_binary(),
    pa.string_view(): pa.binary_view(),
}
_LISTS = (
    (pa.types.is_list, pa.list_),
    (pa.types.is_large_list, pa.large_list),
    (pa.types.is_list_view, pa.list_view),
    (pa.types.is_large_list_view, pa.large_list_view),
)


class _Stream(io.RawIOBase):
    """A stream of messages made of some ranges of a file."""

    def __init__(self, source: pa.NativeFile, ranges: Sequence[tuple[int, int]]) -> None:
        self._source = source
        self._ranges = list(ranges)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Returns the next bytes; fewer than requested only at the end."""
        parts = []
        while self._ranges and size:
            start, stop = self._ranges[0]
            count = stop - start if size < 0 else min(size, stop - start)
            data = self._source.read_at(count, start)
            parts.append(data)
            if len(data) < count or start + count == stop:
                self._ranges.pop(0)
            else:
                self._ranges[0] = (start + count, stop)
            size -= count if size > 0 else 0
        return b"".join(parts)


class _Watched(io.RawIOBase):
    """A file that keeps the error of its filesystem, which Arrow passes on as a text.

    Attributes:
      failure: the last error; None if there was none.
    """

    def __init__(self, source: pa.NativeFile) -> None:
        self._source = source
        self._place = 0
        self.failure: Exception | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves as files do."""
        self._place = offset + (0, self._place, self._source.size())[whence]
        return self._place

    def read(self, size: int = -1) -> bytes:
        """The next bytes; fewer only at the end."""
        count = self._source.size() - self._place if size < 0 else size
        try:
            data = bytes(self._source.read_at(count, self._place))
        except storage.ERRORS as error:
            self.failure = error
            raise
        self._place += len(data)
        return data


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArrowFile:
    """An open Arrow IPC file or stream.

    Attributes:
      source: its bytes.
      schema: of its record batches.
      header: the schema message.
      places: of its record batches.
      is_stream: whether it is a stream, which has no footer.
      columns: where it has the columns to read.
    """

    source: pa.NativeFile
    schema: pa.Schema
    header: Message
    places: tuple[Place, ...]
    is_stream: bool
    columns: FileColumns
    _readers: dict[tuple[int, ...], Any] = dataclasses.field(default_factory=dict)

    def read_batch(self, number: int, names: Collection[str]) -> pa.RecordBatch:
        """Reads and checks some columns of a record batch.

        Raises:
          pa.ArrowException, OSError, ValueError: it is damaged, or takes too much memory.
          storage.ERRORS: the filesystem failed, as it said itself.
        """
        try:
            return self._read_batch(number, names)
        except ARROW_ERRORS as error:
            if storage.may_pass(error):
                raise
            # Damage, or a disk that fails? A second look keeps what the filesystem says.
            watched = _Watched(self.source)
            file = dataclasses.replace(self, source=pa.PythonFile(watched, mode="r"), _readers={})
            try:
                return file._read_batch(number, names)
            except ARROW_ERRORS:
                if watched.failure is not None:
                    raise watched.failure from error
                raise

    def _read_batch(self, number: int, names: Collection[str]) -> pa.RecordBatch:
        place = self.places[number]
        message = messages.read_message(self.source, place.start, self.source.size())
        # pyarrow reads all columns of a stream.
        size = message.stop - message.body if self.is_stream else 0
        size += decoded_bytes(self.source, message, self.schema, names)
        if size > HELD_BYTES:
            raise pa.ArrowInvalid(
                f"it takes {size >> 20:,} MiB; at most {HELD_BYTES >> 20} MiB are read at a time: "
                "write it with smaller record batches"
            )
        fields = tuple(n for n, name in enumerate(self.schema.names) if name in names)
        options = pa.ipc.IpcReadOptions(included_fields=list(fields), use_threads=False)
        if self.is_stream:
            stream = pa.PythonFile(self._stream(place, message), mode="r")
            batch = pa.ipc.open_stream(stream, options=options).read_next_batch()
        else:
            if fields not in self._readers:
                self._readers[fields] = pa.ipc.open_file(self.source, options=options)
            batch = self._readers[fields].get_batch(number)
        if batch.num_rows != place.rows:
            raise pa.ArrowInvalid("it has other rows than its metadata says")
        for column in batch.columns:
            _as_bytes(column).validate(full=True)
        return batch

    def _stream(self, place: Place, message: Message) -> _Stream:
        """A stream of one record batch, so that batches can be read in any order."""
        size = self.source.size()
        dictionaries = [
            messages.read_message(self.source, start, size) for start in place.dictionaries
        ]
        return _Stream(
            self.source, [(m.start, m.stop) for m in (self.header, *dictionaries, message)]
        )


def open_file(source: pa.NativeFile, wanted: InputColumns) -> ArrowFile:
    """Opens a file and finds its record batches.

    Raises:
      UnreadableFile: it is truncated or isn't Arrow IPC, or a column is missing.
    """
    try:
        if source.read_at(4, 0) == b"FEA1":
            raise pa.ArrowInvalid("it is Feather version 1; write it as version 2")
        found = messages.find_messages(source)
        header = next(found)
        if header.kind != messages.SCHEMA:
            raise pa.ArrowInvalid("it doesn't begin with a schema")
        # From bytes that were read before: Arrow says of a disk's failure only that it failed.
        content = source.read_at(header.stop - header.start, header.start)
        schema = pa.ipc.read_schema(pa.BufferReader(content))
        names = schema.names
        places = tuple(_find_places(source, found))
    except ARROW_ERRORS as error:
        if storage.may_pass(error):
            raise
        other = foreign.recognize_other(source, "Arrow")
        raise UnreadableFile(f"not a readable Arrow file: {one_line(error)}{other}") from error
    return ArrowFile(
        source=source,
        schema=schema,
        header=header,
        places=places,
        is_stream=source.read_at(len(messages.MAGIC), 0) != messages.MAGIC,
        columns=find_columns(names, wanted),
    )


def _find_places(source: pa.NativeFile, found: Iterator[Message]) -> Iterator[Place]:
    """Yields the record batches, each with the dictionaries in effect."""
    dictionaries: dict[int, list[int]] = {}
    sizes: dict[int, int] = {}
    for message in found:
        if message.kind == messages.RECORDS:
            starts = tuple(start for each in dictionaries.values() for start in each)
            yield Place(message.start, message.rows, message.stop - message.start, starts)
        elif message.kind == messages.DICTIONARY:
            number, added = message.dictionary
            if not added:
                dictionaries[number], sizes[number] = [], 0
            dictionaries.setdefault(number, []).append(message.start)
            sizes[number] = sizes.get(number, 0) + dictionary_bytes(source, message)
            if sum(sizes.values()) > HELD_BYTES:
                raise pa.ArrowInvalid(
                    f"its dictionaries take more than {HELD_BYTES >> 20} MiB: write it without"
                )
        else:
            raise pa.ArrowInvalid("it has a second schema")


def plan(file: ArrowFile, target_bytes: int) -> Iterator[Part]:
    """Divides a file into runs of whole record batches.

    Args:
      file: the open file.
      target_bytes: a part ends with the record batch that reaches this many bytes of the file.
    """
    first = size = row = next_row = 0
    for number, place in enumerate(file.places):
        size += place.size
        next_row += place.rows
        if size >= target_bytes or number == len(file.places) - 1:
            yield Part(first, number + 1, row, next_row - row)
            first, size, row = number + 1, 0, next_row


def read_record_batches(
    file: ArrowFile, part: Part, wanted: InputColumns, sizes: Sizes
) -> Iterator[ParsedRows]:
    """Reads the required columns of some record batches, one batch at a time.

    If a record batch can't be decoded in bounded memory, each of its rows becomes a reject.
    """
    row = part.first_row
    for number in range(part.start, part.stop):
        end = row + file.places[number].rows
        try:
            for rows in _blocks(file, number, row, wanted, sizes):
                yield rows
                row += rows.rows_read
        except ARROW_ERRORS as error:
            if storage.may_pass(error):
                raise
            message = f"record batch {number} cannot be read: {one_line(error)}"
            yield from unreadable(row, end, message, wanted, sizes.batch_rows)
        row = end


def _read_batch(file: ArrowFile, number: int, wanted: InputColumns) -> pa.RecordBatch:
    """Reads the columns of a record batch, without its labels if they can't be read."""
    names = file.columns.read
    required = tuple(dict.fromkeys(file.columns.required.values()))
    try:
        return file.read_batch(number, names)
    except ARROW_ERRORS as error:
        if names == required or storage.may_pass(error):
            raise
        return file.read_batch(number, required)


def _blocks(
    file: ArrowFile, number: int, row: int, wanted: InputColumns, sizes: Sizes
) -> Iterator[ParsedRows]:
    batch = _read_batch(file, number, wanted)
    known = frozenset(batch.schema.names)
    others = functools.cache(functools.partial(_read_others, file, number, known))
    first = 0

    def show(piece: pa.RecordBatch, first: int, rows: Sequence[int]) -> list[str]:
        columns = columns_for_json(piece, rows) if rows else {}
        if rows and (more := others()) is not None:
            columns |= columns_for_json(more, [first + each for each in rows])
        return to_objects(file.schema.names, columns) if rows else []

    for piece in map(plain, slices(batch, sizes.batch_rows, sizes.batch_bytes)):
        yield block(piece, row + first, wanted, file.columns, functools.partial(show, piece, first))
        first += piece.num_rows


def _read_others(file: ArrowFile, number: int, known: Collection[str]) -> pa.RecordBatch | None:
    """Reads the columns of a record batch that only rejects show, if they are small."""
    names = [
        field.name
        for field in file.schema
        if field.name not in known and not pa.types.is_run_end_encoded(field.type)
    ][:_OTHERS]
    try:
        place = file.places[number]
        message = messages.read_message(file.source, place.start, file.source.size())
        if not names or decoded_bytes(file.source, message, file.schema, names) > _OTHERS_BYTES:
            return None
        return file.read_batch(number, names)
    except ARROW_ERRORS:
        return None


def plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Decodes the run-end encoded columns of a batch."""
    return pa.RecordBatch.from_arrays(list(map(_plain, batch.columns)), names=batch.schema.names)


def _plain(column: pa.Array) -> pa.Array:
    if not pa.types.is_run_end_encoded(column.type):
        return column
    try:
        return pc.run_end_decode(column)
    except pa.ArrowNotImplementedError:  # of nested values, and views
        return as_text(column)


def _as_bytes(column: pa.Array) -> pa.Array:
    """Views text as bytes, so that text that isn't UTF-8 fails only its row, not the batch."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(
            column.indices, _as_bytes(column.dictionary), safe=False
        )
    as_bytes = _bytes_type(kind)
    return column if as_bytes == kind else column.view(as_bytes)


def _bytes_type(kind: pa.DataType) -> pa.DataType:
    """The type with the same layout and bytes in place of text, at any depth."""
    if pa.types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, _bytes_type(kind.value_type), kind.ordered)
    if pa.types.is_map(kind):
        return pa.map_(_bytes_type(kind.key_type), _bytes_type(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_bytes_type(field.type)) for field in kind])
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_bytes_type(kind.value_type), kind.list_size)
    for is_kind, make in _LISTS:
        if is_kind(kind):
            return make(_bytes_type(kind.value_type))
    return _BYTES_FOR.get(kind, kind)

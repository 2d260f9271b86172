"""Computes how much memory the columns of a record batch take before decoding them."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from penguin_model.arrow_text import is_bytes, is_text
from pipelines.reading.arrow_files.messages import Message


def decoded_bytes(
    source: pa.NativeFile,
    message: Message,
    schema: pa.Schema,
    names: Collection[str],
) -> int:
    """Returns how many bytes some columns of a batch take in memory.

    Args:
      source: the file.
      message: the batch's message.
      schema: the file's schema.
      names: the columns.

    Raises:
      pa.ArrowInvalid: the metadata is damaged.
    """
    variadic = iter(message.variadic)
    try:
        counts = [_buffers(field.type, variadic) for field in schema]
    except StopIteration as error:
        raise pa.ArrowInvalid("a record batch is damaged") from error
    if sum(counts) != len(message.buffers):
        raise pa.ArrowInvalid("a record batch has other columns than the schema")
    ends = list(itertools.accumulate(counts))
    total = 0
    for field, count, end in zip(schema, counts, ends, strict=True):
        if field.name in names:
            for offset, length in message.buffers[end - count : end].tolist():
                total += _size(source, message, offset, length)
    return total


def dictionary_bytes(source: pa.NativeFile, message: Message) -> int:
    """Returns how many bytes a dictionary of any type takes in memory."""
    return sum(_size(source, message, *each) for each in message.buffers.tolist())


def _size(source: pa.NativeFile, message: Message, offset: int, length: int) -> int:
    """Bytes of a buffer, plus its compressed form if any."""
    if not message.compressed or not length:
        return int(length)
    size = int.from_bytes(source.read_at(8, message.body + offset), "little", signed=True)
    if size < -1:
        raise pa.ArrowInvalid("a buffer is damaged")
    return int(length) + max(size, 0)


def _buffers(kind: pa.DataType, variadic: Iterator[int]) -> int:
    """The number of buffers that a column of the given type has in a message."""
    if isinstance(kind, pa.BaseExtensionType):
        return _buffers(kind.storage_type, variadic)
    if pa.types.is_run_end_encoded(kind):
        return _buffers(kind.run_end_type, variadic) + _buffers(kind.value_type, variadic)
    if pa.types.is_null(kind):
        return 0
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        return 2 + next(variadic)
    if pa.types.is_nested(kind):
        children = [kind.field(number).type for number in range(kind.num_fields)]
        return _own_buffers(kind) + sum(_buffers(child, variadic) for child in children)
    fixed = pa.types.is_dictionary(kind) or pa.types.is_fixed_size_binary(kind)
    return 3 if not fixed and (is_text(kind) or is_bytes(kind)) else 2


def _own_buffers(kind: pa.DataType) -> int:
    """The number of buffers of a nested column, excluding its children's."""
    if pa.types.is_union(kind):
        return 1 if kind.mode == "sparse" else 2
    if pa.types.is_struct(kind) or pa.types.is_fixed_size_list(kind):
        return 1
    return 3 if pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind) else 2


def slices(batch: pa.RecordBatch, most_rows: int, most_bytes: int) -> Iterator[pa.RecordBatch]:
    """Slices a batch into pieces that either fit the limits when fully expanded or have one row."""
    for start in range(0, batch.num_rows, most_rows):
        yield from _halves(batch.slice(start, most_rows), most_bytes)


def _halves(batch: pa.RecordBatch, most_bytes: int) -> Iterator[pa.RecordBatch]:
    if batch.num_rows <= 1 or plain_bytes(batch) <= most_bytes:
        yield batch
        return
    middle = batch.num_rows // 2
    yield from _halves(batch.slice(0, middle), most_bytes)
    yield from _halves(batch.slice(middle), most_bytes)


def plain_bytes(batch: pa.RecordBatch) -> int:
    """Upper bound of the bytes that a batch takes if its rows share no values."""
    return sum(_plain_bytes(column) for column in batch.columns)


def _plain_bytes(column: pa.Array) -> int:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return len(column) * (8 + _longest(column.dictionary))
    if pa.types.is_run_end_encoded(kind):
        return len(column) * (8 + _longest(column.values))
    if pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType):
        # As if each row held all of the values.
        return int(len(column) * (8 + column.nbytes))
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        return int(16 * len(column) + _view_lengths(column).sum())
    return int(column.nbytes)


def _longest(values: pa.Array) -> int:
    kind = values.type
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        return int(_view_lengths(values).max(initial=0))
    if is_text(kind) or is_bytes(kind):
        offsets = np.frombuffer(values.cast(pa.large_binary()).buffers()[1] or b"", np.int64)
        return int(np.diff(offsets).max(initial=0))
    return int(values.nbytes)


def _view_lengths(column: pa.Array) -> npt.NDArray[np.int64]:
    """The length of each value, which is the first field of its view."""
    views = column.buffers()[1]
    if views is None:
        return np.zeros(len(column), np.int64)
    lengths = np.frombuffer(views, np.int32)[::4].astype(np.int64)
    return lengths[column.offset : column.offset + len(column)]

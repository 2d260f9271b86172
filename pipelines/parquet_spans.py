"""Reading Parquet: spans are runs of row groups, read as a stream of columns."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from penguin_model import validate
from pipelines.blocks import Block, Reject, Wanted
from pipelines.spans import UnreadableFile, check_columns
from pipelines.texts import is_text, show_bytes, undecodable_rows

# What a torn or foreign file raises: Arrow's own errors, OSError for Thrift and codecs, and what
# pyarrow's bindings make of names that are no text and sizes that no memory holds.
_ARROW_ERRORS = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError)


def open_file(source: pa.NativeFile, wanted: Wanted) -> pq.ParquetFile:
    """Opens a Parquet file and refuses one that lacks the wanted columns.

    Raises:
      UnreadableFile: it is no Parquet, or a column is missing.
    """
    try:
        file = pq.ParquetFile(source)
        names = file.schema_arrow.names
        counts = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    except _ARROW_ERRORS as error:
        raise UnreadableFile(f"no readable Parquet file: {_one_line(error)}") from error
    if min(counts, default=0) < 0 or sum(counts) != file.metadata.num_rows:
        raise UnreadableFile("no readable Parquet file: the row counts in its footer disagree")
    check_columns(names, wanted)
    return file


def plan(file: pq.ParquetFile, target_bytes: int) -> Iterator[tuple[int, int, int]]:
    """Divides a file into spans of whole row groups.

    Args:
      file: the open file.
      target_bytes: a span ends with the row group that reaches this many uncompressed bytes.

    Yields:
      First row group, the one after the last, and the first's 0-based row in the file.
    """
    first = size = row = next_row = 0
    for group in range(file.num_row_groups):
        metadata = file.metadata.row_group(group)
        # Not the columns' sizes: of a damaged footer pyarrow aborts the process over those.
        size += metadata.total_byte_size
        next_row += metadata.num_rows
        if size >= target_bytes:
            yield first, group + 1, row
            first, size, row = group + 1, 0, next_row
    if first < file.num_row_groups:
        yield first, file.num_row_groups, row


def read(
    file: pq.ParquetFile,
    groups: tuple[int, int],
    first_row: int,
    wanted: Wanted,
    *,
    batch_rows: int,
) -> Iterator[Block]:
    """Reads the wanted columns of some row groups.

    A row group that cannot be decoded becomes one reject a row, so that the footer's count still
    adds up; the other row groups still score.

    Args:
      file: the open file.
      groups: first row group and the one after the last.
      first_row: the first row's 0-based place in the file.
      wanted: the columns to read.
      batch_rows: rows of a block at most.

    Yields:
      The rows in order, some at a time.
    """
    for group in range(*groups):
        end = first_row + file.metadata.row_group(group).num_rows
        raw_rows = _RawRows(file, group, batch_rows)
        row, position = first_row, 0
        try:
            for batch in file.iter_batches(
                batch_rows, row_groups=[group], columns=list(wanted.columns), use_threads=False
            ):
                if row + batch.num_rows > end:
                    raise pa.ArrowInvalid("it has more rows than the footer says")
                if batch.num_rows:
                    yield _block(batch, row, raw_rows, position)
                row += batch.num_rows
                position += 1
            if row < end:
                # A damaged page can end a column early without an error.
                raise pa.ArrowInvalid("it has fewer rows than the footer says")
        except _ARROW_ERRORS as error:
            message = f"row group {group} cannot be read: {_one_line(error)}"
            yield from _unreadable(row, end, message, wanted, batch_rows)
        first_row = end


def _block(batch: pa.RecordBatch, row: int, raw_rows: _RawRows, position: int) -> Block:
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    places = np.arange(batch.num_rows)
    undecodable = undecodable_rows(
        {name: array for name, array in columns.items() if is_text(array.type)}
    )
    broken: list[Reject] = []
    if undecodable:
        texts = raw_rows.get(position, list(undecodable))
        for (place, name), text in zip(undecodable.items(), texts, strict=True):
            broken.append(
                Reject(
                    source_row=row + place,
                    reason=validate.BAD_ENCODING,
                    column=name,
                    message=f"{name} has bytes that are not UTF-8",
                    raw=text,
                )
            )
        places = np.delete(places, list(undecodable))
        columns = {name: array.take(pa.array(places)) for name, array in columns.items()}

    def raw(positions: Sequence[int]) -> list[str | None]:
        if not positions:
            return []
        return raw_rows.get(position, places[list(positions)].tolist())

    return Block(columns=columns, rows=places + row, raw=raw, broken=tuple(broken))


def _unreadable(
    row: int, end: int, message: str, wanted: Wanted, batch_rows: int
) -> Iterator[Block]:
    nothing: npt.NDArray[np.int64] = np.empty(0, np.int64)
    for start in range(row, end, batch_rows):
        yield Block(
            columns={name: pa.array([], pa.string()) for name in wanted.columns},
            rows=nothing,
            raw=lambda _: [],
            broken=tuple(
                Reject(
                    source_row=place,
                    reason=validate.UNREADABLE_FILE,
                    column=None,
                    message=message,
                )
                for place in range(start, min(start + batch_rows, end))
            ),
        )


@dataclasses.dataclass
class _RawRows:
    """Reads whole rows of a row group, all columns, when a reject asks for its raw text.

    It follows the main reader batch by batch, so that it never holds more than one either.
    """

    file: pq.ParquetFile
    group: int
    batch_rows: int
    batches: Iterator[pa.RecordBatch] | None = None
    batch: pa.RecordBatch | None = None
    next_position: int = 0

    def get(self, position: int, rows: Sequence[int]) -> list[str | None]:
        """The rows of the batch at a position, as JSON; positions never go back."""
        if self.batches is None:
            self.batches = self.file.iter_batches(
                self.batch_rows, row_groups=[self.group], use_threads=False
            )
        try:
            while self.next_position <= position:
                self.batch = next(self.batches)
                self.next_position += 1
        except _ARROW_ERRORS:
            # A column that nobody wanted is torn: the reject stands without its raw text.
            return [None] * len(rows)
        assert self.batch is not None
        picked = self.batch.take(pa.array(rows))
        columns = [_for_json(column) for column in picked.columns]
        return [
            json.dumps(dict(zip(picked.schema.names, values, strict=True)), default=str)
            for values in zip(*columns, strict=True)
        ]


def _for_json(column: pa.Array) -> list[Any]:
    """A column's values; text as it is or escaped, other bytes in hexadecimal."""
    if is_text(column.type):
        texts = column.cast(pa.large_binary()).to_pylist()
        return [None if text is None else show_bytes(text) for text in texts]
    return [value.hex() if isinstance(value, bytes) else value for value in column.to_pylist()]


def _one_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else repr(error)

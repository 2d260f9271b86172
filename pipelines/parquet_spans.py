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
from pipelines.csv_spans import check_columns
from pipelines.spans import UnreadableFile

# What a torn or foreign file raises: Arrow's own errors, and OSError for Thrift and codecs.
_ARROW_ERRORS = (pa.ArrowException, OSError)


def open_file(source: pa.NativeFile, wanted: Wanted) -> pq.ParquetFile:
    """Opens a Parquet file and refuses one that lacks the wanted columns.

    Raises:
      UnreadableFile: it is no Parquet, or a column is missing.
    """
    try:
        file = pq.ParquetFile(source)
    except _ARROW_ERRORS as error:
        raise UnreadableFile(f"no readable Parquet file: {_one_line(error)}") from error
    check_columns(file.schema_arrow.names, wanted)
    return file


def plan(file: pq.ParquetFile, target_bytes: int) -> Iterator[tuple[int, int, int]]:
    """Divides a file into spans of whole row groups.

    Args:
      file: the open file.
      target_bytes: a span ends with the row group that reaches this many compressed bytes.

    Yields:
      First row group, the one after the last, and the first's 0-based row in the file.
    """
    first = size = row = next_row = 0
    for group in range(file.num_row_groups):
        metadata = file.metadata.row_group(group)
        size += sum(
            metadata.column(column).total_compressed_size for column in range(metadata.num_columns)
        )
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
                if batch.num_rows:
                    yield _block(batch, row, raw_rows, position)
                row += batch.num_rows
                position += 1
        except _ARROW_ERRORS as error:
            message = f"row group {group} cannot be read: {_one_line(error)}"
            yield from _unreadable(row, end, message, wanted, batch_rows)
        first_row = end


def _block(batch: pa.RecordBatch, row: int, raw_rows: _RawRows, position: int) -> Block:
    def raw(positions: Sequence[int]) -> list[str | None]:
        return raw_rows.get(position, positions) if positions else []

    return Block(
        columns=dict(zip(batch.schema.names, batch.columns, strict=True)),
        rows=np.arange(row, row + batch.num_rows, dtype=np.int64),
        raw=raw,
    )


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
    next_position: int = 0

    def get(self, position: int, rows: Sequence[int]) -> list[str | None]:
        if self.batches is None:
            self.batches = self.file.iter_batches(
                self.batch_rows, row_groups=[self.group], use_threads=False
            )
        try:
            while self.next_position <= position:
                batch = next(self.batches)
                self.next_position += 1
        except _ARROW_ERRORS:
            # A column that nobody wanted is torn: the reject stands without its raw text.
            return [None] * len(rows)
        return [json.dumps(row, default=_show) for row in batch.take(pa.array(rows)).to_pylist()]


def _show(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _one_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else repr(error)

"""Reading Parquet: spans are runs of row groups, read as a stream of columns."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from penguin_model import validate
from pipelines.blocks import Block, Reject, Wanted
from pipelines.parquet_rows import ARROW_ERRORS, RawRows
from pipelines.spans import UnreadableFile, check_columns
from pipelines.texts import filterable, is_text, undecodable_rows

# A row group may be larger than memory: its pages are read as they are needed. Nanoseconds, the
# default for INT96, wrap after the year 2262.
_OPTIONS: dict[str, Any] = {
    "buffer_size": 4 << 20,
    "pre_buffer": False,
    "coerce_int96_timestamp_unit": "us",
}


def open_file(source: pa.NativeFile, wanted: Wanted) -> pq.ParquetFile:
    """Opens a Parquet file and refuses one that lacks the wanted columns.

    Raises:
      UnreadableFile: it is no Parquet, or a column is missing.
    """
    try:
        file = pq.ParquetFile(source, **_OPTIONS)
        names = file.schema_arrow.names
        counts = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        labels = [name for name in wanted.in_file(names) if name not in wanted.columns]
        if labels and is_text(file.schema_arrow.field(labels[0]).type):
            # A few spellings that many rows share: their indices are quicker to read than they are.
            file = pq.ParquetFile(
                source, metadata=file.metadata, read_dictionary=labels, **_OPTIONS
            )
    except ARROW_ERRORS as error:
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
        raw_rows = RawRows(file, group, batch_rows)
        row, position = first_row, 0
        try:
            for batch in _batches(file, group, wanted, batch_rows):
                if batch.num_rows:
                    yield _block(batch, row, wanted, raw_rows, position)
                row += batch.num_rows
                position += 1
        except ARROW_ERRORS as error:
            message = f"row group {group} cannot be read: {_one_line(error)}"
            yield from _unreadable(row, end, message, wanted, batch_rows)
        first_row = end


def _batches(
    file: pq.ParquetFile, group: int, wanted: Wanted, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """The columns of a row group; its labels are left out from where they cannot be read."""
    names = wanted.in_file(file.schema_arrow.names)
    done = 0
    try:
        for batch in _all_rows(file, group, names, batch_rows):
            yield batch
            done += 1
    except ARROW_ERRORS:
        if names == wanted.columns:
            raise
        yield from itertools.islice(_all_rows(file, group, wanted.columns, batch_rows), done, None)


def _all_rows(
    file: pq.ParquetFile, group: int, names: Sequence[str], batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """Some columns of a row group, as many rows as its footer says."""
    left = file.metadata.row_group(group).num_rows
    for batch in file.iter_batches(
        batch_rows, row_groups=[group], columns=list(names), use_threads=False
    ):
        left -= batch.num_rows
        if left < 0:
            raise pa.ArrowInvalid("it has more rows than the footer says")
        check_dictionaries(batch)
        yield batch
    if left:
        # A damaged page can end a column early without an error.
        raise pa.ArrowInvalid("it has fewer rows than the footer says")


def check_dictionaries(batch: pa.RecordBatch) -> None:
    """Refuses indices that damage left without a value; pyarrow finds them only as it uses them."""
    for column in batch.columns:
        if pa.types.is_dictionary(column.type):
            ends = pc.min_max(column.indices)
            low, high = ends["min"].as_py(), ends["max"].as_py()
            if low is not None and not 0 <= low <= high < len(column.dictionary):
                raise pa.ArrowInvalid("an index has no value in its dictionary")


def _block(
    batch: pa.RecordBatch, row: int, wanted: Wanted, raw_rows: RawRows, position: int
) -> Block:
    columns = dict(zip(batch.schema.names, map(filterable, batch.columns), strict=True))
    places = np.arange(batch.num_rows)
    undecodable = undecodable_rows({name: columns[name] for name in wanted.columns})
    broken: list[Reject] = []
    if undecodable:
        texts = raw_rows.get(position, batch.num_rows, list(undecodable))
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
        return raw_rows.get(position, batch.num_rows, places[list(positions)].tolist())

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


def _one_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else repr(error)

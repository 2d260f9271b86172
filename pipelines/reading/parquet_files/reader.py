"""Reads Parquet in runs of row groups, as a stream of columns."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import pyarrow as pa

from penguin_model.arrow_text import is_text
from pipelines import storage
from pipelines.reading import foreign
from pipelines.reading.arrow_batches import (
    ARROW_ERRORS,
    block,
    check_dictionaries,
    one_line,
    unreadable,
)
from pipelines.reading.column_names import FileColumns, find_columns, match_columns
from pipelines.reading.formats import Part
from pipelines.reading.parquet_files.memory import InputParquet, rows_at_a_time
from pipelines.reading.parquet_files.raw_rows import RawRows
from pipelines.reading.rows import InputColumns, ParsedRows
from pipelines.reading.settings import DEFAULT_SIZES
from pipelines.reading.unreadable import UnreadableFile


def open_file(source: pa.NativeFile, wanted: InputColumns) -> InputParquet:
    """Opens a Parquet file, refusing one that lacks a required column.

    Raises:
      UnreadableFile: it isn't Parquet, or a column is missing.
    """
    try:
        columns = len(wanted.columns) + 1
        file = InputParquet(source, columns=columns)
        names = file.schema_arrow.names
        counts = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        sources = match_columns(names, wanted).sources_of((*wanted.categories, wanted.label or ""))
        texts = [name for name in sources if is_text(file.schema_arrow.field(name).type)]
        if texts:
            # Many rows share a few spellings, so dictionary indices are quicker to read than text.
            file = InputParquet(
                source, columns=columns, metadata=file.metadata, read_dictionary=texts
            )
    except ARROW_ERRORS as error:
        if storage.may_pass(error):
            raise
        other = foreign.recognize_other(source, "Parquet")
        raise UnreadableFile(f"not a readable Parquet file: {one_line(error)}{other}") from error
    if min(counts, default=0) < 0 or sum(counts) != file.metadata.num_rows:
        raise UnreadableFile("not a readable Parquet file: the row counts in its footer disagree")
    find_columns(names, wanted)
    return file


def plan(file: InputParquet, target_bytes: int) -> Iterator[Part]:
    """Divides a file into runs of whole row groups.

    Args:
      file: the open file.
      target_bytes: a part ends with the row group that reaches this many uncompressed bytes.
    """
    first = size = row = next_row = 0
    for group in range(file.num_row_groups):
        metadata = file.metadata.row_group(group)
        # Column sizes aren't used: if the footer is damaged, they make pyarrow abort the process.
        size += metadata.total_byte_size
        next_row += metadata.num_rows
        if size >= target_bytes or group == file.num_row_groups - 1:
            yield Part(first, group + 1, row, next_row - row)
            first, size, row = group + 1, 0, next_row


def read_row_groups(
    file: InputParquet,
    part: Part,
    wanted: InputColumns,
    *,
    batch_rows: int,
    batch_bytes: int = DEFAULT_SIZES.batch_bytes,
) -> Iterator[ParsedRows]:
    """Reads the required columns of some row groups, in bounded memory.

    If a row group can't be decoded in bounded memory, each of its rows becomes a reject, so that
    the footer's count still adds up; the other row groups are still scored.

    Args:
      file: the open file.
      part: the row groups.
      wanted: the columns to read.
      batch_rows: maximum rows in a block.
      batch_bytes: maximum decoded bytes in a block, unless a single row has more.

    Yields:
      The rows in order, some at a time.
    """
    first_row = part.first_row
    found = find_columns(file.schema_arrow.names, wanted)
    for group in range(part.start, part.stop):
        end = first_row + file.metadata.row_group(group).num_rows
        raw_rows = RawRows(file, group, found.read)
        row = first_row
        try:
            for batch in _batches(file, group, wanted, found, batch_rows, batch_bytes):
                if batch.num_rows:
                    show = functools.partial(raw_rows.get, batch, row - first_row)
                    yield block(batch, row, wanted, found, show)
                row += batch.num_rows
        except ARROW_ERRORS as error:
            if storage.may_pass(error):
                raise
            message = f"row group {group} cannot be read: {one_line(error)}"
            yield from unreadable(row, end, message, wanted, batch_rows)
        first_row = end


def _batches(
    file: InputParquet,
    group: int,
    wanted: InputColumns,
    found: FileColumns,
    batch_rows: int,
    batch_bytes: int,
) -> Iterator[pa.RecordBatch]:
    """Yields the columns of a row group, without labels from the first batch they fail in."""
    required = tuple(dict.fromkeys(found.required.values()))
    done = 0
    try:
        for batch in _all_rows(file, group, found.read, batch_rows, batch_bytes):
            yield batch
            done += batch.num_rows
    except ARROW_ERRORS as error:
        if required == found.read or storage.may_pass(error):
            raise
        for batch in _all_rows(file, group, required, batch_rows, batch_bytes):
            if done < batch.num_rows:
                yield batch.slice(done)
            done = max(0, done - batch.num_rows)


def _all_rows(
    file: InputParquet, group: int, names: Sequence[str], batch_rows: int, batch_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Yields some columns of a row group, checking the row count against the footer."""
    left = file.metadata.row_group(group).num_rows
    rows = rows_at_a_time(file, group, names, most_rows=batch_rows, most_bytes=batch_bytes)
    some: list[pa.RecordBatch] = []
    for batch in file.read_group(group, names, rows):
        left -= batch.num_rows
        if left < 0:
            raise pa.ArrowInvalid("it has more rows than the footer says")
        check_dictionaries(batch)
        if rows == batch_rows:
            yield batch
            continue
        # Only a few rows are read at a time in case any are large; most aren't, so they're merged.
        some.append(batch)
        gathered = sum(each.num_rows for each in some)
        if gathered + rows > batch_rows or sum(each.nbytes for each in some) > batch_bytes // 2:
            yield _one_batch(some)
            some = []
    if some:
        yield _one_batch(some)
    if left:
        # A damaged page can end a column early without an error.
        raise pa.ArrowInvalid("it has fewer rows than the footer says")


def _one_batch(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    table = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks()
    (batch,) = table.to_batches()
    return batch

"""Reading Parquet: spans are runs of row groups, read as a stream of columns."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penguin_model import validate
from pipelines import storage
from pipelines.reading.encoding import filterable, is_text, undecodable_rows
from pipelines.reading.parquet_files.memory import InputParquet, rows_at_a_time
from pipelines.reading.parquet_files.raw_rows import ARROW_ERRORS, RawRows
from pipelines.reading.rows import Block, Broken, Reject, Wanted
from pipelines.reading.settings import DEFAULT_SIZES
from pipelines.reading.unreadable import UnreadableFile, check_columns


def open_file(source: pa.NativeFile, wanted: Wanted) -> InputParquet:
    """Opens a Parquet file and refuses one that lacks the wanted columns.

    Raises:
      UnreadableFile: it is no Parquet, or a column is missing.
    """
    try:
        columns = len(wanted.columns) + 1
        file = InputParquet(source, columns=columns)
        names = file.schema_arrow.names
        counts = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        labels = [name for name in wanted.in_file(names) if name not in wanted.columns]
        if labels and is_text(file.schema_arrow.field(labels[0]).type):
            # A few spellings that many rows share: their indices are quicker to read than they are.
            file = InputParquet(
                source, columns=columns, metadata=file.metadata, read_dictionary=labels
            )
    except ARROW_ERRORS as error:
        if storage.may_pass(error):
            raise
        raise UnreadableFile(f"no readable Parquet file: {_one_line(error)}") from error
    if min(counts, default=0) < 0 or sum(counts) != file.metadata.num_rows:
        raise UnreadableFile("no readable Parquet file: the row counts in its footer disagree")
    check_columns(names, wanted)
    return file


def plan(file: InputParquet, target_bytes: int) -> Iterator[tuple[int, int, int]]:
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
    file: InputParquet,
    groups: tuple[int, int],
    first_row: int,
    wanted: Wanted,
    *,
    batch_rows: int,
    batch_bytes: int = DEFAULT_SIZES.batch_bytes,
) -> Iterator[Block]:
    """Reads the wanted columns of some row groups, in bounded memory.

    A row group that cannot be decoded, or not in bounded memory, becomes one reject a row, so that
    the footer's count still adds up; the other row groups still score.

    Args:
      file: the open file.
      groups: first row group and the one after the last.
      first_row: the first row's 0-based place in the file.
      wanted: the columns to read.
      batch_rows: rows of a block at most.
      batch_bytes: decoded bytes of a block at most, unless one row has more.

    Yields:
      The rows in order, some at a time.
    """
    for group in range(*groups):
        end = first_row + file.metadata.row_group(group).num_rows
        raw_rows = RawRows(file, group, wanted.in_file(file.schema_arrow.names))
        row = first_row
        try:
            for batch in _batches(file, group, wanted, batch_rows, batch_bytes):
                if batch.num_rows:
                    yield _block(batch, row, wanted, raw_rows, row - first_row)
                row += batch.num_rows
        except ARROW_ERRORS as error:
            if storage.may_pass(error):
                raise
            message = f"row group {group} cannot be read: {_one_line(error)}"
            yield from _unreadable(row, end, message, wanted, batch_rows)
        first_row = end


def _batches(
    file: InputParquet, group: int, wanted: Wanted, batch_rows: int, batch_bytes: int
) -> Iterator[pa.RecordBatch]:
    """The columns of a row group; its labels are left out from where they cannot be read."""
    names = wanted.in_file(file.schema_arrow.names)
    done = 0
    try:
        for batch in _all_rows(file, group, names, batch_rows, batch_bytes):
            yield batch
            done += batch.num_rows
    except ARROW_ERRORS as error:
        if names == wanted.columns or storage.may_pass(error):
            raise
        for batch in _all_rows(file, group, wanted.columns, batch_rows, batch_bytes):
            if done < batch.num_rows:
                yield batch.slice(done)
            done = max(0, done - batch.num_rows)


def _all_rows(
    file: InputParquet, group: int, names: Sequence[str], batch_rows: int, batch_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Some columns of a row group, as many rows as its footer says."""
    left = file.metadata.row_group(group).num_rows
    rows = rows_at_a_time(file, group, names, most_rows=batch_rows, most_bytes=batch_bytes)
    some: list[pa.RecordBatch] = []
    for batch in file.iter_batches(
        rows, row_groups=[group], columns=list(names), use_threads=False
    ):
        left -= batch.num_rows
        if left < 0:
            raise pa.ArrowInvalid("it has more rows than the footer says")
        check_dictionaries(batch)
        if rows == batch_rows:
            yield batch
            continue
        # Few rows at a time, as any of them may be large; most are not.
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


def check_dictionaries(batch: pa.RecordBatch) -> None:
    """Refuses indices that damage left without a value; pyarrow finds them only as it uses them."""
    for column in batch.columns:
        if pa.types.is_dictionary(column.type):
            ends = pc.min_max(column.indices)
            low, high = ends["min"].as_py(), ends["max"].as_py()
            if low is not None and not 0 <= low <= high < len(column.dictionary):
                raise pa.ArrowInvalid("an index has no value in its dictionary")


def _block(batch: pa.RecordBatch, row: int, wanted: Wanted, raw_rows: RawRows, first: int) -> Block:
    columns = dict(zip(batch.schema.names, map(filterable, batch.columns), strict=True))
    places = np.arange(batch.num_rows)
    undecodable = undecodable_rows({name: columns[name] for name in wanted.columns})
    broken = np.array(sorted(undecodable), np.int64)

    def explain(positions: Sequence[int]) -> list[Reject]:
        found = broken[list(positions)].tolist()
        return [
            Reject(
                source_row=row + place,
                reason=validate.BAD_ENCODING,
                column=undecodable[place],
                message=f"{undecodable[place]} has bytes that are not UTF-8",
                raw=text,
            )
            for place, text in zip(found, raw_rows.get(batch, first, found), strict=True)
        ]

    if undecodable:
        places = np.delete(places, broken)
        columns = {name: array.take(pa.array(places)) for name, array in columns.items()}

    def raw(positions: Sequence[int]) -> list[str | None]:
        return raw_rows.get(batch, first, places[list(positions)].tolist())

    return Block(columns=columns, rows=places + row, raw=raw, broken=Broken(broken + row, explain))


def _unreadable(
    row: int, end: int, message: str, wanted: Wanted, batch_rows: int
) -> Iterator[Block]:
    def explain(rows: range, positions: Sequence[int]) -> list[Reject]:
        return [
            Reject(
                source_row=rows[position],
                reason=validate.UNREADABLE_FILE,
                column=None,
                message=message,
            )
            for position in positions
        ]

    for start in range(row, end, batch_rows):
        rows = range(start, min(start + batch_rows, end))
        yield Block(
            columns={name: pa.array([], pa.string()) for name in wanted.columns},
            rows=np.empty(0, np.int64),
            raw=lambda _: [],
            broken=Broken(np.array(rows, np.int64), functools.partial(explain, rows)),
        )


def _one_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else repr(error)

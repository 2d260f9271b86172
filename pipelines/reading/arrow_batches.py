"""Rows that arrive as Arrow record batches, from any file format."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penguin_model import validate
from penguin_model.arrow_text import as_text, is_text
from pipelines.reading.column_names import FileColumns
from pipelines.reading.encoding import filterable, undecodable_rows
from pipelines.reading.formats import Loaded
from pipelines.reading.rows import Broken, InputColumns, ParsedRows, Reject

# What a truncated or foreign file raises: Arrow's own errors, OSError for Thrift and codecs, and
# whatever pyarrow's bindings raise for names that aren't text and sizes that don't fit in memory.
ARROW_ERRORS = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError)


def block(
    batch: pa.RecordBatch,
    row: int,
    wanted: InputColumns,
    found: FileColumns,
    show: Callable[[Sequence[int]], list[str]],
) -> ParsedRows:
    """Returns the rows of a batch, setting aside those with text that isn't UTF-8.

    Args:
      batch: the columns to read, by the file's names; labels may be missing.
      row: 0-based row number in the file of the batch's first row.
      wanted: the columns to read.
      found: where the file has them.
      show: returns the raw text of the rows at the given positions in the batch, ascending.
    """
    arrays = dict(zip(batch.schema.names, batch.columns, strict=True))
    columns = {
        name: readable(name, arrays[each], wanted)
        for name, each in found.sources.items()
        if each in arrays
    }
    places = np.arange(batch.num_rows)
    undecodable = undecodable_rows({name: columns[name] for name in found.required})
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
            for place, text in zip(found, show(found), strict=True)
        ]

    if undecodable:
        places = np.delete(places, broken)
        columns = {name: array.take(pa.array(places)) for name, array in columns.items()}

    def raw(positions: Sequence[int]) -> list[str | None]:
        return list(show(places[list(positions)].tolist()))

    return ParsedRows(
        columns=columns, rows=places + row, raw=raw, broken=Broken(broken + row, explain)
    )


def readable(name: str, column: pa.Array, wanted: InputColumns) -> pa.Array:
    """Prepares a column for checking: one that is only carried along becomes text.

    Text keeps its type, since its bytes are still to be checked.
    """
    if name in wanted.only_carried and not is_text(column.type):
        return as_text(column)
    return filterable(column)


def unreadable(
    row: int, end: int, message: str, wanted: InputColumns, batch_rows: int
) -> Iterator[ParsedRows]:
    """Yields a reject for each row that is known to exist but can't be read.

    Args:
      row: 0-based row number in the file of the first one.
      end: the row number after the last one.
      message: why.
      wanted: the columns to read.
      batch_rows: how many rows to handle at a time.
    """

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
        yield ParsedRows(
            columns={name: pa.array([], pa.string()) for name in wanted.columns},
            rows=np.empty(0, np.int64),
            raw=lambda _: [],
            broken=Broken(np.array(rows, np.int64), functools.partial(explain, rows)),
        )


def combine(files: Sequence[Loaded], wanted: InputColumns) -> pa.Table:
    """Concatenates the tables of small files."""
    return pa.concat_tables([file.content.replace_schema_metadata() for file in files])


def column_types(schema: pa.Schema) -> tuple[tuple[str, pa.DataType], ...]:
    """Column names and types, which files must share to be concatenated."""
    return tuple((field.name, field.type) for field in schema)


def types_by_name(schema: pa.Schema) -> dict[str, pa.DataType]:
    """Column types by name, of a dictionary's values; of several of one name, the last.

    A reader may read text as a dictionary that isn't one in the file.
    """
    return {
        field.name: field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        for field in schema
    }


def check_dictionaries(batch: pa.RecordBatch) -> None:
    """Refuses out-of-range dictionary indices, which pyarrow only detects when it uses them."""
    for column in batch.columns:
        if pa.types.is_dictionary(column.type):
            ends = pc.min_max(column.indices)
            low, high = ends["min"].as_py(), ends["max"].as_py()
            if low is not None and not 0 <= low <= high < len(column.dictionary):
                raise pa.ArrowInvalid("an index has no value in its dictionary")


def one_line(error: Exception) -> str:
    """The first line of a library's error message."""
    text = str(error).strip()
    return text.splitlines()[0] if text else repr(error)

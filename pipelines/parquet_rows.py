"""Whole rows of a Parquet file, as rejects show them."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from penguin_model import validate
from pipelines.texts import is_text, show_bytes

# What a torn or foreign file raises: Arrow's own errors, OSError for Thrift and codecs, and what
# pyarrow's bindings make of names that are no text and sizes that no memory holds.
ARROW_ERRORS = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError)


@dataclasses.dataclass
class RawRows:
    """Reads whole rows of a row group, all columns, when a reject asks for its raw text.

    It follows the main reader batch by batch, so that it never holds more than one either.
    """

    file: pq.ParquetFile
    group: int
    batch_rows: int
    batches: Iterator[pa.RecordBatch] | None = None
    batch: pa.RecordBatch | None = None
    next_position: int = 0

    def get(self, position: int, height: int, rows: Sequence[int]) -> list[str | None]:
        """Some rows of the batch at a position, as JSON.

        Args:
          position: the batch's; it never goes back.
          height: how many rows the main reader found in it.
          rows: positions in the batch.

        Returns:
          None for each where a column that nobody wanted is torn: the rejects stand without.
        """
        if self.batches is None:
            self.batches = self.file.iter_batches(
                self.batch_rows, row_groups=[self.group], use_threads=False
            )
        try:
            while self.next_position <= position:
                self.batch = next(self.batches)
                self.next_position += 1
            # A column may end early without an error.
            if self.batch is not None and self.batch.num_rows == height:
                return _as_json(self.batch, rows)
        except (*ARROW_ERRORS, StopIteration):
            pass
        return [None] * len(rows)


def _as_json(batch: pa.RecordBatch, rows: Sequence[int]) -> list[str | None]:
    columns = [_for_json(_pick(column, rows)) for column in batch.columns]
    return [
        json.dumps(dict(zip(batch.schema.names, values, strict=True)), default=str)
        for values in zip(*columns, strict=True)
    ]


def _pick(column: pa.Array, rows: Sequence[int]) -> pa.Array:
    try:
        return column.take(pa.array(rows))
    except pa.ArrowNotImplementedError:
        # Arrow takes no rows from views, nor from what nests them.
        return pa.concat_arrays([column.slice(row, 1) for row in rows])


def _for_json(column: pa.Array) -> list[Any]:
    """A column's values; text as it is or escaped, other bytes in hexadecimal."""
    if is_text(column.type):
        texts = column.cast(pa.large_binary()).to_pylist()
        return [None if text is None else show_bytes(text) for text in texts]
    try:
        values = column.to_pylist()
    except (ValueError, OverflowError, LookupError):
        # Times that Python can't hold, or of a zone that it doesn't know.
        return list(validate.as_text(column).to_pylist())
    return [_strict(value) for value in values]


def _strict(value: Any) -> Any:
    """A value that JSON has: bytes become hexadecimal, NaN and the infinities text."""
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value

"""Rows of a Parquet file, as rejects show them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from pipelines.reading.arrow_batches import ARROW_ERRORS
from pipelines.reading.json_rows import columns_for_json, to_objects
from pipelines.reading.parquet_files.memory import InputParquet, rows_at_a_time

# Of the columns that nobody wants, a reject shows the first ones that cost little to read.
_MOST_COLUMNS = 64
_ROWS, _BYTES, _HELD_BYTES = 1 << 12, 4 << 20, 4 << 20


@dataclasses.dataclass
class RawRows:
    """Shows rows of a row group: the columns that were read, and others that are small.

    The others are read when a reject first asks for them, a few rows at a time behind the main
    reader, so that a large column that nobody wants never is.

    Args:
      file: the open file.
      group: the row group.
      known: the columns that the main reader reads.
    """

    file: InputParquet
    group: int
    known: Sequence[str]
    _batches: Iterator[pa.RecordBatch] | None = None
    _batch: pa.RecordBatch | None = None
    _first: int = 0

    def get(self, batch: pa.RecordBatch, first: int, rows: Sequence[int]) -> list[str]:
        """Some rows of a batch of the main reader, as JSON.

        Args:
          batch: the batch.
          first: its first row's place in the row group.
          rows: positions in the batch, ascending; from call to call they never go back.

        Returns:
          An object for each, `MAX_RAW_BYTES` at most: what is longer is cut, and what is
          left out is named.
        """
        if not rows:
            return []
        columns = columns_for_json(batch, rows)
        try:
            columns |= self._others([first + row for row in rows])
        except (*ARROW_ERRORS, StopIteration):
            # A torn column that nobody wants: the rejects stand without.
            self._shown = []
        return to_objects(self._names, columns)

    @functools.cached_property
    def _names(self) -> list[str]:
        return list(self.file.schema_arrow.names)

    @functools.cached_property
    def _own_file(self) -> InputParquet:
        """Another reader: asking the main one would disturb it."""
        return InputParquet(
            self.file.source, columns=4 * _MOST_COLUMNS, metadata=self.file.metadata
        )

    @functools.cached_property
    def _shown(self) -> list[str]:
        """The columns that are read for rejects alone."""
        known = set(self.known)
        others = [name for name in self._names[: 2 * _MOST_COLUMNS] if name not in known]
        return [name for name in others if self._is_small(name)][:_MOST_COLUMNS]

    def _is_small(self, name: str) -> bool:
        try:
            rows = self._rows_at_a_time([name], _BYTES // 4, _HELD_BYTES)
        except ARROW_ERRORS:
            return False
        return rows >= min(64, self.file.metadata.row_group(self.group).num_rows)

    def _rows_at_a_time(self, names: Sequence[str], most_bytes: int, held_bytes: int) -> int:
        return rows_at_a_time(
            self._own_file, self.group, names,
            most_rows=_ROWS, most_bytes=most_bytes, held_bytes=held_bytes,
        )  # fmt: skip

    def _others(self, rows: Sequence[int]) -> dict[str, list[Any]]:
        """The values of small columns at some places in the row group, ascending."""
        if not self._shown:
            return {}
        if self._batches is None:
            count = self._rows_at_a_time(self._shown, _BYTES, _MOST_COLUMNS * _HELD_BYTES // 4)
            self._batches = self._own_file.iter_batches(
                count, row_groups=[self.group], columns=self._shown, use_threads=False
            )
        found: dict[str, list[Any]] = {name: [] for name in self._shown}
        done = 0
        while done < len(rows):
            while self._batch is None or rows[done] >= self._first + self._batch.num_rows:
                self._first += 0 if self._batch is None else self._batch.num_rows
                self._batch = next(self._batches)
            stop = done
            while stop < len(rows) and rows[stop] < self._first + self._batch.num_rows:
                stop += 1
            part = columns_for_json(self._batch, [row - self._first for row in rows[done:stop]])
            for name in self._shown:
                found[name] += part[name]
            done = stop
        return found

"""Raw text of Parquet rows, as shown in rejects."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import pyarrow as pa

from pipelines.reading.arrow_batches import ARROW_ERRORS
from pipelines.reading.json_rows import Shown, columns_for_json, to_objects
from pipelines.reading.parquet_files.memory import InputParquet, rows_at_a_time

# Of the columns that scoring doesn't need, a reject shows the first that are cheap to read.
_MOST_COLUMNS = 64
_ROWS, _BYTES, _HELD_BYTES = 1 << 12, 4 << 20, 4 << 20


@dataclasses.dataclass
class RawRows:
    """Shows rows of a row group: the columns already read, and other small ones.

    The others are read when a reject first needs them, a few rows at a time behind the main
    reader. Other large columns are never read.

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
        """Returns some rows of a batch of the main reader, as JSON.

        Args:
          batch: the batch.
          first: position of its first row in the row group.
          rows: positions in the batch, ascending; they never go back between calls.

        Returns:
          An object for each row, at most `MAX_RAW_BYTES` long: longer ones are cut, and omitted
          columns are counted.
        """
        if not rows:
            return []
        columns = columns_for_json(batch, rows)
        try:
            columns |= self._others([first + row for row in rows])
        except (*ARROW_ERRORS, StopIteration):
            # A column that scoring doesn't need is damaged: rejects go without the others.
            self._shown = []
        return to_objects(self._names, columns)

    @functools.cached_property
    def _names(self) -> list[str]:
        return list(self.file.schema_arrow.names)

    @functools.cached_property
    def _own_file(self) -> InputParquet:
        """A separate reader, so that the main one isn't disturbed."""
        return InputParquet(
            self.file.source, columns=4 * _MOST_COLUMNS, metadata=self.file.metadata
        )

    @functools.cached_property
    def _shown(self) -> list[str]:
        """The columns read only for rejects."""
        known = set(self.known)
        others = dict.fromkeys(
            name for name in self._names[: 2 * _MOST_COLUMNS] if name not in known
        )
        return [name for name in others if self._is_small(name)][:_MOST_COLUMNS]

    def _is_small(self, name: str) -> bool:
        try:
            rows = self._rows_at_a_time([name], _BYTES // 4, _HELD_BYTES)
        except ARROW_ERRORS:
            return False
        return rows >= min(64, int(self.file.metadata.row_group(self.group).num_rows))

    def _rows_at_a_time(self, names: Sequence[str], most_bytes: int, held_bytes: int) -> int:
        return rows_at_a_time(
            self._own_file, self.group, names,
            most_rows=_ROWS, most_bytes=most_bytes, held_bytes=held_bytes,
        )  # fmt: skip

    def _others(self, rows: Sequence[int]) -> Shown:
        """Returns the values of small columns at some positions in the row group, ascending."""
        if not self._shown:
            return {}
        if self._batches is None:
            count = self._rows_at_a_time(self._shown, _BYTES, _MOST_COLUMNS * _HELD_BYTES // 4)
            self._batches = self._own_file.read_group(self.group, self._shown, count)
        found: Shown = {}
        done = 0
        while done < len(rows):
            while self._batch is None or rows[done] >= self._first + self._batch.num_rows:
                self._first += 0 if self._batch is None else self._batch.num_rows
                self._batch = next(self._batches)
            stop = done
            while stop < len(rows) and rows[stop] < self._first + self._batch.num_rows:
                stop += 1
            part = columns_for_json(self._batch, [row - self._first for row in rows[done:stop]])
            for name, columns in part.items():
                for place, values in enumerate(columns):
                    found.setdefault(name, [[] for _ in columns])[place].extend(values)
            done = stop
        return found

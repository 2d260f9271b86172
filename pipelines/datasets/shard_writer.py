"""Writes a data set to staging as Parquet shards of bounded size."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import storage
from pipelines.datasets import schemas
from pipelines.datasets.settings import ShardSettings

# pyarrow's default of 1,024 values at a time adds an eighth to the time. But pages only end between
# two such batches, and a page is in memory three times while it is compressed.
_MOST_BATCH_ROWS = 1 << 16
_BATCH_BYTES = 4 << 20
# pyarrow's default of 20,000 rows makes so many small writes that they take a tenth of the time.
_PAGE_ROWS = 1 << 17


class Shard(NamedTuple):
    """The record of a staged shard; only shards with a record are ever published.

    Attributes:
      dataset: the data set it belongs to.
      path: where it is staged.
      rows: rows written.
      first: source file and row of its first row, by which published shards are ordered.
      sha256: the file's hexadecimal hash, of the bytes as written; empty while it is open.
    """

    dataset: str
    path: str
    rows: int
    first: tuple[str, int]
    sha256: str = ""


def _encodings(schema: pa.Schema, batch_rows: int) -> dict[str, Any]:
    """Returns the settings for writing each column, measured with `benchmarks/encodings.py`.

    Probabilities don't compress, so they are left uncompressed; ascending row numbers shrink to
    almost nothing as differences. Of the floats only the winner's probability has statistics, which
    readers use to find uncertain rows. Nobody looks for a range of class names, and finding it
    takes a third of the time to write them.
    """
    floats = [field.name for field in schema if pa.types.is_floating(field.type)]
    dictionaries = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    plain = {*floats, *dictionaries} - {*schemas.LOCATION_NAMES, schemas.PROBABILITY}
    return {
        "compression": {
            field.name: "none" if field.name in floats else "snappy" for field in schema
        },
        "use_dictionary": dictionaries,
        "column_encoding": {
            field.name: "DELTA_BINARY_PACKED" for field in schema if field.name == "source_row"
        },
        "write_statistics": [field.name for field in schema if field.name not in plain],
        "write_batch_size": batch_rows,
        "max_rows_per_page": _PAGE_ROWS,
    }


class _Hashed:
    """A file that hashes what is written to it, which costs less than reading it back.

    It also is the better witness: what a disk spoils later doesn't fit the hash.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._hash = sha256()
        self.closed = False

    def write(self, content: Any) -> int:
        self._file.write(content)
        self._hash.update(content)
        return len(content)

    def tell(self) -> int:
        return int(self._file.tell())

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()
        self.closed = True

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


class ShardWriter:
    """Collects batches into row groups, and row groups into shards.

    Every shard has the same schema and metadata, and none is empty. Dictionary columns are written
    straight from their dictionaries, and read back as plain strings.

    Args:
      folder: the staging folder of the data set.
      dataset: the data set's name.
      schema: of every batch.
      metadata: key-value pairs for the Parquet footers.
      max_shard_bytes: a shard ends with the row group that reaches this size.
      row_group_rows: rows in a full row group.
      row_group_bytes: a row group is also full at this many bytes in memory.
    """

    def __init__(
        self,
        folder: str,
        dataset: str,
        schema: pa.Schema,
        metadata: Mapping[str, str],
        *,
        max_shard_bytes: int,
        row_group_rows: int,
        row_group_bytes: int = ShardSettings.row_group_bytes,
    ) -> None:
        self._folder = folder
        self._dataset = dataset
        self._schema = schema
        self._metadata = dict(metadata)
        self._max_shard_bytes = max_shard_bytes
        self._row_group_rows = row_group_rows
        self._row_group_bytes = row_group_bytes
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._pending_bytes = 0
        self._batch_rows = 0
        self._sink: Any = None
        self._writer: pq.ParquetWriter | None = None
        self._shard: Shard | None = None
        self._done: list[Shard] = []

    def write(self, batch: pa.RecordBatch) -> None:
        """Adds a batch, whose rows are written once their row group is full."""
        self._pending.append(batch)
        self._pending_rows += batch.num_rows
        # The memory it keeps alive: a slice holds on to the whole buffers behind it.
        self._pending_bytes += batch.get_total_buffer_size()
        if (
            self._pending_rows >= self._row_group_rows
            or self._pending_bytes >= self._row_group_bytes
        ):
            self._flush()

    def finish(self) -> list[Shard]:
        """Closes the last shard, and returns the records of all shards."""
        self._flush()
        self._close()
        done, self._done = self._done, []
        return done

    def _flush(self) -> None:
        if not self._pending_rows:
            self._pending.clear()
            return
        table = pa.Table.from_batches(self._pending, self._schema).unify_dictionaries()
        batch_rows = _batch_rows(table)
        self._pending.clear()
        self._pending_rows = self._pending_bytes = 0
        if batch_rows < self._batch_rows:
            self._close()
        with storage.writing(self._folder):
            shard = self._shard or self._open(table, batch_rows)
            assert self._writer is not None
            self._writer.write_table(table, row_group_size=table.num_rows)
            self._shard = shard._replace(rows=shard.rows + table.num_rows)
            full = self._sink.tell() >= self._max_shard_bytes
        if full:
            self._close()

    def _open(self, table: pa.Table, batch_rows: int) -> Shard:
        self._batch_rows = batch_rows
        path = storage.join(self._folder, f"part-{uuid.uuid4().hex}.parquet")
        self._sink = _Hashed(storage.open_output(path))
        self._writer = pq.ParquetWriter(
            self._sink,
            self._schema,
            # Without Arrow's schema in the footer, dictionary columns read as plain strings.
            store_schema=False,
            **_encodings(self._schema, batch_rows),
        )
        self._writer.add_key_value_metadata(self._metadata)
        first_file, first_row = (table.column(name)[0].as_py() for name in table.column_names[:2])
        has_row = table.column_names[1] == "source_row" and first_row is not None
        return Shard(self._dataset, path, 0, (first_file, first_row if has_row else -1))

    def _close(self) -> None:
        if self._writer is None or self._shard is None:
            return
        with storage.writing(self._folder):
            self._writer.close()
            self._sink.close()
        self._done.append(self._shard._replace(sha256=self._sink.hexdigest()))
        self._writer = self._shard = self._sink = None
        self._batch_rows = 0


def _batch_rows(table: pa.Table) -> int:
    """Rows to write at a time: a power of two, smaller if a column is wide."""
    widest: int = max(column.nbytes for column in table.columns)
    rows: int = max(1, _BATCH_BYTES * table.num_rows // max(1, widest))
    return min(_MOST_BATCH_ROWS, 1 << (rows.bit_length() - 1))

"""The steps that write and count: shards into staging, counts against each other."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam import pvalue

from pipelines import layout, schemas
from pipelines.outputs import TALLIES, figure, in_global_window
from pipelines.shards import ShardWriter
from pipelines.sizes import Sizes
from pipelines.tallies import FileTally, by_bucket, reconcile


class WriteShardsFn(beam.DoFn):
    """Writes the chunks of a bundle to staged shards, and emits a record of each shard.

    A bundle that is retried writes new files; the records of the failed try are never committed,
    so its files are never published.
    """

    def __init__(
        self,
        folder: str,
        dataset: str,
        schema: pa.Schema,
        metadata: Mapping[str, str],
        sizes: Sizes,
    ) -> None:
        self._make_writer = functools.partial(
            ShardWriter,
            folder,
            dataset,
            schema,
            metadata,
            max_shard_bytes=sizes.shard_bytes,
            row_group_rows=sizes.row_group_rows,
        )
        # A row of the files data set is no row of an input file.
        self._count = {layout.PREDICTIONS: "scored", layout.REJECTS: "rejected"}.get(dataset, "")
        self._writer: ShardWriter | None = None
        self._rows: dict[str, int] = {}

    def start_bundle(self) -> None:
        """Forgets what a failed bundle may have left."""
        self._writer = None
        self._rows = {}

    def process(self, chunk: pa.RecordBatch) -> None:
        """Writes one chunk."""
        if self._writer is None:
            self._writer = self._make_writer()
        self._writer.write(chunk)
        if self._count:
            for path, rows in _rows_by_file(chunk):
                self._rows[path] = self._rows.get(path, 0) + rows

    def finish_bundle(self) -> Iterator[Any]:
        """Closes the shards, and emits their records and the rows that each file has in them."""
        if self._writer is not None:
            for shard in self._writer.finish():
                yield in_global_window(shard)
        counted = {path: FileTally(**{self._count: rows}) for path, rows in self._rows.items()}
        for bucket in by_bucket(counted):
            yield pvalue.TaggedOutput(TALLIES, in_global_window(bucket))


class ReconcileFn(beam.DoFn):
    """Checks each file's counts, lists the files as rows of `schemas.FILES`, adds up the totals."""

    def __init__(self, model_sha256: str) -> None:
        self._model_sha256 = model_sha256

    def process(self, bucket: tuple[int, Mapping[str, FileTally]]) -> Iterator[Any]:
        """Checks the files of a bucket; emits them as one batch, and their totals."""
        tallies = bucket[1]
        for path, tally in tallies.items():
            reconcile(path, tally)
        yield pa.RecordBatch.from_pylist(
            [
                {
                    "source_file": path,
                    "size": tally.size,
                    "modified": tally.modified,
                    "model_sha256": self._model_sha256,
                    "rows_read": tally.read,
                    "rows_scored": tally.scored,
                    "rows_rejected": tally.rejected,
                }
                for path, tally in tallies.items()
            ],
            schema=schemas.FILES,
        )
        known = tallies.values()
        yield figure("totals", "files", len(tallies))
        yield figure("totals", "files_unreadable", sum(tally.unreadable for tally in known))
        yield figure("totals", "rows_read", sum(tally.read for tally in known))
        yield figure("totals", "rows_scored", sum(tally.scored for tally in known))
        yield figure("totals", "rows_rejected", sum(tally.rejected for tally in known))


def _rows_by_file(chunk: pa.RecordBatch) -> Iterable[tuple[str, int]]:
    """How many rows of each file a chunk of predictions or row rejects holds."""
    located = chunk
    if chunk.schema.equals(schemas.REJECTS):
        # A whole-file reject is not one of the file's rows.
        located = chunk.filter(chunk.column("source_row").is_valid())
    for counted in located.column("source_file").value_counts():
        yield counted["values"].as_py(), counted["counts"].as_py()

"""The step that writes a data set to staged shards, and counts each file's rows in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.pvalue import PCollection

from pipelines.counts.counter import Counter
from pipelines.counts.emit import TALLIES, at_bundle_end
from pipelines.datasets.data_sets import DataSet
from pipelines.datasets.settings import ShardSettings
from pipelines.datasets.shard_writer import Shard, ShardWriter


@dataclasses.dataclass(frozen=True, kw_only=True)
class StagedDataSet:
    """One run's part of a data set, and how to write it.

    Attributes:
      data_set: which data set.
      folder: its staging folder.
      schema: of every chunk.
      metadata: key-value pairs for the Parquet footers.
      sizes: of the shards.
    """

    data_set: DataSet
    folder: str
    schema: pa.Schema
    metadata: Mapping[str, str]
    sizes: ShardSettings

    def open_writer(self) -> ShardWriter:
        """A writer of new shards."""
        return ShardWriter(
            self.folder,
            self.data_set.name,
            self.schema,
            self.metadata,
            max_shard_bytes=self.sizes.shard_bytes,
            row_group_rows=self.sizes.row_group_rows,
            row_group_bytes=self.sizes.row_group_bytes,
        )


class BundleWriter:
    """Writes the chunks of one bundle to staged shards, and counts each file's rows in them.

    A retried bundle writes new files; the failed attempt's records are never committed, so its
    files are never published.

    Args:
      staged: what to write.
      counter: counts the rows.
    """

    def __init__(self, staged: StagedDataSet, counter: Counter) -> None:
        self._staged = staged
        self._counter = counter
        self._writer: ShardWriter | None = None

    def write(self, chunk: pa.RecordBatch) -> None:
        """Writes one chunk."""
        if self._writer is None:
            self._writer = self._staged.open_writer()
        self._writer.write(chunk)
        if name := self._staged.data_set.by_file:
            for path, rows, places in locate(chunk):
                self._counter.add(path, **{name: rows, "places": places})

    def finish(self) -> list[Shard]:
        """Closes the shards and returns their records."""
        return self._writer.finish() if self._writer is not None else []


class Written(NamedTuple):
    """What `WriteShardsFn` emits: a record of each shard, and counts of each file's rows in it."""

    shards: PCollection[Shard]
    tallies: PCollection[tuple[int, Any]]


class Listed(NamedTuple):
    """What `WriteShardsFn` emits for a data set whose rows aren't counted by file."""

    shards: PCollection[Shard]


class WriteShardsFn(beam.DoFn):
    """Writes chunks to staged shards, and emits a record of each shard.

    Args:
      staged: what to write.
    """

    def __init__(self, staged: StagedDataSet) -> None:
        self._staged = staged

    def start_bundle(self) -> None:
        """Forgets what a failed bundle may have left."""
        self._counter = Counter()
        self._writer = BundleWriter(self._staged, self._counter)

    def process(self, chunk: pa.RecordBatch) -> None:
        """Writes one chunk."""
        self._writer.write(chunk)

    def finish_bundle(self) -> Iterator[Any]:
        """Closes the shards, and emits their records and the counts of each file's rows."""
        yield from at_bundle_end(self._writer.finish())
        yield from at_bundle_end(self._counter.take(), TALLIES)


def locate(chunk: pa.RecordBatch) -> Iterable[tuple[str, int, int]]:
    """Counts the rows of each file in a chunk of predictions or rejects, and sums their numbers.

    Args:
      chunk: its first two columns are `source_file` and `source_row`.

    Yields:
      Each file's path, number of rows, and sum of row numbers. A reject of a whole file doesn't
      count as a row.
    """
    files, rows = chunk.columns[:2]
    if rows.null_count:
        files, rows = files.filter(rows.is_valid()), rows.drop_null()
    if not pa.types.is_dictionary(files.type):
        files = files.dictionary_encode()
    places = rows.to_numpy()
    paths = files.dictionary.to_pylist()
    if len(paths) == 1:
        if len(places):
            yield paths[0], len(places), int(places.sum())
        return
    indices = files.indices.to_numpy()
    counts = np.bincount(indices, minlength=len(paths))
    sums = np.zeros(len(paths), np.int64)
    np.add.at(sums, indices, places)
    for path, count, total in zip(paths, counts.tolist(), sums.tolist(), strict=True):
        if count:
            yield path, count, total

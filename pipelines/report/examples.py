"""Sample rows of a run's rejects and files, read with only a few in memory at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines import storage
from pipelines.runs.manifest import Manifest

Row = Mapping[str, Any]

# The most memory for a batch of rejects: a raw row may be megabytes long.
_BATCH_BYTES = 8 << 20
_MOST_BATCH_ROWS = 1 << 16
_BUFFER_BYTES = 1 << 20
_FILE_COLUMNS = ["source_file", "rows_read", "rows_scored", "rows_rejected"]
_WORST_FIRST = [
    ("rows_rejected", "descending"),
    ("rows_read", "ascending"),
    ("source_file", "ascending"),
]


def shards(folder: str, manifest: Manifest, dataset: str) -> list[str]:
    """The paths of a data set's shards in `folder`."""
    return [storage.join(folder, name) for name in manifest.shard_names(dataset)]


def worst_files(paths: Collection[str], most: int) -> list[Row]:
    """The files with the most rejects; among equals, those with the fewest rows first.

    Args:
      paths: the shards of a `files` data set.
      most: the number of files.
    """
    worst: pa.Table | None = None
    for path in paths:
        with _opened(path) as file:
            for batch in file.iter_batches(columns=_FILE_COLUMNS, use_threads=False):
                table = pa.Table.from_batches([batch])
                both = table if worst is None else pa.concat_tables([worst, table])
                worst = both.take(pc.select_k_unstable(both, most, _WORST_FIRST))
    return [] if worst is None else list(worst.to_pylist())


def first_rejects(
    paths: Collection[str], counts: Mapping[str, int], most: int
) -> dict[str, list[Row]]:
    """The first rejects for each reason, in the order of the shards.

    Args:
      paths: the shards of a `rejects` data set; reading stops when there are enough examples.
      counts: the number of rejects for each reason.
      most: the number of examples for each reason.
    """
    found: dict[str, list[Row]] = {reason: [] for reason in counts}

    def missing() -> dict[str, int]:
        lacks = {reason: min(most, n) - len(found[reason]) for reason, n in counts.items()}
        return {reason: n for reason, n in lacks.items() if n > 0}

    for path in paths:
        if not missing():
            break
        with _opened(path) as file:
            for group in range(file.num_row_groups):
                places = _places(file, group, missing())
                for row in _rows(file, group, places):
                    found[row["reason"]].append(row)
    return found


def _places(file: pq.ParquetFile, group: int, wanted: Mapping[str, int]) -> list[int]:
    """Positions of the wanted number of rows for each reason in a row group."""
    lacks, places, first = dict(wanted), [], 0
    # One small column: cheap even if no row is wanted.
    for batch in file.iter_batches(row_groups=[group], columns=["reason"], use_threads=False):
        for reason, n in lacks.items():
            hits = pc.indices_nonzero(pc.equal(batch.column(0), reason))[:n].to_pylist()
            places += [first + hit for hit in hits]
            lacks[reason] = n - len(hits)
        if not any(lacks.values()):
            break
        first += batch.num_rows
    return sorted(places)


def _rows(file: pq.ParquetFile, group: int, places: list[int]) -> Iterator[Row]:
    if not places:
        return
    about = file.metadata.row_group(group)
    each = 1 + about.total_byte_size // max(about.num_rows, 1)
    rows = max(1, min(_MOST_BATCH_ROWS, _BATCH_BYTES // each))
    first = 0
    for batch in file.iter_batches(batch_size=rows, row_groups=[group], use_threads=False):
        here = [place - first for place in places if first <= place < first + batch.num_rows]
        if here:
            yield from batch.take(pa.array(here)).to_pylist()
        first += batch.num_rows
        if first > places[-1]:
            break


@contextlib.contextmanager
def _opened(path: str) -> Iterator[pq.ParquetFile]:
    with storage.open_input(path) as source:
        # By the page: otherwise whole columns of a row group are read at once.
        yield pq.ParquetFile(source, buffer_size=_BUFFER_BYTES, pre_buffer=False)

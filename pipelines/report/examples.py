"""Sample rows of a run's rejects and files, read with only a few in memory at a time."""

from __future__ import annotations

import contextlib
import heapq
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines import storage
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import Manifest, Status

Row = Mapping[str, Any]

# A run with more rejects is searched only until there are enough examples.
MOST_SEARCHED = 1 << 20
# The most memory for a batch of rejects: a raw row may be megabytes long.
_BATCH_BYTES = 8 << 20
_MOST_BATCH_ROWS = 1 << 16
_BUFFER_BYTES = 1 << 20
_FILE_COLUMNS = ["source_file", "rows_read", "rows_scored", "rows_rejected"]
_PLACE_COLUMNS = ["source_file", "source_row", "reason"]
_FIRST_FIRST = [("source_file", "ascending"), ("source_row", "ascending")]
_WORST_FIRST = [
    ("rows_rejected", "descending"),
    ("rows_read", "ascending"),
    ("source_file", "ascending"),
]


def shards(paths: Layout, manifest: Manifest, dataset: str) -> list[str]:
    """The paths of a run's shards of a data set, in order; a closed run may have none."""
    folder = {
        Status.PUBLISHED: paths.published(dataset),
        Status.HELD: storage.join(paths.held, dataset),
    }.get(manifest.status, storage.join(paths.closed, dataset))
    known = dataset in manifest.shards
    return [storage.join(folder, name) for name in manifest.shard_names(dataset)] if known else []


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
    paths: Sequence[str], wanted: Mapping[str, int], *, columns: Sequence[str] | None = None
) -> dict[str, list[Row]]:
    """The first rejects for each reason, by file and row; a whole file's come before its rows.

    Workers write shards in no particular order, so a run with more than `MOST_SEARCHED` rejects
    may have earlier ones than these: reading stops there if there are enough examples.

    Args:
      paths: the shards of a `rejects` data set.
      wanted: the number of examples for each reason.
      columns: those of the examples; None means all.
    """
    found = _search(paths, wanted)
    rows = _rows_at(paths, sorted(itertools.chain(*found.values()), key=_at), columns)
    return {reason: [rows[_at(place)] for place in places] for reason, places in found.items()}


class _Place(NamedTuple):
    """Where a reject was found; the first in a file sorts before the later ones."""

    source_file: str
    source_row: int
    shard: int
    group: int
    position: int


def _search(paths: Sequence[str], wanted: Mapping[str, int]) -> dict[str, list[_Place]]:
    found = {reason: list[_Place]() for reason in wanted}
    lacks = {reason: most for reason, most in wanted.items() if most}
    searched = 0
    for shard, path in enumerate(paths if lacks else ()):
        with _opened(path) as file:
            for group in range(file.num_row_groups):
                for reason, places in _places(file, (shard, group), lacks):
                    found[reason] = heapq.nsmallest(wanted[reason], [*found[reason], *places])
                searched += file.metadata.row_group(group).num_rows
                if searched >= MOST_SEARCHED:
                    lacks = {name: most for name, most in lacks.items() if len(found[name]) < most}
                    if not lacks:
                        return found
    return found


def _at(place: _Place) -> tuple[int, int, int]:
    return place.shard, place.group, place.position


def _places(
    file: pq.ParquetFile, at: tuple[int, int], wanted: Mapping[str, int]
) -> Iterator[tuple[str, list[_Place]]]:
    """The first places for each reason in each batch of a row group."""
    first = 0
    for batch in file.iter_batches(row_groups=[at[1]], columns=_PLACE_COLUMNS, use_threads=False):
        # A whole file's reject has no row.
        table = pa.table(
            {
                "source_file": batch.column("source_file"),
                "source_row": pc.fill_null(batch.column("source_row"), -1),
                "position": np.arange(first, first + batch.num_rows),
            }
        )
        for reason, most in wanted.items():
            hits = table.filter(pc.equal(batch.column("reason"), reason))
            if hits.num_rows:
                best = hits.take(pc.select_k_unstable(hits, most, _FIRST_FIRST))
                yield reason, [_Place(name, row, *at, n) for name, row, n in _tuples(best)]
        first += batch.num_rows


def _tuples(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in table.columns), strict=True)


def _rows_at(
    paths: Sequence[str], places: Sequence[_Place], columns: Sequence[str] | None
) -> dict[tuple[int, int, int], Row]:
    """The rows at some places, which are sorted as they are read."""
    found: dict[tuple[int, int, int], Row] = {}
    for shard, in_shard in itertools.groupby(places, lambda place: place.shard):
        with _opened(paths[shard]) as file:
            for group, in_group in itertools.groupby(in_shard, lambda place: place.group):
                here = list(in_group)
                rows = _rows(file, group, [place.position for place in here], columns)
                found |= dict(zip(map(_at, here), rows, strict=True))
    return found


def _rows(
    file: pq.ParquetFile, group: int, places: list[int], columns: Sequence[str] | None
) -> Iterator[Row]:
    about = file.metadata.row_group(group)
    each = 1 + about.total_byte_size // max(about.num_rows, 1)
    rows = max(1, min(_MOST_BATCH_ROWS, _BATCH_BYTES // each))
    first = 0
    for batch in file.iter_batches(
        batch_size=rows, row_groups=[group], columns=columns, use_threads=False
    ):
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

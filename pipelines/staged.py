"""Staged shards on their way to publication: checked by their own footers, named as published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow.parquet as pq

from penguin_model.errors import ReconcileError
from pipelines import commit, layout, storage
from pipelines.layout import Layout
from pipelines.shards import Shard


def make_ready(paths: Layout, dataset: str, shards: Iterable[Shard]) -> dict[str, int]:
    """Checks a data set's shards by their footers and gives them their published names.

    Returns:
      The number of files, their rows and bytes.

    Raises:
      ReconcileError: a shard holds other rows than were written.
    """
    mine = sorted((shard for shard in shards if shard.dataset == dataset), key=_by_place)
    ready = commit.ready_folder(paths, dataset)
    named = [
        (shard, storage.join(ready, layout.shard_name(number))) for number, shard in enumerate(mine)
    ]
    sizes = storage.for_each(ready, lambda each: _make_ready(*each), named)
    return {"files": len(mine), "rows": sum(shard.rows for shard in mine), "bytes": sum(sizes)}


def _make_ready(shard: Shard, target: str) -> int:
    """Moves one shard, checks its rows and returns its bytes."""
    # An interrupted try may have moved it already.
    if storage.exists(shard.path):
        storage.move_file(shard.path, target)
    with storage.open_input(target) as source:
        found = pq.ParquetFile(source).metadata.num_rows
        size: int = source.size()
    if found != shard.rows:
        raise ReconcileError(
            f"{shard.dataset}: a shard that begins with {shard.first[0]} holds {found} rows, "
            f"{shard.rows} were written; nothing is published"
        )
    return size


def verify(described: Mapping[str, Mapping[str, int]], totals: Mapping[str, int]) -> None:
    """Checks that the data sets hold as many rows as were counted on the way.

    Raises:
      ReconcileError: one does not.
    """
    expected = {
        layout.PREDICTIONS: totals["rows_scored"],
        layout.REJECTS: totals["rows_rejected"] + totals["files_unreadable"],
        layout.FILES: totals["files"],
    }
    for dataset, rows in expected.items():
        if described[dataset]["rows"] != rows:
            raise ReconcileError(
                f"{dataset}: the shards hold {described[dataset]['rows']} rows, "
                f"{rows} were counted; nothing is published"
            )


def _by_place(shard: Shard) -> tuple[tuple[str, int], str]:
    return shard.first, shard.path

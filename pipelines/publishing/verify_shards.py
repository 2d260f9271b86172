"""Checks of staged shards before publication: by their own footers, in published order."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import pyarrow.parquet as pq

from pipelines import storage
from pipelines.datasets.shard_writer import Shard
from pipelines.errors import ReconcileError
from pipelines.publishing.commit import Commit, PlacedShard
from pipelines.runs.layout import Layout


def check(
    paths: Layout, commit: Commit, dataset: str, shards: Iterable[Shard]
) -> tuple[PlacedShard, ...]:
    """Checks a data set's staged shards by their footers, and names them.

    Raises:
      ReconcileError: a shard contains other rows than were written, belongs to another attempt, or
        was recorded twice.
    """
    mine = sorted((shard for shard in shards if shard.dataset == dataset), key=_by_place)
    if len({shard.path for shard in mine}) != len(mine):
        raise ReconcileError(f"{dataset}: the record of a shard came twice; nothing is published")
    sizes = storage.for_each(paths.staging, functools.partial(_check, paths), mine)
    names = commit.published_names(len(mine))
    return tuple(
        PlacedShard(shard.path, name, shard.rows, size, shard.sha256)
        for shard, name, size in zip(mine, names, sizes, strict=True)
    )


def _check(paths: Layout, shard: Shard) -> int:
    """Checks one shard's rows and owner, and returns its size in bytes."""
    with storage.open_input(shard.path) as source:
        footer = pq.ParquetFile(source).metadata
        found, about = footer.num_rows, footer.metadata or {}
        size: int = source.size()
    if found != shard.rows:
        raise ReconcileError(
            f"{shard.dataset}: a shard that begins with {shard.first[0]} holds {found} rows, "
            f"{shard.rows} were written; nothing is published"
        )
    if about.get(b"attempt") != paths.attempt.encode():
        raise ReconcileError(f"{shard.path}: is not of this attempt; nothing is published")
    return size


def _by_place(shard: Shard) -> tuple[tuple[str, int], str]:
    return shard.first, shard.path

"""The ledger of scored files: the `files` data sets of all published runs.

A file is done when a published run's ledger has it with the same path, size and modification time
and the same model. What is asked about is held in memory, the ledger only passes by.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines import layout, storage

Fingerprint = tuple[str, int, int]  # path, size, modified in microseconds

_COLUMNS = ["source_file", "size", "modified"]


def published_runs(output: str) -> Iterator[dict[str, Any]]:
    """The manifests of all published runs."""
    for path in storage.list_files(storage.join(output, "runs")):
        if path.endswith(".json"):
            yield json.loads(storage.read_bytes(path))


def find_done(
    output: str, model_sha256: str, asked: Collection[Fingerprint], *, ended_after: str = ""
) -> dict[Fingerprint, str]:
    """Finds which files are done, and in which run.

    Args:
      output: the output root.
      model_sha256: runs of other models do not count.
      asked: the files asked about.
      ended_after: runs that ended before this ISO time do not count either.

    Returns:
      The run id by file, for those that are done.
    """
    done: dict[Fingerprint, str] = {}
    remaining = set(asked)
    for manifest in published_runs(output):
        if not remaining:
            break
        if manifest["model"]["sha256"] != model_sha256 or manifest["end"] < ended_after:
            continue
        for batch in _read_files(output, manifest):
            paths = pa.array({path for path, _, _ in remaining}, pa.string())
            hits = batch.filter(pc.is_in(batch.column("source_file"), value_set=paths))
            for fingerprint in _fingerprints(hits):
                if fingerprint in remaining:
                    remaining.discard(fingerprint)
                    done[fingerprint] = manifest["run_id"]
    return done


def read_fingerprints(shards: Iterable[str]) -> set[Fingerprint]:
    """The files that the shards of a `files` data set list.

    Args:
      shards: their paths.
    """
    return {
        fingerprint
        for path in shards
        for batch in _read_shard(path)
        for fingerprint in _fingerprints(batch)
    }


def _read_files(output: str, manifest: Mapping[str, Any]) -> Iterator[pa.RecordBatch]:
    paths = layout.Layout(output=output, run_id=manifest["run_id"], attempt="")
    for name in layout.shard_names(manifest, layout.FILES):
        yield from _read_shard(storage.join(paths.published(layout.FILES), name))


def _read_shard(path: str) -> Iterator[pa.RecordBatch]:
    with storage.open_input(path) as source:
        yield from pq.ParquetFile(source).iter_batches(columns=_COLUMNS, use_threads=False)


def _fingerprints(batch: pa.RecordBatch) -> Iterator[Fingerprint]:
    modified = batch.column("modified").cast(pa.int64())
    yield from zip(
        batch.column("source_file").to_pylist(),
        batch.column("size").to_pylist(),
        modified.to_pylist(),
        strict=True,
    )

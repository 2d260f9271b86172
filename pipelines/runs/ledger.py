"""The ledger of scored files: the `files` data sets of all published runs.

A file is done when a published run lists it with the same path, size, modification time and model.
Only the files asked about are held in memory; the ledger is streamed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines import storage
from pipelines.errors import DamagedError
from pipelines.runs import layout
from pipelines.runs.manifest import Manifest, list_published, read_manifest

Fingerprint = tuple[str, int, int]  # path, size, modified in microseconds

_KINDS = {
    "source_file": (pa.string(), pa.large_string()),
    "size": (pa.int64(),),
    "modified": (pa.timestamp("us", tz="UTC"), pa.int64()),
}
_STATUS = "status"
# A file that couldn't be read for a temporary reason is tried again.
_NOT_DONE = "unreadable_for_now"


def published_runs(
    output: str, damaged: Callable[[DamagedError], object] | None = None
) -> Iterator[Manifest]:
    """The manifests of all published runs.

    Args:
      output: the output root.
      damaged: called with the error for each damaged manifest, which is left out. None raises the
        first error.

    Raises:
      DamagedError: a manifest is damaged.
    """
    for path in list_published(output):
        try:
            yield read_manifest(path)
        except DamagedError as error:
            if damaged is None:
                raise
            damaged(error)


def find_previous(runs: Iterable[Manifest], model_sha256: str, run_id: str) -> Manifest | None:
    """Finds the last published run to compare with.

    Args:
      runs: the manifests of all published runs.
      model_sha256: runs of other models don't count.
      run_id: a run of this name doesn't count either, because it is being replaced.
    """
    fitting = (
        run
        for run in runs
        if run.model.sha256 == model_sha256
        and run.run_id != run_id
        and run.histograms
        and run.totals.rows_scored
    )
    return max(fitting, key=lambda run: run.end, default=None)


def find_done(
    output: str,
    model_sha256: str,
    asked: Collection[Fingerprint],
    *,
    ended_after: str = "",
    besides: str = "",
) -> dict[Fingerprint, str]:
    """Finds which files are done, and in which run.

    Args:
      output: the output root.
      model_sha256: runs of other models don't count.
      asked: the files asked about.
      ended_after: runs that ended before this ISO time don't count either.
      besides: nor does the run of this id.

    Returns:
      The run id for each file that is done.

    Raises:
      DamagedError: a manifest or a shard is damaged, so the files that are done aren't known.
    """
    done: dict[Fingerprint, str] = {}
    remaining = set(asked)
    for run in published_runs(output):
        if not remaining or run.run_id == besides:
            continue
        if run.model.sha256 != model_sha256 or run.end < ended_after:
            continue
        found = _find_in_run(output, run, remaining)
        remaining -= found
        done |= dict.fromkeys(found, run.run_id)
    return done


def _find_in_run(output: str, run: Manifest, asked: Collection[Fingerprint]) -> set[Fingerprint]:
    """Finds which of the files asked about a run lists as done."""
    paths = pa.array({path for path, _, _ in asked}, pa.string())
    try:
        return {
            fingerprint
            for batch in _read_files(output, run)
            for fingerprint in _fingerprints(
                batch.filter(pc.is_in(batch.column("source_file"), value_set=paths))
            )
            if fingerprint in asked
        }
    except DamagedError:
        # Another run may have replaced this one since its manifest was read.
        now = read_manifest(storage.join(output, "runs", f"{run.run_id}.json"))
        if now.attempt == run.attempt:
            raise
        same_model = now.model.sha256 == run.model.sha256
        return _find_in_run(output, now, asked) if same_model else set()


def read_fingerprints(shards: Iterable[str]) -> set[Fingerprint]:
    """Reads which files the shards of a `files` data set list.

    Args:
      shards: their paths.
    """
    return {
        fingerprint
        for path in shards
        for batch in _read_shard(path)
        for fingerprint in _fingerprints(batch)
    }


def _read_files(output: str, run: Manifest) -> Iterator[pa.RecordBatch]:
    run_id = run.run_id
    paths = layout.Layout(output=output, run_id=run_id, attempt="")
    rows, path = 0, paths.published(layout.FILES)
    try:
        for name in run.shard_names(layout.FILES):
            path = storage.join(paths.published(layout.FILES), name)
            for batch in _read_shard(path):
                rows += batch.num_rows
                yield batch
    except (*storage.ERRORS, pa.ArrowException, KeyError, ValueError) as error:
        raise _damaged(path, storage.reason_of(error), run_id) from error
    expected = run.shards[layout.FILES].rows
    if expected is not None and rows != expected:
        folder = paths.published(layout.FILES)
        raise _damaged(folder, f"{rows} files instead of {expected}", run_id)


def _damaged(path: str, reason: str, run_id: str) -> DamagedError:
    return DamagedError(
        f"{path} is damaged ({reason}), so --new_only can't tell which files run {run_id} scored; "
        f"restore it, or publish that run again: --run_id {run_id} --replace without --new_only"
    )


def _read_shard(path: str) -> Iterator[pa.RecordBatch]:
    with storage.open_input(path) as source:
        file = pq.ParquetFile(source)
        for name, kinds in _KINDS.items():
            if file.schema_arrow.field(name).type not in kinds:
                raise ValueError(f"column {name} is of the wrong type")
        # Runs of the first release have no status.
        columns = [*_KINDS, *({_STATUS} & set(file.schema_arrow.names))]
        yield from file.iter_batches(columns=columns, use_threads=False)


def _fingerprints(batch: pa.RecordBatch) -> Iterator[Fingerprint]:
    """The files in a batch that don't need to be read again."""
    if _STATUS in batch.schema.names:
        later = pc.equal(batch.column(_STATUS), _NOT_DONE)
        batch = batch.filter(pc.invert(later.fill_null(False)))
    modified = batch.column("modified").cast(pa.int64())
    yield from zip(
        batch.column("source_file").to_pylist(),
        batch.column("size").to_pylist(),
        modified.to_pylist(),
        strict=True,
    )

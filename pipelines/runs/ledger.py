"""The ledger of scored files: the `files` data sets of all published, held and closed runs.

A file is done when a published run lists it with the same path, size, modification time and model,
or a closed run whose review says so. It waits when a held run lists it. Only the files asked about
are held in memory; the ledger is streamed.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines import storage
from pipelines.errors import DamagedError
from pipelines.runs import layout
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import Manifest, list_kept, list_published, read_manifest

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
    for run, _ in _list(list_published(output), damaged):
        yield run


def since(run: Manifest) -> str:
    """The ISO time from which on other runs may have been decided after a run read the ledger."""
    # Two machines' clocks may differ, but by less than a day.
    start = datetime.datetime.fromisoformat(str(run.start)) - datetime.timedelta(days=1)
    return start.isoformat()


class Known(NamedTuple):
    """What the ledger knows about some files, by the run that lists them.

    Attributes:
      done: files that aren't read again.
      waiting: files of held runs, which are left out until these are accepted or rejected.
    """

    done: dict[Fingerprint, str]
    waiting: dict[Fingerprint, str]


def look_up(
    output: str, model_sha256: str, asked: Collection[Fingerprint], *, run_id: str = ""
) -> Known:
    """Finds which files are done, and which wait with a held run.

    Args:
      output: the output root.
      model_sha256: runs of other models don't count.
      asked: the files asked about.
      run_id: the run that asks: the files of a held run of this name don't wait, because it will
        replace that one.

    Raises:
      DamagedError: a manifest or a shard is damaged, so the files that are done aren't known.
    """
    # A run that is accepted or rejected meanwhile is found where it was or where it is then.
    waiting = _find(_held(output), model_sha256, asked, besides=run_id)
    done = find_done(output, model_sha256, asked)
    return Known(done, {file: run for file, run in waiting.items() if file not in done})


def find_done(
    output: str, model_sha256: str, asked: Collection[Fingerprint], *, decided_after: str = ""
) -> dict[Fingerprint, str]:
    """Finds which files are done, and in which published or closed run.

    Args:
      output: the output root.
      model_sha256: runs of other models don't count.
      asked: the files asked about.
      decided_after: runs that were published or closed before this ISO time don't count either.

    Returns:
      The run id for each file that is done.

    Raises:
      DamagedError: a manifest or a shard is damaged, so the files that are done aren't known.
    """
    done = find_published(output, model_sha256, asked, decided_after=decided_after)
    # The record of a closed run appears before the run goes.
    left = set(asked) - set(done)
    return done | _find(_closed(output), model_sha256, left, decided_after=decided_after)


def find_published(
    output: str,
    model_sha256: str,
    asked: Collection[Fingerprint],
    *,
    decided_after: str = "",
    besides: str = "",
) -> dict[Fingerprint, str]:
    """Finds which files are in a published run; see `find_done`.

    Args:
      output: the output root.
      model_sha256: runs of other models don't count.
      asked: the files asked about.
      decided_after: runs that were published before this ISO time don't count either.
      besides: nor does the run of this id.
    """
    known = {"decided_after": decided_after, "besides": besides}
    return _find(_published(output), model_sha256, asked, **known)


class _Listing(NamedTuple):
    """Where the ledger of a run is.

    Attributes:
      manifest: the path of its manifest.
      files: the folder of its `files` data set.
    """

    manifest: str
    files: str


_Runs = Iterator[tuple[Manifest, _Listing]]


def _published(output: str) -> _Runs:
    for run, path in _list(list_published(output)):
        paths = Layout(output=output, run_id=run.run_id, attempt="")
        yield run, _Listing(path, paths.published(layout.FILES))


def _held(output: str) -> _Runs:
    return _kept(Layout(output=output, run_id="", attempt="").all_held)


def _closed(output: str) -> _Runs:
    closed = _kept(Layout(output=output, run_id="", attempt="").all_closed)
    return ((run, listing) for run, listing in closed if run.files_done)


def _kept(folder: str) -> _Runs:
    for run, path in _list(list_kept(folder)):
        yield run, _Listing(path, storage.join(folder, run.run_id, layout.FILES))


def _list(
    paths: Iterable[str], damaged: Callable[[DamagedError], object] | None = None
) -> Iterator[tuple[Manifest, str]]:
    """Reads manifests; those that have been removed since they were listed are left out."""
    for path in paths:
        try:
            yield read_manifest(path), path
        except DamagedError as error:
            if not storage.exists(path):
                continue
            if damaged is None:
                raise
            damaged(error)


def _find(
    runs: _Runs,
    model_sha256: str,
    asked: Collection[Fingerprint],
    *,
    decided_after: str = "",
    besides: str = "",
) -> dict[Fingerprint, str]:
    """Finds which files some runs list, and in which run."""
    found: dict[Fingerprint, str] = {}
    remaining = set(asked)
    for run, listing in runs:
        if not remaining or run.run_id == besides:
            continue
        if run.model.sha256 != model_sha256 or run.decided < decided_after:
            continue
        listed = _find_in_run(run, listing, remaining)
        remaining -= listed
        found |= dict.fromkeys(listed, run.run_id)
    return found


def _find_in_run(
    run: Manifest, listing: _Listing, asked: Collection[Fingerprint]
) -> set[Fingerprint]:
    """Finds which of the files asked about a run lists."""
    paths = pa.array({path for path, _, _ in asked}, pa.string())
    try:
        return {
            fingerprint
            for batch in _read_files(run, listing)
            for fingerprint in _fingerprints(
                batch.filter(pc.is_in(batch.column("source_file"), value_set=paths))
            )
            if fingerprint in asked
        }
    except DamagedError:
        # Another run or a review may have replaced this one since its manifest was read.
        if not storage.exists(listing.manifest):
            return set()
        now = read_manifest(listing.manifest)
        if now.attempt == run.attempt:
            raise
        same_model = now.model.sha256 == run.model.sha256
        return _find_in_run(now, listing, asked) if same_model else set()


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


def _read_files(run: Manifest, listing: _Listing) -> Iterator[pa.RecordBatch]:
    rows, path = 0, listing.files
    try:
        for name in run.shard_names(layout.FILES):
            path = storage.join(listing.files, name)
            for batch in _read_shard(path):
                rows += batch.num_rows
                yield batch
    except (*storage.ERRORS, pa.ArrowException, KeyError, ValueError) as error:
        raise _damaged(path, storage.reason_of(error), run.run_id) from error
    expected = run.shards[layout.FILES].rows
    if expected is not None and rows != expected:
        raise _damaged(listing.files, f"{rows} files instead of {expected}", run.run_id)


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

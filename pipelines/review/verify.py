"""Checks what a run published against its manifest: each shard, and each input file's rows."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines import storage
from pipelines.datasets import data_sets
from pipelines.datasets.data_sets import DataSet
from pipelines.runs.layout import FILES, PREDICTIONS, REJECTS, Layout
from pipelines.runs.manifest import Manifest

# What reading a shard raises if it isn't what it should be.
UNREADABLE = (*storage.ERRORS, pa.ArrowException, KeyError, ValueError)
# So many files' counts are in memory at a time; a run with more of them is read several times.
MOST_FILES = 200_000
_READ_BYTES = 4 << 20
_BUFFER_BYTES = 1 << 20
_COUNTS = ("rows_read", "rows_scored", "rows_rejected")
_RESTORE = "restore it from a copy, or retract the run and score its files again"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunData:
    """Where the shards of a run are.

    Attributes:
      manifest: the run's.
      paths: below its output root.
    """

    manifest: Manifest
    paths: Layout

    @classmethod
    def of(cls, output: str, manifest: Manifest) -> RunData:
        """The data of a published or held run."""
        return cls(
            manifest=manifest, paths=Layout(output=output, run_id=manifest.run_id, attempt="")
        )

    def folder(self, dataset: str) -> str:
        """The folder of a data set's shards."""
        if self.manifest.is_held:
            return storage.join(self.paths.held, dataset)
        return self.paths.published(dataset)

    def shards(self, dataset: str) -> list[str]:
        """The paths of a data set's shards, in order."""
        folder = self.folder(dataset)
        return [storage.join(folder, name) for name in self.manifest.shard_names(dataset)]

    @property
    def counted(self) -> dict[str, str]:
        """The column by which the manifest counts the rows of a data set."""
        return {PREDICTIONS: self.manifest.model.prediction_column, REJECTS: "reason"}

    @property
    def needed(self) -> dict[str, tuple[str, ...]]:
        """The columns of each data set that are looked at."""
        rows = {name: ("source_file", "source_row", each) for name, each in self.counted.items()}
        return {**rows, FILES: ("source_file", *_COUNTS)}

    def name(self, path: str) -> str:
        """A path below the output root, for a message."""
        return path.removeprefix(self.paths.output).lstrip("/")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Footer:
    """What a shard says about itself."""

    rows: int
    size: int
    schema: pa.Schema
    metadata: Mapping[bytes, bytes]
    sha256: str


def find_faults(run: RunData) -> Iterator[str]:
    """Yields what is wrong with a run's data: which file, and what to do about it."""
    unclear = False
    for data_set in data_sets.TABLE:
        for fault in _check_data_set(run, data_set):
            unclear = True
            yield fault
    # The rows of damaged or missing shards would only repeat what is said already.
    if not unclear:
        yield from _check_rows(run)


def has_hashes(manifest: Manifest) -> bool:
    """Whether the hashes of all of a run's shards are recorded."""
    return all(shards.sha256 is not None for shards in manifest.shards.values())


@contextlib.contextmanager
def opened(path: str) -> Iterator[pq.ParquetFile]:
    """Opens a shard to be read by the page, so that memory stays small."""
    with storage.open_input(path) as source:
        yield pq.ParquetFile(source, buffer_size=_BUFFER_BYTES, pre_buffer=False)


def read_batches(paths: Iterable[str], columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Reads some columns of shards, batch by batch."""
    for path in paths:
        with opened(path) as file:
            yield from file.iter_batches(columns=columns, use_threads=False)


def _check_data_set(run: RunData, data_set: DataSet) -> Iterator[str]:
    name = data_set.name
    if name not in run.manifest.shards:
        yield f"the manifest lists no shards of {name}: {_RESTORE}"
        return
    expected, paths = run.manifest.shards[name], run.shards(name)
    there = set(storage.list_files(run.folder(name)))
    for path in sorted(there.difference(paths)):
        yield (
            f"{run.name(path)} isn't one of the run's shards, but readers take it for one: move it "
            "away"
        )
    missing = [path for path in paths if path not in there]
    for path in missing:
        yield f"{run.name(path)} is missing: {_RESTORE}"
    found = [path for path in paths if path in there]
    footers = dict(zip(found, storage.for_each(run.folder(name), _read_footer, found), strict=True))
    broken = False
    for place, path in enumerate(paths):
        footer = footers.get(path)
        hashed = expected.sha256[place] if expected.sha256 else None
        for fault in _check_shard(run, name, footer, hashed) if footer is not None else ():
            broken = True
            yield f"{run.name(path)} {fault}"
    whole = [each for each in footers.values() if isinstance(each, _Footer)]
    if broken or missing or len(whole) != len(paths):
        return
    if any(each.schema != whole[0].schema for each in whole):
        yield f"{run.name(run.folder(name))}: the shards have different columns: {_RESTORE}"
    totals = run.manifest.totals
    counted = sum(getattr(totals, total) for total in data_set.totals)
    for what, told, got in (
        ("rows", expected.rows, sum(each.rows for each in whole)),
        ("rows", counted, sum(each.rows for each in whole)),
        ("bytes", expected.bytes, sum(each.size for each in whole)),
    ):
        if told is not None and told != got:
            folder = run.name(run.folder(name))
            yield f"{folder} has {got:,} {what}, the manifest says {told:,}: {_RESTORE}"
            return


def _read_footer(path: str) -> _Footer | Exception:
    """Reads a shard once for its hash, and then its footer."""
    try:
        digest, size = hashlib.sha256(), 0
        with storage.open_input(path) as source:
            while block := source.read(_READ_BYTES):
                digest.update(block)
                size += len(block)
        with opened(path) as file:
            return _Footer(
                rows=file.metadata.num_rows,
                size=size,
                schema=file.schema_arrow.remove_metadata(),
                metadata=file.metadata.metadata or {},
                sha256=digest.hexdigest(),
            )
    except UNREADABLE as error:
        return error


def _check_shard(
    run: RunData, dataset: str, footer: _Footer | Exception, sha256: str | None
) -> Iterator[str]:
    """Yields what is wrong with a shard."""
    if isinstance(footer, Exception):
        yield f"can't be read ({storage.reason_of(footer)}): {_RESTORE}"
        return
    if sha256 is not None and footer.sha256 != sha256:
        yield f"isn't the file that was published (another SHA-256): {_RESTORE}"
        return
    manifest = run.manifest
    own = {"run_id": manifest.run_id, "model_sha256": manifest.model.sha256}
    for key, value in own.items():
        told = footer.metadata.get(key.encode(), b"").decode("utf-8", "replace")
        if told != (value or ""):
            yield f"says that its {key} is {told or 'unknown'}, not {value}: {_RESTORE}"
            return
    lacking = [name for name in run.needed[dataset] if name not in footer.schema.names]
    if lacking:
        yield f"has no column {lacking[0]}: {_RESTORE}"


def _check_rows(run: RunData) -> Iterator[str]:
    """Compares the counts by class, reason and input file with those of the rows."""
    manifest = run.manifest
    known = {PREDICTIONS: manifest.species, REJECTS: manifest.rejects_by_reason}
    buckets = 1 + manifest.totals.files // MOST_FILES
    try:
        for bucket in range(buckets):
            counted = {
                name: _Counts(column, bucket, buckets) for name, column in run.counted.items()
            }
            for name, counts in counted.items():
                counts.add(run.shards(name), with_values=bucket == 0)
                if bucket == 0:
                    yield from _compare_values(run, name, counts.by_value, known[name])
            yield from _compare_files(run, counted, bucket, buckets)
    except UNREADABLE as error:
        yield f"the data can't be read ({storage.reason_of(error)}): {_RESTORE}"


class _Counts:
    """The rows of a data set by input file, for one of several buckets of files.

    Attributes:
      by_file: rows by file; whole files' rejects don't count.
      by_value: rows by class or reason.
    """

    def __init__(self, column: str, bucket: int, buckets: int) -> None:
        self.by_file: collections.Counter[str] = collections.Counter()
        self.by_value: collections.Counter[str] = collections.Counter()
        self._value = column
        self._bucket, self._buckets = bucket, buckets

    def add(self, paths: Iterable[str], *, with_values: bool) -> None:
        columns = ["source_file", "source_row", *([self._value] if with_values else [])]
        for batch in read_batches(paths, columns):
            if with_values:
                self.by_value.update(_count(batch.column(self._value)))
            rows = batch.filter(batch.column("source_row").is_valid())
            for path, count in _count(rows.column("source_file")).items():
                if bucket_of(path, self._buckets) == self._bucket:
                    self.by_file[path] += count


def bucket_of(path: str, buckets: int) -> int:
    """The bucket of an input file: the same for the same path, whatever the process."""
    return zlib.crc32(path.encode("utf-8", "surrogatepass")) % buckets


def _count(values: pa.Array) -> dict[str, int]:
    return {str(each["values"]): each["counts"] for each in pc.value_counts(values).to_pylist()}


def _compare_values(
    run: RunData, dataset: str, found: Mapping[str, int], known: Mapping[str, int]
) -> Iterator[str]:
    for name in sorted({*found, *known}):
        if found.get(name, 0) != known.get(name, 0):
            yield (
                f"{run.name(run.folder(dataset))} has {found.get(name, 0):,} rows of {name}, the "
                f"manifest says {known.get(name, 0):,}: {_RESTORE}"
            )


def _compare_files(
    run: RunData, counted: Mapping[str, _Counts], bucket: int, buckets: int
) -> Iterator[str]:
    """Compares what the `files` data set says about each input file with its rows."""
    columns = {PREDICTIONS: "rows_scored", REJECTS: "rows_rejected"}
    totals: collections.Counter[str] = collections.Counter()
    for batch in read_batches(run.shards(FILES), list(run.needed[FILES])):
        for file in batch.to_pylist():
            path = file["source_file"]
            totals.update({name: file[name] for name in _COUNTS})
            if bucket_of(path, buckets) != bucket:
                continue
            if file["rows_read"] != file["rows_scored"] + file["rows_rejected"]:
                yield f"{path}: rows_read isn't rows_scored plus rows_rejected: {_RESTORE}"
            for dataset, column in columns.items():
                got = counted[dataset].by_file.pop(path, 0)
                if got != file[column]:
                    yield (
                        f"{path}: {got:,} rows are in {dataset}, its {column} is {file[column]:,}: "
                        f"{_RESTORE}"
                    )
    for dataset, counts in counted.items():
        for path, rows in counts.by_file.items():
            yield f"{path}: {rows:,} rows are in {dataset}, but it isn't in files: {_RESTORE}"
    if bucket == 0:
        yield from _compare_totals(run, totals)


def _compare_totals(run: RunData, found: Mapping[str, int]) -> Iterator[str]:
    for name in _COUNTS:
        told: Any = getattr(run.manifest.totals, name)
        if told != found.get(name, 0):
            yield (
                f"{run.name(run.folder(FILES))}: {name} adds up to {found.get(name, 0):,}, the "
                f"manifest says {told:,}: {_RESTORE}"
            )

"""Base classes of the input steps, which count their work and mostly write rejects."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics import Metrics

from penguin_model import validate
from pipelines import storage
from pipelines.counts import NAMESPACE
from pipelines.counts.counter import Counter
from pipelines.counts.emit import COUNTS, SHARDS, TALLIES, at_bundle_end
from pipelines.counts.figures import figures
from pipelines.datasets.transforms import BundleWriter, StagedDataSet
from pipelines.errors import PenguinError
from pipelines.progress.reporter import ProgressReporter
from pipelines.reading.matching import InputFile, check_unchanged
from pipelines.reading.planning import Span, whole
from pipelines.reading.rows import Reject, rejects_batch
from pipelines.reading.unreadable import UnreadableFile, reason_of


class CountingFn(beam.DoFn):
    """An input step that counts its work by file.

    Args:
      progress: the folder to report progress in; None reports none.
    """

    def __init__(self, progress: str | None) -> None:
        self._progress = progress

    def setup(self) -> None:
        self._teller = ProgressReporter(self._progress)

    def start_bundle(self) -> None:
        """Forgets what a failed bundle may have left."""
        self._counter = Counter(self._teller)

    def finish_bundle(self) -> Iterator[Any]:
        """Emits what was counted."""
        yield from at_bundle_end(self._counter.take(), TALLIES)
        self._teller.tell()


class RejectingFn(CountingFn):
    """An input step that also writes the rejects it finds.

    Args:
      progress: the folder to report progress in; None reports none.
      rejects: the rejects data set.
    """

    def __init__(self, progress: str | None, rejects: StagedDataSet) -> None:
        super().__init__(progress)
        self._staged = rejects

    def start_bundle(self) -> None:
        """Forgets what a failed bundle may have left."""
        super().start_bundle()
        self._rejects = BundleWriter(self._staged, self._counter)
        self._by_reason: dict[str, int] = {}

    def finish_bundle(self) -> Iterator[Any]:
        """Closes the shards of rejects, and emits their records and all counts."""
        yield from at_bundle_end(self._rejects.finish(), SHARDS)
        if self._by_reason:
            yield from at_bundle_end([figures("rejects", self._by_reason)], COUNTS)
        yield from super().finish_bundle()

    def _reject(self, rejects: pa.RecordBatch) -> None:
        self._rejects.write(rejects)
        for counted in rejects.column("reason").value_counts():
            reason, count = counted["values"].as_py(), counted["counts"].as_py()
            self._by_reason[reason] = self._by_reason.get(reason, 0) + count
            Metrics.counter(NAMESPACE, f"rows_rejected_{reason}").inc(count)

    @contextlib.contextmanager
    def _costs_only(self, refuse: Callable[[Exception], None]) -> Iterator[None]:
        """Refuses a file whatever reading it raises, so that no file can end the run.

        Only the project's own errors do: a file that changed, rows lost, an output that can't be
        written.

        Args:
          refuse: rejects the file, given the error.
        """
        try:
            yield
        except PenguinError:
            raise
        except Exception as error:
            refuse(error)

    def _reject_file(self, file: InputFile, error: Exception, after: int = 0) -> None:
        """Writes one reject for a whole file, or for the rest of it after some rows.

        Raises:
          ChangedFileError: the file isn't the version that was matched.
        """
        check_unchanged(file, gone_is_fine=True)
        reason, column = validate.UNREADABLE_FILE, None
        if isinstance(error, UnreadableFile):
            reason, column, message = error.reason, error.column, str(error)
        else:
            message = reason_of(error)
        message = f"after row {after - 1}: {message}" if after else message
        reject = Reject(source_row=None, reason=reason, column=column, message=message)
        self._reject(rejects_batch([reject], file.path))
        failed = int(storage.may_pass(error))
        self._counter.add(file.path, unreadable=1, failed=failed)

    def _announce(self, span: Span) -> Span:
        """Counts a unit that will be read."""
        self._counter.add(
            span.file.path, units_planned=1, units=span.fingerprint, bytes_planned=span.size
        )
        return span

    def _acknowledge(self, span: Span, bytes_read: int) -> None:
        """Counts a unit that was read to its end, and the last of its bytes."""
        self._counter.add(
            span.file.path, units_read=1, units=-span.fingerprint, bytes_read=bytes_read
        )

    def _refuse(self, file: InputFile, error: Exception) -> None:
        """Rejects a file that can't be planned, which completes the work on it."""
        self._reject_file(file, error)
        self._acknowledge(self._announce(whole(file)), file.size)

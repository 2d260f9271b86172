"""Progress of a run's work, reported by the workers while they do it.

Runners report little of a batch job while it runs: Beam's in-process runner nothing, Flink a
subtask's metrics only once it has ended. So each worker writes its counts to a small file of its
own in the run's staging, which on every runner all workers can write and the submitter can read.
"""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Iterable
from typing import NamedTuple

from pipelines import storage

# However slow a store is, reporting takes at most this fraction of a worker's time, between these
# pauses: a write takes 0.1 ms on a disk and a tenth of a second on an object store. A local write
# that takes long has mostly waited for another thread.
_SHARE = 1 / 200
_LOCAL_SECONDS = (0.5, 5.0)
_REMOTE_SECONDS = (10.0, math.inf)


class ProgressCounts(NamedTuple):
    """Counts of a run so far; work repeated after a failure is counted twice.

    Attributes:
      files: how many were matched.
      bytes: their size.
      ranged: the size of those that are surveyed before they are read, large CSVs.
      surveyed: how many bytes of them were surveyed.
      read: how many bytes of all files have gone through all steps up to the shards.
      rows: how many rows were in them.
      rejected: how many of those rows were rejected.
    """

    files: int = 0
    bytes: int = 0
    ranged: int = 0
    surveyed: int = 0
    read: int = 0
    rows: int = 0
    rejected: int = 0


def add_up(counts: Iterable[ProgressCounts]) -> ProgressCounts:
    """The sum of what several workers report."""
    return ProgressCounts(*map(sum, zip(ProgressCounts(), *counts, strict=True)))


class ProgressReporter:
    """Reports the work of one DoFn instance from time to time, and when a bundle ends.

    Only the worker's own thread calls it, and it starts none itself: once the last bundle has
    ended, nothing writes into staging any more.

    Args:
      folder: where to report; None reports nothing.
    """

    def __init__(self, folder: str | None) -> None:
        self._path = None if folder is None else storage.join(folder, f"{uuid.uuid4().hex}.json")
        slow = storage.of(folder or "").has_slow_calls
        self._pauses = _REMOTE_SECONDS if slow else _LOCAL_SECONDS
        self._done = self._reported = ProgressCounts()
        self._next = 0.0

    def add(self, **done: int) -> None:
        """Counts more work.

        Args:
          **done: fields of `ProgressCounts`.
        """
        if self._path is None:
            return
        self._done = add_up((self._done, ProgressCounts(**done)))
        if time.monotonic() >= self._next:
            self.tell()

    def tell(self) -> None:
        """Writes the counts if they changed; stops reporting if the folder can't be written."""
        if self._path is None or self._done == self._reported:
            return
        started = time.monotonic()
        try:
            storage.put_bytes(self._path, json.dumps(self._done._asdict()).encode())
        except storage.ERRORS:
            self._path = None
        self._reported = self._done
        ended = time.monotonic()
        least, most = self._pauses
        self._next = ended + min(max(least, (ended - started) / _SHARE), most)


def read(folder: str) -> ProgressCounts:
    """Adds up what all workers have reported.

    Raises:
      OSError: or another of `storage.ERRORS`: the folder can't be read.
    """
    found = []
    for path in storage.list_files(folder):
        if not path.endswith(".json"):
            continue
        try:
            found.append(ProgressCounts(**json.loads(storage.read_bytes(path))))
        except (TypeError, ValueError):
            # Still being written, on a store that shows partial files.
            continue
    return add_up(found)

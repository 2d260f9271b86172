"""A single count of what a step does: by file for the proof, as Beam metrics, and as progress."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from apache_beam.metrics import Metrics

from pipelines.counts.by_file import FileTally, by_bucket
from pipelines.counts.metrics import NAMESPACE

# Metrics by the field of `FileTally` that they count.
_METRICS = {
    "rows_read": Metrics.counter(NAMESPACE, "rows_read"),
    "rows_scored": Metrics.counter(NAMESPACE, "rows_scored"),
    "rows_rejected": Metrics.counter(NAMESPACE, "rows_rejected"),
    "unreadable": Metrics.counter(NAMESPACE, "files_unreadable"),
}
# A listener's names for these fields.
_PROGRESS = {
    "matched": "files",
    "bytes_ranged": "ranged",
    "bytes_surveyed": "surveyed",
    "bytes_read": "read",
    "rows_read": "rows",
    "rows_rejected": "rejected",
}
_VERSION = ("size", "modified")


class Listener(Protocol):
    """Is notified of the work as it is counted, to report progress; it decides nothing."""

    def add(self, **counts: int) -> None:
        """Adds further work.

        Args:
          **counts: ``files`` and their ``bytes``; bytes ``ranged``, ``surveyed`` and ``read``;
            ``rows``, and how many of them were ``rejected``.
        """


class Counter:
    """Counts the work of one bundle; metrics, progress and tallies come from the same number.

    Args:
      listener: is notified of the work; may be None.
    """

    def __init__(self, listener: Listener | None = None) -> None:
        self._listener = listener
        self._by_file: dict[str, dict[str, int]] = {}

    def add(self, path: str, **counts: int) -> None:
        """Counts work on one file.

        Args:
          path: the file's.
          **counts: fields of `FileTally`.
        """
        known = self._by_file.setdefault(path, {})
        progress: dict[str, int] = {}
        for name, count in counts.items():
            if name in _VERSION:
                known[name] = max(known.get(name, count), count)
                continue
            known[name] = known.get(name, 0) + count
            if name in _METRICS:
                _METRICS[name].inc(count)
            if name in _PROGRESS:
                progress[_PROGRESS[name]] = count
        if self._listener is not None and progress:
            if "files" in progress:
                progress["bytes"] = counts["size"]
            self._listener.add(**progress)

    def take(self) -> Iterator[tuple[int, dict[str, FileTally]]]:
        """Returns the counts by bucket of files, and resets them."""
        counted, self._by_file = self._by_file, {}
        return by_bucket({path: FileTally(**counts) for path, counts in counted.items()})

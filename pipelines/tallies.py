"""Counts by input file, and how they must add up."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import apache_beam as beam

from penguin_model.errors import ReconcileError

UNKNOWN = -1
BUCKETS = 32


class FileTally(NamedTuple):
    """What one step knows of one input file; tallies of several steps are merged.

    Attributes:
      size, modified: the fingerprint; UNKNOWN where the step does not know it.
      expected: rows by the file's own footer; UNKNOWN for formats without one.
      read: rows that a reader saw.
      scored: rows that a shard of predictions holds.
      rejected: rows that a shard of rejects holds.
      unreadable: 1 if the file, or its rest, has a reject of its own.
    """

    size: int = UNKNOWN
    modified: int = UNKNOWN
    expected: int = UNKNOWN
    read: int = 0
    scored: int = 0
    rejected: int = 0
    unreadable: int = 0


def merge(tallies: Iterable[FileTally]) -> FileTally:
    """Merges what several steps know of one file; the order does not matter."""
    total = FileTally()
    for tally in tallies:
        total = FileTally(
            size=max(total.size, tally.size),
            modified=max(total.modified, tally.modified),
            expected=max(total.expected, tally.expected),
            read=total.read + tally.read,
            scored=total.scored + tally.scored,
            rejected=total.rejected + tally.rejected,
            unreadable=total.unreadable + tally.unreadable,
        )
    return total


def by_bucket(tallies: Mapping[str, FileTally]) -> Iterator[tuple[int, dict[str, FileTally]]]:
    """Divides the tallies of many files into a few buckets, always a file into the same one.

    A million small files are then some thousand elements on their way to the steps that add up.
    """
    buckets: dict[int, dict[str, FileTally]] = {}
    for path, tally in tallies.items():
        buckets.setdefault(zlib.crc32(path.encode()) % BUCKETS, {})[path] = tally
    yield from buckets.items()


def reconcile(path: str, tally: FileTally) -> None:
    """Checks that every row of a file that was read is in the output.

    The three counts come from three places: the reader, the writer of the predictions and the
    writer of the rejects.

    Raises:
      ReconcileError: rows are lost or doubled.
    """
    if tally.read != tally.scored + tally.rejected:
        raise ReconcileError(
            f"{path}: {tally.read} rows read, but {tally.scored} scored and {tally.rejected} "
            "rejected rows written; nothing is published"
        )
    if tally.expected not in (UNKNOWN, tally.read) and not tally.unreadable:
        raise ReconcileError(
            f"{path}: its footer counts {tally.expected} rows, but {tally.read} were read: "
            "did it change meanwhile? nothing is published"
        )


class MergeTallies(beam.CombineFn):
    """`merge` as a Beam combiner, of a bucket of files at a time."""

    def create_accumulator(self) -> dict[str, FileTally]:
        """Nothing known yet."""
        return {}

    def add_input(
        self, accumulator: dict[str, FileTally], tallies: Mapping[str, FileTally]
    ) -> dict[str, FileTally]:
        """Merges some tallies."""
        for path, tally in tallies.items():
            known = accumulator.get(path)
            accumulator[path] = tally if known is None else merge((known, tally))
        return accumulator

    def merge_accumulators(
        self, accumulators: Iterable[Mapping[str, FileTally]]
    ) -> dict[str, FileTally]:
        """Merges partial results."""
        total: dict[str, FileTally] = {}
        for accumulator in accumulators:
            self.add_input(total, accumulator)
        return total

    def extract_output(self, accumulator: dict[str, FileTally]) -> dict[str, FileTally]:
        """The result."""
        return accumulator

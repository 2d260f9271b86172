"""Counts by input file, and how they must add up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import apache_beam as beam

from penguin_model.errors import ReconcileError

UNKNOWN = -1


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
    """`merge` as a Beam combiner."""

    def create_accumulator(self) -> FileTally:
        """Nothing known yet."""
        return FileTally()

    def add_input(self, accumulator: FileTally, tally: FileTally) -> FileTally:
        """Merges one tally."""
        return merge((accumulator, tally))

    def merge_accumulators(self, accumulators: Iterable[FileTally]) -> FileTally:
        """Merges partial results."""
        return merge(accumulators)

    def extract_output(self, accumulator: FileTally) -> FileTally:
        """The result."""
        return accumulator

"""Exact counts by input file, and how they must add up.

Work is divided into *units*: a file that is read whole, a span of a large one, or one file among
many small ones. A unit is announced when it is planned and acknowledged when it is done, so a unit
that never reaches its reader or arrives twice is noticed.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import apache_beam as beam

from pipelines.errors import ReconcileError

UNKNOWN = -1
# Before any time that a file can have; UNKNOWN is a time in 1969.
UNKNOWN_TIME = -(2**63)
BUCKETS = 32

# The values of the column `status` of the `files` data set.
READ = "read"
UNREADABLE = "unreadable"
UNREADABLE_FOR_NOW = "unreadable_for_now"


class FileTally(NamedTuple):
    """What one step knows about one input file; tallies of several steps are merged.

    Attributes:
      size, modified: the version of the file that was matched; UNKNOWN and UNKNOWN_TIME if the step
        doesn't know.
      matched, planned: how often the file was matched and planned; once each.
      bytes_ranged, bytes_surveyed: bytes of its ranges, announced and acknowledged; only a large
        CSV has ranges.
      ranges: the fingerprints of its ranges, added when announced and subtracted when acknowledged.
      units_planned, units_read: units announced and acknowledged.
      units: the fingerprints of its units, added when announced and subtracted when acknowledged.
      bytes_planned, bytes_read: bytes of its units, announced and acknowledged.
      rows_read: rows that a reader saw.
      rows_scored: rows that were written to a shard of predictions.
      rows_rejected: rows that were written to a shard of rejects.
      places: the sum of the places (``source_row``) of all rows that were written.
      unreadable: 1 if the file, or its rest, has a reject of its own.
      failed: 1 if the reason for that reject may be temporary, such as a missing permission.
    """

    size: int = UNKNOWN
    modified: int = UNKNOWN_TIME
    matched: int = 0
    planned: int = 0
    bytes_ranged: int = 0
    bytes_surveyed: int = 0
    ranges: int = 0
    units_planned: int = 0
    units_read: int = 0
    units: int = 0
    bytes_planned: int = 0
    bytes_read: int = 0
    rows_read: int = 0
    rows_scored: int = 0
    rows_rejected: int = 0
    places: int = 0
    unreadable: int = 0
    failed: int = 0

    @property
    def status(self) -> str:
        """The outcome of the file: the value of the column ``status``."""
        if self.failed:
            return UNREADABLE_FOR_NOW
        return UNREADABLE if self.unreadable else READ


def merge(tallies: Iterable[FileTally]) -> FileTally:
    """Merges what several steps know about one file; the order doesn't matter."""
    known = [FileTally(), *tallies]
    return FileTally(*map(sum, zip(*known, strict=True)))._replace(
        size=max(each.size for each in known), modified=max(each.modified for each in known)
    )


def fingerprint(path: str, start: int, stop: int) -> int:
    """A number for one unit or range; sums of such numbers are equal only if the units are.

    Args:
      path: the file's.
      start: where the unit begins in the file.
      stop: where it ends.
    """
    content = f"{start}:{stop}:{path}".encode()
    return int.from_bytes(hashlib.blake2b(content, digest_size=6).digest(), "big")


def by_bucket(tallies: Mapping[str, FileTally]) -> Iterator[tuple[int, dict[str, FileTally]]]:
    """Divides the tallies of many files into a few buckets, a given file always into the same one.

    A million small files then become a few thousand elements on their way to the steps that add up.
    """
    buckets: dict[int, dict[str, FileTally]] = {}
    for path, tally in tallies.items():
        buckets.setdefault(zlib.crc32(path.encode()) % BUCKETS, {})[path] = tally
    yield from buckets.items()


def reconcile(path: str, tally: FileTally) -> None:
    """Checks that all of a file was planned, read and written exactly once.

    Raises:
      ReconcileError: part of the file was lost or duplicated.
    """
    for fault in _faults(tally):
        raise ReconcileError(f"{path}: {fault}; nothing is published")


def _faults(tally: FileTally) -> Iterator[str]:
    if (tally.matched, tally.planned) != (1, 1):
        yield f"the file was matched {tally.matched} times and planned {tally.planned} times"
    if tally.bytes_ranged not in (0, tally.size) or (
        tally.bytes_surveyed != tally.bytes_ranged or tally.ranges
    ):
        yield (
            f"of {tally.size} bytes, {tally.bytes_ranged} were to be surveyed and "
            f"{tally.bytes_surveyed} were"
        )
    if tally.units_planned < 1 or tally.units_read != tally.units_planned or tally.units:
        yield (
            f"{tally.units_planned} parts of the file were planned, but {tally.units_read} were "
            "read, or not the same ones"
        )
    if not tally.size == tally.bytes_planned == tally.bytes_read:
        yield (
            f"of {tally.size} bytes, {tally.bytes_planned} were planned and {tally.bytes_read} read"
        )
    if tally.rows_read != tally.rows_scored + tally.rows_rejected:
        yield (
            f"{tally.rows_read} rows read, but {tally.rows_scored} scored and "
            f"{tally.rows_rejected} rejected rows written"
        )
    if tally.failed and tally.rows_read:
        yield (
            "only a part of the file could be read, as its reject says; try again when all of it "
            "can be read"
        )
    if not tally.unreadable and tally.places != tally.rows_read * (tally.rows_read - 1) // 2:
        yield f"the places of its {tally.rows_read} rows don't run from 0 up, each once"


class MergeTallies(beam.CombineFn):
    """`merge` as a Beam combiner, for a bucket of files at a time."""

    def create_accumulator(self) -> dict[str, FileTally]:
        """Creates an empty accumulator."""
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

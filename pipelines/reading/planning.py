"""Dividing files into units of work: spans that one worker reads, ranges of a large CSV."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pipelines import storage
from pipelines.counts.by_file import UNKNOWN, fingerprint
from pipelines.errors import ReconcileError
from pipelines.reading import matching
from pipelines.reading.csv_files import reader
from pipelines.reading.matching import InputFile, check_unchanged
from pipelines.reading.parquet_files import reader as parquet_spans
from pipelines.reading.rows import Wanted
from pipelines.reading.settings import Sizes
from pipelines.reading.unreadable import UnreadableFile


class Span(NamedTuple):
    """A range of one file that one worker reads on its own.

    Attributes:
      file: the file.
      start, stop: row groups of a Parquet file, bytes of a CSV; 0, 0 for the whole of a CSV.
      first_row: the 0-based row in the file that the span begins with.
      size: its part of the file's bytes.
      rows: how many rows it holds by the file's footer or survey; UNKNOWN where there is neither.
    """

    file: InputFile
    start: int
    stop: int
    first_row: int
    size: int
    rows: int = UNKNOWN

    @property
    def fingerprint(self) -> int:
        """Stands for the span where spans are counted."""
        return fingerprint(self.file.path, self.start, self.stop)


def whole(file: InputFile) -> Span:
    """A file as one unit."""
    return Span(file, 0, 0, 0, file.size)


def is_ranged(file: InputFile, sizes: Sizes) -> bool:
    """Whether a file is a CSV so large that it is divided into ranges."""
    return file.format == "csv" and file.size > sizes.range_bytes


def plan_ranges(file: InputFile, wanted: Wanted, sizes: Sizes) -> list[Span]:
    """Divides a large CSV into ranges of bytes, which begin and end anywhere.

    Raises:
      UnreadableFile: it has no usable header.
      ChangedFileError: it is another file than was matched.
    """
    with storage.open_input(file.path) as source:
        reader.find_header(source, wanted)
    check_unchanged(file)
    starts = range(0, file.size, sizes.range_bytes)
    stops = [*starts[1:], file.size]
    return [
        Span(file, start, stop, 0, stop - start) for start, stop in zip(starts, stops, strict=True)
    ]


def plan_spans(file: InputFile, wanted: Wanted, sizes: Sizes) -> list[Span]:
    """Divides a file into the spans that are read on their own: any but a large CSV.

    Returns:
      At least one span; the sizes add up to the file's.

    Raises:
      UnreadableFile: the file can't be read.
      ChangedFileError: it is another file than was matched.
    """
    if not file.format:
        known = ", ".join(matching.FORMATS)
        raise UnreadableFile(f"the name ends in none of {known}; give --format")
    if file.format == matching.NO_NAME:
        raise UnreadableFile("the file's name is not UTF-8; rename it")
    if file.format != "parquet":
        return [whole(file)]
    with storage.open_input(file.path) as source:
        opened = parquet_spans.open_file(source, wanted)
        planned = list(parquet_spans.plan(opened, sizes.span_bytes))
        rows, groups = opened.metadata.num_rows, opened.num_row_groups
    check_unchanged(file)
    if not planned:
        return [whole(file)._replace(rows=0)]
    next_rows = [*(first_row for _, _, first_row in planned[1:]), rows]
    spans, done = [], 0
    for (start, stop, first_row), next_row in zip(planned, next_rows, strict=True):
        # As if all row groups were alike: only the bar goes by it.
        size = file.size * stop // groups - done
        done += size
        spans.append(Span(file, start, stop, first_row, size, next_row - first_row))
    return spans


def check_cover(parts: Iterable[tuple[int, int]], file: InputFile) -> None:
    """Checks that parts cover a file without gap or overlap.

    Args:
      parts: start and stop bytes, in order.
      file: the file.

    Raises:
      ReconcileError: they don't.
    """
    reached = 0
    for start, stop in parts:
        if start != reached or stop < start:
            break
        reached = stop
    else:
        if reached == file.size:
            return
    raise ReconcileError(
        f"{file.path}: its ranges cover its first {reached} of {file.size} bytes without a gap or "
        "overlap; nothing is published"
    )

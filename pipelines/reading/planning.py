"""Divides files into units of work: spans that one worker reads, or ranges of a large CSV."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

from pipelines import storage
from pipelines.counts.by_file import UNKNOWN, fingerprint
from pipelines.errors import ReconcileError
from pipelines.reading import foreign, matching
from pipelines.reading.format_table import FORMATS, SUFFIXES
from pipelines.reading.formats import Format, Part
from pipelines.reading.matching import InputFile, check_unchanged
from pipelines.reading.rows import InputColumns
from pipelines.reading.settings import Sizes
from pipelines.reading.unreadable import UnreadableFile

# Of a file's pieces one worker may get one more than another, and is the last to end by that. So a
# file has this many where it can, but none so small that opening the file for it is noticed.
_PIECES = 64
_LEAST_PIECE_BYTES = 4 << 20


class Span(NamedTuple):
    """A range of one file that one worker reads on its own.

    Attributes:
      file: the file.
      start, stop, first_row, rows: see `Part`.
      size: its share of the file's bytes.
    """

    file: InputFile
    start: int
    stop: int
    first_row: int
    size: int
    rows: int = UNKNOWN

    @property
    def part(self) -> Part:
        """The part that the file's format reads."""
        return Part(self.start, self.stop, self.first_row, self.rows)

    @property
    def fingerprint(self) -> int:
        """A number that identifies the span in the counts."""
        return fingerprint(self.file.path, self.start, self.stop)


def whole(file: InputFile) -> Span:
    """A file as one unit."""
    return Span(file, 0, 0, 0, file.size)


def format_of(file: InputFile) -> Format:
    """The format of a file.

    Raises:
      UnreadableFile: it has none.
    """
    if not file.format:
        if kind := foreign.recognize_name(file.path):
            raise UnreadableFile(f"by its name, this is {kind}")
        known = ", ".join(suffix for suffix in SUFFIXES if suffix.count(".") == 1)
        raise UnreadableFile(f"the name ends in none of {known}; rename it, or give --format")
    if file.format == matching.NO_NAME:
        raise UnreadableFile("the file's name is not UTF-8; rename it")
    return FORMATS[file.format]


def piece_bytes(size: int, most: int) -> int:
    """The size of the pieces that a file is divided into.

    Args:
      size: of the file, in bytes.
      most: bytes of a piece, which a large file has.
    """
    return min(most, max(_LEAST_PIECE_BYTES, size // _PIECES))


def plan_ranges(file: InputFile, wanted: InputColumns, sizes: Sizes) -> list[Span]:
    """Divides a large file into byte ranges, regardless of record boundaries.

    Returns:
      The ranges; none for a smaller file, or one that can't be divided this way.

    Raises:
      UnreadableFile: it has no usable header.
      ChangedFileError: it isn't the version that was matched.
    """
    divides = format_of(file).divides
    if divides is None or file.size <= sizes.range_bytes:
        return []
    with storage.open_input(file.path) as source:
        is_divided = divides(source, wanted.of_file(file.path))
    check_unchanged(file)
    if not is_divided:
        return []
    starts = range(0, file.size, piece_bytes(file.size, sizes.range_bytes))
    stops = [*starts[1:], file.size]
    return [
        Span(file, start, stop, 0, stop - start) for start, stop in zip(starts, stops, strict=True)
    ]


def plan_spans(file: InputFile, wanted: InputColumns, sizes: Sizes) -> list[Span]:
    """Divides a file that has no ranges into spans, each read on its own.

    Returns:
      At least one span; the sizes add up to the file's.

    Raises:
      UnreadableFile: the file can't be read.
      ChangedFileError: it isn't the version that was matched.
    """
    plan = format_of(file).plan
    if plan is None:
        return [whole(file)]
    sizes = dataclasses.replace(sizes, span_bytes=piece_bytes(file.size, sizes.span_bytes))
    with storage.open_input(file.path) as source:
        parts = plan(source, wanted.of_file(file.path), sizes)
    check_unchanged(file)
    if not parts:
        return [whole(file)._replace(rows=0)]
    spans, done = [], 0
    for part in parts:
        # Assumes units of equal size, which is good enough for the progress bar that uses it.
        size = file.size * part.stop // parts[-1].stop - done
        done += size
        spans.append(Span(file, part.start, part.stop, part.first_row, size, part.rows))
    return spans


def check_cover(parts: Iterable[tuple[int, int]], file: InputFile) -> None:
    """Checks that parts cover a file without gaps or overlaps.

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

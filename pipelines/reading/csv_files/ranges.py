"""Divides a large CSV exactly, finding where each range's records begin and their row numbers.

A first pass scans each byte range on its own for both possible starting states: outside or inside
a quoted field. A fold over the ranges of a file then determines which state applies, and yields
exact byte spans of whole records with their first row. If a range's quotes are all well placed when
it begins outside, it is scanned for the other state only if the fold needs that. The idea is from
Ge et al., "Speculative Distributed CSV Data Parsing for Big Data Analytics" (SIGMOD 2019), without
the speculation.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.reading.csv_files import pieces
from pipelines.reading.csv_files.records import BOM, COMMA, blank_records, filler_bytes, scan
from pipelines.reading.formats import Part

_NONE = -1
_PIECE = 1 << 18
_LF, _CR = b"\n\r"


@dataclasses.dataclass(frozen=True)
class RangeScan:
    """The contents of a range, given its starting state.

    Attributes:
      first: offset in the file of the byte after its first line end; -1 if it has none.
      records: how many records that aren't blank begin right after its line ends.
      inside: whether it ends inside a quoted field.
    """

    first: int
    records: int
    inside: bool


class Survey(NamedTuple):
    """The scans of one range for both starting states.

    Attributes:
      start: where the range begins.
      outside, inside: what it holds if it begins outside or inside a quoted field; None if the
        latter wasn't scanned.
      leading: 1 if a record that isn't blank begins at the range's first byte, which only happens
        at the start of a file.
    """

    start: int
    outside: RangeScan
    inside: RangeScan | None
    leading: int


def survey(stream: BinaryIO, start: int, stop: int, size: int, delimiter: bytes = COMMA) -> Survey:
    """Surveys one range of a file.

    Args:
      stream: the uncompressed bytes, seekable.
      start: the range's nominal first byte, shifted if necessary so that nothing is cut in two.
      stop: the next range's nominal first byte, shifted likewise.
      size: of the file.
      delimiter: the byte between fields.
    """
    first, last = _uncut(stream, start, size), _uncut(stream, stop, size)
    before, data, following = _read(stream, first, last, delimiter)
    begins = _is_first(stream, first) and data[:1] not in (b"", b"\n", b"\r")
    leading = _count_filled(data + following, np.zeros(1, np.int64), delimiter) if begins else 0
    # Without a quote, a range that begins inside a field is entirely inside it.
    inside: RangeScan | None = RangeScan(_NONE, 0, True)
    outside = None
    if b'"' not in data and b"\r" not in data:
        outside = _scan_plain(data, first, following, delimiter)
    if outside is None:
        outside, regular = _scan(data, first, following, before, delimiter)
        if b'"' in data:
            inside = None if regular else _scan(data, first, following, b'"', delimiter)[0]
    return Survey(first, outside, inside, leading)


def scan_quoted(stream: BinaryIO, start: int, stop: int, delimiter: bytes = COMMA) -> RangeScan:
    """Scans a range that begins inside a quoted field.

    Args:
      stream: the uncompressed bytes, seekable.
      start: where its survey begins.
      stop: where the next survey begins.
      delimiter: the byte between fields.
    """
    _, data, following = _read(stream, start, stop, delimiter)
    return _scan(data, start, following, b'"', delimiter)[0]


def _read(stream: BinaryIO, start: int, stop: int, delimiter: bytes) -> tuple[bytes, bytes, bytes]:
    """Returns the byte before a range (a line end for the first), its bytes and what follows.

    What follows is one byte, or more if it takes more to see whether the range's last record is
    blank; empty at the end of the file.
    """
    first = _is_first(stream, start)
    stream.seek(start if first else start - 1)
    before = b"\n" if first else stream.read(1)
    data = stream.read(stop - start) if stop > start else b""
    following, filler = stream.read(1), filler_bytes(delimiter)
    while following and not following.strip(filler) and len(following) <= pieces.MAX_RECORD_BYTES:
        more = stream.read(len(following))
        if not more:
            break
        following += more
    return before, data, following


def assign_rows(
    surveys: Sequence[Survey], size: int, look: Callable[[int, int], RangeScan]
) -> Iterator[Part]:
    """Folds the surveys of a file, in order, into spans of whole records.

    Args:
      surveys: of all ranges of the file.
      size: of the file.
      look: applies `scan_quoted` to a range, given its start and stop.

    Yields:
      The spans in order. Together they hold every record once; the header is in the first.
    """
    inside = False
    begun: list[tuple[int, int]] = []  # where a range's first whole record begins, and its row
    row = -1  # the header precedes row 0
    starts = [*(each.start for each in surveys), size]
    for position, each in enumerate(surveys):
        found = each.outside
        if inside:
            found = each.inside or look(each.start, starts[position + 1])
        records = found.records + each.leading
        if position == 0:
            begun.append((0, 0))
        elif found.first != _NONE and row >= 0:
            begun.append((found.first, row))
        row += records
        inside = found.inside
    for (start, first_row), (stop, next_row) in itertools.pairwise([*begun, (size, max(row, 0))]):
        if stop > start:
            yield Part(start, stop, first_row, next_row - first_row)


def _scan(
    data: bytes, offset: int, following: bytes, prefix: bytes, delimiter: bytes
) -> tuple[RangeScan, bool]:
    """Scans a range after a prefix byte that puts the scanner into its starting state.

    Returns:
      The scan, and whether most quotes are well placed (`Scan.regular`).
    """
    ends, inside, regular = scan(prefix + data, delimiter)
    # The prefix itself may be a line end, which belongs to the preceding range.
    ends = ends[1:] - 1 if len(ends) and ends[0] == 0 else ends - 1
    records = _count_filled(data + following, ends + 1, delimiter)
    first = offset + int(ends[0]) + 1 if len(ends) else _NONE
    return RangeScan(first, records, inside), regular


def _count_filled(data: bytes, starts: npt.NDArray[np.int64], delimiter: bytes) -> int:
    """Counts the records that aren't blank, given where lines begin."""
    octets = np.frombuffer(data, np.uint8)
    starts = starts[starts < len(octets)]
    # A line end that another follows, or the file's end, begins no record.
    starts = starts[(octets[starts] != _LF) & (octets[starts] != _CR)]
    blank = blank_records(data, starts, pieces.MAX_RECORD_BYTES, delimiter)
    return len(starts) - int(np.count_nonzero(blank))


def _scan_plain(data: bytes, offset: int, following: bytes, delimiter: bytes) -> RangeScan | None:
    """Equivalent of `_scan` for bytes without quotes or CRs, which only counts.

    Returns:
      The scan; None if there may be blank records.
    """
    octets, records = np.frombuffer(data, np.uint8), 0
    # No field begins with a byte up to the comma, except an empty one.
    most, other = ord(COMMA), ord(delimiter)
    # In pieces that fit in the CPU cache, each with one byte of the next.
    for start in range(0, len(octets), _PIECE):
        piece = octets[start : start + _PIECE + 1]
        ends = piece == _LF
        # A line end that another follows, or the file's end, begins no record.
        doubled = np.count_nonzero(ends[:-1] & ends[1:])
        low = piece <= most if other <= most else (piece <= most) | (piece == other)
        if np.count_nonzero(ends[:-1] & low[1:]) != doubled:
            return None
        records += int(np.count_nonzero(ends[:_PIECE]) - doubled)
    if data.endswith(b"\n"):
        if following and following[0] not in b"\n\r" and following[0] in filler_bytes(delimiter):
            return None
        if following[:1] in (b"", b"\n", b"\r"):
            records -= 1
    first = data.find(b"\n")
    return RangeScan(offset + first + 1 if first >= 0 else _NONE, records, False)


def _uncut(stream: BinaryIO, position: int, size: int) -> int:
    """The next position that doesn't cut a byte-order mark, doubled quotes or a CRLF in two."""
    if position <= len(BOM) and position <= (begin := _begin(stream)):
        return begin
    while position < size:
        stream.seek(position - 1)
        window = stream.read(4096)
        for offset in range(1, len(window)):
            before, after = window[offset - 1 : offset], window[offset : offset + 1]
            if before != b'"' and after != b'"' and before + after != b"\r\n":
                return position + offset - 1
        position += len(window) - 1 if len(window) > 1 else size
    return size


def _begin(stream: BinaryIO) -> int:
    """Where the text of a file begins, after any byte-order mark."""
    stream.seek(0)
    return len(BOM) if stream.read(len(BOM)) == BOM else 0


def _is_first(stream: BinaryIO, position: int) -> bool:
    return position <= len(BOM) and position == _begin(stream)

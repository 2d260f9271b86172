"""Dividing a large CSV exactly: where each range's records begin, and which row that is.

A first pass looks at each byte range on its own, for the states that it may begin in: outside or
inside a quoted field. A fold over the ranges of a file then says which of the two it was, and gives
exact byte spans of whole records with their first row. A range whose quotes are all in place if it
begins outside is looked at for the other state only if the fold asks for that. The idea is that of
Ge et al., "Speculative Distributed CSV Data Parsing for Big Data Analytics" (SIGMOD 2019), without
the speculation.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np

from pipelines.reading.csv_files.records import BOM, scan
from pipelines.reading.formats import Part

_NONE = -1
_PIECE = 1 << 18
_LF, _CR = b"\n\r"


@dataclasses.dataclass(frozen=True)
class RangeScan:
    """What a range holds if it begins in one of the two states.

    Attributes:
      first: the byte after its first line end, from the file's start; -1 where it has none.
      records: how many records begin right after its line ends.
      inside: whether it ends inside a quoted field.
    """

    first: int
    records: int
    inside: bool


class Survey(NamedTuple):
    """One range, for both states.

    Attributes:
      start: where the range begins.
      outside, inside: what it holds if it begins outside or inside a quoted field; None where the
        latter was not looked at.
      leading: 1 if a record begins with the range's own first byte, as the file's first does that
        no blank line precedes.
    """

    start: int
    outside: RangeScan
    inside: RangeScan | None
    leading: int


def survey(stream: BinaryIO, start: int, stop: int, size: int) -> Survey:
    """Looks at one range of a file.

    Args:
      stream: the uncompressed bytes, seekable.
      start: the range's nominal first byte; it is shifted to where nothing is cut in two.
      stop: the nominal first byte of the next range, which is shifted likewise.
      size: of the file.
    """
    first, last = _uncut(stream, start, size), _uncut(stream, stop, size)
    before, data, following = _read(stream, first, last)
    leading = int(_is_first(stream, first) and data[:1] not in (b"", b"\n", b"\r"))
    # Without a quote, a range that begins inside a field lies inside it as a whole.
    inside: RangeScan | None = RangeScan(_NONE, 0, True)
    if b'"' in data:
        outside, regular = _scan(data, first, following, before)
        inside = None if regular else _scan(data, first, following, b'"')[0]
    elif b"\r" in data:
        outside, _ = _scan(data, first, following, before)
    else:
        outside = _scan_plain(data, first, following)
    return Survey(first, outside, inside, leading)


def scan_quoted(stream: BinaryIO, start: int, stop: int) -> RangeScan:
    """What a range holds that begins inside a quoted field.

    Args:
      stream: the uncompressed bytes, seekable.
      start: where its survey begins.
      stop: where the next one's begins.
    """
    _, data, following = _read(stream, start, stop)
    return _scan(data, start, following, b'"')[0]


def _read(stream: BinaryIO, start: int, stop: int) -> tuple[bytes, bytes, bytes]:
    """The bytes of a range, the byte before it (a line end before the first) and the one after."""
    first = _is_first(stream, start)
    stream.seek(start if first else start - 1)
    before = b"\n" if first else stream.read(1)
    data = stream.read(stop - start) if stop > start else b""
    return before, data, stream.read(1)


def assign_rows(
    surveys: Sequence[Survey], size: int, look: Callable[[int, int], RangeScan]
) -> Iterator[Part]:
    """Folds the surveys of a file, in order, into spans of whole records.

    Args:
      surveys: of all ranges of the file.
      size: of the file.
      look: `scan_quoted` of a range, given its start and stop.

    Yields:
      The spans in order; together they hold every record once, the header is the first one's.
    """
    inside = False
    begun: list[tuple[int, int]] = []  # where a range's first whole record begins, and its row
    row = -1  # the header is the record before row 0
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


def _scan(data: bytes, offset: int, following: bytes, prefix: bytes) -> tuple[RangeScan, bool]:
    """Finds the line ends after a prefix byte that puts the scanner into its state.

    Returns:
      What there is, and whether all quotes are in place.
    """
    ends, inside, regular = scan(prefix + data)
    # The prefix itself may be a line end: it belongs to the range before.
    ends = ends[1:] - 1 if len(ends) and ends[0] == 0 else ends - 1
    # A line end that another follows, or the file's end, begins no record.
    octets = np.frombuffer(data, np.uint8)
    last = len(ends) > 0 and ends[-1] == len(data) - 1
    after = octets[(ends[:-1] if last else ends) + 1]
    records = int(np.count_nonzero((after != _LF) & (after != _CR)))
    records += int(last and following not in (b"", b"\n", b"\r"))
    first = offset + int(ends[0]) + 1 if len(ends) else _NONE
    return RangeScan(first, records, inside), regular


def _scan_plain(data: bytes, offset: int, following: bytes) -> RangeScan:
    """What `_scan` finds, by counting alone where there is neither a quote nor a CR."""
    octets, records = np.frombuffer(data, np.uint8), 0
    # In pieces that stay in the processor's cache, each with a byte of the next.
    for start in range(0, len(octets), _PIECE):
        ends = octets[start : start + _PIECE + 1] == _LF
        # A line end that another follows, or the file's end, begins no record.
        doubled = np.count_nonzero(ends[:-1] & ends[1:])
        records += int(np.count_nonzero(ends[:_PIECE]) - doubled)
    if data.endswith(b"\n") and following in (b"", b"\n", b"\r"):
        records -= 1
    first = data.find(b"\n")
    return RangeScan(offset + first + 1 if first >= 0 else _NONE, records, False)


def _uncut(stream: BinaryIO, position: int, size: int) -> int:
    """The next position at which neither a mark, doubled quotes nor a CRLF are cut."""
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
    """Where the text of a file begins: behind a byte-order mark."""
    stream.seek(0)
    return len(BOM) if stream.read(len(BOM)) == BOM else 0


def _is_first(stream: BinaryIO, position: int) -> bool:
    return position <= len(BOM) and position == _begin(stream)

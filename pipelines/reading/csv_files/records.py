"""Finds where CSV records begin and end: exact with quoted newlines, and cheap without.

The grammar is that of pyarrow and Python's csv module: a quote opens a quoted field only at the
start of a field; inside one, a doubled quote represents one quote; elsewhere a quote is an ordinary
character. Records end at LF, CRLF or CR outside quotes; blank lines don't count as records.

Spreadsheets write blank rows as nothing but delimiters. `drop_blank` and `blank_records` find them,
since they don't count either: all their fields are empty once trimmed, quoted or not. Nor does the
Ctrl-Z that ends a DOS file.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.errors import ReconcileError

BOM = b"\xef\xbb\xbf"
COMMA = b","
_LF, _CR, _QUOTE = b'\n\r"'
_LINE_ENDS = re.compile(rb"[\r\n]*")
# How many quotes to check together if some are stray; even.
_RUN = 256
# How many bytes of each record to check together for being blank.
_PREFIX = 8


@dataclasses.dataclass(frozen=True)
class Records:
    """The records of one piece of CSV bytes.

    Attributes:
      data: the bytes, which begin at the start of a record.
      starts, stops: int64 ``[n]``, each record's byte range without its line end.
    """

    data: bytes
    starts: npt.NDArray[np.int64]
    stops: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)

    def raw(self, position: int) -> bytes:
        """One record's bytes as they appear in the file, without the line end."""
        return self.data[self.starts[position] : self.stops[position]]


class Scan(NamedTuple):
    """The line ends of bytes that are assumed to begin outside quotes.

    Attributes:
      ends: int64, positions of the last byte of every line end outside quoted fields, ascending.
      inside: whether the bytes end inside a quoted field.
      regular: whether most quotes, along with their neighbours, are where RFC 4180 allows them.
        That's unlikely if the bytes actually begin inside a quoted field: closing quotes would
        have to look like opening ones.
    """

    ends: npt.NDArray[np.int64]
    inside: bool
    regular: bool


def complete_length(data: bytes, delimiter: bytes = COMMA) -> int:
    """Returns the length of the longest prefix that ends with a record's line end; 0 if none does.

    Args:
      data: bytes that begin at the start of a record. A CR at the very end doesn't count, as an LF
        may follow it.
      delimiter: the byte between fields.
    """
    return complete_lengths(data, delimiter)[1]


def complete_lengths(data: bytes, delimiter: bytes = COMMA) -> tuple[int, int]:
    """Returns the lengths of the shortest and the longest such prefix; 0, 0 if there is none."""
    if b'"' not in data:
        last = max(data.rfind(b"\n"), data.rfind(b"\r", 0, len(data) - 1)) + 1
        first = data.find(b"\n", 0, last) + 1 or last
        return data.find(b"\r", 0, max(first - 2, 0)) + 1 or first, last
    ends = line_ends(data, delimiter)
    ends = ends[: len(ends) - 1] if len(ends) and data[ends[-1] :] == b"\r" else ends
    return (int(ends[0]) + 1, int(ends[-1]) + 1) if len(ends) else (0, 0)


def state_after(data: bytes, delimiter: bytes = COMMA) -> bytes:
    """Returns a few bytes that put the scanner into the same state as an unfinished record.

    Args:
      data: the beginning of a record, without its line end.
      delimiter: the byte between fields.
    """
    text = data.removesuffix(b"\r")
    body = text.rstrip(b'"')
    # The last quotes may close the field or be doubled, depending on the next byte.
    quotes = len(text) - len(body)
    prefix = b'"' if scan(body, delimiter).inside else body[-1:]
    return prefix + b'"' * (quotes and 2 - quotes % 2) + data[len(text) :]


def find_records(data: bytes, delimiter: bytes = COMMA) -> Records:
    """Finds all records of complete CSV bytes; the last one doesn't need a line end."""
    ends = line_ends(data, delimiter)
    starts = np.concatenate([np.zeros(1, np.int64), ends + 1])
    stops = np.concatenate([ends, np.array([len(data)], np.int64)])
    octets = np.frombuffer(data, np.uint8)
    # CRLF: the CR before the line's LF isn't part of the record.
    ends_in_cr = (stops > starts) & (octets[np.maximum(stops - 1, 0)] == _CR) if len(data) else None
    if ends_in_cr is not None:
        stops = stops - (ends_in_cr & (np.arange(len(stops)) < len(ends)))
    filled = stops > starts
    return Records(data, starts[filled], stops[filled])


def blank_records(
    data: bytes, starts: npt.NDArray[np.int64], most: int, delimiter: bytes = COMMA
) -> npt.NDArray[np.bool_]:
    """Finds the records whose fields are all empty.

    Args:
      data: the bytes.
      starts: int64 ``[n]``, where records begin.
      most: maximum bytes of a record, including its line end; a longer one isn't blank.
      delimiter: the byte between fields.

    Returns:
      bool ``[n]``.
    """
    octets = np.frombuffer(data, np.uint8)
    filler = _members(filler_bytes(delimiter))
    line_end = _members(b"\n\r")
    # Hardly any record begins like a blank one for more than a byte or two.
    begun, ended = np.arange(len(starts)), [np.empty(0, np.int64)]
    for offset in range(_PREFIX):
        places = starts[begun] + offset
        begun_ends = places >= len(octets)
        found = octets[np.where(begun_ends, 0, places)] if len(octets) else places
        begun_ends |= line_end[found]
        ended.append(begun[begun_ends])
        begun = begun[~begun_ends & filler[found]]
    blank = np.zeros(len(starts), np.bool_)
    for position in np.concatenate([*ended, begun]).tolist():
        start = int(starts[position])
        end = _blank_end(data, start, delimiter)
        blank[position] = end is not None and end - start <= most
    return blank


def drop_blank(data: bytes, delimiter: bytes = COMMA) -> bytes:
    """Returns complete CSV bytes without their blank records; the same object if there are none."""
    starts = find_records(data, delimiter).starts
    blank = blank_records(data, starts, len(data), delimiter)
    if not blank.any():
        return data
    sizes = np.diff(np.append(starts, len(data)))
    lead = int(starts[0])
    return np.frombuffer(data, np.uint8)[lead:][np.repeat(~blank, sizes)].tobytes()


def skip_blank(data: bytes, delimiter: bytes = COMMA) -> bytes:
    """Returns complete CSV bytes from the first record that isn't blank on."""
    start = _skip_line_ends(data, 0)
    while start < len(data):
        end = _blank_end(data, start, delimiter)
        if end is None:
            break
        start = _skip_line_ends(data, end)
    return data[start:]


def filler_bytes(delimiter: bytes) -> bytes:
    """The bytes that a blank record may consist of."""
    return b' \t"\x1a' + delimiter


def _blank_end(data: bytes, start: int, delimiter: bytes) -> int | None:
    """Where a record ends, with its line end, if all its fields are empty; otherwise None."""
    found = _filler_record(delimiter).match(data, start)
    if found is None:
        return None
    fields: bytes = found[1]
    if b'"' in fields:
        # A quote that doesn't open a field is text, and stays.
        fields = _quoted_blank(delimiter).sub(rb"\1", fields)
    if fields == b"\x1a" or not fields.translate(None, b" \t" + delimiter):
        return found.end()
    return None


# No possessive quantifiers: in Python 3.11.2 they match too much.
@functools.cache
def _filler_record(delimiter: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"([" + re.escape(filler_bytes(delimiter)) + rb"]*)(?:\r?\n|\r|\Z)")


@functools.cache
def _quoted_blank(delimiter: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"(^|" + re.escape(delimiter) + rb')"[ \t]*"')


def _skip_line_ends(data: bytes, start: int) -> int:
    found = _LINE_ENDS.match(data, start)
    return found.end() if found else start


@functools.cache
def _members(values: bytes) -> npt.NDArray[np.bool_]:
    """Bool ``[256]``: which bytes are among the given ones."""
    found = np.zeros(256, np.bool_)
    found[list(values)] = True
    return found


def line_ends(data: bytes, delimiter: bytes = COMMA) -> npt.NDArray[np.int64]:
    """Returns the position of the last byte of every line end outside quoted fields, ascending."""
    return scan(data, delimiter).ends


def scan(data: bytes, delimiter: bytes = COMMA) -> Scan:
    """Finds the line ends of bytes that begin outside quotes."""
    octets = np.frombuffer(data, np.uint8)
    ends = _positions(octets, _LF)
    if b"\r" in data:
        returns = _positions(octets, _CR)
        # The CR of a CRLF isn't a line end of its own.
        followed = np.zeros(len(returns), np.bool_)
        inner = returns < len(octets) - 1
        followed[inner] = octets[returns[inner] + 1] == _LF
        ends = np.sort(np.concatenate([ends, returns[~followed]]))
    if b'"' not in data:
        return Scan(ends, inside=False, regular=True)
    quotes = _positions(octets, _QUOTE)
    regular = _is_regular(octets, quotes, delimiter)
    if not regular:
        quotes, regular = _structural_quotes(data, octets, quotes, delimiter)
    inside = len(quotes) % 2 == 1
    if not _stay_in_lines(quotes, ends):
        # A line end after an even number of quotes is outside quoted fields.
        ends = ends[np.searchsorted(quotes, ends) % 2 == 0]
    return Scan(ends, inside=inside, regular=regular)


def _positions(octets: npt.NDArray[np.uint8], value: int) -> npt.NDArray[np.int64]:
    return np.flatnonzero(octets == value)


def _is_regular(
    octets: npt.NDArray[np.uint8], quotes: npt.NDArray[np.int64], delimiter: bytes
) -> bool:
    """Whether each quote opens, closes or doubles as in RFC 4180, which makes counting exact."""
    # What may adjoin the outer side of a quote that opens or closes a field.
    borders = _members(b'\n\r"' + delimiter)
    opening, closing = quotes[0::2], quotes[1::2]
    before = octets[np.maximum(opening - 1, 0)]
    opens = (opening == 0) | borders[before]
    # A quote after a quote opens nothing unless the two are a doubled one.
    doubled = before[1:] == _QUOTE
    opens[1:] &= ~doubled | (opening[1:] - 1 == closing[: len(opening) - 1])
    if len(opens) and before[0] == _QUOTE and opening[0] != 0:
        return False
    after = octets[np.minimum(closing + 1, len(octets) - 1)]
    closes = (closing == len(octets) - 1) | borders[after]
    return bool(opens.all() and closes.all())


def _stay_in_lines(quotes: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> bool:
    """Whether every line has the same even number of quotes, so that no line end is quoted.

    This holds if some columns are always quoted, and checking it takes a tenth of the time of
    counting the quotes before each line end. False may be wrong. The first line may be partial;
    what follows the last line end doesn't matter.
    """
    if len(ends) < 2:
        return False
    before, until = np.searchsorted(quotes, [ends[0], ends[-1]])
    quotes, begins, ends = quotes[before:until], ends[:-1], ends[1:]
    each, rest = divmod(len(quotes), len(ends))
    if before % 2 or rest or each % 2 or not each:
        return False
    return bool((quotes[::each] > begins).all() and (quotes[each - 1 :: each] < ends).all())


def _structural_quotes(
    data: bytes,
    octets: npt.NDArray[np.uint8],
    quotes: npt.NDArray[np.int64],
    delimiter: bytes,
) -> tuple[npt.NDArray[np.int64], bool]:
    """Finds the quotes that open and close fields, if some do neither.

    Runs of well-placed quotes are taken whole, so a stray quote only slows down its own run.

    Returns:
      The quotes, including pairs that represent one quote in a field, and whether most were taken
      whole.
    """
    found: list[npt.NDArray[np.int64]] = []
    start = whole = 0
    while start < len(quotes):
        stop = min(start + _RUN, len(quotes) - (len(quotes) - start) % 2)
        while start < stop < len(quotes) and quotes[stop] == quotes[stop - 1] + 1:
            # Don't cut a doubled quote in two.
            stop += 2
        run = quotes[start:stop]
        if len(run) and len(run) % 2 == 0 and _is_regular(octets, run, delimiter):
            whole += len(run)
            start = stop
        else:
            run, start = _one_by_one(data, quotes, start, max(stop, start + 1), delimiter)
        found.append(run)
    return np.concatenate(found), 2 * whole > len(quotes)


def _one_by_one(
    data: bytes, quotes: npt.NDArray[np.int64], start: int, stop: int, delimiter: bytes
) -> tuple[npt.NDArray[np.int64], int]:
    """Checks quotes singly, from one outside fields to the first such one at or after `stop`."""
    structural: list[int] = []
    borders = b"\n\r" + delimiter
    inside = False
    skip = -1
    runs = (quotes[first : first + _RUN].tolist() for first in range(start, len(quotes), _RUN))
    for position, quote in enumerate(itertools.chain.from_iterable(runs), start):
        if position >= stop and not inside and quote != skip:
            return np.array(structural, np.int64), position
        if quote == skip:
            continue
        if inside:
            if data[quote + 1 : quote + 2] == b'"':
                skip = quote + 1
            else:
                structural.append(quote)
                inside = False
        elif quote == 0 or data[quote - 1] in borders:
            structural.append(quote)
            inside = True
    return np.array(structural, np.int64), len(quotes)


@dataclasses.dataclass
class LazyRecords:
    """Finds the records of a block once a reject first needs its raw text."""

    data: bytes
    delimiter: bytes = COMMA
    found: Records | None = None

    def get(self, expected: int) -> Records:
        if self.found is None:
            self.found = find_records(self.data, self.delimiter)
            if len(self.found) != expected:
                raise ReconcileError(f"{len(self.found)} records, but {expected} parsed")
        return self.found

"""Splits the bytes of a CSV into pieces that end with a record, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from pipelines.reading.csv_files.records import (
    BOM,
    COMMA,
    complete_lengths,
    line_ends,
    scan,
    skip_blank,
    state_after,
)
from pipelines.reading.unreadable import UnreadableFile

# A longer record isn't an observation but most likely an unclosed quote. At least a block.
MAX_RECORD_BYTES = 8 << 20


def with_header(pieces: Iterator[bytes | None], delimiter: bytes = COMMA) -> bytes:
    """Returns the first records of a file, beginning with the header: the first that isn't blank.

    Raises:
      UnreadableFile: it is too long.
    """
    for piece in pieces:
        if piece is None:
            raise UnreadableFile("the header is too long: not a CSV, or a quote is not closed")
        if first := skip_blank(piece, delimiter):
            return first
    return b""


def whole_records(
    stream: BinaryIO,
    block_bytes: int,
    limit: int | None,
    most: int,
    *,
    delimiter: bytes = COMMA,
    at_start: bool = False,
) -> Iterator[bytes | None]:
    """Splits a stream, or its bytes up to a limit, into pieces that each end with a record.

    Args:
      stream: the uncompressed bytes.
      block_bytes: bytes to read at a time.
      limit: bytes to read in all; None reads to the end.
      most: maximum bytes of a record, including its line end; at least `block_bytes`.
      delimiter: the byte between fields.
      at_start: whether the stream is at the start of a file, where a byte-order mark is skipped.

    Yields:
      The pieces, with None in place of a record that is too long.

    Raises:
      UnreadableFile: such a record has an unclosed quote.
    """
    left = math.inf if limit is None else limit
    rest, too_long = b"", False
    # Read at least a whole byte-order mark.
    while data := stream.read(int(min(max(block_bytes, len(BOM)), left))):
        left -= len(data)
        data = rest + (data.removeprefix(BOM) if at_start else data)
        at_start = False
        # Only the first record can be longer than a block.
        first, last = complete_lengths(data, delimiter)
        too_long = too_long or (first or len(data)) > most
        if too_long and first:
            yield None
        if last > (begin := first if too_long else 0):
            yield data[begin:last]
        too_long = too_long and not first
        rest = state_after(data, delimiter) if too_long else data[last:]
    if too_long or len(rest) > most:
        if scan(rest, delimiter).inside:
            raise UnreadableFile(f"the last record is {longer_than(most)}")
        yield None
    elif rest:
        yield rest


def longer_than(most: int) -> str:
    """Describes the problem with a record of more bytes."""
    return f"longer than {most >> 20} MiB: not an observation, or a quote is not closed"


def by_rows(data: bytes, most: int, delimiter: bytes = COMMA) -> Iterator[bytes]:
    """Splits whole records into pieces of at most `most` lines."""
    if not data:
        return
    start = 0
    octets = np.frombuffer(data, np.uint8)
    lines = np.count_nonzero(octets == ord("\n"))
    if b"\r" in data:
        lines += np.count_nonzero(octets == ord("\r"))
    if lines > most:
        for end in line_ends(data, delimiter)[most - 1 :: most].tolist():
            yield data[start : end + 1]
            start = end + 1
    if start < len(data):
        yield data[start:] if start else data

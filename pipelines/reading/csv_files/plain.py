"""Small CSV files plain enough to be joined and parsed as one."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from pipelines.reading.csv_files.reader import parse_fast, read_header
from pipelines.reading.csv_files.records import BOM, complete_length
from pipelines.reading.formats import Loaded
from pipelines.reading.rows import InputColumns
from pipelines.reading.unreadable import UnreadableFile


def load(source: pa.NativeFile, wanted: InputColumns, most_bytes: int) -> Loaded:
    """Loads a small CSV whose every line is a record.

    Raises:
      UnreadableFile: the file isn't that plain.
    """
    data = source.read().removeprefix(BOM)
    header, _, body = data.partition(b"\n")
    if body and not body.endswith(b"\n"):
        body += b"\n"
    # The header may have a quoted name, but not one that spans lines.
    odd = b'"' in body or not complete_length(header + b"\n", wanted.dialect.delimiter_byte)
    odd = odd or b"\n\n" in body or body.startswith((b"\n", b"\r\n"))
    if b"\r" in data:
        odd = odd or b"\n\r\n" in body or data.count(b"\r") != data.count(b"\r\n")
    if odd:
        raise UnreadableFile("its records are not its lines")
    return Loaded(header.rstrip(b"\r"), body.count(b"\n"), len(body), body)


def combine(files: Sequence[Loaded], wanted: InputColumns) -> pa.Table:
    """Parses the records of files that have the same header.

    Raises:
      UnreadableFile: the header isn't usable.
      pa.ArrowInvalid: a row isn't plain.
    """
    header = files[0].kind
    assert isinstance(header, bytes)
    columns, _ = read_header(header, wanted)
    return parse_fast(b"".join(file.content for file in files), columns, wanted)

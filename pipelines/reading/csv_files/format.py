"""The plain and gzipped CSV formats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa

from pipelines.reading.csv_files import compressed, plain, reader
from pipelines.reading.formats import Format, Part, Together
from pipelines.reading.rows import InputColumns, ParsedRows
from pipelines.reading.settings import Sizes


def _read(source: BinaryIO, part: Part, wanted: InputColumns, sizes: Sizes) -> Iterator[ParsedRows]:
    """Reads a range of whole records, or the whole file."""
    return reader.read_csv(
        source,
        wanted,
        block_bytes=sizes.block_bytes,
        block_rows=sizes.block_rows,
        span=part if part.stop else None,
    )


def _read_gzipped(
    source: pa.NativeFile, part: Part, wanted: InputColumns, sizes: Sizes
) -> Iterator[ParsedRows]:
    """Reads the whole file, after checking that it is intact."""
    compressed.check(source)
    source.seek(0)
    with compressed.refused():
        yield from _read(compressed.unzipped(source), part, wanted, sizes)


CSV = Format(
    name="csv",
    suffixes=(".csv",),
    read=_read,
    check_header=reader.find_header,
    together=Together(plain.load, plain.combine),
)
GZIPPED_CSV = Format(name="csv.gz", suffixes=(".csv.gz",), read=_read_gzipped)

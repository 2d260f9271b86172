"""Gzipped files: streaming, after an integrity check of the whole file."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from pipelines.reading.unreadable import UnreadableFile

_ERRORS = (gzip.BadGzipFile, EOFError, zlib.error)


def unzipped(stream: BinaryIO) -> BinaryIO:
    """Returns a stream of the uncompressed bytes of a gzip stream."""
    return cast(BinaryIO, gzip.open(stream))


def check(stream: BinaryIO) -> None:
    """Reads a gzip file to its end, so that a truncated one is refused before any row is scored.

    Otherwise the rows before the damage would be published, and again once the file is fixed.

    Raises:
      UnreadableFile: the file is truncated or isn't gzip.
    """
    with refused():
        content = unzipped(stream)
        while content.read(1 << 20):
            pass


@contextlib.contextmanager
def refused() -> Iterator[None]:
    """Converts gzip errors raised in the body of the `with` block.

    Raises:
      UnreadableFile: the file is truncated or isn't gzip.
    """
    try:
        yield
    except _ERRORS as error:
        raise UnreadableFile(f"the gzip file is broken ({error}); deliver it again") from error

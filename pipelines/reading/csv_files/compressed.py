"""Gzipped files: read as a stream, after a look at the whole."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from pipelines.reading.unreadable import UnreadableFile

_ERRORS = (gzip.BadGzipFile, EOFError, zlib.error)


def unzipped(stream: BinaryIO) -> BinaryIO:
    """The uncompressed bytes of a gzip stream."""
    return cast(BinaryIO, gzip.open(stream))


def check(stream: BinaryIO) -> None:
    """Reads a gzip file to its end, so that a torn one is refused before a row of it is scored.

    A file that breaks half way would else be published in part, and once more when it is mended.

    Raises:
      UnreadableFile: the file is torn or no gzip.
    """
    with refused():
        content = unzipped(stream)
        while content.read(1 << 20):
            pass


@contextlib.contextmanager
def refused() -> Iterator[None]:
    """Refuses a file whose bytes turn out not to be gzip in the body.

    Raises:
      UnreadableFile: the file is torn or no gzip.
    """
    try:
        yield
    except _ERRORS as error:
        raise UnreadableFile(f"the gzip file is broken ({error}); deliver it again") from error

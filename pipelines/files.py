"""Input files: matching patterns, and the fingerprint by which the ledger knows a file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from apache_beam.io.filesystems import FileSystems

from pipelines import storage

FORMATS = {".csv": "csv", ".csv.gz": "csv.gz", ".parquet": "parquet"}


class InputFile(NamedTuple):
    """One matched file.

    Attributes:
      path: as matched; local ones absolute.
      size: bytes.
      modified: microseconds since the epoch, UTC.
      format: ``csv``, ``csv.gz`` or ``parquet``; empty where the name tells none.
    """

    path: str
    size: int
    modified: int
    format: str


def match(patterns: Iterable[str], format_override: str | None = None) -> Iterator[InputFile]:
    """Matches paths and globs; a file that several patterns match comes once.

    A local folder stands for the files in it. A pattern that matches nothing is no error.

    Args:
      patterns: absolute local or remote paths or globs.
      format_override: the format of every file, whatever its name.
    """
    seen: set[str] = set()
    for pattern in patterns:
        if storage.is_local(pattern) and os.path.isdir(pattern):
            pattern = os.path.join(pattern, "*")
        (result,) = FileSystems.match([pattern])
        for metadata in sorted(result.metadata_list, key=lambda found: found.path):
            if metadata.path in seen:
                continue
            seen.add(metadata.path)
            yield InputFile(
                path=metadata.path,
                size=metadata.size_in_bytes,
                modified=round((metadata.last_updated_in_seconds or 0) * 1_000_000),
                format=format_override or format_of(metadata.path),
            )


def format_of(path: str) -> str:
    """The format that a file's name tells, in any case of letters; empty for none."""
    name = path.lower()
    # The longest suffix wins, so that `.csv.gz` is not taken for something else.
    for suffix in sorted(FORMATS, key=len, reverse=True):
        if name.endswith(suffix):
            return FORMATS[suffix]
    return ""

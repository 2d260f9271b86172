"""Input files: matching patterns, and the fingerprint by which the ledger knows a file."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from apache_beam.io.filesystems import FileSystems

from pipelines import ledger, storage

# In place of a format: the name is no text, which neither a column nor a shuffle can hold.
NO_NAME = "no name"
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

    @property
    def fingerprint(self) -> ledger.Fingerprint:
        """By which the ledger knows the file."""
        return self.path, self.size, self.modified


@dataclasses.dataclass(frozen=True, kw_only=True)
class Matching:
    """Which files a run reads.

    Attributes:
      patterns: absolute local or remote paths or globs.
      format: the format of every file; None goes by each name.
      settle_seconds: files modified within this time are left for the next run.
      new_only: whether files that the ledger has are left out.
      output: the output root, which holds the ledger.
      model_sha256: the model that the ledger must have scored a file with.
    """

    patterns: tuple[str, ...]
    format: str | None = None
    settle_seconds: float = 0.0
    new_only: bool = False
    output: str = ""
    model_sha256: str = ""


class Matched(NamedTuple):
    """The files of a run, and those left out."""

    chosen: list[InputFile]
    skipped: int
    unsettled: list[InputFile]


def choose(matching: Matching, now: float) -> Matched:
    """Matches all patterns, and leaves out what is not settled or done.

    Args:
      matching: which files.
      now: seconds since the epoch.
    """
    found = list(match(matching.patterns, matching.format))
    newest = round((now - matching.settle_seconds) * 1_000_000)
    waits = matching.settle_seconds > 0
    unsettled = [file for file in found if waits and file.modified > newest]
    settled = [file for file in found if not (waits and file.modified > newest)]
    done: Collection[ledger.Fingerprint] = ()
    if matching.new_only:
        asked = [file.fingerprint for file in settled]
        done = ledger.find_done(matching.output, matching.model_sha256, asked)
    chosen = [file for file in settled if file.fingerprint not in done]
    return Matched(chosen, len(settled) - len(chosen), unsettled)


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
            path = _shown(metadata.path)
            known = format_override or format_of(path)
            yield InputFile(
                path=path,
                size=metadata.size_in_bytes,
                modified=round((metadata.last_updated_in_seconds or 0) * 1_000_000),
                format=known if path == metadata.path else NO_NAME,
            )


def _shown(path: str) -> str:
    """A path, its bytes escaped that are no UTF-8."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return os.fsencode(path).decode("utf-8", errors="backslashreplace")
    return path


def format_of(path: str) -> str:
    """The format that a file's name tells, in any case of letters; empty for none."""
    name = path.lower()
    # The longest suffix wins, so that `.csv.gz` is not taken for something else.
    for suffix in sorted(FORMATS, key=len, reverse=True):
        if name.endswith(suffix):
            return FORMATS[suffix]
    return ""

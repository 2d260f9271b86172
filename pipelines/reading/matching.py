"""Input files: pattern matching, and the fingerprint that identifies a file in the ledger."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from pipelines import storage
from pipelines.errors import ChangedFileError
from pipelines.reading.format_table import find_format
from pipelines.runs import ledger

# Replaces the format if the name isn't valid text, so no column or shuffle can hold it.
NO_NAME = "no name"


class InputFile(NamedTuple):
    """One matched file.

    Attributes:
      path: as matched; absolute if local.
      size: bytes.
      modified: microseconds since the epoch, UTC.
      format: the name of a format of `format_table`; empty if the file's name implies none.
      inode: of a local file; it differs if another file is moved into its place. 0 for remote
        files.
    """

    path: str
    size: int
    modified: int
    format: str
    inode: int = 0

    @property
    def fingerprint(self) -> ledger.Fingerprint:
        """The file's identity in the ledger."""
        return self.path, self.size, self.modified


@dataclasses.dataclass(frozen=True, kw_only=True)
class Matching:
    """Which files a run reads.

    Attributes:
      patterns: absolute local or remote paths or globs.
      format: the format of every file; None infers it from each name.
      settle_seconds: files modified within this time are left for the next run.
      new_only: whether to leave out files that are in the ledger.
      output: the output root, which holds the ledger.
      model_sha256: the model that the ledger's files must have been scored with.
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
    """Matches all patterns, and leaves out files that aren't settled or are already done.

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
    """Matches paths and globs, yielding a file only once if several patterns match it.

    A local folder matches the files in it. A pattern that matches nothing isn't an error.

    Args:
      patterns: absolute local or remote paths or globs.
      format_override: the format of every file, whatever its name.
    """
    seen: set[str] = set()
    for pattern in patterns:
        for found in storage.match(pattern):
            if found.path in seen:
                continue
            seen.add(found.path)
            path = _shown(found.path)
            known = format_override or find_format(path)
            yield InputFile(
                path=path,
                size=found.version.size,
                modified=found.version.modified,
                format=known if path == found.path else NO_NAME,
                inode=found.version.inode,
            )


def check_unchanged(file: InputFile, *, gone_is_fine: bool = False) -> None:
    """Checks that a file is still the version that was matched.

    Call it after every access to the file, to confirm that what was read is of that version.

    Args:
      file: the file.
      gone_is_fine: whether the file may have vanished, as none of it was used.

    Raises:
      ChangedFileError: it was changed, replaced or removed.
    """
    if file.format == NO_NAME:
        return
    try:
        found = storage.read_version(file.path)
    except storage.ERRORS as error:
        if gone_is_fine:
            return
        raise ChangedFileError(
            f"{file.path} can't be looked at after it was read: {storage.reason_of(error)}; "
            "nothing is published, run again"
        ) from error
    if found != (file.size, file.modified, file.inode):
        raise ChangedFileError(
            f"{file.path} changed while the run read it ({found.size} bytes now, {file.size} when "
            "it was matched); nothing is published: run again when it is complete, or leave files "
            "that may still change for the next run with --settle_seconds"
        )


def _shown(path: str) -> str:
    """A path, with bytes that aren't UTF-8 escaped."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return os.fsencode(path).decode("utf-8", errors="backslashreplace")
    return path

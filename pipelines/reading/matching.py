"""Input files: pattern matching, and the fingerprint that identifies a file in the ledger."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from typing import NamedTuple

from pipelines import storage
from pipelines.errors import ChangedFileError, InputError
from pipelines.formatting import escape_bytes
from pipelines.reading.format_table import find_format
from pipelines.runs import ledger

# Why a file is ignored that was matched under another name too.
SAME_FILE = "same file"
# A file dated further ahead was dated by a wrong clock, and waiting for that time is no use. Two
# machines' clocks may differ, but by less than a day.
_AHEAD_SECONDS = 86_400
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
      patterns: absolute local or remote paths or globs, and each as the user gave it.
      format: the format of every file; None infers it from each name.
      include_hidden: whether to read files whose names say that they aren't data.
      fail_on_empty: whether a pattern without files is an error.
      settle_seconds: files modified within this time are left for the next run.
      new_only: whether to leave out files that are in the ledger.
      output: the output root, which holds the ledger.
      own_folders: what runs write below the output root, which is never input.
      model_sha256: the model that the ledger's files must have been scored with.
      run_id: the run that reads the files; it replaces a held one of its name.
    """

    patterns: Mapping[str, str]
    format: str | None = None
    include_hidden: bool = False
    fail_on_empty: bool = False
    settle_seconds: float = 0.0
    new_only: bool = False
    output: str = ""
    own_folders: tuple[str, ...] = ()
    model_sha256: str = ""
    run_id: str = ""

    @property
    def exclusions(self) -> storage.Exclusions:
        """What is never input."""
        return storage.Exclusions(
            include_hidden=self.include_hidden,
            root=storage.real_path(self.output) if self.output else "",
            folders=frozenset(map(storage.real_path, self.own_folders)),
        )


class Matched(NamedTuple):
    """The files of a run, and what was left out.

    Attributes:
      chosen: the files to read.
      skipped: how many files earlier runs have scored.
      unsettled: files that may still be written.
      waiting: how many files wait with each held run, by its id.
      ignored: how many files aren't data, by the rule for their names; see `storage.rubbish`.
      not_files: what else was found, by path, such as pipes.
      unmatched: the patterns without files, as the user gave them.
      notes: which patterns were taken literally.
      found: how many paths were found, whatever they are.
    """

    chosen: list[InputFile]
    skipped: int
    unsettled: list[InputFile]
    waiting: collections.Counter[str]
    ignored: collections.Counter[str]
    not_files: Mapping[str, str]
    unmatched: tuple[str, ...]
    notes: tuple[str, ...]
    found: int


def choose(matching: Matching, now: float) -> Matched:
    """Matches all patterns, and leaves out files that aren't settled or are already done.

    Args:
      matching: which files.
      now: seconds since the epoch.

    Raises:
      UsageError: a path without wildcards doesn't exist, isn't a file or folder, or is the job's
        own output.
      InputError: a folder can't be listed, or a pattern is without files and must not be.
    """
    exclusions = matching.exclusions
    matches = {pattern: storage.match(pattern, exclusions) for pattern in matching.patterns}
    unmatched = [matching.patterns[pattern] for pattern, each in matches.items() if not each.files]
    if unmatched and matching.fail_on_empty:
        raise InputError(f"no file matches {unmatched[0]}; nothing is published (--fail_on_empty)")
    files = [file for each in matches.values() for file in each.files]
    paths = {file.path for file in files}
    ignored = {path: rule for each in matches.values() for path, rule in each.ignored.items()}
    not_files = {path: kind for each in matches.values() for path, kind in each.not_files.items()}
    ignored = {path: rule for path, rule in ignored.items() if path not in paths}
    found = len(paths) + len(ignored) + len(not_files)
    named = list(_name(_each_once(files), matching.format))
    ignored |= dict.fromkeys(paths - {file.path for _, file in named}, SAME_FILE)

    newest, last = (
        round((now + seconds) * 1_000_000)
        for seconds in (-matching.settle_seconds, max(matching.settle_seconds, _AHEAD_SECONDS))
    )
    growing: set[InputFile] = set()
    if matching.settle_seconds:
        growing = {file for file, _ in named if newest < file.modified <= last}
    settled = [(file, match) for file, match in named if file not in growing]
    done, waiting = _look_up(matching, settled) if matching.new_only else (set(), {})
    return Matched(
        [file for file, _ in settled if file not in done and file not in waiting],
        skipped=len(done),
        unsettled=[file for file, _ in named if file in growing],
        waiting=collections.Counter(waiting.values()),
        ignored=collections.Counter(ignored.values()),
        not_files={escape_bytes(path): kind for path, kind in not_files.items()},
        unmatched=tuple(map(escape_bytes, unmatched)),
        notes=tuple(escape_bytes(note) for each in matches.values() for note in each.notes),
        found=found,
    )


def refuse(matching: Matching) -> None:
    """Refuses early what `choose` would refuse, as far as this machine can tell without a listing.

    Raises:
      UsageError: see `choose`.
      InputError: see `choose`.
    """
    for pattern in matching.patterns:
        storage.of(pattern).refuse(pattern, matching.exclusions)


def match(patterns: Iterable[str], format_override: str | None = None) -> list[InputFile]:
    """Matches paths and globs; a file that several of them match is listed once.

    Args:
      patterns: absolute local or remote paths or globs.
      format_override: the format of every file, whatever its name.
    """
    patterns = {pattern: pattern for pattern in patterns}
    return choose(Matching(patterns=patterns, format=format_override), now=0).chosen


def _each_once(files: Iterable[storage.FoundFile]) -> list[storage.FoundFile]:
    """Leaves out all but one path of each file: its own rather than a link's, else the first.

    A link that appears or is changed from night to night then doesn't rename the file it points to.
    """
    chosen: dict[Hashable, storage.FoundFile] = {}
    for file in files:
        known = chosen.setdefault(file.identity, file)
        if known.path != known.real and file.path == file.real:
            chosen[file.identity] = file
    return list(chosen.values())


def _name(
    files: Iterable[storage.FoundFile], format_override: str | None
) -> Iterator[tuple[InputFile, storage.FoundFile]]:
    """Describes files under names that are valid text and differ from each other."""
    files = list(files)
    taken = {file.path for file in files}
    for file in files:
        path = escape_bytes(file.path)
        known = format_override or find_format(path)
        if path != file.path:
            known = NO_NAME
            while path in taken:
                path += "'"
            taken.add(path)
        size, modified, inode = file.version
        yield InputFile(path, size, modified, known, inode), file


def _look_up(
    matching: Matching, files: Collection[tuple[InputFile, storage.FoundFile]]
) -> tuple[set[InputFile], dict[InputFile, str]]:
    """Finds which files are done, and the held run of each that waits.

    The ledger has a file under its path as matched or without links.
    """
    asked = {
        file: (file.fingerprint, file._replace(path=escape_bytes(match.real)).fingerprint)
        for file, match in files
    }
    every = {name for names in asked.values() for name in names}
    known = ledger.look_up(matching.output, matching.model_sha256, every, run_id=matching.run_id)
    done = {file for file, names in asked.items() if any(name in known.done for name in names)}
    waiting = {
        file: known.waiting[name]
        for file, names in asked.items()
        for name in names
        if file not in done and name in known.waiting
    }
    return done, waiting


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

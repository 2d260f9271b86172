"""The search for the files that a path or glob matches, the same on every filesystem.

A `Tree` lists the folders of one filesystem; `find` walks it. Every file that a pattern reaches is
found, ignored by its name, or reported as something that isn't a file.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from pipelines.errors import InputError, UsageError
from pipelines.storage import patterns
from pipelines.storage.errors import ERRORS, reason_of
from pipelines.storage.patterns import State
from pipelines.storage.rubbish import find_rule

# Why a file is ignored, if not by its name.
OUTPUT = "output"

# 0001-01-01 and 9999-12-31 in seconds: every library can represent times between them.
_FIRST_TIME, _LAST_TIME = -62_135_596_800, 253_402_214_400


class Version(NamedTuple):
    """What distinguishes one version of a file from another.

    Attributes:
      size: in bytes.
      modified: microseconds since the epoch, UTC; the years 1 to 9999.
      inode: for a file on one of this machine's disks; 0 elsewhere, where it may change by itself.
    """

    size: int
    modified: int
    inode: int = 0

    @classmethod
    def of(cls, size: int, modified_seconds: float, inode: int = 0) -> Version:
        """Makes a version from what filesystems report."""
        seconds = min(max(modified_seconds, _FIRST_TIME), _LAST_TIME)
        return cls(size, round(seconds * 1_000_000), inode)


class FoundFile(NamedTuple):
    """A file that a pattern matches, and its version at that moment.

    Attributes:
      path: as matched.
      version: at that moment.
      real: its path without links.
      identity: equal for two paths of one file.
    """

    path: str
    version: Version
    real: str
    identity: Hashable


class Entry(NamedTuple):
    """A file, folder or something else in a folder.

    Attributes:
      path: as matched.
      real: the path without links.
      is_folder: whether it is one.
      file: set if it is a file.
      fault: what it is if it is neither.
    """

    path: str
    real: str
    is_folder: bool = False
    file: FoundFile | None = None
    fault: str = ""


class Tree(Protocol):
    """The folders and files of a filesystem."""

    def exists(self, path: str) -> bool:
        """Whether there is anything of exactly this name, if only a link to nothing."""

    def look(self, path: str) -> Entry | None:
        """Looks at what has this path; None if nothing has."""

    def list(self, folder: Entry) -> Mapping[str, Any]:
        """Lists a folder: a handle for each name, by name."""

    def look_in(self, folder: Entry, name: str, handle: Any) -> Iterable[Entry]:
        """Looks at what has a name in a listing: one thing, or an object and a folder."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exclusions:
    """What is never input.

    Attributes:
      include_hidden: whether files are input whose names say that they aren't data.
      root: the output root, without links; empty if there is none.
      folders: those below it that a run writes, without links.
    """

    include_hidden: bool = False
    root: str = ""
    folders: frozenset[str] = frozenset()

    def folder_around(self, real: str) -> str | None:
        """The excluded folder that a path is in, or is."""
        for folder in self.folders:
            if real == folder or real.startswith(f"{folder}/"):
                return folder
        return None


EVERYTHING = Exclusions(include_hidden=True)


@dataclasses.dataclass(kw_only=True)
class Matches:
    """What a pattern matches.

    Attributes:
      files: by path.
      ignored: why a file isn't input, by path: the rule of `rubbish` for its name, or OUTPUT.
      not_files: what other things are, by path, such as pipes and links to nothing.
      notes: which parts with wildcards were taken literally.
    """

    files: list[FoundFile] = dataclasses.field(default_factory=list)
    ignored: dict[str, str] = dataclasses.field(default_factory=dict)
    not_files: dict[str, str] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)

    def add(self, entry: Entry, rule: str) -> None:
        """Adds something that isn't a folder."""
        if rule:
            self.ignored[entry.path] = rule
        elif entry.file is not None:
            self.files.append(entry.file)
        else:
            self.not_files[entry.path] = entry.fault


def find(tree: Tree, root: str, parts: Sequence[str], exclusions: Exclusions) -> Matches:
    """Finds everything that a pattern matches.

    Args:
      tree: the filesystem's.
      root: the folder that the pattern starts from.
      parts: those of the pattern below it.
      exclusions: what isn't input.

    Raises:
      UsageError: a path without wildcards doesn't exist, isn't a file or folder, or is the job's
        own output.
      InputError: a folder can't be listed.
    """
    found = Matches()
    start, left = find_start(tree, root, parts, exclusions, found.notes)
    if start is None:
        return found
    if not start.is_folder:
        if not left:
            found.add(start, "")
        return found
    _walk(tree, start, patterns.begin(left), exclusions, found)
    found.files.sort(key=lambda file: file.path)
    return found


def find_start(
    tree: Tree, root: str, parts: Sequence[str], exclusions: Exclusions, notes: list[str]
) -> tuple[Entry | None, Sequence[str]]:
    """Follows a pattern for as long as its parts can be taken literally.

    Args:
      tree: see `find`.
      root: see `find`.
      parts: see `find`.
      exclusions: see `find`.
      notes: is told which parts with wildcards were taken literally.

    Returns:
      The place reached, None if it doesn't exist, and the parts that are left.

    Raises:
      UsageError: see `find`.
      InputError: see `find`.
    """
    path, place = root, 0
    for place, part in enumerate(parts):  # noqa: B007 - how far it came
        below = join(path, part)
        if patterns.is_glob(part):
            if not tree.exists(below):
                break
            _note(tree, path, part, notes)
        path = below
    else:
        place = len(parts)
    left = parts[place:]
    try:
        start = tree.look(path)
    except ERRORS as error:
        raise InputError(f"cannot look at {path}: {reason_of(error)}") from error
    if start is None and not left:
        raise UsageError(f"--input {path} doesn't exist")
    if start is not None:
        _check_start(tree, start, left, exclusions)
    return start, left


def _check_start(tree: Tree, start: Entry, left: Sequence[str], exclusions: Exclusions) -> None:
    """Refuses a place that can't be input."""
    path = start.path
    if start.fault and not left:
        raise UsageError(f"--input {path} is a {start.fault}, not a file or folder")
    own = exclusions.folder_around(start.real)
    if own is not None:
        raise UsageError(
            f"--input {path} is in {own}, which holds the job's own output; name the folder of the "
            "observations"
        )
    if not left and start.is_folder and start.real == exclusions.root:
        names = _list(tree, start)
        if all(join(start.real, name) in exclusions.folders for name in names):
            raise UsageError(f"--input {path} is the output root, which holds no observations")


def join(folder: str, name: str) -> str:
    """The path of an entry of a folder."""
    return f"/{name}" if folder == "/" else f"{folder}/{name}"


def _walk(tree: Tree, start: Entry, state: State, exclusions: Exclusions, found: Matches) -> None:
    """Walks all folders that a pattern can match in or below.

    A folder that several paths lead to is walked once, under its own name if that is one of them:
    so links are followed last, and one that leads back up ends there.
    """
    folders: deque[tuple[Entry, State, str]] = deque([(start, state, "")])
    links: deque[tuple[Entry, State, str]] = deque()
    seen: set[tuple[str, State, bool]] = set()
    while folders or links:
        folder, state, rule = (folders or links).popleft()
        if (folder.real, state, bool(rule)) in seen:
            continue
        seen.add((folder.real, state, bool(rule)))
        names = _names(tree, folder, state, rule, found)
        step = patterns.descend(state, names)
        for name, handle in names.items():
            below, asked = step(name)
            if not below:
                continue
            why = rule or ("" if asked or exclusions.include_hidden else find_rule(name))
            for entry in tree.look_in(folder, name, handle):
                if entry.is_folder:
                    is_own = entry.real in exclusions.folders
                    queue = folders if entry.real == join(folder.real, name) else links
                    queue.append((entry, below, OUTPUT if is_own else why))
                elif patterns.is_match(below):
                    found.add(entry, why)


def _names(tree: Tree, folder: Entry, state: State, rule: str, found: Matches) -> Mapping[str, Any]:
    """Lists a folder; one that is ignored anyway needn't be listable."""
    try:
        names = _list(tree, folder)
    except InputError:
        if not rule:
            raise
        found.ignored[folder.path] = rule
        return {}
    for part in patterns.exact_globs(state, names):
        _add_note(folder.path, part, names, found.notes)
    return names


def _list(tree: Tree, folder: Entry) -> Mapping[str, Any]:
    """Lists a folder, which may have vanished since it was seen."""
    try:
        return tree.list(folder)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ERRORS as error:
        raise InputError(f"cannot list {folder.path}: {reason_of(error)}") from error


def _note(tree: Tree, folder: str, part: str, notes: list[str]) -> None:
    try:
        entry = tree.look(folder)
        names = tree.list(entry) if entry is not None else {}
    except ERRORS:
        return  # A folder that can't be listed can still be passed through.
    _add_note(folder, part, names, notes)


def _add_note(folder: str, part: str, names: Iterable[str], notes: list[str]) -> None:
    others = patterns.count_hidden_by(part, names)
    if others:
        notes.append(
            f"{join(folder, part)} exists, so it isn't used as a pattern, which would match "
            f"{others} other name{'' if others == 1 else 's'}"
        )

"""This machine's own filesystem, through pyarrow's readers and writers.

They bypass Python's file objects. What else publication needs is in `publishing.disk`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import pyarrow as pa

from pipelines.errors import UsageError
from pipelines.storage import walk
from pipelines.storage.store import EVERYTHING, Exclusions, FoundFile, Matches, Store, Version
from pipelines.storage.walk import Entry
from pipelines.storage.write_behind import WriteBehind

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_SCHEME = "file://"
_NO_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
_BROKEN_LINK = "link to nothing"
# Opening some of these waits for another process, reading others never ends.
_KINDS = {
    stat.S_IFIFO: "named pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


class LocalStore(Store):
    """Files on this machine, with or without ``file://`` before their path."""

    has_locks = True
    has_slow_calls = False
    failures_pass = False

    @staticmethod
    def holds(path: str) -> bool:
        """Whether a path is on this machine."""
        return "://" not in path or path.startswith(_SCHEME)

    def absolute(self, path: str) -> str:
        """See `Store`; ``..`` after a link leads to the parent of what it points to."""
        path, found = path.removeprefix(_SCHEME), "/"
        for part in (path if os.path.isabs(path) else f"{_working_folder(path)}/{path}").split("/"):
            if part == "..":
                found = os.path.dirname(os.path.realpath(found) if os.path.islink(found) else found)
            elif part not in ("", "."):
                found = os.path.join(found, part)
        return found

    def real_path(self, path: str) -> str:
        return os.path.realpath(path)

    def local_path(self, path: str) -> str:
        return self.absolute(path)

    @contextlib.contextmanager
    def local_copy(self, path: str) -> Iterator[str]:
        """Provides the file itself."""
        yield self.absolute(path)

    def match(self, pattern: str, exclusions: Exclusions = EVERYTHING) -> Matches:
        return walk.find(_Tree(), "/", _parts(pattern), exclusions)

    def refuse(self, pattern: str, exclusions: Exclusions) -> None:
        walk.find_start(_Tree(), "/", _parts(pattern), exclusions, [])

    def list_files(self, folder: str) -> list[str]:
        return sorted(
            os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in names
        )

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def read_version(self, path: str) -> Version:
        return _version(os.stat(path))

    def open_input(self, path: str) -> pa.NativeFile:
        return pa.OSFile(path, "rb")

    def open_output(self, path: str) -> Any:
        return WriteBehind(path)

    def put(self, path: str, content: bytes) -> None:
        """See `Store`; writing into a deleted staging folder must not recreate it."""
        unfinished = f"{path}.unfinished"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(unfinished)  # a symlink that somebody left there isn't followed
        try:
            with open(unfinished, "xb") as file:
                file.write(content)
            os.replace(unfinished, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(unfinished)
            raise

    def delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def make_folder(self, folder: str) -> None:
        os.makedirs(folder, exist_ok=True)

    def for_each(self, work: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
        """Processes one file after the other, which is faster here."""
        return [work(item) for item in items]


class _Tree(walk.Tree):
    """This machine's folders; links are followed."""

    def exists(self, path: str) -> bool:
        return os.path.lexists(path)

    def look(self, path: str) -> Entry | None:
        try:
            found = os.stat(path)
        except OSError as error:
            if error.errno not in _NO_FILE:
                raise
            return Entry(path, path, fault=_BROKEN_LINK) if os.path.islink(path) else None
        return _entry(path, os.path.realpath(path), found)

    def list(self, folder: Entry) -> Mapping[str, os.DirEntry[str]]:
        with os.scandir(folder.path) as listed:
            found = {each.name: each for each in listed}
        return dict(sorted(found.items()))

    def look_in(self, folder: Entry, name: str, handle: os.DirEntry[str]) -> Iterable[Entry]:
        path, real = walk.join(folder.path, name), walk.join(folder.real, name)
        is_link = handle.is_symlink()
        if not is_link and handle.is_dir(follow_symlinks=False):
            return [Entry(path, real, is_folder=True)]
        try:
            found = os.stat(path)
        except OSError as error:
            if error.errno in _NO_FILE:
                return [Entry(path, real, fault=_BROKEN_LINK if is_link else "vanished file")]
            # Reading it will fail too, which costs this file but not the night.
            return [Entry(path, real, file=FoundFile(path, Version(0, 0), real, real))]
        return [_entry(path, os.path.realpath(path) if is_link else real, found)]


def _parts(pattern: str) -> list[str]:
    return [part for part in pattern.split("/") if part]


def _entry(path: str, real: str, found: os.stat_result) -> Entry:
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFDIR:
        return Entry(path, real, is_folder=True)
    if kind != stat.S_IFREG:
        return Entry(path, real, fault=_KINDS.get(kind, "special file"))
    # The time and size too, as some network filesystems give many files one inode.
    has_names = found.st_nlink > 1
    identity = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
    file = FoundFile(path, _version(found), real, identity if has_names else real)
    return Entry(path, real, file=file)


def _version(found: os.stat_result) -> Version:
    # Network filesystems and FUSE, whose inodes may change, have no device of their own.
    inode = found.st_ino if os.major(found.st_dev) else 0
    return Version.of(found.st_size, found.st_mtime, inode)


def _working_folder(path: str) -> str:
    """Where a relative path begins.

    Raises:
      UsageError: somebody has deleted the folder.
    """
    try:
        return os.getcwd()
    except FileNotFoundError as error:
        raise UsageError(
            f"{path} is relative to the working folder, which has been deleted; start the command "
            "somewhere else"
        ) from error

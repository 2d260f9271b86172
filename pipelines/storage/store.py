"""What the job requires of a place where files are kept, on any filesystem."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Version(NamedTuple):
    """What distinguishes one version of a file from another.

    Attributes:
      size: in bytes.
      modified: microseconds since the epoch, UTC.
      inode: for a file on one of this machine's disks; 0 elsewhere, where it may change by itself.
    """

    size: int
    modified: int
    inode: int = 0

    @classmethod
    def of(cls, size: int, modified_seconds: float, inode: int = 0) -> Version:
        """Makes a version from what filesystems report."""
        return cls(size, round(modified_seconds * 1_000_000), inode)


class FoundFile(NamedTuple):
    """A file that a pattern matches, and its version at that moment."""

    path: str
    version: Version


class Store(abc.ABC):
    """A place where files are kept.

    All methods raise one of `storage.ERRORS` if the filesystem refuses.

    Attributes:
      has_locks: whether files can be locked and folders renamed, so that a run can be published by
        renaming; otherwise objects are written under conditions.
      has_slow_calls: whether each call is a network round trip, so that running many in parallel
        pays off and frequent small ones don't.
      failures_pass: whether a file that can't be read now may well be readable later.
    """

    has_locks: bool
    has_slow_calls: bool
    failures_pass: bool

    @abc.abstractmethod
    def absolute(self, path: str) -> str:
        """Makes a path independent of the working folder."""

    @abc.abstractmethod
    def local_path(self, path: str) -> str | None:
        """Returns the path that programs on this machine can open a file by; None if they can't."""

    @abc.abstractmethod
    def local_copy(self, path: str) -> AbstractContextManager[str]:
        """Provides a file under a local path of the same name, while the body runs."""

    @abc.abstractmethod
    def match(self, pattern: str) -> list[FoundFile]:
        """Finds the files that a path or glob matches, by path; a local folder means its files."""

    @abc.abstractmethod
    def list_files(self, folder: str) -> list[str]:
        """Lists the paths of all files below a folder, sorted; an absent folder has none."""

    @abc.abstractmethod
    def exists(self, path: str) -> bool:
        """Whether a file exists (in an object store: an object of exactly that name)."""

    @abc.abstractmethod
    def read_version(self, path: str) -> Version:
        """Reads a file's current version."""

    @abc.abstractmethod
    def open_input(self, path: str) -> pa.NativeFile:
        """Opens a file for random reads of its bytes, which aren't decompressed."""

    @abc.abstractmethod
    def open_output(self, path: str) -> Any:
        """Opens a new file for writing; its folder must exist if the store has folders."""

    @abc.abstractmethod
    def put(self, path: str, content: bytes) -> None:
        """Writes a whole small file over any older one; a reader sees all of it or nothing."""

    @abc.abstractmethod
    def make_folder(self, folder: str) -> None:
        """Makes a folder and its parents; object stores need none."""

    @abc.abstractmethod
    def for_each(self, work: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
        """Does the same to many files, several at a time if calls are slow.

        Returns:
          The results, in the items' order; after a failure, items not yet begun are skipped.
        """

    def read_bytes(self, path: str) -> bytes:
        """Reads a whole small file."""
        with self.open_input(path) as file:
            return bytes(file.read())

"""What the job requires of a place where files are kept, on any filesystem."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import pyarrow as pa

from pipelines.storage.walk import EVERYTHING, Exclusions, FoundFile, Matches, Version

__all__ = ["EVERYTHING", "Exclusions", "FoundFile", "Matches", "Store", "Version"]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


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

    def real_path(self, path: str) -> str:
        """An absolute path without links; only some stores have links."""
        return path.rstrip("/")

    @abc.abstractmethod
    def local_path(self, path: str) -> str | None:
        """Returns the path that programs on this machine can open a file by; None if they can't."""

    @abc.abstractmethod
    def local_copy(self, path: str) -> AbstractContextManager[str]:
        """Provides a file under a local path of the same name, while the body runs."""

    @abc.abstractmethod
    def match(self, pattern: str, exclusions: Exclusions = EVERYTHING) -> Matches:
        """Finds what an absolute path or glob matches; `patterns` explains what it means.

        Raises:
          UsageError: a path without wildcards doesn't exist, isn't a file or folder, or is
            the job's own output.
          InputError: a folder can't be listed.
        """

    def refuse(self, pattern: str, exclusions: Exclusions) -> None:  # noqa: B027
        """Refuses early what `match` would refuse, where this is cheap.

        Raises:
          UsageError: see `match`.
          InputError: see `match`.
        """

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
    def delete(self, paths: Iterable[str]) -> None:
        """Deletes files, which may be absent."""

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

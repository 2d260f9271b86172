"""This machine's own filesystem, through pyarrow's readers and writers.

They bypass Python's file objects. What else publication needs is in `publishing.disk`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import pyarrow as pa
from apache_beam.io.filesystems import FileSystems

from pipelines.errors import UsageError
from pipelines.storage.store import FoundFile, Store, Version

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_SCHEME = "file://"


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
        """See `Store`; Beam matches nothing for a relative path without a folder."""
        try:
            return os.path.abspath(path.removeprefix(_SCHEME))
        except FileNotFoundError as error:
            raise UsageError(
                f"{path} is relative to the working folder, which has been deleted; start the "
                "command somewhere else"
            ) from error

    def local_path(self, path: str) -> str:
        return self.absolute(path)

    @contextlib.contextmanager
    def local_copy(self, path: str) -> Iterator[str]:
        """Provides the file itself."""
        yield self.absolute(path)

    def match(self, pattern: str) -> list[FoundFile]:
        if os.path.isdir(pattern):
            pattern = os.path.join(pattern, "*")
        (result,) = FileSystems.match([pattern])
        found = []
        for metadata in sorted(result.metadata_list, key=lambda each: each.path):
            try:
                # One stat call, so that the whole version is from the same moment.
                version = self.read_version(metadata.path)
            except OSError:
                modified = metadata.last_updated_in_seconds or 0
                version = Version.of(metadata.size_in_bytes, modified)
            found.append(FoundFile(metadata.path, version))
        return found

    def list_files(self, folder: str) -> list[str]:
        return sorted(
            os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in names
        )

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def read_version(self, path: str) -> Version:
        found = os.stat(path)
        # Network filesystems and FUSE, whose inodes may change, have no device of their own.
        inode = found.st_ino if os.major(found.st_dev) else 0
        return Version.of(found.st_size, found.st_mtime, inode)

    def open_input(self, path: str) -> pa.NativeFile:
        return pa.OSFile(path, "rb")

    def open_output(self, path: str) -> Any:
        return pa.OSFile(path, "wb")

    def put(self, path: str, content: bytes) -> None:
        """See `Store`; writing into a deleted staging folder must not recreate it."""
        unfinished = f"{path}.unfinished"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(unfinished)  # a symlink that somebody left there isn't followed
        with open(unfinished, "xb") as file:
            file.write(content)
        os.replace(unfinished, path)

    def make_folder(self, folder: str) -> None:
        os.makedirs(folder, exist_ok=True)

    def for_each(self, work: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
        """Processes one file after the other, which is faster here."""
        return [work(item) for item in items]
